"""The entities that a lock and the bridge have in Home Assistant, in one table each; see `components.py`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from nuki_bridge.home_assistant.components import (
    BATTERY,
    BRIDGE_ONLINE,
    EVENT,
    SET,
    SIGNAL,
    STATE,
    STATUS,
    Entity,
    action_button,
    binary,
    if_json,
    last,
    sensor,
)
from nuki_bridge.home_assistant.network_entities import NETWORK_ENTITIES
from nuki_bridge.home_assistant.setting_entities import SETTING_ENTITIES

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
DENIED_EVENTS: Final = (*_KEYPAD_FAILURES, "rejected", "rejected_night_mode")
"""Completions that say that somebody was denied: a wrong code, or one that may not do this now."""
_DENIED_TEMPLATE: Final = (
    "{% if value_json.type in ('keypad', 'lock_action') and value_json.completion in " + repr(DENIED_EVENTS) + " %}"
    "{{ {'event_type': value_json.completion, 'action': value_json.action, 'source': value_json.source,"
    " 'user': (value_json.user or {}).name | default(none), 'time': value_json.time} | to_json }}"
    "{% endif %}"
)
_RING_TEMPLATE: Final = "{% if value_json.type == 'ring' %}{{ {'event_type': 'ring'} | to_json }}{% endif %}"

LOCK_ENTITIES: Final = (
    Entity("state", "sensor", sensor("State", STATE, "{{ value }}", icon="mdi:lock"), ("no_lock",)),
    Entity(
        "door",
        "binary_sensor",
        sensor("Door", "<lock>/door", "{{ {'open': 'ON', 'closed': 'OFF'}.get(value, 'None') }}", device_class="door"),
        ("door",),
    ),
    Entity(
        "door_sensor",
        "sensor",
        sensor(
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
        sensor(
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
        binary("Battery critical", BATTERY, "value_json.critical", "battery", entity_category="diagnostic"),
    ),
    Entity(
        "charging",
        "binary_sensor",
        binary("Charging", BATTERY, "value_json.charging", "battery_charging", entity_category="diagnostic"),
        ("charging",),
    ),
    Entity(
        "battery_voltage",
        "sensor",
        sensor(
            "Battery voltage",
            STATUS,
            "{% if value_json.battery_report is defined %}{{ value_json.battery_report.voltage_mv / 1000 }}{% endif %}",
            device_class="voltage",
            unit_of_measurement="V",
            suggested_display_precision=2,
            state_class="measurement",
            entity_category="diagnostic",
        ),
        ("voltage",),
    ),
    Entity(
        "keypad_battery_critical",
        "binary_sensor",
        binary("Keypad battery", BATTERY, "value_json.keypad_critical", "battery", entity_category="diagnostic"),
        ("keypad_battery",),
    ),
    Entity(
        "door_sensor_battery_critical",
        "binary_sensor",
        binary(
            "Door sensor battery", BATTERY, "value_json.door_sensor_critical", "battery", entity_category="diagnostic"
        ),
        ("door_sensor_battery",),
    ),
    Entity(
        "last_action",
        "sensor",
        last(
            "Last action",
            "action",
            "mdi:history",
            json_attributes_topic=STATUS,
            json_attributes_template=if_json("{{ value_json.last_lock_action | default({}, true) | to_json }}", "{}"),
        ),
    ),
    Entity("last_user", "sensor", last("Last user", "user.name", "mdi:account"), ("pin",)),
    Entity("last_trigger", "sensor", last("Last trigger", "trigger", "mdi:gesture-tap")),
    Entity("keypad", "event", sensor("Keypad", EVENT, _KEYPAD_TEMPLATE, event_types=KEYPAD_EVENTS), ("keypad", "pin")),
    Entity(
        "denied",
        "event",
        sensor("Denied", EVENT, _DENIED_TEMPLATE, event_types=DENIED_EVENTS, icon="mdi:account-cancel"),
        ("pin",),
    ),
    Entity(
        "ring",
        "event",
        sensor("Doorbell", EVENT, _RING_TEMPLATE, device_class="doorbell", event_types=("ring",)),
        ("doorbell",),
    ),
    Entity("unlatch", "button", action_button("Unlatch", "unlatch", "mdi:door-open"), ("unlatch",)),
    Entity("lock_n_go", "button", action_button("Lock 'n' go", "lock_n_go", "mdi:lock-clock"), ("lock_n_go",)),
    Entity(
        "lock_n_go_unlatch",
        "button",
        action_button("Lock 'n' go with unlatch", "lock_n_go_unlatch", "mdi:lock-clock"),
        ("lock_n_go_unlatch",),
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
        "reboot",
        "button",
        {
            "name": "Restart",
            "command_topic": "<lock>/request/reboot",
            "payload_press": "{}",
            "device_class": "restart",
            "entity_category": "config",
        },
        ("pin",),
    ),
    Entity(
        "calibrate",
        "button",
        {
            "name": "Calibrate",
            "command_topic": "<lock>/request/calibrate",
            "payload_press": "{}",
            "icon": "mdi:tune",
            "entity_category": "config",
            "enabled_by_default": False,  # it moves the bolt
        },
        ("pin",),
    ),
    Entity(
        "rssi",
        "sensor",
        sensor("Signal strength", STATUS, "{{ value_json.rssi }}", **SIGNAL),
    ),
    *NETWORK_ENTITIES,
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
    *SETTING_ENTITIES,
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
        binary(
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
        sensor(
            "Version", "bridge/info", "{{ value_json.version }}", icon="mdi:tag-outline", entity_category="diagnostic"
        ),
        available=BRIDGE_ONLINE,
    ),
)
