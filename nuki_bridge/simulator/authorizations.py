"""The user table of a virtual lock, its time limits, and the one challenge that each authorization has.

`remote_allowed` is stored and told, but never enforced: to a lock only what a Nuki Bridge sends is remote, and nothing
in a request over Bluetooth says where it comes from.  Whoever relays requests has to check it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any

from nuki_bridge.protocol.codes import ErrorCode, Family, IdType
from nuki_bridge.protocol.crypto import equal
from nuki_bridge.protocol.field_kinds import TimeLimit, time_limit
from nuki_bridge.simulator.behaviour import Behaviour, Refused


@dataclass(slots=True)
class StoredEntry:
    """One entry of the user table."""

    authorization_id: int
    key: bytes = field(repr=False)
    id_type: int
    app_id: int
    name: str
    created: datetime
    last_active: datetime
    enabled: bool = True
    remote_allowed: bool = True
    lock_count: int = 0
    limit: TimeLimit | None = None
    idle_limit: TimeLimit | None = None
    challenge: bytes | None = field(default=None, repr=False)
    challenge_link: int | None = None
    challenge_time: datetime | None = None
    """When it was sent, on the clock that nobody sets."""

    def set_limit(self, limit: TimeLimit, counts: bool) -> None:
        """Keep the limit that was written; one that does not count is only told."""
        self.limit, self.idle_limit = (limit, None) if counts else (None, limit)

    def take_challenge(self, nonce: bytes, now: datetime, valid_s: float | None) -> None:
        """Compare `nonce` with the last challenge, which is used up by that; raise `Refused` if it differs.

        So if it is older than `valid_s` at `now`; with None it does not grow too old.
        """
        challenge, self.challenge = self.challenge, None
        if challenge is None or not equal(challenge, nonce):
            raise Refused(ErrorCode.BAD_NONCE)
        if valid_s is not None and self.challenge_time and now - self.challenge_time > timedelta(seconds=valid_s):
            raise Refused(ErrorCode.BAD_NONCE)

    def may_act(self, now: datetime, timezone_offset_min: int) -> bool:
        """Return whether the time limit allows an action; `now` is the time of the lock's clock in UTC."""
        return self.limit is None or allows(self.limit, now, timezone_offset_min)

    def count_action(self) -> None:
        """Count one more lock action; the counter stops at 16 bits."""
        self.lock_count = min(self.lock_count + 1, 0xFFFF)

    @property
    def label(self) -> str:
        """ID and name, for the audit trail."""
        return f"{self.authorization_id} {self.name}"


def allows(limit: TimeLimit, now: datetime, timezone_offset_min: int) -> bool:
    """Return whether `limit` permits an action at `now`.

    Its dates are in UTC, its weekdays and times of day are those of the lock's wall clock.  A daily window may span
    midnight; the weekday that counts is always the one at `now`.
    """
    if (limit.since and now < limit.since) or (limit.until and now > limit.until):
        return False
    local = now + timedelta(minutes=timezone_offset_min)
    if limit.weekdays & 0x7F and not limit.weekdays >> (6 - local.weekday()) & 1:
        return False
    start, end = limit.time_from or time(), limit.time_until or time()
    if start == end:
        return True
    clock = local.time().replace(tzinfo=None)
    return start <= clock < end if start < end else clock >= start or clock < end


def told_limit(idle: TimeLimit | None, behaviour: Behaviour) -> TimeLimit | None:
    """Return the limit that an entry tells although none counts, None if it leaves the limit out.

    `idle` is a limit that was written but does not count; some firmware always tells one (`entry_tail_always`).
    """
    if idle is not None and any(time_limit.pack(idle, Family.CLASSIC)):
        return idle
    return TimeLimit() if behaviour.entry_tail_always else None


class Authorizations:
    """The user table: authorization IDs rise and are never given twice."""

    def __init__(self, next_id: int = 1) -> None:
        self.next_id = next_id
        self._entries: dict[int, StoredEntry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[StoredEntry]:
        return iter(list(self._entries.values()))

    def get(self, authorization_id: int) -> StoredEntry | None:
        """Return the entry with this ID, None if there is none."""
        return self._entries.get(authorization_id)

    def add(
        self, *, key: bytes, id_type: int, app_id: int, name: str, now: datetime, max_users: int
    ) -> tuple[StoredEntry, list[StoredEntry]] | None:
        """Add an entry; return it and the entries that it replaces, None if the table is full.

        It replaces the entry with the same App-ID (unless that is 0), whose authorization ID it gets, and as a Bridge
        any other Bridge.
        """
        same = next((e for e in self if app_id and e.app_id == app_id), None)
        replaced = [e for e in self if e is same or id_type == e.id_type == IdType.BRIDGE]
        if len(self) - len(replaced) >= max_users:
            return None
        for entry in replaced:
            del self._entries[entry.authorization_id]
        if same is None:
            number = self.next_id
            self.next_id += 1
        else:
            number = same.authorization_id
        entry = StoredEntry(number, key, id_type, app_id, name, created=now, last_active=now)
        self._entries[number] = entry
        return entry, replaced

    def remove(self, authorization_id: int) -> StoredEntry:
        """Delete an entry and return it; raise `Refused` if there is none."""
        try:
            return self._entries.pop(authorization_id)
        except KeyError:
            raise Refused(ErrorCode.INVALID_AUTH_ID) from None

    def to_list(self) -> list[dict[str, Any]]:
        """Return the table for JSON, keys included."""
        return [
            {
                "authorization_id": e.authorization_id,
                "key": e.key.hex(),
                "id_type": int(e.id_type),
                "app_id": e.app_id,
                "name": e.name,
                "created": e.created.isoformat(),
                "last_active": e.last_active.isoformat(),
                "enabled": e.enabled,
                "remote_allowed": e.remote_allowed,
                "lock_count": e.lock_count,
                "limit": None if e.limit is None else time_limit.pack(e.limit, Family.CLASSIC).hex(),
            }
            for e in self
        ]

    def load(self, entries: list[dict[str, Any]]) -> None:
        """Take over what `to_list` returned."""
        for data in entries:
            limit = None if data["limit"] is None else time_limit.unpack(bytes.fromhex(data["limit"]))
            self._entries[data["authorization_id"]] = StoredEntry(
                data["authorization_id"],
                bytes.fromhex(data["key"]),
                data["id_type"],
                data["app_id"],
                data["name"],
                datetime.fromisoformat(data["created"]),
                datetime.fromisoformat(data["last_active"]),
                data["enabled"],
                data["remote_allowed"],
                data["lock_count"],
                limit,
            )
