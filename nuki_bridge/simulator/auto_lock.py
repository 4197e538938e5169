"""When a virtual lock locks by itself: auto lock, and the start of the night (smartlock.md 11, Advanced Config).

The document gives the settings their names and says little more.  Here the time of auto lock begins when the lock rests
unlocked; it does not run while the door is open, and begins again when the door closes.  The auto lock of night mode
counts only at night.  Only a Smart Lock locks by itself: an Opener has none of this.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from nuki_bridge.protocol.codes import Action, DoorState, LockState, Trigger
from nuki_bridge.simulator import timezones
from nuki_bridge.simulator.lock_device import LockDevice
from nuki_bridge.simulator.motion import Motion
from nuki_bridge.simulator.transport import Timer

_UNLOCKED = (LockState.UNLOCKED, LockState.UNLATCHED)


class AutoLockWatch:
    """The timers of one lock, and its clock; whoever moves the bolt or the door calls `schedule`."""

    def __init__(self, device: LockDevice, motion: Motion) -> None:
        self._device = device
        self._motion = motion
        self._timer: Timer | None = None
        self._night: Timer | None = None

    @property
    def is_on(self) -> bool:
        """Auto lock is on now."""
        device = self._device
        size = device.behaviour.advanced_config_size_of(device.family)
        by_day = device.advanced.auto_lock_on(size)
        return by_day or (device.advanced.night_mode_auto_lock and device.is_night)

    def schedule(self) -> None:
        """Start the timer of auto lock, or stop it."""
        device, motor = self._device, self._motion.motor
        rests_unlocked = motor.state in _UNLOCKED and not motor.active
        if not (rests_unlocked and device.door != DoorState.OPEN and self.is_on):
            self._stop()
        elif self._timer is None:
            self._timer = device.call_later(device.advanced.auto_lock_timeout, self._over)

    def door_closed(self) -> None:
        """Lock at once if immediate auto lock is on."""
        if self.is_on and self._device.advanced.immediate_auto_lock:
            self.lock_now()

    def settings_changed(self) -> None:
        """Start all timers again, after a change of the settings or at the start of the lock."""
        self._stop()
        self.schedule()
        self.clock_changed()

    def set_clock(self, now: datetime) -> None:
        """Set the lock's clock, which runs on from `now`.  Raise `ValueError` outside the years 2000 to 2099."""
        self._device.set_clock(now)
        self.clock_changed()

    def clock_changed(self) -> None:
        """Start the timer for the beginning or end of the night again."""
        if self._night is not None:
            self._night.cancel()
            self._night = None
        if self._device.advanced.night_mode_enabled:
            self._night = self._device.call_later(self._until_next_border(), self._night_has_turned)

    def lock_now(self) -> None:
        """Lock as at the end of the auto lock timeout, if the lock is unlocked and has nothing else to do."""
        motor = self._motion.motor
        if motor.active or self._motion.busy or motor.state not in _UNLOCKED:
            return
        self._device.note("auto_lock")
        self._motion.start_logged(Action.LOCK, Trigger.AUTO_LOCK)

    def _over(self) -> None:
        self._timer = None
        self.lock_now()
        self.schedule()

    def _night_has_turned(self) -> None:
        """Do what the beginning or end of the night brings: auto lock may be on or off now."""
        self._night = None
        advanced = self._device.advanced
        if (
            self._device.is_night
            and advanced.night_mode_immediate_lock_on_start
            and self._device.door != DoorState.OPEN
        ):
            self.lock_now()
        self._device.changed()
        self.schedule()
        self.clock_changed()

    def _until_next_border(self) -> float:
        now, advanced = self._device.clock.wall_clock(), self._device.advanced
        borders = (
            datetime.combine(now, timezones.hand(each)) for each in (advanced.night_mode_start, advanced.night_mode_end)
        )
        return min((border - now) / timedelta(seconds=1) % 86400 or 86400.0 for border in borders)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
