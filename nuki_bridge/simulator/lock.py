"""One virtual Nuki Smart Lock without I/O: bytes in from a transport, bytes out to it.

`VirtualLock` builds the parts of a lock and joins them: `device.Device` is what it knows, `motion` what moves its bolt,
`auto_lock` what it does by itself, `surroundings` the people around it, `connections` its Bluetooth side.  A transport
(`radio.py` in memory, a Bluetooth peripheral elsewhere) is given by `attach` before anything else happens.

Only a Smart Lock is simulated.  An Opener could share `connections`, `handshake`, `requests`, `clock`, `transport` and
the tables of users, codes and log.  It would need its own `motor`, `states`, settings and `surroundings`, and no
`auto_lock`.  Each module says at its beginning what is for a Smart Lock alone.
"""

from __future__ import annotations

import secrets
from typing import Any

from nuki_bridge.protocol.codes import DoorState, Family
from nuki_bridge.protocol.messages import KeyturnerStates
from nuki_bridge.simulator import control, memory
from nuki_bridge.simulator.auto_lock import AutoLockWatch
from nuki_bridge.simulator.behaviour import Behaviour, Random
from nuki_bridge.simulator.connections import Connections
from nuki_bridge.simulator.device import Device
from nuki_bridge.simulator.motion import Motion
from nuki_bridge.simulator.states import keyturner_states
from nuki_bridge.simulator.surroundings import Surroundings
from nuki_bridge.simulator.transport import Transport


class VirtualLock:
    """A Smart Lock as a client and as the people around it see it.

    Tests, demo and controls use the members of this class, whichever part they belong to.  To change what the lock
    knows, set the attribute of the part: `device`, `motion` or `connections`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the arguments of `Device`."""
        device = self.device = Device(*args, **kwargs)
        motion = self.motion = Motion(device, on_state=self._on_state, on_rest=self._on_rest)
        auto_lock = self.auto_lock_watch = AutoLockWatch(device, motion)
        surroundings = self.surroundings = Surroundings(device, motion, auto_lock)
        connections = self.connections = Connections(device, motion, auto_lock)

        # What it knows.
        self.address = device.address
        self.nuki_id = device.nuki_id
        self.name = device.name
        self.uuid = device.uuid
        self.keys = device.keys
        self.random = device.random
        self.behaviour = device.behaviour
        self.settings = device.settings
        self.advanced = device.advanced
        self.authorizations = device.authorizations
        self.codes = device.codes
        self.time_control = device.time_control
        self.log = device.log
        self.audit = device.audit
        self.pin_guard = device.pin_guard
        self.motor = motion.motor
        # What it shows and does.
        self.manufacturer_data = device.manufacturer_data
        self.service_data = device.service_data
        self.now = device.now
        self.movements = device.movements
        self.write_log = device.write_log
        self.log_action = device.log_action
        self.add_user = device.add_user
        self.users_changed = device.users_changed
        self.config_changed = device.config_changed
        self.hold_button = device.hold_button
        self.leave_pairing_mode = device.leave_pairing_mode
        self.forget_challenges = device.forget_challenges
        # What people and things do to it.
        self.be_busy = motion.be_busy
        self.auto_lock = auto_lock.lock_now
        self.set_clock = auto_lock.set_clock
        self.turn_by_hand = surroundings.turn_by_hand
        self.press_button = surroundings.press_button
        self.press_fob = surroundings.press_fob
        self.use_keypad = surroundings.use_keypad
        self.enter_code = surroundings.enter_code
        self.time_has_come = surroundings.time_has_come
        self.set_door = surroundings.set_door
        self.log_door = surroundings.log_door
        self.set_battery = surroundings.set_battery
        self.block_motor = surroundings.block_motor
        self.uncalibrate = surroundings.uncalibrate
        self.set_enabled = surroundings.set_enabled
        self.remove_authorization = surroundings.remove_authorization
        # Its connections.
        self.connected = connections.connected
        self.disconnected = connections.disconnected
        self.written = connections.written
        self.drop_links = connections.drop_links
        self.out_of_range = connections.out_of_range
        self.reboot = connections.reboot
        self.swallow_next_answer = connections.swallow_next_answer
        self.damage_next_answer = connections.damage_next_answer

    def attach(self, transport: Transport) -> None:
        """Give the lock its transport and clock; from then on it can lock by itself."""
        self.device.transport.attach(transport)
        self.auto_lock_watch.settings_changed()

    # -- what it knows and shows --------------------------------------------------------------------------------------

    @property
    def family(self) -> Family:
        """Family of the lock."""
        return self.device.family

    @property
    def door(self) -> DoorState | int:
        """State of the door sensor."""
        return self.device.door

    @property
    def battery_percent(self) -> int:
        """Charge of the battery, in percent."""
        return self.device.battery_percent

    @property
    def battery_critical(self) -> bool:
        """The lock warns of an empty battery."""
        return self.device.battery_critical

    @property
    def state_changed(self) -> bool:
        """The flag in the beacon: there are states that no Bridge has read."""
        return self.device.state_changed

    @property
    def config_update_count(self) -> int:
        """Counter of changes of the configuration, from 0 to 255."""
        return self.device.config_update_count

    @property
    def timezone_offset_min(self) -> int:
        """Minutes from UTC to the lock's wall clock, with daylight saving."""
        return self.device.timezone_offset_min

    @property
    def told_offset_min(self) -> int:
        """Minutes that the lock's states and Config tell."""
        return self.device.told_offset_min

    @property
    def pairing_mode(self) -> bool:
        """Pairing is open."""
        return self.device.pairing_mode

    @property
    def advertising(self) -> bool:
        """The lock can be seen and connected to now."""
        return self.connections.advertising

    @property
    def in_range(self) -> bool:
        """The lock is in radio range."""
        return self.connections.in_range

    @property
    def rebooting(self) -> bool:
        """The lock restarts: it can be neither seen nor reached."""
        return self.connections.rebooting

    @property
    def links(self) -> int:
        """Number of connections."""
        return len(self.connections)

    def keyturner_states(self) -> KeyturnerStates:
        """Return all that the lock can tell of its states."""
        return keyturner_states(self.device, self.motor)

    # -- controls and memory ------------------------------------------------------------------------------------------

    def control(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out a control message (`control.py`) and return the answer; raise `ValueError` with a sentence."""
        parts = control.Parts(self.device, self.motion, self.auto_lock_watch, self.surroundings, self.connections)
        return control.control(parts, command)

    def to_dict(self) -> dict[str, Any]:
        """Return the lock's memory, keys and PIN included: for a file that only its owner can read."""
        return memory.to_dict(self.device, self.motor)

    @classmethod
    def from_dict(
        cls, data: dict[str, Any], *, behaviour: Behaviour | None = None, random: Random = secrets.token_bytes
    ) -> VirtualLock:
        """Return a lock that remembers what `to_dict` returned.  Raise `ValueError` if `data` makes no sense."""
        with memory.reading(data):
            lock = cls(**memory.identity(data), behaviour=behaviour, random=random)
            memory.restore(lock.device, lock.motor, data)
        return lock

    # -- what its parts tell each other -------------------------------------------------------------------------------

    def _on_state(self) -> None:
        self.connections.report_states()
        self.auto_lock_watch.schedule()

    def _on_rest(self) -> None:
        self.auto_lock_watch.schedule()
