"""One virtual Nuki device without I/O: bytes in from a transport, bytes out to it.

`VirtualDevice` joins the parts that every device has: `device.Device` is what it knows, `surroundings` the people
around it, `connections` its Bluetooth side.  What moves in it (`motion.Works`) is another thing in each kind of device:
`lock.VirtualLock` and `opener.VirtualOpener` build it.  A transport (`radio.py` in memory, a Bluetooth peripheral
elsewhere) is given by `attach` before anything else happens.
"""

from __future__ import annotations

from typing import Any

from nuki_bridge.protocol.codes import Family
from nuki_bridge.simulator.connections import Connections
from nuki_bridge.simulator.device import Device
from nuki_bridge.simulator.motion import Works
from nuki_bridge.simulator.people import People
from nuki_bridge.simulator.transport import Transport


class VirtualDevice:
    """A device as a client and as the people around it see it.

    Tests, demo and controls use the members of this class, whichever part they belong to.  To change what the device
    knows, set the attribute of the part: `device`, `motion` or `connections`.
    """

    device: Device
    motion: Works

    def __init__(self, device: Device, motion: Works, surroundings: People, connections: Connections) -> None:
        """Join the parts."""
        self.device = device
        self.motion = motion
        self.connections = connections

        # What it knows.
        self.address = device.address
        self.nuki_id = device.nuki_id
        self.name = device.name
        self.uuid = device.uuid
        self.keys = device.keys
        self.random = device.random
        self.behaviour = device.behaviour
        self.authorizations = device.authorizations
        self.codes = device.codes
        self.time_control = device.time_control
        self.log = device.log
        self.audit = device.audit
        self.pin_guard = device.pin_guard
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
        self.press_button = surroundings.press_button
        self.press_fob = surroundings.press_fob
        self.use_keypad = surroundings.use_keypad
        self.enter_code = surroundings.enter_code
        self.time_has_come = surroundings.time_has_come
        self.set_battery = surroundings.set_battery
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
        """Give the device its transport and clock."""
        self.device.transport.attach(transport)

    # -- what it knows and shows --------------------------------------------------------------------------------------

    @property
    def family(self) -> Family:
        """Family of the device."""
        return self.device.family

    @property
    def battery_percent(self) -> int:
        """Charge of the battery, in percent."""
        return self.device.battery_percent

    @property
    def battery_critical(self) -> bool:
        """The device warns of an empty battery."""
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
        """Minutes from UTC to the device's wall clock, with daylight saving."""
        return self.device.timezone_offset_min

    @property
    def told_offset_min(self) -> int:
        """Minutes that the device's states and Config tell."""
        return self.device.told_offset_min

    @property
    def pairing_mode(self) -> bool:
        """Pairing is open."""
        return self.device.pairing_mode

    @property
    def advertising(self) -> bool:
        """The device can be seen and connected to now."""
        return self.connections.advertising

    @property
    def in_range(self) -> bool:
        """The device is in radio range."""
        return self.connections.in_range

    @property
    def rebooting(self) -> bool:
        """The device restarts: it can be neither seen nor reached."""
        return self.connections.rebooting

    @property
    def links(self) -> int:
        """Number of connections."""
        return len(self.connections)

    # -- controls and memory ------------------------------------------------------------------------------------------

    def control(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out a control message (`control.py`) and return the answer; raise `ValueError` with a sentence."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return the device's memory, keys and PIN included: for a file that only its owner can read."""
        raise NotImplementedError
