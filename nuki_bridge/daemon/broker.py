"""The broker that the settings name, and another one when they change; what is published goes to the present one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nuki_bridge.bridge.floodgate import guest_filters
from nuki_bridge.mqtt import mqtt
from nuki_bridge.mqtt.message import Incoming, Subscription
from nuki_bridge.mqtt.sweep import sweep
from nuki_bridge.nuki_mqtt import codes

if TYPE_CHECKING:
    from nuki_bridge.config import MqttSettings
    from nuki_bridge.topics.topics import Publication
    from nuki_bridge.watchdog import Heartbeat


class Broker:
    """`run` it.  `filters` are asked for at every connection; `on_connection(True)` follows when they are in place.

    `on_too_large(topic)`: it has just turned out that the message on it is larger than the broker takes.
    """

    def __init__(
        self,
        settings: MqttSettings,
        *,
        filters: Callable[[], Iterable[str]],
        on_message: Callable[[Incoming], None],
        on_connection: Callable[[bool], None],
        heartbeat: Heartbeat,
        on_too_large: Callable[[str], None] = lambda topic: None,
    ) -> None:
        self._filters = filters
        self._on_message = on_message
        self._on_connection = on_connection
        self._on_too_large = on_too_large
        self._heartbeat = heartbeat
        self._reason: str | None = None
        self._is_new = False  # nothing that was asked on another broker waits for this one
        self._client = self._new_client(settings)
        self._changed = asyncio.Event()

    def _new_client(self, settings: MqttSettings) -> mqtt.Client:
        self._settings = settings
        return mqtt.Client(
            settings,
            will=(f"{settings.base_topic}/bridge/state", b"offline"),
            subscriptions=lambda: self._subscriptions(self._filters()),
            on_message=self._on_message,
            on_connection=self._connection_changed,
            on_too_large=self._on_too_large,
            echo_topic=f"{settings.base_topic}/bridge/response/{secrets.token_hex(16)}",
            heartbeat=self._heartbeat,
        )

    async def run(self) -> None:
        """Stay connected until cancelled, also through a `change`."""
        while True:
            self._changed.clear()
            client = asyncio.create_task(self._client.run(), name="mqtt client")
            change = asyncio.create_task(self._changed.wait(), name="change of the broker")
            try:
                await asyncio.wait((client, change), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (client, change):
                    task.cancel()
                await asyncio.wait((client, change))
            if not client.cancelled():
                client.result()  # it ends only by being cancelled or by a mistake of this program

    def change(self, settings: MqttSettings) -> None:
        """Leave the present broker and connect to the one of these settings."""
        connected = self._client.connected
        self._client = self._new_client(settings)
        self._is_new = True
        self._reason = None
        if connected:
            self._on_connection(False)
        self._changed.set()

    # -- the present connection ---------------------------------------------------------------------------------------

    @property
    def protocol(self) -> str | None:
        """MQTT version of this connection; None while there is none."""
        return self._client.protocol

    def publish(self, publication: Publication) -> bool:
        """Hand over a message without waiting; True if the broker will get it unless the connection breaks."""
        return self._client.publish(
            publication.topic,
            publication.payload,
            retain=publication.retain,
            qos=publication.qos,
            correlation_data=publication.correlation_data,
            expiry_s=publication.expiry_s,
            keep_s=0.0 if self._is_new else publication.keep_s,
        )

    def fits(self, publication: Publication) -> bool:
        """Return whether the broker takes a message of that size, as far as we know; others are left out."""
        return self._client.fits(publication.topic, publication.payload)

    def watch(self, filters: Iterable[str]) -> None:
        """Subscribe to more on this connection."""
        self._client.subscribe(*self._subscriptions(filters))

    def unwatch(self, filters: Iterable[str]) -> None:
        """End subscriptions on this connection; `filters` of the constructor must leave them out at the next."""
        self._client.unsubscribe(*filters)

    async def sweep(self, filters: Iterable[str], tell: Callable[[Incoming], None]) -> int:
        """Remove what is retained on topics that fit `filters`, telling of each message; gives how many there were.

        It is done over a connection of its own; raises `BrokerError` if that cannot be had.
        """
        version = self._client.protocol
        return await sweep(self._settings, version, filters, tell, mqtt.boottime) if version is not None else 0

    async def drain(self, timeout_s: float) -> None:
        """Wait until the broker has everything published so far, no longer than this."""
        await self._client.drain(timeout_s)

    def __str__(self) -> str:
        """Return how it is, for people."""
        if self._client.connected:
            return f"broker connected (MQTT {self._client.protocol})"
        return f"no broker: {self._reason}" if self._reason else "connecting to the broker"

    def _connection_changed(self, connected: bool, reason: str | None) -> None:
        self._reason = reason
        self._is_new &= not connected
        self._on_connection(connected)

    def _subscriptions(self, filters: Iterable[str]) -> list[Subscription]:
        """Return the subscriptions, without what guests have left retained: that is swept."""
        guests = guest_filters(self._settings.base_topic)
        return [
            Subscription(each, no_local=True, stored=each not in guests, qos=codes.qos_of(each)) for each in filters
        ]
