"""The radio on a stand-in for bluetoothd, on a private D-Bus."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nuki_bridge.bluetooth import gatt, radio, scan
from nuki_bridge.bluetooth.gatt import BluezLink
from nuki_bridge.bluetooth.link import Channel, RadioStatus
from nuki_bridge.bluetooth.radio import BluezRadio
from nuki_bridge.protocol import codes
from nuki_bridge.protocol.advertisement import APPLE, Sighting, beacon_data
from tests import patience
from tests.radio.bluez import Peripheral, StandInBluez

ADDRESS = "54:D2:72:AA:BB:CC"
NUKI_ID = 0x22AABBCC
_BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="false"/>
<allow receive_sender="*"/><allow send_type="method_call"/></policy></busconfig>
"""


class PrivateBus:
    """A dbus-daemon of our own on a socket that survives its restarts."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "bus"
        self._config = directory / "bus.conf"
        self._config.write_text(_BUS_CONFIG.format(socket=self.socket))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"unix:path={self.socket}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["dbus-daemon", f"--config-file={self._config}", "--nofork", "--print-address"], stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "dbus-daemon did not start"

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None
        self.socket.unlink(missing_ok=True)


def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that are as short as tests want them."""
    monkeypatch.setattr(radio, "REOPEN_S", 0.05)
    monkeypatch.setattr(radio, "SETTLE_S", 0.05)
    monkeypatch.setattr(radio, "DISCONNECT_S", 0.5)
    monkeypatch.setattr(gatt, "DISCONNECT_S", 0.5)
    monkeypatch.setattr(scan, "RETRY_S", 0.05)
    monkeypatch.setattr(scan, "REST_S", 0.05)


async def until(condition: Callable[[], object], what: str = "", timeout_s: float = patience.HANG_S) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


def classic_services(gdio: bool = True, usdio: bool = True) -> dict[str, list[str]]:
    keyturner = [codes.KEYTURNER_GDIO] * gdio + [codes.KEYTURNER_USDIO] * usdio
    return {codes.PAIRING_SERVICE: [codes.PAIRING_GDIO], codes.KEYTURNER_SERVICE: keyturner}


class Rig:
    """A radio running against a stand-in, with everything it reported."""

    def __init__(self, adapter: str | None = None) -> None:
        self.bluez = StandInBluez()
        self.radio = BluezRadio(adapter)
        self.lock = Peripheral(ADDRESS, classic_services(), name="Nuki_22AABBCC")
        self.statuses: list[RadioStatus] = []
        self.sightings: list[Sighting] = []
        self.data: list[tuple[Channel, bytes]] = []
        self.losses = 0
        self.link = self.new_link()

    def new_link(self, address: str = ADDRESS) -> BluezLink:
        return self.radio.link(address, lambda channel, data: self.data.append((channel, data)), self._lost)

    def _lost(self) -> None:
        self.losses += 1

    async def beacon(self, *, changed: bool = False, rssi: int = -60) -> None:
        """The lock advertises once while there is a scan."""
        await self.scanning()
        self.bluez.advertise(self.lock, manufacturer={APPLE: beacon_data(NUKI_ID, state_changed=changed)}, rssi=rssi)

    async def _advertise(self) -> None:
        for rssi in itertools.cycle((-60, -61)):
            self.bluez.advertise(self.lock, manufacturer={APPLE: beacon_data(NUKI_ID, state_changed=False)}, rssi=rssi)
            await asyncio.sleep(0.01)

    async def seen(self) -> None:
        """Have BlueZ know the lock."""
        await self.beacon()
        await until(lambda: self.sightings)

    async def scanning(self) -> None:
        await until(lambda: self.radio.scanner._way is not None)

    async def connected(self) -> None:
        await self.seen()
        await self.link.connect(2.0)

    async def works(self) -> None:
        """Connect if needed, while the lock advertises, then write and get an indication."""
        if not self.link.connected:
            advertising = asyncio.create_task(self._advertise())
            await self.link.connect(2.0)
            advertising.cancel()
        count = len(self.data)
        self.lock.on_write = lambda uuid, data: self.bluez.indicate(ADDRESS, uuid, data[::-1])
        await self.link.write(Channel.USDIO, b"\x01\x02\x03")
        await until(lambda: len(self.data) > count)
        assert self.data[-1] == (Channel.USDIO, b"\x03\x02\x01")


@asynccontextmanager
async def rig(
    adapter: str | None = None, *, adapters: tuple[str, ...] = ("hci0",), monitors: bool = False, start: bool = True
) -> AsyncIterator[Rig]:
    rig = Rig(adapter)
    for name in adapters:
        rig.bluez.add_adapter(name, monitors=monitors)
    if start:
        await rig.bluez.start()
    before = asyncio.all_tasks()
    run = asyncio.create_task(rig.radio.run(rig.sightings.append, rig.statuses.append))
    try:
        await until(lambda: rig.statuses)
        yield rig
    finally:
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await rig.bluez.kill()
        await asyncio.sleep(0)
    leaked = [task for task in asyncio.all_tasks() - before if not task.done() and task is not run]
    assert not leaked, leaked
