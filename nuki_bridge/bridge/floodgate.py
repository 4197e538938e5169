"""A gate for guests' messages: shut for a while when they come in a flood, so that owners' commands go through.

Everything that the broker sends comes over one connection, one after the other: a flood that somebody sends with the
guests' account stands in it before the command of somebody who wants to come in.  Therefore the bridge ends its
subscriptions to the guests' topics, and subscribes again later.

What somebody left retained there would come with each subscription.  It is removed first (`sweep`), and MQTT 5 lets a
subscriber leave it out; before MQTT 5 nobody subscribes until that is done.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from nuki_bridge.errors import BrokerError

log = logging.getLogger(__name__)

UNIT = 1024
"""Bytes that count as one message: a larger one, which no guest needs to send, counts as several."""
MOST = 1000
"""Messages of guests that may come within `WITHIN_S`; one more shuts the gate."""
WITHIN_S = 5.0
"""Seconds over which the messages of guests are counted."""
PAUSE_S = 60.0
"""Seconds for which the gate stays shut."""
SOON_S = 5.0
"""Seconds after which retained messages are removed all at once, if there are too many to remove one by one."""

RETRY_S = 10.0
"""Seconds before the removal of retained messages is tried again."""

_GUESTS = re.compile(r"[^/]*/relay/[^/]*/write|invitation/[^/]*/redeem", re.DOTALL)


def guest_filters(base: str) -> list[str]:
    """Return the topic filters for what guests publish."""
    return [f"{base}/+/relay/+/write", f"{base}/invitation/+/redeem"]


class Floodgate:
    """The gate of one bridge: `run` it, tell it of connections and ask it about each message.

    `base` gives the base topic, `watch` and `unwatch` subscribe and unsubscribe on the present connection, `tell`
    publishes an event of the bridge, `sweep` removes what is retained and gives how many messages that were or raises
    `BrokerError`, `clock` gives seconds.
    """

    def __init__(
        self,
        base: Callable[[], str],
        *,
        watch: Callable[[Iterable[str]], None],
        unwatch: Callable[[Iterable[str]], None],
        tell: Callable[[dict[str, Any]], object],
        sweep: Callable[[list[str]], Awaitable[int]],
        clock: Callable[[], float],
    ) -> None:
        self._base = base
        self._watch = watch
        self._unwatch = unwatch
        self._tell = tell
        self._sweep = sweep
        self._clock = clock
        self._arrivals: deque[float] = deque(maxlen=MOST)
        self._shut = False
        self._open_at = self._sweep_at = -math.inf
        self._due = asyncio.Event()
        self._listening = False
        self._sweeping = False

    @property
    def is_open(self) -> bool:
        """Whether guests' messages are taken; while they are not, nobody subscribes to `guest_filters`."""
        return not self._shut

    def connected(self, *, listening: bool) -> None:
        """Take another connection to the broker.

        With `listening`, `guest_filters` were subscribed to already if the gate is open.
        """
        self._listening = listening and self.is_open
        self._due.set()

    def sweep_soon(self) -> None:
        """Remove soon, all at once, what is retained on guests' topics: it is too much to be removed one by one."""
        if not self._due.is_set():
            self._sweep_at = self._clock() + SOON_S
            self._due.set()

    def admits(self, topic: str, size: int = 0, *, cleared: bool = False) -> bool:
        """Return whether a message of `size` bytes on this topic is to be read: not guests' while the gate is shut.

        `cleared`: it only says that what was retained has been removed.
        """
        base = self._base()
        if not topic.startswith(f"{base}/") or not _GUESTS.fullmatch(topic, len(base) + 1):
            return True
        if self.is_open and not (cleared and self._sweeping):
            now = self._clock()
            if all(self._has_room(now) for _ in range(1 + size // UNIT)):
                return True
            self._close(now)
        return False

    def _has_room(self, now: float) -> bool:
        if len(self._arrivals) == MOST and now - self._arrivals[0] < WITHIN_S:
            return False
        self._arrivals.append(now)
        return True

    def _close(self, now: float) -> None:
        # one flood is one warning, however often the gate has to be shut again
        level = logging.DEBUG if self._arrivals[0] - self._open_at < WITHIN_S else logging.WARNING
        text = "more than %d messages of guests came within %g s; none are taken for %g s"
        log.log(level, text, MOST, WITHIN_S, PAUSE_S)
        self._arrivals.clear()
        self._open_at = now + PAUSE_S
        self._shut, self._listening = True, False
        self._due.set()
        self._unwatch(guest_filters(self._base()))
        self._tell({"type": "guests_paused", "seconds": int(PAUSE_S)})

    async def run(self) -> None:
        """Remove what is retained and listen, at each connection and after each pause, until cancelled."""
        while True:
            await self._due.wait()
            await asyncio.sleep(max(self._open_at, self._sweep_at) - self._clock())
            self._due.clear()
            await self._remove_retained()
            if self._clock() < self._open_at:
                continue  # shut again meanwhile
            self._shut = False
            if not self._listening:
                self._listening = True
                self._watch(guest_filters(self._base()))

    async def _remove_retained(self) -> None:
        self._sweeping = True
        try:
            removed = await self._sweep(guest_filters(self._base()))
        except BrokerError as error:
            text = "what is retained on guests' topics could not all be removed, trying again in %g s: %s"
            log.info(text, RETRY_S, error)
            self._sweep_at = self._clock() + RETRY_S
            self._due.set()
        else:
            if removed:
                log.warning("%d retained messages on guests' topics were removed", removed)
        finally:
            self._sweeping = False
