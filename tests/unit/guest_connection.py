"""A guest's connection to a bridge in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nuki_bridge.config import MqttSettings
from nuki_bridge.guest.relay_link import GuestConnection
from nuki_bridge.mqtt.message import Incoming, Subscription
from tests.unit.house import House
from tests.unit.rig import clock

if TYPE_CHECKING:
    from nuki_bridge.topics.topics import Publication

Before = Callable[[bytes], None]


class Connection(GuestConnection):
    """To a bridge in this process; `before` is called with each frame before the bridge gets it."""

    def __init__(self, settings: MqttSettings, house: House, before: Before) -> None:
        super().__init__(settings)
        self._house = house
        self._before = before
        house.on_publish = self._published

    async def open(self) -> None:
        """Nothing to do."""

    def subscribe(self, *subscriptions: Subscription) -> None:
        """Nothing to do."""

    def unsubscribe(self, *filters: str) -> None:
        """Nothing to do."""

    def publish(self, topic: str, payload: bytes | str, **fields: Any) -> bool:
        assert isinstance(payload, bytes)
        self._before(payload)
        self._house.send(topic.removeprefix("nuki/"), payload, message_expiry_s=fields["expiry_s"])
        return True

    def _published(self, publication: Publication) -> None:
        message = Incoming(publication.topic, publication.payload, retain=False, received_at=clock())
        asyncio.get_running_loop().call_soon(self._on_message, message)
