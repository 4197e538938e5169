"""Accepts connections, each within its limits, and ends them: what the page's server and others on this machine share.

Connections are accepted here rather than by asyncio's server, because each needs its place (`limits.py`) before a TLS
handshake is begun for it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import Any

from nuki_bridge.errors import PageError
from nuki_bridge.web import http
from nuki_bridge.web.limits import Limits, Place

log = logging.getLogger(__name__)

HEAD_S = 10.0
"""How long a request's head, and before it a TLS handshake, may take, in seconds."""
NEXT_S = 15.0
"""The longest pause before the next request of a connection, in seconds."""
ANSWER_S = 20.0
"""Seconds after which an answer that was not taken ends the connection."""
MAX_REQUESTS = 200
"""Most requests over one connection."""
SEND_SIZE = 131072
"""Most bytes that the kernel keeps for a client that does not take them; by itself it would keep megabytes."""
BACKLOG = 64
_PAUSE_S = 0.5
"""Seconds to wait after an accept that failed, for lack of file descriptors for example."""


class Connection(asyncio.StreamReaderProtocol):
    """One connection; `gone` is set as soon as the client will send nothing more."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self.gone = asyncio.Event()
        self.reset = False
        """The connection broke off: what was sent last may not have been read."""

    def eof_received(self) -> bool | None:
        """The client has closed its side."""
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self.reset = exc is not None
        self.gone.set()
        super().connection_lost(exc)


class Listener:
    """Listening sockets and their connections; `open` it, then `run` it.

    `tls` gives the context for the next connection.  `section` is where web.yaml has `listen` and `port`, with a dot at
    its end.
    """

    def __init__(
        self, limits: Limits, *, tls: Callable[[], ssl.SSLContext | None] = lambda: None, section: str = ""
    ) -> None:
        self._limits = limits
        self._tls = tls
        self._section = section
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.stopping = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: Place) -> None:
        """Serve one connection until it is over."""
        raise NotImplementedError

    def open(self, addresses: Collection[str], port: int) -> int:
        """Listen; gives the port, which is a free one for 0.  Raises `PageError` if that cannot be."""
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((address, port))
                sock.listen(BACKLOG)
                sock.setblocking(False)
            except OSError as error:
                sock.close()
                if error.errno in _NO_SUCH_FAMILY and len(addresses) > 1:
                    continue
                self.close()
                raise PageError(_why_not(self._section, address, port, error)) from None
            port = sock.getsockname()[1]
            self._sockets.append(sock)
        if not self._sockets:
            raise PageError(
                f"this machine has none of the addresses {', '.join(addresses)}; correct `{self._section}listen` in"
                " web.yaml"
            )
        return port

    def close(self) -> None:
        """Listen no more."""
        for each in self._sockets:
            each.close()
        self._sockets = []

    async def run(self) -> None:
        """Serve until cancelled; tunnels are told then."""
        try:
            async with asyncio.TaskGroup() as group:
                for each in self._sockets:
                    group.create_task(self._accept(each), name="accept")
        finally:
            self.close()
            self.stopping.set()
            if self._tasks:
                _, late = await asyncio.wait(self._tasks, timeout=1.0)
                for task in late:
                    task.cancel()
                if late:
                    await asyncio.wait(late, timeout=1.0)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(listening)
            except OSError as error:
                log.warning("a connection could not be accepted: %s", error.strerror)
                await asyncio.sleep(_PAUSE_S)
                continue
            place = self._limits.place(peer[0])
            if place is None:
                sock.close()
                await asyncio.sleep(0)
                continue
            task = asyncio.create_task(self._connection(sock, place))
            # Not at once: a task that is ended before it has begun would leave its connection open.
            place.give_way = partial(loop.call_soon, task.cancel)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connection(self, sock: socket.socket, place: Place) -> None:
        writer: asyncio.StreamWriter | None = None
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_SIZE)
            loop = asyncio.get_running_loop()
            reader = asyncio.StreamReader(limit=http.MAX_HEAD_SIZE)
            protocol = Connection(reader)
            context = self._tls()
            more: dict[str, Any] = {} if context is None else {"ssl_handshake_timeout": HEAD_S}
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=context, **more)
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            await self.serve(reader, writer, place)
        except (OSError, EOFError, TimeoutError) as error:
            log.debug("a connection ended: %s", type(error).__name__)
        except Exception:
            log.exception("internal error: a connection failed")
        finally:
            self._limits.leave(place)
            if writer is not None:
                writer.transport.abort()
            else:
                sock.close()


async def finish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let a last answer arrive: what the client still sends would else make the kernel take it back."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(2.0):
            await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            while await reader.read(http.MAX_HEAD_SIZE):
                pass


_NO_SUCH_FAMILY = (97, 99)
"""EAFNOSUPPORT, EADDRNOTAVAIL: a machine without IPv6 has no address of its kind."""


def _why_not(section: str, address: str, port: int, error: OSError) -> str:
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    if error.errno == 98:
        return (
            f"{where} is in use by another program; give `{section}port` in web.yaml another value, or stop that"
            " program"
        )
    if error.errno == 13:
        return f"{where}: ports below 1024 are for the service or root; `nuki-bridge-web.service` may use them"
    if error.errno == 99:
        return f"{where} is no address of this machine; correct `{section}listen` in web.yaml"
    return f"{where} cannot be used: {error.strerror}"
