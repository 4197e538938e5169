"""The locks of this bridge by name: which are configured, which are paired, and which of both are the same."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nuki_bridge.bridge.lanes import Line
from nuki_bridge.config import LockSettings
from nuki_bridge.errors import RequestError
from nuki_bridge.protocol.codes import name_of
from nuki_bridge.store import PairedLock

if TYPE_CHECKING:
    from nuki_bridge.bridge.equipment import Equipment
    from nuki_bridge.lock.admin import Admin
    from nuki_bridge.lock.lock import Lock
    from nuki_bridge.owner.lock_log import LogBook
    from nuki_bridge.owner.users import Users
    from nuki_bridge.sharing.relay import Relay

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Member:
    """One lock under its name.

    `lock`, `admin`, `relay` and `tasks` are there while it is paired, `commands` are under way or wait for their turn.
    """

    name: str
    settings: LockSettings | None = None
    lock: Lock | None = None
    at_rest: PairedLock | None = None
    """What is known of a lock that is paired, while there is no `lock` that holds it."""
    unproven: bool = False
    """The lock has not answered over this authorization yet, and there is one before it."""
    unsaved: bool = False
    """The lock has shown its Nuki ID or another family, and the store does not have that yet."""
    admin: Admin | None = None
    relay: Relay | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    users: Users | None = None
    log_book: LogBook | None = None
    equipment: Equipment | None = None
    """What it was once seen to have; there while it is paired."""
    commands: set[asyncio.Task[None]] = field(default_factory=set)
    line: Line = field(default_factory=Line)
    """Where its commands wait to be handed to it."""
    setting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the lock's own settings are changed."""
    refused_pins: dict[str, float] = field(default_factory=dict, repr=False)
    """PINs that the lock refused, and until when (on the bridge's clock) they are not tried again."""
    open_pins: set[str] = field(default_factory=set, repr=False)
    """Those among them whose answer got lost: each may be tried once more."""
    last_action: dict[str, Any] | None = None
    """The event of the last lock action that is known of."""
    status_essence: object = None
    status_at: float = 0.0
    status_due: asyncio.TimerHandle | None = None

    @property
    def paired(self) -> PairedLock | None:
        """The lock and our authorization on it, with its name in the store, which the configuration may overrule."""
        return self.lock.paired if self.lock is not None else self.at_rest

    @paired.setter
    def paired(self, paired: PairedLock | None) -> None:
        if self.lock is None:
            self.at_rest = paired
        elif paired is not None:
            self.lock.use(paired)
        else:
            raise ValueError(f"{self.name} is in use")

    def begin(self, lock: Lock) -> None:
        """Let `lock` hold what is known, from now on."""
        self.lock, self.at_rest = lock, None

    def end(self) -> None:
        """Take back what the lock holds, which is not used any more."""
        self.at_rest, self.lock = self.paired, None

    @property
    def connection(self) -> str:
        """How the lock is kept in touch with: `persistent` or `on-demand`."""
        return self.settings.connection if self.settings is not None else "persistent"

    @property
    def states_every_s(self) -> int | None:
        """How often its states are read at least; None as often as it seems to need it."""
        return self.settings.states_every if self.settings is not None else None

    def check_allowed(self, action: int) -> None:
        """Raises `RequestError` if the configuration does not let MQTT do this `Action` to the lock, known or not."""
        allowed = self.settings.actions if self.settings is not None else None
        if allowed is not None and action not in allowed:
            names = ", ".join(sorted(name_of(each) for each in allowed)) or "none"
            raise RequestError(
                "action_not_allowed", f"{self.name} does not take {name_of(action)} over MQTT; allowed: {names}"
            )

    @property
    def address(self) -> str | None:
        """The lock's address, if it is known."""
        if self.paired is not None:
            return self.paired.address
        return self.settings.address if self.settings is not None else None


@dataclass(slots=True)
class Reconfigured:
    """What another configuration did: locks that are gone, new ones, those that stay with their settings before."""

    gone: list[Member] = field(default_factory=list)
    come: list[Member] = field(default_factory=list)
    kept: list[tuple[Member, LockSettings | None]] = field(default_factory=list)


class Members:
    """Every configured and every paired lock, in the order of the configuration, then by name."""

    def __init__(self, configured: Iterable[LockSettings], paired: Iterable[PairedLock]) -> None:
        self._by_name = {each.name: Member(each.name, each) for each in configured}
        stored = list(paired)
        names = {each.name for each in stored}
        for lock in stored:
            self._place(lock, names - {lock.name})

    def reconfigure(self, configured: Iterable[LockSettings], paired: Iterable[PairedLock]) -> Reconfigured:
        """Take another configuration: a lock that is the same one under the same name stays the same member."""
        new, found = Members(configured, paired), Reconfigured()
        before, self._by_name = self._by_name, new._by_name
        for name, member in self._by_name.items():
            old = before.get(name)
            if old is None or not _is_same(old, member):
                found.come.append(member)
                continue
            found.kept.append((old, old.settings))
            old.settings = member.settings
            self._by_name[name] = old
        found.gone = [old for name, old in before.items() if self._by_name.get(name) is not old]
        return found

    def _place(self, paired: PairedLock, names: set[str]) -> None:
        """Find the configured lock that a paired one is: by its address, else by name where no address is given."""
        member = self.at(paired.address)
        if member is None:
            named = self._by_name.get(paired.name)
            if named is not None and named.paired is None and named.settings is not None and not named.settings.address:
                member = named
        if member is None:
            name = self.free_name(paired.name, names)
            if name != paired.name:
                log.warning(
                    "the name %s belongs to another lock in the configuration; the paired lock %s is %s now",
                    paired.name,
                    paired.address,
                    name,
                )
            member = self._by_name[name] = Member(name)
        member.paired = paired

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._by_name.values()))

    def get(self, name: str) -> Member | None:
        """The lock of that name."""
        return self._by_name.get(name)

    def at(self, address: str) -> Member | None:
        """The lock at that address."""
        return next((each for each in self._by_name.values() if each.address == address), None)

    def with_nuki_id(self, nuki_id: int) -> Member | None:
        """The paired lock with that Nuki ID."""
        return next((each for each in self if each.paired is not None and each.paired.nuki_id == nuki_id), None)

    def add(self, name: str) -> Member:
        """The lock of that name, a new one if there is none."""
        return self._by_name.setdefault(name, Member(name))

    def remove(self, member: Member) -> None:
        """Forget a lock."""
        self._by_name.pop(member.name, None)

    def free_name(self, wanted: str, others: Iterable[str] = ()) -> str:
        """`wanted`, or with a number behind it if a lock has that name, here or in the store."""
        taken = {*self._by_name, *others, *(each.paired.name for each in self if each.paired is not None)}
        name, number = wanted, 2
        while name in taken:
            suffix = f"_{number}"
            name, number = wanted[: 32 - len(suffix)] + suffix, number + 1
        return name


def _is_same(old: Member, new: Member) -> bool:
    """The same lock and the same authorization on it; where that is not paired yet, the same address."""
    if old.paired is None or new.paired is None:
        return old.paired is new.paired and old.address == new.address
    return (old.paired.address, old.paired.nuki_id, old.paired.authorization_id, old.paired.shared_key) == (
        new.paired.address,
        new.paired.nuki_id,
        new.paired.authorization_id,
        new.paired.shared_key,
    )
