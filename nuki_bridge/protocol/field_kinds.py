"""The kinds of fields that messages are made of: how each is packed, read, and how many bytes it takes.

Integers are little-endian.  What a lock sends and no kind has a meaning for is kept, and written back as it came.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import struct
from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any

from nuki_bridge.protocol.codes import Action, Family, OpenerAction, open_enum
from nuki_bridge.records import frozen

NONCE_SIZE = 32
"""Bytes of a challenge."""


@frozen
class FieldKind:
    """How one field looks on the wire; `size` is in bytes, and only a security PIN's depends on the family.

    `unpack_opener` reads it where an Opener means something else by it.
    """

    size: Callable[[Family], int]
    pack: Callable[[Any, Family], bytes]
    unpack: Callable[[bytes], Any]
    unpack_opener: Callable[[bytes], Any] | None = None
    is_text: bool = False

    def reader(self, family: Family) -> Callable[[bytes], Any]:
        """Return what reads it in a message of this family."""
        return self.unpack_opener if family is Family.OPENER and self.unpack_opener is not None else self.unpack


def _fixed(size: int, pack: Callable[[Any], bytes], unpack: Callable[[bytes], Any]) -> FieldKind:
    return FieldKind(lambda family: size, lambda value, family: pack(value), unpack)


def _number(layout: str) -> FieldKind:
    codec = struct.Struct("<" + layout)
    return _fixed(codec.size, codec.pack, lambda data: codec.unpack(data)[0])


u8 = _number("B")
u16 = _number("H")
u32 = _number("I")
s8 = _number("b")
s16 = _number("h")
_FLOAT = struct.Struct("<f")


class KeptFloat(float):
    """No number, and the bytes in which a lock sent it, of which there are many."""

    raw: bytes


def _pack_float(value: float) -> bytes:
    return value.raw if isinstance(value, KeptFloat) else _FLOAT.pack(value)


def _unpack_float(data: bytes) -> float:
    value: float = _FLOAT.unpack(data)[0]
    if _FLOAT.pack(value) == data:
        return value
    kept = KeptFloat(value)
    kept.raw = bytes(data)
    return kept


f32 = _fixed(_FLOAT.size, _pack_float, _unpack_float)
"""A number of four bytes; what is none is written back as it came."""
flag = _fixed(1, lambda value: bytes([bool(value)]), lambda data: data != b"\0")


class KeptFlag(int):
    """A flag that is set, equal to True, and the byte in which a lock said so; `bool()` it before it is told."""

    raw: bytes


def _pack_kept_flag(value: int) -> bytes:
    return value.raw if isinstance(value, KeptFlag) else bytes([bool(value)])


def _unpack_kept_flag(data: bytes) -> int:
    if data in (b"\0", b"\1"):
        return data == b"\1"
    kept = KeptFlag(1)
    kept.raw = bytes(data)
    return kept


kept_flag = _fixed(1, _pack_kept_flag, _unpack_kept_flag)
"""A flag that a lock tells and takes as a whole with others: written back as it came, any byte but 0 is set."""
NOT_SUPPORTED = 0xFF
"""Value of a field about something that the lock cannot do."""
switch = _fixed(
    1,
    lambda value: bytes([value]) if value == NOT_SUPPORTED else _pack_kept_flag(value),
    lambda data: NOT_SUPPORTED if data[0] == NOT_SUPPORTED else _unpack_kept_flag(data),
)
"""A `kept_flag` that may also be `NOT_SUPPORTED`."""


def enum8(members: type[enum.IntEnum]) -> FieldKind:
    """One byte naming a member of `members`; an unknown number stays a number."""
    return _fixed(1, lambda value: bytes([value]), lambda data: open_enum(members, data[0]))


action8 = FieldKind(
    lambda family: 1,
    lambda value, family: bytes([value]),
    lambda data: open_enum(Action, data[0]),
    lambda data: open_enum(OpenerAction, data[0]),
)
"""One byte naming a lock action, of an Opener one of its own; an unknown number stays a number."""


def enum16(members: type[enum.IntEnum]) -> FieldKind:
    """Two bytes naming a member of `members`; an unknown number stays a number."""
    pack = u16.pack
    return _fixed(
        2, lambda value: pack(value, Family.CLASSIC), lambda data: open_enum(members, int.from_bytes(data, "little"))
    )


def raw(size: int) -> FieldKind:
    """Exactly `size` bytes."""

    def pack(value: bytes) -> bytes:
        if len(value) != size:
            raise ValueError(f"a field of {size} bytes was given {len(value)}")
        return value

    return _fixed(size, pack, bytes)


class KeptText(str):
    """A text as it is shown, and the bytes in which a lock sent it, which hold more than that."""

    raw: bytes


def text(size: int) -> FieldKind:
    """Zero-padded UTF-8 in `size` bytes: cut between characters when too long, read up to the first control character.

    What a lock sent is written back byte by byte, also what cannot be read.
    """

    def pack(value: str) -> bytes:
        if isinstance(value, KeptText) and len(value.raw) == size:
            return value.raw
        return value.encode()[:size].decode(errors="ignore").encode().ljust(size, b"\0")

    def unpack(data: bytes) -> str:
        shown = re.split("[\0-\x1f\x7f-\x9f]", bytes(data).decode(errors="replace"), maxsplit=1)[0]
        if pack(shown) == data:
            return shown
        kept = KeptText(shown)
        kept.raw = bytes(data)
        return kept

    return dataclasses.replace(_fixed(size, pack, unpack), is_text=True)


def _pack_datetime(value: datetime | None) -> bytes:
    if value is None:
        return bytes(7)
    utc = value.astimezone(UTC)
    return struct.pack("<HBBBBB", utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second)


def _unpack_datetime(data: bytes) -> datetime | None:
    try:
        year, month, day, hour, minute, second = struct.unpack("<HBBBBB", data)
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


date_time = _fixed(7, _pack_datetime, _unpack_datetime)
"""UTC to the second; an impossible date, such as all zeros, is None (smartlock.md 7)."""


@frozen
class NoTime:
    """No time of day, such as 24:00, and the two bytes in which a lock sent it; it is false."""

    raw: bytes = b"\xff\xff"

    def __bool__(self) -> bool:
        return False


def _pack_time(value: time | NoTime) -> bytes:
    return value.raw if isinstance(value, NoTime) else bytes([value.hour, value.minute])


def _unpack_time(data: bytes) -> time | NoTime:
    return time(data[0], data[1]) if data[0] < 24 and data[1] < 60 else NoTime(bytes(data))


time_of_day = _fixed(2, _pack_time, _unpack_time)
"""Hour and minute in the lock's local time; what is none is written back as it came."""

pin = FieldKind(
    lambda family: family.pin_size,
    lambda value, family: int(value).to_bytes(family.pin_size, "little"),
    lambda data: int.from_bytes(data, "little"),
)
"""The security PIN as a number, 2 or 4 bytes by family; always the last field of a request."""


@frozen
class TimeLimit:
    """When an authorization may act (19 bytes): dates in UTC, times of day in the lock's local time.

    `weekdays` is a mask: bit 6 Monday ... bit 0 Sunday, 0 for every day (smartlock.md 7).  `raw` is how a lock sent it,
    and how it is written back: what means nothing here, such as 24:00, may mean something there.
    """

    since: datetime | None = None
    until: datetime | None = None
    weekdays: int = 0
    time_from: time | None = None
    time_until: time | None = None
    raw: bytes | None = dataclasses.field(default=None, compare=False, repr=False)


# midnight as a border of the day is no limit, which is also how "none" is written
_border = _fixed(
    2,
    lambda value: bytes(2) if value is None else _pack_time(value),
    lambda data: (_unpack_time(data) or None) if any(data) else None,
)
_LIMIT_PARTS = ((date_time, 0, 7), (date_time, 7, 14), (u8, 14, 15), (_border, 15, 17), (_border, 17, 19))


def _pack_limit(value: TimeLimit) -> bytes:
    if value.raw is not None:
        return value.raw
    values = (value.since, value.until, value.weekdays, value.time_from, value.time_until)
    return b"".join(kind.pack(v, Family.CLASSIC) for (kind, _, _), v in zip(_LIMIT_PARTS, values, strict=True))


def _unpack_limit(data: bytes) -> TimeLimit:
    read = TimeLimit(*(kind.unpack(data[begin:end]) for kind, begin, end in _LIMIT_PARTS))
    return dataclasses.replace(read, raw=bytes(data))


time_limit = _fixed(19, _pack_limit, _unpack_limit)
