"""One lock against the virtual one, in virtual time: actions and their true outcomes, links kept and regained."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.errors import AdapterUnavailable, LockError, TimedOut
from nuki_bridge.lock.link_plan import ConnectionMode
from nuki_bridge.lock.outcome import OutcomeUnknown
from nuki_bridge.protocol.codes import Action, Command, DoorState, Family, IdType, LockState, Trigger, name_of
from nuki_bridge.protocol.frames import seal
from tests.unit.rig import ADDRESS, LOST, MODES, Rig, clock

BOTH = pytest.mark.parametrize("connection", MODES, ids=lambda c: c.value)
FAMILIES = pytest.mark.parametrize("family", [Family.CLASSIC, Family.ULTRA], ids=lambda f: f.value)


@BOTH
@FAMILIES
async def test_unlock_and_lock_turn_the_motor_once_each(connection: ConnectionMode, family: Family) -> None:
    rig = Rig(family)
    async with rig.running(connection) as lock:
        for action, state in ((Action.UNLOCK, LockState.UNLOCKED), (Action.LOCK, LockState.LOCKED)):
            outcome = await lock.perform(action, 15.0)
            assert outcome.completion == "success"
            assert lock.states is not None
            assert lock.states.lock_state == state
    assert rig.movements() == ["unlock: unlocking", "lock: locking"]


async def test_interim_states_are_reported_as_the_lock_says_them() -> None:
    rig = Rig()
    async with rig.running() as lock:
        rig.states.clear()
        await lock.perform(Action.UNLATCH, 15.0)
        await asyncio.sleep(10)
    seen = [s.lock_state for s in rig.states]
    assert list(dict.fromkeys(seen)) == [LockState.UNLATCHING, LockState.UNLATCHED, LockState.UNLOCKED]


async def test_a_held_link_needs_one_write_for_an_action() -> None:
    """The challenge is in hand before the command comes, however long ago the last one was."""
    rig = Rig()
    async with rig.running() as lock:
        for pause in (1.0, 9.0, 60.0, 600.0):
            await asyncio.sleep(pause)
            before = rig.writes()
            moved = len(rig.movements())
            action = Action.LOCK if moved % 2 else Action.UNLOCK
            task = asyncio.create_task(lock.perform(action, 15.0))
            while len(rig.movements()) == moved:
                await asyncio.sleep(0.001)
            assert rig.writes() - before == 1
            await task
            await asyncio.sleep(0.5)


async def test_a_held_link_survives_the_idle_timeout_of_the_lock() -> None:
    rig = Rig()
    async with rig.running() as lock:
        await asyncio.sleep(3600)
        assert lock.connected
        assert lock.reconnects == 1


async def test_on_demand_the_link_is_left_two_seconds_after_the_work() -> None:
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND) as lock:
        assert not lock.connected
        await lock.perform(Action.UNLOCK, 15.0)
        await asyncio.sleep(1.5)
        assert lock.connected
        await asyncio.sleep(1.0)
        assert not lock.connected
        assert lock.reachable


@BOTH
async def test_a_turn_by_hand_is_seen(connection: ConnectionMode) -> None:
    """Through the beacon bit; on a held link of a lock that does not advertise then, through the keep-alive."""
    rig = Rig()
    async with rig.running(connection) as lock:
        rig.virtual.turn_by_hand(LockState.UNLOCKED)
        await asyncio.sleep(12.0)
        assert lock.states is not None
        assert lock.states.lock_state == LockState.UNLOCKED


async def test_a_turn_by_hand_is_seen_at_once_through_the_beacon_beside_a_held_link() -> None:
    rig = Rig(advertise_while_connected=True)
    async with rig.running() as lock:
        rig.virtual.turn_by_hand(LockState.UNLOCKED)
        await asyncio.sleep(0.1)
        assert lock.states is not None
        assert lock.states.lock_state == LockState.UNLOCKED
        reads = len(rig.states)
        await asyncio.sleep(300)
        assert len(rig.states) == reads


async def test_on_demand_a_change_costs_one_connection() -> None:
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND) as lock:
        for state in (LockState.UNLOCKED, LockState.LOCKED):
            reconnects = lock.reconnects
            rig.virtual.turn_by_hand(state)
            await asyncio.sleep(60.0)
            assert lock.states is not None
            assert lock.states.lock_state == state
            assert lock.reconnects - reconnects == 1


async def test_a_beacon_bit_that_sticks_is_asked_about_less_and_less() -> None:
    """An App authorization cannot clear the bit."""
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND, id_type=IdType.APP) as lock:
        rig.virtual.turn_by_hand(LockState.UNLOCKED)
        rig.states.clear()
        await asyncio.sleep(3600)
        assert lock.states is not None
        assert lock.states.lock_state == LockState.UNLOCKED
        assert rig.virtual.state_changed
        assert 5 <= len(rig.states) <= 20  # after 5, 10, 20 … s, and every four and a half minutes in the end


async def test_a_refused_nonce_is_renewed_once() -> None:
    rig = Rig()
    async with rig.running() as lock:
        lock.exchange.challenge = bytes(32)
        outcome = await lock.perform(Action.UNLOCK, 15.0)
        assert outcome.completion == "success"
    assert rig.movements() == ["unlock: unlocking"]


async def test_a_busy_lock_is_asked_again_until_the_deadline() -> None:
    rig = Rig()
    async with rig.running() as lock:
        rig.virtual.be_busy(4.0)
        assert (await lock.perform(Action.UNLOCK, 15.0)).completion == "success"
        rig.virtual.be_busy(60.0)
        started = clock()
        with pytest.raises(LockError, match="busy") as refused:
            await lock.perform(Action.LOCK, 5.0)
        assert refused.value.code == "busy"
        assert clock() - started <= 5.0
    assert rig.movements() == ["unlock: unlocking"]


async def test_a_blocked_motor_is_an_error_and_its_state_is_published() -> None:
    rig = Rig()
    async with rig.running() as lock:
        rig.virtual.block_motor()
        with pytest.raises(LockError) as failed:
            await lock.perform(Action.UNLOCK, 15.0)
        assert failed.value.code == "motor_blocked"
        assert lock.states is not None
        assert lock.states.lock_state == LockState.MOTOR_BLOCKED
        assert lock.connected
    assert len(rig.movements()) == 1


async def test_an_uncalibrated_lock_refuses() -> None:
    rig = Rig()
    async with rig.running() as lock:
        rig.virtual.uncalibrate()
        with pytest.raises(LockError) as failed:
            await lock.perform(Action.UNLOCK, 15.0)
        assert failed.value.code == "not_calibrated"
    assert rig.movements() == []


@pytest.mark.parametrize(
    "behaviour",
    [
        {"accepted_times": 2},
        {"accepted_times": 0},
        {"complete_missing": True},
        {"complete_before_hold": True},
        {"accepts_nothing_to_do": True},
        {"moving_reports": 3},
        {"moving_reports": 0},
        {"states_size": 15},
        {"states_size": 19},
        {"pushes_states_of_others": True},
        {"motor_s": 0.0},
    ],
    ids=lambda b: "-".join(f"{k}={v}" for k, v in b.items()),
)
@pytest.mark.parametrize("action", [Action.UNLOCK, Action.LOCK, Action.UNLATCH, Action.LOCK_N_GO])
async def test_every_variant_of_an_answer_leads_to_success(behaviour: dict[str, Any], action: Action) -> None:
    rig = Rig(**behaviour)
    async with rig.running() as lock:
        assert (await lock.perform(action, 15.0)).completion == "success"
        await asyncio.sleep(60)
        assert lock.states is not None
        expected = LockState.LOCKED if action in (Action.LOCK, Action.LOCK_N_GO) else LockState.UNLOCKED
        assert lock.states.lock_state == expected


@BOTH
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
@pytest.mark.parametrize("action", [Action.UNLOCK, Action.LOCK])
async def test_a_lost_answer_is_resolved_and_the_motor_turns_once_at_most(
    connection: ConnectionMode, fault: str, action: Action
) -> None:
    rig = Rig()
    async with rig.running(connection) as lock:
        if action is Action.LOCK:
            await lock.perform(Action.UNLOCK, 15.0)
            await asyncio.sleep(5)
        before = len(rig.movements())
        # on demand the challenge is asked for first; its answer is one indication, the action the second write
        first = 1 if connection is ConnectionMode.PERSISTENT else 2
        setattr(rig.radio.faults, fault, first)
        started = clock()
        if fault == "lose_indication":  # ACCEPTED; what follows comes
            assert (await lock.perform(action, 15.0)).completion == "success"
        else:
            # without the PIN nothing proves whether the lock has got it, and that what it did was on our account
            with pytest.raises(OutcomeUnknown):
                await lock.perform(action, 15.0)
        assert clock() - started < 15.0
        is_locked = (action is Action.LOCK) != (fault == "disconnect_before_write")
        assert lock.states is not None
        assert lock.states.lock_state == (LockState.LOCKED if is_locked else LockState.UNLOCKED)
        await asyncio.sleep(60.0)
    assert len(rig.movements()) - before == (fault != "disconnect_before_write")


async def test_an_action_that_got_there_is_a_success_whoever_turns_the_lock_right_afterwards() -> None:
    rig = Rig(complete_missing=True)
    async with rig.running() as lock:
        task = asyncio.create_task(lock.perform(Action.UNLOCK, 15.0))
        while lock.states is None or lock.states.lock_state != LockState.UNLOCKED:
            await asyncio.sleep(0.01)
        rig.virtual.turn_by_hand(LockState.LOCKED)
        assert (await task).completion == "success"


@pytest.mark.parametrize(("action", "start"), [(Action.LOCK, LockState.UNLOCKED), (Action.UNLOCK, LockState.LOCKED)])
async def test_an_accepted_action_that_did_not_get_there_is_no_success_without_a_completion_status(
    action: Action, start: LockState
) -> None:
    """Old firmware tells none, and the Error Report got lost: only the state says that it was canceled."""
    rig = Rig(states_size=15, start_state=start)
    async with rig.running() as lock:
        rig.radio.faults.lose_indication = 4  # after ACCEPTED, moving, undefined
        task = asyncio.create_task(lock.perform(action, 15.0))
        while not rig.movements():
            await asyncio.sleep(0.01)
        rig.virtual.press_button()
        with pytest.raises(LockError, match="accepted the action, but it is undefined now") as failed:
            await task
        assert failed.value.code == "incomplete"
        assert rig.radio.faults.lose_indication == 0


async def test_a_lost_lock_is_unknown_when_somebody_has_unlocked_at_the_door_since() -> None:
    rig = Rig(start_state=LockState.UNLOCKED)
    async with rig.running() as lock:
        rig.radio.faults.disconnect_after_write = 1
        rig.states.clear()
        task = asyncio.create_task(lock.perform(Action.LOCK, 15.0))
        while LockState.LOCKING not in [states.lock_state for states in rig.states]:
            await asyncio.sleep(0.01)
        rig.virtual.press_button()
        rig.virtual.turn_by_hand(LockState.LOCKED)
        rig.virtual.press_button()
        with pytest.raises(OutcomeUnknown, match="the lock is unlocked now"):
            await task
    assert rig.movements() == ["lock: locking", "unlock: unlocking"]


@BOTH
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
async def test_a_full_lock_of_a_locked_door_whose_answer_got_lost_is_unknown(
    connection: ConnectionMode, fault: str
) -> None:
    """That the door is locked proves nothing, one turn does that, too; nor does what was done last: it may be older."""
    rig = Rig()
    async with rig.running(connection) as lock:
        setattr(rig.radio.faults, fault, 1 if connection is ConnectionMode.PERSISTENT else 2)
        with pytest.raises(OutcomeUnknown, match="the lock is locked now"):
            await lock.perform(Action.FULL_LOCK, 15.0)
    received = [entry.what for entry in rig.virtual.audit if entry.what == "action_received"]
    assert len(received) == (fault != "disconnect_before_write")


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
async def test_a_lost_unlatch_is_never_sent_again(fault: str) -> None:
    """It would open the door twice; without the PIN somebody else's looks the same once the link was lost."""
    rig = Rig()
    async with rig.running() as lock:
        setattr(rig.radio.faults, fault, 1)
        if fault == "lose_indication":
            assert (await lock.perform(Action.UNLATCH, 15.0)).completion == "success"
        else:
            with pytest.raises(OutcomeUnknown):
                await lock.perform(Action.UNLATCH, 15.0)
        await asyncio.sleep(20)
    assert len(rig.movements()) == (0 if fault == "disconnect_before_write" else 1)


async def test_a_second_unlatch_whose_answer_got_lost_is_unknown() -> None:
    """The lock's report looks the same whether it opened once or twice, if nobody saw it move."""
    rig = Rig(motor_s=0.0, unlatch_s=0.0)
    async with rig.running() as lock:
        await lock.perform(Action.UNLATCH, 15.0)
        await asyncio.sleep(17)
        rig.radio.faults.disconnect_after_write, rig.radio.connect_s = 1, 1.0
        with pytest.raises(OutcomeUnknown, match="the lock is unlocked now"):
            await lock.perform(Action.UNLATCH, 15.0)
        await asyncio.sleep(20)
    assert len(rig.movements()) == 2


async def test_a_lock_that_vanishes_after_the_command_gives_an_unknown_outcome() -> None:
    rig = Rig()
    async with rig.running() as lock:
        task = asyncio.create_task(lock.perform(Action.UNLOCK, 15.0))
        while not rig.movements():
            await asyncio.sleep(0.01)
        rig.virtual.out_of_range(True)
        with pytest.raises(OutcomeUnknown, match="cannot be asked"):
            await task
        rig.virtual.out_of_range(False)
        await asyncio.sleep(60)
        assert lock.states is not None
        assert lock.states.lock_state == LockState.UNLOCKED
    assert len(rig.movements()) == 1


@pytest.mark.parametrize("action", [Action.UNLOCK, Action.UNLATCH])
@pytest.mark.parametrize("stuck", [LockState.BOOT_RUN, LockState.CALIBRATING, LockState.UNLOCKING])
async def test_a_lock_that_reports_movement_for_ever_gives_an_unknown_outcome(action: Action, stuck: LockState) -> None:
    """Its turn goes to the next command then, and while it is waited for it is not asked each second."""
    rig = Rig()
    async with rig.running() as lock:
        rig.radio.faults.disconnect_after_write = 1
        started, writes = clock(), rig.writes()
        task = asyncio.create_task(lock.perform(action, 15.0))
        while not rig.movements():
            await asyncio.sleep(0.01)
        rig.virtual.motor.put(stuck, Trigger.SYSTEM)
        with pytest.raises(OutcomeUnknown, match=f"the lock is {name_of(stuck)} now"):
            async with asyncio.timeout(300.0):
                await task
        assert 120.0 <= clock() - started <= 135.0
        assert rig.writes() - writes <= 20
        assert (await lock.refresh(15.0)).lock_state == stuck


async def test_a_damaged_answer_does_not_repeat_the_action() -> None:
    rig = Rig()
    async with rig.running() as lock:
        rig.virtual.damage_next_answer()
        with pytest.raises(OutcomeUnknown, match="the lock is unlocked now"):
            await lock.perform(Action.UNLOCK, 15.0)
    assert len(rig.movements()) == 1


async def test_a_half_open_link_is_found_out() -> None:
    """This side believes in a link that the lock has forgotten; without the PIN nothing proves that it has."""
    rig = Rig()
    async with rig.running() as lock:
        rig.radio.half_open(ADDRESS)
        with pytest.raises(OutcomeUnknown, match="the lock is locked now"):
            await lock.perform(Action.UNLOCK, 15.0)
        assert (await lock.perform(Action.UNLOCK, 15.0)).completion == "success"
    assert len(rig.movements()) == 1


@BOTH
async def test_out_of_reach_fails_at_the_deadline_and_is_not_carried_out_later(connection: ConnectionMode) -> None:
    rig = Rig()
    async with rig.running(connection) as lock:
        rig.virtual.out_of_range(True)
        started = clock()
        with pytest.raises(TimedOut) as failed:
            await lock.perform(Action.UNLOCK, 15.0)
        assert failed.value.code == "timeout"
        assert 14.0 <= clock() - started <= 16.0
        await asyncio.sleep(300)
        assert not lock.reachable
        rig.virtual.out_of_range(False)
        await asyncio.sleep(300)
        assert lock.reachable
    assert rig.movements() == []


async def test_a_deadline_that_has_passed_sends_nothing() -> None:
    rig = Rig()
    async with rig.running() as lock:
        writes = rig.writes()
        with pytest.raises(TimedOut):
            await lock.perform(Action.UNLOCK, 0.0)
        with pytest.raises(TimedOut):
            await lock.perform(Action.UNLOCK, -3.0)
        assert rig.writes() - writes <= 1  # a challenge at most
    assert rig.movements() == []


async def test_first_attempts_to_connect_may_time_out() -> None:
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND) as lock:
        rig.radio.faults.connect_times_out = 1
        assert (await lock.perform(Action.UNLOCK, 15.0)).completion == "success"


async def test_commands_are_carried_out_one_after_the_other() -> None:
    rig = Rig()
    async with rig.running() as lock:
        results = await asyncio.gather(
            lock.perform(Action.UNLOCK, 15.0), lock.perform(Action.LOCK, 15.0), lock.refresh(15.0)
        )
        assert results[2].lock_state == LockState.LOCKED
    assert rig.movements() == ["unlock: unlocking", "lock: locking"]


async def test_an_adapter_that_goes_away_is_an_error_at_once_and_comes_back_by_itself() -> None:
    rig = Rig()
    async with rig.running() as lock:
        rig.radio.set_adapter(False, "no Bluetooth adapter was found")
        await asyncio.sleep(0.1)
        assert not lock.reachable
        with pytest.raises(AdapterUnavailable, match="no Bluetooth adapter"):
            await lock.perform(Action.UNLOCK, 15.0)
        await asyncio.sleep(7200)
        rig.radio.set_adapter(True)
        await asyncio.sleep(2.0)
        assert lock.connected
        assert lock.reachable
        assert (await lock.perform(Action.UNLOCK, 15.0)).completion == "success"


async def test_a_short_loss_of_the_link_is_not_an_outage() -> None:
    rig = Rig()
    async with rig.running() as lock:
        rig.changes.clear()
        rig.virtual.drop_links()
        await asyncio.sleep(5.0)
        assert lock.connected
        assert lock.reconnects == 2
    assert False not in rig.changes


async def drop_each_link_after(rig: Rig, seconds: float) -> None:
    """The lock, or somebody in between, ends every link so soon; until cancelled."""
    while True:
        while not rig.lock.connected:
            await asyncio.sleep(0.01)
        await asyncio.sleep(seconds)
        rig.virtual.drop_links()
        await asyncio.sleep(0.01)


async def test_a_lock_that_drops_each_link_after_good_exchanges_is_connected_ever_less_often() -> None:
    """Each connection costs its battery."""
    rig = Rig()
    async with rig.running() as lock:
        reconnects = lock.reconnects
        dropping = asyncio.create_task(drop_each_link_after(rig, 1.0))
        await asyncio.sleep(60.0)
        assert 4 <= lock.reconnects - reconnects <= 12
        await asyncio.sleep(240.0)
        assert lock.reconnects - reconnects <= 24
        assert lock.reachable
        dropping.cancel()


async def test_a_command_does_not_wait_for_the_pause_before_a_lock_is_connected_again() -> None:
    rig = Rig()
    async with rig.running() as lock:
        dropping = asyncio.create_task(drop_each_link_after(rig, 0.5))
        await asyncio.sleep(120.0)
        dropping.cancel()
        rig.virtual.drop_links()
        await asyncio.sleep(0.5)
        assert not lock.connected
        started = clock()
        await lock.refresh(15.0)
        assert clock() - started < 1.0


async def test_a_link_that_lived_long_is_regained_at_once() -> None:
    rig = Rig()
    async with rig.running() as lock:
        for _ in range(20):
            await asyncio.sleep(40.0)
            rig.virtual.drop_links()
            await asyncio.sleep(1.0)
            assert lock.connected


async def test_a_removed_authorization_is_reported_and_recovers_when_given_back() -> None:
    rig = Rig()
    async with rig.running() as lock:
        number = lock.paired.authorization_id
        rig.virtual.set_enabled(number, False)
        with pytest.raises(LockError) as refused:
            await lock.perform(Action.UNLOCK, 15.0)
        assert refused.value.code == "disabled"
        assert not lock.reachable
        rig.virtual.set_enabled(number, True)
        await asyncio.sleep(130)
        assert lock.reachable
        assert lock.fault is None
        rig.virtual.remove_authorization(number)
        with pytest.raises(LockError) as refused:
            await lock.perform(Action.UNLOCK, 15.0)
        assert refused.value.code == "not_authorized"
        connections = lock.reconnects
        await asyncio.sleep(3600)
        assert lock.reconnects - connections <= 130
    assert rig.movements() == []


async def test_on_demand_an_action_comes_before_listening_for_plain_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to the challenge proves the key; one round trip less until the motor starts."""
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND) as lock:
        moved: list[int] = []
        subscribe_gdio = lock.exchange.link.subscribe_gdio

        async def noted() -> None:
            moved.append(len(rig.movements()))
            await subscribe_gdio()

        monkeypatch.setattr(lock.exchange.link, "subscribe_gdio", noted)
        await lock.perform(Action.UNLOCK, 15.0)
        await asyncio.sleep(0.5)
        assert moved == [1]
        assert lock.exchange.link.gdio_subscribed
        await lock.refresh(15.0)
        await asyncio.sleep(5.0)
        await lock.refresh(15.0)
        assert lock.exchange.link.gdio_subscribed
        assert moved == [1]


async def test_on_demand_a_removed_authorization_is_heard_by_the_second_link_and_then_at_once() -> None:
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND) as lock:
        rig.virtual.remove_authorization(lock.paired.authorization_id)
        for limit_s in (10.0, 2.0):
            start = clock()
            with pytest.raises(LockError) as refused:
                await lock.perform(Action.UNLOCK, 15.0)
            assert refused.value.code == "not_authorized"
            assert not lock.reachable
            assert clock() - start < limit_s
            await asyncio.sleep(5.0)
    assert rig.movements() == []


async def test_a_link_that_is_lost_before_it_listens_for_plain_errors_is_made_again() -> None:
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND) as lock:
        task = asyncio.create_task(lock.perform(Action.UNLOCK, 15.0))
        while not lock.connected:
            await asyncio.sleep(0.001)
        refresh = asyncio.create_task(lock.refresh(15.0))
        await task
        rig.virtual.drop_links()
        assert (await refresh).lock_state == LockState.UNLOCKED
        assert lock.exchange.link.gdio_subscribed
    assert rig.movements() == ["unlock: unlocking"]


async def test_battery_and_config_are_read() -> None:
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND) as lock:
        report = await lock.read_battery(15.0)
        assert report.voltage_mv > 3000
        config = await lock.read_config(15.0)
        assert config.nuki_id == lock.paired.nuki_id


async def test_a_changed_configuration_is_read_again() -> None:
    rig = Rig()
    async with rig.running() as lock:
        assert lock.config is not None
        rig.virtual.settings.name = "Garden gate"
        rig.virtual.config_changed()
        await asyncio.sleep(15)
        assert lock.config.name == "Garden gate"


async def test_the_door_is_reported() -> None:
    rig = Rig()
    async with rig.running() as lock:
        rig.virtual.set_door(DoorState.OPEN)
        await asyncio.sleep(12)
        assert lock.states is not None
        assert lock.states.door_state == DoorState.OPEN


@pytest.mark.parametrize("mtu", [23, 247, 517])
async def test_any_mtu_works(mtu: int) -> None:
    rig = Rig()
    rig.radio.mtu = mtu
    async with rig.running() as lock:
        assert (await lock.perform(Action.UNLOCK, 15.0)).completion == "success"


async def test_slow_links_work() -> None:
    rig = Rig()
    rig.radio.latency_s, rig.radio.write_s, rig.radio.connect_s = 0.2, 0.2, 3.0
    async with rig.running() as lock:
        assert (await lock.perform(Action.UNLOCK, 15.0)).completion == "success"


async def test_a_late_frame_for_somebody_else_does_not_disturb_an_exchange() -> None:
    """A guest's session may have ended before the lock has told it everything."""
    rig = Rig()
    async with rig.running() as lock:
        before = lock.reconnects
        frame = seal(4711, Command.STATUS, b"\0", bytes(32), bytes(24))
        asyncio.get_running_loop().call_later(0.15, lock.exchange._on_data, Channel.USDIO, frame)
        outcome = await lock.perform(Action.UNLOCK, 15.0)
        assert outcome.states is not None
        await asyncio.sleep(1.0)
        assert lock.reconnects == before
