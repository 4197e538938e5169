"""An event loop on which waiting costs nothing: what tests without `real_time` run on."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from contextvars import Context
from heapq import heappush
from itertools import count
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    """Polls the real file descriptors; instead of waiting it moves the loop's clock.

    Where there is none but the pipe by which the loop wakes itself, it polls now and then: nobody has to be woken who
    never sleeps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self._turns = 0
        self._polls = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        self._polls += 1
        if timeout is None or self._polls & 63 == 0 or len(self.get_map()) > 1:
            ready = super().select(0)
            if ready:
                return ready
        if timeout is None:
            raise RuntimeError("deadlock: every task waits and no timer is set")
        # A timer that is due within the clock's resolution is called before its time.  Who then finds that it is not
        # yet time, and waits for the rest, would do so for ever if a turn of the loop never took any time.
        self._turns = 0 if timeout > 1e-9 else self._turns + 1
        self.now += 1e-9 if self._turns > 10_000 else max(timeout, 0.0)
        return []


class _OrderedTimer(asyncio.TimerHandle):
    """One of those that are due at the same moment, which is common here: they come in the order asked for.

    Without it frames and messages that take equally long would overtake each other, as they never do in reality.
    """

    numbers = count()

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._number = next(self.numbers)

    def __lt__(self, other: Any) -> bool:
        mine, its = self._when, other._when  # type: ignore[attr-defined]
        return bool(mine < its or (mine == its and self._number < other._number))


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting costs nothing; `time()` starts at 1000.0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self._check_closed()  # type: ignore[attr-defined]
        timer = _OrderedTimer(when, callback, args, self, context)
        heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer
