"""How much somebody may cause whom the program does not know: some at once, then so many a second."""

from __future__ import annotations

from collections.abc import Callable


class Allowance:
    """A token bucket: `most` at once, `each_second` more from then on; `clock` gives seconds."""

    __slots__ = ("_at", "_clock", "_each_second", "_left", "_most")

    def __init__(self, most: float, each_second: float, clock: Callable[[], float]) -> None:
        self._most = float(most)
        self._each_second = each_second
        self._clock = clock
        self._left, self._at = float(most), clock()

    def _fill(self) -> None:
        now = self._clock()
        self._left, self._at = min(self._most, self._left + (now - self._at) * self._each_second), now

    def take(self) -> bool:
        """Use one up; return False if none is left now."""
        self._fill()
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def owe(self, count: float) -> float:
        """Use `count` up in any case; return the seconds to wait until they are paid for."""
        self._fill()
        self._left -= count
        return max(0.0, -self._left / self._each_second)

    @property
    def empty(self) -> bool:
        """Whether none is left now."""
        self._fill()
        return self._left < 1

    @property
    def full(self) -> bool:
        """Whether nothing was used for a while."""
        self._fill()
        return self._left >= self._most
