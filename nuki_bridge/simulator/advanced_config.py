"""A virtual lock's advanced configuration: what is set, what may be, and the owner's requests (smartlock.md 11).

What follows from it at the door is in `auto_lock.py` and `motor.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import time
from typing import TYPE_CHECKING, Any

from nuki_bridge.protocol.advanced_config import AdvancedConfig, RequestAdvancedConfig, SetAdvancedConfig
from nuki_bridge.protocol.codes import Command, ErrorCode, Family
from nuki_bridge.protocol.messages import NONCE_SIZE
from nuki_bridge.protocol.wire import NOT_SUPPORTED, Message, NoTime
from nuki_bridge.simulator import timezones
from nuki_bridge.simulator.behaviour import Behaviour, Refused
from nuki_bridge.simulator.owner import COMPLETE, note

if TYPE_CHECKING:
    from nuki_bridge.simulator.lock import Exchange, VirtualLock

TOTAL_DEGREES = 720
"""What calibration found; read-only."""
OLDEST = 28
"""Length of Advanced Config of firmware that has no flag for auto lock: a timeout of 0 switches it off there."""


@dataclass(slots=True, kw_only=True)
class AdvancedSettings:
    """What the owner has set and Advanced Config (0x0037) tells; the times are those of the lock's wall clock."""

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
        """Auto lock is switched on by day, in firmware whose Advanced Config has `size` bytes."""
        return self.auto_lock_timeout > 0 if size == OLDEST else self.auto_lock_enabled

    def is_night(self, now: time) -> bool:
        """Night mode is active at a time of day; equal start and end are the whole day (not documented)."""
        start, end = timezones.hand(self.night_mode_start), timezones.hand(self.night_mode_end)
        inside = start <= now < end if start < end else now >= start or now < end
        return self.night_mode_enabled and inside

    def to_dict(self) -> dict[str, Any]:
        """The settings for JSON."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: timezones.written(v) if isinstance(v, time | NoTime) else v for name, v in values.items()}

    def load(self, data: dict[str, Any]) -> None:
        """Take over what `to_dict` gave; what a memory of before does not have stays as it is."""
        for each in fields(self):
            if each.name in data:
                value = data[each.name]
                setattr(self, each.name, timezones.read(value) if isinstance(value, str) else value)


def initial(family: Family, behaviour: Behaviour) -> AdvancedSettings:
    """The settings of a lock from the factory, with auto lock off."""
    oldest = behaviour.advanced_config_size_of(family) == OLDEST
    return AdvancedSettings(auto_lock_timeout=0) if oldest else AdvancedSettings()


# -- requests ---------------------------------------------------------------------------------------------------------

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


def known(lock: VirtualLock, command: int) -> bool:
    """False for the requests of this page if the lock's firmware does not have them."""
    ours = (Command.REQUEST_ADVANCED_CONFIG, Command.SET_ADVANCED_CONFIG)
    return command not in ours or lock.behaviour.advanced_config_size_of(lock.family) > 0


def set_size(lock: VirtualLock) -> int:
    """Payload size of Set Advanced Config: the fields that the lock sends but Total degrees, nonce and PIN."""
    return lock.behaviour.advanced_config_size_of(lock.family) - 2 + NONCE_SIZE + lock.family.pin_size


def _request(exchange: Exchange, request: RequestAdvancedConfig) -> None:
    lock = exchange.lock
    values = {each.name: getattr(lock.advanced, each.name) for each in fields(lock.advanced)}
    if lock.behaviour.immediate_auto_lock_missing:
        values["immediate_auto_lock"] = NOT_SUPPORTED
    config = AdvancedConfig(total_degrees=TOTAL_DEGREES, **values)
    exchange.reply(config, size=lock.behaviour.advanced_config_size_of(lock.family))


def _set(exchange: Exchange, request: SetAdvancedConfig) -> None:
    """Written as a whole; the config update count rises only if something is different then."""
    lock = exchange.lock
    layout = {name: optional for name, _, optional in SetAdvancedConfig.layout}
    given = {each.name: getattr(request, each.name) for each in fields(lock.advanced)}
    values = {name: value for name, value in given.items() if not (layout[name] and value is None)}
    if not all(_in_range(lock, name, value) for name, value in values.items()):
        raise Refused(ErrorCode.BAD_PARAMETER)
    kinds = {name: kind for name, kind, _ in SetAdvancedConfig.layout}
    changed = [
        name
        for name, value in values.items()
        if kinds[name].pack(value, lock.family) != kinds[name].pack(getattr(lock.advanced, name), lock.family)
    ]
    for name in changed:
        setattr(lock.advanced, name, values[name])
    note(exchange, "advanced_config_set", ", ".join(changed) or "nothing new")
    if changed:
        lock.config_changed()
        lock.auto_lock_watch.settings_changed()
    exchange.reply(COMPLETE)


def _in_range(lock: VirtualLock, name: str, value: Any) -> bool:
    if value == NoTime():
        return False
    if name == "auto_lock_timeout" and value == 0:
        return lock.behaviour.advanced_config_size_of(lock.family) == OLDEST
    if name == "immediate_auto_lock" and lock.behaviour.immediate_auto_lock_missing:
        return bool(value == 0)
    low, high = _RANGES.get(name, (None, None))
    return low is None or high is None or low <= value <= high


HANDLERS: tuple[tuple[type[Message], Callable[..., Any]], ...] = (
    (RequestAdvancedConfig, _request),
    (SetAdvancedConfig, _set),
)
"""The requests about the advanced configuration."""
