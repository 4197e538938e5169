"""The keypad codes of a virtual lock (smartlock.md 11); an Opener has the same.

A code has six digits from 1 to 9, does not begin with 12, and is in the table only once.  How many codes a lock holds
is not documented.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nuki_bridge.protocol.codes import ErrorCode, Family
from nuki_bridge.protocol.field_kinds import TimeLimit, time_limit
from nuki_bridge.simulator.behaviour import Refused


@dataclass(slots=True)
class Code:
    """One code of the keypad."""

    code_id: int
    digits: int = field(repr=False)
    name: str
    created: datetime
    last_active: datetime | None = None
    enabled: bool = True
    lock_count: int = 0
    limit: TimeLimit | None = None
    idle_limit: TimeLimit | None = None


class Codes:
    """The table of codes; IDs rise and are never given twice."""

    def __init__(self) -> None:
        self.next_id = 1
        self._codes: dict[int, Code] = {}

    def __iter__(self) -> Iterator[Code]:
        return iter(list(self._codes.values()))

    def get(self, code_id: int) -> Code | None:
        """Return the code with this ID, None if there is none."""
        return self._codes.get(code_id)

    def with_digits(self, digits: int) -> Code | None:
        """Return the code with these digits, None if there is none."""
        return next((each for each in self if each.digits == digits), None)

    def add(self, digits: int, name: str, limit: TimeLimit | None, now: datetime, capacity: int) -> Code:
        """Add a code and return it; raise `Refused`."""
        self._check(digits, None)
        if len(self._codes) >= capacity:
            raise Refused(ErrorCode.TOO_MANY_ENTRIES)
        code = Code(self.next_id, digits, name, now, limit=limit)
        self.next_id += 1
        self._codes[code.code_id] = code
        return code

    def change(self, code_id: int, digits: int, name: str, enabled: bool, limit: TimeLimit | None) -> Code:
        """Write all of a code and return it; raise `Refused`."""
        code = self._existing(code_id)
        self._check(digits, code)
        code.digits, code.name, code.enabled, code.limit = digits, name, enabled, limit
        return code

    def remove(self, code_id: int) -> Code:
        """Delete a code and return it; raise `Refused` if there is none."""
        code = self._existing(code_id)
        del self._codes[code_id]
        return code

    def _existing(self, code_id: int) -> Code:
        code = self._codes.get(code_id)
        if code is None:
            raise Refused(ErrorCode.INVALID_AUTH_ID)
        return code

    def _check(self, digits: int, own: Code | None) -> None:
        text = str(digits)
        if len(text) != 6 or "0" in text or text.startswith("12"):
            raise Refused(ErrorCode.BAD_PARAMETER)
        if self.with_digits(digits) not in (None, own):
            raise Refused(ErrorCode.CODE_ALREADY_EXISTS)

    def to_list(self) -> list[dict[str, Any]]:
        """Return the table for JSON, codes included."""
        return [
            {
                "code_id": each.code_id,
                "digits": each.digits,
                "name": each.name,
                "created": each.created.isoformat(),
                "last_active": None if each.last_active is None else each.last_active.isoformat(),
                "enabled": each.enabled,
                "lock_count": each.lock_count,
                "limit": None if each.limit is None else time_limit.pack(each.limit, Family.CLASSIC).hex(),
            }
            for each in self
        ]

    def load(self, entries: list[dict[str, Any]]) -> None:
        """Take over what `to_list` returned."""
        for data in entries:
            last_active = data["last_active"]
            self._codes[data["code_id"]] = Code(
                data["code_id"],
                data["digits"],
                data["name"],
                datetime.fromisoformat(data["created"]),
                None if last_active is None else datetime.fromisoformat(last_active),
                data["enabled"],
                data["lock_count"],
                None if data["limit"] is None else time_limit.unpack(bytes.fromhex(data["limit"])),
            )
        self.next_id = max((each.code_id for each in self), default=0) + 1
