"""Time as the machine gives it: what every limit of a test that runs in real time is measured in.

A limit is there for what hangs, or for a promise such as "stops in 3 s", and neither has to do with what else the
machine does. So the seconds here are not the wall clock's: they are as many times longer as there are more threads
that want to run than processors to run them, and those in which this process did not run at all do not count. On a
machine that has nothing else to do they are seconds.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import Any

HANG_S = 60.0
"""After so many of our seconds something hangs, whatever it is."""

_TICK_S = 0.02
_LATEST_S = 2 * _TICK_S
"""More than that between two looks at the clock is time in which this process did not run."""


def _rivals() -> float:
    """How many threads want each of the processors now; 1 where nobody has to wait."""
    try:
        with open("/proc/loadavg") as file:
            running = int(file.read().split()[3].partition("/")[0])
    except (OSError, ValueError, IndexError):
        return 1.0
    return max(1.0, (running - 1) / (os.cpu_count() or 1))  # without the one that asks


class _Clock:
    """Ticks in a thread of its own, which sees what the machine has left for us."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds = self._ticked_at = time.monotonic()
        self._rivals = 1.0
        threading.Thread(target=self._tick, name="patience", daemon=True).start()

    def __call__(self) -> float:
        with self._lock:
            return self._now(time.monotonic())

    def _now(self, at: float) -> float:
        return self._seconds + min(at - self._ticked_at, _LATEST_S) / self._rivals

    def _tick(self) -> None:
        while True:
            time.sleep(_TICK_S)
            rivals = _rivals()
            with self._lock:
                at = time.monotonic()
                self._seconds, self._ticked_at, self._rivals = self._now(at), at, rivals


now: Callable[[], float] = _Clock()
"""Our seconds since some moment, as a monotonic clock."""


class PatientLoop(asyncio.SelectorEventLoop):
    """The ordinary event loop with our seconds: the limits of the program under test are stretched like the tests'."""

    def time(self) -> float:
        return now()


async def until(what: Callable[[], Any], or_say: Callable[[], object] = str, limit_s: float = HANG_S) -> Any:
    """Wait until `what` gives something that is true, and give that; fail with what `or_say` gives if it hangs."""
    ends = now() + limit_s
    while not (found := what()):
        assert now() < ends, or_say()
        await asyncio.sleep(0.01)
    return found


def blocking_until(what: Callable[[], Any], or_say: Callable[[], object] = str, limit_s: float = HANG_S) -> Any:
    """`until` without an event loop."""
    ends = now() + limit_s
    while not (found := what()):
        assert now() < ends, or_say()
        time.sleep(0.02)
    return found
