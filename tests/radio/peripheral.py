"""A virtual lock as a Bluetooth peripheral on the air of `air.py`: its advertisements, GATT services and connections.

It serves the lock's characteristics and is the lock's transport.  What the lock answers is `lock.py`'s business, what
travels in between `medium.py`'s.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from bumble import att, core, device, gatt, hci, host, ll
from bumble.transport.common import AsyncPipeSink

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.protocol.codes import (
    KEYTURNER_GDIO,
    KEYTURNER_SERVICE,
    KEYTURNER_USDIO,
    OPENER_GDIO,
    OPENER_PAIRING_GDIO,
    OPENER_PAIRING_SERVICE,
    OPENER_SERVICE,
    OPENER_USDIO,
    PAIRING_GDIO,
    PAIRING_GDIO_ULTRA,
    PAIRING_SERVICE,
    PAIRING_SERVICE_ULTRA,
    Family,
)
from tests.radio.medium import (
    SUPERVISION_TIMEOUT_S,
    LockController,
    Medium,
    lose,
)

log = logging.getLogger(__name__)

MAX_MTU = 517
"""The largest ATT MTU that BlueZ offers."""
ADVERTISING_SIZE = 31
"""Bytes in one legacy advertisement, and again in a scan response."""

_TERMINATED_BY_PEER = 0x13

_SERVICES: dict[Family, dict[str, dict[str, Channel]]] = {
    Family.CLASSIC: {
        PAIRING_SERVICE: {PAIRING_GDIO: Channel.PAIRING},
        KEYTURNER_SERVICE: {KEYTURNER_GDIO: Channel.GDIO, KEYTURNER_USDIO: Channel.USDIO},
    },
    Family.ULTRA: {
        PAIRING_SERVICE_ULTRA: {PAIRING_GDIO_ULTRA: Channel.PAIRING},
        KEYTURNER_SERVICE: {KEYTURNER_GDIO: Channel.GDIO, KEYTURNER_USDIO: Channel.USDIO},
    },
    Family.OPENER: {
        OPENER_PAIRING_SERVICE: {OPENER_PAIRING_GDIO: Channel.PAIRING},
        OPENER_SERVICE: {OPENER_GDIO: Channel.GDIO, OPENER_USDIO: Channel.USDIO},
    },
}

_SPARE_SERVICE = core.UUID("a92e0000-5501-11e4-916c-0800200c9a66")
"""Stands for whatever else a firmware update brings."""


class Lock(Protocol):
    """What a `Peripheral` puts on the air; `lock.VirtualLock` is one."""

    address: str
    name: str

    @property
    def family(self) -> Family:
        """Whose characteristics it has."""

    @property
    def in_range(self) -> bool:
        """It is in radio range."""

    @property
    def advertising(self) -> bool:
        """It can be seen and connected to now."""

    def attach(self, transport: Any, /) -> None:
        """Called once with the `Peripheral`."""

    def connected(self, connection_id: int) -> None:
        """A central connected."""

    def disconnected(self, connection_id: int) -> None:
        """The connection is gone, whoever ended it."""

    def written(self, connection_id: int, channel: Channel, data: bytes) -> None:
        """A central wrote one whole value, in one piece or as a long write."""

    def manufacturer_data(self) -> dict[int, bytes]:
        """Advertised, by company identifier."""

    def service_data(self) -> dict[str, bytes]:
        """Advertised instead of the manufacturer data when there is any, by service UUID."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """ATT packets between one lock and its centrals since it was added."""

    requests: int = 0
    """Everything a central asked and waited for: discovery, descriptors, MTU and the writes below."""
    writes: int = 0
    write_commands: int = 0
    prepares: int = 0
    executes: int = 0
    indications: int = 0

    @property
    def transactions(self) -> int:
        """Round trips: every request, and every indication with its confirmation."""
        return self.requests + self.indications

    def __sub__(self, earlier: Traffic) -> Traffic:
        return Traffic(
            self.requests - earlier.requests,
            self.writes - earlier.writes,
            self.write_commands - earlier.write_commands,
            self.prepares - earlier.prepares,
            self.executes - earlier.executes,
            self.indications - earlier.indications,
        )


def advertising_data(manufacturer: Mapping[int, bytes], service: Mapping[str, bytes]) -> bytes:
    """Flags and the given fields as they go on the air; raises `ValueError` beyond 31 bytes."""
    fields = [b"\x01\x06"]
    fields += [b"\xff" + company.to_bytes(2, "little") + data for company, data in manufacturer.items()]
    fields += [b"\x21" + uuid.UUID(key).bytes[::-1] + data for key, data in service.items()]
    encoded = b"".join(bytes([len(field)]) + field for field in fields)
    if len(encoded) > ADVERTISING_SIZE:
        raise ValueError(f"an advertisement holds {ADVERTISING_SIZE} bytes, not {len(encoded)}")
    return encoded


@dataclass(slots=True, eq=False)
class _Connection:
    number: int
    bearer: device.Connection
    outgoing: asyncio.Queue[tuple[Channel, bytes] | None]
    """Messages to indicate, in order; None ends the connection."""
    sender: asyncio.Task[None] | None = None


class Peripheral:
    """One lock on the air: advertiser, GATT server and the lock's transport.

    `max_mtu` may be changed at any time and counts from the next connection on.
    """

    def __init__(self, lock: Lock, medium: Medium, *, max_mtu: int, interval_s: float) -> None:
        self.lock = lock
        self.max_mtu = max_mtu
        self.interval_s = interval_s
        self.mute = False
        """Links come up, and nothing that is asked over them is answered."""
        self._link = medium
        self._controller = LockController(lock.name, link=medium, public_address=lock.address)
        self._device = device.Device(name=lock.name, host=host.Host(self._controller, AsyncPipeSink(self._controller)))
        self._connections: dict[int, _Connection] = {}
        self._numbers = itertools.count(1)
        self._characteristics: dict[Channel, gatt.Characteristic[bytes]] = {}
        self._changed = asyncio.Event()
        self._stopping = False
        self._advertiser: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Build the services and begin to advertise."""
        self._build_services()
        server = self._device.gatt_server
        answer = server.on_gatt_pdu
        server.on_gatt_pdu = lambda *asked: None if self.mute else answer(*asked)  # type: ignore[method-assign]
        self._device.on("connection", self._on_connection)
        await self._device.power_on()
        self.lock.attach(self)
        await self._apply_advertising()
        self._advertiser = asyncio.create_task(self._keep_advertising(), name=f"advertise {self.lock.name}")

    async def stop(self) -> None:
        """Leave the air for good; links end by the supervision timeout."""
        if self._advertiser is not None:
            # Not cancelled: a command to the controller may be under way.
            self._stopping = True
            self._changed.set()
            await self._advertiser
        for connection in list(self._connections.values()):
            self.vanish(connection.number)
        await asyncio.sleep(0)
        self._link.controllers.discard(self._controller)

    # -- what a test looks at and changes -----------------------------------------------------------------------------

    @property
    def traffic(self) -> Traffic:
        """ATT packets so far; subtract an earlier one for a span."""
        seen = self._controller.traffic
        opcode = att.Opcode
        return Traffic(
            requests=sum(seen[request] for request in att.ATT_REQUESTS),
            writes=seen[opcode.ATT_WRITE_REQUEST],
            write_commands=seen[opcode.ATT_WRITE_COMMAND],
            prepares=seen[opcode.ATT_PREPARE_WRITE_REQUEST],
            executes=seen[opcode.ATT_EXECUTE_WRITE_REQUEST],
            indications=seen[opcode.ATT_HANDLE_VALUE_INDICATION],
        )

    @property
    def links(self) -> dict[int, int]:
        """ATT MTU of every connection, by connection number."""
        return {number: connection.bearer.att_mtu for number, connection in self._connections.items()}

    @property
    def rssi(self) -> int:
        """How strongly the adapter hears the lock, in dBm."""
        return self._controller.rssi

    @rssi.setter
    def rssi(self, dbm: int) -> None:
        self._controller.rssi = dbm

    def subscribed(self, channel: Channel) -> bool:
        """Some central has enabled indications there."""
        characteristic = self._characteristics[channel]
        server = self._device.gatt_server
        return any(server.read_cccd(c.bearer, characteristic)[0] & 2 for c in self._connections.values())

    def ignore_connects(self, count: int) -> None:
        """Go on advertising, but do not answer the next `count` connection requests, as locks at times do not.

        The central's controller takes such a connection for made at first, and for failed 0.3 s later.
        """
        self._controller.ignored_connects = count

    def vanish(self, number: int, *, noticed_after_s: float | None = SUPERVISION_TIMEOUT_S) -> None:
        """Lose a link without a word; the central notices after so many seconds, with None never."""
        connection = self._connections[number]
        own = self._controller.find_connection_by_handle(connection.bearer.handle)
        if own is None:
            return
        adapter = self._link.find_le_controller(own.peer_address)
        theirs = adapter.le_connections.get(own.self_address) if adapter else None
        lose(self._controller, own)
        if adapter is not None and theirs is not None and noticed_after_s is not None:
            asyncio.get_running_loop().call_later(noticed_after_s, lose, adapter, theirs)

    def rebuild_services(self) -> None:
        """Lay the characteristics out anew under other handles, as after a firmware update, and follow the family."""
        shifted = self._device.gatt_server.services[-1].uuid == _SPARE_SERVICE
        self._build_services(shift=not shifted)

    # -- the lock's transport -----------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time."""
        return datetime.now(UTC)

    def call_later(self, delay_s: float, fn: Callable[[], None]) -> asyncio.TimerHandle:
        """Call `fn` once, `delay_s` seconds from now."""
        return asyncio.get_running_loop().call_later(delay_s, fn)

    def send(self, connection_id: int, channel: Channel, data: bytes) -> None:
        """Indicate one whole message in pieces of MTU - 3 bytes, each confirmed before the next.

        Lost if the connection is gone or its central has not subscribed.
        """
        if connection_id in self._connections:
            self._connections[connection_id].outgoing.put_nowait((channel, bytes(data)))

    def drop(self, connection_id: int) -> None:
        """End the connection: after what was sent before, or without a word if the lock is out of range."""
        if connection_id not in self._connections:
            return
        if self.lock.in_range:
            self._connections[connection_id].outgoing.put_nowait(None)
        else:
            # Later: the lock may still be within its own `connected`.
            asyncio.get_running_loop().call_soon(self._vanish_if_there, connection_id)

    def advertise(self) -> None:
        """What is advertised has changed, or whether anything is."""
        self._changed.set()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _vanish_if_there(self, number: int) -> None:
        if number in self._connections:
            self.vanish(number)

    async def _keep_advertising(self) -> None:
        while not self._stopping:
            await self._changed.wait()
            await self._apply_advertising()

    async def _apply_advertising(self) -> None:
        self._changed.clear()
        if self._stopping or not self.lock.advertising:
            await self._device.stop_advertising()
            return
        service_data = self.lock.service_data()
        # Both do not fit into one legacy advertisement.
        beacon = {} if service_data else self.lock.manufacturer_data()
        name = self.lock.name.encode()
        # bumble's controller takes the interval's unit of 0.625 ms for a millisecond.
        interval_ms = self.interval_s * 1000 * 0.625
        await self._device.start_advertising(
            own_address_type=hci.OwnAddressType.PUBLIC,
            advertising_data=advertising_data(beacon, service_data),
            scan_response_data=bytes([len(name) + 1, 0x09]) + name,
            advertising_interval_min=interval_ms,
            advertising_interval_max=interval_ms,
        )

    def _build_services(self, *, shift: bool = False) -> None:
        server = self._device.gatt_server
        server.services.clear()
        server.attributes.clear()
        server.attributes_by_handle.clear()
        self._characteristics.clear()
        self._device.add_default_services(add_gatt_service=False)
        # As on a lock: neither a database hash nor a memory of who subscribed.
        changed: gatt.Characteristic[bytes] = gatt.Characteristic(
            gatt.GATT_SERVICE_CHANGED_CHARACTERISTIC,
            gatt.Characteristic.Properties.INDICATE,
            gatt.Characteristic.READABLE,
        )
        server.add_service(gatt.Service(gatt.GATT_GENERIC_ATTRIBUTE_SERVICE, [changed]))
        services = []
        for service, members in _SERVICES[self.lock.family].items():
            for characteristic, channel in members.items():
                self._characteristics[channel] = gatt.Characteristic(
                    core.UUID(characteristic),
                    gatt.Characteristic.Properties.WRITE | gatt.Characteristic.Properties.INDICATE,
                    gatt.Characteristic.WRITEABLE,
                    gatt.CharacteristicValue(write=self._writer(channel)),
                )
            services.append(
                gatt.Service(core.UUID(service), [self._characteristics[channel] for channel in members.values()])
            )
        if shift:
            services = [*reversed(services), gatt.Service(_SPARE_SERVICE, [])]
        for entry in services:
            server.add_service(entry)

    def _writer(self, channel: Channel) -> Callable[[device.Connection, bytes], None]:
        def written(bearer: device.Connection, data: bytes) -> None:
            for connection in self._connections.values():
                if connection.bearer is bearer:
                    self.lock.written(connection.number, channel, bytes(data))
                    return

        return written

    def _on_connection(self, bearer: device.Connection) -> None:
        connection = _Connection(next(self._numbers), bearer, asyncio.Queue())
        self._device.gatt_server.max_mtu = self.max_mtu
        self._connections[connection.number] = connection
        bearer.on("disconnection", lambda reason: self._on_disconnection(connection, reason))
        connection.sender = asyncio.create_task(
            self._send_all(connection), name=f"indicate {self.lock.name} {connection.number}"
        )
        log.debug("%s: connection %d", self.lock.name, connection.number)
        self.lock.connected(connection.number)
        self.advertise()

    def _on_disconnection(self, connection: _Connection, reason: int) -> None:
        log.debug("%s: connection %d ended, reason %#04x", self.lock.name, connection.number, reason)
        if self._connections.pop(connection.number, None) is None:
            return
        if connection.sender is not None:
            connection.sender.cancel()
        self.lock.disconnected(connection.number)
        self.advertise()

    async def _send_all(self, connection: _Connection) -> None:
        while (message := await connection.outgoing.get()) is not None:
            channel, data = message
            rest = data
            while rest:
                piece, rest = rest[: connection.bearer.att_mtu - 3], rest[connection.bearer.att_mtu - 3 :]
                try:
                    await self._device.gatt_server.indicate_subscriber(
                        connection.bearer, self._characteristics[channel], piece
                    )
                except TimeoutError:
                    log.warning("%s: an indication was not confirmed", self.lock.name)
                    self._vanish_if_there(connection.number)
                    return
        own = self._controller.find_connection_by_handle(connection.bearer.handle)
        if own is not None:
            own.send_ll_control_pdu(ll.TerminateInd(_TERMINATED_BY_PEER))
            self._controller.on_le_disconnected(own, hci.HCI_ErrorCode.CONNECTION_TERMINATED_BY_LOCAL_HOST_ERROR)
