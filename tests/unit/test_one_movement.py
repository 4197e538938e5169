"""One command, one motor start, and no false word: the lock's own record is the judge, not what the client believes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.errors import LockError
from nuki_bridge.lock.admin import Admin
from nuki_bridge.lock.link_plan import ConnectionMode
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.outcome import NotExecuted, OutcomeUnknown
from nuki_bridge.owner import log_entries
from nuki_bridge.protocol.codes import Action, Command, Completion, ErrorCode, IdType, LockState, LogType
from nuki_bridge.protocol.crypto import KEY_SIZE
from nuki_bridge.protocol.messages import ErrorReport
from nuki_bridge.protocol.wire import Message
from tests.unit.rig import MODES, Rig, clock

WITH_PIN = pytest.mark.parametrize("pin", [False, True], ids=["without PIN", "with PIN"])


async def owner_of(rig: Rig, lock: Lock) -> Admin:
    """Somebody who knows the PIN and has read the log, in which there is something."""
    rig.virtual.write_log(LogType.DOOR_SENSOR, 0)
    lock.pin.use(rig.pin)
    admin = Admin(lock)
    await read_log(lock, admin)
    return admin


async def read_log(lock: Lock, admin: Admin) -> None:
    await log_entries.read(lock, admin, start=0, count=5, descending=True, timeout_s=15.0)
    await asyncio.sleep(1.0)  # over a held link the next challenge is in hand then


def starts(rig: Rig) -> list[str]:
    """The actions of ours for which the motor started, by the lock's record."""
    return [entry.detail or "" for entry in rig.virtual.audit if entry.what == "action_started"]


async def moving(rig: Rig, count: int = 1) -> None:
    """Wait until the motor has started so often."""
    while len(rig.movements()) < count:
        await asyncio.sleep(0.01)


async def word(task: asyncio.Task[Any]) -> str:
    try:
        return str((await task).completion)
    except (LockError, NotExecuted, OutcomeUnknown) as error:
        return error.code


def perform(lock: Lock, action: Action, timeout_s: float = 15.0) -> asyncio.Task[Any]:
    return asyncio.create_task(lock.perform(action, timeout_s))


def by_phone(rig: Rig, action: Action) -> None:
    phone = rig.virtual.add_user(bytes(KEY_SIZE), IdType.APP, 77, "phone", full=ErrorCode.MAX_USER)
    rig.virtual.motion.perform(rig.virtual.connections.request(99, phone, Command.LOCK_ACTION), action)


# -- an answer that got lost ------------------------------------------------------------------------------------------


def _blocked(rig: Rig) -> None:
    rig.virtual.block_motor()


def _ran_too_long(rig: Rig) -> None:
    rig.virtual.motor.fails = (Completion.OTHER_ERROR, LockState.UNDEFINED)


def _stopped(rig: Rig) -> None:
    asyncio.get_running_loop().call_later(1.0, rig.virtual.press_button)


@WITH_PIN
@pytest.mark.parametrize(
    ("trouble", "code"),
    [(_blocked, "motor_blocked"), (_stopped, "canceled"), (_ran_too_long, "other_error")],
    ids=["blocked", "stopped by the button", "ran too long"],
)
async def test_the_same_failure_twice_is_no_proof_that_nothing_happened(
    trouble: Callable[[Rig], None], code: str, pin: bool
) -> None:
    """The lock reports the same before and after; the second answer is lost."""
    rig = Rig()
    async with rig.running() as lock:
        admin = await owner_of(rig, lock) if pin else None
        trouble(rig)
        first = perform(lock, Action.UNLOCK)
        assert await word(first) in (code, "success" if code == "other_error" else code)
        await asyncio.sleep(2.0)
        if admin is not None:
            await read_log(lock, admin)
        trouble(rig)
        rig.radio.faults.disconnect_after_write, rig.radio.connect_s = 1, 3.0
        assert await word(perform(lock, Action.UNLOCK)) == (code if pin else "outcome_unknown")
        await asyncio.sleep(60.0)
    assert starts(rig) == ["unlock", "unlock"]


def _knob(state: LockState) -> Callable[[Rig], None]:
    return lambda rig: rig.virtual.turn_by_hand(state)


def _keypad(action: Action) -> Callable[[Rig], None]:
    return lambda rig: rig.virtual.use_keypad(action)


@WITH_PIN
@pytest.mark.parametrize(
    ("action", "back"),
    [
        (Action.UNLOCK, lambda rig: rig.virtual.auto_lock()),
        (Action.UNLOCK, _knob(LockState.LOCKED)),
        (Action.UNLOCK, _keypad(Action.LOCK)),
        (Action.UNLOCK, lambda rig: by_phone(rig, Action.LOCK)),
        (Action.UNLOCK, lambda rig: rig.virtual.press_button()),
        (Action.LOCK, _knob(LockState.UNLOCKED)),
        (Action.LOCK, _keypad(Action.UNLOCK)),
        (Action.LOCK, lambda rig: by_phone(rig, Action.UNLOCK)),
        (Action.FULL_LOCK, _knob(LockState.UNLOCKED)),
        (Action.UNLATCH, lambda rig: rig.virtual.auto_lock()),
        (Action.UNLATCH, _knob(LockState.LOCKED)),
    ],
    ids=lambda each: each.name.lower() if isinstance(each, Action) else "turned back",
)
@pytest.mark.parametrize("connection", MODES, ids=lambda c: c.value)
async def test_a_door_that_somebody_turned_back_while_the_lock_was_away_stays_so(
    action: Action, back: Callable[[Rig], None], pin: bool, connection: ConnectionMode
) -> None:
    start = LockState.LOCKED if action in (Action.UNLOCK, Action.UNLATCH) else LockState.UNLOCKED
    rig = Rig(start_state=start, unlatch_s=1.0)
    async with rig.running(connection) as lock:
        if pin:
            await owner_of(rig, lock)
        task = perform(lock, action)
        await moving(rig)
        rig.virtual.out_of_range()
        await asyncio.sleep(5.0)
        back(rig)
        await asyncio.sleep(4.0)
        rig.virtual.out_of_range(False)
        assert await word(task) == ("success" if pin else "outcome_unknown")
        await asyncio.sleep(60.0)
    ours = [entry for entry in rig.virtual.audit if entry.what == "action_started" and entry.authorization_id == 1]
    assert len(ours) == 1


async def test_a_lock_that_is_seen_turning_back_is_not_turned_again() -> None:
    """The report in between, locking, counts; so does one that nobody asked for."""
    rig = Rig(pushes_states_of_others=True)
    async with rig.running() as lock:
        await owner_of(rig, lock)
        rig.radio.faults.disconnect_before_write = 1
        task = perform(lock, Action.UNLOCK)
        await asyncio.sleep(1.0)
        assert lock.connected
        rig.virtual.turn_by_hand(LockState.UNLOCKED)
        rig.virtual.auto_lock()
        assert await word(task) == "outcome_unknown"
        await asyncio.sleep(60.0)
    assert starts(rig) == []


# -- somebody else's of the same name ---------------------------------------------------------------------------------

LOST = pytest.mark.parametrize("fault", ["disconnect_after_write", "write_fails_after_delivery"])


@WITH_PIN
@LOST
@pytest.mark.parametrize("action", [Action.UNLOCK, Action.UNLATCH, Action.LOCK])
@pytest.mark.parametrize("connection", MODES, ids=lambda c: c.value)
async def test_what_was_done_while_the_link_was_lost_only_the_log_tells(
    action: Action, fault: str, connection: ConnectionMode, pin: bool
) -> None:
    rig = Rig(start_state=LockState.UNLOCKED if action is Action.LOCK else LockState.LOCKED)
    async with rig.running(connection) as lock:
        if pin:
            await owner_of(rig, lock)
            await asyncio.sleep(10.0)
        setattr(rig.radio.faults, fault, 1 if connection is ConnectionMode.PERSISTENT else 2)
        assert await word(perform(lock, action)) == ("success" if pin else "outcome_unknown")
        await asyncio.sleep(60.0)
    assert starts(rig) == [action.name.lower()]


@WITH_PIN
@pytest.mark.parametrize("blocks", [False, True], ids=["the other succeeds", "the other is blocked"])
@pytest.mark.parametrize("action", [Action.UNLOCK, Action.UNLATCH])
async def test_another_of_the_same_name_is_not_taken_for_ours(action: Action, blocks: bool, pin: bool) -> None:
    """The lock has accepted ours and goes out of sight; somebody stops it, and another phone asks for the same."""
    rig = Rig()
    async with rig.running() as lock:
        if pin:
            await owner_of(rig, lock)
        task = perform(lock, action)
        await moving(rig)
        rig.virtual.out_of_range()
        rig.virtual.press_button()
        rig.virtual.block_motor(blocks)
        by_phone(rig, action)
        await asyncio.sleep(12.0)
        rig.virtual.out_of_range(False)
        assert await word(task) == ("canceled" if pin else "outcome_unknown")


@WITH_PIN
@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize(("away_s", "is_in_sight"), [(3.0, True), (12.0, False)])
@pytest.mark.parametrize("action", [Action.UNLOCK, Action.LOCK])
async def test_a_link_that_breaks_while_the_motor_turns_leaves_the_lock_in_sight_for_a_moment(
    action: Action, away_s: float, is_in_sight: bool, blocks: bool, pin: bool
) -> None:
    rig = Rig(start_state=LockState.UNLOCKED if action is Action.LOCK else LockState.LOCKED)
    async with rig.running() as lock:
        if pin:
            await owner_of(rig, lock)
        rig.virtual.block_motor(blocks)
        task = perform(lock, action)
        await moving(rig)
        rig.virtual.out_of_range()
        await asyncio.sleep(away_s)
        rig.virtual.out_of_range(False)
        told = "motor_blocked" if blocks else "success"
        assert await word(task) == (told if pin or is_in_sight else "outcome_unknown")
        await asyncio.sleep(60.0)
    assert starts(rig) == [action.name.lower()]


@pytest.mark.parametrize(("action", "theirs"), [(Action.LOCK, Action.FULL_LOCK), (Action.UNLOCK, Action.UNLATCH)])
async def test_a_refusal_is_believed_while_somebody_elses_of_a_like_name_moves_the_lock(
    action: Action, theirs: Action
) -> None:
    """Its movement is told over our link, after we have sent and before the lock has said anything to us."""
    rig = Rig(
        pushes_states_of_others=True, start_state=LockState.UNLOCKED if action is Action.LOCK else LockState.LOCKED
    )
    rig.radio.write_s = 0.5
    async with rig.running() as lock:
        task = perform(lock, action, 1.0)
        await asyncio.sleep(0.1)
        by_phone(rig, theirs)
        assert await word(task) == "busy"
        await asyncio.sleep(30.0)
    assert [entry.authorization_id for entry in rig.virtual.audit if entry.what == "motor"] == [2]


def told_to_us(rig: Rig, message: Message, *, after_s: float = 0.0) -> None:
    """The lock sends this over our link, for another device that has the same key."""
    ours = rig.virtual.authorizations.get(1)
    assert ours is not None

    def send() -> None:
        for connection_id in range(1, 20):
            rig.virtual.connections.send_encrypted(connection_id, ours, message)

    asyncio.get_running_loop().call_later(after_s, send)


CANCELED = ErrorReport(error=ErrorCode.CANCELED, failed_command=Command.LOCK_ACTION)


@WITH_PIN
@pytest.mark.parametrize("error", [ErrorCode.BUSY, ErrorCode.BAD_NONCE])
@pytest.mark.parametrize("action", [Action.UNLATCH, Action.LOCK])
async def test_a_refusal_of_another_device_with_our_key_does_not_start_the_motor_twice(
    action: Action, error: ErrorCode, pin: bool
) -> None:
    """The lock said nothing of ours but that it moves, as some firmware does, and may have meant us."""
    rig = Rig(accepted_times=0, complete_missing=True, start_state=LockState.UNLOCKED)
    async with rig.running() as lock:
        if pin:
            await owner_of(rig, lock)
        task = perform(lock, action)
        await moving(rig)
        told_to_us(rig, ErrorReport(error=error, failed_command=Command.LOCK_ACTION), after_s=0.1)
        assert await word(task) == ("success" if pin else "outcome_unknown")
        await asyncio.sleep(20.0)
    assert starts(rig) == [action.name.lower()]


@pytest.mark.parametrize("after_s", [0.01, 0.2])
async def test_how_an_action_of_another_device_with_our_key_failed_is_not_told_of_ours(after_s: float) -> None:
    """As of two phones that share a credential; it comes before the lock has looked at ours."""
    rig = Rig(lock_n_go_s=5.0)
    rig.radio.write_s, rig.radio.latency_s = 0.5, 0.1
    async with rig.running(ConnectionMode.ON_DEMAND) as lock:
        task = perform(lock, Action.LOCK_N_GO)
        while not lock.connected:
            await asyncio.sleep(0.01)
        told_to_us(rig, CANCELED, after_s=after_s)
        assert await word(task) == "success"
        assert await lock.refresh(15.0)


async def test_a_report_from_before_the_lock_took_an_action_does_not_tell_how_it_ended() -> None:
    """A hand has just stopped another phone's unlatch, and the knob is held where our unlock leads."""
    rig = Rig(accepts_nothing_to_do=True, pushes_states_of_others=True)
    rig.radio.write_s, rig.radio.latency_s = 0.3, 0.1
    async with rig.running() as lock:
        by_phone(rig, Action.UNLATCH)
        await asyncio.sleep(1.0)
        task = perform(lock, Action.UNLOCK)
        await asyncio.sleep(0.01)
        rig.virtual.turn_by_hand(LockState.UNLATCHED)
        assert await word(task) == "success"


async def test_another_lock_n_go_is_told_apart_by_how_long_it_waits() -> None:
    rig = Rig(lock_n_go_s=20.0)
    async with rig.running() as lock:
        task = perform(lock, Action.LOCK_N_GO)
        await waiting(rig)
        await asyncio.sleep(1.0)
        rig.virtual.out_of_range()
        await asyncio.sleep(1.0)
        rig.virtual.press_button()
        await asyncio.sleep(5.0)
        by_phone(rig, Action.LOCK_N_GO)
        rig.virtual.out_of_range(False)
        assert await word(task) == "outcome_unknown"


async def test_after_a_gap_that_holds_a_whole_lock_n_go_it_may_be_another() -> None:
    rig = Rig(lock_n_go_s=5.0)
    async with rig.running() as lock:
        task = perform(lock, Action.LOCK_N_GO)
        await waiting(rig)
        rig.virtual.out_of_range()
        await asyncio.sleep(1.0)
        rig.virtual.press_button()
        by_phone(rig, Action.LOCK_N_GO)
        await asyncio.sleep(10.0)
        rig.virtual.out_of_range(False)
        assert await word(task) == "outcome_unknown"


@pytest.mark.parametrize("action", [Action.UNLOCK, Action.UNLATCH])
async def test_a_movement_that_is_told_before_ours_can_have_arrived_is_somebody_elses(action: Action) -> None:
    """The link is slow, and lost before the lock has ours; what it told last was on its way already."""
    rig = Rig(pushes_states_of_others=True)
    async with rig.running(ConnectionMode.ON_DEMAND) as lock:
        await asyncio.sleep(10.0)
        assert not lock.connected
        rig.radio.latency_s = 1.0
        writes = rig.writes()
        task = perform(lock, action)
        while rig.writes() == writes:
            await asyncio.sleep(0.01)
        by_phone(rig, action)
        await asyncio.sleep(0.5)
        rig.virtual.reboot()
        assert await word(task) == "outcome_unknown"
        assert starts(rig) == [action.name.lower()]


@pytest.mark.parametrize("connection", [ConnectionMode.PERSISTENT, ConnectionMode.ON_DEMAND])
async def test_a_movement_of_ours_over_a_slow_link_counts_as_ours(connection: ConnectionMode) -> None:
    """Also of firmware that says nothing but its states."""
    rig = Rig(accepted_times=0, complete_missing=True)
    async with rig.running(connection) as lock:
        rig.radio.latency_s = 1.0
        await asyncio.sleep(40.0)
        assert await word(perform(lock, Action.UNLATCH)) == "success"


@pytest.mark.parametrize("states_size", [15, 21])
async def test_whether_a_lock_command_ended_a_lock_n_go_in_its_last_second_is_not_guessed(states_size: int) -> None:
    """Old firmware tells no last action: it looks as if lock 'n' go had locked by itself."""
    rig = Rig(lock_n_go_s=8.0, states_size=states_size)
    async with rig.running() as lock:
        first = perform(lock, Action.LOCK_N_GO)
        while rig.virtual.motor.state != LockState.UNLOCKED_LOCK_N_GO:
            await asyncio.sleep(0.01)
        await asyncio.sleep(7.0)
        assert await word(perform(lock, Action.LOCK)) == "success"
        assert await word(first) == "outcome_unknown"
    assert [entry.detail for entry in rig.virtual.audit if entry.what == "completed"] == ["canceled", "success"]


async def test_a_lock_n_go_that_had_locked_when_the_next_command_came_was_not_ended_by_it() -> None:
    """The wait was read with a second left, and was over when the lock got the other command."""
    rig = Rig(lock_n_go_s=5.0, motor_s=0.1, start_state=LockState.UNLOCKED, complete_missing=True)
    async with rig.running() as lock:
        rig.radio.latency_s = 1.0
        first = perform(lock, Action.LOCK_N_GO)
        await asyncio.sleep(3.0)
        second = perform(lock, Action.LOCK)
        words = await word(first), await word(second)
        assert words == ("outcome_unknown", "success")


async def test_a_hand_on_the_knob_is_no_action_of_somebody_else() -> None:
    """So the movement of ours that follows counts; this firmware says nothing else of it."""
    rig = Rig(accepted_times=0, complete_missing=True)
    async with rig.running() as lock:
        rig.virtual.turn_by_hand(LockState.UNLATCHED)
        assert (await lock.refresh(15.0)).lock_state == LockState.UNLATCHED
        assert await word(perform(lock, Action.LOCK)) == "success"


# -- the log as proof -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("connection", MODES, ids=lambda c: c.value)
@pytest.mark.parametrize("action", [Action.UNLOCK, Action.LOCK, Action.FULL_LOCK])
async def test_what_the_log_proves_not_to_have_happened_is_sent_again(
    action: Action, connection: ConnectionMode
) -> None:
    rig = Rig(start_state=LockState.LOCKED if action is Action.UNLOCK else LockState.UNLOCKED)
    async with rig.running(connection) as lock:
        await owner_of(rig, lock)
        await asyncio.sleep(5.0)
        rig.radio.faults.disconnect_before_write = 1 if connection is ConnectionMode.PERSISTENT else 2
        began = clock()
        assert await word(perform(lock, action)) == "success"
        assert clock() - began < 15.0
    assert len(starts(rig)) == 1


@pytest.mark.parametrize("action", [Action.UNLATCH, Action.LOCK_N_GO])
async def test_an_action_that_does_more_than_lead_to_a_state_is_never_sent_again(action: Action) -> None:
    rig = Rig()
    async with rig.running() as lock:
        await owner_of(rig, lock)
        rig.radio.faults.disconnect_before_write = 1
        assert await word(perform(lock, action)) == "not_executed"
        await asyncio.sleep(60.0)
    assert starts(rig) == []


async def test_nothing_is_sent_again_after_the_deadline() -> None:
    rig = Rig()
    async with rig.running() as lock:
        await owner_of(rig, lock)
        rig.radio.faults.disconnect_before_write = 1
        assert await word(perform(lock, Action.UNLOCK, 3.0)) == "not_executed"
    assert starts(rig) == []


def _logging_off(rig: Rig, lock: Lock) -> None:
    rig.virtual.log.enabled = False


def _logging_off_for_a_while(rig: Rig, lock: Lock) -> None:
    """It is on again when the log is read: the switch stands there, what happened in between does not."""

    def switch_on() -> None:
        rig.virtual.log.enabled = True
        rig.virtual.write_log(LogType.LOGGING, 1)

    rig.virtual.write_log(LogType.LOGGING, 0)
    rig.virtual.log.enabled = False
    asyncio.get_running_loop().call_later(2.0, switch_on)


def _log_cleared(rig: Rig, lock: Lock) -> None:
    """As after a reset: it counts anew, and by chance up to where it was."""
    rig.virtual.log.load([])
    rig.virtual.log.next_index = 1
    for _ in range(9):
        rig.virtual.write_log(LogType.DOOR_SENSOR, 1)


def _entries_lost(rig: Rig, lock: Lock) -> None:
    """One message of the list does not arrive: states, challenge, states, challenge, count, entry."""
    asyncio.get_running_loop().call_later(4.0, lambda: setattr(rig.radio.faults, "lose_indication", 3))


def _pin_changed(rig: Rig, lock: Lock) -> None:
    rig.virtual.pin_guard.change(4711)


@pytest.mark.parametrize("flaw", [_logging_off, _logging_off_for_a_while, _log_cleared, _pin_changed])
async def test_a_log_that_proves_nothing_has_nothing_sent_again(flaw: Callable[[Rig, Lock], None]) -> None:
    rig = Rig()
    async with rig.running() as lock:
        await owner_of(rig, lock)
        flaw(rig, lock)
        rig.radio.faults.disconnect_before_write = 1
        assert await word(perform(lock, Action.UNLOCK)) == "outcome_unknown"
        await asyncio.sleep(60.0)
    assert starts(rig) == []
    assert rig.virtual.pin_guard.wrong <= 1


@pytest.mark.parametrize("nth", range(1, 9))
async def test_an_entry_that_is_lost_on_its_way_is_not_taken_for_missing(nth: int) -> None:
    """The motor was blocked and the entry says so; the state is as it was before."""
    rig = Rig(motor_s=0.0)
    async with rig.running() as lock:
        rig.virtual.block_motor()
        assert await word(perform(lock, Action.UNLOCK)) == "motor_blocked"
        await owner_of(rig, lock)
        rig.radio.faults.disconnect_after_write, rig.radio.connect_s = 1, 1.0
        asyncio.get_running_loop().call_later(5.0, lambda: setattr(rig.radio.faults, "lose_indication", nth))
        assert await word(perform(lock, Action.UNLOCK)) in ("motor_blocked", "outcome_unknown")
        await asyncio.sleep(60.0)
    assert starts(rig) == ["unlock", "unlock"]


@pytest.mark.parametrize("habit", [{"queue_s": 2.0}, {"queue_s": 4.0}, {"log_late_s": 1.5}, {"log_data_padded": True}])
async def test_an_action_that_is_under_way_when_the_lock_is_asked_is_not_sent_again(habit: dict[str, Any]) -> None:
    rig = Rig(motor_s=0.5, **habit)
    async with rig.running() as lock:
        await owner_of(rig, lock)
        rig.radio.faults.disconnect_after_write = 1
        assert await word(perform(lock, Action.UNLOCK)) == "success"
        await asyncio.sleep(60.0)
    assert starts(rig) == ["unlock"]


@WITH_PIN
@pytest.mark.parametrize(
    "fault", ["disconnect_before_write", "disconnect_after_write", "write_fails_after_delivery", "lose_indication"]
)
@pytest.mark.parametrize("late_s", [0.0, 1.5])
async def test_a_lost_full_lock_of_a_locked_door_is_told_by_the_log_alone(fault: str, late_s: float, pin: bool) -> None:
    """Old firmware tells no last action, and the door was locked before: its states can never tell."""
    rig = Rig(states_size=15, log_late_s=late_s)
    async with rig.running() as lock:
        if pin:
            await owner_of(rig, lock)
        setattr(rig.radio.faults, fault, 1)
        assert await word(perform(lock, Action.FULL_LOCK)) == ("success" if pin else "outcome_unknown")
        await asyncio.sleep(60.0)
    received = [entry for entry in rig.virtual.audit if entry.what == "action_received"]
    assert len(received) == (pin or fault != "disconnect_before_write")


async def test_the_entry_of_an_earlier_action_of_the_same_name_proves_nothing() -> None:
    """Its entry comes after the log was read: what is above the mark then need not be of the second one."""
    rig = Rig(motor_s=0.2, log_late_s=3.0)
    async with rig.running() as lock:
        admin = await owner_of(rig, lock)
        assert await word(perform(lock, Action.UNLATCH)) == "success"
        await read_log(lock, admin)
        rig.radio.faults.disconnect_before_write = 1
        assert await word(perform(lock, Action.UNLATCH)) == "outcome_unknown"
        await asyncio.sleep(60.0)
        await read_log(lock, admin)
        rig.radio.faults.disconnect_before_write = 1
        assert await word(perform(lock, Action.UNLATCH)) == "not_executed"
    assert starts(rig) == ["unlatch"]


@pytest.mark.parametrize("suffix_missing", [False, True])
@pytest.mark.parametrize("action", [Action.UNLOCK, Action.UNLATCH])
async def test_an_entry_of_ours_without_the_commands_name_may_be_of_it(action: Action, suffix_missing: bool) -> None:
    """The motor was blocked, and has been at rest for a while when the lock is asked."""
    rig = Rig(motor_s=0.5, suffix_missing=suffix_missing)
    async with rig.running() as lock:
        await owner_of(rig, lock)
        rig.virtual.block_motor()
        rig.radio.faults.disconnect_after_write, rig.radio.connect_s = 1, 1.5
        task = asyncio.create_task(lock.perform(action, 15.0, suffix="anna"))
        assert await word(task) == ("outcome_unknown" if suffix_missing else "motor_blocked")
        await asyncio.sleep(60.0)
    assert len(starts(rig)) == 1


@pytest.mark.parametrize("states_size", [15, 21])
@pytest.mark.parametrize("forgets", [False, True], ids=["remembers", "forgets"])
@pytest.mark.parametrize("action", [Action.UNLOCK, Action.UNLATCH])
async def test_a_lock_whose_batteries_broke_down_under_the_motor_has_not_done_nothing(
    action: Action, forgets: bool, states_size: int
) -> None:
    """Nobody has heard a word of it, and its log has no entry: it started anew before that was written."""
    rig = Rig(reboot_loses_entry=True, reboot_forgets_action=forgets, states_size=states_size)
    async with rig.running() as lock:
        await owner_of(rig, lock)
        rig.radio.faults.disconnect_after_write, rig.radio.connect_s = 1, 3.0
        task = perform(lock, action)
        await moving(rig)
        await asyncio.sleep(0.3)
        rig.virtual.reboot()
        assert await word(task) == "outcome_unknown"
        await asyncio.sleep(60.0)
    assert len(starts(rig)) == 1


async def test_a_pin_that_the_lock_has_not_accepted_yet_is_not_tried_for_proof() -> None:
    rig = Rig()
    async with rig.running() as lock:
        lock.pin.use("4711")
        rig.radio.faults.disconnect_before_write = 1
        assert await word(perform(lock, Action.UNLOCK)) == "outcome_unknown"
    assert rig.virtual.pin_guard.wrong == 0


async def test_a_busy_lock_is_not_taken_for_one_that_has_done_it() -> None:
    """Its refusals stand in the log, too."""
    rig = Rig()
    async with rig.running() as lock:
        await owner_of(rig, lock)
        rig.virtual.be_busy(2.5)
        rig.radio.faults.disconnect_before_write = 4  # challenge and action, twice
        assert await word(perform(lock, Action.UNLOCK, 30.0)) == "success"
    assert starts(rig) == ["unlock"]


async def test_over_a_link_that_is_down_nothing_has_been_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is lost while the challenge is asked for: that is no lost answer."""
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND) as lock:
        take = lock.exchange.take_challenge

        async def taken() -> bytes:
            nonce = await take()
            monkeypatch.undo()
            await lock.exchange.drop()
            return nonce

        monkeypatch.setattr(lock.exchange, "take_challenge", taken)
        assert await word(perform(lock, Action.UNLATCH)) == "success"
    assert starts(rig) == ["unlatch"]


# -- true words -------------------------------------------------------------------------------------------------------


async def latch_held(rig: Rig) -> None:
    while rig.virtual.motor.state != LockState.UNLATCHED:
        await asyncio.sleep(0.01)


async def test_an_unlatch_whose_link_breaks_while_the_latch_is_held_has_succeeded() -> None:
    rig = Rig()
    async with rig.running() as lock:
        task = perform(lock, Action.UNLATCH)
        await latch_held(rig)
        rig.virtual.drop_links()
        assert await word(task) == "success"
        assert rig.virtual.motor.state == LockState.UNLOCKED


async def test_how_another_unlatch_failed_is_not_told_of_ours_that_was_seen_holding_the_latch() -> None:
    rig = Rig()
    async with rig.running() as lock:
        task = perform(lock, Action.UNLATCH)
        await latch_held(rig)
        await asyncio.sleep(0.5)
        rig.virtual.out_of_range()
        await asyncio.sleep(5.0)
        assert rig.virtual.motor.last_completion == Completion.SUCCESS
        by_phone(rig, Action.UNLATCH)
        await asyncio.sleep(1.0)
        rig.virtual.press_button()
        await asyncio.sleep(3.0)
        rig.virtual.out_of_range(False)
        assert await word(task) == "outcome_unknown"
    assert starts(rig) == ["unlatch", "unlatch"]


@pytest.mark.parametrize("habit", [{}, {"states_size": 15}, {"reboot_forgets_action": True}])
@pytest.mark.parametrize("after_s", [0.1, 1.0, 2.4])
async def test_an_unlatch_that_a_reboot_ended_has_not_succeeded(habit: dict[str, Any], after_s: float) -> None:
    rig = Rig(**habit)
    async with rig.running() as lock:
        task = perform(lock, Action.UNLATCH)
        await moving(rig)
        await asyncio.sleep(after_s)
        rig.radio.faults.lose_indication = 1
        rig.virtual.drop_links()
        rig.virtual.reboot()
        assert await word(task) in ("canceled", "incomplete", "outcome_unknown")
    assert starts(rig) == ["unlatch"]


async def test_an_earlier_failure_is_not_told_of_a_lock_command_while_the_lock_is_locked() -> None:
    rig = Rig(start_state=LockState.UNLOCKED)
    async with rig.running() as lock:
        rig.virtual.block_motor()
        assert await word(perform(lock, Action.LOCK)) == "motor_blocked"
        rig.virtual.block_motor(False)
        rig.virtual.turn_by_hand(LockState.LOCKED)
        await asyncio.sleep(15.0)
        rig.radio.faults.disconnect_before_write = 1
        assert await word(perform(lock, Action.LOCK)) == "outcome_unknown"
        assert await word(perform(lock, Action.LOCK)) == "success"  # nothing to do


@pytest.mark.parametrize("completion", [Completion.HANDLE_NOT_LIFTED, Completion.INCOMPLETE])
@pytest.mark.parametrize(
    ("asked", "prepare"),
    [
        (Action.LOCK, lambda rig: None),
        (Action.LOCK, lambda rig: setattr(rig.virtual.behaviour, "locks_as", Action.FULL_LOCK)),
        (Action.FOB_ACTION_2, lambda rig: None),
        (Action.UNLOCK, lambda rig: setattr(rig.virtual.settings, "auto_unlatch", True)),
    ],
    ids=["lock", "told as full lock", "fob action", "auto unlatch"],
)
@pytest.mark.parametrize("fault", ["", "complete_missing", "moving_reports"])
async def test_how_an_action_failed_is_told_whatever_name_the_lock_gives_it(
    completion: Completion, asked: Action, prepare: Callable[[Rig], None], fault: str
) -> None:
    """The lock says COMPLETE, and in its states that it failed."""
    rig = Rig(start_state=LockState.LOCKED if asked is Action.UNLOCK else LockState.UNLOCKED)
    async with rig.running() as lock:
        prepare(rig)
        if fault:
            setattr(rig.virtual.behaviour, fault, fault == "complete_missing")
        state = LockState.LOCKED if asked is not Action.UNLOCK else LockState.UNLOCKED
        rig.virtual.motor.fails = (completion, state)
        assert await word(perform(lock, asked)) == completion.name.lower()


async def test_a_refusal_that_comes_a_second_time_has_nothing_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the first try, it would pass for that of the second, which the lock has accepted meanwhile."""
    rig = Rig()
    rig.radio.latency_s = 0.3
    async with rig.running() as lock:
        heard: list[bytes] = []
        on_data = lock.exchange._on_data

        def keep(channel: Channel, data: bytes) -> None:
            heard.append(data)
            on_data(channel, data)

        monkeypatch.setattr(lock.exchange.link, "_on_data", keep)
        rig.virtual.be_busy(0.5)
        task = perform(lock, Action.UNLATCH)
        await asyncio.sleep(0.5)
        refusal = heard[-1]
        while not rig.movements():
            await asyncio.sleep(0.01)
        on_data(Channel.USDIO, refusal)
        assert await word(task) == "success"
        await asyncio.sleep(30.0)
    assert starts(rig) == ["unlatch"]
    assert len([entry for entry in rig.virtual.audit if entry.what == "action_received"]) == 2


# -- lock 'n' go ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("habit", [{}, {"complete_before_hold": True}, {"complete_missing": True}, {"states_size": 15}])
@pytest.mark.parametrize("action", [Action.LOCK_N_GO, Action.LOCK_N_GO_UNLATCH])
@pytest.mark.parametrize("lost", [False, True])
async def test_lock_n_go_has_succeeded_when_the_door_is_locked_again(
    habit: dict[str, Any], action: Action, lost: bool
) -> None:
    rig = Rig(**habit)
    async with rig.running() as lock:
        task = perform(lock, action)
        if lost:
            await asyncio.sleep(8.0)
            rig.virtual.drop_links()
        assert await word(task) == "success"
        assert rig.virtual.motor.state == LockState.LOCKED


async def waiting(rig: Rig) -> None:
    while rig.virtual.motor.state != LockState.UNLOCKED_LOCK_N_GO:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("connection", MODES, ids=lambda c: c.value)
@WITH_PIN
async def test_questions_are_answered_while_lock_n_go_waits(connection: ConnectionMode, pin: bool) -> None:
    rig = Rig()
    async with rig.running(connection) as lock:
        if pin:
            await owner_of(rig, lock)
        task = perform(lock, Action.LOCK_N_GO)
        await waiting(rig)
        for _ in range(3):
            await asyncio.sleep(2.0)
            began = clock()
            assert (await lock.refresh(15.0)).lock_state == LockState.UNLOCKED_LOCK_N_GO
            assert clock() - began < 2.0
        assert await word(task) == "success"
        assert rig.virtual.motor.state == LockState.LOCKED
    assert starts(rig) == ["lock_n_go"]


@pytest.mark.parametrize("connection", MODES, ids=lambda c: c.value)
@pytest.mark.parametrize("second", [Action.LOCK, Action.UNLOCK, Action.UNLATCH, Action.LOCK_N_GO])
async def test_a_command_goes_through_while_lock_n_go_waits_and_ends_it(
    connection: ConnectionMode, second: Action
) -> None:
    """The first command ends by what became of it."""
    rig = Rig()
    async with rig.running(connection) as lock:
        first = perform(lock, Action.LOCK_N_GO)
        await waiting(rig)
        await asyncio.sleep(4.0)
        began = clock()
        assert await word(perform(lock, second)) == "success"
        assert clock() - began < (40.0 if second is Action.LOCK_N_GO else 10.0)
        assert await word(first) == "canceled"
    ended = [entry.detail for entry in rig.virtual.audit if entry.what == "completed"]
    assert ended[0] == "canceled"


@pytest.mark.parametrize("after_s", [0.3, 1.0, 3.0])
async def test_the_end_of_another_lock_n_go_is_not_taken_for_that_of_ours(after_s: float) -> None:
    """Somebody's own phone begins one right after ours, and that waits hardly longer: only the log tells them apart."""
    rig = Rig(lock_n_go_s=20.0)
    async with rig.running() as lock:
        await owner_of(rig, lock)
        task = perform(lock, Action.LOCK_N_GO)
        await waiting(rig)
        await asyncio.sleep(0.1)
        asked = asyncio.create_task(lock.refresh(15.0))
        await asyncio.sleep(after_s)
        by_phone(rig, Action.LOCK_N_GO)
        assert await word(task) == "canceled"
        await asked
    assert starts(rig) == ["lock_n_go", "lock_n_go"]


async def test_a_lock_n_go_that_outlasts_the_lock_is_told_by_what_it_said_last() -> None:
    """The log cannot be asked: the lock is gone right after it has locked."""
    rig = Rig(lock_n_go_s=20.0)
    async with rig.running() as lock:
        await owner_of(rig, lock)
        task = perform(lock, Action.LOCK_N_GO)
        await waiting(rig)
        await lock.refresh(15.0)
        while (
            rig.virtual.motor.state != LockState.LOCKED or not lock.states or lock.states.lock_state != LockState.LOCKED
        ):
            await asyncio.sleep(0.01)
        rig.virtual.out_of_range()
        assert await word(task) == "success"


async def test_what_a_waiting_lock_answers_to_another_command_is_its_word() -> None:
    rig = Rig(busy_in_lock_n_go=True)
    async with rig.running() as lock:
        first = perform(lock, Action.LOCK_N_GO)
        await waiting(rig)
        assert await word(perform(lock, Action.LOCK, 5.0)) == "busy"
        assert await word(first) == "success"
        assert rig.virtual.motor.state == LockState.LOCKED
    assert starts(rig) == ["lock_n_go"]


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda rig: rig.virtual.press_button(), {"canceled"}),
        (lambda rig: rig.virtual.turn_by_hand(LockState.UNLOCKED), {"canceled"}),
        (lambda rig: rig.virtual.use_keypad(Action.LOCK), {"outcome_unknown", "canceled"}),
        (lambda rig: rig.virtual.block_motor(), {"motor_blocked"}),
        (lambda rig: rig.virtual.reboot(), {"canceled"}),
    ],
    ids=["button", "knob", "keypad", "blocked", "reboot"],
)
@pytest.mark.parametrize("others", [False, True])
async def test_what_ends_lock_n_go_otherwise_is_told(act: Callable[[Rig], None], words: set[str], others: bool) -> None:
    rig = Rig()
    async with rig.running() as lock:
        first = perform(lock, Action.LOCK_N_GO)
        await waiting(rig)
        await asyncio.sleep(2.0)
        if others:
            await lock.refresh(15.0)
        act(rig)
        assert await word(first) in words
    assert starts(rig) == ["lock_n_go"]


async def test_a_lock_n_go_that_never_ends_is_given_up_in_time() -> None:
    rig = Rig(lock_n_go_s=500.0)
    async with rig.running() as lock:
        began = clock()
        first = perform(lock, Action.LOCK_N_GO)
        await waiting(rig)
        await lock.refresh(15.0)
        assert await word(first) == "outcome_unknown"
        assert 115.0 < clock() - began < 155.0
        assert not lock.runs


async def test_an_answer_to_lock_n_go_is_not_taken_for_that_to_another_request() -> None:
    """Its COMPLETE would say that the PIN is right that the lock has yet to look at."""
    rig = Rig()
    async with rig.running() as lock:
        admin = await owner_of(rig, lock)
        first = perform(lock, Action.LOCK_N_GO)
        await waiting(rig)
        rig.radio.latency_s = 3.0
        await asyncio.sleep(15.5)
        with pytest.raises(LockError, match="PIN") as refused:
            await admin.verify_pin("4711", 30.0)
        assert refused.value.code == "bad_pin"
        rig.radio.latency_s = 0.0
        assert await word(first) == "success"
