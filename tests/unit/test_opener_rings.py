"""The doorbell of an Opener over the whole bridge: each ring is told once, within two seconds, and nothing else is."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.config import LockSettings
from tests.unit.intercom import OPENER, SETTINGS, WITH_PIN, Intercom, clock

BOTH = pytest.mark.parametrize("settings", [SETTINGS, WITH_PIN], ids=["no pin", "pin"])


async def told(house: Intercom, count: int, within_s: float) -> float:
    """Wait until so many rings are told; returns the seconds that it took."""
    started = clock()
    while len(house.rings()) < count:
        assert clock() - started <= within_s, house.events("hall/event")
        await asyncio.sleep(0.02)
    return clock() - started


@BOTH
async def test_a_ring_in_vain_is_told_once_within_two_seconds(tmp_path: Path, settings: Any) -> None:
    house = Intercom(tmp_path, settings)
    house.radio.connect_s = 0.6
    async with house.running():
        await house.paired()
        for count in (1, 2, 3):
            house.opener.ring()
            await told(house, count, 2.0)
            await asyncio.sleep(60)
            assert len(house.rings()) == count
        first = house.rings()[0]
        assert first["opened"] is None
        assert (first["found_by"], first["suppressed"]) == (("log", False) if settings is WITH_PIN else ("state", None))
        assert (first["index"] is None) == (settings is SETTINGS)
        assert first["time"].startswith("2026-12-01T09:")
        assert house.actions() == []
        assert house.strikes() == 0


@BOTH
@pytest.mark.parametrize(("mode", "opened"), [("activate_rto", "rto"), ("activate_cm", "continuous_mode")])
async def test_a_ring_that_opens_is_told_once_with_what_has_opened(
    tmp_path: Path, settings: Any, mode: str, opened: str
) -> None:
    house = Intercom(tmp_path, settings)
    house.radio.connect_s = 0.6
    async with house.running():
        await house.paired()
        assert (await house.do(mode))["status"] == "ok"
        await asyncio.sleep(20)
        house.opener.ring()
        await told(house, 1, 2.0)
        await asyncio.sleep(90)
        assert [each["opened"] for each in house.rings()] == [opened]
        assert house.strikes() == 1
        assert [each for each in house.actions() if each["action"] == "open"] == []
        assert house.opener.links == 0


@pytest.mark.parametrize("after_s", [0.0, 0.3, 0.6, 0.9, 1.2, 1.5])
async def test_a_ring_while_the_log_is_read_on_account_of_an_action_is_told_once(
    tmp_path: Path, after_s: float
) -> None:
    """Its entry is read before the states that show that the door opens."""
    house = Intercom(tmp_path, WITH_PIN)
    house.radio.connect_s = 1.0
    async with house.running():
        await house.paired()
        await asyncio.sleep(30)
        house.opener.ring()
        await asyncio.sleep(30)
        assert (await house.do("activate_rto"))["status"] == "ok"
        while house.opener.links:
            await asyncio.sleep(0.01)
        await asyncio.sleep(after_s)
        house.opener.ring()
        await asyncio.sleep(60)
        assert [each["opened"] for each in house.rings()] == [None, "rto"]
        house.opener.ring()
        await asyncio.sleep(60)
        assert [each["opened"] for each in house.rings()] == [None, "rto", "rto"]


@BOTH
async def test_rings_while_continuous_mode_is_on_are_told_each(tmp_path: Path, settings: Any) -> None:
    house = Intercom(tmp_path, settings)
    async with house.running():
        await house.paired()
        await house.do("activate_cm")
        for count in (1, 2, 3):
            await asyncio.sleep(40)
            house.opener.ring()
            await told(house, count, 2.5)
        await asyncio.sleep(60)
        assert [each["opened"] for each in house.rings()] == ["continuous_mode"] * 3
        assert house.state() == ("locked", "on")


@BOTH
async def test_nothing_is_told_at_the_start(tmp_path: Path, settings: Any) -> None:
    """The beacon's bit is set and the log has a ring when the bridge starts."""
    house = Intercom(tmp_path, settings)
    async with house.running():
        await house.paired()
    house.opener.ring()
    await asyncio.sleep(600)
    second = house.again()
    async with second.running():
        await asyncio.sleep(120)
        assert second.rings() == []
        second.opener.ring()
        await told(second, 1, 2.0)


@BOTH
async def test_what_rang_while_it_was_out_of_range_is_not_told_later(tmp_path: Path, settings: Any) -> None:
    house = Intercom(tmp_path, settings)
    async with house.running():
        await house.paired()
        house.opener.out_of_range(True)
        await asyncio.sleep(30)
        house.opener.ring()
        await asyncio.sleep(300)
        house.opener.out_of_range(False)
        await asyncio.sleep(60)
        assert house.rings() == []


@BOTH
@pytest.mark.parametrize("action", ["open", "activate_rto", "deactivate_rto", "activate_cm", "deactivate_cm"])
async def test_an_action_of_ours_is_no_ring(tmp_path: Path, settings: Any, action: str) -> None:
    house = Intercom(tmp_path, settings)
    async with house.running():
        await house.paired()
        for _ in range(3):
            assert (await house.do(action))["status"] == "ok"
            await asyncio.sleep(30)
        assert house.rings() == []


@BOTH
async def test_the_echo_of_our_strike_is_no_ring(tmp_path: Path, settings: Any) -> None:
    house = Intercom(tmp_path, settings, strike_rings=True)
    async with house.running():
        await house.paired()
        for _ in range(2):
            assert (await house.do("open"))["status"] == "ok"
            await asyncio.sleep(120)
        assert house.rings() == []
        house.opener.ring()
        await told(house, 1, 2.0)


async def test_the_echo_of_a_strike_by_the_app_is_no_ring(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN, strike_rings=True)
    house.opener.advanced.single_button_press_action = 7
    async with house.running():
        await house.paired()
        house.opener.press_button()
        await asyncio.sleep(120)
        assert house.strikes() == 1
        assert house.rings() == []


async def test_a_strike_by_the_button_is_no_ring(tmp_path: Path) -> None:
    house = Intercom(tmp_path)
    house.opener.advanced.single_button_press_action = 7
    async with house.running():
        await house.paired()
        house.opener.press_button()
        await asyncio.sleep(120)
        assert house.strikes() == 1
        assert house.rings() == []
        assert [each["action"] for each in house.actions()] == ["open"]


async def test_a_ring_before_the_strike_is_told(tmp_path: Path) -> None:
    """Somebody rings and somebody else opens at once, without the bridge."""
    house = Intercom(tmp_path, WITH_PIN)
    house.opener.advanced.single_button_press_action = 7
    async with house.running():
        await house.paired()
        house.opener.ring()
        await asyncio.sleep(1.1)
        house.opener.press_button()
        await asyncio.sleep(60)
        assert len(house.rings()) == 1


@BOTH
async def test_the_owners_changes_are_no_ring(tmp_path: Path, settings: Any) -> None:
    house = Intercom(tmp_path, settings)
    async with house.running():
        await house.paired()
        house.opener.config_changed()
        await asyncio.sleep(30)
        house.opener.set_battery(5)
        await asyncio.sleep(30)
        house.opener.switch_rto(True)
        await asyncio.sleep(30)
        assert house.state() == ("rto_active", "off")
        house.opener.switch_rto(False)
        await asyncio.sleep(30)
        house.opener.switch_continuous_mode(True)
        await asyncio.sleep(30)
        assert house.state() == ("locked", "on")
        house.opener.switch_continuous_mode(False)
        await asyncio.sleep(30)
        assert house.rings() == []


async def test_a_log_that_is_switched_off_leaves_the_reports(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        answer = await house.ask("hall/request/log/set", {"enabled": False})
        assert answer["status"] == "ok"
        await asyncio.sleep(60)
        house.opener.ring()
        await told(house, 1, 5.0)
        await asyncio.sleep(60)
        assert [each["found_by"] for each in house.rings()] == ["state"]


async def test_a_refused_pin_leaves_the_reports(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        house.opener.pin_guard.change(4321)
        house.opener.ring()
        await told(house, 1, 5.0)
        await asyncio.sleep(60)
        house.opener.ring()
        await told(house, 2, 2.0)
        assert [each["found_by"] for each in house.rings()] == ["state", "state"]


async def test_two_rings_while_the_link_is_held_are_both_in_the_log(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        house.opener.ring()
        await asyncio.sleep(1.0)
        house.opener.ring()
        await asyncio.sleep(30)
        assert len(house.rings()) == 2


async def test_a_ring_is_told_once_although_the_bridge_starts_anew(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        house.opener.ring()
        await told(house, 1, 2.0)
        await asyncio.sleep(3)
    second = house.again()
    async with second.running():
        await asyncio.sleep(60)
        assert second.rings() == []


async def test_a_held_link_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    house = Intercom(tmp_path, LockSettings("hall", OPENER, connection="persistent", actions=frozenset({"lock"})))
    async with house.running():
        await house.paired()
        assert "connection: persistent" in caplog.text
        assert "an Opener does not have" in caplog.text
        assert house.opener.links == 1
        assert (await house.do("open"))["error"] == "action_not_allowed"


@BOTH
async def test_a_bit_that_stays_set_makes_no_ring_and_few_links(tmp_path: Path, settings: Any) -> None:
    house = Intercom(tmp_path, settings, beacon_bit_stays=True)
    async with house.running():
        await house.paired()
        house.opener.config_changed()
        await asyncio.sleep(60)
        before = sum(entry.what == "connected" for entry in house.opener.audit)
        await asyncio.sleep(3600)
        assert sum(entry.what == "connected" for entry in house.opener.audit) - before < 20
        assert house.rings() == []


async def test_paired_as_app_only_the_log_tells_of_rings(tmp_path: Path) -> None:
    """An App's reading does not clear the beacon's bit, which announces nothing more then."""
    house = Intercom(tmp_path, SETTINGS)
    async with house.running():
        house.opener.hold_button()
        await house.ask("bridge/request/pair", {"address": OPENER, "name": "hall", "as": "app"})
        await asyncio.sleep(30)
        house.opener.config_changed()
        await asyncio.sleep(600)
        assert house.rings() == []


async def test_a_ring_whose_entry_is_late_is_told_from_it(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN, log_late_s=1.5)
    async with house.running():
        await house.paired()
        house.opener.ring()
        await told(house, 1, 4.0)
        await asyncio.sleep(60)
        assert [each["found_by"] for each in house.rings()] == ["log"]


@BOTH
async def test_a_beacon_that_is_late(tmp_path: Path, settings: Any) -> None:
    house = Intercom(tmp_path, settings, beacon_bit_late_s=1.0)
    async with house.running():
        await house.paired()
        for action in ("open", "activate_rto", "deactivate_rto"):
            await house.do(action)
            await asyncio.sleep(40)
        assert house.rings() == []
        house.opener.ring()
        await told(house, 1, 3.5)


@BOTH
async def test_a_door_that_a_ring_opened_is_told_shut_again(tmp_path: Path, settings: Any) -> None:
    house = Intercom(tmp_path, settings)
    house.opener.advanced.disable_rto_after_ring = True
    async with house.running():
        await house.paired()
        await house.do("activate_rto")
        await asyncio.sleep(30)
        house.opener.ring()
        await asyncio.sleep(1.5)
        assert house.state()[0] in ("opening", "open")
        await asyncio.sleep(8.0)
        assert house.state() == ("locked", "off")
        assert house.opener.links == 0
        assert [each for each in house.actions() if each["action"] not in ("activate_rto",)] == []


async def test_a_wiring_that_rings_for_ever_is_told_and_nothing_breaks(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        for _ in range(30):
            house.opener.ring()
            await asyncio.sleep(2.0)
        await asyncio.sleep(30)
        assert len(house.rings()) == 30
        assert (await house.do("activate_rto"))["status"] == "ok"


# -- switched off -----------------------------------------------------------------------------------------------------


@BOTH
async def test_rings_that_nobody_wants_are_told_to_nobody_until_somebody_does(tmp_path: Path, settings: Any) -> None:
    house = Intercom(tmp_path, replace(settings, rings=False))
    async with house.running():
        await house.paired()
        for mode in ("", "activate_rto"):
            if mode:
                assert (await house.do(mode))["status"] == "ok"
                await asyncio.sleep(20)
            house.opener.ring()
            await asyncio.sleep(60)
        assert house.rings() == []
        assert house.strikes() == 1  # the second one opened
        await asyncio.sleep(120)
        discovery = next(each for topic, each in house.retained.items() if topic.endswith("4e5f6071/config"))
        assert "event_type" not in json.loads(discovery)["components"]["ring"]
    again = house.again()
    again.settings = replace(house.settings, locks=(settings,))
    async with again.running():
        await asyncio.sleep(200)
        assert again.rings() == []
        again.opener.ring()
        await told(again, 1, 3.0)
        discovery = next(each for topic, each in again.retained.items() if topic.endswith("4e5f6071/config"))
        assert json.loads(discovery)["components"]["ring"]["event_types"] == ["ring"]


async def test_a_wiring_that_rings_for_ever_has_no_log_read_where_rings_are_unwanted(tmp_path: Path) -> None:
    links = {}
    for wanted in (True, False):
        house = Intercom(tmp_path / str(wanted), replace(WITH_PIN, rings=wanted))
        async with house.running():
            await house.paired()
            before = house.lock("hall").reconnects
            for _ in range(150):
                house.opener.ring()
                await asyncio.sleep(2)
            links[wanted] = house.lock("hall").reconnects - before
            assert (house.rings() != []) is wanted
    assert links[False] < links[True]
