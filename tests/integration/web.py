"""`nuki-bridge web` as a process, and a phone's WebSocket that speaks MQTT by hand."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from websockets.asyncio.client import ClientConnection, connect

from nuki_bridge.web import files
from tests import patience

ROOT = Path(__file__).parents[2]
RUN = """
import asyncio, sys
from pathlib import Path
from nuki_bridge.web import process, settings
sys.exit(asyncio.run(process.run(settings.load(Path(sys.argv[1])), page=Path(sys.argv[2]))))
"""


class Web:
    """A running server; `log` is what it has said."""

    def __init__(self, process: asyncio.subprocess.Process | None, log: Path, port: int = 0) -> None:
        self._process = process
        self._log = log
        self.port = port
        self.scheme = "ws"

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def rss_mib(self) -> float:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found
        return int(found[1]) / 1024

    async def says(self, pattern: str) -> re.Match[str]:
        """Wait until its log has this."""
        deadline = patience.now() + patience.HANG_S
        while patience.now() < deadline:
            if found := re.search(pattern, self.log):
                return found
            assert self.process.returncode is None, self.log
            await asyncio.sleep(0.02)
        raise AssertionError(f"it never said {pattern}:\n{self.log}")

    async def phone(self, origin: str | None = "", **options: Any) -> ClientConnection:
        """A WebSocket from our own page, or from the one at `origin`."""
        where = f"127.0.0.1:{self.port}"
        mine = f"http{'s' if self.scheme == 'wss' else ''}://{where}"
        settings: dict[str, Any] = {"subprotocols": ["mqtt"], "compression": None, "max_size": None, **options}
        return await connect(f"{self.scheme}://{where}/mqtt", origin=mine if origin == "" else origin, **settings)  # type: ignore[arg-type]

    async def get(self, request: bytes, context: ssl.SSLContext | None = None) -> bytes:
        """What it answers to this, until it ends the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        writer.write(request)
        try:
            async with asyncio.timeout(patience.HANG_S):
                return await reader.read()
        finally:
            writer.close()

    async def hung_up_on(self, request: bytes, pattern: str, times: int) -> None:
        """Send this, and go as soon as its log has the pattern so often, without waiting for the answer."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        await patience.until(lambda: len(re.findall(pattern, self.log)) >= times, lambda: self.log)
        writer.close()


W = TypeVar("W", bound=Web)


def make_page(directory: Path) -> Path:
    """A page of one line, in a directory of its own."""
    page = directory / "page"
    page.mkdir(exist_ok=True)
    (page / "index.html").write_text("<!doctype html><title>page</title>")
    fetch_nacl(page)
    return page


async def begin(directory: Path, page: Path | None = None) -> asyncio.subprocess.Process:
    """Start it with the `web.yaml` of a directory, and its own page or this one; it goes on writing `web.log` there."""
    file = directory / "web.yaml"
    if page is None:
        fetch_nacl()
        program = ["-m", "nuki_bridge", "web", "--config", str(file)]
    else:
        program = ["-c", RUN, str(file), str(page)]
    with (directory / "web.log").open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, *program),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=output,
        )


def fetch_nacl(page: Path = files.PAGE) -> None:
    """What `make` does before it runs the tests."""
    subprocess.run([ROOT / ".ci" / "nacl", page / "vendor" / "nacl-fast.js"], check=True, capture_output=True)


@asynccontextmanager
async def serving(
    directory: Path, settings: str, kind: Callable[[asyncio.subprocess.Process, Path], W], page: Path | None = None
) -> AsyncIterator[W]:
    """Run it with this configuration until the block ends; it has to stop then, without a traceback in its log."""
    file, log = directory / "web.yaml", directory / "web.log"
    file.write_text(settings)
    file.chmod(0o600)
    log.write_bytes(b"")
    running = kind(await begin(directory, page), log)
    try:
        running.port = int((await running.says(r"serves on port (\d+)"))[1])
        yield running
        if running.process.returncode is None:
            running.process.terminate()
        async with asyncio.timeout(patience.HANG_S):
            assert await running.process.wait() == 0, running.log
        assert "Traceback" not in running.log, running.log
    finally:
        if running.process.returncode is None:
            running.process.kill()
            await running.process.wait()


@asynccontextmanager
async def web(directory: Path, settings: str) -> AsyncIterator[Web]:
    """Run it with this configuration and a page of one line until the block ends."""
    async with serving(directory, settings, Web, make_page(directory)) as running:
        yield running


# -- MQTT by hand -----------------------------------------------------------------------------------------------------


def text(data: str) -> bytes:
    return struct.pack(">H", len(data.encode())) + data.encode()


def packet(kind: int, body: bytes) -> bytes:
    length, left = bytearray(), len(body)
    while True:
        left, low = left >> 7, left & 0x7F
        length.append(low | (0x80 if left else 0))
        if not left:
            return bytes((kind,)) + length + body


def mqtt_connect(name: str = "", account: tuple[str, str] | None = None, version: int = 5) -> bytes:
    body = text("MQTT") + bytes((version, 0x02 | (0xC0 if account else 0))) + b"\0\x3c"
    body += (b"\0" if version == 5 else b"") + text(name)
    for each in account or ():
        body += text(each)
    return packet(0x10, body)


def publish(topic: str, payload: bytes) -> bytes:
    """At QoS 0, MQTT 5."""
    return packet(0x30, text(topic) + b"\0" + payload)


def subscribe(*filters: str, qos: int = 1) -> bytes:
    return packet(0x82, b"\0\x01\0" + b"".join(text(each) + bytes((qos,)) for each in filters))


async def login(phone: ClientConnection, **options: Any) -> int:
    """Log in; gives the reason code of the broker."""
    await phone.send(mqtt_connect(**options))
    answer = await receive(phone)
    assert answer[0] == 0x20
    return answer[3]


async def receive(phone: ClientConnection) -> bytes:
    async with asyncio.timeout(patience.HANG_S):
        message = await phone.recv()
    assert isinstance(message, bytes)
    return message
