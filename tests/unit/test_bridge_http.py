"""The Bridge HTTP API without sockets: objects, one movement for one command, and who is told of what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.bridge_http import codes
from nuki_bridge.bridge_http.callbacks import MAX_CALLBACKS, PAUSE_S, Callbacks
from nuki_bridge.bridge_http.commands import AWAY_S, Commands
from nuki_bridge.bridge_http.endpoints import Call, Endpoints, Refused, parameters
from nuki_bridge.bridge_http.house import FIRST_S, SETTLE_S, House
from nuki_bridge.bridge_http.memory import FILE, Memory
from nuki_bridge.bridge_http.post import BadUrl, Target, target_of
from nuki_bridge.bridge_http.server import ApiServer
from nuki_bridge.bridge_http.token import Tokens
from nuki_bridge.bridge_http.turns import KEPT_S, QUEUE_S, Turns
from nuki_bridge.errors import PageError
from nuki_bridge.kinds import Secret
from nuki_bridge.lock.profile import OPENER, SMART_LOCK
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.web.http import Head
from nuki_bridge.web.limits import Limits

FRONT = 0x2BB28570
GATE = 0x1A2B3C4D
FOREIGN = "2BB28571"
INFO = {
    "locks": [
        {"name": "front", "nuki_id": "2BB28570", "family": "classic", "paired": True},
        {"name": "gate", "nuki_id": "1A2B3C4D", "family": "opener", "paired": True},
        {"name": "shed", "address": "54:D2:72:00:00:01", "paired": False},
    ]
}
STATUS = {
    "name_in_lock": "Front door",
    "device_type": 4,
    "firmware": "3.9.5",
    "updated": "2026-12-01T10:00:00+01:00",
    "rssi": -60,
    "config": {"auto_unlatch": False},
}
BATTERY = {"critical": False, "charging": False, "level": 80, "keypad_critical": None}


class Desk:
    """All parts over a broker and a daemon that the test plays."""

    def __init__(self, directory: Path) -> None:
        self.loop = asyncio.get_running_loop()
        self.sent: list[tuple[str, dict[str, Any], int | None]] = []
        self.there = True
        self.changed: list[int] = []
        self.wall = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
        memory = Memory(directory)
        memory.load()
        self.callbacks = Callbacks(memory, lambda nuki_id: None)
        self.house = House("nuki", changed=self.changed.append, clock=self.loop.time, now=lambda: self.wall)
        self.commands = Commands("nuki", self._publish, lambda: self.there)
        self.turns = Turns(self.commands, self.loop.time)
        self.endpoints = Endpoints(
            self.house, self.commands, self.turns, self.callbacks, number=7, clock=self.loop.time, now=lambda: self.wall
        )
        self.hear("bridge/info", INFO)
        self.hear("bridge/state", "online")
        self.hear("front/state", "locked")
        self.hear("front/battery", BATTERY)
        self.hear("front/status", STATUS)
        self.hear("gate/state", "locked")

    def _publish(self, topic: str, payload: bytes | str, *, expiry_s: int | None = None) -> bool:
        self.sent.append((topic, json.loads(payload), expiry_s))
        return True

    def hear(self, topic: str, payload: Mapping[str, Any] | str, *, retain: bool = True) -> None:
        data = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
        self.house.take(Incoming(f"nuki/{topic}", data, retain, 0.0))

    def reply(self, number: int = -1, error: str | None = None) -> None:
        """The daemon's answer to a command, by its place among those sent."""
        topic, body, _ = self.sent[number]
        answer = {"status": "ok"} if error is None else {"status": "error", "error": error, "message": "why"}
        to = topic.replace("/set", "/result").replace("/request/", "/response/")
        self.commands.take(Incoming(to, json.dumps({**answer, "transaction": body["transaction"]}).encode(), False, 0))

    def call(self, path: str, query: str = "", *, client: str = "192.168.1.5") -> tuple[asyncio.Task[Any], Call]:
        call = Call(parameters(query), client, asyncio.Event())
        return asyncio.create_task(self._answer(path, call)), call

    async def _answer(self, path: str, call: Call) -> Any:
        return await self.endpoints.answer(path, call)

    async def get(self, path: str, query: str = "") -> Any:
        return json.loads((await self.call(path, query)[0]).body)

    async def refused(self, path: str, query: str = "") -> int:
        with pytest.raises(Refused) as error:
            await self.get(path, query)
        return int(error.value.status)

    def actions(self) -> list[str]:
        return [body["action"] for topic, body, _ in self.sent if topic.endswith("/set")]


async def settle() -> None:
    await asyncio.sleep(0.001)


# -- what is told -----------------------------------------------------------------------------------------------------


async def test_the_list_has_what_the_document_has(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    front, gate = await desk.get("/list")
    assert front == {
        "nukiId": FRONT,
        "deviceType": 4,
        "name": "Front door",
        "firmwareVersion": "3.9.5",
        "lastKnownState": {
            "mode": 2,
            "state": 1,
            "stateName": "locked",
            "batteryCritical": False,
            "batteryCharging": False,
            "batteryChargeState": 80,
            "timestamp": "2026-12-01T10:00:00+01:00",
        },
    }
    assert (gate["nukiId"], gate["deviceType"], gate["name"]) == (GATE, 2, "gate")
    assert gate["lastKnownState"] == {
        "mode": 2,
        "state": 1,
        "stateName": "online",
        "batteryCritical": False,
        "ringactionState": False,
        "timestamp": "2026-12-01T09:00:00+00:00",
    }


async def test_door_keypad_and_mode_are_shown_where_there_are_any(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.hear("front/door", "open")
    desk.hear("front/battery", {**BATTERY, "critical": True, "keypad_critical": True, "level": None})
    desk.hear("gate/continuous_mode", "on")
    front, gate = (each["lastKnownState"] for each in await desk.get("/list"))
    assert (front["doorsensorState"], front["doorsensorStateName"]) == (3, "door opened")
    assert (front["batteryCritical"], front["keypadBatteryCritical"]) == (True, True)
    assert "batteryChargeState" not in front
    assert gate["mode"] == 3


@pytest.mark.parametrize(("kind", "profile"), [("front", SMART_LOCK), ("gate", OPENER)])
async def test_every_state_of_ours_has_a_number_of_the_makers(tmp_path: Path, kind: str, profile: Any) -> None:
    desk = Desk(tmp_path)
    for word, number in profile.states.items():
        desk.hear(f"{kind}/state", word)
        state = (await desk.get("/list"))[0 if kind == "front" else 1]["lastKnownState"]
        known = number if word not in ("calibrating", "boot_run") or kind == "gate" else 255
        assert state["state"] == known, word


def test_every_action_is_one_of_the_profiles() -> None:
    for table, profile in ((codes.LOCK_ACTIONS, SMART_LOCK), (codes.OPENER_ACTIONS, OPENER)):
        assert {number: profile.names.by_name[name] for number, name in table.items()} == {
            number: number for number in range(1, 6)
        }


async def test_topics_of_a_lock_that_speaks_mqtt_itself_are_no_device(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.hear(f"{FOREIGN}/state", "1")
    desk.hear(f"{FOREIGN}/status", STATUS)
    assert [each["nukiId"] for each in await desk.get("/list")] == [FRONT, GATE]


async def test_what_came_before_the_list_of_locks_counts(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.hear("shed/state", "unlocked")
    desk.hear("bridge/info", {"locks": [{"name": "shed", "nuki_id": "0000000A", "family": "ultra", "paired": True}]})
    [shed] = await desk.get("/list")
    assert (shed["nukiId"], shed["deviceType"], shed["lastKnownState"]["state"]) == (10, 4, 3)


async def test_what_nobody_knows_now_is_undefined(tmp_path: Path) -> None:
    """A state that is left out is "unlocked" to Home Assistant, and one that is remembered is true to all."""
    desk = Desk(tmp_path)

    async def told() -> list[str]:
        return [each["lastKnownState"]["stateName"] for each in await desk.get("/list")]

    assert await told() == ["locked", "online"]
    desk.hear("front/door", "closed")
    desk.hear("front/availability", "offline")
    assert await told() == ["undefined", "online"]
    assert (await desk.get("/list"))[0]["lastKnownState"]["doorsensorStateName"] == "door state unknown"
    await asyncio.sleep(2)
    assert FRONT in desk.changed
    desk.hear("front/availability", "online")
    assert await told() == ["locked", "online"]
    desk.hear("bridge/state", "offline")
    assert await told() == ["undefined", "undefined"]
    desk.hear("bridge/state", "online")
    assert await told() == ["locked", "online"]
    desk.house.lost()
    assert await told() == ["undefined", "undefined"]
    desk.hear("bridge/info", {"locks": [{"name": "new", "nuki_id": "1A2B3C4E", "family": "ultra", "paired": True}]})
    desk.hear("bridge/state", "online")
    assert await told() == ["undefined"]


async def test_as_long_as_nobody_has_told_of_the_devices_there_is_no_list(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.house = desk.endpoints._house = House("nuki", changed=desk.changed.append, clock=desk.loop.time)
    assert await desk.refused("/list") == 503
    assert await desk.refused("/lockAction", f"nukiId={FRONT}&action=1") == 503
    desk.hear("bridge/info", {"locks": []})
    assert await desk.get("/list") == []
    assert await desk.refused("/lockAction", f"nukiId={FRONT}&action=1") == 404


async def test_an_id_in_hexadecimal_is_one_too_but_never_two(tmp_path: Path) -> None:
    """homebridge-nb writes it so.  Digits that are one lock's ID in either way are nobody's."""
    desk = Desk(tmp_path)
    for text in (str(FRONT), "2BB28570", "2bb28570"):
        desk.call("/lockAction", f"nukiId={text}&action=1")
        await settle()
        desk.reply()
        await settle()
    assert desk.actions() == ["unlock"] * 3
    both = 0x12345678
    desk.hear(
        "bridge/info",
        {
            "locks": [
                {"name": "front", "nuki_id": f"{both:08X}", "family": "classic", "paired": True},
                {"name": "shed", "nuki_id": f"{12345678:08X}", "family": "classic", "paired": True},
            ]
        },
    )
    assert await desk.refused("/lockAction", "nukiId=12345678&action=1") == 404
    assert await desk.refused("/lockState", "nukiId=12345678") == 404


async def test_info_says_which_bridge_and_what_it_hears(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    info = await desk.get("/info")
    assert (info["bridgeType"], info["ids"], info["serverConnected"]) == (1, {"hardwareId": 7, "serverId": 7}, False)
    assert info["currentTime"] == "2026-12-01T09:00:00Z"
    assert info["scanResults"][0] == {
        "nukiId": FRONT,
        "deviceType": 4,
        "name": "Nuki_2BB28570",
        "rssi": -60,
        "paired": True,
    }
    opener = info["scanResults"][1]
    assert (opener["deviceType"], opener["name"]) == (2, f"Nuki_Opener_{GATE:08X}")
    desk.hear("front/status", {**STATUS, "device_type": 3})
    assert (await desk.get("/info"))["scanResults"][0]["name"] == "Nuki_Door_2BB28570"


async def test_a_ring_is_shown_for_thirty_seconds_and_told_twice(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await asyncio.sleep(2)
    assert desk.changed == [FRONT, GATE]
    desk.hear("gate/event", {"type": "ring", "time": "2026-12-01T10:00:00+01:00"}, retain=False)
    await asyncio.sleep(1)
    state = (await desk.get("/list"))[1]["lastKnownState"]
    assert (state["ringactionState"], state["ringactionTimestamp"]) == (True, "2026-12-01T10:00:00+01:00")
    await asyncio.sleep(30)
    assert (await desk.get("/list"))[1]["lastKnownState"]["ringactionState"] is False
    assert desk.changed == [FRONT, GATE, GATE, GATE]


async def test_an_old_or_retained_ring_rings_no_more(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    old = (desk.wall - timedelta(minutes=1)).isoformat()
    desk.hear("gate/event", {"type": "ring", "time": old}, retain=False)
    desk.hear("gate/event", {"type": "ring", "time": desk.wall.isoformat()})
    state = (await desk.get("/list"))[1]["lastKnownState"]
    assert (state["ringactionState"], state["ringactionTimestamp"]) == (False, old)


async def test_one_change_of_several_topics_is_told_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await asyncio.sleep(2)
    desk.changed.clear()
    desk.hear("front/state", "unlocked")
    desk.hear("front/door", "open")
    desk.hear("front/status", {**STATUS, "rssi": -70})
    await asyncio.sleep(1)
    assert desk.changed == [FRONT]
    desk.hear("front/status", {**STATUS, "rssi": -50})
    await asyncio.sleep(1)
    assert desk.changed == [FRONT]


# -- actions ----------------------------------------------------------------------------------------------------------


async def test_an_action_is_answered_with_its_outcome(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    task, _ = desk.call("/lockAction", f"nukiId={FRONT}&deviceType=0&action=3")
    await settle()
    [(topic, body, expiry_s)] = desk.sent
    assert (topic, body["action"], expiry_s) == ("nuki/front/set", "unlatch", 10)
    assert not task.done()
    desk.reply()
    assert json.loads((await task).body) == {"success": True, "batteryCritical": False}


async def test_a_failed_action_is_no_success_and_says_why(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    task, _ = desk.call("/lockAction", f"nukiId={FRONT}&action=2")
    await settle()
    desk.reply(error="motor_blocked")
    assert json.loads((await task).body) == {
        "success": False,
        "batteryCritical": False,
        "reason": "motor_blocked",
        "message": "why",
    }


@pytest.mark.parametrize(("error", "status"), [("timeout", 503), ("not_found", 503), ("unknown_lock", 404)])
async def test_a_device_that_cannot_be_reached_is_503(tmp_path: Path, error: str, status: int) -> None:
    desk = Desk(tmp_path)
    task, _ = desk.call("/lockAction", f"nukiId={FRONT}&action=2")
    await settle()
    desk.reply(error=error)
    with pytest.raises(Refused) as refused:
        await task
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/lockAction", "action=1", 400),
        ("/lockAction", f"nukiId={FRONT}", 400),
        ("/lockAction", f"nukiId={FRONT}&action=6", 400),
        ("/lockAction", f"nukiId={FRONT}&action=0", 400),
        ("/lockAction", f"nukiId={FRONT}&action=unlock", 400),
        ("/lockAction", f"nukiId={FRONT}&action=1&nowait=2", 400),
        ("/lockAction", "nukiId=1&action=1", 404),
        ("/lockAction", "nukiId=2BB28571&action=1", 404),
        ("/lockAction", "nukiId=2BB28570x&action=1", 400),
        ("/lockAction", "nukiId=0x2BB28570&action=1", 400),
        ("/lockAction", "nukiId=2BB2857000&action=1", 404),
        ("/lockState", "nukiId=99999999999", 400),
        ("/lockState", "nukiId=1", 404),
        ("/callback/add", "", 400),
        ("/callback/remove", "id=x", 400),
        ("/configAuth", "", 400),
    ],
)
async def test_wrong_parameters_move_nothing(tmp_path: Path, path: str, query: str, status: int) -> None:
    desk = Desk(tmp_path)
    assert await desk.refused(path, query) == status
    assert desk.sent == []


def test_a_parameter_that_stands_twice_is_refused() -> None:
    for query in ("action=1&action=3", "nukiId=1&nukiid=2", "&".join(f"a{each}=1" for each in range(40))):
        with pytest.raises(Refused):
            parameters(query)
    assert parameters("noWait=1&URL=http%3A%2F%2Fa%2Fb%3Fc%3Dd") == {"nowait": "1", "url": "http://a/b?c=d"}


async def test_the_same_action_joins_the_one_under_way_and_moves_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    tasks = [desk.call("/lockAction", f"nukiId={FRONT}&action=3", client=f"192.168.1.{each}")[0] for each in range(5)]
    await settle()
    assert desk.actions() == ["unlatch"]
    desk.reply()
    for task in tasks:
        assert json.loads((await task).body)["success"] is True
    another, _ = desk.call("/lockAction", f"nukiId={FRONT}&action=3")  # a new command
    await settle()
    assert desk.actions() == ["unlatch", "unlatch"]
    desk.reply()
    await another


async def test_a_client_that_gave_up_and_asks_again_gets_the_outcome_of_the_first(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    first, call = desk.call("/lockAction", f"nukiId={FRONT}&action=3")
    await asyncio.sleep(5)
    call.gone.set()
    await first
    desk.reply()
    await asyncio.sleep(1)
    again, _ = desk.call("/lockAction", f"nukiId={FRONT}&action=3")
    assert json.loads((await again).body)["success"] is True
    assert desk.actions() == ["unlatch"]
    desk.call("/lockAction", f"nukiId={FRONT}&action=3")
    await settle()
    assert desk.actions() == ["unlatch", "unlatch"]


async def test_what_one_client_did_not_take_is_no_answer_to_another_or_later(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    first, call = desk.call("/lockAction", f"nukiId={FRONT}&action=3")
    await settle()
    call.gone.set()
    await first
    desk.reply()
    await settle()
    desk.call("/lockAction", f"nukiId={FRONT}&action=3", client="192.168.1.6")
    await settle()
    assert desk.actions() == ["unlatch", "unlatch"]
    desk.reply()
    await asyncio.sleep(KEPT_S + 1)
    desk.call("/lockAction", f"nukiId={FRONT}&action=3")
    await settle()
    assert desk.actions() == ["unlatch"] * 3


async def given_up(desk: Desk, action: int, error: str | None = None) -> None:
    """A client hangs up before the outcome of its action is known."""
    task, call = desk.call("/lockAction", f"nukiId={FRONT}&action={action}")
    await settle()
    call.gone.set()
    await task
    desk.reply(error=error)
    await settle()


async def test_after_another_action_the_first_is_no_repetition(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await given_up(desk, 1)
    await given_up(desk, 2)
    desk.call("/lockAction", f"nukiId={FRONT}&action=1")
    await settle()
    assert desk.actions() == ["unlock", "lock", "unlock"]


@pytest.mark.parametrize(
    ("action", "error", "states", "moves"),
    [
        (1, None, ["unlocked"], False),
        (1, None, ["unlocked", "locked"], True),  # by hand, meanwhile
        (2, None, ["unlocked", "locking", "locked"], False),
        (2, None, ["locked", "unlocked"], True),
        (3, None, [], False),
        (3, None, ["unlatched", "unlocked"], False),
        (3, None, ["unlatched", "unlocked", "locking"], True),
        (3, None, ["locked"], False),  # that is what it told before: it has not been turned back
        (3, "outcome_unknown", ["unlatched", "locked"], False),  # nobody knows whether it was open meanwhile
    ],
)
async def test_a_lock_that_was_turned_meanwhile_is_turned_again(
    tmp_path: Path, action: int, error: str | None, states: list[str], moves: bool
) -> None:
    desk = Desk(tmp_path)
    await given_up(desk, action, error)
    for state in states:
        await settle()
        desk.hear("front/state", state)
    desk.call("/lockAction", f"nukiId={FRONT}&action={action}")
    await settle()
    assert len(desk.actions()) == (2 if moves else 1)


async def test_what_a_joined_call_has_taken_is_not_kept(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    first, call = desk.call("/lockAction", f"nukiId={FRONT}&action=3")
    await settle()
    call.gone.set()
    await first
    again, _ = desk.call("/lockAction", f"nukiId={FRONT}&action=3")
    await settle()
    desk.reply()
    (await again).taken()
    desk.call("/lockAction", f"nukiId={FRONT}&action=3")
    await settle()
    assert desk.actions() == ["unlatch", "unlatch"]


async def test_what_reached_no_lock_may_be_tried_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    first, call = desk.call("/lockAction", f"nukiId={FRONT}&action=3")
    await settle()
    call.gone.set()
    await first
    desk.reply(error="timeout")
    await settle()
    desk.call("/lockAction", f"nukiId={FRONT}&action=3")
    await settle()
    assert desk.actions() == ["unlatch", "unlatch"]


async def test_another_action_has_to_wait_but_for_lock_n_go(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.call("/lockAction", f"nukiId={FRONT}&action=4&nowait=1")
    await settle()
    desk.call("/lockAction", f"nukiId={FRONT}&action=1")
    await settle()
    begun = desk.loop.time()
    assert await desk.refused("/lockAction", f"nukiId={FRONT}&action=2") == 503
    assert desk.loop.time() - begun == pytest.approx(QUEUE_S)
    desk.call("/lockAction", f"nukiId={GATE}&action=3")  # another device
    await settle()
    assert desk.actions() == ["lock_n_go", "unlock", "open"]


async def test_an_action_that_waits_begins_when_the_first_is_over(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.call("/lockAction", f"nukiId={FRONT}&action=1")
    await settle()
    waiting = [desk.call("/lockAction", f"nukiId={FRONT}&action=2")[0] for _ in range(3)]
    await asyncio.sleep(2)
    assert desk.actions() == ["unlock"]
    desk.reply()
    await settle()
    assert desk.actions() == ["unlock", "lock"]
    desk.reply()
    for task in waiting:
        assert json.loads((await task).body)["success"] is True
    assert desk.actions() == ["unlock", "lock"]


async def test_whoever_hangs_up_while_an_action_waits_calls_it_off(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.call("/lockAction", f"nukiId={FRONT}&action=2")
    await settle()
    task, call = desk.call("/lockAction", f"nukiId={FRONT}&action=3")
    await asyncio.sleep(2)
    call.gone.set()
    desk.reply()
    with pytest.raises(Refused):
        await task
    await asyncio.sleep(10)
    assert desk.actions() == ["lock"]


async def test_a_daemon_that_dies_does_not_keep_the_lock_for_minutes(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    told, _ = desk.call("/lockAction", f"nukiId={FRONT}&action=1")
    await settle()
    desk.commands.doubt()
    await asyncio.sleep(AWAY_S - 1)
    desk.reply()  # it had only lost the broker
    assert json.loads((await told).body)["success"] is True
    begun = desk.loop.time()
    dead, _ = desk.call("/lockAction", f"nukiId={FRONT}&action=1")
    await settle()
    desk.commands.doubt()
    assert json.loads((await dead).body)["success"] is False
    assert desk.loop.time() - begun == pytest.approx(AWAY_S, abs=0.1)


async def test_a_stop_answers_those_who_wait(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    task, _ = desk.call("/lockAction", f"nukiId={FRONT}&action=1")
    await settle()
    desk.commands.stopped()
    assert json.loads((await task).body)["success"] is False


async def test_nowait_tells_a_refusal_and_else_does_not_wait(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    task, _ = desk.call("/lockAction", f"nukiId={FRONT}&action=1&noWait=True")
    await settle()
    desk.reply(error="action_not_allowed")
    assert json.loads((await task).body)["success"] is False
    begun = desk.loop.time()
    assert (await desk.get("/lockAction", f"nukiId={FRONT}&action=1&nowait=1"))["success"] is True
    assert desk.loop.time() - begun < 1


async def test_nowait_promises_nothing_of_a_lock_that_cannot_be_reached(tmp_path: Path) -> None:
    """Whether it can be reached in time is known only at the end, and a success would most likely be none."""
    desk = Desk(tmp_path)
    desk.hear("front/availability", "offline")
    lost, _ = desk.call("/lockAction", f"nukiId={FRONT}&action=1&nowait=1")
    await asyncio.sleep(9)
    assert not lost.done()
    desk.reply(error="timeout")
    with pytest.raises(Refused) as error:
        await lost
    assert error.value.status == 503

    found, _ = desk.call("/lockAction", f"nukiId={FRONT}&action=1&nowait=1")
    await asyncio.sleep(3)
    assert not found.done()
    desk.hear("front/availability", "online")
    await asyncio.sleep(1)
    assert json.loads((await found).body)["success"] is True
    desk.reply()
    await settle()

    desk.hear("front/availability", "offline")
    left, call = desk.call("/lockAction", f"nukiId={FRONT}&action=2&nowait=1")
    await asyncio.sleep(1)
    call.gone.set()
    assert await left


@pytest.mark.parametrize(("knob", "action"), [(True, "unlatch"), (False, "unlock"), (None, "unlock")])
async def test_the_simple_unlock_opens_a_door_with_a_knob(tmp_path: Path, knob: bool | None, action: str) -> None:
    desk = Desk(tmp_path)
    desk.hear("front/status", {**STATUS, "config": {"auto_unlatch": knob}})
    desk.call("/unlock", f"nukiId={FRONT}")
    await settle()
    assert desk.actions() == [action]


async def test_the_simple_actions_of_an_opener(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.call("/unlock", f"nukiId={GATE}")
    await settle()
    desk.reply()
    await settle()
    desk.hear("gate/continuous_mode", "on")
    task, _ = desk.call("/lock", f"nukiId={GATE}")
    await settle()
    desk.reply()
    await settle()
    desk.reply()
    assert json.loads((await task).body)["success"] is True
    assert desk.actions() == ["open", "deactivate_continuous_mode", "deactivate_rto"]


async def test_an_answer_that_belongs_to_others_is_none(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    task, _ = desk.call("/lockAction", f"nukiId={FRONT}&action=3")
    await settle()
    transaction = desk.sent[0][1]["transaction"]
    for topic, body, retain in (
        ("nuki/front/result", {"status": "ok", "transaction": "x"}, False),
        ("nuki/front/result", {"status": "ok", "transaction": [transaction]}, False),
        ("nuki/gate/result", {"status": "ok", "transaction": transaction}, False),
        ("nuki/front/result", {"status": "ok", "transaction": transaction}, True),
    ):
        desk.commands.take(Incoming(topic, json.dumps(body).encode(), retain, 0))
    desk.commands.take(Incoming("nuki/front/result", b"\xff{", False, 0))
    await settle()
    assert not task.done()


async def test_a_broker_that_is_away_is_503_and_one_that_is_lost_leaves_the_outcome_unknown(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.there = False
    assert await desk.refused("/lockAction", f"nukiId={FRONT}&action=1") == 503
    desk.there = True
    task, _ = desk.call("/lockAction", f"nukiId={FRONT}&action=1")
    await settle()
    desk.commands.lost()
    told = json.loads((await task).body)
    assert (told["success"], told["reason"]) == (False, "outcome_unknown")


async def test_what_the_access_list_forbids_is_503(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    task, _ = desk.call("/lockAction", f"nukiId={FRONT}&action=1")
    await settle()
    desk.commands.refused("nuki/front/set")
    with pytest.raises(Refused) as error:
        await task
    assert error.value.status == 503


# -- who may call -----------------------------------------------------------------------------------------------------


async def test_guessing_tokens_ends(tmp_path: Path) -> None:
    """From an address in the network; on this machine itself nothing is counted, where a proxy may stand for many."""
    desk = Desk(tmp_path)
    secret = Secret("0123456789abcdefghij")
    tokens = Tokens(secret, plain=True, clock=desk.loop.time, used_until=0)
    limits = Limits(desk.loop.time)
    server = ApiServer(desk.endpoints, tokens, secret, desk.loop.time, limits)

    async def status(token: str, address: str = "192.168.1.66") -> int:
        place = limits.place(address)
        assert place is not None
        head = Head("GET", "/list", query=f"token={token}")
        try:
            await server.reply(head, address, place, asyncio.Event())
        except Refused as error:
            return int(error.status)
        finally:
            limits.leave(place)
        return 200

    assert [await status(f"wrong-{each}") for each in range(12)] == [401] * 10 + [503] * 2
    assert await status(secret.reveal()) == 503  # whether it is right is not told
    assert await status(secret.reveal(), "192.168.1.5") == 200
    await asyncio.sleep(31)
    assert await status(secret.reveal()) == 200


# -- states -----------------------------------------------------------------------------------------------------------


async def test_the_state_is_asked_for_once_for_all_who_ask(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    tasks = [desk.call("/lockState", f"nukiId={FRONT}")[0] for _ in range(5)]
    await settle()
    assert [topic for topic, *_ in desk.sent] == ["nuki/front/request/refresh"]
    desk.hear("front/state", "unlocked")
    desk.reply()
    for task in tasks:
        told = json.loads((await task).body)
        assert (told["state"], told["success"]) == (3, True)
    assert (await desk.get("/lockState", f"nukiId={FRONT}"))["state"] == 3  # asked a moment ago
    assert len(desk.sent) == 1
    await asyncio.sleep(4)
    desk.call("/lockState", f"nukiId={FRONT}")
    await settle()
    assert len(desk.sent) == 2


async def test_who_asks_all_the_time_does_not_empty_the_battery(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.hear("front/availability", "online")
    for _ in range(20):
        task, _ = desk.call("/lockState", f"nukiId={FRONT}")
        await settle()
        if not task.done():
            desk.reply()
        assert json.loads((await task).body)["success"] is True
        await asyncio.sleep(4)
    assert len(desk.sent) == 5
    await asyncio.sleep(120)
    desk.hear("front/availability", "offline")
    assert await desk.refused("/lockState", f"nukiId={FRONT}") == 503
    assert len(desk.sent) == 5


async def test_while_an_action_is_under_way_its_states_are_told_at_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.call("/lockAction", f"nukiId={FRONT}&action=1")
    await settle()
    desk.hear("front/state", "unlocking")
    assert (await desk.get("/lockState", f"nukiId={FRONT}"))["state"] == 2
    assert len(desk.sent) == 1


async def test_a_device_that_cannot_be_reached_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Home Assistant asks one lock after the other, and gives up all of them after ten seconds."""
    desk = Desk(tmp_path)
    desk.hear("front/availability", "offline")
    assert await desk.refused("/lockState", f"nukiId={FRONT}") == 503
    assert desk.sent == []
    desk.hear("front/availability", "online")
    began = desk.loop.time()
    assert await desk.refused("/lockState", f"nukiId={FRONT}") == 503
    assert desk.loop.time() - began < 10
    desk.reply()  # who asks then gets what came late
    assert (await desk.get("/lockState", f"nukiId={FRONT}"))["success"] is True
    assert len(desk.sent) == 1


async def test_a_device_that_does_not_answer_is_503(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    task, _ = desk.call("/lockState", f"nukiId={FRONT}")
    await settle()
    desk.reply(error="timeout")
    with pytest.raises(Refused) as error:
        await task
    assert error.value.status == 503


# -- callbacks and memory ---------------------------------------------------------------------------------------------


async def test_three_callbacks_are_kept_over_a_restart(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for number in range(MAX_CALLBACKS):
        assert (await desk.get("/callback/add", f"url=http%3A%2F%2Fa%2F{number}"))["success"] is True
    assert (await desk.get("/callback/add", "url=http%3A%2F%2Fa%2F0"))["success"] is True  # it is there
    told = await desk.get("/callback/add", "url=http%3A%2F%2Fa%2F9")
    assert (told["success"], "3 callbacks" in told["message"]) == (False, True)
    assert (await desk.get("/callback/remove", "id=1"))["success"] is True
    assert (await desk.get("/callback/remove", "id=1"))["success"] is False
    assert (await desk.get("/callback/list")) == {
        "callbacks": [{"id": 0, "url": "http://a/0"}, {"id": 2, "url": "http://a/2"}]
    }
    again = Memory(tmp_path)
    again.load()
    assert again.callbacks == {0: "http://a/0", 2: "http://a/2"}
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    await desk.callbacks.close()


async def test_a_change_that_a_retry_has_told_is_not_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry tells what is true then, also what has changed so shortly before that its own turn is still to come."""
    desk = Desk(tmp_path)
    told: list[str] = []
    answers: dict[int, str] = {}

    async def post(target: Target, body: bytes) -> str | None:
        told.append(json.loads(body)["state"])
        return answers.get(len(told))

    def now(nuki_id: int) -> bytes | None:
        device = desk.house.get(nuki_id)
        return None if device is None else json.dumps({"state": device.state}).encode()

    monkeypatch.setattr("nuki_bridge.bridge_http.callbacks.post", post)
    monkeypatch.setattr("random.uniform", lambda shortest, longest: longest)
    memory = Memory(tmp_path)
    memory.load()
    callbacks = Callbacks(memory, now)
    desk.house = House("nuki", changed=callbacks.tell, clock=desk.loop.time)
    desk.hear("bridge/info", {"locks": INFO["locks"][:1]})
    desk.hear("bridge/state", "online")
    desk.hear("front/state", "locked")
    await asyncio.sleep(FIRST_S + 1)
    assert callbacks.add("http://a/") is None

    async def turn(state: str, wait_s: float) -> None:
        desk.hear("front/state", state)
        await asyncio.sleep(wait_s)

    answers = {1: "no answer"}
    await turn("unlocked", SETTLE_S + PAUSE_S[0] - SETTLE_S / 2)
    await turn("locking", 5)  # the retry comes within `SETTLE_S` of this
    assert told == ["unlocked", "locking"]
    # What failed may have been taken all the same: after it even what was told last before that is news.
    answers = {3: "no answer"}
    await turn("locked", SETTLE_S + PAUSE_S[0] / 2)
    await turn("locking", 5)
    assert told == ["unlocked", "locking", "locked", "locking"]
    desk.house.close()
    await callbacks.close()


def test_our_id_stays_and_is_one_that_every_client_takes(tmp_path: Path) -> None:
    first, second = Memory(tmp_path), Memory(tmp_path)
    first.load()
    first.used_until = 5
    first.save()
    second.load()
    assert (second.number, second.used_until) == (first.number, 5)
    assert 0x10000000 <= first.number <= 0x7FFFFFFF


def test_a_damaged_memory_is_told_and_left(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("[]")
    with pytest.raises(PageError, match="is damaged"):
        Memory(tmp_path).load()
    assert (tmp_path / FILE).read_text() == "[]"


@pytest.mark.parametrize(
    "url",
    [
        "https://a/",
        "ftp://a/",
        "http://",
        "http:///x",
        "//a/",
        "a",
        "http://user:secret@a/",
        "http://a:0/",
        "http://a:99999/",
        "http://a/\r\nX: y",
        "http://a/ b",
        "http://[::1/",
        "http://a/\u00e4",
        f"http://a/{'x' * 254}",
    ],
)
def test_what_is_no_callback_is_refused(url: str) -> None:
    with pytest.raises(BadUrl):
        target_of(url)


def test_a_callback_is_posted_where_its_url_says() -> None:
    target = target_of("http://192.168.1.9:8123/api/nuki?x=1&token=s")
    assert (target.where, target.path) == ("192.168.1.9:8123", "/api/nuki?x=1&token=s")
    assert target_of("http://[::1]").where == "[::1]:80"
