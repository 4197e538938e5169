"""Control messages for a virtual Smart Lock: hand, door, bolt and auto lock; `control` has what every device has."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from nuki_bridge.protocol.codes import Action, DoorState, LockState, name_of
from nuki_bridge.records import frozen
from nuki_bridge.simulator import control as common
from nuki_bridge.simulator.auto_lock import AutoLockWatch
from nuki_bridge.simulator.connections import Connections
from nuki_bridge.simulator.control import Check, Do, duration, if_true, keypad, switch, word
from nuki_bridge.simulator.lock_device import LockDevice
from nuki_bridge.simulator.motion import Motion
from nuki_bridge.simulator.surroundings import Surroundings


@frozen
class Parts:
    """The parts of one Smart Lock that a control reaches."""

    device: LockDevice
    motion: Motion
    auto_lock: AutoLockWatch
    surroundings: Surroundings
    connections: Connections

    def set_clock(self, now: datetime) -> None:
        """Set the lock's clock; raise `ValueError` outside the years 2000 to 2099."""
        self.auto_lock.set_clock(now)

    def snapshot(self) -> dict[str, Any]:
        """Return what somebody who stands before the lock would tell of it."""
        return {
            **common.who_it_is(self.device),
            "state": name_of(self.motion.motor.state),
            "door": name_of(self.device.door),
            "battery": self.device.battery_percent,
            "battery_critical": self.device.battery_critical,
            "motor_blocked": self.motion.motor.blocked,
            **common.how_it_is(self.device, self.connections),
        }


_HAND_STATES = {"locked": LockState.LOCKED, "unlocked": LockState.UNLOCKED, "unlatched": LockState.UNLATCHED}
_DOOR_STATES = {
    "closed": DoorState.CLOSED,
    "open": DoorState.OPEN,
    "unknown": DoorState.UNKNOWN,
    "deactivated": DoorState.DEACTIVATED,
    "unavailable": DoorState.UNAVAILABLE,
    "calibrating": DoorState.CALIBRATING,
    "uncalibrated": DoorState.UNCALIBRATED,
    "tampered": DoorState.TAMPERED,
}


def control(lock: Parts, command: dict[str, Any]) -> dict[str, Any]:
    """Carry out `command` and return the answer; raise `ValueError` as `control.control` does."""
    return common.control(lock, CONTROLS, command)


def _turn(key: str, value: Any) -> Do:
    state = word(key, value, _HAND_STATES)
    return lambda lock: lock.surroundings.turn_by_hand(state)


def _door(key: str, value: Any) -> Do:
    state = word(key, value, _DOOR_STATES)
    return lambda lock: lock.surroundings.set_door(state)


def _set_motor_s(lock: Parts, seconds: float) -> None:
    lock.device.behaviour.motor_s = seconds


_KEYPAD_ACTIONS = {name_of(a): a for a in (Action.UNLOCK, Action.LOCK, Action.UNLATCH, Action.LOCK_N_GO)}

CONTROLS: dict[str, Check] = {
    **common.COMMON,
    "turn": _turn,
    "keypad": keypad(_KEYPAD_ACTIONS),
    "auto_lock": if_true(lambda lock: lock.auto_lock.lock_now()),
    "door_logging": switch(lambda lock, on: lock.surroundings.log_door(on)),
    "charging": switch(lambda lock, on: lock.surroundings.charge(on)),
    "block_motor": switch(lambda lock, on: lock.surroundings.block_motor(on)),
    "door": _door,
    "motor_s": duration(_set_motor_s),
}
"""Every control of a Smart Lock by its key, with the check of its value."""
