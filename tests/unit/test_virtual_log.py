"""The virtual lock's log: what is written for whom, and how it is read; and the accessories that fill it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from nuki_bridge.protocol.codes import Action, Command, DoorState, ErrorCode, IdType, LockState, LogType
from nuki_bridge.protocol.field_kinds import TimeLimit
from nuki_bridge.protocol.log_entries import EnableLogging, LogEntry, LogEntryCount, RequestLogEntries
from nuki_bridge.protocol.messages import LockAction, RequestReboot, SimpleLockAction
from nuki_bridge.protocol.wire import Message
from nuki_bridge.simulator.lock import VirtualLock
from tests.unit.virtual_client import (
    ACCEPTED,
    COMPLETE,
    START,
    Client,
    HandClock,
    error_of,
    make_lock,
)

KEYS = bytes(32)


def a_lock(**behaviour: Any) -> tuple[VirtualLock, HandClock, Client]:
    lock, clock = make_lock(**behaviour)
    return lock, clock, Client(lock, clock, name="bridge")


def read(
    client: Client, start: int = 0, count: int = 0xFFFF, *, descending: bool = False, total: bool = False
) -> list[Message]:
    nonce = client.challenge()
    return client.ask(
        RequestLogEntries(
            start=start, count=count, descending=descending, total_count=total, nonce=nonce, security_pin=1234
        )
    )


def data_of(entry: LogEntry) -> list[int | None]:
    return [v for v in (entry.data_0, entry.data_1, entry.data_2, entry.data_3, entry.data_4) if v is not None]


def told(client: Client) -> list[tuple[int, int, str, list[int | None]]]:
    """Kind, authorization ID, name and data of every entry, read over the air from the oldest."""
    *listed, end = read(client)
    assert end == COMPLETE
    entries = [entry for entry in listed if isinstance(entry, LogEntry)]
    assert len(entries) == len(listed)
    assert [e.index for e in entries] == list(range(1, len(entries) + 1))
    return [(int(e.kind), e.authorization_id, e.name, data_of(e)) for e in entries]


# -- what is written --------------------------------------------------------------------------------------------------


def _suffixed(client: Client) -> None:
    client.act(Action.UNLOCK, suffix=" (Anna)")


def _forced(client: Client) -> None:
    client.ask(LockAction(action=Action.UNLATCH, app_id=0, flags=2, name_suffix=None, nonce=client.challenge()))


def _simple(client: Client) -> None:
    client.ask(SimpleLockAction(action=Action.UNLOCK, name_suffix=" (Anna)", nonce=client.challenge()))


def _blocked(client: Client) -> None:
    client.lock.block_motor()
    client.act(Action.UNLOCK)


def _canceled(client: Client) -> None:
    client.act(Action.UNLOCK)
    client.lock.press_button()


def _late(client: Client) -> None:
    client.entry.limit = TimeLimit(until=START - timedelta(days=1))
    client.act(Action.UNLOCK)


def _busy(client: Client) -> None:
    client.lock.be_busy(60)
    client.act(Action.UNLOCK)


def _unlock_then(control: dict[str, Any]) -> Callable[[Client], None]:
    def happen(client: Client) -> None:
        client.lock.turn_by_hand(LockState.UNLOCKED)
        client.lock.control(control)

    return happen


def _control(*controls: dict[str, Any]) -> Callable[[Client], None]:
    def happen(client: Client) -> None:
        for control in controls:
            client.lock.control(control)

    return happen


@pytest.mark.parametrize(
    ("happen", "expected"),
    [
        (lambda c: c.act(Action.UNLOCK), [(2, 1, "bridge", [1, 0, 0, 0])]),
        (lambda c: c.act(Action.LOCK), [(2, 1, "bridge", [2, 0, 0, 0])]),  # nothing to do
        (_suffixed, [(2, 1, "bridge (Anna)", [1, 0, 0, 0])]),
        (_simple, [(2, 1, "bridge (Anna)", [1, 0, 0, 0])]),
        (_forced, [(2, 1, "bridge", [3, 0, 2, 0])]),
        (_blocked, [(2, 1, "bridge", [1, 0, 0, 1])]),
        (_canceled, [(2, 1, "bridge", [1, 0, 0, 2])]),
        (_late, [(2, 1, "bridge", [1, 0, 0, 9])]),
        (_busy, [(2, 1, "bridge", [1, 0, 0, 4])]),
        (_control({"turn": "unlatched"}), [(2, 0, "", [3, 1, 0, 0])]),
        (_control({"press_button": 1}), [(2, 0, "", [1, 2, 0, 0])]),
        (_control({"press_button": 2}), [(2, 0, "", [4, 2, 0, 0])]),
        (_unlock_then({"auto_lock": True}), [(2, 0, "", [1, 1, 0, 0]), (2, 0, "", [2, 6, 0, 0])]),
        (_control({"auto_lock": True}), []),
        (_control({"door": "open"}, {"door": "open"}, {"door": "closed"}), [(6, 0, "", [0]), (6, 0, "", [1])]),
        (lambda c: c.lock.set_door(DoorState.TAMPERED), [(6, 0, "", [3])]),
        (_control({"door_logging": False}, {"door": "open"}), [(7, 0, "", [0])]),
        (_control({"fob": 1}), [(2, 2, "Fob", [1, 3, 0, 0])]),
        (_control({"fob": 3}), [(2, 2, "Fob", [4, 3, 0, 0])]),
        (
            _control({"keypad": {"action": "unlock", "code_id": 515, "name": "Lisa"}}),
            [(5, 2, "Lisa", [1, 1, 0, 0x03, 0x02])],
        ),
        (_control({"keypad": {"action": "unlatch"}}), [(5, 2, "Keypad", [3, 0, 0, 0, 0])]),
        (
            _control({"keypad": {"action": "unlock", "code_id": 0, "accepted": False}}),
            [(5, 2, "Keypad", [1, 1, 0xE0, 0, 0])],
        ),
        (
            _control({"keypad": {"action": "unlock", "source": "fingerprint", "accepted": False}}),
            [(5, 2, "Keypad", [1, 2, 0xE1, 0, 0])],
        ),
        (_control({"battery": 10}, {"clock": "2027-01-01T00:00:00Z"}), []),
    ],
)
def test_what_happens_is_in_the_log_once(
    happen: Callable[[Client], None], expected: list[tuple[int, int, str, list[int]]]
) -> None:
    _, _, client = a_lock()
    happen(client)
    client.after(90)
    assert told(client) == expected


def test_requests_that_are_no_action_leave_no_trace_in_the_log() -> None:
    _, _, client = a_lock()
    client.act(0xFF)
    client.act(Action.UNLOCK, nonce=bytes(32))
    client.ask(RequestLogEntries(start=0, count=1, descending=True, total_count=True, nonce=KEYS, security_pin=1234))
    assert told(client) == []


def test_firmware_may_leave_refusals_out() -> None:
    _, _, client = a_lock(logs_refusals=False)
    _busy(client)
    assert told(client) == []


def test_an_entry_is_written_when_the_action_is_over_at_the_time_of_the_lock() -> None:
    lock, _, client = a_lock(motor_s=2.5)
    lock.set_clock(START + timedelta(days=1))
    client.act(Action.UNLOCK)
    client.after(2)
    assert lock.log.entries == []
    client.after(1)
    (entry,) = lock.log.entries
    assert entry.time == START + timedelta(days=1, seconds=2)


def test_the_name_is_the_one_of_that_time_and_cut_to_its_field() -> None:
    lock, _, client = a_lock()
    client.entry.name = "ä" * 15
    client.act(Action.UNLOCK, suffix="öö")
    client.after(9)
    client.entry.name = "later"
    lock.remove_authorization(client.id)
    assert lock.log.entries[0].name == "ä" * 15 + "ö"


def test_a_logged_action_outlives_a_reader_that_is_another_user() -> None:
    lock, clock, client = a_lock()
    other = Client(lock, clock, link=2, id_type=IdType.APP, name="Anna")
    other.act(Action.UNLOCK)
    client.after(9)
    client.act(Action.LOCK)
    client.after(9)
    assert [(who, name) for _, who, name, _ in told(client)] == [(2, "Anna"), (1, "bridge")]


# -- how it is read ---------------------------------------------------------------------------------------------------


def fill(lock: VirtualLock, count: int) -> None:
    for number in range(count):
        lock.set_door(DoorState.CLOSED if number % 2 else DoorState.OPEN)


@pytest.mark.parametrize(
    ("start", "count", "descending", "indexes", "total"),
    [
        (0, 0xFFFF, False, [1, 2, 3, 4, 5], 5),
        (0, 0xFFFF, True, [5, 4, 3, 2, 1], 5),
        (0, 2, False, [1, 2], 5),
        (0, 2, True, [5, 4], 5),
        (3, 0xFFFF, False, [4, 5], 2),
        (3, 0xFFFF, True, [2, 1], 2),
        (3, 1, True, [2], 2),
        (5, 9, False, [], 0),
        (1, 9, True, [], 0),
        (99, 9, False, [], 0),
        (99, 9, True, [5, 4, 3, 2, 1], 5),
        (0, 0, True, [], 5),
    ],
)
def test_the_start_is_not_among_the_entries(
    start: int, count: int, descending: bool, indexes: list[int], total: int
) -> None:
    lock, _, client = a_lock()
    fill(lock, 5)
    first, *listed, end = read(client, start, count, descending=descending, total=True)
    assert first == LogEntryCount(
        logging_enabled=True, count=total, door_sensor_enabled=True, door_sensor_logging_enabled=True
    )
    assert [e.index for e in listed] == indexes  # type: ignore[attr-defined]
    assert end == COMPLETE
    assert read(client, start, count, descending=descending) == [*listed, COMPLETE]


@pytest.mark.parametrize(
    ("behaviour", "sizes"),
    [
        ({}, [5, 49, 52, 53, 1]),
        ({"log_data_padded": True}, [5, 53, 53, 53, 1]),
        ({"log_count_size": 3}, [3, 49, 52, 53, 1]),
        ({"list_end_missing": True}, [5, 49, 52, 53]),
    ],
)
def test_entries_are_as_long_as_the_firmware_makes_them(behaviour: dict[str, Any], sizes: list[int]) -> None:
    lock, clock, client = a_lock(**behaviour)
    lock.control({"door": "open"})
    lock.control({"turn": "unlocked"})
    lock.control({"keypad": {"action": "lock", "code_id": 7}})
    client.after(9)
    client.challenge()
    before = len(clock.sent) + 1
    read(client, total=True)
    assert [len(data) - 54 for _, _, data in clock.sent[before:]] == sizes


def test_the_oldest_entries_make_room_and_indexes_go_on() -> None:
    lock, _, client = a_lock()
    fill(lock, 1003)
    *listed, _ = read(client)
    assert [e.index for e in listed] == list(range(4, 1004))  # type: ignore[attr-defined]


def test_the_log_needs_the_pin() -> None:
    lock, _, client = a_lock()
    fill(lock, 1)
    for kind in (RequestLogEntries, EnableLogging, RequestReboot):
        fields: dict[str, Any] = {"start": 0, "count": 9, "descending": True, "total_count": False}
        values = {name: fields.get(name, False) for name, _, _ in kind.layout}
        request = kind(**values | {"nonce": client.challenge(), "security_pin": 1})
        lock.pin_guard.wrong = 0
        assert error_of(client.ask(request)) == ErrorCode.BAD_PIN


def test_the_count_tells_what_is_switched_on() -> None:
    lock, _, client = a_lock()
    lock.control({"door_logging": False, "door": "unavailable"})
    switch(client, False)
    assert read(client, count=0, total=True) == [
        LogEntryCount(logging_enabled=False, count=2, door_sensor_enabled=False, door_sensor_logging_enabled=False),
        COMPLETE,
    ]


# -- switching and memory ---------------------------------------------------------------------------------------------


def switch(client: Client, on: bool) -> list[Message]:
    return client.ask(EnableLogging(enabled=on, nonce=client.challenge(), security_pin=1234))


def test_nothing_is_written_while_logging_is_off_but_the_switch_itself() -> None:
    lock, _, client = a_lock()
    assert switch(client, True) == [COMPLETE]
    fill(lock, 1)
    assert switch(client, False) == [COMPLETE]
    fill(lock, 2)
    client.act(Action.UNLOCK)
    client.after(9)
    assert switch(client, True) == [COMPLETE]
    fill(lock, 1)
    assert told(client) == [(6, 0, "", [0]), (1, 1, "bridge", [0]), (1, 1, "bridge", [1]), (6, 0, "", [0])]
    notes = [(e.authorization_id, e.name, e.detail) for e in lock.audit if e.what == "logging"]
    assert notes == [(1, "bridge", "on"), (1, "bridge", "off"), (1, "bridge", "on")]


def test_the_log_survives_a_restart() -> None:
    lock, _, client = a_lock()
    lock.control({"door_logging": False})
    client.act(Action.UNLOCK, suffix="Jürgen")
    client.after(9)
    switch(client, False)
    again = VirtualLock.from_dict(json.loads(json.dumps(lock.to_dict())))
    assert again.log.entries == lock.log.entries
    assert (again.log.enabled, again.device.door_logging, again.log.next_index) == (False, False, 4)
    assert again.to_dict() == lock.to_dict()


def test_a_memory_from_before_there_was_a_log_is_read() -> None:
    lock, _, _ = a_lock()
    data = lock.to_dict()
    for key in ("log", "next_log_index", "logging", "door_logging", "wrong_pins", "pin_banned_until"):
        del data[key]
    again = VirtualLock.from_dict(data)
    assert (again.log.entries, again.log.enabled, again.log.next_index) == ([], True, 1)


@pytest.mark.parametrize("log", [["00"], ["zz"], [5], 7])
def test_a_spoiled_log_is_refused(log: Any) -> None:
    lock, _, _ = a_lock()
    with pytest.raises(ValueError, match="not a virtual lock's memory"):
        VirtualLock.from_dict(lock.to_dict() | {"log": log})


def test_every_new_entry_is_kept_at_once() -> None:
    lock, _, client = a_lock()
    saved: list[dict[str, Any]] = []
    lock.device.on_memory_changed = lambda: saved.append(lock.to_dict())
    client.act(Action.LOCK)  # nothing to do, nothing else changes
    assert saved[-1]["log"] == lock.log.to_list() != []


# -- fob and keypad ---------------------------------------------------------------------------------------------------


def test_an_accessory_is_a_user_from_its_first_use_on() -> None:
    lock, _, _ = a_lock()
    counted = lock.config_update_count
    for _ in range(2):
        lock.control({"fob": 1})
        lock.control({"keypad": {"action": "lock", "code_id": 1}})
    kinds = [(e.authorization_id, e.id_type, e.name) for e in lock.authorizations]
    assert kinds[1:] == [(2, IdType.FOB, "Fob"), (3, IdType.KEYPAD, "Keypad")]
    assert (lock.settings.has_fob, lock.settings.has_keypad) == (True, True)
    assert lock.config_update_count == counted + 2


@pytest.mark.parametrize("hinder", ["disabled", "late", "busy", "uncalibrated"])
def test_an_accessory_that_may_not_act_moves_nothing_and_is_logged(hinder: str) -> None:
    lock, _, client = a_lock()
    fob = lock.add_user(KEYS, IdType.FOB, 0, "Opa", full=ErrorCode.MAX_USER)
    completion = {"disabled": 9, "late": 9, "busy": 4, "uncalibrated": 0xFE}[hinder]
    if hinder == "disabled":
        lock.set_enabled(fob.authorization_id, False)
    elif hinder == "late":
        fob.limit = TimeLimit(until=START - timedelta(days=1))
    elif hinder == "busy":
        lock.be_busy(60)
    else:
        lock.uncalibrate()
    lock.control({"fob": {"presses": 1, "id": fob.authorization_id}})
    client.after(9)
    assert told(client) == [(2, 2, "Opa", [1, 3, 0, completion])]
    assert lock.movements() == []
    assert fob.lock_count == 0


def test_a_press_without_an_action_is_logged_as_such() -> None:
    lock, _, client = a_lock()
    lock.settings.fob_action_2 = 0
    lock.settings.button_enabled = False
    lock.control({"fob": 2, "press_button": 1})
    assert told(client) == [(2, 2, "Fob", [0x50, 3, 0, 0]), (2, 0, "", [0x5A, 2, 0, 0])]


def test_accessories_move_the_motor_in_their_own_name() -> None:
    lock, clock, client = a_lock()
    lock.control({"fob": 1})
    clock.advance(9)
    lock.control({"keypad": {"action": "lock", "code_id": 3}})
    clock.advance(9)
    assert [(m.authorization_id, m.name) for m in lock.movements()] == [(2, "Fob"), (3, "Keypad")]
    assert [e.lock_count for e in lock.authorizations] == [0, 1, 1]
    assert client.received() == []


def test_a_fob_ends_a_lock_n_go_that_waits_and_its_owner_hears_of_it() -> None:
    lock, _, client = a_lock(motor_s=1)
    assert client.act(Action.LOCK_N_GO)[0] == ACCEPTED
    client.after(5)
    lock.control({"fob": 2})
    assert error_of(client.received()[-1:]) == ErrorCode.CANCELED
    client.after(9)
    assert told(client) == [(2, 1, "bridge", [4, 0, 0, 2]), (2, 2, "Fob", [2, 3, 0, 0])]
    assert client.received() == []


@pytest.mark.parametrize(
    ("control", "sentence"),
    [
        ({"fob": 4}, "fob.presses: a whole number from 1 to 3, not 4"),
        ({"fob": {"press": 1}}, "fob: an object with id, presses"),
        ({"fob": {"id": 1}}, "authorization 1 is not a fob"),
        ({"fob": {"id": 77}}, "no authorization 77"),
        ({"keypad": 1}, "keypad: an object with accepted, action, code, code_id, name, source"),
        ({"keypad": {}}, "keypad.action: one of unlock, lock, unlatch, lock_n_go, not None"),
        ({"keypad": {"action": "lock", "code_id": 65536}}, "keypad.code_id: a whole number from 0 to 65535"),
        ({"keypad": {"action": "lock", "source": "nose"}}, "keypad.source: one of arrow_key, code, fingerprint"),
        ({"keypad": {"action": "lock", "name": 3}}, "keypad.name: a text, not 3"),
        ({"auto_lock": 1}, "auto_lock: true or false, not 1"),
    ],
)
def test_a_bad_accessory_control_says_what_is_allowed(control: dict[str, Any], sentence: str) -> None:
    lock, _, _ = a_lock()
    with pytest.raises(ValueError, match=r".+") as caught:
        lock.control(control)
    assert sentence in str(caught.value)


def test_a_full_lock_takes_no_accessory() -> None:
    lock, _, _ = a_lock(max_users=1)
    with pytest.raises(ValueError, match="its user table is full"):
        lock.control({"fob": 1})


def test_the_wall_clock_is_told_to_who_stands_before_the_lock() -> None:
    lock, _, _ = a_lock()
    assert lock.control({"clock": "2026-07-05T10:00:00+00:00"})["clock"] == "2026-07-05T12:00:00+02:00"
    fill(lock, 2)
    assert lock.control({"status": True})["log_entries"] == 2
    assert lock.control({"reboot": True})["links"] == 0


def test_entries_carry_the_documents_bytes() -> None:
    """Written out by hand: index, date, ID, name, kind, then action, trigger, flags, completion."""
    lock, _, client = a_lock()
    client.act(Action.UNLOCK)
    client.after(9)
    (entry,) = lock.log.to_list()
    assert entry == "01000000" + "ea070c01090002" + "01000000" + b"bridge".hex().ljust(64, "0") + "02" + "01000000"
    assert int(LogType.LOCK_ACTION) == 2
    assert int(Command.LOG_ENTRY) == 0x32
