"""The radio of `link.py` over BlueZ: joins the adapter, the scan and the links, and survives their losses.

`bluez.py` knows the adapter, `scan.py` keeps the scan going, `gatt.py` is one link.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from bleak import BleakClient
from bleak.backends.device import BLEDevice

from nuki_bridge.bluetooth.bluez import CALL_S, Bluez, forget_bleak_cache, keep_bleak_quiet, known_to_bleak
from nuki_bridge.bluetooth.gatt import DISCONNECT_S, BluezLink
from nuki_bridge.bluetooth.link import OnData, RadioStatus
from nuki_bridge.bluetooth.revival import Revival
from nuki_bridge.bluetooth.scan import OLD_BLEAK, SCAN_S, Scanner
from nuki_bridge.errors import AdapterUnavailable, LinkError
from nuki_bridge.protocol.advertisement import Sighting
from nuki_bridge.watchdog import Heartbeat

log = logging.getLogger(__name__)

REOPEN_S = 1.0
"""Pause between attempts to reach a D-Bus or a bluetoothd that cannot announce its return."""
SETTLE_S = 2.0
"""Seconds that Bluetooth must stay unusable before the reason is reported."""
LOOK_S = 60.0
"""Longest interval in seconds between questions to BlueZ: an answer shows that it can be reached."""
GIVING_UP_S = 4.5
"""Seconds that the kernel may take to give up an attempt to connect."""


class BluezRadio:
    """An adapter of this machine; see `link.Radio`.

    `adapter` is its name (`hci0`), None for the first powered one.  An adapter that is powered off stays so.
    """

    def __init__(self, adapter: str | None = None, heartbeat: Heartbeat | None = None) -> None:
        keep_bleak_quiet()
        self._heartbeat = heartbeat or Heartbeat()
        self._wake = asyncio.Event()
        self._news = True  # of BlueZ, since it was last read
        self._look_at = 0.0
        self.bluez = Bluez(adapter, self._has_changed)
        self.links: dict[str, BluezLink] = {}
        """The links that are up or being connected, by address."""
        self._revival = Revival(self.bluez)
        self._on_sighting: Callable[[Sighting], None] = lambda _: None
        self.scanner = Scanner(self.bluez, self._has_changed, self.links, self._sighted, on_due=self._wake.set)
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def status(self) -> RadioStatus:
        """Whether Bluetooth can be used now."""
        return self.bluez.status

    def link(self, address: str, on_data: OnData, on_disconnect: Callable[[], None]) -> BluezLink:
        """Return a link to the lock at `address`, not yet connected; from now on the scan looks for it."""
        self.scanner.add(address.upper())
        return BluezLink(self, address.upper(), on_data, on_disconnect)

    def look_around(self) -> AbstractContextManager[None]:
        """See devices that no link was made for, and every advertisement with its scan response, during a block.

        For finding locks to pair: otherwise only the known ones need be reported, and the service data of a second
        pairing mode is not, because BlueZ has seen it before.
        """
        return self.scanner.look_around()

    async def run(self, on_sighting: Callable[[Sighting], None], on_status: Callable[[RadioStatus], None]) -> None:
        """Scan until cancelled, through every loss of adapter, bluetoothd or D-Bus; see `link.Radio`."""
        # They log whole D-Bus messages at DEBUG, and with them what goes to the lock and comes from it.
        for library in ("bleak", "dbus_fast"):
            logging.getLogger(library).setLevel(logging.INFO)
        # Warns whenever an attempt to connect is given up.
        logging.getLogger("bleak.backends.bluezdbus.client").setLevel(logging.ERROR)
        self._on_sighting = on_sighting
        reported = None
        try:
            while True:
                self._wake.clear()
                await self._refresh()
                coming_up = not self.status.available and (reported is None or not reported.available)
                if self.status != reported and coming_up and await self._woken(SETTLE_S):
                    continue  # it takes bluetoothd a few steps to come up; only where it stops is worth telling
                if self.status != reported:
                    reported = self.status
                    on_status(reported)
                self._heartbeat.step(CALL_S, "having bluetoothd started")
                revive_s = await self._revival.check()
                self._heartbeat.step(
                    4 * SCAN_S, "starting the scan"
                )  # to stop, to start, to stop what timed out, to queue
                pause_s = await self.scanner.adjust()
                look_s = max(self._look_at - asyncio.get_running_loop().time(), 0.0)
                pause_s = min(each for each in (look_s, pause_s, revive_s) if each is not None)
                pause_s = pause_s if self.bluez.signalled else REOPEN_S
                self._heartbeat.step(pause_s, "the pause until something is due")
                await self._woken(pause_s)
        finally:
            self._heartbeat.rest()
            await asyncio.gather(*(link.disconnect() for link in self.links.values()))
            await self.scanner.stop()
            self._forget()
            self.bluez.close()
            if self._closing:
                await asyncio.wait(self._closing)

    def _has_changed(self) -> None:
        self._news = True
        self._wake.set()

    async def _refresh(self) -> None:
        """Read the state of BlueZ anew if it may be another one; from time to time ask at least whether it answers.

        The whole of it is long where many devices are in range, and it was read for every scan that goes on.
        """
        now = asyncio.get_running_loop().time()
        has_news = self._news or self.scanner.fails or not self.bluez.signalled or not self.status.available
        if not has_news and now < self._look_at:
            return
        self._news, self._look_at = False, now + LOOK_S
        self._heartbeat.step(2 * CALL_S, "asking BlueZ for its adapters")
        if (has_news or not await self.bluez.answers()) and await self.bluez.refresh():
            self._forget()

    def _sighted(self, sighting: Sighting) -> None:
        self._on_sighting(sighting)

    async def _woken(self, timeout_s: float | None) -> bool:
        """Wait for a change; False if there was none for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        return self._wake.is_set()

    def close(self, client: BleakClient) -> None:
        """Have bleak close the bus connection of a client whose device is gone; it does not do so by itself."""

        async def close() -> None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(DISCONNECT_S):
                    await client.disconnect()

        task = asyncio.create_task(close(), name="bleak-close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _forget(self) -> None:
        """Forget all that bleak or we knew: after a loss none of it holds."""
        forget_bleak_cache()
        self.scanner.forget()

    async def settled(self, address: str, given_up_at: float, patience_s: float) -> None:
        """Wait until an attempt to connect that was given up then (loop time) is over for the kernel, too.

        It may need 4 s, and takes an attempt that is made meanwhile down with it.  An active scan starts again no
        sooner, so a report is proof; it is also a sign that the lock is not away, for which the scan of all the others
        need not pause.  After `patience_s` without one we try all the same.
        """
        if self.scanner.passive:
            await asyncio.sleep(given_up_at + GIVING_UP_S - asyncio.get_running_loop().time())
        elif not self.scanner.seen_since(address, given_up_at):
            with self.scanner.expecting(address) as reported, contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await reported.wait()

    def known(self, address: str) -> BLEDevice | None:
        """Return the device as bleak wants it if bleak knows it, without a connection; None if BlueZ is to be asked."""
        properties = known_to_bleak(self.bluez.device_path(address)) if self.status.available else None
        return None if properties is None or properties.get("Connected") else self._device(address, properties)

    async def find(self, address: str) -> BLEDevice:
        """Return the device as bleak wants it, as soon as BlueZ knows it; waits until the scan has seen it.

        Raises `AdapterUnavailable`, `LinkError`.
        """
        with self.scanner.expecting(address) as reported:
            self._check()
            while (properties := await self.bluez.device(address)) is None:
                await reported.wait()
                reported.clear()
                self._check()
        if properties.get("Connected"):
            # Left behind by a process that was killed, or the lock is gone and BlueZ has not noticed.  bleak would
            # take it for its own and write into nothing.
            log.info("%s: BlueZ holds a connection that nobody uses; dropping it", address)
            await self.bluez.disconnect(address)
            properties = await self.bluez.device(address)
            if properties is None or properties.get("Connected"):
                await self.bluez.remove(address)
                raise LinkError(f"{address}: BlueZ held a dead connection; it has been made to forget the device")
        return self._device(address, properties)

    def _device(self, address: str, properties: dict[str, Any]) -> BLEDevice:
        # By its path: given an address, bleak would start a second scan.
        details = {"path": self.bluez.device_path(address), "props": properties}
        return BLEDevice(address, None, details, **({"rssi": -127} if OLD_BLEAK else {}))

    def _check(self) -> None:
        if not self.status.available:
            raise AdapterUnavailable(self.status.reason or "Bluetooth cannot be used")
