"""What counts as progress of the broker's link, of Bluetooth and of a lock: who is away is none's fault, who hangs is.

Time is virtual.  What hangs is a call that never returns, also when it is given up; what is away answers as the real
thing does: with errors, or not at all until the deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client
import pytest

from nuki_bridge.bluetooth.link import RadioStatus
from nuki_bridge.bluetooth.radio import BluezRadio
from nuki_bridge.config import LockSettings, MqttSettings
from nuki_bridge.errors import BrokerError
from nuki_bridge.mqtt import mqtt
from nuki_bridge.mqtt.message import Subscription
from nuki_bridge.mqtt.mqtt import KEEPALIVE_S
from nuki_bridge.watchdog import SLACK_S, Watchdog
from tests.unit.house import CLASSIC, House
from tests.unit.rig import clock

LONG_S = 7200.0


class Hang:
    """A call that does not return as long as the block lasts, whoever gives it up."""

    def __init__(self) -> None:
        self._released = asyncio.Event()
        self.calls = 0

    async def __call__(self, *_: object, **__: object) -> Any:
        self.calls += 1
        while not self._released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await self._released.wait()
        await asyncio.sleep(1.0)

    async def __aenter__(self) -> Hang:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._released.set()
        await asyncio.sleep(0.5)


@asynccontextmanager
async def watched(watchdog: Watchdog) -> AsyncIterator[list[str]]:
    """Everything that was ever found stuck, looked for each second."""
    found: list[str] = []

    async def watch() -> None:
        while True:
            found.extend(watchdog.stuck())
            await asyncio.sleep(1.0)

    task = asyncio.create_task(watch())
    yield found
    task.cancel()


# -- a lock -----------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("connection", ["persistent", "on-demand"])
async def test_a_lock_makes_progress_whatever_it_is_asked_and_wherever_it_is(connection: Any, tmp_path: Path) -> None:
    house = House(tmp_path / "state", LockSettings("front", CLASSIC, connection=connection))
    async with house.running(), watched(house.watchdog) as stuck:
        await house.pair(name="front")
        for motor_s in (0.0, 20.0):
            await house.ask("front/simulate", {"motor_s": motor_s})
            for action in ("unlock", "lock_n_go", "unlatch", "lock"):
                await house.ask("front/set", action, wait_s=300.0)
        house.radio.half_open(CLASSIC)
        await house.ask("front/set", "unlock")
        await house.ask("front/simulate", {"out_of_range": True})
        await house.ask("front/set", "lock")
        await asyncio.sleep(LONG_S)
        house.radio.set_adapter(False)
        await asyncio.sleep(LONG_S)
        house.radio.set_adapter(True)
        await house.ask("front/simulate", {"out_of_range": False})
        await asyncio.sleep(3600.0)
        assert (await house.ask("front/set", "lock"))["status"] == "ok"
        assert stuck == []


@pytest.mark.parametrize(
    ("member", "doing"),
    [("connect", "connecting"), ("write", "writing to the lock"), ("disconnect", "dropping the link")],
)
async def test_a_lock_whose_link_never_comes_back_to_us_is_stuck(
    member: str, doing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path / "state", LockSettings("front", CLASSIC))
    async with house.running():
        await house.pair(name="front")
        front = house.bridge.members.get("front")
        assert front is not None
        assert front.lock is not None
        async with Hang() as hang:
            monkeypatch.setattr(front.lock.exchange.link, member, hang)
            house.radio.half_open(CLASSIC)  # the next write is not confirmed, the link is dropped and made anew
            await asyncio.sleep(60.0 + SLACK_S)
            assert hang.calls == 1
            assert house.watchdog.stuck() == [f"lock front: {doing}"]


async def test_a_lock_that_was_unpaired_is_not_missed(tmp_path: Path) -> None:
    house = House(tmp_path / "state")
    async with house.running(), watched(house.watchdog) as stuck:
        await house.pair(name="front")
        await house.ask("bridge/request/unpair", {"name": "front"})
        await asyncio.sleep(LONG_S)
        assert stuck == []


# -- Bluetooth --------------------------------------------------------------------------------------------------------


class Air:
    """A radio whose way to BlueZ, and whose scan, do as they are told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.watchdog = Watchdog(clock)
        self.radio = BluezRadio(None, self.watchdog.heartbeat("Bluetooth"))
        self.refreshed = 0
        self.status = RadioStatus(True, "hci0")
        self.pause_s: float | None = 25.0
        monkeypatch.setattr(self.radio.bluez, "refresh", self._refresh)
        monkeypatch.setattr(self.radio.scanner, "adjust", self._adjust)

    async def _refresh(self) -> bool:
        self.refreshed += 1
        self.radio.bluez.status = self.status
        return False

    async def _adjust(self) -> float | None:
        return self.pause_s

    @asynccontextmanager
    async def running(self) -> AsyncIterator[list[str]]:
        run = asyncio.create_task(self.radio.run(lambda _: None, lambda _: None))
        async with watched(self.watchdog) as stuck:
            yield stuck
        run.cancel()
        await asyncio.wait((run,))
        await asyncio.sleep(60.0)
        assert self.watchdog.stuck() == []


@pytest.mark.parametrize("pause_s", [25.0, None])
async def test_bluetooth_makes_progress_while_it_scans_and_while_nothing_happens(
    pause_s: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    air = Air(monkeypatch)
    air.pause_s = pause_s
    async with air.running() as stuck:
        await asyncio.sleep(LONG_S)
        assert stuck == []
        assert air.refreshed > LONG_S / 61, "BlueZ was asked at least once a minute"


async def test_an_adapter_that_is_not_there_is_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    air = Air(monkeypatch)
    air.status, air.pause_s = RadioStatus(False, None, "no Bluetooth adapter found"), None
    async with air.running() as stuck:
        await asyncio.sleep(LONG_S)
        assert stuck == []


@pytest.mark.parametrize(
    ("part", "member", "doing"),
    [("bluez", "refresh", "asking BlueZ for its adapters"), ("scanner", "adjust", "starting the scan")],
)
async def test_a_call_to_bluez_that_never_returns_is_a_hang(
    part: str, member: str, doing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    air = Air(monkeypatch)
    async with air.running() as stuck:
        await asyncio.sleep(120.0)
        async with Hang() as hang:
            monkeypatch.setattr(getattr(air.radio, part), member, hang)
            await asyncio.sleep(120.0)
            assert stuck
            assert air.watchdog.stuck() == [f"Bluetooth: {doing}"]


# -- the broker -------------------------------------------------------------------------------------------------------


class Wire:
    """The broker's end of a socket: it answers CONNECT, SUBSCRIBE, UNSUBSCRIBE and PINGREQ while it is `alive`."""

    def __init__(self) -> None:
        self.alive = True
        self.probes = 0
        self.connections = 0

    async def open(self, *_: object) -> socket.socket:
        """What `tcp.open_socket` gives."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self.connections += 1
        asyncio.get_running_loop().add_reader(theirs, self._answer, theirs)
        return ours

    def _answer(self, sock: socket.socket) -> None:
        data = sock.recv(65536)
        if not data:
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()
        while data and self.alive:
            kind, size = data[0], data[1]  # short packets only
            packet, data = data[: 2 + size], data[2 + size :]
            if kind == 0x10:
                sock.send(bytes.fromhex("20 03 00 00 00"))
            elif kind == 0x82:
                sock.send(bytes.fromhex("90 04") + packet[2:4] + b"\0\x01")
            elif kind == 0xA2:
                sock.send(bytes.fromhex("b0 04") + packet[2:4] + b"\0\x11")
            elif kind == 0xC0:
                self.probes += 1
                sock.send(bytes.fromhex("d0 00"))


@pytest.fixture
def _paho_on_virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paho.mqtt.client, "time_func", clock)


@asynccontextmanager
async def connecting(open_socket: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Watchdog, mqtt.Client]]:
    monkeypatch.setattr(mqtt, "open_socket", open_socket)
    watchdog = Watchdog(clock)
    client = mqtt.Client(
        MqttSettings(),
        will=None,
        subscriptions=[Subscription("nuki/+/set")],
        on_message=lambda _: None,
        on_connection=lambda *_: None,
        clock=clock,
        heartbeat=watchdog.heartbeat("the broker"),
    )
    run = asyncio.create_task(client.run())
    try:
        yield watchdog, client
    finally:
        run.cancel()
        await asyncio.wait((run,))
        await asyncio.sleep(120.0)
        assert watchdog.stuck() == []


@pytest.mark.usefixtures("_paho_on_virtual_time")
async def test_a_connection_without_traffic_makes_progress_by_its_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire()
    async with connecting(wire.open, monkeypatch) as (watchdog, client), watched(watchdog) as stuck:
        await asyncio.sleep(3600.0)
        assert client.connected
        assert wire.probes > 3600 / 5
        assert stuck == []


@pytest.mark.usefixtures("_paho_on_virtual_time")
async def test_a_broker_that_falls_silent_is_left_and_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire()
    async with connecting(wire.open, monkeypatch) as (watchdog, client), watched(watchdog) as stuck:
        await asyncio.sleep(60.0)
        assert client.connected
        wire.alive = False
        await asyncio.sleep(3600.0)
        assert not client.connected
        assert wire.connections > 10
        assert stuck == []


async def test_a_connection_that_nobody_tends_is_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """paho's clock stands, so that it does not give up a broker that is deaf: connected for ever."""
    wire = Wire()
    async with connecting(wire.open, monkeypatch) as (watchdog, client):
        await asyncio.sleep(1.0)
        wire.alive = False
        await asyncio.sleep(2 * KEEPALIVE_S - 1.0)
        assert watchdog.stuck() == []
        await asyncio.sleep(SLACK_S + 2.0)
        assert client.connected
        assert watchdog.stuck() == ["the broker: hearing from the broker at localhost:1883"]


async def test_a_broker_that_is_not_there_is_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> Any:
        raise BrokerError("connection refused at localhost:1883")

    async with connecting(refuse, monkeypatch) as (watchdog, _), watched(watchdog) as stuck:
        await asyncio.sleep(LONG_S)
        assert stuck == []


async def test_an_attempt_that_never_ends_is_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    hang = Hang()
    async with connecting(hang, monkeypatch) as (watchdog, _), hang:
        await asyncio.sleep(20.0 + SLACK_S + 1.0)
        assert watchdog.stuck() == ["the broker: connecting to localhost:1883"]
