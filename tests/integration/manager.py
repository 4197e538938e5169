"""A service manager that is told what systemd would be told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import patience


class Manager:
    """systemd's end of the notification socket."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "notify"
        self.heard: list[tuple[float, str]] = []
        """Each line with the time when it came (monotonic)."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while True:
            datagram = await asyncio.get_running_loop().sock_recv(self._socket, 65536)
            now = patience.now()
            self.heard += [(now, line) for line in datagram.decode().splitlines()]

    def close(self) -> None:
        self._task.cancel()
        self._socket.close()

    @property
    def lines(self) -> list[str]:
        """What was told, without the watchdog's food."""
        return [line for _, line in self.heard if line != "WATCHDOG=1"]

    @property
    def fed_at(self) -> list[float]:
        return [at for at, line in self.heard if line == "WATCHDOG=1"]

    @property
    def status(self) -> str:
        return next((line for line in reversed(self.lines) if line.startswith("STATUS=")), "").removeprefix("STATUS=")

    async def until(self, what: Callable[[], Any], timeout_s: float = patience.HANG_S) -> None:
        deadline = patience.now() + timeout_s
        while not what():
            assert patience.now() < deadline, self.heard[-30:]
            await asyncio.sleep(0.02)

    async def until_fed(self, times: int, timeout_s: float = patience.HANG_S) -> None:
        before = len(self.fed_at)
        await self.until(lambda: len(self.fed_at) >= before + times, timeout_s)
