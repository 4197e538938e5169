"""The entities that a lock and the bridge have in Home Assistant, in one table each; see `components.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nuki_bridge.home_assistant.components import (
    BATTERY,
    BRIDGE_ONLINE,
    EVENT,
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
from nuki_bridge.home_assistant.opener_entities import OPENER_PAUSE, OPENER_SETTING_ENTITIES, OPENER_SWITCHES
from nuki_bridge.home_assistant.setting_entities import SETTING_ENTITIES
from nuki_bridge.lock.profile import OPENER, SMART_LOCK

# -- what there is of a device beside the lock itself ------------------------------------------------------------------

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

_KEYPAD_ACTIONS: Final = ("unlock", "lock", "unlatch", "lock_n_go", "lock_n_go_unlatch", "open", "activate_rto")
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
_RING_TEMPLATE: Final = (
    "{% if value_json.type == 'ring' %}"
    "{{ {'event_type': 'ring', 'opened': value_json.opened, 'suppressed': value_json.suppressed,"
    " 'time': value_json.time} | to_json }}"
    "{% endif %}"
)

_COMMON: Final = (
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
    Entity("open", "button", action_button("Open", "open", "mdi:door-open"), ("open",)),
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
        ("pin", "bolt"),
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
)

LOCK_ENTITIES: Final = (*_COMMON, *SETTING_ENTITIES)
OPENER_ENTITIES: Final = (*_COMMON, *OPENER_SWITCHES, OPENER_PAUSE, *OPENER_SETTING_ENTITIES)
ENTITIES_OF: Final[Mapping[str, tuple[Entity, ...]]] = {
    SMART_LOCK.kind: LOCK_ENTITIES,
    OPENER.kind: OPENER_ENTITIES,
}
"""Everything of a device but the lock itself (`lock_entity`), by its kind, in the order of the settings page.

A key that is taken out of these tables must be removed from Home Assistant: keep it with a trait that no lock has.
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
