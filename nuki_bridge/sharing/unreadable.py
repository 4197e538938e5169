"""Frames that the lock cannot read: whose its plain errors are, and how long their sender has to pause.

An authorization's ID is no secret, and whoever knows it can have the lock asked with a wrong key.  The lock answers
that with a plain Error Report, which bears no name and may come late or never.  It belongs to a frame that has no
answer yet, the oldest of them: so a guest is told that its key is gone only if nobody else's frame can be meant.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from nuki_bridge.records import mutable

OWED_S = 30.0
"""Seconds after a guest's frame in which a plain error may still be the lock's answer to it."""
FREE = 20
"""Unreadable frames of an authorization that are passed on without a pause."""
FREE_S = 60.0
"""Seconds without an unreadable frame after which they are counted from zero; a frame that the lock can read does so,
too."""
PAUSE_S = 0.1
PAUSE_MAX_S = 1.0
"""First and longest pause in seconds after `FREE` unreadable frames; each is twice as long as the one before.  All that
have to pause do so together, so that the lock is asked once in `PAUSE_MAX_S` with however many IDs."""


@dataclass(slots=True, eq=False)
class Owed:
    """A frame that was written over this link for `authorization_id`, and that the lock may still answer."""

    authorization_id: int
    at: float
    sure: bool
    """What the lock says to this authorization next is the answer to it: nothing else of it has an answer to come."""


class Unanswered:
    """The frames of all guests over one link that may still be answered with a plain error, the oldest first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._owed: list[Owed] = []

    def wrote(self, authorization_id: int, *, alone: bool) -> Owed:
        """A frame is written; `alone` tells that the lock owes this authorization nothing else, as far as we know."""
        self._forget_old()
        sure = alone and not any(each.authorization_id == authorization_id for each in self._owed)
        self._owed.append(Owed(authorization_id, self._clock(), sure))
        return self._owed[-1]

    def answered(self, owed: Owed) -> None:
        """The lock has said something to its authorization."""
        if owed.sure:
            self.settle(owed)

    def settle(self, owed: Owed) -> None:
        """No plain error is due for this one any more."""
        self._owed = [each for each in self._owed if each is not owed]

    def plain_error(self) -> Owed | None:
        """Return the frame that a plain error is the answer to; None if there is none."""
        self._forget_old()
        return self._owed.pop(0) if self._owed else None

    def clear(self) -> None:
        """The link is gone, and what was under way with it."""
        self._owed.clear()

    def _forget_old(self) -> None:
        self._owed = [each for each in self._owed if self._clock() - each.at < OWED_S]


@mutable
class _Account:
    frames: int = 0
    last_at: float = 0.0


class Pauses:
    """Which authorization has to pause, because nothing but unreadable frames comes with its ID."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._accounts: dict[int, _Account] = {}
        self._free_at = -math.inf

    def unreadable(self, authorization_id: int) -> None:
        """The lock could not read a frame with this ID, or said nothing to it."""
        now = self._clock()
        account = self._accounts.setdefault(authorization_id, _Account())
        account.frames = 1 if now - account.last_at >= FREE_S else account.frames + 1
        account.last_at = now
        if account.frames > FREE:
            pause_s = min(PAUSE_S * 2.0 ** min(account.frames - FREE - 1, 10), PAUSE_MAX_S)
            self._free_at = max(self._free_at, now + pause_s)

    def readable(self, authorization_id: int) -> None:
        """The lock has answered one with this authorization's key."""
        self._accounts.pop(authorization_id, None)

    def left_s(self, authorization_id: int) -> float:
        """Return how long the pause of this authorization goes on; 0 if it has none."""
        account, now = self._accounts.get(authorization_id), self._clock()
        if account is None or account.frames <= FREE or now - account.last_at >= FREE_S:
            return 0.0
        return max(self._free_at - now, 0.0)
