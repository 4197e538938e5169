"""A virtual lock's keypad codes: its table, who may use one now, and the owner's requests (smartlock.md 11).

Rules for codes as clients know them: six digits from 1 to 9, not beginning with 12, no two alike.  How many a lock
holds is not documented.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nuki_bridge.protocol.codes import ErrorCode, Family
from nuki_bridge.protocol.keypad_codes import (
    AddKeypadCode,
    KeypadCode,
    KeypadCodeCount,
    KeypadCodeId,
    RemoveKeypadCode,
    RequestKeypadCodes,
    UpdateKeypadCode,
)
from nuki_bridge.protocol.wire import Message, TimeLimit, time_limit
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.owner import COMPLETE, end_list, idle, note

if TYPE_CHECKING:
    from nuki_bridge.simulator.lock import Exchange


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
    """The table; IDs rise and are never given twice."""

    def __init__(self) -> None:
        self.next_id = 1
        self._codes: dict[int, Code] = {}

    def __iter__(self) -> Iterator[Code]:
        return iter(list(self._codes.values()))

    def get(self, code_id: int) -> Code | None:
        """The code of that ID."""
        return self._codes.get(code_id)

    def with_digits(self, digits: int) -> Code | None:
        """The code that consists of these digits."""
        return next((each for each in self if each.digits == digits), None)

    def add(self, digits: int, name: str, limit: TimeLimit | None, now: datetime, capacity: int) -> Code:
        """A new code; raises `Refused`."""
        self._check(digits, None)
        if len(self._codes) >= capacity:
            raise Refused(ErrorCode.TOO_MANY_ENTRIES)
        code = Code(self.next_id, digits, name, now, limit=limit)
        self.next_id += 1
        self._codes[code.code_id] = code
        return code

    def change(self, code_id: int, digits: int, name: str, enabled: bool, limit: TimeLimit | None) -> Code:
        """Write a whole entry; raises `Refused`."""
        code = self._existing(code_id)
        self._check(digits, code)
        code.digits, code.name, code.enabled, code.limit = digits, name, enabled, limit
        return code

    def remove(self, code_id: int) -> Code:
        """Delete a code; raises `Refused` if there is none."""
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
        """The table for JSON, codes included."""
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
        """Take over what `to_list` gave."""
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


# -- requests ---------------------------------------------------------------------------------------------------------


def _request_codes(exchange: Exchange, request: RequestKeypadCodes) -> None:
    lock = exchange.lock
    codes = sorted(lock.codes, key=lambda each: each.code_id)[request.offset : request.offset + request.count]
    note(exchange, "codes_read", str(len(codes)))
    exchange.reply(KeypadCodeCount(count=len(codes)))
    for each in codes:
        exchange.reply(
            KeypadCode(
                code_id=each.code_id,
                code=each.digits,
                name=each.name,
                enabled=each.enabled,
                created=each.created,
                last_active=each.last_active,
                lock_count=each.lock_count,
                time_limited=each.limit is not None,
                limit=each.limit or idle(lock, each.idle_limit),
            )
        )
    end_list(exchange)


def _add(exchange: Exchange, request: AddKeypadCode) -> None:
    lock = exchange.lock
    limit = request.limit if request.time_limited else None
    code = lock.codes.add(request.code, request.name, limit, lock.now(), lock.behaviour.max_codes)
    note(exchange, "code_added", f"{code.code_id} {code.name}")
    lock.config_changed()
    exchange.reply(KeypadCodeId(code_id=code.code_id, created=code.created))


def _update(exchange: Exchange, request: UpdateKeypadCode) -> None:
    limit = request.limit if request.time_limited else None
    code = exchange.lock.codes.change(request.code_id, request.code, request.name, request.enabled, limit)
    code.idle_limit = None if request.time_limited else request.limit
    note(exchange, "code_updated", f"{code.code_id} {code.name}, {'enabled' if code.enabled else 'disabled'}")
    exchange.lock.config_changed()
    exchange.reply(COMPLETE)


def _remove(exchange: Exchange, request: RemoveKeypadCode) -> None:
    code = exchange.lock.codes.remove(request.code_id)
    note(exchange, "code_removed", f"{code.code_id} {code.name}")
    exchange.lock.config_changed()
    exchange.reply(COMPLETE)


HANDLERS: tuple[tuple[type[Message], Callable[..., Any]], ...] = (
    (RequestKeypadCodes, _request_codes),
    (AddKeypadCode, _add),
    (UpdateKeypadCode, _update),
    (RemoveKeypadCode, _remove),
)
"""The owner's requests about codes."""
