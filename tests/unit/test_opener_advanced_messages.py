"""An Opener's advanced configuration on the wire: both layouts, by hand from the document's table (opener.md 6)."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki_bridge.errors import BadFrame
from nuki_bridge.protocol.advanced_config import AdvancedConfig, RequestAdvancedConfig
from nuki_bridge.protocol.codes import Command, Family
from nuki_bridge.protocol.opener_advanced_config import (
    OpenerAdvancedConfig,
    OpenerAdvancedConfigA,
    OpenerAdvancedConfigB,
    OpenerAdvancedConfigHead,
    SetOpenerAdvancedConfigA,
    SetOpenerAdvancedConfigB,
)
from nuki_bridge.protocol.wire import Message, decode, encode
from tests.unit.opener_bytes import ADVANCED_HEAD as HEAD
from tests.unit.opener_bytes import ADVANCED_REST as REST

NONCE = bytes(range(32))
SIGNED = NONCE.hex() + "e110"  # PIN 4321

VALUES: dict[str, Any] = {
    "intercom_id": 12345,
    "bus_mode_switch": 1,
    "short_circuit_duration": 500,
    "electric_strike_delay": 1000,
    "random_electric_strike_delay": True,
    "electric_strike_duration": 3000,
    "disable_rto_after_ring": False,
    "rto_timeout": 20,
    "doorbell_suppression": 5,
    "doorbell_suppression_duration": 2000,
    "sound_ring": 1,
    "sound_open": 2,
    "sound_rto": 3,
    "sound_cm": 0,
    "sound_confirmation": True,
    "sound_level": 128,
    "single_button_press_action": 7,
    "double_button_press_action": 4,
    "battery_type": 2,
    "automatic_battery_type_detection": True,
}


def read(payload: bytes) -> OpenerAdvancedConfig:
    message = decode(Command.ADVANCED_CONFIG, payload, Family.OPENER)
    assert isinstance(message, OpenerAdvancedConfig)
    return message


def as_dict(message: Any) -> dict[str, Any]:
    return {each.name: getattr(message, each.name) for each in fields(message)}


def test_layout_a() -> None:
    payload = bytes.fromhex(HEAD + REST)
    assert len(payload) == 25
    config = read(payload)
    assert isinstance(config, OpenerAdvancedConfigA)
    assert as_dict(config) == {**VALUES, "auto_update": None}
    assert encode(config, Family.OPENER) == payload


@pytest.mark.parametrize("unknown", ["00", "01", "2a", "ff"])
def test_layout_b(unknown: str) -> None:
    payload = bytes.fromhex(HEAD + unknown + REST)
    assert len(payload) == 26
    config = read(payload)
    assert isinstance(config, OpenerAdvancedConfigB)
    assert as_dict(config) == {**VALUES, "byte_12": int(unknown, 16), "auto_update": None}
    assert encode(config, Family.OPENER) == payload


@pytest.mark.parametrize(
    ("payload", "kind", "auto_update"),
    [
        (HEAD + REST + "01", OpenerAdvancedConfigA, True),
        (HEAD + REST + "00", OpenerAdvancedConfigA, False),
        (HEAD + REST + "0012", OpenerAdvancedConfigA, False),
        (HEAD + "00" + REST + "01", OpenerAdvancedConfigB, True),
        (HEAD + "00" + REST + "0134", OpenerAdvancedConfigB, True),
    ],
)
def test_a_byte_more_is_auto_update(payload: str, kind: type[Message], auto_update: bool) -> None:
    config = read(bytes.fromhex(payload))
    assert type(config) is kind
    assert config.auto_update is auto_update
    assert config.electric_strike_duration == 3000
    assert config.doorbell_suppression_duration == 2000


@pytest.mark.parametrize(("more", "kind"), [("", OpenerAdvancedConfigA), ("01", OpenerAdvancedConfigA)])
def test_an_analogue_intercom_may_have_no_suppression_duration_in_a(more: str, kind: type[Message]) -> None:
    config = read(bytes.fromhex(HEAD + "000000" + REST[6:] + more))
    assert (type(config), config.doorbell_suppression_duration, config.sound_level) == (kind, 0, 128)


@pytest.mark.parametrize("more", ["", "01"])
@pytest.mark.parametrize("unknown", ["00", "2a"])
def test_an_analogue_intercom_may_have_no_suppression_duration_in_b(unknown: str, more: str) -> None:
    config = read(bytes.fromhex(HEAD + unknown + "000000" + REST[6:] + more))
    assert isinstance(config, OpenerAdvancedConfigB)
    assert (config.doorbell_suppression_duration, config.sound_level) == (0, 128)


@pytest.mark.parametrize(
    "payload",
    [
        HEAD + "08" + REST[2:] + "01",  # a suppression that A does not have, and no B
        HEAD + "00" * 14,  # suppressed for 0 ms in either
        HEAD + "00" + REST[:-2] + "02",  # a flag that is none
        HEAD + "04" + "0102" + "0202" + "0101" + "01" + "0101" + "0101" + "0101",  # 513 ms in A, 514 ms in B
        HEAD,
        HEAD + "00" * 5,
    ],
)
def test_a_layout_that_cannot_be_told_is_read_up_to_where_they_part(payload: str) -> None:
    config = read(bytes.fromhex(payload))
    assert isinstance(config, OpenerAdvancedConfigHead)
    head = [each.name for each in fields(config)]
    assert head == list(VALUES)[:8]
    assert as_dict(config) == {name: VALUES[name] for name in head}
    rest = [name for name in OpenerAdvancedConfig.__annotations__ if name not in head]
    assert [getattr(config, name) for name in rest] == [None] * 13


def test_what_is_too_short() -> None:
    with pytest.raises(BadFrame):
        read(bytes.fromhex(HEAD)[:-1])


def test_set_in_layout_a() -> None:
    request = SetOpenerAdvancedConfigA(**VALUES, nonce=NONCE, security_pin=4321)
    payload = bytes.fromhex(HEAD + REST + SIGNED)
    assert len(payload) == 59
    assert encode(request, Family.OPENER) == payload
    assert decode(Command.SET_ADVANCED_CONFIG, payload, Family.OPENER) == request


def test_set_in_layout_b() -> None:
    request = SetOpenerAdvancedConfigB(**VALUES, byte_12=0x2A, nonce=NONCE, security_pin=4321)
    payload = bytes.fromhex(HEAD + "2a" + REST + SIGNED)
    assert len(payload) == 60
    assert encode(request, Family.OPENER) == payload
    assert decode(Command.SET_ADVANCED_CONFIG, payload, Family.OPENER) == request


def test_it_is_asked_for_like_a_smart_locks() -> None:
    assert encode(RequestAdvancedConfig(nonce=NONCE), Family.OPENER) == NONCE
    assert isinstance(decode(0x36, NONCE, Family.OPENER), RequestAdvancedConfig)
    assert not isinstance(read(bytes.fromhex(HEAD + REST)), AdvancedConfig)


VALID = st.tuples(
    st.binary(min_size=12, max_size=12),
    st.integers(0, 7),
    st.just(0) | st.integers(500, 10000),
    *(st.integers(0, 3) for _ in range(4)),
    st.integers(0, 1),
    st.integers(0, 255),
    st.integers(0, 7),
    st.integers(0, 7),
    st.integers(0, 3),
    st.integers(0, 1),
)


def rest_of(values: tuple[Any, ...]) -> bytes:
    _, suppression, duration, *others = values
    return bytes([suppression, *duration.to_bytes(2, "little"), *others])


@given(VALID, st.integers(0, 255), st.binary(max_size=3))
def test_no_valid_b_is_taken_for_an_a(values: tuple[Any, ...], unknown: int, more: bytes) -> None:
    """At worst it cannot be told; what is told is told rightly."""
    config = read(values[0] + bytes([unknown]) + rest_of(values) + more)
    assert not isinstance(config, OpenerAdvancedConfigA)
    if isinstance(config, OpenerAdvancedConfigB):
        assert config.byte_12 == unknown
        assert config.doorbell_suppression_duration == values[2]
        assert config.single_button_press_action == values[9]


@given(VALID, st.binary(max_size=3))
def test_no_valid_a_is_taken_for_a_b(values: tuple[Any, ...], more: bytes) -> None:
    config = read(values[0] + rest_of(values) + more)
    assert not isinstance(config, OpenerAdvancedConfigB)
    assert more or isinstance(config, OpenerAdvancedConfigA)


@given(st.one_of(st.binary(min_size=12, max_size=40), VALID.map(lambda v: v[0] + b"\x2a" + rest_of(v))))
def test_every_byte_goes_back_as_it_came(payload: bytes) -> None:
    """Of what was read in a layout, and only of that."""
    config = read(payload)
    assert encode(config, Family.OPENER) == payload[: len(encode(config, Family.OPENER))]
    request: Any = {
        OpenerAdvancedConfigA: SetOpenerAdvancedConfigA,
        OpenerAdvancedConfigB: SetOpenerAdvancedConfigB,
    }.get(type(config))
    if request is None:
        return
    names = [name for name, _, _ in request.layout if name not in ("nonce", "security_pin")]
    again = request(**{name: getattr(config, name) for name in names}, nonce=NONCE, security_pin=0)
    assert encode(again, Family.OPENER)[:-34] == payload[: len(names) + 5]


def test_a_change_touches_nothing_else() -> None:
    payload = bytes.fromhex(HEAD + "2a" + REST)
    config = read(payload)
    assert isinstance(config, OpenerAdvancedConfigB)
    changed = encode(replace(config, sound_level=255), Family.OPENER)
    assert [each for each in range(26) if changed[each] != payload[each]] == [21]
