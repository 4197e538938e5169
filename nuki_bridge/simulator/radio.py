"""Bluetooth in memory: a `Radio` for virtual locks, on the event loop's clock, with faults to order.

It behaves as BlueZ does towards its user: indications come in pieces, connecting can time out, a lock that holds a link
is not seen by others.  With a `state_file` the locks' memory outlives the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nuki_bridge.bluetooth.link import Channel, Link, OnData, RadioStatus
from nuki_bridge.protocol.advertisement import Sighting, parse_advertisement
from nuki_bridge.simulator.backend import STATE_FILE, default_locks, save_locks
from nuki_bridge.simulator.faults import Faults
from nuki_bridge.simulator.link import VirtualLink
from nuki_bridge.simulator.transport import Timer
from nuki_bridge.simulator.virtual_device import VirtualDevice

__all__ = ["STATE_FILE", "Faults", "VirtualLink", "VirtualRadio", "default_locks"]

ADAPTER = "virtual0"
"""Name of the adapter in `RadioStatus`."""


class VirtualRadio:
    """An adapter in memory and the locks in its range.  Implements `Radio`.

    `clock` gives the time of day the locks live in, `mtu` the size at which indications are cut (3 bytes less).
    `latency_s` (each indication) and `write_s` (each write and its confirmation) slow things down; they, `mtu` and all
    other public attributes may be changed at any time.
    """

    def __init__(
        self,
        locks: Iterable[VirtualDevice],
        *,
        state_file: Path | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        mtu: int = 247,
        latency_s: float = 0.0,
        write_s: float = 0.0,
    ) -> None:
        self.locks = list(locks)
        self.clock = clock
        self.mtu = mtu
        self.latency_s = latency_s
        self.write_s = write_s
        self.interval_s = 1.0
        """Seconds between two advertisements of a lock."""
        self.indication_s = 0.0
        """Seconds from one indication to the next, which is sent once that is confirmed."""
        self.connect_s = 0.0
        """Seconds that connecting takes."""
        self.rssi: int = -58
        self.faults = Faults()
        self._state_file = state_file
        self._status = RadioStatus(True, ADAPTER)
        self._on_sighting: Callable[[Sighting], None] | None = None
        self._on_status: Callable[[RadioStatus], None] | None = None
        self._next_connection = 1
        self._save_due = False
        self._shown: dict[str, tuple[Any, Sighting | None]] = {}  # what each lock advertised last
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
        """Do nothing: every virtual lock is seen at all times."""
        return nullcontext()

    def link(self, address: str, on_data: OnData, on_disconnect: Callable[[], None]) -> Link:
        """Return a link to the lock at `address`, not yet connected."""
        return VirtualLink(self, address.upper(), on_data, on_disconnect)

    # -- for its links ------------------------------------------------------------------------------------------------

    def air_of(self, address: str) -> _Air | None:
        """Return the lock with this address and its links, None if it is not there."""
        return self._air.get(address)

    def next_connection(self) -> int:
        """Return a connection number that has not been used."""
        self._next_connection += 1
        return self._next_connection - 1

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
        """Have the lock lose its links while this side keeps them, for `notice_s` or until it drops them.

        Meanwhile no write is answered.
        """
        air = self._air[address.upper()]
        for number in list(air.links):
            link = air.links.pop(number)
            link.deaf = True
            air.lock.disconnected(number)
            if notice_s is not None:
                air.call_later(notice_s, lambda link=link, number=number: link.lose(number))  # type: ignore[misc]

    def orphan(self, address: str) -> None:
        """Have this side lose its links while the lock keeps them, until it drops them as idle."""
        air = self._air[address.upper()]
        for number in list(air.links):
            air.links.pop(number).lose()

    def find(self, key: str | None) -> VirtualDevice:
        """Return a lock by address, advertised name or Nuki ID in hex; None stands for the only one there is.

        Raise `ValueError` with the known names if there is no such lock.
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
        """Carry out a control message at the lock that its `lock` names, and return the answer; raise `ValueError`."""
        if not isinstance(command, dict) or not isinstance(command.get("lock"), str | None):
            raise ValueError('a control is a JSON object; "lock" in it is the name of a virtual lock')
        rest = {key: value for key, value in command.items() if key != "lock"}
        return self.find(command.get("lock")).control(rest)

    def save(self) -> None:
        """Write the locks' memory, readable by the owner only; do nothing without a state file."""
        self._save_due = False
        if self._state_file is not None:
            save_locks(self._state_file, self.locks)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _save_soon(self) -> None:
        """Save once for all changes that come at the same time."""
        if self._state_file is None or self._save_due:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.save()
            return
        self._save_due = True
        loop.call_soon(self.save)

    def _show(self, lock: VirtualDevice) -> None:
        if self._on_sighting is None or not self._status.available or not lock.advertising:
            return
        shown = lock.address, lock.name, self.rssi, lock.manufacturer_data(), lock.service_data()
        before, seen = self._shown.get(lock.address, (None, None))
        if shown != before:
            seen = parse_advertisement(*shown)
            self._shown[lock.address] = shown, seen
        if seen is not None:
            self._on_sighting(seen)


class _Air:
    """The transport of one lock, with its links by connection number."""

    def __init__(self, radio: VirtualRadio, lock: VirtualDevice) -> None:
        self.radio = radio
        self.lock = lock
        self.links: dict[int, VirtualLink] = {}
        lock.attach(self)
        lock.device.on_memory_changed = radio._save_soon

    def send(self, connection_id: int, channel: Channel, data: bytes) -> None:
        """Cut `data` into indications and give them to the link."""
        link = self.links.get(connection_id)
        if link is None:
            return
        size = self.radio.mtu - 3
        for start in range(0, len(data), size):
            link.arrive(channel, data[start : start + size])

    def drop(self, connection_id: int) -> None:
        """End the connection; what was sent before arrives first, unless the lock is out of range."""
        link = self.links.get(connection_id)
        if link is None:
            self.call_later(0.0, lambda: self.lock.disconnected(connection_id))
        elif self.lock.in_range:
            link.arrive(None, b"")
        else:
            link.lose()

    def advertise(self) -> None:
        """Show the lock at the next turn of the loop, so that nobody is called from within the lock."""
        if self.radio._on_sighting is not None:
            asyncio.get_running_loop().call_soon(self.radio._show, self.lock)

    def call_later(self, delay_s: float, fn: Callable[[], None]) -> Timer:
        """Call `fn` once, `delay_s` seconds from now on the loop's clock."""
        return asyncio.get_running_loop().call_later(delay_s, fn)

    def now(self) -> datetime:
        """Return the time of day."""
        return self.radio.clock()

    def lose_all(self) -> None:
        """Break every link at once."""
        for link in list(self.links.values()):
            link.lose()
