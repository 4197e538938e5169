"""A bluetoothd that has died is started again by D-Bus, after a pause that leaves it to systemd first.

One that somebody stopped stays stopped.  `bluez.py` tells the one from the other.
"""

from __future__ import annotations

import asyncio
import logging
import math

from nuki_bridge.bluetooth.bluez import Bluez
from nuki_bridge.errors import LinkError

log = logging.getLogger(__name__)

PAUSE_S = 10.0
"""Seconds from the death of bluetoothd to the first attempt: where systemd is to restart it, that is done by then."""
LONGEST_S = 60.0
"""Longest pause in seconds between two attempts; it doubles from `PAUSE_S`."""
ALIVE_S = 600.0
"""Seconds that bluetoothd must live before the pauses start from `PAUSE_S` again."""


class Revival:
    """Call `check` whenever the state of Bluetooth was read anew, and when it says so."""

    def __init__(self, bluez: Bluez) -> None:
        self._bluez = bluez
        self._pause_s = PAUSE_S
        self._due_at: float | None = None
        self._alive_since = -math.inf

    async def check(self) -> float | None:
        """Start a dead bluetoothd if the pause is over; gives the seconds after which to look again, None for never.

        Whether it came is for the next `refresh` to tell.
        """
        now = asyncio.get_running_loop().time()
        if not self._bluez.died:
            if self._due_at is not None:
                self._due_at, self._alive_since = None, now
            return None
        if self._due_at is None:
            self._pause_s = PAUSE_S if now - self._alive_since > ALIVE_S else min(2 * self._pause_s, LONGEST_S)
            self._due_at = now + self._pause_s
        elif now >= self._due_at:
            log.debug("having bluetoothd started")
            try:
                await self._bluez.start_daemon()
            except LinkError as error:
                self._bluez.cannot_start(str(error))
            now = asyncio.get_running_loop().time()
            self._pause_s = min(2 * self._pause_s, LONGEST_S)
            self._due_at = now + self._pause_s
        return self._due_at - now
