"""The advanced settings of a virtual Smart Lock (smartlock.md 11); those of an Opener are others.

`auto_lock.py` and `motor.py` do what they say.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import time
from typing import Any

from nuki_bridge.protocol.codes import Family
from nuki_bridge.protocol.field_kinds import NoTime
from nuki_bridge.simulator import timezones
from nuki_bridge.simulator.behaviour import Behaviour

OLDEST = 28
"""Length in bytes of Advanced Config in firmware without a flag for auto lock: there a timeout of 0 switches it off."""


@dataclass(slots=True, kw_only=True)
class AdvancedSettings:
    """The settings that Advanced Config (0x0037) tells; the times of day are those of the lock's wall clock."""

    unlocked_position_offset: int = 0
    locked_position_offset: int = 0
    single_locked_position_offset: int = 0
    unlocked_to_locked_transition_offset: int = 0
    lock_n_go_timeout: int = 20
    single_button_press_action: int = 1
    double_button_press_action: int = 5
    detached_cylinder: bool = False
    battery_type: int = 0
    automatic_battery_type_detection: bool = True
    unlatch_duration: int = 3
    auto_lock_timeout: int = 300
    auto_unlock_disabled: bool = False
    night_mode_enabled: bool = False
    night_mode_start: time | NoTime = time(22, 0)
    night_mode_end: time | NoTime = time(7, 0)
    night_mode_auto_lock: bool = False
    night_mode_auto_unlock_disabled: bool = False
    night_mode_immediate_lock_on_start: bool = False
    auto_lock_enabled: bool = False
    immediate_auto_lock: bool = False
    auto_update: bool = False
    motor_speed: int = 0
    slow_speed_in_night_mode: bool = False

    def auto_lock_on(self, size: int) -> bool:
        """Return whether auto lock is on by day, in firmware whose Advanced Config has `size` bytes."""
        return self.auto_lock_timeout > 0 if size == OLDEST else self.auto_lock_enabled

    def is_night(self, now: time) -> bool:
        """Return whether night mode is active at `now`; equal start and end are the whole day (not documented)."""
        start, end = timezones.hand(self.night_mode_start), timezones.hand(self.night_mode_end)
        inside = start <= now < end if start < end else now >= start or now < end
        return self.night_mode_enabled and inside

    def to_dict(self) -> dict[str, Any]:
        """Return the settings for JSON."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: timezones.written(v) if isinstance(v, time | NoTime) else v for name, v in values.items()}

    def load(self, data: dict[str, Any]) -> None:
        """Take over what `to_dict` returned; a setting that `data` does not have stays as it is."""
        for each in fields(self):
            if each.name in data:
                value = data[each.name]
                setattr(self, each.name, timezones.read(value) if isinstance(value, str) else value)


def initial(family: Family, behaviour: Behaviour) -> AdvancedSettings:
    """Return the settings of a factory-new lock, with auto lock off."""
    oldest = behaviour.advanced_config_size_of(family) == OLDEST
    return AdvancedSettings(auto_lock_timeout=0) if oldest else AdvancedSettings()
