"""What the bridge needs of the world; all of it is handed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import field
from datetime import datetime
from typing import Any

from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.nuki_mqtt.served_needs import NewClient
from nuki_bridge.protocol.session import Random
from nuki_bridge.records import frozen
from nuki_bridge.topics.topics import Publication
from nuki_bridge.watchdog import Watchdog


async def _nothing_retained(_filters: list[str], _tell: Callable[[Incoming], None]) -> int:
    return 0


async def _unknown_time() -> bool:
    return False


@frozen
class Ports:
    """The ways to the broker, the clocks, the process.

    `publish` tells whether the broker will get the message, `watch` subscribes to more topic filters on this connection
    and `unwatch` ends subscriptions, `protocol` is the MQTT version in use.  `clock` counts seconds through a suspend,
    on it stand the times of messages; `now` is the wall clock.  `simulate` controls virtual locks, where there are any.
    `fits` tells whether a message is small enough for the broker, as far as is known.
    `sweep` removes what is retained on topics that fit filters, tells of each message and gives their number.
    `synchronized` tells whether the wall clock is known to be right.
    `new_client` makes a connection to the broker of its own, for a lock that is played by Nuki's own API.
    `changed` is told that a lock, its link or the adapter is not as it was, `watchdog` watches over each lock.
    """

    publish: Callable[[Publication], bool]
    watch: Callable[[Iterable[str]], None]
    unwatch: Callable[[Iterable[str]], None]
    protocol: Callable[[], str | None]
    restart: Callable[[], None]
    clock: Callable[[], float]
    now: Callable[[], datetime]
    random: Random
    hostname: str
    simulate: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    fits: Callable[[Publication], bool] = lambda publication: True
    changed: Callable[[], None] = lambda: None
    watchdog: Watchdog = field(default_factory=Watchdog)
    synchronized: Callable[[], Awaitable[bool]] = _unknown_time
    sweep: Callable[[list[str], Callable[[Incoming], None]], Awaitable[int]] = _nothing_retained
    new_client: NewClient | None = None
