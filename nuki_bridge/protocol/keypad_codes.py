"""The messages about a keypad's codes as tables (smartlock.md 11): list, add, change, remove.

The code itself is a secret in each of them: it opens the door.
"""

from __future__ import annotations

from datetime import datetime

from nuki_bridge.protocol.codes import Command
from nuki_bridge.protocol.field_kinds import KeptText, TimeLimit, date_time, flag, kept_flag, text, time_limit, u16, u32
from nuki_bridge.protocol.wire import Message, OwnerRequest, message, wire

CODE_NAME_SIZE = 20
"""Bytes of a code's name, UTF-8."""

_name = text(CODE_NAME_SIZE)


def logged_name(name: str) -> str:
    """Return a code's name in a log entry, which has room for a longer one: what stands behind it is something else."""
    raw = name.raw if isinstance(name, KeptText) else name.encode()
    found: str = _name.unpack(raw[:CODE_NAME_SIZE].ljust(CODE_NAME_SIZE, b"\0"))
    return str(found)


@message(Command.REQUEST_KEYPAD_CODES)
class RequestKeypadCodes(OwnerRequest):
    """CL: list codes; the count comes first (38 / 40 bytes)."""

    offset: int = wire(u16)
    count: int = wire(u16)


@message(Command.KEYPAD_CODE_COUNT)
class KeypadCodeCount(Message):
    """SL: how many codes follow (2 bytes)."""

    count: int = wire(u16)


@message(Command.KEYPAD_CODE)
class KeypadCode(Message):
    """SL: one code (44 bytes, 63 with the tail); the limit counts only if `time_limited`."""

    code_id: int = wire(u16)
    code: int = wire(u32, secret=True)
    name: str = wire(text(CODE_NAME_SIZE))
    enabled: bool = wire(kept_flag)
    created: datetime | None = wire(date_time)
    last_active: datetime | None = wire(date_time)
    lock_count: int = wire(u16)
    time_limited: bool = wire(kept_flag)
    limit: TimeLimit | None = wire(time_limit, default=None)


@message(Command.ADD_KEYPAD_CODE)
class AddKeypadCode(OwnerRequest):
    """CL: a new code, enabled from the start (78 / 80 bytes)."""

    code: int = wire(u32, secret=True)
    name: str = wire(text(CODE_NAME_SIZE))
    time_limited: bool = wire(flag)
    limit: TimeLimit = wire(time_limit)


@message(Command.KEYPAD_CODE_ID)
class KeypadCodeId(Message):
    """SL: the code that was made (9 bytes)."""

    code_id: int = wire(u16)
    created: datetime | None = wire(date_time)


@message(Command.UPDATE_KEYPAD_CODE)
class UpdateKeypadCode(OwnerRequest):
    """CL: change a code; there is no partial write (81 / 83 bytes)."""

    code_id: int = wire(u16)
    code: int = wire(u32, secret=True)
    name: str = wire(text(CODE_NAME_SIZE))
    enabled: bool = wire(kept_flag)
    time_limited: bool = wire(kept_flag)
    limit: TimeLimit = wire(time_limit)


@message(Command.REMOVE_KEYPAD_CODE)
class RemoveKeypadCode(OwnerRequest):
    """CL: delete a code (36 / 38 bytes)."""

    code_id: int = wire(u16)
