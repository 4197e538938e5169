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
from typing import TYPE_CHECKING, Literal

from nuki_bridge.errors import BrokerError
from nuki_bridge.mqtt import paho_loader, reasons
from nuki_bridge.mqtt.echo import Echo
from nuki_bridge.mqtt.freshness import Freshness
from nuki_bridge.mqtt.in_flight import InFlight
from nuki_bridge.mqtt.message import Incoming, Outgoing, Subscription
from nuki_bridge.mqtt.paho_loop import PahoLoop, guarded
from nuki_bridge.mqtt.size import SizeLimit
from nuki_bridge.records import frozen

if TYPE_CHECKING:  # paho costs 2 MiB and is loaded by the first connection
    from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from nuki_bridge.config import MqttSettings
    from nuki_bridge.watchdog import Heartbeat

_LOGGER = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 10.0  # from CONNECT to the last SUBACK
CLOSE_TIMEOUT_S = 0.5
PROBE_S = 4.0
"""Seconds of silence after which the broker is asked something, far sooner than keepalive wants; less only for a broker
that wants a keepalive below three times that."""
TICK_S = 2.0
"""Seconds between checks of a connection on which the broker owes an answer; half of `PROBE_S` if that is less.  One
that is quiet is left alone until it is asked, because each check wakes the processor."""
LAST_WORDS_S = 2.0
"""Seconds for which a connection that the broker has given up is still read."""
SILENT_S = 6.5
"""Seconds of silence, in spite of `PROBE_S`, that mean that the network stood still: what comes then is as old as
that."""
MAX_INFLIGHT = 20  # messages that the broker need not have acknowledged, unless it wants fewer
ACKNOWLEDGED_S = 20.0
"""Seconds without an acknowledgement after which a connection is given up: a broker whose queues overflowed forgets
what it owes and answers pings, and nothing more would go out."""

Version = Literal["5", "3.1.1"]


@frozen
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
        paho_loader.load(tls=setup.settings.tls is not None)
        from nuki_bridge.mqtt import paho

        self._packing = paho
        self._is_five = version == "5"
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
        self._trouble = ""  # paho's last complaint about the socket
        self._subscribing: dict[int, tuple[Subscription, ...]] = {}
        self._in_flight = InFlight()
        self._warned_of: set[str] = set()
        self._heard_at = self._answer_by = self._loop.time()
        self._is_probing = False  # nothing has come since the broker was asked for a sign of life
        self._fences: dict[int, asyncio.Future[None]] = {}
        self._next_check: asyncio.TimerHandle | None = None
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
        setup = self._setup
        self._paho = self._packing.new(sock, setup.settings, setup.client_id, setup.will, five=self._is_five)
        self._on_socket = PahoLoop(self._paho, sock, self._heard, self._lost)
        try:
            self._start()
            self._answer_by = self._loop.time() + ANSWER_TIMEOUT_S
            self._check()
            raise BrokerError(await asyncio.shield(self._ended))
        finally:
            try:
                if self.open or (self.probe and self.accepted):
                    await self._disconnect()
            finally:
                self._close()

    def give_up(self) -> None:
        """End the connection: the broker answers the other version, and this one not."""
        self.mute = not self.answered
        self._end(f"the broker at {self._setup.where} does not answer MQTT {self.version}")

    # -- what Client passes on

    def publish(self, message: Outgoing) -> bool:
        """See `Client.publish`."""
        topic, size = message.topic, len(message.payload)
        if not self._in_flight.has_room(size):
            self._warn_once("the broker takes messages too slowly, some are dropped")
            return False
        packed = None
        if self._is_five and message.properties:
            packed = self._packing.properties("PUBLISH", message.properties)
        extra = len(packed.pack()) if packed is not None else 0  # type: ignore[no-untyped-call]
        if not self._size.fits(topic, size, extra):
            self._size.left_out(topic, size)
            return False
        info = self._paho.publish(topic, message.payload, message.qos, message.retain, packed)
        if info.rc != 0:
            return False
        if not info.is_published():  # at QoS 0 it is as soon as the socket has it
            self._in_flight.add(info.mid, message)
        return True

    def unacknowledged(self) -> list[Outgoing]:
        """Return what the broker has not acknowledged yet, in the order in which it was published."""
        return self._in_flight.messages

    async def drain(self, timeout_s: float) -> None:
        """See `Client.drain`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._in_flight.drain()

    def subscribe(self, subscriptions: tuple[Subscription, ...]) -> None:
        """Ask for these in one SUBSCRIBE."""
        if not subscriptions:
            return
        filters = self._packing.filters(subscriptions, five=self._is_five)
        _, mid = self._paho.subscribe(filters)
        if mid is not None:
            self._subscribing[mid] = subscriptions

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

    def _start(self) -> None:
        paho, settings = self._paho, self._setup.settings
        paho.on_connect = guarded(self._on_connect)
        paho.on_disconnect = guarded(self._on_disconnect)
        paho.on_subscribe = guarded(self._on_subscribe)
        paho.on_unsubscribe = guarded(self._on_unsubscribe)
        paho.on_publish = guarded(self._on_publish)
        paho.on_message = guarded(self._on_message)
        paho.on_log = guarded(self._on_log)
        self._on_socket.start()
        if self._is_five:
            wanted = {"SessionExpiryInterval": 0, "MaximumPacketSize": self._setup.max_packet_size}
            properties = self._packing.properties("CONNECT", wanted)
            paho.connect(settings.host, settings.port, self.keepalive_s, clean_start=True, properties=properties)
        else:
            paho.connect(settings.host, settings.port, self.keepalive_s)

    async def _disconnect(self) -> None:
        """Send what waits and DISCONNECT, which keeps the will from being published."""
        self._paho.disconnect()
        self._on_socket.write()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._on_socket.closed.wait()

    def _end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)
        self._in_flight.give_up()

    def _close(self) -> None:
        self._end("closed")
        if self._next_check is not None:
            self._next_check.cancel()
        paho = self._paho
        paho.on_connect = paho.on_disconnect = paho.on_subscribe = paho.on_unsubscribe = paho.on_publish = None
        paho.on_message = paho.on_log = None
        self._on_socket.close()

    def _warn_once(self, text: str) -> None:
        if text not in self._warned_of and len(self._warned_of) < 100:
            self._warned_of.add(text)
            _LOGGER.warning("MQTT: %s", text)

    # -- time: what was published while we stood still

    def _check_later(self) -> None:
        """Set the next check: when a quiet broker has to be asked, or soon if it owes an answer."""
        if self._next_check is not None:
            self._next_check.cancel()
        if not self.ready or self._is_quiet:
            due = self._loop.time() + min(TICK_S, self._probe_s / 2)
        else:
            due = self._heard_at + self._probe_s
        self._next_check = self._loop.call_at(due, self._check)

    def _check(self) -> None:
        if self._ended.done():
            return
        if self.ready_at is None and self._loop.time() > self._answer_by:
            self._end(f"the broker at {self._setup.where} accepts connections but does not answer")
        self._notice_stall()
        try:
            self._on_socket.tend()
            self._probe()
            self._await_acknowledgements()
            self._promise()
        except Exception:
            _LOGGER.exception("MQTT: keepalive failed")
            self._end("internal error")
        self._check_later()

    @property
    def _probe_s(self) -> float:
        return min(PROBE_S, self.keepalive_s / 3)

    @property
    def _is_quiet(self) -> bool:
        return self._loop.time() >= self._heard_at + self._probe_s

    def _probe(self) -> None:
        if self.ready and not self._is_probing and self._is_quiet:
            self._is_probing = True
            self._paho.ping()

    def _await_acknowledgements(self) -> None:
        if self._in_flight.is_overdue(ACKNOWLEDGED_S):
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
            # The broker has given us up, and its farewell may have been lost while the network was down.  A moment more
            # to read what came before.
            self._loop.call_later(LAST_WORDS_S, self._end, f"we stood still for {stood_still_s:.0f} s")

    def _send_fence(self) -> int | None:
        # UNSUBSCRIBE from what nobody subscribed to is the one request that changes nothing and is always answered.
        _, number = self._paho.unsubscribe(f"{self._setup.client_id}/fence")
        return number

    # -- told by the loop: the socket

    def _heard(self) -> None:
        now = self._loop.time()
        silent_s, self._heard_at = now - self._heard_at, now
        self._notice_stall()
        if silent_s > SILENT_S and self.ready:
            _LOGGER.debug("MQTT: nothing came for %.1f s", silent_s)
            self.freshness.doubt(self._clock() - silent_s)
        if self._is_probing:
            self._is_probing = False
            self._check_later()

    def _lost(self, reason: str) -> None:
        if not self._ended.done():
            self.silent = not self.answered
        self._end(reason)

    # -- told by paho; nothing may be raised into it

    def _on_log(self, level: int, text: str) -> None:
        if level == 0x08:  # MQTT_LOG_ERR, the only place where paho tells why a socket failed
            self._trouble = text

    def _on_connect(self, _flags: ConnectFlags, reason: ReasonCode, properties: Properties) -> None:
        if self.answered:
            return
        self.answered = True
        if reason.is_failure:
            self.version_refused = reason.value == reasons.UNSUPPORTED_VERSION
            self._end(
                reasons.refusal_text(reason, self._setup.where, has_name=self._setup.settings.username is not None)
            )
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

    def _on_disconnect(self, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties) -> None:
        if self.answered and not self._ended.done() and reason.value != reasons.KEEPALIVE_TIMEOUT:
            self._size.ended(self.unacknowledged(), as_too_large=reason.value == reasons.PACKET_TOO_LARGE)
        self._lost(reasons.end_text(flags, reason, self._setup.where, answered=self.answered, trouble=self._trouble))

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
        if mid in self._fences:
            self._fences.pop(mid).set_result(None)
        self.freshness.answered(mid)

    def _on_publish(self, mid: int, reason: ReasonCode, _properties: Properties) -> None:
        message = self._in_flight.pop(mid)
        topic = message.topic if message is not None else ""
        if message is not None and self._paho.reason == reasons.PACKET_TOO_LARGE:
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
        message = self._packing.incoming(received, received_at)
        if message is None:
            return
        if self._echo is not None and message.topic == self._echo.topic:
            self._echo.heard(message.payload)
            return
        try:
            self._setup.on_message(message)
        except Exception:
            _LOGGER.exception("MQTT: handling a message on %r failed", message.topic)
