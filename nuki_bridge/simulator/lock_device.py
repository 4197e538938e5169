"""What a virtual Smart Lock knows beside what every device does: its door, its settings, whether it is night."""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Any

from nuki_bridge.protocol.codes import DoorState, Family
from nuki_bridge.simulator import advanced_config
from nuki_bridge.simulator.behaviour import LockSettings
from nuki_bridge.simulator.device import Device
from nuki_bridge.simulator.motor import MOTOR_ACTIONS


class LockDevice(Device):
    """The memory of a Smart Lock."""

    settings: LockSettings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the arguments of `Device`, with the family of a Smart Lock."""
        super().__init__(*args, **kwargs)
        self.advanced = advanced_config.initial(self.family, self.behaviour)
        self.door: DoorState | int = self.behaviour.start_door
        self.door_logging = True
        self.battery_charging = False

    def _first_settings(self) -> LockSettings:
        return LockSettings(name=self.name, device_type=5 if self.family is Family.ULTRA else 4)

    def door_sensor(self) -> tuple[bool, bool]:
        """Return whether there is a door sensor, and whether the log keeps what it sees."""
        return self.door not in (DoorState.UNAVAILABLE, DoorState.DEACTIVATED), self.door_logging

    def _planned_actions(self) -> Collection[enum.IntEnum]:
        return MOTOR_ACTIONS

    @property
    def is_night(self) -> bool:
        """Night mode is active now, by the lock's wall clock."""
        return self.advanced.is_night(self.clock.wall_clock().time())
