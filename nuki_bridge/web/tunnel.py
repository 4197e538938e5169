"""One phone's WebSocket to the broker's TCP port: bytes of MQTT there and back, of which nothing is kept or logged.

Who brings no account gets the guests' (`first_packet.py`).  Every wait is bounded, and who sends too much is not read
from until it is paid for (`limits.py`).  Why a tunnel ends is said in its close code.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import IntEnum
from http import HTTPStatus

from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from nuki_bridge.errors import BrokerError
from nuki_bridge.records import frozen
from nuki_bridge.web.first_packet import (
    MAX_GUEST_PACKET_SIZE,
    BadPacket,
    Connect,
    Packets,
    find_connect,
    is_accepted,
    read_connect,
)
from nuki_bridge.web.http import HEADERS
from nuki_bridge.web.limits import PACKETS, Limits, Place
from nuki_bridge.web.settings import GuestSettings

log = logging.getLogger(__name__)

CHUNK_SIZE = 16384
"""Most bytes that are read and passed on at a time."""
MAX_MESSAGE_SIZE = 32768
"""Largest WebSocket message in bytes."""
CONNECT_S = 10.0
"""Seconds that a phone has for its first packet, and the broker to accept it."""
IDLE_S = 300.0
"""Seconds after which a phone that sends nothing is gone; MQTT pings more often."""
SLOW_S = 20.0
"""Seconds after which a phone that does not take what it is sent is gone."""
CROWD_S = 0.05
"""Between two looks whether all guests together may send again."""
GOODBYE_S = 2.0
"""Longest wait in seconds for the close frame to go out."""


class Ended(IntEnum):
    """Close codes of the tunnel; the page knows them."""

    STOPPING = 1001
    NO_ACCOUNT = 4401
    """No account came, and there is none for guests."""
    NOT_MQTT = 4400
    IDLE = 4408
    TOO_MANY = 4429
    """Packets at once, or logins from this address that the broker refused."""
    BROKER_AWAY = 4503
    """The broker cannot be reached, or has ended the connection before it accepted anybody."""
    BROKER_ENDED = 4502
    """The broker has ended the connection later."""


class _End(Exception):
    def __init__(self, code: Ended, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@frozen
class Way:
    """What all tunnels share: `open_broker` connects to the broker, `refused` is told when it refuses the guests."""

    guest: GuestSettings | None
    open_broker: Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
    limits: Limits
    refused: Callable[[bool], None] = lambda refused: None


_SILENT = logging.Logger("silent", logging.CRITICAL + 1)
"""The library logs whole frames at DEBUG, and a CONNECT holds a password."""


class Tunnel:
    """`run` it once over a connection whose request head was read."""

    def __init__(
        self,
        way: Way,
        place: Place,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        stopping: asyncio.Event,
    ) -> None:
        self._way = way
        self._place = place
        self._reader = reader
        self._writer = writer
        self._stopping = stopping
        self._protocol = ServerProtocol(subprotocols=[Subprotocol("mqtt")], max_size=MAX_MESSAGE_SIZE, logger=_SILENT)
        self._packets = Packets()
        self._allowance = way.limits.tunnel()
        self._guest = False
        self._early = bytearray()
        """Bytes of the first packet, until it is whole."""

    async def run(self, head: bytes) -> None:
        """Until one side ends it."""
        if not await self._open(head):
            return
        broker: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(CONNECT_S):
                connect, rest = await self._first_packet()
            first = self._with_account(connect)
            try:
                async with asyncio.timeout(2 * CONNECT_S):
                    from_broker, broker = await self._way.open_broker()
            except (BrokerError, OSError, TimeoutError):
                raise _End(Ended.BROKER_AWAY, "the broker cannot be reached") from None
            broker.write(first)
            try:
                async with asyncio.timeout(CONNECT_S):
                    await self._welcome(from_broker)
            except TimeoutError:
                raise _End(Ended.BROKER_AWAY, "the broker does not answer") from None
            await self._pass_on(rest, from_broker, broker)
        except TimeoutError:
            await self._end(Ended.IDLE, "nothing came for too long")
        except BadPacket as error:
            await self._end(Ended.NOT_MQTT, str(error))
        except _End as end:
            await self._end(end.code, str(end))
        except EOFError:
            await self._linger()
        except (OSError, WebSocketException):
            pass  # the phone is gone
        finally:
            if broker is not None:
                broker.transport.abort()

    # -- the phone's side ---------------------------------------------------------------------------------------------

    async def _open(self, head: bytes) -> bool:
        """Answer the handshake; False if it was refused."""
        protocol = self._protocol
        protocol.receive_data(head)
        requests = protocol.events_received()
        if not requests or not isinstance(requests[0], Request):
            return False
        response = protocol.accept(requests[0])
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            for name, value in HEADERS.items():
                response.headers[name] = value
        protocol.send_response(response)
        await self._flush()
        return protocol.state is OPEN

    async def _flush(self) -> None:
        """Send what the protocol has to say; a phone that does not take it ends the tunnel."""
        for data in self._protocol.data_to_send():
            if data:
                self._writer.write(data)
        try:
            async with asyncio.timeout(SLOW_S):
                await self._writer.drain()
        except TimeoutError:
            raise ConnectionAbortedError("the phone does not take what it is sent") from None

    async def _read(self) -> bytes:
        """Bytes of MQTT; raises `EOFError` when the phone has ended the tunnel, `TimeoutError` when it is silent."""
        while True:
            data = await self._reader.read(CHUNK_SIZE)
            if not data:
                raise EOFError
            self._protocol.receive_data(data)
            frames = self._protocol.events_received()
            found = b"".join(_content(each) for each in frames)
            await self._flush()
            if self._protocol.state is not OPEN:
                raise EOFError
            control = sum(
                each.opcode in (Opcode.PING, Opcode.PONG) or not each.data for each in frames if isinstance(each, Frame)
            )
            if wait_s := self._way.limits.wait_s(self._place, self._allowance, control):
                await asyncio.sleep(wait_s)
            if found:
                return found

    async def _first_packet(self) -> tuple[Connect, bytes]:
        """Return the CONNECT, and what came behind it."""
        early = self._early
        while not (size := find_connect(early)) or len(early) < size:
            early += await self._read()
        connect = read_connect(bytes(early[:size]))
        return connect, bytes(early[size:])

    def _with_account(self, connect: Connect) -> bytes:
        """Return the CONNECT as the broker gets it."""
        client = self._place.client
        if connect.has_account:
            if client.counted and client.logins.empty:
                raise _End(Ended.TOO_MANY, "too many logins were refused; wait a few minutes")
            return connect.whole
        guest = self._way.guest
        if guest is None:
            raise _End(Ended.NO_ACCOUNT, "there is no account for guests")
        self._guest = True
        self._packets = Packets(MAX_GUEST_PACKET_SIZE)
        password = None if guest.password is None else guest.password.reveal()
        return connect.as_guest(guest.username, password, f"nuki-page-{secrets.token_hex(8)}")

    # -- the broker's side --------------------------------------------------------------------------------------------

    async def _welcome(self, broker: asyncio.StreamReader) -> None:
        """Pass the broker's first answer on; only one that it has accepted keeps its place in a crowd."""
        answer = b""
        while (accepted := is_accepted(answer)) is None:
            data = await broker.read(CHUNK_SIZE)
            if not data:
                raise _End(Ended.BROKER_AWAY, "the broker ended the connection")
            answer += data
        if self._guest:
            self._way.refused(not accepted)
        elif not accepted:
            self._place.client.logins.owe(1)
        self._place.established = accepted
        self._protocol.send_binary(answer)
        await self._flush()

    async def _pass_on(self, rest: bytes, from_broker: asyncio.StreamReader, to_broker: asyncio.StreamWriter) -> None:
        """Both directions, until one ends."""
        tasks = [
            asyncio.create_task(self._up(rest, to_broker)),
            asyncio.create_task(self._down(from_broker)),
            asyncio.create_task(self._stopping.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()
        raise _End(Ended.STOPPING, "the page's server stops")

    async def _up(self, data: bytes, broker: asyncio.StreamWriter) -> None:
        while True:
            if data:
                await self._afford(self._packets.feed(data))
                broker.write(data)
                await self._drain(broker)
            async with asyncio.timeout(IDLE_S):
                data = await self._read()

    async def _afford(self, packets: int) -> None:
        """Wait until so many packets may be passed on: before that, since who ends the tunnel then owes nothing."""
        limits = self._way.limits
        if packets > PACKETS[0]:
            raise _End(Ended.TOO_MANY, "too many packets at once")
        if wait_s := limits.wait_s(self._place, self._allowance, packets):
            await asyncio.sleep(wait_s)
        if self._guest:
            while True:
                if not limits.guests.empty:
                    break
                await asyncio.sleep(CROWD_S)
            limits.guests.owe(packets)

    async def _drain(self, broker: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(SLOW_S):
                await broker.drain()
        except (TimeoutError, OSError):
            raise _End(Ended.BROKER_ENDED, "the broker takes nothing any more") from None

    async def _down(self, broker: asyncio.StreamReader) -> None:
        while True:
            try:
                data = await broker.read(CHUNK_SIZE)
            except OSError:
                data = b""
            if not data:
                raise _End(Ended.BROKER_ENDED, "the broker ended the connection")
            self._protocol.send_binary(data)
            await self._flush()

    async def _end(self, code: Ended, reason: str) -> None:
        """Tell the phone why, if it still listens."""
        if self._protocol.state is not OPEN:
            return
        log.debug("a tunnel ends with %s", code.name)
        with suppress(OSError, WebSocketException):
            self._protocol.send_close(code, reason)
            await self._linger()

    async def _linger(self) -> None:
        """Send what is left, and read on for a moment: a reset would take the close code with it."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._flush()
                while self._protocol.close_rcvd is None and (data := await self._reader.read(CHUNK_SIZE)):
                    self._protocol.receive_data(data)
                    self._protocol.events_received()


def _content(event: object) -> bytes:
    """Return what a frame carries of the stream; raises `BadPacket` for text."""
    if not isinstance(event, Frame):
        return b""
    if event.opcode is Opcode.TEXT:
        raise BadPacket("MQTT goes in binary messages")
    return bytes(event.data) if event.opcode in (Opcode.BINARY, Opcode.CONT) else b""
