"""Commands that a publisher sends again, or completes late, through a real mosquitto: what MQTT does by itself."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from tests.integration.daemon import at_home

pytestmark = pytest.mark.real_time

UNLATCH = json.dumps({"action": "unlatch", "transaction": "evening 1"}).encode()


class Publisher:
    """An MQTT 5 client whose packets the test makes itself, to lose acknowledgements."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), 600)
        self._send(0x10, b"\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03pub")
        assert self.next()[0] == 0x20

    def _send(self, first: int, body: bytes) -> None:
        assert len(body) < 128
        self._sock.sendall(bytes([first, len(body)]) + body)

    def next(self) -> bytes:
        """The next packet of the broker."""
        head = self._sock.recv(2, socket.MSG_WAITALL)
        return head + self._sock.recv(head[1], socket.MSG_WAITALL)

    def publish(self, payload: bytes, *, qos: int, again: bool = False, expiry_s: int | None = None) -> None:
        """To the lock, always under the same packet identifier; waits for the broker's answer."""
        properties = b"" if expiry_s is None else b"\x02" + expiry_s.to_bytes(4, "big")
        topic = b"nuki/front/set"
        body = len(topic).to_bytes(2, "big") + topic + b"\x00\x01" + bytes([len(properties)]) + properties + payload
        self._send(0x30 | (0x08 if again else 0) | qos << 1, body)
        assert self.next()[0] == (0x40 if qos == 1 else 0x50)

    def release(self) -> None:
        """The second half of QoS 2."""
        self._send(0x62, b"\x00\x01")
        assert self.next()[0] == 0x70

    def close(self) -> None:
        self._sock.close()


async def test_a_command_that_is_sent_again_after_a_lost_acknowledgement_opens_once(tmp_path: Path) -> None:
    async with at_home(tmp_path) as home:
        publisher = Publisher(home.broker.port)
        publisher.publish(UNLATCH, qos=1)
        publisher.publish(UNLATCH, qos=1, again=True)  # the broker does not know that it is the same
        await home.until(lambda: len(home.on("front/result")) == 2, 20.0)
        publisher.publish(UNLATCH, qos=1, again=True)
        await home.until(lambda: len(home.on("front/result")) == 3)
        publisher.close()
        assert {json.loads(each)["completion"] for each in home.on("front/result")} == {"success"}
        assert await home.movements() == 1


async def test_a_command_that_is_completed_after_its_expiry_is_gone(tmp_path: Path) -> None:
    """QoS 2 reaches the bridge with its second half, however late that comes."""
    async with at_home(tmp_path) as home:
        publisher = Publisher(home.broker.port)
        publisher.publish(UNLATCH, qos=2, expiry_s=1)
        await asyncio.sleep(2.5)
        publisher.release()
        publisher.publish(b'{"action":"fly"}', qos=1)
        await home.until(lambda: home.on("front/result"))
        publisher.close()
        assert [json.loads(each)["error"] for each in home.on("front/result")] == ["unknown_action"]
        assert await home.movements() == 0
