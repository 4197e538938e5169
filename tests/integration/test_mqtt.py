"""`nuki_bridge.mqtt` against a real mosquitto; what mosquitto never does is played by `Script`, bytes over TCP."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import logging
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client as Paho

from nuki_bridge.config import MqttSettings, Secret, TlsSettings
from nuki_bridge.mqtt import connection, freshness, mqtt
from nuki_bridge.mqtt.message import Incoming, Subscription
from nuki_bridge.mqtt.mqtt import Client
from nuki_bridge.mqtt.paho import PahoOnSocket
from nuki_bridge.mqtt.paho_loop import PahoLoop
from tests import patience
from tests.integration.broker import Broker, Peer, free_port, make_ca

WILL = ("nuki/bridge/state", b"offline")


@pytest.fixture(autouse=True)
def _fast_retries(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(mqtt, "RETRY_MIN_S", 0.05)
    monkeypatch.setattr(mqtt, "RETRY_MAX_S", 0.1)
    caplog.set_level(logging.DEBUG)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for all tests that leave it as it was; each uses topics of its own."""
    with Broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker to stop, freeze or reconfigure."""
    with Broker(tmp_path) as broker:
        yield broker


class Running:
    """A running `Client`; keeps what it reports."""

    def __init__(self, settings: MqttSettings, subscriptions: Any = (), **arguments: Any) -> None:
        self.messages: asyncio.Queue[Incoming] = asyncio.Queue()
        self.connections: list[tuple[bool, str | None]] = []
        self._changed = asyncio.Event()
        self.client = Client(
            settings,
            will=arguments.pop("will", WILL),
            subscriptions=subscriptions,
            on_message=arguments.pop("on_message", self.messages.put_nowait),
            on_connection=self._on_connection,
            clock=arguments.pop("clock", patience.now),
            **arguments,
        )
        self.task = asyncio.create_task(self.client.run())

    def _on_connection(self, connected: bool, reason: str | None) -> None:
        self.connections.append((connected, reason))
        self._changed.set()

    async def until(self, connected: bool, timeout_s: float = patience.HANG_S) -> str | None:
        """Wait for the next report of that kind and give its reason."""
        async with asyncio.timeout(timeout_s):
            while True:
                while self.connections:
                    now, reason = self.connections.pop(0)
                    if now is connected:
                        return reason
                self._changed.clear()
                await self._changed.wait()

    async def next(self, timeout_s: float = patience.HANG_S) -> Incoming:
        async with asyncio.timeout(timeout_s):
            return await self.messages.get()


@contextlib.asynccontextmanager
async def running(broker: Broker | int, subscriptions: Any = (), **arguments: Any) -> AsyncIterator[Running]:
    settings = arguments.pop("settings", None) or MqttSettings(
        host="127.0.0.1", port=broker if isinstance(broker, int) else broker.port
    )
    run = Running(settings, subscriptions, **arguments)
    try:
        yield run
    finally:
        run.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await run.task


def subscribed(topic: str) -> tuple[Subscription, ...]:
    return (Subscription(topic),)


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(patience.HANG_S):
        while not condition():  # files and other processes have no event
            await asyncio.sleep(0.005)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# -- messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.real_time
async def test_message_arrives_with_its_properties(shared: Broker) -> None:
    async with running(shared, subscribed("props/#")) as run, Peer(shared) as peer:
        await run.until(True)
        assert run.client.connected
        assert run.client.protocol == "5"
        before = patience.now()
        peer.publish(
            "props/set", b"unlock", ResponseTopic="asker/inbox", CorrelationData=b"\x00\x01", MessageExpiryInterval=7
        )
        message = await run.next()
        assert before <= message.received_at <= patience.now()
        assert dataclasses.replace(message, received_at=0) == Incoming(
            "props/set", b"unlock", False, 0, "asker/inbox", b"\x00\x01", 7
        )


@pytest.mark.real_time
async def test_message_without_properties_has_none(shared: Broker) -> None:
    async with running(shared, subscribed("plain")) as run, Peer(shared) as peer:
        await run.until(True)
        peer.publish("plain", b"")
        message = await run.next()
        assert (message.payload, message.response_topic, message.correlation_data, message.message_expiry_s) == (
            b"",
            None,
            None,
            None,
        )


@pytest.mark.real_time
async def test_published_message_keeps_its_properties_and_retain(shared: Broker) -> None:
    async with running(shared) as run, Peer(shared) as peer:
        await peer.subscribe("out")
        await run.until(True)
        assert run.client.publish("out", "größer", retain=True, response_topic="in", correlation_data=b"c", expiry_s=30)
        got = await peer.next()
        assert (got.payload, got.retain) == ("größer".encode(), True)
        assert (got.properties.ResponseTopic, got.properties.CorrelationData) == ("in", b"c")
        assert 29 <= got.properties.MessageExpiryInterval <= 30
        assert run.client.publish("out", b"", retain=True)
        assert (await peer.next()).payload == b""


@pytest.mark.real_time
async def test_answer_can_be_published_from_on_message(shared: Broker) -> None:
    def echo(message: Incoming) -> None:
        run.client.publish("echo/out", message.payload, qos=0)

    async with running(shared, subscribed("echo/in"), on_message=echo) as run, Peer(shared) as peer:
        await peer.subscribe("echo/out")
        await run.until(True)
        peer.publish("echo/in", b"1")
        assert (await peer.next()).payload == b"1"


@pytest.mark.real_time
async def test_on_message_that_raises_is_logged_and_harms_nothing(
    shared: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()

    def fail_first(message: Incoming) -> None:
        got.put_nowait(message.payload)
        if got.qsize() == 1:
            raise ZeroDivisionError

    async with running(shared, subscribed("raise"), on_message=fail_first) as run, Peer(shared) as peer:
        await run.until(True)
        peer.publish("raise", b"secret payload")
        peer.publish("raise", b"2")
        await eventually(lambda: got.qsize() == 2)
        assert run.client.connected
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
    assert "secret" not in caplog.text


@pytest.mark.real_time
async def test_no_local_leaves_out_own_messages(shared: Broker) -> None:
    async with running(shared, (Subscription("mine", no_local=True),)) as run, Peer(shared) as peer:
        await run.until(True)
        run.client.publish("mine", b"own")
        await run.client.drain(patience.HANG_S)
        peer.publish("mine", b"other")
        assert (await run.next()).payload == b"other"


@pytest.mark.real_time
async def test_payload_over_16_kib_is_passed_on_and_one_over_the_packet_size_kept_away(shared: Broker) -> None:
    async with running(shared, subscribed("big")) as run, Peer(shared) as peer:
        await run.until(True)
        peer.publish("big", bytes(mqtt.MAX_PACKET_SIZE + 1))
        peer.publish("big", bytes(1_000_000))
        assert len((await run.next()).payload) == 1_000_000


@pytest.mark.real_time
async def test_who_expects_long_answers_gets_them(shared: Broker) -> None:
    async with running(shared, subscribed("long"), max_packet_size=16 * 2**20) as run, Peer(shared) as peer:
        await run.until(True)
        peer.publish("long", bytes(mqtt.MAX_PACKET_SIZE + 1))
        assert len((await run.next()).payload) == mqtt.MAX_PACKET_SIZE + 1


@pytest.mark.real_time
async def test_subscription_added_and_ended_while_connected(shared: Broker) -> None:
    async with running(shared, subscribed("live/end")) as run, Peer(shared) as peer:
        await run.until(True)
        run.client.subscribe(Subscription("live/a"), Subscription("live/b"))
        await eventually(lambda: "live/b" in shared.log)
        run.client.unsubscribe("live/a")
        await eventually(lambda: "\tlive/a\n" in shared.log)
        for topic in ("live/a", "live/b", "live/end"):
            peer.publish(topic, b"")
        assert [(await run.next()).topic, (await run.next()).topic] == ["live/b", "live/end"]


# -- commands that must not be carried out ----------------------------------------------------------------------------


@pytest.mark.real_time
async def test_retained_flag_is_seen_at_once_and_on_subscribing(shared: Broker) -> None:
    async with Peer(shared) as peer:
        async with running(shared, subscribed("kept")) as run:
            await run.until(True)
            peer.publish("kept", b"unlatch", retain=True)
            assert (await run.next()).retain
            peer.publish("kept", b"unlatch")
            assert not (await run.next()).retain
        async with running(shared, subscribed("kept")) as run:
            assert (await run.next()).retain
        peer.publish("kept", b"", retain=True)


@pytest.mark.real_time
async def test_nothing_published_while_away_is_delivered(broker: Broker) -> None:
    async with running(broker, subscribed("away/#")) as run, Peer(broker) as peer:
        await run.until(True)
        client_id = run.client._setup.client_id
    async with Peer(broker) as peer:
        peer.publish("away/set", b"unlatch")
        again = Running(MqttSettings(host="127.0.0.1", port=broker.port), subscribed("away/#"))
        # Even under the same client id, the only way to a kept session.
        again.client._setup = dataclasses.replace(again.client._setup, client_id=client_id)
        await again.until(True)
        peer.publish("away/set", b"now")
        assert (await again.next()).payload == b"now"
        again.task.cancel()
        await asyncio.wait((again.task,))


class JumpingClock:
    """Real seconds plus what a test adds: time that passed while the machine slept."""

    def __init__(self) -> None:
        self.jumped = 0.0

    def __call__(self) -> float:
        return patience.now() + self.jumped


@pytest.mark.real_time
async def test_messages_published_while_the_loop_stood_still_are_as_old_as_that(shared: Broker) -> None:
    """mosquitto sends 20 unacknowledged messages; the rest reach us long after the loop runs again."""
    clock = JumpingClock()
    async with running(shared, subscribed("stall"), clock=clock) as run, Peer(shared) as peer:
        await run.until(True)
        stopped_at = clock()
        for number in range(50):  # the peer's thread works while this coroutine blocks the loop
            peer.publish("stall", str(number))
        clock.jumped = 10.0
        stale = [await run.next() for _ in range(50)]
        assert [int(message.payload) for message in stale] == list(range(50))
        assert all(stopped_at - connection.PROBE_S - 0.1 <= message.received_at <= stopped_at for message in stale)

        await eventually(lambda: run.client._connection and run.client._connection.freshness.stale_since is None)
        sent_at = clock()
        peer.publish("stall", b"now")
        assert (await run.next()).received_at >= sent_at


@pytest.mark.real_time
async def test_steady_traffic_after_a_stall_is_believed_in_the_end(
    shared: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "DOUBT_S", 1.0)
    clock = JumpingClock()
    async with running(shared, subscribed("steady"), clock=clock) as run, Peer(shared) as peer:
        await run.until(True)
        clock.jumped = 10.0
        doubted, began = 0, patience.now()
        async with asyncio.timeout(patience.HANG_S):
            while True:
                sent_at = clock()
                peer.publish("steady", b"")  # always there before an answer to us
                if (await run.next()).received_at >= sent_at:
                    break
                doubted += 1
        assert doubted > 5
        assert patience.now() - began > freshness.DOUBT_S


@pytest.mark.real_time
async def test_a_stall_without_messages_leaves_later_ones_fresh(
    shared: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    clock = JumpingClock()
    async with running(shared, subscribed("quiet"), clock=clock) as run, Peer(shared) as peer:
        await run.until(True)
        connection = run.client._connection
        assert connection is not None
        clock.jumped = 10.0
        await eventually(lambda: "stood still" in caplog.text and connection.freshness.stale_since is None)
        sent_at = clock()
        peer.publish("quiet", b"")
        assert (await run.next()).received_at >= sent_at


class Forwarder:
    """A TCP port in front of a broker; while `held`, what the broker sends stays on its way."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.held = False
        self._moved = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Forwarder:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()

    def hold(self, held: bool) -> None:
        self.held = held
        self._moved.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._tasks += [
            asyncio.create_task(self._copy(reader, back_writer, back=False)),
            asyncio.create_task(self._copy(back_reader, writer, back=True)),
        ]

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool) -> None:
        while data := await reader.read(65536):
            while back and self.held:
                self._moved.clear()
                await self._moved.wait()
            writer.write(data)
        writer.close()


@pytest.mark.real_time
async def test_messages_held_up_on_the_network_are_as_old_as_the_silence(
    shared: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop runs, nothing comes: what the broker had handed over already must not pass for new afterwards."""
    monkeypatch.setattr(connection, "TICK_S", 0.02)
    monkeypatch.setattr(connection, "PROBE_S", 0.1)
    monkeypatch.setattr(connection, "SILENT_S", 0.5)
    async with (
        Forwarder(shared.port) as network,
        running(network.port, subscribed("held")) as run,
        Peer(shared) as peer,
    ):
        await run.until(True)
        held_at = patience.now()
        network.hold(True)
        for number in range(3):
            peer.publish("held", str(number))
        await eventually(lambda: patience.now() > held_at + 0.7)
        network.hold(False)
        late = [await run.next() for _ in range(3)]
        assert [message.payload for message in late] == [b"0", b"1", b"2"]
        assert all(message.received_at <= held_at + 0.1 for message in late)

        await eventually(lambda: run.client._connection and run.client._connection.freshness.stale_since is None)
        sent_at = patience.now()
        peer.publish("held", b"now")
        assert (await run.next()).received_at >= sent_at
        assert run.connections == []


@pytest.mark.real_time
async def test_a_quiet_broker_is_asked_so_often_that_its_next_message_is_fresh(
    shared: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "TICK_S", 0.02)
    monkeypatch.setattr(connection, "PROBE_S", 0.1)
    monkeypatch.setattr(connection, "SILENT_S", 2.0)
    async with running(shared, subscribed("seldom")) as run, Peer(shared) as peer:
        await run.until(True)
        quiet_at = patience.now()
        await eventually(lambda: patience.now() > quiet_at + 2.5)
        sent_at = patience.now()
        peer.publish("seldom", b"")
        assert (await run.next()).received_at >= sent_at


@pytest.mark.real_time
async def test_a_quiet_connection_is_left_alone_until_the_broker_is_asked(
    shared: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each check wakes the processor: there is none for nothing, unless an answer takes long."""
    monkeypatch.setattr(connection, "PROBE_S", 0.3)
    monkeypatch.setattr(connection, "TICK_S", 0.15)
    calls: list[str] = []
    ping, tend = PahoOnSocket.ping, PahoLoop.tend

    def counted_ping(self: PahoOnSocket) -> None:
        calls.append("ask")
        ping(self)

    def counted_tend(self: PahoLoop) -> None:
        calls.append("check")
        tend(self)

    monkeypatch.setattr(PahoOnSocket, "ping", counted_ping)
    monkeypatch.setattr(PahoLoop, "tend", counted_tend)
    async with running(shared) as run:
        await run.until(True)
        calls.clear()
        await eventually(lambda: calls.count("ask") == 8)
        assert run.connections == []
    assert calls.count("check") <= 12


def test_a_check_of_a_quiet_connection_comes_before_its_messages_are_doubted() -> None:
    assert connection.PROBE_S + 1 <= freshness.STALL_S < connection.SILENT_S
    assert connection.PROBE_S + connection.TICK_S < connection.SILENT_S


@pytest.mark.real_time
async def test_after_a_long_sleep_the_connection_is_made_anew(shared: Broker) -> None:
    """By then the broker has given it up, perhaps without our hearing of it."""
    clock = JumpingClock()
    async with running(shared, clock=clock) as run:
        await run.until(True)
        clock.jumped = 600.0
        assert (await run.until(False) or "").startswith("we stood still for 60")
        await run.until(True)


CHILD = """
import asyncio, sys
from nuki_bridge.config import MqttSettings
from nuki_bridge.mqtt.message import Subscription
from nuki_bridge.mqtt.mqtt import Client
async def main():
    client = Client(
        MqttSettings(host="127.0.0.1", port=int(sys.argv[1])), will=("child/state", b"offline"),
        subscriptions=(Subscription("child/set"),),
        on_message=lambda m: print(m.payload.decode(), m.received_at, flush=True),
        on_connection=lambda up, why: client.publish("child/state", b"online", retain=True))
    await client.run()
asyncio.run(main())
"""


@pytest.mark.real_time
async def test_stopped_process_dates_messages_back_and_its_death_sends_the_will(shared: Broker) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(shared.port), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        async with Peer(shared) as peer, asyncio.timeout(patience.HANG_S):
            await peer.subscribe("child/state")
            assert (await peer.next()).payload == b"online"
            os.kill(child.pid, signal.SIGSTOP)
            stopped_at = mqtt.boottime()
            for number in range(30):
                peer.publish("child/set", str(number))
            # By the child's clock, and the broker's: of ours more may pass than it waits for a client that is silent.
            await eventually(lambda: mqtt.boottime() > stopped_at + freshness.STALL_S + 0.1)
            os.kill(child.pid, signal.SIGCONT)
            for number in range(30):
                payload, received_at = (await child.stdout.readline()).split()
                assert int(payload) == number
                assert float(received_at) <= stopped_at

            child.kill()
            will = await peer.next()
            assert (will.payload, will.retain, will.qos) == (b"offline", True, 1)
            peer.publish("child/state", b"", retain=True)
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


# -- the connection ---------------------------------------------------------------------------------------------------


@pytest.mark.real_time
async def test_reconnects_after_a_broker_restart_and_subscribes_again(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    topics = ["first"]
    async with running(broker, lambda: [Subscription(topic) for topic in topics]) as run:
        await run.until(True)
        topics.append("second")
        broker.stop()
        assert await run.until(False) == f"the broker at 127.0.0.1:{broker.port} closed the connection"
        assert await run.until(False) == f"connection refused at 127.0.0.1:{broker.port}"
        assert not run.client.connected
        assert run.client.protocol is None
        assert not run.client.publish("first", b"lost")
        await asyncio.sleep(0.5)  # more attempts, which are not worth a line each
        assert len(warnings(caplog)) == 2
        assert run.connections == []
        broker.start()
        await run.until(True)
        async with Peer(broker) as peer:
            peer.publish("second", b"")
            assert (await run.next()).topic == "second"
    back = [r.getMessage() for r in caplog.records if r.levelno == logging.INFO and "connected to" in r.getMessage()]
    assert back == [f"MQTT: connected to 127.0.0.1:{broker.port} with MQTT 5"] * 2


@pytest.mark.real_time
async def test_back_off_grows_and_has_a_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[tuple[float, float]] = []
    monkeypatch.setattr(mqtt, "RETRY_MIN_S", 1.0)
    monkeypatch.setattr(mqtt, "RETRY_MAX_S", 60.0)

    def at_once(low: float, high: float) -> float:
        waits.append((low, high))
        return 0.0

    monkeypatch.setattr(random, "uniform", at_once)
    async with running(free_port()):
        await eventually(lambda: len(waits) >= 8)
    assert waits[:7] == [(1, 2), (2, 4), (4, 8), (8, 16), (16, 32), (30, 60), (30, 60)]


@pytest.mark.real_time
async def test_frozen_broker_is_noticed(broker: Broker) -> None:
    async with running(broker, keepalive_s=1) as run:
        await run.until(True)
        broker.freeze()
        try:
            assert await run.until(False) == f"the broker at 127.0.0.1:{broker.port} stopped answering"
        finally:
            broker.thaw()
        await run.until(True)


@pytest.mark.real_time
async def test_broker_that_never_answers_connect_is_given_up(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT_S", 0.1)
    monkeypatch.setattr(connection, "TICK_S", 0.05)
    broker.freeze()
    async with running(broker) as run:
        reason = await run.until(False)
        assert reason == f"the broker at 127.0.0.1:{broker.port} accepts connections but does not answer"
        broker.thaw()
        await run.until(True)


@pytest.mark.real_time
async def test_keepalive_holds_an_idle_connection() -> None:
    """A broker gives a client up of which it hears nothing for 1.5 times its keepalive."""
    heard = []

    def answer(packet: bytes) -> bytes | None:
        heard.append(patience.now())
        return ACCEPT_5 if packet[0] == 0x10 else b"\xd0\0" if packet[0] == 0xC0 else b""

    async with Script(answer) as script, running(script.port, keepalive_s=1) as run:
        await run.until(True)
        await asyncio.sleep(2.5)
        heard.append(patience.now())
        assert all(later - earlier < 1.5 for earlier, later in itertools.pairwise(heard))
        assert run.client.connected
        assert run.connections == []


@pytest.mark.real_time
async def test_cancel_is_quick_and_sends_no_will(shared: Broker) -> None:
    async with Peer(shared) as peer:
        await peer.subscribe("bye")
        run = Running(MqttSettings(host="127.0.0.1", port=shared.port), will=("bye", b"will"))
        await run.until(True)
        run.client.publish("bye", b"last words")
        started = patience.now()
        run.task.cancel()
        await asyncio.wait((run.task,))
        assert run.task.cancelled()
        assert patience.now() - started < 3
        assert (await peer.next()).payload == b"last words"
        peer.publish("bye", b"end")
        assert (await peer.next()).payload == b"end"


@pytest.mark.real_time
async def test_cancel_is_quick_when_the_broker_hangs_with_a_full_socket(broker: Broker) -> None:
    async with running(broker) as run:
        await run.until(True)
        broker.freeze()
        assert not all(run.client.publish("much", bytes(10_000), qos=0) for _ in range(1000))
        started = patience.now()
        run.task.cancel()
        await asyncio.wait((run.task,))
        assert patience.now() - started < 3


@pytest.mark.real_time
async def test_cancel_is_quick_while_connecting(broker: Broker) -> None:
    broker.freeze()
    async with running(broker) as run:
        await eventually(lambda: run.client._connection)
        started = patience.now()
        run.task.cancel()
        await asyncio.wait((run.task,))
        assert patience.now() - started < 3


@pytest.mark.real_time
async def test_cancel_is_quick_while_the_name_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    release = threading.Event()

    def hang(host: str, *arguments: Any, **more: Any) -> Any:
        if more.get("flags") == socket.AI_NUMERICHOST:
            return real(host, *arguments, **more)
        release.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    async with running(0, settings=MqttSettings(host="broker.invalid")) as run:
        await asyncio.sleep(0.05)
        started = patience.now()
        run.task.cancel()
        await asyncio.wait((run.task,))
        await asyncio.get_running_loop().shutdown_default_executor()
        assert patience.now() - started < 3
    release.set()


@pytest.mark.real_time
async def test_unknown_host_is_reported() -> None:
    async with running(0, settings=MqttSettings(host="broker.invalid")) as run:
        assert await run.until(False) == "host name 'broker.invalid' cannot be resolved"


@pytest.mark.real_time
async def test_drain_waits_for_the_brokers_acknowledgement(broker: Broker) -> None:
    async with running(broker) as run:
        await run.until(True)
        for number in range(100):
            assert run.client.publish(f"drain/{number}", b"x" * 100, retain=True)
        await run.client.drain(patience.HANG_S)
        async with Peer(broker) as peer:
            await peer.subscribe("drain/#")
            assert len({(await peer.next()).topic for _ in range(100)}) == 100
        broker.freeze()
        run.client.publish("drain/0", b"y")
        started = patience.now()
        await run.client.drain(0.2)
        assert 0.15 < patience.now() - started < 3
        broker.thaw()


@pytest.mark.real_time
@pytest.mark.parametrize("qos", [0, 1])
async def test_publish_refuses_more_when_the_broker_hangs_and_takes_it_again_later(broker: Broker, qos: int) -> None:
    async with running(broker) as run:
        await run.until(True)
        broker.freeze()
        taken = 0
        while run.client.publish("much", bytes(10_000), qos=qos):
            taken += 1
            if taken % 10 == 0:
                await asyncio.sleep(0)
            assert taken < 1000
        assert not run.client.publish("much", bytes(10_000), qos=qos)
        broker.thaw()
        await run.client.drain(patience.HANG_S)
        assert run.client.publish("much", b"more", qos=qos)


@pytest.mark.real_time
@pytest.mark.parametrize("topic", ["", "a/+", "a/#", "a\0", "x" * 65536])
async def test_publish_refuses_what_is_no_topic_name(shared: Broker, topic: str) -> None:
    """It may come from an asker's response topic, and the broker would end the connection."""
    async with running(shared) as run:
        await run.until(True)
        assert not run.client.publish(topic, b"")
        assert run.client.connected


@pytest.mark.real_time
async def test_publish_refuses_what_the_broker_would_hang_up_for(tmp_path: Path) -> None:
    with Broker(tmp_path, options=("max_packet_size 1000",)) as broker:
        async with running(broker) as run, Peer(broker) as peer:
            await peer.subscribe("a")
            await run.until(True)
            assert not run.client.publish("a", bytes(1000))
            assert run.client.publish("a", bytes(900))
            assert len((await peer.next()).payload) == 900
            assert run.connections == []


@pytest.mark.real_time
async def test_what_is_to_be_kept_waits_for_the_broker_and_nothing_else_does(broker: Broker) -> None:
    async with running(broker) as run:
        assert run.client.publish("it/is", b"before the first connection", retain=True, keep_s=60)
        await run.until(True)
        async with Peer(broker) as peer:
            await peer.subscribe("it/is")
            assert (await peer.next()).payload == b"before the first connection"
        broker.freeze()
        assert run.client.publish("it/was", b"under way when the connection broke", retain=True, keep_s=60)
        assert run.client.publish("it/was/not", b"likewise, and not to be kept", retain=True)
        broker.stop()
        await run.until(False)
        assert run.client.publish("it/comes", b"while the broker was away", retain=True, keep_s=60)
        assert run.client.publish("it/came/late", b"for no time", retain=True, keep_s=1e-6)
        assert not run.client.publish("it/goes", b"not to be kept", retain=True)
        broker.start()
        await run.until(True)
        await run.client.drain(patience.HANG_S)
        async with Peer(broker) as peer:
            await peer.subscribe("it/#")
            got = {(await peer.next()).topic for _ in range(2)}
            peer.publish("it/ends", b"")
            assert (await peer.next()).topic == "it/ends"
    assert got == {"it/was", "it/comes"}


@pytest.mark.real_time
async def test_a_broker_that_never_acknowledges_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose queues overflowed forgets what it owes and answers pings: for ever nothing more would go out."""
    monkeypatch.setattr(connection, "PROBE_S", 0.04)
    monkeypatch.setattr(connection, "ACKNOWLEDGED_S", 0.2)
    published = []

    def answer(packet: bytes) -> bytes | None:
        if packet[0] >> 4 == 3:
            published.append(packet)
        return ACCEPT_5 if packet[0] == 0x10 else b"\xd0\0" if packet[0] == 0xC0 else b""

    async with Script(answer) as script, running(script.port) as run:
        await run.until(True)
        run.client.publish("a", b"", keep_s=60)
        reason = await run.until(False)
        assert reason == f"the broker at 127.0.0.1:{script.port} does not acknowledge what is published"
        await run.until(True)
        await eventually(lambda: len(published) == 2)


@pytest.mark.real_time
async def test_a_slow_broker_is_not_left_as_long_as_it_acknowledges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PROBE_S", 0.04)
    monkeypatch.setattr(connection, "ACKNOWLEDGED_S", 0.5)
    accept = bytes.fromhex("2006000003210001")  # Receive Maximum 1

    def answer(packet: bytes) -> bytes | None:
        if packet[0] >> 4 == 3:
            loop = asyncio.get_running_loop()
            loop.call_later(0.1, script.send, b"\x40\x02" + packet[5:7])
        return accept if packet[0] == 0x10 else b""

    async with Script(answer) as script, running(script.port) as run:
        await run.until(True)
        for _ in range(15):
            assert run.client.publish("a", b"")
        await run.client.drain(patience.HANG_S)
        assert run.client.connected
        assert run.connections == []
        assert len(script.versions) == 1


@pytest.mark.real_time
async def test_no_more_is_under_way_than_the_broker_wants() -> None:
    accept = bytes.fromhex("2006000003210003")  # Receive Maximum 3
    published: list[bytes] = []
    hold = True

    def puback(packet: bytes) -> bytes:
        return b"\x40\x02" + packet[5:7]  # behind a topic of one letter

    def answer(packet: bytes) -> bytes | None:
        if packet[0] >> 4 == 3:
            published.append(packet)
            return b"" if hold else puback(packet)
        return accept if packet[0] == 0x10 else b""

    async with Script(answer) as script, running(script.port) as run:
        await run.until(True)
        for _ in range(10):
            assert run.client.publish("a", b"")
        await run.client.drain(0.3)
        assert len(published) == 3
        hold = False
        script.send(b"".join(puback(packet) for packet in published))
        await run.client.drain(patience.HANG_S)
        assert len(published) == 10


# -- who we are -------------------------------------------------------------------------------------------------------


@pytest.mark.real_time
async def test_wrong_password_is_reported_without_it_and_recovers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Broker(tmp_path, users={"nuki": "other"}) as broker:
        settings = MqttSettings(host="127.0.0.1", port=broker.port, username="nuki", password=Secret("hunter2"))
        async with running(broker, settings=settings) as run:
            reason = await run.until(False)
            assert reason == f"the broker at 127.0.0.1:{broker.port} refused user name or password"
            await asyncio.sleep(0.3)
            broker.set_users({"nuki": "hunter2"})
            await run.until(True)
    assert len(warnings(caplog)) == 1
    assert "hunter2" not in caplog.text


@pytest.mark.real_time
async def test_missing_user_name_is_reported(tmp_path: Path) -> None:
    with Broker(tmp_path, users={"nuki": "x"}) as broker:
        async with running(broker) as run:
            reason = await run.until(False)
            assert reason == f"the broker at 127.0.0.1:{broker.port} wants a user name and password"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("tls"), tls=True, client_certificate=True) as broker:
        yield broker


def tls_settings(broker: Broker, host: str = "localhost", **tls: Any) -> MqttSettings:
    files: dict[str, Any] = {"ca": broker.ca, "cert": broker.certificate, "key": broker.key} | tls
    return MqttSettings(host=host, port=broker.port, tls=TlsSettings(**files))


@pytest.mark.real_time
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_tls_with_ca_and_client_certificate(secured: Broker, host: str) -> None:
    async with running(secured, subscribed("tls"), settings=tls_settings(secured, host)) as run:
        await run.until(True)
        for number in range(50):  # many small messages in few TLS records
            run.client.publish("tls", str(number))
        assert [int((await run.next()).payload) for _ in range(50)] == list(range(50))
        run.client.publish("tls", bytes(60_000))
        assert len((await run.next()).payload) == 60_000


@pytest.mark.real_time
async def test_tls_refuses_a_broker_of_another_ca(secured: Broker, tmp_path: Path) -> None:
    make_ca(tmp_path / "ca.pem", tmp_path / "ca.key")
    async with running(secured, settings=tls_settings(secured, ca=tmp_path / "ca.pem")) as run:
        reason = await run.until(False)
        assert reason is not None
        assert reason.startswith(f"TLS: certificate of localhost:{secured.port} is not trusted: ")


@pytest.mark.real_time
async def test_tls_with_the_systems_cas_refuses_a_home_made_one(secured: Broker) -> None:
    async with running(secured, settings=tls_settings(secured, ca=None)) as run:
        assert "is not trusted" in (await run.until(False) or "")


@pytest.mark.real_time
async def test_tls_refuses_a_certificate_for_another_name(tmp_path: Path) -> None:
    with Broker(tmp_path, tls=True, names="DNS:elsewhere") as broker:
        settings = tls_settings(broker, cert=None, key=None)
        async with running(broker, settings=settings) as run:
            assert "Hostname mismatch" in (await run.until(False) or "")


@pytest.mark.real_time
async def test_tls_tells_that_the_broker_wants_a_client_certificate(secured: Broker) -> None:
    async with running(secured, settings=tls_settings(secured, cert=None, key=None)) as run:
        assert "CERTIFICATE_REQUIRED" in (await run.until(False) or "").upper()


@pytest.mark.real_time
async def test_tls_to_a_port_without_it_is_reported(shared: Broker, secured: Broker) -> None:
    settings = dataclasses.replace(tls_settings(secured), port=shared.port)
    async with running(shared, settings=settings) as run:
        assert (await run.until(False) or "").startswith("TLS: ")


def encrypted_copy(key: Path, copy: Path) -> Path:
    subprocess.run(["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:x", "-out", copy], check=True)
    return copy


@pytest.mark.real_time
async def test_tls_files_that_cannot_be_read_are_named(secured: Broker, tmp_path: Path) -> None:
    encrypted = encrypted_copy(secured.key, tmp_path / "encrypted.key")
    changes: list[dict[str, Any]] = [{"ca": tmp_path / "none.pem"}, {"ca": secured.key}, {"key": encrypted}]
    for change in changes:
        async with running(secured, settings=tls_settings(secured, **change)) as run:
            reason = await run.until(False)
            assert reason is not None
            assert reason.startswith("TLS: /")
            assert "cannot be used: " in reason


# -- brokers of other kinds -------------------------------------------------------------------------------------------

ACCEPT_5 = bytes.fromhex("2003000000")
ACCEPT_311 = bytes.fromhex("20020000")
REFUSE_VERSION_311 = bytes.fromhex("20020001")
REFUSE_VERSION_5 = bytes.fromhex("2003008400")


class Script:
    """A TCP server that reads one MQTT packet at a time and answers what `answer(packet)` says; None closes."""

    def __init__(self, answer: Callable[[bytes], bytes | None], tls: ssl.SSLContext | None = None) -> None:
        self.versions: list[int] = []  # protocol level of every CONNECT
        self._answer = answer
        self._tls = tls
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Script:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def send(self, data: bytes) -> None:
        """To the newest connection."""
        self._writers[-1].write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await reader.readexactly(2)
                size = head[1] & 127
                if head[1] > 127:  # no packet here needs a third byte of length
                    size += (await reader.readexactly(1))[0] << 7
                packet = head + await reader.readexactly(size)
                if packet[0] == 0x10:
                    self.versions.append(packet[8])
                answer = self._answer(packet)
                if answer is None:
                    break
                writer.write(answer)
        writer.close()


def suback(packet: bytes, version: int, code: int = 1) -> bytes:
    body = packet[2:4] + (b"\0" if version == 5 else b"") + bytes([code])
    return bytes([0x90, len(body)]) + body


def only_311(refusal: bytes | None) -> Callable[[bytes], bytes | None]:
    def answer(packet: bytes) -> bytes | None:
        if packet[0] == 0x10:
            return ACCEPT_311 if packet[8] == 4 else refusal
        return suback(packet, 4) if packet[0] == 0x82 else b""

    return answer


@pytest.mark.real_time
@pytest.mark.parametrize("refusal", [REFUSE_VERSION_311, REFUSE_VERSION_5], ids=["3.1.1 form", "5 form"])
async def test_falls_back_to_311_when_version_5_is_refused(refusal: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with Script(only_311(refusal)) as script, running(script.port, subscribed("a")) as run:
        await run.until(True)
        assert run.client.protocol == "3.1.1"
        assert script.versions == [5, 4]
    assert caplog.text.count("does not speak MQTT 5") == 1
    assert warnings(caplog) == []


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "SUSPICION_S", 0.1)
    monkeypatch.setattr(mqtt, "GRACE_S", 0.5)


@pytest.mark.real_time
@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize(
    ("habit", "versions", "told"),
    [(None, [5, 4, 5, 4], "hangs up on MQTT 5"), (b"", [5, 4, 4], "does not answer MQTT 5")],
    ids=["hangs up", "silent"],
)
async def test_a_broker_that_does_not_say_so_is_found_to_speak_311(
    habit: bytes | None, versions: list[int], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever waits is not told of a failure: a command line's conversation would be over."""
    async with Script(only_311(habit)) as script, running(script.port, subscribed("a")) as run:
        async with asyncio.timeout(patience.HANG_S):
            while not run.connections:
                await asyncio.sleep(0.005)
        assert run.connections == [(True, None)]
        assert run.client.protocol == "3.1.1"
        assert script.versions == versions
    assert caplog.text.count(f"MQTT: the broker {told}, using 3.1.1") == 1
    assert warnings(caplog) == []


@pytest.mark.real_time
@pytest.mark.usefixtures("_soon")
async def test_who_is_refused_in_311_by_a_broker_that_hangs_up_on_5_hears_why() -> None:
    def answer(packet: bytes) -> bytes | None:
        return bytes.fromhex("20020005") if packet[8] == 4 else None

    async with Script(answer) as script, running(script.port) as run:
        reason = await run.until(False)
        assert reason == f"the broker at 127.0.0.1:{script.port} wants a user name and password"


@pytest.mark.real_time
async def test_a_port_forwarder_whose_broker_restarts_does_not_cost_version_5() -> None:
    """It accepts and closes for a while; the broker may be there just when 3.1.1 has its turn."""
    connects = 0

    def answer(packet: bytes) -> bytes | None:
        nonlocal connects
        if packet[0] == 0x10:
            connects += 1
            return None if connects <= 3 else ACCEPT_311 if packet[8] == 4 else ACCEPT_5
        return suback(packet, 5) if packet[0] == 0x82 else b""

    async with Script(answer) as script, running(script.port, subscribed("a")) as run:
        reason = await run.until(False)
        assert reason == f"the broker at 127.0.0.1:{script.port} closed the connection without an answer"
        await run.until(True)
        assert run.client.protocol == "5"
        assert script.versions == [5, 4, 5, 4, 5]


@pytest.mark.real_time
@pytest.mark.usefixtures("_soon")
async def test_a_broker_that_hangs_for_a_while_does_not_cost_version_5(broker: Broker) -> None:
    """It has both questions when it wakes up."""
    broker.freeze()
    async with running(broker, subscribed("a")) as run:
        await asyncio.sleep(0.5)
        broker.thaw()
        await run.until(True)
        assert run.client.protocol == "5"
        assert run.connections == []


@pytest.mark.real_time
@pytest.mark.usefixtures("_soon")
async def test_a_broker_that_is_down_is_no_sign() -> None:
    port = free_port()
    async with running(port) as run:
        await run.until(False)
        await asyncio.sleep(0.5)
        assert run.client._versions.next() == ("5", False)


@pytest.mark.real_time
@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("habit", [None, b""], ids=["hangs up", "silent"])
async def test_version_5_is_tried_again_at_a_later_connection(habit: bytes | None) -> None:
    def answer(packet: bytes) -> bytes | None:
        if packet[0] == 0x10:
            return ACCEPT_311 if packet[8] == 4 else ACCEPT_5 if speaks_5 else habit
        return suback(packet, script.versions[-1]) if packet[0] == 0x82 else b""

    speaks_5 = False
    async with Script(answer) as script, running(script.port, subscribed("a")) as run:
        for number, expected in enumerate(("3.1.1", "3.1.1", "5"), 1):
            await run.until(True)
            assert run.client.protocol == expected
            speaks_5 = number == 2
            connection = run.client._connection
            assert connection is not None
            connection._end("test")
            await run.until(False)


@pytest.mark.real_time
@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize(("protocol", "level"), [("5", 5), ("3.1.1", 4)])
async def test_a_version_in_the_settings_is_the_only_one(protocol: Any, level: int) -> None:
    async with Script(lambda packet: None if packet[8] == level else ACCEPT_311) as script:
        settings = MqttSettings(host="127.0.0.1", port=script.port, protocol=protocol)
        async with running(script.port, settings=settings) as run:
            await eventually(lambda: len(script.versions) >= 4)
            assert set(script.versions) == {level}
            assert not any(connected for connected, _ in run.connections)


@pytest.mark.real_time
async def test_version_311_stays_for_this_process() -> None:
    async with Script(only_311(REFUSE_VERSION_311)) as script, running(script.port, subscribed("a")) as run:
        await run.until(True)
        connection = run.client._connection
        assert connection is not None
        connection._end("test")
        await run.until(False)
        await run.until(True)
        assert script.versions == [5, 4, 4]


@pytest.mark.real_time
async def test_real_broker_with_311(broker: Broker) -> None:
    async with Peer(broker) as peer:
        peer.publish("old/kept", b"1", retain=True)
        run = Running(MqttSettings(host="127.0.0.1", port=broker.port, protocol="3.1.1"), subscribed("old/#"))
        await run.until(True)
        assert run.client.protocol == "3.1.1"
        assert (await run.next()).retain
        peer.publish("old/set", b"2", ResponseTopic="x")
        message = await run.next()
        assert (message.payload, message.retain, message.response_topic) == (b"2", False, None)
        await peer.subscribe("new/#")
        assert run.client.publish("new/out", b"3", correlation_data=b"left out", expiry_s=5)
        assert (await peer.next()).payload == b"3"
        run.task.cancel()
        await asyncio.wait((run.task,))


@pytest.mark.real_time
@pytest.mark.parametrize(("version", "code"), [(5, 0x87), (4, 0x80)])
async def test_refused_subscription_is_named_and_not_fatal(
    version: int, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(packet: bytes) -> bytes | None:
        if packet[0] == 0x10:
            return REFUSE_VERSION_311 if packet[8] != version else ACCEPT_5 if version == 5 else ACCEPT_311
        return suback(packet, version, code) if packet[0] == 0x82 else b""

    async with Script(answer) as script, running(script.port, subscribed("front/set")) as run:
        await run.until(True)
    (warning,) = warnings(caplog)
    assert warning.startswith("MQTT: the broker refused the subscription to 'front/set': ")


@pytest.mark.real_time
@pytest.mark.parametrize("noise", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x7f", b"\x20\x01\x00", b"\x30\x00"])
async def test_what_is_not_mqtt_ends_the_attempt_and_nothing_else(
    noise: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT_S", 0.1)
    monkeypatch.setattr(connection, "TICK_S", 0.05)
    async with Script(lambda packet: noise) as script, running(script.port) as run:
        assert await run.until(False)
        await eventually(lambda: len(script.versions) >= 3)
        assert not run.task.done()


@pytest.mark.real_time
async def test_what_is_not_mqtt_ends_a_connection_and_nothing_else() -> None:
    """A PUBLISH too short for its topic, after a good start."""

    def answer(packet: bytes) -> bytes | None:
        return ACCEPT_5 if packet[0] == 0x10 else suback(packet, 5) + b"\x30\x01\x00"

    async with Script(answer) as script, running(script.port, subscribed("a")) as run:
        await run.until(True)
        assert await run.until(False)
        await run.until(True)


@pytest.mark.real_time
async def test_messages_that_share_a_tls_record_are_all_read(secured: Broker) -> None:
    """Once decrypted they do not make the socket readable again."""

    def answer(packet: bytes) -> bytes | None:
        if packet[0] == 0x10:
            return ACCEPT_5
        return suback(packet, 5) + b"".join(b"\x30\x05\x00\x01a\x00%d" % number for number in range(10))

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(secured.directory / "server.pem", secured.directory / "server.key")
    async with Script(answer, context) as script:
        settings = dataclasses.replace(tls_settings(secured), port=script.port)
        async with running(script.port, subscribed("a"), settings=settings) as run:
            await run.until(True)
            assert [int((await run.next(1)).payload) for _ in range(10)] == list(range(10))


@pytest.mark.real_time
async def test_shorter_keepalive_of_the_broker_is_obeyed() -> None:
    accept = bytes.fromhex("2006000003130002")  # Server Keep Alive 2 s

    def answer(packet: bytes) -> bytes | None:
        return accept if packet[0] == 0x10 else b""

    async with Script(answer) as script, running(script.port) as run:
        await run.until(True)
        connection = run.client._connection
        assert connection is not None
        connection._end("test")
        await run.until(False)
        await run.until(True)
        connection = run.client._connection
        assert connection is not None
        assert connection._paho.keepalive == 2


def test_module_does_not_load_paho_before_it_connects() -> None:
    code = "import sys, nuki_bridge.mqtt.mqtt; print([m for m in ('paho.mqtt', 'http', 'email') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"[]\n"


def test_paho_still_has_what_we_take_the_place_of() -> None:
    for name in ("_create_socket", "_handle_pubackcomp", "_handle_disconnect"):
        assert callable(getattr(Paho, name))


@pytest.mark.real_time
@pytest.mark.parametrize("form", ["e0018b", "e0028b00"])
async def test_the_reason_of_a_farewell_is_told(form: str) -> None:
    async with Script(lambda packet: ACCEPT_5 if packet[0] == 0x10 else b"") as script, running(script.port) as run:
        await run.until(True)
        script.send(bytes.fromhex(form))
        reason = await run.until(False)
        assert reason == f"the broker at 127.0.0.1:{script.port} ended the connection: Server shutting down"


# -- messages that are too large --------------------------------------------------------------------------------------


def takes(limit: int, over_it: bytes | None, version: int) -> Callable[[bytes], bytes | None]:
    """A broker that does `over_it` (None: hangs up) with a PUBLISH of more than `limit` bytes."""

    def answer(packet: bytes) -> bytes | None:
        if packet[0] == 0x10:
            return ACCEPT_5 if version == 5 else ACCEPT_311
        if packet[0] >> 4 == 3:
            return over_it if len(packet) > limit else b"\x40\x02" + packet[5:7]  # behind a topic of one letter
        return suback(packet, version) if packet[0] == 0x82 else b""

    return answer


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("version", "over_it", "losses"),
    [
        pytest.param(5, bytes.fromhex("e00195"), 1, id="says so and ends"),
        pytest.param(5, None, 2, id="hangs up, 5"),
        pytest.param(4, None, 2, id="hangs up, 3.1.1"),
    ],
)
async def test_a_message_that_ends_the_connection_is_left_out(
    version: int, over_it: bytes | None, losses: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings = MqttSettings(host="127.0.0.1", protocol="5" if version == 5 else "3.1.1")
    async with Script(takes(1400, over_it, version)) as script:
        settings = dataclasses.replace(settings, port=script.port)
        async with running(script.port, settings=settings) as run:
            for _ in range(losses):
                await run.until(True)
                assert run.client.publish("s", bytes(100))
                assert run.client.publish("b", bytes(1450))
                assert run.client.publish("t", bytes(100))
                await run.until(False)
            await run.until(True)
            assert not run.client.publish("b", bytes(1450))
            assert not run.client.fits("b", bytes(1450))
            assert run.client.publish("b", bytes(1300))
            await run.client.drain(patience.HANG_S)
            assert run.client.connected
            assert len(script.versions) == losses + 1
    (said,) = [each for each in warnings(caplog) if "larger" in each]
    assert "'b' (1450 bytes)" in said


@pytest.mark.real_time
async def test_a_broker_that_restarts_while_a_large_message_is_under_way_still_gets_it(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(broker) as run:
        for _ in range(3):
            await run.until(True)
            assert run.client.publish("large", bytes(10_000), retain=True)
            await run.client.drain(patience.HANG_S)
            broker.freeze()
            assert run.client.publish("large", bytes(20_000), retain=True)
            broker.stop()
            await run.until(False)
            broker.start()
            await run.until(True)
            assert run.client.publish("large", bytes(20_000), retain=True)
            await run.client.drain(patience.HANG_S)
            assert run.client.connected
            run.connections.append((True, None))
    assert "larger" not in caplog.text
