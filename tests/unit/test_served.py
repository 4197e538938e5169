"""A lock served by Nuki's own MQTT API: its topics, its life, and who else is there; in virtual time."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from nuki_bridge.config import LockSettings
from nuki_bridge.protocol.codes import DoorState
from tests.unit.house import CLASSIC, ULTRA
from tests.unit.reloading import Reloading
from tests.unit.rig import now
from tests.unit.served import ID, OPENER_ID, SERVED, ULTRA_ID, ServedHouse, ServedIntercom

SHED = LockSettings("shed", ULTRA, official_api="serve")


@pytest.fixture
def house(tmp_path: Path) -> ServedHouse:
    return ServedHouse(tmp_path / "state")


# -- topics -----------------------------------------------------------------------------------------------------------


async def test_every_topic_that_the_lock_tells_of_is_retained_at_qos_0(house: ServedHouse) -> None:
    house.classic.surroundings.set_door(DoorState.CLOSED)
    async with house.running():
        await house.at_home()
        values = house.tree.values()
        stamp = values.pop("timestamp")
        assert stamp.endswith("+00:00")
        assert len(stamp) == len("2018-10-03T06:49:00+00:00")
        config = house.lock().config
        assert config is not None
        name, firmware = values.pop("name"), values.pop("firmware")
        assert name == config.name
        assert all(each.isdigit() for each in firmware.split("."))
        assert len(firmware.split(".")) == 3
        assert values.pop("deviceType") in ("0", "4")
        assert values["state"] == "1"
        assert values["mode"] == "2"
        assert values["doorsensorState"] == "2"
        assert values["batteryCritical"] == "false"
        assert values["serverConnected"] == "false"
        assert values["connected"] == "true"
        assert "ringactionTimestamp" not in values
        assert all(retain and qos == 0 for topic, _, retain, qos in house.tree.published)
        assert house.tree.connection().will == (f"nuki/{ID}/connected", b"false")


async def test_only_what_changed_is_published_with_the_moment_of_it(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        house.tree.published.clear()
        await asyncio.sleep(120)
        assert house.tree.published == []
        house.radio.control({"lock": CLASSIC, "turn": "unlocked"})
        await asyncio.sleep(30)
        assert [topic.rpartition("/")[2] for topic, *_ in house.tree.published] == ["state", "timestamp"]
        assert house.tree.values()["state"] == "3"


async def test_states_on_the_way_are_told_and_the_name_follows_the_lock(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        assert await house.order("1") == 0
        assert house.tree.on("state") == ["1", "2", "3"]
        house.classic.settings.name = "Back door"
        house.classic.device.config_update_count += 1
        house.radio.control({"lock": CLASSIC, "turn": "locked"})
        await asyncio.sleep(60)
        assert house.tree.values()["name"] == "Back door"


async def test_a_sensor_with_an_empty_battery_is_unknown_and_without_one_there_is_no_topic(house: ServedHouse) -> None:
    house.classic.surroundings.set_door(DoorState.UNAVAILABLE)
    async with house.running():
        await house.at_home()
        assert "doorsensorState" not in house.tree.values()
        house.radio.control({"lock": CLASSIC, "door": "open"})
        await asyncio.sleep(30)
        assert house.tree.values()["doorsensorState"] == "3"
        house.radio.control({"lock": CLASSIC, "door": "unavailable"})
        await asyncio.sleep(30)
        assert house.tree.values()["doorsensorState"] == "255"


# -- reached or not ---------------------------------------------------------------------------------------------------


async def test_out_of_reach_it_is_not_connected_and_commands_fail(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        house.radio.control({"lock": CLASSIC, "out_of_range": True})
        await asyncio.sleep(600)
        assert house.tree.values()["connected"] == "false"
        assert house.tree.values()["state"] == "1"
        assert await house.order("1") == 255
        house.radio.control({"lock": CLASSIC, "out_of_range": False})
        await asyncio.sleep(120)
        assert house.tree.values()["connected"] == "true"
        assert house.moved() == []


async def test_connected_comes_last_so_that_what_comes_before_holds(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        names = [topic.rpartition("/")[2] for topic, *_ in house.tree.published]
        first = [payload for topic, payload, *_ in house.tree.published if topic.endswith("/connected")]
        assert first[-1] == "true"
        assert names.index("state") < len(names) - 1 - names[::-1].index("connected")


async def test_killed_it_is_not_connected_and_the_next_run_is(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        house.tree.connection().break_off()
        assert house.tree.values()["connected"] == "false"
        again = house
        house.tree.connection().come()
        assert again.tree.values()["connected"] == "true"
        assert again.tree.values()["state"] == "1"


async def test_the_will_of_the_run_before_does_not_last(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        house.tree.send(f"nuki/{ID}/connected", "false", retain=True)
        await asyncio.sleep(1)
        assert house.tree.values()["connected"] == "true"
        assert house.tree.listens() == {"lockAction", "lock", "unlock"}


async def test_stopped_it_says_so_itself(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        await house.bridge.leave()
        assert house.tree.values()["connected"] == "false"
        count = len(house.tree.published)
        house.radio.control({"lock": CLASSIC, "turn": "unlocked"})
        await asyncio.sleep(30)
        assert len(house.tree.published) == count


async def test_what_changed_while_the_broker_was_away_is_told_afterwards(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        house.tree.connection().break_off()
        house.radio.control({"lock": CLASSIC, "turn": "unlocked"})
        await asyncio.sleep(30)
        assert house.tree.values()["state"] == "1"
        house.tree.connection().come()
        assert house.tree.values()["state"] == "3"


# -- several ----------------------------------------------------------------------------------------------------------


async def test_two_locks_have_a_connection_each_and_their_own_topics(tmp_path: Path) -> None:
    house = ServedHouse(tmp_path / "state", SERVED, SHED)
    house.ultra.behaviour.speaks_mqtt = False
    async with house.running():
        await house.at_home()
        await house.at_home(ULTRA, pin="123456", name="shed")
        assert len(house.tree.connections) == 2
        assert house.tree.values(ULTRA_ID)["deviceType"] == "5"
        assert await house.order("1", nuki_id=ULTRA_ID) == 0
        assert house.tree.values(ULTRA_ID)["state"] == "3"
        assert house.tree.values(ID)["state"] == "1"
        assert house.tree.on("commandResponse", ID) == []
        house.tree.connection(ID).break_off()
        assert house.tree.values(ID)["connected"] == "false"
        assert house.tree.values(ULTRA_ID)["connected"] == "true"


async def test_a_lock_that_nobody_wants_served_is_not(tmp_path: Path) -> None:
    house = ServedHouse(tmp_path / "state", LockSettings("front", CLASSIC), SHED)
    async with house.running():
        await house.at_home()
        assert house.tree.connections == []
        assert house.tree.published == []


# -- its end ----------------------------------------------------------------------------------------------------------


async def test_unpaired_its_topics_are_cleared(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        house.on_publish = lambda each: house.tree.keep(each.topic, each.payload, retain=each.retain)
        assert (await house.ask("bridge/request/unpair", {"name": "front"}))["status"] == "ok"
        await asyncio.sleep(1)
        assert house.tree.values() == {}
        assert house.tree.connections == []


async def test_switched_off_and_on_without_a_restart(house: ServedHouse) -> None:
    reloading = Reloading(house)
    async with reloading.running():
        await house.at_home()
        house.on_publish = lambda each: house.tree.keep(each.topic, each.payload, retain=each.retain)
        reloading.settings = replace(house.settings, locks=(replace(SERVED, official_api="off"),))
        await reloading.use()
        await asyncio.sleep(1)
        assert house.tree.values() == {}
        assert house.tree.connections == []
        await reloading.use(locks=(SERVED,))
        await asyncio.sleep(5)
        assert house.tree.values()["connected"] == "true"
        assert house.tree.values()["state"] == "1"


async def test_switched_off_while_the_bridge_was_stopped_its_topics_are_cleared_at_the_next_start(
    house: ServedHouse,
) -> None:
    async with house.running():
        await house.at_home()
        await house.bridge.leave()
    again = ServedHouse(house.settings.state_dir)
    again.settings = replace(house.settings, locks=(replace(SERVED, official_api="off"),))
    again.classic, again.radio, again.tree = house.classic, house.radio, house.tree
    again.on_publish = lambda each: again.tree.keep(each.topic, each.payload, retain=each.retain)
    async with again.running():
        await asyncio.sleep(5)
        assert again.tree.values() == {}
        assert again.tree.connections == []


async def test_another_broker_gets_everything_and_the_one_before_is_told(house: ServedHouse) -> None:
    reloading = Reloading(house)
    async with reloading.running():
        await house.at_home()
        before = house.tree.connection()
        await reloading.use(mqtt=replace(house.settings.mqtt, port=1884))
        await asyncio.sleep(1)
        assert before.ended
        assert house.tree.on("connected")[-2:] == ["false", "true"]
        assert house.tree.connections != [before]
        assert await house.order("1") == 0


# -- somebody else ----------------------------------------------------------------------------------------------------


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.message for each in caplog.records if each.levelno == logging.WARNING]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_lock_that_speaks_for_itself_is_served_no_more(
    house: ServedHouse, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    house.tree.protocol = protocol
    async with house.running():
        await house.at_home()
        await asyncio.sleep(300)
        assert warnings(caplog) == []
        house.tree.send(f"nuki/{ID}/timestamp", "2026-12-01T08:00:00+00:00", retain=True)
        house.tree.send(f"nuki/{ID}/timestamp", "2026-12-01T08:00:07+00:00", retain=True)
        await asyncio.sleep(1)
        assert house.tree.connections == []
        (told,) = warnings(caplog)
        assert told.startswith(f"front ({ID}) is not served by Nuki's own MQTT API any more: somebody else publishes")
        house.tree.published.clear()
        house.radio.control({"lock": CLASSIC, "turn": "unlocked"})
        await house.ask("front/set", "lock")
        await asyncio.sleep(60)
        assert house.tree.published == []
        assert house.tree.values()["connected"] == "true", "what is the lock's own is left alone"


async def test_a_broker_that_shows_what_was_retained_is_no_other_lock(
    house: ServedHouse, caplog: pytest.LogCaptureFixture
) -> None:
    """Not every broker heeds what MQTT 5 lets a subscriber leave out."""
    async with house.running():
        await house.at_home()
        connection = house.tree.connection()
        connection.break_off()
        connection.come()
        for name in ("timestamp", "connected"):
            connection.deliver(f"nuki/{ID}/{name}", house.tree.retained[f"nuki/{ID}/{name}"], True)
        connection.deliver(f"nuki/{ID}/timestamp", b"2026-12-01T07:00:00+00:00", True)  # of the run before
        await asyncio.sleep(30)
        assert warnings(caplog) == []
        assert house.tree.connections == [connection]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_lock_that_says_the_same_in_the_same_second_is_another_one(house: ServedHouse, protocol: str) -> None:
    house.tree.protocol = protocol
    async with house.running():
        await house.at_home()
        house.radio.control({"lock": CLASSIC, "turn": "unlocked"})
        count = len(house.tree.on("timestamp"))
        while len(house.tree.on("timestamp")) == count:
            await asyncio.sleep(0.01)
        house.tree.send(f"nuki/{ID}/timestamp", house.tree.on("timestamp")[-1], retain=True)
        await asyncio.sleep(0.1)
        assert house.tree.connections == []


async def test_a_lock_that_connects_itself_is_another_one_at_once(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        house.tree.send(f"nuki/{ID}/connected", "true", retain=True)
        await asyncio.sleep(0.1)
        assert house.tree.connections == []


async def test_a_lock_that_says_that_it_is_connected_to_a_broker_is_not_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = ServedHouse(tmp_path / "state", SHED)
    async with house.running():
        await house.at_home(ULTRA, pin="123456", name="shed")
        assert house.tree.connections == []
        assert "state" not in house.tree.values(ULTRA_ID)
        assert [each.partition(": ")[2][:42] for each in warnings(caplog)] == [
            "it says that it is connected to a broker i"
        ]


async def test_where_a_lock_is_connected_itself_nothing_is_published_for_it(
    house: ServedHouse, caplog: pytest.LogCaptureFixture
) -> None:
    house.tree.retained[f"nuki/{ID}/connected"] = b"true"
    async with house.running():
        await house.at_home()
        house.tree.send(f"nuki/{ID}/lockAction", "3")
        await asyncio.sleep(30)
        assert house.tree.connections == []
        assert house.tree.published == []
        assert house.moved() == []
        assert len(warnings(caplog)) == 1


async def test_what_an_earlier_run_has_left_is_no_other_lock(house: ServedHouse) -> None:
    """Broker and bridge lost power at once: nobody has published the will."""
    async with house.running():
        await house.at_home()
    again = ServedHouse(house.settings.state_dir)
    again.settings, again.classic, again.radio = house.settings, house.classic, house.radio
    again.tree.retained = {f"nuki/{ID}/connected": b"true", f"nuki/{ID}/state": b"1"}
    async with again.running():
        await asyncio.sleep(30)
        assert again.tree.values()["connected"] == "true"
        assert again.tree.listens() == {"lockAction", "lock", "unlock"}


# -- Home Assistant as the maker has it -------------------------------------------------------------------------------


def announced(house: ServedHouse) -> dict[str, dict[str, object]]:
    return {
        topic: json.loads(payload)
        for topic, payload in house.tree.retained.items()
        if topic.startswith("homeassistant/")
    }


async def test_it_is_announced_as_a_real_one_only_if_that_is_wanted(house: ServedHouse) -> None:
    reloading = Reloading(house)
    async with reloading.running():
        await house.at_home()
        assert announced(house) == {}
        await reloading.use(locks=(replace(SERVED, official_discovery=True),))
        await asyncio.sleep(1)
        lock = announced(house)[f"homeassistant/lock/nuki_{ID}_lock/config"]
        assert lock["~"] == f"nuki/{ID}"
        assert lock["uniq_id"] == f"{ID}_lock"
        assert (lock["cmd_t"], lock["pl_lock"], lock["pl_unlk"], lock["pl_open"]) == ("~/lockAction", "2", "1", "3")
        assert (lock["avty_t"], lock["pl_avail"], lock["pl_not_avail"]) == ("~/connected", "true", "false")
        assert lock["dev"]["ids"] == f"[{ID}]"  # type: ignore[index]
        components = sorted(topic.split("/")[1] for topic in announced(house))
        assert components.count("button") == 3
        await reloading.use(locks=(SERVED,))
        await asyncio.sleep(1)
        assert announced(house) == {}


# -- the Opener -------------------------------------------------------------------------------------------------------


async def test_an_opener_tells_of_its_modes_and_its_last_ring(tmp_path: Path) -> None:
    house = ServedIntercom(tmp_path / "state")
    async with house.running():
        await house.paired()
        values = house.tree.values(OPENER_ID)
        assert (values["deviceType"], values["mode"], values["state"]) == ("2", "2", "1")
        assert "doorsensorState" not in values
        assert "ringactionTimestamp" not in values
        await house.do("activate_continuous_mode")
        await house.do("activate_rto")
        await asyncio.sleep(5)
        values = house.tree.values(OPENER_ID)
        assert (values["mode"], values["state"]) == ("3", "3")
        house.radio.control({"lock": house.opener.address, "ring": True})
        await asyncio.sleep(30)
        rang_at = house.tree.values(OPENER_ID)["ringactionTimestamp"]
        assert rang_at[:15] == now().isoformat()[:15]
        assert rang_at.endswith("+00:00")
        assert announced_topics(house) == []


def announced_topics(house: ServedIntercom) -> list[str]:
    return [topic for topic in house.tree.retained if topic.startswith("homeassistant/")]


# -- its name ---------------------------------------------------------------------------------------------------------


async def test_under_another_name_it_stays_served(house: ServedHouse) -> None:
    """Its topics are those of its Nuki ID; only ours follow the name."""
    reloading = Reloading(house)
    async with reloading.running():
        await house.at_home()
        await reloading.use(locks=(replace(SERVED, name="door"),))
        await asyncio.sleep(30)
        assert len(house.tree.connections) == 1
        assert house.tree.values()["connected"] == "true"
        assert await house.order("1") == 0
        assert [each["action"] for each in house.events("door/result")] == ["unlock"]
        assert len(house.moved()) == 1
        assert house.tree.on("lockActionEvent") == ["1,172,0,0,0"]


async def test_paired_anew_it_goes_on(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        await house.pair(name="front")
        await asyncio.sleep(30)
        assert len(house.tree.connections) == 1
        assert house.tree.values()["connected"] == "true"
        own = house.lock().paired.authorization_id
        await house.ask("front/set", "unlock")
        await asyncio.sleep(30)
        assert house.tree.on("lockActionEvent") == [f"1,0,{own},0,0"]


async def test_a_topic_that_somebody_clears_is_not_fought_over_but_connected_is_set_again(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        for name in ("connected", "timestamp"):
            house.tree.send(f"nuki/{ID}/{name}", "", retain=True)
        await asyncio.sleep(1)
        assert house.tree.values()["connected"] == "true"
        assert len(house.tree.connections) == 1


async def test_what_a_broker_away_kept_from_being_cleared_is_cleared_when_it_is_back(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        house.on_publish = lambda each: house.tree.keep(each.topic, each.payload, retain=each.retain)
        house.tree.connection().break_off()
        house.online = False
        house.bridge.connection_changed(False)
        house.send("bridge/request/unpair", {"name": "front"})
        await asyncio.sleep(5)
        assert house.tree.values()["connected"] == "false"
        house.online = True
        house.bridge.connection_changed(True)
        await asyncio.sleep(1)
        assert house.tree.values() == {}
