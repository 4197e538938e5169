"""Numbers of the protocol under their own names: UUIDs, commands, states, actions, errors (smartlock.md 1, 10, 12).

The enumerations are open: a number that no member has stays a number (`name_of` writes it `unknown_0xNN`), because new
firmware brings new values and an unknown value is no reason to lose a message.
"""

from __future__ import annotations

import enum
from typing import TypeVar

_TAIL = "-5501-11e4-916c-0800200c9a66"

INITIALIZATION_SERVICE = "a92ee000" + _TAIL
PAIRING_SERVICE = "a92ee100" + _TAIL
PAIRING_GDIO = "a92ee101" + _TAIL
PAIRING_SERVICE_ULTRA = "a92ee300" + _TAIL
PAIRING_GDIO_ULTRA = "a92ee301" + _TAIL
KEYTURNER_SERVICE = "a92ee200" + _TAIL
KEYTURNER_GDIO = "a92ee201" + _TAIL
KEYTURNER_USDIO = "a92ee202" + _TAIL
OPENER_PAIRING_SERVICE = "a92ae100" + _TAIL
OPENER_PAIRING_GDIO = "a92ae101" + _TAIL
OPENER_SERVICE = "a92ae200" + _TAIL
OPENER_GDIO = "a92ae201" + _TAIL
OPENER_USDIO = "a92ae202" + _TAIL


class Family(enum.StrEnum):
    """Device families: they differ in pairing, PIN width and a few layouts (smartlock.md 1)."""

    CLASSIC = "classic"
    ULTRA = "ultra"
    OPENER = "opener"

    @property
    def pin_size(self) -> int:
        """Bytes of a security PIN: 4 (six digits) on the Ultra family, otherwise 2 (four digits)."""
        return 4 if self is Family.ULTRA else 2

    @property
    def pin_digits(self) -> int:
        """Decimal digits of a security PIN, leading zeros included: exactly so many."""
        return 6 if self is Family.ULTRA else 4


class Command(enum.IntEnum):
    """Command identifiers (section 10)."""

    REQUEST_DATA = 0x0001
    PUBLIC_KEY = 0x0003
    CHALLENGE = 0x0004
    AUTHORIZATION_AUTHENTICATOR = 0x0005
    AUTHORIZATION_DATA = 0x0006
    AUTHORIZATION_ID = 0x0007
    REMOVE_AUTHORIZATION_ENTRY = 0x0008
    REQUEST_AUTHORIZATION_ENTRIES = 0x0009
    AUTHORIZATION_ENTRY = 0x000A
    AUTHORIZATION_DATA_INVITE = 0x000B
    KEYTURNER_STATES = 0x000C
    LOCK_ACTION = 0x000D
    STATUS = 0x000E
    MOST_RECENT_COMMAND = 0x000F
    OPENINGS_CLOSINGS_SUMMARY = 0x0010
    BATTERY_REPORT = 0x0011
    ERROR_REPORT = 0x0012
    SET_CONFIG = 0x0013
    REQUEST_CONFIG = 0x0014
    CONFIG = 0x0015
    SET_SECURITY_PIN = 0x0019
    REQUEST_CALIBRATION = 0x001A
    REQUEST_REBOOT = 0x001D
    AUTHORIZATION_ID_CONFIRMATION = 0x001E
    AUTHORIZATION_ID_INVITE = 0x001F
    VERIFY_SECURITY_PIN = 0x0020
    UPDATE_TIME = 0x0021
    UPDATE_AUTHORIZATION_ENTRY = 0x0025
    AUTHORIZATION_ENTRY_COUNT = 0x0027
    REQUEST_LOG_ENTRIES = 0x0031
    LOG_ENTRY = 0x0032
    LOG_ENTRY_COUNT = 0x0033
    ENABLE_LOGGING = 0x0034
    SET_ADVANCED_CONFIG = 0x0035
    REQUEST_ADVANCED_CONFIG = 0x0036
    ADVANCED_CONFIG = 0x0037
    ADD_TIME_CONTROL_ENTRY = 0x0039
    TIME_CONTROL_ENTRY_ID = 0x003A
    REMOVE_TIME_CONTROL_ENTRY = 0x003B
    REQUEST_TIME_CONTROL_ENTRIES = 0x003C
    TIME_CONTROL_ENTRY_COUNT = 0x003D
    TIME_CONTROL_ENTRY = 0x003E
    UPDATE_TIME_CONTROL_ENTRY = 0x003F
    ADD_KEYPAD_CODE = 0x0041
    KEYPAD_CODE_ID = 0x0042
    REQUEST_KEYPAD_CODES = 0x0043
    KEYPAD_CODE_COUNT = 0x0044
    KEYPAD_CODE = 0x0045
    UPDATE_KEYPAD_CODE = 0x0046
    REMOVE_KEYPAD_CODE = 0x0047
    AUTHORIZATION_INFO = 0x004C
    CONTINUOUS_MODE_ACTION = 0x0057
    SIMPLE_LOCK_ACTION = 0x0100


class NukiState(enum.IntEnum):
    """Operating mode in Keyturner States offset 0."""

    UNINITIALIZED = 0x00
    PAIRING_MODE = 0x01
    DOOR_MODE = 0x02
    CONTINUOUS_MODE = 0x03
    MAINTENANCE_MODE = 0x04


class LockState(enum.IntEnum):
    """Where the motor is (section 12); `is_final` tells whether it may stay there."""

    UNCALIBRATED = 0x00
    LOCKED = 0x01
    UNLOCKING = 0x02
    UNLOCKED = 0x03
    LOCKING = 0x04
    UNLATCHED = 0x05
    UNLOCKED_LOCK_N_GO = 0x06
    UNLATCHING = 0x07
    CALIBRATING = 0xFC
    BOOT_RUN = 0xFD
    MOTOR_BLOCKED = 0xFE
    UNDEFINED = 0xFF


class Action(enum.IntEnum):
    """Lock actions a client may ask for, and two that only reports carry (section 12)."""

    NONE = 0x00
    UNLOCK = 0x01
    LOCK = 0x02
    UNLATCH = 0x03
    LOCK_N_GO = 0x04
    LOCK_N_GO_UNLATCH = 0x05
    FULL_LOCK = 0x06
    FOB_NO_ACTION = 0x50
    BUTTON_NO_ACTION = 0x5A
    FOB_ACTION_1 = 0x81
    FOB_ACTION_2 = 0x82
    FOB_ACTION_3 = 0x83


class OpenerState(enum.IntEnum):
    """Lock state of an Opener (opener.md 3): the same byte as `LockState`, with other meanings."""

    UNCALIBRATED = 0x00
    LOCKED = 0x01
    RTO_ACTIVE = 0x03
    OPEN = 0x05
    OPENING = 0x07
    BOOT_RUN = 0xFD
    UNDEFINED = 0xFF


class OpenerAction(enum.IntEnum):
    """Lock actions of an Opener (opener.md 4): the same byte as `Action`, with other meanings."""

    NONE = 0x00
    ACTIVATE_RTO = 0x01
    DEACTIVATE_RTO = 0x02
    OPEN = 0x03
    ACTIVATE_CONTINUOUS_MODE = 0x04
    DEACTIVATE_CONTINUOUS_MODE = 0x05
    FOB_NO_ACTION = 0x50
    BUTTON_NO_ACTION = 0x5A
    FOB_ACTION_1 = 0x81
    FOB_ACTION_2 = 0x82
    FOB_ACTION_3 = 0x83


class Trigger(enum.IntEnum):
    """Who set the lock in motion (section 12)."""

    SYSTEM = 0x00
    MANUAL = 0x01
    BUTTON = 0x02
    AUTOMATIC = 0x03
    AUTO_LOCK = 0x06
    HOMEKIT = 0xAB
    MQTT = 0xAC
    UNDEFINED = 0xFF


class Completion(enum.IntEnum):
    """How the last lock action ended (section 12)."""

    SUCCESS = 0x00
    MOTOR_BLOCKED = 0x01
    CANCELED = 0x02
    TOO_RECENT = 0x03
    BUSY = 0x04
    LOW_MOTOR_VOLTAGE = 0x05
    CLUTCH_FAILURE = 0x06
    MOTOR_POWER_FAILURE = 0x07
    INCOMPLETE = 0x08
    REJECTED = 0x09
    REJECTED_NIGHT_MODE = 0x0A
    HANDLE_NOT_LIFTED = 0x0B
    INVALID_CODE = 0xE0
    INVALID_FINGERPRINT = 0xE1
    OTHER_ERROR = 0xFE
    UNKNOWN = 0xFF


class DoorState(enum.IntEnum):
    """Door sensor state, both generations' numbers (section 12)."""

    UNAVAILABLE = 0x00
    DEACTIVATED = 0x01
    CLOSED = 0x02
    OPEN = 0x03
    UNKNOWN = 0x04
    CALIBRATING = 0x05
    UNCALIBRATED = 0x10
    TAMPERED = 0xF0
    UNKNOWN_3 = 0xFF


class StatusCode(enum.IntEnum):
    """Status (0x000E)."""

    COMPLETE = 0x00
    ACCEPTED = 0x01


class IdType(enum.IntEnum):
    """Kind of an authorization (section 12)."""

    APP = 0
    BRIDGE = 1
    FOB = 2
    KEYPAD = 3
    DOOR_SENSOR = 4
    KEYPAD_2 = 5


class LogType(enum.IntEnum):
    """Kind of a log entry (0x0032)."""

    LOGGING = 0x01
    LOCK_ACTION = 0x02
    CALIBRATION = 0x03
    INITIALIZATION_RUN = 0x04
    KEYPAD_ACTION = 0x05
    DOOR_SENSOR = 0x06
    DOOR_SENSOR_LOGGING = 0x07
    FIRMWARE_UPDATE = 0x0A


class KeypadSource(enum.IntEnum):
    """How a keypad was used (log entry of type 0x05)."""

    ARROW_KEY = 0
    CODE = 1
    FINGERPRINT = 2


class ErrorCode(enum.IntEnum):
    """Error Report codes without the document's `P_ERROR_`, `K_ERROR_` and `ERROR_` (section 12)."""

    NOT_PAIRING = 0x10
    BAD_AUTHENTICATOR = 0x11
    BAD_PARAMETER_PAIRING = 0x12
    MAX_USER = 0x13
    NOT_AUTHORIZED = 0x20
    BAD_PIN = 0x21
    BAD_NONCE = 0x22
    BAD_PARAMETER = 0x23
    INVALID_AUTH_ID = 0x24
    DISABLED = 0x25
    REMOTE_NOT_ALLOWED = 0x26
    TIME_NOT_ALLOWED = 0x27
    TOO_MANY_PIN_ATTEMPTS = 0x28
    TOO_MANY_ENTRIES = 0x29
    CODE_ALREADY_EXISTS = 0x2A
    CODE_INVALID = 0x2B
    CODE_INVALID_TIMEOUT_1 = 0x2C
    CODE_INVALID_TIMEOUT_2 = 0x2D
    CODE_INVALID_TIMEOUT_3 = 0x2E
    AUTO_UNLOCK_TOO_RECENT = 0x40
    POSITION_UNKNOWN = 0x41
    MOTOR_BLOCKED = 0x42
    CLUTCH_FAILURE = 0x43
    MOTOR_TIMEOUT = 0x44
    BUSY = 0x45
    CANCELED = 0x46
    NOT_CALIBRATED = 0x47
    MOTOR_POSITION_LIMIT = 0x48
    MOTOR_LOW_VOLTAGE = 0x49
    MOTOR_POWER_FAILURE = 0x4A
    CLUTCH_POWER_FAILURE = 0x4B
    VOLTAGE_TOO_LOW = 0x4C
    FIRMWARE_UPDATE_NEEDED = 0x4D
    BAD_CRC = 0xFD
    BAD_LENGTH = 0xFE
    UNKNOWN = 0xFF


class OpenerErrorCode(enum.IntEnum):
    """Error Report codes that mean something else from an Opener (opener.md 10)."""

    NOT_CALIBRATED = 0x47
    BUS_RECORDING_TIMEOUT = 0x48
    BUS_LOW_VOLTAGE = 0x49
    UNKNOWN_OPERATING_MODE = 0x50


E_ = TypeVar("E_", bound=enum.IntEnum)


def open_enum(kind: type[E_], number: int) -> E_ | int:
    """Return `number` as a member of `kind`, or the number itself if `kind` does not know it."""
    try:
        return kind(number)
    except ValueError:
        return number


def name_of(value: int) -> str:
    """Return a value in lower snake case for topics and logs: `motor_blocked`, or `unknown_0x2f` if it has no name."""
    return value.name.lower() if isinstance(value, enum.IntEnum) else f"unknown_{value:#04x}"
