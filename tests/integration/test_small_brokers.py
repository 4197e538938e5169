"""A broker that takes small messages only: one that is too large is left out, and the rest goes on.

mosquitto has two limits.  Over `message_size_limit` it drops a message, and tells so with MQTT 5 only.
`max_packet_size` it tells when a client connects with MQTT 5, and over it ends the connection.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.broker import Broker, Peer
from tests.integration.daemon import Daemon, Home

pytestmark = pytest.mark.real_time

LIMIT = 4096


class Entities:
    """What Home Assistant would find at the broker."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.messages: dict[str, bytes] = {}
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        await self.peer.subscribe("homeassistant/#")
        while True:
            message = await self.peer.next(3600)
            self.messages[message.topic] = message.payload

    def close(self) -> None:
        self._task.cancel()
        self.peer.close()

    def of_lock(self) -> set[str]:
        """Unique IDs of a lock's entities."""
        found = set()
        for topic, payload in self.messages.items():
            if payload and b"migrate_discovery" not in payload:
                config = json.loads(payload)
                parts = config["components"].values() if "/device/" in topic else [config]
                found |= {each["unique_id"] for each in parts if "unique_id" in each}
        return {each for each in found if re.match("nuki_bridge_[0-9a-f]{8}_", each)}


@asynccontextmanager
async def small_home(tmp_path: Path, option: str, protocol: str) -> AsyncIterator[tuple[Home, Entities]]:
    directory = tmp_path / "broker"
    directory.mkdir()
    with Broker(directory, options=(option,)) as broker:
        daemon = Daemon(tmp_path, broker.port)
        text = daemon.config.read_text()
        daemon.config.write_text(text.replace(f"port: {broker.port}", f"port: {broker.port}, protocol: {protocol}"))
        peer = Peer(broker)
        await peer.subscribe("nuki/#")
        home, entities = Home(broker, daemon, peer), Entities(Peer(broker))
        daemon.start()
        try:
            await home.online()
            await home.pair(pin="1234")
            yield home, entities
        finally:
            home.close()
            entities.close()
            daemon.kill()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "protocol", "losses"),
    [
        (f"message_size_limit {LIMIT}", "5", 0),
        (f"message_size_limit {LIMIT}", "3.1.1", 0),
        (f"max_packet_size {LIMIT}", "5", 0),
        (f"max_packet_size {LIMIT}", "3.1.1", 2),
    ],
)
async def test_a_lock_is_announced_in_pieces_and_the_bridge_stays_online(
    option: str, protocol: str, losses: int, tmp_path: Path
) -> None:
    async with small_home(tmp_path, option, protocol) as (home, entities):
        await home.until(lambda: "homeassistant/lock/" in str(entities.messages))
        whole = json.loads(home.last("front/status") or "")
        assert whole["name"] == "front"
        await home.until(lambda: len(entities.of_lock()) > 20)
        assert any(each.endswith("_lock") for each in entities.of_lock())
        assert home.on("bridge/state").count("offline") <= losses
        assert (await home.ask("front/set", "unlock"))["status"] == "ok"
        said = re.findall(r"WARNING.*larger than the broker takes.*", home.daemon.log)
        if (option, protocol) == (f"max_packet_size {LIMIT}", "5"):
            assert said == []  # we know before: nothing had to be left out
        else:
            assert len(said) == 1, said
            assert re.search(r"'homeassistant/device/nuki_bridge_[0-9a-f]{8}/config' \([1-9]\d{4} bytes\)", said[0])
            assert "message_size_limit" in said[0]
        assert home.daemon.log.count("is announced in one message for each entity") == 1
        before = home.on("bridge/state").count("offline")
        await asyncio.sleep(3.0)
        assert home.on("bridge/state").count("offline") == before
