"""What a lock tells of its own networks, as diagnostic entities in Home Assistant; only with firmware that tells it."""

from __future__ import annotations

from typing import Any, Final

from nuki_bridge.home_assistant.components import SIGNAL, STATUS, Entity, binary, if_json, sensor
from nuki_bridge.protocol.network import LINK_STATES, SERVER_STATES


def _part(path: str) -> str:
    """Return an expression for one value of the status's `network`; its parts may be null."""
    part, _, key = path.partition(".")
    found = "(value_json.network | default({}, true))." + part
    return f"({found} | default({{}}, true)).{key}" if key else found


def _word(key: str, name: str, path: str, icon: str, words: tuple[str, ...], **more: Any) -> Entity:
    template = f"{{{{ {_part(path)} | default('None', true) }}}}"
    config = sensor(
        name,
        STATUS,
        template,
        device_class="enum",
        options=list(words),
        icon=icon,
        entity_category="diagnostic",
        **more,
    )
    # a sensor of words takes nothing for an invalid one when the status is cleared
    return Entity(key, "sensor", {**config, "value_template": if_json(template, "None")}, ("network",))


def _dbm(key: str, name: str, path: str, **more: Any) -> Entity:
    template = f"{{{{ {_part(path)} | default('None', true) }}}}"
    return Entity(key, "sensor", sensor(name, STATUS, template, **SIGNAL, **more), ("network",))


_EXPERT: Final = {"enabled_by_default": False}

NETWORK_ENTITIES: Final = (
    Entity(
        "remote_access",
        "binary_sensor",
        binary(
            "Remote access",
            STATUS,
            _part("remote_access.connected"),
            "connectivity",
            entity_category="diagnostic",
        ),
        ("network",),
    ),
    _word("wifi", "Wi-Fi", "wifi.state", "mdi:wifi", LINK_STATES),
    _dbm("wifi_rssi", "Wi-Fi signal strength", "wifi.rssi"),
    _word("mqtt", "MQTT", "mqtt.state", "mdi:lan-connect", LINK_STATES),
    _word("thread", "Thread", "thread.state", "mdi:hub", LINK_STATES),
    _word("wifi_server", "Server over Wi-Fi", "wifi.server", "mdi:server-network", SERVER_STATES, **_EXPERT),
    _word("thread_server", "Server over Thread", "thread.server", "mdi:server-network", SERVER_STATES, **_EXPERT),
    _dbm("bridge_rssi", "Signal strength at the maker's bridge", "bridge_rssi", **_EXPERT),
)
