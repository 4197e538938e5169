"""What this installation keeps retained at the broker, found and cleared while the daemon is stopped.

Ours are the topics of the bridge if `bridge/info` does not name another installation, those of each lock that this one
has or that its last `bridge/info` names, and what the database says was told to Home Assistant or served by Nuki's own
MQTT API.  What another bridge on the same base topic has is left to it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nuki_bridge.bridge.publisher import locks_in
from nuki_bridge.errors import BrokerError, StateInUse
from nuki_bridge.lock_name import lock_name_mistake
from nuki_bridge.mqtt.conversation import Conversation
from nuki_bridge.mqtt.message import Incoming, Subscription
from nuki_bridge.records import frozen
from nuki_bridge.topics import tree

if TYPE_CHECKING:
    from nuki_bridge.config import MqttSettings

MARKER_S = 5.0
"""Longest wait in seconds for a message to ourselves, which an access list may keep away."""
STRAGGLERS_S = 0.5
"""Seconds by which a broker may deliver retained messages later than what was published after the subscription."""
ALIVE_S = 3.0
"""Seconds that a running daemon may take to answer."""
FLUSH_S = 10.0
"""Seconds that the broker may take to acknowledge one round of messages."""
ROUND = 100
"""Messages in one round."""
STATE = "bridge/state"
"""Topic that tells whether a daemon runs, below the base topic."""
INFO = "bridge/info"
"""Topic that tells which bridge has the base topic, below it."""


@frozen
class Kept:
    """What there is to clear: `topics` of bridge and locks, those that were `served`, both shown by the broker, and
    `discovery`, which it need not show to this account.

    `locks` have topics among them; `other` is the ID of another installation to which `bridge/info` belongs.
    """

    topics: tuple[str, ...]
    served: tuple[str, ...]
    discovery: tuple[str, ...]
    locks: tuple[str, ...]
    other: str | None


class Retirement(Conversation):
    """A conversation with the broker, as the daemon that is stopped would have it.

    `installation` is the ID of this installation, `names` are those of its locks, `served` are its topics of Nuki's own
    MQTT API.
    """

    def __init__(
        self, settings: MqttSettings, installation: str, names: Iterable[str], served: Iterable[str] = ()
    ) -> None:
        self._base = settings.base_topic
        self._installation = installation
        self._names = frozenset(names)
        self._served = tuple(served)
        self._inbox = f"{self._base}/bridge/response/{secrets.token_hex(16)}"
        self._shown: dict[str, bytes] = {}
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self.refused: set[str] = set()
        """Topics that the broker's access list keeps this account from clearing, as far as the broker says so."""
        super().__init__(
            settings,
            subscriptions=[
                Subscription(each) for each in (*tree.retained_filters(self._base), *self._served, self._inbox)
            ],
            on_message=self._take,
            on_refused=self.refused.add,
        )

    async def find(self, announced: Collection[str]) -> Kept:
        """Return what there is to clear; `announced` are the topics that Home Assistant was told on.

        Raises `StateInUse` if a daemon of this installation answers, such as one with a copy of its state directory.
        """
        await self._settle()
        await self.unless_over(asyncio.sleep(STRAGGLERS_S))
        ours, theirs, other = self._owners()
        if other is None and self._shown.get(f"{self._base}/{STATE}") == b"online" and await self._is_alive():
            raise StateInUse(
                "a nuki-bridge with this installation's identity is running, perhaps on another computer with a copy of"
                " its state, and would publish everything again; stop that one first"
            )
        topics = [] if other is not None else [f"{self._base}/{STATE}", f"{self._base}/{INFO}"]
        names = sorted(ours - theirs)
        found: list[str] = []
        for name in names:
            shown = [each for each in tree.retained_topics(self._base, name) if each in self._shown]
            topics += shown
            found += [name] if shown else []
        return Kept(
            tuple(each for each in topics if each in self._shown),
            tuple(each for each in self._served if each in self._shown),
            tuple(sorted(announced)),
            tuple(found),
            other,
        )

    async def clear(self, kept: Kept) -> list[str]:
        """Clear all of it; return the topics that are still there, or that the broker refused to clear.

        Raises `BrokerError` if the broker goes away meanwhile or takes no message.
        """
        topics = [*kept.topics, *kept.served, *kept.discovery]
        for first in range(0, len(topics), ROUND):
            for topic in topics[first : first + ROUND]:
                if not self.publish(topic, b"", retain=True):
                    raise BrokerError("the broker does not take messages now; what is not cleared yet is still there")
            await self.unless_over(self.drain(FLUSH_S))
        await self._settle()
        return sorted({each for each in (*kept.topics, *kept.served) if each in self._shown} | self.refused)

    def _owners(self) -> tuple[set[str], set[str], str | None]:
        """Return the names of our locks, those of another installation's, and its ID."""
        info = self._shown.get(f"{self._base}/{INFO}", b"")
        told = _object(info)
        if not isinstance(told.get("id"), str) or told["id"] == self._installation:
            return {*self._names, *(locks_in(info, self._installation) or ())}, set(), None
        listed = told.get("locks")
        names = [each.get("name") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        theirs = {each for each in names if isinstance(each, str) and lock_name_mistake(each) is None}
        return set(self._names), theirs, told["id"][:16]

    async def _is_alive(self) -> bool:
        """Return whether a daemon answers on the base topic."""
        transaction = secrets.token_hex(8).encode()
        answered = self._wait_for(transaction)
        self.subscribe(Subscription(f"{self._base}/bridge/response/health"))
        self.publish(
            f"{self._base}/bridge/request/health",
            json.dumps({"transaction": transaction.decode()}),
            response_topic=self._inbox,
            correlation_data=transaction,
            expiry_s=int(ALIVE_S),
        )
        try:
            await self.unless_over(answered, ALIVE_S)
        except TimeoutError:
            return False
        return True

    async def _settle(self) -> None:
        """Wait until a message to ourselves has come, and with it what the broker delivers before it."""
        came = self._wait_for(b"")
        self.publish(self._inbox, b"")
        with suppress(TimeoutError):
            await self.unless_over(came, MARKER_S)

    def _wait_for(self, mark: bytes) -> asyncio.Future[None]:
        self._waiting[mark] = asyncio.get_running_loop().create_future()
        return self._waiting[mark]

    def _take(self, message: Incoming) -> None:
        if message.topic.startswith(f"{self._base}/bridge/response/"):
            told = str(_object(message.payload).get("transaction")).encode() if message.payload else b""
            waiting = self._waiting.get(message.correlation_data or told)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        elif message.payload:
            self._shown[message.topic] = message.payload
        else:
            self._shown.pop(message.topic, None)


def _object(payload: bytes) -> Mapping[str, Any]:
    """Return the JSON object in `payload`; empty if there is none."""
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
