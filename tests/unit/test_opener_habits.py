"""What nobody knows of a real Opener, played both ways: nothing is told twice, and nothing that is not so."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.protocol.codes import ErrorCode, IdType
from tests.unit.intercom import SETTINGS, WITH_PIN, Intercom

BOTH = pytest.mark.parametrize("settings", [SETTINGS, WITH_PIN], ids=["no pin", "pin"])
EITHER_WAY = pytest.mark.parametrize("habit", [False, True])


@BOTH
@EITHER_WAY
async def test_an_opening_by_ring_is_a_ring_whether_the_log_has_it_or_not(
    tmp_path: Path, settings: Any, habit: bool
) -> None:
    house = Intercom(tmp_path, settings, logs_opening_by_ring=habit)
    async with house.running():
        await house.paired()
        assert (await house.do("activate_rto"))["status"] == "ok"
        for count in (1, 2):
            await asyncio.sleep(60)
            house.opener.ring()
            await asyncio.sleep(60)
            assert [each["opened"] for each in house.rings()] == ["rto"] * count
        assert house.strikes() == 2
        assert len([each for each in house.actions() if each["action"] == "activate_rto"]) == 1
        assert len([each for each in house.actions() if each["action"] == "open"]) <= (2 if habit else 0)


@BOTH
@EITHER_WAY
async def test_a_mode_is_told_once_whether_the_log_has_it_or_not(tmp_path: Path, settings: Any, habit: bool) -> None:
    house = Intercom(tmp_path, settings, logs_modes=habit)
    async with house.running():
        await house.paired()
        for action in ("activate_rto", "deactivate_rto", "activate_continuous_mode", "deactivate_continuous_mode"):
            assert (await house.do(action))["status"] == "ok"
            await asyncio.sleep(60)
            assert [each["action"] for each in house.actions() if each["action"] == action] == [action]
        assert len(house.actions()) == 4
        assert house.rings() == []
        assert house.strikes() == 0


@BOTH
@EITHER_WAY
async def test_whether_ring_to_open_ends_continuous_mode_is_told_as_it_is(
    tmp_path: Path, settings: Any, habit: bool
) -> None:
    house = Intercom(tmp_path, settings, rto_ends_continuous_mode=habit)
    async with house.running():
        await house.paired()
        assert (await house.do("activate_continuous_mode"))["status"] == "ok"
        assert (await house.do("activate_rto"))["status"] == "ok"
        await asyncio.sleep(30)
        assert house.state() == ("rto_active", "off" if habit else "on")
        assert (await house.do("deactivate_rto"))["status"] == "ok"
        await asyncio.sleep(30)
        assert house.state() == ("locked", "off" if habit else "on")
        assert house.rings() == []


@EITHER_WAY
async def test_with_the_log_an_app_that_connects_is_no_ring(tmp_path: Path, habit: bool) -> None:
    """It keeps the only link, so that what rings meanwhile is told when it has gone."""
    house = Intercom(tmp_path, WITH_PIN, app_sets_bit=habit)
    async with house.running():
        await house.paired()
        entry = house.opener.add_user(bytes(range(32)), IdType.APP, 3, "app", full=ErrorCode.MAX_USER)
        for rings in (0, 1):
            house.opener.connected(900 + rings)
            house.opener.device.met(entry)
            await asyncio.sleep(10)
            if rings:
                house.opener.ring()
            await asyncio.sleep(10)
            assert house.rings() == []
            house.opener.disconnected(900 + rings)
            await asyncio.sleep(60)
            assert len(house.rings()) == rings
        assert (await house.do("open"))["status"] == "ok"
        assert house.strikes() == 1


@BOTH
async def test_what_app_button_and_fob_switch_is_seen_through_the_beacon(tmp_path: Path, settings: Any) -> None:
    house = Intercom(tmp_path, settings)
    async with house.running():
        await house.paired()
        for switch, state in (
            (lambda: house.opener.switch_continuous_mode(True), ("locked", "on")),
            (house.opener.press_button, ("rto_active", "on")),
            (house.opener.press_fob, ("locked", "on")),
            (lambda: house.opener.switch_continuous_mode(False), ("locked", "off")),
        ):
            switch()
            await asyncio.sleep(15)
            assert house.state() == state
        house.opener.press_button(2)
        await asyncio.sleep(30)
        assert house.strikes() == 1
        assert house.state() == ("locked", "off")
        assert house.rings() == []
