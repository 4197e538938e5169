"""How a lock is, and what happens at it, told to people in sentences; pure functions.

What comes in are the words of MQTT topics; of a value that is not known the word itself is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nuki_bridge.command_line.console import printable

DID: Final = {
    "lock": "locked",
    "full_lock": "locked",
    "unlock": "unlocked",
    "unlatch": "unlatched",
    "open": "opened",
    "lock_n_go": "started lock 'n' go",
    "lock_n_go_unlatch": "started lock 'n' go with unlatching",
    "activate_rto": "activated ring to open",
    "deactivate_rto": "ended ring to open",
    "activate_continuous_mode": "activated continuous mode",
    "deactivate_continuous_mode": "ended continuous mode",
    "calibrate": "calibrated it",
}
"""What somebody has done who has had a lock do this."""

STATES: Final = {
    "motor_blocked": "its motor is blocked",
    "rto_active": "ring to open is active",
    "undefined": "its state is undefined",
    "unlocked_lock_n_go": "is unlocked and locks by itself soon",
    "boot_run": "is starting",
}
"""States whose sentence is not `is` and the word."""

_USUAL_MODES: Final = (None, "door_mode")
"""Modes of a device that are not worth a word."""


def happened(kind: str, value: Any) -> str | None:
    """Return what a message on the topic `kind` of a lock tells, None if that is told by another message."""
    if kind == "event":
        return _event(value) if isinstance(value, Mapping) else printable(value)
    if kind == "result":
        return _failure(value) if isinstance(value, Mapping) and value.get("status") == "error" else None
    if value == "":
        return None  # what was retained is cleared, as of a lock that was unpaired
    words = _spaced(value)
    if kind == "door":
        return f"the door is {words}"
    return STATES.get(str(value), f"is {words}")


def _event(event: Mapping[str, Any]) -> str | None:
    kind = event.get("type")
    if kind in ("lock_action", "keypad", "calibration"):
        return _action(event)
    if kind == "lock_action_begun":
        return f"{_who(event)} begins: {_spaced(event.get('action'))} ({_spaced(event.get('source'))})"
    if kind == "door":
        return f"the door sensor: {_spaced(event.get('door'))}" if event.get("source") else None
    if kind == "ring":
        opened = event.get("opened")
        return "the doorbell rang" + (f", and the door was opened ({_spaced(opened)})" if opened else "")
    if kind == "invitation":
        return f"the invitation of {_who(event)} was {_spaced(event.get('invitation'))}"
    rest = {key: value for key, value in event.items() if key not in ("type", "time") and value is not None}
    return f"{_spaced(kind)}: {printable(rest)}" if rest else _spaced(kind)


def _action(event: Mapping[str, Any]) -> str:
    """Return who did what, by what means, with which end; what did not succeed is not told as done."""
    action, completion = event.get("action"), event.get("completion")
    if event.get("type") == "calibration":
        action = "calibrate"
    means = event.get("source") or event.get("trigger")
    through = f" ({_spaced(means)})" if means else ""
    end = f": {_spaced(completion)}" if completion else ""
    if action is None:
        state = event.get("state")
        return f"{_who(event)} moved it{through}{end or (f': {_spaced(state)}' if state else '')}"
    if completion in (None, "success") and action in DID:
        return f"{_who(event)} {DID[action]}{through}{end}"
    return f"{_who(event)} wanted: {_spaced(action)}{through}{end}"


def _who(event: Mapping[str, Any]) -> str:
    user = event.get("user")
    name = user.get("name") if isinstance(user, Mapping) else None
    return printable(name) if name else "somebody"


def _failure(result: Mapping[str, Any]) -> str:
    """Return why a command was not carried out."""
    action = _spaced(result.get("action") or "a command")
    return f"{action} failed: {printable(result.get('message'))} ({printable(result.get('error'))})"


def _spaced(word: Any) -> str:
    return printable(word).replace("_", " ")


# -- how it is --------------------------------------------------------------------------------------------------------


def in_brief(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the eight lines about a lock that people want to see, out of all that is known."""
    mode, rssi = known.get("nuki_state"), known.get("rssi")
    state = printable(known.get("state")) + ("" if mode in _USUAL_MODES else f" ({_spaced(mode)})")
    fault = known.get("fault")
    why = f": {printable(fault.get('message'))}" if isinstance(fault, Mapping) else ""
    last = known.get("last_lock_action")
    return {
        "name": known.get("name"),
        "availability": f"{printable(known.get('availability'))}{why}",
        "state": state,
        "door": known.get("door"),
        "battery": battery(known.get("battery")),
        "signal": None if rssi is None else f"{printable(rssi)} dBm",
        "last action": _last(last) if isinstance(last, Mapping) else None,
        "updated": known.get("updated"),
    }


def battery(told: Any) -> str | None:
    """Return how the batteries are: the lock's level, and which of them are weak."""
    if not isinstance(told, Mapping):
        return None
    level = told.get("level")
    words = ["critical" if told.get("critical") else "ok"] if level is None or told.get("critical") else []
    words += [f"{printable(level)} %"] if level is not None else []
    words += ["charging"] if told.get("charging") else []
    weak = {"keypad_critical": "keypad's critical", "door_sensor_critical": "door sensor's critical"}
    return ", ".join(words + [word for key, word in weak.items() if told.get(key)])


def battery_days(days: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a line for each day of the batteries, the newest first, with what was remarkable about it."""
    return [
        {
            "day": each.get("day"),
            "level": None if each.get("level") is None else f"{printable(each['level'])} %",
            "voltage": None if each.get("voltage_mv") is None else f"{each['voltage_mv'] / 1000:.2f} V",
            "note": ", ".join(word for word in ("critical", "charging") if each.get(word)) or None,
        }
        for each in reversed(days)
    ]


def _last(action: Mapping[str, Any]) -> str | None:
    if action.get("action") == "none":  # a lock that did nothing since it started tells this
        return None
    time = action.get("time")
    return _action(action) + (f", {printable(time)}" if time else "")
