"""Requests to the bridge itself: scan, pair, unpair, locks, health, restart.

Each is a coroutine that is given the bridge and the request and gives the fields of the answer.  A PIN in a request
goes to the lock and into the store, never into an answer, an event or the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge import __version__
from nuki_bridge.arguments import Arguments, Declaration, bluetooth_address, number, one_of, security_pin, text
from nuki_bridge.bluetooth.nearby import Heard
from nuki_bridge.bridge import report
from nuki_bridge.bridge.members import Member
from nuki_bridge.errors import AdapterUnavailable, RequestError
from nuki_bridge.lock import state_json
from nuki_bridge.lock_name import lock_name_mistake, slug
from nuki_bridge.owner.pin import own as own_pin
from nuki_bridge.owner.pin import stored_pin
from nuki_bridge.protocol.codes import Family, IdType, name_of
from nuki_bridge.store import UNKNOWN_NUKI_ID

if TYPE_CHECKING:
    from nuki_bridge.bridge.bridge import Bridge
    from nuki_bridge.store import PairedLock
    from nuki_bridge.topics.topics import Request

Answer = dict[str, Any]
"""Fields of an answer beside its status."""

SCAN_S = 10.0
PAIR_S = 60.0
"""How long a lock in pairing mode is waited for."""
HANDSHAKE_S = 30.0
"""How long connecting to it and pairing may take."""


async def _scan(bridge: Bridge, request: Request) -> Answer:
    """The Nuki devices that are heard within the time, and those that a link is held to; the strongest first."""
    timeout_s = request.arguments.get("timeout", SCAN_S)
    started = bridge.outside.clock()
    with _look_around(bridge):
        await asyncio.sleep(timeout_s)
    heard = bridge.nearby.since(started)
    found = [_describe(bridge, each, started) for each in heard]
    seen = {each.address for each in heard}
    linked = [each.lock for each in bridge.members if each.lock is not None and each.lock.connected]
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


def _describe(bridge: Bridge, heard: Heard, since: float) -> dict[str, Any]:
    member = bridge.members.at(heard.address)
    return {
        "address": heard.address,
        "name": heard.name,
        "nuki_id": None if heard.nuki_id is None else f"{heard.nuki_id:08X}",
        "rssi": heard.rssi,
        "pairing_mode": heard.in_pairing_mode(since),
        "paired": member.name if member is not None and member.lock is not None else None,
    }


def _look_around(bridge: Bridge) -> AbstractContextManager[None]:
    """Have the radio report every device during a block; raises `AdapterUnavailable`."""
    status = bridge.radio.status
    if not status.available:
        raise AdapterUnavailable(status.reason or "Bluetooth cannot be used")
    return bridge.radio.look_around()


# -- pairing ----------------------------------------------------------------------------------------------------------


async def _pair(bridge: Bridge, request: Request) -> Answer:
    """Wait for a lock in pairing mode, pair with it, keep it, and take it into use."""
    if bridge.pairing.locked():
        raise RequestError("busy", "another pairing, or a change of the configuration, is under way; try again")
    known: Member | None = None
    async with bridge.pairing:
        try:
            known = _named(bridge, request.arguments)
            if known is not None:
                await bridge.stop(known)  # a lock that holds a link may keep quiet, also about its pairing mode
            with _look_around(bridge):
                heard = await _find(bridge, request.arguments, known)
                known = bridge.members.at(heard.address) or known
                if known is not None:
                    await bridge.stop(known)  # this adapter has one link to a lock
                member = await _pair_with(bridge, request.arguments, heard, known)
        except Exception:
            if known is not None:
                bridge.start(known)
            raise
    bridge.publish_info()
    bridge.start(member)
    assert member.paired is not None
    answer = {**_whose(member.paired), "name": member.name}
    bridge.publisher.event("bridge", {"type": "paired", **answer})
    return {"data": answer}


def _named(bridge: Bridge, arguments: Mapping[str, Any]) -> Member | None:
    """The lock that the request names or gives the address of, if it is configured or paired already."""
    name, address = arguments.get("name"), arguments.get("address")
    at = bridge.members.at(address) if address is not None else None
    if name is None:
        return at
    if mistake := lock_name_mistake(name):
        raise RequestError("bad_name", f"name {mistake}")
    named = bridge.members.get(name)
    if named is not None and address is not None:
        _check_name(named, at, address)
    return at or named


def _check_name(named: Member | None, at: Member | None, address: str) -> None:
    """Raises `RequestError` if the lock at `address`, known as `at`, cannot have the name, which `named` has so far."""
    if named is not None and named.address not in (None, address):
        raise RequestError("name_taken", f"{named.name} is the name of the lock {named.address}")
    if at is not None and at.settings is not None and at is not named:
        raise RequestError("bad_name", f"the configuration calls the lock {address} {at.name}")


async def _find(bridge: Bridge, arguments: Mapping[str, Any], known: Member | None) -> Heard:
    """Wait for the lock in pairing mode."""
    timeout_s = arguments.get("timeout", PAIR_S)
    address = arguments.get("address") or (known.address if known is not None else None)
    heard = await bridge.nearby.wait_for_pairing(address, timeout_s)
    if "name" in arguments:
        _check_name(bridge.members.get(arguments["name"]), bridge.members.at(heard.address), heard.address)
    return heard


async def _pair_with(bridge: Bridge, arguments: Mapping[str, Any], heard: Heard, known: Member | None) -> Member:
    from nuki_bridge.lock.pairing import NotKept, PairOptions, pair  # needed so rarely that it need not take up memory

    name = arguments.get("name") or (known.name if known is not None else None)
    configured = bridge.members.get(name) if name is not None else None
    pin = arguments.get("pin")
    if pin is None and configured is not None and configured.settings is not None and configured.settings.pin:
        pin = own_pin(bridge, configured)
    before = known.paired if known is not None else None
    if pin is None and known is not None:
        pin = stored_pin(known, heard.pairing, bridge.outside.clock())
    options = PairOptions(
        id_type=IdType.APP if arguments.get("as") == "app" else IdType.BRIDGE,
        name=f"nuki-bridge {bridge.outside.hostname}",
        app_id=bridge.store.app_id(),
        pin=pin,
    )
    nuki_id = heard.nuki_id or (before.nuki_id if before is not None else UNKNOWN_NUKI_ID)
    kept = before.name if before is not None else name or bridge.members.free_name(slug("", nuki_id))

    def keep(paired: PairedLock) -> None:
        _rename(bridge, {}, kept, known)
        paired = replace(paired, name=kept)
        bridge.store.save_unproven(paired)
        if known is not None:
            known.paired = paired

    try:
        paired, config = await pair(
            bridge.radio,
            heard.address,
            heard.pairing or Family.CLASSIC,
            options,
            random=bridge.outside.random,
            timeout_s=HANDSHAKE_S,
            clock=bridge.outside.clock,
            now=bridge.outside.now,
            nuki_id=nuki_id,
            keep=keep,
        )
    except NotKept:
        if bridge.store.restore_former(kept) is None:
            bridge.store.remove_lock(kept)
        if known is not None:
            known.paired = before
        raise
    bridge.nearby.has_paired(heard.address)
    if config is not None:
        bridge.store.forget_former(kept)
        name = name or bridge.members.free_name(slug(config.name, config.nuki_id))
    return _take(bridge, kept, replace(paired, name=name or kept), known)


def _rename(bridge: Bridge, moves: dict[str, PairedLock], wanted: str, known: Member | None) -> None:
    """Have the store keep the locks of `moves` under their new names, by the old ones, and make room for `wanted`.

    Where the configuration gave a name to another lock than the store did, the store follows it, and so on: the lock
    that has a wanted name in the store gets the one that it has in the configuration.
    """
    others = {each.paired.name: each for each in bridge.members if each is not known and each.paired is not None}
    while wanted in others and wanted not in moves:
        other = others[wanted]
        assert other.paired is not None
        moves[wanted] = replace(other.paired, name=other.name)
        wanted = other.name
    bridge.store.rename_locks(moves)
    for name, other in others.items():
        other.paired = moves.get(name, other.paired)


def _take(bridge: Bridge, kept: str, paired: PairedLock, known: Member | None) -> Member:
    """Take the new authorization, which the store has as `kept`, for the lock's; it may have got another name."""
    if paired.name == kept:
        bridge.store.save_lock(paired)
    else:
        _rename(bridge, {kept: paired}, paired.name, known)
    if known is not None and known.name != paired.name:
        bridge.members.remove(known)
        bridge.publisher.clear(known.name)
    member = bridge.members.add(paired.name)
    member.paired = paired
    return member


async def _unpair(bridge: Bridge, request: Request) -> Answer:
    """Forget a lock and its key.  The lock's own entry for us remains: removing it takes the security PIN."""
    name = request.arguments["name"]
    member = bridge.members.get(name)
    if member is None:
        raise RequestError("unknown_lock", f"there is no lock {name!r:.40}")
    if member.paired is None:
        raise RequestError("not_paired", f"{name} is not paired")
    if bridge.pairing.locked():
        raise RequestError("busy", "a pairing is under way; wait for its end")
    await bridge.stop(member)
    paired, member.paired = member.paired, None
    bridge.store.remove_lock(paired.name)
    bridge.invitations.lock_forgotten(paired.nuki_id)
    bridge.publisher.clear(name)
    if member.settings is None:
        bridge.members.remove(member)
    else:
        bridge.start(member)
    bridge.publish_info()
    answer = {**_whose(paired), "name": name, "removed_on_lock": False}
    bridge.publisher.event("bridge", {"type": "unpaired", **answer})
    return {"data": answer}


def _whose(paired: PairedLock) -> dict[str, Any]:
    """Lock and authorization, without the key."""
    return {
        "name": paired.name,
        "nuki_id": f"{paired.nuki_id:08X}",
        "address": paired.address,
        "authorization_id": paired.authorization_id,
    }


# -- what is known ----------------------------------------------------------------------------------------------------


async def _locks(bridge: Bridge, request: Request) -> Answer:
    """Every lock, paired or merely configured."""
    return {"data": [_describe_lock(bridge, each) for each in bridge.members]}


def _describe_lock(bridge: Bridge, member: Member) -> dict[str, Any]:
    told = bridge.summary(member)
    if member.paired is not None:
        told["authorization_id"] = member.paired.authorization_id
        told["as"] = name_of(member.paired.id_type)
        told["paired_at"] = state_json.rfc3339(member.paired.paired_at)
    if member.lock is not None:
        states = member.lock.states
        told["state"] = None if states is None else member.lock.profile.state_word(states.lock_state)
        told |= report.link(member.lock)
    allowed = member.settings.actions if member.settings is not None else None
    told["actions"] = None if allowed is None else sorted(name_of(each) for each in allowed)
    return told


async def _health(bridge: Bridge, request: Request) -> Answer:
    """How the bridge, its adapter and its links are."""
    return {
        "data": {
            "version": __version__,
            "uptime_s": round(bridge.uptime_s),
            "mqtt_version": bridge.outside.protocol(),
            "adapter": bridge.adapter(),
            "locks": [
                {"name": each.name, **report.link(each.lock), "reconnects": each.lock.reconnects}
                for each in bridge.members
                if each.lock is not None
            ],
        }
    }


async def _restart(bridge: Bridge, request: Request) -> Answer:
    """End the daemon, so that its supervisor starts it again; the answer leaves first."""
    asyncio.get_running_loop().call_soon(bridge.outside.restart)
    return {"data": {}}


REQUESTS: Final[Mapping[str, Declaration[Callable[[Bridge, Request], Awaitable[Answer]]]]] = {
    "scan": Declaration(
        Arguments({"timeout": number(0.1, 300, "seconds").meant(f"seconds, default {SCAN_S:g}")}), _scan, reads=True
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
        _pair,
    ),
    "unpair": Declaration(Arguments(required={"name": text}), _unpair),
    "locks": Declaration(Arguments(), _locks, reads=True),
    "health": Declaration(Arguments(), _health, reads=True),
    "restart": Declaration(Arguments(), _restart),
}
"""What can be asked of the bridge itself."""
