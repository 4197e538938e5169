"""`official_api: listen`, beside a lock that speaks Nuki's MQTT API 1.5, over a real mosquitto in MQTT 3.1.1 and 5.

Judge of what moved is the audit trail of the virtual lock, which both ways lead to: the bolt moves once for a command,
and no state is shown that was not so.
"""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any, Literal

import pytest

from nuki_bridge.protocol.codes import Action, DoorState, LockState
from tests import patience
from tests.integration.hybrid import ID, KEEPALIVE_S, Hybrid, hybrid, true_states, was_never_so
from tests.unit.rig import LOST

pytestmark = pytest.mark.real_time

PROTOCOLS: tuple[Literal["5", "3.1.1"], ...] = ("5", "3.1.1")
BOTH = pytest.mark.parametrize("protocol", PROTOCOLS)
Protocol = Literal["5", "3.1.1"]
DEAF_TO_HANDS: dict[str, Any] = {"beacon_bit_missing": True}
"""Bluetooth does not tell of a turn by hand: what is shown came by MQTT."""


def is_true(home: Hybrid) -> None:
    """Hold what was shown of the bolt to the lock's own record."""
    assert (wrong := was_never_so(home.states(), true_states(home.lock))) is None, wrong


async def unreachable(home: Hybrid) -> None:
    """Carry the lock out of Bluetooth's reach; its own network still reaches it."""
    home.lock.out_of_range()


# -- states -----------------------------------------------------------------------------------------------------------


@BOTH
async def test_a_turn_by_hand_and_the_door_are_told_at_once(tmp_path: Path, protocol: Protocol) -> None:
    async with hybrid(tmp_path, protocol=protocol, lock=", connection: on-demand", **DEAF_TO_HANDS) as home:
        started = patience.now()
        home.lock.turn_by_hand(LockState.UNLOCKED)
        await home.until_state("unlocked")
        home.lock.set_door(DoorState.OPEN)
        await home.until(lambda: home.last("front/door") == "open")
        assert patience.now() - started < 2.0
        home.lock.turn_by_hand(LockState.LOCKED)
        await home.until_state("locked")
        is_true(home)


async def test_nothing_of_the_past_comes_back_however_the_two_ways_race(tmp_path: Path) -> None:
    """A slow link: readings that began before a change end after it has come by MQTT."""
    async with hybrid(tmp_path) as home:
        dice = random.Random(1)
        home.radio.latency_s = 0.05
        asked = 0
        for number in range(40):
            home.lock.turn_by_hand(LockState.LOCKED if number % 2 else LockState.UNLOCKED)
            if dice.random() < 0.5:
                home.peer.send("nuki/front/request/refresh", "")
                asked += 1
            await asyncio.sleep(dice.random() * 0.2)
        await home.until(lambda: len(home.on("front/response/refresh")) == asked)
        await home.until_state("locked")
        await home.ask("front/request/refresh")
        is_true(home)
        assert home.last("front/state") == "locked"


async def test_what_is_long_on_its_way_does_not_bring_the_past_back(tmp_path: Path) -> None:
    """Bluetooth tells first; what the lock then says by MQTT was so a second ago."""
    async with hybrid(tmp_path) as home:
        home.own.habits.state_late_s = 1.0
        for action in ("unlock", "lock", "unlatch", "lock"):
            assert (await home.act(action))["status"] == "ok"
            await home.at_rest()
        await home.until(lambda: home.last(f"{ID}/state") == "1" and len(home.on(f"{ID}/state")) >= 9)
        await asyncio.sleep(1.5)  # what is in doubt is decided
        is_true(home)
        assert home.last("front/state") == "locked"


async def test_values_of_a_lock_that_is_not_connected_are_not_shown(tmp_path: Path) -> None:
    async with hybrid(tmp_path, **DEAF_TO_HANDS) as home:
        home.lock.turn_by_hand(LockState.UNLOCKED)
        await home.until_state("unlocked")
        home.own.cut()
        await home.until(lambda: home.last(f"{ID}/connected") == "false")
        home.lock.turn_by_hand(LockState.LOCKED)
        await home.ask("front/request/refresh")
        await home.until_state("locked")
        # What is retained says unlocked; nobody is to believe it, not after a new start either.
        await home.stop_bridge()
        before = len(home.states())
        await home.start_bridge()
        await home.ask("front/request/refresh")
        assert set(home.states()[before:]) <= {"locked", ""}
        # Nor what somebody else publishes there now.
        for topic, payload in (("state", "3"), ("doorsensorState", "3")):
            home.peer.publish(f"nuki/{ID}/{topic}", payload, retain=True)
        await home.ask("front/request/refresh")
        assert set(home.states()[before:]) <= {"locked", ""}
        assert home.last("front/door") == "closed"


@pytest.mark.parametrize("first", ["connected", "state"])
async def test_retained_values_count_in_whatever_order_they_come(
    tmp_path: Path, first: Literal["connected", "state"]
) -> None:
    async with hybrid(tmp_path, own=False, lock=", connection: on-demand", **DEAF_TO_HANDS) as home:
        await home.ask("front/request/refresh")
        home.own.habits.connected = "first" if first == "connected" else "last"
        home.lock.turn_by_hand(LockState.UNLOCKED)
        await home.own.start()
        await home.until_state("unlocked")
        is_true(home)


async def test_what_the_bridge_does_not_know_is_ignored(tmp_path: Path) -> None:
    async with hybrid(tmp_path) as home:
        for topic, payload in (
            ("state", "77"),
            ("state", "-1"),
            ("state", ""),
            ("state", "locked"),
            ("state", "9" * 5000),
            ("doorsensorState", "6"),
            ("doorsensorState", "\N{DOOR}"),
            ("lockActionEvent", "a,b"),
            ("lockActionEvent", ",,,,"),
            ("lockActionEvent", "1,172"),
            ("commandResponse", "300"),
            ("nobodyKnows", "1"),
        ):
            home.peer.publish(f"nuki/{ID}/{topic}", payload)
        home.peer.publish(f"nuki/{ID}/state", b"\xff\xfe")
        assert (await home.act("unlock"))["status"] == "ok"
        await home.until_state("unlocked")
        assert set(home.states()) == {"locked", "unlocking", "unlocked"}
        assert set(home.on("front/door")) == {"closed"}
        assert home.turns == ["unlock: unlocking"]


async def test_states_that_bluetooth_has_and_the_document_has_not(tmp_path: Path) -> None:
    async with hybrid(tmp_path) as home:
        home.lock.control({"status": True})
        assert (await home.ask("front/request/calibrate"))["status"] == "ok"
        await home.until_state("unlocked")
        is_true(home)
        home.lock.block_motor()
        assert (await home.act("lock"))["error"] == "motor_blocked"
        await home.until_state("motor_blocked")
        is_true(home)


async def test_a_broker_that_has_lost_everything_learns_it_anew(tmp_path: Path) -> None:
    async with hybrid(tmp_path, lock=", connection: on-demand", **DEAF_TO_HANDS) as home:
        home.broker.stop()
        home.lock.turn_by_hand(LockState.UNLOCKED)
        home.broker.start()
        await home.until(lambda: "nuki/front/state" in home.broker.log.rpartition("mosquitto version")[2])
        home.own.lock.set_door(DoorState.OPEN)
        await home.until(lambda: "nuki/front/door" in home.broker.log.rpartition("mosquitto version")[2])


# -- who did it -------------------------------------------------------------------------------------------------------


def events(home: Hybrid, kind: str) -> list[dict[str, Any]]:
    return [each for each in map(json.loads, home.on("front/event")) if each["type"] == kind]


async def test_who_does_it_is_told_before_it_is_done_and_once_when_it_is(tmp_path: Path) -> None:
    async with hybrid(tmp_path, motor_s=3.0) as home:
        home.lock.behaviour.log_late_s = 0.2
        home.lock.settings.has_keypad = True
        home.lock.config_changed()
        await home.until(lambda: 'has_keypad":true' in (home.last("front/status") or ""))
        code = await home.ask("front/request/keypad/add", {"name": "Lisa", "code": "345678"})
        assert code["status"] == "ok", code
        await home.ask("front/request/keypad/list")
        await home.ask("front/request/users/list")
        home.lock.enter_code(Action.UNLOCK, 345678)
        await home.until(lambda: events(home, "lock_action_begun"))
        assert home.lock.motor.active
        [begun] = events(home, "lock_action_begun")
        assert "Lisa" in json.dumps(begun)
        await home.until(lambda: events(home, "lock_action") + events(home, "keypad"))
        await home.at_rest()
        await home.ask("front/request/log/get")
        assert len(events(home, "lock_action_begun")) == 1
        for kind in ("lock_action", "keypad"):  # a keypad's use has an event of its own besides
            [told] = events(home, kind)
            assert told["user"]["name"] == "Lisa"


async def test_a_command_of_ours_has_one_event_of_each_kind_at_most(tmp_path: Path) -> None:
    async with hybrid(tmp_path) as home:
        assert (await home.act("unlock"))["status"] == "ok"
        await home.ask("front/request/log/get")
        await home.until(lambda: events(home, "lock_action"))
        assert len(events(home, "lock_action")) == 1
        assert len(events(home, "lock_action_begun")) <= 1


async def test_what_a_stranger_has_left_retained_is_no_news(tmp_path: Path) -> None:
    async with hybrid(tmp_path) as home:
        await home.stop_bridge()
        for topic, payload in (
            ("lockActionEvent", "3,0,1,0,0"),
            ("commandResponse", "0"),
            ("lockAction", ""),
        ):
            home.peer.publish(f"nuki/{ID}/{topic}", payload, retain=bool(payload))
        await home.start_bridge()
        await home.ask("front/request/refresh")
        assert not events(home, "lock_action_begun")
        assert not home.turns


# -- commands ---------------------------------------------------------------------------------------------------------


@BOTH
async def test_a_command_goes_over_bluetooth_alone_while_that_is_there(tmp_path: Path, protocol: Protocol) -> None:
    async with hybrid(tmp_path, protocol=protocol) as home:
        for action in ("unlock", "lock", "unlatch", "lock"):
            assert (await home.act(action))["status"] == "ok"
        assert [each.partition(":")[0] for each in home.turns] == ["unlock", "lock", "unlatch", "lock"]
        assert home.own.commands == []
        is_true(home)


@pytest.mark.slow
@BOTH
async def test_out_of_bluetooths_reach_a_command_goes_through_the_lock_itself(
    tmp_path: Path, protocol: Protocol
) -> None:
    async with hybrid(tmp_path, protocol=protocol) as home:
        await unreachable(home)
        answer = await home.act("unlock")
        assert (answer["status"], answer.get("completion")) == ("ok", "success"), answer
        assert home.turns == ["unlock: unlocking"]
        assert home.own.commands == [("lockAction", b"1", False)]
        assert home.last("front/state") == "unlocked"
        assert home.last("front/availability") == "online"
        assert (await home.act("lock"))["status"] == "ok"
        assert home.own.commands[1:] == [("lockAction", b"2", False)]
        sent = [line for line in home.broker.log.splitlines() if "Received PUBLISH" in line and "/lockAction'" in line]
        assert len(sent) == 2
        assert all("q2, r0" in line for line in sent)
        home.lock.out_of_range(False)
        await home.ask("front/request/refresh")
        assert len(home.turns) == 2
        is_true(home)


@pytest.mark.slow
@pytest.mark.parametrize("responds", ["at the end", "at once", "never"])
@pytest.mark.parametrize("event", ["first", "last", "never"])
async def test_whatever_the_lock_answers_the_outcome_is_true(tmp_path: Path, responds: Any, event: Any) -> None:
    async with hybrid(tmp_path) as home:
        home.own.habits.responds, home.own.habits.event = responds, event
        await unreachable(home)
        answer = await home.act("unlock")
        assert answer["status"] == "ok" or answer["error"] == "outcome_unknown", answer
        assert home.turns == ["unlock: unlocking"]
        await home.at_rest()
        home.lock.block_motor()
        answer = await home.act("lock")
        assert answer["status"] == "error", answer
        assert home.turns == ["unlock: unlocking", "lock: locking, blocked"]


@pytest.mark.slow
async def test_a_lock_that_has_gone_without_a_word_gets_nothing_late(tmp_path: Path) -> None:
    """The broker still says connected, Bluetooth comes back meanwhile: what was sent once is not sent again."""
    async with hybrid(tmp_path, own=False) as home:
        home.own.habits.keepalive_s = KEEPALIVE_S
        await home.own.start()
        await home.until(lambda: home.last(f"{ID}/connected") == "true")
        await unreachable(home)
        home.own.fall_silent()
        home.peer.send("nuki/front/set", "unlock")
        await home.until(lambda: "/lockAction'" in home.broker.log)
        home.lock.out_of_range(False)
        answer = json.loads(await home.until(lambda: home.last("front/result")))
        assert answer["status"] == "error", answer
        assert answer["error"] == "outcome_unknown"
        await home.own.start()
        await home.ask("front/request/refresh")
        assert home.turns == []
        assert home.own.commands == []
        assert (await home.act("unlock"))["status"] == "ok"
        assert home.turns == ["unlock: unlocking"]


@pytest.mark.slow
@BOTH
async def test_a_lock_that_is_nowhere_gets_nothing(tmp_path: Path, protocol: Protocol) -> None:
    async with hybrid(tmp_path, protocol=protocol) as home:
        home.own.cut()
        await unreachable(home)
        await home.until(lambda: home.last("front/availability") == "offline")
        answer = await home.act("unlock")
        assert answer["error"] in ("timeout", "not_reachable", "unreachable", "lock_unreachable"), answer
        await home.own.start()
        home.lock.out_of_range(False)
        await home.until(lambda: home.last("front/availability") == "online")
        await home.ask("front/request/refresh")
        assert home.turns == []
        assert home.own.commands == []


async def test_without_permission_to_lock_nothing_moves_and_it_is_said(tmp_path: Path) -> None:
    async with hybrid(tmp_path, own=False) as home:
        home.own.habits.locking_allowed = False
        await home.own.start()
        await unreachable(home)
        answer = await home.act("unlock")
        assert answer["status"] == "error", answer
        home.own.habits.locking_allowed = True
        home.own.stop()
        await home.own.start()
        home.lock.out_of_range(False)
        await home.ask("front/request/refresh")
        assert home.turns == []


async def test_the_answer_to_somebody_elses_command_is_not_taken_for_ours(tmp_path: Path) -> None:
    """Theirs unlocks; ours, to lock, is refused as busy, and a 0 comes all the same."""
    async with hybrid(tmp_path, motor_s=1.0) as home:
        await unreachable(home)
        await home.until(lambda: home.last("front/availability"))
        home.peer.publish(f"nuki/{ID}/lockAction", "1")
        await home.until(lambda: home.lock.motor.busy)
        answer = await home.act("lock")
        await home.at_rest()
        moved = [each.partition(":")[0] for each in home.turns]
        assert moved[0] == "unlock"
        assert len(moved) <= 2
        if answer["status"] == "ok":
            assert moved == ["unlock", "lock"], answer
            assert home.lock.motor.state is LockState.LOCKED
        is_true(home)


@pytest.mark.slow
async def test_only_if_is_not_decided_by_what_may_be_over(tmp_path: Path) -> None:
    async with hybrid(tmp_path, **DEAF_TO_HANDS) as home:
        await unreachable(home)
        refused = await home.act({"action": "unlatch", "only_if": ["unlocked"]})
        assert refused["error"] == "state_not_allowed", refused
        assert home.turns == []
        done = await home.act({"action": "unlock", "only_if": ["locked"]})
        assert home.turns == (["unlock: unlocking"] if done["status"] == "ok" else [])
        before = len(home.turns)
        home.own.cut()
        home.lock.turn_by_hand(LockState.LOCKED)
        state = "unlocked" if before else "locked"
        refused = await home.act({"action": "unlatch", "only_if": [state]})
        assert refused["status"] == "error"
        assert len(home.turns) == before


@pytest.mark.parametrize("fault", sorted(LOST.values()))
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_command_that_bluetooth_may_have_carried_is_not_sent_by_the_other_way(
    tmp_path: Path, fault: str, number: int
) -> None:
    async with hybrid(tmp_path, lock=", connection: on-demand") as home:
        await home.ask("front/request/refresh")
        setattr(home.radio.faults, fault, number)
        home.radio.faults.delay_s = 0.1
        answer = await home.act("unlatch")
        await home.at_rest()
        assert len(home.turns) <= 1, (answer, home.turns, home.own.commands)
        if answer["status"] == "ok":
            assert home.turns == ["unlatch: unlatching"]
        is_true(home)


@pytest.mark.slow
@pytest.mark.parametrize("after_ms", [0, 5, 10, 20, 40, 80, 160, 320])
async def test_a_lock_that_goes_out_of_reach_meanwhile_moves_once(tmp_path: Path, after_ms: int) -> None:
    async with hybrid(tmp_path, lock=", connection: on-demand") as home:
        home.radio.latency_s = home.radio.write_s = 0.01
        await home.ask("front/request/refresh")
        home.peer.send("nuki/front/set", "unlatch")
        await asyncio.sleep(after_ms / 1000)
        home.lock.out_of_range()
        answer = json.loads(await home.until(lambda: home.last("front/result")))
        await home.at_rest()
        home.lock.out_of_range(False)
        await home.ask("front/request/refresh")
        assert len(home.turns) <= 1, (answer, home.turns)
        assert len(home.own.commands) <= 1
        if answer["status"] == "ok":
            assert len(home.turns) == 1


async def test_without_the_adapter_commands_still_reach_the_lock(tmp_path: Path) -> None:
    async with hybrid(tmp_path) as home:
        home.radio.set_adapter(False)
        answer = await home.act("unlock")
        assert answer["status"] == "ok", answer
        assert home.turns == ["unlock: unlocking"]
        await home.until(lambda: home.last("front/availability") == "online")
        home.own.cut()
        await home.until(lambda: home.last("front/availability") == "offline")


async def test_a_fob_action_is_not_sent_where_it_means_nothing(tmp_path: Path) -> None:
    """`lockAction` has the codes 1 to 6 only."""
    async with hybrid(tmp_path) as home:
        await unreachable(home)
        answer = await home.act("fob_action_1")
        assert answer["status"] == "error"
        assert home.own.commands == []


# -- foreign locks ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_topics_of_a_foreign_lock_are_left_alone(tmp_path: Path) -> None:
    foreign = "nuki/DEADBEEF"
    async with hybrid(tmp_path) as home:
        for topic, payload in (("state", "3"), ("connected", "true"), ("availability", "online")):
            home.peer.publish(f"{foreign}/{topic}", payload, retain=True)
        home.peer.publish(f"{foreign}/lockAction", "1")
        await home.stop_bridge()
        await home.start_bridge()
        await home.ask("front/request/refresh")
        locks = (await home.ask("bridge/request/locks"))["data"]
        assert [each["name"] for each in locks] == ["front"]
        assert "DEADBEEF" not in json.dumps(home.last("bridge/info"))
        assert home.last("DEADBEEF/state") == "3"
        assert home.last("DEADBEEF/availability") == "online"
        assert not [each for each, _, _ in home.heard if each.startswith("DEADBEEF/res")]
        assert home.turns == []
