"""Bluetooth in memory: `Radio` and `Link` for virtual locks, on the event loop's clock, with faults to order.

It behaves as BlueZ does towards its user: indications come in pieces, connecting can time out, a lock that holds a link
is not seen by others.  With a `state_file` the locks' memory outlives the process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nuki_bridge.bluetooth.link import Channel, Link, OnData, RadioStatus
from nuki_bridge.errors import AdapterUnavailable, Disconnected, LinkError, NotFound, TimedOut
from nuki_bridge.protocol.advertisement import Sighting, parse_advertisement
from nuki_bridge.protocol.codes import Family
from nuki_bridge.simulator.backend import STATE_FILE, default_locks, save_locks
from nuki_bridge.simulator.faults import Faults
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.transport import Timer

__all__ = ["STATE_FILE", "Faults", "VirtualLink", "VirtualRadio", "default_locks"]

ADAPTER = "virtual0"
MAX_VALUE_SIZE = 512
"""Longest value a GATT characteristic can have, in bytes."""


class VirtualRadio:
    """An adapter in memory and the locks in its range.  Implements `Radio`.

    `clock` gives the time of day the locks live in, `mtu` the size at which indications are cut (3 bytes less),
    `interval_s` the time between two advertisements of a lock.  `latency_s` (each indication), `indication_s` (each one
    after the one before: the next is sent once that is confirmed), `write_s` (each write and its confirmation) and
    `connect_s` slow things down; they, `mtu`, `rssi` and `faults` may be changed at any time.
    """

    def __init__(
        self,
        locks: Iterable[VirtualLock],
        *,
        state_file: Path | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        mtu: int = 247,
        interval_s: float = 1.0,
        latency_s: float = 0.0,
        indication_s: float = 0.0,
        write_s: float = 0.0,
        connect_s: float = 0.0,
    ) -> None:
        self.locks = list(locks)
        self.clock = clock
        self.mtu = mtu
        self.interval_s = interval_s
        self.latency_s = latency_s
        self.indication_s = indication_s
        self.write_s = write_s
        self.connect_s = connect_s
        self.rssi: int = -58
        self.faults = Faults()
        self._state_file = state_file
        self._status = RadioStatus(True, ADAPTER)
        self._on_sighting: Callable[[Sighting], None] | None = None
        self._on_status: Callable[[RadioStatus], None] | None = None
        self._next_connection = 1
        self._save_due = False
        self._air = {lock.address: _Air(self, lock) for lock in self.locks}

    # -- Radio --------------------------------------------------------------------------------------------------------

    @property
    def status(self) -> RadioStatus:
        """Whether Bluetooth can be used now."""
        return self._status

    async def run(self, on_sighting: Callable[[Sighting], None], on_status: Callable[[RadioStatus], None]) -> None:
        """Show each advertising lock every `interval_s`, and at once when its advertisement changes."""
        self._on_sighting, self._on_status = on_sighting, on_status
        try:
            on_status(self._status)
            while True:
                for lock in self.locks:
                    self._show(lock)
                await asyncio.sleep(self.interval_s)
        finally:
            self._on_sighting = self._on_status = None
            self.save()

    def look_around(self) -> AbstractContextManager[None]:
        """Nothing to do: every virtual lock is seen at all times."""
        return nullcontext()

    def link(self, address: str, on_data: OnData, on_disconnect: Callable[[], None]) -> Link:
        """A link to the lock at `address`, not yet connected."""
        return VirtualLink(self, address.upper(), on_data, on_disconnect)

    # -- controls -----------------------------------------------------------------------------------------------------

    def set_adapter(self, available: bool, reason: str = "the virtual Bluetooth adapter is switched off") -> None:
        """Take the adapter away with every link, or bring it back."""
        if available == self._status.available:
            return
        self._status = RadioStatus(True, ADAPTER) if available else RadioStatus(False, None, reason)
        if not available:
            for air in self._air.values():
                air.lose_all()
        if self._on_status is not None:
            self._on_status(self._status)

    def half_open(self, address: str, notice_s: float | None = None) -> None:
        """The lock forgets its links while this side believes in them, for `notice_s` or until it drops them.

        Writes are never answered meanwhile.
        """
        air = self._air[address.upper()]
        for number in list(air.links):
            link = air.links.pop(number)
            link._deaf = True
            air.lock.disconnected(number)
            if notice_s is not None:
                air.call_later(notice_s, lambda link=link, number=number: link._lose(number))  # type: ignore[misc]

    def orphan(self, address: str) -> None:
        """This side loses its links while the lock believes in them until it drops them as idle."""
        air = self._air[address.upper()]
        for number in list(air.links):
            air.links.pop(number)._lose()

    def find(self, key: str | None) -> VirtualLock:
        """A lock by address, advertised name or Nuki ID in hex; None is the only one there is.

        Raises `ValueError` with the known names otherwise.
        """
        for lock in self.locks:
            known = (lock.address, lock.name.upper(), f"{lock.nuki_id:08X}")
            if (key is None and len(self.locks) == 1) or (key is not None and key.upper() in known):
                return lock
        names = ", ".join(lock.name for lock in self.locks)
        raise ValueError(
            f"no virtual lock {key!r}; there are: {names}" if key else f"name the lock; there are: {names}"
        )

    def control(self, command: dict[str, Any]) -> dict[str, Any]:
        """`VirtualLock.control` for the lock that `lock` in the command names; raises `ValueError`."""
        if not isinstance(command, dict) or not isinstance(command.get("lock"), str | None):
            raise ValueError('a control is a JSON object; "lock" in it is the name of a virtual lock')
        rest = {key: value for key, value in command.items() if key != "lock"}
        return self.find(command.get("lock")).control(rest)

    def save(self) -> None:
        """Write the locks' memory, readable by the owner only; does nothing without a state file."""
        self._save_due = False
        if self._state_file is not None:
            save_locks(self._state_file, self.locks)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _save_soon(self) -> None:
        """Changes come in bunches: one write for each bunch."""
        if self._state_file is None or self._save_due:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.save()
            return
        self._save_due = True
        loop.call_soon(self.save)

    def _show(self, lock: VirtualLock) -> None:
        if self._on_sighting is None or not self._status.available or not lock.advertising:
            return
        seen = parse_advertisement(lock.address, lock.name, self.rssi, lock.manufacturer_data(), lock.service_data())
        if seen is not None:
            self._on_sighting(seen)

    def _connection_number(self) -> int:
        self._next_connection += 1
        return self._next_connection - 1


class _Air:
    """The transport of one lock: its links, by connection."""

    def __init__(self, radio: VirtualRadio, lock: VirtualLock) -> None:
        self.radio = radio
        self.lock = lock
        self.links: dict[int, VirtualLink] = {}
        lock.attach(self)
        lock.on_memory_changed = radio._save_soon

    def send(self, connection_id: int, channel: Channel, data: bytes) -> None:
        """Cut into indications; the link queues them."""
        link = self.links.get(connection_id)
        if link is None:
            return
        size = self.radio.mtu - 3
        for start in range(0, len(data), size):
            link._arrive(channel, data[start : start + size])

    def drop(self, connection_id: int) -> None:
        """A lock out of range says nothing more; otherwise what it sent arrives first."""
        link = self.links.get(connection_id)
        if link is None:
            self.call_later(0.0, lambda: self.lock.disconnected(connection_id))
        elif self.lock.in_range:
            link._arrive(None, b"")
        else:
            link._lose()

    def advertise(self) -> None:
        """Seen at the next turn of the loop, so that nobody is called from within the lock."""
        if self.radio._on_sighting is not None:
            asyncio.get_running_loop().call_soon(self.radio._show, self.lock)

    def call_later(self, delay_s: float, fn: Callable[[], None]) -> Timer:
        """On the loop's clock."""
        return asyncio.get_running_loop().call_later(delay_s, fn)

    def now(self) -> datetime:
        """Time of day."""
        return self.radio.clock()

    def lose_all(self) -> None:
        """Every link breaks at once."""
        for link in list(self.links.values()):
            link._lose()


class VirtualLink:
    """One GATT connection in memory.  Implements `Link`."""

    def __init__(self, radio: VirtualRadio, address: str, on_data: OnData, on_disconnect: Callable[[], None]) -> None:
        self.address = address
        self._radio = radio
        self._on_data = on_data
        self._on_disconnect = on_disconnect
        self._connection: int | None = None
        self._channels: frozenset[Channel] = frozenset()
        self._family: Family | None = None
        self._deaf = False
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

    async def connect(self, timeout_s: float, *, pairing: bool = False, skip_gdio: bool = False) -> None:
        """Connect to the lock if it advertises within `timeout_s`; see `Link.connect`."""
        radio = self._radio
        self._check_adapter()
        if self.connected:
            return
        air = radio._air.get(self.address)
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
        number = radio._connection_number()
        self._connection = number
        self._deaf = False
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

        As with BlueZ, writes may be under way at the same time, they arrive in their order, and one whose confirmation
        nobody waits for any more arrives all the same.
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
        """What is due reaches the lock; over a half-open link nothing does, and nothing is confirmed."""
        now = asyncio.get_running_loop().time() + 1e-6
        while self._connection is not None and not self._deaf and self._writes and self._writes[0][0] <= now:
            _, channel, data, arrived = self._writes.popleft()
            error = self._hand_over(self._connection, channel, data)
            if not arrived.done():
                arrived.set_result(error)
            if isinstance(error, Disconnected):
                self._lose()

    def _hand_over(self, number: int, channel: Channel, data: bytes) -> LinkError | None:
        """One write, with what goes wrong with it."""
        faults = self._radio.faults
        if faults.hits("disconnect_before_write"):
            return Disconnected(f"the link to {self.address} was lost before a write")
        self._radio._air[self.address].lock.written(number, channel, data)
        if faults.hits("disconnect_after_write"):
            return Disconnected(f"the link to {self.address} was lost after a write")
        if faults.hits("write_fails_after_delivery"):
            return TimedOut(f"{self.address} did not confirm a write in time")
        return None

    async def disconnect(self) -> None:
        """Drop the link; never raises."""
        self._lose()

    def _check_adapter(self) -> None:
        status = self._radio.status
        if not status.available:
            raise AdapterUnavailable(status.reason or "no Bluetooth adapter")

    def _arrive(self, channel: Channel | None, data: bytes) -> None:
        """Queue one indication; no channel stands for the lock's hanging up."""
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
        """Nothing overtakes what has been sent before."""
        loop = asyncio.get_running_loop()
        at = max(loop.time() + late_s, self._queue[-1][0] if self._queue else 0.0)
        self._queue.append((at, channel, data))
        if late_s > 0 or at > loop.time():
            loop.call_at(at, self._deliver)
        else:
            loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        """Hand over what is due; the loop may call a little before its time."""
        now = asyncio.get_running_loop().time() + 1e-6
        while self._queue and self._queue[0][0] <= now:
            _, channel, data = self._queue.popleft()
            if channel is None:
                self._lose()
            elif channel in self._channels:
                self._on_data(channel, data)

    def _lose(self, only: int | None = None) -> None:
        """The link is down: both sides learn it, what was under way is gone; if `only` given, that connection alone."""
        if self._connection is None or only not in (None, self._connection):
            return
        number, self._connection = self._connection, None
        self._queue.clear()
        for *_, arrived in self._writes:
            if not arrived.done():
                arrived.set_result(Disconnected(f"the link to {self.address} was lost during a write"))
        self._writes.clear()
        air = self._radio._air[self.address]
        if air.links.pop(number, None) is not None:
            air.lock.disconnected(number)
        self._on_disconnect()
