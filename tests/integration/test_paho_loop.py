"""paho on a socket: when it writes, and what it reads."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nuki_bridge.config import MqttSettings
from nuki_bridge.mqtt import paho
from nuki_bridge.mqtt.paho_loop import PahoLoop, guarded
from tests.patience import HANG_S

CONNACK = bytes((0x20, 3, 0, 0, 0))
PUBLISH = b"\x30\x05\x00\x01a\x00x"
PUBLISHED = 0x30


class End:
    """paho at one end of a pair of sockets; `broker` is the other one, `loop` runs it."""

    def __init__(self) -> None:
        self.sock, self.broker = socket.socketpair()
        for each in (self.sock, self.broker):
            each.setblocking(False)
        self.broken: list[str] = []
        self.heard: list[Any] = []
        self.paho = paho.new(self.sock, MqttSettings(), "test", None, five=True)
        self.paho.on_message = guarded(self.heard.append)
        self.loop = PahoLoop(self.paho, self.sock, lambda: None, self.broken.append)

    async def start(self) -> None:
        self.loop.start()
        self.paho.connect("localhost", 1883)
        assert (await asyncio.get_running_loop().sock_recv(self.broker, 1000))[:1] == b"\x10"
        self.broker.send(CONNACK)
        await asyncio.sleep(0.01)

    def say(self, payload: bytes) -> None:
        self.paho.publish("b", payload, 0)

    async def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += await asyncio.get_running_loop().sock_recv(self.broker, size - len(data))
        return data


@asynccontextmanager
async def connected() -> AsyncIterator[End]:
    made = End()
    await made.start()
    try:
        yield made
    finally:
        made.loop.close()
        made.broker.close()


async def test_what_is_published_is_written_before_anything_else_runs() -> None:
    async with connected() as end:
        end.paho.publish("a", b"1", 1)
        end.paho.publish("a", b"2", 0)
        written = end.broker.recv(1000)
        assert (written[0], written.count(b"\0\1a")) == (PUBLISHED | 2, 2)


async def test_what_the_socket_does_not_take_is_written_later_in_its_order() -> None:
    async with connected() as end:
        payloads = [bytes((number,)) * 100_000 for number in range(20)]
        for payload in payloads:
            end.paho.publish("a", payload, 0)
        assert end.paho.want_write()
        written = await end.read(20 * (100_000 + 8))
        assert [written.count(payload) for payload in payloads] == [1] * 20
        assert sorted(payloads, key=written.index) == payloads
        end.paho.publish("a", b"more", 0)
        assert end.broker.recv(1000).endswith(b"more")
        assert end.broken == []


async def test_what_is_published_while_paho_reads_is_written_afterwards() -> None:
    async with connected() as end:
        end.paho.on_publish = guarded(lambda *_: None)
        end.paho.on_message = guarded(lambda message: end.say(message.payload))
        end.broker.send(PUBLISH * 3)
        async with asyncio.timeout(5):
            written = await end.read(3 * 7)
        assert written.count(b"b\0x") == 3


async def test_all_that_has_come_is_heard_though_it_came_at_once_or_in_pieces() -> None:
    async with connected() as end:
        long = b"\x30\xe4\x07\x00\x01a\x00" + bytes(992)
        sent = PUBLISH * 100 + long + PUBLISH
        for at in range(0, len(sent), 300):
            end.broker.send(sent[at : at + 300])
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert [len(each.payload) for each in end.heard] == [1] * 100 + [992] + [1]
        assert end.broken == []


@pytest.mark.parametrize("last_words", [b"", b"\xe0\x02\x95\x00"], ids=["nothing", "packet too large"])
async def test_what_the_broker_said_before_it_hung_up_is_heard_though_writing_fails_first(last_words: bytes) -> None:
    async with connected() as end:
        reasons: list[int] = []
        end.paho.on_disconnect = lambda client, data, flags, reason, properties: reasons.append(reason.value)
        if last_words:
            end.broker.send(last_words)
        end.broker.close()
        for _ in range(3):
            end.say(b"hello")
        async with asyncio.timeout(HANG_S):
            await end.loop.closed.wait()
        assert reasons == [0x95 if last_words else 0x80]


async def test_a_socket_that_cannot_be_written_and_shows_no_end_is_given_up() -> None:
    async with connected() as end:
        end.sock.shutdown(socket.SHUT_WR)
        end.say(b"hello")
        async with asyncio.timeout(HANG_S):
            await end.loop.closed.wait()
