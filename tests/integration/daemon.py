"""The daemon as a process of its own with virtual locks, and an observer of everything that it publishes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests import patience
from tests.documented import mistake
from tests.integration.broker import Broker, Peer, Received

CLASSIC = "54:D2:72:2B:3C:4D"
ULTRA = "54:D2:72:3D:4E:5F"
OPENER = "54:D2:72:4F:50:61"
PIN = "123456"


class Daemon:
    """`nuki-bridge run` with the virtual backend; `program` is the module that takes the command line."""

    def __init__(
        self, directory: Path, port: int, extra: str = "", *, program: str = "nuki_bridge", log_level: str = "debug"
    ) -> None:
        self.directory = directory
        self._program = program
        self.config = directory / "config.yaml"
        self.config.write_text(
            f"mqtt: {{host: 127.0.0.1, port: {port}}}\n"
            "bluetooth: {backend: virtual}\n"
            f"state_dir: {directory}/state\n"
            f"log_level: {log_level}\n{extra}"
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.directory / "daemon.log").read_text(errors="replace")

    def memory_kib(self) -> int:
        """Resident set size."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0])

    def mapped(self) -> str:
        """What files it has in memory, libraries among them."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/maps").read_text()

    def start(self, **environment: str) -> None:
        with (self.directory / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self._program, "run", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
            )

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self, timeout_s: float) -> int:
        assert self.process is not None
        deadline = patience.now() + timeout_s
        while self.process.poll() is None:
            assert patience.now() < deadline, f"the daemon does not end:\n{self.log}"
            await asyncio.sleep(0.02)
        return self.process.returncode

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Home:
    """Broker, daemon and an observer that remembers everything published."""

    def __init__(self, broker: Broker, daemon: Daemon, peer: Peer) -> None:
        self.broker = broker
        self.daemon = daemon
        self.peer = peer
        self.heard: list[tuple[str, str, bytes | None]] = []
        """Topic without the base, payload, correlation data; in the order in which they came."""
        self._undocumented: set[str] = set()
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while True:
            message = await self.peer.next(3600)
            correlation = getattr(message.properties, "CorrelationData", None)
            if self._is_of_the_bridge(message):
                wrong = mistake(message.topic, message.payload, retained=message.retain)
                self._undocumented |= {wrong} if wrong is not None else set()
            self.heard.append(
                (message.topic.removeprefix("nuki/"), message.payload.decode(errors="replace"), correlation)
            )

    def _is_of_the_bridge(self, message: Received) -> bool:
        """Whether the bridge has published it, so that it must be documented."""
        return (message.topic, message.payload) not in self.peer.sent

    def close(self) -> None:
        """Everything that the daemon published must stand in docs/asyncapi.yaml."""
        self._task.cancel()
        self.peer.close()
        assert not self._undocumented, "\n".join(sorted(self._undocumented))

    def last(self, topic: str) -> str | None:
        return next((payload for each, payload, _ in reversed(self.heard) if each == topic), None)

    def on(self, topic: str) -> list[str]:
        return [payload for each, payload, _ in self.heard if each == topic]

    async def until(self, what: Callable[[], Any], timeout_s: float = patience.HANG_S) -> Any:
        deadline = patience.now() + timeout_s
        while not (found := what()):
            assert patience.now() < deadline, f"{self.heard[-20:]}\n{self.daemon.log}"
            await asyncio.sleep(0.02)
        return found

    async def online(self) -> None:
        await self.until(lambda: self.last("bridge/state") == "online")

    async def ask(
        self, topic: str, payload: Any = "", timeout_s: float = patience.HANG_S, **properties: Any
    ) -> dict[str, Any]:
        """Publish and await the next message on the topic where the answer belongs."""
        is_request = "/request/" in topic
        answer = topic.replace("/request/", "/response/") if is_request else topic.replace("/set", "/result")
        answer += "/response" if topic.endswith("/simulate") else ""
        before = len(self.on(answer))
        self.peer.publish(f"nuki/{topic}", json.dumps(payload) if isinstance(payload, dict) else payload, **properties)
        await self.until(lambda: len(self.on(answer)) > before, timeout_s)
        told: dict[str, Any] = json.loads(self.on(answer)[before])
        return told

    async def pair(self, address: str = CLASSIC, name: str = "front", **more: Any) -> None:
        answer = await self.ask("bridge/request/pair", {"address": address, "name": name, **more})
        assert answer["status"] == "ok", answer
        await self.ask(f"{name}/simulate", {"motor_s": 0.1})
        await self.until(lambda: self.last(f"{name}/state"))

    async def audit(self, name: str = "front") -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = (await self.ask(f"{name}/simulate", {"audit": True}))["data"]["audit"]
        return entries

    async def movements(self, name: str = "front") -> int:
        return int((await self.ask(f"{name}/simulate", {"status": True}))["data"]["movements"])


@asynccontextmanager
async def running(
    broker: Broker, tmp_path: Path, extra: str = "", *, topics: str = "#", **options: str
) -> AsyncIterator[Home]:
    """The daemon, and an observer of these topics; `options` are those of `Daemon`."""
    daemon = Daemon(tmp_path, broker.port, extra, **options)
    peer = Peer(broker)
    await peer.subscribe(f"nuki/{topics}")
    home = Home(broker, daemon, peer)
    daemon.start()
    try:
        await home.online()
        yield home
    finally:
        home.close()
        daemon.kill()


@asynccontextmanager
async def at_home(directory: Path, protocol: str = "auto") -> AsyncIterator[Home]:
    """The daemon with a paired lock, and an observer of all but what guests publish."""
    (directory / "broker").mkdir()
    with Broker(directory / "broker") as broker:
        daemon, peer = Daemon(directory, broker.port), Peer(broker)
        settings = daemon.config.read_text()
        daemon.config.write_text(settings.replace("mqtt: {", f'mqtt: {{protocol: "{protocol}", '))
        for topic in (
            "bridge/+",
            "bridge/response/#",
            "+/state",
            "+/availability",
            "+/result",
            "+/response/#",
            "+/simulate/#",
        ):
            await peer.subscribe(f"nuki/{topic}")
        home = Home(broker, daemon, peer)
        daemon.start()
        try:
            await home.online()
            await home.pair()
            yield home
        finally:
            home.close()
            daemon.kill()


async def watching(broker: Broker, daemon: Daemon) -> Home:
    peer = Peer(broker)
    await peer.subscribe("nuki/#")
    return Home(broker, daemon, peer)
