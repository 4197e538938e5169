"""The requests that an Opener has in place of a Smart Lock's, or beside them (opener.md 2, 4 to 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nuki_bridge.protocol.advanced_config import RequestAdvancedConfig
from nuki_bridge.protocol.codes import ErrorCode, OpenerAction
from nuki_bridge.protocol.field_kinds import NONCE_SIZE
from nuki_bridge.protocol.messages import LockAction, RequestCalibration, RequestConfig, SimpleLockAction
from nuki_bridge.protocol.opener import ContinuousModeAction, OpenerConfig, SetOpenerConfig
from nuki_bridge.protocol.opener_advanced_config import (
    OpenerAdvancedConfigA,
    OpenerAdvancedConfigB,
    SetOpenerAdvancedConfigA,
)
from nuki_bridge.simulator.action_requests import act
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.client_request import ClientRequest, Handlers
from nuki_bridge.simulator.config_requests import RANGES, Ranges, write_config
from nuki_bridge.simulator.device import Device
from nuki_bridge.simulator.opener_device import OPENER_ACTIONS, OpenerDevice
from nuki_bridge.simulator.opener_motion import OpenerMotion
from nuki_bridge.simulator.reading_requests import DATA, handlers

DEVICE_TYPE = 2
"""Device type of an Opener."""
_CONFIG_RANGES: Ranges = {
    **RANGES,
    "capabilities": (0, 2),
    "operating_mode": (0, 15),
    "fob_action_1": (0, 8),
    "fob_action_2": (0, 8),
    "fob_action_3": (0, 8),
}
_ADVANCED_RANGES: Ranges = {
    "electric_strike_delay": (0, 30000),
    "electric_strike_duration": (1000, 30000),
    "rto_timeout": (5, 60),
    "doorbell_suppression": (0, 7),
    "doorbell_suppression_duration": (500, 10000),
    "sound_ring": (0, 3),
    "sound_open": (0, 3),
    "sound_rto": (0, 3),
    "sound_cm": (0, 3),
    "single_button_press_action": (0, 7),
    "double_button_press_action": (0, 7),
    "battery_type": (0, 3),
}


@dataclass(slots=True, kw_only=True)
class OpenerRequest(ClientRequest):
    """One request to an Opener."""

    device: OpenerDevice
    motion: OpenerMotion


def _lock_action(request: OpenerRequest, message: LockAction) -> None:
    settings = request.device.settings
    number = int(message.action)
    presses = {
        int(OpenerAction.FOB_ACTION_1): settings.fob_action_1,
        int(OpenerAction.FOB_ACTION_2): settings.fob_action_2,
        int(OpenerAction.FOB_ACTION_3): settings.fob_action_3,
    }
    action: OpenerAction | None = None
    if number in presses:
        action = request.motion.fob_action(presses[number])
    elif number in OPENER_ACTIONS:
        action = OpenerAction(number)
    if action is None:
        raise Refused(ErrorCode.BAD_PARAMETER)
    act(request, action, message.flags)


def _simple_lock_action(request: OpenerRequest, message: SimpleLockAction) -> None:
    """Open for 1 ("unlock"); end ring to open and continuous mode for 2 ("lock")."""
    if message.action == 1:
        act(request, OpenerAction.OPEN, 0)
    elif message.action != 2:
        raise Refused(ErrorCode.BAD_PARAMETER)
    elif not request.authorization.may_act(request.device.now(), request.device.timezone_offset_min):
        raise Refused(ErrorCode.TIME_NOT_ALLOWED)
    else:
        request.motion.switch_all_off(request)


def _continuous_mode(request: OpenerRequest, message: ContinuousModeAction) -> None:
    request.motion.switch_continuous_mode(request, message.enabled, message.timeout)


def _set_calibrated(request: OpenerRequest, message: RequestCalibration) -> None:
    """Take the Opener as trained for its intercom."""
    request.note("calibration")
    request.motion.strike.trained = True
    request.device.changed()
    request.complete()


def _request_config(request: OpenerRequest, message: RequestConfig) -> None:
    device = request.device
    values = device.settings.values() | {"timezone_offset_min": device.told_offset_min}
    values |= {"byte_72": DEVICE_TYPE, "byte_73": 0, "byte_74": 0}
    config = OpenerConfig(nuki_id=device.nuki_id, current_time=device.clock.told(), **values)
    request.reply(config, size=device.behaviour.config_size_of(device.family))


def _set_config(request: OpenerRequest, message: SetOpenerConfig) -> None:
    write_config(request, message, _CONFIG_RANGES)


def set_advanced_size(device: Device) -> int:
    """Return the payload size of Set Advanced Config: the fields without Auto update, nonce and PIN."""
    return (25 if device.behaviour.advanced_layout_a else 26) + NONCE_SIZE + device.family.pin_size


def _request_advanced(request: OpenerRequest, message: RequestAdvancedConfig) -> None:
    device = request.device
    values = device.advanced.values()
    size = device.behaviour.advanced_config_size_of(device.family)
    if device.behaviour.advanced_layout_a:
        del values["byte_12"]
        request.reply(OpenerAdvancedConfigA(**values), size=size)
    else:
        request.reply(OpenerAdvancedConfigB(**values), size=size)


def _set_advanced(request: OpenerRequest, message: Any) -> None:
    """Write all settings; the config update count rises only if one of them has changed."""
    device = request.device
    kinds = {name: kind for name, kind, _ in message.layout if name not in ("nonce", "security_pin")}
    values = {name: getattr(message, name) for name in kinds}
    if not all(low <= values[name] <= high for name, (low, high) in _ADVANCED_RANGES.items()):
        raise Refused(ErrorCode.BAD_PARAMETER)
    changed = [
        name
        for name, kind in kinds.items()
        if kind.pack(values[name], device.family) != kind.pack(getattr(device.advanced, name), device.family)
    ]
    for name in changed:
        setattr(device.advanced, name, values[name])
    request.note("advanced_config_set", ", ".join(changed) or "nothing new")
    if changed:
        device.config_changed()
    request.complete()


HANDLERS: Handlers = {
    **handlers(DATA),
    LockAction: _lock_action,
    SimpleLockAction: _simple_lock_action,
    ContinuousModeAction: _continuous_mode,
    RequestCalibration: _set_calibrated,
    RequestConfig: _request_config,
    SetOpenerConfig: _set_config,
    RequestAdvancedConfig: _request_advanced,
    SetOpenerAdvancedConfigA: _set_advanced,
}
"""The requests of an Opener that a Smart Lock does not have, or has in another form."""
