"""Control messages for a virtual Opener: bell, modes and wiring, beside what every device has (`control`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from nuki_bridge.protocol.codes import name_of
from nuki_bridge.records import frozen
from nuki_bridge.simulator import control as common
from nuki_bridge.simulator.connections import Connections
from nuki_bridge.simulator.control import Check, Do, duration, if_true, keypad, switch, whole_number
from nuki_bridge.simulator.opener_device import OPENER_ACTIONS, OpenerDevice
from nuki_bridge.simulator.opener_motion import OpenerMotion
from nuki_bridge.simulator.opener_surroundings import OpenerSurroundings


@frozen
class Parts:
    """The parts of one Opener that a control reaches."""

    device: OpenerDevice
    motion: OpenerMotion
    surroundings: OpenerSurroundings
    connections: Connections

    def set_clock(self, now: datetime) -> None:
        """Set the Opener's clock; raise `ValueError` outside the years 2000 to 2099."""
        self.device.set_clock(now)

    def snapshot(self) -> dict[str, Any]:
        """Return what somebody who stands before the Opener would tell of it."""
        return {
            **common.who_it_is(self.device),
            "state": name_of(self.motion.strike.state),
            "continuous_mode": self.motion.strike.continuous_mode is not None,
            "wiring": self.device.settings.capabilities,
            "battery_critical": self.device.battery_critical,
            **common.how_it_is(self.device, self.connections),
        }


def _wiring(key: str, value: Any) -> Do:
    number = whole_number(key, value, 0, 2)
    return lambda parts: parts.surroundings.rewire(number)


def _set_relay_s(parts: Parts, seconds: float) -> None:
    parts.device.behaviour.relay_s = seconds


CONTROLS: dict[str, Check] = {
    **common.COMMON,
    "ring": if_true(lambda parts: parts.surroundings.ring()),
    "rto": switch(lambda parts, on: parts.surroundings.switch_rto(on)),
    "continuous_mode": switch(lambda parts, on: parts.surroundings.switch_continuous_mode(on)),
    "keypad": keypad({name_of(action): action for action in OPENER_ACTIONS}),
    "wiring": _wiring,
    "relay_s": duration(_set_relay_s),
}
"""Every control of an Opener by its key, with the check of its value."""
