"""A lock's batteries over time: a row for each day, the worst of it, bounded, and gone with the lock."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.errors import StoreError, UnusableState
from nuki_bridge.owner.battery_history import MOST_DAYS, BatteryDay, BatteryDays
from nuki_bridge.store import Store
from tests.unit.house import PIN, House, ask, refusal
from tests.unit.stored import LOCK

DAY_S = 86400.0
FIRST = "2026-12-01"
SETTINGS = replace(PIN, connection="on-demand", states_every=3600)
"""A lock that is asked so seldom, and heard so seldom, that days pass quickly."""
BEACON_S = 20.0


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path / "state", SETTINGS)
    house.radio.interval_s = BEACON_S
    return house


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = Store(tmp_path / "kept")
    store.open()
    store.save_lock(LOCK)
    yield store
    store.close()


async def days(house: House, **arguments: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await ask(house, "battery/history", **arguments)
    return found


async def heard(house: House, percent: int) -> None:
    house.classic.surroundings.set_battery(percent)
    await ask(house, "refresh")


# -- what a day holds -------------------------------------------------------------------------------------------------


async def test_a_day_tells_the_lowest_that_the_lock_told(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await ask(house, "battery/get")
        whole = house.classic.device.battery_percent
        for percent in (80, 60, 90):
            await heard(house, percent)
        [day] = await days(house)
        assert day == {
            "day": FIRST,
            "level": 60,
            "voltage_mv": 4000 + 20 * whole,
            "critical": False,
            "charging": False,
        }
        await ask(house, "battery/get")
        assert (await days(house))[0]["voltage_mv"] == 4000 + 20 * whole  # 90 % is more
        house.classic.surroundings.set_battery(50)
        await ask(house, "battery/get")
        assert (await days(house))[0]["voltage_mv"] == 5000


async def test_critical_and_charging_are_kept_for_the_day_on_which_they_were(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.classic.device.battery_charging = True
        await heard(house, 10)
        house.classic.device.battery_charging = False
        await heard(house, 90)
        [day] = await days(house)
        assert (day["level"], day["critical"], day["charging"]) == (10, True, True)
        await asyncio.sleep(DAY_S)
        today = (await days(house))[-1]
        assert (today["level"], today["critical"], today["charging"]) == (90, False, False)


async def test_each_day_has_a_row_and_midnight_is_that_of_the_lock(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await heard(house, 80)
        await asyncio.sleep(14.8 * 3600)  # 22:48 UTC, 23:48 in Berlin
        await heard(house, 78)
        assert [(each["day"], each["level"]) for each in await days(house)] == [(FIRST, 78)]
        await asyncio.sleep(0.3 * 3600)  # 23:06 UTC
        await heard(house, 76)
        assert [(each["day"], each["level"]) for each in await days(house)] == [(FIRST, 78), ("2026-12-02", 76)]
        assert [each["day"] for each in await days(house, days=1)] == ["2026-12-02"]
        assert [await refusal(house, "battery/history", days=each) for each in (0, MOST_DAYS + 1)] == [
            "bad_request",
            "bad_request",
        ]


async def test_a_day_without_a_word_of_the_lock_has_no_row(house: House) -> None:
    """What is published anew while the lock is away is what it told before."""
    async with house.running():
        await house.pair(name="front")
        house.classic.out_of_range(True)
        await asyncio.sleep(2 * DAY_S)
        house.bridge.connection_changed(False)
        house.bridge.connection_changed(True)
        assert [each["day"] for each in await days(house)] == [FIRST]


async def test_it_outlives_a_restart_and_the_day_goes_on(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await heard(house, 40)
        house.classic.surroundings.set_battery(60)
    again = house.restarted()
    async with again.running():
        await asyncio.sleep(10.0)
        assert [(each["day"], each["level"]) for each in await days(again)] == [(FIRST, 40)]


async def test_a_day_is_written_a_few_times_however_often_the_lock_reports(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[BatteryDay] = []
    keep = BatteryDays.keep

    def kept(self: BatteryDays, lock: Any, day: BatteryDay) -> None:
        written.append(day)
        keep(self, lock, day)

    monkeypatch.setattr(BatteryDays, "keep", kept)
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(20.0)
        written.clear()
        for percent in (84, 82, 84, 82) * 10:
            await heard(house, percent)
        assert [each.level for each in written] == [82]


async def test_a_store_that_fails_is_told_once_and_disturbs_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(BatteryDays, "keep", fail)
    async with house.running():
        await house.pair(name="front")
        for percent in (50, 40):
            await heard(house, percent)
        assert house.lock().states is not None
        assert await days(house) == []
    assert caplog.text.count("how front's batteries are is not remembered: the disk is full") == 1


# -- what is kept -----------------------------------------------------------------------------------------------------


def kept(store: Store, lock: Any = LOCK) -> list[str]:
    return [each.day for each in BatteryDays(store).of(lock, "0000-00-00", "9999-99-99")]


def test_so_many_days_are_kept_and_the_oldest_go(store: Store) -> None:
    store.save_lock(replace(LOCK, name="garden", nuki_id=5))
    table = BatteryDays(store)
    table.keep(replace(LOCK, name="garden", nuki_id=5), BatteryDay("2020-01-01"))
    first = date(2026, 1, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nuki_bridge.owner.battery_history.MOST_DAYS", 5)
        for number in range(8):
            table.keep(LOCK, BatteryDay((first + timedelta(days=number)).isoformat(), 80 - number))
    assert kept(store) == [f"2026-01-{number:02}" for number in range(4, 9)]
    assert kept(store, replace(LOCK, name="garden", nuki_id=5)) == ["2020-01-01"]


def test_days_that_a_wrong_clock_has_made_go(store: Store) -> None:
    table = BatteryDays(store)
    for day in ("2026-12-01", "2038-01-19", "2026-12-02"):
        table.keep(LOCK, BatteryDay(day, 80))
    assert kept(store) == ["2026-12-01", "2026-12-02"]


def test_it_goes_with_the_lock_and_goes_along_with_its_name(store: Store) -> None:
    table = BatteryDays(store)
    table.keep(LOCK, BatteryDay("2026-12-01", 80))
    renamed = replace(LOCK, name="garden")
    store.rename_locks({LOCK.name: renamed})
    assert kept(store, renamed) == ["2026-12-01"]
    store.save_unproven(replace(renamed, authorization_id=9))
    assert kept(store, renamed) == ["2026-12-01"], "paired anew it is the same lock"
    other = replace(renamed, nuki_id=5)
    store.save_lock(other)
    assert kept(store, other) == [], "another lock in its place"
    table.keep(other, BatteryDay("2026-12-03", 70))
    table.keep(renamed, BatteryDay("2026-12-03", 20))  # not paired any more
    assert kept(store, renamed) == []
    store.remove_lock("garden")
    store.save_lock(other)
    assert kept(store, other) == []


@pytest.mark.parametrize(("column", "value"), [("day", "'yesterday'"), ("level", "-1"), ("voltage_mv", "70000")])
def test_what_is_no_day_is_not_told(store: Store, column: str, value: str) -> None:
    table = BatteryDays(store)
    table.keep(LOCK, BatteryDay("2026-12-01", 80, 5000))
    store.db.execute(f"UPDATE battery_day SET {column} = {value}")
    with pytest.raises(UnusableState, match="is damaged"):
        table.of(LOCK, "", "z")
