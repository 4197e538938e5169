"""How large a message the broker takes: it says so when we connect, when it gets a larger one, or only by hanging up.

A message that is larger is left out from then on, so that it does not end each connection anew.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from nuki_bridge.mqtt.message import Outgoing

_LOGGER = logging.getLogger(__name__)

SUSPECT_SIZE = 1024
"""Bytes of payload below which a message is not what a broker hangs up for."""
_OVERHEAD = 13
"""Most bytes of a PUBLISH beside topic, properties and payload: its header, their lengths and its number."""


class SizeLimit:
    """What is known of it while one client lives; each connection's `told` is new."""

    def __init__(self) -> None:
        self.told: int | None = None
        """Largest packet in bytes that the broker says it accepts (MQTT 5)."""
        self._found: int | None = None  # bytes of a payload that were too many
        self._passed = 0  # bytes of the largest payload that was acknowledged on this connection
        self._suspect: Outgoing | None = None  # the largest message under way when the last connection broke
        self._said: set[str] = set()

    def begin(self) -> None:
        """Begin anew with a connection that is made."""
        self.told, self._passed = None, 0

    def fits(self, topic: str, size: int, properties_size: int = 0) -> bool:
        """Return whether the broker takes a message with so many bytes of payload, as far as we know."""
        packet_size = _OVERHEAD + len(topic.encode()) + properties_size + size
        return (self.told is None or packet_size <= self.told) and (self._found is None or size < self._found)

    def left_out(self, topic: str, size: int) -> None:
        """Say that a message did not fit, once for each topic."""
        if topic not in self._said and len(self._said) < 100:
            self._said.add(topic)
            limit = f"; it takes {self.told} bytes" if self.told is not None else ""
            _LOGGER.warning(
                "MQTT: the message on %r (%d bytes) is larger than the broker takes and is left out%s; raise the"
                " broker's limit (mosquitto: message_size_limit, max_packet_size), then restart nuki-bridge",
                topic,
                size,
                limit,
            )

    def acknowledged(self, size: int) -> None:
        """Note that the broker took so many bytes of payload."""
        self._passed = max(self._passed, size)
        if self._suspect is not None and size >= len(self._suspect.payload):
            self._suspect = None

    def exceeded(self, topic: str, size: int) -> None:
        """Note that so many bytes of payload are too many."""
        self._found = size if self._found is None else min(size, self._found)
        self.left_out(topic, size)

    def ended(self, under_way: Iterable[Outgoing], *, as_too_large: bool) -> None:
        """Note that the broker ended the connection with these unacknowledged, and perhaps said that one is too large.

        If it did not say so, the largest of them has to be there twice in a row.
        """
        candidates = [each for each in under_way if len(each.payload) > self._passed]
        largest = max(candidates, key=lambda each: len(each.payload), default=None)
        suspect, self._suspect = self._suspect, None
        if largest is None or (len(largest.payload) < SUSPECT_SIZE and not as_too_large):
            return
        if as_too_large or (suspect is not None and suspect.topic == largest.topic):
            self.exceeded(largest.topic, len(largest.payload))
        else:
            self._suspect = largest
