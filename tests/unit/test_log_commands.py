"""Switching a lock's log on and off over MQTT."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nuki_bridge.config import LockSettings
from tests.unit.house import PIN, House, act, ask, events, refusal


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "state", PIN)


async def test_the_log_is_switched_off_and_on(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        assert house.classic.log.enabled
        assert await ask(house, "log/set", enabled=False) == {"enabled": False}
        assert not house.classic.log.enabled
        before = len(house.classic.log.entries)
        await act(house, "unlock")
        assert len(house.classic.log.entries) == before
        assert await ask(house, "log/set", enabled=True) == {"enabled": True}
        await act(house, "lock")
        assert house.classic.log.enabled
        assert len(house.classic.log.entries) == before + 2  # the switch itself, and the action
        await asyncio.sleep(120.0)
        assert [each["enabled"] for each in events(house, "logging")] == [False, True]


@pytest.mark.parametrize("arguments", [{}, {"enabled": None}, {"enabled": 1}, {"enabled": "on"}, {"on": True}])
async def test_it_takes_true_or_false(house: House, arguments: dict[str, object]) -> None:
    async with house.running():
        await house.pair(name="front")
        assert await refusal(house, "log/set", **arguments) == "bad_request"
        assert house.classic.log.enabled


async def test_it_needs_the_pin(tmp_path: Path) -> None:
    house = House(tmp_path / "state", LockSettings("front"))
    async with house.running():
        await house.pair(name="front")
        assert await refusal(house, "log/set", enabled=False) == "pin_required"
        assert house.classic.log.enabled
