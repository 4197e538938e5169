"""An event loop on which waiting costs nothing: what tests without `real_time` run on."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    """Polls the real file descriptors; instead of waiting it moves the loop's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
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


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting costs nothing; `time()` starts at 1000.0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now
