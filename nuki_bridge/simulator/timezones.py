"""Time zones by their number in Config, and their daylight saving (smartlock.md 14).

The rules are written out here instead of taken from the system, because a lock has them in its firmware, too.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from nuki_bridge.protocol.codes import Family
from nuki_bridge.protocol.field_kinds import NoTime, time_of_day
from nuki_bridge.records import frozen

NONE = 0xFFFF
"""Timezone ID that stands for no time zone: then the offset and `dst_mode` of the settings count."""
EUROPEAN = 1
"""DST mode that adds an hour in the European summer; 0 adds nothing."""
DAYLIGHT_MIN = 60
"""Minutes that daylight saving adds."""

_FRIDAY, _SUNDAY = 4, 6


@frozen
class _Edge:
    """The first `weekday` (0 is Monday) on or after a day of a month, at an hour of standard time or UTC."""

    month: int
    day: int
    hour: int
    weekday: int = _SUNDAY

    def in_year(self, year: int) -> datetime:
        first = date(year, self.month, self.day)
        found = first + timedelta(days=(self.weekday - first.weekday()) % 7)
        return datetime(found.year, found.month, found.day) + timedelta(hours=self.hour)


@frozen
class _Summer:
    begin: _Edge
    end: _Edge
    in_utc: bool = False

    def lasts(self, standard: datetime, utc: datetime) -> bool:
        """Return whether summer time is in force; both arguments are without time zone."""
        moment = utc if self.in_utc else standard
        begin, end = self.begin.in_year(moment.year), self.end.in_year(moment.year)
        return begin <= moment < end if begin < end else not end <= moment < begin


_EUROPE = _Summer(_Edge(3, 25, 1), _Edge(10, 25, 1), in_utc=True)
_NORTH_AMERICA = _Summer(_Edge(3, 8, 2), _Edge(11, 1, 1))
_MEXICO = _Summer(_Edge(4, 1, 2), _Edge(10, 25, 1))
_CHILE = _Summer(_Edge(9, 2, 4), _Edge(4, 2, 3), in_utc=True)
_ISRAEL = _Summer(_Edge(3, 23, 2, _FRIDAY), _Edge(10, 25, 1))
_AUSTRALIA = _Summer(_Edge(10, 1, 2), _Edge(4, 1, 2))
_NEW_ZEALAND = _Summer(_Edge(9, 24, 2), _Edge(4, 1, 2))

_ZONES: dict[int, tuple[float, _Summer | None]] = {
    0: (2, None),
    1: (1, None),
    2: (2, None),
    3: (3, None),
    4: (-9, _NORTH_AMERICA),
    5: (-3, None),
    6: (-6, _NORTH_AMERICA),
    7: (-7, _NORTH_AMERICA),
    8: (-4, _NORTH_AMERICA),
    9: (-8, _NORTH_AMERICA),
    10: (-4, None),
    11: (-6, _MEXICO),
    12: (-5, _NORTH_AMERICA),
    13: (-7, None),
    14: (-6, None),
    15: (-4, _CHILE),
    16: (-3, None),
    17: (-3.5, _NORTH_AMERICA),
    18: (7, None),
    19: (4, None),
    20: (8, None),
    21: (2, _ISRAEL),
    22: (5, None),
    23: (5.75, None),
    24: (5.5, None),
    25: (3, None),
    26: (9, None),
    27: (8, None),
    28: (3.5, None),
    29: (9, None),
    30: (6.5, None),
    31: (9.5, _AUSTRALIA),
    32: (10, None),
    33: (9.5, None),
    34: (10, _AUSTRALIA),
    35: (8, None),
    36: (10, _AUSTRALIA),
    37: (1, _EUROPE),
    38: (2, _EUROPE),
    39: (3, None),
    40: (0, _EUROPE),
    41: (3, None),
    42: (12, _NEW_ZEALAND),
    43: (10, None),
    44: (-10, None),
    45: (-11, None),
}
"""Hours from UTC to standard time, and the summer time that the lock applies, as published, even if outdated."""


def known(timezone_id: int) -> bool:
    """Return whether Config may have this timezone ID."""
    return timezone_id == NONE or timezone_id in _ZONES


def daylight_min(dst_mode: int, now: datetime) -> int:
    """Return the minutes that DST mode adds at `now` to the offset of a lock without timezone ID."""
    utc = now.astimezone(UTC).replace(tzinfo=None)
    return DAYLIGHT_MIN if dst_mode == EUROPEAN and _EUROPE.lasts(utc, utc) else 0


def offset_min(timezone_id: int, now: datetime) -> int:
    """Return the minutes from UTC to the wall clock at `now`; raise `KeyError` for a zone that is not in the table."""
    standard_h, summer = _ZONES[timezone_id]
    utc = now.astimezone(UTC).replace(tzinfo=None)
    in_summer = summer is not None and summer.lasts(utc + timedelta(hours=standard_h), utc)
    return int(standard_h * 60) + (DAYLIGHT_MIN if in_summer else 0)


# -- times of day -----------------------------------------------------------------------------------------------------


def hand(at: time | NoTime) -> time:
    """Return a time of day as the hands show it; one that does not exist, such as 24:00, is midnight."""
    return at if isinstance(at, time) else time()


def written(at: time | NoTime) -> str:
    """Return a time of day for JSON, also one that does not exist."""
    hour, minute = time_of_day.pack(at, Family.CLASSIC)
    return f"{hour:02}:{minute:02}"


def read(text: str) -> time | NoTime:
    """Return the time of day that `written` returned as text; seconds are ignored."""
    found: time | NoTime = time_of_day.unpack(bytes(int(each) for each in text.split(":")[:2]))
    return found
