"""One user of a lock in words: as JSON, its type, and the time limit that somebody asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nuki_bridge.errors import RequestError
from nuki_bridge.lock import wall_clock
from nuki_bridge.owner import access
from nuki_bridge.protocol.codes import IdType, name_of

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from nuki_bridge.owner.access import Access
    from nuki_bridge.protocol.authorizations import AuthorizationEntry
    from nuki_bridge.protocol.field_kinds import TimeLimit

_TYPES = {IdType.KEYPAD_2: "keypad"}


def to_json(entry: AuthorizationEntry, zone: tzinfo, *, pending: bool, own_id: int) -> dict[str, Any]:
    """Return a user as JSON."""
    return {
        "id": entry.authorization_id,
        "name": entry.name,
        "type": type_word(entry.id_type),
        "enabled": bool(entry.enabled),
        "remote": bool(entry.remote_allowed),
        "created": wall_clock.rfc3339(entry.created, zone),
        "last_active": wall_clock.rfc3339(entry.last_active, zone),
        "lock_count": entry.lock_count,
        "access": access.to_json(entry.limit, zone) if entry.time_limited else None,
        "pending": pending,
        "self": entry.authorization_id == own_id,
    }


def type_word(id_type: int) -> str:
    """Kind of an authorization: `app`, `bridge`, `fob`, `keypad` …"""
    return _TYPES.get(id_type) or name_of(id_type)  # type: ignore[call-overload]


def limit_of(wanted: Access | None, zone: tzinfo, now: datetime) -> TimeLimit | None:
    """Return the time limit that a request asks for; raises `RequestError`."""
    try:
        return None if wanted is None else wanted.limit(zone, now)
    except ValueError as error:
        raise RequestError("bad_request", f"access {error}") from None
