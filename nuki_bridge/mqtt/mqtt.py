"""The MQTT broker, seen as something that is there or will come back: connect, publish, subscribe, connect again.

`Client` keeps one connection for ever and hands each received PUBLISH to `on_message`.  It does not know what a topic
means and publishes nothing by itself but the last will: its user publishes everything again when told of a connection.
It keeps nothing for later but what it is told to keep for a while: what else cannot be sent now is refused, what else
was unacknowledged at a loss is gone.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from nuki_bridge.errors import BrokerError, RequestError
from nuki_bridge.mqtt.connection import Connection, Setup, Version
from nuki_bridge.mqtt.message import Incoming, Outgoing, Subscription, is_topic_name
from nuki_bridge.mqtt.size import SizeLimit
from nuki_bridge.mqtt.tcp import TIMEOUT_S, open_socket
from nuki_bridge.watchdog import Heartbeat

if TYPE_CHECKING:
    import socket

    from nuki_bridge.config import MqttSettings

_LOGGER = logging.getLogger(__name__)

KEEPALIVE_S = 15
RETRY_MIN_S = 1.0
RETRY_MAX_S = 60.0
MAX_KEPT = 100
"""Most messages that are kept for the next connection; beyond that the oldest are dropped."""
MAX_PACKET_SIZE = 1024 * 1024
"""Largest packet in bytes that is accepted: a broker drops larger ones silently, so it is far above what is refused."""
STABLE_S = 30.0  # a connection that lasted this long ends an outage: back-off and warnings start afresh
SUSPICION_S = 3.0
"""Seconds without an answer to a CONNECT in MQTT 5 after which the broker is asked in 3.1.1, too."""
GRACE_S = 1.0
"""Seconds that a broker which has answered in 3.1.1 gets for its answer in MQTT 5."""


def not_allowed(settings: MqttSettings, topic: str) -> RequestError:
    """Return what to say when the broker's access list keeps this account from publishing on `topic`."""
    who = f"the account {settings.username}" if settings.username else "somebody who does not log in"
    return RequestError("broker_forbids", f"the broker does not let {who} publish on {topic}; use another account")


def boottime() -> float:
    """Return the seconds since boot, those of a suspend included (`time.monotonic` leaves them out)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Client:
    """A broker connection that comes back by itself.

    `will` (topic, payload) is published, retained at QoS 1, by the broker when the connection ends without our doing.
    `subscriptions` is asked anew at every connection.  `on_connection(True, None)` is called when all of them are in
    place, `on_connection(False, reason)` when the connection is lost and when an attempt fails for another reason than
    the last; `on_refused(topic)` for a message that the access list keeps from `topic`, if the broker says so (MQTT 5),
    `on_too_large(topic)` for one that was larger than the broker takes, if the connection outlives it.  On
    `echo_topic` the client asks itself, where the broker does not speak MQTT 5, whether it takes messages of a size.
    They and `on_message` are called on the loop and must not block; what they raise is logged.
    """

    def __init__(
        self,
        settings: MqttSettings,
        *,
        will: tuple[str, bytes] | None,
        subscriptions: Callable[[], Iterable[Subscription]] | Iterable[Subscription],
        on_message: Callable[[Incoming], None],
        on_connection: Callable[[bool, str | None], None],
        on_refused: Callable[[str], None] = lambda topic: None,
        on_too_large: Callable[[str], None] = lambda topic: None,
        echo_topic: str | None = None,
        clock: Callable[[], float] = boottime,
        keepalive_s: int = KEEPALIVE_S,
        max_packet_size: int = MAX_PACKET_SIZE,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self._on_connection = on_connection
        self._keepalive_s = keepalive_s
        self._setup = Setup(
            settings=settings,
            # The same id all our life: the broker then ends a half-dead old connection, and sends its will, before it
            # accepts the new one.  With a new id the old will would arrive after the new "online".
            client_id=f"nuki-bridge-{secrets.token_hex(8)}",
            will=will,
            subscriptions=lambda: tuple(subscriptions() if callable(subscriptions) else subscriptions),
            on_message=on_message,
            on_ready=self._connected,
            on_refused=on_refused,
            clock=clock,
            max_packet_size=max_packet_size,
            heartbeat=heartbeat or Heartbeat(),
            size=SizeLimit(),
            on_too_large=on_too_large,
            echo_topic=echo_topic,
        )
        self._connection: Connection | None = None
        self._kept: list[Outgoing] = []
        self._versions = _Versions(settings.protocol)
        self._warned_of: set[str] = set()  # in this outage
        self._announce = True  # the next connection, at INFO
        self._told: str | None = ""  # what on_connection heard last: a reason, or None for connected

    @property
    def connected(self) -> bool:
        """Connected, and every subscription answered."""
        return self._connection is not None and self._connection.ready

    @property
    def protocol(self) -> Version | None:
        """MQTT version of this connection, "5" or "3.1.1"; None while there is none."""
        connection = self._connection
        return connection.version if connection is not None and connection.open else None

    def publish(
        self,
        topic: str,
        payload: bytes | str,
        *,
        retain: bool = False,
        qos: int = 1,
        response_topic: str | None = None,
        correlation_data: bytes | None = None,
        expiry_s: int | None = None,
        keep_s: float = 0.0,
    ) -> bool:
        """Hand over a message without waiting; True if the broker will get it unless the connection breaks.

        False, and the message is gone: not connected, no valid topic name, larger than the broker takes, or too much
        waits already.  `response_topic`, `correlation_data` and `expiry_s` (0..2**32-1) need MQTT 5 and are left out
        without it.  `keep_s`: without a connection, or if this one breaks before the broker has acknowledged it, it is
        sent on one that is there within so many seconds; it may then come twice.
        """
        connection = self._connection
        is_open = connection is not None and connection.open
        if not is_topic_name(topic) or not (is_open or keep_s > 0):
            return False
        data = payload.encode() if isinstance(payload, str) else payload
        properties = {
            "ResponseTopic": response_topic,
            "CorrelationData": correlation_data,
            "MessageExpiryInterval": expiry_s,
        }
        given = {name: value for name, value in properties.items() if value is not None}
        message = Outgoing(topic, data, retain, qos, given, self._setup.clock() + keep_s)
        if connection is not None and is_open:
            return connection.publish(message)
        self._keep([message])
        return True

    def fits(self, topic: str, payload: bytes) -> bool:
        """Whether the broker takes a message of that size, as far as we know; if not, `publish` leaves it out."""
        return self._setup.size.fits(topic, len(payload))

    async def drain(self, timeout_s: float) -> None:
        """Wait until the broker has everything published so far (QoS 1: acknowledged), the connection is lost, or
        `timeout_s` is over."""
        if self._connection is not None:
            await self._connection.drain(timeout_s)

    def subscribe(self, *subscriptions: Subscription) -> None:
        """Subscribe to more on this connection; `subscriptions` of the constructor must name them for the next."""
        if self._connection is not None and self._connection.open:
            self._connection.subscribe(subscriptions)

    def unsubscribe(self, *topics: str) -> None:
        """End subscriptions on this connection."""
        if self._connection is not None and self._connection.open:
            self._connection.unsubscribe(topics)

    async def run(self) -> None:
        """Connect, stay connected and connect again until cancelled; then disconnect, without a will, in half a second
        at most.  Between attempts it waits a random time that grows from 1 s to 60 s."""
        try:
            await self._connect_for_ever()
        finally:
            self._setup.heartbeat.rest()

    async def _connect_for_ever(self) -> None:
        setup, heartbeat = self._setup, self._setup.heartbeat
        failures = 0
        while True:
            version, probe = self._versions.next()
            connection = self._new_connection(version, probe=probe)
            try:
                sock = await self._open_socket()
                setup.size.begin()
                self._connection = connection
                async with self._asked_in_both_versions(connection):
                    await connection.run(sock)
            except BrokerError as error:
                reason = str(error)
            finally:
                self._connection = None
            self._keep(connection.unacknowledged())
            self._keepalive_s = connection.keepalive_s
            if self._versions.ended(connection):
                continue
            if connection.ready_at is not None and setup.clock() - connection.ready_at >= STABLE_S:
                failures = 0
                self._warned_of.clear()
            self._failed(reason)
            failures += 1
            longest_s = min(RETRY_MAX_S, RETRY_MIN_S * 2 ** min(failures, 10))
            heartbeat.step(longest_s, "the pause before the next attempt")
            await asyncio.sleep(random.uniform(longest_s / 2, longest_s))

    def _new_connection(self, version: Version, *, probe: bool) -> Connection:
        setup = self._setup
        if probe:  # another client to the broker: neither may end the other
            setup = replace(setup, client_id=f"{setup.client_id}-probe", will=None)
        return Connection(setup, version, keepalive_s=self._keepalive_s, probe=probe)

    async def _open_socket(self) -> socket.socket:
        setup = self._setup

        def attempt() -> None:
            setup.heartbeat.step(2 * TIMEOUT_S, f"connecting to {setup.where}")

        attempt()
        return await open_socket(setup.settings.host, setup.settings.port, setup.settings.tls, attempt)

    @asynccontextmanager
    async def _asked_in_both_versions(self, connection: Connection) -> AsyncIterator[None]:
        """While `connection` runs: if it stays unanswered, see whether the broker answers MQTT 3.1.1 meanwhile.

        A broker that hangs answers neither.
        """
        if not self._versions.doubts(connection):
            yield
            return
        asking = asyncio.create_task(self._ask_in_311(connection), name="mqtt 3.1.1")
        try:
            yield
        finally:
            asking.cancel()
            await asyncio.wait((asking,))

    async def _ask_in_311(self, connection: Connection) -> None:
        await asyncio.sleep(SUSPICION_S)
        if connection.answered:
            return
        probe = self._new_connection("3.1.1", probe=True)
        with suppress(BrokerError):
            await probe.run(await self._open_socket())
        if probe.understood:
            await asyncio.sleep(GRACE_S)
            if not connection.answered:
                connection.give_up()

    def _connected(self, connection: Connection) -> None:
        level = logging.INFO if self._announce else logging.DEBUG
        _LOGGER.log(level, "MQTT: connected to %s with MQTT %s", self._setup.where, connection.version)
        self._announce = False
        self._tell(None)
        kept, self._kept = self._kept, []
        for message in kept:
            if self._setup.clock() < message.keep_until:
                connection.publish(message)

    def _keep(self, messages: list[Outgoing]) -> None:
        """Keep for the next connection what is to be kept, in the order in which it was published."""
        now = self._setup.clock()
        fresh = [each for each in (*self._kept, *messages) if now < each.keep_until]
        self._kept = sorted(fresh, key=lambda each: each.keep_until)[-MAX_KEPT:]

    def _failed(self, reason: str) -> None:
        if reason in self._warned_of:
            _LOGGER.debug("MQTT: %s", reason)
        else:
            self._warned_of.add(reason)
            self._announce = True
            _LOGGER.warning("MQTT: %s; trying again", reason)
        self._tell(reason)

    def _tell(self, reason: str | None) -> None:
        if reason == self._told:
            return
        self._told = reason
        try:
            self._on_connection(reason is None, reason)
        except Exception:
            _LOGGER.exception("MQTT: handling a change of connection failed")


# -- which protocol version -------------------------------------------------------------------------------------------


class _Versions:
    """MQTT 5 if the broker speaks it, else 3.1.1; or the one version that the settings name.

    A broker says "unsupported protocol version", which holds for the rest of this process.  Or it hangs up on a CONNECT
    that it cannot read, as does a port forwarder whose broker is restarting: then MQTT 3.1.1 has to be answered right
    after, and MQTT 5 be hung up on once more.  Or it is silent, as is a broker that hangs: then 3.1.1 has to be
    answered while MQTT 5 is not.  What was found out in these ways is found out anew when the connection has ended.
    """

    def __init__(self, protocol: Literal["auto", "5", "3.1.1"]) -> None:
        self._fixed = protocol != "auto"
        self._settled: Version = "3.1.1" if protocol == "3.1.1" else "5"
        self._told = False  # by the broker, that it does not speak MQTT 5
        self._step: Literal["", "probe 3.1.1", "5 once more"] = ""
        self._logged = False

    def next(self) -> tuple[Version, bool]:
        """Return the version to try, and whether only to see if it is answered."""
        return ("3.1.1", True) if self._step == "probe 3.1.1" else (self._settled, False)

    def doubts(self, connection: Connection) -> bool:
        """Return whether silence on this connection may be on account of its version."""
        return not self._fixed and not connection.probe and connection.version == "5"

    def ended(self, connection: Connection) -> bool:
        """Draw the conclusion from an ended attempt; True if it is no failure, and the next should not wait."""
        if self._fixed:
            return False
        step, self._step = self._step, ""
        if connection.probe:
            self._step = "5 once more" if connection.understood else ""
            return connection.understood
        if connection.version == "3.1.1":
            if connection.version_refused or connection.silent or (connection.answered and not self._told):
                self._settled, self._told = "5", False
            return False
        if connection.version_refused or connection.mute or (connection.silent and step == "5 once more"):
            self._settled, self._told = "3.1.1", connection.version_refused
            how = "hangs up on" if connection.silent else "does not answer" if connection.mute else "does not speak"
            _LOGGER.log(logging.DEBUG if self._logged else logging.INFO, "MQTT: the broker %s MQTT 5, using 3.1.1", how)
            self._logged = True
            return True
        if connection.silent:
            self._step = "probe 3.1.1"
        return connection.silent
