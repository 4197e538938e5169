"""`nuki-bridge web` with the Bridge HTTP API as a process of its own, and a client of it by hand."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from time import gmtime, strftime, time
from typing import Any
from urllib.parse import urlencode

from nacl.secret import SecretBox

from tests import patience
from tests.integration.broker import free_port
from tests.integration.web import Web, serving

TOKEN = "0123456789abcdefghij"


def encrypted(token: str = TOKEN, at: float | None = None) -> dict[str, str]:
    """The parameters of one call with an encrypted token."""
    when = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(time() if at is None else at))
    nonce = secrets.token_bytes(24)
    text = f"{when},{secrets.randbelow(65536)}".encode()
    sealed = SecretBox(sha256(token.encode()).digest()).encrypt(text, nonce).ciphertext
    return {"ctoken": sealed.hex(), "nonce": nonce.hex()}


class Api(Web):
    """A running server; `port` is that of the Bridge HTTP API."""

    async def call(self, path: str, **parameters: Any) -> tuple[int, Any]:
        """Call with a new encrypted token; return the status, and the JSON or the text."""
        return await self.raw(path, {**parameters, **encrypted()})

    async def raw(self, path: str, parameters: dict[str, Any]) -> tuple[int, Any]:
        """Call with these parameters."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(
                f"GET {path}?{urlencode(parameters)} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
            )
            async with asyncio.timeout(patience.HANG_S):
                answer = await reader.read()
        finally:
            writer.close()
        return read(answer)


def read(answer: bytes) -> tuple[int, Any]:
    """Status, and the JSON or the text, of a whole answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    return status, json.loads(body) if b"application/json" in head else body.decode()


@asynccontextmanager
async def api(directory: Path, broker: str, *, more: str = "", log_level: str = "debug") -> AsyncIterator[Api]:
    """Run it until the block ends; `broker` is what web.yaml says of the broker, `more` of the Bridge HTTP API."""
    settings = (
        f"listen: 127.0.0.1\nport: {free_port()}\nstate_dir: {directory}/web-state\nlog_level: {log_level}\n"
        f"broker: {broker}\nbridge_api:\n  token: {TOKEN}\n  listen: 127.0.0.1\n  port: {free_port()}\n{more}"
    )
    async with serving(directory, settings, Api) as running:
        running.port = int((await running.says(r"Bridge HTTP API is on port (\d+)"))[1])
        yield running
    assert TOKEN not in running.log
    assert "ctoken" not in running.log
