"""What the messages of a Smart Lock and of an Opener have in common, where the layouts differ.

Whoever reads states or settings of either asks for the class here; what a kind of device does not tell is None.
"""

from __future__ import annotations

from datetime import datetime

from nuki_bridge.protocol.codes import Completion, DoorState, NukiState, Trigger
from nuki_bridge.protocol.network import Network
from nuki_bridge.protocol.wire import Message


class States(Message):
    """What a device says of itself (0x000C); `lock_state` and the actions are numbers of its own kind."""

    __slots__ = ()

    nuki_state: NukiState | int
    lock_state: int
    trigger: Trigger | int
    current_time: datetime | None
    timezone_offset_min: int
    battery_state: int
    config_update_count: int | None
    lock_n_go_timer: int | None
    ring_to_open_timer: int | None
    last_action: int | None
    last_trigger: Trigger | int | None
    last_completion: Completion | int | None
    door_state: DoorState | int | None
    night_mode_active: bool | None

    @property
    def battery_critical(self) -> bool:
        """The batteries must be changed."""
        return bool(self.battery_state & 1)

    @property
    def battery_charging(self) -> bool | None:
        """The device is being charged; None if it does not tell."""
        return None

    @property
    def battery_percent(self) -> int | None:
        """Charge in percent; None if the device only knows "critical"."""
        return None

    @property
    def keypad_battery_critical(self) -> bool | None:
        """The keypad's batteries must be changed; None if the device does not tell."""
        return None

    @property
    def door_sensor_battery_critical(self) -> bool | None:
        """The door sensor's battery must be changed; None if the device does not tell."""
        return None

    @property
    def network(self) -> Network | None:
        """What it tells of its own networks; None if it does not tell."""
        return None


class BasicConfig(Message):
    """The settings that a device tells in Config (0x0015)."""

    __slots__ = ()

    nuki_id: int
    name: str
    latitude: float
    longitude: float
    auto_unlatch: bool | None
    pairing_enabled: bool
    button_enabled: bool
    led_enabled: bool
    current_time: datetime | None
    timezone_offset_min: int
    dst_mode: int
    has_fob: bool
    fob_action_1: int
    fob_action_2: int
    fob_action_3: int
    advertising_mode: int
    has_keypad: bool
    firmware_version: bytes
    hardware_revision: bytes
    timezone_id: int | None

    @property
    def device_type(self) -> int | None:
        """The device type; None from firmware that does not tell it."""
        return None

    @property
    def has_keypad_2(self) -> bool | None:
        """It has a Keypad 2; None from firmware that does not tell it."""
        return None

    @property
    def wiring(self) -> int | None:
        """What the wiring of an Opener allows: 0 to open, 1 all, 2 ring to open only; None for a Smart Lock."""
        return None


class AnyAdvancedConfig(Message):
    """The settings that a device tells in Advanced Config (0x0037); the kinds have none in common."""

    __slots__ = ()
