"""paho-mqtt's client on a socket that is connected already, with what it cannot be asked for by its own interface.

It costs 4 MiB and is loaded by the first connection.
"""

from __future__ import annotations

import socket
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

PACKET_TOO_LARGE = 0x95
_UNSPECIFIED = 0x80


class PahoOnSocket(Client):
    """One connection over `sock`; its own way to one blocks for DNS, TCP and TLS."""

    def __init__(self, sock: socket.socket, *, client_id: str, five: bool) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if five else True,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        self._connected_socket = sock
        self.reason = 0
        """Reason code of the last PUBACK."""

    def _create_socket(self) -> Any:
        return self._connected_socket

    def _handle_pubackcomp(self, cmd: Any) -> Any:
        """Pass on a PUBACK whose reason MQTT 5 has not foreseen for one as an unspecified error, keeping the reason.

        paho takes it for a broken connection.  mosquitto answers a message that is too large so.
        """
        packet = self._in_packet["packet"]
        self.reason = packet[2] if len(packet) > 2 else 0
        if self.reason == PACKET_TOO_LARGE:
            self._in_packet["packet"] = bytearray(packet[:2]) + bytes((_UNSPECIFIED,)) + packet[3:]
        return super()._handle_pubackcomp(cmd)

    def _handle_disconnect(self) -> None:
        """Have a DISCONNECT without properties read, whose reason paho 2.1.0 overlooks."""
        packet = self._in_packet["packet"]
        if 0 < len(packet) < 3:
            self._in_packet["packet"] = bytearray(packet[:1]) + b"\0\0"
            self._in_packet["remaining_length"] = 3
        super()._handle_disconnect()

    def limit_inflight(self, count: int) -> None:
        """Have `count` (1 or more) messages at most wait for the broker's acknowledgement.

        paho refuses that on a connection, on account of 0, which would mean without limit.
        """
        self._max_inflight_messages = count
