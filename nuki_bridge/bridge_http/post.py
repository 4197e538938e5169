"""One POST of a few bytes to a URL that somebody has registered: bounded in time and size, and followed nowhere."""

from __future__ import annotations

import asyncio
import fcntl
import re
import socket
import struct
import termios
from contextlib import suppress
from urllib.parse import urlsplit

from nuki_bridge.errors import BrokerError
from nuki_bridge.mqtt.tcp import open_socket
from nuki_bridge.records import frozen

MAX_URL_SIZE = 254
"""Most characters of a URL."""
POST_S = 10.0
"""Seconds for all of it, from the name's resolution to the answer's first line."""
SILENT_S = 3.0
"""Seconds after which somebody who has got all of it and says nothing counts as told: some programs never answer."""
_MAX_ANSWER_SIZE = 1024


class BadUrl(Exception):
    """A URL that is not taken; the text says why."""


@frozen
class Target:
    """Where a callback goes; `where` is what a log may say of it."""

    host: str
    port: int
    path: str

    @property
    def where(self) -> str:
        """Host and port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def target_of(url: str) -> Target:
    """Read a URL; raises `BadUrl`."""
    if len(url) > MAX_URL_SIZE:
        raise BadUrl(f"a URL has {MAX_URL_SIZE} characters at most")
    if not re.fullmatch(r"[!-~]+", url):
        raise BadUrl("a URL has no spaces and only ASCII characters; write others as %XX")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadUrl("this is no URL") from None
    if parts.scheme != "http":
        raise BadUrl("a URL begins with http://")
    if not host or port == 0 or parts.username is not None or not re.fullmatch(r"[0-9A-Za-z._:%-]+", host):
        raise BadUrl("a URL names a host, and neither a user nor a password")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(host, port or 80, path)


async def post(target: Target, body: bytes) -> str | None:
    """Send the body; return None if it was taken, else why not, in a few words."""
    try:
        async with asyncio.timeout(POST_S):
            return await _post(target, body)
    except TimeoutError:
        return "no answer"
    except BrokerError as error:  # what `open_socket` raises
        return str(error)
    except OSError as error:
        return error.strerror or type(error).__name__


async def _post(target: Target, body: bytes) -> str | None:
    loop = asyncio.get_running_loop()
    sock = await open_socket(target.host, target.port, None)
    try:
        head = (
            f"POST {target.path} HTTP/1.1\r\nHost: {target.where}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\nUser-Agent: nuki-bridge\r\n\r\n"
        )
        await loop.sock_sendall(sock, head.encode() + body)
        answer = b""
        try:
            async with asyncio.timeout(SILENT_S):
                while b"\n" not in answer and len(answer) < _MAX_ANSWER_SIZE:
                    data = await loop.sock_recv(sock, _MAX_ANSWER_SIZE)
                    if not data:
                        break
                    answer += data
        except TimeoutError:
            return "no answer" if _unacknowledged(sock) else None
    finally:
        with suppress(OSError):
            sock.close()
    found = re.match(rb"HTTP/1\.[01] ([0-9]{3})", answer)
    if found is None:
        return "the answer is none of HTTP"
    return None if found[1].startswith(b"2") else f"status {found[1].decode()}"


def _unacknowledged(sock: socket.socket) -> int:
    """Return how many bytes the other machine has not acknowledged."""
    return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])
