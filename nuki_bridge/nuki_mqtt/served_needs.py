"""What a lock that the bridge plays by Nuki's own MQTT API needs: a connection, the lock itself, a way for commands."""

from __future__ import annotations

from collections.abc import Callable, Collection
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


class House(Protocol):
    """What a served lock needs of the bridge."""

    def shown(self) -> Shown | None:
        """Return the lock while it is in use."""

    def announced(self) -> bool:
        """Return whether it announces itself to Home Assistant."""

    def check(self, action: int) -> None:
        """Raise `RequestError` for an action that the configuration does not allow."""

    def take(
        self,
        message: Incoming,
        read: Callable[[], IntEnum],
        begun: Callable[[], None],
        ended: Callable[[NukiError | None], None],
    ) -> None:
        """Take a message as a command: `read` gives its action, the others are called when that begins and is over."""

    def clock(self) -> float:
        """Return seconds."""

    def now(self) -> datetime:
        """Return the time of the wall clock."""

    def settled(self) -> None:
        """Take note that nobody else is there."""

    def foreign(self, why: str) -> None:
        """Take note that somebody else is, with a sentence."""
