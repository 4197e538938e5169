"""A flood of commands on one topic, and everybody else meanwhile; on virtual time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.bridge.lanes import AT_ONCE, CROWDED, MAX_COMMANDS, MOST, QUIET_S
from tests.unit.house import CLASSIC, ULTRA, House
from tests.unit.rig import clock


@asynccontextmanager
async def home(directory: Path, motor_s: float = 0.1) -> AsyncIterator[House]:
    house = House(directory)
    async with house.running():
        await house.pair(name="front")
        await house.pair(ULTRA, name="back", pin="123456")
        for address in (CLASSIC, ULTRA):
            house.radio.control({"lock": address, "motor_s": motor_s})
        await asyncio.sleep(20.0)
        yield house


async def flood(house: House, topic: str, payload: Any, *, each_second: float, seconds: float) -> None:
    for _ in range(int(each_second * seconds)):
        house.send(topic, payload)
        await asyncio.sleep(1 / each_second)


async def answered_after(house: House, topic: str, payload: Any = b"", **fields: Any) -> float:
    started = clock()
    answer = await house.ask(topic, payload, **fields)
    assert answer["status"] == "ok", answer
    return clock() - started


def refusals(house: House, topic: str = "front/result") -> int:
    return [each.get("error") for each in house.events(topic)].count("too_many_requests")


@pytest.mark.long
async def test_what_is_no_part_of_a_flood_passes_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with home(tmp_path) as house:
        caplog.clear()
        moved = len(house.classic.movements())
        task = asyncio.create_task(flood(house, "front/set", "lock", each_second=1000, seconds=130))
        await asyncio.sleep(1.0)
        for _ in range(5):
            assert await answered_after(house, "back/set", "unlock") < 1.0
            assert await answered_after(house, "bridge/request/locks") < 1.0
            assert await answered_after(house, "front/request/refresh") < 1.0
            await asyncio.sleep(10.0)
        await task
        assert len(house.classic.movements()) - moved <= AT_ONCE + 1, "what was refused is gone"
        assert refusals(house) < MAX_COMMANDS + MOST + 130 / 5
        await asyncio.sleep(QUIET_S + 1)
        assert await answered_after(house, "front/set", "unlock") < 1.0
        texts = [each.getMessage() for each in caplog.records if each.levelno >= logging.INFO]
        assert len(texts) < MOST + 50
        [first] = [each for each in texts if "none there is carried out" in each]
        assert "nuki/front/set" in first
        assert [each for each in texts if each.startswith("no more come on nuki/front/set; 129")]
        minutes = [int(each.split()[0]) for each in texts if "more commands on nuki/front/set were refused" in each]
        assert len(minutes) == 2
        assert min(minutes) > 50_000


async def test_what_waits_from_a_flood_is_given_up(tmp_path: Path) -> None:
    async with home(tmp_path, motor_s=2.0) as house:
        for number in range(MOST + 1):
            house.send("front/set", {"action": "unlatch", "transaction": number})
            await asyncio.sleep(0.001)
        await asyncio.sleep(30.0)
        answers = {each.get("transaction"): each for each in house.events("front/result")}
        assert [answers[number]["status"] for number in range(AT_ONCE)] == ["ok"] * AT_ONCE
        errors = {answers[number]["error"] for number in range(AT_ONCE, MAX_COMMANDS)}
        assert errors == {"too_many_requests"}
        for number in range(MOST + 1):
            house.send("back/set", {"action": "unlock", "transaction": number})
        await asyncio.sleep(30.0)
        assert {each["error"] for each in house.events("back/result")} == {"too_many_requests"}
        assert len(house.classic.movements()) <= AT_ONCE


@pytest.mark.long
async def test_a_slow_flood_leaves_room_for_others(tmp_path: Path) -> None:
    """Five commands a second are more than a motor can do, and few enough for somebody's rule."""
    async with home(tmp_path, motor_s=2.0) as house:
        actions = asyncio.create_task(flood(house, "front/set", "lock", each_second=5, seconds=120))
        await asyncio.sleep(4.0)
        assert await answered_after(house, "front/request/refresh") < AT_ONCE * 4.0, "not behind all that wait"
        await asyncio.sleep(26.0)
        for _ in range(5):
            assert await answered_after(house, "front/request/refresh") < 1.0
            await asyncio.sleep(10.0)
        await actions


async def test_first_command_after_a_quiet_time_passes(tmp_path: Path) -> None:
    async with home(tmp_path) as house:
        await flood(house, "front/set", "lock", each_second=1000, seconds=2)
        await asyncio.sleep(QUIET_S - 1)
        assert (await house.ask("front/set", "unlock", wait_s=10))["error"] == "too_many_requests"
        await asyncio.sleep(QUIET_S + 0.1)
        assert await answered_after(house, "front/set", "unlock") < 1.0


async def test_an_asker_with_an_inbox_of_its_own_is_told_that_it_is_refused(tmp_path: Path) -> None:
    async with home(tmp_path) as house:
        task = asyncio.create_task(flood(house, "front/set", "lock", each_second=100, seconds=10))
        await asyncio.sleep(3.0)
        house.send("front/set", {"action": "unlock", "transaction": 7}, response_topic="me/inbox")
        assert [each.topic for each in house.published].count("me/inbox") == 1
        for _ in range(50):
            house.send("front/set", "lock", response_topic="them/inbox")
        assert [each.topic for each in house.published].count("them/inbox") <= 1
        await task


@pytest.mark.long
@pytest.mark.parametrize("topic", ["bridge/request/health", "front/request/refresh", "front/request/users/list"])
async def test_a_flood_of_requests_is_one_too(tmp_path: Path, topic: str) -> None:
    async with home(tmp_path) as house:
        before = len(house.published)
        task = asyncio.create_task(flood(house, topic, b"", each_second=1000, seconds=20))
        await asyncio.sleep(2.0)
        assert await answered_after(house, "front/set", "unlock") < 2.0
        assert await answered_after(house, "bridge/request/locks") < 1.0
        await task
        assert len(house.published) - before < 2 * MOST


async def test_topics_that_mean_nothing_do_not_add_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with home(tmp_path) as house:
        before = len(house.published)
        caplog.clear()
        for number in range(5000):
            house.send(f"door{number}/set", "unlock")
            house.send(f"front/request/no{number}")
            house.send(f"door{number}/request/refresh")
        assert len(house.published) - before <= MOST + 1
        assert len(caplog.records) <= 21
        assert len(house.bridge.intake._lanes) < 20
        assert await answered_after(house, "front/set", "unlock") < 1.0


async def test_refusals_are_counted_and_not_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Slow enough to be no flood: every one is answered."""
    caplog.set_level(logging.INFO)
    async with home(tmp_path) as house:
        caplog.clear()
        await flood(house, "front/set", "fly", each_second=5, seconds=60)
        assert [each["error"] for each in house.events("front/result")] == ["unknown_action"] * 300
        texts = [each.getMessage() for each in caplog.records if "refused" in each.getMessage()]
        assert 20 < len(texts) < 40
        assert sum(int(each.split()[0]) for each in texts if "more commands were refused" in each) > 200


async def test_a_few_commands_are_carried_out_in_their_order(tmp_path: Path) -> None:
    async with home(tmp_path, motor_s=1.0) as house:
        start = len(house.published)
        for _ in range(CROWDED // 2):
            house.send("front/set", "unlock")
            house.send("front/set", "lock")
        house.send("front/request/refresh")
        await asyncio.sleep(60.0)
        topics = [each.topic for each in house.published[start:] if not each.retain]
        answers = [each for each in topics if each.endswith(("/result", "/response/refresh"))]
        assert answers == ["nuki/front/result"] * CROWDED + ["nuki/front/response/refresh"]


async def test_a_command_that_waits_too_long_is_gone(tmp_path: Path) -> None:
    async with home(tmp_path, motor_s=6.0) as house:
        for number in range(10):
            house.send("front/set", {"action": "lock" if number % 2 else "unlock", "transaction": number})
        await asyncio.sleep(60.0)
        late = [each for each in house.events("front/result") if each.get("error") == "timeout"]
        assert len(late) >= 5
        assert {each["message"] for each in late} == {"the lock was busy with earlier commands until the deadline"}
        assert len(house.classic.movements()) == 10 - len(late)


async def test_unpairing_leaves_nothing_waiting(tmp_path: Path) -> None:
    async with home(tmp_path, motor_s=5.0) as house:
        for _ in range(10):
            house.send("front/set", "unlock")
        await asyncio.sleep(0.5)
        assert (await house.ask("bridge/request/unpair", {"name": "front"}))["status"] == "ok"
        assert [each.get("error") for each in house.events("front/result")].count("stopped") == 10
