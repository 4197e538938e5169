"""A lock's log entries in words, as events and answers carry them; pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.lock import wall_clock
from nuki_bridge.protocol.codes import Completion, KeypadSource, LogType, Trigger, name_of, open_enum
from nuki_bridge.protocol.keypad_codes import logged_name
from nuki_bridge.protocol.opener import Ring, ring_of

if TYPE_CHECKING:
    from datetime import tzinfo

    from nuki_bridge.lock.profile import Profile
    from nuki_bridge.protocol.log_entries import LogEntry

_DOORS: Final = ("open", "closed", "jammed", "tampered")
_MOTOR_LOG: Final = {
    LogType.LOCK_ACTION: "lock_action",
    LogType.CALIBRATION: "calibration",
    LogType.INITIALIZATION_RUN: "initialization_run",
}
_ARMED_BY: Final[Mapping[int, str | None]] = {
    0: None,
    1: "time_control",
    2: "app",
    3: "button",
    4: "fob",
    5: "bridge",
    6: "keypad",
}
"""What had an Opener open at a ring, by the number in its log."""


def event_of(profile: Profile, entry: LogEntry, zone: tzinfo, kind_of: Callable[[int], str | None]) -> dict[str, Any]:
    """Return a log entry as JSON.

    `profile` is that of the lock's kind; `kind_of` gives the type of the user of an ID, if it is known.
    """
    name = logged_name(entry.name) if entry.kind == LogType.KEYPAD_ACTION else entry.name
    user = {"id": entry.authorization_id, "name": name} if entry.authorization_id else None
    common = {"user": user, "source": None, "time": wall_clock.rfc3339(entry.time, zone)}
    data = [0 if each is None else each for each in (entry.data_0, entry.data_1, entry.data_2, entry.data_3)]
    if entry.kind in _MOTOR_LOG:
        return {
            "type": _MOTOR_LOG[LogType(entry.kind)],
            "action": profile.action_word(data[0]),
            "trigger": name_of(open_enum(Trigger, data[1])),
            "completion": name_of(open_enum(Completion, data[3])),
            **common,
            "source": source_of(data[1], entry.authorization_id, kind_of),
        }
    if entry.kind == LogType.KEYPAD_ACTION:
        return {
            "type": "keypad",
            "action": profile.action_word(data[0]),
            "trigger": name_of(open_enum(KeypadSource, data[1])),
            "completion": name_of(open_enum(Completion, data[2])),
            "code_id": data[3] | (entry.data_4 or 0) << 8,
            **common,
            "source": "keypad",
        }
    ring = ring_of(entry) if profile.rings else None
    if ring is not None:
        return {"type": "ring", **_ring_to_json(ring), **common, "source": "doorbell"}
    if entry.kind == LogType.DOOR_SENSOR:
        word = _DOORS[data[0]] if data[0] < len(_DOORS) else "unknown"
        return {"type": "door", "door": word, **common, "source": "door_sensor"}
    if entry.kind == LogType.FIRMWARE_UPDATE:
        return {"type": "firmware_update", "version": ".".join(map(str, data[:3])), **common}
    if entry.kind in (LogType.LOGGING, LogType.DOOR_SENSOR_LOGGING):
        return {"type": name_of(entry.kind), "enabled": bool(data[0]), **common}
    return {"type": name_of(entry.kind), **common}


def _ring_to_json(ring: Ring) -> dict[str, Any]:
    opened = "continuous_mode" if ring.continuous_mode else "rto" if ring.ring_to_open else None
    return {
        "opened": opened,
        "suppressed": ring.suppressed,
        "armed_by": _ARMED_BY.get(ring.source, f"unknown_{ring.source:#04x}"),
        "code_id": ring.code_id or None,
        "geofence": ring.geofence,
        "sound": ring.sound,
        "completion": name_of(ring.completion),
    }


def source_of(trigger: int, authorization_id: int, kind_of: Callable[[int], str | None]) -> str:
    """Return what the action came through: an authorization's kind, or what set the lock in motion by itself."""
    kind = kind_of(authorization_id) if authorization_id else None
    if trigger in (Trigger.SYSTEM, Trigger.AUTOMATIC) and kind is not None:
        return kind
    return name_of(open_enum(Trigger, trigger))
