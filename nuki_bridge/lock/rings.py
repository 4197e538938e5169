"""Rings of a doorbell: what a device's reports and its log tell of them, and what only looks like one (opener.md 9).

There is no message about a ring.  It sets the beacon's bit, may open the door, and writes an entry into the log.  Pure:
no I/O; `clock` gives seconds.

Without the log a ring that did not open is only what is left when the bit says that something changed and the states
say that nothing did.  So it counts once for each rise of the bit, if the device was heard all the time before, and
never right after an action of ours, nor on the first report of all.

On some wirings the strike itself is taken for a ring: what comes within a window after it is its echo.  After a ring
that has opened the door that is only one which has not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from nuki_bridge.protocol.codes import LogType, NukiState, Trigger
from nuki_bridge.protocol.opener import Ring, ring_of
from nuki_bridge.protocol.opener_advanced_config import OpenerAdvancedConfig
from nuki_bridge.records import frozen

if TYPE_CHECKING:
    from nuki_bridge.lock.profile import Profile
    from nuki_bridge.protocol.common import AnyAdvancedConfig, States
    from nuki_bridge.protocol.log_entries import LogEntry

Opened = Literal["rto", "continuous_mode"]
"""What has opened the door when the bell rang: ring to open, or continuous mode."""

ECHO_S: Final = 10.0
"""Seconds after the strike has come back for which a ring may be its echo."""
UNKNOWN_ECHO_S: Final = 15.0
"""Seconds after a strike for which a ring may be its echo, while it is not known how long that acts."""
RANDOM_DELAY_S: Final = 7.0
"""Longest delay in seconds of a strike that is delayed by chance."""
STRIKE_S: Final = 15.0
"""Longest time in seconds from the sending of a strike to its end."""
OWN_S: Final = 5.0
"""Seconds after an action of ours for which the beacon's bit may be on account of that."""
SILENT_S: Final = 60.0
"""Seconds without a word of the device after which a change that it announces may be of any time before, however
seldom it is heard."""
UNUSUAL_S: Final = 4.0
"""Shortest silence in seconds of a device that is heard about once a second in which somebody may have been linked."""
UNUSUAL_TIMES: Final = 2
"""How often as long as the longest of the last silences another may be without being out of the ordinary."""
FEW_BEACONS: Final = 10
"""Silences that must be known before one is out of the ordinary."""
SAME_S: Final = 30.0
"""Seconds by which a ring in the reports and its entry in the log may differ."""
OLD_S: Final = 120.0
"""Seconds after which a ring in the log is history: nobody stands at the door any more."""


def echo_s(advanced: AnyAdvancedConfig | None) -> float:
    """Return for how many seconds after a strike a ring may be its echo."""
    if not isinstance(advanced, OpenerAdvancedConfig):
        return UNKNOWN_ECHO_S
    delay_s = advanced.electric_strike_delay / 1000 + (RANDOM_DELAY_S if advanced.random_electric_strike_delay else 0)
    return delay_s + advanced.electric_strike_duration / 1000 + ECHO_S


class Hearing:
    """How regularly a device is heard while no link of ours is up.

    It does not advertise while anybody else is linked, whose coming and going sets the beacon's bit, too.  A silence
    that is out of the ordinary may have been such a link; what the ordinary is depends on the distance.
    """

    def __init__(self) -> None:
        self._silences: deque[float] = deque(maxlen=20)

    def heard(self, silent_s: float) -> bool:
        """Take the seconds since it was heard or linked last; return whether it was surely there all the time."""
        limit_s = SILENT_S
        if len(self._silences) >= FEW_BEACONS:
            limit_s = min(max(UNUSUAL_S, UNUSUAL_TIMES * max(self._silences)), SILENT_S)
        if silent_s <= SILENT_S:
            self._silences.append(silent_s)
        return silent_s <= limit_s


@frozen
class Rang:
    """A ring that the reports tell of: by what it opened the door, None if it did not."""

    opened: Opened | None


class Rings:
    """The doorbell of one device by its reports; `window_s` gives how long an echo may follow a strike."""

    def __init__(self, clock: Callable[[], float], window_s: Callable[[], float]) -> None:
        self._clock = clock
        self._window_s = window_s
        self._acted_at = clock()  # as if we had acted: pairing sets the bit, too
        self._is_base = True  # the next reading only says how things are
        self._echo_until = -float("inf")
        self._opened_until = -float("inf")  # a ring in vain may be the echo of one that opened

    @property
    def may_be_echo(self) -> bool:
        """Whether a ring that is found now may be the echo of a strike."""
        return self._clock() < self._echo_until

    def acts(self, profile: Profile, action: int) -> None:
        """Note that an action of ours is about to be sent."""
        self._is_base = True
        if action in profile.opens or action in profile.configured:
            self._strikes(STRIKE_S)

    def acted(self, profile: Profile, action: int) -> None:
        """Note that it is over, one way or the other."""
        self._acted_at, self._is_base = self._clock(), True
        if action in profile.opens or action in profile.configured:
            self._echo_until = self._clock()
            self._strikes(0.0)

    def _strikes(self, longest_s: float) -> None:
        self._echo_until = max(self._echo_until, self._clock() + longest_s + self._window_s())

    def reported(self, profile: Profile, before: States | None, states: States) -> Rang | None:
        """Return the ring that a report shows because the door opens on account of it, None if it shows none."""
        if before is None or before.lock_state in profile.opening or states.lock_state not in profile.opening:
            return None
        if states.trigger != Trigger.MANUAL:
            self._strikes(0.0)  # somebody else's
            return None
        if self.may_be_echo:
            return None
        opened: Opened | None = "rto" if before.lock_state in profile.armed else None
        if states.nuki_state == NukiState.CONTINUOUS_MODE:
            opened = "continuous_mode"
        if opened is None:
            return None
        self._opened_until = self._clock() + self._window_s()
        return Rang(opened)

    def announced(self, profile: Profile, before: States | None, states: States) -> Rang | None:
        """Return the ring in vain that a reading shows which the beacon's bit had called for, None if it shows none.

        `states` were read after the bit rose, `before` are those known until then.
        """
        is_base, self._is_base = self._is_base, False
        now = self._clock()
        if before is None or is_base or now < max(self._echo_until, self._opened_until, self._acted_at + OWN_S):
            return None
        is_idle = before.lock_state == states.lock_state == profile.idle
        return Rang(None) if is_idle and not _else_changed(before, states) else None

    def read(self) -> None:
        """Note that the states were read, on whatever account: what changed before is known now."""
        self._is_base = False


def _else_changed(before: States, now: States) -> bool:
    """Return whether something else than a ring has changed.

    What a ring in vain does to the trigger and to the completion of the last action is not known.
    """
    another_trigger = now.trigger not in (before.trigger, Trigger.MANUAL)
    return another_trigger or _rest(before) != _rest(now)


def _rest(states: States) -> tuple[object, ...]:
    last = states.last_action, states.last_trigger
    return states.nuki_state, states.config_update_count, states.battery_state, *last


@frozen
class LoggedRing:
    """A ring in the log; `at` is when it was, in UTC, None if that is not told."""

    index: int
    ring: Ring
    at: datetime | None

    @property
    def opened(self) -> Opened | None:
        """By what it opened the door."""
        if self.ring.continuous_mode:
            return "continuous_mode"
        return "rto" if self.ring.ring_to_open else None


class RingLog:
    """The rings in a device's log, its entries given in their order; those that were told already are left out."""

    def __init__(self, profile: Profile, window_s: Callable[[], float]) -> None:
        self._profile = profile
        self._window_s = window_s
        self._strikes: deque[LogEntry] = deque(maxlen=20)
        self._openings: deque[LogEntry] = deque(maxlen=20)  # by a ring
        self._told: deque[tuple[datetime | None, Opened | None]] = deque(maxlen=20)
        self._told_by_log: deque[tuple[datetime | None, Opened | None]] = deque(maxlen=20)

    def told_by_log(self, found: LoggedRing) -> None:
        """Note that a ring was told of from its entry, so that the states that show it do not tell it again."""
        self._told_by_log.append((found.at, found.opened))

    def was_told(self, states: States, opened: Opened | None) -> bool:
        """Return whether the ring that `states` show was told of from its entry, for which it counts once."""
        return _taken(self._told_by_log, states.current_time, opened)

    def told(self, states: States, opened: Opened | None) -> None:
        """Note that a ring was told of which `states` have shown, so that its entry is not told again."""
        self._told.append((states.current_time, opened))

    def look(self, entries: Sequence[LogEntry]) -> None:
        """Take entries that come next, before any of them is asked about."""
        for entry in entries:
            is_strike = entry.kind == LogType.LOCK_ACTION and entry.data_0 in self._profile.opens
            if is_strike and entry not in self._strikes:
                self._strikes.append(entry)
            ring = ring_of(entry)
            if ring is not None and (ring.ring_to_open or ring.continuous_mode) and entry not in self._openings:
                self._openings.append(entry)

    def news(self, entry: LogEntry, now: datetime | None, offset_min: int) -> LoggedRing | None:
        """Return the ring of an entry if it is one that nobody was told of and somebody is at the door still.

        `now` is the device's time, None if it is not known, `offset_min` the minutes from UTC to its wall clock.  It is
        not known whether the log's times are in UTC or local: it counts as young if it is so by either.
        """
        ring = ring_of(entry)
        if ring is None or self._is_echo(entry):
            return None
        found = LoggedRing(entry.index, ring, _in_utc(entry.time, now, offset_min))
        is_old = found.at is None and entry.time is not None and now is not None
        return None if is_old or self._is_told(found) else found

    def _is_echo(self, entry: LogEntry) -> bool:
        at, window = entry.time, timedelta(seconds=self._window_s())
        openings = [each for each in self._openings if each.index < entry.index and entry not in self._openings]
        strikes = [each.time for each in (*self._strikes, *openings) if each.time is not None]
        return at is not None and any(timedelta(0) <= at - strike <= window for strike in strikes)

    def is_before_a_strike(self, entry: LogEntry) -> bool:
        """Return whether a ring's entry stands before that of a strike, whose echo it is not then."""
        return any(each.index > entry.index for each in self._strikes)

    def _is_told(self, found: LoggedRing) -> bool:
        return _taken(self._told, found.at, found.opened)


def _taken(told: deque[tuple[datetime | None, Opened | None]], at: datetime | None, opened: Opened | None) -> bool:
    """Take the ring out of those that were told; False if it is not among them."""
    for each in told:
        same = at is None or each[0] is None or abs(each[0] - at) <= timedelta(seconds=SAME_S)
        if same and opened == each[1]:
            told.remove(each)
            return True
    return False


def _in_utc(time: datetime | None, now: datetime | None, offset_min: int) -> datetime | None:
    """Return when an entry of the last `OLD_S` was written; None if it is older, or nobody knows."""
    if time is None or now is None:
        return None
    for minutes in (0, offset_min):
        at = time - timedelta(minutes=minutes)
        if abs(now - at) <= timedelta(seconds=OLD_S):
            return at
    return None
