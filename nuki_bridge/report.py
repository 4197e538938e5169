"""What the bridge tells of a lock: its retained topics, its status, its battery, its events; pure functions.

Nothing is told that the lock has not reported itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from nuki_bridge import lock_config
from nuki_bridge.payload import dump
from nuki_bridge.protocol.codes import MOVING_STATES, DoorState, LockState, Trigger, name_of

if TYPE_CHECKING:
    from nuki_bridge.lock import Lock
    from nuki_bridge.protocol.messages import BatteryReport, Config, KeyturnerStates
    from nuki_bridge.store import PairedLock

ONLINE = b"online"
OFFLINE = b"offline"

_DOOR_WORDS = {
    DoorState.CLOSED: "closed",
    DoorState.OPEN: "open",
    DoorState.DEACTIVATED: "deactivated",
    DoorState.UNAVAILABLE: "unavailable",
    DoorState.CALIBRATING: "calibrating",
}
_CONFIG_FIELDS = (
    "auto_unlatch",
    "pairing_enabled",
    "button_enabled",
    "led_enabled",
    "led_brightness",
    "single_lock",
    "fob_action_1",
    "fob_action_2",
    "fob_action_3",
    "advertising_mode",
    "has_fob",
    "has_keypad",
    "has_keypad_2",
)
"""What of the configuration stands in the status; the lock's coordinates are nobody's business."""
_LAST_FIELDS = ("action", "trigger", "completion", "user", "source", "time")
"""What of an event stands in the status as the last lock action."""


def state_word(states: KeyturnerStates) -> str:
    """The lock state as a word of the contract; `undefined` for one that this program does not know."""
    return name_of(states.lock_state) if isinstance(states.lock_state, LockState) else "undefined"


def door_word(states: KeyturnerStates) -> str | None:
    """The door sensor's state as a word; None if the lock has not told any."""
    if states.door_state is None:
        return None
    return _DOOR_WORDS.get(states.door_state, "unknown")  # type: ignore[call-overload, no-any-return]


def lock_payloads(lock: Lock, *, had_door: bool) -> dict[str, bytes]:
    """The payloads of a lock's retained topics by their last level, without `status`.

    A door that is unavailable counts as "no sensor" unless there was one before (`had_door`).
    """
    payloads = {"availability": ONLINE if lock.reachable else OFFLINE}
    states = lock.states
    if states is None:
        return payloads
    payloads["state"] = state_word(states).encode()
    door = door_word(states)
    if door is not None and (had_door or states.door_state != DoorState.UNAVAILABLE):
        payloads["door"] = door.encode()
    payloads["battery"] = dump(battery(states))
    return payloads


def battery(states: KeyturnerStates) -> dict[str, Any]:
    """The batteries as the lock's states tell of them; null is "not told"."""
    return {
        "critical": states.battery_critical,
        "charging": states.battery_charging,
        "level": states.battery_percent,
        "keypad_critical": states.keypad_battery_critical,
        "door_sensor_critical": states.door_sensor_battery_critical,
    }


def battery_report(report: BatteryReport) -> dict[str, Any]:
    """A battery report; the units are in the names."""
    values = {each.name: getattr(report, each.name) for each in dataclasses.fields(report)}
    return {**values, "last_action": _name(report.last_action)}


def identity(paired: PairedLock) -> dict[str, Any]:
    """Which lock it is."""
    return {"nuki_id": f"{paired.nuki_id:08X}", "address": paired.address, "family": paired.family.value}


def link(lock: Lock) -> dict[str, Any]:
    """How the radio link is."""
    return {
        "reachable": lock.reachable,
        "connected": lock.connected,
        "rssi": lock.rssi,
        "updated": lock_time(lock),
        "fault": None if lock.fault is None else {"code": lock.fault.code, "message": str(lock.fault)},
    }


def status(lock: Lock, last: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Everything known about the lock; `last` is the event of its last action, if one is known.

    Without that the last action is what its states tell: not by whom.
    """
    told = {"name": lock.name, **identity(lock.paired), "connection": lock.connection.value, **link(lock)}
    if lock.states is not None:
        told |= _states(lock.states)
        last = last or _lock_action(lock.states)
        told["last_lock_action"] = {name: last.get(name) for name in _LAST_FIELDS}
    if lock.config is not None:
        told |= _config(lock.config)
    if lock.battery_report is not None:
        told["battery_report"] = battery_report(lock.battery_report)
    return told


def _states(states: KeyturnerStates) -> dict[str, Any]:
    return {
        "state": state_word(states),
        "door": door_word(states),
        "nuki_state": name_of(states.nuki_state),
        "trigger": name_of(states.trigger),
        "last_action": _name(states.last_action),
        "last_trigger": _name(states.last_trigger),
        "last_completion": _name(states.last_completion),
        "lock_n_go_timer_s": states.lock_n_go_timer,
        "night_mode": states.night_mode_active,
        "battery": battery(states),
        "timezone_offset_min": states.timezone_offset_min,
    }


def _config(config: Config) -> dict[str, Any]:
    return {
        "name_in_lock": config.name,
        "firmware": ".".join(str(each) for each in config.firmware_version),
        "hardware": ".".join(str(each) for each in config.hardware_revision),
        "device_type": config.device_type,
        "config": {name: each for name, each in lock_config.shown(config).items() if name in _CONFIG_FIELDS},
    }


def _name(value: int | None) -> str | None:
    return None if value is None else name_of(value)


def lock_time(lock: Lock) -> str | None:
    """When the lock last reported, in RFC 3339 with the lock's own offset."""
    if lock.updated is None:
        return None
    offset_min = lock.states.timezone_offset_min if lock.states is not None else 0
    return rfc3339(lock.updated, offset_min)


def rfc3339(moment: datetime, offset_min: int = 0) -> str:
    """`moment` to the second, with an offset in minutes; an impossible offset is taken for UTC."""
    zone = timezone(timedelta(minutes=offset_min)) if abs(offset_min) < 24 * 60 else UTC
    return moment.astimezone(zone).isoformat(timespec="seconds")


# -- events -----------------------------------------------------------------------------------------------------------

_MEASURING = frozenset({LockState.CALIBRATING, LockState.BOOT_RUN})
"""The lock moves its bolt to find out where it is; that is no lock action."""
_UNDER_WAY = MOVING_STATES | {LockState.UNLOCKED_LOCK_N_GO}
_BY_HAND = {LockState.LOCKED: "lock", LockState.UNLOCKED: "unlock", LockState.UNLATCHED: "unlatch"}


class Events:
    """Finds in the reports of one lock what happened: an action that ended, a door that moved.

    Reports repeat themselves and may skip what lies between; an action is told once, when the motor rests.
    """

    def __init__(self) -> None:
        self._before: KeyturnerStates | None = None
        self._rested: KeyturnerStates | None = None
        self._moved = False
        self._measured = False

    def feed(self, states: KeyturnerStates) -> list[dict[str, Any]]:
        """The events that a report tells of; none for the first one, which only says how things are."""
        before, self._before = self._before, states
        events: list[dict[str, Any]] = []
        if states.lock_state in _MEASURING:
            self._measured = True
        elif states.lock_state in _UNDER_WAY:
            self._moved = True
        else:
            is_news = not self._measured and self._rested is not None and _is_news(self._rested, states)
            if self._moved or is_news:
                events.append(_lock_action(states))
            self._rested, self._moved, self._measured = states, False, False
        if before is not None and door_word(before) != door_word(states):
            events.append({"type": "door", "door": door_word(states)})
        return events


def _is_news(before: KeyturnerStates, states: KeyturnerStates) -> bool:
    if _who(before) != _who(states):
        return True
    # The latch springs back by itself: the end of what has been told.
    released = before.lock_state == LockState.UNLATCHED and states.lock_state == LockState.UNLOCKED
    return before.lock_state != states.lock_state and not released


def _who(states: KeyturnerStates) -> tuple[int | None, ...]:
    return states.trigger, states.last_action, states.last_trigger, states.last_completion


def _lock_action(states: KeyturnerStates) -> dict[str, Any]:
    """By hand the last action may still be an older one of somebody else: then the bolt's position tells more."""
    by_hand = states.trigger == Trigger.MANUAL and states.last_trigger != Trigger.MANUAL
    hand_did = _BY_HAND.get(states.lock_state)  # type: ignore[call-overload]
    return {
        "type": "lock_action",
        "action": hand_did if by_hand else _name(states.last_action),
        "trigger": name_of(states.trigger),
        "completion": None if by_hand else _name(states.last_completion),
        "state": state_word(states),
    }
