"""Users and keypad codes in Home Assistant: a switch for each, gone with it; and the list of codes."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.config import DiscoverySettings, MqttSettings, Secret
from nuki_bridge.home_assistant import discovery
from nuki_bridge.home_assistant.entry_entities import entries
from nuki_bridge.lock.admin import Admin
from nuki_bridge.owner import keypad_list
from nuki_bridge.protocol.codes import IdType
from nuki_bridge.protocol.keypad_codes import KeypadCode
from nuki_bridge.simulator.keypad import Code
from tests.unit.house import PIN, House, add, ask, refusal
from tests.unit.rig import now

SWITCH = re.compile(r"homeassistant/switch/nuki_bridge_1a2b3c4d_(?:users|keypad)/(\w+)/config")
USER, CODE = (
    f"homeassistant/switch/nuki_bridge_1a2b3c4d_{each}/config" for each in ("users/user_1", "keypad/keypad_code_1")
)
WAIT_S = 60.0
"""Seconds within which what has changed in a lock is read and told."""


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path / "state", PIN)
    house.classic.settings.has_keypad = True
    return house


@pytest.fixture
def seldom(house: House) -> House:
    """The lock is connected to on demand: hours of a held link take long, even in virtual time."""
    house.settings = replace(house.settings, locks=(replace(PIN, connection="on-demand"),))
    return house


def switches(house: House) -> dict[str, dict[str, Any]]:
    """The switches that Home Assistant is told of, by key."""
    found = [(SWITCH.fullmatch(topic), each) for topic, each in house.retained.items()]
    return {match[1]: json.loads(each) for match, each in found if match is not None}


def names(house: House) -> dict[str, str]:
    return {key: each["name"] for key, each in switches(house).items()}


def codes(house: House) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(house.retained["nuki/front/keypad"])
    return found


def the_code(house: House, code_id: int = 1) -> Code:
    found = house.classic.codes.get(code_id)
    assert found is not None
    return found


def anna_is_enabled(house: House) -> bool:
    found = house.classic.authorizations.get(1)
    assert found is not None
    return found.enabled


async def with_lisa(house: House) -> None:
    """A lock with a user and a code of that name."""
    add(house, "Anna")
    await house.pair(name="front")
    await ask(house, "keypad/add", name="Lisa", code="345678")
    await asyncio.sleep(WAIT_S)


# -- the switches -----------------------------------------------------------------------------------------------------


async def test_each_user_and_each_code_has_a_switch_and_the_bridge_has_none(house: House) -> None:
    add(house, "Fob", IdType.FOB)
    async with house.running():
        await with_lisa(house)
        assert names(house) == {"user_1": "User Fob", "user_2": "User Anna", "keypad_code_1": "Keypad code Lisa"}
        told = switches(house)["user_2"]
        assert told["unique_id"] == "nuki_bridge_1a2b3c4d_user_2"
        assert told["device"]["identifiers"] == ["nuki_bridge_1a2b3c4d"]
        assert told["availability_mode"] == "all"
        assert (told["state_topic"], told["entity_category"]) == ("nuki/front/users", "config")


async def test_what_a_switch_asks_for_is_done_in_the_lock(house: House) -> None:
    async with house.running():
        await with_lisa(house)
        for key, topic in (("user_1", "nuki/front/users"), ("keypad_code_1", "nuki/front/keypad")):
            told = switches(house)[key]
            for name, state in (("off", False), ("on", True)):
                below = told["command_topic"].removeprefix("nuki/")
                answer = await house.ask(below, json.loads(told[f"payload_{name}"]))
                assert answer["status"] == "ok"
                assert (anna_is_enabled(house) if key == "user_1" else the_code(house).enabled) == state
                [shown] = [each for each in json.loads(house.retained[topic]) if each["name"] in ("Anna", "Lisa")]
                assert shown["enabled"] == state
        assert the_code(house).digits == 345678


async def test_a_switch_has_the_name_that_the_entry_has(house: House) -> None:
    async with house.running():
        await with_lisa(house)
        await ask(house, "users/update", name="Anna", rename="Anna B")
        await ask(house, "keypad/update", name="Lisa", rename="Lise")
        await asyncio.sleep(WAIT_S)
        assert names(house) == {"user_1": "User Anna B", "keypad_code_1": "Keypad code Lise"}


@pytest.mark.parametrize("by", ["us", "the maker's app"])
async def test_what_is_gone_has_no_switch(house: House, by: str) -> None:
    async with house.running():
        await with_lisa(house)
        if by == "us":
            await ask(house, "users/remove", name="Anna")
            await ask(house, "keypad/remove", name="Lisa")
        else:
            house.classic.authorizations.remove(1)
            house.classic.codes.remove(1)
            house.classic.config_changed()
        await asyncio.sleep(WAIT_S)
        assert names(house) == {}
        assert codes(house) == []


async def test_what_went_while_the_bridge_was_away_has_none_either(house: House) -> None:
    async with house.running():
        await with_lisa(house)
    after, retained = house.restarted(), dict(house.retained)
    after.retained = house.retained
    house.classic.out_of_range(True)
    async with after.running():
        await asyncio.sleep(WAIT_S)
        assert switches(after).keys() == {"user_1", "keypad_code_1"}, "nothing goes before the lists were read"
        house.classic.authorizations.remove(1)
        house.classic.codes.remove(1)
        house.classic.out_of_range(False)
        await asyncio.sleep(3 * WAIT_S)
        assert switches(after) == {}
        assert retained.keys() - after.retained.keys() == {USER, CODE}


async def test_a_restart_changes_nothing(house: House) -> None:
    async with house.running():
        await with_lisa(house)
        before = switches(house)
    after = house.restarted()
    after.retained = house.retained
    async with after.running():
        await asyncio.sleep(WAIT_S)
        assert switches(after) == before
        assert not [each for each in after.published if SWITCH.fullmatch(each.topic) and not each.payload]


async def test_an_open_invitation_has_none(house: House) -> None:
    async with house.running():
        await with_lisa(house)
        await ask(house, "invite/create", name="Guest")
        await asyncio.sleep(WAIT_S)
        assert "Guest" in house.retained["nuki/front/users"]
        assert set(names(house)) == {"user_1", "keypad_code_1"}


async def test_an_unpaired_lock_takes_its_switches_along(house: House) -> None:
    async with house.running():
        await with_lisa(house)
        assert (await house.ask("bridge/request/unpair", {"name": "front"}))["status"] == "ok"
        await asyncio.sleep(WAIT_S)
        assert switches(house) == {}
        assert "nuki/front/keypad" not in house.retained


async def test_without_the_pin_there_are_none(tmp_path: Path) -> None:
    house = House(tmp_path / "state", replace(PIN, pin=Secret("9999")))
    house.classic.settings.has_keypad = True
    add(house, "Anna")
    async with house.running():
        await house.pair(name="front", pin="1234")
        await asyncio.sleep(WAIT_S)
        assert switches(house) == {}


async def test_switched_off_they_go(house: House) -> None:
    async with house.running():
        await with_lisa(house)
    after = house.restarted()
    after.retained = house.retained
    after.settings = replace(after.settings, mqtt=MqttSettings(discovery=DiscoverySettings(enabled=False)))
    async with after.running():
        await asyncio.sleep(WAIT_S)
        assert switches(after) == {}
        assert len(codes(after)) == 1, "the list itself is for others, too"


async def test_the_form_of_the_lock_makes_no_difference_to_them(house: House) -> None:
    async with house.running():
        await with_lisa(house)
        before = switches(house)
    after = house.restarted()
    after.retained = house.retained
    after.settings = replace(after.settings, mqtt=MqttSettings(discovery=DiscoverySettings(style="legacy")))
    async with after.running():
        await asyncio.sleep(WAIT_S)
        assert switches(after) == before
        own = "homeassistant/switch/nuki_bridge_1a2b3c4d/pairing/config"
        assert own in after.retained, "the lock's own are elsewhere: what is below its ID is unloaded with its message"


def test_a_name_that_cannot_be_shown_is_a_number() -> None:
    listed = [{"id": 7, "name": "\x00"}, {"id": 8, "name": " Bo\nb "}]
    shown = entries(listed)
    assert shown is not None
    assert [each.name for each in shown] == ["7", "Bo b"]
    assert entries(None) is None
    assert discovery.list_id("lock", "users") != discovery.list_id("lock", "keypad")


# -- the list of codes ------------------------------------------------------------------------------------------------


async def test_the_digits_are_nowhere(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with house.running():
        await with_lisa(house)
        await ask(house, "keypad/update", name="Lisa", enabled=False)
        await ask(house, "keypad/update", name="Lisa", code=456789)
        await asyncio.sleep(WAIT_S)
        told = house.everything().replace(house.classic.address, "")
        for digits in ("345678", "456789", hex(345678), hex(456789)):
            assert digits not in told
            assert digits not in caplog.text


async def test_codes_made_by_the_makers_app_are_listed(seldom: House) -> None:
    house = seldom
    async with house.running():
        await with_lisa(house)
        house.classic.codes.add(456789, "Max", None, now(), 100)
        house.classic.config_changed()
        await asyncio.sleep(WAIT_S)
        assert [each["name"] for each in codes(house)] == ["Lisa", "Max"]
        the_code(house, 2).enabled = False  # firmware may not count that
        await asyncio.sleep(3700.0)
        assert [each["enabled"] for each in codes(house)] == [True, False]


@pytest.mark.parametrize(("there", "times"), [(False, 0), (True, 3)])
async def test_a_lock_without_a_keypad_is_not_asked_for_codes(
    seldom: House, there: bool, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, asked = seldom, []

    async def counted(admin: Admin, deadline: float) -> dict[int, KeypadCode]:
        asked.append(deadline)
        return await read(admin, deadline)

    read = keypad_list.read
    monkeypatch.setattr(keypad_list, "read", counted)
    house.classic.settings.has_keypad = there
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(7300.0)
        assert len(asked) == times
        assert codes(house) == []


async def test_a_keypad_that_is_added_brings_its_codes(house: House) -> None:
    house.classic.settings.has_keypad = False
    house.classic.codes.add(345678, "Lisa", None, now(), 100)
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(WAIT_S)
        assert names(house) == {}
        house.classic.settings.has_keypad = True
        house.classic.config_changed()
        await asyncio.sleep(WAIT_S)
        assert names(house) == {"keypad_code_1": "Keypad code Lisa"}


async def test_a_keypad_that_is_taken_away_takes_its_codes_along(house: House) -> None:
    async with house.running():
        await with_lisa(house)
        house.classic.settings.has_keypad = False
        house.classic.config_changed()
        await asyncio.sleep(WAIT_S)
        assert codes(house) == []
        assert set(names(house)) == {"user_1"}


async def test_a_change_that_fails_changes_no_list(house: House) -> None:
    async with house.running():
        await with_lisa(house)
        before = house.retained["nuki/front/keypad"]
        assert await refusal(house, "keypad/update", id=9, enabled=False) == "unknown_keypad_code"
        assert await refusal(house, "keypad/remove", name="Nobody") == "unknown_keypad_code"
        await asyncio.sleep(WAIT_S)
        assert house.retained["nuki/front/keypad"] == before
