"""A doorbell's rings as events: found in the reports or in the log, each told once, when it rings.

Without the log the reports have to do (`lock/rings.py`).  With it a ring that has opened the door is told from the
report, for speed, and its entry is left out, or the other way round if the entry was read first; any other is told from
its entry alone, which knows it for certain.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.lock import state_json, wall_clock
from nuki_bridge.lock.rings import Opened, Rang, RingLog, echo_s

if TYPE_CHECKING:
    from nuki_bridge.lock.admin import Admin
    from nuki_bridge.lock.lock import Lock
    from nuki_bridge.protocol.log_entries import LogEntry

log = logging.getLogger(__name__)

LATE_S: Final = 1.0
"""Seconds after which the log is asked again for a ring of which it has no entry yet."""
LATE_TIMES: Final = 3
"""How often it is asked for one ring."""
DOUBT_S: Final = 10.0
"""Seconds for which a ring that only the beacon has announced waits for a log that cannot be read."""


class Bell:
    """The doorbell of one lock.

    `tell` publishes an event, `read_log` has the log read soon.  While `wanted` is false no ring is told, as with a
    wiring that seems to ring for ever.  Of a lock without a doorbell nothing is ever heard.
    """

    def __init__(
        self,
        lock: Lock,
        admin: Admin,
        *,
        tell: Callable[[dict[str, Any]], bool],
        read_log: Callable[[], None],
        wanted: Callable[[], bool],
    ) -> None:
        self._lock = lock
        self._admin = admin
        self._tell = tell
        self._read_log = read_log
        self.wanted = wanted
        self._log = RingLog(lock.profile, lambda: echo_s(lock.advanced_config))
        self._doubtful_at = -math.inf  # a ring was announced that the log has still to prove
        self._tries = 0

    # -- by the reports -----------------------------------------------------------------------------------------------

    def rang(self, rang: Rang | None) -> None:
        """The beacon has called for the states, or they show that a ring opens the door; `rang` is what they tell."""
        if not self.wanted():
            return
        has_log = self._admin.has_pin
        if rang is not None and (rang.opened is not None or not has_log):
            self._tell_report(rang.opened)
        elif rang is not None:
            self._doubtful_at = self._lock.clock()
        if has_log:
            self._tries = LATE_TIMES
            self._read_log()

    def _tell_report(self, opened: Opened | None) -> None:
        self._doubtful_at = -math.inf
        states = self._lock.states
        if states is not None:
            if opened is not None and self._log.was_told(states, opened):
                return
            self._log.told(states, opened)
        self._publish(opened, state_json.lock_time(self._lock), suppressed=None, found_by="state", index=None)

    def _publish(
        self, opened: Opened | None, time: str | None, *, suppressed: bool | None, found_by: str, index: int | None
    ) -> None:
        if not self.wanted():
            return
        event = {"type": "ring", "time": time, "opened": opened, "suppressed": suppressed}
        self._tell({**event, "found_by": found_by, "index": index})

    # -- by the log ---------------------------------------------------------------------------------------------------

    def look(self, entries: Sequence[LogEntry]) -> None:
        """Take entries of the log, before any of them is told."""
        self._log.look(entries)

    def heard(self, entry: LogEntry) -> None:
        """Tell of the ring of an entry, unless that was told, is an echo, or is old."""
        lock = self._lock
        lock.ring_found()
        assert lock.states is not None
        found = self._log.news(entry, lock.device_time(), lock.states.timezone_offset_min)
        self._doubtful_at, self._tries = -math.inf, 0
        if found is None or (lock.rings.may_be_echo and not self._log.is_before_a_strike(entry)):
            log.debug("%s: the ring %d was told, or is an echo or old", lock.name, entry.index)
            return
        self._log.told_by_log(found)
        time = wall_clock.rfc3339(found.at or entry.time, wall_clock.zone_in(lock))
        self._publish(found.opened, time, suppressed=found.ring.suppressed, found_by="log", index=found.index)

    def again_s(self) -> float | None:
        """Return the seconds after which the log is to be asked again, which was read without an error; None if it has
        told all.  A log that is switched off knows of no ring: then the one that was announced is told."""
        if self._admin.log_is_off:
            self.give_up()
            return None
        if self._tries > 1 and self._doubtful_at > -math.inf:
            self._tries -= 1
            return LATE_S
        self._doubtful_at, self._tries = -math.inf, 0
        return None

    def give_up(self) -> None:
        """The log cannot be read: tell of the ring that the beacon has announced, if somebody is at the door still."""
        if self._lock.clock() - self._doubtful_at <= DOUBT_S:
            self._tell_report(None)
        self._doubtful_at, self._tries = -math.inf, 0
