"""How many answers those may cause whom the bridge does not know: some at once, then so many a second."""

from __future__ import annotations

from collections.abc import Callable


class Allowance:
    """A token bucket: `most` at once, `each_second` more from then on; `clock` gives seconds."""

    def __init__(self, most: int, each_second: float, clock: Callable[[], float]) -> None:
        self._most = float(most)
        self._each_second = each_second
        self._clock = clock
        self._left, self._at = float(most), clock()

    def take(self) -> bool:
        """Use one up; False if none is left now."""
        now = self._clock()
        self._left, self._at = min(self._most, self._left + (now - self._at) * self._each_second), now
        if self._left < 1:
            return False
        self._left -= 1
        return True
