"""Whether a broker without MQTT 5, which has no word for it, has dropped a message because of its size: a filler of the
same size has to come back.

mosquitto acknowledges what is over its `message_size_limit` and drops it.  The filler has the form of an answer.
"""

from __future__ import annotations

from collections.abc import Callable

from nuki_bridge.mqtt.payload import dump

LARGE_SIZE = 2048
"""Bytes of payload above which the broker is tried, once for each size that is larger than those before."""
_END = dump({"status": "ok", "data": None})


class Echo:
    """The questions of one connection; `topic` is subscribed to when there is something to ask.

    `dropped` is told the topic and size of what the broker has dropped.  Where an access list keeps us from `topic`,
    nothing comes back and nothing is concluded.
    """

    def __init__(
        self,
        topic: str,
        subscribe: Callable[[str], None],
        publish: Callable[[str, bytes], bool],
        dropped: Callable[[str, int], None],
    ) -> None:
        self.topic = topic
        self._subscribe = subscribe
        self._publish = publish
        self._dropped = dropped
        self._unproven: dict[str, int] = {}  # sizes by topic
        self._passes = 0  # bytes of payload that came back
        self._asked: int | None = None
        self._came = False
        self._subscribed = False

    def acknowledged(self, topic: str, size: int) -> None:
        """Note that the broker says that it has so many bytes of payload."""
        if size >= LARGE_SIZE and size > self._passes and topic != self.topic:
            self._unproven[topic] = size
            self._ask()

    def heard(self, payload: bytes) -> None:
        """Note what came back."""
        if payload != _END:
            self._came = self._came or len(payload) == self._asked
            return
        asked, self._asked = self._asked, None
        if asked is None:
            return
        if self._came:
            self._passes = max(self._passes, asked)
            self._unproven = {topic: size for topic, size in self._unproven.items() if size > asked}
        else:
            lost = {topic: size for topic, size in self._unproven.items() if size >= asked}
            self._unproven = {topic: size for topic, size in self._unproven.items() if size < asked}
            for topic, size in lost.items():
                self._dropped(topic, size)
        self._ask()

    def _ask(self) -> None:
        if self._asked is not None or not self._unproven:
            return
        if not self._subscribed:
            self._subscribed = True
            self._subscribe(self.topic)
        size = max(self._unproven.values())
        frame = len(dump({"status": "ok", "data": ""}))
        filler = dump({"status": "ok", "data": "." * (size - frame)})
        self._came = False
        if self._publish(self.topic, filler) and self._publish(self.topic, _END):
            self._asked = size
