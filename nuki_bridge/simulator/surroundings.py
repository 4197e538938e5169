"""What people and doors do to a virtual Smart Lock, without Bluetooth: hand, button, door and calibration.

`people` has what they do to every device.
"""

from __future__ import annotations

from nuki_bridge.protocol.codes import (
    Action,
    Completion,
    DoorState,
    LockState,
    LogType,
    Trigger,
    name_of,
)
from nuki_bridge.simulator.auto_lock import AutoLockWatch
from nuki_bridge.simulator.lock_device import LockDevice
from nuki_bridge.simulator.motion import Motion
from nuki_bridge.simulator.motor import REACHABLE_BY_HAND
from nuki_bridge.simulator.people import People

_BY_HAND = {LockState.LOCKED: Action.LOCK, LockState.UNLOCKED: Action.UNLOCK, LockState.UNLATCHED: Action.UNLATCH}
_DOOR_EVENTS = {DoorState.OPEN: 0, DoorState.CLOSED: 1, DoorState.TAMPERED: 3}
_BUTTON_ACTIONS = {2: Action.UNLOCK, 3: Action.LOCK, 4: Action.UNLATCH, 5: Action.LOCK_N_GO}
_INTELLIGENT = 1


class Surroundings(People):
    """People and things around one Smart Lock."""

    def __init__(self, device: LockDevice, motion: Motion, auto_lock: AutoLockWatch) -> None:
        super().__init__(device, motion)
        self._device: LockDevice = device
        self._motion = motion
        self._auto_lock = auto_lock

    # -- at the door --------------------------------------------------------------------------------------------------

    def turn_by_hand(self, state: LockState) -> None:
        """Turn the key or knob.  Raise `ValueError` for a state that a hand cannot reach."""
        if state not in REACHABLE_BY_HAND:
            allowed = ", ".join(name_of(s) for s in REACHABLE_BY_HAND)
            raise ValueError(f"a hand cannot turn the lock to {name_of(state)!r}; allowed: {allowed}")
        self._device.note("by_hand", detail=name_of(state))
        self._motion.motor.put(state, Trigger.MANUAL)
        self._device.log_action(_BY_HAND[state], Trigger.MANUAL, Completion.SUCCESS)

    def press_button(self, count: int = 1) -> None:
        """Press the button: it stops what is running, otherwise it does what the configuration says."""
        if count not in (1, 2):
            raise ValueError(f"the button is pressed once or twice, not {count} times")
        self._device.note("button", detail=str(count))
        advanced = self._device.advanced
        configured = advanced.single_button_press_action if count == 1 else advanced.double_button_press_action
        action = self._motion.other_way() if configured == _INTELLIGENT else _BUTTON_ACTIONS.get(configured)
        if self._motion.motor.active:
            self._motion.motor.cancel()
        elif not self._device.settings.button_enabled or action is None:
            self._device.on_action(Action.BUTTON_NO_ACTION, Trigger.BUTTON, None, 0)
            self._device.log_action(Action.BUTTON_NO_ACTION, Trigger.BUTTON, Completion.SUCCESS)
        elif self._motion.motor.calibrated and not self._motion.busy:
            self._motion.start_logged(action, Trigger.BUTTON)

    def set_door(self, state: DoorState) -> None:
        """Set what the door sensor sees."""
        if state == self._device.door:
            return
        self._device.door = state
        if self._device.door_logging and state in _DOOR_EVENTS:
            self._device.write_log(LogType.DOOR_SENSOR, _DOOR_EVENTS[state])
        self._device.changed()
        self._auto_lock.schedule()
        if state is DoorState.CLOSED:
            self._auto_lock.door_closed()

    def log_door(self, on: bool) -> None:
        """Switch the logging of the door sensor on or off."""
        if on != self._device.door_logging:
            self._device.door_logging = on
            self._device.write_log(LogType.DOOR_SENSOR_LOGGING, on)

    def charge(self, on: bool = True) -> None:
        """Plug the lock's charger in, or pull it out."""
        self._device.battery_charging = on
        self._device.changed()

    def block_motor(self, blocked: bool = True) -> None:
        """Put something into the way of the bolt, or take it out."""
        self._motion.motor.blocked = blocked
        self._device.on_memory_changed()

    def uncalibrate(self, lost: bool = True) -> None:
        """Lose the calibration, or get it back, which leaves the lock unlocked."""
        if lost:
            self._motion.motor.put(LockState.UNCALIBRATED, Trigger.SYSTEM)
        elif not self._motion.motor.calibrated:
            self._motion.motor.put(LockState.UNLOCKED, Trigger.SYSTEM)
