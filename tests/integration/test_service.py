"""The daemon under a service manager: a real NOTIFY_SOCKET, real signals, a broker and a bluetoothd that hang."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests import patience
from tests.integration.bluez_rig import PrivateBus
from tests.integration.broker import Broker, Peer, free_port
from tests.integration.daemon import Daemon, Home, watching
from tests.integration.manager import Manager
from tests.radio.bluez import StandInBluez

pytestmark = pytest.mark.real_time
pytest.importorskip("systemd.daemon")

WATCHDOG_S = 1.5


@asynccontextmanager
async def managed(daemon: Daemon, **environment: str) -> AsyncIterator[Manager]:
    manager = Manager(daemon.directory)
    daemon.start(NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC=str(int(WATCHDOG_S * 1e6)), **environment)
    try:
        await manager.until(lambda: "READY=1" in manager.lines)
        yield manager
    finally:
        daemon.kill()
        manager.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    directory = tmp_path / "broker"
    directory.mkdir()
    with Broker(directory) as broker:
        yield broker


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateBus]:
    if shutil.which("dbus-daemon") is None:
        pytest.skip("needs dbus-daemon")
    bus = PrivateBus(tmp_path)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    bus.start()
    yield bus
    bus.stop()


def on_bluez(daemon: Daemon) -> None:
    daemon.config.write_text(daemon.config.read_text().replace("backend: virtual", "backend: bluez"))


# -- ready, status, watchdog ------------------------------------------------------------------------------------------


async def test_ready_without_a_broker_then_fed_then_stopping(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, free_port())
    async with managed(daemon) as manager:
        await manager.until_fed(4)
        assert "no broker: connection refused" in manager.status
        daemon.signal(signal.SIGTERM)
        await manager.until(lambda: "STOPPING=1" in manager.lines)
        assert await daemon.ended(3.0) == 0


async def test_the_status_follows_locks_and_broker(broker: Broker, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, broker.port)
    async with managed(daemon) as manager:
        home = await watching(broker, daemon)
        await manager.until(lambda: manager.status == "no locks; broker connected (MQTT 5); adapter virtual0")
        await home.online()
        await home.pair()
        await manager.until(lambda: manager.status.startswith("1 lock: front linked; broker connected"))
        await home.ask("front/simulate", {"out_of_range": True})
        await manager.until(lambda: manager.status.startswith("1 lock: front in reach;"))
        broker.stop()
        await manager.until(lambda: "; no broker: " in manager.status)
        home.close()
        statuses = [(at, line) for at, line in manager.heard if line.startswith("STATUS=")]
        assert all(line != before for (_, line), (_, before) in zip(statuses[1:], statuses, strict=False))


async def test_the_watchdog_hears_nothing_of_a_stopped_process_and_enough_of_one_that_goes_on(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, free_port())
    async with managed(daemon) as manager:
        await manager.until_fed(2)
        daemon.signal(signal.SIGSTOP)
        await asyncio.sleep(0.2)
        before = len(manager.fed_at)
        await asyncio.sleep(2 * WATCHDOG_S)
        assert len(manager.fed_at) == before
        daemon.signal(signal.SIGCONT)
        await manager.until_fed(4)
        assert "no progress" not in daemon.log


@pytest.mark.slow
async def test_a_broker_that_hangs_is_no_reason_to_die(broker: Broker, tmp_path: Path) -> None:
    """Its socket stays open and nothing answers any more: found by pings, tried again, and the watchdog is fed."""
    daemon = Daemon(tmp_path, broker.port)
    async with managed(daemon) as manager:
        await manager.until(lambda: "broker connected" in manager.status)
        broker.freeze()
        try:
            await manager.until(lambda: "no broker: " in manager.status)
            await manager.until_fed(4)
            gaps = [b - a for a, b in zip(manager.fed_at, manager.fed_at[1:], strict=False)]
            assert max(gaps) < WATCHDOG_S
        finally:
            broker.thaw()
        await manager.until(lambda: "broker connected" in manager.status)


# -- another configuration --------------------------------------------------------------------------------------------


async def reloaded(daemon: Daemon, manager: Manager, text: str) -> None:
    """Write the configuration and send SIGHUP; returns once that has been dealt with."""
    before = manager.lines.count("READY=1")
    daemon.config.write_text(text)
    daemon.signal(signal.SIGHUP)
    await manager.until(lambda: manager.lines.count("READY=1") > before)
    told = [line for line in manager.lines if not line.startswith("STATUS=")]
    assert told[-3] == "RELOADING=1"
    assert re.fullmatch(r"MONOTONIC_USEC=\d+", told[-2])


def found_by_check_config(file: Path) -> list[str]:
    command = [sys.executable, "-m", "nuki_bridge", "check-config", "--config", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()


async def reconnects(home: Home) -> dict[str, int]:
    """How often each lock was connected to."""
    locks = (await home.ask("bridge/request/health"))["data"]["locks"]
    return {each["name"]: each["reconnects"] for each in locks if each["connected"]}


async def test_sighup_changes_what_changed_and_keeps_links(broker: Broker, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, broker.port)
    async with managed(daemon) as manager:
        home = await watching(broker, daemon)
        await home.online()
        await home.pair()
        links = await reconnects(home)
        assert links == {"front": 1}
        text = daemon.config.read_text()
        await reloaded(daemon, manager, f"{text}locks: [{{name: front, actions: [lock]}}, {{name: gate}}]\n")
        assert (await home.ask("front/set", "unlock"))["error"] == "action_not_allowed"
        await home.until(lambda: home.last("gate/availability") == "offline")
        await manager.until(lambda: manager.status.startswith("2 locks: front linked, gate not paired;"))
        await reloaded(daemon, manager, text.replace("log_level: debug", "log_level: warning"))
        await home.until(lambda: home.last("gate/availability") == "")
        written = len(daemon.log)
        assert (await home.ask("front/set", "unlock"))["status"] == "ok"
        assert len(daemon.log) == written
        assert await reconnects(home) == links
        assert home.on("bridge/state").count("offline") == 0
        home.close()


async def test_sighup_refuses_mistakes_as_check_config_does(broker: Broker, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, broker.port)
    async with managed(daemon) as manager:
        home = await watching(broker, daemon)
        await home.online()
        await home.pair()
        links = await reconnects(home)
        text = daemon.config.read_text()
        await reloaded(daemon, manager, text + "locks: [{name: Front Door}]\nfoo: 1\n")
        mistakes = found_by_check_config(daemon.config)
        assert len(mistakes) == 2
        assert [line for line in mistakes if line not in daemon.log] == []
        await manager.until(lambda: manager.status.startswith("new configuration refused, see the log; 1 lock: "))
        assert (await home.ask("front/set", "unlock"))["status"] == "ok"
        await reloaded(daemon, manager, text)
        await manager.until(lambda: manager.status.startswith("1 lock: front linked;"))
        assert await reconnects(home) == links
        home.close()


async def test_sighup_to_another_broker_keeps_links_and_says_goodbye(broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with Broker(tmp_path / "other", users={"bridge": "hunter2", "me": "me"}) as other:
        daemon = Daemon(tmp_path, broker.port)
        (tmp_path / "mqtt-password").write_text("wrong\n")
        async with managed(daemon) as manager:
            home = await watching(broker, daemon)
            await home.online()
            await home.pair()
            text = daemon.config.read_text()
            moved = text.replace(f"port: {broker.port}", f"port: {other.port}, username: bridge")
            moved = moved.replace("username: bridge", "username: bridge, password_file: mqtt-password")
            await reloaded(daemon, manager, moved)
            await home.until(lambda: home.last("bridge/state") == "offline")
            assert home.last("front/availability") == "offline"
            await manager.until(lambda: "no broker: the broker at" in manager.status)
            (tmp_path / "mqtt-password").write_text("hunter2\n")
            await reloaded(daemon, manager, moved)
            peer = Peer(other, username="me", password="me")
            await peer.subscribe("nuki/#")
            there = Home(other, daemon, peer)
            await there.online()
            await there.until(lambda: there.last("front/availability") == "online")
            assert (await there.ask("front/set", "unlock"))["status"] == "ok"
            assert await reconnects(there) == {"front": 1}
            assert "hunter2" not in daemon.log
            home.close()
            there.close()


@pytest.mark.usefixtures("bus")
async def test_sighup_to_another_adapter(broker: Broker, tmp_path: Path) -> None:
    bluez = StandInBluez()
    bluez.add_adapter("hci0")
    bluez.add_adapter("hci1")
    await bluez.start()
    daemon = Daemon(tmp_path, broker.port)
    on_bluez(daemon)
    async with managed(daemon) as manager:
        await manager.until(lambda: manager.status.endswith("MQTT 5); adapter hci0"))
        text = daemon.config.read_text()
        await reloaded(daemon, manager, text.replace("backend: bluez", "backend: bluez, adapter: hci1"))
        await manager.until(lambda: manager.status.endswith("MQTT 5); adapter hci1"))
        await manager.until_fed(3)
    await bluez.kill()


# -- stopping ---------------------------------------------------------------------------------------------------------


async def test_it_stops_in_3_s_while_the_broker_hangs_and_its_will_says_offline(broker: Broker, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, broker.port)
    async with managed(daemon) as manager:
        await manager.until(lambda: "broker connected" in manager.status)
        broker.freeze()
        try:
            started = patience.now()
            daemon.signal(signal.SIGTERM)
            assert await daemon.ended(3.0) == 0
            assert patience.now() - started < 3.0
        finally:
            broker.thaw()
        home = await watching(broker, daemon)
        await home.until(lambda: home.last("bridge/state") == "offline")
        home.close()


@pytest.mark.slow
@pytest.mark.usefixtures("bus")
async def test_a_bluetoothd_that_hangs_is_said_and_no_reason_to_die(broker: Broker, tmp_path: Path) -> None:
    bluez = StandInBluez()
    bluez.add_adapter("hci0")
    await bluez.start()
    daemon = Daemon(tmp_path, broker.port)
    on_bluez(daemon)
    async with managed(daemon) as manager:
        await manager.until(lambda: manager.status == "no locks; broker connected (MQTT 5); adapter hci0")
        bluez.hang("GetManagedObjects", 3)
        bluez.hang("StopDiscovery", 3)
        bluez.power(False)  # it looks, and gets no answer
        await manager.until(lambda: "no Bluetooth: bluetoothd does not answer" in manager.status)
        await manager.until_fed(4)
        bluez.power(True)
        await manager.until(lambda: manager.status.endswith("adapter hci0"))
        started = patience.now()
        bluez.hang("StopDiscovery", 3)
        daemon.signal(signal.SIGTERM)
        assert await daemon.ended(3.0) == 0
        assert patience.now() - started < 3.0
        home = await watching(broker, daemon)
        await home.until(lambda: home.last("bridge/state") == "offline")
        home.close()
    await bluez.kill()


# -- what never lets go -----------------------------------------------------------------------------------------------

HANGS = """
import asyncio, sys
from nuki_bridge import watchdog
from nuki_bridge.bridge import bridge
from nuki_bridge.command_line import cli
from nuki_bridge.daemon import broker

async def never(*_):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

watchdog.SLACK_S = 0.5
{patch}
sys.exit(cli.main(["run", "--config", {config!r}]))
"""
"""A daemon of which one part hangs, whoever gives it up."""


class Hanging(Daemon):
    def __init__(self, directory: Path, port: int, patch: str) -> None:
        super().__init__(directory, port)
        self._program = HANGS.format(patch=patch, config=str(self.config))

    def start(self, **environment: str) -> None:
        with (self.directory / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", self._program], stdout=log, stderr=log, env={**os.environ, **environment}
            )


async def test_it_stops_in_3_s_and_says_offline_whatever_hangs(broker: Broker, tmp_path: Path) -> None:
    daemon = Hanging(tmp_path, broker.port, "bridge.Bridge._run_radio = never")
    async with managed(daemon) as manager:
        home = await watching(broker, daemon)
        await home.online()
        started = patience.now()
        daemon.signal(signal.SIGTERM)
        assert await daemon.ended(3.0) == 0
        assert patience.now() - started < 3.0
        await home.until(lambda: home.last("bridge/state") == "offline")
        assert manager.lines[-2:] == ["STOPPING=1", "STATUS=stopping"]
        home.close()


async def test_a_part_that_hangs_starves_the_watchdog_and_is_named(broker: Broker, tmp_path: Path) -> None:
    """The event loop runs on, so that the process looks alive."""
    daemon = Hanging(tmp_path, broker.port, "broker.mqtt.open_socket = never; broker.mqtt.TIMEOUT_S = 0.5")
    async with managed(daemon) as manager:
        await manager.until(lambda: "no progress any more" in daemon.log)
        fed = len(manager.fed_at)
        await asyncio.sleep(2 * WATCHDOG_S)
        assert len(manager.fed_at) == fed
        assert f"stuck in the broker: connecting to 127.0.0.1:{broker.port}" in daemon.log
