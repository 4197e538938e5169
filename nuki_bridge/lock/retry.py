"""Whether a lock is there, and when it is connected again whose link was lost or could not be had.

Soon, then less and less often; at once when it is heard again after it was not.  No I/O and no clock: every `now` is
handed in, in seconds on the clock of the lock.  Commands do not wait for it.
"""

from __future__ import annotations

import math

from nuki_bridge.protocol.session import Random

RECONNECT_S = (0.2, 60.0)
"""Shortest and longest pause between attempts to regain a link; it doubles, less up to half of it by chance."""
STEADY_S = 30.0
"""Seconds that a link must live before the pauses start from the shortest again.

That exchanges went well on a link is not enough: a lock that drops each soon after would be connected without end, and
every connection costs its battery.
"""


SEEN_FOR_S = 60.0
"""Seconds for which a lock counts as in range after it was heard."""
SILENT_S = 10.0
"""Seconds without a beacon after which a lock has been away: hearing it then is news."""
DOUBTFUL_ATTEMPTS = 3
"""Attempts to connect without a successful exchange after which a lock counts as not reachable."""


class Retry:
    """The next attempt; due at the start.  `random` is for the jitter."""

    def __init__(self, now: float, random: Random) -> None:
        self.at = now
        """When the next attempt is due."""
        self.heard_at = -math.inf
        """When the lock was heard, or was linked, last."""
        self._random = random
        self._failures = 0
        self._attempts = 0  # to connect, since the last exchange that went well
        self._failed_at = -math.inf
        self._linked_at = -math.inf

    # -- is it there --------------------------------------------------------------------------------------------------

    def is_near(self, now: float) -> bool:
        """It was heard a short time ago."""
        return now - self.heard_at <= SEEN_FOR_S

    @property
    def is_doubtful(self) -> bool:
        """Attempts to connect have failed, one after the other."""
        return self._attempts >= DOUBTFUL_ATTEMPTS

    @property
    def is_worth_it(self) -> bool:
        """Attempts have failed, but the lock was heard since: the next one may succeed."""
        return self.is_doubtful and self.heard_at > self._failed_at

    def heard(self, now: float) -> bool:
        """A beacon was heard; True if that is a reason to look whether a connection is due.

        One that was not heard for a while is tried at once.  One that is heard all the time although no attempt
        succeeds is not: that would go on without end.
        """
        silent_s, first = now - self.heard_at, self.heard_at <= self._failed_at
        self.heard_at = now
        if silent_s > SEEN_FOR_S:
            self._failures = 0
            if not self.is_doubtful:
                self._attempts = 0
        if silent_s > SILENT_S:
            self.at = min(self.at, now)
            return True
        return first and self.is_doubtful

    def worked(self) -> None:
        """An exchange went well."""
        self._attempts = 0

    # -- attempts -----------------------------------------------------------------------------------------------------

    def linked(self, now: float) -> None:
        """The link is up, which alone does not prove that the lock answers."""
        self._attempts += 1
        self.heard_at = self._linked_at = now

    def missed(self, now: float) -> None:
        """An attempt to connect failed."""
        self._attempts += 1
        self._failed_at = now

    def lost(self, now: float) -> None:
        """The link went away that should have stayed.

        A moment ago the lock was there: a short loss does not make it unreachable.
        """
        self.heard_at = now
        if now - self._linked_at >= STEADY_S:
            self._failures = 0
        self._postpone(now)

    def left(self, now: float) -> None:
        """The link went away when its work was done."""
        self.heard_at = now
        self._failures = 0

    def failed(self, now: float) -> None:
        """An attempt or an exchange failed; a link lost by it has been counted if `lost` was told before."""
        self._failed_at = now
        if now >= self.at:
            self._postpone(now)

    def at_once(self, now: float) -> None:
        """There is reason to hope again."""
        self.at = now
        self._failures = self._attempts = 0

    def _postpone(self, now: float) -> None:
        pause_s = min(RECONNECT_S[0] * 2 ** min(self._failures, 16), RECONNECT_S[1])
        jitter = int.from_bytes(self._random(2), "little") / 0x10000
        self.at = now + pause_s * (1 - jitter / 2)
        self._failures += 1
