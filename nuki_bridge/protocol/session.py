"""One authorization's view of a lock: messages to encrypted frames and back.  No I/O; nonces come from `random`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nuki_bridge.errors import LockError
from nuki_bridge.protocol import opener, opener_advanced_config  # noqa: F401 -- messages are known once loaded
from nuki_bridge.protocol.codes import ErrorCode, Family, OpenerErrorCode, name_of
from nuki_bridge.protocol.crypto import BOX_NONCE_SIZE
from nuki_bridge.protocol.frames import PLAIN_ERROR_SIZE, open_frame, open_plain, seal
from nuki_bridge.protocol.messages import ErrorReport
from nuki_bridge.protocol.wire import Message, decode, encode

Random = Callable[[int], bytes]
"""Return that many bytes from a cryptographic source (`secrets.token_bytes`)."""


class Session:
    """Encrypts for, and decrypts from, one authorization of one lock."""

    def __init__(self, authorization_id: int, shared_key: bytes, family: Family, random: Random) -> None:
        self.authorization_id = authorization_id
        self.family = family
        self._key = shared_key
        self._random = random

    def send(self, message: Message) -> bytes:
        """Return the frame that carries `message`; every call takes a new nonce."""
        payload = encode(message, self.family)
        return seal(self.authorization_id, message.command, payload, self._key, self._random(BOX_NONCE_SIZE))

    def receive(self, frame: bytes) -> Message:
        """Return the message in a frame; a 7-byte one is an unencrypted Error Report.  Raises `BadFrame`."""
        command, payload = self.opened(frame)
        return decode(command, payload, self.family)

    def opened(self, frame: bytes) -> tuple[int, bytes]:
        """Return identifier and payload of the message in a frame; raises `BadFrame`."""
        return open_plain(frame) if len(frame) == PLAIN_ERROR_SIZE else open_frame(frame, self._key)


_SENTENCES: Mapping[int, str] = {
    ErrorCode.NOT_PAIRING: "the lock is not in pairing mode: hold its button for about 5 seconds until the ring stays "
    "lit (pairing by button must be switched on in the lock's settings)",
    ErrorCode.BAD_AUTHENTICATOR: "the lock did not accept our proof of the key during pairing; try again",
    ErrorCode.MAX_USER: "the lock's user table is full; remove a user first",
    ErrorCode.NOT_AUTHORIZED: "the lock does not know this authorization (any more); pair again",
    ErrorCode.BAD_PIN: "the lock refused the security PIN; it is not tried again, because the lock blocks after "
    "several wrong ones",
    ErrorCode.BAD_NONCE: "the lock refused the challenge as used or outdated",
    ErrorCode.BAD_PARAMETER: "the lock refused a value as out of range",
    ErrorCode.INVALID_AUTH_ID: "the lock has no such user",
    ErrorCode.DISABLED: "this authorization is disabled on the lock",
    ErrorCode.REMOTE_NOT_ALLOWED: "this authorization may not be used remotely",
    ErrorCode.TIME_NOT_ALLOWED: "this authorization is not allowed at this time; the lock's list of users has its "
    "limits",
    ErrorCode.TOO_MANY_PIN_ATTEMPTS: "the lock blocks the security PIN after too many wrong attempts; wait a while",
    ErrorCode.TOO_MANY_ENTRIES: "the lock's storage is full; remove an entry first",
    ErrorCode.POSITION_UNKNOWN: "the lock is not sure of its position and refuses to unlock remotely",
    ErrorCode.MOTOR_BLOCKED: "the motor is blocked; check the door and the bolt",
    ErrorCode.CLUTCH_FAILURE: "the lock's clutch failed",
    ErrorCode.MOTOR_TIMEOUT: "the motor ran too long without reaching its position",
    ErrorCode.BUSY: "the lock is busy with another action",
    ErrorCode.CANCELED: "the action was canceled at the lock's button",
    ErrorCode.NOT_CALIBRATED: "the lock is not calibrated",
    ErrorCode.MOTOR_LOW_VOLTAGE: "the battery is too weak for the motor",
    ErrorCode.MOTOR_POWER_FAILURE: "the motor draws no current",
    ErrorCode.VOLTAGE_TOO_LOW: "the battery is too weak to calibrate",
    ErrorCode.FIRMWARE_UPDATE_NEEDED: "the lock needs a firmware update first",
    ErrorCode.BAD_CRC: "the lock received a damaged message",
    ErrorCode.BAD_LENGTH: "the lock refused a message for its size",
}


_OPENER_SENTENCES: Mapping[int, str] = {
    OpenerErrorCode.NOT_CALIBRATED: "the intercom has not been trained yet; do that in the maker's app",
    OpenerErrorCode.BUS_RECORDING_TIMEOUT: "no signal came from the intercom within 30 seconds; ring and try again",
    OpenerErrorCode.BUS_LOW_VOLTAGE: "there is no voltage on the intercom's wires; check how the Opener is connected",
    OpenerErrorCode.UNKNOWN_OPERATING_MODE: "the firmware does not know this kind of intercom; update it in the "
    "maker's app",
}


def lock_error(report: ErrorReport, family: Family = Family.CLASSIC) -> LockError:
    """Return the exception for an Error Report: its name in lower snake case and a sentence for people.

    `family` is that of the device: an Opener means something else by a few numbers.
    """
    number: int = report.error
    if family is Family.OPENER and number in _OPENER_SENTENCES:
        return LockError(
            name_of(OpenerErrorCode(number)),
            _OPENER_SENTENCES[number],
            number=number,
            command=report.failed_command,
        )
    code = name_of(report.error).removesuffix("_pairing") if number == 0x12 else name_of(report.error)
    return LockError(
        code, _SENTENCES.get(number, f"the lock reported {code}"), number=number, command=report.failed_command
    )
