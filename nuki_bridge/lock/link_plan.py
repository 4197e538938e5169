"""When the link to one lock is held or wanted, and when something is due on it.

`LinkPlan` decides and does nothing: `lock.py` connects, asks and drops.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable

from nuki_bridge.lock.exchange import Exchange
from nuki_bridge.lock.in_use import InUse
from nuki_bridge.lock.pause import Pause
from nuki_bridge.lock.retry import SEEN_FOR_S, Retry
from nuki_bridge.lock.timetable import Timetable

KEEPALIVE_S = 10.0
"""Seconds after which something is asked over an idle link: the lock drops one that was idle for about 20 s."""
LINGER_S = 2.0
"""Seconds after the last message for which a link on demand is kept."""
BEACONS_WHILE_LINKED_S = 10.0
"""Seconds without a beacon on a held link that show that the lock does not advertise while connected."""


class ConnectionMode(enum.StrEnum):
    """How a lock is kept in touch with."""

    PERSISTENT = "persistent"
    ON_DEMAND = "on-demand"
    AUTO = "auto"


class LinkPlan:
    """When to hold the link of one lock; `rings` says whether it has a doorbell.

    Every moment is on `clock`.  It looks at what the link is like (`exchange`), when to connect again (`retry`) and
    when readings are due (`due`).
    """

    def __init__(
        self,
        exchange: Exchange,
        retry: Retry,
        due: Timetable,
        *,
        connection: ConnectionMode,
        rings: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self.connection = connection
        self.needed_until = -math.inf
        """Until when somebody needs the link, also on demand."""
        self.pause = Pause()
        self.in_use = InUse()
        self._exchange = exchange
        self._retry = retry
        self._due = due
        self._rings = rings
        self._clock = clock
        self._beacon_at = -math.inf  # heard on the present link
        self._challenged_at = -math.inf  # when the challenge in hand came

    # -- what happens -------------------------------------------------------------------------------------------------

    def linked(self) -> None:
        """Note that the link is up."""
        self._beacon_at = -math.inf

    def heard(self) -> None:
        """Note that a beacon with the bit "state changed" was heard."""
        self._beacon_at = self._clock()

    def challenged(self) -> None:
        """Note that a challenge is at hand."""
        self._challenged_at = self._clock()

    # -- the link -----------------------------------------------------------------------------------------------------

    @property
    def is_paused(self) -> bool:
        """Whether the lock is left to others."""
        return self._clock() < self.pause.until

    @property
    def is_held(self) -> bool:
        """Whether the link is held now, not only while there is work.

        With `AUTO` that is while somebody uses the lock or it is on external power; never with a device that rings,
        because it tells of a ring only while nobody is connected.
        """
        if self.connection is ConnectionMode.AUTO:
            return self._clock() < self.in_use.until and not self._rings()
        return self.connection is ConnectionMode.PERSISTENT

    @property
    def is_needed(self) -> bool:
        """Whether somebody needs the link now."""
        return self._clock() < self.needed_until

    @property
    def keeps_link(self) -> bool:
        """Whether a link that is up is kept."""
        return self.is_held or self.is_needed

    @property
    def wants_link(self) -> bool:
        """Whether the link should be up now."""
        if self.is_paused:
            return False
        if self.is_held or self._retry.is_worth_it:
            return True
        return self._clock() >= self._due.states_at

    # -- when something is due ----------------------------------------------------------------------------------------

    def link_at(self) -> float:
        """Return when the link is to be dropped or kept alive."""
        if not self.keeps_link:
            return self._exchange.last_message_at + LINGER_S
        if not self.is_held:
            return self._exchange.last_message_at + KEEPALIVE_S
        return -math.inf if self._exchange.challenge is None else self._challenged_at + KEEPALIVE_S

    def states_at(self) -> float:
        """Return when the states are due: at each keep-alive of a held link if the beacon is no help."""
        heard = self._clock() - self._beacon_at <= BEACONS_WHILE_LINKED_S
        if not self.keeps_link or (heard and self._due.bit_tells):
            return self._due.states_at
        return min(self._due.states_at, self._due.read_at + KEEPALIVE_S)

    def next_due(self, *, was_reachable: bool) -> float:
        """Return when there is something to do next; `was_reachable` says that the lock is published as reachable."""
        now, is_up = self._clock(), self._exchange.link.connected
        if self.is_paused:
            due = [self.pause.until]
            due += [self.needed_until] if self.needed_until > now else []
        elif is_up:
            due = [self.states_at(), self._due.config_at, self._due.advanced_at, self.link_at()]
            due += [each for each in (self.needed_until, self.in_use.until) if each > now]
            if not self._exchange.link.gdio_subscribed:
                due.append(now)
        else:
            due = [self._retry.at if self.wants_link else self._due.states_at]
        if was_reachable and not is_up:
            due.append(self._retry.heard_at + SEEN_FOR_S + 0.1)
        return min(due)
