"""A while for which a lock is left to others: to the maker's app, which some do not let in beside the bridge."""

from __future__ import annotations

import math
from datetime import datetime, timedelta


class Pause:
    """The pause of one lock; over when it begins.  No clock: every `now` is passed in."""

    def __init__(self) -> None:
        self.until = -math.inf
        """When it ends, on the clock of the lock."""
        self.to: datetime | None = None
        """The same on the wall clock."""

    def begin(self, now: float, moment: datetime, seconds: float) -> None:
        """Pause for so long from `now`, which is `moment` on the wall clock; 0 ends a pause."""
        self.until = now + seconds
        self.to = moment + timedelta(seconds=seconds) if seconds > 0 else None

    def ended(self, now: float) -> bool:
        """Return whether a pause has run out since the last time."""
        if self.to is None or now < self.until:
            return False
        self.to = None
        return True
