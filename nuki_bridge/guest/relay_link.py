"""The guest's end of the relay: `link.Radio` and `link.Link` over MQTT, so that `Lock` works as it does over Bluetooth.

`Post` is the connection to the broker; the first failure ends it, as with `client.Client`.  A guest's account sees
neither whether the bridge is there nor any state: what it gets is what is meant for its session.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from nuki_bridge.bluetooth.link import Channel, OnData, RadioStatus
from nuki_bridge.errors import BrokerError, Disconnected, LinkError, NukiError, RequestError
from nuki_bridge.mqtt import mqtt
from nuki_bridge.mqtt.message import Message, Subscription

if TYPE_CHECKING:
    from nuki_bridge.config import MqttSettings
    from nuki_bridge.protocol.advertisement import Sighting
    from nuki_bridge.protocol.codes import Family

FRAME_EXPIRY_S = 15
"""A frame that the broker could not deliver by then is dropped there; the bridge passes none on later either."""

MAY_BE_DONE = frozenset({"disconnected", "outcome_unknown"})
"""Errors of a session after which the lock has to be asked what became of the last frame; it was passed on."""

UNREADABLE = "failed"
"""The code of an error that has none."""

T = TypeVar("T")


class Post:
    """One connection to the broker, from `open` to `close`.  Made on a running event loop."""

    def __init__(self, settings: MqttSettings) -> None:
        self._readers: dict[str, Callable[[bytes], None]] = {}
        self._mqtt = mqtt.Client(
            settings,
            will=None,
            subscriptions=(),
            on_message=self._on_message,
            on_connection=self._on_connection,
            on_refused=lambda topic: self.end(mqtt.not_allowed(settings, topic)),
        )
        loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = loop.create_future()
        self._over: asyncio.Future[NukiError] = loop.create_future()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect; raises `BrokerError` if the broker cannot be reached or does not let us in."""
        self._task = asyncio.create_task(self._mqtt.run(), name="mqtt")
        await self.unless_over(self._connected)

    async def close(self) -> None:
        """Disconnect, once the broker has everything; takes a second at most."""
        if self._task is not None:
            await self._mqtt.drain(0.5)
            self._task.cancel()
            await asyncio.wait((self._task,))

    def read(self, topic: str, reader: Callable[[bytes], None]) -> None:
        """Have `reader` called with each message on `topic`; what is published from now on is answered after this."""
        self._readers[topic] = reader
        self._mqtt.subscribe(Subscription(topic))

    def leave(self, topic: str) -> None:
        """End `read`."""
        self._readers.pop(topic, None)
        self._mqtt.unsubscribe(topic)

    def publish(self, topic: str, payload: bytes, expiry_s: int) -> bool:
        """Hand over a message; False if it will not get to the broker."""
        return self._mqtt.publish(topic, payload, expiry_s=expiry_s)

    def end(self, error: NukiError) -> None:
        """Have `unless_over` raise this; the first one counts."""
        if not self._over.done():
            self._over.set_result(error)

    async def unless_over(self, awaitable: Awaitable[T]) -> T:
        """Await it; raises what ended the connection, or what `end` was given, if that comes first."""
        waiting = asyncio.ensure_future(awaitable)
        try:
            await asyncio.wait((waiting, self._over), return_when=asyncio.FIRST_COMPLETED)
            if self._over.done():
                raise self._over.result()
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

    def _on_message(self, message: Message) -> None:
        reader = self._readers.get(message.topic)
        if reader is not None and not message.retain:
            reader(message.payload)


class RelayRadio:
    """Reaches one lock through the bridge at the other end of `post`; `topic` is that of the lock, with the base topic.

    Implements `link.Radio`.  What the bridge refuses ends `post`: the frame was not passed on, and asking again would
    not help.  An error after which a frame may have been carried out ends the session alone, as a lost link does: the
    lock is asked then, and no action goes out again unless it tells that nothing happened.
    """

    def __init__(self, post: Post, topic: str) -> None:
        self.post = post
        self.topic = topic
        self.answered = False
        """The bridge or the lock has said anything at all."""

    @property
    def status(self) -> RadioStatus:
        """The broker is there, or else `post` is over."""
        return RadioStatus(True, "relay")

    async def run(self, on_sighting: Callable[[Sighting], None], on_status: Callable[[RadioStatus], None]) -> None:
        """Nothing is seen over the relay."""
        on_status(self.status)
        await asyncio.get_running_loop().create_future()

    def look_around(self) -> AbstractContextManager[None]:
        """Nothing is seen over the relay."""
        return nullcontext()

    def link(self, address: str, on_data: OnData, on_disconnect: Callable[[], None]) -> RelayLink:
        """A session with the lock, not yet begun; its address is for the bridge to know."""
        return RelayLink(self, address, on_data, on_disconnect)


class RelayLink:
    """One session after the other, each with an ID of its own so that no late answer passes for the next one.

    Implements `link.Link`.
    """

    def __init__(self, radio: RelayRadio, address: str, on_data: OnData, on_disconnect: Callable[[], None]) -> None:
        self.address = address
        self._radio = radio
        self._on_data = on_data
        self._on_disconnect = on_disconnect
        self._session: str | None = None

    @property
    def connected(self) -> bool:
        """A session has begun."""
        return self._session is not None

    @property
    def family(self) -> Family | None:
        """Not told over the relay."""
        return None

    @property
    def rssi(self) -> int | None:
        """Not told over the relay."""
        return None

    @property
    def hears_errors(self) -> bool:
        """A session has begun: the bridge hands on every error of the lock."""
        return self.connected

    async def connect(self, timeout_s: float, *, pairing: bool = False, hurry: bool = False) -> None:
        """Begin a session, which nobody else hears of before the first `write`."""
        if pairing:
            raise LinkError("a lock cannot be paired over the relay")
        if self._session is None:
            self._session = secrets.token_hex(16)
            self._radio.post.read(self._topic("indicate"), self._indicated)
            self._radio.post.read(self._topic("error"), self._refused)

    async def hear_errors(self) -> None:
        """Nothing to do: the bridge subscribes to the lock."""

    async def write(self, channel: Channel, data: bytes) -> None:
        """Hand a frame to the broker; whether it reached the lock, only the lock's answer tells."""
        if self._session is None or channel is not Channel.USDIO:
            raise Disconnected("there is no session with the lock")
        if not self._radio.post.publish(self._topic("write"), data, FRAME_EXPIRY_S):
            raise Disconnected("the broker did not take the message")

    async def disconnect(self) -> None:
        """End the session; the bridge forgets it by itself."""
        self._end()

    def _end(self) -> None:
        if self._session is None:
            return
        for kind in ("indicate", "error"):
            self._radio.post.leave(self._topic(kind))
        self._session = None
        self._on_disconnect()

    def _indicated(self, frame: bytes) -> None:
        self._radio.answered = True
        self._on_data(Channel.USDIO, frame)

    def _refused(self, payload: bytes) -> None:
        self._radio.answered = True
        error = read_error(payload)
        if error.code in MAY_BE_DONE:
            self._end()
        else:
            self._radio.post.end(error)

    def _topic(self, kind: str) -> str:
        return f"{self._radio.topic}/relay/{self._session}/{kind}"


def read_error(payload: bytes) -> RequestError:
    """The error in an answer, as far as it can be read."""
    try:
        answer: Any = json.loads(payload)
    except (ValueError, RecursionError):
        answer = None
    code = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(code, str) or not re.fullmatch(r"[a-z0-9_]{1,40}", code):
        code = UNREADABLE
    message = answer.get("message") if isinstance(answer, dict) else None
    sentence = message if isinstance(message, str) else f"the bridge refused: {code.replace('_', ' ')}"
    return RequestError(code, sentence[:500])
