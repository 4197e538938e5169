"""The advanced configuration on the wire: bytes written by hand from the document's table, of each generation."""

from __future__ import annotations

from dataclasses import replace
from datetime import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki_bridge.errors import BadFrame
from nuki_bridge.protocol.advanced_config import AdvancedConfig, RequestAdvancedConfig, SetAdvancedConfig
from nuki_bridge.protocol.codes import Family
from nuki_bridge.protocol.field_kinds import NOT_SUPPORTED, NoTime
from nuki_bridge.protocol.wire import decode, encode

NONCE = bytes(range(32))
MODERN = st.sampled_from([Family.CLASSIC, Family.ULTRA])

TOTAL = "8402"  # 644 degrees
FIELDS = (
    "a6ff"  # unlocked position offset -90
    "5a00"  # locked position offset 90
    "4cff"  # single locked position offset -180
    "b400"  # unlocked-to-locked transition offset 180
    "14"  # lock 'n' go timeout 20 s
    "01"  # single button press: intelligent
    "05"  # double button press: lock 'n' go
    "01"  # detached cylinder
    "02"  # lithium
    "00"  # no automatic battery type detection
    "1e"  # unlatch duration 30 s
    "2c01"  # auto lock timeout 300 s
    "01"  # auto unlock disabled
    "01"  # night mode enabled
    "161e"  # from 22:30
    "0700"  # to 7:00
    "00"  # no auto lock in it
    "01"  # auto unlock disabled in it
    "00"  # no immediate lock on start
)
OF_2_2 = "01ff00"  # auto lock enabled, immediate auto lock not supported, no auto update
OF_ULTRA = "0201"  # motor speed gentle, slow speed in night mode

VALUES: dict[str, Any] = {
    "unlocked_position_offset": -90,
    "locked_position_offset": 90,
    "single_locked_position_offset": -180,
    "unlocked_to_locked_transition_offset": 180,
    "lock_n_go_timeout": 20,
    "single_button_press_action": 1,
    "double_button_press_action": 5,
    "detached_cylinder": True,
    "battery_type": 2,
    "automatic_battery_type_detection": False,
    "unlatch_duration": 30,
    "auto_lock_timeout": 300,
    "auto_unlock_disabled": True,
    "night_mode_enabled": True,
    "night_mode_start": time(22, 30),
    "night_mode_end": time(7, 0),
    "night_mode_auto_lock": False,
    "night_mode_auto_unlock_disabled": True,
    "night_mode_immediate_lock_on_start": False,
}
VALUES_2_2: dict[str, Any] = {"auto_lock_enabled": True, "immediate_auto_lock": NOT_SUPPORTED, "auto_update": False}
VALUES_ULTRA: dict[str, Any] = {"motor_speed": 2, "slow_speed_in_night_mode": True}

GENERATIONS = pytest.mark.parametrize(
    ("family", "tail", "values", "sent", "set_size"),
    [
        (Family.CLASSIC, "", VALUES, 28, 60),
        (Family.CLASSIC, OF_2_2, VALUES | VALUES_2_2, 31, 63),
        (Family.ULTRA, OF_2_2 + OF_ULTRA, VALUES | VALUES_2_2 | VALUES_ULTRA, 33, 67),
    ],
    ids=["2.1", "2.2", "ultra"],
)


@GENERATIONS
def test_advanced_config_of_each_generation(
    family: Family, tail: str, values: dict[str, Any], sent: int, set_size: int
) -> None:
    payload = bytes.fromhex(TOTAL + FIELDS + tail)
    assert len(payload) == sent
    message = AdvancedConfig(total_degrees=644, **values)
    assert decode(0x37, payload, family) == message
    assert encode(message, family) == payload
    assert decode(0x37, payload + b"\x07", family).__class__ is AdvancedConfig


@GENERATIONS
def test_set_advanced_config_of_each_generation(
    family: Family, tail: str, values: dict[str, Any], sent: int, set_size: int
) -> None:
    """It has as many field bytes as the lock sent, without Total degrees, and the PIN in the family's width."""
    pin = "40e20100" if family is Family.ULTRA else "d204"
    payload = bytes.fromhex(FIELDS + tail) + NONCE + bytes.fromhex(pin)
    assert len(payload) == set_size
    number = 123456 if family is Family.ULTRA else 1234
    message = SetAdvancedConfig(**values, nonce=NONCE, security_pin=number)
    assert encode(message, family) == payload
    assert decode(0x35, payload, family) == message


def test_request_advanced_config_is_the_nonce_alone() -> None:
    assert encode(RequestAdvancedConfig(nonce=NONCE), Family.CLASSIC) == NONCE
    assert decode(0x36, NONCE, Family.ULTRA) == RequestAdvancedConfig(nonce=NONCE)


def test_below_the_minimum_it_is_a_bad_frame() -> None:
    with pytest.raises(BadFrame, match="at least 28 bytes, got 27"):
        decode(0x37, bytes(27), Family.CLASSIC)


@pytest.mark.parametrize("length", [28, 29, 30, 31, 32, 33, 40])
def test_fields_that_are_not_there_are_absent(length: int) -> None:
    config = decode(0x37, (bytes(33) + bytes(7))[:length], Family.CLASSIC)
    tail = [name for name, _, optional in AdvancedConfig.layout if optional]
    assert [name for name in tail if getattr(config, name) is not None] == tail[: max(length - 28, 0)]


def test_an_impossible_time_is_no_time_and_written_back_as_it_came() -> None:
    payload = bytes(21) + b"\xff\xff\x18\x00" + bytes(3)
    config = decode(0x37, payload, Family.CLASSIC)
    assert isinstance(config, AdvancedConfig)
    assert (config.night_mode_start, config.night_mode_end) == (NoTime(b"\xff\xff"), NoTime(b"\x18\0"))
    assert not config.night_mode_start
    assert not config.night_mode_end
    assert encode(config, Family.CLASSIC)[21:25] == b"\xff\xff\x18\0"
    assert encode(replace(config, night_mode_end=time(0, 0)), Family.CLASSIC)[21:25] == b"\xff\xff\0\0"


@pytest.mark.parametrize("command", [0x35, 0x37])
def test_the_opener_has_another_layout(command: int) -> None:
    assert not isinstance(decode(command, bytes(80), Family.OPENER), AdvancedConfig | SetAdvancedConfig)


def test_pin_and_nonce_stay_out_of_the_repr() -> None:
    text = repr(SetAdvancedConfig(**VALUES, nonce=NONCE, security_pin=4711))
    assert "4711" not in text
    assert "x01" not in text


@given(st.sampled_from([0x35, 0x36, 0x37]), st.binary(min_size=28, max_size=80), MODERN)
def test_any_payload_decodes_to_what_encodes_again(command: int, payload: bytes, family: Family) -> None:
    try:
        message = decode(command, payload, family)
    except BadFrame:
        return
    again = encode(message, family)
    assert len(again) <= len(payload)
    assert decode(command, again, family) == message
