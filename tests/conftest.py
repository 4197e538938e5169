"""Async tests, and time that tests move by hand.

A test written as `async def` runs on a loop whose clock is virtual: when nothing is ready the clock jumps to the next
timer, so a 60 s timeout takes no time and no test sleeps for luck.  Marked `real_time` it runs in real time, as
everything that talks to another process must, with seconds that a busy machine makes longer (`tests/patience.py`).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.patience import PatientLoop
from tests.virtual_time import VirtualTimeLoop

# A busy machine is no fault of the code: how long an example takes is not what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    # Whoever starts the tests in the background of a shell lets them ignore Ctrl-C, which programs under test inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "real_time: run this async test in real time")
    config.addinivalue_line("markers", "long: takes a second of processor time and more; `make check` leaves it out")
    config.addinivalue_line("markers", "slow: mostly waits, and begins first, beside what other processes do meanwhile")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """What a test runs may set up logging, to a stream that is closed when the test ends."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    if root.handlers != handlers:
        root.handlers[:] = handlers
    root.setLevel(level)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    real = pyfuncitem.get_closest_marker("real_time") is not None
    with asyncio.Runner(loop_factory=PatientLoop if real else VirtualTimeLoop) as runner:
        runner.run(pyfuncitem.obj(**arguments))
    return True
