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
from nuki_bridge.lock.profile import Profile
from nuki_bridge.lock.retry import SEEN_FOR_S, Retry
from nuki_bridge.lock.timetable import Timetable

KEEPALIVE_S = 10.0
"""Seconds after which something is asked over an idle link: the lock drops one that was idle for about 20 s."""
CHALLENGE_S = 60.0
"""Age in seconds at which the challenge in hand on a held link is asked for anew.

No lock is known to refuse one for its age.  One that does so shows by refusing a command, which is sent again; from
then on, and for a device with actions that are not sent again, the age is `KEEPALIVE_S`."""
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
    """When to hold the link of one lock; `profile` gives what its kind can do.

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
        profile: Callable[[], Profile],
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
        self._profile = profile
        self._clock = clock
        self._beacon_at = -math.inf  # heard on the present link

    # -- what happens -------------------------------------------------------------------------------------------------

    def linked(self) -> None:
        """Note that the link is up."""
        self._beacon_at = -math.inf

    def heard(self) -> None:
        """Note that a beacon with the bit "state changed" was heard."""
        self._beacon_at = self._clock()

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
            return self._clock() < self.in_use.until and not self._profile().rings
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
        """Return when the link is to be dropped, or a challenge asked for on it.

        That keeps it alive where the states do not: one request for each keep-alive is enough.
        """
        exchange = self._exchange
        if not self.keeps_link:
            return exchange.last_message_at + LINGER_S
        idle_at = exchange.last_message_at + KEEPALIVE_S if self._beacon_helps else math.inf
        if not self.is_held:
            return idle_at
        return -math.inf if exchange.challenge is None else min(idle_at, exchange.challenged_at + self._challenge_s)

    @property
    def _challenge_s(self) -> float:
        """Seconds after which the challenge in hand is asked for anew."""
        grows_old = self._exchange.outdated_s > KEEPALIVE_S
        return KEEPALIVE_S if grows_old or self._profile().sent_once else CHALLENGE_S

    def states_at(self) -> float:
        """Return when the states are due: at each keep-alive of a held link if the beacon is no help."""
        if not self.keeps_link or self._beacon_helps:
            return self._due.states_at
        return min(self._due.states_at, self._due.read_at + KEEPALIVE_S)

    @property
    def _beacon_helps(self) -> bool:
        """Whether the lock is heard beside the link, and its beacon tells of each change."""
        return self._clock() - self._beacon_at <= BEACONS_WHILE_LINKED_S and self._due.bit_tells

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
