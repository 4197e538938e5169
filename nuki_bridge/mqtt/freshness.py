"""How old the messages of a connection are: what was published while the event loop or the network stood still is read
afterwards.

After a stall of the loop (suspend, SIGSTOP, swap) messages lie in our socket and, since the broker sends only so many
that are not acknowledged, behind it in the broker; after one of the network (Wi-Fi out of reach) they have waited at
the broker's end of the connection.  All of them were published at an unknown time since the loop last ran, or since the
broker was last heard.  They are through when the broker answers a request and sent no message between that request and
its answer: the fence.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

_LOGGER = logging.getLogger(__name__)

STALL_S = 5.0
"""Seconds without a call of `Freshness.check_stall` after which the age of what is then read is unknown: more than what
lies between two checks of a quiet connection, less than what a silent network is given."""
DOUBT_S = 10.0
"""Seconds for which that doubt lasts at most, or steady traffic would keep it alive."""


class Freshness:
    """Of one connection; `send_fence` asks the broker something and gives the request's number."""

    def __init__(self, clock: Callable[[], float], send_fence: Callable[[], int | None]) -> None:
        self.stale_since: float | None = None
        """When all was well last, on `clock`, while what is read now may have been published at any time since."""
        self._clock = clock
        self._send_fence = send_fence
        self._last_ran = clock()
        self._doubt_ends = 0.0
        self._fence: int | None = None
        self._message_came = False  # since the fence was sent

    def check_stall(self, *, connected: bool) -> float:
        """Return for how long the loop stood still, 0 if not; call it now and then, and before anything is read."""
        now = self._clock()
        last_ran, self._last_ran = self._last_ran, now
        stood_still_s = now - last_ran
        if stood_still_s <= STALL_S or not connected:
            return 0.0
        _LOGGER.debug("MQTT: stood still for %.1f s", stood_still_s)
        self.doubt(last_ran)
        return stood_still_s

    def doubt(self, since: float) -> None:
        """Doubt what is read now: it may have been published at any time since then, on `clock`."""
        self.stale_since = since if self.stale_since is None else min(self.stale_since, since)
        self._doubt_ends = asyncio.get_running_loop().time() + DOUBT_S
        if self._fence is None:
            self._fence = self._send_fence()
        self._message_came = True  # what the fence's answer follows may have come after a second stall

    def message(self) -> float:
        """Return since when the message that was read may have been published, on `clock`."""
        self._message_came = True
        return self._last_ran if self.stale_since is None else self.stale_since

    def answered(self, number: int) -> None:
        """Note that the broker answered the request of this number."""
        if number != self._fence:
            return
        self._fence = None
        if self._message_came and asyncio.get_running_loop().time() < self._doubt_ends:
            self._message_came = False
            self._fence = self._send_fence()
        else:
            self.stale_since = None
