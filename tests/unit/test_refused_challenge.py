"""A challenge that the lock refuses is renewed once, whatever was asked with it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.unit.house import PIN, House, add

REQUESTS: dict[str, dict[str, Any]] = {
    "config/get": {},
    "config/set": {"led_enabled": False, "auto_lock_enabled": False},
    "time/set": {},
    "users/list": {},
    "users/update": {"name": "Anna", "remote": True},
    "users/remove": {"name": "Anna"},
    "users/add": {"name": "Ben"},
    "invite/create": {"name": "Ben"},
    "keypad/list": {},
    "timecontrol/list": {},
    "log/get": {},
    "pin/verify": {"pin": "1234"},
    "calibrate": {},
    "reboot": {},
}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "state", PIN)


def spoil(house: House) -> Any:
    member: Any = house.bridge.members.get("front")
    member.lock.exchange.challenge = bytes(32)
    return member.lock


def refusals(house: House) -> int:
    return sum(each.detail == "bad_nonce" for each in house.classic.audit)


@pytest.mark.long
@pytest.mark.parametrize("command", REQUESTS)
async def test_every_request_gets_over_an_outdated_challenge(house: House, command: str) -> None:
    house.classic.settings.has_keypad = True
    async with house.running():
        await house.pair(name="front")
        add(house, "Anna")
        await asyncio.sleep(20.0)
        spoil(house)
        answer = await house.ask(f"front/request/{command}", REQUESTS[command])
        assert answer["status"] == "ok", answer
        assert refusals(house) == 1
        if command == "users/add":
            assert sum(each.name == "Ben" for each in house.classic.authorizations) == 1


async def test_what_the_bridge_reads_by_itself_gets_over_it_too(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(20.0)
        house.classic.config_changed()
        lock = spoil(house)
        reconnects = lock.reconnects
        await asyncio.sleep(30.0)
        assert refusals(house) == 1
        assert lock.reconnects == reconnects
        assert lock.config_is_complete
