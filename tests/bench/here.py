"""Processor time by cause on this machine itself: a virtual lock behind a stand-in for bluetoothd, on a private D-Bus.

No kernel and no emulated processor, so a minute is enough.  Messages and counts are those of a daemon at BlueZ, as far
as the stand-in behaves like it: it asks nothing over the air, and tells of no device but this lock.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.protocol import codes
from nuki_bridge.simulator.behaviour import Behaviour
from nuki_bridge.simulator.lock import VirtualLock
from tests.bench.by_cause import WARM, between, look
from tests.bench.child import Process
from tests.integration.bluez_rig import PrivateBus, classic_services
from tests.integration.broker import Broker, Peer
from tests.integration.daemon import CLASSIC, Daemon, Home
from tests.radio.bluez import DEVICE, Peripheral, StandInBluez

CALM_S = 1.5
"""After an action: the daemon reads the lock's states and its log."""
BEACON_S = 0.5
"""Between two advertisements; the signal strength of each differs, so that BlueZ tells of it."""
MTU = 247
_CHANNELS = {
    codes.PAIRING_GDIO: Channel.PAIRING,
    codes.KEYTURNER_GDIO: Channel.GDIO,
    codes.KEYTURNER_USDIO: Channel.USDIO,
}


class BluezWithLock(StandInBluez):
    """A stand-in with one lock in range, which it is the transport of."""

    def __init__(self, lock: VirtualLock) -> None:
        super().__init__()
        self.lock = lock
        self.add_adapter()
        self._on_air = Peripheral(lock.address, classic_services(), name=lock.name)
        self._on_air.on_write = lambda uuid, data: lock.written(1, _CHANNELS[uuid], data)
        lock.attach(self)

    def set(self, path: str, interface: str, **changed: Any) -> None:
        """Change properties, and have the lock know of a connection."""
        super().set(path, interface, **changed)
        if interface == DEVICE and "Connected" in changed:
            (self.lock.connected if changed["Connected"] else self.lock.disconnected)(1)

    async def beacons(self) -> None:
        """Show the lock again and again."""
        rssi = -60
        while True:
            rssi = -121 - rssi
            self._show(rssi)
            await asyncio.sleep(BEACON_S)

    def _show(self, rssi: int = -60) -> None:
        if self.lock.advertising:
            told = {"manufacturer": self.lock.manufacturer_data(), "service": self.lock.service_data()}
            super().advertise(self._on_air, **told, rssi=rssi)  # type: ignore[arg-type]

    # -- the lock's transport -----------------------------------------------------------------------------------------

    def send(self, _connection_id: int, channel: Channel, data: bytes) -> None:
        """Indicate `data`, in pieces."""
        [uuid] = [each for each, its in _CHANNELS.items() if its is channel]
        for start in range(0, len(data), MTU - 3):
            self.indicate(self.lock.address, uuid, data[start : start + MTU - 3])

    def drop(self, connection_id: int | str, adapter: str = "hci0") -> None:
        """End the connection; the lock knows it by its number, BlueZ by the lock's address."""
        super().drop(self.lock.address, adapter)

    def advertise(self, *args: Any, **more: Any) -> None:
        """Show the lock at once."""
        asyncio.get_running_loop().call_soon(self._show)

    def call_later(self, delay_s: float, fn: Callable[[], None]) -> asyncio.TimerHandle:
        """Call `fn` once, after so many seconds."""
        return asyncio.get_running_loop().call_later(delay_s, fn)

    def now(self) -> datetime:
        """The time of day."""
        return datetime.now(UTC)


class Observed:
    """A daemon under observation, and all around it."""

    def __init__(self, home: Home, bluez: BluezWithLock, pid: int, file: Path) -> None:
        self._home = home
        self._bluez = bluez
        self._pid = pid
        self._file = file

    async def measure(self, actions: int, idle_s: float, on_demand: bool) -> dict[str, Any]:
        """One action and one idle minute; `on_demand`, each action needs a link of its own."""
        await asyncio.sleep(2 * CALM_S)
        await self._act(WARM, on_demand)
        before = await self._look()
        await self._act(actions, on_demand)
        after = await self._look()
        await asyncio.sleep(idle_s)
        later = await self._look()
        return {"action": between(before, after, 1 / actions), "idle_minute": between(after, later, 60 / idle_s)}

    async def _look(self) -> dict[str, Any]:
        return await asyncio.to_thread(look, self._pid, self._file)

    async def _act(self, count: int, on_demand: bool) -> None:
        for number in range(count):
            answer = await self._home.ask("front/set", json.dumps({"action": "lock" if number % 2 else "unlock"}))
            assert answer["status"] == "ok", answer
            await asyncio.sleep(CALM_S)
            if on_demand:
                await self._home.until(lambda: self._bluez.scanning() and not self._connected)

    @property
    def _connected(self) -> bool:
        return bool((self._bluez.known(CLASSIC) or {}).get("Connected"))


async def measure(
    actions: int, idle_s: float, connections: Sequence[str] = ("persistent", "on-demand")
) -> dict[str, Any]:
    """For each kind of connection: one action and one idle minute, sampled and counted."""
    found: dict[str, Any] = {}
    for connection in connections:
        found[connection] = {"actions": actions, "idle_s": idle_s}
        for mode, name in (("sample", "sampled"), ("count", "counted")):
            with tempfile.TemporaryDirectory(prefix="nuki-bridge-bench-") as temporary:
                async with _observed(Path(temporary), connection, mode) as observed:
                    found[connection][name] = await observed.measure(actions, idle_s, connection == "on-demand")
    return found


@asynccontextmanager
async def _observed(directory: Path, connection: str, mode: str) -> AsyncIterator[Observed]:
    (directory / "broker").mkdir()
    bus = PrivateBus(directory)
    before = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")
    os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address
    bus.start()
    bluez = BluezWithLock(VirtualLock(CLASSIC, 0x1A2B3C4D, pin=1234, behaviour=Behaviour(motor_s=0.0)))
    await bluez.start()
    beacons = asyncio.create_task(bluez.beacons())
    try:
        with Broker(directory / "broker", options=("log_type none",)) as broker:
            locks = f'locks:\n  - {{name: front, address: "{CLASSIC}", connection: {connection}, pin: "1234"}}\n'
            daemon = Daemon(directory, broker.port, locks, log_level="info")
            daemon.config.write_text(daemon.config.read_text().replace("backend: virtual", "backend: bluez"))
            command = [sys.executable, "-m", "tests.bench.profiled", str(directory / "found"), mode]
            async with Peer(broker) as peer:
                await peer.subscribe("nuki/#")
                home = Home(broker, daemon, peer)
                process = Process([*command, "run", "--config", str(daemon.config)], directory / "daemon.log")
                try:
                    await home.online()
                    bluez.lock.hold_button()
                    answer = await home.ask("bridge/request/pair", {"address": CLASSIC, "name": "front"})
                    assert answer["status"] == "ok", answer
                    yield Observed(home, bluez, process.pid, directory / "found")
                finally:
                    await asyncio.to_thread(process.end)  # it takes leave of BlueZ
                    home.close()
    finally:
        beacons.cancel()
        await bluez.kill()
        bus.stop()
        if before is None:
            del os.environ["DBUS_SYSTEM_BUS_ADDRESS"]
        else:
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = before
