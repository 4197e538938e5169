"""Commands to a served lock over Nuki's own MQTT API, and what it says of them; in virtual time.

A command here is held to the same rules as one on a topic of ours: it moves the door once or not at all.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from nuki_bridge.config import LockSettings, Secret
from nuki_bridge.errors import BrokerError, LockError, NotFound, NukiError, RequestError, TimedOut
from nuki_bridge.lock.outcome import OutcomeUnknown, failure
from nuki_bridge.nuki_mqtt import served_commands
from nuki_bridge.protocol.codes import Completion
from tests.unit.house import CLASSIC
from tests.unit.intercom import OPENER
from tests.unit.rig import clock
from tests.unit.served import ID, OPENER_ID, SERVED, ServedHouse, ServedIntercom

WITH_PIN = replace(SERVED, pin=Secret("1234"))


@pytest.fixture
def house(tmp_path: Path) -> ServedHouse:
    return ServedHouse(tmp_path / "state")


def results(house: ServedHouse) -> list[dict[str, str]]:
    return house.events("front/result")


# -- what is carried out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "state", "movement"),
    [("1", "3", "unlock"), ("3", "5", "unlatch"), ("6", "1", None), ("4", "2", "lock_n_go")],
)
async def test_each_code_is_its_action(house: ServedHouse, code: str, state: str, movement: str | None) -> None:
    async with house.running():
        await house.at_home()
        assert await house.order(code, wait_s=300) == 0
        assert house.tree.on("commandResponse") == ["0"]
        assert state in house.tree.on("state")
        assert len(house.moved()) <= 3
        assert movement is None or any(each.startswith(movement) for each in house.moved())


async def test_the_outcome_is_on_our_own_topic_too(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        assert await house.order("1") == 0
        (result,) = results(house)
        assert result == {"action": "unlock", "status": "ok", "completion": "success"}
        assert len(house.moved()) == 1


async def test_response_and_event_are_not_retained_and_have_qos_2(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        await house.order("1")
        told = {topic.rpartition("/")[2]: (retain, qos) for topic, _, retain, qos in house.tree.published}
        assert told["commandResponse"] == told["lockActionEvent"] == (False, 2)


async def test_commands_are_subscribed_to_with_qos_2(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        topics = house.tree.connection().topics
        assert {topics[f"nuki/{ID}/{name}"].qos for name in ("lockAction", "lock", "unlock")} == {2}


@pytest.mark.parametrize(("knob", "state"), [(True, "5"), (False, "3")])
async def test_the_simple_action_unlock_opens_a_door_with_a_knob(house: ServedHouse, knob: bool, state: str) -> None:
    house.classic.settings.auto_unlatch = knob
    async with house.running():
        await house.at_home()
        assert await house.order("true", "unlock") == 0
        assert state in house.tree.on("state")
        assert ("5" in house.tree.on("state")) == knob
        assert await house.order("true", "lock") == 0
        assert house.tree.values()["state"] == "1"


# -- what is not ------------------------------------------------------------------------------------------------------


async def test_on_a_door_with_a_knob_unlock_is_refused_where_unlatch_is_not_allowed(tmp_path: Path) -> None:
    house = ServedHouse(tmp_path / "state", replace(SERVED, actions=frozenset({"lock", "unlock"})))
    house.classic.settings.auto_unlatch = True
    async with house.running():
        await house.at_home()
        assert await house.order("true", "unlock") == 0x26
        assert house.moved() == []
        assert results(house)[-1]["error"] == "action_not_allowed"
        assert await house.order("3") == 0x26
        assert house.moved() == []


async def test_before_its_settings_are_known_unlock_means_nothing(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        house.lock().config = None
        assert await house.order("true", "unlock") == 255
        assert results(house) == []
        assert house.moved() == []


@pytest.mark.parametrize(
    "payload", ["0", "7", "01", " 1", "1 ", "1\n", "+1", "1.0", "80", "129", "true", "unlock", "x" * 5000]
)
async def test_undocumented_action_codes_are_refused(house: ServedHouse, payload: str) -> None:
    async with house.running():
        await house.at_home()
        assert await house.order(payload) == 0x23
        assert results(house) == [], "who waits for the result of a command of their own is not disturbed"
        assert house.moved() == []


@pytest.mark.parametrize("name", ["lock", "unlock"])
@pytest.mark.parametrize("payload", ["false", "True", "TRUE", "1", "on", '{"a":1}', "true "])
async def test_undocumented_simple_actions_are_refused(house: ServedHouse, name: str, payload: str) -> None:
    async with house.running():
        await house.at_home()
        assert await house.order(payload, name) == 0x23
        assert house.moved() == []


async def test_bytes_that_are_no_text_are_refused(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        house.tree.keep(f"nuki/{ID}/lockAction", b"\xff\xfe\x001", retain=False)
        await asyncio.sleep(1)
        assert house.tree.on("commandResponse") == ["35"]


@pytest.mark.parametrize("actions", [set(), {"fob_action_1"}])
async def test_without_an_action_that_is_allowed_nobody_listens(tmp_path: Path, actions: set[str]) -> None:
    house = ServedHouse(tmp_path / "state", replace(SERVED, actions=frozenset(actions)))
    async with house.running():
        await house.at_home()
        assert house.tree.listens() == set()
        assert house.tree.values()["connected"] == "true"
        house.tree.send(f"nuki/{ID}/lockAction", "1")
        await asyncio.sleep(30)
        assert house.moved() == []
        assert house.tree.on("commandResponse") == []


async def test_a_retained_command_is_never_carried_out(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        house.tree.send(f"nuki/{ID}/lockAction", "3", retain=True)
        await asyncio.sleep(10)
        assert house.tree.on("commandResponse") == ["35"]
        assert results(house) == []
        house.tree.connection().break_off()
        house.tree.connection().come()
        await asyncio.sleep(30)
        assert house.moved() == []
        house.tree.send(f"nuki/{ID}/lockAction", "", retain=True)  # somebody removes it
        await asyncio.sleep(1)
        assert house.tree.on("commandResponse") == ["35", "35"]


async def test_a_command_that_the_broker_delivers_again_is_not_carried_out(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        house.tree.send(f"nuki/{ID}/lockAction", "3", again=True)
        await asyncio.sleep(30)
        assert results(house)[-1]["error"] == "timeout"
        assert house.moved() == []
        assert await house.order("3") == 0
        count = len(house.moved())
        house.tree.send(f"nuki/{ID}/lockAction", "3", again=True)
        await asyncio.sleep(30)
        assert len(house.moved()) == count
        assert house.tree.on("commandResponse") == ["255", "0"]


@pytest.mark.parametrize(("age_s", "expiry_s"), [(15.0, None), (16.0, 60), (3.0, 3), (0.0, 0)])
async def test_a_late_command_is_not_carried_out(house: ServedHouse, age_s: float, expiry_s: int | None) -> None:
    async with house.running():
        await house.at_home()
        house.tree.send(f"nuki/{ID}/lockAction", "1", received_at=clock() - age_s, message_expiry_s=expiry_s)
        await asyncio.sleep(30)
        assert results(house)[-1]["error"] == "timeout"
        assert house.tree.on("commandResponse") == ["255"]
        assert house.moved() == []


async def test_a_lock_that_comes_into_reach_late_carries_nothing_out(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        house.radio.control({"lock": CLASSIC, "out_of_range": True})
        await asyncio.sleep(1)
        house.tree.send(f"nuki/{ID}/lockAction", "1", message_expiry_s=10, received_at=clock())
        await asyncio.sleep(11)
        house.radio.control({"lock": CLASSIC, "out_of_range": False})
        await asyncio.sleep(120)
        assert house.moved() == []
        assert house.tree.on("commandResponse") == ["255"]


async def test_while_the_connection_is_lost_nothing_waits_for_it(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        connection = house.tree.connection()
        house.tree.send(f"nuki/{ID}/lockAction", "1")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        connection.break_off()
        house.tree.send(f"nuki/{ID}/lockAction", "3")
        await asyncio.sleep(60)
        connection.come()
        await asyncio.sleep(60)
        assert len(house.moved()) == 1
        assert house.tree.on("commandResponse") == [], "what became of it is told to nobody later"
        assert [each["status"] for each in results(house)] == ["ok"]


async def test_a_flood_is_shut_out_and_costs_nobody_else_anything(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        for _ in range(500):
            house.tree.send(f"nuki/{ID}/lockAction", "1")
        await asyncio.sleep(1)
        assert (await house.ask("front/set", "lock"))["status"] == "ok"
        responses = house.tree.on("commandResponse")
        assert set(responses) <= {"0", "69"}
        assert len(responses) < 120
        assert len(house.moved()) < 10
        await asyncio.sleep(60)
        assert await house.order("1") == 0


async def test_of_two_publishers_each_command_moves_the_door_once_and_in_order(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        house.tree.send(f"nuki/{ID}/lockAction", "1")
        house.tree.send(f"nuki/{ID}/lock", "true")
        await asyncio.sleep(60)
        assert house.tree.on("commandResponse") == ["0", "0"]
        assert [each.partition(":")[0] for each in house.moved()] == ["unlock", "lock"]
        assert house.tree.values()["state"] == "1"


async def test_a_blocked_motor_has_its_own_number(house: ServedHouse) -> None:
    house.classic.surroundings.block_motor(True)
    async with house.running():
        await house.at_home()
        assert await house.order("1") == 0x42
        assert house.tree.values()["state"] == "254"


async def test_commands_that_are_given_up_at_the_end_are_canceled(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        house.tree.send(f"nuki/{ID}/lockAction", "1")
        await asyncio.sleep(0.3)
        await house.bridge.leave()
        assert house.tree.on("commandResponse") == ["70"]
        assert house.tree.values()["connected"] == "false"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (LockError("bad_pin", "", number=0x21), 0x21),
        (LockError("busy", "", number=0x45), 0x45),
        (failure(Completion.MOTOR_BLOCKED), 0x42),
        (failure(Completion.LOW_MOTOR_VOLTAGE), 0x49),
        (failure(Completion.INCOMPLETE), 0xFF),
        (RequestError("action_not_allowed", ""), 0x26),
        (RequestError("too_many_requests", ""), 0x45),
        (OutcomeUnknown(""), 0xFF),
        (TimedOut(""), 0xFF),
        (NotFound(""), 0xFF),
        (BrokerError(""), 0xFF),
        (NukiError(""), 0xFF),
    ],
)
def test_every_end_has_a_number_and_only_success_is_0(error: NukiError | None, code: int) -> None:
    assert served_commands.response(error) == code


# -- events -----------------------------------------------------------------------------------------------------------


def order_of(house: ServedHouse) -> list[str]:
    return [f"{topic.rpartition('/')[2]} {payload}" for topic, payload, *_ in house.tree.published]


@pytest.mark.parametrize("settings", [SERVED, WITH_PIN], ids=["without the PIN", "with the PIN"])
async def test_an_action_over_the_api_is_told_once_before_it_moves(tmp_path: Path, settings: object) -> None:
    house = ServedHouse(tmp_path / "state", settings)  # type: ignore[arg-type]
    async with house.running():
        await house.at_home()
        assert await house.order("1") == 0
        await asyncio.sleep(60)
        assert house.tree.on("lockActionEvent") == ["1,172,0,0,0"]
        said = order_of(house)
        assert said.index("lockActionEvent 1,172,0,0,0") < said.index("state 2") < said.index("commandResponse 0")


@pytest.mark.parametrize("accepts", [True, False], ids=["ACCEPTED and COMPLETE", "COMPLETE alone"])
@pytest.mark.parametrize("settings", [SERVED, WITH_PIN], ids=["without the PIN", "with the PIN"])
async def test_an_action_that_has_nothing_to_do_is_told_as_any_other(
    tmp_path: Path, settings: object, accepts: bool
) -> None:
    """A program takes an event with trigger 172 for the echo of its command, and any other for somebody else's."""
    house = ServedHouse(tmp_path / "state", settings)  # type: ignore[arg-type]
    house.classic.behaviour.accepts_nothing_to_do = accepts
    async with house.running():
        await house.at_home()
        assert await house.order("2") == 0
        assert house.tree.on("lockActionEvent") == ["2,172,0,0,0"]
        await asyncio.sleep(400)
        assert (await house.ask("front/set", "lock"))["status"] == "ok"
        await asyncio.sleep(60)
        own = house.lock().paired.authorization_id
        assert house.tree.on("lockActionEvent") == ["2,172,0,0,0", f"2,0,{own},0,0"]
        said = order_of(house)
        assert said.index("lockActionEvent 2,172,0,0,0") < said.index("commandResponse 0")
        assert house.moved() == []


@pytest.mark.parametrize("settings", [SERVED, WITH_PIN], ids=["without the PIN", "with the PIN"])
async def test_an_action_on_our_own_topic_is_told_with_our_authorization(tmp_path: Path, settings: object) -> None:
    house = ServedHouse(tmp_path / "state", settings)  # type: ignore[arg-type]
    async with house.running():
        await house.at_home()
        own = house.lock().paired.authorization_id
        await house.ask("front/set", "lock_n_go")
        await asyncio.sleep(120)
        assert house.tree.on("lockActionEvent") == [f"4,0,{own},0,0"]


@pytest.mark.parametrize("settings", [SERVED, WITH_PIN], ids=["without the PIN", "with the PIN"])
async def test_a_turn_by_hand_is_no_event(tmp_path: Path, settings: object) -> None:
    house = ServedHouse(tmp_path / "state", settings)  # type: ignore[arg-type]
    async with house.running():
        await house.at_home()
        house.radio.control({"lock": CLASSIC, "turn": "unlocked"})
        await asyncio.sleep(60)
        assert house.tree.values()["state"] == "3"
        assert house.tree.on("lockActionEvent") == []


@pytest.mark.parametrize("settings", [SERVED, WITH_PIN], ids=["without the PIN", "with the PIN"])
async def test_what_others_do_is_told_once(tmp_path: Path, settings: object) -> None:
    house = ServedHouse(tmp_path / "state", settings)  # type: ignore[arg-type]
    async with house.running():
        await house.at_home()
        await house.order("1")
        house.radio.control({"lock": CLASSIC, "auto_lock": True})
        await asyncio.sleep(90)
        assert house.tree.on("lockActionEvent") == ["1,172,0,0,0", "2,6,0,0,0"]


async def test_the_next_run_does_not_tell_again_what_this_one_has_told(tmp_path: Path) -> None:
    house = ServedHouse(tmp_path / "state", WITH_PIN)
    async with house.running():
        await house.at_home()
        house.tree.send(f"nuki/{ID}/lockAction", "1")
        await asyncio.sleep(1)
        assert house.tree.on("lockActionEvent") == ["1,172,0,0,0"]
    again = ServedHouse(house.settings.state_dir, WITH_PIN)
    again.classic, again.radio, again.tree = house.classic, house.radio, house.tree
    async with again.running():
        await asyncio.sleep(60)
        assert again.events("front/event") != []
        assert again.tree.on("lockActionEvent") == ["1,172,0,0,0"]
        again.radio.control({"lock": CLASSIC, "auto_lock": True})
        await asyncio.sleep(90)
        assert again.tree.on("lockActionEvent")[1:] == ["2,6,0,0,0"]


async def test_a_keypad_is_told_with_its_code_and_once(tmp_path: Path) -> None:
    house = ServedHouse(tmp_path / "state", WITH_PIN)
    async with house.running():
        await house.at_home()
        added = await house.ask("front/request/keypad/add", {"name": "Anna", "code": 147258})
        assert added["status"] == "ok", added
        code_id = added["data"]["id"]
        house.radio.control({"lock": CLASSIC, "keypad": {"code": "147258", "action": "unlock"}})
        await asyncio.sleep(90)
        (event,) = house.tree.on("lockActionEvent")
        action, trigger, _, code, source = event.split(",")
        assert (action, trigger, code, source) == ("1", "0", str(code_id), "1")
        house.radio.control({"lock": CLASSIC, "keypad": {"code": "999999", "action": "unlock"}})
        await asyncio.sleep(90)
        assert len(house.tree.on("lockActionEvent")) == 1
        assert "147258" not in json.dumps(house.tree.published)


async def test_what_is_refused_is_no_event(house: ServedHouse) -> None:
    async with house.running():
        await house.at_home()
        await house.order("7")
        house.radio.control({"lock": CLASSIC, "out_of_range": True})
        await house.order("1")
        assert house.tree.on("lockActionEvent") == []


# -- the Opener: the same numbers, other actions ----------------------------------------------------------------------


@pytest.fixture
def intercom(tmp_path: Path) -> ServedIntercom:
    return ServedIntercom(tmp_path / "state")


async def test_the_numbers_of_an_opener_are_its_own(intercom: ServedIntercom) -> None:
    async with intercom.running():
        await intercom.paired()
        assert await intercom.order("1") == 0
        assert intercom.tree.values(OPENER_ID)["state"] == "3"
        assert await intercom.order("2") == 0
        assert intercom.tree.values(OPENER_ID)["state"] == "1"
        assert intercom.strikes() == 0, "2 ends ring to open and opens nothing"
        assert await intercom.order("4") == 0
        assert intercom.tree.values(OPENER_ID)["mode"] == "3"
        assert await intercom.order("5") == 0
        assert intercom.tree.values(OPENER_ID)["mode"] == "2"
        assert intercom.strikes() == 0
        assert await intercom.order("3") == 0
        assert intercom.strikes() == 1
        assert await intercom.order("6") == 0x23
        await asyncio.sleep(120)
        events = intercom.tree.on("lockActionEvent", OPENER_ID)
        assert events == [f"{number},172,0,0,0" for number in (1, 2, 4, 5, 3)]


async def test_the_simple_actions_of_an_opener(intercom: ServedIntercom) -> None:
    async with intercom.running():
        await intercom.paired()
        await intercom.do("activate_continuous_mode")
        await intercom.do("activate_rto")
        before = len(intercom.tree.on("commandResponse", OPENER_ID))
        assert await intercom.order("true", "lock") == 0
        assert intercom.state() == ("locked", "off")
        assert intercom.strikes() == 0
        assert len(intercom.tree.on("commandResponse", OPENER_ID)) == before + 1, "one answer for one command"
        assert await intercom.order("true", "unlock") == 0
        assert intercom.strikes() == 1


async def test_an_opener_that_may_not_do_all_of_a_command_does_nothing_of_it(tmp_path: Path) -> None:
    actions = frozenset({"deactivate_continuous_mode", "activate_continuous_mode"})
    house = ServedIntercom(tmp_path / "state", LockSettings("hall", OPENER, official_api="serve", actions=actions))
    async with house.running():
        await house.paired()
        await house.do("activate_continuous_mode")
        assert await house.order("true", "lock") == 0x26
        assert house.state()[1] == "on"
