"""What an Opener's owner asks of it over MQTT: settings, log, keypad, time control, users, battery."""

from __future__ import annotations

import asyncio
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.owner import opener_config
from nuki_bridge.protocol.codes import LogType, OpenerAction
from tests.unit.intercom import SETTINGS, WITH_PIN, Intercom

LAYOUTS = pytest.mark.parametrize(
    "behaviour",
    [
        {"advanced_layout_a": True},
        {"advanced_layout_a": True, "advanced_config_size": 26},
        {},
        {"advanced_config_size": 27},
    ],
    ids=["A", "A with auto update", "B", "B with auto update"],
)


async def ask(house: Intercom, command: str, **arguments: Any) -> Any:
    answer = await house.ask(f"hall/request/{command}", arguments)
    assert answer["status"] == "ok", answer
    return answer["data"]


async def refusal(house: Intercom, command: str, **arguments: Any) -> tuple[str, str]:
    answer = await house.ask(f"hall/request/{command}", arguments)
    assert answer["status"] == "error", answer
    return answer["error"], answer["message"]


def written(house: Intercom) -> list[str]:
    """Which of the two messages it has been sent."""
    return [each.what for each in house.opener.audit if each.what in ("config_set", "advanced_config_set")]


# -- settings ---------------------------------------------------------------------------------------------------------


@LAYOUTS
async def test_the_settings_are_told_and_changed_in_either_layout(tmp_path: Path, behaviour: dict[str, Any]) -> None:
    house = Intercom(tmp_path, WITH_PIN, **behaviour)
    house.opener.advanced.byte_12 = 0x2A
    async with house.running():
        await house.paired()
        before = await ask(house, "config/get")
        assert before["operating_mode"] in opener_config.OPERATING_MODES
        assert before["capabilities"] == "open_and_rto"
        assert before["doorbell_suppression_duration"] >= 500
        known, there = house.opener.settings.values(), house.opener.advanced.values()
        changes = {
            "led_enabled": not before["led_enabled"],
            "fob_action_2": "ring",
            "doorbell_suppression": "always",
            "sound_level": 17,
            "single_button_press_action": "open",
        }
        assert await ask(house, "config/set", **changes) == {**before, **changes}
        assert written(house) == ["config_set", "advanced_config_set"]
        assert house.opener.settings.values() == known | {"led_enabled": changes["led_enabled"], "fob_action_2": 8}
        advanced = {"doorbell_suppression": 7, "sound_level": 17, "single_button_press_action": 7}
        assert house.opener.advanced.values() == there | advanced
        await asyncio.sleep(120)
        told = house.status()["config"]
        assert {name: told[name] for name in changes} == changes


async def test_a_change_in_the_app_survives_ours(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        house.opener.advanced.sound_ring = 3
        house.opener.advanced.rto_timeout = 33
        await ask(house, "config/set", sound_level=5)
        assert (house.opener.advanced.sound_ring, house.opener.advanced.rto_timeout) == (3, 33)


async def test_an_advanced_configuration_that_cannot_be_recognized_is_never_written(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    house.opener.advanced.battery_type = 9
    async with house.running():
        await house.paired()
        told = await ask(house, "config/get")
        assert (told["sound_level"], told["battery_type"]) == (None, None)
        assert told["electric_strike_duration"] >= 1000
        error, message = await refusal(house, "config/set", sound_level=5, led_enabled=False)
        assert (error, "nothing has been set" in message) == ("bad_request", True)
        assert written(house) == []
        assert await ask(house, "config/set", led_enabled=False) == {**told, "led_enabled": False}


async def test_a_firmware_without_advanced_configuration_tells_and_sets_the_basic_one(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN, advanced_config_size=0)
    async with house.running():
        await house.paired()
        told = await ask(house, "config/get")
        assert not set(told) & {*opener_config.ADVANCED, *opener_config.ADVANCED_READ_ONLY}
        assert (await ask(house, "config/set", name="Gate"))["name"] == "Gate"


async def test_what_belongs_to_a_smart_lock_or_to_the_app_is_refused(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        for arguments, says in (
            ({"auto_unlatch": True}, "an Opener does not have it"),
            ({"auto_lock_enabled": True, "sound_level": 3}, "auto_lock_enabled: an Opener does not have it"),
            ({"fob_action_1": "unlock"}, "fob_action_1 of an Opener must be one of none"),
            ({"operating_mode": "generic"}, "read-only"),
        ):
            error, message = await refusal(house, "config/set", **arguments)
            assert error == "bad_request"
            assert says in message
        assert written(house) == []


async def test_without_the_pin_settings_are_told_and_not_changed(tmp_path: Path) -> None:
    house = Intercom(tmp_path, SETTINGS)
    async with house.running():
        await house.paired()
        assert (await ask(house, "config/get"))["sound_level"] is not None
        assert (await refusal(house, "config/set", sound_level=5))[0] == "pin_required"
        assert written(house) == []


# -- log --------------------------------------------------------------------------------------------------------------


async def test_its_log_has_rings_and_what_they_opened(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        house.radio.control({"lock": house.opener.address, "ring": True})
        await asyncio.sleep(60)
        assert (await house.do("activate_rto"))["status"] == "ok"
        house.radio.control({"lock": house.opener.address, "ring": True})
        await asyncio.sleep(60)
        rings = [each for each in await ask(house, "log/get") if each["type"] == "ring"]
        assert [(each["opened"], each["armed_by"], each["source"]) for each in rings] == [
            ("rto", "bridge", "doorbell"),
            (None, None, "doorbell"),
        ]
        assert (await house.do("deactivate_rto"))["status"] == "ok"
        assert (await house.do("open"))["status"] == "ok"
        newest = (await ask(house, "log/get", count=1))[0]
        assert (newest["type"], newest["action"], newest["source"]) == ("lock_action", "open", "bridge")


async def test_its_door_sensor_is_a_doorbell(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        house.opener.write_log(LogType.DOOR_SENSOR, 0, 0, 0, 0, 1, 0, 0, 0)
        assert (await ask(house, "log/get", count=1))[0]["type"] == "ring"
        await asyncio.sleep(2000)
        assert [each["type"] for each in house.events("hall/event") if each["type"] == "door"] == []


# -- keypad, time control, users --------------------------------------------------------------------------------------


async def test_its_keypad_has_codes(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    house.opener.settings.has_keypad = True
    async with house.running():
        await house.paired()
        made = await ask(house, "keypad/add", name="Lisa", code="987654")
        assert [each["name"] for each in await ask(house, "keypad/list")] == ["Lisa"]
        await ask(house, "keypad/update", id=made["id"], enabled=False)
        assert [each["enabled"] for each in await ask(house, "keypad/list")] == [False]
        await ask(house, "keypad/remove", id=made["id"])
        assert await ask(house, "keypad/list") == []


async def test_it_acts_when_the_time_has_come(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        made = await ask(house, "timecontrol/add", time="06:00", action="activate_rto")
        assert [(each.at, each.action) for each in house.opener.time_control] == [
            (time(6, 0), OpenerAction.ACTIVATE_RTO)
        ]
        assert (await ask(house, "timecontrol/list"))[0]["action"] == "activate_rto"
        house.opener.time_has_come(made["id"])
        await asyncio.sleep(60)
        assert house.state() == ("rto_active", "off")
        error, message = await refusal(house, "timecontrol/add", time="06:00", action="lock")
        assert (error, "activate_rto" in message) == ("unknown_action", True)


async def test_its_users_are_listed_and_removed(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        assert [each["type"] for each in await ask(house, "users/list")] == ["bridge"]


# -- the rest ---------------------------------------------------------------------------------------------------------


async def test_its_battery_is_told_as_critical_only(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        await house.do("open")
        report = await ask(house, "battery/get")
        assert report["last_action"] == "open"
        voltages = {"voltage_mv", "start_voltage_mv", "lowest_voltage_mv"}
        assert {name for name in report if report[name] is not None} == {*voltages, "last_action", "critical"}
        assert (house.status()["battery"]["critical"], house.status()["battery"]["level"]) == (False, None)


async def test_its_clock_is_set_and_it_starts_anew(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        assert (await ask(house, "time/set"))["time"]
        assert (await ask(house, "pin/verify")) is not None
        await ask(house, "reboot")
        await asyncio.sleep(120)
        assert house.retained["nuki/hall/availability"] == "online"


async def test_it_is_not_said_to_be_trained_by_anybody_but_the_app(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        house.opener.uncalibrate()
        error, message = await refusal(house, "calibrate")
        assert (error, "trained in the maker's app" in message) == ("bad_request", True)
        answer = await house.do("open")
        assert (answer["error"], "trained" in answer["message"]) == ("not_calibrated", True)
        assert house.strikes() == 0
