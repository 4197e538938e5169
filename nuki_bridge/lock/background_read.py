"""Something that the bridge reads of a lock by itself: when it is due, the lock is there and the PIN is known.

No lock is sought for it: it goes over the link where that is held, and otherwise connects while the lock is in range.
What is read, and how often, is for others to say: `battery_watch.py`, which needs no PIN, and `owner/`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from nuki_bridge.errors import LockError, NukiError, RequestError
from nuki_bridge.lock.turn import Rank, acting_for
from nuki_bridge.protocol.codes import ErrorCode

if TYPE_CHECKING:
    from nuki_bridge.lock.admin import Admin
    from nuki_bridge.lock.lock import Lock

log = logging.getLogger(__name__)

RETRY_S = (5.0, 300.0)
"""First and longest pause in seconds after a failure; it doubles with each one in a row."""
BANNED_S = 900.0
"""Seconds for which a lock that has banned its owner for wrong PINs, or may have refused ours, is left alone."""


class BackgroundRead:
    """`work` gives the seconds until it is due again; `what` names it in the log.  `needs_pin`: the security PIN."""

    def __init__(
        self, what: str, lock: Lock, admin: Admin, work: Callable[[], Awaitable[float]], *, needs_pin: bool = True
    ) -> None:
        self._what = what
        self._lock = lock
        self._admin = admin
        self._work = work
        self._needs_pin = needs_pin
        self._due_at = lock.clock()
        self._not_before = -math.inf
        self._pause_s = RETRY_S[0]
        self._wake = asyncio.Event()
        self._looks_at = -math.inf
        """When it looks again by itself, on the lock's clock: infinite while the lock is not there."""

    def schedule(self, delay_s: float = 0.0) -> None:
        """Make it due `delay_s` from now, if it is not due earlier."""
        self._due_at = min(self._due_at, self._lock.clock() + delay_s)
        self.wake()

    def wake(self) -> None:
        """Look again: the lock may be there now, or the PIN known.  Nothing is woken for what is not due yet."""
        starts_at = self._starts_at
        if (starts_at < self._looks_at or starts_at <= self._lock.clock()) and self.possible:
            self._wake.set()

    @property
    def _starts_at(self) -> float:
        return max(self._due_at, self._not_before)

    @property
    def possible(self) -> bool:
        """Whether the lock is there and not left to others, and the PIN known where it is needed."""
        lock = self._lock
        there = not lock.is_paused and (lock.connected or (not lock.is_held and lock.reachable))
        return there and (self._admin.has_pin or not self._needs_pin)

    async def run(self) -> None:
        """Read whenever it is due, until cancelled."""
        acting_for.set(Rank.BRIDGE)
        while True:
            await self._until_due()
            self._due_at = math.inf
            try:
                due_in_s = await self._work()
            except (LockError, RequestError) as error:
                # RequestError: the PIN went away meanwhile
                log.info("%s: the %s cannot be read: %s", self._lock.name, self._what, error)
                banned = isinstance(error, LockError) and error.number == ErrorCode.TOO_MANY_PIN_ATTEMPTS
                self._fail(BANNED_S if banned else self._pause_s)
            except NukiError as error:
                log.debug("%s: the %s cannot be read now: %s", self._lock.name, self._what, error)
                self._fail(BANNED_S if self._admin.pin.unheard > 1 else self._pause_s)
            else:
                self._pause_s = RETRY_S[0]
                self._due_at = min(self._due_at, self._lock.clock() + due_in_s)

    def _fail(self, pause_s: float) -> None:
        self._due_at = self._not_before = self._lock.clock() + pause_s
        self._pause_s = min(self._pause_s * 2, RETRY_S[1])

    async def _until_due(self) -> None:
        while True:
            self._wake.clear()
            now = self._lock.clock()
            if self.possible:
                self._looks_at = self._starts_at
                if self._looks_at <= now:
                    return
            else:
                self._looks_at = math.inf
            try:
                async with asyncio.timeout(None if self._looks_at == math.inf else self._looks_at - now):
                    await self._wake.wait()
            except TimeoutError:
                pass
