"""When a lock's states and its configuration are to be read: a few moments and the rules that move them.

No I/O and no clock: every `now` is passed in, in seconds on the clock of the lock.
"""

from __future__ import annotations

import enum
import math

from nuki_bridge.lock.inquiry import POLL_S
from nuki_bridge.lock.profile import Profile
from nuki_bridge.protocol.common import States

SAFETY_POLL_S = 270.0
"""Longest interval in seconds between readings of the states, unless `states_every` is set: much firmware does not
announce a change."""
TOLD_POLL_S = 1800.0
"""Longest interval in seconds between readings of a lock whose beacon has announced each change so far."""
REQUERY_S = (5.0, 270.0)
"""First and longest interval in seconds between readings while the beacon bit stays set; it doubles until one finds a
change."""
MAX_POLL_S = 30.0
"""Longest interval in seconds between readings of a lock in an unsettled state; it doubles from `POLL_S`."""
BLOCKED_POLL_S = 15.0
"""Seconds after which a lock whose motor was blocked is asked again, doubling: some tell after a while, and without a
sign, where the bolt is."""
OPEN_POLL_S = (0.5, 10.0)
"""Interval in seconds between readings of a door that a ring may have opened, and for how long: it is shut again soon,
and the next ring is announced only when no link is held."""
BIT_REQUERY_S = 4.0
"""Seconds after a reading when the next is due if the bit of a doorbell is still set: its link has been dropped and its
beacon heard by then."""
BIT_TRIES = 5
"""Readings of it for one rise of the bit; then the interval grows as that of any lock."""
UNDEFINED_POLL_S = 60.0
"""Seconds after which a device with a doorbell that does not know its state is asked again."""
CONFIG_RETRY_S = 60.0
"""Seconds before a configuration that could not be read, or was another lock's, is read again."""
ADVANCED_TRIES = 3
"""Attempts to read the advanced configuration; after these none is made until the configuration changes."""


class _Why(enum.Enum):
    """What the next reading of the states is for."""

    TIME = enum.auto()
    BIT = enum.auto()
    ASKED = enum.auto()


class Timetable:
    """When to read what; everything is due at the start.

    `profile` is that of the lock's kind.  `clears_bit` says that it is our reading of the states that clears the
    beacon's bit: we are the lock's Bridge.  `every_s` is how often the states are read at least, None for as often as
    seems right.

    Whether the bit can be relied on shows with time.  It can if a reading for its sake has found a change, and none has
    ever found one that the bit had not announced; not while it is set, because nobody can see it rise again then.
    """

    def __init__(self, profile: Profile, now: float, *, clears_bit: bool, every_s: float | None = None) -> None:
        self._profile = profile
        self.states_at = now
        """When the states are due."""
        self.every_s = every_s
        self.read_at = now
        """When they were read last."""
        self.config_at = now
        """When the basic configuration is due."""
        self._advanced_at = now
        self._advanced_tries = 0
        self._advanced_missed = False
        self._clears_bit = clears_bit
        self._changed = False  # the beacon's bit
        self._has_told = False  # of a change
        self._has_missed = False
        self._why = _Why.ASKED
        self._tries = 0  # readings since the bit rose
        self._opening_since = math.inf
        self._again_at = math.inf  # what `states_at` was set to only because the bit was still set
        self._requery_s = REQUERY_S[0]
        self._poll_s = POLL_S
        self._blocked_poll_s = BLOCKED_POLL_S

    @property
    def bit_tells(self) -> bool:
        """Whether nothing has changed as long as the beacon's bit stays clear."""
        return self._clears_bit and self._has_told and not self._has_missed and not self._changed

    @property
    def longest_s(self) -> float:
        """How long the states may stay unread."""
        return self.every_s or (TOLD_POLL_S if self.bit_tells or self._profile.rings else SAFETY_POLL_S)

    @property
    def is_called(self) -> bool:
        """Whether the beacon's bit has risen since the states were read."""
        return self._why is _Why.BIT

    @property
    def is_announced(self) -> bool:
        """Whether the bit was set when it was heard last: something has changed that perhaps nobody has read."""
        return self._changed

    def schedule(self, now: float) -> None:
        """Have the states read at `now`, on account of something that happened."""
        self.states_at = now
        if self._why is _Why.TIME:
            self._why = _Why.ASKED

    def beacon(self, changed: bool | None, now: float) -> bool:
        """Take a beacon with its bit "state changed" (None: it has none); return True if that made the states due.

        The bit is edge-triggered: it makes the states due once; while it stays set (an App authorization cannot clear
        it) they become due again at growing intervals.  Once it is clear they do not, if only we can have cleared
        it: nothing has changed since.
        """
        rose = changed is True and not self._changed
        if rose:
            self._requery_s, self._tries = REQUERY_S[0], 0
            self.states_at, self._why = now, _Why.BIT
        elif changed is False and self._clears_bit and self.states_at == self._again_at:
            self.states_at = self.read_at + self.longest_s
        if changed is not None:
            self._changed = changed
        return rose

    def ring_found(self) -> None:
        """The log has told of a ring: if the bit is still set there may be another one, which it cannot rise for."""
        self._tries = 0
        if self._changed and self._clears_bit:
            self._again_at = self.states_at = min(self.states_at, self.read_at + BIT_REQUERY_S)

    def states_asked(self) -> None:
        """Note that the states are being read: should the answer get lost, a bit that is clear then means nothing."""
        self._again_at = math.inf

    def states_read(self, states: States, now: float, *, before: States | None = None) -> None:
        """Decide from the states just read when they are due again; `before` are those known until then."""
        why, self._why = self._why, _Why.TIME
        if before is not None and without_time(before) != without_time(states):
            self._requery_s = REQUERY_S[0]  # where something happens more may follow, and the bit cannot rise again
            if why is _Why.BIT:
                self._has_told = True
            elif why is _Why.TIME and not self._changed and before.lock_state not in self._profile.unsettled:
                self._has_missed = True
        self.read_at = now
        self._tries += 1
        if self._profile.rings and self._looks_after_ring(states, now):
            return
        if states.lock_state in self._profile.unsettled:
            self.schedule(now + self._poll_s)
            self._poll_s = min(self._poll_s * 2, MAX_POLL_S)
            return
        self._poll_s = POLL_S
        if self._changed:
            self.states_at = self._again_at = now + min(self._requery_s, self.longest_s)
            self._requery_s = min(self._requery_s * 2, REQUERY_S[1])
        else:
            self.states_at = now + self.longest_s
        if states.lock_state != self._profile.blocked:
            self._blocked_poll_s = BLOCKED_POLL_S
        elif now + self._blocked_poll_s < self.states_at:
            self.schedule(now + self._blocked_poll_s)
            self._blocked_poll_s *= 2

    def _looks_after_ring(self, states: States, now: float) -> bool:
        """Have the states of a device with a doorbell read soon again, if there is reason; gives whether there is."""
        is_opening = states.lock_state in self._profile.opening
        self._opening_since = min(self._opening_since, now) if is_opening else math.inf
        if is_opening and now < self._opening_since + OPEN_POLL_S[1]:
            self.schedule(now + OPEN_POLL_S[0])
            return True
        if is_opening:
            return False
        if self._changed and self._clears_bit and self._tries < BIT_TRIES:
            self.states_at = self._again_at = now + BIT_REQUERY_S
            return True
        if states.lock_state == self._profile.undefined:
            self.schedule(now + UNDEFINED_POLL_S)
            return True
        return False

    @property
    def advanced_at(self) -> float:
        """When the advanced configuration is due: not before the basic one has been read."""
        return self._advanced_at if self.config_at == math.inf else max(self._advanced_at, self.config_at)

    @property
    def advanced_is_done(self) -> bool:
        """Whether it was read, is not there, or was asked for in vain: whoever waits for it goes on without."""
        return self._advanced_at == math.inf or self._advanced_missed

    def config_changed(self, now: float) -> None:
        """Have both configurations read: the lock says that something in them changed."""
        self.config_at = self._advanced_at = now
        self._advanced_tries = 0

    def config_asked(self, now: float) -> None:
        """Note that the basic one is being read; should that fail, it is due again later."""
        self.config_at = now + CONFIG_RETRY_S

    def config_read(self) -> None:
        """Note that the basic one is known, until the lock says that it changed."""
        self.config_at = math.inf

    def advanced_asked(self, now: float) -> None:
        """Note that the advanced one is being read; should that fail, it is due again, up to `ADVANCED_TRIES` times."""
        self._advanced_tries += 1
        self._advanced_at = now + CONFIG_RETRY_S if self._advanced_tries < ADVANCED_TRIES else math.inf

    def advanced_missed(self) -> None:
        """Note that the advanced one was asked for in vain."""
        self._advanced_missed = True

    def advanced_read(self) -> None:
        """Note that the advanced one is known, or known not to be there, until the lock says that something changed."""
        self._advanced_at = math.inf
        self._advanced_tries = 0
        self._advanced_missed = False


def without_time(states: States) -> tuple[object, ...]:
    """Return what the lock, a hand or the door changes."""
    last = states.last_action, states.last_trigger, states.last_completion
    return states.lock_state, states.door_state, states.trigger, *last
