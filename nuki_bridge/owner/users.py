"""A lock's users, which are its authorization entries: list, add, change, remove; and the list that is published.

The list is read anew when something may have changed it: the lock's config update count, one of our own commands, a
look at its end that finds more or fewer entries than before, a lock that does not know somebody who is in it, or an
hour that has passed.  The relay relies on it, too, and not for so long: what the lock may not count is whether somebody
may act from elsewhere, and that is for the bridge alone to enforce.  A change is made to what the lock has at that
moment, never to what was read before, so that nobody else's change is undone.  How one is told stands in
`user_words.py`, the requests of MQTT in `user_commands.py`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from nuki_bridge.errors import LockError, RequestError
from nuki_bridge.lock import wall_clock
from nuki_bridge.lock.admin import LIST_S
from nuki_bridge.lock.background_read import BackgroundRead
from nuki_bridge.lock.outcome import NotExecuted, OutcomeUnknown
from nuki_bridge.lock.turn import exclusive
from nuki_bridge.owner import authorizations
from nuki_bridge.owner.entry_selector import EntrySelector
from nuki_bridge.owner.list_age import SETTLE_S, SYNC_S, ListAge, Marks
from nuki_bridge.owner.user_words import limit_of, to_json, type_word
from nuki_bridge.protocol.authorizations import AuthorizationEntry
from nuki_bridge.protocol.codes import ErrorCode, IdType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime, tzinfo

    from nuki_bridge.lock.admin import Admin
    from nuki_bridge.lock.lock import Lock
    from nuki_bridge.owner.access import Access

PROBE_S = 300.0
"""Seconds between checks, over a held link, whether the list has become longer or shorter."""
READ_TIMEOUT_S = 30.0


class Invited(Protocol):
    """Which users of one lock are invitations."""

    def pending_ids(self) -> set[int]:
        """Return those that nobody has redeemed, and those that are to be removed."""

    def leaving_ids(self) -> set[int]:
        """Return those that are to be removed, because their invitation has ended."""

    def check_free(self, name: str, own_id: int | None) -> None:
        """Raises `RequestError` if somebody is invited under this name, other than the user `own_id`."""

    def removed(self, authorization_id: int) -> None:
        """This user was removed here."""

    def listed(self, entries: Mapping[int, AuthorizationEntry]) -> bool:
        """The whole list was read and nothing was changed meanwhile; True has it read once more."""


class Users:
    """The users of one lock; `run` it.

    `publish` is given the list whenever it changed.  `invited` tells which of them are invitations; call `show` when
    that changes.  `now` is the wall clock.
    """

    def __init__(
        self,
        lock: Lock,
        admin: Admin,
        publish: Callable[[list[dict[str, Any]]], None],
        now: Callable[[], datetime],
        invited: Invited,
    ) -> None:
        self.pending_ids = invited.pending_ids
        self._invited = invited
        self._lock = lock
        self._admin = admin
        self._publish = publish
        self._now = now
        self._entries: dict[int, AuthorizationEntry] | None = None
        self._order: list[int] = []  # their IDs in the lock's order
        self._kinds: dict[int, str] = {}  # also of users that are gone: the log names them, and IDs are not given anew
        self._probed_at = -math.inf
        self._age = ListAge()
        self._reading = asyncio.Lock()
        self._changing = asyncio.Lock()
        self._given: str | None = None  # the name that the change under way gives to somebody
        self._background = BackgroundRead("list of users", lock, admin, self._sync)
        self.run = self._background.run

    # -- what is known ------------------------------------------------------------------------------------------------

    def get(self, authorization_id: int) -> AuthorizationEntry | None:
        """Return the user of that ID in the list as it was read last."""
        return (self._entries or {}).get(authorization_id)

    def listed(self) -> list[dict[str, Any]] | None:
        """Return the list as it was read last, as JSON; None if it never was."""
        return None if self._entries is None else self.to_json()

    def kind_of(self, authorization_id: int) -> str | None:
        """Return the type of the user of that ID; None if it is not known."""
        known = self.get(authorization_id)
        if known is not None:
            return type_word(known.id_type)
        if authorization_id in self._kinds:
            return self._kinds[authorization_id]
        paired = self._lock.paired
        return type_word(paired.id_type) if authorization_id == paired.authorization_id else None

    def to_json(self) -> list[dict[str, Any]]:
        """Return the list as it was read last, as JSON; empty if it never was."""
        return self._to_json((self._entries or {}).values())

    def show(self) -> None:
        """Publish the list if it was ever read."""
        if self._entries is not None:
            self._publish(self.to_json())

    def wake(self) -> None:
        """The lock has reported, or it has come or gone."""
        if self._age.is_outdated(self._marks()):
            self._background.schedule(SETTLE_S if self._are_ours() else 0.0)
        self._background.wake()

    def doubt(self) -> None:
        """The lock did not know somebody who is in the list, or who said so had another key."""
        self._background.schedule(self._age.doubt(self._lock.clock()))

    def is_stale(self, authorization_id: int) -> bool:
        """The list must be read before it tells whether this user may do anything."""
        is_listed = authorization_id in (self._entries or {})
        return self._age.is_stale(self._lock.clock(), self._marks(), is_listed=is_listed)

    def _marks(self) -> Marks:
        """Return what changes when the list may have changed."""
        states = self._lock.states
        return None if states is None else states.config_update_count, self._admin.edits

    def _are_ours(self) -> bool:
        """All that has changed since the list was read, as far as the lock counts it, are changes of our own."""
        return self._age.are_ours(self._marks())

    def _to_json(self, entries: Iterable[AuthorizationEntry]) -> list[dict[str, Any]]:
        if self._lock.config is None:
            return []
        zone, pending = wall_clock.zone_of(self._lock.config), self.pending_ids()
        own_id = self._lock.paired.authorization_id
        return [to_json(each, zone, pending=each.authorization_id in pending, own_id=own_id) for each in entries]

    # -- reading ------------------------------------------------------------------------------------------------------

    async def _sync(self) -> float:
        """Read what may have changed; gives the seconds until the next time."""
        if self._age.may_wait(self._marks()):
            return SETTLE_S
        due_at = self._age.read_at + SYNC_S
        now = self._lock.clock()
        due = self._age.is_due(now, self._marks())
        probe = self._lock.connected and now >= self._probed_at + PROBE_S
        if due or (probe and await self._has_other_length()):
            await self.read(READ_TIMEOUT_S)
            due_at = self._lock.clock() + SYNC_S
        return min(PROBE_S, due_at - self._lock.clock()) if self._lock.connected else due_at - self._lock.clock()

    async def _has_other_length(self) -> bool:
        """Ask for the last entry and one more: cheap, and it finds what firmware may not count as a change."""
        known = self._entries or {}
        if not known:
            return False
        self._probed_at = self._lock.clock()
        found = await authorizations.page(self._admin, len(known) - 1, 2, READ_TIMEOUT_S)
        return len(found) != 1 or found[0].authorization_id not in known

    async def ensure(self, authorization_id: int, timeout_s: float) -> None:
        """Read the list if it is stale for this user, or wait for somebody who does so already; raises as `read`."""
        if self.is_stale(authorization_id):
            deadline = self._lock.clock() + timeout_s
            async with self._exclusive(self._reading, deadline, "the lock's list of users was being read"):
                if self.is_stale(authorization_id):
                    if authorization_id not in (self._entries or {}):
                        self._age.believe_less()
                    await self._read(deadline)

    async def read(self, timeout_s: float) -> dict[int, AuthorizationEntry]:
        """Every user by ID, asked of the lock now, a page at a time so that others get their turn; publishes them.

        A reading that is under way is waited for, and counts if nothing has changed since.  Raises as
        `authorizations.entries`.
        """
        begun = self._lock.clock()
        deadline = begun + max(timeout_s, LIST_S)
        async with self._exclusive(self._reading, deadline, "the lock's list of users was being read"):
            if self._entries is not None and self._age.read_at > begun and self._age.is_current(self._marks()):
                return self._entries
            return await self._read(self._lock.clock() + timeout_s)

    async def _read(self, deadline: float) -> dict[int, AuthorizationEntry]:
        await self.zone(max(deadline - self._lock.clock(), 0.0))
        seen = self._marks()
        entries = await authorizations.entries(self._admin, max(deadline - self._lock.clock(), 0.0))
        self._order = [each.authorization_id for each in entries]
        by_id = sorted(entries, key=lambda each: each.authorization_id)
        before, self._entries = self._entries, {each.authorization_id: each for each in by_id}
        has_news = before is None or _who_may(before) != _who_may(self._entries)
        self._age.was_read(self._lock.clock(), seen, has_news=has_news)
        self._probed_at = self._age.read_at
        self._kinds.update((number, type_word(each.id_type)) for number, each in self._entries.items())
        self.show()
        if seen == self._marks() and self._invited.listed(self._entries):
            self._age.must_be_read()
            self._background.schedule()
        return self._entries

    async def _entry(self, selector: EntrySelector, deadline: float) -> AuthorizationEntry:
        """Return the entry that somebody means, as the lock has it now.

        It alone is read if the list is known, which also tells that there is no other one of its name; the whole list
        if somebody else has changed that, or it has another length.  Raises `RequestError`, and as `read`.
        """
        alone = await self._entry_alone(selector, deadline)
        if alone is not None:
            return alone
        entries = await self.read(deadline - self._lock.clock())
        return entries[selector.find(_names(entries))]

    async def _entry_alone(self, selector: EntrySelector, deadline: float) -> AuthorizationEntry | None:
        known = self._entries or {}
        try:
            number = selector.find(_names(known))
        except RequestError:
            return None  # the lock may know better
        await self._lock.refresh(deadline - self._lock.clock())
        if number not in self._order or not (self._age.is_current(self._marks()) or self._are_ours()):
            return None
        found = await authorizations.page(self._admin, self._order.index(number), 1, deadline - self._lock.clock())
        same = [each for each in found if each.authorization_id == number and each.name == known[number].name]
        return same[0] if same and not await self._has_other_length() else None

    async def zone(self, timeout_s: float) -> tzinfo:
        """Return the lock's time zone."""
        config = self._lock.config or await self._lock.read_config(timeout_s)
        return wall_clock.zone_of(config)

    def check_free(self, name: str, own_id: int | None = None) -> None:
        """Raises `RequestError` if another user than `own_id` has this name, is given it, or is invited under it.

        The users are those of the list as it was read last, but for those who are about to be removed.
        """
        leaving = self._invited.leaving_ids()
        for number, each in (self._entries or {}).items():
            if each.name == name and number != own_id and number not in leaving:
                raise RequestError(
                    "name_taken",
                    f"the lock has a user of this name already, with the ID {number}; choose another name, or rename "
                    "or remove that one",
                )
        if name == self._given:
            raise RequestError("name_taken", "another user is being given this name; choose another name")
        self._invited.check_free(name, own_id)

    # -- changing -----------------------------------------------------------------------------------------------------

    async def update(
        self, selector: EntrySelector, changes: Mapping[str, Any], *, own: bool, timeout_s: float
    ) -> dict[str, Any]:
        """Change what `changes` names (`rename`, `enabled`, `remote`, `access`); gives the user as it is then.

        `own` allows to disable or limit the bridge's own authorization.  Raises `RequestError`, and as
        `authorizations.update`.
        """
        deadline = self._lock.clock() + timeout_s
        async with self._one_change(deadline):
            entry = await self._entry(selector, deadline)
            if "rename" in changes:
                self._give(changes["rename"], entry.authorization_id)
            changed = replace(
                entry,
                name=changes.get("rename", entry.name),
                enabled=changes.get("enabled", entry.enabled),
                remote_allowed=changes.get("remote", entry.remote_allowed),
            )
            if "access" in changes:
                limit = limit_of(changes["access"], await self.zone(timeout_s), self._now())
                changed = replace(changed, time_limited=limit is not None, limit=limit)
                if limit is not None:
                    self._guard(entry, "limited in time", own=own)
            if not changed.enabled:
                self._guard(entry, "disabled", own=own)
            await authorizations.update(self._admin, changed, deadline - self._lock.clock())
            self._keep(changed)
            [told] = self._to_json([changed])
            return told

    async def remove(self, selector: EntrySelector, *, own: bool, timeout_s: float) -> dict[str, Any]:
        """Delete a user; gives its ID and name.  `own` allows to remove the bridge's own authorization."""
        deadline = self._lock.clock() + timeout_s
        async with self._one_change(deadline):
            entry = await self._entry(selector, deadline)
            self._guard(entry, "removed", own=own)
            try:
                await authorizations.remove(self._admin, entry.authorization_id, deadline - self._lock.clock())
            except LockError as error:
                if error.number != ErrorCode.NOT_AUTHORIZED or not self._is_own(entry):
                    raise  # our own entry is gone: its answer got lost and we asked again
            if self._entries is not None:
                self._entries.pop(entry.authorization_id, None)
                self._order = [each for each in self._order if each in self._entries]
            self.show()
            self._invited.removed(entry.authorization_id)
            return {"id": entry.authorization_id, "name": entry.name}

    async def add(
        self, name: str, key: bytes, *, remote: bool, wanted: Access | None, timeout_s: float
    ) -> AuthorizationEntry:
        """Make an App authorization with `key` (32 bytes); a lost answer is looked for in the list.

        Raises as `authorizations.invite`, and `NotExecuted` if the list shows that nothing was made.
        """
        deadline = self._lock.clock() + timeout_s
        async with self._one_change(deadline):
            known = self._entries
            if known is None or not (self._age.is_current(self._marks()) or self._are_ours()):
                known = await self.read(timeout_s)
            self._give(name)
            limit = limit_of(wanted, await self.zone(timeout_s), self._now())
            left_s = deadline - self._lock.clock()
            try:
                made = await authorizations.invite(
                    self._admin, name, key, remote_allowed=remote, limit=limit, timeout_s=left_s
                )
            except OutcomeUnknown:
                return await self._find_made(name, known)
            entry = AuthorizationEntry(
                authorization_id=made.authorization_id,
                id_type=IdType.APP,
                name=name,
                enabled=True,
                remote_allowed=remote,
                created=made.created,
                last_active=None,
                lock_count=0,
                time_limited=limit is not None,
                limit=limit,
            )
            self._keep(entry)
            return entry

    async def _find_made(self, name: str, known: Mapping[int, AuthorizationEntry]) -> AuthorizationEntry:
        entries = await self.read(READ_TIMEOUT_S)
        new = [each for each in entries.values() if each.authorization_id not in known and each.name == name]
        if not new:
            raise NotExecuted("the lock's answer got lost, and it has made no new user")
        if len(new) > 1:
            raise OutcomeUnknown("the lock's answer got lost, and it has several new users of this name; look at them")
        return new[0]

    @asynccontextmanager
    async def _one_change(self, deadline: float) -> AsyncIterator[None]:
        """Entries are written whole: two changes of one user at a time would undo each other."""
        async with self._exclusive(self._changing, deadline, "another change of the lock's users was under way"):
            try:
                yield
            finally:
                self._given = None
                self._background.schedule()  # what we publish meanwhile is what we wrote, then what the lock has

    def _give(self, name: str, own_id: int | None = None) -> None:
        """Keep the name for the change under way: until the list has it, an invitation could take it, too."""
        self.check_free(name, own_id)
        self._given = name

    def _exclusive(self, turn: asyncio.Lock, deadline: float, otherwise: str) -> AbstractAsyncContextManager[None]:
        return exclusive(turn, deadline - self._lock.clock(), otherwise)

    def _keep(self, entry: AuthorizationEntry) -> None:
        if self._entries is not None:
            self._entries[entry.authorization_id] = entry
            if entry.authorization_id not in self._order:
                self._order.append(entry.authorization_id)  # IDs rise; where the lock has it shows when it is read
        self.show()

    def _is_own(self, entry: AuthorizationEntry) -> bool:
        return entry.authorization_id == self._lock.paired.authorization_id

    def _guard(self, entry: AuthorizationEntry, what: str, *, own: bool) -> None:
        if self._is_own(entry) and not own:
            raise RequestError(
                "own_authorization",
                f"this is the bridge itself; {what}, it could not use the lock any more: "
                'if that is what you want, add "self": true (on the command line: --self)',
            )


def _who_may(entries: Mapping[int, AuthorizationEntry]) -> set[tuple[int, bool, bool]]:
    return {(number, each.enabled, each.remote_allowed) for number, each in entries.items()}


def _names(entries: Mapping[int, AuthorizationEntry]) -> dict[int, str]:
    return {number: each.name for number, each in entries.items()}
