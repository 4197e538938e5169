"""`connection: auto`: the link is held while somebody uses the lock or it is on external power, else made on demand."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from nuki_bridge.lock.in_use import POWERED_S, USED_S
from nuki_bridge.lock.link_plan import ConnectionMode
from nuki_bridge.lock.turn import Rank, acting_for
from nuki_bridge.protocol.codes import Action, DoorState, Family, IdType, LockState
from tests.link_seconds import LOCKS, cost
from tests.unit.rig import Rig, clock

AUTO = ConnectionMode.AUTO


async def until_left(rig: Rig, within_s: float) -> float:
    """How many seconds the link is held from now on."""
    start = clock()
    while rig.lock.connected:
        assert clock() - start < within_s, "the link is still held"
        await asyncio.sleep(1.0)
    return clock() - start


async def test_a_lock_that_nobody_uses_is_left() -> None:
    rig = Rig()
    async with rig.running(AUTO) as lock:
        assert not lock.connected
        assert not lock.is_held
        await asyncio.sleep(2 * USED_S)
        assert not lock.connected
        assert lock.reachable


async def test_after_a_command_the_link_is_held_for_the_next_one() -> None:
    rig = Rig()
    async with rig.running(AUTO) as lock:
        await lock.perform(Action.UNLOCK, 15.0)
        reconnects = lock.reconnects
        await asyncio.sleep(USED_S - 10.0)
        assert lock.connected
        writes = rig.writes()
        begun = asyncio.create_task(lock.perform(Action.LOCK, 15.0))
        await asyncio.sleep(0.0)
        await begun
        assert lock.reconnects == reconnects
        assert rig.writes() > writes
        held = await until_left(rig, USED_S + 20.0)
        assert held >= USED_S - 10.0
        assert rig.movements() == ["unlock: unlocking", "lock: locking"]


@pytest.mark.parametrize("what", ["knob", "door"])
async def test_somebody_at_the_door_uses_it(what: str) -> None:
    rig = Rig()
    async with rig.running(AUTO) as lock:
        if what == "knob":
            rig.virtual.turn_by_hand(LockState.UNLOCKED)
        else:
            rig.virtual.set_door(DoorState.OPEN)
        await asyncio.sleep(10.0)
        assert lock.connected
        await until_left(rig, USED_S + 20.0)


async def test_a_guest_uses_it_and_the_bridge_itself_does_not() -> None:
    rig = Rig()
    async with rig.running(AUTO) as lock:
        acting_for.set(Rank.BRIDGE)
        await lock.refresh(15.0)
        assert not lock.is_held
        await until_left(rig, 10.0)
        acting_for.set(Rank.GUEST)
        await lock.refresh(15.0)
        assert lock.is_held


async def test_on_external_power_the_link_is_held() -> None:
    """A full battery is not charged: the charger may be pulled out, or not."""
    rig = Rig()
    async with rig.running(AUTO) as lock:
        rig.virtual.charge()
        await asyncio.sleep(10.0)
        assert lock.connected
        reconnects = lock.reconnects
        await asyncio.sleep(POWERED_S + 600.0)
        assert lock.connected
        assert lock.reconnects == reconnects
        rig.virtual.charge(False)
        await until_left(rig, POWERED_S + 30.0)
        assert not lock.is_held


async def test_a_link_that_breaks_while_it_is_in_use_comes_back() -> None:
    rig = Rig()
    async with rig.running(AUTO) as lock:
        await lock.perform(Action.UNLOCK, 15.0)
        rig.virtual.drop_links()
        await asyncio.sleep(10.0)
        assert lock.connected
        await asyncio.sleep(USED_S)
        assert not lock.connected


async def test_a_turn_by_hand_beside_a_held_link_is_seen_as_with_persistent() -> None:
    rig = Rig(beacon_bit_missing=True)
    async with rig.running(AUTO) as lock:
        await lock.perform(Action.UNLOCK, 15.0)
        await asyncio.sleep(30.0)
        rig.virtual.turn_by_hand(LockState.LOCKED)
        await asyncio.sleep(12.0)
        assert lock.states is not None
        assert lock.states.lock_state == LockState.LOCKED


async def test_another_configuration_counts_at_once() -> None:
    rig = Rig()
    async with rig.running(AUTO) as lock:
        await lock.perform(Action.UNLOCK, 15.0)
        assert lock.is_held
        lock.keep_in_touch(ConnectionMode.ON_DEMAND)
        await until_left(rig, 10.0)
        lock.keep_in_touch(ConnectionMode.PERSISTENT)
        await asyncio.sleep(5.0)
        assert lock.connected


async def test_a_device_that_rings_is_never_held() -> None:
    """Nobody hears its doorbell over a link."""
    rig = Rig()
    async with rig.running(AUTO) as lock:
        await lock.perform(Action.UNLOCK, 15.0)
        assert lock.is_held
        lock.paired = replace(lock.paired, family=Family.OPENER)
        assert not lock.is_held


@pytest.mark.parametrize(("id_type", "habits"), LOCKS.values(), ids=list(LOCKS))
async def test_it_costs_little_more_than_on_demand_where_a_lock_is_seldom_used(
    id_type: IdType, habits: dict[str, bool]
) -> None:
    """Two commands in an hour, six minutes apart."""
    found = {mode: await cost(mode, id_type, habits, hours=1.0, begin_h=6.9) for mode in ConnectionMode}
    on_demand, auto, persistent = (found[mode] for mode in (ConnectionMode.ON_DEMAND, AUTO, ConnectionMode.PERSISTENT))
    assert persistent.link_s == 3600.0
    assert on_demand.link_s < 100.0
    assert 2 * USED_S < auto.link_s < 2 * USED_S + 100.0
    assert auto.connections <= on_demand.connections


def test_the_figures_for_a_day_are_documented_for_every_mode() -> None:
    page = (Path(__file__).parents[2] / "docs" / "battery.md").read_text()
    for lock in LOCKS:
        for mode in ConnectionMode:
            assert f"| {lock} | `{mode.value}` | " in page
