"""The settings of a virtual Opener (opener.md 5 and 6); `strike` and `opener_motion` do what they say."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from nuki_bridge.simulator.behaviour import DeviceSettings


@dataclass(slots=True, kw_only=True)
class OpenerSettings(DeviceSettings):
    """The settings of an Opener in Config."""

    fob_action_1: int = 1
    fob_action_2: int = 7
    fob_action_3: int = 0
    firmware_version: bytes = b"\x01\x09\x02"
    hardware_revision: bytes = b"\x02\x01"
    capabilities: int = 1
    """What the wiring allows: 0 to open only, 1 both, 2 ring to open only."""
    operating_mode: int = 1
    """Kind of intercom: 0 generic, 1 analogue, 2 digital and others."""


@dataclass(slots=True, kw_only=True)
class OpenerAdvancedSettings:
    """The settings of an Opener in Advanced Config; delays and durations in ms, the timeout of RTO in minutes."""

    intercom_id: int = 0
    bus_mode_switch: int = 0
    short_circuit_duration: int = 0
    electric_strike_delay: int = 0
    random_electric_strike_delay: bool = False
    electric_strike_duration: int = 3000
    disable_rto_after_ring: bool = False
    rto_timeout: int = 20
    byte_12: int = 0
    """The byte that nobody knows, in layout B alone."""
    doorbell_suppression: int = 0
    """Mask: bit 0 in continuous mode, bit 1 in ring to open, bit 2 on every ring."""
    doorbell_suppression_duration: int = 500
    sound_ring: int = 1
    sound_open: int = 1
    sound_rto: int = 1
    sound_cm: int = 1
    sound_confirmation: bool = True
    sound_level: int = 255
    single_button_press_action: int = 1
    double_button_press_action: int = 7
    battery_type: int = 0
    automatic_battery_type_detection: bool = False
    auto_update: bool = False

    def values(self) -> dict[str, Any]:
        """Return every setting by its name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def load(self, data: dict[str, Any]) -> None:
        """Take over what `values` returned; a setting that `data` does not have stays as it is."""
        for each in fields(self):
            if each.name in data:
                setattr(self, each.name, data[each.name])
