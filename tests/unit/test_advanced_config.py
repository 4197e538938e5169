"""The advanced settings over MQTT: beside the basic ones, under names that hide the two messages."""

from __future__ import annotations

import asyncio
import json
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.config import LockSettings
from nuki_bridge.owner import advanced_config
from nuki_bridge.protocol.advanced_config import AdvancedConfig, SetAdvancedConfig
from nuki_bridge.protocol.codes import Command, ErrorCode
from nuki_bridge.simulator import requests
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.client_request import ClientRequest
from tests.unit.house import CLASSIC, PIN, ULTRA, House, ask


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "state", PIN)


def written(house: House) -> list[str]:
    """Which of the two messages the lock has been sent."""
    return [each.what for each in house.classic.audit if each.what in ("config_set", "advanced_config_set")]


async def answer_to(house: House, lock: str = "front", **arguments: Any) -> dict[str, Any]:
    return await house.ask(f"{lock}/request/config/set", arguments)


def test_every_field_of_the_message_is_a_setting() -> None:
    fields = [name for name, _, _ in SetAdvancedConfig.layout if name not in ("nonce", "security_pin")]
    assert list(advanced_config.SETTINGS) == fields
    assert [name for name, _, _ in AdvancedConfig.layout] == ["total_degrees", *fields]


# -- read and set -----------------------------------------------------------------------------------------------------


async def test_all_settings_are_told_in_one_list(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        told = await ask(house, "config/get")
        assert told["led_brightness"] == 3
        assert {name: told[name] for name in advanced_config.SETTINGS} == {
            "unlocked_position_offset": 0,
            "locked_position_offset": 0,
            "single_locked_position_offset": 0,
            "unlocked_to_locked_transition_offset": 0,
            "lock_n_go_timeout": 20,
            "single_button_press_action": "intelligent",
            "double_button_press_action": "lock_n_go",
            "detached_cylinder": False,
            "battery_type": "alkaline",
            "automatic_battery_type_detection": True,
            "unlatch_duration": 3,
            "auto_lock_timeout": 300,
            "auto_unlock_disabled": False,
            "night_mode_enabled": False,
            "night_mode_start": "22:00",
            "night_mode_end": "07:00",
            "night_mode_auto_lock": False,
            "night_mode_auto_unlock_disabled": False,
            "night_mode_immediate_lock_on_start": False,
            "auto_lock_enabled": False,
            "immediate_auto_lock": False,
            "auto_update": False,
            "motor_speed": None,
            "slow_speed_in_night_mode": None,
        }
        assert told["total_degrees"] == 720


@pytest.mark.long
@pytest.mark.parametrize(
    ("key", "value", "on_lock"),
    [
        ("unlocked_position_offset", -90, -90),
        ("locked_position_offset", -180, -180),
        ("single_locked_position_offset", 180, 180),
        ("unlocked_to_locked_transition_offset", -15, -15),
        ("lock_n_go_timeout", 60, 60),
        ("single_button_press_action", "show_status", 6),
        ("double_button_press_action", "none", 0),
        ("detached_cylinder", True, True),
        ("battery_type", "lithium", 2),
        ("automatic_battery_type_detection", False, False),
        ("unlatch_duration", 30, 30),
        ("auto_lock_timeout", 1800, 1800),
        ("auto_unlock_disabled", True, True),
        ("night_mode_enabled", True, True),
        ("night_mode_start", "23:30", time(23, 30)),
        ("night_mode_end", "00:00", time(0, 0)),
        ("night_mode_auto_lock", True, True),
        ("night_mode_auto_unlock_disabled", True, True),
        ("night_mode_immediate_lock_on_start", True, True),
        ("auto_lock_enabled", True, True),
        ("immediate_auto_lock", True, True),
        ("auto_update", True, True),
        ("motor_speed", "gentle", 2),
        ("slow_speed_in_night_mode", True, True),
    ],
)
async def test_one_setting_changes_and_all_others_stay(house: House, key: str, value: Any, on_lock: Any) -> None:
    async with house.running():
        await house.pair(ULTRA, name="back", pin="123456")
        virtual = house.ultra
        before = {name: getattr(virtual.advanced, name) for name in advanced_config.SETTINGS}
        answer = await answer_to(house, "back", **{key: value})
        assert answer["data"][key] == value
        after = {name: getattr(virtual.advanced, name) for name in advanced_config.SETTINGS}
        assert after == {**before, key: on_lock}
        assert not any(each.what == "config_set" for each in virtual.audit)


async def test_each_message_is_written_only_if_it_is_needed(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await ask(house, "config/set", led_enabled=False)
        assert written(house) == ["config_set"]
        await ask(house, "config/set", unlatch_duration=9)
        assert written(house) == ["config_set", "advanced_config_set"]
        answer = await ask(house, "config/set", unlatch_duration=10, led_enabled=True)
        assert (answer["unlatch_duration"], answer["led_enabled"]) == (10, True)
        assert written(house)[2:] == ["config_set", "advanced_config_set"]


async def test_two_changes_at_once_both_count(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.send("front/request/config/set", {"unlatch_duration": 9})
        house.send("front/request/config/set", {"lock_n_go_timeout": 9})
        await asyncio.sleep(5)
        assert (house.classic.advanced.unlatch_duration, house.classic.advanced.lock_n_go_timeout) == (9, 9)


@pytest.mark.parametrize("size", [28, 31, 33])
async def test_the_lock_is_written_as_many_fields_as_it_sends(house: House, size: int) -> None:
    house.classic.behaviour.advanced_config_size = size
    house.classic.behaviour.immediate_auto_lock_missing = True
    async with house.running():
        await house.pair(name="front")
        answer = await ask(house, "config/set", unlatch_duration=9)
        assert answer["unlatch_duration"] == 9
        assert answer["immediate_auto_lock"] is None
        assert (answer["auto_update"] is None) == (size == 28)
        assert (answer["motor_speed"] is None) == (size < 33)


# -- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"total_degrees": 700}, "read-only"),
        ({"unlocked_position_offset": -91}, "-90 to 180"),
        ({"locked_position_offset": 91}, "-180 to 90"),
        ({"lock_n_go_timeout": 4}, "5 to 60"),
        ({"lock_n_go_timeout": 20.5}, "whole number of seconds"),
        ({"unlatch_duration": 0}, "1 to 30"),
        ({"auto_lock_timeout": 1}, "0 or a whole number of seconds from 2 to 1800"),
        ({"auto_lock_timeout": 0}, "auto_lock_enabled"),
        ({"auto_lock_timeout": True}, "2 to 1800"),
        ({"single_button_press_action": "explode"}, "intelligent"),
        ({"battery_type": 1}, "alkaline"),
        ({"night_mode_start": "25:00"}, "00:00 to 23:59"),
        ({"night_mode_enabled": "yes"}, "true or false"),
        ({"motor_speed": "gentle"}, "motor_speed: this lock's firmware does not have it; nothing has been set"),
        ({"motor_speed": "gentle", "slow_speed_in_night_mode": True, "led_enabled": False}, "does not have them"),
        ({"led_enabled": False, "auto_lock_timeout": 0}, "nothing has been set"),
        ({"led_enabled": False, "unlatch_duration": 31}, "1 to 30"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_changes(house: House, arguments: dict[str, Any], says: str) -> None:
    async with house.running():
        await house.pair(name="front")
        answer = await answer_to(house, **arguments)
        assert answer["error"] == "bad_request"
        assert says in answer["message"]
        assert written(house) == []


async def test_a_number_that_nobody_has_a_word_for_is_told_and_kept(house: House) -> None:
    """Such as a battery type that a newer firmware has: whatever else is set, it goes back as it came."""
    house.classic.advanced.battery_type = 3
    async with house.running():
        await house.pair(name="front")
        assert (await ask(house, "config/get"))["battery_type"] == 3
        assert (await ask(house, "config/set", unlatch_duration=9))["battery_type"] == 3
        assert house.classic.advanced.battery_type == 3
        answer = await answer_to(house, battery_type="no_warnings")
        assert "must be one of alkaline, accumulator, lithium" in answer["message"]
        assert written(house) == ["advanced_config_set"]


async def test_zero_switches_auto_lock_off_where_there_is_no_switch(house: House) -> None:
    house.classic.behaviour.advanced_config_size = 28
    async with house.running():
        await house.pair(name="front")
        await ask(house, "config/set", auto_lock_timeout=60)
        assert (await ask(house, "config/set", auto_lock_timeout=0))["auto_lock_timeout"] == 0
        answer = await answer_to(house, auto_lock_enabled=True)
        assert "does not have it" in answer["message"]


async def test_without_a_pin_nothing_is_written(tmp_path: Path) -> None:
    house = House(tmp_path / "state", LockSettings("front", CLASSIC))
    async with house.running():
        await house.pair()
        assert (await ask(house, "config/get"))["unlatch_duration"] == 3
        assert (await answer_to(house, unlatch_duration=9))["error"] == "pin_required"


async def test_what_was_set_before_the_second_message_failed_is_said(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = requests.handle

    def handle(request: ClientRequest, payload: bytes) -> None:
        if request.command == Command.SET_ADVANCED_CONFIG:
            raise Refused(ErrorCode.BAD_PARAMETER)
        whole(request, payload)

    monkeypatch.setattr(requests, "handle", handle)
    async with house.running():
        await house.pair(name="front")
        answer = await answer_to(house, unlatch_duration=9, led_enabled=False, single_lock=True)
        assert answer["error"] == "bad_parameter"
        assert answer["message"].endswith("; what has been set all the same: led_enabled, single_lock")
        assert not house.classic.settings.led_enabled
        answer = await answer_to(house, unlatch_duration=9)
        assert "all the same" not in answer["message"]


# -- locks that do not have it ----------------------------------------------------------------------------------------


async def test_a_lock_that_does_not_know_it_tells_and_sets_the_basic_ones(house: House) -> None:
    house.classic.behaviour.advanced_config_size = 0
    async with house.running():
        await house.pair(name="front")
        told = await ask(house, "config/get")
        assert told["led_enabled"] is True
        assert not set(told) & {*advanced_config.SETTINGS, *advanced_config.READ_ONLY}
        assert (await ask(house, "config/set", led_enabled=False))["led_enabled"] is False
        answer = await answer_to(house, led_enabled=True, unlatch_duration=9)
        assert "unlatch_duration: this lock's firmware does not have it" in answer["message"]
        assert house.classic.settings.led_enabled is False


async def test_a_lock_that_is_silent_about_it_still_tells_the_basic_ones(house: House) -> None:
    whole = house.classic.connections.send_encrypted

    def send(connection_id: int, to: Any, message: Any, size: int | None = None) -> None:
        if message.command != Command.ADVANCED_CONFIG:
            whole(connection_id, to, message, size)

    house.classic.connections.send_encrypted = send  # type: ignore[method-assign]
    async with house.running():
        await house.pair(name="front")
        told = await ask(house, "config/get")
        assert told["led_enabled"] is True
        assert "unlatch_duration" not in told
        assert (await answer_to(house, unlatch_duration=9))["error"] == "timeout"


# -- the status -------------------------------------------------------------------------------------------------------


async def test_the_status_tells_them_and_follows(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        config = json.loads(house.retained["nuki/front/status"])["config"]
        assert (config["led_brightness"], config["auto_lock_enabled"]) == (3, False)
        assert config["night_mode_start"] == "22:00"
        assert config["locked_position_offset"] == 0
        assert not {"latitude", "longitude"} & set(config)
        await ask(house, "config/set", auto_lock_enabled=True)
        await asyncio.sleep(2)
        config = json.loads(house.retained["nuki/front/status"])["config"]
        assert config["auto_lock_enabled"] is True
        house.classic.advanced.unlatch_duration = 12  # by the maker's app
        house.classic.config_changed()
        await asyncio.sleep(30)
        assert json.loads(house.retained["nuki/front/status"])["config"]["unlatch_duration"] == 12


async def test_home_assistant_has_the_entities_that_the_lock_has(house: House) -> None:
    house.ultra.behaviour.advanced_config_size = 28
    async with house.running():
        await house.pair(name="front")
        await house.pair(ULTRA, name="back", pin="123456")

        def entities(nuki_id: str) -> set[str]:
            told = json.loads(house.retained[f"homeassistant/device/nuki_bridge_{nuki_id}/config"])["components"]
            return {key for key, each in told.items() if set(each) != {"platform"}}

        numbers = {"auto_lock_timeout", "lock_n_go_timeout", "unlatch_duration"}
        assert entities("1a2b3c4d") >= {"auto_lock", "auto_unlock", "night_mode", *numbers}
        assert entities("2c3d4e5f") >= {"night_mode", *numbers}
        assert "auto_lock" not in entities("2c3d4e5f")


async def test_home_assistant_is_told_once_all_of_the_configuration_is_known(house: House) -> None:
    """An announcement before would take the entities away for a moment."""
    async with house.running():
        await house.pair(name="front")
        topic = "homeassistant/device/nuki_bridge_1a2b3c4d/config"
        announced = [each.payload for each in house.published if each.topic == topic]
        assert announced
        assert all(b'"auto_lock":{"platform":"switch","name"' in each for each in announced)
