"""Control messages for a virtual lock: what a demo or a test may do to it over MQTT.

A message is a JSON object.  Each key is one control; the controls are carried out in the order given, after all of them
have been checked.  The answer is the lock as it is afterwards, with the audit trail if `audit` asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from nuki_bridge.protocol.codes import Action, DoorState, KeypadSource, LockState, name_of
from nuki_bridge.simulator.auto_lock import AutoLockWatch
from nuki_bridge.simulator.connections import Connections
from nuki_bridge.simulator.device import Device
from nuki_bridge.simulator.motion import Motion
from nuki_bridge.simulator.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one lock that a control reaches."""

    device: Device
    motion: Motion
    auto_lock: AutoLockWatch
    surroundings: Surroundings
    connections: Connections


Do = Callable[[Parts], None]
_HAND_STATES = {"locked": LockState.LOCKED, "unlocked": LockState.UNLOCKED, "unlatched": LockState.UNLATCHED}
_DOOR_STATES = {
    "closed": DoorState.CLOSED,
    "open": DoorState.OPEN,
    "unknown": DoorState.UNKNOWN,
    "deactivated": DoorState.DEACTIVATED,
    "unavailable": DoorState.UNAVAILABLE,
    "calibrating": DoorState.CALIBRATING,
    "uncalibrated": DoorState.UNCALIBRATED,
    "tampered": DoorState.TAMPERED,
}


def control(lock: Parts, command: dict[str, Any]) -> dict[str, Any]:
    """Carry out `command` and return the answer.

    Raise `ValueError` with a sentence for people if it is wrong; then nothing has been done.
    """
    if not isinstance(command, dict) or not command:
        raise ValueError(f"a control is a JSON object with at least one of: {', '.join(sorted(CONTROLS))}")
    todo = []
    for key, value in command.items():
        check = CONTROLS.get(key)
        if check is None:
            raise ValueError(f"unknown control {key!r}; allowed: {', '.join(sorted(CONTROLS))}")
        todo.append(check(key, value))
    for do in todo:
        do(lock)
    answer = snapshot(lock)
    if command.get("audit"):
        entries = lock.device.audit if command["audit"] is True else lock.device.audit[-command["audit"] :]
        answer["audit"] = [entry.as_dict() for entry in entries]
    return answer


def snapshot(lock: Parts) -> dict[str, Any]:
    """Return what somebody who stands before the lock would tell of it."""
    return {
        "name": lock.device.name,
        "nuki_id": f"{lock.device.nuki_id:08X}",
        "address": lock.device.address,
        "family": lock.device.family.value,
        "state": name_of(lock.motion.motor.state),
        "door": name_of(lock.device.door),
        "battery": lock.device.battery_percent,
        "battery_critical": lock.device.battery_critical,
        "motor_blocked": lock.motion.motor.blocked,
        "pairing_mode": lock.device.pairing_mode,
        "clock": _wall_clock(lock),
        "log_entries": len(lock.device.log.entries),
        "in_range": lock.connections.in_range,
        "links": len(lock.connections),
        "movements": len(lock.device.movements()),
        "authorizations": [
            {"id": e.authorization_id, "name": e.name, "enabled": e.enabled, "lock_count": e.lock_count}
            for e in lock.device.authorizations
        ],
    }


def _wall_clock(lock: Parts) -> str:
    zone = timezone(timedelta(minutes=lock.device.timezone_offset_min))
    return lock.device.now().astimezone(zone).isoformat(timespec="seconds")


# -- checks: each returns what to do, or raises ValueError ------------------------------------------------------------


def _boolean(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{key}: true or false, not {value!r}")
    return value


def _number(key: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{key}: a whole number from {low} to {high}, not {value!r}")
    return value


def _seconds(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 3600:
        raise ValueError(f"{key}: seconds from 0 to 3600, not {value!r}")
    return float(value)


def _word(key: str, value: Any, words: dict[str, Any]) -> Any:
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{key}: one of {', '.join(words)}, not {value!r}")
    return words[value]


def _switch(do: Callable[[Parts, bool], None]) -> Callable[[str, Any], Do]:
    def check(key: str, value: Any) -> Do:
        on = _boolean(key, value)
        return lambda lock: do(lock, on)

    return check


def _if_true(do: Do) -> Callable[[str, Any], Do]:
    return _switch(lambda lock, on: do(lock) if on else None)


def _count(low: int, high: int, do: Callable[[Parts, int], None]) -> Callable[[str, Any], Do]:
    """Return the check of a number; true stands for 1."""

    def check(key: str, value: Any) -> Do:
        number = 1 if value is True else _number(key, value, low, high)
        return lambda lock: do(lock, number)

    return check


def _turn(key: str, value: Any) -> Do:
    state = _word(key, value, _HAND_STATES)
    return lambda lock: lock.surroundings.turn_by_hand(state)


def _door(key: str, value: Any) -> Do:
    state = _word(key, value, _DOOR_STATES)
    return lambda lock: lock.surroundings.set_door(state)


def _battery(key: str, value: Any) -> Do:
    percent = _number(key, value, 0, 100)
    return lambda lock: lock.surroundings.set_battery(percent)


def _duration(do: Callable[[Parts, float], None]) -> Callable[[str, Any], Do]:
    def check(key: str, value: Any) -> Do:
        seconds = _seconds(key, value)
        return lambda lock: do(lock, seconds)

    return check


def _set_motor_s(lock: Parts, seconds: float) -> None:
    lock.device.behaviour.motor_s = seconds


def _authorization(do: Callable[[Parts, int], None]) -> Callable[[str, Any], Do]:
    def check(key: str, value: Any) -> Do:
        number = _number(key, value, 0, 0xFFFFFFFF)

        def act(lock: Parts) -> None:
            do(lock, number)

        return act

    return check


def _parts(key: str, value: Any, allowed: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) - allowed:
        raise ValueError(f"{key}: an object with {', '.join(sorted(allowed))}, not {value!r}")
    return value


def _fob(key: str, value: Any) -> Do:
    """Check the presses of the first fob, a number, or of another one: `{"presses": 1, "id": 17}`."""
    parts = _parts(key, value, {"presses", "id"}) if isinstance(value, dict) else {"presses": value}
    presses = 1 if parts.get("presses") is True else _number(f"{key}.presses", parts.get("presses", 1), 1, 3)
    number = None if parts.get("id") is None else _number(f"{key}.id", parts["id"], 1, 0xFFFFFFFF)
    return lambda lock: lock.surroundings.press_fob(presses, number)


_KEYPAD_ACTIONS = {name_of(a): a for a in (Action.UNLOCK, Action.LOCK, Action.UNLATCH, Action.LOCK_N_GO)}
_KEYPAD_SOURCES = {name_of(source): source for source in KeypadSource}


def _keypad(key: str, value: Any) -> Do:
    """Check a use of the keypad.

    `{"action": "unlock", "code": "345678"}` types a code.  `{"action": "unlock", "code_id": 3, "name": "Lisa"}` reports
    the use of a code without typing it; with `accepted` false it was a wrong one.  With neither it is the arrow key.
    """
    parts = _parts(key, value, {"action", "code", "code_id", "source", "name", "accepted"})
    action = _word(f"{key}.action", parts.get("action"), _KEYPAD_ACTIONS)
    if "code" in parts:
        if set(parts) != {"action", "code"} or not re.fullmatch("[0-9]{6}", str(parts["code"])):
            raise ValueError(f"{key}.code: six digits, beside action alone")
        digits = int(parts["code"])
        return lambda lock: lock.surroundings.enter_code(action, digits)
    code_id = _number(f"{key}.code_id", parts.get("code_id", 0), 0, 0xFFFF)
    source = _word(f"{key}.source", parts.get("source", "code" if "code_id" in parts else "arrow_key"), _KEYPAD_SOURCES)
    name = parts.get("name")
    if not isinstance(name, str | None):
        raise ValueError(f"{key}.name: a text, not {name!r}")
    accepted = _boolean(f"{key}.accepted", parts.get("accepted", True))
    return lambda lock: lock.surroundings.use_keypad(
        action, code_id=code_id, source=source, name=name, accepted=accepted
    )


def _entry_due(key: str, value: Any) -> Do:
    number = _number(key, value, 0, 0xFF)
    return lambda lock: lock.surroundings.time_has_come(number)


def _clock(key: str, value: Any) -> Do:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"{key}: a time such as 2026-12-01T10:00:00+01:00, not {value!r}") from None
    if moment.tzinfo is None:
        raise ValueError(f"{key}: a time with offset such as 2026-12-01T10:00:00+01:00, not {value!r}")
    return lambda lock: lock.auto_lock.set_clock(moment)


def _audit(key: str, value: Any) -> Do:
    if not isinstance(value, bool):
        _number(key, value, 1, 100_000)
    return lambda lock: None


CONTROLS: dict[str, Callable[[str, Any], Do]] = {
    "turn": _turn,
    "press_button": _count(1, 2, lambda lock, n: lock.surroundings.press_button(n)),
    "fob": _fob,
    "keypad": _keypad,
    "time_control": _entry_due,
    "auto_lock": _if_true(lambda lock: lock.auto_lock.lock_now()),
    "door_logging": _switch(lambda lock, on: lock.surroundings.log_door(on)),
    "reboot": _if_true(lambda lock: lock.connections.reboot()),
    "hold_button": _if_true(lambda lock: lock.device.hold_button()),
    "leave_pairing_mode": _if_true(lambda lock: lock.device.leave_pairing_mode()),
    "battery": _battery,
    "block_motor": _switch(lambda lock, on: lock.surroundings.block_motor(on)),
    "uncalibrate": _switch(lambda lock, on: lock.surroundings.uncalibrate(on)),
    "door": _door,
    "enable": _authorization(lambda lock, number: lock.surroundings.set_enabled(number, True)),
    "disable": _authorization(lambda lock, number: lock.surroundings.set_enabled(number, False)),
    "remove_authorization": _authorization(lambda lock, number: lock.surroundings.remove_authorization(number)),
    "drop_links": _if_true(lambda lock: lock.connections.drop_links()),
    "out_of_range": _switch(lambda lock, on: lock.connections.out_of_range(on)),
    "busy": _duration(lambda lock, seconds: lock.motion.be_busy(seconds)),
    "motor_s": _duration(_set_motor_s),
    "swallow_next_answer": _count(0, 1000, lambda lock, n: lock.connections.swallow_next_answer(n)),
    "damage_next_answer": _count(0, 1000, lambda lock, n: lock.connections.damage_next_answer(n)),
    "forget_challenges": _if_true(lambda lock: lock.device.forget_challenges()),
    "clock": _clock,
    "audit": _audit,
    "status": _switch(lambda lock, on: None),
}
"""Every control by its key, with the check of its value."""
