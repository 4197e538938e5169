"""When a virtual lock locks by itself: auto lock, and at the start of the night (smartlock.md 11, Advanced Config).

The document tells what each setting is called and little more.  Read so here: the time of auto lock runs from the
moment the lock rests unlocked, it does not lock into an open door but begins anew when that closes, and night mode's
own auto lock is one that counts in the night alone.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nuki_bridge.protocol.codes import DoorState, LockState
from nuki_bridge.simulator import timezones
from nuki_bridge.simulator.transport import Timer

if TYPE_CHECKING:
    from nuki_bridge.simulator.surroundings import Surroundings

_UNLOCKED = (LockState.UNLOCKED, LockState.UNLATCHED)


class AutoLockWatch:
    """The timers of one lock; `look` is called whenever its bolt or its door has moved."""

    def __init__(self, lock: Surroundings) -> None:
        self._lock = lock
        self._timer: Timer | None = None
        self._night: Timer | None = None

    @property
    def is_night(self) -> bool:
        """Night mode is active now, by the lock's wall clock."""
        return self._lock.advanced.is_night(self._wall_clock().time())

    @property
    def is_on(self) -> bool:
        """Auto lock is on now."""
        lock = self._lock
        size = lock.behaviour.advanced_config_size_of(lock.family)
        by_day = lock.advanced.auto_lock_on(size)
        return by_day or (lock.advanced.night_mode_auto_lock and self.is_night)

    def look(self) -> None:
        """Start the time of auto lock, or forget it."""
        lock = self._lock
        rests_unlocked = lock.motor.state in _UNLOCKED and not lock.motor.active
        if not (rests_unlocked and lock.door != DoorState.OPEN and self.is_on):
            self._forget()
        elif self._timer is None:
            self._timer = lock.call_later(lock.advanced.auto_lock_timeout, self._over)

    def door_closed(self) -> None:
        """With immediate auto lock it locks at once."""
        if self.is_on and self._lock.advanced.immediate_auto_lock:
            self._lock.auto_lock()

    def settings_changed(self) -> None:
        """Begin anew: another timeout, or the lock has just been started."""
        self._forget()
        self.look()
        self.clock_changed()

    def clock_changed(self) -> None:
        """Find out anew when the night begins or ends."""
        if self._night is not None:
            self._night.cancel()
            self._night = None
        if self._lock.advanced.night_mode_enabled:
            self._night = self._lock.call_later(self._until_next_border(), self._night_has_turned)

    def _over(self) -> None:
        self._timer = None
        self._lock.auto_lock()
        self.look()

    def _night_has_turned(self) -> None:
        """The night begins or ends: auto lock may be on or off now."""
        self._night = None
        advanced = self._lock.advanced
        if self.is_night and advanced.night_mode_immediate_lock_on_start and self._lock.door != DoorState.OPEN:
            self._lock.auto_lock()
        self._lock.changed()
        self.look()
        self.clock_changed()

    def _until_next_border(self) -> float:
        now, advanced = self._wall_clock(), self._lock.advanced
        borders = (
            datetime.combine(now, timezones.hand(each)) for each in (advanced.night_mode_start, advanced.night_mode_end)
        )
        return min((border - now) / timedelta(seconds=1) % 86400 or 86400.0 for border in borders)

    def _wall_clock(self) -> datetime:
        """Without a zone, as it stands on the wall."""
        return self._lock.now().replace(tzinfo=None) + timedelta(minutes=self._lock.timezone_offset_min)

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
