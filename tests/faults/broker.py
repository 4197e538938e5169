"""A broker in memory: topics, retained messages, time on the way; and somebody in it who keeps and repeats messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from dataclasses import dataclass

from nuki_bridge.bridge.bridge import Bridge
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.topics.topics import Publication
from tests.unit.rig import clock

ON_THE_WAY_S = 0.02
"""From a client to the broker and on to another."""

Reader = Callable[[bytes], None]


@dataclass(slots=True)
class Trick:
    """What is done to the `nth` message from now that somebody publishes: it comes `after` each of so many seconds."""

    who: str
    nth: int
    after: tuple[float, ...]
    honest: bool = False
    """What came over one connection does not come over the next."""


class Broker:
    """Joins the bridge and its clients; `tampered(who)` is told of each message that did not pass as it should."""

    def __init__(self, tampered: Callable[[str], None]) -> None:
        self.bridge: Bridge | None = None
        self.connected = False
        self.connections = 0
        self._connected_at = 0.0
        self.retained: dict[str, bytes] = {}
        self.tricks: list[Trick] = []
        self.told: list[tuple[float, Publication]] = []
        """All that the bridge has published."""
        self.written: dict[str, list[tuple[str, bytes]]] = {}
        """What each client has published, for whoever listens in."""
        self.heard: set[bytes] = set()
        """What has reached the bridge."""
        self._tampered = tampered
        self._filters: set[str] = set()
        self._readers: dict[str, list[tuple[Reader, Context]]] = {}
        self._kept: list[tuple[float, Publication]] = []

    # -- the bridge's side --------------------------------------------------------------------------------------------

    def connect(self, connected: bool) -> None:
        """Let the bridge in, or lose it; what waits for it for a while comes with the next connection."""
        if self.bridge is None or connected == self.connected:
            return
        self.connected = connected
        self.connections += connected
        self._connected_at = clock()
        self._filters = set()
        if connected:
            self.watch(self.bridge.filters())
            kept, self._kept = self._kept, []
            for until, publication in kept:
                if clock() < until:
                    self.publish(publication)
        self.bridge.connection_changed(connected)

    @property
    def is_back(self) -> bool:
        """The bridge has just come: what it tells now may have waited."""
        return clock() - self._connected_at < 1.0

    def publish(self, publication: Publication) -> bool:
        """Take a message of the bridge."""
        if not self.connected:
            if publication.keep_s > 0:
                self._kept.append((clock() + publication.keep_s, publication))
            return False
        self.told.append((clock(), publication))
        if publication.retain:
            self.retained[publication.topic] = publication.payload
            if not publication.payload:
                del self.retained[publication.topic]
        for reader, context in self._readers.get(publication.topic, []):
            loop = asyncio.get_running_loop()
            loop.call_later(ON_THE_WAY_S, reader, publication.payload, context=context)
        return True

    def watch(self, filters: Iterable[str]) -> None:
        """The bridge subscribes: what is retained comes at once."""
        new = set(filters)
        self._filters |= new
        for topic, payload in list(self.retained.items()):
            if any(_fits(each, topic) for each in new):
                asyncio.get_running_loop().call_later(ON_THE_WAY_S, self.deliver, topic, payload, True, None)

    def unwatch(self, filters: Iterable[str]) -> None:
        """The bridge ends subscriptions."""
        self._filters -= set(filters)

    # -- the clients' side --------------------------------------------------------------------------------------------

    def read(self, topic: str, reader: Reader) -> None:
        """A client subscribes."""
        self._readers.setdefault(topic, []).append((reader, copy_context()))

    def leave(self, topic: str) -> None:
        """A client ends its subscription."""
        self._readers.pop(topic, None)

    def send(self, who: str, topic: str, payload: bytes, *, retain: bool = False, expiry_s: int | None = None) -> None:
        """A client publishes."""
        self.written.setdefault(who, []).append((topic, payload))
        if retain:
            self.retained[topic] = payload
        after: tuple[float, ...] = (0.0,)
        only = None
        for trick in [each for each in self.tricks if each.who == who]:
            trick.nth -= 1
            if trick.nth == 0:
                self.tricks.remove(trick)
                self._tampered(who)
                after = trick.after
                only = (self.connections if self.connected else -1) if trick.honest else None
        for seconds in after:
            self.later(seconds, topic, payload, retain=retain, expiry_s=expiry_s, only=only)

    def later(
        self,
        seconds: float,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        expiry_s: int | None = None,
        only: int | None = None,
    ) -> None:
        """A message reaches the bridge after so many seconds, whatever its expiry; `only` over that connection."""
        loop = asyncio.get_running_loop()
        loop.call_later(seconds + ON_THE_WAY_S, self.deliver, topic, payload, retain, expiry_s, only)

    def deliver(
        self, topic: str, payload: bytes, retain: bool = False, expiry_s: int | None = None, only: int | None = None
    ) -> None:
        """A message reaches the bridge now, if it listens there."""
        if only not in (None, self.connections):
            return
        if self.bridge is not None and self.connected and any(_fits(each, topic) for each in self._filters):
            self.heard.add(payload)
            self.bridge.handle(Incoming(topic, payload, retain, clock(), message_expiry_s=expiry_s))


def _fits(pattern: str, topic: str) -> bool:
    wanted, levels = pattern.split("/"), topic.split("/")
    for place, each in enumerate(wanted):
        if each == "#":
            return True
        if place >= len(levels) or each not in ("+", levels[place]):
            return False
    return len(wanted) == len(levels)
