"""An Opener's messages on the wire: bytes written by hand from the document's tables (opener.md 3 to 7)."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki_bridge.errors import BadFrame
from nuki_bridge.protocol.codes import (
    Action,
    Command,
    Completion,
    DoorState,
    ErrorCode,
    Family,
    LogType,
    NukiState,
    OpenerAction,
    OpenerState,
    Trigger,
)
from nuki_bridge.protocol.common import BasicConfig, States
from nuki_bridge.protocol.log_entries import LogEntry
from nuki_bridge.protocol.messages import Config, ErrorReport, KeyturnerStates, RequestCalibration
from nuki_bridge.protocol.opener import (
    ContinuousModeAction,
    OpenerConfig,
    OpenerStates,
    Ring,
    SetOpenerConfig,
    ring_of,
)
from nuki_bridge.protocol.session import lock_error
from nuki_bridge.protocol.wire import Message, UnknownMessage, decode, encode
from tests.unit.opener_bytes import NAME, PLACE, TIME, config_bytes

NONCE = bytes(range(32))

# -- states -----------------------------------------------------------------------------------------------------------

HEAD = (
    "03"  # continuous mode
    "07"  # opening
    "01"  # by hand
    + TIME
    + "3c00"  # an hour from UTC
    + "01"  # batteries critical
)
REST = (
    "2a"  # config update count
    "14"  # ring to open timer
    "03"  # electric strike
    "02"  # by button
    "04"  # busy
    "00"  # no door sensor
)
WHOLE = {
    "nuki_state": NukiState.CONTINUOUS_MODE,
    "lock_state": OpenerState.OPENING,
    "trigger": Trigger.MANUAL,
    "current_time": datetime(2026, 11, 29, 15, 30, 45, tzinfo=UTC),
    "timezone_offset_min": 60,
    "battery_state": 1,
    "config_update_count": 42,
    "ring_to_open_timer": 20,
    "last_action": OpenerAction.OPEN,
    "last_trigger": Trigger.BUTTON,
    "last_completion": Completion.BUSY,
    "door_state": DoorState.UNAVAILABLE,
}


def states_in(payload: bytes) -> OpenerStates:
    states = decode(Command.KEYTURNER_STATES, payload, Family.OPENER)
    assert isinstance(states, OpenerStates)
    return states


def as_dict(message: Any) -> dict[str, Any]:
    return {each.name: getattr(message, each.name) for each in fields(message)}


@pytest.mark.parametrize("tail", ["", "0000", "000003", "0000000000000003"])
def test_states_whatever_follows_them(tail: str) -> None:
    states = states_in(bytes.fromhex(HEAD + REST + tail))
    assert as_dict(states) == WHOLE
    assert encode(states, Family.OPENER) == bytes.fromhex(HEAD + REST)
    assert states.keypad_battery_critical is None, "which byte of the tail would be it is disputed"


@pytest.mark.parametrize("size", range(13, 19))
def test_states_of_a_firmware_that_tells_less(size: int) -> None:
    payload = bytes.fromhex(HEAD + REST)[:size]
    told = list(WHOLE)[: size - 7]
    assert as_dict(states_in(payload)) == {name: WHOLE[name] if name in told else None for name in WHOLE}
    assert encode(states_in(payload), Family.OPENER) == payload


def test_states_that_are_too_short() -> None:
    with pytest.raises(BadFrame):
        decode(Command.KEYTURNER_STATES, bytes.fromhex(HEAD)[:-1], Family.OPENER)


@pytest.mark.parametrize(("byte", "critical"), [(0x00, False), (0x01, True), (0xFE, False), (0xFF, True)])
def test_the_battery_of_an_opener_is_critical_or_not(byte: int, critical: bool) -> None:
    states = replace(states_in(bytes.fromhex(HEAD)), battery_state=byte)
    assert states.battery_critical is critical
    assert (states.battery_percent, states.battery_charging) == (None, None)
    assert states.door_sensor_battery_critical is None


def test_what_only_a_smart_lock_tells() -> None:
    states = states_in(bytes.fromhex(HEAD + REST))
    assert (states.lock_n_go_timer, states.night_mode_active) == (None, None)


def test_what_only_an_opener_tells() -> None:
    states = decode(Command.KEYTURNER_STATES, bytes.fromhex(HEAD + REST), Family.CLASSIC)
    assert isinstance(states, KeyturnerStates)
    assert (states.lock_n_go_timer, states.ring_to_open_timer) == (20, None)


@pytest.mark.parametrize(
    ("base", "kinds"), [(States, (KeyturnerStates, OpenerStates)), (BasicConfig, (Config, OpenerConfig))]
)
def test_either_kind_has_everything_that_is_common(base: type[Message], kinds: tuple[type[Message], ...]) -> None:
    common = {*base.__annotations__, *(name for name, each in vars(base).items() if isinstance(each, property))}
    assert len(common) > 10
    for kind in kinds:
        assert common <= set(dir(kind)), kind


@given(st.binary(min_size=13, max_size=40))
def test_states_are_written_as_they_were_read(payload: bytes) -> None:
    states = states_in(payload)
    again = encode(states, Family.OPENER)
    assert len(again) == min(len(payload), 19)
    assert states_in(again) == states
    outside_the_time = [*range(3), *range(10, len(again))]
    assert [again[each] for each in outside_the_time] == [payload[each] for each in outside_the_time]


# -- actions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("enabled", "byte"), [(True, "01"), (False, "00")])
def test_continuous_mode_with_the_pin(enabled: bool, byte: str) -> None:
    request = ContinuousModeAction(enabled=enabled, timeout=0, nonce=NONCE, security_pin=1234)
    payload = bytes.fromhex(byte + "00" + NONCE.hex() + "d204")
    assert encode(request, Family.OPENER) == payload
    assert decode(0x0057, payload, Family.OPENER) == request
    assert "1234" not in repr(request)


def test_set_calibrated_is_asked_like_a_calibration() -> None:
    request = RequestCalibration(nonce=NONCE, security_pin=9999)
    assert encode(request, Family.OPENER) == NONCE + bytes.fromhex("0f27")
    assert request.command == 0x001A


@pytest.mark.parametrize(
    ("command", "payload", "name"),
    [
        (Command.LOCK_ACTION, "030100000000" + NONCE.hex(), "action"),
        (Command.BATTERY_REPORT, "000088130103", "last_action"),
        (Command.TIME_CONTROL_ENTRY, "010100060003", "action"),
    ],
)
def test_an_action_is_one_of_the_openers_own(command: int, payload: str, name: str) -> None:
    action = getattr(decode(command, bytes.fromhex(payload), Family.OPENER), name)
    assert action is OpenerAction.OPEN
    assert getattr(decode(command, bytes.fromhex(payload), Family.CLASSIC), name) is Action.UNLATCH


# -- configuration ----------------------------------------------------------------------------------------------------


def config_in(payload: bytes) -> OpenerConfig:
    config = decode(Command.CONFIG, payload, Family.OPENER)
    assert isinstance(config, OpenerConfig)
    return config


def test_config() -> None:
    payload = config_bytes()
    assert len(payload) == 72
    config = config_in(payload)
    assert config == OpenerConfig(
        nuki_id=0x1A345678,
        name="Intercom",
        latitude=50.0,
        longitude=15.0,
        capabilities=2,
        pairing_enabled=True,
        button_enabled=False,
        led_enabled=True,
        current_time=datetime(2026, 11, 29, 15, 30, 45, tzinfo=UTC),
        timezone_offset_min=60,
        dst_mode=1,
        has_fob=True,
        fob_action_1=2,
        fob_action_2=7,
        fob_action_3=8,
        operating_mode=13,
        advertising_mode=1,
        has_keypad=True,
        firmware_version=b"\1\6\2",
        hardware_revision=b"\1\3",
        timezone_id=37,
    )
    assert encode(config, Family.OPENER) == payload
    assert (config.wiring, config.device_type, config.has_keypad_2, config.auto_unlatch) == (2, None, None, None)
    assert "50.0" not in repr(config)


@pytest.mark.parametrize(
    ("tail", "device_type", "has_keypad_2"),
    [
        ("02", 2, None),
        ("0200", 2, None),
        ("020001", 2, True),
        ("02000000", 2, False),
        ("010001", None, None),
        ("000001", None, None),
    ],
)
def test_a_second_keypad_where_the_bytes_show_it(tail: str, device_type: int | None, has_keypad_2: bool | None) -> None:
    config = config_in(config_bytes(tail))
    assert (config.device_type, config.has_keypad_2) == (device_type, has_keypad_2)


def test_a_config_that_is_too_short() -> None:
    with pytest.raises(BadFrame):
        config_in(config_bytes()[:-1])


def test_set_config() -> None:
    config = config_in(config_bytes())
    names = [name for name, _, _ in SetOpenerConfig.layout if name not in ("nonce", "security_pin")]
    request = SetOpenerConfig(**{name: getattr(config, name) for name in names}, nonce=NONCE, security_pin=42)
    payload = bytes.fromhex(
        NAME + PLACE + "02010005" + "3c00" + "01" + "020708" + "0d" + "01" + "2500" + NONCE.hex() + "2a00"
    )
    assert len(payload) == 88
    assert encode(request, Family.OPENER) == payload, "a flag goes back as the byte that came"
    assert decode(Command.SET_CONFIG, payload, Family.OPENER) == request


@given(st.binary(min_size=72, max_size=75))
def test_a_config_is_written_as_it_was_read(payload: bytes) -> None:
    config = config_in(payload)
    again = encode(config, Family.OPENER)
    assert len(again) == len(payload)
    kept = {*range(len(payload))} - {
        *range(36, 44),
        *range(48, 55),
        58,
        64,
    }  # floats and date by value, read-only flags
    assert [again[each] for each in kept] == [payload[each] for each in kept]


@pytest.mark.parametrize("nowhere", ["0100807f", "0000a07f", "0000c07f", "ffffffff", "0000807f", "000080ff"])
def test_a_place_that_is_none_goes_back_as_it_came(nowhere: str) -> None:
    payload = bytearray(config_bytes())
    payload[36:40] = bytes.fromhex(nowhere)
    config = config_in(bytes(payload))
    assert encode(config, Family.OPENER) == payload
    assert encode(replace(config, name="Gate"), Family.OPENER)[36:40].hex() == nowhere


# -- the log ----------------------------------------------------------------------------------------------------------

ENTRY = "2a000000" + TIME + "00000000" + bytes(32).hex()


def entry_in(data: str) -> LogEntry:
    entry = decode(Command.LOG_ENTRY, bytes.fromhex(ENTRY + data), Family.OPENER)
    assert isinstance(entry, LogEntry)
    return entry


@pytest.mark.parametrize(
    ("data", "ring"),
    [
        (
            "060000000002000000",
            Ring(
                ring_to_open=False,
                continuous_mode=False,
                source=0,
                geofence=False,
                suppressed=False,
                sound=2,
                completion=Completion.SUCCESS,
                code_id=0,
            ),
        ),
        (
            "060306010100e03412",
            Ring(
                ring_to_open=True,
                continuous_mode=True,
                source=6,
                geofence=True,
                suppressed=True,
                sound=0,
                completion=Completion.INVALID_CODE,
                code_id=0x1234,
            ),
        ),
        (
            "060105",
            Ring(
                ring_to_open=True,
                continuous_mode=False,
                source=5,
                geofence=False,
                suppressed=False,
                sound=0,
                completion=Completion.SUCCESS,
                code_id=0,
            ),
        ),
    ],
)
def test_a_ring_in_the_log(data: str, ring: Ring) -> None:
    entry = entry_in(data)
    assert (entry.index, entry.authorization_id) == (42, 0)
    assert ring_of(entry) == ring
    assert encode(entry, Family.OPENER) == bytes.fromhex(ENTRY + data)


def test_what_is_no_ring() -> None:
    strike = entry_in("0203000000")
    assert strike.kind is LogType.LOCK_ACTION
    assert ring_of(strike) is None


@given(st.binary(min_size=48, max_size=60))
def test_any_entry_is_a_ring_by_its_type_alone(payload: bytes) -> None:
    entry = decode(Command.LOG_ENTRY, payload, Family.OPENER)
    assert isinstance(entry, LogEntry)
    ring = ring_of(entry)
    assert (ring is not None) == (payload[47] == 6)
    if ring is not None:
        data = payload[48:56].ljust(8, b"\0")
        assert ring.code_id == int.from_bytes(data[6:], "little")
        assert (ring.source, ring.sound, ring.completion) == (data[1], data[4], data[5])


OF_AN_OPENER = [0x0C, 0x0D, 0x11, 0x12, 0x13, 0x15, 0x1A, 0x32, 0x35, 0x36, 0x37, 0x57]


@given(st.sampled_from(OF_AN_OPENER), st.binary(max_size=120))
def test_any_payload_decodes_to_what_encodes_again(command: int, payload: bytes) -> None:
    try:
        message = decode(command, payload, Family.OPENER)
    except BadFrame:
        return
    if isinstance(message, UnknownMessage):
        assert command == 0x35
        return
    again = encode(message, Family.OPENER)
    assert len(again) <= len(payload)
    assert encode(decode(command, again, Family.OPENER), Family.OPENER) == again


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (0x47, "not_calibrated", "trained"),
        (0x48, "bus_recording_timeout", "30 seconds"),
        (0x49, "bus_low_voltage", "no voltage"),
        (0x50, "unknown_operating_mode", "kind of intercom"),
        (0x45, "busy", "busy"),
        (0x21, "bad_pin", "security PIN"),
        (0x51, "unknown_0x51", "reported unknown_0x51"),
    ],
)
def test_what_an_opener_means_by_an_error(number: int, code: str, said: str) -> None:
    report = decode(Command.ERROR_REPORT, bytes([number, 0x0D, 0x00]), Family.OPENER)
    assert isinstance(report, ErrorReport)
    error = lock_error(report, Family.OPENER)
    assert (error.code, error.number, error.command) == (code, number, Command.LOCK_ACTION)
    assert said in str(error)
    assert "motor" not in str(error)


MEANT = [ErrorCode(each) for each in (0x47, 0x48, 0x49)]


def test_a_smart_lock_means_something_else_by_it() -> None:
    codes = [lock_error(ErrorReport(error=each, failed_command=0), Family.ULTRA).code for each in MEANT]
    assert codes == ["not_calibrated", "motor_position_limit", "motor_low_voltage"]
