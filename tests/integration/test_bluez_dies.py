"""A bluetoothd that dies, and one that is stopped: who starts it again, on a private D-Bus that can.

D-Bus starts it as it starts any service by its name; on a real system it leaves that to systemd.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nuki_bridge.bluetooth import revival
from nuki_bridge.bluetooth.link import Channel, RadioStatus
from nuki_bridge.errors import LinkError
from tests.integration.bluez_rig import PrivateBus, Rig, in_haste, rig, until

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="needs dbus-daemon"),
]

DIED = "bluetoothd has died; it is started again in a moment"
STOPPED = "bluetoothd is not running: `systemctl start bluetooth`"


class Activating(PrivateBus):
    """A D-Bus that starts org.bluez: its command leaves a line in `started`, and the stand-in has to follow."""

    def __init__(self, directory: Path, *, status: int = 0) -> None:
        super().__init__(directory)
        services = directory / "services"
        services.mkdir()
        self.started = directory / "started"
        self.started.touch()
        self.served = 0
        command = directory / "start"
        command.write_text(f"#!/bin/sh\necho started >>{self.started}\nexit {status}\n")
        command.chmod(0o755)
        (services / "org.bluez.service").write_text(f"[D-BUS Service]\nName=org.bluez\nExec={command}\nUser=root\n")
        self._config.write_text(
            self._config.read_text().replace("<auth>", f"<servicedir>{services}</servicedir><auth>", 1)
        )

    @property
    def starts(self) -> int:
        """How often it was started."""
        return len(self.started.read_text().splitlines())

    async def serve(self, r: Rig) -> None:
        """bluetoothd comes up whenever it is started."""
        self.served = self.starts
        while True:
            await until(lambda: self.starts > self.served)
            self.served = self.starts
            r.bluez.add_adapter()
            await r.bluez.start()


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Activating]:
    bus = Activating(tmp_path)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    bus.start()
    yield bus
    bus.stop()


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    in_haste(monkeypatch)
    monkeypatch.setattr(revival, "PAUSE_S", 0.3)


@asynccontextmanager
async def serving(bus: Activating, r: Rig) -> AsyncIterator[None]:
    """bluetoothd comes up whenever D-Bus starts it."""
    task = asyncio.create_task(bus.serve(r))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_a_silent_lock_kills_bluetoothd_and_it_is_started_again(bus: Activating) -> None:
    async with rig() as r, serving(bus, r):
        r.bluez.fragile = True
        r.lock.resolves = False
        await r.seen()
        with pytest.raises(LinkError):
            await r.link.connect(1.0)
        await until(lambda: not r.radio.status.available)
        assert r.statuses[-1] == RadioStatus(False, None, DIED)
        await until(lambda: r.radio.status.available)
        assert bus.starts == 1
        r.lock.resolves = True
        r.sightings.clear()
        await r.seen()
        await r.works()
        assert [status.available for status in r.statuses] == [True, False, True]


async def test_it_dies_at_power_off_with_a_connect_pending_and_is_started_again(bus: Activating) -> None:
    async with rig() as r, serving(bus, r):
        r.bluez.fragile = True
        r.lock.resolves = False
        await r.seen()
        connecting = asyncio.create_task(r.link.connect(5.0))
        await until(lambda: (r.bluez.known(r.lock.address) or {}).get("Connected"))
        r.bluez.power(False)
        with pytest.raises(LinkError):
            await connecting
        await until(lambda: r.radio.status.available)
        assert bus.starts == 1


async def test_one_that_was_stopped_stays_stopped(bus: Activating) -> None:
    """`systemctl stop bluetooth`: somebody wants it so."""
    async with rig() as r, serving(bus, r):
        await r.connected()
        await r.bluez.stop()
        await until(lambda: r.radio.status.reason == STOPPED)
        await asyncio.sleep(1.0)
        assert bus.starts == 0
        assert r.radio.status == RadioStatus(False, None, STOPPED)
        r.bluez.add_adapter()
        await r.bluez.start()
        await until(lambda: r.radio.status.available)
        r.sightings.clear()
        await r.seen()
        await r.works()


async def test_one_that_was_not_there_at_our_start_is_not_started(bus: Activating) -> None:
    async with rig(start=False) as r, serving(bus, r):
        await asyncio.sleep(0.8)
        assert r.radio.status.reason == STOPPED
        assert bus.starts == 0


async def test_systemd_comes_first(bus: Activating, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drop-in has it restarted sooner than we would."""
    monkeypatch.setattr(revival, "PAUSE_S", 1.0)
    async with rig() as r, serving(bus, r):
        await r.connected()
        await r.bluez.kill()
        await until(lambda: not r.radio.status.available)
        r.bluez.add_adapter()
        await r.bluez.start()
        await until(lambda: r.radio.status.available)
        await asyncio.sleep(1.2)
        assert bus.starts == 0


async def test_the_pause_grows_while_it_dies_again_and_again(bus: Activating, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revival, "PAUSE_S", 0.2)
    monkeypatch.setattr(revival, "LONGEST_S", 0.8)
    clock = asyncio.get_running_loop().time
    pauses = []
    async with rig() as r, serving(bus, r):
        for _ in range(4):
            await r.scanning()  # a request that is on its way to a dead bluetoothd has D-Bus start it at once
            died_at = clock()
            await r.bluez.kill()
            await until(lambda: not r.radio.status.available)
            await until(lambda: r.radio.status.available)
            pauses.append(clock() - died_at)
        assert bus.starts == 4
    assert all(at_least <= pause for pause, at_least in zip(pauses, (0.2, 0.4, 0.8, 0.8), strict=True)), pauses


async def test_one_that_cannot_be_started_is_said_to_be_dead_and_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revival, "PAUSE_S", 0.1)
    monkeypatch.setattr(revival, "LONGEST_S", 0.1)
    bus = Activating(tmp_path, status=1)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    bus.start()
    with contextlib.ExitStack() as stack:
        stack.callback(bus.stop)
        async with rig() as r:
            await r.connected()
            await r.bluez.kill()
            await until(lambda: bus.starts >= 3)
            reasons = [status.reason or "" for status in r.statuses]
            assert reasons[:2] == ["", DIED]
            assert len(reasons) == 3, reasons
            assert reasons[2].startswith("bluetoothd has died and D-Bus cannot start it (")
            assert reasons[2].endswith("): `systemctl start bluetooth`")
            r.bluez.add_adapter()
            await r.bluez.start()
            await until(lambda: r.radio.status.available)
            r.sightings.clear()
            await r.seen()
            await r.link.connect(2.0)
            await r.link.write(Channel.USDIO, b"\x01")


async def test_an_adapter_that_is_pulled_out_is_no_death(bus: Activating) -> None:
    """What came later is not ours to mend: without an adapter nothing is won, and its return starts bluetoothd."""
    async with rig() as r, serving(bus, r):
        await r.seen()
        r.bluez.remove_adapter()
        await until(lambda: not r.radio.status.available)
        await r.bluez.kill()
        await until(lambda: r.radio.status.reason == STOPPED)
        await asyncio.sleep(0.6)
        assert bus.starts == 0
