"""Calibrating a lock and starting it anew, over MQTT."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nuki_bridge.protocol.codes import Family
from nuki_bridge.protocol.messages import RequestCalibration
from nuki_bridge.protocol.wire import encode
from tests.unit.house import PIN, House, ask, refusal


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "state", PIN)


def asked(house: House) -> int:
    return len([each for each in house.classic.audit if each.what == "calibration"])


def test_the_request_has_the_documented_size() -> None:
    message = RequestCalibration(nonce=bytes(32), security_pin=1)
    assert (len(encode(message, Family.CLASSIC)), len(encode(message, Family.ULTRA))) == (34, 36)


async def test_a_calibration_is_followed_to_its_end(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.classic.uncalibrate()
        house.classic.behaviour.motor_s = 40.0
        assert await ask(house, "calibrate") == {"state": "unlocked"}
        states = house.on("front/state")
        assert states[-2:] == ["calibrating", "unlocked"]
        assert asked(house) == len(house.classic.movements()) == 1
        await asyncio.sleep(60.0)
        assert [each["type"] for each in house.events("front/event")] == ["calibration"]


async def test_a_lock_that_says_little_is_asked_for_its_state(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.classic.behaviour.complete_missing = True
        assert await ask(house, "calibrate") == {"state": "unlocked"}
        assert asked(house) == 1


async def test_what_keeps_a_lock_from_calibrating(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.classic.set_battery(5)
        assert await refusal(house, "calibrate") == "voltage_too_low"
        house.classic.set_battery(80)
        house.classic.block_motor()
        assert await refusal(house, "calibrate") == "motor_blocked"


async def test_after_a_lost_link_it_is_not_asked_for_again(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.classic.behaviour.motor_s = 20.0
        house.send("front/request/calibrate")
        await asyncio.sleep(2.0)
        house.classic.drop_links()
        await asyncio.sleep(60.0)
        [answer] = house.events("front/response/calibrate")
        assert answer["error"] == "outcome_unknown"
        assert asked(house) == 1
        assert house.retained["nuki/front/state"] == "unlocked"


async def test_a_reboot_is_confirmed_and_the_link_comes_back(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        assert await ask(house, "reboot") == {"confirmed": True}
        assert [each.what for each in house.classic.audit].count("reboot") == 1
        await asyncio.sleep(30.0)
        assert house.retained["nuki/front/availability"] == "online"


@pytest.mark.parametrize("command", ["calibrate", "reboot"])
async def test_both_need_the_pin(tmp_path: Path, command: str) -> None:
    house = House(tmp_path / "state")
    async with house.running():
        await house.pair(name="front")
        assert await refusal(house, command) == "pin_required"
        assert asked(house) == 0
