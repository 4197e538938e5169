"""paho-mqtt's client on a socket that is connected already, with what it cannot be asked for by its own interface.

It costs 2 MiB and is loaded by the first connection.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from nuki_bridge.mqtt.in_flight import MAX_MESSAGES
from nuki_bridge.mqtt.message import Incoming, Subscription, is_topic_name
from nuki_bridge.mqtt.reasons import PACKET_TOO_LARGE

if TYPE_CHECKING:
    from nuki_bridge.config import MqttSettings

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
        self.is_unwritable = False
        """Writing has failed, which is taken for a full socket until `is_given_up`."""
        self.is_given_up = False

    def _create_socket(self) -> Any:
        return self._connected_socket

    def _sock_send(self, buf: bytes | bytearray) -> int:
        """Take a failure for a full socket at first: what the broker said before it hung up may not have been read."""
        try:
            return super()._sock_send(buf)
        except BlockingIOError:
            raise
        except OSError as error:
            if self.is_given_up:
                raise
            self.is_unwritable = True
            raise BlockingIOError from error

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

    def ping(self) -> None:
        """Send a PINGREQ that has nothing to do with paho's own, for want of whose answer it ends the connection."""
        self._send_pingreq()
        self._ping_t = 0

    def limit_inflight(self, count: int) -> None:
        """Have `count` (1 or more) messages at most wait for the broker's acknowledgement.

        paho refuses that on a connection, on account of 0, which would mean without limit.
        """
        self._max_inflight_messages = count


def new(
    sock: socket.socket, settings: MqttSettings, client_id: str, will: tuple[str, bytes] | None, *, five: bool
) -> PahoOnSocket:
    """Return a client with its account and its `will` (topic, payload), if any; with MQTT 5 or (not `five`) 3.1.1."""
    paho = PahoOnSocket(sock, client_id=client_id, five=five)
    if settings.username is not None:
        paho.username_pw_set(settings.username, settings.password.reveal() if settings.password else None)
    if will is not None:
        topic, payload = will
        paho.will_set(topic, payload, qos=1, retain=True)
    paho.max_queued_messages_set(MAX_MESSAGES)
    return paho


def properties(packet: str, values: Mapping[str, Any]) -> Properties:
    """Return the properties of MQTT 5 by paho's names, for a packet of this name."""
    packed = Properties(getattr(PacketTypes, packet))  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(packed, name, value)
    return packed


def filters(subscriptions: tuple[Subscription, ...], *, five: bool) -> Any:
    """Return the topic filters as paho takes them; with MQTT 5 (`five`) with their options.

    Retain As Published: a command sent with the retain flag is seen as such at once, not first at the next connection.
    Stored ones are delivered on subscribing, to be refused, unless that is not wanted.
    """
    if not five:
        return [(each.topic, each.qos) for each in subscriptions]
    return [(each.topic, _options(each)) for each in subscriptions]


def _options(wanted: Subscription) -> SubscribeOptions:
    kind = SubscribeOptions
    when = kind.RETAIN_SEND_ON_SUBSCRIBE if wanted.stored else kind.RETAIN_DO_NOT_SEND
    return kind(qos=wanted.qos, noLocal=wanted.no_local, retainAsPublished=True, retainHandling=when)


def incoming(received: MQTTMessage, received_at: float) -> Incoming | None:
    """Return a message as this program has it; None if its topic is not UTF-8."""
    try:
        topic = received.topic
    except UnicodeDecodeError:
        return None
    told = vars(received.properties) if received.properties is not None else {}
    response_topic = told.get("ResponseTopic", "")
    return Incoming(
        topic=topic,
        payload=bytes(received.payload),
        retain=bool(received.retain),
        received_at=received_at,
        response_topic=response_topic if is_topic_name(response_topic) else None,
        correlation_data=told.get("CorrelationData"),
        message_expiry_s=told.get("MessageExpiryInterval"),
        again=bool(received.dup),
    )
