"""The messages about the advanced configuration of a Smart Lock, as tables (smartlock.md 11).

How many of the last fields there are depends on the lock: Advanced Config ends with the night mode (28 bytes, API 2.1),
with `auto_update` (31 bytes, API 2.2) or with `slow_speed_in_night_mode` (33 bytes, Ultra family).  The Opener has
other layouts under the same numbers (`opener.py`).
"""

from __future__ import annotations

from datetime import time

from nuki_bridge.protocol.codes import Command, Family
from nuki_bridge.protocol.common import AnyAdvancedConfig
from nuki_bridge.protocol.field_kinds import NoTime, kept_flag, s16, switch, time_of_day, u8, u16
from nuki_bridge.protocol.wire import ChallengedRequest, OwnerRequest, message, wire

_MODERN = (Family.CLASSIC, Family.ULTRA)


@message(Command.REQUEST_ADVANCED_CONFIG)
class RequestAdvancedConfig(ChallengedRequest):
    """CL: asks for the AdvancedConfig (32 bytes, no PIN)."""


@message(Command.ADVANCED_CONFIG, *_MODERN)
class AdvancedConfig(AnyAdvancedConfig):
    """SL: the advanced configuration (28 to 33 bytes); offsets in degrees, timeouts and durations in seconds.

    A lock that has the field but not what it is about says `NOT_SUPPORTED` in it.  `auto_lock_timeout` 0 switches
    auto lock off only where `auto_lock_enabled` is absent.
    """

    total_degrees: int = wire(u16)
    unlocked_position_offset: int = wire(s16)
    locked_position_offset: int = wire(s16)
    single_locked_position_offset: int = wire(s16)
    unlocked_to_locked_transition_offset: int = wire(s16)
    lock_n_go_timeout: int = wire(u8)
    single_button_press_action: int = wire(u8)
    double_button_press_action: int = wire(u8)
    detached_cylinder: bool = wire(kept_flag)
    battery_type: int = wire(u8)
    automatic_battery_type_detection: bool = wire(kept_flag)
    unlatch_duration: int = wire(u8)
    auto_lock_timeout: int = wire(u16)
    auto_unlock_disabled: bool = wire(kept_flag)
    night_mode_enabled: bool = wire(kept_flag)
    night_mode_start: time | NoTime = wire(time_of_day)
    night_mode_end: time | NoTime = wire(time_of_day)
    night_mode_auto_lock: bool = wire(kept_flag)
    night_mode_auto_unlock_disabled: bool = wire(kept_flag)
    night_mode_immediate_lock_on_start: bool = wire(kept_flag)
    auto_lock_enabled: int | None = wire(switch, default=None)
    immediate_auto_lock: int | None = wire(switch, default=None)
    auto_update: int | None = wire(switch, default=None)
    motor_speed: int | None = wire(u8, default=None)
    slow_speed_in_night_mode: int | None = wire(switch, default=None)


@message(Command.SET_ADVANCED_CONFIG, *_MODERN)
class SetAdvancedConfig(OwnerRequest):
    """CL: the advanced configuration, always whole: read AdvancedConfig, change single fields.

    60 bytes for a lock that sends 28, 63 for one that sends 31, 67 for the Ultra family: as many field bytes as it
    sent, without Total degrees, or it answers BAD_LENGTH.
    """

    unlocked_position_offset: int = wire(s16)
    locked_position_offset: int = wire(s16)
    single_locked_position_offset: int = wire(s16)
    unlocked_to_locked_transition_offset: int = wire(s16)
    lock_n_go_timeout: int = wire(u8)
    single_button_press_action: int = wire(u8)
    double_button_press_action: int = wire(u8)
    detached_cylinder: bool = wire(kept_flag)
    battery_type: int = wire(u8)
    automatic_battery_type_detection: bool = wire(kept_flag)
    unlatch_duration: int = wire(u8)
    auto_lock_timeout: int = wire(u16)
    auto_unlock_disabled: bool = wire(kept_flag)
    night_mode_enabled: bool = wire(kept_flag)
    night_mode_start: time | NoTime = wire(time_of_day)
    night_mode_end: time | NoTime = wire(time_of_day)
    night_mode_auto_lock: bool = wire(kept_flag)
    night_mode_auto_unlock_disabled: bool = wire(kept_flag)
    night_mode_immediate_lock_on_start: bool = wire(kept_flag)
    auto_lock_enabled: int | None = wire(switch, default=None)
    immediate_auto_lock: int | None = wire(switch, default=None)
    auto_update: int | None = wire(switch, default=None)
    motor_speed: int | None = wire(u8, default=None)
    slow_speed_in_night_mode: int | None = wire(switch, default=None)
