"""Control messages for a virtual device: what a demo or a test may do to it over MQTT.

A message is a JSON object.  Each key is one control; the controls are carried out in the order given, after all of them
have been checked.  The answer is the device as it is afterwards, with the audit trail if `audit` asks for it.

Here stand the checks and the controls that every device has; `lock_control` and `opener_control` add their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

from nuki_bridge.protocol.codes import KeypadSource, name_of
from nuki_bridge.simulator.clock import BEGINNING
from nuki_bridge.simulator.connections import Connections
from nuki_bridge.simulator.device import Device
from nuki_bridge.simulator.people import People


class Motion(Protocol):
    """What moves in a device, as far as a control reaches it."""

    def be_busy(self, seconds: float) -> None:
        """Refuse actions as busy for this time."""


class Parts(Protocol):
    """The parts of one device that a control reaches."""

    @property
    def device(self) -> Device:
        """What it knows."""

    @property
    def motion(self) -> Motion:
        """What moves in it."""

    @property
    def surroundings(self) -> People:
        """Who is around it."""

    @property
    def connections(self) -> Connections:
        """Its Bluetooth side."""

    def set_clock(self, now: datetime) -> None:
        """Set its clock; raise `ValueError` for a time that it cannot show."""

    def snapshot(self) -> dict[str, Any]:
        """Return what somebody who stands before it would tell of it."""


Do = Callable[[Any], None]
"""What a control does with the parts of the device."""
Check = Callable[[str, Any], Do]
"""Checks the value of a control and returns what to do; raises `ValueError`."""


def control(parts: Parts, controls: Mapping[str, Check], command: dict[str, Any]) -> dict[str, Any]:
    """Carry out `command` and return the answer.

    Raise `ValueError` with a sentence for people if it is wrong; then nothing has been done.
    """
    if not isinstance(command, dict) or not command:
        raise ValueError(f"a control is a JSON object with at least one of: {', '.join(sorted(controls))}")
    todo = []
    for key, value in command.items():
        check = controls.get(key)
        if check is None:
            raise ValueError(f"unknown control {key!r}; allowed: {', '.join(sorted(controls))}")
        todo.append(check(key, value))
    for do in todo:
        do(parts)
    answer = parts.snapshot()
    if command.get("audit"):
        audit = parts.device.audit
        entries = audit if command["audit"] is True else audit[-command["audit"] :]
        answer["audit"] = [entry.as_dict() for entry in entries]
    return answer


def who_it_is(device: Device) -> dict[str, Any]:
    """Return the part of a snapshot that names the device."""
    return {
        "name": device.name,
        "nuki_id": f"{device.nuki_id:08X}",
        "address": device.address,
        "family": device.family.value,
    }


def how_it_is(device: Device, connections: Connections) -> dict[str, Any]:
    """Return the part of a snapshot that is the same for every device."""
    return {
        "pairing_mode": device.pairing_mode,
        "clock": _wall_clock(device),
        "log_entries": len(device.log.entries),
        "in_range": connections.in_range,
        "links": len(connections),
        "movements": len(device.movements()),
        "authorizations": [
            {"id": e.authorization_id, "name": e.name, "enabled": e.enabled, "lock_count": e.lock_count}
            for e in device.authorizations
        ],
    }


def _wall_clock(device: Device) -> str:
    zone = timezone(timedelta(minutes=device.timezone_offset_min))
    return device.now().astimezone(zone).isoformat(timespec="seconds")


# -- checks: each returns what to do, or raises ValueError ------------------------------------------------------------


def boolean(key: str, value: Any) -> bool:
    """Return the value if it is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{key}: true or false, not {value!r}")
    return value


def whole_number(key: str, value: Any, low: int, high: int) -> int:
    """Return the value if it is a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{key}: a whole number from {low} to {high}, not {value!r}")
    return value


def time_span(key: str, value: Any) -> float:
    """Return the value as seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 3600:
        raise ValueError(f"{key}: seconds from 0 to 3600, not {value!r}")
    return float(value)


def word(key: str, value: Any, words: Mapping[str, Any]) -> Any:
    """Return what the word stands for."""
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{key}: one of {', '.join(words)}, not {value!r}")
    return words[value]


def switch(do: Callable[[Any, bool], None]) -> Check:
    """Return the check of true or false."""

    def check(key: str, value: Any) -> Do:
        on = boolean(key, value)
        return lambda parts: do(parts, on)

    return check


def if_true(do: Do) -> Check:
    """Return the check of a control that does something for true, and nothing for false."""
    return switch(lambda parts, on: do(parts) if on else None)


def count(low: int, high: int, do: Callable[[Any, int], None]) -> Check:
    """Return the check of a number; true stands for 1."""

    def check(key: str, value: Any) -> Do:
        number = 1 if value is True else whole_number(key, value, low, high)
        return lambda parts: do(parts, number)

    return check


def _battery(key: str, value: Any) -> Do:
    percent = whole_number(key, value, 0, 100)
    return lambda parts: parts.surroundings.set_battery(percent)


def duration(do: Callable[[Any, float], None]) -> Check:
    """Return the check of a number of seconds."""

    def check(key: str, value: Any) -> Do:
        seconds = time_span(key, value)
        return lambda parts: do(parts, seconds)

    return check


def authorization(do: Callable[[Any, int], None]) -> Check:
    """Return the check of an authorization ID."""

    def check(key: str, value: Any) -> Do:
        number = whole_number(key, value, 0, 0xFFFFFFFF)

        def act(parts: Parts) -> None:
            do(parts, number)

        return act

    return check


def _parts(key: str, value: Any, allowed: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) - allowed:
        raise ValueError(f"{key}: an object with {', '.join(sorted(allowed))}, not {value!r}")
    return value


def _fob(key: str, value: Any) -> Do:
    """Check the presses of the first fob, a number, or of another one: `{"presses": 1, "id": 17}`."""
    parts = _parts(key, value, {"presses", "id"}) if isinstance(value, dict) else {"presses": value}
    presses = 1 if parts.get("presses") is True else whole_number(f"{key}.presses", parts.get("presses", 1), 1, 3)
    number = None if parts.get("id") is None else whole_number(f"{key}.id", parts["id"], 1, 0xFFFFFFFF)
    return lambda parts: parts.surroundings.press_fob(presses, number)


_KEYPAD_SOURCES = {name_of(source): source for source in KeypadSource}


def keypad(actions: Mapping[str, Any]) -> Check:
    """Return the check of a use of the keypad for one of the `actions`.

    `{"action": "unlock", "code": "345678"}` types a code.  `{"action": "unlock", "code_id": 3, "name": "Lisa"}` reports
    the use of a code without typing it; with `accepted` false it was a wrong one.  With neither it is the arrow key.
    """

    def check(key: str, value: Any) -> Do:
        parts = _parts(key, value, {"action", "code", "code_id", "source", "name", "accepted"})
        action = word(f"{key}.action", parts.get("action"), actions)
        if "code" in parts:
            if set(parts) != {"action", "code"} or not re.fullmatch("[0-9]{6}", str(parts["code"])):
                raise ValueError(f"{key}.code: six digits, beside action alone")
            digits = int(parts["code"])
            return lambda parts: parts.surroundings.enter_code(action, digits)
        code_id = whole_number(f"{key}.code_id", parts.get("code_id", 0), 0, 0xFFFF)
        source = word(
            f"{key}.source", parts.get("source", "code" if "code_id" in parts else "arrow_key"), _KEYPAD_SOURCES
        )
        name = parts.get("name")
        if not isinstance(name, str | None):
            raise ValueError(f"{key}.name: a text, not {name!r}")
        accepted = boolean(f"{key}.accepted", parts.get("accepted", True))
        return lambda parts: parts.surroundings.use_keypad(
            action, code_id=code_id, source=source, name=name, accepted=accepted
        )

    return check


def _entry_due(key: str, value: Any) -> Do:
    number = whole_number(key, value, 0, 0xFF)
    return lambda parts: parts.surroundings.time_has_come(number)


def _clock(key: str, value: Any) -> Do:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"{key}: a time such as 2026-12-01T10:00:00+01:00, not {value!r}") from None
    if moment.tzinfo is None:
        raise ValueError(f"{key}: a time with offset such as 2026-12-01T10:00:00+01:00, not {value!r}")
    return lambda parts: parts.set_clock(moment)


def _drift(key: str, value: Any) -> Do:
    gained = whole_number(key, value, -3600, 3600)
    return lambda parts: parts.device.clock.drift(gained)


def _change_batteries(parts: Parts) -> None:
    parts.surroundings.set_battery(100)
    parts.set_clock(BEGINNING)
    parts.device.clock.is_lost = True
    parts.connections.reboot()


def _audit(key: str, value: Any) -> Do:
    if not isinstance(value, bool):
        whole_number(key, value, 1, 100_000)
    return lambda parts: None


COMMON: dict[str, Check] = {
    "press_button": count(1, 2, lambda parts, n: parts.surroundings.press_button(n)),
    "fob": _fob,
    "time_control": _entry_due,
    "reboot": if_true(lambda parts: parts.connections.reboot()),
    "hold_button": if_true(lambda parts: parts.device.hold_button()),
    "leave_pairing_mode": if_true(lambda parts: parts.device.leave_pairing_mode()),
    "battery": _battery,
    "uncalibrate": switch(lambda parts, on: parts.surroundings.uncalibrate(on)),
    "enable": authorization(lambda parts, number: parts.surroundings.set_enabled(number, True)),
    "disable": authorization(lambda parts, number: parts.surroundings.set_enabled(number, False)),
    "remove_authorization": authorization(lambda parts, number: parts.surroundings.remove_authorization(number)),
    "drop_links": if_true(lambda parts: parts.connections.drop_links()),
    "out_of_range": switch(lambda parts, on: parts.connections.out_of_range(on)),
    "busy": duration(lambda parts, seconds: parts.motion.be_busy(seconds)),
    "swallow_next_answer": count(0, 1000, lambda parts, n: parts.connections.swallow_next_answer(n)),
    "damage_next_answer": count(0, 1000, lambda parts, n: parts.connections.damage_next_answer(n)),
    "forget_challenges": if_true(lambda parts: parts.device.forget_challenges()),
    "clock": _clock,
    "clock_drift": _drift,
    "change_batteries": if_true(_change_batteries),
    "audit": _audit,
    "status": switch(lambda parts, on: None),
}
"""The controls that every device has, by key, with the check of each value."""
