"""The owner's requests about settings, security PIN and clock (smartlock.md 11).

An Opener has another Set Config, which is written in the same way; the other requests are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nuki_bridge.protocol.codes import ErrorCode
from nuki_bridge.protocol.messages import SetConfig, SetSecurityPin, UpdateTime, VerifySecurityPin
from nuki_bridge.simulator import timezones
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.client_request import ClientRequest, Handlers

Ranges = Mapping[str, tuple[float, float]]
"""The lowest and the highest value of settings, by name."""
RANGES: Ranges = {
    "latitude": (-90.0, 90.0),
    "longitude": (-180.0, 180.0),
    "timezone_offset_min": (-12 * 60, 14 * 60),
    "dst_mode": (0, 1),
    "advertising_mode": (0, 3),
}
"""The ranges of the settings that every device has."""
_LOCK_RANGES: Ranges = {
    **RANGES,
    "led_brightness": (0, 5),
    "fob_action_1": (0, 4),
    "fob_action_2": (0, 4),
    "fob_action_3": (0, 4),
}


def _set_config(request: ClientRequest, message: SetConfig) -> None:
    write_config(request, message, _LOCK_RANGES)


def write_config(request: ClientRequest, message: Any, ranges: Ranges) -> None:
    """Write all settings of a Set Config; raise `Refused` if one of them is out of its range.

    The config update count rises only if one of them has changed.  Without a timezone ID the offset includes daylight
    saving, as Config tells it, so that writing what was read changes nothing.  Beside a timezone ID the offset is
    ignored.
    """
    device = request.device
    settings = device.settings
    values = {name: getattr(message, name) for name, _, _ in message.layout if name not in ("nonce", "security_pin")}
    in_range = all(low <= values[name] <= high for name, (low, high) in ranges.items())
    if not in_range or not timezones.known(message.timezone_id):
        raise Refused(ErrorCode.BAD_PARAMETER)
    if message.timezone_id == timezones.NONE:
        values["timezone_offset_min"] -= timezones.daylight_min(message.dst_mode, device.now())
    else:
        del values["timezone_offset_min"]
    kinds = {name: kind for name, kind, _ in message.layout}
    changed = [
        name
        for name, value in values.items()
        if kinds[name].pack(value, device.family) != kinds[name].pack(getattr(settings, name), device.family)
    ]
    for name in changed:
        setattr(settings, name, values[name])
    if not settings.pairing_enabled:
        device.leave_pairing_mode()
    request.note("config_set", ", ".join(changed) or "nothing new")
    if changed:
        device.config_changed()
        request.clock_changed()  # the device may be in another time zone now
    request.complete()


def _verify_pin(request: ClientRequest, message: VerifySecurityPin) -> None:
    request.note("pin_verified")
    request.complete()


def _set_pin(request: ClientRequest, message: SetSecurityPin) -> None:
    """Set a PIN that has no more digits than the family allows."""
    device = request.device
    if message.new_pin >= (1_000_000 if device.family.pin_size == 4 else 10_000):
        raise Refused(ErrorCode.BAD_PARAMETER)
    device.pin_guard.change(message.new_pin)
    request.note("pin_set")
    device.on_memory_changed()
    request.complete()


def _update_time(request: ClientRequest, message: UpdateTime) -> None:
    device = request.device
    try:
        device.set_clock(message.time)
    except (ValueError, AttributeError):
        raise Refused(ErrorCode.BAD_PARAMETER) from None
    request.clock_changed()
    request.note("clock_set", device.now().isoformat())
    request.complete()


HANDLERS: Handlers = {
    VerifySecurityPin: _verify_pin,
    SetSecurityPin: _set_pin,
    UpdateTime: _update_time,
}
"""The owner's requests about security PIN and clock, which are the same for every device."""
LOCK_HANDLERS: Handlers = {SetConfig: _set_config}
"""The owner's request about the settings of a Smart Lock."""
