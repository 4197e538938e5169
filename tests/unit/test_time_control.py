"""Time control over MQTT: what the lock does by its own clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.protocol.codes import Action, Family
from nuki_bridge.protocol.time_control import (
    AddTimeControlEntry,
    RemoveTimeControlEntry,
    RequestTimeControlEntries,
    TimeControlEntry,
    UpdateTimeControlEntry,
)
from nuki_bridge.protocol.wire import decode, encode
from tests.unit.house import PIN, House, ask, refusal


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "state", PIN)


def on_lock(house: House) -> list[tuple[int, int, object, Action, bool]]:
    return [(each.entry_id, each.weekdays, each.at, each.action, each.enabled) for each in house.classic.time_control]


@pytest.mark.parametrize(
    ("message", "classic"),
    [
        (
            AddTimeControlEntry(
                weekdays=0b1111100, at=time(22, 30), action=Action.LOCK, nonce=bytes(32), security_pin=1
            ),
            "7c161e02" + "00" * 32 + "0100",
        ),
        (
            UpdateTimeControlEntry(
                entry_id=3,
                enabled=False,
                weekdays=0,
                at=time(0, 5),
                action=Action.UNLOCK,
                nonce=bytes(32),
                security_pin=1,
            ),
            "030000000501" + "00" * 32 + "0100",
        ),
        (RemoveTimeControlEntry(entry_id=3, nonce=bytes(32), security_pin=1), "03" + "00" * 32 + "0100"),
        (RequestTimeControlEntries(nonce=bytes(32), security_pin=1), "00" * 32 + "0100"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_requests_byte_by_byte(message: Any, classic: str) -> None:
    """As the tables in the document have them: no published example exists."""
    assert encode(message, Family.CLASSIC).hex() == classic
    assert encode(message, Family.ULTRA).hex() == classic + "0000"


def test_an_entry_is_read() -> None:
    entry = decode(0x3E, bytes.fromhex("03017c161e02"), Family.CLASSIC)
    expected = TimeControlEntry(entry_id=3, enabled=True, weekdays=0b1111100, at=time(22, 30), action=Action.LOCK)
    assert entry == expected


async def test_an_entry_from_its_making_to_its_end(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        assert await ask(house, "timecontrol/list") == []
        made = await ask(house, "timecontrol/add", time="22:30", action="lock", weekdays=["mo", "su"])
        assert made == {"id": 1, "enabled": True, "weekdays": ["mo", "su"], "time": "22:30", "action": "lock"}
        assert on_lock(house) == [(1, 0b1000001, time(22, 30), Action.LOCK, True)]
        assert await ask(house, "timecontrol/list") == [made]

        changed = await ask(house, "timecontrol/update", id=1, enabled=False, time="23:00")
        assert changed == {**made, "enabled": False, "time": "23:00"}
        changed = await ask(house, "timecontrol/update", id=1, weekdays=[], action="full_lock")
        assert changed["weekdays"] == ["mo", "tu", "we", "th", "fr", "sa", "su"]
        assert on_lock(house) == [(1, 0, time(23, 0), Action.FULL_LOCK, False)]

        assert await ask(house, "timecontrol/remove", id=1) == {"id": 1}
        assert on_lock(house) == []


async def test_an_entry_may_be_made_disabled(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        made = await ask(house, "timecontrol/add", time="06:00", action="unlock", enabled=False)
        assert made["enabled"] is False
        assert on_lock(house) == [(1, 0, time(6, 0), Action.UNLOCK, False)]


async def test_what_is_refused(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        for wrong in (
            {"time": "24:00", "action": "lock"},
            {"time": "22:00"},
            {"time": "22:00", "action": "fob_action_1"},
            {"time": "22:00", "action": "lock", "weekdays": ["monday"]},
        ):
            assert await refusal(house, "timecontrol/add", **wrong) == "bad_request"
        assert await refusal(house, "timecontrol/update", id=1) == "bad_request"
        assert await refusal(house, "timecontrol/update", id=1, enabled=True) == "unknown_entry"
        assert await refusal(house, "timecontrol/remove", id=1) == "unknown_entry"
        house.classic.behaviour.max_time_control = 0
        assert await refusal(house, "timecontrol/add", time="22:00", action="lock") == "too_many_entries"
        assert on_lock(house) == []


async def test_an_action_that_mqtt_may_not_do_cannot_be_planned(tmp_path: Path) -> None:
    house = House(tmp_path / "state", replace(PIN, actions=frozenset({"lock"})))
    async with house.running():
        await house.pair(name="front")
        assert await refusal(house, "timecontrol/add", time="06:00", action="unlock") == "action_not_allowed"
        await ask(house, "timecontrol/add", time="22:00", action="lock")
        assert await refusal(house, "timecontrol/update", id=1, action="unlatch") == "action_not_allowed"
        assert [each[3] for each in on_lock(house)] == [Action.LOCK]


async def test_an_entry_that_mqtt_may_not_make_cannot_be_put_to_use_either(tmp_path: Path) -> None:
    """The app, or somebody while the configuration was another one, has left entries that unlock."""
    house = House(tmp_path / "state", replace(PIN, actions=frozenset({"lock"})))
    async with house.running():
        await house.pair(name="front")
        for enabled in (True, False):
            entry = house.classic.time_control.add(0, time(6, 0), Action.UNLOCK, 20)
            entry.enabled = enabled
        before = on_lock(house)
        for changes in ({"id": 2, "enabled": True}, {"id": 1, "time": "12:01"}, {"id": 1, "weekdays": ["mo"]}):
            assert await refusal(house, "timecontrol/update", **changes) == "action_not_allowed"
        assert on_lock(house) == before
        await ask(house, "timecontrol/update", id=2, time="12:01")
        await ask(house, "timecontrol/update", id=1, enabled=False)
        assert [each[4] for each in on_lock(house)] == [False, False]
        await ask(house, "timecontrol/update", id=2, enabled=True, action="lock")
        assert on_lock(house)[1][2:] == (time(12, 1), Action.LOCK, True)


async def test_a_lost_answer_makes_no_second_entry(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        original = house.classic.time_control.add

        def add_and_lose(*arguments: Any) -> Any:
            entry = original(*arguments)
            house.classic.drop_links()
            return entry

        house.classic.time_control.add = add_and_lose  # type: ignore[method-assign, assignment]
        made = await ask(house, "timecontrol/add", time="22:00", action="lock")
        assert made["id"] == 1
        assert len(on_lock(house)) == [each.what for each in house.classic.audit].count("time_control_added") == 1


async def test_the_lock_acts_when_the_time_has_come(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await ask(house, "timecontrol/add", time="06:00", action="unlock")
        house.classic.time_has_come(1)
        assert [each.detail for each in house.classic.movements()] == ["unlock: unlocking"]
