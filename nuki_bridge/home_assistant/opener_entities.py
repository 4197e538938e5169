"""What only an Opener has in Home Assistant: its two modes as switches, and its settings; the table's own are experts'.

Its doorbell stands with the other events in `entities.py`, the lock itself in `lock_entity.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nuki_bridge.home_assistant.components import BRIDGE_ONLINE, SET, STATE, STATUS, Entity, if_json
from nuki_bridge.home_assistant.setting_entities import settings_table, shared
from nuki_bridge.owner import lock_config

_MINUTES: Final[Mapping[str, Any]] = {"mode": "box", "unit_of_measurement": "min", "device_class": "duration"}
_MS: Final[Mapping[str, Any]] = {"mode": "box", "unit_of_measurement": "ms", "device_class": "duration"}


def _mode(key: str, name: str, icon: str, topic: str, on: str, template: str) -> Entity:
    """Return the switch of a mode that the actions `activate_` and `deactivate_` with `on` begin and end."""
    asked = f"activate_{on}", f"deactivate_{on}"
    config = {
        "name": name,
        "icon": icon,
        "state_topic": topic,
        "value_template": template,
        "command_topic": SET,
        "payload_on": asked[0],
        "payload_off": asked[1],
        "state_on": "ON",
        "state_off": "OFF",
    }
    return Entity(key, "switch", config, asked)


OPENER_SWITCHES: Final = (
    _mode(
        "ring_to_open",
        "Ring to open",
        "mdi:bell-ring",
        STATE,
        "rto",
        # while the door is open it is not told: it stays as it was
        "{{ {'rto_active': 'ON', 'locked': 'OFF', 'opening': '', 'open': ''}.get(value, 'None') }}",
    ),
    _mode(
        "continuous_mode",
        "Continuous mode",
        "mdi:door-open",
        "<lock>/continuous_mode",
        "continuous_mode",
        "{{ {'on': 'ON', 'off': 'OFF'}.get(value, 'None') }}",
    ),
)

OPENER_PAUSE: Final = Entity(
    "pause",
    "switch",
    {
        "name": "Pause for the app",
        "icon": "mdi:bluetooth-off",
        "entity_category": "config",
        "state_topic": STATUS,
        "value_template": if_json("{{ 'ON' if value_json.paused_until else 'OFF' }}"),
        "command_topic": "<lock>/request/pause",
        "payload_on": '{"enabled":true}',
        "payload_off": '{"enabled":false}',
        "state_on": "ON",
        "state_off": "OFF",
    },
    available=BRIDGE_ONLINE,
)
"""An Opener lets nobody else in while the bridge is connected, and is out of reach itself while the app is."""

_entity = settings_table(lock_config.opener_checks())

OPENER_SETTING_ENTITIES: Final = (
    *shared(_entity),
    _entity("rto_timeout", "Ring to open timeout", "rto_timeout", "mdi:timer-outline", **_MINUTES),
    _entity("rto_off_after_ring", "Ring to open ends with a ring", "disable_rto_after_ring", "mdi:bell-off"),
    _entity("doorbell_suppression", "Doorbell suppression", "doorbell_suppression", "mdi:bell-sleep"),
    _entity("sound_ring", "Sound of a ring", "sound_ring", "mdi:music-note", mode="box"),
    _entity("sound_open", "Sound of opening", "sound_open", "mdi:music-note", mode="box"),
    _entity("sound_rto", "Sound of ring to open", "sound_rto", "mdi:music-note", mode="box"),
    _entity("sound_continuous_mode", "Sound of continuous mode", "sound_cm", "mdi:music-note", mode="box"),
    _entity("sound_confirmation", "Sound of confirmation", "sound_confirmation", "mdi:music-note"),
    _entity("sound_level", "Sound level", "sound_level", "mdi:volume-high", mode="slider"),
    _entity("strike_delay", "Strike delay", "electric_strike_delay", "mdi:timer-sand", expert=True, **_MS),
    _entity(
        "random_strike_delay", "Random strike delay", "random_electric_strike_delay", "mdi:dice-multiple", expert=True
    ),
    _entity("strike_duration", "Strike duration", "electric_strike_duration", "mdi:timer", expert=True, **_MS),
    _entity(
        "suppression_duration",
        "Doorbell suppression duration",
        "doorbell_suppression_duration",
        "mdi:timer",
        expert=True,
        **_MS,
    ),
)
"""Every setting of an Opener that has an entity."""
