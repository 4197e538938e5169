"""A connection to the broker whose first failure ends it, for programs that a person waits for.

A person wants to know at once, and what was typed must not go out later.  The command line and the guest's side stand
on it; the daemon, which comes back for ever, stands on `mqtt.py` itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from nuki_bridge.errors import BrokerError, NukiError
from nuki_bridge.mqtt import mqtt

if TYPE_CHECKING:
    from nuki_bridge.config import MqttSettings
    from nuki_bridge.mqtt.message import Incoming, Subscription

_T = TypeVar("_T")

DRAIN_S = 0.5
"""Seconds for which `close` waits until the broker has acknowledged what was published."""


class Conversation:
    """One connection to the broker, from `open` to `close`.  Made on a running event loop.

    `subscriptions`, `on_message` and `max_packet_size` are those of `mqtt.Client`; `on_refused(topic)` is told of a
    message that the broker's access list keeps from `topic`, by default that ends the conversation.
    """

    def __init__(
        self,
        settings: MqttSettings,
        *,
        subscriptions: Callable[[], Iterable[Subscription]] | Iterable[Subscription] = (),
        on_message: Callable[[Incoming], None],
        on_refused: Callable[[str], None] | None = None,
        max_packet_size: int = mqtt.MAX_PACKET_SIZE,
    ) -> None:
        self._settings = settings
        self._mqtt = mqtt.Client(
            settings,
            will=None,
            subscriptions=subscriptions,
            on_message=on_message,
            on_connection=self._on_connection,
            on_refused=on_refused or self.end_as_forbidden,
            max_packet_size=max_packet_size,
        )
        loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = loop.create_future()
        self._over: asyncio.Future[NukiError] = loop.create_future()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect; raises `BrokerError` if the broker cannot be reached or does not let us in."""
        self._task = asyncio.create_task(self._run(), name="mqtt")
        await self.unless_over(self._connected)

    async def close(self) -> None:
        """Disconnect once the broker has everything; takes a second at most."""
        if self._task is not None:
            await self._mqtt.drain(DRAIN_S)
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        try:
            await self._mqtt.run()
        except Exception as error:
            self.end(BrokerError(f"the MQTT client failed: {error!r}"))

    def subscribe(self, *subscriptions: Subscription) -> None:
        """Subscribe to more topics; see `mqtt.Client.subscribe`."""
        self._mqtt.subscribe(*subscriptions)

    def unsubscribe(self, *filters: str) -> None:
        """End subscriptions; see `mqtt.Client.unsubscribe`."""
        self._mqtt.unsubscribe(*filters)

    def publish(
        self,
        topic: str,
        payload: bytes | str,
        *,
        retain: bool = False,
        response_topic: str | None = None,
        correlation_data: bytes | None = None,
        expiry_s: int | None = None,
    ) -> bool:
        """Hand over a message; False if it will not get to the broker.  See `mqtt.Client.publish`."""
        return self._mqtt.publish(
            topic,
            payload,
            retain=retain,
            response_topic=response_topic,
            correlation_data=correlation_data,
            expiry_s=expiry_s,
        )

    async def drain(self, timeout_s: float) -> None:
        """Wait until the broker has acknowledged what was published; see `mqtt.Client.drain`."""
        await self._mqtt.drain(timeout_s)

    def end(self, error: NukiError) -> None:
        """Have `unless_over` raise this; the first one counts."""
        if not self._over.done():
            self._over.set_result(error)

    def end_as_forbidden(self, topic: str) -> None:
        """End the conversation: the broker's access list keeps this account from publishing on `topic`."""
        self.end(mqtt.not_allowed(self._settings, topic))

    async def unless_over(self, awaitable: Awaitable[_T], timeout_s: float | None = None) -> _T:
        """Await it and return its result.

        Raises what ended the conversation if that comes first, `TimeoutError` after `timeout_s`, or what `awaitable`
        raises.  A result that is there when the conversation ends is a result.
        """
        waiting = asyncio.ensure_future(awaitable)
        try:
            await asyncio.wait((waiting, self._over), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if self._over.done() and not (waiting.done() and waiting.exception() is None):
                raise self._over.result()
            if not waiting.done():
                raise TimeoutError
            return waiting.result()
        finally:
            if not waiting.done():
                waiting.cancel()
                await asyncio.wait((waiting,))

    def _on_connection(self, connected: bool, reason: str | None) -> None:
        if not connected:
            self.end(BrokerError(reason or "the connection to the broker is gone"))
        elif not self._connected.done():
            self._connected.set_result(None)
