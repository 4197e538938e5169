"""The guest's end of the relay: `link.Radio` and `link.Link` over MQTT, so that `Lock` works as it does over Bluetooth.

`GuestConnection` is the connection to the broker.  A guest's account sees neither whether the bridge is there nor any
state: what it gets is what is meant for its session.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from nuki_bridge.bluetooth.link import Channel, OnData, RadioStatus
from nuki_bridge.errors import Disconnected, LinkError, RequestError
from nuki_bridge.lock.outcome import OutcomeUnknown
from nuki_bridge.mqtt.conversation import Conversation
from nuki_bridge.mqtt.message import Incoming, Subscription
from nuki_bridge.protocol.crypto import TAG_SIZE
from nuki_bridge.protocol.frames import HEADER_SIZE

if TYPE_CHECKING:
    from nuki_bridge.config import MqttSettings
    from nuki_bridge.protocol.advertisement import Sighting
    from nuki_bridge.protocol.codes import Family

FRAME_EXPIRY_S = 15
"""Seconds after which the broker drops a frame that it could not deliver; the bridge passes none on later either."""

AFTERWORD_S = 0.5
"""Seconds after a lost link in which the bridge may still say that a frame was not passed on."""

MAY_BE_DONE = frozenset({"disconnected", "outcome_unknown"})
"""Errors of a session after which the lock has to be asked what became of the last frame; it was passed on."""

_QUESTION_SIZE = HEADER_SIZE + TAG_SIZE + 10
"""Bytes of a frame that asks for a challenge or the states; what is longer is a command."""

UNREADABLE = "failed"
"""Code for an error that came without one."""


class GuestConnection(Conversation):
    """A conversation with the broker in which each topic has its own reader."""

    def __init__(self, settings: MqttSettings) -> None:
        self._readers: dict[str, Callable[[bytes], None]] = {}
        super().__init__(settings, on_message=self._on_message)

    def read(self, topic: str, reader: Callable[[bytes], None]) -> None:
        """Have `reader` called with each message on `topic`; what is published from now on is answered after this."""
        self._readers[topic] = reader
        self.subscribe(Subscription(topic))

    def leave(self, topic: str) -> None:
        """End `read`."""
        self._readers.pop(topic, None)
        self.unsubscribe(topic)

    def _on_message(self, message: Incoming) -> None:
        reader = self._readers.get(message.topic)
        if reader is not None and not message.retain:
            reader(message.payload)


class RelayRadio:
    """Reaches one lock through the bridge at the other end of `connection`; `topic` is the lock's, with the base topic.

    Implements `link.Radio`.  What the bridge refuses ends `connection`: the frame was not passed on, and asking again
    would not help.  An error after which a frame may have been carried out ends the session alone, as a lost link does:
    the lock is asked then, and no action goes out again unless it tells that nothing happened.  Where a question after
    a command is refused, what became of the command stays unknown.
    """

    def __init__(self, connection: GuestConnection, topic: str) -> None:
        self.connection = connection
        self.topic = topic
        self.answered = False
        """The bridge or the lock has said anything at all."""
        self.commanding = False
        """The last frame was a command, and nothing was said since."""
        self.in_doubt = False
        """A command was passed on, as far as is known."""

    @property
    def status(self) -> RadioStatus:
        """The broker is there, or else `connection` is over."""
        return RadioStatus(True, "relay")

    async def run(self, on_sighting: Callable[[Sighting], None], on_status: Callable[[RadioStatus], None]) -> None:
        """Nothing is seen over the relay."""
        on_status(self.status)
        await asyncio.get_running_loop().create_future()

    def look_around(self) -> AbstractContextManager[None]:
        """Nothing is seen over the relay."""
        return nullcontext()

    def link(self, address: str, on_data: OnData, on_disconnect: Callable[[], None]) -> RelayLink:
        """Return a session with the lock, not yet begun; its address is for the bridge to know."""
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
        self._owes_answer = False  # the lock, to our last frame

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
    def gdio_subscribed(self) -> bool:
        """A session has begun: the bridge hands on every error of the lock."""
        return self.connected

    @property
    def services(self) -> Mapping[str, Sequence[str]]:
        """Nothing: the relay shows no GATT."""
        return {}

    async def connect(self, timeout_s: float, *, pairing: bool = False, skip_gdio: bool = False) -> None:
        """Begin a session, which nobody else hears of before the first `write`."""
        if pairing:
            raise LinkError("a lock cannot be paired over the relay")
        if self._session is None:
            self._session = secrets.token_hex(16)
            self._radio.connection.read(self._topic("indicate"), self._indicated)
            self._radio.connection.read(self._topic("error"), self._refused)

    async def subscribe_gdio(self) -> None:
        """Do nothing: the bridge subscribes to the lock."""

    async def write(self, channel: Channel, data: bytes) -> None:
        """Hand a frame to the broker; whether it reached the lock, only the lock's answer tells."""
        if self._session is None or channel is not Channel.USDIO:
            raise Disconnected("there is no session with the lock")
        radio = self._radio
        radio.in_doubt |= radio.commanding
        radio.commanding = len(data) > _QUESTION_SIZE
        self._owes_answer = True
        if not self._radio.connection.publish(self._topic("write"), data, expiry_s=FRAME_EXPIRY_S):
            raise Disconnected("the broker did not take the message")

    async def disconnect(self) -> None:
        """End the session; the bridge forgets it by itself."""
        self._end()

    def _end(self, only: str | None = None) -> None:
        """End the session; with `only` if it is still that one."""
        if self._session is None or only not in (None, self._session):
            return
        for kind in ("indicate", "error"):
            self._radio.connection.leave(self._topic(kind))
        self._session = None
        self._on_disconnect()

    def _indicated(self, frame: bytes) -> None:
        radio = self._radio
        radio.answered = True
        radio.in_doubt |= radio.commanding
        radio.commanding = False
        self._on_data(Channel.USDIO, frame)

    def _refused(self, payload: bytes) -> None:
        self._radio.answered = True
        error = read_error(payload)
        if error.code == "disconnected" and self._owes_answer:
            asyncio.get_running_loop().call_later(AFTERWORD_S, self._end, self._session)
        elif error.code in MAY_BE_DONE:
            self._end()
        elif self._radio.in_doubt:
            self._radio.connection.end(
                OutcomeUnknown(f"the bridge passed the action on, but cannot ask the lock what became of it: {error}")
            )
        else:
            self._radio.connection.end(error)

    def _topic(self, kind: str) -> str:
        return f"{self._radio.topic}/relay/{self._session}/{kind}"


def read_error(payload: bytes) -> RequestError:
    """Return the error in an answer, as far as it can be read."""
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
