"""What a test reaches of a machine with a system of its own: a shell, and the lock on its door.

    python -m tests.vm.guest.agent PORT DIRECTORY

Serves requests that come as JSON lines on a virtual serial port, several at a time; each has an `id` that its answers
repeat:

    {"id": 1, "run": ["cat"], "text": "stdin"}    answered by {"id": 1, "status": 0, "output": "stdout and stderr"}
    {"id": 2, "run": […], "lines": true}          before that by {"id": 2, "line": "…"} for each line of its output
    {"id": 3, "lock": {"hold_button": true}}      a control of the virtual lock, answered by {"id": 3, "lock": {…}}
    {"id": 4, "scan": true}                       answered by {"id": 4, "scan": "active"}, or "passive", or null

The lock has its own Bluetooth controller on the air around the machine's adapter.  Its memory and its audit trail are
in `DIRECTORY`: the lock on a door does not forget when a computer nearby is started anew.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from nuki_bridge.simulator.backend import load_locks, save_locks
from nuki_bridge.simulator.behaviour import AuditEntry
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.virtual_device import VirtualDevice
from tests.radio.air import Air

ADDRESS = "54:D2:72:2B:3C:4D"
NUKI_ID = 0x1A2B3C4D
PIN = 1234
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"


class Door:
    """A lock that is always there, with what it remembers."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._memory = directory / "memory.json"
        self._audit = directory / "audit.jsonl"
        self.air = Air()
        self.lock: VirtualDevice

    async def appear(self) -> None:
        """Plug the adapter in and put the lock on the air."""
        self.lock = load_locks(self._memory)[0] if self._memory.exists() else VirtualLock(ADDRESS, NUKI_ID, pin=PIN)
        self.lock.device.audit = Trail(self._audit)
        self.lock.device.on_memory_changed = self.save
        await self.air.add(self.lock, interval_s=0.2)
        await self.air.plug_in()

    def save(self) -> None:
        """Write the lock's memory down."""
        save_locks(self._memory, [self.lock])


class Trail(list[AuditEntry]):
    """An audit trail that is written to a file as it grows: JSON, one entry a line."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("a")

    def append(self, entry: AuditEntry) -> None:
        """Note `entry` down."""
        super().append(entry)
        print(json.dumps(entry.as_dict()), file=self._file, flush=True)


class Agent:
    """Answers requests on the port."""

    def __init__(self, door: Door, port: BinaryIO) -> None:
        self._door = door
        self._port = port
        self._running: set[asyncio.Task[None]] = set()

    def handle(self, line: bytes) -> None:
        """Begin to serve one request."""
        task = asyncio.create_task(self._serve(json.loads(line)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def say(self, **answer: Any) -> None:
        """Send one line."""
        self._port.write(json.dumps(answer).encode() + b"\n")
        self._port.flush()

    async def _serve(self, request: dict[str, Any]) -> None:
        number = request.pop("id")
        answer: dict[str, Any]
        try:
            if "lock" in request:
                answer = {"lock": self._door.lock.control(request["lock"])}
                self._door.save()
            elif "scan" in request:
                answer = {"scan": self._door.air.scan}
            else:
                answer = await self._run(number, **request)
        except (OSError, ValueError) as error:
            answer = {"error": str(error)}
        self.say(id=number, **answer)

    async def _run(self, number: int, *, run: list[str], lines: bool = False, text: str = "") -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            *run,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd="/",
            env={"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"},
            start_new_session=True,
        )
        if not lines:
            output, _ = await process.communicate(text.encode())
            return {"status": process.returncode, "output": output.decode(errors="replace")}
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self.say(id=number, line=line.decode(errors="replace").rstrip("\n"))
        return {"status": await process.wait(), "output": ""}


async def main(port: BinaryIO, directory: Path) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    agent = Agent(door := Door(directory), port)
    await door.appear()

    def listen() -> None:
        for line in port:
            loop.call_soon_threadsafe(agent.handle, line)

    threading.Thread(target=listen, daemon=True, name="requests").start()
    agent.say(hello=True)
    await stop.wait()
    door.save()


if __name__ == "__main__":
    with open(sys.argv[1], "r+b", buffering=0) as raw:
        asyncio.run(main(io.BufferedRWPair(raw, raw), Path(sys.argv[2])))  # type: ignore[arg-type]
        # A thread still reads, and would never end.
        os._exit(0)
