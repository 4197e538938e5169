"""What happens at the door is known soon, whatever the lock's beacon says; and a lock that is heard is reached."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from nuki_bridge.errors import LockError, NukiError, TimedOut
from nuki_bridge.lock.link_plan import KEEPALIVE_S, ConnectionMode
from nuki_bridge.lock.timetable import SAFETY_POLL_S, TOLD_POLL_S
from nuki_bridge.protocol.codes import Action, Completion, DoorState, IdType, LockState
from tests.unit.rig import MODES, Rig, clock

SOON_S = KEEPALIVE_S + 1.5
"""A keep-alive and a bit."""
HABITS: dict[str, dict[str, Any]] = {
    "as documented": {},
    "never set": {"beacon_bit_missing": True},
    "set late": {"beacon_bit_late_s": 45.0},
    "set a moment late": {"beacon_bit_late_s": 4.0},
    "never cleared": {"beacon_bit_stays": True},
}
IN_TURN = (LockState.UNLOCKED, LockState.LOCKED) * 3
HELD_S = (3.0, 0.4, 11.0, 600.0)
WHEN_S = (3.0, 0.4, 11.0, 600.0, 1280.0, 1800.0)

habits = pytest.mark.parametrize("habit", HABITS.values(), ids=list(HABITS))
kinds = pytest.mark.parametrize("id_type", [IdType.BRIDGE, IdType.APP], ids=["bridge", "app"])


async def seen_after(rig: Rig, state: LockState, longest_s: float) -> float:
    """How long until the lock is known to be in `state`; fails after `longest_s`."""
    begun = clock()
    try:
        async with asyncio.timeout(longest_s + 0.05):
            while rig.lock.states is None or rig.lock.states.lock_state != state:
                rig.reported.clear()
                await rig.reported.wait()
    except TimeoutError:
        raise AssertionError(f"still not {state.name} after {longest_s} s") from None
    return clock() - begun


@habits
@kinds
@pytest.mark.parametrize("advertises", [True, False], ids=["advertises", "silent"])
async def test_a_turn_by_hand_beside_a_held_link_is_known_at_the_next_keep_alive(
    habit: dict[str, Any], id_type: IdType, advertises: bool
) -> None:
    rig = Rig(advertise_while_connected=advertises, **habit)
    async with rig.running(id_type=id_type):
        for pause_s, state in zip(HELD_S, IN_TURN, strict=False):
            await asyncio.sleep(pause_s)
            rig.virtual.turn_by_hand(state)
            await seen_after(rig, state, SOON_S)


@habits
@kinds
async def test_a_door_beside_a_held_link_is_known_at_the_next_keep_alive(
    habit: dict[str, Any], id_type: IdType
) -> None:
    rig = Rig(advertise_while_connected=True, **habit)
    async with rig.running(id_type=id_type) as lock:
        for pause_s, door in zip(HELD_S, (DoorState.OPEN, DoorState.CLOSED) * 2, strict=True):
            await asyncio.sleep(pause_s)
            rig.virtual.set_door(door)
            await asyncio.sleep(SOON_S)
            assert lock.states is not None
            assert lock.states.door_state == door


@kinds
async def test_a_held_link_that_others_keep_busy_is_asked_for_the_states_all_the_same(id_type: IdType) -> None:
    """Each exchange of somebody puts the keep-alive off."""
    rig = Rig(beacon_bit_missing=True)
    async with rig.running(id_type=id_type) as lock:
        rig.virtual.turn_by_hand(LockState.UNLOCKED)
        for _ in range(6):
            await asyncio.sleep(2.0)
            await lock.read_battery(15.0)
        assert lock.states is not None
        assert lock.states.lock_state == LockState.UNLOCKED


async def test_the_bit_is_relied_on_once_it_has_told_and_no_longer_once_it_has_not() -> None:
    rig = Rig(advertise_while_connected=True)
    async with rig.running() as lock:
        rig.virtual.turn_by_hand(LockState.UNLOCKED)
        await seen_after(rig, LockState.UNLOCKED, 0.2)
        reads = len(rig.states)
        await asyncio.sleep(TOLD_POLL_S - 60.0)
        assert len(rig.states) == reads
        rig.virtual.behaviour.beacon_bit_missing = True
        rig.virtual.turn_by_hand(LockState.LOCKED)
        await seen_after(rig, LockState.LOCKED, 90.0)
        await asyncio.sleep(60.0)
        rig.virtual.turn_by_hand(LockState.UNLOCKED)
        await seen_after(rig, LockState.UNLOCKED, SOON_S)
        rig.virtual.behaviour.beacon_bit_missing = False
        rig.virtual.set_door(DoorState.OPEN)  # it tells of some things, not of others
        await asyncio.sleep(60.0)
        rig.virtual.behaviour.beacon_bit_missing = True
        rig.virtual.turn_by_hand(LockState.LOCKED)
        await seen_after(rig, LockState.LOCKED, SOON_S)
        assert lock.reconnects == 1


@habits
@kinds
async def test_on_demand_a_turn_by_hand_is_known_when_the_states_are_due_at_the_latest(
    habit: dict[str, Any], id_type: IdType
) -> None:
    rig = Rig(**habit)
    async with rig.running(ConnectionMode.ON_DEMAND, id_type=id_type):
        for pause_s, state in zip(WHEN_S, IN_TURN, strict=True):
            await asyncio.sleep(pause_s)
            rig.virtual.turn_by_hand(state)
            await seen_after(rig, state, SAFETY_POLL_S + 1.0)


@pytest.mark.long
@habits
@kinds
async def test_on_demand_states_every_says_how_old_the_states_get(habit: dict[str, Any], id_type: IdType) -> None:
    rig = Rig(**habit)
    async with rig.running(ConnectionMode.ON_DEMAND, id_type=id_type, states_every_s=120.0) as lock:
        for pause_s, state in zip(WHEN_S, IN_TURN, strict=True):
            await asyncio.sleep(pause_s)
            rig.virtual.turn_by_hand(state)
            await seen_after(rig, state, 121.0)
        reconnects = lock.reconnects
        await asyncio.sleep(3600.0)
        assert 29 <= lock.reconnects - reconnects <= 36


async def test_on_demand_states_every_holds_beside_a_beacon_that_tells() -> None:
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND, states_every_s=300.0) as lock:
        rig.virtual.turn_by_hand(LockState.UNLOCKED)
        await asyncio.sleep(10.0)
        reconnects = lock.reconnects
        await asyncio.sleep(3000.0)
        assert 9 <= lock.reconnects - reconnects <= 10
        lock.keep_in_touch(ConnectionMode.ON_DEMAND, None)
        await asyncio.sleep(5.0)
        reconnects = lock.reconnects
        await asyncio.sleep(TOLD_POLL_S - 60.0)
        assert lock.reconnects == reconnects


@kinds
async def test_on_demand_a_change_right_after_our_reading_is_not_taken_for_the_one_before(id_type: IdType) -> None:
    """The bit rises again before a beacon has shown that it was clear, or it cannot be cleared at all."""
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND, id_type=id_type):
        state = LockState.LOCKED
        for _ in range(8):
            state = LockState.UNLOCKED if state is LockState.LOCKED else LockState.LOCKED
            rig.virtual.turn_by_hand(state)
            await seen_after(rig, state, 6.0)
            await asyncio.sleep(0.1)


# -- away and back ----------------------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("connection", MODES, ids=lambda mode: mode.value)
async def test_where_the_bolt_of_a_blocked_motor_is_is_known_soon(connection: ConnectionMode, id_type: IdType) -> None:
    """The lock stops telling that the motor was blocked after a while, and its beacon says nothing of it."""
    rig = Rig(start_state=LockState.UNLOCKED, blocked_s=10.0)
    async with rig.running(connection, id_type=id_type) as lock:
        rig.virtual.turn_by_hand(LockState.LOCKED)  # the beacon has told of a change: it is relied on
        await seen_after(rig, LockState.LOCKED, SAFETY_POLL_S)
        await asyncio.sleep(60.0)
        rig.virtual.block_motor()
        with suppress(LockError):
            await lock.perform(Action.UNLOCK, 15.0)
        await seen_after(rig, LockState.MOTOR_BLOCKED, 5.0)
        await seen_after(rig, LockState.LOCKED, 20.0)
        assert lock.states is not None
        assert lock.states.last_completion == Completion.MOTOR_BLOCKED


async def test_on_demand_a_motor_that_stays_blocked_is_asked_after_ever_more_seldom() -> None:
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND) as lock:
        rig.virtual.block_motor()
        with suppress(LockError):
            await lock.perform(Action.UNLOCK, 15.0)
        reads = len(rig.states)
        await asyncio.sleep(3600.0)
        assert len(rig.states) - reads < 20


async def test_on_demand_a_lock_that_is_heard_again_is_reached_again() -> None:
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND) as lock:
        rig.virtual.out_of_range()
        for _ in range(2):
            with pytest.raises(TimedOut):
                await lock.perform(Action.UNLOCK, 15.0)
        assert not lock.reachable
        rig.virtual.out_of_range(away=False)
        await asyncio.sleep(2.0)
        assert lock.reachable
        await asyncio.sleep(5.0)
        assert not lock.connected
        assert (await lock.perform(Action.UNLOCK, 15.0)).completion == "success"


async def test_on_demand_a_lock_that_was_heard_all_the_time_is_tried_again_before_long() -> None:
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND) as lock:
        rig.radio.faults.connect_times_out = 4
        for _ in range(2):
            with pytest.raises(TimedOut):
                await lock.perform(Action.UNLOCK, 15.0)
        assert not lock.reachable
        await asyncio.sleep(30.0)
        assert lock.reachable


@pytest.mark.parametrize("connection", MODES, ids=lambda each: each.value)
@pytest.mark.parametrize("interval_s", [0.5, 15.0], ids=["always", "now and then"])
async def test_a_lock_that_is_heard_and_never_connects_is_tried_seldom_and_stays_offline(
    connection: ConnectionMode, interval_s: float
) -> None:
    rig = Rig()
    async with rig.running(connection) as lock:
        rig.radio.interval_s = interval_s
        rig.radio.faults.connect_times_out = 1_000_000
        rig.virtual.drop_links()
        for _ in range(3):
            with pytest.raises(NukiError):
                await lock.perform(Action.UNLOCK, 15.0)
        assert not lock.reachable
        rig.changes.clear()
        left = rig.radio.faults.connect_times_out
        await asyncio.sleep(3600.0)
        assert True not in rig.changes
        assert 20 <= left - rig.radio.faults.connect_times_out <= (80 if interval_s < 10 else 300)


@pytest.mark.parametrize("connection", MODES, ids=lambda each: each.value)
async def test_a_lock_that_connects_and_never_answers_does_not_flap(connection: ConnectionMode) -> None:
    rig = Rig()
    async with rig.running(connection) as lock:
        rig.virtual.swallow_next_answer(1_000_000)
        for _ in range(3):
            with pytest.raises(NukiError):
                await lock.perform(Action.UNLOCK, 15.0)
        assert not lock.reachable
        rig.changes.clear()
        reconnects = lock.reconnects
        await asyncio.sleep(3600.0)
        assert True not in rig.changes
        assert lock.reconnects - reconnects <= 80
        rig.virtual.swallow_next_answer(0)
        await asyncio.sleep(70.0)
        assert lock.reachable
