"""Time limits: JSON to the wire and back, in the lock's own zone with its daylight saving."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki_bridge.owner import access
from nuki_bridge.protocol.field_kinds import TimeLimit
from tests.unit.zones import zone

SPRING = datetime(2026, 3, 1, tzinfo=UTC)


def limit(**parts: Any) -> TimeLimit | None:
    return access.check({key.removesuffix("_"): part for key, part in parts.items()}).limit(zone(), SPRING)


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
    shown = access.to_json(TimeLimit(datetime(2026, 7, 1, 8, tzinfo=UTC), datetime(2026, 12, 1, 9, tzinfo=UTC)), zone())
    assert shown == {"from": "2026-07-01T10:00:00+02:00", "until": "2026-12-01T10:00:00+01:00"}


def test_absent_parts_are_left_out_and_no_limit_is_null() -> None:
    assert access.to_json(TimeLimit(weekdays=0b0000011), zone()) == {"weekdays": ["sa", "su"]}
    assert access.to_json(TimeLimit(), zone()) is None
    assert access.to_json(None, zone()) is None


def test_dates_at_the_end_of_time_do_no_harm() -> None:
    shown = access.to_json(TimeLimit(until=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)), zone(36))
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
    assert access.check(access.to_json(made, where)).limit(where, datetime(2000, 1, 1, tzinfo=UTC)) == made
