"""The lock's wall clock, whatever its firmware tells beside the timezone ID, in winter and in summer."""

from __future__ import annotations

import json
import zoneinfo
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from nuki_bridge.lock import wall_clock
from nuki_bridge.protocol.codes import Command, Family
from nuki_bridge.protocol.messages import Config
from nuki_bridge.protocol.wire import decode
from nuki_bridge.simulator import timezones
from tests.unit import rig
from tests.unit.house import PIN, House, ask, published
from tests.unit.invited import open_ones
from tests.unit.zones import SUMMER, WINTER, zone

CAPTURED = (
    "4d3c2b1a" + "46726f6e7420646f6f72".ljust(64, "0") + "00" * 8 + "0001010105" + "ea0708110a072f" + "0000" + "00"
    "0104010200000003" + "0a07020a01" + "2500" + "040000"
)
"""Config of a lock with firmware 3.10 in Berlin in August; name, ID and place are made up."""


def offset_min(moment: datetime, where: Any) -> float:
    offset = moment.astimezone(where).utcoffset()
    assert offset is not None
    return offset.total_seconds() / 60


# -- zones


def test_a_captured_lock_tells_no_offset_and_lives_by_its_zone() -> None:
    config = decode(Command.CONFIG, bytes.fromhex(CAPTURED), Family.CLASSIC)
    assert isinstance(config, Config)
    assert (config.timezone_id, config.timezone_offset_min, config.dst_mode) == (37, 0, 0)
    assert (config.firmware_version, config.current_time) == (b"\3\n\7", datetime(2026, 8, 17, 10, 7, 47, tzinfo=UTC))
    assert wall_clock.rfc3339(config.current_time, wall_clock.zone_of(config)) == "2026-08-17T12:07:47+02:00"


@pytest.mark.parametrize("timezone_id", [each for each in range(46) if each not in (0, 11)])
@pytest.mark.parametrize("now", [WINTER, SUMMER])
@pytest.mark.parametrize("in_force", [True, False])
def test_zones_agree_with_the_locks_own_rule(timezone_id: int, now: datetime, in_force: bool) -> None:
    told = timezones.offset_min(timezone_id, now) if in_force else 0
    where = zone(timezone_id, told, now=now)
    for moment in (WINTER, SUMMER):
        assert offset_min(moment, where) == timezones.offset_min(timezone_id, moment)


@pytest.mark.parametrize("timezone_id", [None, 0xFFFF, 46])
def test_without_a_known_zone_offset_and_dst_mode_decide(timezone_id: int | None) -> None:
    assert offset_min(SUMMER, zone(timezone_id, -180)) == -180
    for now, reported in ((WINTER, 180), (SUMMER, 240)):
        where = zone(timezone_id, reported, dst_mode=1, now=now)
        assert offset_min(WINTER, where) == 180
        assert offset_min(SUMMER, where) == 240


def test_european_summer_changes_everywhere_at_the_same_moment() -> None:
    where = zone(None, 180, dst_mode=1)
    change = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert offset_min(change - timedelta(seconds=1), where) == 180
    assert offset_min(change, where) == 240
    back = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
    assert [offset_min(back + timedelta(minutes=each), where) for each in (-30, 30)] == [240, 180]
    both = [(back + timedelta(minutes=each)).astimezone(where).astimezone(UTC) for each in (-30, 30)]
    assert both == [back + timedelta(minutes=each) for each in (-30, 30)]


def test_an_impossible_offset_is_utc() -> None:
    assert offset_min(WINTER, zone(None, 5000)) == 0
    assert offset_min(WINTER, zone(None, 5000, dst_mode=1)) == 0


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A system without time zone data."""

    def missing(name: str) -> None:
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(zoneinfo, "ZoneInfo", missing)
    wall_clock._zone.cache_clear()
    yield
    wall_clock._zone.cache_clear()


EUROPE = {37: "Europe/Berlin", 38: "Europe/Helsinki", 40: "Europe/London"}


@pytest.mark.long
@pytest.mark.parametrize(("timezone_id", "name"), EUROPE.items(), ids=EUROPE.values())
def test_europe_is_known_without_time_zone_data(no_data: None, timezone_id: int, name: str) -> None:
    ours, theirs = zone(timezone_id), ZoneInfo(name)
    for year in (2026, 2027, 2033):
        for hour in range(365 * 24):
            moment = datetime(year, 1, 1, 0, 30, tzinfo=UTC) + timedelta(hours=hour)
            here, there = moment.astimezone(ours), moment.astimezone(theirs)
            assert (here.isoformat(), here.fold) == (there.isoformat(), there.fold)
            shown = datetime(year, 1, 1, 0, 30) + timedelta(hours=hour)
            for fold in (0, 1):
                wall = shown.replace(fold=fold)
                assert wall.replace(tzinfo=ours).utcoffset() == wall.replace(tzinfo=theirs).utcoffset()


def test_elsewhere_it_says_what_is_missing(no_data: None, caplog: pytest.LogCaptureFixture) -> None:
    assert [offset_min(SUMMER, zone(12)) for _ in range(2)] == [-300, -300]
    assert [each.getMessage() for each in caplog.records] == [
        "no time zone data for America/New_York: its summer time is not known here; install tzdata"
    ]


# -- everything that reads or shows a time


@pytest.fixture(params=[False, True], ids=["tells 0", "tells the offset in force"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    made = House(tmp_path / "state", PIN)
    made.classic.behaviour.tells_offset_in_force = request.param
    made.classic.settings.has_keypad = True
    return made


@pytest.mark.long
@pytest.mark.parametrize(
    ("now", "timezone_id", "offset"),
    [(WINTER, 37, "+01:00"), (SUMMER, 37, "+02:00"), (WINTER, 12, "-05:00"), (SUMMER, 12, "-04:00")],
    ids=["Berlin in winter", "Berlin in summer", "New York in winter", "New York in summer"],
)
async def test_every_local_time_is_the_locks(
    house: House, monkeypatch: pytest.MonkeyPatch, now: datetime, timezone_id: int, offset: str
) -> None:
    monkeypatch.setattr(rig, "START", now)
    lock = house.classic
    lock.settings.timezone_id = timezone_id
    day = f"{now:%Y-%m-%d}"
    eight = datetime.fromisoformat(f"{day}T20:00:00{offset}")
    access = {"from": f"{day}T10:00", "until": f"{day}T20:00"}
    told = {"from": f"{day}T10:00:00{offset}", "until": f"{day}T20:00:00{offset}"}
    async with house.running():
        await house.pair(name="front")
        status = json.loads(house.retained["nuki/front/status"])
        assert status["timezone_offset_min"] == lock.timezone_offset_min == offset_min(now, eight.tzinfo)
        assert status["updated"].endswith(offset)
        assert (await ask(house, "config/get"))["time"].endswith(offset)

        made = await ask(house, "users/add", name="Anna", access=access)
        entry = lock.authorizations.get(made["authorization_id"])
        assert entry is not None
        assert entry.limit is not None
        assert (entry.limit.since, entry.limit.until) == (eight - timedelta(hours=10), eight)
        [anna] = [each for each in published(house) if each["name"] == "Anna"]
        assert (anna["access"], anna["created"][-6:]) == (told, offset)
        moved = await ask(house, "users/update", name="Anna", access={"until": f"{day}T20:00"})
        assert (entry.limit.until, moved["access"]) == (eight, {"until": told["until"]})

        code = await ask(house, "keypad/add", name="Lisa", code="345678", access=access)
        [kept] = lock.codes
        assert kept.limit is not None
        assert (kept.limit.since, kept.limit.until, code["access"]) == (eight - timedelta(hours=10), eight, told)
        [listed] = await ask(house, "keypad/list")
        assert (listed["access"], listed["created"][-6:]) == (told, offset)

        invited = await ask(house, "invite/create", name="Bert", access=access)
        guest = lock.authorizations.get(invited["id"])
        assert guest is not None
        assert guest.limit is not None
        assert (guest.limit.until, invited["expires"][-6:]) == (eight, offset)
        assert (open_ones(house)[0]["access"], open_ones(house)[0]["expires"][-6:]) == (told, offset)

        assert (await house.ask("front/set", "unlock"))["status"] == "ok"
        entries = await ask(house, "log/get")
        assert {each["time"][-6:] for each in entries} == {offset}
        events = house.events("front/event")
        assert {each["time"][-6:] for each in events if each["type"] == "lock_action"} == {offset}

        answer = await ask(house, "time/set", time=f"{day}T19:30:00")
        assert answer["time"] == f"{day}T19:30:00{offset}"
        assert lock.now() - (eight - timedelta(minutes=30)) < timedelta(seconds=30)
