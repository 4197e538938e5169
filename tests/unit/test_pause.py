"""A pause for the maker's app: nothing is asked by oneself, no link held, no ring told; what people ask for is done."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.house import PIN, House, ask, refusal
from tests.unit.intercom import SETTINGS, WITH_PIN, Intercom


def connects(house: House, name: str) -> int:
    return house.lock(name).reconnects


async def paused(house: House, name: str, **arguments: Any) -> str | None:
    answer = await house.ask(f"{name}/request/pause", arguments)
    assert answer["status"] == "ok", answer
    until: str | None = answer["data"]["paused_until"]
    return until


@pytest.mark.parametrize("settings", [SETTINGS, WITH_PIN], ids=["no pin", "pin"])
async def test_an_opener_is_left_alone_and_no_ring_is_told_then_or_later(tmp_path: Path, settings: Any) -> None:
    house = Intercom(tmp_path, settings)
    async with house.running():
        await house.paired()
        until = await paused(house, "hall")
        assert until is not None
        assert until.startswith("2026-12-01T09:")
        await asyncio.sleep(1.0)
        assert house.status()["paused_until"] == until
        before = connects(house, "hall")
        house.opener.ring()
        await asyncio.sleep(590)
        assert connects(house, "hall") == before
        assert house.rings() == []
        await asyncio.sleep(60)
        assert connects(house, "hall") > before, "it goes on by itself"
        assert house.status()["paused_until"] is None
        assert house.rings() == []
        house.opener.ring()
        await asyncio.sleep(5)
        assert len(house.rings()) == 1


async def test_what_somebody_asks_for_is_done_and_the_link_let_go_at_once(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        await paused(house, "hall", **{"for": 300})
        assert (await house.do("open"))["status"] == "ok"
        assert house.strikes() == 1
        await asyncio.sleep(0.5)
        assert not house.lock("hall").connected
        assert (await house.ask("hall/request/config/get"))["status"] == "ok"
        await asyncio.sleep(0.5)
        assert not house.lock("hall").connected
        assert house.status()["paused_until"] is not None


async def test_a_held_link_is_let_go_and_taken_up_again_when_the_pause_is_ended(tmp_path: Path) -> None:
    house = House(tmp_path, PIN)
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(10)
        assert house.lock().connected
        await paused(house, "front", **{"for": 3600})
        await asyncio.sleep(1)
        assert not house.lock().connected
        writes = sum(each.what == "write" for each in house.classic.audit)
        await asyncio.sleep(1800)
        assert sum(each.what == "write" for each in house.classic.audit) == writes
        assert house.retained["nuki/front/availability"] == "online"  # it is heard, and a command would reach it
        assert await paused(house, "front", enabled=False) is None
        await asyncio.sleep(2)
        assert house.lock().connected
        assert json.loads(house.retained["nuki/front/status"])["paused_until"] is None


async def test_a_pause_takes_the_place_of_the_one_before_and_ends_with_the_bridge(tmp_path: Path) -> None:
    house = House(tmp_path, replace(PIN, connection="on-demand"))
    async with house.running():
        await house.pair(name="front")
        longer, shorter = await paused(house, "front", **{"for": 3600}), await paused(house, "front", **{"for": 60})
        assert str(shorter) < str(longer)
        assert await refusal(house, "pause", **{"for": 3601}) == "bad_request"
        assert await refusal(house, "pause", **{"for": 0}) == "bad_request"
        await ask(house, "pause")
    again = house.restarted()
    async with again.running():
        await asyncio.sleep(10)
        assert json.loads(again.retained["nuki/front/status"])["paused_until"] is None
