"""What the bridge keeps retained at the broker: published when it changes, and again when the broker lost it.

`Retained` holds the payload that each topic shall have.  It neither knows what they mean nor who subscribes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from nuki_bridge.topics.topics import Publication

log = logging.getLogger(__name__)

REPAIR_S = 60.0
"""Shortest interval in seconds between repairs of a topic that somebody else changes: two bridges on one base topic
must not fight."""
WARN_S = 3600.0
"""Shortest interval in seconds between two warnings of that about one topic; what comes between is counted."""
ECHO_S = 5.0
"""Seconds for which a difference may be an echo: before MQTT 5 a client hears what it published itself."""


class Retained:
    """Retained topics and the payloads they shall have; `publish` tells whether the broker will get the message.

    A topic whose payload is too large for the broker, as `fits` tells, is cleared: an older one would be out of date.
    """

    def __init__(
        self,
        publish: Callable[[Publication], bool],
        clock: Callable[[], float],
        fits: Callable[[Publication], bool] = lambda publication: True,
    ) -> None:
        self._publish = publish
        self._fits = fits
        self._left_out: set[str] = set()
        self._clock = clock
        self._connected = False
        self._wanted: dict[str, bytes] = {}
        self._unsent: set[str] = set()
        self._sent_at: dict[str, float] = {}
        self._repaired_at: dict[str, float] = {}
        self._warned_at: dict[str, float] = {}
        self._unwarned: Counter[str] = Counter()
        self._repairs: dict[str, asyncio.TimerHandle] = {}

    def get(self, topic: str) -> bytes | None:
        """Return the payload that `topic` shall have; empty for one that was cleared, None for one that is not ours."""
        return self._wanted.get(topic)

    def put(self, topic: str, payload: bytes) -> None:
        """Publish `payload` unless the topic has it already, or once connected; an empty one clears the topic."""
        if self._wanted.get(topic) == payload:
            return
        self._wanted[topic] = payload
        if self._connected:
            for each in {*self._unsent, topic}:
                self._send(each)

    def move(self, rename: Callable[[str], str]) -> None:
        """Clear every topic, and publish it under another name from the next `connected` on."""
        if self._connected:
            for topic in (topic for topic, payload in self._wanted.items() if payload):
                self._publish(Publication(topic, b"", retain=True))
        self.disconnected()
        self._wanted = {rename(topic): payload for topic, payload in self._wanted.items() if payload}
        self._sent_at.clear()
        self._repaired_at.clear()
        self._warned_at.clear()
        self._unwarned.clear()

    def connected(self) -> None:
        """Publish everything, cleared topics as well: the broker may have lost it, or missed it while we were away."""
        self._connected = True
        for topic in self._wanted:
            self._send(topic)

    def disconnected(self) -> None:
        """Publish nothing until `connected`."""
        self._connected = False
        self._unsent.clear()
        self.close()

    def seen(self, topic: str, payload: bytes, *, echoes: bool, is_past: bool = False) -> bool:
        """Take what the broker delivered on `topic`; repair what is ours and differs.  Return False if it is not ours.

        `echoes` says that this may be a message of our own coming back late (MQTT 3.1.1), `is_past` that it may be
        the last will, or what is left, of a connection of our own that is over: one that was cut off, or of a process
        before this one.
        """
        wanted = self._wanted.get(topic)
        if wanted is None:
            return False
        now = self._clock()
        wanted = b"" if topic in self._left_out else wanted
        if payload == wanted or (echoes and now - self._sent_at.get(topic, -ECHO_S) < ECHO_S):
            return True
        wait_s = self._repaired_at.get(topic, -REPAIR_S) + REPAIR_S - now
        if wait_s <= 0:
            self._repair(topic, is_past)
        elif topic not in self._repairs:
            self._repairs[topic] = asyncio.get_running_loop().call_later(wait_s, self._repair, topic, is_past)
        return True

    def too_large(self, topic: str) -> None:
        """Note that the broker did not take what this topic shall have."""
        if self._connected and self._wanted.get(topic):
            self._send(topic)

    def close(self) -> None:
        """Give up what is due later."""
        for timer in self._repairs.values():
            timer.cancel()
        self._repairs.clear()

    def _repair(self, topic: str, is_past: bool) -> None:
        self._repairs.pop(topic, None)
        if topic in self._wanted:
            if is_past:
                log.info("the broker shows what an earlier connection has left on %s; publishing it again", topic)
            else:
                self._warn(topic)
            self._repaired_at[topic] = self._clock()
            self._send(topic)

    def _warn(self, topic: str) -> None:
        now = self._clock()
        if now - self._warned_at.get(topic, -WARN_S) < WARN_S:
            self._unwarned[topic] += 1
            return
        self._warned_at[topic] = now
        count = self._unwarned.pop(topic, 0)
        more = f" ({count} times more since this was last said)" if count else ""
        log.warning("somebody else published to %s, which is the bridge's own; publishing it again%s", topic, more)

    def _send(self, topic: str) -> None:
        if timer := self._repairs.pop(topic, None):
            timer.cancel()
        self._sent_at[topic] = self._clock()
        publication = Publication(topic, self._wanted[topic], retain=True)
        sent = self._publish(publication)  # says so if it is too large
        if sent or self._fits(publication):
            self._left_out.discard(topic)
        else:
            self._left_out.add(topic)
            sent = self._publish(Publication(topic, b"", retain=True))
        if sent:
            self._unsent.discard(topic)
        else:
            self._unsent.add(topic)
