"""When a lock is connected again whose link was lost or could not be had: soon, then less and less often.

No I/O and no clock: every `now` is handed in, in seconds on the clock of the lock.  Commands do not wait for it.
"""

from __future__ import annotations

import math

from nuki_bridge.protocol.session import Random

RECONNECT_S = (0.2, 60.0)
"""Shortest and longest pause between attempts to regain a link; it doubles, less up to half of it by chance."""
STEADY_S = 30.0
"""A link that lived for so long was a good one: the pauses begin anew after it.

That exchanges went well on a link is not enough: a lock that drops each soon after would be connected without end, and
every connection costs its battery.
"""


class Retry:
    """The next attempt; due at the start.  `random` is for the jitter."""

    def __init__(self, now: float, random: Random) -> None:
        self.at = now
        """When it is due."""
        self._random = random
        self._failures = 0
        self._linked_at = -math.inf

    def linked(self, now: float) -> None:
        """The link is up."""
        self._linked_at = now

    def lost(self, now: float) -> None:
        """The link went away that should have stayed."""
        if now - self._linked_at >= STEADY_S:
            self._failures = 0
        self._postpone(now)

    def left(self) -> None:
        """The link went away when its work was done."""
        self._failures = 0

    def failed(self, now: float) -> None:
        """An attempt or an exchange failed; a link lost by it has been counted if `lost` was told before."""
        if now >= self.at:
            self._postpone(now)

    def at_once(self, now: float) -> None:
        """There is reason to hope again."""
        self.at = now
        self._failures = 0

    def _postpone(self, now: float) -> None:
        pause_s = min(RECONNECT_S[0] * 2 ** min(self._failures, 16), RECONNECT_S[1])
        jitter = int.from_bytes(self._random(2), "little") / 0x10000
        self.at = now + pause_s * (1 - jitter / 2)
        self._failures += 1
