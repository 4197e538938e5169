"""TLS on a socket that is connected, without blocking the event loop.

Only a broker that wants it has this loaded, and with it OpenSSL.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from nuki_bridge.errors import BrokerError

if TYPE_CHECKING:
    from nuki_bridge.kinds import TlsSettings


async def secured(sock: socket.socket, host: str, port: int, tls: TlsSettings, timeout_s: float) -> ssl.SSLSocket:
    """Return the socket with TLS, whose handshake is done within `timeout_s`; raises `BrokerError`."""
    made = context(tls)
    try:
        secured = made.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    except ValueError as error:
        raise BrokerError(f"TLS: {host!r} is no host name") from error
    try:
        async with asyncio.timeout(timeout_s):
            await _handshake(secured)
    except BaseException as error:
        secured.close()
        if isinstance(error, ssl.SSLCertVerificationError):
            raise BrokerError(f"TLS: certificate of {host}:{port} is not trusted: {error.verify_message}") from error
        if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
            raise BrokerError(f"TLS: {host}:{port} does not speak TLS") from error
        if isinstance(error, TimeoutError):
            raise BrokerError(f"TLS: {host}:{port} does not answer the handshake") from error
        if isinstance(error, OSError):  # SSLError is one too
            why = getattr(error, "reason", None) or error.strerror or type(error).__name__
            raise BrokerError(f"TLS: handshake with {host}:{port} failed: {why}") from error
        raise
    return secured


def context(tls: TlsSettings) -> ssl.SSLContext:
    """Read anew for every connection, so that renewed files count at once."""
    reading = tls.ca
    try:
        made = ssl.create_default_context(cafile=tls.ca)
        if tls.ca is not None:
            # Python 3.13 became strict about extensions that home-made CAs often lack; the operator chose this one.
            made.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if tls.cert is not None:
            reading = tls.cert
            # An empty password: for an encrypted key OpenSSL would else ask on the terminal, and wait.
            made.load_cert_chain(tls.cert, tls.key, password="")
    except OSError as error:
        why = getattr(error, "reason", None) or error.strerror
        raise BrokerError(f"TLS: {reading} cannot be used: {why}") from error
    return made


async def _handshake(sock: ssl.SSLSocket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            return sock.do_handshake()
        except ssl.SSLWantReadError:
            await _ready(sock, loop.add_reader, loop.remove_reader)
        except ssl.SSLWantWriteError:
            await _ready(sock, loop.add_writer, loop.remove_writer)


async def _ready(sock: socket.socket, add: Callable[..., None], remove: Callable[[int], bool]) -> None:
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    number = sock.fileno()
    add(number, ready.set_result, None)
    try:
        await ready
    finally:
        remove(number)
