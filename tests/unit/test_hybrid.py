"""`official_api: listen`: what a lock says in its own MQTT API is told at once and truly.  In virtual time."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.config import LockSettings
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.protocol.codes import Action, DoorState, LockState, Trigger
from tests.unit.house import PIN, House, add, events
from tests.unit.mqtt_lock import LISTEN, MqttLock, listening, versions
from tests.unit.rig import clock


def told(house: House, kind: str = "lock_action_begun") -> list[dict[str, Any]]:
    return events(house, kind)


def status(house: House) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(house.retained["nuki/front/status"])
    return found


# -- state and door ---------------------------------------------------------------------------------------------------


@versions
async def test_state_and_door_are_told_at_once_and_the_rest_is_read(tmp_path: Path, version: str) -> None:
    async with listening(tmp_path, version) as lock:
        house = lock.house
        lock.virtual.turn_by_hand(LockState.UNLOCKED)
        lock.say("state", "3")
        assert house.on("front/state")[-1] == "unlocked"
        lock.virtual.set_door(DoorState.OPEN)
        lock.say("doorsensorState", "3")
        assert house.on("front/door")[-1] == "open"
        await asyncio.sleep(3)
        assert (status(house)["source"], status(house)["trigger"]) == (
            {"state": "bluetooth", "door": "bluetooth"},
            "manual",
        )
        assert [each["trigger"] for each in told(house, "lock_action")] == ["manual"]


async def test_the_status_says_by_which_way_a_state_came(tmp_path: Path) -> None:
    async with listening(tmp_path) as lock:
        house = lock.house
        house.radio.set_adapter(False)
        await asyncio.sleep(1)
        lock.say("state", "3")
        await asyncio.sleep(1)
        found = status(house)
        assert (found["state"], found["source"]) == ("unlocked", {"state": "mqtt", "door": found["source"]["door"]})
        assert found["nuki_mqtt"] == {"connected": True, "takes_commands": True}
        assert found["reachable"] is True
        assert house.retained["nuki/front/availability"] == "online"


async def test_no_state_comes_back_that_is_older(tmp_path: Path) -> None:
    """Whatever the lag of the lock's Wi-Fi and of the radio, an automation sees each state once, in order."""
    for lag_s in (0.01, 0.3, 0.7, 1.5):
        async with listening(tmp_path / str(lag_s).replace(".", "_"), settings=LISTEN) as lock:
            house = lock.house
            house.radio.latency_s = house.radio.write_s = 0.2
            lock.lag_s = lag_s
            start = len(house.on("front/state"))
            lock.virtual.motion.start_logged(Action.UNLOCK, Trigger.BUTTON)
            await asyncio.sleep(20)
            lock.virtual.motion.start_logged(Action.LOCK, Trigger.BUTTON)
            await asyncio.sleep(20)
            seen = house.on("front/state")[start:]
            passed = [each for each in seen if each not in ("unlocking", "locking")]
            assert passed == ["unlocked", "locked"], (lag_s, seen)
            assert len(seen) == len(set(seen)), (lag_s, seen)


@pytest.mark.parametrize("lag_s", [0.01, 0.5, 2.0])
async def test_an_action_of_ours_shows_each_state_once(tmp_path: Path, lag_s: float) -> None:
    async with listening(tmp_path) as lock:
        house = lock.house
        house.radio.latency_s = house.radio.write_s = 0.1
        lock.lag_s = lag_s
        start = len(house.on("front/state"))
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"
        await asyncio.sleep(20)
        assert house.on("front/state")[start:] == ["unlocking", "unlocked"]
        assert lock.commands == []


@versions
async def test_values_count_only_while_the_lock_is_connected(tmp_path: Path, version: str) -> None:
    async with listening(tmp_path, version) as lock:
        house = lock.house
        lock.lost()
        await asyncio.sleep(1)
        before = house.on("front/state")
        lock.say("state", "3")
        await asyncio.sleep(10)
        assert house.on("front/state") == before
        assert status(house)["nuki_mqtt"] == {"connected": False, "takes_commands": False}
        lock.say("connected", "nonsense")
        await asyncio.sleep(10)
        assert house.on("front/state") == before


@versions
async def test_what_the_broker_keeps_does_not_overrule_what_was_read(tmp_path: Path, version: str) -> None:
    """The order in which it comes is open, and `connected` may be what a lock said whose Wi-Fi hangs."""
    async with listening(tmp_path, version) as lock:
        house = lock.house
        lock.online = False  # it hangs, and nobody has noticed
        lock.virtual.turn_by_hand(LockState.UNLOCKED)
        await asyncio.sleep(300)
        assert house.on("front/state")[-1] == "unlocked"
        before = house.on("front/state")
        for order in (1, -1):
            house.bridge.connection_changed(False)
            await asyncio.sleep(1)
            for name in ("connected", "state")[::order]:
                lock.say(name, {"connected": "true", "state": "1"}[name], retain=True)
            house.bridge.connection_changed(True)
            await asyncio.sleep(60)
        assert house.on("front/state")[len(before) :] in ([], ["unlocked"], ["unlocked"] * 2), "told again, not changed"


async def test_a_state_is_known_without_any_bluetooth(tmp_path: Path) -> None:
    async with listening(tmp_path) as lock:
        await asyncio.sleep(1)
        directory = lock.house.settings.state_dir
    del directory
    house = lock.house.restarted()
    house.radio.set_adapter(False)
    async with house.running():
        again = MqttLock(house, house.classic)
        assert "nuki/front/state" not in house.retained
        async with again.connected():
            await asyncio.sleep(1)
            assert house.retained["nuki/front/state"] == "locked"
            assert house.retained["nuki/front/availability"] == "online"
        again.lost()
        assert house.retained["nuki/front/availability"] == "offline"
        assert house.retained["nuki/front/state"] == "locked", "the last that is known"


@pytest.mark.parametrize("payload", ["8", "256", "-1", "locked", "", "1.0", "\x00", "9" * 5000])
async def test_values_that_mean_nothing_are_ignored(tmp_path: Path, payload: str) -> None:
    async with listening(tmp_path) as lock:
        before = lock.house.retained.copy()
        lock.say("state", payload)
        lock.say("doorsensorState", payload if payload != "1" else "77")
        lock.say("somethingNew", payload)
        await asyncio.sleep(2)
        after = lock.house.retained
        assert [after["nuki/front/state"], after.get("nuki/front/door")] == [
            before["nuki/front/state"],
            before.get("nuki/front/door"),
        ]


async def test_a_flood_costs_neither_the_battery_nor_the_broker_much(tmp_path: Path) -> None:
    async with listening(tmp_path) as lock:
        house = lock.house
        messages, asked = len(house.published), len(lock.virtual.audit)
        for number in range(20_000):
            lock.say("state", "13"[number % 2])
            lock.say("lockActionEvent", "1,0,7,0,0")
        lock.say("state", "3")
        await asyncio.sleep(5)
        assert len(house.published) - messages < 200
        assert len(lock.virtual.audit) - asked < 100
        lock.virtual.turn_by_hand(LockState.UNLOCKED)
        await asyncio.sleep(30)
        assert house.retained["nuki/front/state"] == "unlocked"


async def test_reading_goes_on_as_long_as_something_is_open(tmp_path: Path) -> None:
    """What is told while a reading is on its way has another one follow it."""
    async with listening(tmp_path) as lock:
        house = lock.house
        house.radio.latency_s = 0.3
        house.send("front/request/refresh")
        await asyncio.sleep(0.1)
        lock.virtual.turn_by_hand(LockState.UNLOCKED)
        lock.say("state", "3")
        await asyncio.sleep(3)
        assert status(house)["source"]["state"] == "bluetooth"
        assert house.on("front/state")[-2:] == ["locked", "unlocked"]


# -- who acts ---------------------------------------------------------------------------------------------------------


async def test_events_name_who_is_about_to_act(tmp_path: Path) -> None:
    async with listening(tmp_path) as lock:
        house = lock.house
        anna = add(house, "Anna")
        await asyncio.sleep(300)
        answer = await house.ask("front/request/keypad/add", {"name": "Cleaner", "code": "248163"})
        assert answer["status"] == "ok", answer
        code = answer["data"]["id"]
        lock.say("lockActionEvent", f"1,0,{anna.authorization_id},0,1")
        lock.say("lockActionEvent", f"3,0,{anna.authorization_id},{code},2")
        lock.say("lockActionEvent", "2,6,0,0,0")
        lock.say("lockActionEvent", "1,172,0,0,0")
        lock.say("lockActionEvent", "1,0,987654,0,0")
        found = [{key: each for key, each in event.items() if key not in ("time", "type")} for event in told(house)]
        none = {"code_id": None, "keypad": None, "auto_unlock": False, "user": None}
        assert found == [
            {
                **none,
                "action": "unlock",
                "trigger": "system",
                "source": "app",
                "user": {"id": anna.authorization_id, "name": "Anna"},
                "auto_unlock": True,
            },
            {
                **none,
                "action": "unlatch",
                "trigger": "system",
                "source": "keypad",
                "user": {"id": anna.authorization_id, "name": "Cleaner"},
                "code_id": code,
                "keypad": "fingerprint",
            },
            {**none, "action": "lock", "trigger": "auto_lock", "source": "auto_lock"},
            {**none, "action": "unlock", "trigger": "mqtt", "source": "mqtt"},
            {**none, "action": "unlock", "trigger": "system", "source": "system", "user": {"id": 987654, "name": None}},
        ]


async def test_an_authorization_and_a_code_of_the_same_number_are_two(tmp_path: Path) -> None:
    async with listening(tmp_path) as lock:
        house = lock.house
        anna = add(house, "Anna")
        await asyncio.sleep(300)
        lock.say("lockActionEvent", f"1,0,0,{anna.authorization_id},1")
        assert told(house)[0]["user"] == {"id": None, "name": None}


async def test_the_action_itself_is_told_once_when_it_is_over(tmp_path: Path) -> None:
    async with listening(tmp_path) as lock:
        house = lock.house
        await asyncio.sleep(100)
        lock.say("lockActionEvent", "1,2,0,0,1")
        lock.virtual.motion.start_logged(Action.UNLOCK, Trigger.BUTTON)
        await asyncio.sleep(60)
        assert [each["trigger"] for each in told(house)] == ["button"]
        assert [(each["action"], each["completion"]) for each in told(house, "lock_action")] == [("unlock", "success")]


@pytest.mark.parametrize("name", ["lockActionEvent", "commandResponse", "lockAction"])
async def test_what_somebody_has_kept_on_an_events_topic_is_dropped(tmp_path: Path, name: str) -> None:
    async with listening(tmp_path) as lock:
        before = len(lock.house.published)
        lock.say(name, "3,0,7,0,0", retain=True)
        await asyncio.sleep(2)
        assert told(lock.house) == []
        assert len(lock.house.published) == before


@pytest.mark.parametrize("payload", ["80,3,7,0,1", "90,2,0,0,2", "0,0,0,0,0"])
async def test_nothing_has_begun_if_the_lock_has_nothing_to_do(tmp_path: Path, payload: str) -> None:
    async with listening(tmp_path) as lock:
        lock.say("lockActionEvent", payload)
        await asyncio.sleep(2)
        assert told(lock.house) == []


async def test_events_that_cannot_be_read_are_dropped(tmp_path: Path) -> None:
    async with listening(tmp_path) as lock:
        for payload in ("", "x", "1,", "1,0,,", "300,0,0,0,0", "1" * 10_000, '{"a":1}'):
            lock.say("lockActionEvent", payload)
        lock.say("lockActionEvent", "1,0")
        assert [each["action"] for each in told(lock.house)] == ["unlock"]


# -- what else --------------------------------------------------------------------------------------------------------


async def test_a_lock_that_announces_itself_too_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(tmp_path) as lock:
        house = lock.house
        assert {"homeassistant/lock/+/config", "homeassistant/lock/+/+/config"} <= set(house.bridge.filters())
        for begin in ("nuki/99999999", "nuki/1A2B3C4D", "nuki/1A2B3C4D", 5):
            for topic in ("homeassistant/lock/nuki_1A2B3C4D_lock/config", "homeassistant/lock/1A2B3C4D/lock/config"):
                payload = json.dumps({"~": begin, "name": None}).encode()
                house.bridge.handle(Incoming(topic, payload, True, received_at=clock()))
        found = [each for each in caplog.messages if "announces itself to Home Assistant" in each]
        assert len(found) == 1
        assert found[0].startswith("front: ")


async def test_a_lock_that_says_nothing_is_missed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    house = House(tmp_path, LISTEN)
    async with house.running():
        await house.pair()
        await asyncio.sleep(300)
        found = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
        assert len([each for each in found if "nothing comes on nuki/1A2B3C4D" in each]) == 1


async def test_listening_begins_and_ends_with_the_configuration(tmp_path: Path) -> None:
    house = House(tmp_path, PIN)
    async with house.running():
        await house.pair()
        await asyncio.sleep(10)
        member = house.bridge.members.get("front")
        assert member is not None
        assert member.running is not None
        lock = MqttLock(house, house.classic)
        async with lock.connected():
            assert not [each for each in house.bridge.filters() if "1A2B3C4D" in each]
            assert status(house)["nuki_mqtt"] is None
            member.settings = LISTEN
            member.running.reconfigured(another_pin=False)
            assert {"nuki/1A2B3C4D/+", "nuki/1a2b3c4d/+"} <= set(house.bridge.filters())
            assert "nuki/1A2B3C4D/+" in house.watched
            lock.keep_telling()
            await asyncio.sleep(1)
            assert status(house)["nuki_mqtt"]["connected"] is True
            member.settings = PIN
            member.running.reconfigured(another_pin=False)
            assert "nuki/1A2B3C4D/+" in house.unwatched
            lock.say("state", "3")
            await asyncio.sleep(1)
            assert status(house)["nuki_mqtt"] is None
            assert house.retained["nuki/front/state"] == "locked"


# -- foreign topics ---------------------------------------------------------------------------------------------------

FOREIGN = "2BB28570"


@versions
@pytest.mark.parametrize("settings", [PIN, LISTEN], ids=["off", "listen"])
async def test_a_foreign_lock_of_nukis_is_no_lock_of_ours(tmp_path: Path, version: str, settings: LockSettings) -> None:
    """Its topics lie below our base topic; nothing of it is shown, answered or taken away."""
    house = House(tmp_path, settings)
    house.protocol = version
    async with house.running():
        await house.pair()
        await asyncio.sleep(30)
        before, info = len(house.published), house.retained["nuki/bridge/info"]
        for level in (FOREIGN, FOREIGN.lower(), "1A2B3C4D", "1a2b3c4d"):
            for name, payload in (
                ("connected", "true"),
                ("state", "3"),
                ("doorsensorState", "3"),
                ("name", "front"),
                ("lockAction", "1"),
                ("unlock", "true"),
                ("lockActionEvent", "1,0,7,0,0"),
                ("commandResponse", "0"),
                ("timestamp", "2026-01-01T00:00:00+00:00"),
            ):
                for retain in (True, False):
                    if level.upper() == FOREIGN or settings is PIN:
                        house.bridge.handle(Incoming(f"nuki/{level}/{name}", payload.encode(), retain, clock()))
        await asyncio.sleep(100)
        foreign = [each.topic for each in house.published[before:] if "/front/" not in each.topic]
        assert foreign == []
        assert house.retained["nuki/bridge/info"] == info
        assert [each["name"] for each in (await house.ask("bridge/request/locks"))["data"]] == ["front"]
        assert house.on("front/state")[-1] == "locked"


async def test_unpairing_leaves_the_locks_own_topics_alone(tmp_path: Path) -> None:
    async with listening(tmp_path) as lock:
        house = lock.house
        start = len(house.published)
        assert (await house.ask("bridge/request/unpair", {"name": "front"}))["status"] == "ok"
        await asyncio.sleep(10)
        assert [each.topic for each in house.published[start:] if "1A2B3C4D" in each.topic.split("/")[1]] == []
        assert not [each for each in house.bridge.filters() if "1A2B3C4D" in each]


async def test_a_lock_named_like_an_id_without_its_zeros_is_ours(tmp_path: Path) -> None:
    """`cafe` is a name; a lock of the Nuki ID 0000CAFE does not take its topics away."""
    house = House(tmp_path, replace(LISTEN, name="front"), LockSettings("cafe"))
    house.classic.device.nuki_id = 0x0000CAFE
    async with house.running():
        await house.pair()
        await asyncio.sleep(5)
        assert "nuki/cafe/+" not in house.bridge.filters()
        assert {"nuki/0000CAFE/+", "nuki/0000cafe/+"} <= set(house.bridge.filters())
        assert (await house.ask("cafe/set", "lock"))["error"] == "not_paired"
