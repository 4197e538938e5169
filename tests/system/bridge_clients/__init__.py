"""Clients of the Bridge HTTP API that others wrote, each in an interpreter of its own.

A line of JSON asks, a line of JSON answers.  The scripts beside this file know nothing of this project: they call a
library by the names of its own methods.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests import patience

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
PYNUKI = (ROOT / ".venv-pynuki" / "bin" / "python", "-I", HERE / "pynuki_client.py")
NUKI_BRIDGE_API = ("node", HERE / "nuki_bridge_api.cjs")
HB_NB_TOOLS = ("node", HERE / "hb_nb_tools.mjs")
NODE_TREE = ROOT / ".cache" / "node-red" / "node_modules"


class Client:
    """A library in its process."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def ask(self, do: str, *arguments: Any) -> dict[str, Any]:
        """Call; gives `{"ok": what came}` or `{"error": what was raised}`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, "with": arguments}).encode() + b"\n")
        async with asyncio.timeout(patience.HANG_S):
            line = await self._process.stdout.readline()
        assert line, f"it ended during {do}:\n{self._log.read_text()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def get(self, do: str, *arguments: Any) -> Any:
        """Call; gives what came of it."""
        answer = await self.ask(do, *arguments)
        assert "ok" in answer, (do, answer, self._log.read_text()[-2000:])
        return answer["ok"]


@asynccontextmanager
async def client(command: tuple[str | Path, ...], directory: Path) -> AsyncIterator[Client]:
    """Run one of the scripts; its log goes to `directory`."""
    log = directory / f"{Path(command[-1]).stem}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            cwd=NODE_TREE.parent if command[0] == "node" else None,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "NODE_TREE": str(NODE_TREE)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
        )
    try:
        yield Client(process, log)
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(patience.HANG_S):
            assert await process.wait() == 0, log.read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
