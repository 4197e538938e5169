"""The locks of this bridge by name: which are configured, which are paired, and which of both are the same."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import field

from nuki_bridge.bridge.running_lock import RunningLock, allowed_of, connection_of
from nuki_bridge.config import LockSettings
from nuki_bridge.errors import RequestError
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.profile import SMART_LOCK, Profile, profile_of
from nuki_bridge.owner.owned_lock import OwnedLock
from nuki_bridge.owner.refused_pins import RefusedPins
from nuki_bridge.records import mutable
from nuki_bridge.store import PairedLock

log = logging.getLogger(__name__)


@mutable
class Member:
    """One lock under its name."""

    name: str
    settings: LockSettings | None = None
    at_rest: PairedLock | None = None
    """What is known of a lock that is paired, while nothing is `running` that holds it."""
    running: RunningLock | None = None
    pins: RefusedPins = field(default_factory=RefusedPins)

    @property
    def lock(self) -> Lock | None:
        """The lock, while it is in use."""
        return self.running.owned.lock if self.running is not None else None

    @property
    def owned(self) -> OwnedLock | None:
        """The lock with what its owner can do, while it is in use."""
        return self.running.owned if self.running is not None else None

    @property
    def paired(self) -> PairedLock | None:
        """The lock and our authorization on it, with its name in the store, which the configuration may overrule."""
        return self.running.owned.lock.paired if self.running is not None else self.at_rest

    @paired.setter
    def paired(self, paired: PairedLock | None) -> None:
        if self.running is None:
            self.at_rest = paired
        elif paired is not None:
            self.running.owned.lock.use(paired)
        else:
            raise ValueError(f"{self.name} is in use")

    def begin(self, running: RunningLock) -> None:
        """Let `running` hold what is known, from now on."""
        self.running, self.at_rest = running, None

    def end(self) -> RunningLock | None:
        """Take back what is held by the running lock, which is not used any more; return that, to be stopped."""
        running, self.at_rest, self.running = self.running, self.paired, None
        return running

    @property
    def connection(self) -> str:
        """How the lock is kept in touch with: `persistent`, `on-demand` or `auto`."""
        return connection_of(self.settings, self.profile).value

    @property
    def profile(self) -> Profile:
        """What this kind of lock can do; a Smart Lock's while it is not paired."""
        return SMART_LOCK if self.paired is None else profile_of(self.paired.family)

    def check_allowed(self, action: int) -> None:
        """Raise `RequestError` if the configuration does not let MQTT do this action to the lock, known or not."""
        profile = self.profile
        allowed = allowed_of(self.settings, profile)
        if allowed is not None and action not in allowed:
            names = ", ".join(sorted(profile.action_word(each) for each in allowed)) or "none"
            word = profile.action_word(action)
            raise RequestError("action_not_allowed", f"{self.name} does not take {word} over MQTT; allowed: {names}")

    @property
    def address(self) -> str | None:
        """The lock's address, if it is known."""
        if self.paired is not None:
            return self.paired.address
        return self.settings.address if self.settings is not None else None


@mutable
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
        """Return the lock of that name."""
        return self._by_name.get(name)

    def at(self, address: str) -> Member | None:
        """Return the lock at that address."""
        return next((each for each in self._by_name.values() if each.address == address), None)

    def with_nuki_id(self, nuki_id: int) -> Member | None:
        """Return the paired lock with that Nuki ID."""
        return next((each for each in self if each.paired is not None and each.paired.nuki_id == nuki_id), None)

    def add(self, name: str) -> Member:
        """Return the lock of that name, a new one if there is none."""
        return self._by_name.setdefault(name, Member(name))

    def remove(self, member: Member) -> None:
        """Forget a lock."""
        self._by_name.pop(member.name, None)

    def free_name(self, wanted: str, others: Iterable[str] = ()) -> str:
        """Return `wanted`, or that with a number behind it if a lock has the name, here or in the store."""
        taken = {*self._by_name, *others, *(each.paired.name for each in self if each.paired is not None)}
        name, number = wanted, 2
        while name in taken:
            suffix = f"_{number}"
            name, number = wanted[: 32 - len(suffix)] + suffix, number + 1
        return name


def _is_same(old: Member, new: Member) -> bool:
    """Return whether it is the same lock with the same authorization, or at the same address while it is not paired."""
    if old.paired is None or new.paired is None:
        return old.paired is new.paired and old.address == new.address
    return (old.paired.address, old.paired.nuki_id, old.paired.authorization_id, old.paired.shared_key) == (
        new.paired.address,
        new.paired.nuki_id,
        new.paired.authorization_id,
        new.paired.shared_key,
    )
