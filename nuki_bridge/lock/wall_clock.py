"""A lock's wall clock: its time zone with daylight saving, and moments as that shows them.

A lock gives and takes moments in UTC, and times of day as its wall clock shows them.  The zone of that clock it gives
as a timezone ID.  The offset beside one is not the offset in force: firmware 2.6 and 3.10 says 0 for Berlin in August.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nuki_bridge.lock.lock import Lock
    from nuki_bridge.protocol.common import BasicConfig

log = logging.getLogger(__name__)

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
_EUROPEAN_ZONES: Final = frozenset({37, 38, 40})
"""Timezone IDs with the European summer."""
_HOUR: Final = timedelta(hours=1)


def timezone_name(timezone_id: int | None) -> str | None:
    """Return the name of a timezone ID, None if the lock has none or one that is not known here."""
    return _ZONES[timezone_id][0] if timezone_id is not None and timezone_id in _ZONES else None


def zone_of(config: BasicConfig) -> tzinfo:
    """Return the lock's time zone with its daylight saving.

    A timezone ID decides alone; without one, or with one that is not known here, the offset and the DST mode do.
    """
    if config.timezone_id is not None and config.timezone_id in _ZONES:
        return _zone(config.timezone_id)
    reported = timedelta(minutes=config.timezone_offset_min)
    if config.dst_mode != EUROPEAN:
        return _fixed(reported)
    # the offset that the lock tells has daylight saving in it
    now = (config.current_time or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)
    return _EuropeanSummer(reported - (_HOUR if _is_summer(now) else timedelta()))


def zone_in(lock: Lock) -> tzinfo:
    """Return the lock's time zone as far as it is known."""
    if lock.config is not None:
        return zone_of(lock.config)
    return UTC if lock.states is None else _fixed(timedelta(minutes=lock.states.timezone_offset_min))


def rfc3339(moment: datetime | None, zone: tzinfo) -> str | None:
    """Return `moment` to the second, with the offset that the lock's zone has then."""
    if moment is None:
        return None
    try:
        return moment.astimezone(zone).isoformat(timespec="seconds")
    except OverflowError:  # the last hours of the year 9999, which a lock's memory may hold
        return moment.isoformat(timespec="seconds")


@cache
def _zone(timezone_id: int) -> tzinfo:
    """Return the zone of an ID in the table; on a system without time zone data only the European summer is known."""
    from zoneinfo import ZoneInfo

    name, standard_min, has_summer = _ZONES[timezone_id]
    standard = timedelta(minutes=standard_min)
    if not has_summer:
        return _fixed(standard)
    try:
        return ZoneInfo(name)
    except (KeyError, OSError):
        if timezone_id in _EUROPEAN_ZONES:
            return _EuropeanSummer(standard)
        log.warning("no time zone data for %s: its summer time is not known here; install tzdata", name)
        return _fixed(standard)


def _fixed(offset: timedelta) -> tzinfo:
    return timezone(offset) if abs(offset) < timedelta(hours=24) else UTC


def _change(year: int, month: int) -> datetime:
    """Return when the European summer begins (March) or ends (October): the last Sunday, 1:00 UTC."""
    last = datetime(year, month, 31, 1)
    return last - timedelta(days=(last.weekday() + 1) % 7)


def _is_summer(utc: datetime) -> bool:
    return _change(utc.year, 3) <= utc < _change(utc.year, 10)


class _EuropeanSummer(tzinfo):
    """Standard time, and an hour more while it is summer in Europe, where all clocks change at the same moment."""

    def __init__(self, standard: timedelta) -> None:
        self._standard = standard if abs(standard) < timedelta(hours=23) else timedelta()

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """Return the time from UTC to the wall clock that shows `moment`."""
        return None if moment is None else self._standard + self._added(moment)

    def dst(self, moment: datetime | None) -> timedelta | None:
        """Return what daylight saving adds."""
        return None if moment is None else self._added(moment)

    def _added(self, moment: datetime) -> timedelta:
        """Of a time that the clock shows twice, or never, `fold` tells which is meant; see PEP 495."""
        utc = moment.replace(tzinfo=None) - self._standard
        begins, ends = _change(utc.year, 3), _change(utc.year, 10)
        is_summer = begins <= utc < ends if moment.fold else begins + _HOUR <= utc < ends + _HOUR
        return _HOUR if is_summer else timedelta()

    def tzname(self, moment: datetime | None) -> None:
        """Return no name: it has none."""

    def fromutc(self, moment: datetime) -> datetime:
        """Return the wall clock at a moment in UTC."""
        utc = moment.replace(tzinfo=None)
        ended = utc - _change(utc.year, 10)
        shown = utc + self._standard + (_HOUR if _is_summer(utc) else timedelta())
        return shown.replace(tzinfo=self, fold=int(timedelta() <= ended < _HOUR))
