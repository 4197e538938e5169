"""The air of a virtual Bluetooth controller: what BlueZ sees as `hciN` with locks around it.

`plug_in` opens /dev/vhci, so that the kernel finds an adapter there (root only); `add` gives a virtual lock a
controller of its own and a `Peripheral`.  Everything from the adapter's HCI upwards is the real thing: kernel,
bluetoothd, D-Bus, client.
"""

from __future__ import annotations

from typing import Literal

from bumble.transport.common import Transport as HciTransport
from bumble.transport.vhci import open_vhci_transport

from tests.radio.medium import AdapterController, DuplicateFilter, Medium
from tests.radio.peripheral import MAX_MTU, Lock, Peripheral


class Air:
    """The medium with its adapters and its locks; used on one running event loop.

    `adapter_address` is the first adapter's public address; `duplicates` is their habit (see `DuplicateFilter`).
    """

    def __init__(self, *, adapter_address: str = "B8:27:EB:00:00:01", duplicates: DuplicateFilter = "address") -> None:
        self.adapter_address = adapter_address
        self.duplicates: DuplicateFilter = duplicates
        self.peripherals: list[Peripheral] = []
        self._link = Medium()  # type: ignore[no-untyped-call]
        self._adapters: dict[str, tuple[AdapterController, HciTransport]] = {}

    @property
    def adapter(self) -> AdapterController | None:
        """What stands behind the first adapter while the kernel has it."""
        found = self._adapters.get(self.adapter_address)
        return found[0] if found else None

    @property
    def scan(self) -> Literal["active", "passive"] | None:
        """How the first adapter scans now."""
        adapter = self.adapter
        if adapter is None or not adapter.le_scan_enable:
            return None
        return "active" if adapter.le_scan_type == 1 else "passive"

    @property
    def active_scans(self) -> int:
        """How often an active scan was begun since the first adapter was plugged in."""
        return 0 if self.adapter is None else self.adapter.active_scans

    async def plug_in(self, address: str | None = None) -> None:
        """Give the kernel the adapter, as by plugging it in; with an `address` of its own another one beside it.

        Raises `OSError` without /dev/vhci or the right to it.
        """
        address = address or self.adapter_address
        if address in self._adapters:
            return
        vhci = await open_vhci_transport(None)
        controller = AdapterController(
            duplicates=self.duplicates,
            host_source=vhci.source,
            host_sink=vhci.sink,
            link=self._link,
            public_address=address,
        )
        self._adapters[address] = controller, vhci

    async def unplug(self, address: str | None = None) -> None:
        """Take an adapter away from the kernel; its links end for the locks after the supervision timeout."""
        found = self._adapters.pop(address or self.adapter_address, None)
        if found is not None:
            controller, vhci = found
            controller.forget_everything()
            self._link.remove_controller(controller)
            await vhci.close()

    async def add(self, lock: Lock, *, max_mtu: int = MAX_MTU, interval_s: float = 0.4) -> Peripheral:
        """Put a lock on the air; returns when it advertises (if it does).

        `max_mtu` is the ATT MTU it agrees to (23 to 517), `interval_s` the time between two advertisements.
        """
        peripheral = Peripheral(lock, self._link, max_mtu=max_mtu, interval_s=interval_s)
        self.peripherals.append(peripheral)
        await peripheral.start()
        return peripheral

    async def close(self) -> None:
        """Remove everything."""
        for address in list(self._adapters):
            await self.unplug(address)
        for peripheral in self.peripherals:
            await peripheral.stop()
        self.peripherals.clear()
