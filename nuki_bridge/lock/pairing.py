"""Pair with one lock over its link: drive `protocol.pairing` and prove the new authorization.

Which lock, with whose permission, and where the result is stored is the bridge's business; when it has to be stored is
said here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import field, replace
from datetime import datetime

from nuki_bridge.bluetooth.link import Channel, Radio
from nuki_bridge.errors import (
    Disconnected,
    LinkError,
    LockError,
    NukiError,
    ProtocolError,
    RequestError,
    StoreError,
    TimedOut,
)
from nuki_bridge.lock.exchange import CONNECT_TIMEOUT_S, REPLY_TIMEOUT_S, Exchange, Tap
from nuki_bridge.lock.turn import with_challenge
from nuki_bridge.protocol.codes import Command, ErrorCode, Family, IdType
from nuki_bridge.protocol.common import BasicConfig, States
from nuki_bridge.protocol.frames import Reassembler, open_plain
from nuki_bridge.protocol.messages import RequestConfig, RequestData
from nuki_bridge.protocol.pairing import Authorization, Pairing
from nuki_bridge.protocol.session import Random, Session
from nuki_bridge.records import frozen
from nuki_bridge.store import UNKNOWN_NUKI_ID, PairedLock

log = logging.getLogger(__name__)

CONNECT_PAUSE_S = 0.3
"""Seconds between two attempts to connect; the first ones often fail."""


class NotKept(LinkError):
    """The lock gave an authorization and does not know it afterwards: whatever was stored of it is worthless."""


@frozen
class PairOptions:
    """Who asks to be authorized: `name` (32 bytes) is shown in the maker's app, `pin` is the lock's security PIN."""

    id_type: IdType
    name: str
    app_id: int
    pin: str | None = field(repr=False, default=None)


async def pair(
    radio: Radio,
    address: str,
    family: Family,
    options: PairOptions,
    *,
    random: Random,
    timeout_s: float,
    clock: Callable[[], float],
    now: Callable[[], datetime],
    nuki_id: int = UNKNOWN_NUKI_ID,
    keep: Callable[[PairedLock], None] = lambda paired: None,
    tap: Tap | None = None,
) -> tuple[PairedLock, BasicConfig | None]:
    """Pair with the lock at `address`, which is in pairing mode; returns what to store (without a name) and its Config.

    The handshake runs once: it is not repeated on a refusal, least of all on a wrong PIN.  The lock stores the
    authorization, in place of an older one of ours, before it sends it: `keep` is called at that very moment, with
    `nuki_id` as it was advertised, and has to make it durable.  Afterwards it is proved by reading states and
    configuration over an encrypted link; where that does not succeed the lock is paired all the same and the Config is
    None.  Only the lock itself can deny it: raises `NotKept` then, and before `keep` was called `LockError`,
    `LinkError`, `ProtocolError` or `RequestError`; and whatever `keep` raises.  `tap` looks on.
    """
    deadline = clock() + timeout_s
    handshake = _Handshake(radio, address, tap)
    await _connect(lambda left: handshake.link.connect(left, pairing=True), deadline, clock)
    try:
        if tap is not None:
            tap.services(handshake.link.services)
        family = handshake.link.family or family
        _check(family, options)
        id_type = IdType.APP if family is Family.ULTRA else options.id_type
        pairing = Pairing(
            family,
            name=options.name,
            id_type=id_type,
            app_id=options.app_id,
            pin=int(options.pin) if options.pin else None,
            random=random,
        )

        def paired_with(authorization: Authorization) -> PairedLock:
            return PairedLock(
                name="",
                address=address,
                nuki_id=nuki_id,
                family=family,
                authorization_id=authorization.authorization_id,
                shared_key=authorization.shared_key,
                app_id=options.app_id,
                uuid=authorization.uuid,
                id_type=id_type,
                paired_at=now(),
                pin=options.pin,
            )

        paired = await handshake.run(pairing, paired_with, keep)
    finally:
        await handshake.link.disconnect()
    config = await _proof(radio, paired, random, deadline, clock)
    if config is not None:
        paired = replace(paired, nuki_id=config.nuki_id)
    log.info("paired with %08X as authorization %d", paired.nuki_id, paired.authorization_id)
    return paired, config


def _check(family: Family, options: PairOptions) -> None:
    """Raise `RequestError` if a lock of this family cannot be paired with this PIN, or without one."""
    if family is Family.ULTRA and options.pin is None:
        raise RequestError(
            "pin_required", "this lock pairs only with its six-digit security PIN, which is set in the maker's app"
        )
    if options.pin is not None and len(options.pin) != family.pin_digits:
        raise RequestError(
            "bad_pin",
            f"the security PIN given for it has {len(options.pin)} digits, this lock's has {family.pin_digits}; "
            "correct it, in the request or in the configuration",
        )


async def _connect(attempt: Callable[[float], Awaitable[None]], deadline: float, clock: Callable[[], float]) -> None:
    """Try to connect until `deadline`; raises the last `LinkError`."""
    while True:
        try:
            await attempt(min(max(deadline - clock(), 0.1), CONNECT_TIMEOUT_S))
            return
        except LinkError:
            if clock() + CONNECT_PAUSE_S >= deadline:
                raise
            await asyncio.sleep(CONNECT_PAUSE_S)


class _Handshake:
    """The unencrypted conversation on the pairing characteristic."""

    def __init__(self, radio: Radio, address: str, tap: Tap | None) -> None:
        self.link = radio.link(address, self._on_data, self._on_disconnect)
        self._tap = tap
        self._reassembler = Reassembler(encrypted=False)
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()

    def _on_data(self, channel: Channel, data: bytes) -> None:
        for frame in self._reassembler.feed(data):
            self._show(frame, sent=False)
            self._frames.put_nowait(frame)

    def _show(self, frame: bytes, *, sent: bool) -> None:
        if self._tap is None:
            return
        try:
            command, payload = open_plain(frame)
        except ProtocolError:
            self._tap.frame("encrypted", len(frame), sent=sent)
        else:
            self._tap.message(command, payload, len(frame), sent=sent)

    def _on_disconnect(self) -> None:
        self._frames.put_nowait(None)

    async def run(
        self,
        pairing: Pairing,
        paired_with: Callable[[Authorization], PairedLock],
        keep: Callable[[PairedLock], None],
    ) -> PairedLock:
        """Carry the handshake through; whatever fails after the lock has sent the authorization is not yet a failure.

        That is kept before anything else is awaited.
        """
        frame: bytes | None = pairing.start()
        paired = None
        try:
            while frame is not None:
                self._reassembler.encrypted = pairing.expects_encrypted
                self._show(frame, sent=True)
                async with asyncio.timeout(REPLY_TIMEOUT_S):
                    await self.link.write(Channel.PAIRING, frame)
                    answer = await self._frames.get()
                if answer is None:
                    raise Disconnected("the lock dropped the link during pairing")
                frame = pairing.receive(answer)
                if paired is None and pairing.result is not None:
                    paired = paired_with(pairing.result)
                    keep(paired)
        except (TimeoutError, NukiError) as error:
            if paired is None or isinstance(error, StoreError):
                if isinstance(error, NukiError):
                    raise
                raise TimedOut(f"the lock did not answer within {REPLY_TIMEOUT_S:g} s during pairing") from None
            log.debug("%s: the end of the handshake: %s", self.link.address, error)
        assert paired is not None
        return paired


async def _proof(
    radio: Radio, paired: PairedLock, random: Random, deadline: float, clock: Callable[[], float]
) -> BasicConfig | None:
    """Return the configuration as a proof of the new authorization, None if it is not to be had; raises `NotKept`."""
    try:
        return await _prove(radio, paired, random, deadline, clock)
    except LockError as error:
        if error.number == ErrorCode.NOT_AUTHORIZED:
            raise NotKept("pairing broke off before the lock stored the authorization; try again") from None
        log.warning("paired with %s, which then refused to tell its configuration: %s", paired.address, error)
    except (LinkError, ProtocolError) as error:
        log.warning("paired with %s, but then it could not be asked for its configuration: %s", paired.address, error)
    return None


async def _prove(
    radio: Radio, paired: PairedLock, random: Random, deadline: float, clock: Callable[[], float]
) -> BasicConfig:
    """Read states and configuration with the new authorization."""
    session = Session(paired.authorization_id, paired.shared_key, paired.family, random)
    address = paired.address
    exchange = Exchange(radio, address, session, clock=clock, on_states=lambda states: None, on_disconnect=lambda: None)
    deadline = max(deadline, clock() + 2 * CONNECT_TIMEOUT_S)

    async def config(nonce: bytes) -> BasicConfig:
        return await exchange.ask(RequestConfig(nonce=nonce), BasicConfig)

    while True:
        await _connect(exchange.connect, deadline, clock)
        try:
            await exchange.ask(RequestData(wanted=Command.KEYTURNER_STATES), States)
            return await with_challenge(config, exchange.take_challenge, clock, deadline)
        except (LinkError, ProtocolError):
            if clock() >= deadline:
                raise
        finally:
            await exchange.drop()
