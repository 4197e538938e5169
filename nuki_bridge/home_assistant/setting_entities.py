"""The settings of a device as entities in Home Assistant, in one table: a switch, number, select or text by its kind.

What a setting takes is said by its own check, so that Home Assistant offers what the bridge accepts.  An entity is
there if the device has told the setting (`setting_trait`) and the security PIN is known.  The coordinates have none:
they are in no retained topic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from nuki_bridge.arguments import Check
from nuki_bridge.home_assistant.components import SECONDS, Entity, choice, number, setting_trait, switch, words
from nuki_bridge.lock import wall_clock
from nuki_bridge.owner import advanced_config, lock_config

_TIME: Final = r"(([01]\d|2[0-3]):[0-5]\d)?"
"""Pattern of a time of day; also of none, because a text that fits no pattern is an error in Home Assistant."""
_DEGREES: Final[Mapping[str, Any]] = {"mode": "box", "unit_of_measurement": "°"}
_MINUTES: Final[Mapping[str, Any]] = {"mode": "box", "unit_of_measurement": "min", "device_class": "duration"}
_ZONES: Final = tuple(wall_clock.TIMEZONES)


Make = Callable[..., Entity]
"""Makes the entity of one setting; see `settings_table`."""


def settings_table(checks: Mapping[str, Check[Any]]) -> Make:
    """Return what makes an entity of a setting out of its check, of one kind of device."""

    def entity(
        key: str, name: str, setting: str, icon: str, *needs: str, expert: bool = False, on: bool = True, **more: Any
    ) -> Entity:
        """`expert`: it is disabled in Home Assistant until somebody enables it.

        `on` is the setting's value when the switch is on, `more` are further keys; `min`, `max` and `options` take the
        place of what the check says.
        """
        platform, config = _by_kind(name, setting, icon, on, checks[setting].schema, more)
        if expert:
            config["enabled_by_default"] = False
        return Entity(key, platform, config, ("pin", setting_trait(setting), *needs))

    return entity


def _by_kind(
    name: str, setting: str, icon: str, on: bool, check: Mapping[str, Any], more: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    schema = {**check, **more}
    kind = schema.get("type")
    if kind == "boolean":
        return "switch", switch(name, setting, icon, on=on)
    if "options" in more or "enum" in schema:
        return "select", choice(name, setting, icon, tuple(more.get("options") or schema["enum"]))
    if kind == "integer" or "max" in more:
        low, high = more.pop("min", schema.get("minimum")), more.pop("max", schema.get("maximum"))
        return "number", number(name, setting, icon, (low, high), **more)
    return "text", words(name, setting, icon, most=schema.get("maxLength", 5), **more)


def shared(entity: Make) -> tuple[Entity, ...]:
    """Return the entities of the settings that every kind of device has."""
    return (
        entity("pairing", "Bluetooth pairing", "pairing_enabled", "mdi:bluetooth"),
        entity("button", "Button", "button_enabled", "mdi:radiobox-marked"),
        entity("button_action_1", "Button action 1", "single_button_press_action", "mdi:gesture-tap-button"),
        entity("button_action_2", "Button action 2", "double_button_press_action", "mdi:gesture-double-tap"),
        entity("led", "LED", "led_enabled", "mdi:led-on"),
        *(
            entity(f"fob_action_{presses}", f"Fob action {presses}", f"fob_action_{presses}", "mdi:key-wireless", "fob")
            for presses in (1, 2, 3)
        ),
        entity("advertising_mode", "Advertising mode", "advertising_mode", "mdi:bluetooth-settings"),
        entity("battery_type", "Battery type", "battery_type", "mdi:battery", expert=True),
        entity(
            "battery_type_detection",
            "Battery type detection",
            "automatic_battery_type_detection",
            "mdi:battery-sync",
            expert=True,
        ),
        entity("name", "Name", "name", "mdi:rename", expert=True),
        entity("timezone", "Time zone", "timezone", "mdi:map-clock", expert=True, options=_ZONES),
        entity("utc_offset", "UTC offset", "timezone_offset_min", "mdi:map-clock", expert=True, **_MINUTES),
        entity("daylight_saving", "Daylight saving", "dst_mode", "mdi:sun-clock", expert=True),
    )


_entity = settings_table(lock_config.checks())

SETTING_ENTITIES: Final = (
    *shared(_entity),
    _entity("auto_unlatch", "Auto unlatch", "auto_unlatch", "mdi:door-open"),
    _entity("single_lock", "Single lock", "single_lock", "mdi:lock-outline"),
    _entity("led_brightness", "LED brightness", "led_brightness", "mdi:brightness-6", mode="slider"),
    _entity("auto_lock", "Auto lock", "auto_lock_enabled", "mdi:lock-clock"),
    _entity(
        "auto_lock_timeout",
        "Auto lock timeout",
        "auto_lock_timeout",
        "mdi:timer-lock",
        min=0,  # what firmware without the switch has for "off"
        max=advanced_config.AUTO_LOCK_S[1],
        **SECONDS,
    ),
    _entity("immediate_auto_lock", "Auto lock when the door closes", "immediate_auto_lock", "mdi:door-closed-lock"),
    _entity("auto_unlock", "Auto unlock", "auto_unlock_disabled", "mdi:lock-open-variant", on=False),
    _entity("night_mode", "Night mode", "night_mode_enabled", "mdi:weather-night"),
    _entity("night_mode_start", "Night mode start", "night_mode_start", "mdi:clock-start", pattern=_TIME),
    _entity("night_mode_end", "Night mode end", "night_mode_end", "mdi:clock-end", pattern=_TIME),
    _entity("night_mode_auto_lock", "Night mode auto lock", "night_mode_auto_lock", "mdi:lock-clock"),
    _entity(
        "night_mode_auto_unlock",
        "Night mode auto unlock",
        "night_mode_auto_unlock_disabled",
        "mdi:lock-open-variant",
        on=False,
    ),
    _entity(
        "night_mode_lock_on_start",
        "Night mode locks when it begins",
        "night_mode_immediate_lock_on_start",
        "mdi:lock-check",
    ),
    _entity("lock_n_go_timeout", "Lock 'n' go timeout", "lock_n_go_timeout", "mdi:timer-outline", **SECONDS),
    _entity("unlatch_duration", "Unlatch duration", "unlatch_duration", "mdi:door-open", **SECONDS),
    _entity("motor_speed", "Motor speed", "motor_speed", "mdi:speedometer", expert=True),
    _entity(
        "slow_speed_in_night_mode",
        "Slow in night mode",
        "slow_speed_in_night_mode",
        "mdi:speedometer-slow",
        expert=True,
    ),
    _entity("detached_cylinder", "Detached cylinder", "detached_cylinder", "mdi:key-remove", expert=True),
    _entity("auto_update", "Firmware updates", "auto_update", "mdi:update", expert=True),
    *(
        _entity(key, name, setting, "mdi:angle-acute", expert=True, **_DEGREES)
        for key, name, setting in (
            ("unlocked_position", "Unlocked position offset", "unlocked_position_offset"),
            ("locked_position", "Locked position offset", "locked_position_offset"),
            ("single_locked_position", "Single locked position offset", "single_locked_position_offset"),
            ("transition_position", "Unlocked to locked offset", "unlocked_to_locked_transition_offset"),
        )
    ),
)
"""Every setting of a Smart Lock that has an entity; see `entities.ENTITIES_OF` about keys."""
