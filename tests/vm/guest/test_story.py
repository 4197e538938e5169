"""The whole program on the real stack: kernel, bluetoothd, mosquitto, the installed daemon; a virtual lock on the air.

Everything is asked for over MQTT, and what happened is read from the lock's own audit trail.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

if not os.environ.get("VM_RESULTS"):
    pytest.skip("runs in the virtual machine: python -m tests.vm.rig -- pytest tests/vm/guest", allow_module_level=True)

from nuki_bridge.protocol.codes import Family, LockState
from tests.vm.guest import stack
from tests.vm.guest.world import ADDRESS, MOTOR_S, World, a_world

pytestmark = pytest.mark.real_time


async def pair_and_use(world: World, mtu: int) -> None:
    """Scan, pair, lock and unlock, see a turn by hand, read the battery; the lock is locked before and after."""
    program, lock = world.program, world.lock
    world.peripheral.max_mtu = mtu
    lock.hold_button()
    scan = await program.request("bridge/request/scan", timeout=3)
    [seen] = scan["data"]
    assert (seen["nuki_id"], seen["address"], seen["pairing_mode"]) == ("1A2B3C4D", ADDRESS, True)

    paired = await world.pair()
    assert paired["data"] == {
        "name": "front_door",
        "nuki_id": "1A2B3C4D",
        "address": ADDRESS,
        "authorization_id": next(iter(lock.authorizations)).authorization_id,
    }
    await program.until("front_door/state", "locked")
    assert list(world.peripheral.links.values()) == [mtu]

    before = world.movements()
    for action, state in (("unlock", "unlocked"), ("lock", "locked")):
        result = await program.act("front_door", action)
        assert (result["status"], result["completion"]) == ("ok", "success")
        await program.until("front_door/state", state)
    assert world.movements() == [*before, "unlock: unlocking", "lock: locking"]

    lock.turn_by_hand(LockState.UNLOCKED)
    await program.until("front_door/state", "unlocked")
    lock.turn_by_hand(LockState.LOCKED)
    assert (await program.request("front_door/request/refresh"))["data"]["state"] == "locked"
    battery = await program.request("front_door/request/battery/get")
    assert battery["data"]["voltage_mv"] > 3000


async def lose_answers(world: World) -> None:
    """A link lost while the motor turns, an outdated challenge, a damaged answer: each command moves the motor once."""
    program, lock = world.program, world.lock
    before = world.movements()
    lock.behaviour.motor_s = 2.0
    task = asyncio.create_task(program.act("front_door", "unlock"))
    await stack.until(lambda: len(world.movements()) > len(before), what="the motor")
    for number in list(world.peripheral.links):
        world.peripheral.vanish(number)
    result = await task
    assert (result["status"], result["completion"]) == ("ok", "success")
    await program.until("front_door/state", "unlocked")
    lock.behaviour.motor_s = MOTOR_S

    await program.request("front_door/request/refresh")
    lock.forget_challenges()
    assert (await program.act("front_door", "lock"))["status"] == "ok"
    await program.request("front_door/request/refresh")
    lock.damage_next_answer()
    result = await program.act("front_door", "unlock")
    assert (result["status"], result["completion"]) == ("ok", "success")
    assert (await program.act("front_door", "lock"))["status"] == "ok"
    assert world.movements() == [*before, *["unlock: unlocking", "lock: locking"] * 2]


async def suffer(world: World) -> None:
    """Power off and on, bluetoothd restarted or missing, the adapter unplugged, the link dropped or lost, kill -9."""
    program, lock = world.program, world.lock
    await stack.power(False)
    await program.until("front_door/availability", "offline", 20)
    refused = await program.act("front_door", "unlock", 30)
    assert refused["error"] == "adapter_unavailable"
    assert "powered off" in refused["message"]
    await stack.power(True)
    await world.work(after="power off and on")

    for how in (signal.SIGTERM, signal.SIGKILL):
        await stack.stop_bluetoothd(how)
        await program.until("front_door/availability", "offline", 20)
        await stack.start_bluetoothd()
        await stack.wait_powered()
        await world.work(after=f"bluetoothd ended by {how.name} and started")

    await world.air.unplug()
    await program.until("front_door/availability", "offline", 20)
    await world.air.plug_in()
    await stack.wait_powered()
    await world.work(after="unplugging the adapter")

    lock.drop_links()
    await world.work(after="the lock dropped the link")
    for number in list(world.peripheral.links):
        world.peripheral.vanish(number)
    await world.work(after="the link broke")

    before = world.movements()
    lock.out_of_range(True)
    result = await program.act("front_door", "unlock", 40, expiry_s=3)
    assert result["error"] == "timeout"
    lock.out_of_range(False)
    assert (await program.request("front_door/request/refresh"))["status"] == "ok"
    assert world.movements() == before
    await world.work(after="out of range")

    await program.stop(signal.SIGKILL)
    await program.until("bridge/state", "offline", 40)
    await stack.stop_bluetoothd()
    await program.start()
    await program.until("front_door/availability", "offline")
    health = await program.request("bridge/request/health")
    assert "bluetoothd" in str(health["data"])
    await stack.start_bluetoothd()
    await stack.wait_powered()
    await world.work(after="kill -9, and a start without bluetoothd")


async def test_from_pairing_to_a_turning_motor_through_every_fault(tmp_path: Path) -> None:
    """At a large ATT MTU and at MTU 23, where messages come in pieces of 20 bytes and go out as long writes."""
    async with a_world(tmp_path) as world:
        refused = await world.program.request("bridge/request/pair", name="front_door", timeout=2)
        assert refused["error"] == "not_pairing"
        assert "button" in refused["message"]

        await pair_and_use(world, 517)
        assert (await world.program.request("bridge/request/unpair", name="front_door"))["status"] == "ok"
        await stack.until(lambda: world.lock.links == 0, what="the link's end")
        await pair_and_use(world, 23)
        await lose_answers(world)
        world.peripheral.max_mtu = 517
        await suffer(world)

        assert await world.program.stop() == 0
        assert world.program.retained["front_door/availability"] == "offline"
        assert world.program.retained["bridge/state"] == "offline"
        await stack.until(lambda: world.lock.links == 0, what="the link's end")


async def test_on_demand_a_turn_by_hand_is_seen_through_the_beacon(tmp_path: Path) -> None:
    async with a_world(tmp_path, connection="on-demand") as world:
        program, lock = world.program, world.lock
        await world.pair()
        for mtu in (517, 23):
            world.peripheral.max_mtu = mtu
            await program.until("front_door/state", "locked")
            await stack.until(lambda: lock.links == 0, what="the link's end")
            before = world.movements()
            lock.turn_by_hand(LockState.UNLOCKED)
            assert lock.state_changed
            await program.until("front_door/state", "unlocked")
            await stack.until(lambda: not lock.state_changed, what="the cleared beacon bit")
            assert (await program.act("front_door", "lock"))["status"] == "ok"
            assert list(world.peripheral.links.values()) == [mtu]
            await program.until("front_door/state", "locked")
            await stack.until(lambda: lock.links == 0, what="the link's end")
            assert world.movements() == [*before, "lock: locking"]


async def test_on_demand_a_lock_that_has_forgotten_us_says_so_in_plain(tmp_path: Path) -> None:
    async with a_world(tmp_path, connection="on-demand") as world:
        program, lock = world.program, world.lock
        paired = await world.pair()
        assert (await program.act("front_door", "unlock"))["status"] == "ok"
        await stack.until(lambda: lock.links == 0, what="the link's end")
        before = world.movements()
        lock.remove_authorization(paired["data"]["authorization_id"])
        for _ in range(2):
            assert (await program.act("front_door", "lock"))["error"] == "not_authorized"
            await program.until("front_door/availability", "offline")
            await stack.until(lambda: lock.links == 0, what="the link's end")
        assert world.movements() == before


async def test_the_ultra_family_pairs_with_its_pin(tmp_path: Path) -> None:
    async with a_world(tmp_path, family=Family.ULTRA) as world:
        world.lock.hold_button()
        wrong = await world.program.request("bridge/request/pair", name="front_door", pin="654321")
        assert wrong["error"] == "bad_pin"
        assert world.lock.pin_guard.wrong == 1
        for mtu in (517, 23):
            world.peripheral.max_mtu = mtu
            await world.pair(pin="123456")
            await world.work(after=f"pairing at MTU {mtu}")
            assert list(world.peripheral.links.values()) == [mtu]
            assert (await world.program.request("bridge/request/unpair", name="front_door"))["status"] == "ok"
            await stack.until(lambda: world.lock.links == 0, what="the link's end")
