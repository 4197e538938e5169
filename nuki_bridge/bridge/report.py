"""What the bridge tells of a lock: its retained topics, its status, its battery; pure functions.

Nothing is told that the lock has not reported itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from nuki_bridge.lock import changes, state_json, wall_clock
from nuki_bridge.lock.heard import What
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.profile import Profile
from nuki_bridge.mqtt.payload import dump
from nuki_bridge.owner import advanced_config, lock_config, opener_config
from nuki_bridge.protocol.codes import DoorState, NukiState, name_of
from nuki_bridge.protocol.common import AnyAdvancedConfig, BasicConfig, States
from nuki_bridge.protocol.messages import BatteryReport
from nuki_bridge.store import PairedLock

ONLINE = b"online"
"""Payload of availability while a command can reach the lock."""
OFFLINE = b"offline"
"""Payload of availability while no command can reach the lock."""
_MODES: Final[Mapping[int, bytes]] = {NukiState.CONTINUOUS_MODE: b"on", NukiState.DOOR_MODE: b"off"}
"""Whether continuous mode is on; in its other modes, such as pairing, a device does not say."""

_PRIVATE: Final = frozenset({"latitude", "longitude"})
"""Settings that are in no retained topic."""
_CONFIG_FIELDS: Final = (
    frozenset({*lock_config.SETTINGS, *opener_config.BASIC_READ_ONLY, "has_fob", "has_keypad", "has_keypad_2"})
    - _PRIVATE
)
"""Fields of the basic configuration in the status."""
_ADVANCED_FIELDS: Final = frozenset(
    {*advanced_config.SETTINGS, *opener_config.ADVANCED, *opener_config.ADVANCED_READ_ONLY}
)
"""Fields of the advanced configuration in the status."""
_OF_A_BOLT: Final = (
    "drain_mws",
    "lock_distance_deg",
    "start_temperature_c",
    "max_turn_current_ma",
    "resistance_mohm",
)
"""Fields of a battery report that mean nothing in that of a device without a bolt."""
_LAST_FIELDS = ("action", "trigger", "completion", "user", "source", "time")
"""Fields of an event that stand in the status as the last lock action."""


def lock_payloads(lock: Lock, *, had_door: bool) -> dict[str, bytes]:
    """Return the payloads of a lock's retained topics by their last level, without `status`.

    A door that is unavailable counts as "no sensor" unless there was one at any time (`had_door`).
    """
    payloads = {"availability": ONLINE if lock.can_be_commanded else OFFLINE}
    state, door = (lock.heard.now(each) for each in What)
    if state is not None:
        payloads["state"] = lock.profile.state_word(state).encode()
    if door is not None and (had_door or door != DoorState.UNAVAILABLE):
        payloads["door"] = state_json.word_of_door(door).encode()
    states = lock.states
    if states is None:
        return payloads
    if lock.profile.modes and states.nuki_state in _MODES:
        payloads["continuous_mode"] = _MODES[states.nuki_state]
    payloads["battery"] = dump(state_json.battery(states))
    return payloads


def battery_report(profile: Profile, report: BatteryReport) -> dict[str, Any]:
    """Return a battery report of this kind of device; the units are in the names, null is what it does not tell."""
    values = {each.name: getattr(report, each.name) for each in dataclasses.fields(report)}
    if not profile.has_bolt:
        values |= dict.fromkeys(_OF_A_BOLT)
    return {**values, "last_action": state_json.name_or_none(report.last_action)}


def identity(paired: PairedLock) -> dict[str, Any]:
    """Return which lock it is."""
    return {"nuki_id": f"{paired.nuki_id:08X}", "address": paired.address, "family": paired.family.value}


def link(lock: Lock) -> dict[str, Any]:
    """Return how the radio link is."""
    return {
        "reachable": lock.can_be_commanded,
        "connected": lock.connected,
        "rssi": lock.rssi,
        "updated": state_json.lock_time(lock),
        "fault": None if lock.fault is None else {"code": lock.fault.code, "message": str(lock.fault)},
    }


def status(lock: Lock, clock: Mapping[str, Any], last: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return everything known about the lock; `clock` is what is known of its clock.

    `last` is the event of its last action, if one is known.  Without that the last action is what its states tell: not
    by whom.
    """
    told = {"name": lock.name, **identity(lock.paired), "connection": lock.connection.value, **link(lock)}
    told["paused_until"] = wall_clock.rfc3339(lock.paused_to, wall_clock.zone_in(lock))
    if lock.states is not None:
        told |= _states(lock.profile, lock.states) | _newest(lock)
        told |= {"timezone_offset_min": state_json.offset_min(lock), "clock": dict(clock)}
        last = last or changes.lock_action(lock.profile, lock.states)
        told["last_lock_action"] = {name: last.get(name) for name in _LAST_FIELDS}
    if lock.config is not None:
        told |= _config(lock.config, lock.advanced_config)
    if lock.battery_report is not None:
        told["battery_report"] = battery_report(lock.profile, lock.battery_report)
    return told


def content(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return a status without what changes all the time and is no news: its time and how strong signals are."""
    told = {key: value for key, value in status.items() if key not in ("updated", "rssi")}
    if network := told.get("network"):
        wifi = network["wifi"]
        steady = None if wifi is None else {key: wifi[key] for key in ("state", "server")}
        told["network"] = {**network, "bridge_rssi": None, "wifi": steady}
    return told


def _newest(lock: Lock) -> dict[str, Any]:
    """Return state and door by the newer of both ways, and by which; null where nobody has told."""
    heard, state, door = lock.heard, *(lock.heard.now(each) for each in What)
    return {
        "state": None if state is None else lock.profile.state_word(state),
        "door": None if door is None else state_json.word_of_door(door),
        "source": {each.value: "mqtt" if heard.is_told(each) else "bluetooth" for each in What},
        "nuki_mqtt": None
        if heard.connected is None
        else {"connected": heard.connected, "takes_commands": heard.takes_commands},
    }


def _states(profile: Profile, states: States) -> dict[str, Any]:
    return {
        "nuki_state": name_of(states.nuki_state),
        "trigger": name_of(states.trigger),
        "last_action": None if states.last_action is None else profile.action_word(states.last_action),
        "last_trigger": state_json.name_or_none(states.last_trigger),
        "last_completion": state_json.name_or_none(states.last_completion),
        "lock_n_go_timer_s": states.lock_n_go_timer,
        "night_mode": states.night_mode_active,
        "battery": state_json.battery(states),
        "network": None if states.network is None else states.network.to_json(),
    }


def settings_of(config: BasicConfig, advanced: AnyAdvancedConfig | None) -> list[str]:
    """Return the settings that can be changed and that the status tells, by name, as far as these two have them."""
    return [name for name in lock_config.names_of(config, advanced) if name not in _PRIVATE]


def _config(config: BasicConfig, advanced: AnyAdvancedConfig | None) -> dict[str, Any]:
    settings = {name: each for name, each in lock_config.to_json(config).items() if name in _CONFIG_FIELDS}
    if advanced is not None:
        settings |= {name: each for name, each in advanced_config.to_json(advanced).items() if name in _ADVANCED_FIELDS}
    return {
        "name_in_lock": config.name,
        "firmware": ".".join(str(each) for each in config.firmware_version),
        "hardware": ".".join(str(each) for each in config.hardware_revision),
        "device_type": config.device_type,
        "config": settings,
    }
