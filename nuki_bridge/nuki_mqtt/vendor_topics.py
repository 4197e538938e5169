"""The vendor's tree as it comes in over the bridge's own connection: who listens to which lock, and what is nobody's.

`nuki/<8 hex digits>/…` may lie below the bridge's base topic, where it fits the bridge's filters.  `takes` is asked
first of all about each message, and none of the vendor's goes any further: it is no lock of ours, whoever it is of.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.nuki_mqtt import codes

log = logging.getLogger(__name__)

VENDOR_PREFIX: Final = "homeassistant"
"""The discovery prefix of Nuki's own API, which cannot be changed."""
_DISCOVERY: Final = (f"{VENDOR_PREFIX}/lock/+/config", f"{VENDOR_PREFIX}/lock/+/+/config")
_DISCOVERED: Final = re.compile(rf"{VENDOR_PREFIX}/lock/[^/]+/([^/]+/)?config")
_NAMES: Final = frozenset({*codes.STATE_TOPICS, *codes.COMMANDS, codes.COMMAND_RESPONSE, codes.LOCK_ACTION_EVENT})
_CUT: Final = 64  # bytes
_BEGIN: Final = f"{codes.VENDOR_BASE}/"


class Listener(Protocol):
    """Who listens to one lock."""

    def heard(self, name: str, message: Incoming, *, stored: bool) -> None:
        """Take a message on the lock's topic of that last level.

        `stored`: the broker had kept it when it was subscribed to, or it says no more than what it had.
        """

    def broker_lost(self) -> None:
        """Take note that nothing is heard until there is a connection again."""

    def discovered(self) -> None:
        """Take note that the lock announces itself to Home Assistant."""


class VendorTopics:
    """Who listens to which lock; `watch` and `unwatch` subscribe and unsubscribe on the present connection.

    `is_ours` tells whether a lock of the bridge has that name: an ID without its leading zeros could be one.
    """

    def __init__(
        self,
        watch: Callable[[Iterable[str]], None],
        unwatch: Callable[[Iterable[str]], None],
        is_ours: Callable[[str], bool],
    ) -> None:
        self._watch = watch
        self._unwatch = unwatch
        self._is_ours = is_ours
        self._listeners: dict[int, Listener] = {}
        self._by_level: dict[str, int] = {}
        self._seen: dict[str, bytes] = {}
        """What came last on this connection, by topic, cut off."""

    # -- who listens --------------------------------------------------------------------------------------------------

    def listen(self, nuki_id: int, listener: Listener) -> None:
        """Give `listener` what the lock of that ID publishes, from now on."""
        before = self.filters()
        self._listeners[nuki_id] = listener
        self._by_level |= dict.fromkeys(codes.spellings(nuki_id), nuki_id)
        self._watch([each for each in self.filters() if each not in before])

    def ignore(self, nuki_id: int, listener: Listener) -> None:
        """Give `listener` nothing more."""
        if self._listeners.get(nuki_id) is not listener:
            return
        before = self.filters()
        del self._listeners[nuki_id]
        self._by_level = {level: each for level, each in self._by_level.items() if each != nuki_id}
        gone = [each for each in before if each not in self.filters()]
        begins = tuple(each.removesuffix("+") for each in gone)
        self._seen = {topic: each for topic, each in self._seen.items() if not topic.startswith(begins)}
        self._unwatch(gone)

    def filters(self) -> list[str]:
        """Return the topic filters for all that is listened to."""
        found = [f"{_BEGIN}{level}/+" for level in self._by_level if not self._is_shared(level)]
        return [*found, *_DISCOVERY] if found else []

    def _is_shared(self, level: str) -> bool:
        return not codes.is_vendor_id(level) and self._is_ours(level)

    # -- told by the broker -------------------------------------------------------------------------------------------

    def connection_changed(self, connected: bool) -> None:
        """Take note that the broker was found, or lost."""
        if connected:
            return
        self._seen.clear()
        for each in list(self._listeners.values()):
            each.broker_lost()

    def takes(self, message: Incoming) -> bool:
        """Return whether a message is the vendor's, and for nobody else; give it to who listens to its lock."""
        topic = message.topic
        if not topic.startswith(_BEGIN):
            return bool(self._by_level) and self._takes_discovery(message)
        level, _, name = topic[len(_BEGIN) :].partition("/")
        nuki_id = self._by_level.get(level)
        if nuki_id is None or self._is_shared(level):
            return name in _NAMES and codes.is_vendor_id(level)
        if name not in _NAMES:
            return False
        payload = message.payload[:_CUT]
        # MQTT 5 shows the flag of what is published now, too, and what is kept comes once for each filter that fits it
        is_stored = message.retain and self._seen.get(topic, payload) == payload
        self._seen[topic] = payload
        self._listeners[nuki_id].heard(name, message, stored=is_stored)
        return True

    def _takes_discovery(self, message: Incoming) -> bool:
        """Return whether this is a lock as Home Assistant is told of it; say so if it is one that is listened to."""
        if _DISCOVERED.fullmatch(message.topic) is None:
            return False
        if b'"~"' in message.payload:
            try:
                told = json.loads(message.payload)
                begin = told.get("~")
            except (ValueError, AttributeError, RecursionError):
                begin = None
            nuki_id = (
                self._by_level.get(begin.removeprefix(_BEGIN).removesuffix("/")) if isinstance(begin, str) else None
            )
            if nuki_id is not None:
                self._listeners[nuki_id].discovered()
        return True
