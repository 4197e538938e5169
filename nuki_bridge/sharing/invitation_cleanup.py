"""Removing from the lock what an ended invitation left there: tried until the lock can be reached and takes the PIN.

An authorization is removed only if its entry in the lock's list is recognised, because IDs are given anew after a
factory reset.  One whose answer got lost has no known ID; it is recognised by name, kind, limits and its time of
creation.  If in doubt it stays: nobody has its key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from nuki_bridge.errors import NukiError, StoreError
from nuki_bridge.owner import authorizations
from nuki_bridge.owner.owned_lock import OwnedLock
from nuki_bridge.protocol.authorizations import AuthorizationEntry
from nuki_bridge.protocol.codes import IdType
from nuki_bridge.sharing.invitation_store import Invitation, Stage
from nuki_bridge.sharing.shared_lock import SharedLock

log = logging.getLogger(__name__)

TIMEOUT_S = 30.0
RETRY_S = (5.0, 300.0)
"""First and longest pause in seconds before a lock is asked again; it doubles each time."""
REACH_POLL_S = 5.0
"""Seconds between checks whether a lock can be reached again; they cost nothing on the air."""
ORPHAN_S = (-60, 90)
"""Seconds from the asking, on the lock's clock, in which an authorization whose answer got lost may have been made."""


class Cleanup:
    """Which locks have something to remove, and when each is asked next.

    `rows_of` gives the invitations of a lock by its Nuki ID, `gone` makes it durable that one has nothing there any
    more, `lock_of` finds a paired lock, `clock` gives seconds.
    """

    def __init__(
        self,
        lock_of: Callable[[int], SharedLock | None],
        rows_of: Callable[[int], list[Invitation]],
        gone: Callable[[Invitation], None],
        clock: Callable[[], float],
    ) -> None:
        self._lock_of = lock_of
        self._rows_of = rows_of
        self._gone = gone
        self._clock = clock
        self._turns: dict[int, asyncio.Lock] = {}
        self._next: dict[int, tuple[float, float]] = {}  # when again, on `clock`, and the pause after that

    def next_at(self, nuki_id: int) -> float:
        """When a lock with something to remove is looked at next, on `clock`."""
        return self._next.get(nuki_id, (self._clock(), 0.0))[0]

    def is_busy(self, nuki_id: int) -> bool:
        """Something is being removed from that lock right now."""
        return self._turn(nuki_id).locked()

    def _turn(self, nuki_id: int) -> asyncio.Lock:
        return self._turns.setdefault(nuki_id, asyncio.Lock())

    def _due_at(self, nuki_id: int) -> list[Invitation]:
        return [each for each in self._rows_of(nuki_id) if each.on_lock and each.stage is not Stage.ASKED]

    async def due(self, nuki_ids: Iterable[int]) -> None:
        """Clean each of these locks whose time has come and that can be reached; raises `StoreError`."""
        for nuki_id in nuki_ids:
            again_at, pause = self._next.get(nuki_id, (0.0, RETRY_S[0]))
            if self._clock() < again_at:
                continue
            lock = self._lock_of(nuki_id)
            if lock is None or lock.owned is None or not lock.owned.lock.reachable:
                self._next[nuki_id] = (self._clock() + REACH_POLL_S, RETRY_S[0])
                continue
            try:
                await self.clean(lock.owned, TIMEOUT_S)
            except StoreError:
                raise
            except NukiError as error:
                level = logging.WARNING if pause == RETRY_S[0] else logging.DEBUG
                log.log(level, "%s: an invitation's authorization is removed later: %s", lock.name, error)
                self._next[nuki_id] = (self._clock() + pause, min(pause * 2, RETRY_S[1]))
            else:
                self._next.pop(nuki_id, None)

    async def clean(self, owned: OwnedLock, timeout_s: float) -> None:
        """Remove from one lock every authorization that must go; raises `NukiError`."""
        deadline = self._clock() + timeout_s
        admin, nuki_id = owned.admin, owned.lock.paired.nuki_id
        async with self._turn(nuki_id):
            rows = self._due_at(nuki_id)
            if not rows:
                return
            entries = await authorizations.entries(admin, max(deadline - self._clock(), 0.0))
            for row in rows:
                entry = self._entry_of(row, entries)
                if entry is not None:
                    await authorizations.remove(admin, entry.authorization_id, max(deadline - self._clock(), 0.0))
                    which, why = entry.authorization_id, row.stage.value
                    log.info("%s: authorization %d is removed, its invitation is %s", owned.name, which, why)
                if row in self._due_at(nuki_id):
                    self._gone(row)

    def _entry_of(self, row: Invitation, entries: Iterable[AuthorizationEntry]) -> AuthorizationEntry | None:
        """Return the lock's list entry for an invitation, if it is there without doubt."""
        if row.authorization_id is None:
            return self._orphan_of(row, entries)
        return next((each for each in entries if is_of(row, each)), None)

    def _orphan_of(self, row: Invitation, entries: Iterable[AuthorizationEntry]) -> AuthorizationEntry | None:
        known = {each.authorization_id for each in self._rows_of(row.nuki_id)}
        first, last = (row.asked + each for each in ORPHAN_S)
        fits = [
            each
            for each in entries
            if each.authorization_id not in known
            and (each.id_type, each.name, each.lock_count) == (IdType.APP, row.user, 0)
            and (each.remote_allowed, each.time_limited) == (row.remote, row.limit is not None)
            and first <= (seconds(each.created) or 0) <= last
        ]
        if len(fits) > 1:
            log.warning("two users on a lock could be the one that an unfinished invitation made; both stay")
        return fits[0] if len(fits) == 1 else None


def is_of(row: Invitation, entry: AuthorizationEntry | None) -> bool:
    """This is the entry in the lock's list that the invitation made; it may have been renamed, or changed otherwise."""
    if entry is None or entry.authorization_id != row.authorization_id or entry.id_type != IdType.APP:
        return False
    return entry.name == row.user or seconds(entry.created) == row.entry_created


def seconds(moment: datetime | None) -> int | None:
    """Unix seconds."""
    return None if moment is None else int(moment.timestamp())
