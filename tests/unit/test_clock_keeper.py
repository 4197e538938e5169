"""A lock's clock is kept right: looked at once a day, set when it is wrong, and left alone where that would do harm."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.config import Secret
from nuki_bridge.owner import clock_keeper
from nuki_bridge.owner.clock_keeper import (
    MAX_WRONG_S,
    SOON_S,
    UNSYNCHRONIZED_S,
    ahead_s,
    describe,
    nearest_second,
)
from nuki_bridge.protocol.codes import ErrorCode
from nuki_bridge.protocol.messages import UpdateTime
from nuki_bridge.simulator.behaviour import Refused
from tests.unit import rig
from tests.unit.house import CLASSIC, PIN, House
from tests.unit.intercom import WITH_PIN, Intercom

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
AT_LATEST_S = 2 * SOON_S + 10.0
"""Seconds after the start by which the first look is over: the PIN has to be proven before."""

DAY_S, HOUR_S = 1200.0, 400.0
"""What stands here for a day and an hour: to keep a link alive for a day takes long, even in virtual time."""


@pytest.fixture(autouse=True)
def _short_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_keeper, "CHECK_S", DAY_S)
    monkeypatch.setattr(clock_keeper, "NOTICED_S", HOUR_S)


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path / "state", PIN)
    house.radio.interval_s = 20.0  # days pass quickly
    house.synchronized = True
    return house


async def status(house: House) -> dict[str, Any]:
    await asyncio.sleep(1.0)
    clock: dict[str, Any] = json.loads(house.retained["nuki/front/status"])["clock"]
    return clock


def sets(house: House) -> int:
    """How often the lock's clock was set over Bluetooth."""
    return sum(each.what == "clock_set" for each in house.classic.audit)


def wrong_s(house: House) -> float:
    return (house.classic.now() - rig.now()).total_seconds()


def ahead(house: House, seconds: float) -> None:
    house.classic.set_clock(rig.now() + timedelta(seconds=seconds))


# -- how wrong it is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told_s", "asked_s", "heard_s", "expected"),
    [
        (0, 0.2, 0.9, 0.0),  # it tells no parts of a second
        (0, -30.0, 20.0, 0.0),  # over a slow link nobody knows when it was told
        (30, 0.0, 5.0, 25.0),
        (-30, 0.0, 5.0, -29.0),
        (7200, 0.0, 0.1, 7199.9),
    ],
)
def test_only_what_the_link_cannot_explain_counts_as_wrong(
    told_s: float, asked_s: float, heard_s: float, expected: float
) -> None:
    told, asked, heard = (NOON + timedelta(seconds=each) for each in (told_s, asked_s, heard_s))
    assert ahead_s(told, asked, heard) == pytest.approx(expected)


def test_no_time_is_not_a_wrong_time() -> None:
    assert ahead_s(None, NOON, NOON) is None


def test_a_lock_is_told_the_nearest_second() -> None:
    assert nearest_second(NOON + timedelta(seconds=0.4)) == NOON
    assert nearest_second(NOON + timedelta(seconds=0.6)) == NOON + timedelta(seconds=1)


def test_how_wrong_for_people() -> None:
    assert [describe(each) for each in (12.3, -12.3, -7200.0, -864000.0)] == [
        "12 s ahead",
        "12 s behind",
        "2.0 h behind",
        "10 days behind",
    ]


# -- it is kept right -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("connection", ["persistent", "on-demand"])
@pytest.mark.parametrize("seconds", [-86400.0 * 365, -3600.0, -15.0, 15.0, 3500.0])
async def test_a_wrong_clock_is_set_to_the_second(house: House, seconds: float, connection: Any) -> None:
    house.settings = replace(house.settings, locks=(replace(PIN, connection=connection),))
    async with house.running():
        await house.pair(name="front")
        ahead(house, seconds)
        await asyncio.sleep(AT_LATEST_S)
        assert abs(wrong_s(house)) <= 1.0
        assert sets(house) == 1
        clock = await status(house)
        assert clock["ahead_s"] == 0
        assert clock["problem"] is None
        assert clock["set"] == clock["checked"]


@pytest.mark.parametrize("seconds", [-9.0, 0.0, 9.0])
async def test_a_clock_that_is_right_enough_is_left_alone(house: House, seconds: float) -> None:
    async with house.running():
        await house.pair(name="front")
        ahead(house, seconds)
        await asyncio.sleep(AT_LATEST_S)
        assert sets(house) == 0
        clock = await status(house)
        assert clock["checked"] is not None
        assert clock["set"] is None


async def test_a_clock_that_drifts_never_gets_far(house: House) -> None:
    house.settings = replace(house.settings, locks=(replace(PIN, connection="on-demand"),))
    async with house.running():
        await house.pair(name="front")
        house.classic.device.clock.drift(600.0)
        worst = 0.0
        for _ in range(120):
            await asyncio.sleep(60.0)
            worst = max(worst, abs(wrong_s(house)))
        assert MAX_WRONG_S < worst < MAX_WRONG_S + 600.0 * DAY_S / 86400.0 + 1.0
        assert sets(house) >= 2


@pytest.mark.parametrize("tells_lost_time", [False, True])
@pytest.mark.parametrize("connection", ["persistent", "on-demand"])
async def test_after_a_change_of_batteries_the_time_comes_back_by_itself(
    house: House, connection: Any, tells_lost_time: bool
) -> None:
    house.settings = replace(house.settings, locks=(replace(PIN, connection=connection),))
    house.classic.behaviour.tells_lost_time = tells_lost_time
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(AT_LATEST_S + HOUR_S)
        house.radio.control({"lock": CLASSIC, "change_batteries": True})
        assert house.classic.now().year == 2000
        await asyncio.sleep(400.0)
        assert abs(wrong_s(house)) <= 1.0
        assert sets(house) == 1


async def test_it_is_looked_at_once_a_day(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(AT_LATEST_S)
        first = (await status(house))["checked"]
        await asyncio.sleep(DAY_S - 200.0)
        assert (await status(house))["checked"] == first
        await asyncio.sleep(200.0)
        assert (await status(house))["checked"] > first


# -- one measure ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pin", [PIN, replace(PIN, pin=None)], ids=("with PIN", "without"))
async def test_health_and_status_tell_the_same(tmp_path: Path, pin: Any) -> None:
    house = House(tmp_path / "state", pin)  # whose own clock is not known to be right, so that it sets none
    async with house.running():
        await house.pair(name="front")
        for seconds in (0.0, -420.3, 3.4, 90.0):
            ahead(house, seconds)
            await house.ask("front/request/refresh")
            told = (await status(house))["ahead_s"]
            assert told == pytest.approx(seconds, abs=1.0)
            [health] = (await house.ask("bridge/request/health"))["data"]["locks"]
            assert health["clock_off_s"] == told


async def test_a_clock_that_runs_steadily_is_no_news(house: House) -> None:
    """It is some seconds and a part of one ahead: its reports round that now up and now down."""
    house.synchronized = False
    async with house.running():
        await house.pair(name="front")
        ahead(house, 3.5)
        await asyncio.sleep(60.0)
        start = len(house.published)
        await asyncio.sleep(600.0)
        statuses = [each.payload for each in house.published[start:] if each.topic == "nuki/front/status"]
        told = [json.loads(each)["clock"]["ahead_s"] for each in statuses]
        assert set(told) <= {3, 4}
        assert len(set(told)) <= 1


# -- it is left alone -------------------------------------------------------------------------------------------------


async def test_it_is_not_set_back_by_more_than_an_hour_unasked(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Limits that are over would be valid again; whoever is asked may do it."""
    async with house.running():
        await house.pair(name="front")
        ahead(house, 7200.0)
        await asyncio.sleep(DAY_S * 2 + AT_LATEST_S)
        assert sets(house) == 0
        clock = await status(house)
        assert clock["ahead_s"] == 7200
        command = clock["problem"].partition("`nuki-bridge set-clock front --time ")[2].partition("`")[0]
        assert caplog.text.count("is not set back so far unasked") == 1
        answer = await house.ask("front/request/time/set", {"time": command})
        assert answer["status"] == "ok"
        await asyncio.sleep(10.0)
        assert (await status(house))["problem"] is None
        assert abs(wrong_s(house)) <= 1.0


@pytest.mark.long
@pytest.mark.parametrize(
    ("timezone_id", "hours"), [(37, 1), (12, -5), (24, 5.5)], ids=["Berlin", "New York", "Kolkata"]
)
async def test_a_clock_that_may_tell_local_time_is_not_set_unasked(
    house: House, timezone_id: int, hours: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Set to UTC it would be wrong by its time zone, and every time limit with it."""
    house.classic.settings.timezone_id = timezone_id
    async with house.running():
        await house.pair(name="front")
        ahead(house, hours * 3600.0)
        await asyncio.sleep(DAY_S * 2 + AT_LATEST_S)
        assert sets(house) == 0
        problem = (await status(house))["problem"]
        assert "its time zone is from UTC" in problem
        assert caplog.text.count("it is not set unasked") == 1
        command = problem.partition("`nuki-bridge set-clock front --time ")[2].partition("`")[0]
        assert (await house.ask("front/request/time/set", {"time": command}))["status"] == "ok"
        await asyncio.sleep(10.0)
        assert (await status(house))["problem"] is None


async def test_a_clock_that_may_tell_standard_time_in_summer_is_not_set_unasked(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(AT_LATEST_S)
        keeper = house.bridge.members.get("front").owned.clock  # type: ignore[union-attr]
        in_summer = datetime(2026, 7, 1, 12, tzinfo=UTC) - rig.now()
        monkeypatch.setattr(keeper, "_now", lambda: rig.now() + in_summer)
        ahead(house, in_summer.total_seconds() + 3600.0)
        keeper.was_set()
        await asyncio.sleep(30.0)
        assert sets(house) == 0
        assert "its time zone is from UTC" in (await status(house))["problem"]


async def test_somebody_else_has_set_it_and_the_problem_is_over_within_the_hour(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        ahead(house, 7200.0)
        await asyncio.sleep(AT_LATEST_S)
        ahead(house, 0.0)
        await asyncio.sleep(HOUR_S + 300.0)
        assert (await status(house))["problem"] is None


async def test_a_computer_that_does_not_know_the_time_sets_none(house: House) -> None:
    house.synchronized = False
    async with house.running():
        await house.pair(name="front")
        ahead(house, -600.0)
        await asyncio.sleep(DAY_S)
        assert sets(house) == 0
        assert "time server" in (await status(house))["problem"]
        house.synchronized = True
        await asyncio.sleep(UNSYNCHRONIZED_S + 10.0)
        assert sets(house) == 1
        assert (await status(house))["problem"] is None


async def test_a_computer_whose_clock_is_being_set_waits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between asking and hearing the computer's clock jumps by a day: what was seen tells nothing of the lock's."""
    async with house.running():
        await house.pair(name="front")
        lock = house.lock()
        keeper = house.bridge.members.get("front").owned.clock  # type: ignore[union-attr]
        before = lock.read_states
        jumps: list[int] = []

        async def jump() -> Any:
            states = await before()
            if not jumps:
                jumps.append(1)
                monkeypatch.setattr(keeper, "_now", lambda: rig.now() + timedelta(days=1))
            return states

        monkeypatch.setattr(lock, "read_states", jump)
        keeper.was_set()
        await asyncio.sleep(10.0)
        assert jumps == [1]
        assert sets(house) == 0
        assert (await status(house))["checked"] is None


async def test_nothing_is_set_without_a_pin_that_the_lock_has_accepted(house: House) -> None:
    house.settings = replace(house.settings, locks=())
    async with house.running():
        await house.pair(name="front")
        ahead(house, -600.0)
        await asyncio.sleep(DAY_S)
        assert sets(house) == 0


@pytest.mark.parametrize("asked_by", ["MQTT", "a hand at the fob"])
async def test_nothing_is_set_while_an_action_is_under_way(house: House, asked_by: str) -> None:
    house.classic.behaviour.motor_s = 30.0
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(AT_LATEST_S)
        keeper = house.bridge.members.get("front").owned.clock  # type: ignore[union-attr]
        if asked_by == "MQTT":
            house.send("front/set", "unlock")
        else:
            house.classic.press_fob(1)
        await asyncio.sleep(3.0)
        ahead(house, -600.0)
        keeper.was_set()
        await asyncio.sleep(20.0)
        assert house.classic.motor.active
        assert sets(house) == 0
        await asyncio.sleep(10.0 + 2 * SOON_S)
        assert sets(house) == 1
        assert len(house.classic.movements()) == 1


async def test_a_lock_that_refuses_is_asked_once_a_day(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refused = []

    def refuse(now: datetime) -> None:
        refused.append(now)
        raise Refused(ErrorCode.BAD_PARAMETER)

    async with house.running():
        await house.pair(name="front")
        ahead(house, -600.0)
        monkeypatch.setattr(house.classic.device, "set_clock", refuse)
        await asyncio.sleep(DAY_S + 300.0)
        assert len(refused) == 2
        assert "refuses to have it set" in (await status(house))["problem"]
        assert caplog.text.count("refuses to have it set") == 1


async def test_a_lost_answer_is_asked_for_again_with_the_time_of_that_moment(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(AT_LATEST_S)
        ahead(house, -600.0)
        house.radio.faults.disconnect_after_write = 0
        keeper = house.bridge.members.get("front").owned.clock  # type: ignore[union-attr]
        keeper.was_set()
        house.classic.swallow_next_answer(3)
        await asyncio.sleep(60.0 + SOON_S)
        assert sets(house) >= 1
        assert abs(wrong_s(house)) <= 1.0


async def test_time_set_sends_the_time_of_the_moment_at_which_it_is_sent(house: House) -> None:
    """An answer that got lost 5 s ago must not leave the clock 5 s behind."""
    house.synchronized = False
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(10.0)
        sent = []
        ask = house.lock().exchange.ask

        async def noted(request: Any, wanted: Any) -> Any:
            if isinstance(request, UpdateTime):
                sent.append((request.time - rig.now()).total_seconds())
                if len(sent) == 1:
                    house.classic.swallow_next_answer(1)
            return await ask(request, wanted)

        house.lock().exchange.ask = noted  # type: ignore[method-assign, assignment]
        assert (await house.ask("front/request/time/set"))["status"] == "ok"
        assert len(sent) == 2
        assert max(abs(each) for each in sent) <= 0.5
        assert abs(wrong_s(house)) <= 1.0


async def test_a_wrong_pin_is_not_tried_for_the_clock(house: House) -> None:
    house.settings = replace(house.settings, locks=(replace(PIN, pin=Secret("4321")),))
    async with house.running():
        await house.pair(name="front")
        ahead(house, -600.0)
        await asyncio.sleep(DAY_S)
        assert {each.command for each in house.classic.audit if each.what == "refused"} == {
            "request_authorization_entries"
        }
        assert sets(house) == 0


@pytest.mark.parametrize("tells_lost_time", [False, True])
async def test_an_openers_clock_is_kept_right_too(tmp_path: Path, tells_lost_time: bool) -> None:
    house = Intercom(tmp_path / "state", WITH_PIN, tells_lost_time=tells_lost_time)
    house.synchronized = True
    async with house.running():
        await house.paired()
        await asyncio.sleep(AT_LATEST_S + HOUR_S)
        house.opener.control({"change_batteries": True})
        assert house.opener.now().year == 2000
        await asyncio.sleep(600.0)
        assert abs((house.opener.now() - rig.now()).total_seconds()) <= 1.0
        assert house.status()["clock"]["problem"] is None
        assert house.strikes() == 0
