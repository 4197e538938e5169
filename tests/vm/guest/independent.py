"""A client that others wrote: pyNukiBT, in an environment and a process of its own (`pynukibt_client.py`)."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PYTHON = Path(__file__).resolve().parents[3] / ".venv-pynukibt" / "bin" / "python"
SCRIPT = Path(__file__).with_name("pynukibt_client.py")


class Independent:
    """The other client's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """One request; returns the answer as it came."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        async with asyncio.timeout(90):
            line = await self.process.stdout.readline()
        assert line, f"pyNukiBT ended during {do!r}, see its log in $VM_RESULTS"
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer

    async def get(self, do: str, **arguments: Any) -> Any:
        """One request that must succeed; returns what came of it."""
        answer = await self.ask(do, **arguments)
        assert "ok" in answer, (do, answer)
        return answer["ok"]


@asynccontextmanager
async def an_independent_client(name: str, address: str) -> AsyncIterator[Independent]:
    """pyNukiBT for the device at `address`; its log is named after `name`."""
    assert PYTHON.exists(), f"{PYTHON} is missing; `make deps` makes it"
    with (Path(os.environ["VM_RESULTS"]) / f"pynukibt-{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(PYTHON, "-I", SCRIPT, address),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        yield Independent(process)
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def is_now(moment: str) -> bool:
    """The other client read the lock's clock, which shows UTC."""
    return abs((datetime.fromisoformat(moment).replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()) < 60
