"""A link on which everything takes long: people first, lists that grow are waited for; in virtual time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.protocol.codes import Action, Completion, LockState, Trigger
from tests.unit.house import PIN, House, add, ask
from tests.unit.rig import clock


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "state", PIN)


def slow(house: House) -> None:
    """The smallest MTU, 50 ms for each indication: an entry takes a third of a second."""
    house.radio.mtu, house.radio.indication_s = 23, 0.05


async def answer_of(house: House, command: str, **arguments: Any) -> tuple[dict[str, Any], float]:
    begun = clock()
    answer = await house.ask(f"front/{command}", arguments, wait_s=400.0)
    return answer, clock() - begun


async def test_at_a_second_and_a_half_for_each_answer_commands_get_through(house: House) -> None:
    """While the bridge reads all that it reads after a start: states, configuration, users, log."""
    for number in range(30):
        add(house, f"User {number}")
        house.classic.log_action(Action.UNLOCK, Trigger.MANUAL, Completion.SUCCESS)
    async with house.running():
        await house.pair(name="front")
    house.radio.latency_s = 1.5
    async with house.running():
        await asyncio.sleep(4.0)
        for action in ("unlock", "lock", "unlock"):
            answer, took_s = await answer_of(house, "set", action=action)
            assert answer["status"] == "ok", answer
            assert took_s <= 12.0
        await asyncio.sleep(120.0)
        assert len(json.loads(house.retained["nuki/front/users"])) == 31
    assert [each.detail for each in house.classic.movements()] == [
        "unlock: unlocking",
        "lock: locking",
        "unlock: unlocking",
    ]


@pytest.mark.parametrize("users", [20, 99, 199])
async def test_a_list_takes_as_long_as_it_takes_and_people_get_their_turn_meanwhile(house: House, users: int) -> None:
    async with house.running():
        await house.pair(name="front")
        slow(house)
        for number in range(users):
            add(house, f"User {number}")
        listing = asyncio.create_task(answer_of(house, "request/users/list"))
        await asyncio.sleep(2.0)
        answer, took_s = await answer_of(house, "set", action="unlock")
        assert answer["status"] == "ok", answer
        assert took_s <= 7.0
        answer, _ = await listing
        assert answer["status"] == "ok", answer
        assert len(answer["data"]) == users + 1


@pytest.mark.parametrize("users", [20, 99])
async def test_one_user_is_changed_without_reading_the_others(house: House, users: int) -> None:
    async with house.running():
        await house.pair(name="front")
        for number in range(users):
            add(house, f"User {number}")
        await ask(house, "users/list")
        await asyncio.sleep(30.0)
        slow(house)
        answer, took_s = await answer_of(house, "request/users/update", name="User 7", remote=True)
        assert answer["status"] == "ok", answer
        assert answer["data"]["remote"] is True
        assert took_s <= 3.0
        answer, took_s = await answer_of(house, "request/users/remove", name="User 9")
        assert answer["status"] == "ok", answer
        assert took_s <= 8.0  # the list is read meanwhile, and gives way
        assert [each for each in house.classic.authorizations if each.name == "User 9"] == []


@pytest.mark.parametrize("habit", [{}, {"tells_entry_count": False}, {"list_end_missing": True}], ids=str)
async def test_a_change_is_made_to_what_the_lock_has_now(house: House, habit: dict[str, Any]) -> None:
    """Somebody else has removed, renamed or added one since the list was read, which this firmware does not count."""
    lock = house.classic
    for key, value in habit.items():
        setattr(lock.behaviour, key, value)
    async with house.running():
        await house.pair(name="front")
        people = [add(house, name) for name in ("Anna", "Ben", "Cleo", "Dora")]
        await ask(house, "users/list")
        await asyncio.sleep(5.0)
        lock.behaviour.counts_user_changes = False
        lock.authorizations.remove(people[0].authorization_id)
        people[2].remote_allowed = True
        told = await ask(house, "users/update", name="Cleo", rename="Cleopatra")
        assert (told["name"], told["remote"]) == ("Cleopatra", True)
        people[1].name = "Benjamin"
        answer, _ = await answer_of(house, "request/users/update", name="Ben", enabled=False)
        assert answer["error"] == "unknown_user"
        add(house, "Dora")
        answer, _ = await answer_of(house, "request/users/remove", name="Dora")
        assert answer["error"] == "ambiguous"


@pytest.mark.parametrize("entries", [0, 1, 19, 20, 21, 57])
async def test_a_log_without_its_end_is_over_when_it_is_complete(house: House, entries: int) -> None:
    lock = house.classic
    lock.behaviour.list_end_missing = True
    for _ in range(entries):
        lock.log_action(Action.UNLOCK, Trigger.MANUAL, Completion.SUCCESS)
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(60.0)
        answer, took_s = await answer_of(house, "request/log/get", count=60)
        assert answer["status"] == "ok"
        assert len(answer["data"]) == len(lock.log.entries) == entries
        assert took_s <= 10.0
        assert house.bridge.members.get("front") is not None


async def test_a_slow_log_is_told_entry_by_entry_and_people_get_their_turn(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(10.0)
        slow(house)
        for number in range(60):
            house.classic.turn_by_hand(LockState.UNLOCKED if number % 2 else LockState.LOCKED)
        await asyncio.sleep(12.0)
        answer, took_s = await answer_of(house, "set", action="unlock")
        assert answer["status"] == "ok", answer
        assert took_s <= 7.0
        await asyncio.sleep(120.0)
        assert sum(each["type"] == "lock_action" for each in house.events("front/event")) >= 60


async def test_a_list_that_is_being_read_anyway_is_waited_for_and_not_read_twice(house: House) -> None:
    for number in range(99):
        add(house, f"User {number}")
    async with house.running():
        await house.pair(name="front")
    slow(house)
    async with house.running():
        await asyncio.sleep(8.0)
        answer, _ = await answer_of(house, "request/users/list")
        assert answer["status"] == "ok", answer
        assert len(answer["data"]) == 100
        read = sum(int(each.detail or 0) for each in house.classic.audit if each.what == "entries_read")
        assert read <= 250  # each page begins with the last one of the page before


async def test_a_long_log_takes_as_long_as_it_takes(house: House) -> None:
    for _ in range(150):
        house.classic.log_action(Action.UNLOCK, Trigger.MANUAL, Completion.SUCCESS)
    async with house.running():
        await house.pair(name="front")
        slow(house)
        answer, took_s = await answer_of(house, "request/log/get", count=150)
        assert answer["status"] == "ok", answer
        assert len(answer["data"]) == 150
        assert took_s > 20.0
