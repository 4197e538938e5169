"""The command line as a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass

from tests import patience


def said(err: str) -> str:
    """Standard error without the lines such as "connecting to ... ..." of whatever takes longer than a second."""
    return "".join(line for line in err.splitlines(keepends=True) if not line.endswith(" ...\n"))


@dataclass
class Result:
    """How a process ended."""

    status: int
    out: str
    err: str
    seconds: float

    @property
    def lines(self) -> list[str]:
        """What it has said on standard error, but for what it says on a slow machine alone."""
        return said(self.err).splitlines()


class Process:
    """`nuki-bridge ARGUMENTS`, running."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._began = patience.now()

    async def line(self, timeout_s: float = patience.HANG_S) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        async with asyncio.timeout(timeout_s):
            return (await self.process.stdout.readline()).decode()

    async def end(self, timeout_s: float = patience.HANG_S) -> Result:
        """Wait for its end."""
        async with asyncio.timeout(timeout_s):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        seconds = patience.now() - self._began
        return Result(self.process.returncode, out.decode(), err.decode(), seconds)


async def start(*arguments: str, stdin: str = "", **environment: str) -> Process:
    """Start `nuki-bridge ARGUMENTS`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nuki_bridge", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    assert process.stdin is not None
    process.stdin.write(stdin.encode())
    process.stdin.close()
    return Process(process)


async def call(*arguments: str, stdin: str = "", **environment: str) -> Result:
    """Run `nuki-bridge ARGUMENTS` to its end; whatever happens, it shows no traceback."""
    result = await (await start(*arguments, stdin=stdin, **environment)).end()
    assert "Traceback" not in result.err
    return result
