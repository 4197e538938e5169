"""What each request takes: its arguments by name, and the check that each of them has to pass; pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Check = Callable[[Any], Any]
"""Checks one argument and gives the value to work with; raises `ValueError` with the rest of "NAME …"."""


def text(value: Any) -> str:
    """A text of 1 to 200 characters."""
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise ValueError("must be a text of 1 to 200 characters")
    return value


def address(value: Any) -> str:
    """A Bluetooth address, given back in upper case."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", value):
        raise ValueError('must be six pairs of hex digits such as "54:D2:72:AA:BB:CC"')
    return value.upper()


def pin(value: Any) -> str:
    """A security PIN of 1 to 6 digits, as a text or a number."""
    digits = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(digits, str) or not re.fullmatch(r"[0-9]{1,6}", digits):
        raise ValueError("must be 1 to 6 digits and nothing else")
    return digits


def seconds(low: float, high: float) -> Check:
    """A number of seconds."""

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"must be a number of seconds from {low:g} to {high:g}")
        return float(value)

    return check


def one_of(*words: str) -> Check:
    """One of a few words."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return value

    return check


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a request takes; whatever is in neither is an error."""

    optional: Mapping[str, Check] = field(default_factory=dict)
    required: Mapping[str, Check] = field(default_factory=dict)

    def check(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values to work with; null stands for "not given".  Raises `ValueError` with a sentence."""
        checks = {**self.required, **self.optional}
        checked = {}
        for name, value in values.items():
            if name not in checks:
                allowed = ", ".join((*checks, "transaction"))
                raise ValueError(f"{name!r:.40} is not known here; allowed: {allowed}")
            if value is None:
                continue
            try:
                checked[name] = checks[name](value)
            except ValueError as error:
                raise ValueError(f"{name} {error}") from None
        for name in self.required:
            if name not in checked:
                raise ValueError(f"{name} is missing")
        return checked


BRIDGE_COMMANDS: Final[Mapping[str, Arguments]] = {
    "scan": Arguments({"timeout": seconds(0.1, 300)}),
    "pair": Arguments(
        {"address": address, "name": text, "pin": pin, "as": one_of("bridge", "app"), "timeout": seconds(1, 600)}
    ),
    "unpair": Arguments(required={"name": text}),
    "locks": Arguments(),
    "health": Arguments(),
    "restart": Arguments(),
}
"""Requests to the bridge."""
LOCK_COMMANDS: Final[Mapping[str, Arguments]] = {
    "refresh": Arguments(),
    "battery/get": Arguments(),
}
"""Requests to a lock."""
