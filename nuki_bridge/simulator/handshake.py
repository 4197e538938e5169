"""The lock's side of pairing on one link (smartlock.md 8), written from the document alone.

`Handshake` takes the frames that a client writes to the pairing characteristic and returns those that the lock sends.
Its `Host` decides whom to admit.  A Classic Smart Lock and an Opener pair in the same way; only an Ultra differs.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import field
from typing import ClassVar, Protocol

from nuki_bridge.errors import BadFrame
from nuki_bridge.protocol.codes import Command, ErrorCode, Family, IdType, StatusCode
from nuki_bridge.protocol.crypto import BOX_NONCE_SIZE, KEY_SIZE, TAG_SIZE, d1, equal, h1, kdf1_dh1, public_key
from nuki_bridge.protocol.frames import HEADER_SIZE, PAIRING_AUTHORIZATION_ID, crc, frame_size, seal, seal_plain
from nuki_bridge.protocol.messages import (
    AuthorizationData,
    AuthorizationDataUltra,
    AuthorizationId,
    AuthorizationIdUltra,
    AuthorizationInfo,
    Challenge,
    ErrorReport,
    PublicKey,
    Status,
)
from nuki_bridge.protocol.wire import Message, decode, encode
from nuki_bridge.records import frozen
from nuki_bridge.simulator.behaviour import Random, Refused


class KeyPair(Protocol):
    """The lock's Curve25519 key pair."""

    @property
    def public(self) -> bytes:
        """Public half of the pair (32 bytes)."""

    def agree(self, peer_public: bytes) -> bytes:
        """Return the shared key s (32 bytes); raise `BadFrame` for a weak point."""


@frozen
class SecretKey:
    """A key pair with its secret half."""

    secret: bytes = field(repr=False)

    @property
    def public(self) -> bytes:
        """Public half of the pair (32 bytes)."""
        return public_key(self.secret)

    def agree(self, peer_public: bytes) -> bytes:
        """Return the shared key s (32 bytes)."""
        return kdf1_dh1(self.secret, peer_public)


class Host(Protocol):
    """The lock, as far as a handshake needs it; `device.Device` is one."""

    family: Family
    keys: KeyPair
    uuid: bytes

    @property
    def random(self) -> Random:
        """Source of the lock's nonces."""

    @property
    def pairing_mode(self) -> bool:
        """Pairing is open now."""

    @property
    def pin_is_set(self) -> bool:
        """The owner has set a security PIN."""

    def admit(self, key: bytes, id_type: int, app_id: int, name: str, pin: int | None) -> int:
        """Add a user and return the authorization ID; raise `Refused`."""

    def paired(self, authorization_id: int) -> None:
        """Take note that the handshake has been completed."""


class _Step(enum.Enum):
    IDLE = enum.auto()
    PUBLIC_KEY = enum.auto()
    AUTHENTICATOR = enum.auto()
    DATA = enum.auto()
    ENCRYPTED_DATA = enum.auto()
    CONFIRMATION = enum.auto()


_PAYLOAD_SIZES = {
    Command.REQUEST_DATA: 2,
    Command.PUBLIC_KEY: 32,
    Command.AUTHORIZATION_AUTHENTICATOR: 32,
    Command.AUTHORIZATION_DATA: 101,
    Command.AUTHORIZATION_ID_CONFIRMATION: 36,
}
_ULTRA_DATA_SIZE = 40


class Handshake:
    """Pairing on one link; after a refusal it begins again."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._step = _Step.IDLE
        self._key = b""
        self._client_public = b""
        self._nonce = b""
        self._nonce_k3 = b""
        self._authorization_id = 0

    def receive(self, frame: bytes) -> tuple[list[bytes], ErrorCode | None]:
        """Take one frame; return the frames to send, and the error if the frame was refused."""
        command = 0
        try:
            if self._step is _Step.ENCRYPTED_DATA and len(frame) > HEADER_SIZE + TAG_SIZE:
                command = Command.AUTHORIZATION_DATA
                return self._encrypted(frame), None
            command = int.from_bytes(frame[:2], "little") if len(frame) >= 4 else 0
            return [self._plain(command, frame)], None
        except Refused as refusal:
            self._step = _Step.IDLE
            report = ErrorReport(error=refusal.error, failed_command=command)
            return [self._seal(report)], refusal.error

    def _plain(self, command: int, frame: bytes) -> bytes:
        if len(frame) < 4:
            raise Refused(ErrorCode.BAD_LENGTH)
        if crc(frame[:-2]) != frame[-2:]:
            raise Refused(ErrorCode.BAD_CRC)
        payload = frame[2:-2]
        size = _PAYLOAD_SIZES.get(command)  # type: ignore[call-overload]
        if size is not None and len(payload) != size:
            raise Refused(ErrorCode.BAD_LENGTH)
        if not self._host.pairing_mode:
            raise Refused(ErrorCode.NOT_PAIRING)
        if command == Command.REQUEST_DATA:
            return self._request_data(payload)
        step = self._STEPS.get((self._step, command))
        if step is None:
            raise Refused(ErrorCode.BAD_PARAMETER_PAIRING)
        return step(self, payload)

    def _seal(self, message: Message) -> bytes:
        return seal_plain(message.command, encode(message, self._host.family))

    def _challenge(self) -> bytes:
        self._nonce = self._host.random(32)
        return self._seal(Challenge(nonce=self._nonce))

    def _request_data(self, payload: bytes) -> bytes:
        if int.from_bytes(payload, "little") != Command.PUBLIC_KEY:
            raise Refused(ErrorCode.BAD_PARAMETER_PAIRING)
        self._step = _Step.PUBLIC_KEY
        return self._seal(PublicKey(key=self._host.keys.public))

    def _public_key(self, payload: bytes) -> bytes:
        try:
            self._key = self._host.keys.agree(payload)
        except BadFrame:
            raise Refused(ErrorCode.BAD_PARAMETER_PAIRING) from None
        self._client_public = payload
        self._step = _Step.AUTHENTICATOR
        return self._challenge()

    def _authenticator(self, payload: bytes) -> bytes:
        if not equal(payload, h1(self._key, self._client_public, self._host.keys.public, self._nonce)):
            raise Refused(ErrorCode.BAD_AUTHENTICATOR)
        if self._host.family is Family.ULTRA:
            self._step = _Step.ENCRYPTED_DATA
            return self._seal(AuthorizationInfo(pin_is_set=self._host.pin_is_set))
        self._step = _Step.DATA
        return self._challenge()

    def _data(self, payload: bytes) -> bytes:
        # The bytes are authenticated as they were written, not as this program would write the name.
        if not equal(payload[:KEY_SIZE], h1(self._key, payload[KEY_SIZE:], self._nonce)):
            raise Refused(ErrorCode.BAD_AUTHENTICATOR)
        data = decode(Command.AUTHORIZATION_DATA, payload, self._host.family)
        assert isinstance(data, AuthorizationData)
        if data.id_type not in (IdType.APP, IdType.BRIDGE, IdType.FOB, IdType.KEYPAD):
            raise Refused(ErrorCode.BAD_PARAMETER_PAIRING)
        number = self._host.admit(self._key, data.id_type, data.app_id, data.name, None)
        self._authorization_id = number
        self._nonce_k3 = self._host.random(32)
        self._step = _Step.CONFIRMATION
        uuid = self._host.uuid
        proof = h1(self._key, number.to_bytes(4, "little"), uuid, self._nonce_k3, data.nonce_abf)
        return self._seal(
            AuthorizationId(authenticator=proof, authorization_id=number, uuid=uuid, nonce_k3=self._nonce_k3)
        )

    def _confirmation(self, payload: bytes) -> bytes:
        number = self._authorization_id.to_bytes(4, "little")
        if payload[32:] != number or not equal(payload[:32], h1(self._key, number, self._nonce_k3)):
            raise Refused(ErrorCode.BAD_AUTHENTICATOR)
        self._step = _Step.IDLE
        self._host.paired(self._authorization_id)
        return self._seal(Status(status=StatusCode.COMPLETE))

    def _encrypted(self, frame: bytes) -> list[bytes]:
        """Take the last step of an Ultra; the authorization ID in the header does not matter (smartlock.md 8.2)."""
        if len(frame) != frame_size(frame):
            raise Refused(ErrorCode.BAD_LENGTH)
        try:
            plaintext = d1(frame[HEADER_SIZE:], frame[:BOX_NONCE_SIZE], self._key)
        except BadFrame:
            raise Refused(ErrorCode.NOT_AUTHORIZED) from None
        if len(plaintext) != 4 + 2 + _ULTRA_DATA_SIZE + 2:
            raise Refused(ErrorCode.BAD_LENGTH)
        if crc(plaintext[:-2]) != plaintext[-2:]:
            raise Refused(ErrorCode.BAD_CRC)
        if plaintext[4:6] != Command.AUTHORIZATION_DATA.to_bytes(2, "little"):
            raise Refused(ErrorCode.BAD_PARAMETER_PAIRING)
        if not self._host.pairing_mode:
            raise Refused(ErrorCode.NOT_PAIRING)
        data = decode(Command.AUTHORIZATION_DATA, plaintext[6:-2], Family.ULTRA)
        assert isinstance(data, AuthorizationDataUltra)
        number = self._host.admit(self._key, IdType.APP, data.app_id, data.name, data.security_pin)
        self._step = _Step.IDLE
        reply = AuthorizationIdUltra(authorization_id=number, uuid=self._host.uuid)
        nonce = self._host.random(BOX_NONCE_SIZE)
        answer = seal(PAIRING_AUTHORIZATION_ID, reply.command, encode(reply, Family.ULTRA), self._key, nonce)
        self._host.paired(number)
        return [answer]

    _STEPS: ClassVar[dict[tuple[_Step, int], Callable[[Handshake, bytes], bytes]]] = {
        (_Step.PUBLIC_KEY, Command.PUBLIC_KEY): _public_key,
        (_Step.AUTHENTICATOR, Command.AUTHORIZATION_AUTHENTICATOR): _authenticator,
        (_Step.DATA, Command.AUTHORIZATION_DATA): _data,
        (_Step.CONFIRMATION, Command.AUTHORIZATION_ID_CONFIRMATION): _confirmation,
    }
