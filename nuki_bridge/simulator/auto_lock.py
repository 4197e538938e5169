"""When a virtual lock locks by itself: auto lock, and at the start of the night (smartlock.md 11, Advanced Config).

The document tells what each setting is called and little more.  Read so here: the time of auto lock runs from the
moment the lock rests unlocked, it does not lock into an open door but begins anew when that closes, and night mode's
own auto lock is one that counts in the night alone.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from nuki_bridge.protocol.codes import Action, DoorState, LockState, Trigger
from nuki_bridge.simulator import timezones
from nuki_bridge.simulator.device import Device
from nuki_bridge.simulator.motion import Motion
from nuki_bridge.simulator.transport import Timer

_UNLOCKED = (LockState.UNLOCKED, LockState.UNLATCHED)


class AutoLockWatch:
    """The timers of one lock; `look` is called whenever its bolt or its door has moved."""

    def __init__(self, device: Device, motion: Motion) -> None:
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

    def look(self) -> None:
        """Start the time of auto lock, or forget it."""
        device, motor = self._device, self._motion.motor
        rests_unlocked = motor.state in _UNLOCKED and not motor.active
        if not (rests_unlocked and device.door != DoorState.OPEN and self.is_on):
            self._forget()
        elif self._timer is None:
            self._timer = device.call_later(device.advanced.auto_lock_timeout, self._over)

    def door_closed(self) -> None:
        """With immediate auto lock it locks at once."""
        if self.is_on and self._device.advanced.immediate_auto_lock:
            self.lock_now()

    def settings_changed(self) -> None:
        """Begin anew: another timeout, or the lock has just been started."""
        self._forget()
        self.look()
        self.clock_changed()

    def set_clock(self, now: datetime) -> None:
        """Set the lock's clock, which runs on from `now`.  Raise `ValueError` outside the years 2000 to 2099."""
        self._device.clock.set(now)
        self._device.on_memory_changed()
        self.clock_changed()

    def clock_changed(self) -> None:
        """Find out anew when the night begins or ends."""
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
        self.look()

    def _night_has_turned(self) -> None:
        """The night begins or ends: auto lock may be on or off now."""
        self._night = None
        advanced = self._device.advanced
        if (
            self._device.is_night
            and advanced.night_mode_immediate_lock_on_start
            and self._device.door != DoorState.OPEN
        ):
            self.lock_now()
        self._device.changed()
        self.look()
        self.clock_changed()

    def _until_next_border(self) -> float:
        now, advanced = self._device.clock.wall_clock(), self._device.advanced
        borders = (
            datetime.combine(now, timezones.hand(each)) for each in (advanced.night_mode_start, advanced.night_mode_end)
        )
        return min((border - now) / timedelta(seconds=1) % 86400 or 86400.0 for border in borders)

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
