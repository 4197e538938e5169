"""A virtual lock's memory as a dictionary for JSON, so that it outlives its process.

It holds the lock's secret key, its users' keys, its PIN and its keypad's codes: the file belongs to its owner alone.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from nuki_bridge.protocol.codes import Action, Completion, DoorState, Family, LockState, Trigger, open_enum
from nuki_bridge.simulator.behaviour import Behaviour, Random, Settings
from nuki_bridge.simulator.handshake import SecretKey

if TYPE_CHECKING:
    from nuki_bridge.simulator.lock import VirtualLock

VERSION = 1


def to_dict(lock: VirtualLock) -> dict[str, Any]:
    """Everything that must survive; a motor under way is remembered where it is going to rest."""
    keys = lock.keys
    if not isinstance(keys, SecretKey):
        raise ValueError("the lock's secret key is not known, so it cannot be kept")
    settings = {name: getattr(lock.settings, name) for name in lock.settings.__slots__}
    motor = lock.motor
    banned_until = lock.pin_guard.banned_until
    return {
        "version": VERSION,
        "address": lock.address,
        "nuki_id": lock.nuki_id,
        "family": lock.family.value,
        "name": lock.name,
        "pin": lock.pin_guard.pin,
        "secret_key": keys.secret.hex(),
        "uuid": lock.uuid.hex(),
        "factory_new": lock.factory_new,
        "next_authorization_id": lock.authorizations.next_id,
        "authorizations": lock.authorizations.to_list(),
        "settings": {name: v.hex() if isinstance(v, bytes) else v for name, v in settings.items()},
        "advanced": lock.advanced.to_dict(),
        "config_update_count": lock.config_update_count,
        "state": int(motor.resting_state()),
        "trigger": int(motor.trigger),
        "last_action": int(motor.last_action),
        "last_trigger": int(motor.last_trigger),
        "last_completion": int(motor.last_completion),
        "motor_blocked": motor.blocked,
        "door": int(lock.door),
        "battery_percent": lock.battery_percent,
        "battery_critical": lock.battery_critical,
        "state_changed": lock.state_changed,
        "clock_offset_s": lock.clock_offset.total_seconds(),
        "wrong_pins": lock.pin_guard.wrong,
        "pin_banned_until": None if banned_until is None else banned_until.isoformat(),
        "logging": lock.log.enabled,
        "door_logging": lock.door_logging,
        "next_log_index": lock.log.next_index,
        "log": lock.log.to_list(),
        "codes": lock.codes.to_list(),
        "time_control": lock.time_control.to_list(),
    }


def from_dict(cls: type[VirtualLock], data: dict[str, Any], behaviour: Behaviour | None, random: Random) -> VirtualLock:
    """The lock that `to_dict` described.  Raises `ValueError` if `data` makes no sense."""
    try:
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']!r} is not {VERSION}")
        lock = cls(
            data["address"],
            data["nuki_id"],
            family=Family(data["family"]),
            name=data["name"],
            pin=data["pin"],
            behaviour=behaviour,
            random=random,
            keys=SecretKey(bytes.fromhex(data["secret_key"])),
            uuid=bytes.fromhex(data["uuid"]),
            next_authorization_id=data["next_authorization_id"],
            factory_new=data["factory_new"],
        )
        lock.authorizations.load(data["authorizations"])
        known = dict(data["settings"])
        for name in ("firmware_version", "hardware_revision"):
            known[name] = bytes.fromhex(known[name])
        lock.settings = Settings(**known)
        lock.config_update_count = data["config_update_count"]
        motor = lock.motor
        motor.state = LockState(data["state"])
        motor.trigger = Trigger(data["trigger"])
        motor.last_action = Action(data["last_action"])
        motor.last_trigger = Trigger(data["last_trigger"])
        motor.last_completion = Completion(data["last_completion"])
        motor.blocked = data["motor_blocked"]
        lock.door = open_enum(DoorState, data["door"])
        lock.battery_percent = data["battery_percent"]
        lock.battery_critical = data["battery_critical"]
        lock.state_changed = data["state_changed"]
        lock.clock_offset = timedelta(seconds=data["clock_offset_s"])
        # what follows is missing in a memory of before there was a log
        lock.pin_guard.wrong = data.get("wrong_pins", 0)
        banned_until = data.get("pin_banned_until")
        lock.pin_guard.banned_until = None if banned_until is None else datetime.fromisoformat(banned_until)
        lock.log.enabled = data.get("logging", True)
        lock.door_logging = data.get("door_logging", True)
        lock.log.load(data.get("log", []))
        lock.log.next_index = data.get("next_log_index", 1)
        lock.codes.load(data.get("codes", []))
        lock.time_control.load(data.get("time_control", []))
        lock.advanced.load(data.get("advanced", {}))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"this is not a virtual lock's memory: {error}") from error
    return lock
