"""Home Assistant's discovery as a lock with Nuki's own API announces itself (document, 5); pure functions.

The lock's message is as real ones were seen to send it; of the others the document gives names and components alone.
For an Opener it has none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.mqtt.payload import dump
from nuki_bridge.nuki_mqtt.codes import VENDOR_BASE, DeviceType, device_type, spelled
from nuki_bridge.protocol.codes import DoorState

if TYPE_CHECKING:
    from nuki_bridge.lock.lock import Lock

PREFIX: Final = "homeassistant"
"""First level of the topics; a real lock cannot be told another one."""
_MODELS: Final[Mapping[int, str]] = {
    DeviceType.SMART_LOCK: "Smart Lock",
    DeviceType.SMART_DOOR: "Smart Door",
    DeviceType.SMART_LOCK_3: "Smart Lock 3.0 Pro",
    DeviceType.ULTRA: "Smart Lock Ultra",
}
_ENTITIES: Final[tuple[tuple[str, str, str, Mapping[str, Any], str | None], ...]] = (
    (
        "lock",
        "lock",
        "Smart Lock",
        {
            "cmd_t": "~/lockAction",
            "pl_lock": "2",
            "pl_unlk": "1",
            "pl_open": "3",
            "stat_t": "~/state",
            "stat_locked": "1",
            "stat_locking": "4",
            "stat_unlocked": "3",
            "stat_unlocking": "2",
            "stat_jam": "254",
            "val_tpl": "{% if value in ['5', '6', '7'] %}3{% else %}{{ value }}{% endif %}",
        },
        None,
    ),
    (
        "sensor",
        "battery",
        "Battery",
        {"stat_t": "~/batteryChargeState", "dev_cla": "battery", "unit_of_meas": "%"},
        "battery_level",
    ),
    ("binary_sensor", "battery_critical", "Battery Critical", {"stat_t": "~/batteryCritical"}, None),
    ("binary_sensor", "battery_charging", "Battery Charging", {"stat_t": "~/batteryCharging"}, "charging"),
    ("button", "unlatch", "Unlatch", {"cmd_t": "~/lockAction", "pl_prs": "3"}, None),
    ("button", "lockngo", "Lock'n'Go", {"cmd_t": "~/lockAction", "pl_prs": "4"}, None),
    ("button", "lockngo_unlatch", "Lock'n'Go with Unlatch", {"cmd_t": "~/lockAction", "pl_prs": "5"}, None),
    (
        "binary_sensor",
        "door_sensor",
        "Door Sensor",
        {
            "stat_t": "~/doorsensorState",
            "dev_cla": "door",
            "pl_on": f"{DoorState.OPEN:d}",
            "pl_off": f"{DoorState.CLOSED:d}",
        },
        "door",
    ),
    (
        "binary_sensor",
        "door_sensor_battery_critical",
        "Door Sensor Battery Critical",
        {"stat_t": "~/doorsensorBatteryCritical"},
        "door_sensor_battery",
    ),
    (
        "binary_sensor",
        "keypad_battery_critical",
        "Keypad Battery Critical",
        {"stat_t": "~/keypadBatteryCritical"},
        "keypad_battery",
    ),
)
"""Component, object, name and own keys of each entity, and the trait that a lock must have for it, if any."""


def topics(nuki_id: int) -> tuple[str, ...]:
    """Return every discovery topic that a lock of this Nuki ID can have."""
    return tuple(_topic(component, nuki_id, key) for component, key, *_ in _ENTITIES)


def messages(lock: Lock, traits: Collection[str]) -> dict[str, bytes]:
    """Return the payload of each discovery topic; empty before the lock's configuration is known, and of an Opener."""
    config, nuki_id = lock.config, lock.paired.nuki_id
    if config is None or lock.profile.rings:
        return {}
    spelling = spelled(nuki_id)
    common = {
        "~": f"{VENDOR_BASE}/{spelling}",
        "avty_t": "~/connected",
        "pl_avail": "true",
        "pl_not_avail": "false",
        "dev": {
            "ids": f"[{spelling}]",
            "mf": "Nuki",
            "name": config.name,
            "mdl": _MODELS.get(device_type(lock.profile, config.device_type), "Smart Lock"),
        },
    }
    found = {}
    for component, key, name, own, trait in _ENTITIES:
        if trait is None or trait in traits:
            entity = {**common, "name": name, "uniq_id": f"{spelling}_{key}", **_of_flag(component, own), **own}
            if "cmd_t" in own:
                entity["qos"] = 2
            found[_topic(component, nuki_id, key)] = dump(entity)
    return found


def _topic(component: str, nuki_id: int, key: str) -> str:
    return f"{PREFIX}/{component}/nuki_{spelled(nuki_id)}_{key}/config"


def _of_flag(component: str, own: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys of a topic that says `true` or `false`."""
    if component != "binary_sensor" or "pl_on" in own:
        return {}
    kind = "battery_charging" if own["stat_t"].endswith("Charging") else "battery"
    return {"pl_on": "true", "pl_off": "false", "dev_cla": kind}
