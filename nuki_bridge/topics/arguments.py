"""What each request takes: its arguments by name, and the check that each of them has to pass; pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nuki_bridge.arguments import Arguments, address, duration, flag, number, one_of, pin, text, whole, with_schema
from nuki_bridge.owner import access, keypad, lock_config, time_control
from nuki_bridge.protocol.codes import LockState
from nuki_bridge.protocol.messages import SUFFIX_SIZE


@with_schema({"type": "array", "minItems": 1, "items": {"type": "string"}})
def states(value: Any) -> frozenset[LockState]:
    """States of a lock by their names, in any case; a list with one at least."""
    names = [each.strip().lower() for each in value if isinstance(each, str)] if isinstance(value, list) else []
    if not names or len(names) != len(value) or not set(names) <= _STATES.keys():
        raise ValueError(f"must be a list of states: {', '.join(_STATES)}")
    return frozenset(_STATES[each] for each in names)


@with_schema({"type": "string", "minLength": 1, "maxLength": SUFFIX_SIZE, "pattern": r"\S"})
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
    "scan": Arguments({"timeout": number(0.1, 300, "seconds")}),
    "pair": Arguments(
        {
            "address": address,
            "name": text,
            "pin": pin,
            "as": one_of("bridge", "app"),
            "timeout": number(1, 600, "seconds"),
        }
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
        {"remote": flag, "expires_in": duration(48 * 3600, "Duration"), "access": access.check},
        {"name": lock_config.name},
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
