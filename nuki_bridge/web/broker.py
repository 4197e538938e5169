"""The page's way to the broker: connections for tunnels, and whether it takes the guests' account."""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
import struct
import time
from contextlib import suppress

from nuki_bridge.errors import BrokerError
from nuki_bridge.mqtt import tls
from nuki_bridge.mqtt.tcp import TIMEOUT_S, open_socket
from nuki_bridge.web.first_packet import Connect, is_accepted
from nuki_bridge.web.settings import BrokerSettings, GuestSettings

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Most connections that are being made at a time."""
CONTEXT_S = 3600.0
"""Seconds for which a TLS context, with all certificate authorities of the system, is used: one takes up to 2 MiB."""
_DISCONNECT = b"\xe0\x00"


class BrokerAway(BrokerError):
    """The broker cannot be reached."""


class Broker:
    """`connect` as often as needed."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._context: ssl.SSLContext | None = None
        self._context_until = 0.0
        self.away: str | None = None
        """Why the broker could not be reached the last time."""

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a new connection; raises `BrokerError`.  Whether it is there is logged when that changes."""
        async with self._at_once:
            try:
                found = await self._connect()
            except BrokerError as error:
                if self.away is None:
                    log.warning("the broker is away: %s", error)
                self.away = str(error)
                raise
        if self.away is not None:
            log.info("the broker is back")
        self.away = None
        return found

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        settings = self._settings
        sock = await open_socket(settings.host, settings.port, None)
        where = f"{settings.host}:{settings.port}"
        try:
            if settings.tls is None:
                return await asyncio.open_connection(sock=sock)
            return await asyncio.open_connection(
                sock=sock, ssl=self._tls(), server_hostname=settings.host, ssl_handshake_timeout=TIMEOUT_S
            )
        except ssl.SSLCertVerificationError as error:
            raise BrokerError(f"TLS: certificate of {where} is not trusted: {error.verify_message}") from error
        except OSError as error:
            why = getattr(error, "reason", None) or error.strerror or type(error).__name__
            raise BrokerError(f"TLS: handshake with {where} failed: {why}") from error
        finally:
            if self._context_until < time.monotonic():
                self._context = None

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            assert self._settings.tls is not None
            self._context = tls.context(self._settings.tls)
            self._context_until = time.monotonic() + CONTEXT_S
        return self._context


async def try_account(broker: Broker, guest: GuestSettings) -> None:
    """Log in once as the guests; raises `BrokerError`: `BrokerAway`, or with what to do if it refuses them."""
    try:
        async with asyncio.timeout(3 * TIMEOUT_S):
            reader, writer = await broker.connect()
            try:
                connect = Connect(b"", 4, False, struct.pack(">H", 30), b"")
                password = None if guest.password is None else guest.password.reveal()
                writer.write(connect.as_guest(guest.username, password, f"nuki-page-{secrets.token_hex(8)}"))
                answer = b""
                while (accepted := is_accepted(answer)) is None:
                    data = await reader.read(64)
                    if not data:
                        raise BrokerAway("the broker ends the connection before it answers")
                    answer += data
                writer.write(_DISCONNECT)
                with suppress(OSError):
                    await writer.drain()
            finally:
                writer.close()
    except TimeoutError:
        raise BrokerAway("the broker does not answer") from None
    except OSError as error:
        raise BrokerAway(f"the broker cannot be reached: {error.strerror}") from None
    if not accepted:
        raise BrokerError(REFUSED.format(guest.username))


REFUSED = "the broker refuses the guests' account {}: correct guest.username and guest.password in web.yaml"
