"""The virtual lock's users, the people around it, its audit trail and its memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from nuki_bridge.protocol.authorizations import (
    AuthorizationDataInvite,
    AuthorizationEntry,
    AuthorizationEntryCount,
    AuthorizationIdInvite,
    RemoveAuthorizationEntry,
    RequestAuthorizationEntries,
    UpdateAuthorizationEntry,
)
from nuki_bridge.protocol.codes import (
    Action,
    DoorState,
    ErrorCode,
    Family,
    IdType,
    LockState,
    Trigger,
)
from nuki_bridge.protocol.field_kinds import TimeLimit
from nuki_bridge.protocol.messages import KeyturnerStates
from nuki_bridge.protocol.wire import Message
from nuki_bridge.simulator.authorizations import allows
from nuki_bridge.simulator.behaviour import seeded
from nuki_bridge.simulator.lock import VirtualLock
from tests.unit.virtual_client import (
    ACCEPTED,
    COMPLETE,
    PLAIN_NOT_AUTHORIZED,
    START,
    STATES,
    Client,
    error_of,
    make_lock,
    pair,
)

# -- users ------------------------------------------------------------------------------------------------------------


def test_the_list_begins_with_the_asker() -> None:
    lock, clock = make_lock()
    others = [Client(lock, clock, link=n, id_type=IdType.APP, name=f"app {n}") for n in (2, 3)]
    client = Client(lock, clock, name="bridge")
    limit = TimeLimit(weekdays=0b1000000)
    others[0].entry.limit = limit

    def entries(offset: int, count: int) -> list[Message]:
        request = RequestAuthorizationEntries(offset=offset, count=count, nonce=client.challenge(), security_pin=1234)
        return client.ask(request)

    count, *listed, end = entries(0, 100)
    assert count == AuthorizationEntryCount(count=3)
    assert end == COMPLETE
    assert all(isinstance(e, AuthorizationEntry) for e in listed)
    assert [e.authorization_id for e in listed] == [client.id, others[0].id, others[1].id]  # type: ignore[attr-defined]
    limited = listed[1]
    assert isinstance(limited, AuthorizationEntry)
    assert (limited.time_limited, limited.limit, limited.name) == (True, limit, "app 2")
    assert [e.authorization_id for e in entries(1, 1)[1:-1]] == [others[0].id]  # type: ignore[attr-defined]
    assert entries(9, 9) == [AuthorizationEntryCount(count=0), COMPLETE]


def invite(client: Client, *, pin: int = 1234, key: bytes = b"k" * 32, **values: Any) -> list[Message]:
    fields: dict[str, Any] = {
        "name": "Anna",
        "id_type": IdType.APP,
        "shared_key": key,
        "remote_allowed": True,
        "time_limited": False,
        "limit": TimeLimit(),
    }
    request = AuthorizationDataInvite(**fields | values, nonce=client.challenge(), security_pin=pin)
    return client.ask(request)


def test_an_invited_user_acts_with_the_key_of_the_invitation() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    (answer,) = invite(client)
    assert isinstance(answer, AuthorizationIdInvite)
    assert answer.created == START
    guest = Client(lock, clock, link=2, id_type=IdType.APP)
    guest.key, guest.id = b"k" * 32, answer.authorization_id
    assert guest.act(Action.UNLOCK)[0] == ACCEPTED
    assert lock.movements()[0].name == "Anna"


def test_invite_needs_room_and_the_pin() -> None:
    lock, clock = make_lock(max_users=1)
    client = Client(lock, clock)
    assert error_of(invite(client)) == ErrorCode.TOO_MANY_ENTRIES
    assert error_of(invite(client, pin=1)) == ErrorCode.BAD_PIN
    assert len(lock.authorizations) == 1


def test_a_time_limit_is_enforced_by_the_clock_of_the_lock() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    limit = TimeLimit(weekdays=0b1111100, time_from=time(8), time_until=time(20))
    (answer,) = invite(client, time_limited=True, limit=limit)
    assert isinstance(answer, AuthorizationIdInvite)
    guest = Client(lock, clock, link=2, id_type=IdType.APP)
    guest.key, guest.id = b"k" * 32, answer.authorization_id
    lock.set_clock(datetime(2026, 12, 6, 12, tzinfo=UTC))  # a Sunday
    assert error_of(guest.act(Action.UNLOCK)) == ErrorCode.TIME_NOT_ALLOWED
    assert isinstance(guest.ask(STATES)[0], KeyturnerStates)
    lock.set_clock(datetime(2026, 12, 7, 19, 30, tzinfo=UTC))  # Monday, 20:30 at the lock
    assert error_of(guest.act(Action.UNLOCK)) == ErrorCode.TIME_NOT_ALLOWED
    assert lock.movements() == []
    lock.set_clock(datetime(2026, 12, 7, 18, 30, tzinfo=UTC))
    assert guest.act(Action.UNLOCK)[0] == ACCEPTED


@pytest.mark.parametrize(
    ("limit", "allowed"),
    [
        (TimeLimit(), True),
        (TimeLimit(since=START), True),
        (TimeLimit(since=START + timedelta(seconds=1)), False),
        (TimeLimit(until=START - timedelta(seconds=1)), False),
        (TimeLimit(weekdays=0b0100000), True),  # Tuesday
        (TimeLimit(weekdays=0b1011111), False),
        (TimeLimit(weekdays=0x80), True),  # bit 7 is unused: every day
        (TimeLimit(time_from=time(10), time_until=time(10, 1)), True),  # 10:00 there
        (TimeLimit(time_from=time(9), time_until=time(10)), False),
        (TimeLimit(time_from=time(22), time_until=time(10, 30)), True),
        (TimeLimit(time_from=time(22), time_until=time(10)), False),
        (TimeLimit(time_from=time(10), time_until=time(0)), True),
    ],
)
def test_limits(limit: TimeLimit, allowed: bool) -> None:
    assert allows(limit, START, 60) is allowed


def test_an_entry_can_be_changed_and_removed() -> None:
    lock, clock = make_lock()
    client, other = Client(lock, clock), Client(lock, clock, link=2, id_type=IdType.APP)
    counted = lock.config_update_count

    def update(number: int) -> list[Message]:
        return client.ask(
            UpdateAuthorizationEntry(
                authorization_id=number,
                name="Berta",
                enabled=False,
                remote_allowed=False,
                time_limited=False,
                limit=TimeLimit(),
                nonce=client.challenge(),
                security_pin=1234,
            )
        )

    def remove(number: int) -> list[Message]:
        return client.ask(
            RemoveAuthorizationEntry(authorization_id=number, nonce=client.challenge(), security_pin=1234)
        )

    assert update(other.id) == [COMPLETE]
    assert (other.entry.name, other.entry.enabled, other.entry.remote_allowed) == ("Berta", False, False)
    assert error_of(update(99)) == ErrorCode.INVALID_AUTH_ID
    assert remove(other.id) == [COMPLETE]
    assert error_of(remove(other.id)) == ErrorCode.INVALID_AUTH_ID
    assert lock.config_update_count == counted + 2
    assert remove(client.id) == [COMPLETE]  # the answer to the last request still comes
    client.ask(STATES)
    assert clock.sent[-1] == PLAIN_NOT_AUTHORIZED


def test_use_is_counted() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    clock.advance(5)
    client.act(Action.UNLOCK)
    client.after(10)
    client.act(Action.LOCK)
    assert client.entry.lock_count == 2
    assert client.entry.last_active == START + timedelta(seconds=15)


# -- people and control -----------------------------------------------------------------------------------------------


def test_a_turn_by_hand_has_its_trigger() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    lock.turn_by_hand(LockState.UNLOCKED)
    (states,) = client.ask(STATES)
    assert isinstance(states, KeyturnerStates)
    assert (states.lock_state, states.trigger) == (LockState.UNLOCKED, Trigger.MANUAL)
    assert lock.movements() == []


def test_the_button_turns_the_other_way_and_twice_is_lock_n_go() -> None:
    lock, clock = make_lock()
    for presses, state in ((1, LockState.UNLOCKED), (1, LockState.LOCKED), (2, LockState.LOCKED)):
        lock.press_button(presses)
        clock.advance(60)
        assert lock.motor.state is state
    assert len(lock.movements()) == 4
    assert lock.motor.last_trigger is Trigger.BUTTON
    lock.settings.button_enabled = False
    lock.press_button(1)
    assert len(lock.movements()) == 4


def test_control_carries_out_and_tells_the_result() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    answer = lock.control({"turn": "unlocked", "door": "open", "battery": 15, "block_motor": True})
    assert {k: answer[k] for k in ("state", "door", "battery", "battery_critical", "motor_blocked")} == {
        "state": "unlocked",
        "door": "open",
        "battery": 15,
        "battery_critical": True,
        "motor_blocked": True,
    }
    assert lock.control({"hold_button": True})["pairing_mode"]
    assert not lock.control({"leave_pairing_mode": True})["pairing_mode"]
    assert not lock.control({"disable": client.id})["authorizations"][0]["enabled"]
    assert lock.control({"enable": client.id})["authorizations"][0]["enabled"]
    assert not lock.control({"out_of_range": True})["in_range"]
    assert lock.control({"out_of_range": False})["in_range"]
    lock.control({"busy": 3})
    assert lock.motion.busy
    lock.control({"clock": "2026-01-01T00:00:00+01:00"})
    assert lock.now() == datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert lock.control({"audit": 2})["audit"] == [e.as_dict() for e in lock.audit[-2:]]
    assert len(lock.control({"audit": True})["audit"]) == len(lock.audit)
    assert lock.control({"uncalibrate": True})["state"] == "uncalibrated"
    assert lock.control({"remove_authorization": client.id})["authorizations"] == []
    json.dumps(lock.control({"audit": True}))


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ({}, "at least one of"),
        ([], "a JSON object"),
        ({"explode": True}, "unknown control 'explode'; allowed: audit"),
        ({"turn": "sideways"}, "turn: one of locked, unlocked, unlatched, not 'sideways'"),
        ({"turn": ["locked"]}, "turn: one of"),
        ({"door": 3}, "door: one of"),
        ({"battery": 101}, "battery: a whole number from 0 to 100, not 101"),
        ({"battery": True}, "battery: a whole number"),
        ({"hold_button": 1}, "hold_button: true or false, not 1"),
        ({"busy": "long"}, "busy: seconds from 0 to 3600, not 'long'"),
        ({"busy": float("nan")}, "busy: seconds from 0 to 3600"),
        ({"clock": "yesterday"}, "clock: a time such as"),
        ({"clock": "2026-01-01T00:00:00"}, "clock: a time with offset"),
        ({"clock": "9999-12-31T00:00:00+00:00"}, "the years 2000 to 2099, not 9999"),
        ({"audit": -1}, "audit: a whole number"),
        ({"press_button": 3}, "press_button: a whole number from 1 to 2"),
        ({"remove_authorization": 77}, "the lock has no authorization 77; it has: none"),
    ],
)
def test_a_bad_control_says_what_is_allowed(command: Any, sentence: str) -> None:
    lock, _ = make_lock()
    with pytest.raises(ValueError, match=r".+") as caught:
        lock.control(command)
    assert sentence in str(caught.value)


def test_a_bad_control_does_nothing_of_it() -> None:
    lock, _ = make_lock()
    with pytest.raises(ValueError, match="door"):
        lock.control({"turn": "unlocked", "door": "ajar"})
    assert lock.motor.state is LockState.LOCKED


# -- audit and memory -------------------------------------------------------------------------------------------------


def test_the_audit_trail_tells_who_did_what() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock, name="bridge")
    client.act(Action.UNLOCK, suffix="Anna")
    client.after(5)
    client.act(0xFF)
    told = [
        (e.what, e.authorization_id, e.name, e.command, e.detail, e.suffix) for e in lock.audit if e.authorization_id
    ]
    assert told == [
        ("action_received", 1, "bridge", "lock_action", "unlock, for Anna", "Anna"),
        ("action_started", 1, "bridge", "lock_action", "unlock", "Anna"),
        ("motor", 1, "bridge", "lock_action", "unlock: unlocking", "Anna"),
        ("completed", 1, "bridge", "lock_action", "success", "Anna"),
        ("action_received", 1, "bridge", "lock_action", "unknown_0xff", None),
        ("action_refused", 1, "bridge", "lock_action", "bad_parameter", None),
    ]


def test_an_action_starts_once_however_often_the_motor_turns() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock, name="bridge")
    client.act(Action.LOCK_N_GO, suffix="Anna")
    client.after(60)
    client.act(Action.LOCK, suffix="Ben")  # it is locked: nothing to do
    told = [(e.what, e.detail) for e in lock.audit if e.suffix == "Anna" and e.what in ("action_started", "motor")]
    turns = ["lock_n_go: unlocking", "lock_n_go: locking"]
    assert told == [("action_started", "lock_n_go"), *(("motor", each) for each in turns)]
    assert [e.what for e in lock.audit if e.suffix == "Ben"] == ["action_received", "completed"]


def test_no_secret_in_the_audit_trail_or_a_repr() -> None:
    lock, clock = make_lock(pin=4711)
    client = Client(lock, clock)
    invite(client, pin=4711)
    nonce = client.challenge()
    text = json.dumps([e.as_dict() for e in lock.audit]) + repr([*lock.authorizations, lock.pin_guard, lock.keys])
    keys = [client.key, b"k" * 32, nonce, lock.keys.secret]  # type: ignore[attr-defined]
    for secret in keys:
        assert secret.hex() not in text
        assert repr(secret)[2:-1] not in text
    assert "4711" not in text


def test_memory_survives_as_json() -> None:
    lock, clock = make_lock(Family.ULTRA, pin=123456)
    client = Client(lock, clock)
    client.entry.limit = TimeLimit(until=START + timedelta(days=9), weekdays=3, time_from=time(1), time_until=time(2))
    lock.settings.latitude = 1.5
    lock.set_battery(33)
    lock.set_door(DoorState.TAMPERED)
    lock.set_clock(START + timedelta(hours=1))
    lock.turn_by_hand(LockState.UNLOCKED)
    data = json.loads(json.dumps(lock.to_dict()))
    again = VirtualLock.from_dict(data, random=seeded(9))
    assert again.to_dict() == lock.to_dict()
    assert again.state_changed
    clock.lock = again
    again.attach(clock)
    client.lock = again
    again.connected(1)
    (states,) = client.ask(STATES)
    assert isinstance(states, KeyturnerStates)
    assert (states.lock_state, states.battery_percent, states.door_state) == (
        LockState.UNLOCKED,
        32,
        DoorState.TAMPERED,
    )


def test_a_motor_under_way_is_remembered_where_it_rests() -> None:
    for action, state in (
        (Action.UNLOCK, LockState.UNLOCKED),
        (Action.UNLATCH, LockState.UNLOCKED),
        (Action.LOCK_N_GO, LockState.LOCKED),
    ):
        lock, clock = make_lock()
        Client(lock, clock).act(action)
        assert VirtualLock.from_dict(lock.to_dict()).motor.state is state


def test_new_ids_are_not_given_twice_after_a_restart() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    lock.remove_authorization(client.id)
    again = VirtualLock.from_dict(lock.to_dict())
    assert again.add_user(b"k" * 32, IdType.APP, 0, "x", full=ErrorCode.MAX_USER).authorization_id == client.id + 1


@pytest.mark.parametrize("spoil", [{"version": 99}, {"family": "toaster"}, {"secret_key": 5}, {"settings": {}}])
def test_a_spoiled_memory_is_refused(spoil: dict[str, Any]) -> None:
    lock, _ = make_lock()
    with pytest.raises(ValueError, match="not a virtual lock's memory"):
        VirtualLock.from_dict(lock.to_dict() | spoil)


def test_every_change_of_memory_is_told() -> None:
    lock, clock = make_lock()
    told = []
    lock.device.on_memory_changed = lambda: told.append(lock.to_dict())
    client = Client(lock, clock)
    lock.hold_button()
    pair(lock, clock, app_id=3, id_type=IdType.APP)
    client.act(Action.UNLOCK)
    client.after(10)
    lock.set_enabled(client.id, False)
    lock.block_motor(True)
    assert told[-1] == lock.to_dict()
