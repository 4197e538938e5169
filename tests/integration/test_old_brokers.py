"""Brokers that speak MQTT 3.1.1 alone and do not say so: daemon, command line and guest find out by themselves.

They are a real mosquitto behind a TCP forwarder that treats a CONNECT in MQTT 5 as amqtt and RabbitMQ 3.10 do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from tests.integration.broker import Broker, Peer
from tests.integration.command import Result, call
from tests.integration.daemon import Daemon, Home

pytestmark = pytest.mark.real_time

Habit = Literal["silent", "hangs up", "says so"]
CONNECT = 0x10
LEVEL_5 = b"MQTT\x05"
UNACCEPTABLE_VERSION = bytes.fromhex("20020001")
"""CONNACK of MQTT 3.1.1."""


class OldBroker:
    """A port before `broker` on which MQTT 5 meets `habit`."""

    def __init__(self, broker: Broker, habit: Habit) -> None:
        self._broker = broker
        self._habit = habit
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> OldBroker:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(OSError):
            first = await reader.read(65536)
            if first[0] == CONNECT and LEVEL_5 in first[:12]:
                if self._habit == "silent":
                    await reader.read()
                elif self._habit == "says so":
                    writer.write(UNACCEPTABLE_VERSION)
                    await writer.drain()
            else:
                there_reader, there = await asyncio.open_connection("127.0.0.1", self._broker.port)
                self._writers.append(there)
                there.write(first)
                await asyncio.gather(_copy(reader, there), _copy(there_reader, writer))
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def old_home(tmp_path: Path, habit: Habit, mqtt: str = "") -> AsyncIterator[tuple[Home, str]]:
    """A daemon and the URL of a broker that speaks 3.1.1 alone; the observer comes in through the back door."""
    directory = tmp_path / "broker"
    directory.mkdir()
    with Broker(directory) as broker:
        async with OldBroker(broker, habit) as old, Peer(broker) as peer:
            await peer.subscribe("nuki/#")
            daemon = Daemon(tmp_path, old.port)
            text = daemon.config.read_text()
            daemon.config.write_text(text.replace(f"port: {old.port}", f"port: {old.port}{mqtt}"))
            home = Home(broker, daemon, peer)
            daemon.start()
            try:
                yield home, f"mqtt://127.0.0.1:{old.port}"
            finally:
                home.close()
                daemon.kill()


async def ask(*arguments: str, home: Path) -> Result:
    return await call(*arguments, HOME=str(home), XDG_CONFIG_HOME="", PYTHONPATH=os.environ.get("PYTHONPATH", ""))


@pytest.mark.slow
@pytest.mark.parametrize("habit", ["silent", "hangs up", "says so"])
async def test_daemon_owner_and_guest_get_on_with_it(habit: Habit, tmp_path: Path) -> None:
    async with old_home(tmp_path, habit) as (home, url):
        await home.online()
        await home.pair(pin="1234")
        assert json.loads(home.last("bridge/info") or "")["mqtt_version"] == "3.1.1"
        done = await ask("unlock", "front", "--broker", url, home=tmp_path)
        assert done.status == 0, done
        await home.until(lambda: home.last("front/state") == "unlocked")
        code = (await home.ask("front/request/invite/create", {"name": "Anna", "remote": True}))["data"]["code"]
        redeemed = await ask("redeem", code, "--broker", url, home=tmp_path)
        assert redeemed.status == 0, redeemed
        locked = await ask("guest", "lock", "--broker", url, home=tmp_path)
        assert locked.status == 0, locked
        await home.until(lambda: home.last("front/state") == "locked")
        assert await home.movements() == 2


async def test_the_version_in_the_settings_is_kept_to(tmp_path: Path) -> None:
    async with old_home(tmp_path, "silent", ", protocol: 3.1.1") as (home, _):
        await home.online()
        assert "does not answer MQTT 5" not in home.daemon.log
