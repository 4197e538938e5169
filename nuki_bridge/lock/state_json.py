"""A lock's states as JSON and as the words of topics; pure functions.

Nothing is published that the lock has not reported itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nuki_bridge.lock import wall_clock
from nuki_bridge.protocol.codes import DoorState, name_of

if TYPE_CHECKING:
    from nuki_bridge.lock.lock import Lock
    from nuki_bridge.protocol.common import States

_DOOR_WORDS = {
    DoorState.CLOSED: "closed",
    DoorState.OPEN: "open",
    DoorState.DEACTIVATED: "deactivated",
    DoorState.UNAVAILABLE: "unavailable",
    DoorState.CALIBRATING: "calibrating",
    DoorState.UNCALIBRATED: "uncalibrated",
    DoorState.TAMPERED: "tampered",
}


def door_word(states: States) -> str | None:
    """Return the door sensor's state as a word, None if the lock has not reported any."""
    return None if states.door_state is None else word_of_door(states.door_state)


def word_of_door(state: int) -> str:
    """Return the word for a number of the door sensor, `unknown` for one that means nothing."""
    return _DOOR_WORDS.get(state, "unknown")  # type: ignore[call-overload, no-any-return]


def battery(states: States) -> dict[str, Any]:
    """Return what the states say of the batteries; null where they say nothing."""
    return {
        "critical": states.battery_critical,
        "charging": states.battery_charging,
        "level": states.battery_percent,
        "keypad_critical": states.keypad_battery_critical,
        "door_sensor_critical": states.door_sensor_battery_critical,
    }


def name_or_none(value: int | None) -> str | None:
    """Return the name of a number of the protocol, None for one that was not reported."""
    return None if value is None else name_of(value)


def lock_time(lock: Lock) -> str | None:
    """Return when the lock last reported, in RFC 3339, as the lock's wall clock shows it."""
    return wall_clock.rfc3339(lock.updated, wall_clock.zone_in(lock))


def offset_min(lock: Lock) -> int | None:
    """Return the minutes from UTC to the lock's wall clock when it last reported."""
    if lock.updated is None:
        return None
    there = lock.updated.astimezone(wall_clock.zone_in(lock)).utcoffset()
    return None if there is None else int(there.total_seconds() // 60)
