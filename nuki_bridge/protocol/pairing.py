"""Authorizing this program at a lock: the handshake of smartlock.md 8 as one table of transitions.

`Pairing` is fed whole frames and answers with the frame to write next; connecting and reassembling are its owner's
business.  It aborts on the first thing that does not fit, and what it made is worthless then.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import field
from typing import Any, ClassVar

from nuki_bridge.errors import BadFrame, ProtocolError, UnexpectedMessage
from nuki_bridge.protocol.codes import Command, Family, IdType, StatusCode
from nuki_bridge.protocol.crypto import BOX_NONCE_SIZE, KEY_SIZE, equal, h1, kdf1_dh1, public_key
from nuki_bridge.protocol.field_kinds import text
from nuki_bridge.protocol.frames import PAIRING_AUTHORIZATION_ID, open_frame, open_plain, seal, seal_plain
from nuki_bridge.protocol.messages import (
    NAME_SIZE,
    AuthorizationAuthenticator,
    AuthorizationData,
    AuthorizationDataUltra,
    AuthorizationId,
    AuthorizationIdConfirmation,
    AuthorizationIdUltra,
    AuthorizationInfo,
    Challenge,
    ErrorReport,
    PublicKey,
    RequestData,
    Status,
)
from nuki_bridge.protocol.session import Random, lock_error
from nuki_bridge.protocol.wire import Message, decode, encode
from nuki_bridge.records import frozen


class Step(enum.Enum):
    """What the client waits for."""

    PUBLIC_KEY = enum.auto()
    CHALLENGE = enum.auto()
    SECOND_CHALLENGE = enum.auto()
    INFO = enum.auto()
    AUTHORIZATION_ID = enum.auto()
    COMPLETE = enum.auto()
    DONE = enum.auto()


@frozen
class Authorization:
    """What pairing yields: an ID (u32) and the shared key (32 bytes) behind it; `uuid` names the lock (16 bytes)."""

    authorization_id: int
    shared_key: bytes = field(repr=False)
    uuid: bytes


class Pairing:
    """One attempt to pair.  `start` gives the first frame, `receive` each further one, `result` the authorization."""

    def __init__(
        self, family: Family, *, name: str, id_type: IdType, app_id: int, pin: int | None, random: Random
    ) -> None:
        """`name` is shown in the maker's app (32 bytes of UTF-8 are kept), `pin` is needed by the Ultra family only.

        The Ultra family has no ID type: there every client is an App.
        """
        if family is Family.ULTRA and pin is None:
            raise ValueError("the Ultra family pairs only with its security PIN")
        self.result: Authorization | None = None
        self._family = family
        self._name = name
        self._id_type = id_type
        self._app_id = app_id
        self._pin = pin
        self._random = random
        self._secret = random(KEY_SIZE)
        self._public = public_key(self._secret)
        self._step = Step.PUBLIC_KEY
        self._lock_public = b""
        self._key = b""
        self._nonce_abf = b""

    @property
    def expects_encrypted(self) -> bool:
        """The next frame comes encrypted (the Ultra family's last one)."""
        return self._family is Family.ULTRA and self._step is Step.AUTHORIZATION_ID

    def start(self) -> bytes:
        """Return the first frame: ask for the lock's public key."""
        return self._plain(RequestData(wanted=Command.PUBLIC_KEY))

    def receive(self, frame: bytes) -> bytes | None:
        """Take one frame from the lock; returns the frame to write, None when pairing is finished.

        Raises `LockError` for the lock's refusal, `ProtocolError` for anything that does not fit this step.
        """
        message = self._open(frame)
        if isinstance(message, ErrorReport):
            raise lock_error(message)
        transition = self._TRANSITIONS.get((self._step, type(message)))
        if transition is None:
            raise UnexpectedMessage(f"{type(message).__name__} has no place at step {self._step.name} of pairing")
        return transition(self, message)

    def _open(self, frame: bytes) -> Message:
        if self.expects_encrypted and len(frame) != 7:
            command, payload = open_frame(frame, self._key)
        else:
            command, payload = open_plain(frame)
        return decode(command, payload, self._family)

    def _plain(self, message: Message) -> bytes:
        return seal_plain(message.command, encode(message, self._family))

    def _agree(self, message: PublicKey) -> bytes:
        self._lock_public = message.key
        self._key = kdf1_dh1(self._secret, message.key)
        self._step = Step.CHALLENGE
        return self._plain(PublicKey(key=self._public))

    def _authenticate(self, message: Challenge) -> bytes:
        self._step = Step.INFO if self._family is Family.ULTRA else Step.SECOND_CHALLENGE
        proof = h1(self._key, self._public, self._lock_public, message.nonce)
        return self._plain(AuthorizationAuthenticator(authenticator=proof))

    def _introduce(self, message: Challenge) -> bytes:
        self._step = Step.AUTHORIZATION_ID
        self._nonce_abf = self._random(32)
        proof = h1(
            self._key,
            bytes([self._id_type]),
            self._app_id.to_bytes(4, "little"),
            text(NAME_SIZE).pack(self._name, self._family),
            self._nonce_abf,
            message.nonce,
        )
        return self._plain(
            AuthorizationData(
                authenticator=proof,
                id_type=self._id_type,
                app_id=self._app_id,
                name=self._name,
                nonce_abf=self._nonce_abf,
            )
        )

    def _introduce_ultra(self, message: AuthorizationInfo) -> bytes:
        self._step = Step.AUTHORIZATION_ID
        assert self._pin is not None
        data = AuthorizationDataUltra(app_id=self._app_id, name=self._name, security_pin=self._pin)
        payload = encode(data, self._family)
        nonce = self._random(BOX_NONCE_SIZE)
        return seal(PAIRING_AUTHORIZATION_ID, data.command, payload, self._key, nonce)

    def _confirm(self, message: AuthorizationId) -> bytes:
        number = message.authorization_id.to_bytes(4, "little")
        if not equal(message.authenticator, h1(self._key, number, message.uuid, message.nonce_k3, self._nonce_abf)):
            raise BadFrame("the lock's proof of the key is wrong: somebody may be between us and the lock")
        self._step = Step.COMPLETE
        self.result = Authorization(message.authorization_id, self._key, message.uuid)
        proof = h1(self._key, number, message.nonce_k3)
        return self._plain(AuthorizationIdConfirmation(authenticator=proof, authorization_id=message.authorization_id))

    def _finish(self, message: Status) -> None:
        if message.status != StatusCode.COMPLETE:
            raise ProtocolError("the lock did not complete the pairing")
        self._step = Step.DONE

    def _finish_ultra(self, message: AuthorizationIdUltra) -> None:
        self._step = Step.DONE
        self.result = Authorization(message.authorization_id, self._key, message.uuid)

    _TRANSITIONS: ClassVar[dict[tuple[Step, type[Message]], Callable[[Pairing, Any], bytes | None]]] = {
        (Step.PUBLIC_KEY, PublicKey): _agree,
        (Step.CHALLENGE, Challenge): _authenticate,
        (Step.SECOND_CHALLENGE, Challenge): _introduce,
        (Step.INFO, AuthorizationInfo): _introduce_ultra,
        (Step.AUTHORIZATION_ID, AuthorizationId): _confirm,
        (Step.AUTHORIZATION_ID, AuthorizationIdUltra): _finish_ultra,
        (Step.COMPLETE, Status): _finish,
    }
