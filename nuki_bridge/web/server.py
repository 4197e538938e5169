"""Accepts connections, serves the page's files, and hands those who ask for `/mqtt` to a tunnel.

Connections are accepted here rather than by asyncio's server, because each needs its place (`limits.py`) before a TLS
handshake is begun for it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from nuki_bridge.errors import PageError
from nuki_bridge.web import http
from nuki_bridge.web.files import File
from nuki_bridge.web.http import BadRequest, Head, answer
from nuki_bridge.web.limits import Limits, Place
from nuki_bridge.web.origin import is_ours
from nuki_bridge.web.tunnel import Tunnel, Way

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
MAX_UNKNOWN = 20
"""Names that are not ours and under which somebody has found us, each told once."""
TUNNEL = "/mqtt"
FORGET = "/forget"
CLEARED = {"Clear-Site-Data": '"storage", "cache"', "Cache-Control": "no-store"}
"""Header value that makes a browser remove all that this page has kept, from the disk, too."""
_PAUSE_S = 0.5
"""Seconds to wait after an accept that failed, for lack of file descriptors for example."""


class Server:
    """The listening sockets and all connections; `open` it, then `run` it.

    `files` and `tls` may change while it runs: each connection takes what is there when it begins.
    """

    def __init__(
        self,
        files: Mapping[str, File],
        way: Way,
        *,
        secure: bool,
        names: Collection[str],
        tls: Callable[[], ssl.SSLContext | None] = lambda: None,
    ) -> None:
        self.files = dict(files)
        self._way = way
        self._limits: Limits = way.limits
        self._secure = secure
        self._names = frozenset(names)
        self._tls = tls
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._unknown: set[str] = set()
        self.stopping = asyncio.Event()

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
                raise PageError(_why_not(address, port, error)) from None
            port = sock.getsockname()[1]
            self._sockets.append(sock)
        if not self._sockets:
            raise PageError(
                f"this machine has none of the addresses {', '.join(addresses)}; correct `listen` in web.yaml"
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
            place.give_way = task.cancel
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
            protocol = asyncio.StreamReaderProtocol(reader)
            context = self._tls()
            more: dict[str, Any] = {} if context is None else {"ssl_handshake_timeout": HEAD_S}
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=context, **more)
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            await self._serve(reader, writer, place)
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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: Place) -> None:
        """One request after the other."""
        for number in range(MAX_REQUESTS):
            try:
                async with asyncio.timeout(NEXT_S if number else HEAD_S):
                    data = await reader.readuntil(b"\r\n\r\n")
                head = http.parse(data)
            except asyncio.LimitOverrunError:
                error = BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request is too large")
                await self._refuse(reader, writer, error)
                return
            except BadRequest as error:
                await self._refuse(reader, writer, error)
                return
            if head.path == TUNNEL and head.names("upgrade", "websocket"):
                if not self._is_ours(head):
                    refused = BadRequest(HTTPStatus.FORBIDDEN, "this page is none of this server's")
                    await self._refuse(reader, writer, refused)
                    return
                await Tunnel(self._way, place, reader, writer, stopping=self.stopping).run(data)
                return
            closes = head.closes or number == MAX_REQUESTS - 1 or self.stopping.is_set()
            writer.write(self._answer(head, closes=closes))
            async with asyncio.timeout(ANSWER_S):
                await writer.drain()
            if closes:
                await _finish(reader, writer)
                return

    def _is_ours(self, head: Head) -> bool:
        origin, host = head.fields.get("origin"), head.fields["host"]
        if is_ours(origin, host, secure=self._secure, names=self._names):
            return True
        name = host.rpartition(":")[0] or host
        itself = origin is not None and origin.partition("://")[2] == host
        if itself and name not in self._unknown and len(self._unknown) < MAX_UNKNOWN:
            self._unknown.add(name)
            shown = "".join(each if each.isprintable() else "?" for each in name[:80])
            log.warning(
                "a page at %s was refused; if this is a name of this server, add it to names in web.yaml", shown
            )
        return False

    def _answer(self, head: Head, *, closes: bool) -> bytes:
        file = self.files.get(head.path)
        if head.path == FORGET:
            if head.method != "POST":
                return _not_allowed("POST", closes=closes)
            origin = head.fields.get("origin")
            if origin is not None and not self._is_ours(head):
                return answer(HTTPStatus.FORBIDDEN, b"this page is none of this server's\n", closes=closes)
            return answer(HTTPStatus.NO_CONTENT, fields=CLEARED, closes=closes)
        if head.path == TUNNEL:
            return answer(HTTPStatus.UPGRADE_REQUIRED, b"WebSocket only\n", {"Upgrade": "websocket"}, closes=closes)
        if file is None:
            return answer(
                HTTPStatus.NOT_FOUND, b"there is no such page\n", head_only=head.method == "HEAD", closes=closes
            )
        if head.method not in ("GET", "HEAD"):
            return _not_allowed("GET, HEAD", closes=closes)
        return file.respond(head, closes=closes)

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, error: BadRequest) -> None:
        writer.write(answer(error.status, f"{error}\n".encode(), closes=True))
        await _finish(reader, writer)


async def _finish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let a last answer arrive: what the client still sends would else make the kernel take it back."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(2.0):
            await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            while await reader.read(http.MAX_HEAD_SIZE):
                pass


def _not_allowed(methods: str, *, closes: bool) -> bytes:
    return answer(HTTPStatus.METHOD_NOT_ALLOWED, b"", {"Allow": methods}, closes=closes)


_NO_SUCH_FAMILY = (97, 99)
"""EAFNOSUPPORT, EADDRNOTAVAIL: a machine without IPv6 has no address of its kind."""


def _why_not(address: str, port: int, error: OSError) -> str:
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    if error.errno == 98:
        return f"{where} is in use by another program; give `port` in web.yaml another value, or stop that program"
    if error.errno == 13:
        return f"{where}: ports below 1024 are for the service or root; `nuki-bridge-web.service` may use them"
    if error.errno == 99:
        return f"{where} is no address of this machine; correct `listen` in web.yaml"
    return f"{where} cannot be used: {error.strerror}"
