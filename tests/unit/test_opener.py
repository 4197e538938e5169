"""An Opener over the whole bridge: the strike acts once for a command, the modes are told truly, the link is let go."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.intercom import OPENER, SETTINGS, WITH_PIN, Intercom

BOTH = pytest.mark.parametrize("settings", [SETTINGS, WITH_PIN], ids=["no pin", "pin"])


# -- pairing and the link ---------------------------------------------------------------------------------------------


async def test_it_is_heard_paired_and_told_of(tmp_path: Path) -> None:
    house = Intercom(tmp_path)
    async with house.running():
        scanned = (await house.ask("bridge/request/scan", {"timeout": 5}))["data"]
        assert [each["name"] for each in scanned] == ["Nuki_Opener_4E5F6071"]
        await house.paired()
        assert house.state() == ("locked", "off")
        assert house.retained["nuki/hall/availability"] == "online"
        status = house.status()
        assert (status["family"], status["connection"], status["state"]) == ("opener", "on-demand", "locked")
        assert status["battery"]["level"] is None


async def test_no_link_is_held(tmp_path: Path) -> None:
    house = Intercom(tmp_path)
    async with house.running():
        await house.paired()
        assert house.opener.links == 0
        assert (await house.do("open"))["status"] == "ok"
        await asyncio.sleep(20)
        assert house.opener.links == 0


@BOTH
async def test_the_strike_acts_once_for_a_command(tmp_path: Path, settings: Any) -> None:
    house = Intercom(tmp_path, settings)
    async with house.running():
        await house.paired()
        assert await house.do("open") == {"action": "open", "status": "ok", "completion": "success"}
        await asyncio.sleep(60)
        assert house.strikes() == 1
        assert house.state() == ("locked", "off")
        assert [each["action"] for each in house.actions()] == ["open"]
        assert house.rings() == []
        assert house.status()["last_lock_action"]["action"] == "open"


@BOTH
async def test_two_commands_are_two_openings(tmp_path: Path, settings: Any) -> None:
    house = Intercom(tmp_path, settings)
    async with house.running():
        await house.paired()
        for count in (1, 2):
            assert (await house.do("open"))["status"] == "ok"
            assert house.strikes() == count
        await asyncio.sleep(60)
        assert house.rings() == []


async def test_a_command_that_comes_twice_opens_once(tmp_path: Path) -> None:
    house = Intercom(tmp_path)
    async with house.running():
        await house.paired()
        for _ in range(2):
            house.send("hall/set", {"action": "open", "transaction": "t1"})
        await asyncio.sleep(60)
        assert house.strikes() == 1


@BOTH
async def test_the_modes_are_told_truly(tmp_path: Path, settings: Any) -> None:
    house = Intercom(tmp_path, settings)
    async with house.running():
        await house.paired()
        for action, state in (
            ("activate_rto", ("rto_active", "off")),
            ("activate_rto", ("rto_active", "off")),
            ("deactivateRTO", ("locked", "off")),
            ("activate_cm", ("locked", "on")),
            ("deactivate_continuous_mode", ("locked", "off")),
        ):
            answer = await house.do(action)
            assert (answer["status"], answer.get("completion")) == ("ok", "success"), answer
            assert house.state() == state, action
        await asyncio.sleep(60)
        assert house.rings() == []
        assert house.strikes() == 0
        assert house.state() == ("locked", "off")


async def test_rto_that_ends_by_itself_is_told(tmp_path: Path) -> None:
    house = Intercom(tmp_path)
    async with house.running():
        await house.paired()
        await house.do("activate_rto")
        house.opener.switch_rto(False)
        await asyncio.sleep(5)
        assert house.state() == ("locked", "off")


async def test_an_action_follows_another_at_once(tmp_path: Path) -> None:
    """The link over which the first was sent is deaf: waiting on it would take four seconds."""
    house = Intercom(tmp_path)
    async with house.running():
        await house.paired()
        for action in ("activate_rto", "deactivate_rto", "activate_rto"):
            started = asyncio.get_running_loop().time()
            assert (await house.do(action))["status"] == "ok"
            assert asyncio.get_running_loop().time() - started < 2.0


# -- what is not to be done -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["lock", "unlock", "unlatch", "lock_n_go"])
async def test_a_smart_locks_actions_are_unknown(tmp_path: Path, action: str) -> None:
    house = Intercom(tmp_path)
    async with house.running():
        await house.paired()
        sent = house.sent()
        answer = await house.do(action)
        assert answer["error"] == "unknown_action"
        assert "activate_rto, deactivate_rto, open" in answer["message"]
        assert (house.strikes(), house.sent()) == (0, sent)


@pytest.mark.parametrize(
    ("wiring", "action"), [(0, "activate_rto"), (0, "deactivate_rto"), (2, "open"), (2, "electricStrikeActuation")]
)
async def test_what_the_wiring_does_not_allow_is_not_sent(tmp_path: Path, wiring: int, action: str) -> None:
    house = Intercom(tmp_path)
    house.opener.rewire(wiring)
    async with house.running():
        await house.paired()
        sent = house.sent()
        assert (await house.do(action))["error"] == "action_not_possible"
        assert house.sent() == sent


async def test_an_action_in_some_states_only(tmp_path: Path) -> None:
    house = Intercom(tmp_path)
    async with house.running():
        await house.paired()
        wanted = {"action": "open", "only_if": ["rto_active"]}
        answer = await house.do(wanted)
        assert answer["error"] == "state_not_allowed"
        assert "the lock is locked and not rto_active" in answer["message"]
        assert house.strikes() == 0
        await house.do("activate_rto")
        assert (await house.do(wanted))["status"] == "ok"
        assert house.strikes() == 1


# -- lost answers -----------------------------------------------------------------------------------------------------

FAULTS = pytest.mark.parametrize(
    "fault", ["disconnect_before_write", "disconnect_after_write", "write_fails_after_delivery", "lose_indication"]
)


@BOTH
@FAULTS
async def test_a_strike_whose_answer_got_lost_is_never_sent_again(tmp_path: Path, settings: Any, fault: str) -> None:
    house = Intercom(tmp_path, settings)
    async with house.running():
        await house.paired()
        await house.do("open")  # the log has an entry then
        await asyncio.sleep(60)
        lock = house.lock("hall")
        await lock.refresh(15.0)
        await lock.exchange.ask_challenge()
        before, sent = house.strikes(), house.sent()
        setattr(house.radio.faults, fault, 1)
        answer = await house.do("open", 120.0)
        await asyncio.sleep(120)
        reached_it = fault != "disconnect_before_write"
        assert (house.strikes() - before, house.sent() - sent) == (reached_it, reached_it), "sent again"
        if fault == "lose_indication":
            assert answer["status"] == "ok", "COMPLETE has come all the same"
        elif settings is SETTINGS:
            assert answer["error"] == "outcome_unknown", answer
        else:
            assert answer.get("error", "ok") == ("ok" if reached_it else "not_executed"), answer
        assert house.rings() == []


@pytest.mark.parametrize("code", ["bad_nonce", "busy"])
async def test_a_refused_strike_is_not_sent_again(tmp_path: Path, code: str) -> None:
    house = Intercom(tmp_path)
    async with house.running():
        await house.paired()
        lock = house.lock("hall")
        if code == "busy":
            house.opener.be_busy(2.0)
        else:
            await lock.refresh(15.0)
            lock.exchange.challenge = bytes(32)
        assert (await house.do("open"))["error"] == code
        await asyncio.sleep(60)
        assert (house.strikes(), house.rings()) == (0, [])


@pytest.mark.parametrize("action", ["activate_rto", "activate_continuous_mode"])
async def test_a_mode_whose_challenge_was_outdated_is_sent_with_a_new_one(tmp_path: Path, action: str) -> None:
    house = Intercom(tmp_path)
    async with house.running():
        await house.paired()
        lock = house.lock("hall")
        await lock.refresh(15.0)
        lock.exchange.challenge = bytes(32)
        assert (await house.do(action))["status"] == "ok"


@BOTH
@FAULTS
@pytest.mark.parametrize("action", ["activate_rto", "activate_continuous_mode"])
async def test_a_mode_whose_answer_got_lost_is_compared_with_what_is_there(
    tmp_path: Path, settings: Any, fault: str, action: str
) -> None:
    house = Intercom(tmp_path, settings)
    async with house.running():
        await house.paired()
        lock = house.lock("hall")
        await lock.refresh(15.0)
        await lock.exchange.ask_challenge()
        setattr(house.radio.faults, fault, 1)
        answer = await house.do(action, 120.0)
        assert answer["status"] == "ok", answer
        await asyncio.sleep(5)
        assert house.state() == (("rto_active", "off") if action == "activate_rto" else ("locked", "on"))


@pytest.mark.parametrize("reboots_after_s", [0.05, 0.5, 2.0])
async def test_an_opener_that_restarts_while_it_opens(tmp_path: Path, reboots_after_s: float) -> None:
    house = Intercom(tmp_path)
    async with house.running():
        await house.paired()
        asked = asyncio.create_task(house.do("open", 120.0))
        while house.strikes() == 0:
            await asyncio.sleep(0.02)
        await asyncio.sleep(reboots_after_s)
        house.opener.reboot()
        answer = await asked
        assert answer.get("error", "ok") in ("ok", "outcome_unknown", "canceled"), answer
        await asyncio.sleep(120)
        assert house.strikes() == 1
        assert house.rings() == []


@pytest.mark.parametrize("habit", ["complete_missing", "states_missing"])
@pytest.mark.parametrize("action", ["open", "activate_rto", "activate_continuous_mode"])
async def test_words_that_an_opener_leaves_out(tmp_path: Path, habit: str, action: str) -> None:
    house = Intercom(tmp_path, SETTINGS, **{habit: True})
    async with house.running():
        await house.paired()
        answer = await house.do(action, 120.0)
        assert answer.get("error", "ok") in ("ok", "outcome_unknown"), answer
        if action != "open" or habit == "states_missing":
            assert answer["status"] == "ok"
        await asyncio.sleep(60)
        assert house.strikes() == (action == "open")
        assert house.rings() == []


@pytest.mark.parametrize(
    "habit", [{"accepted_times": 2}, {"accepted_times": 0}, {"complete_before_hold": True}, {"queue_s": 1.0}], ids=str
)
@pytest.mark.parametrize("action", ["open", "activate_rto", "activate_continuous_mode"])
async def test_words_in_another_order(tmp_path: Path, habit: dict[str, Any], action: str) -> None:
    house = Intercom(tmp_path, SETTINGS, **habit)
    async with house.running():
        await house.paired()
        answer = await house.do(action, 120.0)
        assert answer["status"] == "ok", answer
        await asyncio.sleep(60)
        assert house.strikes() == (action == "open")


# -- continuous mode --------------------------------------------------------------------------------------------------


async def test_continuous_mode_with_the_pin_where_a_lock_action_is_refused(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN, continuous_mode_needs_pin=True)
    async with house.running():
        await house.paired()
        assert (await house.do("activate_continuous_mode"))["status"] == "ok"
        assert house.state() == ("locked", "on")
        assert (await house.do("deactivate_continuous_mode"))["status"] == "ok"
        assert house.state() == ("locked", "off")


async def test_without_a_pin_the_refusal_is_told(tmp_path: Path) -> None:
    house = Intercom(tmp_path, continuous_mode_needs_pin=True)
    async with house.running():
        await house.paired()
        assert (await house.do("activate_continuous_mode"))["error"] == "bad_parameter"
        assert house.state() == ("locked", "off")
        assert house.retained["nuki/hall/availability"] == "online"


async def test_a_mode_that_stays_on_is_not_called_off(tmp_path: Path) -> None:
    house = Intercom(tmp_path, continuous_mode_stays=True)
    async with house.running():
        await house.paired()
        assert (await house.do("activate_continuous_mode"))["status"] == "ok"
        answer = await house.do("deactivate_continuous_mode")
        assert answer["error"] == "incomplete"
        assert house.state() == ("locked", "on")


# -- others, and other habits -----------------------------------------------------------------------------------------


async def test_a_strike_is_not_carried_out_again_by_the_next_run(tmp_path: Path) -> None:
    house = Intercom(tmp_path)
    async with house.running():
        await house.paired()
        house.send("hall/set", "open")
        while house.strikes() == 0:
            await asyncio.sleep(0.02)
    second = house.again()
    async with second.running():
        await asyncio.sleep(120)
        assert second.strikes() == 1
        assert second.rings() == []
        assert second.state() == ("locked", "off")


async def test_a_command_to_an_opener_that_another_holds_is_not_carried_out_late(tmp_path: Path) -> None:
    """It takes one link, and the app has it."""
    house = Intercom(tmp_path)
    async with house.running():
        await house.paired()
        link = house.radio.link(OPENER, lambda channel, data: None, lambda: None)
        await link.connect(5.0)
        answer = await house.do("open", 60.0)
        assert answer["error"] == "timeout"
        await link.disconnect()
        await asyncio.sleep(120)
        assert house.strikes() == 0
        assert (await house.do("open"))["status"] == "ok"


async def test_an_opener_whose_link_goes_on_hearing(tmp_path: Path) -> None:
    house = Intercom(tmp_path, deaf_after_action=False)
    async with house.running():
        await house.paired()
        for action in ("open", "activate_rto", "open", "deactivate_rto"):
            assert (await house.do(action))["status"] == "ok"
            await asyncio.sleep(20)
        assert house.strikes() == 2
        assert house.rings() == []


async def test_a_held_link(tmp_path: Path) -> None:
    house = Intercom(tmp_path, replace(SETTINGS, connection="persistent"))
    async with house.running():
        await house.paired()
        for action in ("open", "activate_rto", "open", "deactivate_rto"):
            assert (await house.do(action))["status"] == "ok"
        await asyncio.sleep(20)
        assert (house.strikes(), house.opener.links) == (2, 1)
        assert house.rings() == []


@pytest.mark.parametrize(("settings", "answer"), [(SETTINGS, "pin_required"), (WITH_PIN, "ok")], ids=["no pin", "pin"])
async def test_paired_as_app_it_switches_continuous_mode_with_the_pin_alone(
    tmp_path: Path, settings: Any, answer: str
) -> None:
    house = Intercom(tmp_path, settings)
    async with house.running():
        house.opener.hold_button()
        await house.ask("bridge/request/pair", {"address": OPENER, "name": "hall", "as": "app"})
        await asyncio.sleep(20)
        assert (await house.do("activate_cm")).get("error", "ok") == answer
        assert (await house.do("open"))["status"] == "ok"
        assert house.strikes() == 1


async def test_in_pairing_mode_it_does_not_say_whether_continuous_mode_is_on(tmp_path: Path) -> None:
    house = Intercom(tmp_path)
    async with house.running():
        await house.paired()
        await house.do("activate_cm")
        await asyncio.sleep(30)
        house.opener.hold_button()
        assert (await house.ask("hall/request/refresh"))["data"]["nuki_state"] == "pairing_mode"
        assert house.state() == ("locked", "on")


@BOTH
async def test_a_ring_does_not_become_an_action_and_an_action_no_ring(tmp_path: Path, settings: Any) -> None:
    house = Intercom(tmp_path, settings)
    async with house.running():
        await house.paired()
        assert (await house.do("activate_rto"))["status"] == "ok"
        await asyncio.sleep(30)
        house.opener.ring()
        await asyncio.sleep(0.1)
        answer = await house.do("open", 60.0)  # while the ring opens the door
        assert answer["error"] == "busy"
        await asyncio.sleep(60)
        assert house.strikes() == 1, "by the ring"
        assert [each["opened"] for each in house.rings()] in ([], ["rto"])
        assert [each["action"] for each in house.actions() if each["action"] == "open"] == []
