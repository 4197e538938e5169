"""What the lock's log tells is never ahead of the topics: the states are read first, then it is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.protocol.codes import Action, Completion, DoorState, LockState, LogType, Trigger
from tests.unit.house import PIN, House, events

QUIET = {"beacon_bit_missing": True}


@pytest.fixture(params=["persistent", "on-demand"])
def house(tmp_path: Path, request: pytest.FixtureRequest) -> House:
    return House(tmp_path / "state", replace(PIN, connection=request.param))


def be_quiet(house: House) -> None:
    house.classic.behaviour.beacon_bit_missing = True


def look(house: House) -> None:
    """The log is read now, whenever it would have been."""
    member = house.bridge.members.get("front")
    assert member is not None
    assert member.owned is not None
    member.owned.log_book.schedule()


def told(house: House, kind: str = "lock_action") -> list[tuple[str, str]]:
    return [(each["action"], each["state"]) for each in events(house, kind)]


def topic_when_told(house: House, kind: str, below: str) -> list[str]:
    """What stood on a retained topic at the moment of each event."""
    seen, now = [], ""
    for each in house.published:
        if each.topic == f"nuki/front/{below}":
            now = each.payload.decode()
        elif each.topic == "nuki/front/event" and f'"type":"{kind}"' in each.payload.decode().replace(" ", ""):
            seen.append(now)
    return seen


async def test_a_turn_that_only_the_log_tells_of_is_on_the_topics_first(house: House) -> None:
    be_quiet(house)
    async with house.running():
        await house.pair(name="front", **{"as": "app"})
        await asyncio.sleep(20.0)
        for state in (LockState.UNLOCKED, LockState.LOCKED):
            house.classic.turn_by_hand(state)
            look(house)
            await asyncio.sleep(1.0)
            assert house.retained["nuki/front/state"] == state.name.lower()
        assert told(house) == [("unlock", "unlocked"), ("lock", "locked")]
        assert topic_when_told(house, "lock_action", "state") == ["unlocked", "locked"]


async def test_what_was_refused_is_told_with_the_state_in_which_the_lock_is(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(20.0)
        house.classic.be_busy(3600.0)
        house.classic.press_fob(1)
        look(house)
        await asyncio.sleep(5.0)
        assert told(house) == [("unlock", "locked")]
        assert events(house, "lock_action")[0]["completion"] == "busy"


async def test_of_several_turns_at_once_each_has_its_own_state(house: House) -> None:
    be_quiet(house)
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(20.0)
        for state in (LockState.UNLOCKED, LockState.LOCKED, LockState.UNLATCHED, LockState.LOCKED, LockState.UNLOCKED):
            house.classic.turn_by_hand(state)
            await asyncio.sleep(0.2)
        look(house)
        await asyncio.sleep(12.0)
        assert told(house) == [
            ("unlock", "unlocked"),
            ("lock", "locked"),
            ("unlatch", "unlatched"),
            ("lock", "locked"),
            ("unlock", "unlocked"),
        ]


async def test_a_report_that_is_older_than_an_entry_does_not_stand_for_it(house: House) -> None:
    """One turn was reported, the next came before the log was read."""
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(20.0)
        member = house.bridge.members.get("front")
        assert member is not None
        assert member.lock is not None
        house.radio.latency_s = 0.3
        house.classic.turn_by_hand(LockState.UNLOCKED)
        be_quiet(house)
        begun = len(house.classic.audit)
        while not any(each.what == "log_read" for each in house.classic.audit[begun:]):
            await asyncio.sleep(0.05)
        house.classic.turn_by_hand(LockState.LOCKED)
        await asyncio.sleep(12.0)
        look(house)
        await asyncio.sleep(5.0)
        assert told(house) == [("unlock", "unlocked"), ("lock", "locked")]


async def test_an_action_that_failed_is_told_with_the_state_in_which_the_lock_is(house: House) -> None:
    be_quiet(house)
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(20.0)
        house.classic.log_action(Action.LOCK, Trigger.BUTTON, Completion.MOTOR_BLOCKED)
        house.classic.turn_by_hand(LockState.UNLOCKED)
        look(house)
        await asyncio.sleep(3.0)
        assert told(house) == [("lock", "unlocked"), ("unlock", "unlocked")]


async def test_what_happened_while_the_bridge_was_away_has_states_too(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(20.0)
    for number in range(25):
        house.classic.turn_by_hand(LockState.LOCKED if number % 2 else LockState.UNLOCKED)
    async with house.restarted().running() as new:
        await asyncio.sleep(10)
        await asyncio.sleep(30.0)
        assert told(new) == [("lock", "locked") if number % 2 else ("unlock", "unlocked") for number in range(25)]


async def test_a_door_that_only_the_log_tells_of_is_on_its_topic_first(house: House) -> None:
    be_quiet(house)
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(20.0)
        for door, word in ((DoorState.OPEN, "open"), (DoorState.CLOSED, "closed")):
            house.classic.set_door(door)
            look(house)
            await asyncio.sleep(1.0)
            assert house.retained["nuki/front/door"] == word
        assert [each["door"] for each in events(house, "door")] == ["open", "closed"]
        assert topic_when_told(house, "door", "door") == ["open", "closed"]


async def test_what_moves_nothing_does_not_have_the_lock_asked(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(20.0)
        house.classic.write_log(LogType.LOGGING, 1)
        member: Any = house.bridge.members.get("front")
        read_at = member.lock.updated
        look(house)
        await asyncio.sleep(0.5)
        assert len(events(house, "logging")) == 1
        assert member.lock.updated == read_at


async def test_an_action_that_was_refused_is_told_with_the_state_in_which_the_lock_is(house: House) -> None:
    be_quiet(house)
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(20.0)
        house.classic.turn_by_hand(LockState.UNLOCKED)
        house.classic.log_action(Action.UNLATCH, Trigger.SYSTEM, Completion.BUSY)
        house.classic.log_action(Action.BUTTON_NO_ACTION, Trigger.BUTTON, Completion.SUCCESS)
        look(house)
        await asyncio.sleep(3.0)
        assert told(house) == [("unlock", "unlocked"), ("unlatch", "unlocked"), ("button_no_action", "unlocked")]
