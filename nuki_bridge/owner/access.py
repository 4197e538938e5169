"""When a user may act: `access` in JSON to the lock's time limit and back, in the lock's own time zone; pure functions.

Dates of a limit are UTC on the wire and shown with the lock's offset; weekdays and times of day are as the lock's wall
clock shows them.  A daily window from 22:00 to 06:00 spans midnight; the weekday that counts is the one on which the
user acts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, tzinfo
from typing import Any, Final

from nuki_bridge.arguments import Check, with_schema
from nuki_bridge.lock.wall_clock import rfc3339
from nuki_bridge.protocol.field_kinds import TimeLimit
from nuki_bridge.records import frozen

WEEKDAYS: Final = ("mo", "tu", "we", "th", "fr", "sa", "su")
"""Names of the weekdays; Monday is the highest of seven bits."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)?")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_A_MOMENT = "must be a time such as 2026-12-01T10:00:00+01:00, or without offset in the lock's local time"


# -- from JSON --------------------------------------------------------------------------------------------------------


@frozen
class Access:
    """What somebody asked for; `since` and `until` are the lock's local time if they have no zone."""

    since: datetime | None = None
    until: datetime | None = None
    weekdays: int = 0
    time_from: time | None = None
    time_until: time | None = None

    def limit(self, zone: tzinfo, now: datetime) -> TimeLimit | None:
        """The limit for a lock in `zone`, None if there is none; raises `ValueError` with the rest of "access …".

        One that is over at `now` is a mistake: nobody could ever use it.
        """
        since, until = _to_utc(self.since, zone), _to_utc(self.until, zone)
        if since is not None and until is not None and since >= until:
            raise ValueError("ends before it begins: until must be later than from")
        if until is not None and until <= now:
            ours = rfc3339(now, zone)
            raise ValueError(f"is over already: until must be later than now, which is {ours} on this computer's clock")
        limit = TimeLimit(since, until, self.weekdays, self.time_from, self.time_until)
        return None if limit == TimeLimit() else limit


@with_schema(
    {
        "type": "string",
        "description": "RFC 3339; without offset it is the lock's local time",
        "pattern": r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)?$",
    },
    "MomentAsked",
)
def moment(value: Any) -> datetime:
    """Return a moment in RFC 3339, naive if it has no offset."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError(_A_MOMENT)
    try:
        found = datetime.fromisoformat(value.upper())
    except ValueError:
        raise ValueError(_A_MOMENT) from None
    if not 2000 <= found.year < 2100:
        raise ValueError("must lie between the years 2000 and 2099")
    return found.replace(microsecond=0)


@with_schema({"type": "array", "items": {"type": "string", "enum": list(WEEKDAYS)}, "minItems": 1})
def weekdays(value: Any) -> int:
    """Return a mask of the days in a list."""
    if not isinstance(value, list) or not value or any(each not in WEEKDAYS for each in value):
        raise ValueError(f"must be a list of {', '.join(WEEKDAYS)}; leave it out for every day")
    return sum(1 << 6 - WEEKDAYS.index(each) for each in set(value))


@with_schema(
    {"type": "string", "description": "in the lock's local time", "pattern": r"^([01]\d|2[0-3]):[0-5]\d$"}, "TimeOfDay"
)
def time_of_day(value: Any) -> time:
    """Return a time such as 08:00."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a time of day from 00:00 to 23:59, in the lock's local time")
    return time(int(match[1]), int(match[2]))


@with_schema({"oneOf": [time_of_day.reference, {"const": "24:00"}]})
def _end_of_day(value: Any) -> time:
    return time() if value == "24:00" else time_of_day(value)


_PARTS: Final[Mapping[str, Check[Any]]] = {
    "from": moment,
    "until": moment,
    "weekdays": weekdays,
    "time_from": time_of_day,
    "time_until": _end_of_day,
}


@with_schema(
    {
        "type": "object",
        "additionalProperties": False,
        "description": "when a user may act; parts that are absent or null are no limit. 22:00 to 06:00 spans midnight",
        "properties": {key: part.or_null for key, part in _PARTS.items()},
    },
    "AccessAsked",
)
def check(value: Any) -> Access:
    """Read `access`; raises `ValueError` with the rest of "access …"."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be an object with any of {', '.join(_PARTS)}; without them there is no limit")
    for key in value:
        if key not in _PARTS:
            raise ValueError(f"has the unknown part {key!r:.40}; allowed: {', '.join(_PARTS)}")
    given = {key: each for key, each in value.items() if each is not None}
    read: dict[str, Any] = {}
    for key, each in given.items():
        try:
            read[key] = _PARTS[key](each)
        except ValueError as error:
            raise ValueError(f"part {key} {error}") from None
    if "time_from" in read and read["time_from"] == read.get("time_until"):
        raise ValueError("part time_until must differ from time_from; leave both out for the whole day")
    # midnight as a border of the day is none, and alone it would leave a limit that limits nothing
    begins, ends = (None if read.get(key) == time() else read.get(key) for key in ("time_from", "time_until"))
    return Access(read.get("from"), read.get("until"), read.get("weekdays", 0), begins, ends)


def _to_utc(value: datetime | None, zone: tzinfo) -> datetime | None:
    if value is None:
        return None
    return (value if value.tzinfo is not None else value.replace(tzinfo=zone)).astimezone(UTC)


# -- to JSON ----------------------------------------------------------------------------------------------------------


def to_json(limit: TimeLimit | None, zone: tzinfo) -> dict[str, Any] | None:
    """Return a lock's limit as JSON, None if it limits nothing."""
    if limit is None:
        return None
    parts = {
        "from": rfc3339(limit.since, zone),
        "until": rfc3339(limit.until, zone),
        "weekdays": weekdays_to_json(limit.weekdays),
        "time_from": limit.time_from and f"{limit.time_from:%H:%M}",
        "time_until": limit.time_until and f"{limit.time_until:%H:%M}",
    }
    return {key: part for key, part in parts.items() if part} or None


def weekdays_to_json(mask: int) -> list[str]:
    """Return the days in a mask, from Monday on; none at all means every day."""
    return [name for place, name in enumerate(WEEKDAYS) if mask >> 6 - place & 1]
