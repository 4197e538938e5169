"""One lock's link, one exchange at a time: connect, send a message, await its answer.

`Exchange` owns the `Link`: it reassembles and decrypts what arrives, keeps the newest Keyturner States and the one
challenge in hand, and drops the link when an answer stays away, because a late one would pass for the next.  What to
ask, when, and what an answer means belongs to `lock.py`; other authorizations' frames are for `guests`.

Whoever's frame the lock cannot read gets a plain Error Report, which bears no name and may come late: anybody who has
written over this link may be meant.  So it tells that the lock does not know us any more only on a link that no guest
has used, and only of a request that the lock has not answered.  On any other link our answer stays away then, and the
next link tells.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol, TypeVar

from nuki_bridge.bluetooth.link import Channel, Radio
from nuki_bridge.errors import Disconnected, LinkError, LockError, NukiError, ProtocolError, TimedOut
from nuki_bridge.protocol.codes import Command, ErrorCode
from nuki_bridge.protocol.common import States
from nuki_bridge.protocol.crypto import BOX_NONCE_SIZE
from nuki_bridge.protocol.frames import HEADER_SIZE, PLAIN_ERROR_SIZE, Reassembler, authorization_id
from nuki_bridge.protocol.messages import Challenge, ErrorReport, RequestData
from nuki_bridge.protocol.session import Session, lock_error
from nuki_bridge.protocol.wire import Message
from nuki_bridge.watchdog import Heartbeat

log = logging.getLogger(__name__)

REPLY_TIMEOUT_S = 5.0
"""Seconds that one answer may take; another client allows 3 s, slow links and long writes need a little more."""
CONNECT_TIMEOUT_S = 8.0
"""Seconds that one attempt to connect may take: first attempts often hang, and the next one works."""
DROP_TIMEOUT_S = 10.0
"""Seconds that a radio may take to drop a link."""
PIECE_TIMEOUT_S = 1.0
"""Seconds of silence after which an unfinished message is given up."""
NONCES = 1000
"""How many of the lock's last frames are recognized when they come again; each has a nonce of its own."""

M = TypeVar("M", bound=Message)


class Guests(Protocol):
    """The others whose frames travel over the same link (`sharing/relay.py`)."""

    def take(self, frame: bytes) -> bool:
        """Look at a frame from the lock, which carries another authorization's ID or is a plain Error Report over a
        link that they have used; True if it is theirs."""

    def link_lost(self) -> None:
        """Take note that the link is down."""


class Tap(Protocol):
    """Whoever looks on while messages are exchanged (`lock/trace.py`)."""

    def message(self, command: int, payload: bytes, frame_size: int, *, sent: bool) -> None:
        """Take note of one message of ours, in the clear."""

    def frame(self, what: str, frame_size: int, *, sent: bool) -> None:
        """Take note of a frame that is not ours, or cannot be read."""

    def link(self, *, up: bool) -> None:
        """Take note that the link came or went."""

    def services(self, services: Mapping[str, Sequence[str]]) -> None:
        """Take note of the GATT table of a device that is not paired yet."""


class Exchange:
    """The conversation with one lock.  Every method is called by one task at a time (see `Lock`)."""

    def __init__(
        self,
        radio: Radio,
        address: str,
        session: Session,
        *,
        clock: Callable[[], float],
        on_states: Callable[[States], None],
        on_disconnect: Callable[[], None],
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self.link = radio.link(address, self._on_data, self._on_disconnect)
        self.session = session
        self.challenge: bytes | None = None
        """A nonce that the lock issued on this connection and that nothing has used yet."""
        self.challenged_at = -math.inf
        """When the lock issued the last one to us on this connection, on `clock`; that may be used up."""
        self.outdated_s = 0.0
        """Age in seconds of the oldest nonce that the lock has refused although it was the last one on its connection.

        0 if it never did.
        """
        self.last_message_at = clock()
        """When the lock and we last exchanged anything, on `clock`."""
        self.fastest_s = 0.0
        """Seconds that the fastest answer to a challenge took over this link, from before its writing.

        0 before one, and where others stand between us and the lock, for whom it may have waited.
        """
        self._guests: Guests | None = None
        self._tap: Tap | None = None
        self.reply_timeout_s = REPLY_TIMEOUT_S
        """How long one answer may take; more where others stand between us and the lock."""
        self.heartbeat = heartbeat or Heartbeat()
        """Says of each step by when it ends."""
        self.in_doubt = False
        """Our last request got no answer, but a plain error came that may have been it: the next link will tell."""
        self._answered = True  # our last request, with anything that our key opens
        self._shared = False  # a guest has written over this link
        self._issued: bytes | None = None  # the last nonce that the lock issued to us on this connection
        self._asked: tuple[int, float] = (0, 0.0)  # the last command, and how old that nonce was, if it used it
        self._clock = clock
        self._on_states = on_states
        self._disconnected = on_disconnect
        self._encrypted = Reassembler(encrypted=True)
        self._plain = Reassembler(encrypted=False)
        self._piece_at = 0.0
        self._nonces: deque[bytes] = deque(maxlen=NONCES)
        self._inbox: asyncio.Queue[Message | NukiError] = asyncio.Queue()

    @contextmanager
    def serving(self, guests: Guests) -> Iterator[None]:
        """Give others' frames to `guests` during a block."""
        self._guests = guests
        try:
            yield
        finally:
            self._guests = None

    @contextmanager
    def traced(self, tap: Tap) -> Iterator[None]:
        """Let `tap` look on during a block."""
        self._tap = tap
        try:
            yield
        finally:
            self._tap = None

    # -- the link -----------------------------------------------------------------------------------------------------

    async def connect(self, timeout_s: float = CONNECT_TIMEOUT_S, *, skip_gdio: bool = False) -> None:
        """Make one attempt to connect, at most `timeout_s`; raises `LinkError`.

        With `skip_gdio` the link does not hear the plain Error Report yet that a lock answers to somebody whose key it
        does not know (any more): one round trip less until a challenge, whose answer proves the key.
        """
        self._forget()
        self._shared = False
        self.heartbeat.step(CONNECT_TIMEOUT_S + DROP_TIMEOUT_S, "connecting")
        await self.link.connect(min(timeout_s, CONNECT_TIMEOUT_S), skip_gdio=skip_gdio)
        if self._tap is not None:
            self._tap.link(up=True)
        self.last_message_at = self._clock()

    async def subscribe_gdio(self) -> None:
        """Subscribe to GDIO where `skip_gdio` left it out.  Drops the link and raises `LinkError` if that fails."""
        if self.link.gdio_subscribed:
            return
        try:
            async with self._confirmed("enabling indications", "a subscription"):
                await self.link.subscribe_gdio()
        except LinkError:
            await self.drop()
            raise

    async def drop(self) -> None:
        """Drop the link; never raises."""
        self._forget()
        self.heartbeat.step(DROP_TIMEOUT_S, "dropping the link")
        await self.link.disconnect()

    def _forget(self) -> None:
        self.challenge, self.fastest_s = None, 0.0
        self._issued, self.challenged_at = None, -math.inf
        self._encrypted.clear()
        self._plain.clear()

    def _on_disconnect(self) -> None:
        self._forget()
        if self._tap is not None:
            self._tap.link(up=False)
        self._inbox.put_nowait(Disconnected("the lock dropped the Bluetooth link"))
        if self._guests is not None:
            self._guests.link_lost()
        self._disconnected()

    def _on_data(self, channel: Channel, data: bytes) -> None:
        self.last_message_at = self._clock()
        if self.last_message_at - self._piece_at > PIECE_TIMEOUT_S:
            self._encrypted.clear()
            self._plain.clear()
        self._piece_at = self.last_message_at
        reassembler = self._encrypted if channel is Channel.USDIO else self._plain
        for frame in reassembler.feed(data):
            self._on_frame(frame)

    def _on_frame(self, frame: bytes) -> None:
        plain = len(frame) == PLAIN_ERROR_SIZE
        if self._tap is not None:
            self._show(frame, self._tap, sent=False)
        if plain and (self._shared or self._answered):
            self.in_doubt |= not self._answered
            if self._guests is None or not self._guests.take(frame):
                log.debug("a plain error is for nobody")
            return
        if not plain and authorization_id(frame) != self.session.authorization_id:
            if self._guests is None or not self._guests.take(frame):
                log.debug("a frame of %d bytes for another authorization is for nobody", len(frame))
                self._encrypted.clear()
            return
        nonce = frame[:BOX_NONCE_SIZE]
        if not plain and nonce in self._nonces:
            log.debug("a frame came twice")  # it would pass for the answer to what was sent since
            return
        self._nonces.append(nonce)
        try:
            message = self.session.receive(frame)
        except ProtocolError as error:
            self._encrypted.clear()
            self._inbox.put_nowait(error)
            return
        log.debug("received %r", message)
        if not plain:
            self._answered, self.in_doubt = True, False
        if isinstance(message, States):
            self._on_states(message)
        self._inbox.put_nowait(message)

    def _show(self, frame: bytes, tap: Tap, *, sent: bool) -> None:
        if len(frame) != PLAIN_ERROR_SIZE and authorization_id(frame) != self.session.authorization_id:
            tap.frame("another user's", len(frame), sent=sent)
            return
        try:
            command, payload = self.session.opened(frame)
        except ProtocolError:
            tap.frame("unreadable", len(frame), sent=sent)
        else:
            tap.message(command, payload, len(frame), sent=sent)

    # -- asking -------------------------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Write one message, forgetting whatever came before it.

        Raises `LinkError` if the lock's stack did not confirm it; the lock may have got it all the same.
        """
        begun = self._encrypted.begun
        if len(begun) < HEADER_SIZE or authorization_id(begun) == self.session.authorization_id:
            self._encrypted.clear()  # a guest's frame may go on: without its head the rest would spoil our answer
        while not self._inbox.empty():
            self._inbox.get_nowait()
        self._answered = False
        is_last = self._issued is not None and self._issued == getattr(message, "nonce", None)
        self._asked = message.command, self._clock() - self.challenged_at if is_last else 0.0
        frame = self.session.send(message)
        log.debug("send %r", message)
        await self._write(frame)

    async def pass_on(self, frame: bytes) -> None:
        """Write one whole frame of a guest; raises `LinkError` as `send` does."""
        self._shared = True
        await self._write(frame)

    async def _write(self, frame: bytes) -> None:
        if not self.link.connected:
            raise Disconnected("the Bluetooth link is down")
        if self._tap is not None:
            self._show(frame, self._tap, sent=True)
        async with self._confirmed("writing to the lock", "a message"):
            await self.link.write(Channel.USDIO, frame)

    @asynccontextmanager
    async def _confirmed(self, doing: str, what: str) -> AsyncIterator[None]:
        """Await one step, at most `REPLY_TIMEOUT_S`, that the lock's stack confirms; raises `TimedOut`."""
        self.heartbeat.step(REPLY_TIMEOUT_S, doing)
        try:
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                yield
        except TimeoutError:
            raise TimedOut(f"the lock's Bluetooth stack did not confirm {what}") from None

    async def receive(self, timeout_s: float | None = None) -> Message:
        """Return the next message from the lock, by default within `reply_timeout_s`.

        Raises `LockError` for an Error Report, `ProtocolError` for an unreadable frame, `LinkError` when the link goes
        away or nothing comes within `timeout_s`.
        """
        timeout_s = self.reply_timeout_s if timeout_s is None else timeout_s
        self.heartbeat.step(timeout_s, "awaiting the lock's answer")
        if self._inbox.empty():
            try:
                async with asyncio.timeout(timeout_s):
                    message = await self._inbox.get()
            except TimeoutError:
                raise TimedOut(f"the lock did not answer within {timeout_s:g} s") from None
        else:
            message = self._inbox.get_nowait()
        if isinstance(message, NukiError):
            raise message
        if isinstance(message, ErrorReport):
            self._note_refusal(message)
            raise lock_error(message, self.session.family)
        return message

    def _note_refusal(self, report: ErrorReport) -> None:
        """Take note if the lock has refused a challenge that nothing but its age speaks against."""
        command, age_s = self._asked
        if report.error == ErrorCode.BAD_NONCE and report.failed_command in (command, 0):
            log.debug("a challenge was refused that was %.1f s old", age_s)
            self.outdated_s = max(self.outdated_s, age_s)

    async def ask(self, message: Message, wanted: type[M]) -> M:
        """Send `message` and return the answer of class `wanted`; other messages in between are passed over.

        A broken exchange drops the link: a late answer would pass for the next one.  Raises as `send` and `receive`.
        """
        try:
            await self.send(message)
            while True:
                try:
                    answer = await self.receive()
                except LockError as error:
                    if error.command == Command.LOCK_ACTION != message.command:
                        continue  # of an action that somebody with the same key has asked for over this link
                    raise
                if isinstance(answer, wanted):
                    return answer
        except (LinkError, ProtocolError):
            await self.drop()
            raise

    async def ask_challenge(self) -> bytes:
        """Return a fresh nonce (32 bytes) from the lock, kept in `challenge` until it is taken."""
        asked_at = self._clock()
        answer = await self.ask(RequestData(wanted=Command.CHALLENGE), Challenge)
        self.challenge = self._issued = answer.nonce
        self.challenged_at = self._clock()
        took_s = self.challenged_at - asked_at
        if self.reply_timeout_s <= REPLY_TIMEOUT_S:
            self.fastest_s = min(self.fastest_s, took_s) or took_s
        return answer.nonce

    async def take_challenge(self, *, fresh: bool = False) -> bytes:
        """Return the nonce in hand, or else a fresh one, with `fresh` always that; it is not in hand any more."""
        nonce = (None if fresh else self.challenge) or await self.ask_challenge()
        self.challenge = None
        return nonce
