"""Finding locks, pairing with them, forgetting them; and the names that they get.

Each request is a coroutine that is given it and gives the fields of the answer.  A PIN in a request goes to the lock
and into the store, never into an answer, an event or the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from nuki_bridge.arguments import Arguments, Declaration, bluetooth_address, number, one_of, security_pin, text
from nuki_bridge.bluetooth.nearby import Heard
from nuki_bridge.bridge.adapter import Adapter
from nuki_bridge.bridge.info import Info
from nuki_bridge.bridge.members import Member, Members
from nuki_bridge.bridge.running_lock import Common, configured_pin
from nuki_bridge.bridge.running_locks import RunningLocks
from nuki_bridge.errors import RequestError
from nuki_bridge.lock.exchange import Tap
from nuki_bridge.lock_name import lock_name_mistake, slug
from nuki_bridge.owner.call import Answer
from nuki_bridge.owner.pin import pin_to_use, stored_pin
from nuki_bridge.protocol.codes import Family, IdType
from nuki_bridge.records import frozen
from nuki_bridge.store import UNKNOWN_NUKI_ID, PairedLock
from nuki_bridge.topics.topics import Request

SCAN_S = 10.0
"""Seconds that a scan takes unless the request says otherwise."""
PAIR_S = 60.0
"""Seconds to wait for a lock in pairing mode unless the request says otherwise."""
HANDSHAKE_S = 30.0
"""Seconds that connecting to a lock and pairing with it may take."""


@frozen
class PairingCommands:
    """Carries out the requests about which locks there are."""

    members: Members
    running: RunningLocks
    adapter: Adapter
    info: Info
    common: Common
    tap: Callable[[str, Family], Tap | None]
    """Gives what looks on while a device is paired."""

    async def scan(self, request: Request) -> Answer:
        """Return the Nuki devices that are heard in time, and those that a link is held to; the strongest first."""
        timeout_s = request.arguments.get("timeout", SCAN_S)
        started = self.common.ports.clock()
        with self.adapter.scan():
            await asyncio.sleep(timeout_s)
        heard = self.adapter.nearby.since(started)
        found = [self._describe(each, started) for each in heard]
        seen = {each.address for each in heard}
        linked = [each.lock for each in self.members if each.lock is not None and each.lock.connected]
        # a lock may keep quiet while it holds a link
        found += [
            {
                "address": lock.paired.address,
                "name": f"Nuki_{lock.paired.nuki_id:08X}",
                "nuki_id": f"{lock.paired.nuki_id:08X}",
                "rssi": lock.rssi,
                "pairing_mode": False,
                "paired": lock.name,
            }
            for lock in linked
            if lock.paired.address not in seen
        ]
        return {"data": sorted(found, key=lambda each: -1000 if each["rssi"] is None else each["rssi"], reverse=True)}

    def _describe(self, heard: Heard, since: float) -> dict[str, Any]:
        member = self.members.at(heard.address)
        return {
            "address": heard.address,
            "name": heard.name,
            "nuki_id": None if heard.nuki_id is None else f"{heard.nuki_id:08X}",
            "rssi": heard.rssi,
            "pairing_mode": heard.in_pairing_mode(since),
            "paired": member.name if member is not None and member.lock is not None else None,
        }

    async def pair(self, request: Request) -> Answer:
        """Wait for a lock in pairing mode, pair with it, keep it, and take it into use."""
        if self.running.changing.locked():
            raise RequestError("busy", "another pairing, or a change of the configuration, is under way; try again")
        known: Member | None = None
        async with self.running.changing:
            try:
                known = self._named(request.arguments)
                if known is not None:
                    # a lock that holds a link may keep quiet, also about its pairing mode
                    await self.running.stop(known)
                with self.adapter.scan():
                    heard = await self._find(request.arguments, known)
                    known = self.members.at(heard.address) or known
                    if known is not None:
                        await self.running.stop(known)  # this adapter has one link to a lock
                    member = await self._pair_with(request.arguments, heard, known)
            except Exception:
                if known is not None:
                    self.running.start(known)
                raise
        self.info.publish()
        self.running.start(member)
        assert member.paired is not None
        answer = {**_whose(member.paired), "name": member.name}
        self.common.publisher.event("bridge", {"type": "paired", **answer})
        return {"data": answer}

    def _named(self, arguments: Mapping[str, Any]) -> Member | None:
        """Return the lock that the request names or gives the address of, if it is configured or paired already."""
        name, address = arguments.get("name"), arguments.get("address")
        at = self.members.at(address) if address is not None else None
        if name is None:
            return at
        if mistake := lock_name_mistake(name):
            raise RequestError("bad_name", f"name {mistake}")
        named = self.members.get(name)
        if named is not None and address is not None:
            _check_name(named, at, address)
        return at or named

    async def _find(self, arguments: Mapping[str, Any], known: Member | None) -> Heard:
        """Wait for the lock in pairing mode."""
        timeout_s = arguments.get("timeout", PAIR_S)
        address = arguments.get("address") or (known.address if known is not None else None)
        heard = await self.adapter.nearby.wait_for_pairing(address, timeout_s)
        if "name" in arguments:
            _check_name(self.members.get(arguments["name"]), self.members.at(heard.address), heard.address)
        return heard

    async def _pair_with(self, arguments: Mapping[str, Any], heard: Heard, known: Member | None) -> Member:
        from nuki_bridge.lock.pairing import (  # needed so rarely that it need not take up memory
            NotKept,
            PairOptions,
            pair,
        )

        name = arguments.get("name") or (known.name if known is not None else None)
        before = known.paired if known is not None else None
        options = PairOptions(
            id_type=IdType.APP if arguments.get("as") == "app" else IdType.BRIDGE,
            name=f"nuki-bridge {self.common.ports.hostname}",
            app_id=self.common.store.app_id(),
            pin=self._pin(arguments.get("pin"), name, heard, known),
        )
        nuki_id = heard.nuki_id or (before.nuki_id if before is not None else UNKNOWN_NUKI_ID)
        kept = before.name if before is not None else name or self.members.free_name(slug("", nuki_id))

        def keep(paired: PairedLock) -> None:
            self._rename({}, kept, known)
            paired = replace(paired, name=kept)
            self.common.store.save_unproven(paired)
            if known is not None:
                known.paired = paired

        try:
            paired, config = await pair(
                self.adapter.radio,
                heard.address,
                heard.pairing or Family.CLASSIC,
                options,
                random=self.common.ports.random,
                timeout_s=HANDSHAKE_S,
                clock=self.common.ports.clock,
                now=self.common.ports.now,
                tap=self.tap(heard.address, heard.pairing or Family.CLASSIC),
                nuki_id=nuki_id,
                keep=keep,
            )
        except NotKept:
            if self.common.store.restore_former(kept) is None:
                self.common.store.remove_lock(kept)
            if known is not None:
                known.paired = before
            raise
        self.adapter.nearby.has_paired(heard.address)
        if config is not None:
            self.common.store.forget_former(kept)
            name = name or self.members.free_name(slug(config.name, config.nuki_id))
        return self._take(kept, replace(paired, name=name or kept), known)

    def _pin(self, given: str | None, name: str | None, heard: Heard, known: Member | None) -> str | None:
        """Return the PIN to pair with: the `given` one, else that configured for `name`, else the stored one."""
        configured = self.members.get(name) if name is not None else None
        pin = given
        if pin is None and configured is not None and configured_pin(configured.settings) is not None:
            pin = pin_to_use(configured_pin(configured.settings), configured.paired, self.common.store)
        if pin is None and known is not None:
            pin = stored_pin(known.paired, known.pins, heard.pairing, self.common.ports.clock())
        return pin

    def _rename(self, moves: dict[str, PairedLock], wanted: str, known: Member | None) -> None:
        """Have the store keep the locks of `moves` under their new names, by the old ones, and make room for `wanted`.

        Where the configuration gave a name to another lock than the store did, the store follows it, and so on: the
        lock that has a wanted name in the store gets the one that it has in the configuration.
        """
        others = {each.paired.name: each for each in self.members if each is not known and each.paired is not None}
        while wanted in others and wanted not in moves:
            other = others[wanted]
            assert other.paired is not None
            moves[wanted] = replace(other.paired, name=other.name)
            wanted = other.name
        self.common.store.rename_locks(moves)
        for name, other in others.items():
            other.paired = moves.get(name, other.paired)

    def _take(self, kept: str, paired: PairedLock, known: Member | None) -> Member:
        """Take the new authorization, which the store has as `kept`, for the lock's; it may have got another name."""
        if paired.name == kept:
            self.common.store.save_lock(paired)
        else:
            self._rename({kept: paired}, paired.name, known)
        if known is not None and known.name != paired.name:
            self.members.remove(known)
            self.common.publisher.clear(known.name)
        member = self.members.add(paired.name)
        member.paired = paired
        return member

    async def unpair(self, request: Request) -> Answer:
        """Forget a lock and its key.  The lock's own entry for us remains: removing it takes the security PIN."""
        name = request.arguments["name"]
        member = self.members.get(name)
        if member is None:
            known = ", ".join(each.name for each in self.members) or "none"
            raise RequestError("unknown_lock", f"there is no lock {name!r:.40}; the bridge knows: {known}")
        if member.paired is None:
            raise RequestError("not_paired", f"{name} is not paired, so there is nothing to forget")
        if self.running.changing.locked():
            raise RequestError("busy", "a pairing is under way; wait for its end")
        await self.running.stop(member)
        paired, member.paired = member.paired, None
        self.common.store.remove_lock(paired.name)
        self.common.invitations.lock_forgotten(paired.nuki_id)
        self.common.publisher.clear(name)
        if member.settings is None:
            self.members.remove(member)
        else:
            self.running.start(member)
        self.info.publish()
        answer = {**_whose(paired), "name": name, "removed_on_lock": False}
        self.common.publisher.event("bridge", {"type": "unpaired", **answer})
        return {"data": answer}


def _check_name(named: Member | None, at: Member | None, address: str) -> None:
    """Raise `RequestError` if the lock at `address`, known as `at`, cannot have the name, which `named` has so far."""
    if named is not None and named.address not in (None, address):
        raise RequestError("name_taken", f"{named.name} is the name of the lock {named.address}; choose another one")
    if at is not None and at.settings is not None and at is not named:
        raise RequestError(
            "bad_name", f"the configuration calls the lock {address} {at.name}; leave name out, or change it there"
        )


def _whose(paired: PairedLock) -> dict[str, Any]:
    """Return lock and authorization, without the key."""
    return {
        "name": paired.name,
        "nuki_id": f"{paired.nuki_id:08X}",
        "address": paired.address,
        "authorization_id": paired.authorization_id,
    }


REQUESTS: Final[Mapping[str, Declaration[Callable[[PairingCommands, Request], Awaitable[Answer]]]]] = {
    "scan": Declaration(
        Arguments({"timeout": number(0.1, 300, "seconds").meant(f"seconds, default {SCAN_S:g}")}),
        PairingCommands.scan,
        reads=True,
    ),
    "pair": Declaration(
        Arguments(
            {
                "address": bluetooth_address,
                "name": text,
                "pin": security_pin.meant("default: the one that is known of this lock"),
                "as": one_of("bridge", "app").meant("bridge, which is the default, or app"),
                "timeout": number(1, 600, "seconds").meant(f"seconds, default {PAIR_S:g}"),
            }
        ),
        PairingCommands.pair,
    ),
    "unpair": Declaration(Arguments(required={"name": text}), PairingCommands.unpair),
}
"""What can be asked about which locks there are."""
