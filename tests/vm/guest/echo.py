"""A device for tests of the rig itself: it answers every write with the same bytes backwards."""

from __future__ import annotations

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.protocol.advertisement import APPLE, beacon_data, beacon_name
from nuki_bridge.protocol.codes import PAIRING_SERVICE, Family
from tests.radio.peripheral import Peripheral


class EchoDevice:
    """Looks like a lock, knows nothing."""

    def __init__(self, address: str = "54:D2:72:00:00:01", nuki_id: int = 0x1A2B3C4D) -> None:
        self.address = address
        self.nuki_id = nuki_id
        self.family = Family.CLASSIC
        self.name = beacon_name(nuki_id)
        self.in_range = True
        self.advertise_while_connected = False
        self.state_changed = False
        self.pairing = False
        self.connections: list[int] = []
        self.ended: list[int] = []
        self.received: list[tuple[Channel, bytes]] = []
        self.peripheral: Peripheral

    @property
    def advertising(self) -> bool:
        return self.in_range and (self.advertise_while_connected or not self.connections)

    def attach(self, transport: Peripheral) -> None:
        self.peripheral = transport

    def connected(self, connection_id: int) -> None:
        self.connections.append(connection_id)

    def disconnected(self, connection_id: int) -> None:
        self.connections.remove(connection_id)
        self.ended.append(connection_id)

    def written(self, connection_id: int, channel: Channel, data: bytes) -> None:
        self.received.append((channel, data))
        self.peripheral.send(connection_id, channel, data[::-1])

    def manufacturer_data(self) -> dict[int, bytes]:
        return {APPLE: beacon_data(self.nuki_id, state_changed=self.state_changed)}

    def service_data(self) -> dict[str, bytes]:
        return {PAIRING_SERVICE: self.nuki_id.to_bytes(4, "big")} if self.pairing else {}

    def flag(self, changed: bool) -> None:
        """Turn the beacon's bit."""
        self.state_changed = changed
        self.peripheral.advertise()

    def carry(self, away: bool) -> None:
        """Out of range, or back."""
        self.in_range = not away
        for number in list(self.connections):
            self.peripheral.drop(number)
        self.peripheral.advertise()
