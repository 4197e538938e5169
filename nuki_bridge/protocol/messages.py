"""The messages of the Smart Lock protocol as tables: a number and its fields (smartlock.md 8.4 and 11).

Names are the vendor document's.  "CL" sends to the lock, "SL" is sent by it.  Sizes are payload bytes, classic / Ultra
where the security PIN's width makes a difference.
"""

from __future__ import annotations

from datetime import datetime

from nuki_bridge.protocol.codes import (
    Action,
    Command,
    Completion,
    DoorState,
    ErrorCode,
    Family,
    IdType,
    LockState,
    NukiState,
    OpenerAction,
    StatusCode,
    Trigger,
)
from nuki_bridge.protocol.common import BasicConfig, States
from nuki_bridge.protocol.field_kinds import (
    NONCE_SIZE,
    action8,
    date_time,
    enum8,
    enum16,
    f32,
    flag,
    kept_flag,
    pin,
    raw,
    s8,
    s16,
    text,
    u8,
    u16,
    u32,
)
from nuki_bridge.protocol.network import Network
from nuki_bridge.protocol.wire import ChallengedRequest, Message, OwnerRequest, message, wire

NAME_SIZE = 32
"""Bytes of an authorization's or lock's name, UTF-8."""
SUFFIX_SIZE = 20
"""Bytes of the name suffix in a lock action."""

_MODERN = (Family.CLASSIC, Family.ULTRA)


# -- section 8: pairing ----------------------------------------------------------------------------------------------


@message(Command.REQUEST_DATA)
class RequestData(Message):
    """CL: asks for the message `wanted` (2 bytes)."""

    wanted: Command | int = wire(enum16(Command))


@message(Command.PUBLIC_KEY)
class PublicKey(Message):
    """Both: a Curve25519 public key (32 bytes)."""

    key: bytes = wire(raw(32))


@message(Command.CHALLENGE)
class Challenge(Message):
    """SL: the nonce that the next command must carry (32 bytes); it serves once."""

    nonce: bytes = wire(raw(NONCE_SIZE), secret=True)


@message(Command.AUTHORIZATION_AUTHENTICATOR)
class AuthorizationAuthenticator(Message):
    """CL: proof of the shared key (32 bytes)."""

    authenticator: bytes = wire(raw(32), secret=True)


@message(Command.AUTHORIZATION_DATA, Family.CLASSIC, Family.OPENER)
class AuthorizationData(Message):
    """CL: who wants to be authorized (101 bytes)."""

    authenticator: bytes = wire(raw(32), secret=True)
    id_type: IdType | int = wire(enum8(IdType))
    app_id: int = wire(u32)
    name: str = wire(text(NAME_SIZE))
    nonce_abf: bytes = wire(raw(32), secret=True)


@message(Command.AUTHORIZATION_DATA, Family.ULTRA)
class AuthorizationDataUltra(Message):
    """CL: who wants to be authorized, with the six-digit PIN (40 bytes, sent encrypted)."""

    app_id: int = wire(u32)
    name: str = wire(text(NAME_SIZE))
    security_pin: int = wire(pin, secret=True)


@message(Command.AUTHORIZATION_ID, Family.CLASSIC, Family.OPENER)
class AuthorizationId(Message):
    """SL: the new authorization (84 bytes)."""

    authenticator: bytes = wire(raw(32), secret=True)
    authorization_id: int = wire(u32)
    uuid: bytes = wire(raw(16))
    nonce_k3: bytes = wire(raw(32), secret=True)


@message(Command.AUTHORIZATION_ID, Family.ULTRA)
class AuthorizationIdUltra(Message):
    """SL: the new authorization (20 bytes, sent encrypted)."""

    authorization_id: int = wire(u32)
    uuid: bytes = wire(raw(16))


@message(Command.AUTHORIZATION_ID_CONFIRMATION, Family.CLASSIC, Family.OPENER)
class AuthorizationIdConfirmation(Message):
    """CL: confirms the new authorization (36 bytes)."""

    authenticator: bytes = wire(raw(32), secret=True)
    authorization_id: int = wire(u32)


@message(Command.AUTHORIZATION_INFO)
class AuthorizationInfo(Message):
    """SL, Ultra family: whether a security PIN has been set (1 byte)."""

    pin_is_set: bool = wire(flag)


# -- section 11: states and actions -----------------------------------------------------------------------------------


@message(Command.KEYTURNER_STATES, *_MODERN)
class KeyturnerStates(States):
    """SL: everything the lock says of itself (13 to 27 bytes; how many depends on the firmware)."""

    nuki_state: NukiState | int = wire(enum8(NukiState))
    lock_state: LockState | int = wire(enum8(LockState))
    trigger: Trigger | int = wire(enum8(Trigger))
    current_time: datetime | None = wire(date_time)
    timezone_offset_min: int = wire(s16)
    battery_state: int = wire(u8)
    config_update_count: int | None = wire(u8, default=None)
    lock_n_go_timer: int | None = wire(u8, default=None)
    last_action: Action | int | None = wire(enum8(Action), default=None)
    last_trigger: Trigger | int | None = wire(enum8(Trigger), default=None)
    last_completion: Completion | int | None = wire(enum8(Completion), default=None)
    door_state: DoorState | int | None = wire(enum8(DoorState), default=None)
    night_mode_active: bool | None = wire(flag, default=None)
    accessory_battery_state: int | None = wire(u8, default=None)
    remote_access_status: int | None = wire(u8, default=None)
    ble_rssi: int | None = wire(s8, default=None)
    wifi_rssi: int | None = wire(s8, default=None)
    wifi_status: int | None = wire(u8, default=None)
    mqtt_status: int | None = wire(u8, default=None)
    thread_status: int | None = wire(u8, default=None)

    ring_to_open_timer = None

    @property
    def battery_charging(self) -> bool:
        """The lock is being charged."""
        return bool(self.battery_state & 2)

    @property
    def battery_percent(self) -> int | None:
        """Charge in percent, in steps of 2; None from firmware that only knows "critical".

        Such firmware leaves the upper bits zero, which reads as 0 %: taken as "not told" (peer code does, too).
        """
        return min((self.battery_state >> 2) * 2, 100) or None

    @property
    def keypad_battery_critical(self) -> bool | None:
        """The keypad's batteries must be changed; None without a keypad or from old firmware."""
        return self._accessory(0)

    @property
    def door_sensor_battery_critical(self) -> bool | None:
        """The door sensor's battery must be changed; None without a sensor or from old firmware."""
        return self._accessory(2)

    @property
    def network(self) -> Network | None:
        """What the lock tells of its own networks; None from firmware that does not tell."""
        told = (
            self.remote_access_status,
            self.ble_rssi,
            self.wifi_rssi,
            self.wifi_status,
            self.mqtt_status,
            self.thread_status,
        )
        return None if told[0] is None else Network(*told)

    def _accessory(self, valid_bit: int) -> bool | None:
        bits = self.accessory_battery_state
        if bits is None or not bits >> valid_bit & 1:
            return None
        return bool(bits >> (valid_bit + 1) & 1)


@message(Command.LOCK_ACTION)
class LockAction(ChallengedRequest):
    """CL: turn the motor (38 bytes, 58 with suffix).  Flags: bit 0 auto unlock, bit 1 force."""

    action: Action | OpenerAction | int = wire(action8)
    app_id: int = wire(u32)
    flags: int = wire(u8)
    name_suffix: str | None = wire(text(SUFFIX_SIZE), default=None)


@message(Command.SIMPLE_LOCK_ACTION)
class SimpleLockAction(ChallengedRequest):
    """CL: lock or unlock, nothing else (33 bytes, 53 with suffix)."""

    action: Action | OpenerAction | int = wire(action8)
    name_suffix: str | None = wire(text(SUFFIX_SIZE), default=None)


@message(Command.STATUS)
class Status(Message):
    """SL: the command was accepted or is complete (1 byte)."""

    status: StatusCode | int = wire(enum8(StatusCode))


@message(Command.MOST_RECENT_COMMAND)
class MostRecentCommand(Message):
    """SL: identifier of the command executed last (2 bytes)."""

    last_command: Command | int = wire(enum16(Command))


@message(Command.OPENINGS_CLOSINGS_SUMMARY)
class OpeningsClosingsSummary(Message):
    """SL, Smart Lock 1.0 only: counters (8 bytes)."""

    openings_total: int = wire(u16)
    closings_total: int = wire(u16)
    openings_since_boot: int = wire(u16)
    closings_since_boot: int = wire(u16)


@message(Command.BATTERY_REPORT)
class BatteryReport(Message):
    """SL: the battery during the last action (17 bytes; 5 from old firmware)."""

    drain_mws: int = wire(u16)
    voltage_mv: int = wire(u16)
    critical: bool = wire(flag)
    last_action: Action | OpenerAction | int | None = wire(action8, default=None)
    start_voltage_mv: int | None = wire(u16, default=None)
    lowest_voltage_mv: int | None = wire(u16, default=None)
    lock_distance_deg: int | None = wire(u16, default=None)
    start_temperature_c: int | None = wire(s8, default=None)
    max_turn_current_ma: int | None = wire(u16, default=None)
    resistance_mohm: int | None = wire(u16, default=None)


@message(Command.ERROR_REPORT)
class ErrorReport(Message):
    """SL: a command failed (3 bytes); `failed_command` is 0 if the lock could not tell which."""

    error: ErrorCode | int = wire(enum8(ErrorCode))
    failed_command: Command | int = wire(enum16(Command))


# -- section 11: configuration ----------------------------------------------------------------------------------------


@message(Command.REQUEST_CONFIG)
class RequestConfig(ChallengedRequest):
    """CL: asks for the Config (32 bytes, no PIN)."""


@message(Command.CONFIG, *_MODERN)
class Config(BasicConfig):
    """SL: the basic configuration (71 to 79 bytes)."""

    nuki_id: int = wire(u32)
    name: str = wire(text(NAME_SIZE))
    latitude: float = wire(f32, secret=True)
    longitude: float = wire(f32, secret=True)
    auto_unlatch: bool = wire(kept_flag)
    pairing_enabled: bool = wire(kept_flag)
    button_enabled: bool = wire(kept_flag)
    led_enabled: bool = wire(kept_flag)
    led_brightness: int = wire(u8)
    current_time: datetime | None = wire(date_time)
    timezone_offset_min: int = wire(s16)
    dst_mode: int = wire(u8)
    has_fob: bool = wire(flag)
    fob_action_1: int = wire(u8)
    fob_action_2: int = wire(u8)
    fob_action_3: int = wire(u8)
    single_lock: bool = wire(kept_flag)
    advertising_mode: int = wire(u8)
    has_keypad: bool = wire(flag)
    firmware_version: bytes = wire(raw(3))
    hardware_revision: bytes = wire(raw(2))
    homekit_status: int | None = wire(u8, default=None)
    timezone_id: int | None = wire(u16, default=None)
    device_type: int | None = wire(u8, default=None)
    capabilities: int | None = wire(u8, default=None)
    has_keypad_2: bool | None = wire(flag, default=None)
    matter_status: int | None = wire(u8, default=None)
    product_variant: int | None = wire(u8, default=None)


@message(Command.SET_CONFIG, *_MODERN)
class SetConfig(OwnerRequest):
    """CL: the basic configuration, always whole: read Config, change single fields (89 / 91 bytes)."""

    name: str = wire(text(NAME_SIZE))
    latitude: float = wire(f32, secret=True)
    longitude: float = wire(f32, secret=True)
    auto_unlatch: bool = wire(kept_flag)
    pairing_enabled: bool = wire(kept_flag)
    button_enabled: bool = wire(kept_flag)
    led_enabled: bool = wire(kept_flag)
    led_brightness: int = wire(u8)
    timezone_offset_min: int = wire(s16)
    dst_mode: int = wire(u8)
    fob_action_1: int = wire(u8)
    fob_action_2: int = wire(u8)
    fob_action_3: int = wire(u8)
    single_lock: bool = wire(kept_flag)
    advertising_mode: int = wire(u8)
    timezone_id: int = wire(u16)


# -- section 11: the security PIN, clock and motor --------------------------------------------------------------------


@message(Command.VERIFY_SECURITY_PIN)
class VerifySecurityPin(OwnerRequest):
    """CL: is this the security PIN? (34 / 36 bytes)"""


@message(Command.SET_SECURITY_PIN)
class SetSecurityPin(OwnerRequest):
    """CL: replace the security PIN (36 / 40 bytes)."""

    new_pin: int = wire(pin, secret=True)


@message(Command.UPDATE_TIME)
class UpdateTime(OwnerRequest):
    """CL: set the clock, in UTC (41 / 43 bytes)."""

    time: datetime = wire(date_time)


@message(Command.REQUEST_REBOOT)
class RequestReboot(OwnerRequest):
    """CL: start the lock anew; the link drops (34 / 36 bytes)."""


@message(Command.REQUEST_CALIBRATION)
class RequestCalibration(OwnerRequest):
    """CL: run the bolt to its ends and measure them; answered with states and a Status (34 / 36 bytes)."""
