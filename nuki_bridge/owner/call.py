"""One request to a lock, on its way to whoever carries it out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from nuki_bridge.lock.admin import Admin
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.turn import exclusive
from nuki_bridge.owner.owned_lock import OwnedLock
from nuki_bridge.protocol.session import Random
from nuki_bridge.records import frozen

Answer = dict[str, Any]
"""Fields of an answer beside its status."""


@frozen
class Call:
    """A request with its checked `arguments`.

    `deadline` is on the lock's clock, `timeout_s` is what was left of it at the start.  `now` is the wall clock, `base`
    the base topic.  `check_allowed` raises `RequestError` for an action that the configuration does not allow.
    """

    owned: OwnedLock
    arguments: Mapping[str, Any]
    deadline: float
    timeout_s: float
    now: Callable[[], datetime]
    random: Random
    base: str
    check_allowed: Callable[[int], None]

    @property
    def lock(self) -> Lock:
        """The lock that is asked."""
        return self.owned.lock

    @property
    def admin(self) -> Admin:
        """The owner's commands to it."""
        return self.owned.admin

    def left_s(self) -> float:
        """Return what is left of the deadline; 0 at least."""
        return max(self.deadline - self.lock.clock(), 0.0)

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """Make the only change of the lock's settings at a time; raises `TimedOut` if there is another until the end.

        Settings and entries are written whole: two changes at once would undo each other.
        """
        return exclusive(self.owned.setting, self.left_s(), "another change of the lock's settings was under way")


Handler = Callable[[Call], Awaitable[Answer]]
"""Carries out one request to a lock."""
