"""A device's advanced settings: a Smart Lock's names and values in JSON, and writing those of either kind.

In JSON they stand beside the basic ones (`lock_config.py`), so that nobody need know that there are two messages.  A
setting that the lock does not have is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from nuki_bridge.arguments import flag, whole, with_schema
from nuki_bridge.errors import RequestError
from nuki_bridge.owner import access, opener_config
from nuki_bridge.owner.setting import Setting, word, written
from nuki_bridge.protocol.advanced_config import AdvancedConfig, SetAdvancedConfig
from nuki_bridge.protocol.common import AnyAdvancedConfig
from nuki_bridge.protocol.field_kinds import NOT_SUPPORTED
from nuki_bridge.protocol.messages import Status
from nuki_bridge.protocol.opener_advanced_config import (
    OpenerAdvancedConfigA,
    OpenerAdvancedConfigB,
    OpenerAdvancedConfigHead,
    SetOpenerAdvancedConfigA,
    SetOpenerAdvancedConfigB,
)
from nuki_bridge.protocol.wire import OwnerRequest
from nuki_bridge.records import frozen

if TYPE_CHECKING:
    from nuki_bridge.lock.admin import Admin

BUTTON_ACTIONS: Final = ("none", "intelligent", "unlock", "lock", "unlatch", "lock_n_go", "show_status")
BATTERY_TYPES: Final = ("alkaline", "accumulator", "lithium")
MOTOR_SPEEDS: Final = ("standard", "insane", "gentle")
LOCK_N_GO_S: Final = (5, 60)
UNLATCH_S: Final = (1, 30)
AUTO_LOCK_S: Final = (2, 1800)
"""Shortest and longest auto lock timeout in seconds; the document has no longest one, other programs write up to
this."""


@with_schema({"oneOf": [{"type": "integer", "minimum": AUTO_LOCK_S[0], "maximum": AUTO_LOCK_S[1]}, {"const": 0}]})
def _auto_lock_timeout(value: Any) -> int:
    """0 is auto lock off, of a lock whose firmware has no `auto_lock_enabled`."""
    low, high = AUTO_LOCK_S
    if isinstance(value, bool) or not isinstance(value, int) or not (value == 0 or low <= value <= high):
        raise ValueError(f"must be 0 or a whole number of seconds from {low} to {high}")
    return value


_DEGREES: Final = "degrees"
_SECONDS: Final = "seconds"
_FLAG: Final = Setting(flag, bool)
_TIME: Final = Setting(access.time_of_day, lambda value: f"{value:%H:%M}" if value else None)

SETTINGS: Final[Mapping[str, Setting]] = {
    "unlocked_position_offset": Setting(whole(-90, 180, _DEGREES)),
    "locked_position_offset": Setting(whole(-180, 90, _DEGREES)),
    "single_locked_position_offset": Setting(whole(-180, 180, _DEGREES)),
    "unlocked_to_locked_transition_offset": Setting(whole(-180, 180, _DEGREES)),
    "lock_n_go_timeout": Setting(whole(*LOCK_N_GO_S, _SECONDS).meant("seconds from unlocked to locking")),
    "single_button_press_action": word(*BUTTON_ACTIONS),
    "double_button_press_action": word(*BUTTON_ACTIONS),
    "detached_cylinder": Setting(flag.meant("turns of the key are not noticed"), bool),
    "battery_type": word(*BATTERY_TYPES),
    "automatic_battery_type_detection": _FLAG,
    "unlatch_duration": Setting(whole(*UNLATCH_S, _SECONDS).meant("seconds for which the latch is held")),
    "auto_lock_timeout": Setting(
        _auto_lock_timeout.meant("seconds; 0 switches auto lock off where there is no auto_lock_enabled")
    ),
    "auto_unlock_disabled": _FLAG,
    "night_mode_enabled": _FLAG,
    "night_mode_start": _TIME,
    "night_mode_end": _TIME,
    "night_mode_auto_lock": _FLAG,
    "night_mode_auto_unlock_disabled": _FLAG,
    "night_mode_immediate_lock_on_start": _FLAG,
    "auto_lock_enabled": _FLAG,
    "immediate_auto_lock": Setting(flag.meant("lock when the door closes"), bool),
    "auto_update": Setting(flag.meant("firmware updates"), bool),
    "motor_speed": word(*MOTOR_SPEEDS),
    "slow_speed_in_night_mode": _FLAG,
}
"""The advanced settings by their names in JSON, which are the message's fields."""
READ_ONLY: Final[Mapping[str, Setting]] = {"total_degrees": Setting(whole(0, 0xFFFF, _DEGREES))}
_MAY_LACK: Final = frozenset(name for name, _, optional in AdvancedConfig.layout if optional)


@frozen
class _Layout:
    """What one layout of the message tells, and what writes it; None if nothing does."""

    settings: Mapping[str, Setting]
    read_only: Mapping[str, Setting]
    request: type[OwnerRequest] | None


_LAYOUTS: Final[Mapping[type[AnyAdvancedConfig], _Layout]] = {
    AdvancedConfig: _Layout(SETTINGS, READ_ONLY, SetAdvancedConfig),
    OpenerAdvancedConfigA: _Layout(opener_config.ADVANCED, opener_config.ADVANCED_READ_ONLY, SetOpenerAdvancedConfigA),
    OpenerAdvancedConfigB: _Layout(opener_config.ADVANCED, opener_config.ADVANCED_READ_ONLY, SetOpenerAdvancedConfigB),
    OpenerAdvancedConfigHead: _Layout(opener_config.ADVANCED, opener_config.ADVANCED_READ_ONLY, None),
}


def has(config: AnyAdvancedConfig, name: str) -> bool:
    """This device has the setting."""
    value = getattr(config, name, None)
    return value is not None and not (name in _MAY_LACK and value == NOT_SUPPORTED)


def names_of(config: AnyAdvancedConfig) -> list[str]:
    """Return the settings that this device has and takes, by name; none of a layout that cannot be written."""
    layout = _LAYOUTS[type(config)]
    return [] if layout.request is None else [name for name in layout.settings if has(config, name)]


def to_json(config: AnyAdvancedConfig) -> dict[str, Any]:
    """Return the configuration as JSON; null is what this device does not have."""
    layout = _LAYOUTS[type(config)]
    return {
        name: setting.to_json(getattr(config, name)) if has(config, name) else None
        for name, setting in {**layout.settings, **layout.read_only}.items()
    }


def patched(config: AnyAdvancedConfig | None, values: Mapping[str, Any]) -> AnyAdvancedConfig:
    """Return what the device has, with some values changed; raises `RequestError` if it does not have one of them."""
    if config is not None and _LAYOUTS[type(config)].request is None:
        raise RequestError(
            "bad_request",
            f"{', '.join(values)}: this firmware tells its advanced settings in a form that cannot be recognized, so "
            "they cannot be changed; nothing has been set",
        )
    missing = [name for name in values if config is None or not has(config, name)]
    if config is None or missing:
        one = "it" if len(missing) == 1 else "them"
        raise RequestError(
            "bad_request", f"{', '.join(missing)}: this lock's firmware does not have {one}; nothing has been set"
        )
    if values.get("auto_lock_timeout") == 0 and has(config, "auto_lock_enabled"):
        raise RequestError(
            "bad_request",
            f"auto_lock_timeout must be {AUTO_LOCK_S[0]} to {AUTO_LOCK_S[1]} seconds on this lock: what switches auto "
            "lock off is auto_lock_enabled; nothing has been set",
        )
    changed: AnyAdvancedConfig = replace(cast(Any, config), **values)
    return changed


async def write(admin: Admin, config: AnyAdvancedConfig, timeout_s: float) -> None:
    """Write the advanced configuration, whole, in the layout and with as many fields as the device sent.

    Raises as `Admin.ask`.
    """
    request = _LAYOUTS[type(config)].request
    assert request is not None  # `patched` has refused it
    values = written(request, config)
    if isinstance(config, AdvancedConfig):
        values |= {name: 0 for name in _MAY_LACK if values[name] == NOT_SUPPORTED}
    await admin.ask(request(**values), Status, timeout_s)
