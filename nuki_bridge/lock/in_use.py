"""Whether somebody uses a lock, or it is on external power: what `connection: auto` goes by.

No I/O and no clock: every `now` is passed in, in seconds on the clock of the lock.
"""

from __future__ import annotations

import math
from typing import Final

from nuki_bridge.lock.timetable import without_time
from nuki_bridge.protocol.common import States

USED_S: Final = 300.0
"""Seconds for which a lock counts as in use after a command, a guest's message, or a change that it has reported."""
POWERED_S: Final = 3600.0
"""Seconds for which a lock counts as on external power after it has said that it is charged: a full battery is not."""


class InUse:
    """What is known of the use of one lock."""

    def __init__(self) -> None:
        self._used_until = -math.inf
        self._powered_until = -math.inf

    @property
    def until(self) -> float:
        """When it will not be in use any more, nor on external power, as far as is known now."""
        return max(self._used_until, self._powered_until)

    def used(self, now: float) -> None:
        """Somebody has asked something of it, over MQTT or as a guest."""
        self._used_until = now + USED_S

    def reported(self, before: States | None, states: States, now: float) -> None:
        """It has told its states; `before` are those known until then."""
        if states.battery_charging:
            self._powered_until = now + POWERED_S
        if before is not None and without_time(before) != without_time(states):
            self.used(now)
