"""What many phones cost `nuki-bridge web`: memory, processor time and open files, over TLS.

Each phone loads the whole page, as a first visit does, and then keeps its WebSocket.  Behind the server is a broker
alone: what counts is the server.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests import patience
from tests.bench.child import Process
from tests.bench.table import spread
from tests.integration.broker import Broker, free_port, make_ca, make_certificate
from tests.integration.web import login, publish, receive, subscribe

PASSWORD = "guests-secret"
PING = b"\xc0\x00"
IDLE_S = 20.0
PING_S = 24.0
"""So often a phone pings."""
ROUNDS = 5
"""Messages there and back of each phone,"""
ROUND_S = 2.5
"""and the time for one of all, so that they stay below what guests may send."""


class Crowd:
    """One server, and phones at it."""

    def __init__(self, server: Process, port: int, context: ssl.SSLContext, names: Collection[str]) -> None:
        self._server = server
        self._port = port
        self._context = context
        self._names = names
        self._phones: list[ClientConnection] = []

    async def come(self, count: int) -> float:
        """Let phones come one after the other until there are so many; gives the server's milliseconds for each."""
        new = count - len(self._phones)
        before = self._server.cpu_s()
        for _ in range(new):
            await self._visit()
            self._phones.append(await self._tunnel(f"t/{len(self._phones)}"))
        return (self._server.cpu_s() - before) * 1000 / new

    async def _visit(self) -> None:
        """Load every file of the page over one connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context)
        for name in sorted(self._names):
            writer.write(f"GET {name} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert head.startswith("HTTP/1.1 200"), head
            length = next(line for line in head.lower().splitlines() if line.startswith("content-length:"))
            await reader.readexactly(int(length.partition(":")[2]))
        writer.close()
        await writer.wait_closed()

    async def _tunnel(self, topic: str) -> ClientConnection:
        where = f"localhost:{self._port}"
        phone = await connect(
            f"wss://{where}/mqtt",
            host="127.0.0.1",
            origin=f"https://{where}",  # type: ignore[arg-type]
            subprotocols=["mqtt"],  # type: ignore[list-item]
            compression=None,
            ssl=self._context,
            ping_interval=None,
        )
        assert await login(phone) == 0
        await phone.send(subscribe(topic, qos=0))
        assert (await receive(phone))[0] == 0x90
        return phone

    async def idle(self, seconds: float) -> float:
        """Percent of a processor while the phones only ping, each in its turn."""
        before, start = self._server.cpu_s(), time.monotonic()
        pause_s = PING_S / len(self._phones)
        number = 0
        while time.monotonic() < start + seconds:
            phone = self._phones[number % len(self._phones)]
            await phone.send(PING)
            await receive(phone)
            number += 1
            await asyncio.sleep(max(0.0, start + number * pause_s - time.monotonic()))
        return (self._server.cpu_s() - before) / (time.monotonic() - start) * 100

    async def talk(self) -> tuple[list[float], float]:
        """Each phone publishes and hears of it; milliseconds of all, and the server's processor time for each."""
        took: list[float] = []
        before = self._server.cpu_s()
        for _ in range(ROUNDS):
            start = time.monotonic()
            for number, phone in enumerate(self._phones):
                sent = time.monotonic()
                await phone.send(publish(f"t/{number}", bytes(150)))
                assert (await receive(phone))[0] & 0xF0 == 0x30
                took.append((time.monotonic() - sent) * 1000)
            await asyncio.sleep(max(0.0, start + ROUND_S - time.monotonic()))
        return took, (self._server.cpu_s() - before) * 1000 / len(took)

    async def leave(self) -> None:
        """All of them."""
        for phone in self._phones:
            await phone.close()

    def now(self) -> dict[str, Any]:
        """What the server has at this moment."""
        return {
            "phones": len(self._phones),
            "rss_mib": self._server.rss_mib(),
            "files": self._server.open_files(),
        }


async def measure(names: Collection[str], counts: tuple[int, ...] = (20, 100)) -> list[dict[str, Any]]:
    """The server alone, and with so many phones; `names` are the paths that a phone loads."""
    with tempfile.TemporaryDirectory(prefix="nuki-bridge-bench-") as temporary:
        directory = Path(temporary)
        (directory / "broker").mkdir()
        port = free_port()
        make_ca(directory / "ca.pem", directory / "ca.key")
        certificate, key = directory / "web.pem", directory / "web.key"
        make_certificate(directory / "ca.pem", directory / "ca.key", certificate, key, "DNS:localhost,IP:127.0.0.1")
        with Broker(directory / "broker", users={"guest": PASSWORD}, options=("log_type none",)) as broker:
            config = directory / "web.yaml"
            config.write_text(
                f"listen: 127.0.0.1\nport: {port}\nnames: [localhost]\ntls: {{cert: {certificate}, key: {key}}}\n"
                f"broker: {{host: 127.0.0.1, port: {broker.port}}}\n"
                f"guest: {{username: guest, password: {PASSWORD}}}\n"
            )
            for each in (config, key):
                each.chmod(0o600)
            command = [sys.executable, "-m", "nuki_bridge", "web", "--config", str(config)]
            with Process(command, directory / "web.log") as server:
                await _listens(port, directory / "web.log")
                crowd = Crowd(server, port, ssl.create_default_context(cafile=str(directory / "ca.pem")), names)
                found = [crowd.now()]
                for count in counts:
                    joined_ms = await crowd.come(count)
                    took, message_ms = await crowd.talk()
                    idle_percent = await crowd.idle(IDLE_S)
                    found.append(
                        {
                            **crowd.now(),
                            "join_cpu_ms": joined_ms,
                            "idle_cpu_percent": idle_percent,
                            "message_ms": spread(took),
                            "message_cpu_ms": message_ms,
                        }
                    )
                await crowd.leave()
    return found


async def _listens(port: int, log: Path) -> None:
    deadline = patience.now() + patience.HANG_S
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if patience.now() > deadline:
                said = await asyncio.to_thread(log.read_text)
                raise RuntimeError(f"nuki-bridge web does not listen:\n{said}") from None
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
