"""The medium between virtual locks and the adapter that the kernel drives: bumble's, mended.

`Medium` carries packets between the controllers of one process; `AdapterController` stands behind /dev/vhci, each lock
has a `LockController`.  Mended are the places where bumble's controller is kinder or blinder than a radio: addresses,
duplicate and passive scanning, cancelled, unanswered and lost connections, the time a connection takes, reset.
"""

from __future__ import annotations

import asyncio
import collections
import random
from typing import Any, Literal

from bumble import controller, core, hci, link, ll

SUPERVISION_TIMEOUT_S = 0.42
"""After so long a silence the kernel gives a link up, unless the peripheral asked for something else."""
_TIMED_OUT = 0x08
_INTERVAL_S = 0.05
"""Between two exchanges of a link; the kernel asks for 30 to 50 ms."""
_ESTABLISHMENT_S = 6 * _INTERVAL_S
"""After which a connection request without an answer has failed."""
_ADVERTISING_DELAY_S = 0.01
"""Longest of the random delays that the specification puts between two advertisements, beside the interval."""

DuplicateFilter = Literal["address", "data", "off"]
"""What an adapter takes for a repeated advertisement while it is told to leave those out: one of the same device (what
the specification says), or only one with the same data (what many adapters do), or none."""


class Medium(link.LocalLink):  # type: ignore[misc,unused-ignore]
    """Carries packets between the controllers of one process."""

    def send_acl_data(
        self,
        sender_controller: controller.Controller,
        destination_address: hci.Address,
        transport: core.PhysicalTransport,
        data: bytes,
    ) -> None:
        # bumble takes the sender's random address for the source, while the kernel connects with its public one.
        connection = sender_controller.le_connections.get(destination_address)
        receiver = self.find_le_controller(destination_address)
        if connection is None or receiver is None or connection.self_address not in receiver.le_connections:
            return  # into the void, as with a peer that has gone
        for end in (sender_controller, receiver):
            if isinstance(end, LockController):
                end.count(data)
        asyncio.get_running_loop().call_soon(receiver.on_link_acl_data, connection.self_address, transport, data)

    def send_advertising_pdu(self, sender_controller: controller.Controller, packet: ll.AdvertisingPdu) -> None:
        if isinstance(packet, ll.ConnectInd):
            # At once, so that nobody stops advertising in between.
            receiver = self.find_lock(packet.advertiser_address)
            if receiver is None:
                return
            if receiver.ignored_connects > 0:
                receiver.ignored_connects -= 1
            else:
                receiver.on_ll_advertising_pdu(packet)
            return
        for other in self.controllers:
            if isinstance(other, AdapterController):
                asyncio.get_running_loop().call_soon(other.on_ll_advertising_pdu, packet)

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        def deliver() -> None:
            receiver = self.find_le_controller(receiver_address)
            if receiver is not None and sender_address in receiver.le_connections:
                super(Medium, self).send_ll_control_pdu(sender_address, receiver_address, packet)

        if isinstance(packet, ll.FeatureReq):
            # The first exchange of a link, before which the kernel does not call it up. bluetoothd counts on that
            # time: if it hears of the open socket first, it never tells D-Bus that the device is connected.
            asyncio.get_running_loop().call_later(_INTERVAL_S, deliver)
        else:
            deliver()

    def find_lock(self, address: hci.Address) -> LockController | None:
        return next(
            (c for c in self.controllers if isinstance(c, LockController) and c.public_address == address), None
        )


def lose(end: controller.Controller, connection: controller.Connection, reason: int = _TIMED_OUT) -> None:
    """One end notices that the other has not been heard for too long; does nothing when it knows already."""
    if end.le_connections.get(connection.peer_address) is connection:
        end.on_le_disconnected(connection, reason)


class _Controller(controller.Controller):  # type: ignore[misc,unused-ignore]
    # Without the features that bumble claims and lacks: for extended advertising it has no commands, and with LL
    # privacy the kernel waits for another connection event than the one bumble sends, and gives up after 4 s.
    le_features = controller.Controller.le_features & ~(
        hci.LeFeatureMask.LE_EXTENDED_ADVERTISING
        | hci.LeFeatureMask.LE_PERIODIC_ADVERTISING
        | hci.LeFeatureMask.LL_PRIVACY
    )
    le_acl_data_packet_length = 251


class _Advertiser(controller.LegacyAdvertiser):  # type: ignore[misc,unused-ignore]
    def _on_timer_fired(self) -> None:
        # bumble's are as regular as a clock, so that who connects always after the same time always waits as long.
        self.send_advertising_data()
        wait_s = self.advertising_interval_min / 1000 + random.uniform(0, _ADVERTISING_DELAY_S)
        self.timer_handle = asyncio.get_running_loop().call_later(wait_s, self._on_timer_fired)


class LockController(_Controller):
    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.le_legacy_advertiser = _Advertiser(self)
        self.traffic: collections.Counter[int] = collections.Counter()
        self.ignored_connects = 0
        self.rssi = -60

    def count(self, pdu: bytes) -> None:
        """Note one L2CAP packet that goes out or comes in."""
        if len(pdu) > 4 and pdu[2:4] == b"\x04\x00":
            self.traffic[pdu[4]] += 1


class AdapterController(_Controller):
    """The adapter that the kernel drives."""

    link: Medium

    def __init__(self, *, duplicates: DuplicateFilter, **options: Any) -> None:
        super().__init__("adapter", **options)
        self._duplicates = duplicates
        self._reported: dict[hci.Address, bytes] = {}
        self.active_scans = 0

    def on_advertising_pdu(self, pdu: ll.AdvInd | ll.AdvExtInd) -> None:
        """Report what is new to a scanning host, and connect if it waits for this device.

        bumble reports everything twice: it knows neither duplicates nor the difference of active and passive scanning.
        """
        address = pdu.advertiser_address
        lock = self.link.find_lock(address)
        if lock is None:
            return
        if self.le_scan_enable and self._is_new(address, pdu.data):
            report = hci.HCI_LE_Advertising_Report_Event.EventType
            self._report(report.ADV_IND, lock, pdu.data)
            if self.le_scan_type == 1:
                self._report(report.SCAN_RSP, lock, lock.le_legacy_advertiser.scan_response_data)
        pending = self.pending_le_connection
        if pending is not None and pending.peer_address == address and lock.le_legacy_advertiser.enabled:
            self.create_le_connection(address)

    def create_le_connection(self, peer_address: hci.Address) -> None:
        """Ask the peer to connect and report success, as a controller does before it knows the answer."""
        super().create_le_connection(peer_address)
        lock = self.link.find_lock(peer_address)
        connection = self.le_connections.get(peer_address)
        if connection is not None and (lock is None or connection.self_address not in lock.le_connections):
            asyncio.get_running_loop().call_later(
                _ESTABLISHMENT_S, lose, self, connection, hci.HCI_ErrorCode.CONNECTION_FAILED_TO_BE_ESTABLISHED_ERROR
            )

    def _is_new(self, address: hci.Address, data: bytes) -> bool:
        if not self.filter_duplicates or self._duplicates == "off":
            return True
        last = self._reported.get(address)
        self._reported[address] = data
        return last is None or (self._duplicates == "data" and last != data)

    def _report(self, event_type: int, lock: LockController, data: bytes) -> None:
        address = lock.public_address
        report = hci.HCI_LE_Advertising_Report_Event.Report(
            event_type=event_type, address_type=address.address_type, address=address, data=data, rssi=lock.rssi
        )
        self.send_hci_packet(hci.HCI_LE_Advertising_Report_Event([report]))

    def on_hci_le_set_scan_enable_command(
        self, command: hci.HCI_LE_Set_Scan_Enable_Command
    ) -> hci.HCI_StatusReturnParameters:
        self._reported.clear()
        self.active_scans += bool(command.le_scan_enable) and self.le_scan_type == 1
        return super().on_hci_le_set_scan_enable_command(command)

    def on_hci_le_create_connection_cancel_command(
        self, command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        # bumble would go on and connect later.
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        asyncio.get_running_loop().call_soon(
            self.send_hci_packet,
            hci.HCI_LE_Connection_Complete_Event(
                status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
                connection_handle=0,
                role=hci.Role.CENTRAL,
                peer_address_type=pending.peer_address.address_type,
                peer_address=pending.peer_address,
                connection_interval=0,
                peripheral_latency=0,
                supervision_timeout=0,
                central_clock_accuracy=0,
            ),
        )
        return super().on_hci_le_create_connection_cancel_command(command)

    def on_hci_reset_command(self, command: hci.HCI_Reset_Command) -> hci.HCI_StatusReturnParameters:
        self.forget_everything()
        return super().on_hci_reset_command(command)

    def forget_everything(self) -> None:
        """Stop scanning and drop every link without a word; the locks notice by the silence."""
        self.le_scan_enable = False
        self.pending_le_connection = None
        loop = asyncio.get_running_loop()
        for connection in list(self.le_connections.values()):
            lock = self.link.find_lock(connection.peer_address)
            if lock is not None and (other := lock.le_connections.get(connection.self_address)) is not None:
                loop.call_later(SUPERVISION_TIMEOUT_S, lose, lock, other)
        self.le_connections.clear()
