"""A link to a virtual lock in memory, with the delays and faults of the radio around it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from nuki_bridge.bluetooth.link import Channel, OnData, RadioStatus
from nuki_bridge.errors import AdapterUnavailable, Disconnected, LinkError, NotFound, TimedOut
from nuki_bridge.protocol.codes import Family
from nuki_bridge.simulator.faults import Faults
from nuki_bridge.simulator.virtual_device import VirtualDevice

MAX_VALUE_SIZE = 512
"""Length in bytes of the longest value that a GATT characteristic can have."""


class LockOnAir(Protocol):
    """A lock in range and the links to it."""

    @property
    def lock(self) -> VirtualDevice:
        """The lock."""

    @property
    def links(self) -> dict[int, VirtualLink]:
        """The links that are up, by connection number."""


class RadioAround(Protocol):
    """The radio of a link, as far as the link needs it; `radio.VirtualRadio` is one.  Times are in seconds."""

    rssi: int
    faults: Faults
    interval_s: float
    latency_s: float
    indication_s: float
    write_s: float
    connect_s: float

    @property
    def status(self) -> RadioStatus:
        """Whether Bluetooth can be used now."""

    def air_of(self, address: str) -> LockOnAir | None:
        """Return the lock with this address and its links, None if it is not there."""

    def next_connection(self) -> int:
        """Return a connection number that has not been used."""


class VirtualLink:
    """One GATT connection in memory.  Implements `Link`."""

    def __init__(self, radio: RadioAround, address: str, on_data: OnData, on_disconnect: Callable[[], None]) -> None:
        self.address = address
        self._radio = radio
        self._on_data = on_data
        self._on_disconnect = on_disconnect
        self._connection: int | None = None
        self._channels: frozenset[Channel] = frozenset()
        self._family: Family | None = None
        self.deaf = False
        """Nothing arrives at the lock and nothing is confirmed, as over a half-open link."""
        self._queue: deque[tuple[float, Channel | None, bytes]] = deque()
        self._writes: deque[tuple[float, Channel, bytes, asyncio.Future[LinkError | None]]] = deque()
        self._sending_until = 0.0

    @property
    def connected(self) -> bool:
        """The link is up and subscribed."""
        return self._connection is not None

    @property
    def family(self) -> Family | None:
        """Family found at the last `connect`."""
        return self._family

    @property
    def rssi(self) -> int | None:
        """Signal strength in dBm."""
        return self._radio.rssi

    @property
    def gdio_subscribed(self) -> bool:
        """The link is up and subscribed to GDIO."""
        return self.connected and Channel.GDIO in self._channels

    @property
    def services(self) -> Mapping[str, Sequence[str]]:
        """Nothing: this link knows no GATT."""
        return {}

    async def connect(self, timeout_s: float, *, pairing: bool = False, skip_gdio: bool = False) -> None:
        """Connect to the lock if it advertises within `timeout_s`; see `Link.connect`."""
        radio = self._radio
        self._check_adapter()
        if self.connected:
            return
        air = radio.air_of(self.address)
        if radio.faults.connect_times_out > 0:
            radio.faults.connect_times_out -= 1
            await asyncio.sleep(timeout_s)
            raise TimedOut(f"connecting to {self.address} took longer than {timeout_s:g} s")
        try:
            async with asyncio.timeout(timeout_s):
                while air is None or not air.lock.advertising:
                    await asyncio.sleep(radio.interval_s)
                    self._check_adapter()
                await asyncio.sleep(radio.connect_s)
        except TimeoutError:
            if air is None:
                raise NotFound(f"no lock with address {self.address} was seen") from None
            raise TimedOut(f"connecting to {self.address} took longer than {timeout_s:g} s") from None
        self._check_adapter()
        if not air.lock.advertising:
            raise TimedOut(f"{self.address} went away while connecting")
        number = radio.next_connection()
        self._connection = number
        self.deaf = False
        self._queue.clear()
        self._sending_until = 0.0
        self._family = air.lock.family
        wanted = {Channel.PAIRING} if pairing else {Channel.USDIO} if skip_gdio else {Channel.USDIO, Channel.GDIO}
        self._channels = frozenset(wanted)
        air.links[number] = self
        air.lock.connected(number)

    async def subscribe_gdio(self) -> None:
        """Subscribe to GDIO."""
        number = self._connection
        if number is not None:
            await asyncio.sleep(self._radio.write_s)
        if number is None or number != self._connection:
            raise Disconnected(f"there is no link to {self.address}")
        self._channels |= {Channel.GDIO}

    async def write(self, channel: Channel, data: bytes) -> None:
        """Hand `data` to the lock; see `Link.write`.

        As with BlueZ, several writes may be under way at the same time and arrive in order; a write arrives even if
        nobody waits for its confirmation any more.
        """
        radio, loop, number = self._radio, asyncio.get_running_loop(), self._connection
        if number is None:
            raise Disconnected(f"there is no link to {self.address}")
        if len(data) > MAX_VALUE_SIZE:
            raise LinkError(f"a value has at most {MAX_VALUE_SIZE} bytes, not {len(data)}")
        arrived: asyncio.Future[LinkError | None] = loop.create_future()
        late_s = radio.write_s / 2 + radio.faults.delay_s * radio.faults.hits("delay_write")
        at = max(loop.time() + late_s, self._writes[-1][0] if self._writes else 0.0)
        self._writes.append((at, channel, bytes(data), arrived))
        if at > loop.time():
            loop.call_at(at, self._carry)
        else:
            await asyncio.sleep(0)
            self._carry()
        if (error := await arrived) is not None:
            raise error
        if radio.write_s > 0:
            await asyncio.sleep(radio.write_s / 2)
        if self._connection != number:
            raise Disconnected(f"the link to {self.address} was lost during a write")

    def _carry(self) -> None:
        """Carry to the lock what is due; over a half-open link nothing is carried or confirmed."""
        now = asyncio.get_running_loop().time() + 1e-6
        while self._connection is not None and not self.deaf and self._writes and self._writes[0][0] <= now:
            _, channel, data, arrived = self._writes.popleft()
            error = self._hand_over(self._connection, channel, data)
            if not arrived.done():
                arrived.set_result(error)
            if isinstance(error, Disconnected):
                self.lose()

    def _hand_over(self, number: int, channel: Channel, data: bytes) -> LinkError | None:
        """Give one write to the lock, with the faults that were ordered, and return the error."""
        faults = self._radio.faults
        if faults.hits("disconnect_before_write"):
            return Disconnected(f"the link to {self.address} was lost before a write")
        self._air().lock.written(number, channel, data)
        if faults.hits("disconnect_after_write"):
            return Disconnected(f"the link to {self.address} was lost after a write")
        if faults.hits("write_fails_after_delivery"):
            return TimedOut(f"{self.address} did not confirm a write in time")
        return None

    async def disconnect(self) -> None:
        """Drop the link; never raise."""
        self.lose()

    def _air(self) -> LockOnAir:
        air = self._radio.air_of(self.address)
        assert air is not None
        return air

    def _check_adapter(self) -> None:
        status = self._radio.status
        if not status.available:
            raise AdapterUnavailable(status.reason or "no Bluetooth adapter")

    def arrive(self, channel: Channel | None, data: bytes) -> None:
        """Queue one indication; no channel means that the lock ends the link."""
        if self._connection is None:
            return
        faults, pieces, late_s = self._radio.faults, [data], self._radio.latency_s
        if channel is not None and self._radio.indication_s > 0:
            now = asyncio.get_running_loop().time()
            self._sending_until = max(self._sending_until, now) + self._radio.indication_s
            late_s += self._sending_until - now
        if channel is not None:
            if faults.hits("disconnect_at_indication"):
                self._enqueue(late_s, None, b"")
            late_s += faults.delay_s * faults.hits("delay_indication")
            pieces = faults.spoil(data)
        for piece in pieces:
            self._enqueue(late_s, channel, piece)

    def _enqueue(self, late_s: float, channel: Channel | None, data: bytes) -> None:
        """Queue one piece for delivery; it does not overtake what was sent before."""
        loop = asyncio.get_running_loop()
        at = max(loop.time() + late_s, self._queue[-1][0] if self._queue else 0.0)
        self._queue.append((at, channel, data))
        if late_s > 0 or at > loop.time():
            loop.call_at(at, self._deliver)
        else:
            loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        """Deliver what is due; the loop may call a little too early."""
        now = asyncio.get_running_loop().time() + 1e-6
        while self._queue and self._queue[0][0] <= now:
            _, channel, data = self._queue.popleft()
            if channel is None:
                self.lose()
            elif channel in self._channels:
                self._on_data(channel, data)

    def lose(self, only: int | None = None) -> None:
        """End the link and tell both sides; what was under way is lost.

        If `only` is given, do nothing unless it is the number of the present connection.
        """
        if self._connection is None or only not in (None, self._connection):
            return
        number, self._connection = self._connection, None
        self._queue.clear()
        for *_, arrived in self._writes:
            if not arrived.done():
                arrived.set_result(Disconnected(f"the link to {self.address} was lost during a write"))
        self._writes.clear()
        air = self._air()
        if air.links.pop(number, None) is not None:
            air.lock.disconnected(number)
        self._on_disconnect()
