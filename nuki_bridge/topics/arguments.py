"""What each request takes: its arguments by name, and the check that each of them has to pass; pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from nuki_bridge.owner import access, keypad, lock_config, time_control
from nuki_bridge.protocol.codes import LockState
from nuki_bridge.protocol.messages import SUFFIX_SIZE

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
    """A security PIN of 4 or 6 digits, as a text or a number."""
    digits = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(digits, str) or not re.fullmatch(r"[0-9]{4}|[0-9]{6}", digits):
        raise ValueError("must be 4 or 6 digits and nothing else; quote one that begins with 0")
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


def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def whole(low: int, high: int) -> Check:
    """A whole number."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return check


def duration(longest_s: int) -> Check:
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

    return check


_UNITS_S = (86400, 3600, 60, 1)
_DURATION = r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s?)?"


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a request takes; whatever is in neither is an error, with a sentence of its own if it is `read_only`.

    Those in `nullable` may be null, which means something.
    """

    optional: Mapping[str, Check] = field(default_factory=dict)
    required: Mapping[str, Check] = field(default_factory=dict)
    nullable: frozenset[str] = frozenset()
    read_only: frozenset[str] = frozenset()

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


def states(value: Any) -> frozenset[LockState]:
    """States of a lock by their names, in any case; a list with one at least."""
    names = [each.strip().lower() for each in value if isinstance(each, str)] if isinstance(value, list) else []
    if not names or len(names) != len(value) or not set(names) <= _STATES.keys():
        raise ValueError(f"must be a list of states: {', '.join(_STATES)}")
    return frozenset(_STATES[each] for each in names)


def suffix(value: Any) -> str:
    """What the lock's log shows behind the bridge's name: a printable text of 1 to 20 bytes."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("must be a printable text")
    if len(value.encode(errors="replace")) > SUFFIX_SIZE:
        raise ValueError(f"must have {SUFFIX_SIZE} bytes at most")
    return value


_STATES: Final = {each.name.lower(): each for each in LockState}
SET: Final = Arguments({"action": text, "only_if": states, "as": suffix})
"""What an object on `<lock>/set` takes; its `action` has a check of its own."""
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
    "users/list": Arguments(),
    "users/add": Arguments({"remote": flag, "access": access.check}, {"name": lock_config.name}),
    "users/update": Arguments(
        {
            "id": whole(0, 0xFFFFFFFF),
            "name": text,
            "rename": lock_config.name,
            "enabled": flag,
            "remote": flag,
            "access": access.check,
            "self": flag,
        },
        nullable=frozenset({"access"}),
    ),
    "users/remove": Arguments({"id": whole(0, 0xFFFFFFFF), "name": text, "self": flag}),
    "invite/create": Arguments(
        {"remote": flag, "expires_in": duration(48 * 3600), "access": access.check}, {"name": lock_config.name}
    ),
    "invite/list": Arguments(),
    "invite/revoke": Arguments({"id": whole(0, 0xFFFFFFFF), "name": text}),
    "config/get": Arguments(),
    "config/set": Arguments(lock_config.checks(), read_only=lock_config.read_only()),
    "pin/verify": Arguments({"pin": pin}),
    "pin/set": Arguments(required={"pin": pin}),
    "time/set": Arguments({"time": access.moment}),
    "keypad/list": Arguments({"codes": flag}),
    "keypad/add": Arguments({"access": access.check}, {"name": keypad.code_name, "code": keypad.code}),
    "keypad/update": Arguments(
        {
            "id": whole(0, 0xFFFF),
            "name": text,
            "rename": keypad.code_name,
            "code": keypad.code,
            "enabled": flag,
            "access": access.check,
        },
        nullable=frozenset({"access"}),
    ),
    "keypad/remove": Arguments({"id": whole(0, 0xFFFF), "name": text}),
    "timecontrol/list": Arguments(),
    "timecontrol/add": Arguments(
        {"weekdays": time_control.weekdays, "enabled": flag},
        {"time": access.time_of_day, "action": time_control.action},
    ),
    "timecontrol/update": Arguments(
        {
            "time": access.time_of_day,
            "action": time_control.action,
            "weekdays": time_control.weekdays,
            "enabled": flag,
        },
        {"id": whole(0, 0xFF)},
    ),
    "timecontrol/remove": Arguments(required={"id": whole(0, 0xFF)}),
    "calibrate": Arguments(),
    "reboot": Arguments(),
    "log/get": Arguments({"count": whole(1, 500), "before": whole(1, 0xFFFFFFFF), "after": whole(0, 0xFFFFFFFF)}),
}
"""Requests to a lock."""
READING: Final = frozenset(
    {"scan", "locks", "health", "refresh", "battery/get", "config/get", "log/get"}
    | {f"{kind}/list" for kind in ("users", "invite", "keypad", "timecontrol")}
)
"""Requests that only read: made twice they do no harm, and their answer is to be what holds now."""
