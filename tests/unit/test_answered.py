"""A command that comes twice is carried out once, and both askers are answered; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.bridge.answered import MAX_REMEMBERED, MAX_WAITING
from nuki_bridge.simulator.behaviour import seeded
from tests.unit.house import House

UNLATCH = {"action": "unlatch", "transaction": "t1"}


@asynccontextmanager
async def home(directory: Path) -> AsyncIterator[House]:
    house = House(directory)
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(5.0)
        yield house


def movements(house: House) -> int:
    return len(house.classic.movements())


def results(house: House) -> list[dict[str, Any]]:
    return house.events("front/result")


async def test_an_unlatch_that_is_sent_again_while_it_is_under_way_opens_once(tmp_path: Path) -> None:
    async with home(tmp_path) as house:
        house.send("front/set", UNLATCH)
        await asyncio.sleep(0.5)
        house.send("front/set", UNLATCH, response_topic="me/inbox", correlation_data=b"2")
        await asyncio.sleep(30.0)
        success = {"action": "unlatch", "status": "ok", "completion": "success", "transaction": "t1"}
        assert results(house) == [success, success]
        assert [each.correlation_data for each in house.published if each.topic == "me/inbox"] == [b"2"]
        assert movements(house) == 1


async def test_an_unlatch_that_is_sent_again_within_a_minute_is_answered_from_memory(tmp_path: Path) -> None:
    async with home(tmp_path) as house:
        first = await house.ask("front/set", UNLATCH)
        for _ in range(5):
            await asyncio.sleep(10.0)
            assert await house.ask("front/set", UNLATCH, again=True) == first
        assert movements(house) == 1
        await asyncio.sleep(15.0)
        assert (await house.ask("front/set", UNLATCH))["status"] == "ok"
        assert movements(house) == 2, "after a minute it is a new command"


async def test_a_failure_is_remembered_too_and_not_made_good_late(tmp_path: Path) -> None:
    async with home(tmp_path) as house:
        house.radio.control({"lock": house.classic.address, "out_of_range": True})
        assert (await house.ask("front/set", UNLATCH))["error"] == "timeout"
        house.radio.control({"lock": house.classic.address, "out_of_range": False})
        await asyncio.sleep(20.0)
        assert (await house.ask("front/set", UNLATCH))["error"] == "timeout"
        assert movements(house) == 0
        assert (await house.ask("front/set", {**UNLATCH, "transaction": "t2"}))["status"] == "ok"


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("front/set", {"action": "lock", "transaction": "t1"}),
        ("front/set", {"action": "unlatch", "transaction": "t2"}),
        ("front/set", {"action": "unlatch"}),
        ("front/set", {"action": "unlatch", "transaction": None}),
        ("front/set", "unlatch"),
    ],
)
async def test_another_command_is_carried_out(tmp_path: Path, topic: str, payload: Any) -> None:
    async with home(tmp_path) as house:
        await house.ask("front/set", UNLATCH)
        for count in (2, 3):
            answer = await house.ask(topic, payload)
            assert answer["action"] == (payload["action"] if isinstance(payload, dict) else payload)
            if isinstance(payload, dict) and payload.get("transaction") is not None:
                break
            assert movements(house) == count, "without a transaction two commands are two"
        assert movements(house) >= 2


async def test_what_changes_something_is_done_once_and_what_only_reads_is_read_anew(tmp_path: Path) -> None:
    async with home(tmp_path) as house:
        asked = {"address": "00:11:22:33:44:55", "timeout": 5, "transaction": 1}
        house.send("bridge/request/pair", asked)
        house.send("bridge/request/pair", asked)
        await asyncio.sleep(10.0)
        first, second = house.events("bridge/response/pair")[-2:]
        assert first == second, "not busy: it is the same pairing"
        house.send("front/request/refresh", {"transaction": 1})
        await asyncio.sleep(5.0)
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"
        assert (await house.ask("front/request/refresh", {"transaction": 1}))["data"]["state"] == "unlocked"


async def test_what_the_broker_delivers_again_is_known_without_a_transaction(tmp_path: Path) -> None:
    async with home(tmp_path) as house:
        first = await house.ask("front/set", "unlatch")
        assert await house.ask("front/set", "unlatch", again=True) == first
        assert movements(house) == 1


async def test_what_the_broker_delivers_again_and_nobody_has_seen_is_of_unknown_age(tmp_path: Path) -> None:
    async with home(tmp_path) as house:
        for payload in ("unlatch", UNLATCH):
            answer = await house.ask("front/set", payload, again=True)
            assert answer["error"] == "timeout"
        assert (await house.ask("front/request/refresh", again=True))["status"] == "ok"
        assert movements(house) == 0


async def test_memory_is_bounded(tmp_path: Path) -> None:
    async with home(tmp_path) as house:
        memory = house.bridge.intake._answered
        house.send("front/set", UNLATCH)
        for _ in range(MAX_WAITING + 5):
            house.send("front/set", UNLATCH)
        await asyncio.sleep(30.0)
        errors = [each.get("error") for each in results(house)]
        assert (errors.count(None), errors.count("too_many_requests")) == (MAX_WAITING + 1, 5)
        for number in range(MAX_REMEMBERED + 50):
            await house.ask("bridge/request/unpair", {"name": "nobody", "transaction": number})
            await asyncio.sleep(0.1)
        assert len(memory._commands) <= MAX_REMEMBERED
        assert movements(house) == 1
        await asyncio.sleep(61.0)
        await house.ask("bridge/request/unpair", {"name": "nobody", "transaction": seeded(1)(4).hex()})
        assert len(memory._commands) == 1


async def test_no_pin_is_kept_to_know_a_command_again(tmp_path: Path) -> None:
    async with home(tmp_path) as house:
        await house.ask("front/request/pin/verify", {"pin": "987654", "transaction": 1})
        assert "987654" not in repr(house.bridge.intake._answered._commands)
