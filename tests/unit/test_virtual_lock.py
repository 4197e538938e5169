"""The virtual lock: who may talk, what it does and what it tells; nothing hostile moves its motor."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nuki_bridge.simulator
from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.protocol.codes import (
    Action,
    Command,
    Completion,
    DoorState,
    ErrorCode,
    Family,
    IdType,
    LockState,
    Trigger,
)
from nuki_bridge.protocol.frames import seal
from nuki_bridge.protocol.messages import (
    BatteryReport,
    Challenge,
    Config,
    ErrorReport,
    KeyturnerStates,
    MostRecentCommand,
    RequestConfig,
    RequestData,
    SimpleLockAction,
    Status,
)
from nuki_bridge.protocol.wire import Message
from tests.unit.vectors import unhex
from tests.unit.virtual_client import (
    ACCEPTED,
    COMPLETE,
    FAMILIES,
    NUKI_ID,
    PLAIN_NOT_AUTHORIZED,
    START,
    STATES,
    Client,
    error_of,
    make_lock,
    states_of,
)

# -- who may talk -----------------------------------------------------------------------------------------------------


def _changed(frame: bytes, position: int) -> bytes:
    return frame[:position] + bytes([frame[position] ^ 1]) + frame[position + 1 :]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: _changed(frame, 0),
        lambda frame: _changed(frame, 24),
        lambda frame: _changed(frame, 28),
        lambda frame: _changed(frame, 40),
        lambda frame: frame[:-1],
        lambda frame: frame[:20],
        lambda frame: frame + b"\0",
        lambda frame: frame * 2,
        lambda frame: b"",
        lambda frame: bytes(600),
        lambda frame: unhex("0100030027A7"),
    ],
    ids=["nonce", "id", "length", "ciphertext", "short", "piece", "long", "twice", "empty", "oversized", "plain"],
)
def test_what_cannot_be_authenticated_gets_the_plain_error(spoil: Callable[[bytes], bytes]) -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    lock.written(1, Channel.USDIO, spoil(client.frame(STATES)))
    assert clock.sent == [PLAIN_NOT_AUTHORIZED]


def test_a_removed_authorization_gets_the_plain_error() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    lock.remove_authorization(client.id)
    client.ask(STATES)
    assert clock.sent == [PLAIN_NOT_AUTHORIZED]


def test_another_id_inside_than_outside_gets_the_plain_error() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    nonce = bytes(24)
    inner = seal(client.id + 1, Command.REQUEST_DATA, b"\x0c\x00", client.key, nonce)
    lock.written(1, Channel.USDIO, inner[:24] + client.id.to_bytes(4, "little") + inner[28:])
    assert clock.sent == [PLAIN_NOT_AUTHORIZED]


def test_a_disabled_authorization_is_told_so() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    nonce = client.challenge()
    lock.set_enabled(client.id, False)
    assert error_of(client.act(Action.UNLOCK, nonce=nonce)) == ErrorCode.DISABLED
    assert error_of(client.ask(STATES)) == ErrorCode.DISABLED
    lock.set_enabled(client.id, True)
    assert isinstance(client.ask(STATES)[0], KeyturnerStates)
    assert lock.movements() == []


def test_a_wrong_crc_inside_is_named() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    (report,) = client.write(client.raw_frame(Command.REQUEST_DATA, b"\x0c\x00", damage_crc=True))
    assert report == ErrorReport(error=ErrorCode.BAD_CRC, failed_command=Command.REQUEST_DATA)


@FAMILIES
@pytest.mark.parametrize(
    ("command", "size"),
    [
        (Command.REQUEST_DATA, 2),
        (Command.LOCK_ACTION, 38),
        (Command.LOCK_ACTION, 58),
        (Command.SIMPLE_LOCK_ACTION, 33),
        (Command.SIMPLE_LOCK_ACTION, 53),
        (Command.REQUEST_CONFIG, 32),
        (Command.REQUEST_ADVANCED_CONFIG, 32),
        (Command.VERIFY_SECURITY_PIN, 34),
        (Command.REQUEST_AUTHORIZATION_ENTRIES, 38),
        (Command.REMOVE_AUTHORIZATION_ENTRY, 38),
        (Command.AUTHORIZATION_DATA_INVITE, 120),
        (Command.UPDATE_AUTHORIZATION_ENTRY, 92),
        (Command.SET_CONFIG, 89),
        (Command.SET_SECURITY_PIN, 36),
        (Command.UPDATE_TIME, 41),
        (Command.REQUEST_REBOOT, 34),
        (Command.ENABLE_LOGGING, 35),
        (Command.REQUEST_LOG_ENTRIES, 42),
    ],
)
def test_a_request_of_another_size_is_refused(family: Family, command: Command, size: int) -> None:
    """Sizes are the document's for the classic family; on the Ultra two more for each PIN in the request."""
    reading = (Command.REQUEST_DATA, Command.REQUEST_CONFIG, Command.REQUEST_ADVANCED_CONFIG)
    without_pin = (*reading, Command.LOCK_ACTION, Command.SIMPLE_LOCK_ACTION)
    pins = 2 if command is Command.SET_SECURITY_PIN else int(command not in without_pin)
    exact = size + (2 * pins if family is Family.ULTRA else 0)
    lock, clock = make_lock(family)
    client = Client(lock, clock)

    def error(length: int) -> ErrorCode | int:
        return error_of(client.write(client.raw_frame(command, bytes(length))))

    assert error(exact - 1) == ErrorCode.BAD_LENGTH
    assert error(exact) != ErrorCode.BAD_LENGTH  # all zeros: refused, but for another reason
    longer = exact + (2 if command is Command.REQUEST_AUTHORIZATION_ENTRIES else 1)
    assert error(longer) == ErrorCode.BAD_LENGTH


def test_the_filter_of_the_user_list_is_for_new_locks_only() -> None:
    for family, size, known in ((Family.CLASSIC, 39, False), (Family.ULTRA, 41, True)):
        lock, clock = make_lock(family)
        client = Client(lock, clock)
        answer = error_of(client.write(client.raw_frame(Command.REQUEST_AUTHORIZATION_ENTRIES, bytes(size))))
        assert (answer != ErrorCode.BAD_LENGTH) is known


def test_an_unknown_command_is_refused_with_its_number() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    (report,) = client.write(client.raw_frame(0x7777, b""))
    assert report == ErrorReport(error=ErrorCode.UNKNOWN, failed_command=0x7777)
    assert error_of(client.ask(RequestData(wanted=0x7777))) == ErrorCode.BAD_PARAMETER


# -- challenges -------------------------------------------------------------------------------------------------------


def test_a_challenge_serves_once() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    nonce = client.challenge()
    assert client.act(Action.UNLOCK, nonce=nonce)[0] == ACCEPTED
    client.after(5)
    assert error_of(client.act(Action.LOCK, nonce=nonce)) == ErrorCode.BAD_NONCE
    assert len(lock.movements()) == 1


def test_only_the_last_challenge_serves() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    old = client.challenge()
    new = client.challenge()
    assert error_of(client.act(Action.UNLOCK, nonce=old)) == ErrorCode.BAD_NONCE
    assert error_of(client.act(Action.UNLOCK, nonce=new)) == ErrorCode.BAD_NONCE
    assert lock.movements() == []


def test_challenges_of_two_authorizations_do_not_disturb_each_other() -> None:
    lock, clock = make_lock()
    one, two = Client(lock, clock), Client(lock, clock, link=2, id_type=IdType.APP)
    first, second = one.challenge(), two.challenge()
    assert error_of(two.act(Action.UNLOCK, nonce=first)) == ErrorCode.BAD_NONCE
    assert one.act(Action.UNLOCK, nonce=first)[0] == ACCEPTED
    assert second != first


@pytest.mark.parametrize("outlives", [False, True])
def test_a_challenge_ends_with_its_link_unless_told_otherwise(outlives: bool) -> None:
    lock, clock = make_lock(challenges_outlive_link=outlives)
    client = Client(lock, clock)
    nonce = client.challenge()
    lock.disconnected(1)
    lock.connected(1)
    assert (client.act(Action.UNLOCK, nonce=nonce)[0] == ACCEPTED) is outlives


@pytest.mark.parametrize("challenge_s", [None, 30.0])
def test_a_challenge_does_not_grow_old_unless_told_otherwise(challenge_s: float | None) -> None:
    lock, clock = make_lock(challenge_s=challenge_s)
    client = Client(lock, clock)
    nonce = client.challenge()
    clock.advance(29.0)
    assert client.act(Action.UNLOCK, nonce=nonce)[0] == ACCEPTED
    client.after(5)
    nonce = client.challenge()
    clock.advance(31.0)
    answers = client.act(Action.LOCK, nonce=nonce)
    if challenge_s is None:
        assert answers[0] == ACCEPTED
    else:
        assert error_of(answers) == ErrorCode.BAD_NONCE
        assert error_of(client.act(Action.LOCK, nonce=nonce)) == ErrorCode.BAD_NONCE
        assert client.act(Action.LOCK)[0] == ACCEPTED
    assert len(lock.movements()) == 2


def test_a_clock_that_is_set_makes_no_challenge_older() -> None:
    lock, clock = make_lock(challenge_s=30.0)
    client = Client(lock, clock)
    nonce = client.challenge()
    lock.set_clock(START + timedelta(days=1))
    assert client.act(Action.UNLOCK, nonce=nonce)[0] == ACCEPTED


def test_forgotten_challenges_are_refused() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    nonce = client.challenge()
    lock.forget_challenges()
    assert error_of(client.act(Action.UNLOCK, nonce=nonce)) == ErrorCode.BAD_NONCE


# -- lock actions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "action", "states", "turns"),
    [
        (LockState.LOCKED, Action.UNLOCK, [LockState.UNLOCKING, LockState.UNLOCKED], 1),
        (LockState.UNLOCKED, Action.LOCK, [LockState.LOCKING, LockState.LOCKED], 1),
        (LockState.UNLOCKED, Action.FULL_LOCK, [LockState.LOCKING, LockState.LOCKED], 1),
        (LockState.LOCKED, Action.UNLATCH, [LockState.UNLATCHING, LockState.UNLATCHED, LockState.UNLOCKED], 1),
        (LockState.UNLOCKED, Action.UNLATCH, [LockState.UNLATCHING, LockState.UNLATCHED, LockState.UNLOCKED], 1),
        (
            LockState.LOCKED,
            Action.LOCK_N_GO,
            [LockState.UNLOCKING, LockState.UNLOCKED_LOCK_N_GO, LockState.LOCKING, LockState.LOCKED],
            2,
        ),
        (
            LockState.UNLOCKED,
            Action.LOCK_N_GO,
            [LockState.UNLOCKED_LOCK_N_GO, LockState.LOCKING, LockState.LOCKED],
            1,
        ),
        (
            LockState.LOCKED,
            Action.LOCK_N_GO_UNLATCH,
            [
                LockState.UNLATCHING,
                LockState.UNLATCHED,
                LockState.UNLOCKED_LOCK_N_GO,
                LockState.LOCKING,
                LockState.LOCKED,
            ],
            2,
        ),
        (LockState.LOCKED, Action.FOB_ACTION_1, [LockState.UNLOCKING, LockState.UNLOCKED], 1),
    ],
    ids=lambda value: value.name if isinstance(value, LockState | Action) else None,
)
def test_an_action_reports_its_states_and_then_complete(
    start: LockState, action: Action, states: list[LockState], turns: int
) -> None:
    lock, clock = make_lock(start_state=start)
    client = Client(lock, clock)
    messages = client.act(action) + client.after(60)
    assert messages[0] == ACCEPTED
    assert states_of(messages) == states
    assert messages[-1] == COMPLETE
    assert len(messages) == len(states) + 2
    assert len(lock.movements()) == turns
    final = messages[-2]
    assert isinstance(final, KeyturnerStates)
    assert (final.last_action, final.last_trigger, final.last_completion) == (
        Action.UNLOCK if action is Action.FOB_ACTION_1 else action,
        Trigger.SYSTEM,
        Completion.SUCCESS,
    )


def test_times_are_kept() -> None:
    lock, clock = make_lock(motor_s=2.0, unlatch_s=3.0, lock_n_go_s=20.0)
    client = Client(lock, clock)
    client.act(Action.LOCK_N_GO_UNLATCH)
    for seconds, state in (
        (1.9, LockState.UNLATCHING),
        (0.2, LockState.UNLATCHED),
        (2.8, LockState.UNLATCHED),
        (0.2, LockState.UNLOCKED_LOCK_N_GO),
        (19.8, LockState.UNLOCKED_LOCK_N_GO),
        (0.2, LockState.LOCKING),
        (1.8, LockState.LOCKING),
        (0.2, LockState.LOCKED),
    ):
        clock.advance(seconds)
        assert lock.motor.state == state


def test_the_lock_n_go_timer_counts_down_and_is_zero_otherwise() -> None:
    lock, clock = make_lock(motor_s=1, lock_n_go_s=10)
    client = Client(lock, clock)
    client.act(Action.LOCK_N_GO)
    timers = []
    for seconds in (0.5, 1.5, 4, 5.5):
        client.after(seconds)
        (states,) = client.ask(STATES)
        assert isinstance(states, KeyturnerStates)
        timers.append(states.lock_n_go_timer)
    assert timers == [0, 9, 5, 0]


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [({}, [COMPLETE]), ({"accepts_nothing_to_do": True}, [ACCEPTED, COMPLETE])],
    ids=["complete at once", "accepted first"],
)
def test_nothing_to_do_does_not_move_the_motor(behaviour: dict[str, Any], expected: list[Message]) -> None:
    lock, clock = make_lock(start_state=LockState.LOCKED, **behaviour)
    client = Client(lock, clock)
    assert client.act(Action.LOCK) + client.after(60) == expected
    assert lock.movements() == []
    assert not lock.state_changed


@pytest.mark.parametrize("turns_again", [False, True])
@pytest.mark.parametrize(("state", "action"), [(LockState.LOCKED, Action.LOCK), (LockState.UNLOCKED, Action.UNLOCK)])
def test_some_locks_turn_a_bolt_on_that_is_where_it_was_to_be(
    state: LockState, action: Action, turns_again: bool
) -> None:
    lock, clock = make_lock(start_state=state, turns_again=turns_again)
    Client(lock, clock).act(action)
    clock.advance(60)
    assert len(lock.movements()) == turns_again
    assert lock.motor.state == state


def test_some_locks_tell_a_while_after_their_motor_was_blocked_where_the_bolt_is() -> None:
    lock, clock = make_lock(start_state=LockState.LOCKED, blocked_s=10.0)
    lock.block_motor()
    Client(lock, clock).act(Action.UNLOCK)
    clock.advance(5)
    assert lock.motor.state == LockState.MOTOR_BLOCKED
    lock.device.state_changed = False
    clock.advance(10)
    assert (lock.motor.state, lock.motor.last_completion) == (LockState.LOCKED, Completion.MOTOR_BLOCKED)
    assert not lock.state_changed


@pytest.mark.parametrize(
    ("behaviour", "statuses"),
    [
        ({"accepted_times": 2}, [ACCEPTED, ACCEPTED, COMPLETE]),
        ({"accepted_times": 0}, [COMPLETE]),
        ({"complete_missing": True}, [ACCEPTED]),
    ],
    ids=["accepted twice", "not accepted", "complete missing"],
)
def test_variants_of_the_status(behaviour: dict[str, Any], statuses: list[Message]) -> None:
    lock, clock = make_lock(**behaviour)
    client = Client(lock, clock)
    messages = client.act(Action.UNLOCK) + client.after(60)
    assert [m for m in messages if isinstance(m, Status)] == statuses
    assert states_of(messages) == [LockState.UNLOCKING, LockState.UNLOCKED]


def test_moving_may_be_reported_several_times() -> None:
    lock, clock = make_lock(moving_reports=3)
    client = Client(lock, clock)
    assert states_of(client.act(Action.UNLOCK)) == [LockState.UNLOCKING] * 3


@pytest.mark.parametrize("early", [False, True])
def test_complete_comes_after_the_hold_or_before(early: bool) -> None:
    lock, clock = make_lock(complete_before_hold=early)
    client = Client(lock, clock)
    messages = client.act(Action.UNLATCH) + client.after(60)
    statuses = [i for i, m in enumerate(messages) if m == COMPLETE]
    unlocked = next(i for i, m in enumerate(messages) if states_of([m]) == [LockState.UNLOCKED])
    assert len(statuses) == 1
    assert (statuses[0] < unlocked) is early
    lock.turn_by_hand(LockState.LOCKED)
    assert client.received() == []


def test_busy_while_the_motor_turns() -> None:
    lock, clock = make_lock()
    client, other = Client(lock, clock), Client(lock, clock, link=2, id_type=IdType.APP)
    client.act(Action.UNLATCH)
    assert error_of(other.act(Action.LOCK)) == ErrorCode.BUSY
    client.after(3)
    assert lock.motor.state is LockState.UNLATCHED
    assert error_of(other.act(Action.LOCK)) == ErrorCode.BUSY
    client.after(10)
    assert other.act(Action.LOCK)[0] == ACCEPTED
    assert len(lock.movements()) == 2


def test_busy_for_a_while_when_told_so() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    lock.be_busy(3)
    assert error_of(client.act(Action.UNLOCK)) == ErrorCode.BUSY
    client.after(3)
    assert client.act(Action.UNLOCK)[0] == ACCEPTED


def test_an_action_ends_a_waiting_lock_n_go() -> None:
    lock, clock = make_lock()
    client, other = Client(lock, clock), Client(lock, clock, link=2, id_type=IdType.APP)
    client.act(Action.LOCK_N_GO)
    client.after(5)
    messages = other.act(Action.LOCK) + other.after(60)
    assert states_of(messages) == [LockState.LOCKING, LockState.LOCKED]
    cancelled = client.received()
    assert cancelled[-1] == ErrorReport(error=ErrorCode.CANCELED, failed_command=Command.LOCK_ACTION)
    assert states_of(cancelled) == [LockState.UNLOCKED]
    assert len(lock.movements()) == 2


def test_the_button_cancels_an_action() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    client.act(Action.UNLOCK)
    client.clock.advance(1)
    lock.press_button(1)
    messages = client.after(60)
    assert messages[-1] == ErrorReport(error=ErrorCode.CANCELED, failed_command=Command.LOCK_ACTION)
    assert lock.motor.state is LockState.UNDEFINED
    assert lock.motor.last_completion is Completion.CANCELED


def test_a_blocked_motor_is_an_error_after_accepted() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    lock.block_motor(True)
    messages = client.act(Action.UNLOCK) + client.after(60)
    assert messages[0] == ACCEPTED
    assert states_of(messages) == [LockState.UNLOCKING, LockState.MOTOR_BLOCKED]
    assert messages[-1] == ErrorReport(error=ErrorCode.MOTOR_BLOCKED, failed_command=Command.LOCK_ACTION)
    (final,) = (m for m in messages if isinstance(m, KeyturnerStates) and m.lock_state == LockState.MOTOR_BLOCKED)
    assert final.last_completion is Completion.MOTOR_BLOCKED
    lock.block_motor(False)
    assert states_of(client.act(Action.UNLOCK) + client.after(60)) == [LockState.UNLOCKING, LockState.UNLOCKED]


def test_an_uncalibrated_lock_does_not_move() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    lock.uncalibrate()
    assert error_of(client.act(Action.UNLOCK)) == ErrorCode.NOT_CALIBRATED
    assert states_of(client.ask(STATES)) == [LockState.UNCALIBRATED]
    lock.uncalibrate(False)
    assert client.act(Action.LOCK)[0] == ACCEPTED


@pytest.mark.parametrize("action", [0, 7, 0x50, 0x5A, 0x80, 0x84, 0xFF])
def test_an_unknown_action_is_refused(action: int) -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    assert error_of(client.act(action)) == ErrorCode.BAD_PARAMETER
    assert lock.movements() == []


def test_simple_lock_action_only_locks_and_unlocks() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    for action in set(Action) - {Action.UNLOCK, Action.LOCK}:
        answer = client.ask(SimpleLockAction(action=action, nonce=client.challenge()))
        assert error_of(answer) == ErrorCode.BAD_PARAMETER
    answer = client.ask(SimpleLockAction(action=Action.UNLOCK, nonce=client.challenge())) + client.after(5)
    assert (answer[0], answer[-1]) == (ACCEPTED, COMPLETE)
    assert lock.motor.state is LockState.UNLOCKED


def test_auto_unlatch_unlatches_when_unlocking() -> None:
    lock, clock = make_lock()
    lock.settings.auto_unlatch = True
    client = Client(lock, clock)
    assert LockState.UNLATCHED in states_of(client.act(Action.UNLOCK) + client.after(60))


def test_a_motor_without_time_still_tells_every_step() -> None:
    lock, clock = make_lock(motor_s=0)
    client = Client(lock, clock)
    messages = client.act(Action.UNLOCK) + client.after(0)
    assert messages[0] == ACCEPTED
    assert states_of(messages) == [LockState.UNLOCKING, LockState.UNLOCKED]
    assert messages[-1] == COMPLETE


def test_the_motor_goes_on_when_the_link_is_lost() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    client.act(Action.UNLOCK)
    lock.disconnected(1)
    assert client.after(10) == []
    assert lock.motor.state is LockState.UNLOCKED
    lock.connected(1)
    assert states_of(client.ask(STATES)) == [LockState.UNLOCKED]


def test_states_go_to_the_link_whose_action_it_is() -> None:
    lock, clock = make_lock()
    client, other = Client(lock, clock), Client(lock, clock, link=2, id_type=IdType.APP)
    other.ask(STATES)
    client.act(Action.UNLOCK)
    client.after(10)
    lock.turn_by_hand(LockState.LOCKED)
    assert client.received() == []
    assert other.received() == []


def test_some_firmware_pushes_states_to_every_link() -> None:
    lock, clock = make_lock(pushes_states_of_others=True)
    client, other = Client(lock, clock), Client(lock, clock, link=2, id_type=IdType.APP)
    silent = Client(lock, clock, link=3, id_type=IdType.APP)
    other.ask(STATES)
    client.act(Action.UNLOCK)
    clock.advance(5)
    assert states_of(other.received()) == [LockState.UNLOCKING, LockState.UNLOCKED]
    lock.turn_by_hand(LockState.LOCKED)
    assert states_of(client.received())[-1] == LockState.LOCKED
    assert silent.received() == []  # it has not proved who it is


# -- what the lock tells ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [15, 18, 19, 20, 21, 27])
def test_keyturner_states_are_as_long_as_the_firmware_makes_them(size: int) -> None:
    lock, clock = make_lock(states_size=size)
    client = Client(lock, clock)
    client.ask(STATES)
    assert len(clock.sent[-1][2]) == 54 + size
    client.act(Action.UNLOCK)
    assert len(clock.sent[-1][2]) == 54 + size


def test_default_sizes_follow_the_family() -> None:
    for family, states_size, config_size in ((Family.CLASSIC, 21, 77), (Family.ULTRA, 27, 79)):
        lock, clock = make_lock(family)
        client = Client(lock, clock)
        client.ask(STATES)
        assert len(clock.sent[-1][2]) == 54 + states_size
        client.ask(RequestConfig(nonce=client.challenge()))
        assert len(clock.sent[-1][2]) == 54 + config_size


@pytest.mark.parametrize("size", [71, 72, 74, 77, 78, 79])
def test_config_is_as_long_as_the_firmware_makes_it(size: int) -> None:
    lock, clock = make_lock(config_size=size)
    client = Client(lock, clock)
    (config,) = client.ask(RequestConfig(nonce=client.challenge()))
    assert isinstance(config, Config)
    assert len(clock.sent[-1][2]) == 54 + size
    assert (config.nuki_id, config.name, config.pairing_enabled) == (NUKI_ID, "Nuki_1A2B3C4D", True)
    assert (config.timezone_id is None) is (size < 74)


def test_config_needs_a_challenge() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    assert error_of(client.ask(RequestConfig(nonce=bytes(32)))) == ErrorCode.BAD_NONCE


def test_the_time_is_utc_and_the_offset_beside_it() -> None:
    lock, clock = make_lock(tells_offset_in_force=True)
    client = Client(lock, clock)
    clock.advance(90)
    (states,) = client.ask(STATES)
    assert isinstance(states, KeyturnerStates)
    assert states.current_time == START + timedelta(seconds=90)
    assert states.timezone_offset_min == 60


def test_a_wrong_clock_stays_wrong_and_the_audit_trail_right() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    lock.set_clock(datetime(2020, 1, 1, tzinfo=UTC))
    clock.advance(10)
    (states,) = client.ask(STATES)
    assert isinstance(states, KeyturnerStates)
    assert states.current_time == datetime(2020, 1, 1, 0, 0, 10, tzinfo=UTC)
    assert lock.audit[-1].time == START + timedelta(seconds=10)


def test_the_battery_is_told() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    (before,) = client.ask(RequestData(wanted=Command.BATTERY_REPORT))
    lock.set_battery(10)
    (states,) = client.ask(STATES)
    (report,) = client.ask(RequestData(wanted=Command.BATTERY_REPORT))
    assert isinstance(states, KeyturnerStates)
    assert isinstance(report, BatteryReport)
    assert isinstance(before, BatteryReport)
    assert (states.battery_percent, states.battery_critical, report.critical) == (10, True, True)
    assert report.voltage_mv < before.voltage_mv


def test_old_firmware_knows_only_a_critical_battery() -> None:
    lock, clock = make_lock(states_size=19)
    client = Client(lock, clock)
    (states,) = client.ask(STATES)
    assert isinstance(states, KeyturnerStates)
    assert states.battery_state == 0


def test_the_most_recent_command_is_told() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    client.ask(RequestConfig(nonce=client.challenge()))
    (answer,) = client.ask(RequestData(wanted=Command.MOST_RECENT_COMMAND))
    assert answer == MostRecentCommand(last_command=Command.REQUEST_CONFIG)


# -- the beacon -------------------------------------------------------------------------------------------------------


def test_only_a_bridge_that_asks_for_the_states_takes_the_flag_down() -> None:
    lock, clock = make_lock()
    bridge, app = Client(lock, clock), Client(lock, clock, link=2, id_type=IdType.APP)
    lock.turn_by_hand(LockState.UNLOCKED)
    assert lock.state_changed
    app.ask(STATES)
    bridge.challenge()
    assert lock.state_changed
    bridge.ask(STATES)
    assert not lock.state_changed


def test_its_own_action_leaves_the_flag_up_until_the_bridge_asks() -> None:
    lock, clock = make_lock()
    bridge = Client(lock, clock)
    bridge.act(Action.UNLOCK)
    bridge.after(5)
    assert lock.state_changed
    bridge.ask(STATES)
    assert not lock.state_changed


def test_everything_that_changes_the_states_raises_the_flag() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    changes: tuple[Callable[[], object], ...] = (
        lambda: lock.turn_by_hand(LockState.UNLOCKED),
        lambda: lock.set_door(DoorState.OPEN),
        lambda: lock.set_battery(50),
        lambda: lock.set_enabled(client.id, True),
        lambda: lock.press_button(1),
    )
    for change in changes:
        lock.device.state_changed = False
        before = clock.advertised
        change()
        assert lock.state_changed
        assert clock.advertised > before


# -- links ------------------------------------------------------------------------------------------------------------


def test_an_idle_link_is_dropped_and_traffic_keeps_it() -> None:
    lock, clock = make_lock(idle_timeout_s=20)
    client = Client(lock, clock)
    for _ in range(5):
        clock.advance(15)
        client.challenge()
    assert clock.dropped == []
    clock.advance(20)
    assert clock.dropped == [1]
    assert lock.links == 0


def test_a_link_that_waits_for_the_end_of_its_action_is_not_idle() -> None:
    lock, clock = make_lock(idle_timeout_s=20, lock_n_go_s=60)
    client = Client(lock, clock)
    client.act(Action.LOCK_N_GO)
    assert client.after(70)[-1] == COMPLETE
    assert clock.dropped == []


def test_a_lock_with_a_link_is_not_seen_unless_its_firmware_is_new() -> None:
    for newer in (False, True):
        lock, _ = make_lock(advertise_while_connected=newer)
        assert lock.advertising
        lock.connected(1)
        assert lock.advertising is newer
        lock.disconnected(1)
        assert lock.advertising


def test_one_link_too_many_is_dropped() -> None:
    lock, clock = make_lock(max_links=4, advertise_while_connected=True)
    for link in range(1, 6):
        lock.connected(link)
    assert clock.dropped == [5]
    assert not lock.advertising


def test_out_of_range_no_link_is_left_and_nothing_is_advertised() -> None:
    lock, clock = make_lock()
    Client(lock, clock)
    lock.out_of_range()
    assert clock.dropped == [1]
    assert not lock.advertising
    lock.connected(2)
    assert lock.links == 0
    lock.out_of_range(False)
    assert lock.advertising


def test_dropped_links_are_in_the_audit_trail() -> None:
    lock, clock = make_lock()
    Client(lock, clock)
    lock.drop_links()
    assert clock.dropped == [1]
    assert [e.detail for e in lock.audit if e.what == "dropped"] == ["1: told to"]


def test_a_swallowed_answer_hides_all_of_a_request_but_not_its_effect() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    nonce = client.challenge()
    lock.swallow_next_answer()
    assert client.act(Action.UNLOCK, nonce=nonce) + client.after(10) == []
    assert lock.motor.state is LockState.UNLOCKED
    assert states_of(client.ask(STATES)) == [LockState.UNLOCKED]


def test_a_damaged_answer_cannot_be_decrypted() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    lock.damage_next_answer()
    lock.written(1, Channel.USDIO, client.frame(STATES))
    with pytest.raises(Exception, match="does not decrypt"):
        client.received()
    assert states_of(client.ask(STATES)) == [LockState.LOCKED]


# -- hostile input ----------------------------------------------------------------------------------------------------


@FAMILIES
@given(
    data=st.lists(
        st.tuples(st.sampled_from(list(Channel)), st.one_of(st.binary(max_size=700), st.just(unhex("0100030027A7")))),
        max_size=8,
    )
)
def test_garbage_never_raises_and_never_moves_the_motor(family: Family, data: list[tuple[Channel, bytes]]) -> None:
    lock, clock = make_lock(family)
    lock.hold_button()
    client = Client(lock, clock)
    client.challenge()
    for channel, value in data:
        lock.written(1, channel, value)
    clock.advance(30)
    assert lock.movements() == []
    assert len(lock.authorizations) == 1


@given(data=st.data())
def test_a_mutated_action_never_moves_the_motor(data: st.DataObject) -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    nonce = client.challenge()
    frame = bytearray(client.raw_frame(Command.LOCK_ACTION, bytes([Action.UNLATCH, 0, 0, 0, 0, 0]) + nonce))
    position = data.draw(st.integers(0, len(frame) - 1))
    frame[position] ^= data.draw(st.integers(1, 255))
    lock.written(1, data.draw(st.sampled_from(list(Channel))), bytes(frame))
    clock.advance(30)
    assert lock.movements() == []


@given(command=st.integers(0, 0xFFFF), payload=st.binary(max_size=130), crc_is_wrong=st.booleans())
@settings(max_examples=300)
def test_random_requests_of_a_real_user_never_raise_or_move(command: int, payload: bytes, crc_is_wrong: bool) -> None:
    """They are authentic but carry no valid challenge."""
    lock, clock = make_lock()
    client = Client(lock, clock)
    client.challenge()
    lock.written(1, Channel.USDIO, client.raw_frame(command, payload, damage_crc=crc_is_wrong))
    clock.advance(15)
    assert lock.movements() == []


@pytest.mark.parametrize(
    "command", [0x08, 0x09, 0x0B, 0x0D, 0x13, 0x14, 0x19, 0x1D, 0x20, 0x21, 0x25, 0x31, 0x34, 0x100]
)
@given(data=st.data())
@settings(max_examples=60)
def test_any_values_with_a_valid_challenge_never_raise(command: int, data: st.DataObject) -> None:
    lock, clock = make_lock(max_users=3)
    client = Client(lock, clock)
    sizes = {0x08: 4, 0x09: 4, 0x0B: 86, 0x0D: 6, 0x14: 0, 0x20: 0, 0x25: 58, 0x100: 1}
    sizes |= {0x13: 55, 0x19: 2, 0x1D: 0, 0x21: 7, 0x31: 8, 0x34: 1}
    pin = b"" if command in (0x0D, 0x14, 0x100) else (1234).to_bytes(2, "little")
    values = data.draw(st.binary(min_size=sizes[command], max_size=sizes[command]))
    answers = client.write(client.raw_frame(command, values + client.challenge() + pin)) + client.after(90)
    assert answers
    assert len(lock.authorizations) <= 3


def test_an_unknown_connection_is_ignored() -> None:
    lock, clock = make_lock()
    lock.written(5, Channel.USDIO, b"x")
    lock.disconnected(5)
    assert clock.sent == []


def test_a_challenge_is_never_given_twice() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    answers = [client.ask(RequestData(wanted=Command.CHALLENGE))[0] for _ in range(50)]
    assert all(isinstance(a, Challenge) for a in answers)
    assert len({a.nonce for a in answers}) == 50  # type: ignore[attr-defined]


# -- independence -----------------------------------------------------------------------------------------------------


def test_the_lock_shares_no_behaviour_with_the_client() -> None:
    """Tables, frames and crypto are common; a handshake or exchange written once could be wrong twice."""
    folder = Path(nuki_bridge.simulator.__file__).parent
    shared = {"advanced_config", "advertisement", "authorizations", "codes", "crypto", "frames", "keypad_codes"}
    shared |= {"log_entries", "messages", "opener", "opener_advanced_config", "time_control", "wire", "field_kinds"}
    for file in folder.glob("*.py"):
        imported = set(re.findall(r"^\s*(?:from|import) nuki_bridge\.?([\w.]*)", file.read_text(), re.MULTILINE))
        ours = {name for name in imported if not name.startswith("simulator")}
        assert ours <= {"errors", "records", "bluetooth.link"} | {f"protocol.{name}" for name in shared}, file.name
