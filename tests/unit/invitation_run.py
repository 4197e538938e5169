"""One life of an invitation, for a process of its own, which kills itself at a chosen durable step."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nuki_bridge.database import Database
from nuki_bridge.protocol.codes import Family
from nuki_bridge.simulator.backend import load_locks, save_locks
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.radio import VirtualRadio
from nuki_bridge.topics.topics import Publication
from tests.unit.house import House
from tests.unit.invited import Guest, invite
from tests.unit.rig import now
from tests.virtual_time import VirtualTimeLoop

LOCKS = "locks.json"
TOLD = "told.jsonl"
CLIENT = "0123456789abcdef0123456789abcdef"


class Doomed:
    """Counts the steps of this process and ends it at one of them."""

    def __init__(self, step: int, moment: str) -> None:
        self._left = step
        self._moment = moment
        self.armed = False

    def at(self, moment: str) -> None:
        if not self.armed or moment != self._moment:
            return
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Recording(House):
    """A house whose locks outlive it, and which writes down what it publishes as it leaves."""

    def __init__(self, directory: Path, doomed: Doomed) -> None:
        super().__init__(directory / "state")
        file = directory / LOCKS
        if file.exists():
            self.classic, self.ultra = (each for each in load_locks(file) if isinstance(each, VirtualLock))
        assert self.ultra.family is Family.ULTRA
        self.radio = VirtualRadio([self.classic, self.ultra], clock=now)
        self._told = os.open(directory / TOLD, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        note = self.classic.device.note

        def remember(what: str, *arguments: Any, **more: Any) -> Any:
            result = note(what, *arguments, **more)
            if what in ("invited", "removed", "paired"):
                asyncio.get_running_loop().call_soon(save)
            return result

        def save() -> None:
            save_locks(file, [self.classic, self.ultra])
            doomed.at("lock")

        self.classic.device.note = remember  # type: ignore[method-assign]

    def _publish(self, publication: Publication) -> bool:
        if "/response" in publication.topic:
            line = json.dumps({"topic": publication.topic, "payload": publication.payload.hex()})
            os.write(self._told, f"{line}\n".encode())
        return super()._publish(publication)


def doom(doomed: Doomed) -> None:
    """Have every transaction of every store pass by `doomed`."""
    original = Database.transaction

    @contextlib.contextmanager
    def transaction(self: Database) -> Iterator[sqlite3.Connection]:
        with original(self) as db:
            yield db
            doomed.at("commit")
        doomed.at("done")

    Database.transaction = transaction  # type: ignore[method-assign]


async def life(directory: Path, end: str, doomed: Doomed) -> None:
    """Pair, invite, end the invitation, and start once more when it may be forgotten."""
    house = Recording(directory, doomed)
    async with house.running():
        await house.pair(name="front", pin="1234")
        doomed.armed = True
        data = await invite(house, expires_in="1h")
        if end == "redeem":
            guest = Guest(data["code"], CLIENT)
            assert guest.redeem(house)["user"] == "Anna"
            await asyncio.sleep(700.0)
        elif end == "revoke":
            await house.ask("front/request/invite/revoke", {"id": data["id"]})
        else:
            house.radio.interval_s = 60.0  # nobody need look every second
            await asyncio.sleep(3700.0)
    await asyncio.sleep(8 * 24 * 3600.0)  # not running, which costs nothing
    async with Recording(directory, doomed).running():
        await asyncio.sleep(5.0)


def main(directory: Path, end: str, step: int, moment: str) -> None:
    """Live in virtual time, and be killed.

    `end` is what is done with the invitation: redeem, revoke or expire.  The process gets SIGKILL at its `step`-th
    transaction with the database after pairing, at `moment`: commit (everything said but COMMIT), done, or lock
    (just after the lock's memory, which outlives the process, has changed for the `step`-th time).  What it told the
    world goes to `told.jsonl` in `directory` as it leaves.
    """
    doomed = Doomed(step, moment)
    doom(doomed)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(life(directory, end, doomed))
