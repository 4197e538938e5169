"""The bridge's own topics: what is retained of bridge and locks, what became of it at the broker, and the events.

It publishes what it is given and keeps the broker's copy right; what there is to say is `report`'s.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC
from functools import partial
from typing import Any, Protocol

from nuki_bridge.bridge.lock_topics import LockTopics
from nuki_bridge.bridge.neighbour import Neighbour
from nuki_bridge.bridge.ports import Ports
from nuki_bridge.bridge.report import OFFLINE, ONLINE
from nuki_bridge.home_assistant.announcer import Announcer
from nuki_bridge.lock import wall_clock
from nuki_bridge.lock_name import lock_name_mistake
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.mqtt.payload import dump
from nuki_bridge.topics import tree
from nuki_bridge.topics.retained import Retained
from nuki_bridge.topics.topics import Publication

log = logging.getLogger(__name__)

MAX_NEWS = 100
"""Most events that wait for the broker; beyond that the oldest are dropped."""


class Others(Protocol):
    """Whoever else tells of the same locks, each in its own way."""

    def updated(self, name: str) -> None:
        """The lock of that name is not as it was."""

    def happened(self, name: str, event: Mapping[str, Any]) -> None:
        """An event of that lock has been told."""


class Publisher:
    """Everything that the bridge publishes by itself, below `base`.

    `installation` tells this bridge from others: `bridge/info` carries it, so that the next start knows which retained
    topics are its own to clear, `run` this process from others.  `announcer` tells Home Assistant of the same locks,
    `others` tell others.
    """

    def __init__(
        self, base: str, installation: str, run: str, ports: Ports, announcer: Announcer, others: Others
    ) -> None:
        self.base = base
        self._installation = installation
        self._run = run
        self._neighbour = Neighbour(installation, run, lambda event: self.event("bridge", event))
        self._announcer = announcer
        self._others = others
        self._locks: dict[str, LockTopics] = {}
        self._publish = ports.publish
        self._clock = ports.clock
        self._now = ports.now
        self._retained = Retained(ports.publish, ports.clock, ports.fits)
        self._strays: set[str] = set()
        self._news: deque[tuple[str, dict[str, Any]]] = deque(maxlen=MAX_NEWS)
        self._left = False

    # -- life ---------------------------------------------------------------------------------------------------------

    def connected(self) -> None:
        """Publish everything retained."""
        if not self._left:
            self._neighbour.connected()
            self._retained.connected()
            self._tell_news()
            self._announcer.connected()

    def disconnected(self) -> None:
        """Keep everything until `connected`."""
        self._retained.disconnected()
        self._announcer.disconnected()

    def farewell(self) -> None:
        """Publish that neither bridge nor locks can be reached, to a broker that is going to be left for another."""
        for topic in (*(f"{name}/availability" for name in self._locks), "bridge/state"):
            self._publish(Publication(self._topic(topic), OFFLINE, retain=True))
        self._retained.disconnected()

    def move(self, base: str) -> None:
        """Take back everything retained; from the next connection on it is below another base topic."""
        before = f"{self.base}/"
        self._retained.move(lambda topic: f"{base}/{topic.removeprefix(before)}")
        self.base = base
        self._strays.clear()
        self._neighbour.moved()
        self._announcer.disconnected()

    def leave(self) -> None:
        """Publish that neither bridge nor locks can be reached, and nothing from then on."""
        for lock in self._locks.values():
            lock.leave()
        self._put("bridge/state", OFFLINE)
        self.disconnected()
        self._left = True

    def too_large(self, topic: str) -> None:
        """Take note that the broker does not take what was published on this topic."""
        self._retained.too_large(topic)
        self._announcer.too_large(topic)

    # -- what there is to say -----------------------------------------------------------------------------------------

    def online(self) -> None:
        """Publish that the bridge is there."""
        self._put("bridge/state", ONLINE)

    def info(self, info: dict[str, Any], nuki_ids: Collection[int]) -> None:
        """Publish `bridge/info` if it changed, and take back what Home Assistant was told of locks that are no more.

        `nuki_ids` are those of all that are paired.
        """
        self._put("bridge/info", dump({**info, "id": self._installation, "run": self._run}))
        if not self._left:
            self._announcer.only(nuki_ids)

    def lock(self, name: str) -> LockTopics:
        """Return the topics of the lock of that name."""
        topics = self._locks.get(name)
        if topics is None:
            topics = self._locks[name] = LockTopics(
                name,
                put=lambda kind, payload: self._put(f"{name}/{kind}", payload),
                sweep=self._sweep,
                announce=self._announcer.lock,
                updated=partial(self._others.updated, name),
                clock=self._clock,
            )
        return topics

    def clear(self, name: str) -> None:
        """Take back everything retained of a lock that is gone."""
        if (gone := self._locks.pop(name, None)) is not None:
            gone.end()
        for topic in tree.retained_topics(self.base, name):
            self._retained.put(topic, b"")

    def event(self, whose: str, event: dict[str, Any]) -> bool:
        """Publish an event of a lock, or of the `bridge`; its time is now unless it brings one.

        Gives whether the broker will get it.
        """
        if self._left:
            return False
        if whose in self._locks and event["type"] == "lock_action":
            self._locks[whose].note_action(event)
        told = {**event, "time": event.get("time") or wall_clock.rfc3339(self._now(), UTC)}
        if self._publish(Publication(self._topic(f"{whose}/event"), dump(told))):
            self._others.happened(whose, told)
            return True
        log.debug("nobody to tell of a %s event", event.get("type"))
        return False

    def is_announcing(self) -> bool:
        """Return whether Home Assistant is told of the locks."""
        return self._announcer.is_enabled

    def news(self, whose: str, event: dict[str, Any]) -> None:
        """Publish an event that brings its time; one that the broker does not get now it gets when it is back."""
        self._news.append((whose, event))
        self._tell_news()

    def _tell_news(self) -> None:
        while self._news and self.event(*self._news[0]):
            self._news.popleft()

    def _put(self, below: str, payload: bytes) -> None:
        if not self._left:
            self._retained.put(self._topic(below), payload)

    def _topic(self, below: str) -> str:
        return f"{self.base}/{below}"

    # -- what became of it --------------------------------------------------------------------------------------------

    def watched(self) -> Iterable[str]:
        """Return the topic filters for what the bridge retains, but for `bridge/info`.

        To be subscribed to after `connected`: what the broker delivers then is what it got just before.  `bridge/info`
        on the other hand must be seen before it is replaced.
        """
        return [each for each in tree.retained_filters(self.base) if each != self._topic("bridge/info")]

    def seen(self, message: Incoming, *, retain_is_kept: bool) -> None:
        """Take in what the broker shows of a topic that we, or somebody else, published to.

        `retain_is_kept` (MQTT 5): the flag is as published, so that what comes without it replaced nothing, and nothing
        is an echo of our own.
        """
        if self._left or self._announcer.seen(message) or (retain_is_kept and not message.retain):
            return
        is_past = message.topic == self._topic("bridge/state") and message.payload == OFFLINE
        echoes = not retain_is_kept
        if message.topic == self._topic("bridge/info"):
            is_past = self._was_ours(message.payload)
            if self._neighbour.is_foreign(self.base, message.payload):
                echoes = False
            elif is_past:
                return
        if self._retained.seen(message.topic, message.payload, echoes=echoes, is_past=is_past) or not message.payload:
            return
        for name, lock in self._locks.items():
            if message.topic in tree.retained_topics(self.base, name):
                self._strays.add(message.topic)
                if lock.may_be_swept:
                    self._sweep(name)

    def _sweep(self, name: str) -> None:
        """Clear what an earlier run left behind and the lock, now that it has reported, has nothing to say on."""
        for topic in self._strays.intersection(tree.retained_topics(self.base, name)):
            if topic.endswith(("/users", "/keypad")) and self._locks[name].expects_lists:
                continue  # its turn comes when the list has been read
            self._strays.discard(topic)
            if self._retained.get(topic) is None:
                self._retained.put(topic, b"")

    def _was_ours(self, payload: bytes) -> bool:
        """Return whether this is a `bridge/info` of this installation; clear the topics of locks that are no more."""
        names = locks_in(payload, self._installation)
        for name in names or ():
            if name not in self._locks:
                self.clear(name)
        return names is not None


def locks_in(payload: bytes, installation: str) -> list[str] | None:
    """Return the names of locks in a `bridge/info` of that installation; None if it is none, or somebody else's."""
    try:
        info = json.loads(payload)
        if info["id"] != installation:
            return None
        return [each["name"] for each in info["locks"] if lock_name_mistake(each["name"]) is None]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
