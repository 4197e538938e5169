"""One lock or Opener as our topics tell of it, and as the maker's interface shows it; no I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from nuki_bridge.bridge_http import codes
from nuki_bridge.records import mutable

RING_S = 30.0
"""Seconds for which a ring is shown."""
MAX_NAME_SIZE = 64
"""Most characters of a name that are passed on."""


@mutable
class Device:
    """What is known of one device; `name` is ours, `status` and `battery` are those topics' objects.

    `rung_at` is on the clock of whoever asks for `is_ringing`.  `heard` is when its state came, in RFC 3339.
    """

    name: str
    nuki_id: int
    family: str
    state: str | None = None
    door: str | None = None
    continuous_mode: bool = False
    offline: bool = False
    """A command cannot reach it now."""
    orphaned: bool = False
    """The daemon or the broker is away."""
    battery: Mapping[str, Any] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)
    heard: str | None = None
    turned_at: float = -math.inf
    """When it told another state than before, on the clock of `rung_at`."""
    rung: str | None = None
    """Moment of the last ring, in RFC 3339."""
    rung_at: float = -math.inf

    @property
    def is_opener(self) -> bool:
        """Whether this is an Opener, whose numbers mean something else."""
        return self.family == "opener"

    @property
    def device_type(self) -> int:
        """The maker's number for this kind of device."""
        return codes.device_type(self.family, self.status.get("device_type"))

    @property
    def critical(self) -> bool:
        """Whether its batteries are nearly empty."""
        return self.battery.get("critical") is True

    @property
    def shown_name(self) -> str:
        """The name that its owner has given it in the maker's app, else ours."""
        told = self.status.get("name_in_lock")
        return told[:MAX_NAME_SIZE] if isinstance(told, str) and told.strip() else self.name

    @property
    def away(self) -> bool:
        """Whether what it has told of itself may not be true any more."""
        return self.offline or self.orphaned

    def action(self, number: int) -> str | None:
        """Return our name of an action by the maker's number; None if there is none."""
        return (codes.OPENER_ACTIONS if self.is_opener else codes.LOCK_ACTIONS).get(number)

    def simple_lock(self) -> tuple[str, ...]:
        """Return what the simple action "lock" does: of an Opener it ends ring to open and continuous mode."""
        if not self.is_opener:
            return ("lock",)
        return ("deactivate_continuous_mode", "deactivate_rto") if self.continuous_mode else ("deactivate_rto",)

    def simple_unlock(self) -> tuple[str, ...]:
        """Return what the simple action "unlock" does: it opens a door with a knob outside, which nobody could open
        otherwise.  Of a door of which this is not known it only turns the bolt."""
        if self.is_opener:
            return ("open",)
        config = self.status.get("config")
        return ("unlatch",) if isinstance(config, Mapping) and config.get("auto_unlatch") is True else ("unlock",)

    def contradicts(self, steps: tuple[str, ...]) -> bool:
        """Return whether its state shows that these actions, though they were carried out, do not hold any more."""
        if steps == ("lock",):
            return self.state not in ("locked", "locking")
        return steps in (("unlock",), ("unlatch",)) and self.state in ("locked", "locking")

    def is_ringing(self, now: float) -> bool:
        """Return whether the bell was rung lately."""
        return now - self.rung_at < RING_S

    def shown(self, now: float) -> dict[str, Any]:
        """Return the state object; undefined is a state that nobody knows now.  `now` as in `rung_at`.

        Programs look at no timestamp, and take a state that is not there for unlocked.
        """
        states = codes.OPENER_STATES if self.is_opener else codes.LOCK_STATES
        number, text = states.get("" if self.away else self.state or "", codes.UNDEFINED)
        told: dict[str, Any] = {
            "mode": codes.CONTINUOUS_MODE if self.continuous_mode else codes.DOOR_MODE,
            "state": number,
            "stateName": text,
            "batteryCritical": self.critical,
        }
        if not self.is_opener:
            charging, level = self.battery.get("charging"), self.battery.get("level")
            told |= {} if charging is None else {"batteryCharging": charging is True}
            told |= {} if level is None else {"batteryChargeState": level}
        keypad = self.battery.get("keypad_critical")
        told |= {} if keypad is None else {"keypadBatteryCritical": keypad is True}
        if self.door is not None:
            number, text = codes.DOOR_STATES.get("unknown" if self.away else self.door, codes.DOOR_UNKNOWN)
            told |= {"doorsensorState": number, "doorsensorStateName": text}
        if self.is_opener:
            told |= {} if self.rung is None else {"ringactionTimestamp": self.rung}
            told["ringactionState"] = self.is_ringing(now)
        return told

    def listed(self, now: float) -> dict[str, Any]:
        """Return the device's item of `/list`; `now` as in `rung_at`."""
        told: dict[str, Any] = {"nukiId": self.nuki_id, "deviceType": self.device_type, "name": self.shown_name}
        firmware = self.status.get("firmware")
        told |= {"firmwareVersion": firmware} if isinstance(firmware, str) else {}
        time = self.status.get("updated") or self.heard
        told["lastKnownState"] = {**self.shown(now), **({} if time is None else {"timestamp": time})}
        return told

    def scanned(self) -> dict[str, Any]:
        """Return the device's item of `/info`, under the name that it has on Bluetooth."""
        rssi = self.status.get("rssi")
        return {
            "nukiId": self.nuki_id,
            "deviceType": self.device_type,
            "name": f"{codes.BLUETOOTH_NAMES.get(self.device_type, 'Nuki_')}{self.nuki_id:08X}",
            "rssi": rssi if isinstance(rssi, int) else 0,
            "paired": True,
        }
