"""A program of others that knows only Nuki's MQTT API, beside a lock that the bridge serves (`official_api: serve`).

nuki-sesami opens an electric door as soon as the lock is unlatched: it reads `state`, `doorsensorState` and
`lockActionEvent`, and unlatches the lock by `lockAction`.  Its relays are those of a Raspberry Pi, here in memory.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests import patience
from tests.integration.broker import Broker, Peer
from tests.integration.daemon import CLASSIC, Home, running

pytestmark = pytest.mark.real_time

PROGRAM = Path(__file__).parents[2] / ".venv-nuki-sesami" / "bin" / "nuki-sesami"
ID = "1A2B3C4D"
FRONT = f'locks: [{{name: front, address: "{CLASSIC}", pin: "1234", official_api: serve}}]\n'
OPEN, OPEN_AND_HOLD, CLOSE = "2", "3", "1"
"""What its own topic for requests takes."""


class Sesami:
    """The program, and what it says on its own topics."""

    def __init__(self, directory: Path, peer: Peer) -> None:
        self._log = directory / "var" / "log" / "nuki-sesami" / "nuki-sesami.log"
        self._peer = peer
        self.heard: list[tuple[str, str]] = []

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    async def until_said(self, what: str, times: int = 1) -> None:
        await patience.until(lambda: self.log.count(what) >= times, lambda: self.log)

    async def next(self, topic: str, payload: str) -> None:
        """Wait for that message on a topic of its own."""
        while True:
            message = await self._peer.next()
            if (message.topic, message.payload.decode()) == (f"sesami/{ID}/{topic}", payload):
                return

    def ask(self, request: str) -> None:
        """Do what its phone app does."""
        self._peer.publish(f"sesami/{ID}/request/state", request)


@contextmanager
def _program(directory: Path, port: int) -> Iterator[None]:
    pins = {"pushbutton": 2, "opendoor": 26, "openhold-mode": 20, "openclose-mode": 21}
    settings = {
        "nuki": {"device": ID},
        "mqtt": {"host": "127.0.0.1", "port": port},
        "bluetooth": {"macaddr": "", "channel": 4},
        "gpio": pins,
        "pushbutton": "openhold",
        "lock-unlatch-time": 60,
    }
    (directory / "config.json").write_text(json.dumps(settings))
    (directory / "auth.json").write_text(json.dumps({"username": None, "password": None}))
    with (directory / "out.log").open("wb") as log:
        process = subprocess.Popen(
            [str(PROGRAM), "--prefix", str(directory), "--cpath", str(directory), "--verbose"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "GPIOZERO_PIN_FACTORY": "mock"},
        )
        try:
            yield
        finally:
            process.kill()
            process.wait()


@asynccontextmanager
async def house(directory: Path) -> AsyncIterator[tuple[Home, Sesami]]:
    (directory / "broker").mkdir()
    (directory / "sesami").mkdir()
    with Broker(directory / "broker") as broker:
        async with running(broker, directory, FRONT) as home, Peer(broker) as peer:
            await home.pair()
            await home.until(lambda: home.last(f"{ID}/connected") == "true")
            await peer.subscribe(f"sesami/{ID}/#")
            with _program(directory / "sesami", broker.port):
                sesami = Sesami(directory / "sesami", peer)
                await sesami.until_said("(lock_state) undefined -> locked")
                await sesami.until_said("(doorsensor_state) unknown -> door_closed")
                yield home, sesami


async def test_it_opens_the_door_once_the_bridge_has_unlatched_the_lock(tmp_path: Path) -> None:
    async with house(tmp_path) as (home, sesami):
        sesami.ask(OPEN)
        await sesami.next("relay/opendoor", "1")
        await sesami.until_said("-> unlatching")
        await sesami.until_said("-> unlatched")
        await sesami.until_said("action=unlatch, trigger=mqtt, auth-id=0, code-id=0")
        assert await home.movements() == 1
        result = json.loads(await home.until(lambda: home.last("front/result")))
        assert (result["action"], result["status"]) == ("unlatch", "ok")
        await home.ask("front/simulate", {"door": "open"})
        await sesami.until_said("-> door_opened")


async def test_it_sees_what_people_do_at_the_door(tmp_path: Path) -> None:
    async with house(tmp_path) as (home, sesami):
        await home.ask("front/simulate", {"fob": 1})
        await sesami.until_said("trigger=automatic")
        await sesami.until_said("-> unlocked")
        assert (await home.ask("front/set", "lock"))["status"] == "ok"
        await sesami.until_said("-> locked", 2)
        assert await home.movements() == 2


async def test_it_unlocks_when_it_closes_a_door_that_was_held_open(tmp_path: Path) -> None:
    async with house(tmp_path) as (home, sesami):
        sesami.ask(OPEN_AND_HOLD)
        await sesami.next("relay/openhold", "1")
        await home.until(lambda: home.last("front/state") == "unlocked")
        assert (await home.ask("front/set", "lock"))["status"] == "ok"
        await sesami.until_said("-> locked", 2)
        sesami.ask(CLOSE)
        await sesami.next("relay/openhold", "0")
        await home.until(lambda: home.last("front/state") == "unlocked" and len(home.on("front/result")) == 3)
        assert [json.loads(each)["action"] for each in home.on("front/result")] == ["unlatch", "lock", "unlock"]
        assert await home.movements() == 3
