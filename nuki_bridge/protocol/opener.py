"""The messages of an Opener that differ from a Smart Lock's, as tables (opener.md 3 to 7).

What both have in common is in `common.py`, what is the same stands for all families in the other modules: an Opener's
Set Calibrated is Request Calibration.  Advanced Config has its own module, `opener_advanced_config.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from nuki_bridge.protocol.codes import (
    Command,
    Completion,
    DoorState,
    Family,
    NukiState,
    OpenerAction,
    OpenerState,
    Trigger,
    open_enum,
)
from nuki_bridge.protocol.common import BasicConfig, States
from nuki_bridge.protocol.field_kinds import date_time, enum8, f32, flag, kept_flag, raw, s16, text, u8, u16, u32
from nuki_bridge.protocol.log_entries import LogEntry
from nuki_bridge.protocol.messages import NAME_SIZE
from nuki_bridge.protocol.wire import OwnerRequest, message, wire
from nuki_bridge.records import frozen_by_name

OPENER_DEVICE_TYPE: Final = 2
"""Device type of an Opener, in Config as in the vendor's other interfaces."""
LOG_TYPE_RING: Final = 0x06
"""Type of an Opener's log entry about a ring of the doorbell; a Smart Lock's door sensor has the same number."""


@message(Command.KEYTURNER_STATES, Family.OPENER)
class OpenerStates(States):
    """SL: everything the Opener says of itself (13 to 19 bytes; what follows is disputed and not read).

    Continuous mode is the Nuki state, ring to open (RTO) the lock state; `ring_to_open_timer` has an unknown unit, 0 is
    not active.  Of `battery_state` only bit 0, critical, means something.
    """

    nuki_state: NukiState | int = wire(enum8(NukiState))
    lock_state: OpenerState | int = wire(enum8(OpenerState))
    trigger: Trigger | int = wire(enum8(Trigger))
    current_time: datetime | None = wire(date_time)
    timezone_offset_min: int = wire(s16)
    battery_state: int = wire(u8)
    config_update_count: int | None = wire(u8, default=None)
    ring_to_open_timer: int | None = wire(u8, default=None)
    last_action: OpenerAction | int | None = wire(enum8(OpenerAction), default=None)
    last_trigger: Trigger | int | None = wire(enum8(Trigger), default=None)
    last_completion: Completion | int | None = wire(enum8(Completion), default=None)
    door_state: DoorState | int | None = wire(enum8(DoorState), default=None)
    lock_n_go_timer = None
    night_mode_active = None


@message(Command.CONTINUOUS_MODE_ACTION, Family.OPENER)
class ContinuousModeAction(OwnerRequest):
    """CL: switch continuous mode (36 bytes); the unit of `timeout` is unknown, 0 is what clients send."""

    enabled: bool = wire(flag)
    timeout: int = wire(u8)


@message(Command.CONFIG, Family.OPENER)
class OpenerConfig(BasicConfig):
    """SL: the basic configuration (72 to 75 bytes).

    `capabilities` is what the wiring allows: 0 to open only, 1 both, 2 ring to open only.  `operating_mode` is the kind
    of intercom.  `led_enabled`: it signals ring to open and continuous mode.  What the three bytes from 72 on mean is
    disputed; see `device_type` and `has_keypad_2`.
    """

    nuki_id: int = wire(u32)
    name: str = wire(text(NAME_SIZE))
    latitude: float = wire(f32, secret=True)
    longitude: float = wire(f32, secret=True)
    capabilities: int = wire(u8)
    pairing_enabled: bool = wire(kept_flag)
    button_enabled: bool = wire(kept_flag)
    led_enabled: bool = wire(kept_flag)
    current_time: datetime | None = wire(date_time)
    timezone_offset_min: int = wire(s16)
    dst_mode: int = wire(u8)
    has_fob: bool = wire(flag)
    fob_action_1: int = wire(u8)
    fob_action_2: int = wire(u8)
    fob_action_3: int = wire(u8)
    operating_mode: int = wire(u8)
    advertising_mode: int = wire(u8)
    has_keypad: bool = wire(flag)
    firmware_version: bytes = wire(raw(3))
    hardware_revision: bytes = wire(raw(2))
    timezone_id: int = wire(u16)
    byte_72: int | None = wire(u8, default=None)
    byte_73: int | None = wire(u8, default=None)
    byte_74: int | None = wire(u8, default=None)
    auto_unlatch = None

    @property
    def wiring(self) -> int:
        """What the wiring allows: 0 to open only, 1 both, 2 ring to open only."""
        return self.capabilities

    @property
    def device_type(self) -> int | None:
        """The device type, which is `OPENER_DEVICE_TYPE`; None where byte 72 does not say so."""
        return self.byte_72 if self.byte_72 == OPENER_DEVICE_TYPE else None

    @property
    def has_keypad_2(self) -> bool | None:
        """It has a Keypad 2; None where byte 74 is not there, or byte 72 does not show that it means that."""
        return None if self.device_type is None or self.byte_74 is None else bool(self.byte_74)


@message(Command.SET_CONFIG, Family.OPENER)
class SetOpenerConfig(OwnerRequest):
    """CL: the basic configuration, always whole: read OpenerConfig, change single fields (88 bytes)."""

    name: str = wire(text(NAME_SIZE))
    latitude: float = wire(f32, secret=True)
    longitude: float = wire(f32, secret=True)
    capabilities: int = wire(u8)
    pairing_enabled: bool = wire(kept_flag)
    button_enabled: bool = wire(kept_flag)
    led_enabled: bool = wire(kept_flag)
    timezone_offset_min: int = wire(s16)
    dst_mode: int = wire(u8)
    fob_action_1: int = wire(u8)
    fob_action_2: int = wire(u8)
    fob_action_3: int = wire(u8)
    operating_mode: int = wire(u8)
    advertising_mode: int = wire(u8)
    timezone_id: int = wire(u16)


@frozen_by_name
class Ring:
    """A ring of the doorbell as an Opener's log tells it (data of an entry of type 0x06, 8 bytes)."""

    ring_to_open: bool
    """Ring to open was on, which opened the door."""
    continuous_mode: bool
    """Continuous mode was on, which opened the door."""
    source: int
    """What had armed either: 0 nothing, 1 time control, 2 app, 3 button, 4 fob, 5 Bridge, 6 keypad; not who rang."""
    geofence: bool
    """The geofence was active."""
    suppressed: bool
    """The doorbell was suppressed."""
    sound: int
    """Number of the sound that was played."""
    completion: Completion | int
    """How the action ended."""
    code_id: int
    """ID of the keypad code that had armed it, if it was one."""


def ring_of(entry: LogEntry) -> Ring | None:
    """Return the ring that an Opener's log entry is about, None if it is about something else.

    Data that an entry lacks counts as zero.
    """
    if entry.kind != LOG_TYPE_RING:
        return None
    mode, source, geofence, suppressed, sound, completion, low, high = (
        value or 0
        for value in (
            entry.data_0,
            entry.data_1,
            entry.data_2,
            entry.data_3,
            entry.data_4,
            entry.data_5,
            entry.data_6,
            entry.data_7,
        )
    )
    return Ring(
        ring_to_open=bool(mode & 1),
        continuous_mode=bool(mode & 2),
        source=source,
        geofence=geofence == 1,
        suppressed=suppressed == 1,
        sound=sound,
        completion=open_enum(Completion, completion),
        code_id=low | high << 8,
    )
