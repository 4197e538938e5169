"""The messages about the advanced configuration of an Opener, as tables (opener.md 6).

Two layouts exist that differ from offset 12 on; nobody knows which firmware sends which, so the bytes themselves have
to tell.  One that cannot be told is read up to there, and there is no message to write it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from nuki_bridge.protocol.codes import Command, Family
from nuki_bridge.protocol.common import AnyAdvancedConfig
from nuki_bridge.protocol.field_kinds import kept_flag, u8, u16
from nuki_bridge.protocol.wire import OwnerRequest, message, wire
from nuki_bridge.records import frozen_by_name

LENGTH_A: Final = 25
"""Bytes of layout A; one more may be Auto update, or be layout B."""
LENGTH_B: Final = 26
"""Bytes of layout B; one more may be Auto update."""
STRIKE_DELAY_MS: Final = (0, 30000)
STRIKE_DURATION_MS: Final = (1000, 30000)
RTO_TIMEOUT_MIN: Final = (5, 60)
SUPPRESSION_MS: Final = (500, 10000)
SOUNDS: Final = range(4)
SUPPRESSIONS: Final = range(8)
BUTTON_ACTIONS: Final = range(8)
BATTERY_TYPES: Final = range(4)
FLAGS: Final = range(2)


def _is_duration(value: int) -> bool:
    """In ms; 0 is expected of an analogue intercom, for which the duration means nothing."""
    return value == 0 or SUPPRESSION_MS[0] <= value <= SUPPRESSION_MS[1]


_CAN_BE: Final[Sequence[Callable[[int], bool]]] = (
    SUPPRESSIONS.__contains__,
    _is_duration,
    SOUNDS.__contains__,
    SOUNDS.__contains__,
    SOUNDS.__contains__,
    SOUNDS.__contains__,
    FLAGS.__contains__,
    range(256).__contains__,
    BUTTON_ACTIONS.__contains__,
    BUTTON_ACTIONS.__contains__,
    BATTERY_TYPES.__contains__,
    FLAGS.__contains__,
)
"""What the values of the fields can be from Doorbell suppression on; the second has two bytes."""
_RANGED: Final = len(_CAN_BE) + 1
_SIGNED: Final = 34
"""Bytes of the challenge and of an Opener's PIN."""


class OpenerAdvancedConfig(AnyAdvancedConfig):
    """SL: the advanced configuration, as far as its layout is known; delays and durations in ms, timeout in minutes.

    `doorbell_suppression` is a mask: bit 0 in continuous mode, bit 1 in ring to open, bit 2 on every ring.
    """

    __slots__ = ()

    intercom_id: int
    bus_mode_switch: int
    short_circuit_duration: int
    electric_strike_delay: int
    random_electric_strike_delay: bool
    electric_strike_duration: int
    disable_rto_after_ring: bool
    rto_timeout: int
    doorbell_suppression: int | None
    doorbell_suppression_duration: int | None
    sound_ring: int | None
    sound_open: int | None
    sound_rto: int | None
    sound_cm: int | None
    sound_confirmation: bool | None
    sound_level: int | None
    single_button_press_action: int | None
    double_button_press_action: int | None
    battery_type: int | None
    automatic_battery_type_detection: bool | None
    auto_update: bool | None


@frozen_by_name
class _Told(OpenerAdvancedConfig):
    """What every layout has at its head (12 bytes)."""

    intercom_id: int = wire(u16)
    bus_mode_switch: int = wire(u8)
    short_circuit_duration: int = wire(u16)
    electric_strike_delay: int = wire(u16)
    random_electric_strike_delay: bool = wire(kept_flag)
    electric_strike_duration: int = wire(u16)
    disable_rto_after_ring: bool = wire(kept_flag)
    rto_timeout: int = wire(u8)


@frozen_by_name
class _Written(OwnerRequest):
    """The same in a request."""

    intercom_id: int = wire(u16)
    bus_mode_switch: int = wire(u8)
    short_circuit_duration: int = wire(u16)
    electric_strike_delay: int = wire(u16)
    random_electric_strike_delay: bool = wire(kept_flag)
    electric_strike_duration: int = wire(u16)
    disable_rto_after_ring: bool = wire(kept_flag)
    rto_timeout: int = wire(u8)


def _fits_from(offset: int, payload: bytes) -> bool:
    """Return whether the fields from Doorbell suppression on can stand at `offset`."""
    fields = payload[offset : offset + _RANGED]
    if len(fields) < _RANGED:
        return False
    values = fields[0], int.from_bytes(fields[1:3], "little"), *fields[3:]
    return all(can_be(value) for value, can_be in zip(values, _CAN_BE, strict=True))


def _is_a(payload: bytes) -> bool:
    return len(payload) == LENGTH_A or (_fits_from(12, payload) and not _fits_from(13, payload))


def _is_b(payload: bytes) -> bool:
    return len(payload) > LENGTH_A and _fits_from(13, payload) and not _fits_from(12, payload)


@message(Command.ADVANCED_CONFIG, Family.OPENER, fits=_is_a)
class OpenerAdvancedConfigA(_Told):
    """SL: the advanced configuration in layout A (25 bytes, or 26 with Auto update)."""

    doorbell_suppression: int = wire(u8)
    doorbell_suppression_duration: int = wire(u16)
    sound_ring: int = wire(u8)
    sound_open: int = wire(u8)
    sound_rto: int = wire(u8)
    sound_cm: int = wire(u8)
    sound_confirmation: bool = wire(kept_flag)
    sound_level: int = wire(u8)
    single_button_press_action: int = wire(u8)
    double_button_press_action: int = wire(u8)
    battery_type: int = wire(u8)
    automatic_battery_type_detection: bool = wire(kept_flag)
    auto_update: bool | None = wire(kept_flag, default=None)


@message(Command.ADVANCED_CONFIG, Family.OPENER, fits=_is_b)
class OpenerAdvancedConfigB(_Told):
    """SL: the advanced configuration in layout B (26 bytes, or 27 with Auto update); nobody knows byte 12."""

    byte_12: int = wire(u8)
    doorbell_suppression: int = wire(u8)
    doorbell_suppression_duration: int = wire(u16)
    sound_ring: int = wire(u8)
    sound_open: int = wire(u8)
    sound_rto: int = wire(u8)
    sound_cm: int = wire(u8)
    sound_confirmation: bool = wire(kept_flag)
    sound_level: int = wire(u8)
    single_button_press_action: int = wire(u8)
    double_button_press_action: int = wire(u8)
    battery_type: int = wire(u8)
    automatic_battery_type_detection: bool = wire(kept_flag)
    auto_update: bool | None = wire(kept_flag, default=None)


@message(Command.ADVANCED_CONFIG, Family.OPENER)
class OpenerAdvancedConfigHead(_Told):
    """SL: the advanced configuration in a layout that cannot be told (12 bytes and more): what all have at their head.

    It cannot be written.
    """

    doorbell_suppression = None
    doorbell_suppression_duration = None
    sound_ring = None
    sound_open = None
    sound_rto = None
    sound_cm = None
    sound_confirmation = None
    sound_level = None
    single_button_press_action = None
    double_button_press_action = None
    battery_type = None
    automatic_battery_type_detection = None
    auto_update = None


@message(Command.SET_ADVANCED_CONFIG, Family.OPENER, fits=lambda payload: len(payload) == LENGTH_A + _SIGNED)
class SetOpenerAdvancedConfigA(_Written):
    """CL: the advanced configuration in layout A, always whole: read it, change single fields (59 bytes)."""

    doorbell_suppression: int = wire(u8)
    doorbell_suppression_duration: int = wire(u16)
    sound_ring: int = wire(u8)
    sound_open: int = wire(u8)
    sound_rto: int = wire(u8)
    sound_cm: int = wire(u8)
    sound_confirmation: bool = wire(kept_flag)
    sound_level: int = wire(u8)
    single_button_press_action: int = wire(u8)
    double_button_press_action: int = wire(u8)
    battery_type: int = wire(u8)
    automatic_battery_type_detection: bool = wire(kept_flag)


@message(Command.SET_ADVANCED_CONFIG, Family.OPENER, fits=lambda payload: len(payload) == LENGTH_B + _SIGNED)
class SetOpenerAdvancedConfigB(_Written):
    """CL: the advanced configuration in layout B, always whole: read it, change single fields (60 bytes)."""

    byte_12: int = wire(u8)
    doorbell_suppression: int = wire(u8)
    doorbell_suppression_duration: int = wire(u16)
    sound_ring: int = wire(u8)
    sound_open: int = wire(u8)
    sound_rto: int = wire(u8)
    sound_cm: int = wire(u8)
    sound_confirmation: bool = wire(kept_flag)
    sound_level: int = wire(u8)
    single_button_press_action: int = wire(u8)
    double_button_press_action: int = wire(u8)
    battery_type: int = wire(u8)
    automatic_battery_type_detection: bool = wire(kept_flag)
