"""When a user may act: `access` in JSON to the lock's time limit and back, in the lock's own time zone; pure functions.

Dates of a limit are UTC on the wire and shown with the lock's offset; weekdays and times of day are as the lock's wall
clock shows them.  A daily window from 22:00 to 06:00 spans midnight; the weekday that counts is the one on which the
user acts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.protocol.wire import TimeLimit

if TYPE_CHECKING:
    from nuki_bridge.protocol.messages import Config

WEEKDAYS: Final = ("mo", "tu", "we", "th", "fr", "sa", "su")
"""Their names; Monday is the highest of seven bits."""
KEYS: Final = ("from", "until", "weekdays", "time_from", "time_until")

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)?")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_A_MOMENT = "must be a time such as 2026-12-01T10:00:00+01:00, or without offset in the lock's local time"


# -- from JSON --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody asked for; `since` and `until` are the lock's local time if they have no zone."""

    since: datetime | None = None
    until: datetime | None = None
    weekdays: int = 0
    time_from: time | None = None
    time_until: time | None = None

    def limit(self, zone: tzinfo) -> TimeLimit | None:
        """The limit for a lock in `zone`, None if there is none; raises `ValueError` with the rest of "access …"."""
        since, until = _to_utc(self.since, zone), _to_utc(self.until, zone)
        if since is not None and until is not None and since >= until:
            raise ValueError("ends before it begins: until must be later than from")
        limit = TimeLimit(since, until, self.weekdays, self.time_from, self.time_until)
        return None if limit == TimeLimit() else limit


def check(value: Any) -> Access:
    """Read `access`; raises `ValueError` with the rest of "access …"."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be an object with any of {', '.join(KEYS)}; without them there is no limit")
    for key in value:
        if key not in KEYS:
            raise ValueError(f"has the unknown part {key!r:.40}; allowed: {', '.join(KEYS)}")
    given = {key: each for key, each in value.items() if each is not None}
    readers = {
        "from": _moment,
        "until": _moment,
        "weekdays": weekdays,
        "time_from": time_of_day,
        "time_until": time_of_day,
    }
    read: dict[str, Any] = {}
    for key, each in given.items():
        try:
            read[key] = readers[key](each)
        except ValueError as error:
            raise ValueError(f"part {key} {error}") from None
    if "time_from" in read and read["time_from"] == read.get("time_until"):
        raise ValueError("part time_until must differ from time_from; leave both out for the whole day")
    return Access(
        read.get("from"), read.get("until"), read.get("weekdays", 0), read.get("time_from"), read.get("time_until")
    )


def moment(value: Any) -> datetime:
    """A moment in RFC 3339, naive if it has no offset; raises `ValueError` with the rest of "NAME …"."""
    return _moment(value)


def _moment(value: Any) -> datetime:
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError(_A_MOMENT)
    try:
        found = datetime.fromisoformat(value.upper())
    except ValueError:
        raise ValueError(_A_MOMENT) from None
    if not 2000 <= found.year < 2100:
        raise ValueError("must lie between the years 2000 and 2099")
    return found.replace(microsecond=0)


def weekdays(value: Any) -> int:
    """A mask of the days in a list; raises `ValueError` with the rest of "NAME …"."""
    if not isinstance(value, list) or not value or any(each not in WEEKDAYS for each in value):
        raise ValueError(f"must be a list of {', '.join(WEEKDAYS)}; leave it out for every day")
    return sum(1 << 6 - WEEKDAYS.index(each) for each in set(value))


def time_of_day(value: Any) -> time:
    """A time such as 08:00; raises `ValueError` with the rest of "NAME …"."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a time of day from 00:00 to 23:59, in the lock's local time")
    return time(int(match[1]), int(match[2]))


def _to_utc(value: datetime | None, zone: tzinfo) -> datetime | None:
    if value is None:
        return None
    return (value if value.tzinfo is not None else value.replace(tzinfo=zone)).astimezone(UTC)


# -- to JSON ----------------------------------------------------------------------------------------------------------


def shown(limit: TimeLimit | None, zone: tzinfo) -> dict[str, Any] | None:
    """A lock's limit as JSON, None if it limits nothing."""
    if limit is None:
        return None
    parts = {
        "from": rfc3339(limit.since, zone),
        "until": rfc3339(limit.until, zone),
        "weekdays": weekdays_shown(limit.weekdays),
        "time_from": limit.time_from and f"{limit.time_from:%H:%M}",
        "time_until": limit.time_until and f"{limit.time_until:%H:%M}",
    }
    return {key: part for key, part in parts.items() if part} or None


def weekdays_shown(mask: int) -> list[str]:
    """The days in a mask, from Monday on; none at all means every day."""
    return [name for place, name in enumerate(WEEKDAYS) if mask >> 6 - place & 1]


def rfc3339(moment: datetime | None, zone: tzinfo) -> str | None:
    """`moment` to the second with the offset that the lock's zone has then."""
    if moment is None:
        return None
    try:
        return moment.astimezone(zone).isoformat(timespec="seconds")
    except OverflowError:  # the last hours of the year 9999, which a lock's memory may hold
        return moment.isoformat(timespec="seconds")


# -- the lock's time zone ---------------------------------------------------------------------------------------------

_ZONES: Final[Mapping[int, tuple[str, int, bool]]] = {
    0: ("Africa/Cairo", 120, False),
    1: ("Africa/Lagos", 60, False),
    2: ("Africa/Maputo", 120, False),
    3: ("Africa/Nairobi", 180, False),
    4: ("America/Anchorage", -540, True),
    5: ("America/Argentina/Buenos_Aires", -180, False),
    6: ("America/Chicago", -360, True),
    7: ("America/Denver", -420, True),
    8: ("America/Halifax", -240, True),
    9: ("America/Los_Angeles", -480, True),
    10: ("America/Manaus", -240, False),
    11: ("America/Mexico_City", -360, True),
    12: ("America/New_York", -300, True),
    13: ("America/Phoenix", -420, False),
    14: ("America/Regina", -360, False),
    15: ("America/Santiago", -240, True),
    16: ("America/Sao_Paulo", -180, False),
    17: ("America/St_Johns", -210, True),
    18: ("Asia/Bangkok", 420, False),
    19: ("Asia/Dubai", 240, False),
    20: ("Asia/Hong_Kong", 480, False),
    21: ("Asia/Jerusalem", 120, True),
    22: ("Asia/Karachi", 300, False),
    23: ("Asia/Kathmandu", 345, False),
    24: ("Asia/Kolkata", 330, False),
    25: ("Asia/Riyadh", 180, False),
    26: ("Asia/Seoul", 540, False),
    27: ("Asia/Shanghai", 480, False),
    28: ("Asia/Tehran", 210, False),
    29: ("Asia/Tokyo", 540, False),
    30: ("Asia/Yangon", 390, False),
    31: ("Australia/Adelaide", 570, True),
    32: ("Australia/Brisbane", 600, False),
    33: ("Australia/Darwin", 570, False),
    34: ("Australia/Hobart", 600, True),
    35: ("Australia/Perth", 480, False),
    36: ("Australia/Sydney", 600, True),
    37: ("Europe/Berlin", 60, True),
    38: ("Europe/Helsinki", 120, True),
    39: ("Europe/Istanbul", 180, False),
    40: ("Europe/London", 0, True),
    41: ("Europe/Moscow", 180, False),
    42: ("Pacific/Auckland", 720, True),
    43: ("Pacific/Guam", 600, False),
    44: ("Pacific/Honolulu", -600, False),
    45: ("Pacific/Pago_Pago", -660, False),
}
"""Timezone ID: name, standard time in minutes from UTC, daylight saving; smartlock.md 14, outdated or not."""

TIMEZONES: Final[Mapping[str, int]] = {name: number for number, (name, _, _) in _ZONES.items()}
"""Timezone IDs by name."""
NO_TIMEZONE: Final = 0xFFFF
EUROPEAN: Final = 1
"""DST mode: an hour more in the European summer."""


def timezone_name(timezone_id: int | None) -> str | None:
    """The name of a timezone ID, None if the lock has none or one that is not known here."""
    return _ZONES[timezone_id][0] if timezone_id is not None and timezone_id in _ZONES else None


def zone_of(config: Config) -> tzinfo:
    """The lock's time zone with its daylight saving.

    A timezone ID decides unless the lock's own offset contradicts it (its firmware may follow an older or newer law);
    without one the offset and the DST mode do.
    """
    now = config.current_time or datetime.now(UTC)
    reported = timedelta(minutes=config.timezone_offset_min)
    if config.timezone_id is not None and config.timezone_id in _ZONES:
        name, standard_min, has_summer = _ZONES[config.timezone_id]
        standard = timedelta(minutes=standard_min)
        zone = (_named(name) if has_summer else None) or _fixed(standard)
        if reported in (standard, now.astimezone(zone).utcoffset()):
            return zone
    elif config.dst_mode == EUROPEAN and (berlin := _named("Europe/Berlin")) is not None:
        # the offset that the lock tells has daylight saving in it
        return _EuropeanSummer(berlin, reported - (now.astimezone(berlin).utcoffset() or timedelta()))
    return _fixed(reported)


def _fixed(offset: timedelta) -> tzinfo:
    return timezone(offset) if abs(offset) < timedelta(hours=24) else UTC


def _named(name: str) -> tzinfo | None:
    """None on a system without time zone data."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, OSError):
        return None


class _EuropeanSummer(tzinfo):
    """Always the same time before or after Berlin: all of Europe changes its clocks at the same moment."""

    def __init__(self, berlin: tzinfo, ahead: timedelta) -> None:
        self._berlin = berlin
        self._ahead = ahead

    def _there(self, moment: datetime | None) -> datetime | None:
        if moment is None:
            return None
        return (moment.replace(tzinfo=self._berlin) - self._ahead).replace(fold=moment.fold)

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """Minutes from UTC."""
        there = self._there(moment)
        offset = None if there is None else there.utcoffset()
        return None if offset is None else offset + self._ahead

    def dst(self, moment: datetime | None) -> timedelta | None:
        """What daylight saving adds."""
        there = self._there(moment)
        return None if there is None else there.dst()

    def tzname(self, moment: datetime | None) -> None:
        """It has no name."""

    def fromutc(self, moment: datetime) -> datetime:
        """The wall clock at a moment in UTC."""
        there = moment.replace(tzinfo=UTC).astimezone(self._berlin)
        return (there.replace(tzinfo=self) + self._ahead).replace(fold=there.fold)
