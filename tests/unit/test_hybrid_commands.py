"""Commands to a lock that can also be reached through its own MQTT API: never by both ways, never untrue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.errors import TimedOut
from nuki_bridge.lock.attempt import Attempt
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.outcome import Outcome
from nuki_bridge.protocol.codes import Action, Command, LockState, Trigger
from nuki_bridge.protocol.wire import Message
from tests.unit.house import events
from tests.unit.mqtt_lock import LISTEN, MqttLock, listening, versions
from tests.unit.rig import LOST, clock


@asynccontextmanager
async def without_adapter(directory: Path, version: str = "5", **more: Any) -> AsyncIterator[MqttLock]:
    """The same, and the adapter is gone."""
    async with listening(directory, version, **more) as lock:
        lock.house.radio.set_adapter(False)
        await asyncio.sleep(1)
        yield lock


def moves(lock: MqttLock) -> list[str]:
    """What the motor was started for, whoever asked."""
    return [str(entry.detail) for entry in lock.virtual.movements()]


async def act(lock: MqttLock, action: str | dict[str, Any], **more: Any) -> str:
    """The completion or the error of an action."""
    answer = await lock.house.ask("front/set", action, wait_s=200, **more)
    return str(answer.get("completion") or answer["error"])


# -- which way --------------------------------------------------------------------------------------------------------


async def test_bluetooth_comes_first(tmp_path: Path) -> None:
    async with listening(tmp_path) as lock:
        assert await act(lock, "unlock") == "success"
        assert lock.commands == []


@versions
@pytest.mark.parametrize("action", ["unlock", "unlatch", "lock_n_go", "lock_n_go_unlatch"])
async def test_without_an_adapter_it_goes_through_the_api_once(tmp_path: Path, version: str, action: str) -> None:
    async with without_adapter(tmp_path, version) as lock:
        house = lock.house
        assert await act(lock, action) == "success"
        sent = lock.commands
        assert [each.topic for each in sent] == ["nuki/1A2B3C4D/lockAction"]
        number = {"unlock": b"1", "unlatch": b"3", "lock_n_go": b"4", "lock_n_go_unlatch": b"5"}[action]
        assert (sent[0].payload, sent[0].retain, sent[0].qos, sent[0].expiry_s) == (number, False, 2, 10)
        await asyncio.sleep(60)
        assert len(lock.commands) == 1
        assert events(house, "lock_action_begun") == [], "the lock's event about it is its echo"


async def test_full_lock_goes_through_the_api(tmp_path: Path) -> None:
    async with without_adapter(tmp_path) as lock:
        assert await act(lock, "unlock") == "success"
        assert await act(lock, "full_lock") == "success"
        assert [each.payload for each in lock.commands] == [b"1", b"6"]


async def test_a_lock_that_cannot_be_connected_gets_it_through_the_api_once(tmp_path: Path) -> None:
    """It is heard, and every attempt to connect fails."""
    async with listening(tmp_path, settings=replace(LISTEN, connection="on-demand")) as lock:
        lock.house.radio.faults.connect_times_out = 1000
        began = clock()
        assert await act(lock, "unlock") == "success"
        assert clock() - began < 15
        assert [each.payload for each in lock.commands] == [b"1"]
        lock.house.radio.faults.connect_times_out = 0
        await asyncio.sleep(300)
        assert moves(lock) == ["unlock: unlocking"]


@pytest.mark.parametrize("later_s", [0.001, 0.5, 1.0, 2.0, 4.0, 8.0, 9.0, 12.0])
async def test_a_command_that_finds_the_bridge_connecting_in_vain_goes_through_the_api_in_time(
    tmp_path: Path, later_s: float
) -> None:
    """It waits for its turn while the bridge tries for 8 s to connect, and has 15 s for everything."""
    async with listening(tmp_path) as lock:
        lock.house.radio.faults.connect_times_out = 1000
        lock.virtual.drop_links()
        await asyncio.sleep(later_s)
        assert await act(lock, "unlock") == "success"
        (command,) = lock.commands
        assert command.payload == b"1"
        assert command.expiry_s is not None
        assert command.expiry_s >= 3, "the lock has hardly any time to get it"
        lock.house.radio.faults.connect_times_out = 0
        await asyncio.sleep(300)
        assert moves(lock) == ["unlock: unlocking"]


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
@pytest.mark.parametrize("action", ["unlock", "unlatch"])
async def test_what_may_have_been_sent_over_bluetooth_is_never_sent_again(
    tmp_path: Path, fault: str, nth: int, action: str
) -> None:
    """Whichever message of the exchange gets lost, and though Bluetooth is gone from then on."""
    async with listening(tmp_path, settings=replace(LISTEN, connection="on-demand", pin=None)) as lock:
        house = lock.house
        setattr(house.radio.faults, fault, nth)

        def gone(_connected: object = None) -> None:
            if not house.radio.faults.hits(fault) and getattr(house.radio.faults, fault) == 0:
                house.radio.faults.connect_times_out = 1000

        asyncio.get_running_loop().call_later(0.5, gone)
        told = await act(lock, action)
        await asyncio.sleep(200)
        started = [each for each in moves(lock) if each.startswith(action)]
        assert len([each for each in started if "unlocking" in each or "unlatching" in each]) <= 1, (moves(lock), told)
        assert told != "success" or started, told


async def test_nothing_goes_the_other_way_once_bluetooth_may_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the error says: what counts is whether the action was written."""
    async with listening(tmp_path) as lock:
        whole = lock.house.lock().exchange.send

        async def send(message: Message) -> None:
            await whole(message)
            if message.command == Command.LOCK_ACTION:
                raise KeyError  # no error that is known to come after sending

        async def perform(*args: Any, attempt: Attempt, **more: Any) -> Outcome:
            try:
                return await Lock.perform(lock.house.lock(), *args, attempt=attempt, **more)
            except KeyError:
                raise TimedOut("the lock could not be reached within the deadline") from None

        monkeypatch.setattr(lock.house.lock().exchange, "send", send)
        monkeypatch.setattr(lock.house.lock(), "perform", perform)
        assert await act(lock, "unlock") == "timeout"
        assert lock.commands == []
        assert moves(lock) == ["unlock: unlocking"]


async def test_a_command_that_bluetooth_has_taken_stays_there(tmp_path: Path) -> None:
    async with listening(tmp_path) as lock:
        house = lock.house
        house.send("front/set", "unlatch")
        await asyncio.sleep(0.5)
        assert moves(lock) == ["unlatch: unlatching"] or moves(lock) == ["unlatch: unlocking"]
        house.radio.set_adapter(False)
        await asyncio.sleep(100)
        assert lock.commands == []
        result = json.loads(house.on("front/result")[-1])
        assert result.get("completion", result.get("error")) in ("success", "outcome_unknown", "adapter_unavailable")
        assert result.get("error") != "adapter_unavailable"


@versions
@pytest.mark.parametrize("connected", ["false", "", "perhaps"])
async def test_nothing_is_sent_to_a_lock_that_is_not_connected(tmp_path: Path, version: str, connected: str) -> None:
    async with without_adapter(tmp_path, version) as lock:
        lock.say("connected", connected)
        assert lock.house.retained["nuki/front/availability"] == "offline"
        assert await act(lock, "unlock") == "adapter_unavailable"
        assert lock.commands == []


async def test_nothing_is_sent_while_the_broker_is_away(tmp_path: Path) -> None:
    async with without_adapter(tmp_path) as lock:
        house = lock.house
        house.online = False
        house.bridge.connection_changed(False)
        house.send("front/set", "unlock")
        await asyncio.sleep(30)
        house.online = True
        house.bridge.connection_changed(True)
        await asyncio.sleep(30)
        assert lock.commands == []


async def test_a_lock_that_refuses_the_bridge_is_not_got_round(tmp_path: Path) -> None:
    """Somebody has taken the bridge's authorization away."""
    async with listening(tmp_path) as lock:
        house = lock.house
        lock.virtual.remove_authorization(house.lock().paired.authorization_id)
        await asyncio.sleep(60)
        assert house.retained["nuki/front/availability"] == "offline"
        assert await act(lock, "unlock") == "not_authorized"
        assert (lock.commands, moves(lock)) == ([], [])


async def test_what_the_lock_refuses_over_bluetooth_stays_refused(tmp_path: Path) -> None:
    async with listening(tmp_path) as lock:
        lock.virtual.uncalibrate()
        assert await act(lock, "unlock") == "not_calibrated"
        assert lock.commands == []


async def test_actions_that_the_api_does_not_have_wait_for_bluetooth(tmp_path: Path) -> None:
    async with without_adapter(tmp_path) as lock:
        assert await act(lock, "fob_action_1") == "adapter_unavailable"
        assert lock.commands == []


async def test_the_safety_rules_hold_on_this_way(tmp_path: Path) -> None:
    async with without_adapter(tmp_path, settings=replace(LISTEN, actions=frozenset({"lock"}))) as lock:
        assert await act(lock, "unlock") == "action_not_allowed"
        assert await act(lock, "lock", retain=True) == "retained_command"
        lock.house.send("front/set", "lock", received_at=clock() - 14.5)
        lock.house.send("front/set", "lock", received_at=clock() - 60)
        await asyncio.sleep(1)
        errors = [json.loads(each).get("error") for each in lock.house.on("front/result")[-2:]]
        assert errors == ["timeout", "timeout"]
        assert lock.commands == []


async def test_a_short_expiry_holds_for_the_locks_api_too(tmp_path: Path) -> None:
    async with without_adapter(tmp_path) as lock:
        assert await act(lock, "unlock", message_expiry_s=4) == "success"
        assert [each.expiry_s for each in lock.commands] in ([3], [4])


async def test_a_command_that_comes_twice_is_sent_once(tmp_path: Path) -> None:
    async with without_adapter(tmp_path) as lock:
        for again in (False, True):
            lock.house.send("front/set", {"action": "unlock", "transaction": 7}, again=again)
        await asyncio.sleep(20)
        assert len(lock.commands) == 1


async def test_commands_go_one_at_a_time(tmp_path: Path) -> None:
    async with without_adapter(tmp_path) as lock:
        lock.house.send("front/set", "unlock")
        lock.house.send("front/set", "lock")
        await asyncio.sleep(1)
        assert [each.payload for each in lock.commands] == [b"1"]
        await asyncio.sleep(30)
        assert [each.payload for each in lock.commands] == [b"1", b"2"]
        assert [json.loads(each)["status"] for each in lock.house.on("front/result")] == ["ok", "ok"]


async def test_who_waits_to_lock_again_holds_up_nobody(tmp_path: Path) -> None:
    async with without_adapter(tmp_path) as lock:
        house = lock.house
        house.send("front/set", {"action": "lock_n_go", "transaction": 1})
        await asyncio.sleep(8)
        assert lock.virtual.motor.state == LockState.UNLOCKED_LOCK_N_GO
        house.send("front/set", {"action": "lock", "transaction": 2})
        await asyncio.sleep(15)
        found = {each["transaction"]: each for each in map(json.loads, house.on("front/result"))}
        assert (found[1]["error"], found[2]["status"]) == ("outcome_unknown", "ok")
        assert [each.payload for each in lock.commands] == [b"4", b"2"]


# -- the outcome ------------------------------------------------------------------------------------------------------


@versions
async def test_a_refusal_is_told_and_nothing_is_sent_again(tmp_path: Path, version: str) -> None:
    async with without_adapter(tmp_path, version) as lock:
        lock.answers = 69
        assert await act(lock, "unlock") == "busy"
        await asyncio.sleep(60)
        assert (len(lock.commands), moves(lock)) == (1, [])


async def test_a_blocked_motor_is_told(tmp_path: Path) -> None:
    async with without_adapter(tmp_path) as lock:
        lock.virtual.block_motor()
        assert await act(lock, "unlock") == "motor_blocked"
        assert len(lock.commands) == 1


@versions
async def test_without_any_sign_the_outcome_is_unknown_and_why_is_told_once(
    tmp_path: Path, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with without_adapter(tmp_path, version) as lock:
        house = lock.house
        lock.allows = False
        assert await act(lock, "unlock") == "outcome_unknown"
        assert house.retained["nuki/front/availability"] == "offline", "a command cannot reach it"
        assert await act(lock, "unlock") == "adapter_unavailable"
        assert len(lock.commands) == 1
        await asyncio.sleep(400)
        assert house.retained["nuki/front/availability"] == "online", "it may be tried again"
        assert await act(lock, "unlock") == "outcome_unknown"
        assert len([each for each in caplog.messages if "allow locking" in each]) == 1
        lock.allows = True
        lock.lost()
        lock.online = True
        lock.say("connected", "true")
        assert house.retained["nuki/front/availability"] == "online"
        assert await act(lock, "unlock") == "success"


@pytest.mark.parametrize(("responds", "tells"), [(True, False), (False, True)])
async def test_one_of_response_and_event_is_proof_enough_with_the_states(
    tmp_path: Path, responds: bool, tells: bool
) -> None:
    async with without_adapter(tmp_path) as lock:
        lock.responds, lock.tells_events = responds, tells
        assert await act(lock, "unlatch") == "success"


async def test_states_alone_prove_nothing(tmp_path: Path) -> None:
    """Somebody at the door may have turned it."""
    async with without_adapter(tmp_path) as lock:
        lock.responds = lock.tells_events = False
        assert await act(lock, "unlock") == "outcome_unknown"
        assert len(lock.commands) == 1


async def test_a_response_alone_proves_nothing(tmp_path: Path) -> None:
    async with without_adapter(tmp_path) as lock:
        lock.allows = False
        house = lock.house
        house.send("front/set", "unlatch")
        await asyncio.sleep(0.5)
        lock.say("commandResponse", "0")
        await asyncio.sleep(60)
        assert json.loads(house.on("front/result")[-1])["error"] == "outcome_unknown"


@pytest.mark.parametrize("name", ["commandResponse", "lockActionEvent"])
async def test_what_somebody_has_kept_proves_nothing(tmp_path: Path, name: str) -> None:
    async with without_adapter(tmp_path) as lock:
        lock.allows = False
        house = lock.house
        house.send("front/set", "unlock")
        await asyncio.sleep(0.5)
        lock.say(name, {"commandResponse": "0", "lockActionEvent": "1,172,0,0,0"}[name], retain=True)
        lock.say("state", "3")
        await asyncio.sleep(60)
        assert json.loads(house.on("front/result")[-1])["error"] == "outcome_unknown"


@versions
@pytest.mark.parametrize("when", [-1.0, 0.02])
@pytest.mark.parametrize(("topic", "payload"), [("lockAction", "3"), ("unlock", "true"), ("lockAction", "x")])
async def test_a_response_is_not_ours_while_somebody_else_commands_the_lock(
    tmp_path: Path, version: str, when: float, topic: str, payload: str
) -> None:
    async with without_adapter(tmp_path, version) as lock:
        lock.allows = False
        house = lock.house
        if when < 0:
            lock.say(topic, payload)
            await asyncio.sleep(-when)
        house.send("front/set", "unlatch")
        await asyncio.sleep(0.02)
        if when > 0:
            lock.say(topic, payload)
        lock.virtual.motion.start_logged(Action.UNLATCH, Trigger.MQTT)
        lock.say("lockActionEvent", "3,172,0,0,0")
        lock.say("commandResponse", "0")
        await asyncio.sleep(60)
        assert json.loads(house.on("front/result")[-1])["error"] == "outcome_unknown"


async def test_somebody_elses_refusal_is_not_ours(tmp_path: Path) -> None:
    async with without_adapter(tmp_path) as lock:
        lock.responds = False
        lock.say("lockAction", "2")
        lock.house.send("front/set", "unlock")
        await asyncio.sleep(0.02)
        lock.say("commandResponse", "69")
        await asyncio.sleep(30)
        result = json.loads(lock.house.on("front/result")[-1])
        assert result["status"] == "ok", "the lock's event says that it is carried out, and the state that it was"


async def test_an_answered_command_of_somebody_else_is_over(tmp_path: Path) -> None:
    async with without_adapter(tmp_path) as lock:
        lock.say("lockAction", "2")
        lock.say("commandResponse", "0")
        lock.tells_events = False
        assert await act(lock, "unlatch") == "success"


async def test_a_lock_that_is_where_it_is_to_go_may_stay_there(tmp_path: Path) -> None:
    async with without_adapter(tmp_path) as lock:
        assert await act(lock, "lock") == "success"
        assert len(lock.commands) == 1


async def test_a_state_that_is_told_again_is_no_end(tmp_path: Path) -> None:
    """A lock that is locked takes the command to lock, tells its state once more, and only then turns."""
    async with without_adapter(tmp_path, "3.1.1") as lock:
        lock.allows = False
        house = lock.house
        house.send("front/set", "lock")
        await asyncio.sleep(0.1)
        lock.say("commandResponse", "0")
        lock.say("state", "1", retain=False)
        await asyncio.sleep(1)
        lock.say("state", "4")
        await asyncio.sleep(1)
        lock.say("state", "254")
        await asyncio.sleep(5)
        assert json.loads(house.on("front/result")[-1])["error"] == "motor_blocked"


async def test_lock_n_go_has_not_locked_if_somebody_else_may_have(tmp_path: Path) -> None:
    async with without_adapter(tmp_path) as lock:
        lock.say("lockAction", "2")  # and no answer yet
        assert await act(lock, "lock_n_go") == "outcome_unknown"
        assert len(lock.commands) == 1


async def test_it_is_not_locked_because_it_was(tmp_path: Path) -> None:
    """The lock takes the command while somebody opens the door; what counts is where it ends."""
    async with without_adapter(tmp_path) as lock:
        lock.allows = False
        house = lock.house
        house.send("front/set", "lock")
        await asyncio.sleep(0.1)
        lock.say("commandResponse", "0")
        lock.say("state", "2")
        await asyncio.sleep(1)
        lock.say("state", "3")
        await asyncio.sleep(60)
        assert json.loads(house.on("front/result")[-1])["error"] == "outcome_unknown"


# -- only if ----------------------------------------------------------------------------------------------------------


async def test_only_if_is_held_against_a_state_that_was_told_since_the_lock_is_connected(tmp_path: Path) -> None:
    async with without_adapter(tmp_path) as lock:
        lock.say("state", "3")
        await asyncio.sleep(1)
        assert await act(lock, {"action": "unlatch", "only_if": ["locked"]}) == "state_not_allowed"
        assert lock.commands == []
        lock.virtual.motor.state = LockState.UNLOCKED
        assert await act(lock, {"action": "lock", "only_if": ["unlocked"]}) == "success"


@versions
async def test_only_if_is_not_held_against_what_the_broker_had_kept(tmp_path: Path, version: str) -> None:
    async with without_adapter(tmp_path, version) as lock:
        house = lock.house
        house.bridge.connection_changed(False)
        lock.keep_telling()
        lock.keep_telling()  # once for each of our filters that fits
        house.bridge.connection_changed(True)
        await asyncio.sleep(10)
        assert house.retained["nuki/front/state"] == "locked"
        assert await act(lock, {"action": "unlock", "only_if": ["locked"]}) == "state_not_allowed"
        assert lock.commands == []


async def test_only_if_is_not_held_against_what_came_while_the_lock_was_away(tmp_path: Path) -> None:
    async with without_adapter(tmp_path) as lock:
        lock.lost()
        lock.say("state", "3")
        lock.online = True
        lock.say("connected", "true")
        await asyncio.sleep(10)
        assert await act(lock, {"action": "lock", "only_if": ["unlocked"]}) == "state_not_allowed"
        assert lock.commands == []
