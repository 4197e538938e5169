"""Checks of what somebody asks for, each with its JSON schema, and how a request is declared; pure functions.

Requests over MQTT and the settings of a lock are made of these checks.  A check gives the value to work with and raises
`ValueError` with the rest of "NAME …".  The schemas become docs/asyncapi.yaml (`make docs`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Any, Final, Generic, TypeVar

from nuki_bridge.records import frozen

Value = TypeVar("Value")
Handler = TypeVar("Handler")
Schema = Mapping[str, Any]


@frozen
class Check(Generic[Value]):
    """Checks one argument: `check(value)` gives the value to work with or raises `ValueError`.

    `name` is that of the schema in docs/asyncapi.yaml if it stands there once for several arguments; `meaning` is what
    the documentation says about this one argument.
    """

    read: Callable[[Any], Value]
    schema: Schema
    name: str = ""
    meaning: str = ""

    def __call__(self, value: Any) -> Value:
        return self.read(value)

    def meant(self, meaning: str) -> Check[Value]:
        """The same check of an argument with this meaning."""
        return replace(self, meaning=meaning)

    @property
    def reference(self) -> Schema:
        """The schema as it stands in another one: by its name if it has one."""
        return {"$ref": f"#/components/schemas/{self.name}"} if self.name else self.schema

    @property
    def or_null(self) -> Schema:
        """The schema of an argument that may be null."""
        schema = self.reference
        null = {"type": "null"}
        if "type" in schema:
            words = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
            return {**schema, "type": [schema["type"], "null"], **words}
        if "oneOf" in schema:
            return {**schema, "oneOf": [*schema["oneOf"], null]}
        return {"oneOf": [schema, null]}


def with_schema(schema: Schema, name: str = "") -> Callable[[Callable[[Any], Value]], Check[Value]]:
    """Make a function a `Check`."""
    return lambda read: Check(read, schema, name)


# -- words and numbers ------------------------------------------------------------------------------------------------


@with_schema({"type": "string", "minLength": 1, "maxLength": 200})
def text(value: Any) -> str:
    """A text of 1 to 200 characters."""
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise ValueError("must be a text of 1 to 200 characters")
    return value


def printable(max_size: int, name: str = "") -> Check[str]:
    """A name that a lock keeps whole: printable text of 1 to `max_size` bytes."""

    def check(value: Any) -> str:
        if isinstance(value, str) and not value.strip():
            raise ValueError("must not be empty")
        if not isinstance(value, str) or not value.isprintable():
            raise ValueError("must be a text without control characters")
        if len(value.encode(errors="replace")) > max_size:
            raise ValueError(f"must not be longer than {max_size} bytes (most letters have one, ä and é two)")
        return value

    description = f"printable text of at most {max_size} bytes"
    schema = {"type": "string", "description": description, "minLength": 1, "maxLength": max_size, "pattern": r"\S"}
    return Check(check, schema, name)


@with_schema({"type": "boolean"})
def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def whole(low: int, high: int, unit: str = "") -> Check[int]:
    """A whole number from `low` to `high`; `unit` is such as "minutes"."""
    of_unit = f" of {unit}" if unit else ""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number{of_unit} from {low} to {high}")
        return value

    return Check(check, {"type": "integer", "minimum": low, "maximum": high}, meaning=unit)


def entry_id(most: int) -> Check[int]:
    """The number of an entry in one of the lock's lists, from 0 to `most`."""
    return whole(0, most).meant("number in the lock's list")


def number(low: float, high: float, unit: str) -> Check[float]:
    """A number of `unit` from `low` to `high`."""

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"must be a number of {unit} from {low:g} to {high:g}")
        return float(value)

    return Check(check, {"type": "number", "minimum": low, "maximum": high}, meaning=unit)


def one_of(*words: str) -> Check[str]:
    """One of a few words."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return value

    return Check(check, {"type": "string", "enum": list(words)})


def place_of(*words: str) -> Check[int]:
    """One of a few words; gives its place among them."""
    word = one_of(*words)
    return Check(lambda value: words.index(word(value)), word.schema)


def member_of(members: Mapping[str, Value], schema: Schema, name: str = "") -> Check[Value]:
    """One of the names in `members`; gives what it stands for."""
    word = one_of(*members)
    return Check(lambda value: members[word(value)], {**word.schema, **schema}, name)


# -- addresses, PINs, durations ---------------------------------------------------------------------------------------


@with_schema(
    {"type": "string", "description": "Bluetooth address", "pattern": "^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$"},
    "AddressAsked",
)
def bluetooth_address(value: Any) -> str:
    """A Bluetooth address; gives it in upper case."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", value):
        raise ValueError('must be six pairs of hex digits such as "54:D2:72:AA:BB:CC"')
    return value.upper()


@with_schema(
    {
        "description": "security PIN, 4 digits, or 6 of the Ultra family, as a text or a number; quote one that begins "
        "with 0",
        "oneOf": [
            {"type": "string", "pattern": "^([0-9]{4}|[0-9]{6})$"},
            {"type": "integer", "minimum": 1000, "maximum": 9999},
            {"type": "integer", "minimum": 100000, "maximum": 999999},
        ],
    },
    "Pin",
)
def security_pin(value: Any) -> str:
    """A security PIN of 4 or 6 digits, as a text or a number."""
    digits = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(digits, str) or not re.fullmatch(r"[0-9]{4}|[0-9]{6}", digits):
        raise ValueError("must be 4 or 6 digits and nothing else; quote one that begins with 0")
    return digits


def duration(longest_s: int, name: str = "") -> Check[int]:
    """A duration in seconds, or as `48h`, `30m`, `1d12h`; gives whole seconds."""

    def check(value: Any) -> int:
        seconds = None
        if isinstance(value, str) and value.isascii():
            match = re.fullmatch(_DURATION, value.strip().lower())
            if match is not None and any(match.groups()):
                seconds = sum(int(part or 0) * unit for part, unit in zip(match.groups(), _UNITS_S, strict=True))
        elif isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= longest_s:
            seconds = int(value)
        if seconds is None or not 1 <= seconds <= longest_s:
            raise ValueError(f"must be a duration such as 48h, 30m or a number of seconds, from 1 s to {longest_s:g} s")
        return seconds

    words = r"^\s*(?=\d)(\d{1,9}[dD])?(\d{1,9}[hH])?(\d{1,9}[mM])?(\d{1,9}[sS]?)?\s*$"
    schema = {
        "description": f"at most {longest_s // 3600} h: seconds, or such as 48h, 30m, 1d12h",
        "oneOf": [{"type": "string", "pattern": words}, {"type": "number", "minimum": 1, "maximum": longest_s}],
    }
    return Check(check, schema, name)


_UNITS_S: Final = (86400, 3600, 60, 1)
_DURATION: Final = r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s?)?"


# -- all arguments of a request ---------------------------------------------------------------------------------------


@frozen
class Arguments:
    """What a request takes; whatever is in neither is an error, with a sentence of its own if it is `read_only`.

    Those in `nullable` may be null, which means something.  `which` is the kind of entry that `id` or `name` chooses,
    such as "user".
    """

    optional: Mapping[str, Check[Any]] = field(default_factory=dict)
    required: Mapping[str, Check[Any]] = field(default_factory=dict)
    nullable: frozenset[str] = frozenset()
    read_only: frozenset[str] = frozenset()
    which: str = ""

    def check(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values to work with; null stands for "not given".  Raises `ValueError` with a sentence."""
        checks = {**self.required, **self.optional}
        checked: dict[str, Any] = {}
        for name, value in values.items():
            if name not in checks:
                allowed = ", ".join((*checks, "transaction"))
                what = "is read-only" if name in self.read_only else "is not known here"
                raise ValueError(f"{name!r:.40} {what}; allowed: {allowed}")
            if value is None:
                if name in self.nullable:
                    checked[name] = None
                continue
            try:
                checked[name] = checks[name](value)
            except ValueError as error:
                raise ValueError(f"{name} {error}") from None
        for name in self.required:
            if name not in checked:
                raise ValueError(f"{name} is missing")
        return checked


@frozen
class Declaration(Generic[Handler]):
    """A request: what it takes and what carries it out.

    One that only `reads` does no harm when it is made twice, and its answer has to be what holds now.
    """

    arguments: Arguments
    handler: Handler
    reads: bool = False
