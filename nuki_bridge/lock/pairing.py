"""Pairing with one lock over its link: drives `protocol.pairing` and proves the new authorization.

Which lock, with whose permission, and where the result is stored is the bridge's business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from nuki_bridge.bluetooth.link import Channel, Radio
from nuki_bridge.errors import Disconnected, LinkError, LockError, ProtocolError, RequestError, TimedOut
from nuki_bridge.lock.exchange import CONNECT_TIMEOUT_S, REPLY_TIMEOUT_S, Exchange
from nuki_bridge.protocol.codes import Command, ErrorCode, Family, IdType
from nuki_bridge.protocol.frames import Reassembler
from nuki_bridge.protocol.messages import Config, KeyturnerStates, RequestConfig, RequestData
from nuki_bridge.protocol.pairing import Authorization, Pairing
from nuki_bridge.protocol.session import Random, Session
from nuki_bridge.store import PairedLock

log = logging.getLogger(__name__)

CONNECT_PAUSE_S = 0.3
"""Between two attempts to connect; the first ones often fail."""


@dataclass(frozen=True, slots=True)
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
) -> tuple[PairedLock, Config]:
    """Pair with the lock at `address`, which is in pairing mode; returns what to store (without a name) and its Config.

    The handshake runs once: it is not repeated on a refusal, least of all on a wrong PIN.  Afterwards the new
    authorization is proved by reading states and configuration over an encrypted link, so that a handshake whose last
    answer got lost still counts.  Raises `LockError`, `LinkError`, `ProtocolError` or `RequestError`.
    """
    deadline = clock() + timeout_s
    handshake = _Handshake(radio, address)
    await _connect(lambda left: handshake.link.connect(left, pairing=True), deadline, clock)
    try:
        family = handshake.link.family or family
        if family is Family.OPENER:
            raise RequestError("unsupported_device", "this is an Opener; so far only Smart Locks can be paired")
        if family is Family.ULTRA and options.pin is None:
            raise RequestError(
                "pin_required", "this lock pairs only with its six-digit security PIN, which is set in the maker's app"
            )
        id_type = IdType.APP if family is Family.ULTRA else options.id_type
        pairing = Pairing(
            family,
            name=options.name,
            id_type=id_type,
            app_id=options.app_id,
            pin=int(options.pin) if options.pin else None,
            random=random,
        )
        authorization = await handshake.run(pairing)
    finally:
        await handshake.link.disconnect()
    try:
        config = await _prove(radio, address, family, authorization, random, deadline, clock)
    except LockError as error:
        if error.number == ErrorCode.NOT_AUTHORIZED:
            raise LinkError("pairing broke off before the lock stored the authorization; try again") from None
        raise
    log.info("paired with %08X as authorization %d", config.nuki_id, authorization.authorization_id)
    paired = PairedLock(
        name="",
        address=address,
        nuki_id=config.nuki_id,
        family=family,
        authorization_id=authorization.authorization_id,
        shared_key=authorization.shared_key,
        app_id=options.app_id,
        uuid=authorization.uuid,
        id_type=id_type,
        paired_at=now(),
        pin=options.pin,
    )
    return paired, config


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

    def __init__(self, radio: Radio, address: str) -> None:
        self.link = radio.link(address, self._on_data, self._on_disconnect)
        self._reassembler = Reassembler(encrypted=False)
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()

    def _on_data(self, channel: Channel, data: bytes) -> None:
        for frame in self._reassembler.feed(data):
            self._frames.put_nowait(frame)

    def _on_disconnect(self) -> None:
        self._frames.put_nowait(None)

    async def run(self, pairing: Pairing) -> Authorization:
        """Carry the handshake through; a loss after the lock has told the authorization is not yet a failure."""
        frame: bytes | None = pairing.start()
        try:
            while frame is not None:
                self._reassembler.encrypted = pairing.expects_encrypted
                async with asyncio.timeout(REPLY_TIMEOUT_S):
                    await self.link.write(Channel.PAIRING, frame)
                    answer = await self._frames.get()
                if answer is None:
                    raise Disconnected("the lock dropped the link during pairing")
                frame = pairing.receive(answer)
        except (TimeoutError, LinkError) as error:
            if pairing.result is None:
                if isinstance(error, LinkError):
                    raise
                raise TimedOut(f"the lock did not answer within {REPLY_TIMEOUT_S:g} s during pairing") from None
        assert pairing.result is not None
        return pairing.result


async def _prove(
    radio: Radio,
    address: str,
    family: Family,
    authorization: Authorization,
    random: Random,
    deadline: float,
    clock: Callable[[], float],
) -> Config:
    """Read states and configuration with the new authorization."""
    session = Session(authorization.authorization_id, authorization.shared_key, family, random)
    exchange = Exchange(radio, address, session, clock=clock, on_states=lambda states: None, on_disconnect=lambda: None)
    deadline = max(deadline, clock() + 2 * CONNECT_TIMEOUT_S)
    while True:
        await _connect(exchange.connect, deadline, clock)
        try:
            await exchange.ask(RequestData(wanted=Command.KEYTURNER_STATES), KeyturnerStates)
            return await exchange.ask(RequestConfig(nonce=await exchange.take_challenge()), Config)
        except (LinkError, ProtocolError):
            if clock() >= deadline:
                raise
        finally:
            await exchange.drop()
