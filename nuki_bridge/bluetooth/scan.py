"""One long-lived scan for every lock, through bleak: how to scan, keeping it going, and what a report means.

`radio.py` says when to look at it again; `bluez.py` knows the adapter; `protocol/advertisement.py` reads the bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os.path
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

from bleak import BleakScanner
from bleak.assigned_numbers import AdvertisementDataType as Part
from bleak.backends.device import BLEDevice
from bleak.exc import BleakDBusError

from nuki_bridge.bluetooth.bluez import Bluez, error_text, forget_bleak_cache, stop_bleak_discovery
from nuki_bridge.protocol import codes
from nuki_bridge.protocol.advertisement import Sighting, parse_advertisement

log = logging.getLogger(__name__)

SCAN_S = 10.0
"""Longest wait for a scan to start or stop."""
RETRY_S = 1.0
"""First pause after a scan that does not start; twice as long from then on."""
LOOK_AGAIN_S = 4.0
"""Seconds after which a scan for `look_around` is restarted: many adapters report a device once per scan, and BlueZ's
own rounds take 10 s."""
ABSENT_S = 25.0
"""Seconds of silence after which an active scan asks whether a lock is there: a passive one reports only changes."""
ROLL_CALL_S = 12.0
"""Longest duration in seconds of an active scan for silent locks: a little more than one of BlueZ's rounds."""
FRESH_START = 3
"""Scans in a row that did not start, after which bleak connects to the bus again unless it holds links."""
REST_S = 1.0
"""Seconds after a link is made before an active scan continues: what the link was made for comes first."""
QUIET_S = 300.0
"""Seconds of complete silence after which a scan is restarted: adapters and BlueZ have been seen to get stuck."""

OLD_BLEAK = "_rssi" in BLEDevice.__slots__  # before 1.0

_BEACON_HEAD = bytes.fromhex("4c000215")  # Apple, iBeacon
_OR_PATTERNS = [
    *(
        (0, Part.MANUFACTURER_SPECIFIC_DATA, _BEACON_HEAD + UUID(uuid).bytes)
        for uuid in (codes.KEYTURNER_SERVICE, codes.OPENER_SERVICE)
    ),
    *(
        (0, Part.SERVICE_DATA_UUID128, UUID(uuid).bytes[::-1])
        for uuid in (codes.PAIRING_SERVICE, codes.PAIRING_SERVICE_ULTRA, codes.OPENER_PAIRING_SERVICE)
    ),
    *(
        (0, part, UUID(codes.INITIALIZATION_SERVICE).bytes[::-1])
        for part in (Part.INCOMPLETE_LIST_SERVICE_UUID128, Part.COMPLETE_LIST_SERVICE_UUID128)
    ),
]
"""What advertisement monitors let through: offset in, type and bytes of one part of an advertisement."""


class _Way(NamedTuple):
    """One way of scanning."""

    adapter: str
    passive: bool
    pattern: str
    """Prefix of the addresses that BlueZ is to report in an active scan; empty for all."""
    restart_s: float
    """Seconds after which it is restarted; `QUIET_S` means seconds without any report."""


class Scanner:
    """Keeps the scan that is wanted running.

    Passive scanning costs the locks no energy, but BlueZ offers it only with its experimental interfaces switched on
    (`bluetoothd -E`).  Otherwise the scan is active and limited to what the known addresses have in common, so that the
    neighbours' devices wake nobody.  Either way a lock in range is reported at least once a minute, unless it is one of
    `linked`.  `on_change` is called when another scan is wanted, before which the adapter's state is to be read anew,
    `on_due` when `adjust` has something to do; `on_sighting` is told each advertisement.
    """

    def __init__(
        self,
        bluez: Bluez,
        on_change: Callable[[], None],
        linked: Collection[str],
        on_sighting: Callable[[Sighting], None],
        *,
        on_due: Callable[[], None] | None = None,
    ) -> None:
        self._bluez = bluez
        self._on_change = on_change
        self._on_due = on_due or on_change
        self._linked = linked
        self._on_sighting = on_sighting
        self._addresses: set[str] = set()
        self._lookers = 0
        self._call_until = 0.0
        self._scanner: BleakScanner | None = None
        self._way: _Way | None = None
        self._changing = asyncio.Lock()
        self._paused = 0
        self._rests_until = 0.0
        self._stopping: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._no_monitors = False
        self._started_at = self._heard_at = 0.0
        self._seen_at: dict[str, float] = {}
        self._heard: dict[str, tuple[object, object, int | None]] = {}
        self._expected: dict[str, set[asyncio.Event]] = {}

    @property
    def passive(self) -> bool:
        """The scan that runs is a passive one."""
        return self._way is not None and self._way.passive

    @property
    def fails(self) -> bool:
        """The last scan did not start."""
        return self._failures > 0

    def add(self, address: str) -> None:
        """Look for the device at `address` from now on."""
        self._addresses.add(address)
        self._on_change()

    @contextmanager
    def look_around(self) -> Iterator[None]:
        """Report every device and each of its advertisements, scan response included, until the block ends."""
        self._lookers += 1
        self._on_change()
        try:
            yield
        finally:
            self._lookers -= 1
            self._on_change()

    def seen_since(self, address: str, time: float) -> bool:
        """Return whether the device at `address`, which has been added, was heard after that time of the loop."""
        return self._seen_at.get(address, 0.0) > time

    def rssi(self, address: str) -> int | None:
        """Return the signal strength of the last report in dBm."""
        return self._heard.get(address, (None, None, None))[2]

    @contextmanager
    def expecting(self, address: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the device at `address` is reported, and by `forget`."""
        event = asyncio.Event()
        self._expected.setdefault(address, set()).add(event)
        try:
            yield event
        finally:
            self._expected[address].discard(event)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No active scan meanwhile: connecting would wait for its next round, as adapters leave out repetitions.

        The end of the scan is asked for at once, and not waited for: connecting begins with a greeting of the bus, and
        bluetoothd has stopped the scan by then.  After a success it rests for `REST_S` more.
        """
        self._paused += 1
        stopping = asyncio.create_task(self._pause(), name="scan-pause")
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)
        try:
            yield
            if not self.passive:
                self._rests_until = asyncio.get_running_loop().time() + REST_S
        finally:
            self._paused -= 1
            asyncio.get_running_loop().call_at(self._rests_until, self._on_due)

    async def _pause(self) -> None:
        async with self._changing:
            if self._paused and not self.passive:
                await self._stop()

    def forget(self) -> None:
        """Forget the scan and what was heard: after a loss neither is there."""
        self._scanner = self._way = None
        self._failures = 0
        self._no_monitors = False
        self._heard.clear()
        for address in self._expected:
            self._wake(address)

    async def adjust(self) -> float | None:
        """Make the scan what is wanted now; seconds after which to look again, None for not before a change."""
        async with self._changing:
            return await self._adjust()

    async def stop(self) -> None:
        """End the scan."""
        async with self._changing:
            await self._stop()

    async def _adjust(self) -> float | None:
        now = asyncio.get_running_loop().time()
        wanted = self._wanted()
        if wanted is None or (self._paused and not wanted.passive):
            return None
        if now < self._rests_until and not wanted.passive and not self._lookers:
            return self._rests_until - now
        until = (self._heard_at if wanted.restart_s == QUIET_S else self._started_at) + wanted.restart_s
        if wanted == self._way and now < until:
            return min(until - now, _review_s(wanted))
        await self._stop()
        scanner = _new_scanner(wanted, self._on_detection)
        try:
            async with asyncio.timeout(SCAN_S):
                await scanner.start()
        except Exception as error:
            return await self._failed(wanted, error)
        log.debug("scanning: %s", wanted)
        self._scanner, self._way, self._failures = scanner, wanted, 0
        self._started_at = self._heard_at = now
        return min(wanted.restart_s, _review_s(wanted))

    async def _stop(self) -> None:
        scanner, self._scanner, self._way = self._scanner, None, None
        if scanner is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(SCAN_S):
                    try:
                        await scanner.stop()
                    except BleakDBusError as error:
                        if "InProgress" not in error.dbus_error:
                            raise
                        # The stop fell into a pause of BlueZ's own, and now BlueZ believes for ever that it scans.
                        # Once more cures it; newer versions of bleak and BlueZ know that themselves.
                        await scanner.start()
                        await scanner.stop()

    def _wanted(self) -> _Way | None:
        status = self._bluez.status
        if not status.available or status.adapter is None:
            return None
        now = asyncio.get_running_loop().time()
        pattern = os.path.commonprefix(list(self._addresses))  # noqa: RUF071
        if self._lookers:
            return _Way(status.adapter, False, "", LOOK_AGAIN_S)
        if not self._bluez.passive or self._no_monitors:
            return _Way(status.adapter, False, pattern, QUIET_S)
        quiet = any(not self.seen_since(one, now - ABSENT_S) for one in self._addresses if one not in self._linked)
        if self.passive and now >= self._started_at + ABSENT_S:
            self._call_until = now + ROLL_CALL_S
        if quiet and now < self._call_until:
            return _Way(status.adapter, False, pattern, ROLL_CALL_S)
        return _Way(status.adapter, True, "", QUIET_S)

    async def _failed(self, wanted: _Way, error: Exception) -> float:
        if self._bluez.lost:
            return 0.0
        if wanted.passive:
            log.warning("passive scanning does not start on %s, trying active: %s", wanted.adapter, error_text(error))
            self._no_monitors = True
            return 0.0
        self._failures += 1
        level = logging.WARNING if self._failures == 1 else logging.DEBUG
        log.log(level, "scanning does not start on %s, will go on trying: %s", wanted.adapter, error_text(error))
        # A start that timed out may have taken effect, and then BlueZ would answer InProgress for ever.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(SCAN_S):
                await stop_bleak_discovery(wanted.adapter)
        if isinstance(error, TimeoutError) and self._failures % FRESH_START == 0 and not self._linked:
            forget_bleak_cache()
        return RETRY_S * min(self._failures, 2)

    def _wake(self, address: str) -> None:
        for event in self._expected.get(address, ()):
            event.set()

    def _on_detection(self, device: BLEDevice, advertisement: Any) -> None:
        """Take a report of BlueZ on a device: tell what was received now from what it only remembers.

        bleak hands over all that BlueZ ever heard of the device, also when merely `Connected` changes, and BlueZ never
        forgets service data.  What a report brought is what is another object than in the report before.
        """
        self._heard_at = asyncio.get_running_loop().time()
        address = device.address.upper()
        self._wake(address)
        properties = advertisement.platform_data[1]
        rssi = properties.get("RSSI")
        now = (properties.get("ManufacturerData"), properties.get("ServiceData"), rssi)
        before = self._heard.get(address)
        if before is None:
            new_service_data = address not in self._bluez.with_service_data
        elif now[0] is before[0] and now[1] is before[1] and rssi in (None, before[2]):
            return
        else:
            new_service_data = now[1] is not before[1]
        manufacturer, service = advertisement.manufacturer_data, advertisement.service_data
        name, uuids = advertisement.local_name, tuple(advertisement.service_uuids)
        known = address in self._addresses
        if not known and parse_advertisement(address, name, rssi, manufacturer, service, uuids) is None:
            return
        self._heard[address] = now if rssi is not None or before is None else (*now[:2], before[2])
        if known:
            self._seen_at[address] = self._heard_at
            if self._heard_at < self._call_until:
                self._on_due()
        if not new_service_data:
            service = {}
        if sighting := parse_advertisement(address, name, rssi, manufacturer, service, uuids):
            self._on_sighting(sighting)


def _review_s(way: _Way) -> float:
    """Return the seconds after which another way may be wanted by the mere course of time."""
    return ABSENT_S if way.passive else math.inf


def _new_scanner(way: _Way, on_detection: Callable[[BLEDevice, Any], None]) -> BleakScanner:
    options: Any = {"adapter": way.adapter}
    if way.passive:
        options["or_patterns"] = _OR_PATTERNS
    else:
        # Each advertisement counts: without it BlueZ is silent about a lock that stays as it is.
        options["filters"] = {"DuplicateData": True} | ({"Pattern": way.pattern} if way.pattern else {})
    old: Any = {"adapter": way.adapter} if OLD_BLEAK else {}
    return BleakScanner(on_detection, None, "passive" if way.passive else "active", bluez=options, **old)
