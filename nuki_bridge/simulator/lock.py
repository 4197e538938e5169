"""One virtual Nuki Smart Lock without I/O.

`VirtualLock` builds the parts of a Smart Lock: beside those of every device (`virtual_device`), `motion` is what moves
its bolt and `auto_lock` what it does by itself.  `virtual_device` and `remembered` build a device of any kind.

Each module says at its beginning what is for a Smart Lock alone.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

from nuki_bridge.protocol.codes import DoorState, Family
from nuki_bridge.protocol.messages import KeyturnerStates
from nuki_bridge.simulator import lock_control, memory
from nuki_bridge.simulator.auto_lock import AutoLockWatch
from nuki_bridge.simulator.behaviour import Behaviour, Random
from nuki_bridge.simulator.client_request import LockRequest
from nuki_bridge.simulator.connections import Connections
from nuki_bridge.simulator.lock_device import LockDevice
from nuki_bridge.simulator.motion import Motion
from nuki_bridge.simulator.opener import VirtualOpener
from nuki_bridge.simulator.states import keyturner_states
from nuki_bridge.simulator.surroundings import Surroundings
from nuki_bridge.simulator.transport import Transport
from nuki_bridge.simulator.virtual_device import VirtualDevice


class VirtualLock(VirtualDevice):
    """A Smart Lock as a client and as the people around it see it."""

    device: LockDevice
    motion: Motion

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the arguments of `Device`."""
        device = LockDevice(*args, **kwargs)
        motion = Motion(device, on_state=self._on_state, on_rest=self._on_rest)
        auto_lock = self.auto_lock_watch = AutoLockWatch(device, motion)
        surroundings = self.surroundings = Surroundings(device, motion, auto_lock)
        make = partial(LockRequest, device=device, motion=motion, auto_lock=auto_lock)
        super().__init__(device, motion, surroundings, Connections(device, motion, make))

        self.settings = device.settings
        self.advanced = device.advanced
        self.motor = motion.motor
        self.be_busy = motion.be_busy
        self.auto_lock = auto_lock.lock_now
        self.set_clock = auto_lock.set_clock
        self.turn_by_hand = surroundings.turn_by_hand
        self.set_door = surroundings.set_door
        self.log_door = surroundings.log_door
        self.charge = surroundings.charge
        self.block_motor = surroundings.block_motor

    def attach(self, transport: Transport) -> None:
        """Give the lock its transport and clock; from then on it can lock by itself."""
        super().attach(transport)
        self.auto_lock_watch.settings_changed()

    @property
    def door(self) -> DoorState | int:
        """State of the door sensor."""
        return self.device.door

    def keyturner_states(self) -> KeyturnerStates:
        """Return all that the lock can tell of its states."""
        return keyturner_states(self.device, self.motor)

    # -- controls and memory ------------------------------------------------------------------------------------------

    def control(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out a control message (`lock_control.py`) and return the answer; raise `ValueError` with a sentence."""
        parts = lock_control.Parts(self.device, self.motion, self.auto_lock_watch, self.surroundings, self.connections)
        return lock_control.control(parts, command)

    def to_dict(self) -> dict[str, Any]:
        """Return the lock's memory, keys and PIN included: for a file that only its owner can read."""
        return memory.to_dict(self.device) | memory.lock_to_dict(self.device, self.motor)

    @classmethod
    def from_dict(
        cls, data: dict[str, Any], *, behaviour: Behaviour | None = None, random: Random = secrets.token_bytes
    ) -> VirtualLock:
        """Return a lock that remembers what `to_dict` returned.  Raise `ValueError` if `data` makes no sense."""
        with memory.reading(data):
            lock = cls(**memory.identity(data), behaviour=behaviour, random=random)
            memory.restore(lock.device, data)
            memory.restore_lock(lock.device, lock.motor, data)
        return lock

    # -- what its parts tell each other -------------------------------------------------------------------------------

    def _on_state(self) -> None:
        self.connections.report_states()
        self.auto_lock_watch.schedule()

    def _on_rest(self) -> None:
        self.auto_lock_watch.schedule()


def virtual_device(address: str, nuki_id: int, *, family: Family = Family.CLASSIC, **options: Any) -> VirtualDevice:
    """Return a device of this family; `options` are those of `Device`."""
    kind = VirtualOpener if family is Family.OPENER else VirtualLock
    return kind(address, nuki_id, family=family, **options)


def remembered(data: dict[str, Any]) -> VirtualDevice:
    """Return the device that `to_dict` of any kind described; raise `ValueError` if `data` makes no sense."""
    if isinstance(data, dict) and data.get("family") == Family.OPENER:
        return VirtualOpener.from_dict(data)
    return VirtualLock.from_dict(data)
