"""How old a lock's list of users is, and what has called it into question since; without clock or I/O.

Times are seconds on the lock's clock, given by whoever asks.
"""

from __future__ import annotations

import math

SYNC_S = 3600.0
"""Longest interval in seconds between readings of the whole list."""
SETTLE_S = 2.0
"""Seconds after the last change of our own until the list is read: changes seldom come alone.  Somebody who needs it
has it read at once."""
SETTLE_TIMES = 15
"""Most times that further changes put that reading off."""
RELIABLE_S = 300.0
"""Oldest list in seconds that lets a guest in."""
RELIABLE_UNKNOWN_S = 5.0
"""Oldest list in seconds that turns an unknown ID away: the first time, then twice as old each time, because whoever
may write to the relay can make up IDs and keys, and a long list takes seconds on the air."""

Marks = tuple[int | None, int]
"""What changes when the list may have changed: the lock's config update count, and how many changes we have made."""


class ListAge:
    """Whether the list must be read before it is relied on; `read_at` is when it was read last."""

    def __init__(self) -> None:
        self.read_at = -math.inf
        self._seen: Marks | None = None  # when it was read
        self._stale_at = math.inf
        self._put_off = (0, 0)  # our own changes when the reading was put off last, and how many times it was
        self._believed_after_s = RELIABLE_UNKNOWN_S  # how old it must be for somebody's word to have it read again

    def was_read(self, now: float, seen: Marks, *, has_news: bool) -> None:
        """Note that it was read, with what was `seen` before; `has_news`: somebody else may act now."""
        self.read_at, self._seen, self._stale_at = now, seen, math.inf
        self._put_off = seen[1], 0
        if has_news:
            self._believed_after_s = RELIABLE_UNKNOWN_S

    def must_be_read(self) -> None:
        """Have it read once more."""
        self._stale_at = self.read_at

    def doubt(self, now: float) -> float:
        """Note that the lock did not know somebody who is in it; return in how many seconds it is to be read."""
        self._stale_at = min(self._stale_at, max(now, self.read_at + self._believed_after_s))
        self.believe_less()
        return self._stale_at - now

    def believe_less(self) -> None:
        """Have the next one wait longer on whose word it is read, unless this reading shows a change."""
        self._believed_after_s = min(self._believed_after_s * 2, RELIABLE_S)

    def is_current(self, marks: Marks) -> bool:
        """Return whether nothing has changed since it was read, as far as the lock counts it."""
        return self._seen == marks

    def is_outdated(self, marks: Marks) -> bool:
        """Return whether it was ever read, and something has changed since."""
        return self._seen is not None and self._seen != marks

    def are_ours(self, marks: Marks) -> bool:
        """Return whether all that has changed since, as far as the lock counts it, are changes of our own."""
        if self._seen is None:
            return False
        (before, ours_before), (count, ours) = self._seen, marks
        return ours > ours_before and (before == count or ((count or 0) - (before or 0)) % 256 <= ours - ours_before)

    def is_due(self, now: float, marks: Marks) -> bool:
        """Return whether it is to be read now, whoever needs it."""
        return not self.is_current(marks) or now >= min(self.read_at + SYNC_S, self._stale_at)

    def is_stale(self, now: float, marks: Marks, *, is_listed: bool) -> bool:
        """Return whether it must be read before somebody is let in by it, or (not `is_listed`) turned away."""
        if not self.is_current(marks) or now >= self._stale_at:
            return True
        return now - self.read_at > (RELIABLE_S if is_listed else self._believed_after_s)

    def may_wait(self, marks: Marks) -> bool:
        """Return whether reading can be put off once more.

        So it is if nothing but our own changes calls for it, and another one has come since this was asked last.
        """
        edits, (known, times) = marks[1], self._put_off
        if not self.are_ours(marks) or edits == known:
            return False
        self._put_off = edits, times + 1
        return times < SETTLE_TIMES
