"""One virtual Nuki Opener without I/O.

`VirtualOpener` builds its parts: beside those of every device (`virtual_device`), `strike` is the electric strike with
ring to open and continuous mode, `opener_motion` who has it act and what a ring does.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

from nuki_bridge.protocol.codes import Family
from nuki_bridge.simulator import control, memory, opener_control
from nuki_bridge.simulator.behaviour import Behaviour, Random
from nuki_bridge.simulator.connections import Connections
from nuki_bridge.simulator.opener_device import OpenerDevice
from nuki_bridge.simulator.opener_motion import OpenerMotion
from nuki_bridge.simulator.opener_requests import OpenerRequest
from nuki_bridge.simulator.opener_surroundings import OpenerSurroundings
from nuki_bridge.simulator.virtual_device import VirtualDevice


class VirtualOpener(VirtualDevice):
    """An Opener as a client and as the people around it see it."""

    device: OpenerDevice
    motion: OpenerMotion

    def __init__(self, *args: Any, family: Family = Family.OPENER, **kwargs: Any) -> None:
        """Take the arguments of `Device`."""
        device = OpenerDevice(*args, family=family, **kwargs)
        motion = OpenerMotion(device, on_state=self._on_state)
        surroundings = self.surroundings = OpenerSurroundings(device, motion)
        make = partial(OpenerRequest, device=device, motion=motion)
        super().__init__(device, motion, surroundings, Connections(device, motion, make))

        self.settings = device.settings
        self.advanced = device.advanced
        self.strike = motion.strike
        self.states = motion.states
        self.be_busy = motion.be_busy
        self.set_clock = device.set_clock
        self.ring = surroundings.ring
        self.switch_rto = surroundings.switch_rto
        self.switch_continuous_mode = surroundings.switch_continuous_mode
        self.rewire = surroundings.rewire

    def control(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out a control message (`opener_control.py`) and return the answer; raise `ValueError`."""
        parts = opener_control.Parts(self.device, self.motion, self.surroundings, self.connections)
        return control.control(parts, opener_control.CONTROLS, command)

    def to_dict(self) -> dict[str, Any]:
        """Return the Opener's memory, keys and PIN included: for a file that only its owner can read."""
        return memory.to_dict(self.device) | memory.opener_to_dict(self.device, self.strike)

    @classmethod
    def from_dict(
        cls, data: dict[str, Any], *, behaviour: Behaviour | None = None, random: Random = secrets.token_bytes
    ) -> VirtualOpener:
        """Return an Opener that remembers what `to_dict` returned.  Raise `ValueError` if `data` makes no sense."""
        with memory.reading(data):
            opener = cls(**memory.identity(data), behaviour=behaviour, random=random)
            memory.restore(opener.device, data)
            memory.restore_opener(opener.device, opener.strike, data)
        return opener

    def _on_state(self) -> None:
        self.connections.report_states()
