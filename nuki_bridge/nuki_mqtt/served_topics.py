"""What Nuki's own API tells of a lock that the bridge plays: its retained topics; pure functions.

Nothing is told that the lock has not reported itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

from nuki_bridge.nuki_mqtt.codes import DOOR_STATES, STATE_TOPICS, boolean, device_type, knows_state, number, timestamp
from nuki_bridge.protocol.codes import DoorState, NukiState

if TYPE_CHECKING:
    from nuki_bridge.lock.lock import Lock
    from nuki_bridge.lock.profile import Profile
    from nuki_bridge.protocol.common import BasicConfig, States

_MODES: Final = frozenset({NukiState.DOOR_MODE, NukiState.CONTINUOUS_MODE})
"""What `mode` can say; in its other modes, such as pairing, a device keeps the one that it told last."""
BY_CONFIGURATION: Final = frozenset({"deviceType", "name", "firmware"})
"""Topics of which nothing can be said before the lock's configuration has been read."""
BY_STATES: Final = frozenset(
    {
        "state",
        "batteryCritical",
        "batteryChargeState",
        "batteryCharging",
        "keypadBatteryCritical",
        "doorsensorState",
        "doorsensorBatteryCritical",
        "serverConnected",
    }
)
"""Topics that follow from each report of the lock; what it does not tell is on none of them."""


class Equipment(Protocol):
    """What a lock was once seen to have."""

    @property
    def traits(self) -> Collection[str]:
        """By name; `door` for a door sensor."""


def payloads(lock: Lock, equipment: Equipment, rang_at: datetime | None) -> dict[str, bytes]:
    """Return the payload of each topic that is to be set or, empty, cleared; without those of which nothing is known.

    `connected` and `timestamp` are left out: they say how the topics themselves are.
    """
    told: dict[str, bytes] = {}
    if lock.config is not None:
        told |= _of_config(lock.profile, lock.config)
    if lock.states is not None:
        told |= dict.fromkeys(BY_STATES, b"") | _of_states(lock.profile, lock.states, equipment)
    if rang_at is not None:
        told["ringactionTimestamp"] = timestamp(rang_at)
    return {name: told[name] for name in STATE_TOPICS if name in told}


def _of_config(profile: Profile, config: BasicConfig) -> dict[str, bytes]:
    return {
        "deviceType": number(device_type(profile, config.device_type)),
        "name": config.name.encode(),
        "firmware": ".".join(str(each) for each in config.firmware_version).encode(),
    }


def _of_states(profile: Profile, states: States, equipment: Equipment) -> dict[str, bytes]:
    told = {
        "state": number(state_number(profile, states.lock_state)),
        "batteryCritical": boolean(states.battery_critical),
        "serverConnected": boolean(_is_on_server(states)),
    }
    if states.nuki_state in _MODES:
        told["mode"] = number(states.nuki_state)
    if states.battery_percent is not None:
        told["batteryChargeState"] = number(states.battery_percent)
    flags: tuple[tuple[str, Callable[[States], bool | None]], ...] = (
        ("batteryCharging", lambda each: each.battery_charging),
        ("keypadBatteryCritical", lambda each: each.keypad_battery_critical),
        ("doorsensorBatteryCritical", lambda each: each.door_sensor_battery_critical),
    )
    told |= {name: boolean(flag) for name, of in flags if (flag := of(states)) is not None}
    door = _door(states, equipment)
    return told if door is None else {**told, "doorsensorState": number(door)}


def state_number(profile: Profile, state: int) -> int:
    """Return what `state` says: the lock's own number if document 1.5 has it for its kind, else "undefined".

    A Smart Lock that finds out where its bolt is has numbers over Bluetooth that the document does not know.
    """
    is_listed = knows_state(profile, state) and not (profile.has_bolt and state in profile.measuring)
    return state if is_listed else profile.undefined


def _door(states: States, equipment: Equipment) -> int | None:
    """Return what `doorsensorState` says, None without a sensor: that there is none has no number in the document."""
    door = states.door_state
    if door is None:
        return None
    if door == DoorState.UNAVAILABLE:  # a sensor that was there has an empty battery
        return DoorState.UNKNOWN_3 if "door" in equipment.traits else None
    return door if door in DOOR_STATES else DoorState.UNKNOWN_3


def _is_on_server(states: States) -> bool:
    """Return whether the lock says that it is connected to its maker's server; one that does not tell is not."""
    told = None if states.network is None else states.network.to_json()
    links = () if told is None else (told["wifi"], told["thread"])
    return any(each is not None and each["server"] == "connected" for each in links)


def speaks_itself(states: States | None) -> bool:
    """Return whether the lock says that it is connected to a broker itself, by its own MQTT API."""
    told = None if states is None or states.network is None else states.network.to_json()["mqtt"]
    return told is not None and told["state"] == "connected"
