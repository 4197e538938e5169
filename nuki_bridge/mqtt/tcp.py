"""A connected TCP or TLS socket without blocking the event loop and without a thread that could outlive it.

What asyncio has for this waits for its thread pool at exit, for as long as a name server is silent.  This knows nothing
of MQTT; every failure is a `BrokerError` with one sentence for the operator.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nuki_bridge.errors import BrokerError

if TYPE_CHECKING:
    from nuki_bridge.kinds import TlsSettings

TIMEOUT_S = 10.0  # for each of: resolving the name, TCP to one address, the TLS handshake


async def open_socket(
    host: str, port: int, tls: TlsSettings | None, attempt: Callable[[], None] = lambda: None
) -> socket.socket:
    """A non-blocking socket connected to the first address of `host` that answers, with `tls` an `ssl.SSLSocket` whose
    handshake is done.  `attempt` is called before each address, which may take 2 * `TIMEOUT_S`.  Raises `BrokerError`.
    """
    failure: OSError | None = None
    for family, kind, protocol, _, address in await _resolve(host, port):
        attempt()
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(TIMEOUT_S):
                await asyncio.get_running_loop().sock_connect(sock, address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return await _start_tls(sock, host, port, tls) if tls is not None else sock
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
    if isinstance(failure, ConnectionRefusedError):
        raise BrokerError(f"connection refused at {host}:{port}")
    if isinstance(failure, TimeoutError):
        raise BrokerError(f"no answer from {host}:{port}")
    detail = os.strerror(failure.errno) if failure is not None and failure.errno else str(failure)
    raise BrokerError(f"cannot reach {host}:{port}: {detail}")


async def _resolve(host: str, port: int) -> list[Any]:
    # A text would be taken through IDNA, whose tables are most of a megabyte that stays in memory.
    name = host.encode() if host.isascii() else host

    def ask(flags: int = 0) -> list[Any]:
        return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=flags)

    with contextlib.suppress(socket.gaierror):
        return ask(socket.AI_NUMERICHOST)
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Any]] = loop.create_future()

    def tell(found: list[Any]) -> None:
        if not answer.done():
            answer.set_result(found)

    def work() -> None:
        found: list[Any] = []
        with contextlib.suppress(OSError, UnicodeError):  # UnicodeError: no host name at all
            found = ask()
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=work, name=f"resolve {host}", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TIMEOUT_S):
            await answer
    if not answer.done() or answer.cancelled() or not answer.result():
        raise BrokerError(f"host name {host!r} cannot be resolved")
    return answer.result()


def acknowledge(sock: socket.socket) -> None:
    """Acknowledge what has been read now, and not up to 40 ms later as the kernel would.

    A broker that has not switched Nagle's algorithm off (mosquitto has not unless told to) keeps the next message back
    until then: a command that follows upon an answer, or the lock's answer to a guest.
    """
    with contextlib.suppress(OSError, AttributeError):  # it is gone, or this is no Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


async def _start_tls(sock: socket.socket, host: str, port: int, tls: TlsSettings) -> ssl.SSLSocket:
    context = tls_context(tls)
    try:
        secured = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    except ValueError as error:
        raise BrokerError(f"TLS: {host!r} is no host name") from error
    try:
        async with asyncio.timeout(TIMEOUT_S):
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


def tls_context(tls: TlsSettings) -> ssl.SSLContext:
    """Read anew for every connection, so that renewed files count at once."""
    reading = tls.ca
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.ca is not None:
            # Python 3.13 became strict about extensions that home-made CAs often lack; the operator chose this one.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if tls.cert is not None:
            reading = tls.cert
            # An empty password: for an encrypted key OpenSSL would else ask on the terminal, and wait.
            context.load_cert_chain(tls.cert, tls.key, password="")
    except OSError as error:
        why = getattr(error, "reason", None) or error.strerror
        raise BrokerError(f"TLS: {reading} cannot be used: {why}") from error
    return context


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
