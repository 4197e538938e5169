"""One GATT connection to one lock, through bleak.

Errors of bleak, D-Bus and asyncio end here and leave as `LinkError`.  One attempt each: retries and back-off, and the
meaning of the bytes, are `lock/lock.py`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, Protocol

from bleak import BleakClient
from bleak.backends.device import BLEDevice
from bleak.exc import BleakDeviceNotFoundError, BleakError

from nuki_bridge.bluetooth.bluez import Bluez, error_text
from nuki_bridge.bluetooth.link import Channel, OnData
from nuki_bridge.bluetooth.scan import Scanner
from nuki_bridge.errors import AdapterUnavailable, Disconnected, LinkError, NotFound, TimedOut
from nuki_bridge.protocol import codes
from nuki_bridge.protocol.codes import Family

log = logging.getLogger(__name__)

WRITE_S = 10.0
"""Longest wait for a write or a subscription to be confirmed; ATT itself would wait 30 s."""
DISCONNECT_S = 5.0
"""Longest wait for a disconnect; BlueZ takes 2 s when all is well."""

MUTE_LINKS = 3
"""Links in a row, written to but without any indication, after which BlueZ's GATT table is taken to be wrong."""

_FAMILIES = {
    codes.OPENER_PAIRING_GDIO: Family.OPENER,
    codes.PAIRING_GDIO_ULTRA: Family.ULTRA,
    codes.PAIRING_GDIO: Family.CLASSIC,
}
_CHANNELS = {
    Channel.PAIRING: tuple(_FAMILIES),
    Channel.GDIO: (codes.OPENER_GDIO, codes.KEYTURNER_GDIO),
    Channel.USDIO: (codes.OPENER_USDIO, codes.KEYTURNER_USDIO),
}
"""Characteristics of each channel; the first that a lock has counts."""


class LinkRadio(Protocol):
    """What a link needs of the radio that made it."""

    bluez: Bluez
    scanner: Scanner
    links: dict[str, BluezLink]
    """The links that are up or being connected, by address."""

    async def settled(self, address: str, given_up_at: float, patience_s: float) -> None:
        """Wait until an attempt to connect that was given up then (loop time) is over for the kernel, too."""

    def known(self, address: str) -> BLEDevice | None:
        """Return the device if it can be connected to without asking BlueZ for it."""

    async def find(self, address: str) -> BLEDevice:
        """Return the device once BlueZ knows it; raises `AdapterUnavailable`, `LinkError`."""

    def close(self, client: BleakClient) -> None:
        """Have bleak close the bus connection of a client whose device is gone."""


class BluezLink:
    """A GATT connection through bleak; see `link.Link`."""

    def __init__(self, radio: LinkRadio, address: str, on_data: OnData, on_disconnect: Callable[[], None]) -> None:
        self.address = address
        self._radio = radio
        self._on_data = on_data
        self._on_disconnect = on_disconnect
        self._client: BleakClient | None = None
        self._family: Family | None = None
        self._characteristics: dict[Channel, Any] = {}
        self._gdio_subscribed = False
        self._services: Mapping[str, Sequence[str]] = {}
        self._stage: Literal["waiting", "looking", "connecting"] = "waiting"
        self._given_up_at: float | None = None
        self._stale = False  # BlueZ is to forget the device before the next attempt
        self._wrote = self._heard = False  # over the present link
        self._mute_links = 0

    @property
    def connected(self) -> bool:
        """The link is up and subscribed."""
        return self._client is not None

    @property
    def family(self) -> Family | None:
        """Family told by the characteristics found at the last `connect`; None before the first."""
        return self._family

    @property
    def rssi(self) -> int | None:
        """Signal strength last seen in dBm, if any."""
        return self._radio.scanner.rssi(self.address)

    @property
    def gdio_subscribed(self) -> bool:
        """The link is up and what comes on GDIO arrives, as far as the lock has it."""
        return self.connected and self._gdio_subscribed

    @property
    def services(self) -> Mapping[str, Sequence[str]]:
        """The GATT table found at the last `connect`; see `link.Link`."""
        return self._services

    async def connect(self, timeout_s: float, *, pairing: bool = False, skip_gdio: bool = False) -> None:
        """Connect, discover and enable indications; one attempt, see `link.Link`."""
        if self._radio.links.setdefault(self.address, self) is not self or self.connected:
            raise LinkError(f"{self.address}: there is a link already")
        client = None
        try:
            async with asyncio.timeout(timeout_s):
                if self._stale or self._mute_links >= MUTE_LINKS:
                    log.info("%s: what BlueZ remembers of the lock's services seems to be wrong", self.address)
                    await self._have_forgotten()
                self._wrote = self._heard = False
                client = await self._connected_client(timeout_s)
                await self._subscribe(client, pairing, skip_gdio)
                self._client = client
                self._given_up_at = None
        except BaseException as error:
            if isinstance(error, TimeoutError | asyncio.CancelledError) and self._stage == "connecting":
                self._given_up_at = asyncio.get_running_loop().time()
            if client is not None:
                await self._release(client)
            if isinstance(error, _StaleServices):
                await self._have_forgotten()
            if not isinstance(error, TimeoutError):
                raise
            if self._stage == "looking":
                raise NotFound(f"{self.address}: not seen within {timeout_s:g} s; is it in range?") from error
            raise TimedOut(f"{self.address}: not connected within {timeout_s:g} s") from error
        finally:
            if not self.connected:
                self._radio.links.pop(self.address, None)

    async def _have_forgotten(self) -> None:
        """Have the lock's GATT table discovered anew: what BlueZ remembers of it is wrong or incomplete."""
        self._stale, self._mute_links = False, 0
        with contextlib.suppress(LinkError):
            await self._radio.bluez.remove(self.address)

    async def _connected_client(self, timeout_s: float) -> BleakClient:
        self._stage = "waiting"
        if self._given_up_at is not None:
            await self._radio.settled(self.address, self._given_up_at, timeout_s / 2)
        known = self._radio.known(self.address)
        while True:
            self._stage = "looking"
            device = known or await self._radio.find(self.address)
            self._stage = "connecting"
            # At our timeout bleak asks BlueZ to disconnect and waits for ever; its own ends that.
            limit_s = timeout_s + DISCONNECT_S
            client = BleakClient(device, disconnected_callback=self._lost, timeout=limit_s)
            try:
                with self._translated("connecting"), self._radio.scanner.paused():
                    await client.connect()
            except NotFound:
                # Some time after an attempt has failed BlueZ drops the device, even in the middle of the next one.
                if known is None and await self._radio.bluez.device(self.address) is not None:
                    raise
                known = None
            else:
                return client

    async def _subscribe(self, client: BleakClient, pairing: bool, skip_gdio: bool) -> None:
        """Tell the family and the channels from the characteristics, and enable indications."""
        found = {one.uuid: one for service in client.services for one in service.characteristics}
        self._services = {
            service.uuid: [f"{one.uuid} {' '.join(sorted(one.properties))}" for one in service.characteristics]
            for service in client.services
        }
        self._family = next((family for uuid, family in _FAMILIES.items() if uuid in found), self._family)
        self._characteristics = {
            channel: next((found[uuid] for uuid in uuids if uuid in found), None)
            for channel, uuids in _CHANNELS.items()
        }
        wanted = [Channel.PAIRING] if pairing else [Channel.USDIO]
        for channel in wanted:
            if self._characteristics[channel] is None:
                raise _StaleServices(f"{self.address}: the lock shows no {channel.value} characteristic")
        errors = None if pairing else self._characteristics[Channel.GDIO]
        if errors is not None and not skip_gdio:
            wanted.append(Channel.GDIO)
        self._gdio_subscribed = errors is None or not skip_gdio
        # Side by side: BlueZ gets the second request while it waits for the lock's answer to the first.
        results = await asyncio.gather(*(self._enable(client, each) for each in wanted), return_exceptions=True)
        for error in filter(None, results):
            raise error
        if not client.is_connected:
            raise Disconnected(f"{self.address}: disconnected while enabling indications")

    async def subscribe_gdio(self) -> None:
        """Subscribe to GDIO unless that is done; see `link.Link`."""
        client = self._client
        if client is None:
            raise Disconnected(f"{self.address}: not connected")
        if self._gdio_subscribed:
            return
        async with self._confirmed("enabling indications"):
            await self._enable(client, Channel.GDIO)
        self._gdio_subscribed = True

    async def _enable(self, client: BleakClient, channel: Channel) -> None:
        """Enable indications."""
        try:
            with self._translated("enabling indications", refused=_NOT_THERE):
                await client.start_notify(self._characteristics[channel], partial(self._indicated, channel))
        except Disconnected as error:
            if not isinstance(error.__cause__, EOFError):
                raise
            log.debug("%s: EOFError on enabling %s; indications arrive all the same", self.address, channel.value)

    def _indicated(self, channel: Channel, _: Any, value: bytearray) -> None:
        log.debug("%s: %d bytes from %s", self.address, len(value), channel.value)
        self._heard = True
        self._on_data(channel, bytes(value))

    async def write(self, channel: Channel, data: bytes) -> None:
        """Write one whole message with response; see `link.Link`."""
        client = self._client
        if client is None:
            raise Disconnected(f"{self.address}: not connected")
        characteristic = self._characteristics[channel]
        if characteristic is None:
            raise LinkError(f"{self.address}: the lock has no {channel.value} characteristic")
        log.debug("%s: %d bytes to %s", self.address, len(data), channel.value)
        self._wrote = True
        async with self._confirmed("a write"):
            with self._translated("writing"):
                await client.write_gatt_char(characteristic, data, response=True)

    @contextlib.asynccontextmanager
    async def _confirmed(self, what: str) -> AsyncIterator[None]:
        """Await what the lock's stack confirms; at a sign of a stale GATT table drop it before the next link."""
        try:
            async with asyncio.timeout(WRITE_S):
                yield
        except TimeoutError as error:
            raise TimedOut(f"{self.address}: {what} was not confirmed within {WRITE_S:g} s") from error
        except _StaleServices:
            self._stale = True
            raise

    async def disconnect(self) -> None:
        """Drop the link; never raises, does nothing when it is down."""
        client = self._client
        if client is not None:
            await self._release(client)

    async def _release(self, client: BleakClient) -> None:
        """Disconnect; if BlueZ does not, the next attempt finds its connection and drops it."""
        try:
            async with asyncio.timeout(DISCONNECT_S):
                await client.disconnect()
        except Exception as error:
            log.debug("%s: disconnecting: %s", self.address, error_text(error))
        finally:
            if self._client is client:
                self._lost(client)

    def _lost(self, client: BleakClient) -> None:
        """Note that the connection of `client` is gone, by us or by the lock, perhaps in the middle of `connect`."""
        # This also ends what waits for an answer of BlueZ, which may never come.
        self._radio.close(client)
        if self._client is client:
            self._client = None
            if self._heard:
                self._mute_links = 0
            elif self._wrote:
                self._mute_links += 1
            self._radio.links.pop(self.address, None)
            self._on_disconnect()

    @contextlib.contextmanager
    def _translated(self, doing: str, refused: re.Pattern[str] | None = None) -> Iterator[None]:
        """Turn what bleak, dbus-fast and the bus raise into `LinkError`; timeouts pass.

        An error that `refused` finds comes of a wrong GATT table here.
        """
        try:
            yield
        except (LinkError, TimeoutError):
            raise
        except Exception as error:
            kind, text = _explain(error)
            if refused is not None and refused.search(f"{getattr(error, 'dbus_error', '')} {_att_error(error)} {text}"):
                kind, text = _StaleServices, f"the lock's services have changed ({text})"
            raise kind(f"{self.address}: {doing} failed: {text}") from error


class _StaleServices(LinkError):
    """The GATT table that BlueZ knows does not fit the lock."""


def _att_error(error: Exception) -> str:
    """Return the ATT error of an exception of newer bleak, as BlueZ writes them; empty if it is something else."""
    code = error.args[0] if isinstance(error, BleakError) and error.args else None
    return f"ATT error: 0x{code:02x}" if isinstance(code, int) else ""


def _explain(error: Exception) -> tuple[type[LinkError], str]:
    """Return the class and words for an error of bleak or D-Bus."""
    text = error_text(error)
    name = getattr(error, "dbus_error", "")
    if isinstance(error, BleakDeviceNotFoundError) or "not found" in text:
        return NotFound, text
    if name in _GONE:
        return AdapterUnavailable, f"bluetoothd or its adapter went away ({text})"
    if "InProgress" in name or "AlreadyConnected" in name or "already in progress" in text:
        return LinkError, f"BlueZ is still busy with an earlier attempt ({text})"
    if _BAD_HANDLE.search(text):
        return _StaleServices, f"the lock's services have changed ({text})"
    if isinstance(error, EOFError | OSError):
        return Disconnected, f"the connection to BlueZ was closed ({text})"
    if isinstance(error, KeyError):
        # bleak's copy of the table keeps characteristics that BlueZ has replaced, and looks for them ever after.
        return _StaleServices, "the lock's services have changed"
    if isinstance(error, AssertionError | AttributeError):
        # What bleak stumbles over when the device disconnects under its feet.
        return Disconnected, "the connection broke off"
    if "onnected" in text or "NotConnected" in name:
        return Disconnected, text
    return LinkError, text


_GONE = (
    "org.bluez.Error.NotReady",
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.NoReply",
    "org.freedesktop.DBus.Error.Disconnected",
)
_NOT_THERE = re.compile(
    r"ATT error: 0x(03|06|0d|12|fd)\b|\.(NotPermitted|NotSupported|InvalidValueLength)\b", re.IGNORECASE
)
"""What a lock, or BlueZ, answers to enabling indications at a handle that belongs to another attribute by now."""
_BAD_HANDLE = re.compile(r"ATT error: 0x(01|0a)\b|Invalid Handle|Attribute Not Found", re.IGNORECASE)
