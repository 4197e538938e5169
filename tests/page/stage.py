"""All that a phone needs: broker with the shipped access list, daemon with virtual locks, `nuki-bridge web`.

Selenium's calls wait, so what plays beside the phone runs on an event loop in a thread of its own; `Stage` is how a
test gets there.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import wait
from pathlib import Path
from typing import Any, TypeVar

from tests import patience
from tests.integration.broker import free_port
from tests.integration.guarded import password
from tests.integration.relayed import Party, party
from tests.page.known import ROOT

T = TypeVar("T")


class Cable:
    """TCP between the page's server and the broker, that can fall silent or be cut."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.mutes: Callable[[bytes], bool] = lambda data: False
        """Whether nothing comes back any more over the connection that carries these bytes; they themselves arrive."""
        self.held = False
        """What phones send is kept back."""
        self.muted = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._connected, "127.0.0.1", port)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        silent = asyncio.Event()
        self._writers |= {writer, back}
        tasks = [
            asyncio.create_task(self._up(reader, back, silent)),
            asyncio.create_task(self._down(there, writer, silent)),
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, back):
            self._writers.discard(each)
            each.close()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silent: asyncio.Event) -> None:
        while data := await reader.read(65536):
            if self.mutes(data):
                self.mutes = lambda data: False
                self.muted += 1
                silent.set()
            while self.held:
                await asyncio.sleep(0.02)
            writer.write(data)

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silent: asyncio.Event) -> None:
        while data := await reader.read(65536):
            if not silent.is_set():
                writer.write(data)


class Stage:
    """Runs until `stop`; `url` is where the page is."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"http://localhost:{self.port}/"
        self._loop = patience.PatientLoop()
        self._ready, self._over = threading.Event(), asyncio.Event()
        self._failure: BaseException | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self.house: Party
        self.cable: Cable
        self._thread = threading.Thread(target=self._run, name="stage", daemon=True)
        self._thread.start()
        patience.blocking_until(self._ready.is_set, limit_s=5 * patience.HANG_S)  # each step has a limit of its own
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._play())
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _play(self) -> None:
        async with party(self.directory) as self.house:
            self.cable = Cable(self.house.broker.port)
            port = free_port()
            cable = await self.cable.serve(port)
            (self.directory / "web.yaml").write_text(
                f"port: {self.port}\nnames: [door.test]\nbroker: {{host: 127.0.0.1, port: {port}}}\n"
                f'guest: {{username: guest, password: "{password("guest")}"}}\n'
            )
            (self.directory / "web.yaml").chmod(0o600)
            self.serve()
            try:
                self._ready.set()
                await self._over.wait()
            finally:
                self.close_page()
                cable.close()
                self.cable.cut()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Have it done on the stage's loop."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        ends = patience.now() + 2 * patience.HANG_S
        while not wait([future], 1).done:
            assert patience.now() < ends
        return future.result()

    def call(self, work: Callable[[], T]) -> T:
        """Call something there."""

        async def run() -> T:
            return work()

        return self.do(run())

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        patience.blocking_until(lambda: not self._thread.is_alive())
        if self._failure is not None:
            raise self._failure

    # -- the page's server --------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Start `nuki-bridge web`."""
        with (self.directory / "web.log").open("ab") as log:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "nuki_bridge", "web", "--config", str(self.directory / "web.yaml")],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self.listens()

    def listens(self) -> None:
        """Wait until it does."""
        import socket
        import time

        deadline = patience.now() + patience.HANG_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._server is not None
                assert self._server.poll() is None, self.log
                assert patience.now() < deadline
                time.sleep(0.05)

    def close_page(self) -> None:
        """End it."""
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGTERM)
            patience.blocking_until(lambda: self._server is None or self._server.poll() is not None, limit_s=10)

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.directory / "web.log").read_text(errors="replace")

    # -- the lock and its owner ---------------------------------------------------------------------------------------

    def simulate(self, **controls: Any) -> dict[str, Any]:
        """What `<lock>/simulate` answers."""
        answer = self.do(self.house.ask("front/simulate", controls))
        assert answer.get("status", "ok") == "ok", answer
        return answer.get("data", answer)  # type: ignore[no-any-return]

    def movements(self) -> int:
        """How often the motor has started."""
        return int(self.simulate(status=True)["movements"])

    def request(self, topic: str, **payload: Any) -> Any:
        """What the owner asks of the lock."""
        answer = self.do(self.house.ask(f"front/request/{topic}", payload))
        assert answer["status"] == "ok", answer
        return answer.get("data")

    def invite(self, name: str = "Anna", **more: Any) -> dict[str, Any]:
        """An invitation: `id`, `code`, …"""
        found: dict[str, Any] = self.request("invite/create", name=name, **more)
        return found

    def frames(self, name: str = "front") -> int:
        """How many frames a lock has sent to guests."""
        topics = [topic for topic, *_ in self.house.heard]
        return sum(topic.startswith(f"{name}/relay/") and topic.endswith("/indicate") for topic in topics)

    def state(self) -> str:
        """What the bridge says of the lock."""
        return str(json.loads(self.house.last("front/status") or "{}").get("state"))
