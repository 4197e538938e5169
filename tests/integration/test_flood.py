"""Floods through a real mosquitto: of junk on guests' topics, of commands; and the owner who wants in meanwhile."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from threading import Event, Thread

import pytest

from tests import patience
from tests.integration.broker import Peer
from tests.integration.daemon import PIN, ULTRA, at_home

pytestmark = pytest.mark.real_time

FRAMES = 100_000


COMMANDS_S = 30.0
"""How long commands come, a thousand each second, if the test has not ended before."""


def connected(port: int, name: bytes) -> socket.socket:
    """A client of MQTT 3.1.1 that will only publish."""
    sock = socket.create_connection(("127.0.0.1", port), 600)
    sock.sendall(
        b"\x10" + bytes([12 + len(name)]) + b"\x00\x04MQTT\x04\x02\x00\x3c" + len(name).to_bytes(2, "big") + name
    )
    assert sock.recv(4) == b"\x20\x02\x00\x00"
    return sock


def publish(topic: bytes, payload: bytes, *, retain: bool = False) -> bytes:
    """A PUBLISH of less than 128 bytes at QoS 0."""
    content = len(topic).to_bytes(2, "big") + topic + payload
    return bytes([0x31 if retain else 0x30, len(content)]) + content


def flood(port: int) -> None:
    """`FRAMES` frames at QoS 0, each in a session of its own, as fast as the broker takes them."""
    with connected(port, b"eve") as sock:
        for first in range(0, FRAMES, 1000):
            topics = (b"nuki/front/relay/%032x/write" % number for number in range(first, first + 1000))
            sock.sendall(b"".join(publish(topic, b"junk") for topic in topics))
        sock.sendall(b"\xe0\x00")


def run_away(port: int, enough: Event) -> None:
    """A rule of somebody's home automation that triggers itself."""
    with connected(port, b"rule") as sock:
        ends = patience.now() + COMMANDS_S
        while not enough.wait(0.01) and patience.now() < ends:
            sock.sendall(publish(b"nuki/front/set", b"lock") * 10)
        sock.sendall(b"\xe0\x00")


async def test_the_owner_gets_in_during_a_flood(tmp_path: Path) -> None:
    async with at_home(tmp_path) as home:
        flood(home.broker.port)
        assert (await home.ask("front/set", "unlock"))["status"] == "ok"
        assert any('"guests_paused"' in each for each in home.on("bridge/event"))
        assert home.daemon.log.count("messages of guests came") == 1


async def test_others_are_served_while_an_automation_runs_away(tmp_path: Path) -> None:
    async with at_home(tmp_path) as home:
        await home.pair(ULTRA, "back", pin=PIN)
        enough = Event()
        rule = Thread(target=run_away, args=(home.broker.port, enough))
        rule.start()
        try:
            refused = "so many commands came on nuki/front/set"
            await home.until(lambda: any(refused in each for each in home.on("front/result")))
            moved = await home.movements()
            for action in ("unlock", "lock", "unlock"):
                assert (await home.ask("back/set", action))["status"] == "ok"
                assert (await home.ask("bridge/request/locks"))["status"] == "ok"
                assert (await home.ask("front/request/refresh"))["status"] == "ok"
            assert rule.is_alive(), "all that during the flood"
        finally:
            enough.set()
            rule.join()
        await home.until(lambda: "no more come on nuki/front/set" in home.daemon.log)
        assert (await home.ask("front/set", "unlock"))["status"] == "ok"
        assert await home.movements() - moved == 1
        results = [json.loads(each) for each in home.on("front/result")]
        assert len([each for each in results if each["status"] == "error"]) < 150
        assert len([line for line in home.daemon.log.splitlines() if "refused" in line]) < 50


def leave_retained(port: int, count: int) -> None:
    """Small messages on as many topics of guests, half of them at QoS 1, as somebody with their account can."""
    with connected(port, b"eve") as sock:
        for first in range(0, count, 500):
            topics = [b"nuki/invitation/%032x/redeem" % number for number in range(first, first + 500)]
            sock.sendall(b"".join(publish(topic, b"junk", retain=True) for topic in topics[:250]))
            sock.sendall(b"".join(publish_once(topic, b"junk") for topic in topics[250:]))
            acknowledged = 0
            while acknowledged < 4 * 250:
                acknowledged += len(sock.recv(4096))
        sock.sendall(b"\xe0\x00")


def publish_once(topic: bytes, payload: bytes) -> bytes:
    """A retained PUBLISH of less than 128 bytes at QoS 1."""
    content = len(topic).to_bytes(2, "big") + topic + b"\x00\x01" + payload
    return bytes([0x33, len(content)]) + content


@pytest.mark.parametrize(("count", "protocol"), [(3000, "5"), (3000, "3.1.1"), (50_000, "5")])
async def test_what_is_retained_on_guests_topics_is_removed_at_any_number(
    tmp_path: Path, count: int, protocol: str
) -> None:
    """It would come back with each subscription; owner and guests are served all the while, and afterwards."""
    session = "ab" * 16
    async with at_home(tmp_path, protocol) as home:
        await home.peer.subscribe(f"nuki/front/relay/{session}/error")
        home.daemon.signal(signal.SIGTERM)
        await home.daemon.ended(5.0)
        leave_retained(home.broker.port, count)
        home.heard.clear()
        home.daemon.start()
        await home.online()
        await home.until(lambda: home.last("front/availability") == "online")
        started = patience.now()
        removed = "retained messages on guests' topics were removed"  # in more than one go if the broker falls silent
        served = 0
        while removed not in home.daemon.log:
            assert (await home.ask("front/set", "lock" if served % 2 else "unlock"))["status"] == "ok"
            served += 1
            assert patience.now() - started < 5 * patience.HANG_S  # 10 s on a free machine
        assert not any('"guests_paused"' in each for each in home.on("bridge/event"))
        home.peer.publish(f"nuki/front/relay/{session}/write", "junk")
        await home.until(lambda: home.on(f"front/relay/{session}/error"))
        async with Peer(home.broker) as later:
            await later.subscribe("nuki/invitation/+/redeem")
            with pytest.raises(TimeoutError):
                await later.next(1)
