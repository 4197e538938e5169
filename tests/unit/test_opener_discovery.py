"""An Opener in Home Assistant: what the whole bridge announces of it, and that what is pressed there is done."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.intercom import WITH_PIN, Intercom

DEVICE = "homeassistant/device/nuki_bridge_4e5f6071/config"


@pytest.fixture
def intercom(tmp_path: Path) -> Intercom:
    return Intercom(tmp_path / "state", WITH_PIN)


def components(intercom: Intercom) -> dict[str, dict[str, Any]]:
    """The entities that are there, by key."""
    found: dict[str, dict[str, Any]] = json.loads(intercom.retained[DEVICE])["components"]
    return {key: each for key, each in found.items() if len(each) > 1}


async def press(intercom: Intercom, key: str, payload: str) -> dict[str, Any]:
    """Do what Home Assistant does with one of an entity's payloads; gives the answer."""
    entity = components(intercom)[key]
    return await intercom.ask(entity["command_topic"].removeprefix("nuki/"), entity[payload])


async def test_what_an_opener_has(intercom: Intercom) -> None:
    async with intercom.running():
        await intercom.paired()
        told = json.loads(intercom.retained[DEVICE])["device"]
        assert told["model"] == "Opener"
        there = components(intercom)
        assert {"lock", "ring", "ring_to_open", "continuous_mode", "open"} <= set(there)
        assert {"battery_critical", "rto_timeout", "doorbell_suppression", "sound_level", "fob_action_1"} - set(
            there
        ) == {"fob_action_1"}, "the fob's only with a fob"
        assert not {"battery", "charging", "door", "night_mode", "lock_n_go", "wifi"} & set(there)
        assert "toggle_rto" in there["button_action_1"]["options"]
        settings = json.loads(intercom.retained["nuki/hall/status"])["config"]
        assert settings["rto_timeout"] in range(there["rto_timeout"]["min"], there["rto_timeout"]["max"] + 1)


async def test_what_is_pressed_is_done(intercom: Intercom) -> None:
    async with intercom.running():
        await intercom.paired()
        for key, payload, state in (
            ("ring_to_open", "payload_on", ("rto_active", "off")),
            ("ring_to_open", "payload_off", ("locked", "off")),
            ("continuous_mode", "payload_on", ("locked", "on")),
            ("continuous_mode", "payload_off", ("locked", "off")),
            ("lock", "payload_unlock", ("rto_active", "off")),
            ("lock", "payload_lock", ("locked", "off")),
        ):
            assert (await press(intercom, key, payload))["status"] == "ok"
            await asyncio.sleep(15.0)
            assert intercom.state() == state
        assert intercom.strikes() == 0
        for key, payload in (("lock", "payload_open"), ("open", "payload_press")):
            before = intercom.strikes()
            assert (await press(intercom, key, payload))["status"] == "ok"
            assert intercom.strikes() == before + 1
            await asyncio.sleep(30.0)


async def test_a_setting_is_written_in_its_own_words(intercom: Intercom) -> None:
    async with intercom.running():
        await intercom.paired()
        entity = components(intercom)["button_action_2"]
        assert entity["command_topic"] == "nuki/hall/request/config/set"
        answer = await intercom.ask("hall/request/config/set", {"double_button_press_action": entity["options"][-1]})
        assert answer["status"] == "ok", answer
        await asyncio.sleep(5.0)
        config = json.loads(intercom.retained["nuki/hall/status"])["config"]
        assert config["double_button_press_action"] == entity["options"][-1]


async def test_what_the_configuration_does_not_allow_is_not_offered(tmp_path: Path) -> None:
    intercom = Intercom(tmp_path / "state", replace(WITH_PIN, actions=frozenset({"open"})))
    async with intercom.running():
        await intercom.paired()
        there = components(intercom)
        assert there["lock"]["payload_open"] == "open"
        assert not {"ring_to_open", "continuous_mode"} & set(there)


async def test_what_the_wiring_does_not_allow_is_not_offered(intercom: Intercom) -> None:
    intercom.opener.settings.capabilities = 2  # ring to open only
    async with intercom.running():
        await intercom.paired()
        there = components(intercom)
        assert "payload_open" not in there["lock"]
        assert "open" not in there
        assert "ring_to_open" in there


async def test_users_are_switches_here_too(intercom: Intercom) -> None:
    async with intercom.running():
        await intercom.paired()
        answer = await intercom.ask("hall/request/users/add", {"name": "Anna"})
        assert answer["status"] == "ok", answer
        await asyncio.sleep(60.0)
        switches = [each for topic, each in intercom.retained.items() if "/user_" in topic and each]
        assert [json.loads(each)["name"] for each in switches] == ["User Anna"]
