"""A door shared from pairing to removal, on the real stack: kernel, bluetoothd, mosquitto with the shipped access list.

One world for the whole story.  The owner speaks MQTT and the command line.  Anna has the installed program on a device
of her own, with the guests' broker account and, near the door, an adapter of her own.  The daemon holds its link all
the time.  What happened is read from the lock's audit trail and log.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

if not os.environ.get("VM_RESULTS"):
    pytest.skip("runs in the virtual machine: python -m tests.vm.rig -- pytest tests/vm/guest", allow_module_level=True)

from nuki_bridge.protocol.codes import Action
from nuki_bridge.sharing.invitation_code import read_code
from nuki_bridge.simulator.authorizations import StoredEntry
from nuki_bridge.simulator.behaviour import Behaviour
from nuki_bridge.simulator.lock import VirtualLock
from tests.integration.guarded import GuardedBroker, password
from tests.radio.air import Air
from tests.radio.peripheral import Peripheral
from tests.vm.guest import stack
from tests.vm.guest.people import Device, RawGuest, Spoken, credential, try_to_pair
from tests.vm.guest.program import Program
from tests.vm.guest.world import ADDRESS, trail

pytestmark = pytest.mark.real_time

ANNAS_ADAPTER = "B8:27:EB:00:00:02"
FRIDAY = datetime(2026, 12, 4, 12, tzinfo=UTC)
SUNDAY = datetime(2026, 12, 6, 12, tzinfo=UTC)
WORKDAYS = ["mo", "tu", "we", "th", "fr"]
DONE = Spoken(0, "front_door: unlock: success\n", "")


def refused(sentence: str) -> Spoken:
    """How the program says no."""
    return Spoken(1, "", f"nuki-bridge: {sentence}\n")


BLOCKED = refused("the motor is blocked; check the door and the bolt (motor_blocked)")
NOT_NOW = refused(
    "this credential is not allowed at this time; the owner has limited it since you were invited: ask when it is "
    "(time_not_allowed)"
)
DISABLED = refused("the owner has disabled this credential (disabled)")
REVOKED = refused(
    "this credential is not valid any more: the owner has removed it, or the lock was reset; "
    "ask for a new invitation (not_authorized)"
)


@dataclass
class World:
    """The house with its daemon, and Anna elsewhere."""

    broker: GuardedBroker
    lock: VirtualLock
    peripheral: Peripheral
    program: Program
    owner: Device
    anna: Device

    async def ask(self, request: str, **arguments: Any) -> Any:
        """The data of the answer to one of the owner's requests to the lock."""
        answer = await self.program.request(f"front_door/request/{request}", **arguments)
        assert answer["status"] == "ok", answer
        return answer.get("data")

    def entry(self, name: str) -> StoredEntry:
        """A user as the lock has it."""
        [found] = [each for each in self.lock.authorizations if each.name.startswith(name)]
        return found

    def movements(self) -> list[str]:
        """Whom and what the motor was started for."""
        return [f"{entry.name} {entry.detail}" for entry in self.lock.movements()]

    async def guest(self, *words: str, broker: bool = True) -> Spoken:
        """Anna calls `nuki-bridge guest`."""
        return await self.anna.run("guest", *words, broker=broker)

    async def both_ways(self, action: str) -> tuple[Spoken, Spoken]:
        """Anna tries from elsewhere and near the door, at once."""
        elsewhere, nearby = await asyncio.gather(self.guest(action), self.nearby(action))
        return elsewhere, nearby

    async def nearby(self, action: str) -> Spoken:
        """Anna acts by Bluetooth: neither bridge nor broker take part."""
        return await self.guest(action, "--bluetooth", "--adapter", "hci1", broker=False)


@asynccontextmanager
async def a_world(directory: Path) -> AsyncIterator[World]:
    behaviour = Behaviour(motor_s=1.0, pairing_mode_s=120, advertise_while_connected=True)
    lock = VirtualLock(ADDRESS, 0x1A2B3C4D, pin=1234, behaviour=behaviour)
    pin = directory / "pin"
    pin.write_text("1234\n")
    pin.chmod(0o600)
    air = Air()
    with GuardedBroker(directory) as broker:  # blocks while it starts: nothing may wait for an adapter yet
        program = Program(
            directory,
            broker,
            bluetooth="{adapter: hci0}",
            locks=f"[{{name: front_door, pin_file: {pin}}}]",
            account=f', username: nuki, password: "{password("nuki")}"',
            peer=lambda: broker.peer("owner"),
        )
        owner = Device(directory / "owner", broker.url("owner"))
        anna = Device(directory / "anna", broker.url("guest"))
        try:
            peripheral = await air.add(lock, interval_s=0.2)
            lock.set_clock(FRIDAY)
            for address in (air.adapter_address, ANNAS_ADAPTER):
                await air.plug_in(address)
            for adapter in ("hci0", "hci1"):
                await stack.wait_powered(adapter=adapter)
            async with program:
                yield World(broker, lock, peripheral, program, owner, anna)
        finally:
            await air.close()
            for adapter in ("hci0", "hci1"):
                await stack.wait_gone(adapter)


async def pair_and_close_the_door_behind(world: World) -> None:
    """The owner pairs and switches pairing off: then the button is of no use to anybody."""
    world.lock.hold_button()
    answer = await world.program.request("bridge/request/pair", name="front_door", timeout=60)
    assert answer["status"] == "ok", answer
    await world.program.until("front_door/availability", "online")
    settings = await world.ask("config/set", pairing_enabled=False)
    assert settings["pairing_enabled"] is False
    world.lock.hold_button()
    assert await try_to_pair("hci1", ADDRESS) == "not_pairing"
    assert trail(world.lock, "pairing_mode", "paired", "config_set", "refused") == [
        ("pairing_mode", None, "on"),
        ("paired", 1, None),
        ("pairing_mode", None, "off"),
        ("config_set", 1, "pairing_enabled"),
        ("pairing_mode", None, "refused: switched off in the settings"),
        ("refused", None, "pairing: not_pairing"),
    ]


async def invite_and_redeem(world: World) -> None:
    """The owner invites Anna from the command line; Anna redeems with what is sent to her and nothing else."""
    invited = await world.owner.run("invite", "front_door", "--name", "Anna")
    assert (invited.status, invited.err) == (0, "")
    [code] = set(re.findall(r"\b[0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){3}\b", invited.out))
    assert "█" in invited.out
    redeemed = await world.anna.run("redeem", code)
    assert (redeemed.status, redeemed.err) == (0, "")
    assert "front_door: Anna can use this lock now" in redeemed.out
    file = kept(world)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [json.loads(each)["invitation"] for each in events(world, "Anna")] == ["created", "redeemed"]
    assert world.program.retained["front_door/invitations"] == "[]"
    key = credential(file)["shared_key"]
    for secret in (code, read_code(code), key):
        assert secret not in world.broker.log
        assert secret not in daemon_log(world)
    seen_at = {topic for topic, payload in world.program.log for secret in (code, key) if secret in payload}
    assert len(seen_at) == 1
    assert seen_at.pop().startswith("bridge/response/owner/")  # the answer to the owner's own command


def kept(world: World) -> Path:
    """Where Anna's device has her credential."""
    return world.anna.home / ".config" / "nuki-bridge" / "guest" / "front_door.json"


def daemon_log(world: World) -> str:
    return (Path(os.environ["VM_RESULTS"]) / f"nuki-bridge-{world.program.directory.name}.log").read_text()


def events(world: World, name: str) -> list[str]:
    """What `front_door/event` has told of somebody so far."""
    return [payload for topic, payload in world.program.log if topic == "front_door/event" and name in payload]


async def bridges_challenge(world: World, other_than: bytes | None = None) -> bytes:
    """The challenge that the bridge has asked for to act at once."""
    bridge = world.entry("nuki-bridge")
    await stack.until(lambda: bridge.challenge not in (None, other_than), what="the bridge's next challenge")
    assert bridge.challenge is not None
    return bridge.challenge


async def share_the_link_fairly(world: World) -> None:
    """Ben's challenge outlives the bridge's own; a command of the bridge waits for one of many guests at most."""
    lock, program = world.lock, world.program
    made = await world.ask("users/add", name="Ben")
    async with world.broker.peer("guest") as peer:
        ben = RawGuest(peer, made)
        await ben.open()
        nonce = await ben.challenge()
        before = await bridges_challenge(world)
        await world.ask("log/get", count=1)
        assert await bridges_challenge(world, other_than=before)
        assert await ben.act(Action.UNLOCK, nonce) == ["ACCEPTED", "COMPLETE"]
        await stack.until(lambda: events(world, "Ben"), what="the event that names Ben")
        await bridges_challenge(world)

        crowd = [RawGuest(peer, made) for _ in range(5)]
        for each in crowd:
            await each.open()
        start = len(lock.audit)
        for each in crowd:
            each.ask_challenge()
        await program.heard(lambda heard: any(topic.endswith("/indicate") for topic, _ in heard))
        waiting = asyncio.create_task(program.act("front_door", "lock"))
        await crowd[-1].next()
        assert (await waiting)["status"] == "ok"
    # An encrypted request for a challenge has 56 bytes, a lock action 92.
    writes = [entry.detail for entry in lock.audit[start:] if entry.what == "write"]
    of_guests = [each for each in writes if each == "usdio 56 bytes"]
    assert len(of_guests) >= 5, writes
    assert writes.index("usdio 92 bytes") <= 2, writes


async def unlock_while_the_bridge_locks(world: World) -> None:
    """Anna unlocks from elsewhere, and the bridge is told to lock when her command is on its way: two movements."""
    program = world.program
    before = world.movements()
    anna = asyncio.create_task(world.guest("unlock"))
    await program.heard(lambda heard: sum(topic.endswith("/write") for topic, _ in heard) == 2)
    result = await program.act("front_door", "lock")
    assert (result["status"], result["completion"]) == ("ok", "success")
    assert await anna == DONE
    assert world.movements() == [*before, "Anna unlock: unlocking", f"{world.entry('nuki-bridge').name} lock: locking"]
    await program.until("front_door/state", "locked")


async def at_mtu_23(world: World) -> None:
    """Messages come in pieces of 20 bytes: the bridge makes whole frames of them for the guest."""
    lock, program = world.lock, world.program
    world.peripheral.max_mtu = 23
    lock.drop_links()
    await stack.until(lambda: list(world.peripheral.links.values()) == [23], what="a link at MTU 23")
    lock.block_motor()
    assert await world.guest("lock") == BLOCKED
    lock.block_motor(False)
    await program.until("front_door/state", "motor_blocked")
    assert await world.nearby("lock") == Spoken(0, "front_door: lock: success\n", "")
    assert (await world.ask("refresh"))["state"] == "locked"


async def test_a_door_is_shared_from_pairing_to_removal(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        lock, program = world.lock, world.program
        await pair_and_close_the_door_behind(world)
        await invite_and_redeem(world)
        await share_the_link_fairly(world)
        await unlock_while_the_bridge_locks(world)

        limited = await world.ask("users/update", name="Anna", access={"weekdays": WORKDAYS})
        assert limited["access"] == {"weekdays": WORKDAYS}
        assert await world.nearby("unlock") == DONE
        await at_mtu_23(world)
        world.peripheral.max_mtu = 517

        before = world.movements()
        lock.set_clock(SUNDAY)
        # One after the other: two sessions of one user would take each other's challenge.
        assert await world.guest("unlock") == NOT_NOW
        assert await world.nearby("unlock") == NOT_NOW
        await world.ask("users/update", name="Anna", enabled=False)
        assert await world.both_ways("unlock") == (DISABLED, DISABLED)
        await world.ask("users/remove", name="Anna")
        assert await world.both_ways("unlock") == (REVOKED, REVOKED)
        assert world.movements() == before

        anna, ben, bridge = 2, 3, 1
        assert trail(lock, "paired", "config_set", "invited", "updated", "removed") == [
            ("paired", bridge, None),
            ("config_set", bridge, "pairing_enabled"),
            ("invited", bridge, "2 Anna"),
            ("invited", bridge, "3 Ben"),
            ("updated", bridge, "2 Anna, enabled"),
            ("updated", bridge, "2 Anna, disabled"),
            ("removed", bridge, "2 Anna"),
        ]
        assert trail(lock, "action_received", "action_refused", "motor") == [
            ("action_received", ben, "unlock"),
            ("motor", ben, "unlock: unlocking"),
            ("action_received", bridge, "lock"),
            ("motor", bridge, "lock: locking"),
            ("action_received", anna, "unlock"),
            ("motor", anna, "unlock: unlocking"),
            ("action_received", bridge, "lock"),
            ("motor", bridge, "lock: locking"),
            ("action_received", anna, "unlock"),
            ("motor", anna, "unlock: unlocking"),
            ("action_received", anna, "lock"),
            ("motor", anna, "lock: locking, blocked"),
            ("action_received", anna, "lock"),
            ("motor", anna, "lock: locking"),
            ("action_received", anna, "unlock"),
            ("action_refused", anna, "time_not_allowed"),
            ("action_received", anna, "unlock"),
            ("action_refused", anna, "time_not_allowed"),
        ]
        told = [each for each in await world.ask("log/get", count=50) if each["type"] == "lock_action"]
        name = world.entry("nuki-bridge").name
        expected = [
            ("Ben", "unlock", "success"),
            (name, "lock", "success"),
            ("Anna", "unlock", "success"),
            (name, "lock", "success"),
            ("Anna", "unlock", "success"),
            ("Anna", "lock", "motor_blocked"),
            ("Anna", "lock", "success"),
            ("Anna", "unlock", "rejected"),
            ("Anna", "unlock", "rejected"),
        ]
        assert [(each["user"]["name"], each["action"], each["completion"]) for each in reversed(told)] == expected
        assert [each["name"] for each in await world.ask("users/list")] == [name, "Ben"]
        assert await program.stop() == 0
