"""When discovery is published, brought into another form and taken back; a whole bridge in virtual time."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.config import DiscoverySettings, LockSettings, MqttSettings
from nuki_bridge.errors import StoreError, TimedOut
from nuki_bridge.home_assistant import announcer, discovery
from nuki_bridge.home_assistant.entities import BRIDGE_ENTITIES, LOCK_ENTITIES
from nuki_bridge.lock.reading import AdvancedReading
from nuki_bridge.mqtt.message import Incoming
from tests.unit.house import CLASSIC, ULTRA, House
from tests.unit.rig import clock

LOCK = "homeassistant/device/nuki_bridge_1a2b3c4d/config"
LEGACY_LOCK = "homeassistant/lock/nuki_bridge_1a2b3c4d/lock/config"
OLD_FORM = DiscoverySettings(style="legacy")


class Home(House):
    """A house whose discovery settings are given."""

    def __init__(self, directory: Path, *locks: LockSettings, discovery: DiscoverySettings | None = None) -> None:
        super().__init__(directory, *locks)
        self.settings = replace(self.settings, mqtt=MqttSettings(discovery=discovery or DiscoverySettings()))

    def next(self, *locks: LockSettings, discovery: DiscoverySettings | None = None) -> Home:
        """The same house after a restart of the bridge: locks, store and broker are as they were."""
        after = Home(self.settings.state_dir, *locks, discovery=discovery)
        after.radio, after.classic, after.ultra, after.retained = self.radio, self.classic, self.ultra, self.retained
        return after

    def announced(self) -> set[str]:
        """Discovery topics that the broker holds."""
        return {topic for topic in self.retained if topic.endswith("/config")}

    def bridge_topic(self) -> str:
        [topic] = [each for each in self.announced() if "/device/" in each and len(each.split("/")[-2]) > 20]
        return topic

    def told(self, topic: str = LOCK) -> list[str]:
        """Everything published on a topic."""
        return [each.payload.decode() for each in self.published if each.topic == topic]

    def birth(self, payload: bytes = b"online", *, retain: bool = False) -> None:
        """Home Assistant says that it has started."""
        self.bridge.handle(Incoming("homeassistant/status", payload, retain=retain, received_at=clock()))

    def components(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.retained[LOCK])["components"]
        return {key: each for key, each in found.items() if len(each) > 1}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "state")


# -- announced --------------------------------------------------------------------------------------------------------


async def test_a_paired_lock_is_announced_once_and_whole(home: Home) -> None:
    async with home.running():
        assert home.announced() == {home.bridge_topic()}
        await home.pair(name="front", pin="1234")
        await asyncio.sleep(60.0)
        assert home.announced() == {home.bridge_topic(), LOCK}
        assert len(home.told()) == len(home.told(home.bridge_topic())) == 1
        assert {"lock", "door", "battery", "pairing"} <= set(home.components())
        assert all(each.retain for each in home.published if each.topic.startswith("homeassistant/"))


async def test_nothing_secret_is_announced(home: Home) -> None:
    async with home.running():
        await home.pair(name="front", pin="1234")
        [paired] = home.store.locks()
        for topic in home.announced():
            for secret in (paired.shared_key.hex(), str(paired.app_id), paired.uuid.hex(), CLASSIC, "1234"):
                told = home.retained[topic].replace("_1a2b3c4d", "")
                assert secret not in told.replace(home.bridge_topic().split("/")[-2], "")


async def test_a_restarted_bridge_says_nothing_of_a_lock_before_it_has_heard_it(home: Home) -> None:
    """What it knows less of would take entities away."""
    async with home.running():
        await home.pair(name="front")
    before = home.retained[LOCK]
    home.classic.out_of_range(True)
    after = home.next()
    async with after.running():
        await asyncio.sleep(30.0)
        assert after.told() == []
        assert after.retained[LOCK] == before
        after.classic.out_of_range(False)
        await asyncio.sleep(90.0)
        assert after.told() == [before]


async def test_a_changed_lock_is_announced_again(home: Home) -> None:
    async with home.running():
        await home.pair(name="front")
        assert "pairing" not in home.components()
        await home.ask("front/request/pin/verify", {"pin": "1234"})
        await asyncio.sleep(1.0)  # with the status, a moment after the lock's reports
        assert "pairing" in home.components()
        await home.ask("front/request/config/set", {"name": "FRONT"})
        await asyncio.sleep(1.0)
        assert json.loads(home.retained[LOCK])["device"]["name"] == "FRONT"
        assert len(home.told()) == 3


async def test_a_refused_pin_takes_the_settings_away(tmp_path: Path) -> None:
    home = Home(tmp_path / "state")
    async with home.running():
        await home.pair(name="front", pin="1234")
        assert "pairing" in home.components()
        home.classic.pin_guard.pin = 4321
        await home.ask("front/request/users/list", {})
        await home.ask("front/request/config/set", {"led_enabled": False})
        await asyncio.sleep(1.0)  # with the status, a moment after the lock's reports
        assert "pairing" not in home.components()


async def test_a_sensor_that_falls_silent_stays(home: Home) -> None:
    async with home.running():
        await home.pair(name="front")
        home.radio.control({"lock": CLASSIC, "door": "unavailable"})
        await asyncio.sleep(30.0)
        assert home.retained["nuki/front/door"] == "unavailable"
        assert "door" in home.components()
        assert len(home.told()) == 1


async def test_a_lock_keeps_its_entities_under_another_name(home: Home) -> None:
    async with home.running():
        await home.pair(name="front")
        before = home.components()
        await home.pair(name="back")
        after = home.components()
        assert home.announced() == {home.bridge_topic(), LOCK}
        assert {key: each["unique_id"] for key, each in after.items()} == {
            key: each["unique_id"] for key, each in before.items()
        }
        assert after["lock"]["command_topic"] == "nuki/back/set"
        assert "" not in home.told()


async def test_actions_of_the_configuration_are_all_that_is_offered(tmp_path: Path) -> None:
    home = Home(tmp_path / "state", LockSettings("front", CLASSIC, actions=frozenset({"lock", "unlock"})))
    async with home.running():
        await home.pair()
        assert "payload_open" not in home.components()["lock"]
        assert "lock_n_go" not in home.components()


# -- again ------------------------------------------------------------------------------------------------------------


async def test_everything_is_announced_again_when_home_assistant_starts(home: Home) -> None:
    async with home.running():
        assert "homeassistant/status" in home.bridge.filters()
        await home.pair(name="front")
        home.published.clear()
        for _ in range(100):
            home.birth()
        home.birth(b"offline")
        assert home.published == []
        await asyncio.sleep(announcer.BIRTH_S + 0.1)
        assert home.told(home.bridge_topic()) == [home.retained[home.bridge_topic()]]
        assert home.told() == [home.retained[LOCK]]
        order = [each.topic for each in home.published if each.topic.endswith("/config")]
        assert order == [home.bridge_topic(), LOCK]  # a lock's device refers to the bridge's


async def test_a_retained_birth_message_is_as_good(home: Home) -> None:
    async with home.running():
        await home.pair(name="front")
        home.published.clear()
        home.birth(retain=True)
        await asyncio.sleep(announcer.BIRTH_S + 0.1)
        assert len(home.told()) == 1


async def test_everything_is_announced_again_when_the_broker_was_away(home: Home) -> None:
    async with home.running():
        await home.pair(name="front")
        home.online = False
        home.bridge.connection_changed(False)
        home.published.clear()
        home.birth()
        await asyncio.sleep(10.0)
        assert home.published == []
        home.online = True
        home.bridge.connection_changed(True)
        assert home.told() == [home.retained[LOCK]]


async def test_what_the_broker_did_not_take_is_sent_later(home: Home) -> None:
    async with home.running():
        home.accepting = False
        home.classic.hold_button()
        home.send("bridge/request/pair", {"name": "front"})
        await asyncio.sleep(20.0)
        assert LOCK not in home.announced()
        home.accepting = True
        await asyncio.sleep(announcer.RETRY_S)
        assert LOCK in home.announced()


async def test_leaving_announces_nothing(home: Home) -> None:
    async with home.running():
        await home.pair(name="front")
        home.birth()
        await home.bridge.leave()
        home.published.clear()
        home.birth()
        home.bridge.connection_changed(True)
        await asyncio.sleep(10.0)
        assert home.told() == []


# -- taken back -------------------------------------------------------------------------------------------------------


async def test_an_unpaired_lock_disappears(home: Home) -> None:
    async with home.running():
        await home.pair(name="front")
        await home.pair(ULTRA, name="shed", pin="123456")
        await home.ask("bridge/request/unpair", {"name": "front"})
        assert home.announced() == {home.bridge_topic(), "homeassistant/device/nuki_bridge_2c3d4e5f/config"}
        assert home.told()[-1] == ""
        await asyncio.sleep(announcer.CONFIRM_S + 1.0)
        home.published.clear()
        home.bridge.connection_changed(True)
        assert home.told() == []  # Home Assistant wonders at an empty message for a device that it does not know


async def test_a_cleared_topic_is_cleared_again_if_the_broker_was_lost_right_after(home: Home) -> None:
    async with home.running():
        await home.pair(name="front")
        await home.ask("bridge/request/unpair", {"name": "front"})
        home.bridge.connection_changed(False)
        home.published.clear()
        home.bridge.connection_changed(True)
        assert home.told() == [""]


async def test_a_lock_that_went_while_the_bridge_was_away_disappears(home: Home) -> None:
    async with home.running():
        await home.pair(name="front")
    home.store.open()
    home.store.remove_lock("front")
    home.store.close()
    after = home.next()
    async with after.running():
        assert after.announced() == {after.bridge_topic()}
        assert after.told() == [""]


async def test_a_lock_that_comes_back_at_once_stays(home: Home) -> None:
    async with home.running():
        await home.pair(name="front")
        await home.ask("bridge/request/unpair", {"name": "front"})
        await home.pair(name="front")
        await asyncio.sleep(announcer.CONFIRM_S + 1.0)
        assert LOCK in home.announced()
        await home.ask("bridge/request/unpair", {"name": "front"})
        assert LOCK not in home.announced()


@pytest.mark.parametrize("form", [DiscoverySettings(), OLD_FORM])
async def test_switched_off_everything_disappears(tmp_path: Path, form: DiscoverySettings) -> None:
    home = Home(tmp_path / "state", discovery=form)
    async with home.running():
        await home.pair(name="front")
        assert home.announced()
    home.classic.out_of_range(True)
    after = home.next(discovery=replace(form, enabled=False))
    async with after.running():
        assert after.announced() == set()
        assert "homeassistant/status" not in after.bridge.filters()
        await asyncio.sleep(announcer.CONFIRM_S + 1.0)
        after.classic.out_of_range(False)
        await asyncio.sleep(90.0)
    again = after.next(discovery=replace(form, enabled=False))
    async with again.running():
        await asyncio.sleep(90.0)
        assert [each for each in again.published if each.topic.startswith("homeassistant/")] == []


async def test_under_another_prefix_the_old_topics_are_cleared(home: Home) -> None:
    async with home.running():
        await home.pair(name="front")
    after = home.next(discovery=DiscoverySettings(prefix="ha"))
    async with after.running():
        await asyncio.sleep(5.0)
        assert after.announced() == {each.replace("homeassistant", "ha") for each in (LOCK, after.bridge_topic())}
        assert discovery.MIGRATE.decode() not in after.told()


# -- the other form ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [DiscoverySettings(), OLD_FORM])
async def test_from_one_form_to_the_other(tmp_path: Path, before: DiscoverySettings) -> None:
    """The old form is told to let go, then cleared, and only then the new one comes."""
    home = Home(tmp_path / "state", discovery=before)
    async with home.running():
        await home.pair(name="front")
        old = home.announced()
    after = home.next(discovery=OLD_FORM if before.style == "device" else DiscoverySettings())
    async with after.running():
        await asyncio.sleep(1.0)
        assert {each.topic for each in after.published if each.topic.startswith("homeassistant/")} == old
        await asyncio.sleep(60.0)
        new = after.announced()
        assert not new & old
        assert (LOCK in new) == (before.style == "legacy")
        assert (LEGACY_LOCK in new) == (before.style == "device")
        messages = [each for each in after.published if each.topic.endswith("/config")]
        for topic in old:
            assert after.told(topic) == ['{"migrate_discovery":true}', ""]
        for device in {topic.split("/")[2] for topic in new}:
            order = [each.topic in new for each in messages if each.topic.split("/")[2] == device]
            assert order == sorted(order)


async def test_the_broker_lost_on_the_way_to_the_other_form(home: Home) -> None:
    async with home.running():
        await home.pair(name="front")
    after = home.next(discovery=OLD_FORM)
    async with after.running():
        await asyncio.sleep(1.0)
        after.bridge.connection_changed(False)
        await asyncio.sleep(60.0)
        assert LEGACY_LOCK not in after.announced()
        after.bridge.connection_changed(True)
        await asyncio.sleep(60.0)
        assert LEGACY_LOCK in after.announced()
        assert LOCK not in after.announced()


async def test_the_old_form_is_taken_back_entity_by_entity(tmp_path: Path) -> None:
    home = Home(tmp_path / "state", discovery=OLD_FORM)
    async with home.running():
        await home.pair(name="front", pin="1234")
        switch = "homeassistant/switch/nuki_bridge_1a2b3c4d/pairing/config"
        assert switch in home.announced()
        assert len(home.announced()) <= 1 + len(LOCK_ENTITIES) + len(BRIDGE_ENTITIES)
        home.classic.pin_guard.pin = 4321
        await home.ask("front/request/config/set", {"led_enabled": False})
        await asyncio.sleep(1.0)  # with the status, a moment after the lock's reports
        assert switch not in home.announced()
        assert LEGACY_LOCK in home.announced()
        assert home.told(switch)[1:] == [""]  # removed, not migrated
        await home.ask("bridge/request/unpair", {"name": "front"})
        assert not any("1a2b3c4d" in each for each in home.announced())


# -- a store that fails -----------------------------------------------------------------------------------------------


async def test_nothing_is_announced_that_could_not_be_written_down(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with home.running():
        add = home.bridge.announcer._announced.add

        def refuse(device: str, topics: Any) -> None:
            raise StoreError("the disk is full")

        monkeypatch.setattr(home.bridge.announcer._announced, "add", refuse)
        with caplog.at_level(logging.WARNING):
            await home.pair(name="front")
        assert LOCK not in home.announced()
        assert "the disk is full" in caplog.text
        assert home.retained["nuki/front/state"] == "locked"
        monkeypatch.setattr(home.bridge.announcer._announced, "add", add)
        await asyncio.sleep(announcer.STORE_RETRY_S + 1.0)
        assert LOCK in home.announced()


# -- a broker that takes small messages only --------------------------------------------------------------------------

SMALL = 4096


def pieces(home: Home) -> dict[str, Any]:
    """The lock's entities that have a message of their own, by key."""
    found = {
        each.split("/")[-2]: json.loads(home.retained[each]) for each in home.announced() if "/device/" not in each
    }
    assert all(each["device"]["identifiers"] == ["nuki_bridge_1a2b3c4d"] for each in found.values())
    return found


async def test_a_broker_that_takes_small_messages_gets_one_for_each_entity(home: Home) -> None:
    async with home.running():
        await home.pair(name="front", pin="1234")
        whole = home.components()
    after = home.next()
    after.retained.clear()
    after.largest = SMALL
    async with after.running():
        await asyncio.sleep(90.0)
        assert pieces(after).keys() == whole.keys()
        assert pieces(after)["lock"]["payload_open"] == "unlatch"
        assert pieces(after)["lock"]["state_open"] == "open"
        assert LOCK not in after.retained
        told = len(after.published)
        await asyncio.sleep(5.0)
        assert len([each for each in after.published[told:] if "homeassistant" in each.topic]) == 0


async def test_a_message_that_turns_out_to_be_too_large_is_split(home: Home) -> None:
    async with home.running():
        await home.pair(name="front")
        whole = home.components()
        home.largest = SMALL
        home.bridge.too_large(LOCK)
        assert home.told()[-1] == '{"migrate_discovery":true}'  # Home Assistant keeps what it knows of the entities
        assert not pieces(home)
        await asyncio.sleep(announcer.MIGRATE_S + 0.1)
        assert LOCK not in home.retained
        assert pieces(home).keys() == whole.keys()
        home.bridge.too_large("somebody/elses")
        await asyncio.sleep(60.0)
        assert pieces(home).keys() == whole.keys()


async def test_a_broker_that_takes_more_another_time_gets_it_whole_again(home: Home) -> None:
    home.largest = SMALL
    async with home.running():
        await home.pair(name="front")
        assert pieces(home)
        home.bridge.connection_changed(False)
        home.largest = None
        home.bridge.connection_changed(True)
        await asyncio.sleep(announcer.MIGRATE_S + 0.1)
        assert not pieces(home)
        assert "door" in home.components()


async def test_an_entity_that_is_too_large_by_itself_is_left_out_and_not_tried_for_ever(home: Home) -> None:
    home.largest = 700
    async with home.running():
        await home.pair(name="front")
        assert "refresh" in pieces(home)
        assert "lock" not in pieces(home)
        refresh = "homeassistant/button/nuki_bridge_1a2b3c4d/refresh/config"
        assert len(home.told(refresh)) == 1
        await asyncio.sleep(60.0)
        assert len(home.told(refresh)) == 1


async def test_a_retained_topic_whose_payload_does_not_fit_is_cleared(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    """What was there before would be out of date."""
    async with home.running():
        await home.pair(name="front", pin="1234")
        assert json.loads(home.retained["nuki/front/status"])["state"] == "locked"
        home.largest = 500
        assert (await home.ask("front/set", "unlock"))["status"] == "ok"
        await asyncio.sleep(2.0)
        assert "nuki/front/status" not in home.retained
        assert home.retained["nuki/front/state"] == "unlocked"
        home.bridge.handle(Incoming("nuki/front/status", b"", retain=True, received_at=clock()))
        assert "somebody else" not in caplog.text
        home.largest = None
        await home.ask("front/set", "lock")
        await asyncio.sleep(2.0)
        assert json.loads(home.retained["nuki/front/status"])["state"] == "locked"


# -- what a lock was once seen to have --------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["unavailable", "unknown", "deactivated", "uncalibrated", "tampered"])
async def test_a_dead_door_sensor_and_a_restart_leave_the_entities(home: Home, said: str) -> None:
    async with home.running():
        await home.pair(name="front")
        assert {"door", "door_sensor"} <= set(home.components())
        before = home.components()
    home.radio.control({"lock": CLASSIC, "door": said})
    after = home.next()
    async with after.running():
        await asyncio.sleep(90.0)
        assert after.components() == before
        assert after.retained["nuki/front/door"] == said
        assert "" not in [each.payload.decode() for each in after.published if each.topic == "nuki/front/door"]


async def test_accessories_and_batteries_outlive_a_restart_in_which_the_lock_says_nothing_of_them(home: Home) -> None:
    home.classic.settings.has_fob = home.classic.settings.has_keypad = True
    async with home.running():
        await home.pair(name="front", pin="1234")
        home.classic.device.accessory_battery_state = 0b1111
        await home.ask("front/request/refresh")
        await asyncio.sleep(5.0)
        before = set(home.components())
        assert {"door_sensor_battery_critical", "keypad_battery_critical", "keypad", "fob_action_1"} <= before
    home.classic.device.accessory_battery_state = 0
    after = home.next()
    async with after.running():
        await asyncio.sleep(90.0)
        assert set(after.components()) == before


async def test_what_the_lock_says_it_has_not_is_taken_back(home: Home) -> None:
    """Its configuration is definite: the fob was removed in the app."""
    home.classic.settings.has_fob = True
    async with home.running():
        await home.pair(name="front", pin="1234")
        assert "fob_action_1" in home.components()
    home.classic.settings.has_fob = False
    after = home.next()
    async with after.running():
        await asyncio.sleep(90.0)
        assert "fob_action_1" not in after.components()
        assert "door" in after.components()


async def test_a_lock_that_never_had_a_door_sensor_gets_no_entity_for_one(home: Home) -> None:
    home.radio.control({"lock": CLASSIC, "door": "unavailable"})
    async with home.running():
        await home.pair(name="front")
        assert not {"door", "door_sensor"} & set(home.components())
        assert "nuki/front/door" not in home.retained


async def test_a_lock_that_was_unpaired_is_known_anew(home: Home) -> None:
    async with home.running():
        await home.pair(name="front")
        assert "door" in home.components()
        await home.ask("bridge/request/unpair", {"name": "front"})
        home.radio.control({"lock": CLASSIC, "door": "unavailable"})
        await home.pair(name="front")
        assert "door" not in home.components()


async def test_a_lock_under_another_name_has_what_it_had(home: Home) -> None:
    async with home.running():
        await home.pair(name="front")
        home.radio.control({"lock": CLASSIC, "door": "unavailable"})
        await home.pair(name="back")
        assert "door" in home.components()
        assert home.retained["nuki/back/door"] == "unavailable"


async def test_an_advanced_configuration_that_is_not_read_in_time_takes_no_settings_away(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home.running():
        await home.pair(name="front", pin="1234")
        before = set(home.components())
        assert "auto_lock" in before

    async def lost(*_: object) -> None:
        raise TimedOut("no answer")

    monkeypatch.setattr(AdvancedReading, "read", lost)
    after = home.next()
    async with after.running():
        await asyncio.sleep(90.0)
        assert set(after.components()) == before
