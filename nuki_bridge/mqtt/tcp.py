"""A connected TCP or TLS socket without blocking the event loop and without a thread that could outlive it.

What asyncio has for this waits for its thread pool at exit, for as long as a name server is silent.  This knows nothing
of MQTT; every failure is a `BrokerError` with one sentence for the operator.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
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
            if tls is None:
                return sock
            from nuki_bridge.mqtt.tls import secured

            return await secured(sock, host, port, tls, TIMEOUT_S)
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
