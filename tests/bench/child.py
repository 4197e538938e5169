"""A process of the benchmark that is asked by JSON lines on stdin and answers each with one on stdout.

Both ends are here.  Needs the standard library only: one of the processes runs in an environment without this project.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

ANSWER_S = 120.0
"""Longest wait for an answer."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Processor time that a process has used so far, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


async def serve(**do: Callable[..., Awaitable[Any]]) -> None:
    """Answer `{"do": NAME, ...}` with what the function of that name returns, until stdin ends."""
    requests = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    while line := await requests.readline():
        request = json.loads(line)
        answer = await do[request.pop("do")](**request)
        print(json.dumps(answer), flush=True)


class Process:
    """A process, what it has used up, and its end; `log` gets its stderr, and its stdout unless that is piped."""

    def __init__(self, command: Sequence[str], log: Path, *, piped: bool = False) -> None:
        with log.open("ab") as file:
            pipe = subprocess.PIPE if piped else None
            self._process = subprocess.Popen(
                command, stdin=pipe or subprocess.DEVNULL, stdout=pipe or file, stderr=file
            )
        self.name = f"{' '.join(command[-2:])} (see {log.name})"

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """SIGTERM, or the end of stdin for one that is asked there; returns when it is gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        else:
            self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self._process.pid

    def cpu_s(self) -> float:
        """Processor time used so far, in user and kernel mode."""
        return cpu_s(self._process.pid)

    def rss_mib(self) -> float:
        """Resident memory, shared pages included."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def open_files(self) -> int:
        """Files and connections that it has open."""
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))


class Child(Process):
    """The asking end of `serve`."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        super().__init__(command, log, piped=True)

    def __enter__(self) -> Child:
        return self

    def ask(self, do: str, **arguments: Any) -> Any:
        """The answer to one request."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        stdin.flush()
        deadline = time.monotonic() + ANSWER_S
        ready, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
        line = stdout.readline() if ready else b""
        if not line:
            raise RuntimeError(f"no answer to {do!r} from {self.name}")
        return json.loads(line)
