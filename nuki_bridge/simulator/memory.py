"""The memory of a virtual device as a dictionary for JSON, so that it outlives its process.

It holds the device's secret key, its users' keys, its PIN and its keypad's codes: the file belongs to its owner alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from nuki_bridge.protocol.codes import Action, Completion, DoorState, Family, LockState, Trigger, open_enum
from nuki_bridge.simulator.device import Device
from nuki_bridge.simulator.handshake import SecretKey
from nuki_bridge.simulator.lock_device import LockDevice
from nuki_bridge.simulator.motor import Motor
from nuki_bridge.simulator.opener_device import OpenerDevice
from nuki_bridge.simulator.strike import Arming, Strike

VERSION = 1
"""Version of the dictionary; another one cannot be read."""


def to_dict(device: Device) -> dict[str, Any]:
    """Return everything of any device that must survive."""
    keys = device.keys
    if not isinstance(keys, SecretKey):
        raise ValueError("the device's secret key is not known, so it cannot be kept")
    settings = device.settings.values()
    banned_until = device.pin_guard.banned_until
    return {
        "version": VERSION,
        "address": device.address,
        "nuki_id": device.nuki_id,
        "family": device.family.value,
        "name": device.name,
        "pin": device.pin_guard.pin,
        "secret_key": keys.secret.hex(),
        "uuid": device.uuid.hex(),
        "factory_new": device.factory_new,
        "next_authorization_id": device.authorizations.next_id,
        "authorizations": device.authorizations.to_list(),
        "settings": {name: v.hex() if isinstance(v, bytes) else v for name, v in settings.items()},
        "config_update_count": device.config_update_count,
        "battery_percent": device.battery_percent,
        "battery_critical": device.battery_critical,
        "state_changed": device.state_changed,
        "clock_offset_s": device.clock.offset.total_seconds(),
        "clock_is_lost": device.clock.is_lost,
        "wrong_pins": device.pin_guard.wrong,
        "pin_banned_until": None if banned_until is None else banned_until.isoformat(),
        "logging": device.log.enabled,
        "next_log_index": device.log.next_index,
        "log": device.log.to_list(),
        "codes": device.codes.to_list(),
        "time_control": device.time_control.to_list(),
    }


def lock_to_dict(device: LockDevice, motor: Motor) -> dict[str, Any]:
    """Return what a Smart Lock has beside; of a motor under way that is the state in which it is going to rest."""
    return {
        "advanced": device.advanced.to_dict(),
        "state": int(motor.resting_state()),
        "trigger": int(motor.trigger),
        "last_action": int(motor.last_action),
        "last_trigger": int(motor.last_trigger),
        "last_completion": int(motor.last_completion),
        "motor_blocked": motor.blocked,
        "door": int(device.door),
        "door_logging": device.door_logging,
    }


def opener_to_dict(device: OpenerDevice, strike: Strike) -> dict[str, Any]:
    """Return what an Opener has beside; ring to open, and an opening under way, do not outlive the process."""
    mode = strike.continuous_mode
    return {
        "advanced": device.advanced.values(),
        "trained": strike.trained,
        "continuous_mode": None if mode is None else [mode.source, mode.code_id],
        "trigger": int(strike.trigger),
        "last_action": int(strike.last_action),
        "last_trigger": int(strike.last_trigger),
        "last_completion": int(strike.last_completion),
    }


@contextmanager
def reading(data: Any) -> Iterator[None]:
    """Raise `ValueError` if `data` has another version, or shows a mistake in the block."""
    try:
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']!r} is not {VERSION}")
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"this is not a virtual lock's memory: {error}") from error


def identity(data: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `Device` for the lock that `data` describes."""
    return {
        "address": data["address"],
        "nuki_id": data["nuki_id"],
        "family": Family(data["family"]),
        "name": data["name"],
        "pin": data["pin"],
        "keys": SecretKey(bytes.fromhex(data["secret_key"])),
        "uuid": bytes.fromhex(data["uuid"]),
        "next_authorization_id": data["next_authorization_id"],
        "factory_new": data["factory_new"],
    }


def restore(device: Device, data: dict[str, Any]) -> None:
    """Put all that `to_dict` returned into a new device."""
    device.authorizations.load(data["authorizations"])
    known = dict(data["settings"])
    for name in ("firmware_version", "hardware_revision"):
        known[name] = bytes.fromhex(known[name])
    for name, value in known.items():
        setattr(device.settings, name, value)
    device.config_update_count = data["config_update_count"]
    device.battery_percent = data["battery_percent"]
    device.battery_critical = data["battery_critical"]
    device.state_changed = data["state_changed"]
    device.clock.offset = timedelta(seconds=data["clock_offset_s"])
    device.clock.is_lost = data.get("clock_is_lost", False)  # not in what older versions have kept
    # A memory from before there was a log does not have what follows.
    device.pin_guard.wrong = data.get("wrong_pins", 0)
    banned_until = data.get("pin_banned_until")
    device.pin_guard.banned_until = None if banned_until is None else datetime.fromisoformat(banned_until)
    device.log.enabled = data.get("logging", True)
    device.log.load(data.get("log", []))
    device.log.next_index = data.get("next_log_index", 1)
    device.codes.load(data.get("codes", []))
    device.time_control.load(data.get("time_control", []))


def restore_lock(device: LockDevice, motor: Motor, data: dict[str, Any]) -> None:
    """Put all that `lock_to_dict` returned into the parts of a new Smart Lock."""
    motor.state = LockState(data["state"])
    motor.trigger = Trigger(data["trigger"])
    motor.last_action = Action(data["last_action"])
    motor.last_trigger = Trigger(data["last_trigger"])
    motor.last_completion = Completion(data["last_completion"])
    motor.blocked = data["motor_blocked"]
    device.door = open_enum(DoorState, data["door"])
    # A memory from before there was a log does not have what follows.
    device.door_logging = data.get("door_logging", True)
    device.advanced.load(data.get("advanced", {}))


def restore_opener(device: OpenerDevice, strike: Strike, data: dict[str, Any]) -> None:
    """Put all that `opener_to_dict` returned into the parts of a new Opener."""
    device.advanced.load(data["advanced"])
    strike.trained = data["trained"]
    strike.continuous_mode = None if data["continuous_mode"] is None else Arming(*data["continuous_mode"])
    strike.trigger = Trigger(data["trigger"])
    strike.last_action = data["last_action"]
    strike.last_trigger = Trigger(data["last_trigger"])
    strike.last_completion = Completion(data["last_completion"])
