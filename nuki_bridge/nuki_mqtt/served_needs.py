"""What a lock that the bridge plays by Nuki's own MQTT API needs: a connection, the lock itself, a way for commands."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from nuki_bridge.errors import NukiError
from nuki_bridge.mqtt.message import Incoming, Subscription
from nuki_bridge.nuki_mqtt.served_topics import Equipment

if TYPE_CHECKING:
    from nuki_bridge.owner.owned_lock import OwnedLock


class Client(Protocol):
    """A connection to the broker that comes back by itself (`mqtt.Client`)."""

    @property
    def connected(self) -> bool:
        """Connected, and every subscription answered."""

    @property
    def protocol(self) -> str | None:
        """MQTT version of this connection; None while there is none."""

    def publish(self, topic: str, payload: bytes, *, retain: bool, qos: int) -> bool:
        """Hand over a message without waiting; True if the broker will get it unless the connection breaks."""

    def subscribe(self, *subscriptions: Subscription) -> None:
        """Subscribe to more on this connection."""

    def unsubscribe(self, *topics: str) -> None:
        """End subscriptions on this connection."""

    async def drain(self, timeout_s: float) -> None:
        """Wait until the broker has everything published so far, no longer than this."""

    async def run(self) -> None:
        """Connect, stay connected and connect again until cancelled."""


class NewClient(Protocol):
    """Makes a connection that waits to be run, with the account and to the broker of the settings."""

    def __call__(
        self,
        *,
        will: tuple[str, bytes],
        subscriptions: Callable[[], list[Subscription]],
        on_message: Callable[[Incoming], None],
        on_connection: Callable[[bool, str | None], None],
    ) -> Client:
        """Return it."""


class Shown(Protocol):
    """A lock in use, as far as it is shown."""

    @property
    def owned(self) -> OwnedLock:
        """The lock itself."""

    @property
    def equipment(self) -> Equipment:
        """What it was once seen to have."""

    @property
    def allowed(self) -> Collection[int] | None:
        """The actions that MQTT may ask for; None for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What a served lock needs of the bridge.

    `shown` gives the lock while it is in use, `announced` whether it announces itself to Home Assistant, `check` raises
    `RequestError` for an action that the configuration does not allow.  `take` passes a message on as a command: it is
    given what reads the action, what to call when that has begun, and when it has ended.  `clock` gives seconds, `now`
    is the wall clock.  `settled` is told that nobody else is there, `foreign` that somebody is, with a sentence.
    """

    shown: Callable[[], Shown | None]
    announced: Callable[[], bool]
    check: Callable[[int], None]
    take: Callable[[Incoming, Callable[[], IntEnum], Callable[[], None], Callable[[NukiError | None], None]], None]
    clock: Callable[[], float]
    now: Callable[[], datetime]
    settled: Callable[[], None]
    foreign: Callable[[str], None]
