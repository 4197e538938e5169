"""The entities that a lock and the bridge have in Home Assistant, in one table each; data and nothing else.

Keys and templates are those of Home Assistant's MQTT integration (each platform's DISCOVERY_SCHEMA).  A value whose key
ends in `topic` is one of `tree.TABLE`.  Templates render the topic's payload: `value` is its text,
`value_json` its JSON; `None` makes the entity's state unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from nuki_bridge.owner.advanced_config import AUTO_LOCK_S, LOCK_N_GO_S, UNLATCH_S
from nuki_bridge.owner.lock_config import ADVERTISING_MODES, FOB_ACTIONS

SET: Final = "<lock>/set"
STATE: Final = "<lock>/state"
STATUS: Final = "<lock>/status"
BATTERY: Final = "<lock>/battery"
EVENT: Final = "<lock>/event"
CONFIG_SET: Final = "<lock>/request/config/set"
REACHABLE: Final = ("bridge/state", "<lock>/availability")
BRIDGE_ONLINE: Final = ("bridge/state",)


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity: `key` is its part of the unique ID and never changes, nor does its `platform`.

    `needs` are the traits (see `discovery.LockFacts`) without which it is not there.  It is available while all of
    `available` are `online`.
    """

    key: str
    platform: str
    config: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    available: tuple[str, ...] = field(default=REACHABLE)


# -- the lock itself --------------------------------------------------------------------------------------------------

_STATES: Final = {
    **{state: state for state in ("locked", "unlocking", "unlocked", "locking")},
    "unlocked_lock_n_go": "unlocked",
    "unlatching": "opening",
    "unlatched": "open",
    "motor_blocked": "jammed",
}
_OLD_STATES: Final = {**_STATES, "unlatching": "unlocking", "unlatched": "unlocked"}
"""Home Assistant before 2024.10 knows neither `open` nor `opening`."""


LOCK_COMMANDS: Final = {"payload_lock": "lock", "payload_unlock": "unlock", "payload_open": "unlatch"}
"""The actions behind the three buttons of a lock in Home Assistant; a device with none of them has no such entity."""


def lock_entity(traits: Collection[str], *, old: bool) -> dict[str, Any]:
    """Return the lock; its name is the device's.

    Home Assistant always has the buttons to lock and to unlock, and the one to open only if `traits` have the action.
    States that say nothing of the bolt, such as `calibrating`, are unknown.
    """
    states = _OLD_STATES if old else _STATES
    shown = sorted({*states.values()})
    commands = {key: action for key, action in LOCK_COMMANDS.items() if key != "payload_open" or action in traits}
    return {
        "name": None,
        "state_topic": STATE,
        "value_template": f"{{{{ {states!r}.get(value, 'None') }}}}",
        **{f"state_{state}": state for state in shown},
        "command_topic": SET,
        **commands,
        "optimistic": False,
        "retain": False,
    }


LOCK_KEY: Final = "lock"


# -- what else there is of it -----------------------------------------------------------------------------------------


def _sensor(name: str, topic: str, template: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "state_topic": topic, "value_template": _if_json(template), **more}


def _if_json(template: str, otherwise: str = "") -> str:
    """Return a template that renders nothing where there is no JSON.

    Topics are cleared when a lock goes, shortly before its entities are gone.
    """
    if "value_json" not in template:
        return template
    last = f"{{% else %}}{otherwise}" if otherwise else ""
    return f"{{% if value_json is defined %}}{template}{last}{{% endif %}}"


def _binary(name: str, topic: str, expression: str, device_class: str, **more: Any) -> dict[str, Any]:
    template = f"{{{{ {{true: 'ON', false: 'OFF'}}.get({expression}, 'None') }}}}"
    return _sensor(name, topic, template, device_class=device_class, **more)


def _last(name: str, what: str, icon: str, **more: Any) -> dict[str, Any]:
    """Return a sensor for a part of the last lock action; the status holds it, so that it outlives a restart."""
    template = "{{ (value_json.last_lock_action | default({}, true))." + what + " | default('unknown', true) }}"
    return _sensor(name, STATUS, template, icon=icon, **more)


def _setting(name: str, key: str, icon: str, template: str, **more: Any) -> dict[str, Any]:
    topics = {"state_topic": STATUS, "command_topic": CONFIG_SET}
    return {
        "name": name,
        "icon": icon,
        "entity_category": "config",
        **topics,
        "value_template": _if_json(template),
        **more,
    }


def _switch(name: str, key: str, icon: str, *, on: bool = True) -> dict[str, Any]:
    """Return a switch; `on` is the setting's value when the switch is on."""
    yes, no = ("true", "false") if on else ("false", "true")
    return _setting(
        name,
        key,
        icon,
        f"{{{{ {{{yes}: 'ON', {no}: 'OFF'}}.get((value_json.config | default({{}})).{key}, 'None') }}}}",
        payload_on=f'{{"{key}":{yes}}}',
        payload_off=f'{{"{key}":{no}}}',
        state_on="ON",
        state_off="OFF",
    )


def _number(name: str, key: str, icon: str, between: tuple[int, int], **more: str) -> dict[str, Any]:
    return _setting(
        name,
        key,
        icon,
        f"{{{{ (value_json.config | default({{}})).{key} | default('None') }}}}",
        min=between[0],
        max=between[1],
        step=1,
        command_template=f"{{{{ {{'{key}': value | int}} | to_json }}}}",
        **more,
    )


_SECONDS: Final[Mapping[str, str]] = {"mode": "box", "unit_of_measurement": "s", "device_class": "duration"}


def _choice(name: str, key: str, icon: str, options: tuple[str, ...]) -> dict[str, Any]:
    return _setting(
        name,
        key,
        icon,
        f"{{% set now = (value_json.config | default({{}})).{key} %}}{{{{ now if now in {options!r} else 'None' }}}}",
        options=list(options),
        command_template=f"{{{{ {{'{key}': value}} | to_json }}}}",
    )


DOOR_WORDS: Final = (
    "closed",
    "open",
    "unknown",
    "deactivated",
    "unavailable",
    "calibrating",
    "uncalibrated",
    "tampered",
)

_KEYPAD_ACTIONS: Final = ("unlock", "lock", "unlatch", "lock_n_go", "lock_n_go_unlatch")
_KEYPAD_FAILURES: Final = ("invalid_code", "invalid_fingerprint")
KEYPAD_EVENTS: Final = (*_KEYPAD_ACTIONS, *_KEYPAD_FAILURES, "other")
_KEYPAD_TEMPLATE: Final = (
    "{% if value_json.type == 'keypad' %}"
    "{% set what = value_json.action if value_json.completion == 'success' else value_json.completion %}"
    "{{ {'event_type': what if what in " + repr(KEYPAD_EVENTS) + " else 'other',"
    " 'action': value_json.action, 'completion': value_json.completion, 'source': value_json.trigger,"
    " 'user': (value_json.user or {}).name | default(none), 'time': value_json.time} | to_json }}"
    "{% endif %}"
)
_RING_TEMPLATE: Final = "{% if value_json.type == 'ring' %}{{ {'event_type': 'ring'} | to_json }}{% endif %}"

LOCK_ENTITIES: Final = (
    Entity("state", "sensor", _sensor("State", STATE, "{{ value }}", icon="mdi:lock"), ("no_lock",)),
    Entity(
        "door",
        "binary_sensor",
        _sensor("Door", "<lock>/door", "{{ {'open': 'ON', 'closed': 'OFF'}.get(value, 'None') }}", device_class="door"),
        ("door",),
    ),
    Entity(
        "door_sensor",
        "sensor",
        _sensor(
            "Door sensor",
            "<lock>/door",
            "{{ value if value in " + repr(DOOR_WORDS) + " else 'None' }}",
            device_class="enum",
            options=list(DOOR_WORDS),
            icon="mdi:door-sliding-lock",
            entity_category="diagnostic",
        ),
        ("door",),
    ),
    Entity(
        "battery",
        "sensor",
        _sensor(
            "Battery",
            BATTERY,
            "{{ value_json.level }}",
            device_class="battery",
            unit_of_measurement="%",
            state_class="measurement",
            entity_category="diagnostic",
        ),
        ("battery_level",),
    ),
    Entity(
        "battery_critical",
        "binary_sensor",
        _binary("Battery critical", BATTERY, "value_json.critical", "battery", entity_category="diagnostic"),
    ),
    Entity(
        "charging",
        "binary_sensor",
        _binary("Charging", BATTERY, "value_json.charging", "battery_charging", entity_category="diagnostic"),
    ),
    Entity(
        "keypad_battery_critical",
        "binary_sensor",
        _binary("Keypad battery", BATTERY, "value_json.keypad_critical", "battery", entity_category="diagnostic"),
        ("keypad_battery",),
    ),
    Entity(
        "door_sensor_battery_critical",
        "binary_sensor",
        _binary(
            "Door sensor battery", BATTERY, "value_json.door_sensor_critical", "battery", entity_category="diagnostic"
        ),
        ("door_sensor_battery",),
    ),
    Entity(
        "last_action",
        "sensor",
        _last(
            "Last action",
            "action",
            "mdi:history",
            json_attributes_topic=STATUS,
            json_attributes_template=_if_json("{{ value_json.last_lock_action | default({}, true) | to_json }}", "{}"),
        ),
    ),
    Entity("last_user", "sensor", _last("Last user", "user.name", "mdi:account"), ("pin",)),
    Entity("last_trigger", "sensor", _last("Last trigger", "trigger", "mdi:gesture-tap")),
    Entity("keypad", "event", _sensor("Keypad", EVENT, _KEYPAD_TEMPLATE, event_types=KEYPAD_EVENTS), ("keypad", "pin")),
    Entity(
        "ring",
        "event",
        _sensor("Doorbell", EVENT, _RING_TEMPLATE, device_class="doorbell", event_types=("ring",)),
        ("doorbell",),
    ),
    Entity(
        "lock_n_go",
        "button",
        {"name": "Lock 'n' go", "command_topic": SET, "payload_press": "lock_n_go", "icon": "mdi:lock-clock"},
        ("lock_n_go",),
    ),
    Entity(
        "refresh",
        "button",
        {
            "name": "Refresh",
            "command_topic": "<lock>/request/refresh",
            "payload_press": "{}",
            "icon": "mdi:refresh",
            "entity_category": "diagnostic",
        },
    ),
    Entity(
        "rssi",
        "sensor",
        _sensor(
            "Signal strength",
            STATUS,
            "{{ value_json.rssi }}",
            device_class="signal_strength",
            unit_of_measurement="dBm",
            state_class="measurement",
            entity_category="diagnostic",
        ),
    ),
    Entity(
        "link",
        "binary_sensor",
        {
            "name": "Connection",
            "state_topic": "<lock>/availability",
            "payload_on": "online",
            "payload_off": "offline",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
        },
        available=BRIDGE_ONLINE,
    ),
    Entity("pairing", "switch", _switch("Bluetooth pairing", "pairing_enabled", "mdi:bluetooth"), ("pin",)),
    Entity("auto_unlatch", "switch", _switch("Auto unlatch", "auto_unlatch", "mdi:door-open"), ("pin",)),
    Entity("single_lock", "switch", _switch("Single lock", "single_lock", "mdi:lock-outline"), ("pin",)),
    Entity("button", "switch", _switch("Button", "button_enabled", "mdi:radiobox-marked"), ("pin",)),
    Entity("led", "switch", _switch("LED", "led_enabled", "mdi:led-on"), ("pin",)),
    Entity(
        "led_brightness",
        "number",
        _number("LED brightness", "led_brightness", "mdi:brightness-6", (0, 5), mode="slider"),
        ("pin",),
    ),
    *(
        Entity(
            f"fob_action_{presses}",
            "select",
            _choice(f"Fob action {presses}", f"fob_action_{presses}", "mdi:key-wireless", FOB_ACTIONS),
            ("pin", "fob"),
        )
        for presses in (1, 2, 3)
    ),
    Entity(
        "advertising_mode",
        "select",
        _choice("Advertising mode", "advertising_mode", "mdi:bluetooth-settings", ADVERTISING_MODES),
        ("pin",),
    ),
    Entity("auto_lock", "switch", _switch("Auto lock", "auto_lock_enabled", "mdi:lock-clock"), ("pin", "auto_lock")),
    Entity(
        "auto_lock_timeout",
        "number",
        # 0 is what firmware without the switch has for "off"
        _number("Auto lock timeout", "auto_lock_timeout", "mdi:timer-lock", (0, AUTO_LOCK_S[1]), **_SECONDS),
        ("pin", "advanced"),
    ),
    Entity(
        "auto_unlock",
        "switch",
        _switch("Auto unlock", "auto_unlock_disabled", "mdi:lock-open-variant", on=False),
        ("pin", "advanced"),
    ),
    Entity(
        "night_mode",
        "switch",
        _switch("Night mode", "night_mode_enabled", "mdi:weather-night"),
        ("pin", "advanced"),
    ),
    Entity(
        "lock_n_go_timeout",
        "number",
        _number("Lock 'n' go timeout", "lock_n_go_timeout", "mdi:timer-outline", LOCK_N_GO_S, **_SECONDS),
        ("pin", "advanced"),
    ),
    Entity(
        "unlatch_duration",
        "number",
        _number("Unlatch duration", "unlatch_duration", "mdi:door-open", UNLATCH_S, **_SECONDS),
        ("pin", "advanced"),
    ),
)
"""Everything of a lock but the lock itself (`lock_entity`), in the order of the settings page.

A key that is taken out of this table must be removed from Home Assistant: keep it with a trait that no lock has.
"""

BRIDGE_ENTITIES: Final = (
    Entity(
        "connectivity",
        "binary_sensor",
        {
            "name": "Connection",
            "state_topic": "bridge/state",
            "payload_on": "online",
            "payload_off": "offline",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
        },
        available=(),
    ),
    Entity(
        "adapter",
        "binary_sensor",
        _binary(
            "Bluetooth adapter",
            "bridge/info",
            "value_json.adapter.available",
            "connectivity",
            entity_category="diagnostic",
        ),
        available=BRIDGE_ONLINE,
    ),
    Entity(
        "version",
        "sensor",
        _sensor(
            "Version", "bridge/info", "{{ value_json.version }}", icon="mdi:tag-outline", entity_category="diagnostic"
        ),
        available=BRIDGE_ONLINE,
    ),
)
