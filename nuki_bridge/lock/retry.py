"""Whether a lock is in range, and when to connect again after a link was lost or could not be had.

Soon, then less and less often; at once when it is heard again after silence.  No I/O and no clock: every `now` is
passed in, in seconds on the clock of the lock.  Commands do not wait for it.
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
    """When the next attempt to connect is due; `random` is for the jitter."""

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
        """Return whether it was heard a short time ago."""
        return now - self.heard_at <= SEEN_FOR_S

    @property
    def is_doubtful(self) -> bool:
        """Whether attempts to connect have failed, one after the other."""
        return self._attempts >= DOUBTFUL_ATTEMPTS

    @property
    def is_worth_it(self) -> bool:
        """Whether attempts have failed but the lock was heard since, so that the next one may succeed."""
        return self.is_doubtful and self.heard_at > self._failed_at

    def heard(self, now: float) -> bool:
        """Take a beacon; return True if that is a reason to see whether a connection is due.

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
        """Note that an exchange went well."""
        self._attempts = 0

    # -- attempts -----------------------------------------------------------------------------------------------------

    def linked(self, now: float) -> None:
        """Note that the link is up, which alone does not prove that the lock answers."""
        self._attempts += 1
        self.heard_at = self._linked_at = now

    def missed(self, now: float) -> None:
        """Note that an attempt to connect failed."""
        self._attempts += 1
        self._failed_at = now

    def lost(self, now: float) -> None:
        """Note the loss of a link that should have stayed.

        The lock was there a moment ago: a short loss does not make it unreachable.
        """
        self.heard_at = now
        if now - self._linked_at >= STEADY_S:
            self._failures = 0
        self._postpone(now)

    def left(self, now: float) -> None:
        """Note that the link was dropped after its work was done."""
        self.heard_at = now
        self._failures = 0

    def failed(self, now: float) -> None:
        """Note that an attempt or an exchange failed; if it cost the link, `lost` has counted that already."""
        self._failed_at = now
        if now >= self.at:
            self._postpone(now)

    def at_once(self, now: float) -> None:
        """Make the next attempt due now: there is reason to hope again."""
        self.at = now
        self._failures = self._attempts = 0

    def _postpone(self, now: float) -> None:
        pause_s = min(RECONNECT_S[0] * 2 ** min(self._failures, 16), RECONNECT_S[1])
        jitter = int.from_bytes(self._random(2), "little") / 0x10000
        self.at = now + pause_s * (1 - jitter / 2)
        self._failures += 1
