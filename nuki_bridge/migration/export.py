"""What the export of another program holds: pairings, and what is not taken of it; and how its fields are read.

A value that is wrong is told by its field, never quoted: it may be a key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from nuki_bridge.errors import BadFrame, RequestError
from nuki_bridge.protocol.codes import Family, IdType
from nuki_bridge.protocol.crypto import KEY_SIZE, kdf1_dh1, public_key
from nuki_bridge.records import frozen

ID_SIZE = 4
"""Bytes of an authorization ID, which the other programs keep as it stands on the wire: little-endian."""


@frozen
class FoundPairing:
    """One device and another program's authorization on it.

    `shared_key` has 32 bytes.  What the export does not say is None; `pin_note` says why a PIN in it is not taken.
    """

    address: str
    authorization_id: int
    shared_key: bytes = field(repr=False)
    app_id: int
    id_type: IdType
    family: Family | None = None
    name: str | None = None
    """What the other program calls the device."""
    noun: str = "lock"
    """What it is called in a name that is made for it."""
    nuki_id: int | None = None
    pin: str | None = field(default=None, repr=False)
    pin_note: str | None = None


@frozen
class NotTaken:
    """Fields of an export that are left out, by name, and why or what to do instead."""

    fields: tuple[str, ...]
    why: str


@frozen
class Export:
    """All that was found in the export of `program`."""

    program: str
    pairings: tuple[FoundPairing, ...]
    not_taken: tuple[NotTaken, ...] = ()

    def only(self, address: str) -> Export:
        """Return it with one device alone; raises `RequestError` if that is not in it."""
        found = tuple(each for each in self.pairings if each.address == address)
        if not found:
            known = ", ".join(each.address for each in self.pairings)
            raise RequestError("bad_export", f"this export has no device {address}; it has {known}")
        return replace(self, pairings=found)


def wrong(path: str, sentence: str) -> RequestError:
    """Return the error about a field."""
    return RequestError("bad_export", f"{path} {sentence}")


class Fields:
    """The fields of one mapping at `place` in an export; each method raises `RequestError` with the field's path.

    A field may have several names, of which the first that is there counts.  An empty one counts as missing.
    """

    def __init__(self, values: object, place: str = "") -> None:
        self.place = place
        if not isinstance(values, Mapping):
            raise wrong(place or "the file", "must be a mapping of fields to values")
        self._values: Mapping[str, Any] = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def path(self, name: str) -> str:
        """Return how a field is called in a sentence."""
        return f"{self.place}.{name}" if self.place else name

    def below(self, name: str) -> Fields:
        """Return the mapping in a field."""
        return Fields(self._values.get(name, {}), self.path(name))

    def list_of(self, name: str) -> list[Any]:
        """Return the list in a field."""
        found = self._values.get(name)
        if not isinstance(found, list):
            raise wrong(self.path(name), "must be a list" if name in self._values else "is missing")
        return found

    def given(self) -> list[str]:
        """Return the names of all fields that have a value."""
        return [str(name) for name, value in self._values.items() if value not in ("", None)]

    def text(self, *names: str) -> str | None:
        """Return the text or the number in a field as text, None if it is missing."""
        found = self._find(names)
        return None if found is None else found[1]

    def needed(self, *names: str) -> str:
        """Return the same of a field that must be there."""
        return self._need(names)[1]

    def counted(self, *names: str) -> int | None:
        """Return the number in a field that is a number by its kind, such as a PIN that has lost its leading zeros."""
        value = next((self._values[name] for name in names if self._values.get(name) not in (None, "")), None)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def hex(self, *names: str, size: int) -> bytes:
        """Return the bytes in a field of hex digits."""
        path, digits = self._need(names)
        if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})*", digits) or len(digits) != 2 * size:
            raise wrong(path, f"must be {2 * size} hex digits")
        return bytes.fromhex(digits)

    def authorization_id(self, *names: str) -> int:
        """Return an authorization ID, which is kept in the order of its bytes on the wire."""
        number = int.from_bytes(self.hex(*names, size=ID_SIZE), "little")
        if number == 0:
            raise wrong(self._need(names)[0], "is zero: that is no authorization")
        return number

    def u32(self, *names: str) -> int:
        """Return a whole number of 32 bits in decimal digits."""
        path, digits = self._need(names)
        if not re.fullmatch(r"[0-9]{1,10}", digits) or int(digits) > 0xFFFFFFFF:
            raise wrong(path, "must be a whole number from 0 to 4294967295")
        return int(digits)

    def address(self, *names: str) -> str:
        """Return a Bluetooth address, written with or without colons, as `AA:BB:CC:DD:EE:FF`."""
        path, text = self._need(names)
        digits = text.replace(":", "").upper()
        if not re.fullmatch(r"[0-9A-F]{12}", digits) or len(text) not in (12, 17):
            raise wrong(path, "must be a Bluetooth address: six pairs of hex digits")
        return ":".join(digits[start : start + 2] for start in range(0, 12, 2))

    def shared_key(self, device: tuple[str, ...], public: tuple[str, ...], secret: tuple[str, ...]) -> bytes:
        """Return the key that the device's public key and our key pair agree on; the pair has to be one."""
        theirs = self.hex(*device, size=KEY_SIZE)
        ours = self.hex(*secret, size=KEY_SIZE)
        if self.hex(*public, size=KEY_SIZE) != public_key(ours):
            raise wrong(self._need(public)[0], f"does not belong to {self._need(secret)[0]}: one of them is not whole")
        try:
            return kdf1_dh1(ours, theirs)
        except BadFrame:
            raise wrong(self._need(device)[0], "is no public key") from None

    def _find(self, names: tuple[str, ...]) -> tuple[str, str] | None:
        for name in names:
            value = self._values.get(name)
            if value is None or value == "":
                continue
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise wrong(self.path(name), "must be text or a whole number")
            return self.path(name), str(value).strip()
        return None

    def _need(self, names: tuple[str, ...]) -> tuple[str, str]:
        found = self._find(names)
        if found is None:
            raise wrong(" or ".join(map(self.path, names)), "is missing or empty")
        return found


def pin_of(number: int, family: Family, state: str | None = None) -> tuple[str | None, str | None]:
    """Return a security PIN that was kept as a number, with its leading zeros; or None, and why it is not taken.

    `state` is what the other program knows against it, as a sentence.
    """
    if number == 0:
        return None, None  # none was ever given; a real one of zeros alone cannot be told from that
    if number >= 10**family.pin_digits:
        return None, None  # what stands for none after it was cleared
    return (None, state) if state else (f"{number:0{family.pin_digits}d}", None)
