"""Field kinds, and the one `encode` and `decode` that walk a message's fields.

A message is a class under `@message(number)` whose fields are declared with `wire(kind)`; see `messages.py`.  Integers
are little-endian.  Decoding follows smartlock.md 4.5: an optional field is there if enough bytes remain for it and all
required ones behind it, missing ones are None, surplus bytes are ignored, and only a payload below the required
minimum is a `BadFrame`.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import struct
from collections import defaultdict
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import cache
from typing import Any, ClassVar, Self, TypeVar, cast, dataclass_transform

from nuki_bridge.errors import BadFrame
from nuki_bridge.protocol.codes import Action, Command, Family, OpenerAction, open_enum

NONCE_SIZE = 32
"""Bytes of a challenge."""


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


# -- messages ---------------------------------------------------------------------------------------------------------

M = TypeVar("M", bound="Message")


class Message:
    """Base of every message class; `command` is its identifier, `layout` its fields in wire order.

    What a dataclass would generate for each class stands here once: there are so many that it takes a megabyte.
    """

    __slots__ = ()
    command: ClassVar[int]
    layout: ClassVar[tuple[tuple[str, FieldKind, bool], ...]]
    _defaults: ClassVar[Mapping[str, Any]]
    _required: ClassVar[Set[str]]

    def __init__(self, **values: Any) -> None:
        given = values.keys()
        if not given >= self._required or not given <= self._defaults.keys():
            missing, unknown = sorted(self._required - given), sorted(given - self._defaults.keys())
            raise TypeError(f"{type(self).__name__} lacks {missing}, and has no {unknown}")
        for name, value in {**self._defaults, **values}.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._defaults)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        shown = (field.name for field in dataclasses.fields(cast(Any, self)) if field.repr)
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), {name: getattr(self, name) for name in self._defaults})


def _remade(cls: type[M], values: Mapping[str, Any]) -> M:
    return cls(**values)


_lean = dataclass(kw_only=True, slots=True, init=False, repr=False, eq=False)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def fields(cls: type[M]) -> type[M]:
    """Make the class a dataclass with the methods of `Message`, as a base of messages that have its fields."""
    made = cast(type[M], _lean(cls))
    of_all = dataclasses.fields(cast(Any, made))
    made._required = frozenset(each.name for each in of_all if each.default is dataclasses.MISSING)
    made._defaults = {each.name: each.default for each in of_all}
    return made


@dataclass(frozen=True, slots=True)
class UnknownMessage(Message):
    """A message whose identifier this program does not know; the payload stays out of its repr."""

    number: int
    payload: bytes = dataclasses.field(repr=False)


_CLASSES: dict[tuple[int, Family], list[tuple[Callable[[bytes], bool], type[Message]]]] = defaultdict(list)


def wire(kind: FieldKind, *, default: Any = dataclasses.MISSING, secret: bool = False, signed: bool = False) -> Any:
    """Return one field of a message: those with the `default` None may be absent, `secret` ones stay out of the repr.

    `signed` ones stand behind all others, and may stay open (None) until the message is sent.
    """
    optional = default is None
    default = None if signed else default
    metadata = {"kind": kind, "optional": optional, "signed": signed}
    return dataclasses.field(default=default, repr=not secret, metadata=metadata)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(wire,))
def message(
    command: Command, *families: Family, fits: Callable[[bytes], bool] = lambda payload: True
) -> Callable[[type[M]], type[M]]:
    """Make the class a dataclass, frozen as `Message` is, and register it for `command`.

    That is for all families unless some are named.

    Where one identifier has several layouts, a payload is of the first class that it `fits`.
    """

    def register(cls: type[M]) -> type[M]:
        made = fields(cls)
        made.command = command
        in_order = sorted(dataclasses.fields(cast(Any, made)), key=lambda field: bool(field.metadata["signed"]))
        made.layout = tuple((each.name, each.metadata["kind"], each.metadata["optional"]) for each in in_order)
        for family in families or Family:
            _CLASSES[command, family].append((fits, made))
        return made

    return register


@fields
class ChallengedRequest(Message):
    """Base of what is sent with the lock's last challenge (32 bytes), which stands behind the fields of its own.

    It may be made without, and get one when it is sent: a challenge serves once.
    """

    nonce: bytes = wire(raw(NONCE_SIZE), secret=True, signed=True)

    @property
    def is_signed(self) -> bool:
        """Nothing is left open that a lock wants."""
        return self.nonce is not None


@fields
class OwnerRequest(ChallengedRequest):
    """Base of what is also sent with the lock's security PIN, its last field."""

    security_pin: int = wire(pin, secret=True, signed=True)

    @property
    def is_signed(self) -> bool:
        """Nothing is left open that a lock wants."""
        return self.nonce is not None and self.security_pin is not None

    @property
    def brings_pin(self) -> bool:
        """It was made with a PIN, which `signed` leaves as it is."""
        return self.security_pin is not None

    def signed(self, nonce: bytes, security_pin: int) -> Self:
        """Return this request with a challenge, and with the security PIN unless it brings one."""
        number = self.security_pin if self.brings_pin else security_pin
        return dataclasses.replace(self, nonce=nonce, security_pin=number)


def encode(value: Message, family: Family) -> bytes:
    """Return the payload of a message, without identifier and CRC; an optional field that is None is left out.

    Raises `ValueError` for a request that is not signed.
    """
    if isinstance(value, ChallengedRequest) and not value.is_signed:
        raise ValueError(f"{type(value).__name__} lacks the challenge or the security PIN")
    parts = ((kind, optional, getattr(value, name)) for name, kind, optional in value.layout)
    return b"".join(kind.pack(field, family) for kind, optional, field in parts if not (optional and field is None))


def class_of(command: int, payload: bytes, family: Family) -> type[Message] | None:
    """Return the class of the message in `payload`, None if the identifier is not known."""
    return next((each for fits, each in _CLASSES.get((command, family), ()) if fits(payload)), None)


def decode(command: int, payload: bytes, family: Family) -> Message:
    """Return the message in `payload`; an `UnknownMessage` if the identifier is not known.

    Raises `BadFrame` if the payload is shorter than the message's required fields.
    """
    cls = class_of(command, payload, family)
    if cls is None:
        return UnknownMessage(command, payload)
    required, fields = _plan(cast(Any, cls), family)
    if len(payload) < required:
        raise BadFrame(f"{cls.__name__} needs at least {required} bytes, got {len(payload)}")
    spare = len(payload) - required
    values: dict[str, Any] = {}
    position = 0
    for name, size, unpack, optional in fields:
        if optional:
            if spare < size:
                spare = 0
                continue
            spare -= size
        values[name] = unpack(payload[position : position + size])
        position += size
    return cls(**values)


@cache
def _plan(cls: type[Message], family: Family) -> tuple[int, tuple[tuple[str, int, Callable[[bytes], Any], bool], ...]]:
    """How to decode a known message: size of its required fields; name, size and reader of each, and if it may lack."""
    fields = tuple((name, kind.size(family), kind.reader(family), optional) for name, kind, optional in cls.layout)
    return sum(size for _, size, _, optional in fields if not optional), fields
