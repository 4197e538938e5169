"""Async tests, and time that tests move by hand.

A test written as `async def` runs on a loop whose clock is virtual: when nothing is ready the clock jumps to the next
timer, so a 60 s timeout takes no time and no test sleeps for luck.  Marked `real_time` it runs on the ordinary loop,
as everything that talks to another process must.
"""

from __future__ import annotations

import asyncio
import inspect
import selectors
import signal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no fault of the code: how long an example takes is not what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Polls the real file descriptors; instead of waiting it moves the loop's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError("deadlock: every task waits and no timer is set")
        self.now += max(timeout, 0.0)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting costs nothing; `time()` starts at 1000.0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def pytest_configure(config: pytest.Config) -> None:
    # Whoever starts the tests in the background of a shell lets them ignore Ctrl-C, which programs under test inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "real_time: run this async test on the ordinary loop, with the real clock")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    real = pyfuncitem.get_closest_marker("real_time") is not None
    with asyncio.Runner(loop_factory=None if real else VirtualTimeLoop) as runner:
        runner.run(pyfuncitem.obj(**arguments))
    return True
