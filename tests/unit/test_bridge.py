"""The bridge between virtual locks and a broker that only keeps what was published; in virtual time."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from nuki_bridge.bluetooth.nearby import NearbyDevices
from nuki_bridge.config import LockSettings, Secret
from nuki_bridge.protocol.advertisement import Sighting
from nuki_bridge.protocol.codes import Action, Family
from nuki_bridge.store import PairedLock, Store
from tests.unit.house import CLASSIC, ULTRA, House, lose_after_handshake
from tests.unit.rig import clock, now

# -- start, stop, connection


async def test_online_comes_last_and_everything_is_retained(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.published.clear()
        house.bridge.connection_changed(False)
        house.bridge.connection_changed(True)
        topics = [each.topic for each in house.published]
        assert topics[0] == "nuki/bridge/info"
        assert set(topics[1:]) >= {f"nuki/front/{kind}" for kind in ("availability", "state", "battery", "status")}
        assert "nuki/bridge/state" in topics
        assert len(set(topics)) == len(topics)
        assert all(each.retain for each in house.published)
        assert "nuki/+/state" in house.watched
        assert "nuki/bridge/info" not in house.watched


async def test_only_changes_are_published(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.published.clear()
        await asyncio.sleep(50.0)
        assert house.published == []


async def test_a_movement_without_delay_is_one_status_and_its_result_comes_first(house: House) -> None:
    """Reports that come in a row are each a state; what is known of the lock is told once, when they are over."""
    house.classic.behaviour.motor_s = 0.0
    async with house.running():
        await house.pair(name="front")
        house.published.clear()
        await house.ask("front/set", "unlock")
        await asyncio.sleep(1.0)
        assert house.on("front/state") == ["unlocking", "unlocked"]
        [status] = house.events("front/status")
        assert status["state"] == "unlocked"
        topics = [each.topic for each in house.published]
        assert topics.index("nuki/front/result") < topics.index("nuki/front/status")


async def test_what_changed_while_the_broker_was_away_is_published_afterwards(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.online = False
        house.bridge.connection_changed(False)
        await house.lock().perform(Action.UNLOCK, 10.0)
        assert house.retained["nuki/front/state"] == "locked"
        house.online = True
        house.bridge.connection_changed(True)
        assert house.retained["nuki/front/state"] == "unlocked"


async def test_what_the_broker_did_not_take_is_sent_with_the_next_change(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.accepting = False
        house.radio.control({"lock": CLASSIC, "turn": "unlocked"})
        await asyncio.sleep(5.0)
        house.accepting = True
        house.radio.control({"lock": CLASSIC, "door": "open"})
        await asyncio.sleep(5.0)
        assert house.retained["nuki/front/state"] == "unlocked"
        assert house.retained["nuki/front/door"] == "open"


async def test_leaving_publishes_offline_and_nothing_afterwards(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.send("front/set", "unlock")
        await asyncio.sleep(0.5)
        await house.bridge.leave()
        assert house.retained["nuki/front/availability"] == "offline"
        assert house.retained["nuki/bridge/state"] == "offline"
        assert json.loads(house.on("front/result")[-1])["error"] == "stopped"
        count = len(house.published)
        await asyncio.sleep(30.0)
        assert len(house.published) == count


async def test_a_lock_whose_task_fails_is_started_again(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async with house.running():
        await house.pair(name="front")
        member = house.bridge.members.get("front")
        assert member is not None
        assert member.lock is not None
        member.lock._tend = None  # type: ignore[assignment, method-assign]
        house.radio.control({"lock": CLASSIC, "drop_links": True})
        await asyncio.sleep(3.0)
        assert "internal error: front failed" in caplog.text
        del member.lock._tend
        await asyncio.sleep(20.0)
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"


# -- state


async def test_nothing_is_said_of_a_lock_before_it_reported(tmp_path: Path) -> None:
    house = House(tmp_path / "state", LockSettings("front", CLASSIC))
    async with house.running():
        await asyncio.sleep(5.0)
        assert {topic for topic in house.retained if "front" in topic} == {"nuki/front/availability"}
        assert house.retained["nuki/front/availability"] == "offline"
        [lock] = json.loads(house.retained["nuki/bridge/info"])["locks"]
        assert (lock["name"], lock["paired"]) == ("front", False)


async def test_topics_of_a_paired_lock(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        assert house.retained["nuki/front/availability"] == "online"
        assert house.retained["nuki/front/state"] == "locked"
        assert house.retained["nuki/front/door"] == "closed"
        assert json.loads(house.retained["nuki/front/battery"]) == {
            "critical": False,
            "charging": False,
            "level": 84,
            "keypad_critical": None,
            "door_sensor_critical": None,
        }
        status = json.loads(house.retained["nuki/front/status"])
        assert status["nuki_id"] == "1A2B3C4D"
        assert status["firmware"] == "3.5.11"
        assert status["updated"].endswith("+01:00")
        assert "latitude" not in house.everything()
        info = json.loads(house.retained["nuki/bridge/info"])
        assert info["adapter"] == {"name": "virtual0", "available": True, "reason": None}
        assert info["mqtt_version"] == "5"
        assert info["locks"] == [
            {
                "name": "front",
                "nuki_id": "1A2B3C4D",
                "address": CLASSIC,
                "family": "classic",
                "connection": "persistent",
                "paired": True,
            }
        ]


async def test_no_door_topic_without_a_sensor(house: House) -> None:
    house.radio.control({"lock": CLASSIC, "door": "unavailable"})
    async with house.running():
        await house.pair(name="front")
        assert house.on("front/door") == []
        house.radio.control({"lock": CLASSIC, "door": "open"})
        await asyncio.sleep(12.0)
        house.radio.control({"lock": CLASSIC, "door": "unavailable"})
        await asyncio.sleep(12.0)
        assert house.on("front/door") == ["open", "unavailable"]


async def test_action_is_told_as_states_then_an_event_then_the_result(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        start = len(house.published)
        answer = await house.ask("front/set", {"action": "unlatch", "transaction": [1]})
        assert answer == {"action": "unlatch", "status": "ok", "completion": "success", "transaction": [1]}
        topics = [
            (each.topic.removeprefix("nuki/front/"), each.payload.decode())
            for each in house.published[start:]
            if each.topic.endswith(("/state", "/event", "/result"))
        ]
        assert [payload for topic, payload in topics if topic == "state"] == ["unlatching", "unlatched", "unlocked"]
        [event] = [json.loads(payload) for topic, payload in topics if topic == "event"]
        assert (event["type"], event["action"], event["completion"]) == ("lock_action", "unlatch", "success")
        assert topics[-1][0] == "result"


async def test_event_for_a_turn_by_hand_and_for_the_door(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.radio.control({"lock": CLASSIC, "turn": "unlocked"})
        await asyncio.sleep(12.0)
        house.radio.control({"lock": CLASSIC, "door": "open"})
        await asyncio.sleep(12.0)
        assert house.retained["nuki/front/state"] == "unlocked"
        turn, door = house.events("front/event")
        assert (turn["type"], turn["trigger"], turn["action"], turn["state"]) == (
            "lock_action",
            "manual",
            "unlock",
            "unlocked",
        )
        assert (door["type"], door["door"]) == ("door", "open")


async def test_failed_action_is_an_event_with_its_completion(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.radio.control({"lock": CLASSIC, "block_motor": True})
        answer = await house.ask("front/set", "unlock")
        assert (answer["action"], answer["status"], answer["error"]) == ("unlock", "error", "motor_blocked")
        assert answer["message"]
        assert house.retained["nuki/front/state"] == "motor_blocked"
        [event] = house.events("front/event")
        assert (event["action"], event["completion"]) == ("unlock", "motor_blocked")


async def test_lock_n_go_is_one_event(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        assert (await house.ask("front/set", "lock_n_go"))["status"] == "ok"
        [event] = house.events("front/event")
        assert (event["action"], event["state"]) == ("lock_n_go", "locked")


async def test_lock_out_of_range_is_offline_and_its_state_stays(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.radio.control({"lock": CLASSIC, "out_of_range": True})
        await asyncio.sleep(120.0)
        assert house.retained["nuki/front/availability"] == "offline"
        assert house.retained["nuki/front/state"] == "locked"
        started = clock()
        answer = await house.ask("front/set", "unlock")
        assert answer["error"] == "timeout"
        assert 14.0 < clock() - started < 17.0
        house.radio.control({"lock": CLASSIC, "out_of_range": False})
        await asyncio.sleep(15.0)
        assert house.retained["nuki/front/availability"] == "online"
        assert house.classic.movements() == []


# -- commands


async def test_refusals_that_need_to_know_the_lock(tmp_path: Path) -> None:
    house = House(
        tmp_path / "state",
        LockSettings("front", CLASSIC, actions=frozenset({"lock", "unlock"})),
        LockSettings("back"),
    )
    async with house.running():
        await house.pair()
        assert (await house.ask("nosuch/set", "lock"))["error"] == "unknown_lock"
        assert (await house.ask("bridge/set", "lock"))["error"] == "unknown_lock"
        assert (await house.ask("nosuch/request/refresh"))["error"] == "unknown_lock"
        assert (await house.ask("back/set", "lock"))["error"] == "not_paired"
        assert (await house.ask("back/request/refresh"))["error"] == "not_paired"
        answer = await house.ask("front/set", {"action": "open", "transaction": 5})
        assert (answer["error"], answer["action"], answer["transaction"]) == ("action_not_allowed", "unlatch", 5)
        assert "lock, unlock" in answer["message"]
        assert (await house.ask("front/set", "fly"))["error"] == "unknown_action"
        assert (await house.ask("front/set", "unlock", retain=True))["error"] == "retained_command"
        assert (await house.ask("front/request/users/nonsense"))["error"] == "unknown_command"
        assert house.classic.movements() == []
        assert (await house.ask("front/set", "UNLOCK"))["status"] == "ok"


async def test_removing_a_retained_request_is_no_request(house: House) -> None:
    """With MQTT 3.1.1 the removal comes without a retain flag and looks like a request without arguments."""
    house.protocol = "3.1.1"
    async with house.running():
        await house.pair(name="front")
        assert (await house.ask("front/request/calibrate", {}, retain=True))["error"] == "retained_command"
        count = len(house.on("front/response/calibrate"))
        house.send("front/request/calibrate", b"")
        await asyncio.sleep(60.0)
        assert len(house.on("front/response/calibrate")) == count
        assert house.classic.movements() == []
        assert (await house.ask("front/request/calibrate", b""))["error"] == "pin_required"


async def test_what_was_retained_before_a_reconnect_is_forgotten(house: House) -> None:
    """What is still there the broker tells anew; what is not must not swallow a request."""
    house.protocol = "3.1.1"
    async with house.running():
        assert (await house.ask("bridge/request/locks", {}, retain=True))["error"] == "retained_command"
        house.bridge.connection_changed(False)
        house.bridge.connection_changed(True)
        assert (await house.ask("bridge/request/locks", b""))["status"] == "ok"


async def test_an_empty_request_after_a_retained_one_is_a_request_where_the_flag_is_seen(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        assert (await house.ask("front/request/refresh", {}, retain=True))["error"] == "retained_command"
        assert (await house.ask("front/request/refresh", b""))["status"] == "ok"


async def test_numbers_may_be_written_as_floats(house: House) -> None:
    async with house.running():
        await house.pair(name="front", pin="1234")
        [user] = (await house.ask("front/request/users/list"))["data"]
        payload = f'{{"id": {user["id"]}.0, "enabled": true, "transaction": 1.5}}'
        answer = await house.ask("front/request/users/update", payload)
        assert (answer["status"], answer["transaction"]) == ("ok", 1.5)


async def test_answers_wait_for_the_broker_and_nothing_else_does(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await house.ask("front/set", "unlock")
        await house.ask("front/request/refresh")
        for each in house.published:
            is_answer = each.topic.endswith("/result") or "/response/" in each.topic
            assert (each.keep_s > 0) == is_answer, each.topic


async def test_late_command_is_not_carried_out(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        assert (await house.ask("front/set", "unlock", received_at=clock() - 16.0))["error"] == "timeout"
        late = {"received_at": clock() - 3.0, "message_expiry_s": 2}
        assert (await house.ask("front/set", "unlock", **late))["error"] == "timeout"
        assert (await house.ask("bridge/request/restart", **late))["error"] == "timeout"
        assert house.restarts == 0
        assert house.classic.movements() == []


async def test_commands_of_one_lock_are_carried_out_in_order(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        for action in ("unlock", "lock", "unlatch"):
            house.send("front/set", action)
        await asyncio.sleep(30.0)
        assert [each["action"] for each in house.events("front/result")] == ["unlock", "lock", "unlatch"]


async def test_slow_lock_does_not_hold_up_another(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await house.pair(ULTRA, name="back", pin="123456")
        house.radio.control({"lock": CLASSIC, "motor_s": 60})
        house.send("front/set", "unlock")
        await asyncio.sleep(0.1)
        started = clock()
        assert (await house.ask("back/set", "unlock"))["status"] == "ok"
        assert clock() - started < 5.0


async def test_flood_is_refused(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        for _ in range(30):
            house.send("front/set", "lock")
        refused = [each for each in house.events("front/result") if each.get("error") == "too_many_requests"]
        assert len(refused) == 10


async def test_refresh_answers_the_status(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(10.0)
        answer = await house.ask("front/request/refresh", {"transaction": "t"})
        assert answer["transaction"] == "t"
        assert answer["data"]["state"] == "locked"
        assert json.loads(house.retained["nuki/front/status"]) == answer["data"]


async def test_battery_report_has_units(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        data = (await house.ask("front/request/battery/get"))["data"]
        assert data["voltage_mv"] > 3000
        assert data["critical"] is False


async def test_mistake_in_the_program_is_answered(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async with house.running():
        await house.pair(name="front")
        house.lock().perform = None  # type: ignore[method-assign, assignment]
        answer = await house.ask("front/set", "unlock")
        assert answer["error"] == "internal"
        assert "Traceback" in caplog.text
        assert (await house.ask("bridge/request/health"))["status"] == "ok"


async def test_simulate_by_name_and_by_nuki_id(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        assert (await house.ask("front/simulate", {"status": True}))["data"]["address"] == CLASSIC
        assert (await house.ask("2C3D4E5F/simulate", {"status": True}))["data"]["address"] == ULTRA
        assert (await house.ask("nosuch/simulate", {"status": True}))["error"] == "bad_request"
        assert (await house.ask("front/simulate", {"explode": True}))["error"] == "bad_request"


# -- scan


async def test_scan_tells_who_is_there(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.ultra.hold_button()
        started = clock()
        first, second = (await house.ask("bridge/request/scan", {"timeout": 4}))["data"]
        assert 4.0 <= clock() - started < 4.5
        found = {each["address"]: each for each in (first, second)}
        assert found[CLASSIC]["paired"] == "front"
        assert found[CLASSIC]["nuki_id"] == "1A2B3C4D"
        assert found[ULTRA] == {
            "address": ULTRA,
            "name": "Nuki_2C3D4E5F",
            "nuki_id": "2C3D4E5F",
            "rssi": -58,
            "pairing_mode": True,
            "paired": None,
        }


async def test_no_adapter_is_told_at_once(house: House) -> None:
    async with house.running():
        house.radio.set_adapter(False)
        await asyncio.sleep(0.1)
        assert (await house.ask("bridge/request/scan"))["error"] == "adapter_unavailable"
        assert (await house.ask("bridge/request/pair"))["error"] == "adapter_unavailable"
        assert json.loads(house.retained["nuki/bridge/info"])["adapter"]["available"] is False
        house.radio.set_adapter(True)
        await asyncio.sleep(0.1)
        assert [each["type"] for each in house.events("bridge/event")] == ["adapter_lost", "adapter_found"]


# -- pair


async def test_pair_waits_for_the_button_and_is_durable_before_the_answer(house: House) -> None:
    async with house.running():
        asyncio.get_running_loop().call_later(20.0, house.classic.hold_button)
        answer = await house.ask("bridge/request/pair", {"name": "front"})
        assert answer["data"] == {
            "name": "front",
            "nuki_id": "1A2B3C4D",
            "address": CLASSIC,
            "authorization_id": 1,
        }
        [paired] = house.store.locks()
        assert (paired.name, paired.address, paired.id_type.name) == ("front", CLASSIC, "BRIDGE")
        entry = house.classic.authorizations.get(1)
        assert entry is not None
        assert entry.name == "nuki-bridge pi"
        [event] = house.events("bridge/event")
        assert (event["type"], event["name"]) == ("paired", "front")


async def test_pair_without_a_name_takes_the_locks_own(house: House) -> None:
    house.classic.settings.name = "Haustür vorn!"
    async with house.running():
        assert (await house.pair())["name"] == "haustuer_vorn"


async def test_pair_gives_up_and_says_what_to_press(house: House) -> None:
    async with house.running():
        started = clock()
        answer = await house.ask("bridge/request/pair", {"timeout": 7})
        assert answer["error"] == "not_pairing"
        assert "button" in answer["message"]
        assert 7.0 <= clock() - started < 8.0


async def test_pair_with_two_locks_in_pairing_mode_is_ambiguous(house: House) -> None:
    async with house.running():
        house.classic.hold_button()
        house.ultra.hold_button()
        answer = await house.ask("bridge/request/pair", {"pin": "123456"})
        assert answer["error"] == "ambiguous"
        assert CLASSIC in answer["message"]
        assert ULTRA in answer["message"]
        assert house.store.locks() == []


async def test_only_one_pairing_at_a_time(house: House) -> None:
    async with house.running():
        house.send("bridge/request/pair", {"transaction": 1})
        await asyncio.sleep(0.1)
        house.send("bridge/request/pair", {"transaction": 2})
        await asyncio.sleep(0.1)
        [answer] = house.events("bridge/response/pair")
        assert (answer["error"], answer["transaction"]) == ("busy", 2)


async def test_ultra_needs_its_pin_and_a_wrong_one_is_tried_once(house: House) -> None:
    async with house.running():
        house.ultra.hold_button()
        assert (await house.ask("bridge/request/pair", {"address": ULTRA}))["error"] == "pin_required"
        assert (await house.ask("bridge/request/pair", {"address": ULTRA, "pin": "654321"}))["error"] == "bad_pin"
        assert sum("bad_pin" in str(entry.as_dict()).lower() for entry in house.ultra.audit) == 1
        assert (await house.pair(ULTRA, pin=123456, name="back"))["name"] == "back"
        assert (await house.ask("back/set", "unlock"))["status"] == "ok"


async def test_pin_of_the_configuration_is_used_for_pairing(tmp_path: Path) -> None:
    house = House(tmp_path / "state", LockSettings("back", ULTRA, pin=Secret("123456")))
    async with house.running():
        house.ultra.hold_button()
        house.classic.hold_button()
        answer = await house.ask("bridge/request/pair", {"name": "back"})
        assert answer["data"]["address"] == ULTRA


@pytest.mark.parametrize("name", ["Front", "bridge", "invitation", "1a2b3c4d", "a" * 33, "a/b", "+"])
async def test_bad_names_are_refused(house: House, name: str) -> None:
    async with house.running():
        house.classic.hold_button()
        assert (await house.ask("bridge/request/pair", {"name": name}))["error"] == "bad_name"
        assert len(house.classic.authorizations) == 0


async def test_name_of_another_lock_is_taken(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.ultra.hold_button()
        answer = await house.ask("bridge/request/pair", {"name": "front", "address": ULTRA, "pin": "123456"})
        assert answer["error"] == "name_taken"
        assert len(house.ultra.authorizations) == 0


async def test_pairing_anew_replaces_and_keeps_the_name(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        assert (await house.pair())["name"] == "front"
        assert [each.name for each in house.store.locks()] == ["front"]
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"


async def test_pairing_anew_under_a_new_name_clears_the_old_topics(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await house.pair(name="garden")
        assert [each.name for each in house.store.locks()] == ["garden"]
        assert not [topic for topic in house.retained if "/front/" in topic]
        assert house.retained["nuki/garden/state"] == "locked"


async def test_paired_lock_becomes_one_of_the_configuration(tmp_path: Path) -> None:
    house = House(tmp_path / "state", LockSettings("front"))
    async with house.running():
        await house.pair(name="old")
        house.radio.control({"lock": CLASSIC, "drop_links": True})
        assert (await house.pair(name="front"))["name"] == "front"
        assert [each.name for each in house.store.locks()] == ["front"]
        assert [each.name for each in house.bridge.members] == ["front"]
        assert not [topic for topic in house.retained if "/old/" in topic]
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"


async def test_failed_pairing_leaves_the_old_one_working(house: House) -> None:
    async with house.running():
        await house.pair(ULTRA, name="back", pin="123456")
        house.ultra.hold_button()
        assert (await house.ask("bridge/request/pair", {"address": ULTRA, "pin": "000000"}))["error"] == "bad_pin"
        assert (await house.ask("back/set", "unlock"))["status"] == "ok"


@pytest.mark.parametrize("before", [False, True], ids=["first", "again"])
async def test_lock_that_is_lost_after_the_handshake_is_paired_and_used_when_it_is_back(
    house: House, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    async with house.running():
        if before:
            await house.pair(name="front")
        lose_after_handshake(house, monkeypatch)
        paired = await house.pair(**({} if before else {"name": "front"}))
        assert paired == {"name": "front", "nuki_id": "1A2B3C4D", "address": CLASSIC, "authorization_id": 1}
        [entry] = house.classic.authorizations
        assert [(each.name, each.shared_key) for each in house.store.locks()] == [("front", entry.key)]
        assert house.store.has_former("front") is before
        house.radio.faults.connect_times_out = 0
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"
        assert not house.store.has_former("front")


async def test_lock_that_is_lost_after_the_handshake_is_called_by_its_nuki_id(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.running():
        lose_after_handshake(house, monkeypatch)
        assert (await house.pair())["name"] == "lock_1a2b3c4d"


@pytest.mark.parametrize("before", [False, True], ids=["first", "again"])
async def test_daemon_that_stops_after_the_handshake_uses_the_new_key_from_its_next_start_on(
    house: House, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    async with house.running():
        if before:
            await house.pair(name="front")
        lose_after_handshake(house, monkeypatch)
        house.classic.hold_button()
        house.send("bridge/request/pair", {"name": "front"})
        await asyncio.sleep(10.0)
        assert house.radio.faults.connect_times_out
    house.radio.faults.connect_times_out = 0
    async with house.running():
        assert house.store.has_former("front") is before
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"
        assert not house.store.has_former("front")


@pytest.mark.parametrize("stop", [False, True], ids=["at once", "after a restart"])
async def test_old_key_is_used_again_when_the_lock_does_not_know_the_new_one(
    house: House, monkeypatch: pytest.MonkeyPatch, stop: bool
) -> None:
    async with house.running():
        await house.pair(name="front")
        [old] = house.store.locks()
        memory = house.classic.authorizations.to_list()

        def undo(paired: PairedLock) -> None:
            """The lock keeps nothing before it has got the confirmation, which is lost."""
            Store.save_unproven(house.store, paired)
            house.radio.faults.disconnect_before_write = 1
            house.classic.authorizations.load(memory)
            house.radio.faults.connect_times_out = 1000 if stop else 0

        monkeypatch.setattr(house.store, "save_unproven", undo)
        house.classic.hold_button()
        if stop:
            house.send("bridge/request/pair", {"name": "garden", "address": CLASSIC})
            await asyncio.sleep(10.0)
            assert house.radio.faults.connect_times_out
        else:
            answer = await house.ask("bridge/request/pair", {"name": "garden", "address": CLASSIC})
            assert (answer["status"], answer["error"]) == ("error", "link_error")
            assert house.store.locks() == [old]
            assert (await house.ask("front/set", "unlock"))["status"] == "ok"
    house.radio.faults.connect_times_out = 0
    async with house.running():
        await asyncio.sleep(10.0)
        assert (await house.ask("front/set", "lock"))["status"] == "ok"
        assert house.store.locks() == [old]
        assert not house.store.has_former("front")


async def test_first_pairing_that_the_lock_did_not_keep_leaves_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.running():

        def undo(paired: PairedLock) -> None:
            Store.save_unproven(house.store, paired)
            house.radio.faults.disconnect_before_write = 1
            house.classic.authorizations.remove(paired.authorization_id)

        monkeypatch.setattr(house.store, "save_unproven", undo)
        house.classic.hold_button()
        assert (await house.ask("bridge/request/pair", {"name": "front"}))["error"] == "link_error"
        assert house.store.locks() == []


async def test_nuki_id_that_was_not_advertised_is_learned_from_the_lock(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear = NearbyDevices.hear

    def hear_no_id(nearby: NearbyDevices, sighting: Sighting) -> None:
        hear(nearby, replace(sighting, nuki_id=None))

    monkeypatch.setattr(NearbyDevices, "hear", hear_no_id)
    async with house.running():
        lose_after_handshake(house, monkeypatch)
        assert (await house.pair(name="front"))["nuki_id"] == "00000000"
        house.radio.faults.connect_times_out = 0
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"
        await asyncio.sleep(10.0)
        assert [each.nuki_id for each in house.store.locks()] == [0x1A2B3C4D]
        assert (await house.ask("front/set", "lock"))["status"] == "ok"


async def test_pin_is_nowhere_to_be_seen(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with house.running():
        house.ultra.hold_button()
        await house.ask("bridge/request/pair", {"address": ULTRA, "pin": "654321"})
        await house.pair(ULTRA, pin="123456", name="back")
        await house.ask("bridge/request/locks")
        for secret in ("654321", "123456", house.store.locks()[0].shared_key.hex()):
            assert secret not in house.everything()
            assert secret not in caplog.text


# -- unpair, locks, health, restart


async def test_unpair_forgets_the_lock_and_clears_its_topics(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        answer = await house.ask("bridge/request/unpair", {"name": "front"})
        assert answer["data"]["removed_on_lock"] is False
        assert house.store.locks() == []
        assert not [topic for topic in house.retained if "/front/" in topic]
        assert house.classic.links == 0
        assert json.loads(house.retained["nuki/bridge/info"])["locks"] == []
        assert house.events("bridge/event")[-1]["type"] == "unpaired"
        assert (await house.ask("front/set", "lock"))["error"] == "unknown_lock"
        assert (await house.ask("bridge/request/unpair", {"name": "front"}))["error"] == "unknown_lock"


async def test_unpaired_lock_of_the_configuration_stays_offline(tmp_path: Path) -> None:
    house = House(tmp_path / "state", LockSettings("front", CLASSIC))
    async with house.running():
        await house.pair()
        await house.ask("bridge/request/unpair", {"name": "front"})
        assert {topic for topic in house.retained if "/front/" in topic} == {"nuki/front/availability"}
        assert house.retained["nuki/front/availability"] == "offline"
        assert (await house.ask("front/set", "lock"))["error"] == "not_paired"


async def test_who_asks_for_more_than_the_broker_takes_is_told_so(house: House) -> None:
    async with house.running():
        await house.pair(name="front", pin="1234")
        house.largest = 250
        answer = await house.ask("front/request/config/get", {"transaction": 5})
        assert (answer["error"], answer["transaction"]) == ("answer_too_large", 5)
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"


async def test_locks_and_health(tmp_path: Path) -> None:
    house = House(tmp_path / "state", LockSettings("back"))
    async with house.running():
        await house.pair(name="front")
        back, front = (await house.ask("bridge/request/locks"))["data"]
        assert (back["name"], back["paired"]) == ("back", False)
        assert (front["name"], front["state"], front["as"], front["authorization_id"]) == (
            "front",
            "locked",
            "bridge",
            1,
        )
        await asyncio.sleep(10.0)
        health = (await house.ask("bridge/request/health"))["data"]
        assert health["uptime_s"] >= 10
        [lock] = health["locks"]
        assert lock["connected"] is True
        assert (lock["connection"], lock["reconnects"]) == ("persistent", 1)
        assert abs(lock["clock_off_s"]) <= 1
        assert lock["timezone_offset_min"] in (60, 120)


async def test_health_tells_how_far_a_locks_clock_is_off(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        clock = house.classic.device.clock
        clock.set(clock.now() - timedelta(minutes=7))
        await house.ask("front/request/refresh")
        [told] = (await house.ask("bridge/request/health"))["data"]["locks"]
        assert -421 <= told["clock_off_s"] <= -419


async def test_restart_answers_first(house: House) -> None:
    async with house.running():
        assert (await house.ask("bridge/request/restart"))["status"] == "ok"
        assert house.restarts == 1


# -- configuration and store


def stored(name: str, address: str, number: int) -> PairedLock:
    from nuki_bridge.protocol.codes import IdType

    return PairedLock(name, address, number, Family.CLASSIC, 1, bytes(32), 5, bytes(16), IdType.BRIDGE, now())


async def test_configuration_names_a_paired_lock_by_its_address(tmp_path: Path) -> None:
    house = House(tmp_path / "state", LockSettings("front", CLASSIC, connection="on-demand"))
    house.store.open()
    house.store.save_lock(stored("old", CLASSIC, 1))
    house.store.save_lock(stored("front", ULTRA, 2))
    house.store.close()
    async with house.running():
        locks = {each["name"]: each for each in json.loads(house.retained["nuki/bridge/info"])["locks"]}
        assert locks["front"]["address"] == CLASSIC
        assert locks["front"]["connection"] == "on-demand"
        assert locks["front_2"]["address"] == ULTRA


async def test_topics_of_a_lock_that_went_away_between_two_runs_are_cleared(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        info = house.retained["nuki/bridge/info"]
        house.store.remove_lock("front")
    async with house.running():
        house.send("bridge/info", info, retain=True)
        assert not [topic for topic in house.retained if "/front/" in topic]


async def test_topics_of_another_installation_are_left_alone(house: House) -> None:
    async with house.running():
        info = json.loads(house.retained["nuki/bridge/info"])
        for changed in (
            {"id": "0" * 16, "locks": [{"name": "shed"}]},
            {"locks": [{"name": "1A2B3C4D"}, {"name": "+"}]},
        ):
            house.send("bridge/info", json.dumps({**info, **changed}), retain=True)
        house.send("shed/state", "locked", retain=True)
        house.send("1A2B3C4D/state", "1", retain=True)
        ours = {each.topic for each in house.published if each.topic.startswith("nuki/")}
        assert ours == {"nuki/bridge/info", "nuki/bridge/state"}


# -- what became of retained topics


async def test_topic_that_the_broker_lost_is_published_again(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        del house.retained["nuki/front/state"]
        house.send("front/state", b"", retain=True)
        assert house.retained["nuki/front/state"] == "locked"


async def test_fight_over_a_topic_is_fought_once_a_minute(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async with house.running():
        await house.pair(name="front")
        house.published.clear()
        for _ in range(60):
            house.send("front/state", b"unlocked", retain=True)
            await asyncio.sleep(3.0)
        assert 3 <= len(house.on("front/state")) <= 4
        assert "somebody else" in caplog.text


async def test_own_echo_before_mqtt_5_is_no_fight(house: House) -> None:
    house.protocol = "3.1.1"
    async with house.running():
        await house.pair(name="front")
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"
        count = len(house.on("front/state"))
        house.send("front/state", b"unlocking")
        assert len(house.on("front/state")) == count
        await asyncio.sleep(6.0)
        house.send("front/state", b"locked")
        assert len(house.on("front/state")) == count + 1


async def test_message_without_retain_replaced_nothing(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        count = len(house.published)
        house.send("front/state", b"unlocked")
        assert len(house.published) == count


async def test_stale_door_is_cleared_when_the_lock_has_no_sensor(house: House) -> None:
    house.radio.control({"lock": CLASSIC, "door": "unavailable"})
    async with house.running():
        await house.pair(name="front")
        house.retained["nuki/front/door"] = "open"
        house.send("front/door", b"open", retain=True)
        assert "nuki/front/door" not in house.retained


async def test_the_last_action_of_a_lock_is_not_told_of_the_next_one_of_its_name(tmp_path: Path) -> None:
    house = House(tmp_path / "state", LockSettings("front"))
    async with house.running():
        await house.pair(name="front")
        assert (await house.ask("front/set", "lock"))["status"] == "ok"
        await asyncio.sleep(5.0)
        assert json.loads(house.retained["nuki/front/status"])["last_lock_action"]["action"] == "lock"
        assert (await house.ask("bridge/request/unpair", {"name": "front"}))["status"] == "ok"
        await house.pair(ULTRA, name="front", pin="123456")
        await asyncio.sleep(5.0)
        status = json.loads(house.retained["nuki/front/status"])
        assert status["address"] == ULTRA
        assert status["last_lock_action"] is None or status["last_lock_action"]["action"] != "lock"
