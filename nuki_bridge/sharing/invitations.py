"""An invitation's life: made, then redeemed, expired or revoked; and what that means on the lock.

Each arrow is one durable step in `invitation_store`.  The process may be killed before and after any of them:

    (nothing) --1--> ASKED --2--> OPEN --3--> REDEEMED --4--> REDEEMED, wiped --8--> (nothing)
                       |            '----5--> EXPIRED or REVOKED, on_lock --7--> not on_lock --8--> (nothing)
                       '--6--> LOST, on_lock --7--> ...

1. Before the lock is asked.  The code exists only in memory; a row at ASKED that nobody works on can only become LOST.
2. The lock has answered.  Only then is the asker told the code: whoever has a code finds it OPEN or further on.
   Killed between 2 and the answer, the invitation is open and nobody has its code; the owner sees and can revoke it.
3. The first valid request wins, by its client number, before any answer leaves.  Killed before, it is open and the
   guest asks again; killed after, the same client asks again and gets its credential, and nobody else does.
4. Ten minutes later key and credential are wiped.
5. The keys are wiped in the same step that ends it; nobody gets the credential from then on.
6. The lock's answer never came, the asker gave up, or the process was killed after 1.
7. The authorization is gone from the lock: removed, or not in its list.  Killed between the removal and 7, the list is
   read again and shows that it is gone.  Tried until the lock can be reached and takes the PIN.
8. Seven days after its end, for as long as a late guest is told why.

An open invitation ends when the wall clock says so or when its time has passed by the clock that nobody sets, whatever
is first; the latter is noted every ten minutes, so that restarts with a clock set back do not prolong a life.  A
guest's own idea of the time is not asked for anything.  How an authorization is removed: `invitation_cleanup`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from nuki_bridge.allowance import Allowance
from nuki_bridge.errors import NukiError, RequestError, StoreError
from nuki_bridge.lock import wall_clock
from nuki_bridge.lock.admin import Admin
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.outcome import OutcomeUnknown
from nuki_bridge.lock.turn import Rank, acting_for
from nuki_bridge.owner import authorizations
from nuki_bridge.owner.owned_lock import OwnedLock
from nuki_bridge.protocol.authorizations import AuthorizationEntry
from nuki_bridge.protocol.crypto import KEY_SIZE
from nuki_bridge.protocol.field_kinds import TimeLimit
from nuki_bridge.protocol.session import Random
from nuki_bridge.sharing.invitation_cleanup import Cleanup, is_of, seconds
from nuki_bridge.sharing.invitation_code import RANDOM_SIZE, key, lookup, make_code
from nuki_bridge.sharing.invitation_store import Invitation, Records, Stage
from nuki_bridge.sharing.redemption import client_in, redeemed, sealed_credential
from nuki_bridge.sharing.shared_lock import SharedLock

log = logging.getLogger(__name__)

LIFETIME_S = 48 * 3600
"""Seconds for which an invitation can be redeemed at most."""
REPEAT_S = 600
"""Seconds for which the guest who redeemed it may ask again, if the answer got lost."""
REMEMBERED_S = 7 * 24 * 3600
"""Seconds for which a late guest is told what became of it."""
NOTE_S = 600.0
"""Seconds between notes in the database of how long an open invitation has left."""
STORE_RETRY_S = 30.0
REFUSALS = (30, 2.0)
"""Refusals that are answered at once, and how many more each second; beyond that none is answered."""


class Invitations:
    """All invitations of this installation; `load`, then `run` it.

    `base` gives the base topic, `lock_of` finds a paired lock by its Nuki ID; `on_change` is told of each invitation
    that is open now, or is so no longer.  `clock` gives seconds and counts through suspend, `now` is the wall clock.
    """

    def __init__(
        self,
        records: Records,
        base: Callable[[], str],
        *,
        lock_of: Callable[[int], SharedLock | None],
        on_change: Callable[[Invitation], None],
        clock: Callable[[], float],
        now: Callable[[], datetime],
        random: Random,
    ) -> None:
        self._records = records
        self._base = base
        self._lock_of = lock_of
        self._on_change = on_change
        self._clock = clock
        self._now = now
        self._random = random
        self._rows: dict[bytes, Invitation] = {}
        self._ends: dict[int, float] = {}  # on `clock`: of an open one's life, of a redeemed one's credential
        self._asking: set[int] = set()
        self._missed: set[int] = set()  # open ones whose authorization was not in the lock's list the last time
        self._noted_at = clock()
        self._cleanup = Cleanup(lock_of, self._at, self._cleaned, clock)
        self._wake = asyncio.Event()
        self._refusals = Allowance(*REFUSALS, clock)

    # -- what there is ------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Take over what an earlier run left; raises `StoreError`."""
        for row in self._records.all():
            self._rows[row.lookup] = row
            since = self._time() - (row.created if row.ended is None else row.ended)
            if row.stage is Stage.OPEN:
                self._ends[row.number] = self._clock() + min(row.seconds_left, row.expires - row.created - since)
            elif row.stage is Stage.REDEEMED:
                self._ends[row.number] = self._clock() + min(REPEAT_S, REPEAT_S - since)

    def open_at(self, nuki_id: int) -> list[Invitation]:
        """Return the open invitations of a lock, the oldest first."""
        return [each for each in self._at(nuki_id) if each.stage is Stage.OPEN and not self._is_over(each)]

    def pending(self, lock_name: str) -> set[int]:
        """Authorization IDs on a lock that nobody may use: of open invitations, and of those that are to be removed."""
        rows = [each for each in self._rows.values() if each.stage is Stage.OPEN or each.on_lock]
        locks = {each.nuki_id: self._lock_of(each.nuki_id) for each in rows}
        here = {nuki_id for nuki_id, lock in locks.items() if lock is not None and lock.name == lock_name}
        return {each.authorization_id for each in rows if each.nuki_id in here and each.authorization_id is not None}

    def leaving(self, nuki_id: int) -> set[int]:
        """Authorization IDs on a lock that are removed as soon as it can be reached."""
        rows = [each for each in self._at(nuki_id) if each.on_lock and each.stage is not Stage.ASKED]
        return {each.authorization_id for each in rows if each.authorization_id is not None}

    def check_free(self, nuki_id: int, name: str, own_id: int | None) -> None:
        """Raises `RequestError` if somebody other than the user `own_id` is invited to the lock under this name."""
        for each in self._at(nuki_id):
            if each.stage is Stage.ASKED and each.user == name:
                raise RequestError(
                    "name_taken",
                    "an invitation for this name is being made, or its remains are removed; choose another name, or "
                    "try again later",
                )
        for each in self.open_at(nuki_id):
            if self.name(each) == name and each.authorization_id != own_id:
                raise RequestError(
                    "name_taken",
                    f"there is an open invitation for this name already, with the ID {each.authorization_id}; choose "
                    "another name, or revoke that one",
                )

    def _at(self, nuki_id: int) -> list[Invitation]:
        return [each for each in self._rows.values() if each.nuki_id == nuki_id]

    def _is_over(self, row: Invitation) -> bool:
        """An open one has expired, the credential of a redeemed one is not given out again."""
        # The ten minutes go by the clock that nobody sets: no jump must cost a guest the answer that got lost.
        by_the_wall = row.stage is Stage.OPEN and self._time() >= row.expires
        return by_the_wall or self._clock() >= self._ends.get(row.number, 0.0)

    def _time(self) -> int:
        return int(self._now().timestamp())

    def _put(self, row: Invitation) -> None:
        """Remember a row that has just been made durable."""
        before = self._rows.get(row.lookup)
        self._rows[row.lookup] = row
        self._wake.set()
        if Stage.OPEN in (row.stage, before.stage if before is not None else None):
            self._on_change(row)

    # -- the owner ----------------------------------------------------------------------------------------------------

    async def create(
        self,
        owned: OwnedLock,
        user: str,
        *,
        remote: bool,
        limit: TimeLimit | None,
        lifetime_s: int,
        timeout_s: float,
    ) -> tuple[str, Invitation]:
        """Make an authorization and an invitation to it; gives the code (16 characters), which is nowhere else.

        Raises as `authorizations.invite` does; `OutcomeUnknown` has the bridge look for what may have been made, and
        remove it.
        """
        lock, admin = owned.lock, owned.admin
        code, shared_key = make_code(self._random(RANDOM_SIZE)), self._random(KEY_SIZE)
        created = self._time()
        row = self._records.ask(
            Invitation(
                nuki_id=lock.paired.nuki_id,
                lookup=bytes.fromhex(lookup(code)),
                key=key(code),
                shared_key=shared_key,
                asked=_time_at(lock, self._now()),
                user=user,
                remote=remote,
                limit=limit,
                created=created,
                expires=created + lifetime_s,
                seconds_left=lifetime_s,
                on_lock=True,
            )
        )
        self._ends[row.number] = self._clock() + lifetime_s
        self._asking.add(row.number)
        self._put(row)
        opened = await self._open(admin, row, timeout_s)
        self._put(opened)
        return code, opened

    async def _open(self, admin: Admin, row: Invitation, timeout_s: float) -> Invitation:
        """Make the authorization of one that has been ASKED; gives it as it is then, durably."""
        assert row.shared_key is not None
        try:
            made = await authorizations.invite(
                admin, row.user, row.shared_key, remote_allowed=row.remote, limit=row.limit, timeout_s=timeout_s
            )
            opened = replace(
                row,
                stage=Stage.OPEN,
                authorization_id=made.authorization_id,
                entry_created=seconds(made.created),
                on_lock=False,
            )
            self._records.open(opened)
            return opened
        except (OutcomeUnknown, StoreError):
            raise
        except NukiError:
            self._forget(row)  # the lock has not made anything
            raise
        finally:
            self._asking.discard(row.number)  # `run` goes on with what is still ASKED
            self._wake.set()

    async def revoke(self, owned: OwnedLock, row: Invitation, timeout_s: float) -> bool:
        """End an open invitation; gives whether its authorization is gone from the lock already."""
        if not self._end(row, Stage.REVOKED):
            raise RequestError("unknown_invitation", "this invitation is not open any more")
        if owned.lock.reachable and not self._cleanup.is_busy(row.nuki_id):
            try:
                await self._cleanup.clean(owned, timeout_s)
            except NukiError as error:
                log.info("%s: the authorization of a revoked invitation is removed later: %s", owned.name, error)
        return not self._rows[row.lookup].on_lock

    def authorization_removed(self, nuki_id: int, authorization_id: int) -> None:
        """Somebody removed this authorization from the lock: there is nothing left to invite to."""
        for row in self._at(nuki_id):
            if row.authorization_id != authorization_id:
                continue
            if row.stage is Stage.OPEN:
                self._end(row, Stage.REVOKED, on_lock=False)
            elif row.on_lock:
                self._cleaned(row)

    def listed(self, nuki_id: int, entries: Mapping[int, AuthorizationEntry]) -> bool:
        """The lock's whole list was read: an invitation to an authorization that is gone from it has ended.

        Only if it is missing twice, because an answer may have broken off; True asks for the second time.
        """
        rows = [each for each in self._at(nuki_id) if each.stage is Stage.OPEN]
        missing = [each for each in rows if not is_of(each, entries.get(each.authorization_id or 0))]
        gone = [each for each in missing if each.number in self._missed]
        self._missed = {each.number for each in missing} - {each.number for each in gone}
        for row in gone:
            self._end(row, Stage.REVOKED, on_lock=False)
        return bool(self._missed)

    def entry(self, row: Invitation) -> AuthorizationEntry | None:
        """What the lock's list last told of an invitation's authorization, which its owner may have changed since."""
        lock = self._lock_of(row.nuki_id)
        if lock is None or lock.owned is None or row.authorization_id is None:
            return None
        found = lock.owned.users.get(row.authorization_id)
        return found if is_of(row, found) else None

    def name(self, row: Invitation) -> str:
        """The name that an invitation's user has by now; see `entry`."""
        entry = self.entry(row)
        return row.user if entry is None else entry.name

    def lock_forgotten(self, nuki_id: int) -> None:
        """The bridge has no lock of this Nuki ID any more: its open invitations end."""
        for row in self._at(nuki_id):
            if row.stage is Stage.OPEN:
                self._end(row, Stage.REVOKED)

    # -- the guest ----------------------------------------------------------------------------------------------------

    def redeem(self, lookup: bytes, data: bytes) -> bytes | None:
        """Return the sealed credential for a guest's sealed request; None if there are too many to answer all.

        It bears the request's client number: whoever else has the code hears it too, and knows that it is not theirs.
        Raises `RequestError` `expired`, `redeemed`, `revoked` or `unknown`, and `StoreError`.
        """
        try:
            return self._redeem(lookup, data)
        except RequestError:
            if not self._refusals.take():
                return None
            raise

    def _redeem(self, lookup: bytes, data: bytes) -> bytes:
        row = self._rows.get(lookup)
        if row is not None and row.stage is Stage.OPEN and self._is_over(row):
            self._end(row, Stage.EXPIRED)
            row = self._rows[lookup]
        client = client_in(data, row, is_over=row is not None and self._is_over(row))
        assert row is not None
        lock = self._lock_of(row.nuki_id)
        if lock is None or lock.paired is None:
            raise RequestError("unknown", "the invitation's lock is not there")
        if row.stage is Stage.OPEN:
            now = self._time()
            if not self._records.redeem(row.number, client, now):
                raise redeemed()
            self._ends[row.number] = self._clock() + REPEAT_S
            row = replace(row, stage=Stage.REDEEMED, client=client, ended=now)
            self._put(row)
            log.info("%s: the invitation for authorization %s was redeemed", lock.name, row.authorization_id)
        elif row.client != client:
            raise redeemed()
        paired = replace(lock.paired, name=lock.name)
        zone = UTC if lock.owned is None else wall_clock.zone_in(lock.owned.lock)
        return sealed_credential(row, self.entry(row), paired, self._base(), zone, self._random)

    # -- what time brings ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Expire, wipe, forget and clean up in time, until cancelled."""
        acting_for.set(Rank.BRIDGE)
        while True:
            self._wake.clear()
            try:
                self._sweep()
                await self._cleanup.due({row.nuki_id for row in self._rows.values() if row.on_lock})
                delay = max(self._next_due() - self._clock(), 0.1)  # a timer may fire a rounding error early
            except StoreError as error:
                log.warning("invitations: %s", error)
                delay = STORE_RETRY_S
            try:
                async with asyncio.timeout(delay):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _sweep(self) -> None:
        note = self._clock() >= self._noted_at + NOTE_S
        for row in list(self._rows.values()):
            if row.stage is Stage.ASKED:
                if row.number not in self._asking:
                    self._end(row, Stage.LOST)
            elif row.stage is Stage.OPEN:
                if self._is_over(row):
                    self._end(row, Stage.EXPIRED)
                elif note:
                    left = max(int(self._ends[row.number] - self._clock()), 0)
                    self._records.note_left(row.number, left)
                    self._rows[row.lookup] = replace(row, seconds_left=left)
            elif row.stage is Stage.REDEEMED and row.key is not None:
                if self._is_over(row):
                    self._records.wipe(row.number)
                    self._put(replace(row, key=None, shared_key=None, client=None))
            elif not row.on_lock and self._time() >= (row.ended or 0) + REMEMBERED_S:
                self._forget(row)
        if note:
            self._noted_at = self._clock()

    def _next_due(self) -> float:
        due = [self._clock() + 3600.0]
        for row in self._rows.values():
            if row.stage is Stage.ASKED:
                continue  # whoever asks sets `_wake`
            if row.stage is Stage.OPEN or row.key is not None:
                due += [self._noted_at + NOTE_S, self._ends.get(row.number, 0.0)]
                if row.stage is Stage.OPEN:
                    due.append(self._clock() + row.expires - self._time())
            elif row.on_lock:
                due.append(self._cleanup.next_at(row.nuki_id))
            elif row.ended is not None:
                due.append(self._clock() + max(row.ended + REMEMBERED_S - self._time(), 1))
        return min(due)

    def _end(self, row: Invitation, stage: Stage, *, on_lock: bool = True) -> bool:
        """Make it durable that an invitation is over without having been redeemed."""
        now = self._time()
        if not self._records.end(row.number, row.stage, stage, now, on_lock=on_lock):
            return False
        self._put(replace(row, stage=stage, ended=now, on_lock=on_lock, key=None, shared_key=None))
        return True

    def _cleaned(self, row: Invitation) -> None:
        self._records.cleaned(row.number, row.stage)
        self._put(replace(row, on_lock=False))

    def _forget(self, row: Invitation) -> None:
        self._records.forget(row.number)
        self._rows.pop(row.lookup, None)
        self._ends.pop(row.number, None)


def _time_at(lock: Lock, now: datetime) -> int:
    """Return what the lock's own clock shows now (Unix seconds), as far as it has told."""
    told = lock.states.current_time if lock.states is not None else None
    if told is None or lock.updated is None:
        return int(now.timestamp())
    return int((told + (now - lock.updated)).timestamp())
