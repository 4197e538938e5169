"""Serves the page's files, and hands those who ask for `/mqtt` to a tunnel."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus

from nuki_bridge.web import http
from nuki_bridge.web.files import File
from nuki_bridge.web.http import BadRequest, Head, answer
from nuki_bridge.web.limits import Place
from nuki_bridge.web.listener import ANSWER_S, HEAD_S, MAX_REQUESTS, NEXT_S, Listener, finish
from nuki_bridge.web.origin import is_ours
from nuki_bridge.web.tunnel import Tunnel, Way

log = logging.getLogger(__name__)

MAX_UNKNOWN = 20
"""Names that are not ours and under which somebody has found us, each told once."""
TUNNEL = "/mqtt"
FORGET = "/forget"
CLEARED = {"Clear-Site-Data": '"storage", "cache"', "Cache-Control": "no-store"}
"""Header value that makes a browser remove all that this page has kept, from the disk, too."""


class Server(Listener):
    """The page's listener; `files` and `tls` may change while it runs: each connection takes what is there when it
    begins."""

    def __init__(
        self,
        files: Mapping[str, File],
        way: Way,
        *,
        secure: bool,
        names: Collection[str],
        tls: Callable[[], ssl.SSLContext | None] = lambda: None,
    ) -> None:
        super().__init__(way.limits, tls=tls)
        self.files = dict(files)
        self._way = way
        self._secure = secure
        self._names = frozenset(names)
        self._unknown: set[str] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: Place) -> None:
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
                await finish(reader, writer)
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
        await finish(reader, writer)


def _not_allowed(methods: str, *, closes: bool) -> bytes:
    return answer(HTTPStatus.METHOD_NOT_ALLOWED, b"", {"Allow": methods}, closes=closes)
