"""The installed daemon beside a real broker: started as a user would, watched and asked over MQTT only."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.broker import Broker, Peer

PROGRAM = Path(sys.executable).parent / "nuki-bridge"
"""The entry point that pip installed beside this Python."""


class Program:
    """`nuki-bridge run` with a configuration of its own; `async with` starts and ends it.

    `account` is more of the configuration's `mqtt` and `peer` connects the observer, where the broker asks who comes.
    `retained` is the newest payload of every topic below `nuki/`, `log` everything that was received, in order.
    """

    def __init__(
        self,
        directory: Path,
        broker: Broker,
        *,
        bluetooth: str = "{}",
        locks: str = "[]",
        account: str = "",
        peer: Callable[[], Peer] | None = None,
    ) -> None:
        self.directory = directory
        self.broker = broker
        self._connect = peer or (lambda: Peer(broker))
        self.config = directory / "config.yaml"
        self.config.write_text(
            f"mqtt: {{host: 127.0.0.1, port: {broker.port}{account}}}\n"
            f"bluetooth: {bluetooth}\nlocks: {locks}\nstate_dir: {directory}/state\nlog_level: debug\n"
        )
        self.log: list[tuple[str, str]] = []
        self.retained: dict[str, str] = {}
        self.pid = 0
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._peer: Peer
        self._listener: asyncio.Task[None]

    async def __aenter__(self) -> Program:
        self._peer = self._connect()
        await self._peer.subscribe("nuki/#")
        self._listener = asyncio.create_task(self._listen())
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        self._listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listener
        self._peer.close()

    async def start(self) -> None:
        """Start it and wait until it is online; its log goes to `VM_RESULTS`, or beside the configuration."""
        results = Path(os.environ.get("VM_RESULTS", self.directory))
        self.retained.pop("bridge/state", None)
        with (results / f"nuki-bridge-{self.directory.name}.log").open("ab") as file:
            self._process = await asyncio.create_subprocess_exec(
                PROGRAM, "run", "--config", self.config, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file
            )
        self.pid = self._process.pid
        await self.until("bridge/state", "online", 60)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int | None:
        """End it; returns its exit status."""
        process, self._process = self._process, None
        if process is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        async with asyncio.timeout(20):
            return await process.wait()

    async def _listen(self) -> None:
        while True:
            message = await self._peer.next(3600)
            topic = message.topic.removeprefix("nuki/")
            payload = message.payload.decode(errors="replace")  # what guests send is encrypted
            self.log.append((topic, payload))
            self.retained[topic] = payload
            self._changed.set()
            self._changed = asyncio.Event()

    async def until(self, topic: str, payload: str, timeout_s: float = 30) -> float:
        """Wait until the newest payload on `topic` is `payload`; returns how long it took in seconds."""
        start = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                while self.retained.get(topic) != payload:
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"{topic} did not become {payload!r} within {timeout_s} s, it is {self.retained.get(topic)!r}"
            ) from None
        return time.monotonic() - start

    async def heard(self, condition: Callable[[list[tuple[str, str]]], object], timeout_s: float = 60) -> None:
        """Wait until `condition` is true of what was received since now."""
        start = len(self.log)
        async with asyncio.timeout(timeout_s):
            while not condition(self.log[start:]):
                await self._changed.wait()

    async def ask(
        self, topic: str, arguments: dict[str, Any], answer: str, timeout_s: float, **properties: Any
    ) -> dict[str, Any]:
        """Publish JSON with a transaction of our own and return the answer to it; `properties` are MQTT 5's."""
        transaction = next(self._numbers)
        seen = len(self.log)
        self._peer.send(f"nuki/{topic}", json.dumps({**arguments, "transaction": transaction}), **properties)
        async with asyncio.timeout(timeout_s):
            while True:
                for heard, payload in self.log[seen:]:
                    if heard == answer and (data := json.loads(payload)).get("transaction") == transaction:
                        assert isinstance(data, dict)
                        return data
                seen = len(self.log)
                await self._changed.wait()

    async def request(self, topic: str, timeout_s: float = 90, **arguments: Any) -> dict[str, Any]:
        """A request such as `bridge/request/scan`."""
        return await self.ask(topic, arguments, topic.replace("/request/", "/response/"), timeout_s)

    async def act(self, lock: str, action: str, timeout_s: float = 90, expiry_s: int | None = None) -> dict[str, Any]:
        """A lock action through `<lock>/set`, which may be carried out within `expiry_s` (MQTT 5's message expiry)."""
        expiry = {} if expiry_s is None else {"MessageExpiryInterval": expiry_s}
        return await self.ask(f"{lock}/set", {"action": action}, f"{lock}/result", timeout_s, **expiry)
