"""The owner's requests about the advanced configuration of a Smart Lock (smartlock.md 11)."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from nuki_bridge.protocol.advanced_config import AdvancedConfig, RequestAdvancedConfig, SetAdvancedConfig
from nuki_bridge.protocol.codes import ErrorCode
from nuki_bridge.protocol.field_kinds import NONCE_SIZE, NOT_SUPPORTED, NoTime
from nuki_bridge.simulator import advanced_config
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.client_request import Handlers, LockRequest
from nuki_bridge.simulator.device import Device
from nuki_bridge.simulator.lock_device import LockDevice

TOTAL_DEGREES = 720
"""Turn of the cylinder that calibration has found, in degrees; read-only."""
_RANGES = {
    "unlocked_position_offset": (-90, 180),
    "locked_position_offset": (-180, 90),
    "single_locked_position_offset": (-180, 180),
    "unlocked_to_locked_transition_offset": (-180, 180),
    "lock_n_go_timeout": (5, 60),
    "single_button_press_action": (0, 6),
    "double_button_press_action": (0, 6),
    "battery_type": (0, 2),
    "unlatch_duration": (1, 30),
    "auto_lock_timeout": (2, 0xFFFF),
    "auto_lock_enabled": (0, 1),
    "immediate_auto_lock": (0, 1),
    "auto_update": (0, 1),
    "motor_speed": (0, 2),
    "slow_speed_in_night_mode": (0, 1),
}


def set_size(device: Device) -> int:
    """Return the payload size of Set Advanced Config: all that the lock sends but Total degrees, and nonce and PIN."""
    return device.behaviour.advanced_config_size_of(device.family) - 2 + NONCE_SIZE + device.family.pin_size


def _request(request: LockRequest, message: RequestAdvancedConfig) -> None:
    device = request.device
    values = {each.name: getattr(device.advanced, each.name) for each in fields(device.advanced)}
    if device.behaviour.immediate_auto_lock_missing:
        values["immediate_auto_lock"] = NOT_SUPPORTED
    config = AdvancedConfig(total_degrees=TOTAL_DEGREES, **values)
    request.reply(config, size=device.behaviour.advanced_config_size_of(device.family))


def _set(request: LockRequest, message: SetAdvancedConfig) -> None:
    """Write all settings; the config update count rises only if one of them has changed."""
    device = request.device
    layout = {name: optional for name, _, optional in SetAdvancedConfig.layout}
    given = {each.name: getattr(message, each.name) for each in fields(device.advanced)}
    values = {name: value for name, value in given.items() if not (layout[name] and value is None)}
    if not all(_in_range(device, name, value) for name, value in values.items()):
        raise Refused(ErrorCode.BAD_PARAMETER)
    kinds = {name: kind for name, kind, _ in SetAdvancedConfig.layout}
    changed = [
        name
        for name, value in values.items()
        if kinds[name].pack(value, device.family) != kinds[name].pack(getattr(device.advanced, name), device.family)
    ]
    for name in changed:
        setattr(device.advanced, name, values[name])
    request.note("advanced_config_set", ", ".join(changed) or "nothing new")
    if changed:
        device.config_changed()
        request.auto_lock.settings_changed()
    request.complete()


def _in_range(device: LockDevice, name: str, value: Any) -> bool:
    if value == NoTime():
        return False
    if name == "auto_lock_timeout" and value == 0:
        return device.behaviour.advanced_config_size_of(device.family) == advanced_config.OLDEST
    if name == "immediate_auto_lock" and device.behaviour.immediate_auto_lock_missing:
        return bool(value == 0)
    low, high = _RANGES.get(name, (None, None))
    if low is None or high is None or low <= value <= high:
        return True
    return bool(value == getattr(device.advanced, name))  # whatever it has itself it takes back


HANDLERS: Handlers = {
    RequestAdvancedConfig: _request,
    SetAdvancedConfig: _set,
}
"""The requests about the advanced configuration."""
