"""A lock or Opener that the bridge plays on MQTT by Nuki's own API: its connection, its topics, its commands.

It has a connection of its own, so that its will says that it is gone; the lock itself is reached over Bluetooth.  What
is retained holds only while `connected` is `true`, which it is while a command can reach the lock.

A device that speaks this API itself must not be played, too: each command would be carried out twice.  So nothing is
published before the broker has shown that nobody is there, and it ends for good as soon as somebody else publishes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.errors import NukiError, RequestError
from nuki_bridge.mqtt.message import Incoming, Subscription
from nuki_bridge.nuki_mqtt import served_discovery
from nuki_bridge.nuki_mqtt.codes import (
    COMMAND_RESPONSE,
    COMMANDS,
    LOCK_ACTION_EVENT,
    STATE_TOPICS,
    VENDOR_QOS,
    LockActionEvent,
    boolean,
    number,
    timestamp,
    topic,
)
from nuki_bridge.nuki_mqtt.served_commands import actions_of, is_open_to, response
from nuki_bridge.nuki_mqtt.served_events import ActionEvents
from nuki_bridge.nuki_mqtt.served_needs import Client, House, NewClient
from nuki_bridge.nuki_mqtt.served_topics import payloads, speaks_itself
from nuki_bridge.protocol.codes import Trigger

if TYPE_CHECKING:
    from nuki_bridge.lock.lock import Lock

log = logging.getLogger(__name__)

SETTLE_S: Final = 2.0
"""Seconds after the first connection in which the broker shows whether a device is there that speaks for itself."""
REPAIR_S: Final = 5.0
"""Shortest interval in seconds between repairs of `connected`, which an earlier connection's will may set to false."""
_CONNECTED: Final = "connected"
_TIMESTAMP: Final = "timestamp"


class ServedLock:
    """One of them; run its `client`, tell it what happens.

    `is_ours` says that what is retained on its topics is known to be of this bridge.
    """

    def __init__(self, nuki_id: int, house: House, new_client: NewClient, *, is_ours: bool) -> None:
        self._nuki_id = nuki_id
        self._house = house
        self._new_client = new_client
        self._is_settled = is_ours
        self._settling: asyncio.TimerHandle | None = None
        self._is_connected = False
        self._connected_at = -SETTLE_S
        self._is_over = False
        self._listens = False
        self._sent: dict[str, bytes] = {}  # on this connection
        self._cleared: set[str] = set()
        self._echoes: Counter[bytes] = Counter()  # moments that this connection may bring back
        self._repaired_at = -REPAIR_S
        self._rang_at: datetime | None = None
        self._events = ActionEvents(house.clock, house.now())
        self.client = self._connection()

    def _connection(self) -> Client:
        return self._new_client(
            will=(self._topic(_CONNECTED), boolean(False)),
            subscriptions=self._subscriptions,
            on_message=self._heard,
            on_connection=self._connection_changed,
        )

    # -- life ---------------------------------------------------------------------------------------------------------

    def renew(self) -> None:
        """Take another client, because the settings of the broker have changed; the one before is run no more."""
        self._connection_changed(False, None)
        self.client = self._connection()

    async def farewell(self, timeout_s: float) -> None:
        """Say that the lock cannot be reached: this connection is about to be left."""
        if self._is_connected and self._is_settled and not self._is_over:
            self._say({_CONNECTED: boolean(False)})
            self._is_connected = False
            await self.client.drain(timeout_s)

    def end(self) -> None:
        """Say nothing from now on."""
        self._is_over = True
        if self._settling is not None:
            self._settling.cancel()

    def _connection_changed(self, connected: bool, _reason: str | None) -> None:
        self._is_connected = connected
        self._connected_at = self._house.clock()
        self._sent.clear()
        self._echoes.clear()
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        if not connected or self._is_over:
            return
        if self._is_settled:
            self.update()
        else:
            self._settling = asyncio.get_running_loop().call_later(SETTLE_S, self._settle)

    def _settle(self) -> None:
        """Nobody else is there: play the lock from now on."""
        self._is_settled = True
        self._house.settled()
        self.update()

    # -- what it hears ------------------------------------------------------------------------------------------------

    def _subscriptions(self) -> list[Subscription]:
        """Return what to subscribe to at each connection: others on the topics of this lock, and commands."""
        watched = [
            Subscription(self._topic(_TIMESTAMP), no_local=True, stored=False),
            Subscription(self._topic(_CONNECTED), no_local=True, stored=not self._is_settled),
        ]
        self._listens = self._may_listen()
        return [*watched, *(self._commands() if self._listens else ())]

    def _commands(self) -> list[Subscription]:
        return [Subscription(self._topic(each), qos=VENDOR_QOS) for each in COMMANDS]

    def _may_listen(self) -> bool:
        shown = self._house.shown()
        if shown is None or not self._is_settled:
            return False
        lock = shown.owned.lock
        return lock.states is not None and not speaks_itself(lock.states) and is_open_to(lock.profile, shown.allowed)

    def _listen(self) -> None:
        """Take commands exactly while the lock is known and the configuration leaves any."""
        may_listen = self._may_listen()
        if may_listen != self._listens:
            self._listens = may_listen
            if may_listen:
                self.client.subscribe(*self._commands())
            else:
                self.client.unsubscribe(*(each.topic for each in self._commands()))

    def _heard(self, message: Incoming) -> None:
        name = message.topic.rpartition("/")[2]
        if self._is_over:
            return
        if name in COMMANDS:
            if self._is_settled:
                _Command(self, name, message).begin()
        elif name == _CONNECTED:
            self._heard_connected(message)
        elif name == _TIMESTAMP and message.payload and not self._is_own(message):
            self._house.foreign(
                "somebody else publishes on its topics of Nuki's own MQTT API; is that switched on in it?"
            )

    def _is_own(self, message: Incoming) -> bool:
        """Before MQTT 5 a client hears its own messages, each once, and what was retained."""
        if self._was_retained(message):
            return True
        if self._echoes[message.payload] == 0:
            return False
        self._echoes -= Counter({message.payload: 1})
        return True

    def _was_retained(self, message: Incoming) -> bool:
        """MQTT 5 leaves that out, but not every broker does; there what is published is flagged, too."""
        is_new = self._house.clock() - self._connected_at < SETTLE_S
        return message.retain and (is_new or self.client.protocol != "5")

    def _heard_connected(self, message: Incoming) -> None:
        is_up = message.payload == boolean(True)
        is_told = self.client.protocol == "5" and not self._was_retained(message)
        if is_up and (is_told or not self._is_settled):
            self._house.foreign("it is connected to the broker itself; the API is switched on in the lock")
            return
        now = self._house.clock()
        was_changed = self._is_settled and message.payload != self._sent.get(_CONNECTED, message.payload)
        if was_changed and now - self._repaired_at >= REPAIR_S:
            self._repaired_at = now  # the will of a connection that is over
            self._publish(_CONNECTED, self._sent[_CONNECTED])

    # -- what it says -------------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Publish what has changed of the lock."""
        if not (self._is_connected and self._is_settled) or self._is_over:
            return
        shown = self._house.shown()
        told: dict[str, bytes] = {}
        if shown is not None:
            lock = shown.owned.lock
            if speaks_itself(lock.states):
                self._house.foreign(
                    "it says that it is connected to a broker itself; the API is switched on in the lock"
                )
                return
            told |= payloads(lock, shown.equipment, self._rang_at)
            self._announce(lock, shown.equipment.traits)
        self._say({**told, _CONNECTED: boolean(shown is not None and shown.owned.lock.reachable)})
        self._listen()

    def _say(self, told: Mapping[str, bytes]) -> None:
        """Publish what differs, the moment of it, and `connected` last: what comes before it holds then."""
        changed = {name: payload for name, payload in told.items() if self._is_news(name, payload)}
        if not changed:
            return
        connected = changed.pop(_CONNECTED, None)
        stamp = timestamp(self._house.now().astimezone(UTC))
        if self.client.protocol != "5":
            self._echoes[stamp] += 1
        for name, payload in {**changed, _TIMESTAMP: stamp}.items():
            self._publish(name, payload)
        if connected is not None:
            self._publish(_CONNECTED, connected)

    def _is_news(self, name: str, payload: bytes) -> bool:
        return self._sent.get(name) != payload and (bool(payload) or name not in self._cleared)

    def _publish(self, name: str, payload: bytes) -> None:
        if self.client.publish(self._topic(name), payload, retain=True, qos=0):
            self._sent[name] = payload
            if payload:
                self._cleared.discard(name)
            else:
                self._cleared.add(name)

    def _announce(self, lock: Lock, traits: Collection[str]) -> None:
        """Announce the lock to Home Assistant as one with Nuki's own API does, or take that back."""
        messages = served_discovery.messages(lock, traits) if self._house.announced() else {}
        for each in served_discovery.topics(self._nuki_id):
            payload = messages.get(each, b"")
            is_news = (payload or each in self._sent) and self._sent.get(each) != payload
            if is_news and self.client.publish(each, payload, retain=True, qos=1):
                self._sent[each] = payload

    def begun(self, action: int, *, by_api: bool) -> None:
        """Take note that the lock carries out an action of ours; `by_api`: it came over Nuki's own API."""
        shown = self._house.shown()
        if shown is not None:
            self._tell(self._events.begun(action, shown.owned.lock.paired.authorization_id, by_api=by_api))

    def happened(self, event: Mapping[str, Any]) -> None:
        """Take note of an event that the bridge tells of the lock."""
        shown = self._house.shown()
        if event["type"] == "ring":
            rang_at = datetime.fromisoformat(event["time"]) if event.get("time") else self._house.now()
            self._rang_at = rang_at.astimezone(UTC)
            self.update()
        elif shown is not None:
            self._tell_action(event, shown.owned.lock)

    def _tell_action(self, event: Mapping[str, Any], lock: Lock) -> None:
        own_id = lock.paired.authorization_id
        told = self._events.happened(event, lock.profile, own_id, self._house.now())
        if told is None:
            return
        may_be_ours = told.trigger == Trigger.SYSTEM and told.auth_id in (0, own_id) and not told.code_id
        ours = [each for each in lock.runs if may_be_ours and each.may_be(told.action)]
        if ours:
            ours[0].has_begun()  # the lock's reports are faster than its word that it has taken the action
            self._events.happened(event, lock.profile, own_id, self._house.now())
        else:
            self._tell(told)

    def _tell(self, event: LockActionEvent) -> None:
        if self._is_settled and not self._is_over:
            self.client.publish(self._topic(LOCK_ACTION_EVENT), event.to_payload(), retain=False, qos=VENDOR_QOS)

    # -- commands -----------------------------------------------------------------------------------------------------

    def actions(self, name: str, payload: bytes) -> tuple[IntEnum, ...]:
        """Return what a command asks for; raises `RequestError`, also if the configuration does not allow all of many.

        A single action is checked by whoever carries it out.
        """
        shown = self._house.shown()
        if shown is None:
            raise RequestError("not_paired", "the lock is not in use")
        actions = actions_of(name, payload, shown.owned.lock.profile, shown.owned.lock.config)
        for each in actions if len(actions) > 1 else ():
            self._house.check(each)
        return actions

    def take(
        self,
        message: Incoming,
        read: Callable[[], IntEnum],
        begun: Callable[[], None],
        ended: Callable[[NukiError | None], None],
    ) -> None:
        """Pass on one action of a command."""
        self._house.take(message, read, begun, ended)

    def respond(self, error: NukiError | None) -> None:
        """Say what became of a command."""
        if not self._is_over:
            payload = number(response(error))
            self.client.publish(self._topic(COMMAND_RESPONSE), payload, retain=False, qos=VENDOR_QOS)

    def _topic(self, name: str) -> str:
        return topic(self._nuki_id, name)


class _Command:
    """One command: an action, or for an Opener two, one after the other; it is answered once."""

    def __init__(self, lock: ServedLock, name: str, message: Incoming) -> None:
        self._lock = lock
        self._name = name
        self._message = message
        self._now: IntEnum | None = None
        self._left: list[IntEnum] = []

    def begin(self) -> None:
        """Have the first action carried out."""
        self._lock.take(self._message, self._first, self._begun, self._ended)

    def _first(self) -> IntEnum:
        self._left = list(self._lock.actions(self._name, self._message.payload))
        return self._next()

    def _next(self) -> IntEnum:
        self._now = action = self._left.pop(0)
        return action

    def _begun(self) -> None:
        if self._now is not None:
            self._lock.begun(self._now, by_api=True)

    def _ended(self, error: NukiError | None) -> None:
        if error is None and self._left:
            self._lock.take(self._message, self._next, self._begun, self._ended)
        else:
            self._lock.respond(error)


def every_topic(nuki_id: int) -> tuple[str, ...]:
    """Return every topic on which something may be retained for a lock that is served."""
    return (*(topic(nuki_id, each) for each in STATE_TOPICS), *served_discovery.topics(nuki_id))
