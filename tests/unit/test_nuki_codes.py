"""Nuki's own MQTT API as tables: literal topics and payloads of document 1.5 and of real locks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nuki_bridge.lock.profile import OPENER, SMART_LOCK
from nuki_bridge.lock_name import lock_name_mistake
from nuki_bridge.nuki_mqtt import codes
from nuki_bridge.nuki_mqtt.codes import LockActionEvent
from nuki_bridge.protocol.codes import KeypadSource


def test_a_nuki_id_is_spelled_as_on_the_device() -> None:
    assert codes.topic(0x2BB28570, "state") == "nuki/2BB28570/state"
    assert codes.topic(0x00B28570, "lockAction") == "nuki/00B28570/lockAction"
    assert codes.spellings(0x2BB28570) == ("2BB28570", "2bb28570")
    assert codes.spellings(0x00B28570) == ("00B28570", "00b28570", "B28570", "b28570")
    assert codes.spellings(0x12345678) == ("12345678",)


@pytest.mark.parametrize("level", ["2BB28570", "2bb28570", "00000000", "deadBEEF"])
def test_a_nuki_id_is_no_name_of_a_lock(level: str) -> None:
    assert codes.is_vendor_id(level)
    assert lock_name_mistake(level) is not None


@pytest.mark.parametrize("level", ["front_door", "2BB2857", "2BB285700", "2BB2857G", "", "2BB28570\n", "bridge"])
def test_other_levels_are_no_nuki_id(level: str) -> None:
    assert not codes.is_vendor_id(level)


@pytest.mark.parametrize(
    ("payload", "number"),
    [
        (b"0", 0),
        (b"254", 254),
        (b" 3 ", 3),
        (b"03", 3),
        (b"256", None),
        (b"-1", None),
        (b"+1", None),
        (b"1.0", None),
        (b"0x3", None),
        (b"", None),
        (b"true", None),
        (b"\xb2", None),
        (b"1" * 5000, None),
        (b"1_0", None),
    ],
)
def test_numbers_are_plain_decimal(payload: bytes, number: int | None) -> None:
    assert codes.read_number(payload) == number


def test_truth_is_a_word() -> None:
    assert [codes.read_bool(each) for each in (b"true", b"False", b"1", b"", b"yes")] == [True, False, None, None, None]
    assert (codes.boolean(True), codes.boolean(False), codes.number(254)) == (b"true", b"false", b"254")


def test_a_moment_has_an_offset() -> None:
    assert codes.timestamp(datetime(2018, 10, 3, 6, 49, tzinfo=UTC)) == b"2018-10-03T06:49:00+00:00"


@pytest.mark.parametrize(
    ("payload", "event"),
    [
        (b"3,0,54321,12345,1", LockActionEvent(3, 0, 54321, 12345, 1)),
        (b"1,0,54322,0,1", LockActionEvent(1, 0, 54322, 0, 1)),
        (b"4,2,0,0,0", LockActionEvent(4, 2)),
        (b"90,2,0,0,2", LockActionEvent(90, 2, 0, 0, 2)),
        (b"3,3,54322,0,3", LockActionEvent(3, 3, 54322, 0, 3)),
        (b"3,0,195249,8193,2", LockActionEvent(3, 0, 195249, 8193, 2)),
        (b"1,172,0,0,0", LockActionEvent(1, 172)),
        (b"1,172", LockActionEvent(1, 172)),
        (b"2", LockActionEvent(2, 255)),
        (b"1,0,7,0,0,99,new", LockActionEvent(1, 0, 7)),
        (b"1,0,4294967295,0,0", LockActionEvent(1, 0, 0xFFFFFFFF)),
        (b"", None),
        (b"1,,3", None),
        (b"1,x", None),
        (b"256,0", None),
        (b"1,256", None),
        (b"1,0,4294967296", None),
        (b"-1,0", None),
        (b"1," * 1000, None),
        (b'{"action":1}', None),
    ],
)
def test_events_of_the_document_and_of_real_locks(payload: bytes, event: LockActionEvent | None) -> None:
    assert LockActionEvent.parse(payload) == event
    if event is not None and payload.count(b",") == 4:
        assert event.to_payload() == payload


def test_the_context_means_what_the_other_fields_say() -> None:
    assert LockActionEvent(3, 0, 54321, 12345, 1).keypad_source is KeypadSource.CODE
    assert LockActionEvent(3, 0, 195249, 8193, 2).keypad_source is KeypadSource.FINGERPRINT
    assert LockActionEvent(3, 0, 195249, 8193, 9).keypad_source is None
    assert LockActionEvent(3, 0, 1, 0, 1).keypad_source is None
    assert [LockActionEvent(1, 0, 5, code, 1).is_auto_unlock for code in (0, 7)] == [True, False]
    assert not LockActionEvent(1, 2, 5, 0, 1).is_auto_unlock
    assert [LockActionEvent(1, trigger).is_mqtt for trigger in (172, 171)] == [True, False]


def test_only_one_to_six_are_commands() -> None:
    assert codes.sendable(SMART_LOCK) == {1, 2, 3, 4, 5, 6}
    assert codes.sendable(OPENER) == {1, 2, 3, 4, 5}


def test_states_are_those_of_bluetooth() -> None:
    assert [each for each in range(256) if codes.knows_state(SMART_LOCK, each)] == [*range(8), 252, 253, 254, 255]
    assert [each for each in range(256) if codes.knows_state(OPENER, each)] == [0, 1, 3, 5, 7, 253, 255]


def test_the_type_is_what_the_device_tells_if_the_api_has_it() -> None:
    assert [codes.device_type(SMART_LOCK, each) for each in (0, 3, 4, 5, 9, None)] == [0, 3, 4, 5, 4, 4]
    assert codes.device_type(OPENER, None) == 2
