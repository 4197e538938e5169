"""A flood of junk on the guests' topics, through a real mosquitto, and the owner who wants to come in meanwhile."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.integration.broker import Broker, Peer
from tests.integration.test_daemon import Daemon, Home

pytestmark = pytest.mark.real_time

FRAMES = 100_000


def flood(port: int) -> None:
    """`FRAMES` frames at QoS 0, each in a session of its own, as fast as the broker takes them."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03eve")  # CONNECT, MQTT 3.1.1
        assert sock.recv(4) == b"\x20\x02\x00\x00"
        for first in range(0, FRAMES, 1000):
            frames = []
            for number in range(first, first + 1000):
                topic = b"nuki/front/relay/%032x/write" % number
                content = len(topic).to_bytes(2, "big") + topic + b"junk"
                frames.append(b"\x30" + bytes([len(content)]) + content)
            sock.sendall(b"".join(frames))
        sock.sendall(b"\xe0\x00")


async def test_the_owner_gets_in_during_a_flood(tmp_path: Path) -> None:
    directory = tmp_path / "broker"
    directory.mkdir()
    with Broker(directory) as broker:
        daemon, peer = Daemon(tmp_path, broker.port), Peer(broker)
        for topic in ("bridge/+", "bridge/response/#", "front/+", "front/response/#", "front/simulate/#"):
            await peer.subscribe(f"nuki/{topic}")
        home = Home(broker, daemon, peer)
        daemon.start()
        try:
            await home.online()
            await home.pair()
            flood(broker.port)
            assert (await home.ask("front/set", "unlock"))["status"] == "ok"
            assert any('"guests_paused"' in each for each in home.on("bridge/event"))
            assert daemon.log.count("messages of guests came") == 1
        finally:
            home.close()
            daemon.kill()
