"""One connection to an MQTT broker: one socket, one paho-mqtt client, from CONNECT to its end.

paho packs and parses; it gets a socket that is already connected and is thrown away with it, so that nothing of an old
connection reaches a new one.  It has no thread: the event loop tells it when to read and write.  Coming back after the
end, and choosing the protocol version, is the business of `mqtt`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nuki_bridge.errors import BrokerError
from nuki_bridge.mqtt.echo import Echo
from nuki_bridge.mqtt.freshness import Freshness
from nuki_bridge.mqtt.message import Incoming, Outgoing, Subscription, is_topic_name
from nuki_bridge.mqtt.size import SizeLimit
from nuki_bridge.mqtt.tcp import acknowledge

if TYPE_CHECKING:  # paho costs 4 MiB and is loaded by the first connection
    from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode
    from paho.mqtt.subscribeoptions import SubscribeOptions

    from nuki_bridge.config import MqttSettings
    from nuki_bridge.mqtt.paho import PahoOnSocket
    from nuki_bridge.watchdog import Heartbeat

_LOGGER = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 10.0  # from CONNECT to the last SUBACK
CLOSE_TIMEOUT_S = 0.5
TICK_S = 2.0
"""Seconds between checks of a connection; less only for a broker that wants a keepalive below four times that."""
PROBE_S = 3.0
"""Seconds of silence after which the broker is asked something at the next check, far sooner than keepalive wants."""
SILENT_S = 6.5
"""Seconds of silence, in spite of `PROBE_S`, that mean that the network stood still: what comes then is as old as
that."""
MAX_INFLIGHT = 20  # messages that the broker need not have acknowledged, unless it wants fewer
ACKNOWLEDGED_S = 20.0
"""Seconds without an acknowledgement after which a connection is given up: a broker whose queues overflowed forgets
what it owes and answers pings, and nothing more would go out."""
MAX_PENDING = 1000  # messages, and
MAX_PENDING_SIZE = 1024 * 1024  # bytes of payload that wait for the broker before `publish` refuses more

_UNSUPPORTED_VERSION = 0x84
_BAD_CREDENTIALS = 0x86
_NOT_AUTHORIZED = 0x87
_KEEPALIVE_TIMEOUT = 0x8D
_PACKET_TOO_LARGE = 0x95


Version = Literal["5", "3.1.1"]


@dataclass(frozen=True, slots=True)
class Setup:
    """What every connection of one client has in common."""

    settings: MqttSettings
    client_id: str
    will: tuple[str, bytes] | None
    subscriptions: Callable[[], tuple[Subscription, ...]]
    on_message: Callable[[Incoming], None]
    on_ready: Callable[[Connection], None]
    on_refused: Callable[[str], None]
    clock: Callable[[], float]
    max_packet_size: int
    heartbeat: Heartbeat
    size: SizeLimit
    on_too_large: Callable[[str], None]
    echo_topic: str | None

    @property
    def where(self) -> str:
        """The broker's address, for people."""
        return f"{self.settings.host}:{self.settings.port}"


class Connection:
    """One socket with its paho client; `run` owns it, everything else may be called at any time."""

    def __init__(self, setup: Setup, version: Version, *, keepalive_s: int, probe: bool) -> None:
        self._size = setup.size
        self.version = version
        self.probe = probe  # end as soon as the broker has accepted
        self.answered = False  # the broker accepted or refused CONNECT,
        self.accepted = False  # accepted it,
        self.ready_at: float | None = None  # answered every subscription,
        self.version_refused = False  # refused the version,
        self.silent = False  # closed without an answer,
        self.mute = False  # or leaves this version unanswered, and the other one not
        self.keepalive_s = keepalive_s  # less if the broker wants it so
        self._setup = setup
        self._clock = setup.clock
        self._hearing = f"hearing from the broker at {setup.where}"
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._closed = asyncio.Event()  # paho let go of the socket
        self._trouble = ""  # paho's last complaint about the socket
        self._subscribing: dict[int, tuple[Subscription, ...]] = {}
        self._pending: dict[int, Outgoing] = {}  # by message id, in the order in which they were published
        self._pending_size = 0
        self._drained = asyncio.Event()
        self._drained.set()
        self._warned_of: set[str] = set()
        self._heard_at = self._answer_by = self._acknowledged_at = self._loop.time()
        self._probe_number: int | None = None
        self._fences: dict[int, asyncio.Future[None]] = {}
        self._ticker: asyncio.TimerHandle | None = None
        self._echo: Echo | None = None
        if version == "3.1.1" and setup.echo_topic is not None:
            self._echo = Echo(setup.echo_topic, self._hear, self._say, self._too_large)
        self.freshness = Freshness(self._clock, self._send_fence)

    @property
    def open(self) -> bool:
        """The broker has accepted us and the connection has not ended."""
        return self.accepted and not self._ended.done()

    @property
    def ready(self) -> bool:
        """Open, and every subscription is answered."""
        return self.open and self.ready_at is not None

    @property
    def understood(self) -> bool:
        """The broker has answered in this protocol version, if only to refuse somebody else's password."""
        return self.answered and not self.version_refused

    async def run(self, sock: socket.socket) -> None:
        """Own `sock` until the connection ends, which raises `BrokerError`, or until cancelled."""
        self._sock = sock
        self._paho = self._new_paho(sock)
        try:
            self._start()
            self._answer_by = self._loop.time() + ANSWER_TIMEOUT_S
            self._tick()
            raise BrokerError(await asyncio.shield(self._ended))
        finally:
            try:
                if self.open or (self.probe and self.accepted):
                    await self._disconnect()
            finally:
                self._close()

    def give_up(self) -> None:
        """The broker answers the other version, and this one not."""
        self.mute = not self.answered
        self._end(f"the broker at {self._setup.where} does not answer MQTT {self.version}")

    # -- what Client passes on

    def publish(self, message: Outgoing) -> bool:
        """See `Client.publish`."""
        topic, size = message.topic, len(message.payload)
        if len(self._pending) >= MAX_PENDING or self._pending_size + size > MAX_PENDING_SIZE:
            self._warn_once("the broker takes messages too slowly, some are dropped")
            return False
        packed = None
        if self.version == "5" and message.properties:
            packed = self._properties("PUBLISH")
            for name, value in message.properties.items():
                setattr(packed, name, value)
        extra = len(packed.pack()) if packed is not None else 0  # type: ignore[no-untyped-call]
        if not self._size.fits(topic, size, extra):
            self._size.left_out(topic, size)
            return False
        info = self._paho.publish(topic, message.payload, message.qos, message.retain, packed)
        if info.rc != 0:
            return False
        if not self._pending:
            self._acknowledged_at = self._loop.time()
        self._pending[info.mid] = message
        self._pending_size += size
        self._drained.clear()
        return True

    def unacknowledged(self) -> list[Outgoing]:
        """What the broker has not acknowledged yet, in the order in which it was published."""
        return list(self._pending.values())

    async def drain(self, timeout_s: float) -> None:
        """See `Client.drain`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._drained.wait()

    def subscribe(self, subscriptions: tuple[Subscription, ...]) -> None:
        """Ask for these in one SUBSCRIBE."""
        from paho.mqtt.subscribeoptions import SubscribeOptions

        if not subscriptions:
            return
        filters: Any = [(each.topic, each.qos) for each in subscriptions]
        if self.version == "5":
            # Retain As Published: a command sent with the retain flag is seen as such at once, not first at the next
            # connection.  Stored ones are delivered on subscribing, to be refused, unless that is not wanted.
            filters = [(each.topic, self._options(SubscribeOptions, each)) for each in subscriptions]
        _, mid = self._paho.subscribe(filters)
        if mid is not None:
            self._subscribing[mid] = subscriptions

    @staticmethod
    def _options(options: type[SubscribeOptions], wanted: Subscription) -> SubscribeOptions:
        when = options.RETAIN_SEND_ON_SUBSCRIBE if wanted.stored else options.RETAIN_DO_NOT_SEND
        return options(qos=wanted.qos, noLocal=wanted.no_local, retainAsPublished=True, retainHandling=when)

    async def fence(self) -> None:
        """Wait until the broker has answered what it was asked so far, or the connection has ended.

        What a subscription at QoS 0 makes it deliver at once has come by then.
        """
        number = self._send_fence()
        if number is not None and not self._ended.done():
            answered = self._fences[number] = self._loop.create_future()
            await asyncio.wait((answered, self._ended), return_when=asyncio.FIRST_COMPLETED)

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """Ask to end these subscriptions."""
        if topics:
            self._paho.unsubscribe(list(topics))

    def _hear(self, topic: str) -> None:
        self.subscribe((Subscription(topic),))

    def _say(self, topic: str, payload: bytes) -> bool:
        return self.publish(Outgoing(topic, payload, retain=False, qos=1, properties={}, keep_until=0))

    # -- start and end

    def _new_paho(self, sock: socket.socket) -> PahoOnSocket:
        from nuki_bridge.mqtt.paho import PahoOnSocket

        settings = self._setup.settings
        paho = PahoOnSocket(sock, client_id=self._setup.client_id, five=self.version == "5")
        if settings.username is not None:
            paho.username_pw_set(settings.username, settings.password.reveal() if settings.password else None)
        if self._setup.will is not None:
            topic, payload = self._setup.will
            paho.will_set(topic, payload, qos=1, retain=True)
        paho.max_queued_messages_set(MAX_PENDING)
        return paho

    def _start(self) -> None:
        paho, settings = self._paho, self._setup.settings
        paho.on_connect = self._guarded(self._on_connect)
        paho.on_disconnect = self._guarded(self._on_disconnect)
        paho.on_subscribe = self._guarded(self._on_subscribe)
        paho.on_unsubscribe = self._guarded(self._on_unsubscribe)
        paho.on_publish = self._guarded(self._on_publish)
        paho.on_message = self._guarded(self._on_message)
        paho.on_log = self._guarded(self._on_log)
        paho.on_socket_close = self._guarded(self._on_socket_close)
        paho.on_socket_register_write = self._guarded(self._on_want_write)
        paho.on_socket_unregister_write = self._guarded(self._on_written)
        self._loop.add_reader(self._sock, self._readable)
        if self.version == "5":
            properties = self._properties("CONNECT")
            properties.SessionExpiryInterval = 0
            properties.MaximumPacketSize = self._setup.max_packet_size
            paho.connect(settings.host, settings.port, self.keepalive_s, clean_start=True, properties=properties)
        else:
            paho.connect(settings.host, settings.port, self.keepalive_s)

    async def _disconnect(self) -> None:
        """Send what waits and DISCONNECT, which keeps the will from being published."""
        self._paho.disconnect()
        self._writable()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._closed.wait()

    def _end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)
        self._drained.set()

    def _close(self) -> None:
        self._end("closed")
        if self._ticker is not None:
            self._ticker.cancel()
        paho = self._paho
        paho.on_connect = paho.on_disconnect = paho.on_subscribe = paho.on_unsubscribe = paho.on_publish = None
        paho.on_message = paho.on_log = paho.on_socket_close = None
        paho.on_socket_register_write = paho.on_socket_unregister_write = None
        self._on_socket_close(self._sock)
        self._sock.close()

    def _warn_once(self, text: str) -> None:
        if text not in self._warned_of and len(self._warned_of) < 100:
            self._warned_of.add(text)
            _LOGGER.warning("MQTT: %s", text)

    @staticmethod
    def _properties(packet: str) -> Properties:
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        return Properties(getattr(PacketTypes, packet))  # type: ignore[no-untyped-call]

    # -- time: what was published while we stood still

    def _tick(self) -> None:
        if self._ended.done():
            return
        self._ticker = self._loop.call_later(min(TICK_S, self.keepalive_s / 4), self._tick)
        if self.ready_at is None and self._loop.time() > self._answer_by:
            self._end(f"the broker at {self._setup.where} accepts connections but does not answer")
        self._notice_stall()
        try:
            self._paho.loop_misc()  # pings, and ends the connection when they stay unanswered
            self._probe()
            self._await_acknowledgements()
            self._promise()
        except Exception:
            _LOGGER.exception("MQTT: keepalive failed")
            self._end("internal error")

    def _probe(self) -> None:
        # Not by a ping of ours: paho gives up a broker sooner that owes an answer to one.
        if self.ready and self._probe_number is None and self._loop.time() - self._heard_at >= PROBE_S:
            self._probe_number = self._send_fence()

    def _await_acknowledgements(self) -> None:
        if self._pending and self._loop.time() - self._acknowledged_at > ACKNOWLEDGED_S:
            self._size.ended(self.unacknowledged(), as_too_large=False)
            self._lost(f"the broker at {self._setup.where} does not acknowledge what is published")

    def _promise(self) -> None:
        """That this runs proves little: bytes from the broker, which answers our pings, prove that both ways work."""
        answer_s = 2 * self.keepalive_s if self.answered else ANSWER_TIMEOUT_S
        left_s = self._heard_at + answer_s - self._loop.time()
        self._setup.heartbeat.step(left_s, self._hearing)

    def _notice_stall(self) -> None:
        stood_still_s = self.freshness.check_stall(connected=self.accepted)
        if stood_still_s > 1.5 * self.keepalive_s:
            # The broker has given us up, and its farewell may have been lost while the network was down.  One more tick
            # to read what came before.
            self._loop.call_later(TICK_S, self._end, f"we stood still for {stood_still_s:.0f} s")

    def _send_fence(self) -> int | None:
        # UNSUBSCRIBE from what nobody subscribed to is the one request that changes nothing and is always answered.
        _, number = self._paho.unsubscribe(f"{self._setup.client_id}/fence")
        return number

    # -- told by the loop: the socket

    def _readable(self) -> None:
        now = self._loop.time()
        silent_s, self._heard_at = now - self._heard_at, now
        self._notice_stall()
        if silent_s > SILENT_S and self.ready:
            _LOGGER.debug("MQTT: nothing came for %.1f s", silent_s)
            self.freshness.doubt(self._clock() - silent_s)
        try:
            self._paho.loop_read()
            # What TLS has decrypted already does not make the socket readable again.
            while not self._closed.is_set() and getattr(self._sock, "pending", int)() > 0:
                self._paho.loop_read()
            if not self._closed.is_set():
                acknowledge(self._sock)
        except Exception:
            _LOGGER.debug("MQTT: unreadable packet", exc_info=True)
            self._lost("the broker sent something that is not MQTT")

    def _writable(self) -> None:
        try:
            self._paho.loop_write()
        except Exception:
            _LOGGER.debug("MQTT: writing failed", exc_info=True)
            self._lost("the connection broke while writing")

    def _lost(self, reason: str) -> None:
        if not self._ended.done():
            self.silent = not self.answered
        self._end(reason)

    # -- told by paho; nothing may be raised into it

    @staticmethod
    def _guarded(callback: Callable[..., None]) -> Callable[..., None]:
        def call(_paho: Any, _userdata: Any, *arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception:
                _LOGGER.exception("MQTT: internal error in %s", callback.__name__)

        return call

    def _on_socket_close(self, _sock: object) -> None:
        if not self._closed.is_set():
            self._closed.set()
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)

    def _on_want_write(self, _sock: object) -> None:
        self._loop.add_writer(self._sock, self._writable)

    def _on_written(self, _sock: object) -> None:
        self._loop.remove_writer(self._sock)

    def _on_log(self, level: int, text: str) -> None:
        if level == 0x08:  # MQTT_LOG_ERR, the only place where paho tells why a socket failed
            self._trouble = text

    def _on_connect(self, _flags: ConnectFlags, reason: ReasonCode, properties: Properties) -> None:
        if self.answered:
            return
        self.answered = True
        if reason.is_failure:
            self.version_refused = reason.value == _UNSUPPORTED_VERSION
            self._end(self._refusal(reason))
            return
        self.accepted = True
        if self.probe:
            self._end("probed")
            return
        self._paho.on_log = None  # paho formats a text for every packet while this is set
        self._size.told = getattr(properties, "MaximumPacketSize", None)
        # paho takes no notice of this either; a broker may end the connection of whoever sends more.
        self._paho.limit_inflight(min(getattr(properties, "ReceiveMaximum", 0) or MAX_INFLIGHT, MAX_INFLIGHT))
        # paho 2.1.0 takes no notice of the broker's keepalive: obey a shorter one from the next connection on.
        keepalive_s = getattr(properties, "ServerKeepAlive", 0)
        if 0 < keepalive_s < self.keepalive_s:
            self.keepalive_s = keepalive_s
        self.subscribe(self._setup.subscriptions())
        if not self._subscribing:
            self._became_ready()

    def _refusal(self, reason: ReasonCode) -> str:
        where = self._setup.where
        if reason.value not in (_BAD_CREDENTIALS, _NOT_AUTHORIZED):
            return f"the broker at {where} refused the connection: {reason.getName()}"
        if self._setup.settings.username is None:
            return f"the broker at {where} wants a user name and password"
        return f"the broker at {where} refused user name or password"

    def _on_disconnect(self, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties) -> None:
        where = self._setup.where
        if self.answered and not self._ended.done() and reason.value != _KEEPALIVE_TIMEOUT:
            self._size.ended(self.unacknowledged(), as_too_large=reason.value == _PACKET_TOO_LARGE)
        if flags.is_disconnect_packet_from_server:
            self._lost(f"the broker at {where} ended the connection: {reason.getName()}")
        elif reason.value == _KEEPALIVE_TIMEOUT:
            self._lost(f"the broker at {where} stopped answering")
        elif self.answered:
            self._lost(f"the broker at {where} closed the connection")
        else:
            why = self._trouble.rpartition("socket: ")[2]
            self._lost(f"the broker at {where} closed the connection without an answer{why and f' ({why})'}")

    def _on_subscribe(self, mid: int, reasons: Sequence[ReasonCode], _properties: Properties) -> None:
        for each, reason in zip(self._subscribing.pop(mid, ()), reasons, strict=False):
            if reason.is_failure:
                self._warn_once(f"the broker refused the subscription to {each.topic!r}: {reason.getName()}")
        if not self._subscribing and self.ready_at is None:
            self._became_ready()

    def _became_ready(self) -> None:
        self.ready_at = self._clock()
        self._setup.on_ready(self)

    def _on_unsubscribe(self, mid: int, _reasons: Sequence[ReasonCode], _properties: Properties) -> None:
        self._notice_stall()
        if mid == self._probe_number:
            self._probe_number = None
        if mid in self._fences:
            self._fences.pop(mid).set_result(None)
        self.freshness.answered(mid)

    def _on_publish(self, mid: int, reason: ReasonCode, _properties: Properties) -> None:
        message = self._pending.pop(mid, None)
        self._acknowledged_at = self._loop.time()
        self._pending_size -= len(message.payload) if message is not None else 0
        if not self._pending:
            self._drained.set()
        topic = message.topic if message is not None else ""
        if message is not None and self._paho.reason == _PACKET_TOO_LARGE:
            self._too_large(topic, len(message.payload))
        elif reason.is_failure:
            self._warn_once(f"the broker refused a message to {topic!r}: {reason.getName()}")
            self._setup.on_refused(topic)
        elif message is not None:
            self._size.acknowledged(len(message.payload))
            if self._echo is not None:
                self._echo.acknowledged(topic, len(message.payload))

    def _too_large(self, topic: str, size: int) -> None:
        self._size.exceeded(topic, size)
        self._setup.on_too_large(topic)

    def _on_message(self, received: MQTTMessage) -> None:
        self._notice_stall()
        received_at = self.freshness.message()
        try:
            topic = received.topic
        except UnicodeDecodeError:
            return
        if self._echo is not None and topic == self._echo.topic:
            self._echo.heard(bytes(received.payload))
            return
        properties = vars(received.properties) if received.properties is not None else {}
        response_topic = properties.get("ResponseTopic", "")
        message = Incoming(
            topic=topic,
            payload=bytes(received.payload),
            retain=bool(received.retain),
            received_at=received_at,
            response_topic=response_topic if is_topic_name(response_topic) else None,
            correlation_data=properties.get("CorrelationData"),
            message_expiry_s=properties.get("MessageExpiryInterval"),
            again=bool(received.dup),
        )
        try:
            self._setup.on_message(message)
        except Exception:
            _LOGGER.exception("MQTT: handling a message on %r failed", topic)
