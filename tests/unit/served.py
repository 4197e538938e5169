"""A house whose locks are served by Nuki's own MQTT API: each has a connection of its own to a broker in memory.

What the API is is written down here once more, by the document, and not taken from the program.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nuki_bridge.config import LockSettings
from nuki_bridge.mqtt.message import Incoming, Subscription
from tests.unit.house import CLASSIC, House
from tests.unit.intercom import OPENER, Intercom
from tests.unit.rig import clock

ID = "1A2B3C4D"
"""Nuki ID of the lock at the front door."""
ULTRA_ID = "2C3D4E5F"
"""That of the other one."""
OPENER_ID = "4E5F6071"
"""That of the Opener."""
SERVED = LockSettings("front", CLASSIC, official_api="serve")
"""The settings of a lock that is served."""


class OwnConnection:
    """A lock's connection as the program has it, and what the broker does with it."""

    def __init__(
        self,
        broker: VendorTree,
        *,
        will: tuple[str, bytes],
        subscriptions: Callable[[], list[Subscription]],
        on_message: Callable[[Incoming], None],
        on_connection: Callable[[bool, str | None], None],
    ) -> None:
        self.broker = broker
        self.will = will
        self.topics: dict[str, Subscription] = {}
        self.ended = False
        self._subscriptions = subscriptions
        self._on_message = on_message
        self._on_connection = on_connection
        self._is_up = False

    @property
    def connected(self) -> bool:
        return self._is_up

    @property
    def protocol(self) -> str | None:
        return self.broker.protocol if self._is_up else None

    async def run(self) -> None:
        self.ended = False
        self.broker.connections.append(self)
        try:
            if self.broker.online:
                self.come()
            await asyncio.Event().wait()
        finally:
            self.ended, self._is_up = True, False
            self.broker.connections.remove(self)

    async def drain(self, timeout_s: float) -> None:
        assert timeout_s <= 1.0

    def come(self) -> None:
        """The connection is there."""
        self.topics = {}
        self._is_up = True
        self.subscribe(*self._subscriptions())
        self._on_connection(True, None)

    def break_off(self) -> None:
        """The connection breaks, and the broker publishes the will."""
        self._is_up = False
        self.broker.keep(*self.will, retain=True)
        self._on_connection(False, "lost")

    def subscribe(self, *subscriptions: Subscription) -> None:
        for each in subscriptions:
            self.topics[each.topic] = each
            stored = self.broker.retained.get(each.topic)
            if stored is not None and (each.stored or self.protocol != "5"):
                asyncio.get_running_loop().call_soon(self.deliver, each.topic, stored, True)

    def unsubscribe(self, *topics: str) -> None:
        for each in topics:
            self.topics.pop(each, None)

    def publish(self, topic: str, payload: bytes, *, retain: bool, qos: int) -> bool:
        if not self._is_up:
            return False
        self.broker.published.append((topic, payload.decode(), retain, qos))
        self.broker.keep(topic, payload, retain=retain, author=self)
        return True

    def deliver(self, topic: str, payload: bytes, retain: bool, **fields: Any) -> None:
        """Have the program get a message, if it has subscribed to the topic."""
        if self._is_up and topic in self.topics:
            values = {"received_at": clock(), **fields}
            self._on_message(Incoming(topic=topic, payload=payload, retain=retain, **values))


class VendorTree:
    """The broker below `nuki/<ID>` and `homeassistant`, with who is connected for a lock."""

    def __init__(self) -> None:
        self.online = True
        self.protocol = "5"
        self.connections: list[OwnConnection] = []
        self.retained: dict[str, bytes] = {}
        self.published: list[tuple[str, str, bool, int]] = []
        """Topic, payload, retain flag and QoS of everything that served locks have published."""

    def new_client(self, **given: Any) -> OwnConnection:
        return OwnConnection(self, **given)

    def keep(self, topic: str, payload: bytes, *, retain: bool, author: OwnConnection | None = None) -> None:
        """Take a message: keep it if it is to be retained, and pass it on at once."""
        if retain and payload:
            self.retained[topic] = payload
        elif retain:
            self.retained.pop(topic, None)
        for each in list(self.connections):
            wanted = each.topics.get(topic)
            if wanted is None or (each is author and wanted.no_local and self.protocol == "5"):
                continue
            shown = retain and self.protocol == "5"
            asyncio.get_running_loop().call_soon(each.deliver, topic, payload, shown)

    def send(self, topic: str, payload: str, *, retain: bool = False, **fields: Any) -> None:
        """Publish a message as a client of somebody else's."""
        if fields:
            for each in list(self.connections):
                each.deliver(topic, payload.encode(), retain, **fields)
        else:
            self.keep(topic, payload.encode(), retain=retain)

    def values(self, nuki_id: str = ID) -> dict[str, str]:
        """What is retained for a lock."""
        base = f"nuki/{nuki_id}/"
        return {name[len(base) :]: each.decode() for name, each in self.retained.items() if name.startswith(base)}

    def on(self, name: str, nuki_id: str = ID) -> list[str]:
        """Everything that a served lock has published on one of its topics."""
        return [payload for topic, payload, _, _ in self.published if topic == f"nuki/{nuki_id}/{name}"]

    def connection(self, nuki_id: str = ID) -> OwnConnection:
        """That of a served lock."""
        (found,) = (each for each in self.connections if each.will[0] == f"nuki/{nuki_id}/connected")
        return found

    def listens(self, nuki_id: str = ID) -> set[str]:
        """The topics on which a served lock takes commands."""
        names = {topic.rpartition("/")[2] for topic in self.connection(nuki_id).topics}
        return names & {"lockAction", "lock", "unlock"}


class ServedHouse(House):
    """The house, with its lock at the front door served."""

    def __init__(self, directory: Path, *locks: LockSettings) -> None:
        super().__init__(directory, *(locks or (SERVED,)))
        self.tree = VendorTree()

    def new_client(self, **given: Any) -> OwnConnection:
        return self.tree.new_client(**given)

    async def at_home(self, address: str = CLASSIC, **arguments: Any) -> None:
        """Pair, and let everything be done that is due at the start."""
        await self.pair(address, **arguments)
        await asyncio.sleep(30)

    async def order(self, payload: str, name: str = "lockAction", nuki_id: str = ID, wait_s: float = 120.0) -> int:
        """Send a command and return what `commandResponse` says."""
        before = len(self.tree.on("commandResponse", nuki_id))
        self.tree.send(f"nuki/{nuki_id}/{name}", payload)
        deadline = clock() + wait_s
        while len(told := self.tree.on("commandResponse", nuki_id)) == before:
            assert clock() < deadline, "no commandResponse"
            await asyncio.sleep(0.05)
        return int(told[before])

    def moved(self) -> list[str]:
        """What the motor of the front door was started for."""
        return [str(each.detail) for each in self.classic.movements()]


class ServedIntercom(Intercom):
    """The house with its Opener served."""

    def __init__(self, directory: Path, settings: LockSettings | None = None, **behaviour: Any) -> None:
        super().__init__(directory, settings or LockSettings("hall", OPENER, official_api="serve"), **behaviour)
        self.tree = VendorTree()

    def new_client(self, **given: Any) -> OwnConnection:
        return self.tree.new_client(**given)

    async def order(self, payload: str, name: str = "lockAction", wait_s: float = 120.0) -> int:
        """Send a command and return what `commandResponse` says."""
        return await ServedHouse.order(self, payload, name, OPENER_ID, wait_s)  # type: ignore[arg-type]
