"""What a message is, and the one `encode` and `decode` that walk its fields.

A message is a class under `@message(number)` whose fields are declared with `wire(kind)`; see `messages.py`, and
`field_kinds.py` for the kinds.  Decoding follows smartlock.md 4.5: an optional field is there if enough bytes remain
for it and all required ones behind it, missing ones are None, surplus bytes are ignored, and only a payload below the
required minimum is a `BadFrame`.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, Self, TypeVar, cast, dataclass_transform

from nuki_bridge.errors import BadFrame
from nuki_bridge.protocol.codes import Command, Family
from nuki_bridge.protocol.field_kinds import NONCE_SIZE, FieldKind, pin, raw
from nuki_bridge.records import frozen, frozen_by_name

M = TypeVar("M", bound="Message")


@frozen_by_name
class Message:
    """Base of every message class; `command` is its identifier, `layout` its fields in wire order."""

    command: ClassVar[int]
    layout: ClassVar[tuple[tuple[str, FieldKind, bool], ...]]


@frozen
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
    """Make the class one of frozen values, and register it for `command`.

    That is for all families unless some are named.

    Where one identifier has several layouts, a payload is of the first class that it `fits`.
    """

    def register(cls: type[M]) -> type[M]:
        made = frozen_by_name(cls)
        made.command = command
        in_order = sorted(dataclasses.fields(cast(Any, made)), key=lambda field: bool(field.metadata["signed"]))
        made.layout = tuple((each.name, each.metadata["kind"], each.metadata["optional"]) for each in in_order)
        for family in families or Family:
            _CLASSES[command, family].append((fits, made))
        return made

    return register


@frozen_by_name
class ChallengedRequest(Message):
    """Base of what is sent with the lock's last challenge (32 bytes), which stands behind the fields of its own.

    It may be made without, and get one when it is sent: a challenge serves once.
    """

    nonce: bytes = wire(raw(NONCE_SIZE), secret=True, signed=True)

    @property
    def is_signed(self) -> bool:
        """Nothing is left open that a lock wants."""
        return self.nonce is not None


@frozen_by_name
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
