"""An Opener's settings: what is told, what can be changed, and that nothing else is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from nuki_bridge.errors import LockError, RequestError
from nuki_bridge.lock.profile import OPENER, SMART_LOCK, Profile
from nuki_bridge.owner import advanced_config, lock_config, opener_config
from nuki_bridge.protocol.codes import Command, ErrorCode, Family
from nuki_bridge.protocol.common import AnyAdvancedConfig, BasicConfig
from nuki_bridge.protocol.messages import Config
from nuki_bridge.protocol.opener import OpenerConfig, SetOpenerConfig
from nuki_bridge.protocol.opener_advanced_config import (
    OpenerAdvancedConfigA,
    OpenerAdvancedConfigB,
    OpenerAdvancedConfigHead,
    SetOpenerAdvancedConfigA,
    SetOpenerAdvancedConfigB,
)
from nuki_bridge.protocol.wire import Message, OwnerRequest, decode, encode
from tests.unit.opener_bytes import ADVANCED_HEAD as HEAD
from tests.unit.opener_bytes import ADVANCED_REST as REST
from tests.unit.opener_bytes import NAME, PLACE, config_bytes

NONCE = bytes(32)
A = HEAD + REST
B = HEAD + "2a" + REST
UNREADABLE = HEAD + "00" * 14
BASIC = NAME + PLACE + "02010005" + "3c00" + "01" + "020708" + "0d" + "01" + "2500"
"""Set Config of what `config_bytes` tells."""


class Opener:
    """Tells its settings and notes what it is written, as bytes."""

    def __init__(self, advanced: str, profile: Profile = OPENER) -> None:
        self.config = decode(Command.CONFIG, config_bytes(), Family.OPENER)
        self.advanced = decode(Command.ADVANCED_CONFIG, bytes.fromhex(advanced), Family.OPENER)
        self.profile = profile
        self.advanced_config: AnyAdvancedConfig | None = None
        self.written: list[tuple[type[Message], str]] = []
        self.refuses: LockError | None = None

    def clock(self) -> float:
        return 0.0

    async def read_config(self, timeout_s: float) -> BasicConfig:
        assert isinstance(self.config, BasicConfig)
        return self.config

    async def read_advanced_config(self, timeout_s: float) -> AnyAdvancedConfig:
        assert isinstance(self.advanced, AnyAdvancedConfig)
        self.advanced_config = self.advanced
        return self.advanced

    async def ask(self, request: OwnerRequest, wanted: type[Message], timeout_s: float) -> None:
        if self.refuses is not None:
            raise self.refuses
        payload = encode(request.signed(NONCE, 0), Family.OPENER)
        self.written.append((type(request), payload[:-34].hex()))

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        yield

    async def request(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Ask for it as MQTT does."""
        declared = lock_config.REQUESTS[name]
        checked = declared.arguments.check(arguments)
        call = SimpleNamespace(
            lock=self, admin=self, arguments=checked, timeout_s=10.0, left_s=lambda: 10.0, exclusive=self.exclusive
        )
        answer = await declared.handler(call)  # type: ignore[arg-type]
        data: dict[str, Any] = answer["data"]
        return data


# -- what is told -----------------------------------------------------------------------------------------------------


async def test_what_an_opener_tells() -> None:
    assert await Opener(B).request("config/get") == {
        "name": "Intercom",
        "latitude": 50.0,
        "longitude": 15.0,
        "pairing_enabled": True,
        "button_enabled": False,
        "led_enabled": True,
        "fob_action_1": "activate_rto",
        "fob_action_2": "open",
        "fob_action_3": "ring",
        "advertising_mode": "normal",
        "timezone": "Europe/Berlin",
        "timezone_offset_min": 60,
        "dst_mode": "european",
        "capabilities": "rto",
        "operating_mode": "golmar",
        "nuki_id": "1A345678",
        "firmware": "1.6.2",
        "hardware": "1.3",
        "device_type": None,
        "has_fob": True,
        "has_keypad": True,
        "has_keypad_2": None,
        "time": "2026-11-29T16:30:45+01:00",
        "electric_strike_delay": 1000,
        "random_electric_strike_delay": True,
        "electric_strike_duration": 3000,
        "disable_rto_after_ring": False,
        "rto_timeout": 20,
        "doorbell_suppression": "continuous_mode_and_ring",
        "doorbell_suppression_duration": 2000,
        "sound_ring": 1,
        "sound_open": 2,
        "sound_rto": 3,
        "sound_cm": 0,
        "sound_confirmation": True,
        "sound_level": 128,
        "single_button_press_action": "open",
        "double_button_press_action": "toggle_continuous_mode",
        "battery_type": "lithium",
        "automatic_battery_type_detection": True,
        "intercom_id": 12345,
        "bus_mode_switch": 1,
        "short_circuit_duration": 500,
        "auto_update": None,
    }


async def test_either_layout_tells_the_same() -> None:
    assert await Opener(A).request("config/get") == await Opener(B).request("config/get")


async def test_of_a_layout_that_cannot_be_told_only_the_head_is() -> None:
    told = await Opener(UNREADABLE).request("config/get")
    assert (told["electric_strike_delay"], told["rto_timeout"], told["intercom_id"]) == (1000, 20, 12345)
    rest = list(opener_config.ADVANCED)[5:]
    assert [told[name] for name in rest] == [None] * len(rest)


@pytest.mark.parametrize("number", [4, 5, 6, 9, 255])
def test_a_number_without_a_word_is_told_as_it_is(number: int) -> None:
    assert lock_config._OPENER_SETTINGS["fob_action_1"].to_json(number) == number


def test_each_written_field_can_be_set_or_is_read_only() -> None:
    basic = {each.field or name for name, each in lock_config._OPENER_SETTINGS.items()}
    beside = {"nonce", "security_pin"}
    assert {name for name, _, _ in SetOpenerConfig.layout} - beside == basic | {*opener_config.BASIC_READ_ONLY}
    advanced = {*opener_config.ADVANCED, *opener_config.ADVANCED_READ_ONLY} - {"auto_update"}
    assert {name for name, _, _ in SetOpenerAdvancedConfigA.layout} - beside == advanced
    assert {name for name, _, _ in SetOpenerAdvancedConfigB.layout} - beside == advanced | {"byte_12"}


@pytest.mark.parametrize(("layout", "advanced"), [(A, True), (B, True), (UNREADABLE, False)])
async def test_which_settings_it_takes(layout: str, advanced: bool) -> None:
    opener = Opener(layout)
    names = lock_config.names_of(await opener.read_config(1), await opener.read_advanced_config(1))
    assert names == [*lock_config._OPENER_SETTINGS, *(opener_config.ADVANCED if advanced else ())]


# -- what is changed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "offset", "byte"),
    [
        ("pairing_enabled", False, 41, "00"),
        ("button_enabled", True, 42, "01"),
        ("led_enabled", False, 43, "00"),
        ("dst_mode", "off", 46, "00"),
        ("fob_action_1", "toggle_rto", 47, "01"),
        ("fob_action_2", "none", 48, "00"),
        ("fob_action_3", "open", 49, "07"),
        ("advertising_mode", "slowest", 51, "03"),
        ("timezone", "Europe/London", 52, "28"),
    ],
)
async def test_a_basic_setting_changes_its_byte_and_no_other(name: str, value: Any, offset: int, byte: str) -> None:
    opener = Opener(B)
    await opener.request("config/set", **{name: value})
    wanted = BASIC[: 2 * offset] + byte + BASIC[2 * offset + 2 :]
    assert opener.written == [(SetOpenerConfig, wanted)]


SETTINGS = [
    ("electric_strike_delay", 30000, 5, "3075"),
    ("random_electric_strike_delay", False, 7, "00"),
    ("electric_strike_duration", 1000, 8, "e803"),
    ("disable_rto_after_ring", True, 10, "01"),
    ("rto_timeout", 60, 11, "3c"),
    ("doorbell_suppression", "always", 12, "07"),
    ("doorbell_suppression", "rto", 12, "02"),
    ("doorbell_suppression_duration", 500, 13, "f401"),
    ("sound_ring", 0, 15, "00"),
    ("sound_open", 3, 16, "03"),
    ("sound_rto", 1, 17, "01"),
    ("sound_cm", 2, 18, "02"),
    ("sound_confirmation", False, 19, "00"),
    ("sound_level", 255, 20, "ff"),
    ("single_button_press_action", "deactivate_continuous_mode", 21, "06"),
    ("double_button_press_action", "toggle_rto", 22, "01"),
    ("battery_type", "alkaline", 23, "00"),
    ("battery_type", "no_warnings", 23, "03"),
    ("automatic_battery_type_detection", False, 24, "00"),
]


@pytest.mark.parametrize("layout", [A, B])
@pytest.mark.parametrize(("name", "value", "offset", "bytes_there"), SETTINGS)
async def test_an_advanced_setting_changes_its_bytes_in_the_layout_that_was_read(
    layout: str, name: str, value: Any, offset: int, bytes_there: str
) -> None:
    opener = Opener(layout)
    await opener.request("config/set", **{name: value})
    place = 2 * (offset + (layout is B and offset > 11))
    wanted = layout[:place] + bytes_there + layout[place + len(bytes_there) :]
    request = SetOpenerAdvancedConfigA if layout is A else SetOpenerAdvancedConfigB
    assert opener.written == [(request, wanted)]


@pytest.mark.parametrize(
    ("read", "written"),
    [
        (A + "01", A),
        (B + "01", B),
        (B[:24] + "ff" + B[26:], B[:24] + "ff" + B[26:]),  # nobody knows what it means
        (B[:14] + "02" + B[16:], B[:14] + "02" + B[16:]),  # a flag of another number than 1
    ],
)
async def test_every_byte_that_is_not_changed_goes_back_as_it_came(read: str, written: str) -> None:
    opener = Opener(read)
    await opener.request("config/set", sound_level=128)
    assert [payload for _, payload in opener.written] == [written]


async def test_each_message_is_written_only_if_it_is_needed() -> None:
    opener = Opener(A)
    await opener.request("config/set", sound_level=1, name="Door", battery_type="lithium")
    assert [each for each, _ in opener.written] == [SetOpenerConfig, SetOpenerAdvancedConfigA]


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sound_level", "electric_strike_delay", "rto_timeout"])
async def test_a_layout_that_was_not_recognized_is_never_written(name: str) -> None:
    opener = Opener(UNREADABLE)
    with pytest.raises(RequestError, match=r"cannot be recognized.*nothing has been set"):
        await opener.request("config/set", **{name: 20 if name == "rto_timeout" else 200, "button_enabled": True})
    assert opener.written == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"auto_unlatch": True}, "auto_unlatch: an Opener does not have it; allowed: name, "),
        ({"motor_speed": "gentle", "single_lock": True}, "motor_speed, single_lock: an Opener does not have them"),
        ({"fob_action_1": "unlock"}, "fob_action_1 of an Opener must be one of none, toggle_rto"),
        ({"single_button_press_action": "lock_n_go"}, "single_button_press_action of an Opener must be one of"),
        ({"auto_update": True}, "auto_update: read-only here; allowed: name, "),
        ({}, "nothing to set; allowed: name, "),
    ],
)
async def test_what_an_opener_does_not_have(arguments: dict[str, Any], says: str) -> None:
    opener = Opener(B)
    with pytest.raises(RequestError, match=says) as refused:
        await opener.request("config/set", **{**arguments, **({"sound_level": 3} if arguments else {})})
    assert refused.value.code == "bad_request"
    assert opener.written == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"operating_mode": "generic"}, "read-only"),
        ({"capabilities": "open"}, "read-only"),
        ({"intercom_id": 1}, "read-only"),
        ({"bus_mode_switch": 0}, "read-only"),
        ({"short_circuit_duration": 10}, "read-only"),
        ({"rto_timeout": 4}, "rto_timeout must be"),
        ({"rto_timeout": 61}, "rto_timeout must be"),
        ({"electric_strike_duration": 999}, "electric_strike_duration must be"),
        ({"electric_strike_delay": 30001}, "electric_strike_delay must be"),
        ({"doorbell_suppression": 4}, "doorbell_suppression must be one of"),
        ({"doorbell_suppression_duration": 499}, "doorbell_suppression_duration must be"),
        ({"sound_ring": 4}, "sound_ring must be"),
        ({"fob_action_1": "explode"}, "fob_action_1 must be one of none, unlock"),
    ],
)
async def test_what_nothing_can_be_set_to(arguments: dict[str, Any], says: str) -> None:
    opener = Opener(B)
    with pytest.raises(ValueError, match=says):
        await opener.request("config/set", **arguments)
    assert opener.written == []


async def test_a_smart_lock_has_none_of_it() -> None:
    lock = Opener(B, SMART_LOCK)
    for arguments, says in (
        ({"sound_level": 3}, "sound_level: a Smart Lock does not have it"),
        ({"fob_action_1": "toggle_rto"}, "fob_action_1 of a Smart Lock must be one of none, unlock"),
    ):
        with pytest.raises(RequestError, match=says):
            await lock.request("config/set", **arguments)
    assert lock.written == []


async def test_a_write_that_is_refused_for_its_size_is_not_tried_in_another_layout() -> None:
    opener = Opener(B)
    opener.refuses = LockError("bad_length", "the lock refused a message for its size", number=ErrorCode.BAD_LENGTH)
    with pytest.raises(LockError, match="size"):
        await opener.request("config/set", sound_level=3)
    assert opener.written == []


def test_the_settings_of_each_kind_belong_to_its_message() -> None:
    assert (SMART_LOCK.config, OPENER.config) == (Config, OpenerConfig)
    known = {OpenerAdvancedConfigA, OpenerAdvancedConfigB, OpenerAdvancedConfigHead}
    assert known < set(advanced_config._LAYOUTS)
    assert set(lock_config.checks()) & set(lock_config.opener_checks()) > {"name", "fob_action_1", "battery_type"}
