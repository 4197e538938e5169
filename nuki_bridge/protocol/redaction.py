"""A message as others may see it: its name, its size, and of its bytes those that open no door and name nobody.

What is hidden stands in the message tables: fields that are secret, texts, and what tells one lock or key from another.
Of a message about a person (it has a text that is always there) no byte is shown, and of an unknown message none.  The
configuration, which has a name and a place in it too, is shown if it is exactly as long as the tables say: in another
layout the name would stand where something else is expected.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, cast

from nuki_bridge.protocol.advertisement import APPLE, BEACON_SIZE, Sighting
from nuki_bridge.protocol.codes import Command, Family
from nuki_bridge.protocol.wire import Message, class_of
from nuki_bridge.records import frozen

IDENTIFYING: Final = frozenset({"nuki_id", "uuid", "key", "app_id", "authenticator"})
"""Fields that are hidden beside secrets and texts."""
CONFIGURATIONS: Final = frozenset({Command.CONFIG, Command.SET_CONFIG})
"""Messages with a text that are shown all the same, where their length is known."""
TELEMETRY: Final = frozenset(
    {Command.KEYTURNER_STATES, Command.BATTERY_REPORT, Command.ADVANCED_CONFIG, Command.ERROR_REPORT, Command.STATUS}
)
"""Messages of which bytes behind the known fields are shown, too: newer firmware tells more of the same there."""
SHORTEST_KNOWN: Final = 3
"""Bytes of the shortest secret that is looked for anywhere; shorter ones are found by chance."""


@frozen
class Shown:
    """One message; `payload` is in hex with `..` for each hidden byte, None where no byte is shown."""

    name: str
    number: int
    size: int
    payload: str | None
    hidden: tuple[str, ...] = ()


def shown(command: int, payload: bytes, family: Family, known: Collection[bytes] = ()) -> Shown:
    """Return a message as others may see it; `known` are secrets that are hidden wherever they stand."""
    cls = class_of(command, payload, family)
    name = cls.__name__ if cls is not None else "unknown"
    if cls is None or (_is_about_somebody(cls) and command not in CONFIGURATIONS):
        return Shown(name, command, len(payload), None)
    if command in CONFIGURATIONS and len(payload) not in _sizes(cls, family):
        return Shown(name, command, len(payload), None)
    parts = list(_parts(cls, family, len(payload)))
    if parts and parts[-1][2] > len(payload):
        return Shown(name, command, len(payload), None)
    mask = bytearray(len(payload))
    for _, begin, end, is_hidden in parts:
        if is_hidden:
            mask[begin:end] = b"\1" * (end - begin)
    end = parts[-1][2] if parts else 0
    if command not in TELEMETRY:
        mask[end:] = b"\1" * (len(payload) - end)
    _hide(payload, mask, known)
    hidden = tuple(each for each, _, _, is_hidden in parts if is_hidden)
    return Shown(name, command, len(payload), None if all(mask) else _hex(payload, mask), hidden)


def _is_hidden(field: dataclasses.Field[Any]) -> bool:
    return not field.repr or field.metadata["kind"].is_text or field.name in IDENTIFYING


def _is_about_somebody(cls: type[Message]) -> bool:
    fields = dataclasses.fields(cast(Any, cls))
    return any(each.metadata["kind"].is_text and not each.metadata["optional"] for each in fields)


def _parts(cls: type[Message], family: Family, size: int) -> Iterator[tuple[str, int, int, bool]]:
    """Name, first and last place and whether it is hidden, of each field that is there, as `decode` finds them."""
    fields = {each.name: each for each in dataclasses.fields(cast(Any, cls))}
    spare = size - sum(kind.size(family) for _, kind, optional in cls.layout if not optional)
    position = 0
    for name, kind, optional in cls.layout:
        width = kind.size(family)
        if optional:
            if spare < width:
                spare = 0
                continue
            spare -= width
        yield name, position, position + width, _is_hidden(fields[name])
        position += width


def _sizes(cls: type[Message], family: Family) -> set[int]:
    size = sum(kind.size(family) for _, kind, optional in cls.layout if not optional)
    sizes = {size}
    for _, kind, optional in cls.layout:
        if optional:
            size += kind.size(family)
            sizes.add(size)
    return sizes


def _hide(data: bytes, mask: bytearray, known: Collection[bytes]) -> None:
    for secret in known:
        if len(secret) < SHORTEST_KNOWN:
            continue
        for each in (secret, secret[::-1]):
            begin = data.find(each)
            while begin >= 0:
                mask[begin : begin + len(each)] = b"\1" * len(each)
                begin = data.find(each, begin + 1)


def _hex(data: bytes, mask: bytearray) -> str:
    return "".join(".." if hidden else f"{byte:02x}" for byte, hidden in zip(data, mask, strict=True))


# -- advertisements ---------------------------------------------------------------------------------------------------


def advertised(sighting: Sighting) -> Mapping[str, Any]:
    """Return what an advertisement said, without what tells one lock from another."""
    known = [] if sighting.nuki_id is None else [sighting.nuki_id.to_bytes(4, "big")]
    told: dict[str, Any] = {}
    if sighting.name is not None:
        is_usual = re.fullmatch(r"(Nuki_(?:Opener_)?)[0-9A-F]{8}", sighting.name)
        told["name"] = f"{is_usual[1]}........" if is_usual else f"{len(sighting.name)} characters"
    for company, data in sighting.manufacturer_data.items():
        is_beacon = company == APPLE and len(data) == BEACON_SIZE and sighting.opener is not None
        told[f"manufacturer_{company:04x}"] = _part(data, known if is_beacon else [])
    for uuid, data in sighting.service_data.items():
        told[f"service_{uuid}"] = _part(data, known)
    if sighting.service_uuids:
        told["services"] = list(sighting.service_uuids)
    return told


def _part(data: bytes, known: Collection[bytes]) -> str:
    """Return one part of an advertisement; only its length unless it is known where the lock's ID stands."""
    mask = bytearray(len(data))
    _hide(data, mask, known)
    return _hex(data, mask) if any(mask) else f"{len(data)} bytes"
