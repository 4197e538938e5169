"""Time limits: JSON to the wire and back, in the lock's own zone with its daylight saving."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki_bridge.owner import access
from nuki_bridge.protocol.wire import TimeLimit
from nuki_bridge.simulator import timezones

WINTER = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
SUMMER = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)


def zone(timezone_id: int | None = 37, offset_min: int = 60, dst_mode: int = 0, now: datetime = WINTER) -> Any:
    config: Any = SimpleNamespace(
        timezone_id=timezone_id, timezone_offset_min=offset_min, dst_mode=dst_mode, current_time=now
    )
    return access.zone_of(config)


def limit(**parts: Any) -> TimeLimit | None:
    return access.check({key.removesuffix("_"): part for key, part in parts.items()}).limit(zone())


def offset_min(moment: datetime, where: Any) -> float:
    offset = moment.astimezone(where).utcoffset()
    assert offset is not None
    return offset.total_seconds() / 60


# -- from JSON


def test_a_time_with_offset_is_that_moment() -> None:
    assert limit(from_="2026-12-01T10:00:00+01:00") == TimeLimit(since=datetime(2026, 12, 1, 9, tzinfo=UTC))
    assert limit(until="2026-12-01T10:00:00Z") == TimeLimit(until=datetime(2026, 12, 1, 10, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "utc_hour"), [("2026-12-01T10:00:00", 9), ("2026-07-01T10:00", 8), ("2026-07-01 10:00:00.5", 8)]
)
def test_a_time_without_offset_is_the_locks_local_time_of_that_season(text: str, utc_hour: int) -> None:
    made = limit(until=text)
    assert made is not None
    assert made.until is not None
    assert (made.until.hour, made.until.microsecond) == (utc_hour, 0)


def test_weekdays_and_times_of_day() -> None:
    made = limit(weekdays=["mo", "su", "mo"], time_from="08:00", time_until="20:30")
    assert made == TimeLimit(weekdays=0b1000001, time_from=time(8), time_until=time(20, 30))


@pytest.mark.parametrize("parts", [{}, {"from_": None, "weekdays": None}, {"time_from": "00:00"}])
def test_nothing_to_limit_is_no_limit(parts: dict[str, Any]) -> None:
    made = limit(**parts)
    assert made is None or made.time_from == time(0)


@pytest.mark.parametrize(
    "wrong",
    [
        7,
        ["mo"],
        {"form": "2026-12-01T10:00:00"},
        {"from": "2026-12-01"},
        {"from": "tomorrow"},
        {"from": "2026-13-01T10:00:00"},
        {"from": "2026-12-01T10:00:00+0100"},
        {"until": "1999-12-01T10:00:00"},
        {"from": 1764579600},
        {"weekdays": []},
        {"weekdays": "mo"},
        {"weekdays": ["mon"]},
        {"weekdays": [1]},
        {"weekdays": [["mo"]]},
        {"time_from": "8:00"},
        {"time_from": "24:00"},
        {"time_until": 8},
        {"time_from": "08:00", "time_until": "08:00"},
    ],
)
def test_what_is_wrong_is_said(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"must|allowed|unknown"):
        access.check(wrong)


def test_a_limit_must_not_end_before_it_begins() -> None:
    with pytest.raises(ValueError, match="later"):
        limit(from_="2026-12-01T10:00:00+01:00", until="2026-12-01T09:00:00Z")


# -- to JSON


def test_a_limit_is_shown_with_the_offset_of_its_season() -> None:
    shown = access.shown(TimeLimit(datetime(2026, 7, 1, 8, tzinfo=UTC), datetime(2026, 12, 1, 9, tzinfo=UTC)), zone())
    assert shown == {"from": "2026-07-01T10:00:00+02:00", "until": "2026-12-01T10:00:00+01:00"}


def test_absent_parts_are_left_out_and_no_limit_is_null() -> None:
    assert access.shown(TimeLimit(weekdays=0b0000011), zone()) == {"weekdays": ["sa", "su"]}
    assert access.shown(TimeLimit(), zone()) is None
    assert access.shown(None, zone()) is None


def test_dates_at_the_end_of_time_do_no_harm() -> None:
    shown = access.shown(TimeLimit(until=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)), zone(36, 660))
    assert shown is not None
    assert shown["until"].startswith("9999-12-31")


moments = st.datetimes(min_value=datetime(2001, 1, 1), max_value=datetime(2098, 1, 1)).map(
    lambda each: each.replace(microsecond=0, tzinfo=UTC)
)


@given(
    st.one_of(st.none(), moments),
    st.integers(0, 127),
    st.sampled_from([0, 4, 11, 15, 17, 23, 34, 37, 40, 42, 44, None]),
    st.sampled_from([0, 1]),
)
def test_what_is_shown_reads_back_as_the_same(
    since: datetime | None, weekdays: int, timezone_id: int | None, dst_mode: int
) -> None:
    where = zone(timezone_id, dst_mode=dst_mode)
    made = TimeLimit(since=since, weekdays=weekdays, time_from=time(22), time_until=time(6))
    assert access.check(access.shown(made, where)).limit(where) == made


# -- zones


@pytest.mark.parametrize("timezone_id", [each for each in range(46) if each not in (0, 11)])
@pytest.mark.parametrize("now", [WINTER, SUMMER])
def test_zones_agree_with_the_locks_own_rule(timezone_id: int, now: datetime) -> None:
    where = zone(timezone_id, timezones.offset_min(timezone_id, now), now=now)
    for moment in (WINTER, SUMMER):
        assert offset_min(moment, where) == timezones.offset_min(timezone_id, moment)


def test_a_lock_with_an_older_law_is_believed() -> None:
    """Mexico has no daylight saving any more; a lock that says otherwise lives by its own clock."""
    assert offset_min(SUMMER, zone(11, -300, now=SUMMER)) == -300
    assert offset_min(SUMMER, zone(37, 0, now=SUMMER)) == 0


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
