"""The battery report, read once a day: what the batteries' voltage is, and what the last action took of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from nuki_bridge.errors import LockError
from nuki_bridge.lock import reading
from nuki_bridge.lock.background_read import BackgroundRead

if TYPE_CHECKING:
    from nuki_bridge.lock.admin import Admin
    from nuki_bridge.lock.lock import Lock

log = logging.getLogger(__name__)

DAY_S: Final = 86400.0
"""Seconds between two readings."""
READ_TIMEOUT_S: Final = 15.0


class BatteryWatch:
    """The battery report of one lock; `run` it.  `changed` is told that there is a new one."""

    def __init__(self, lock: Lock, admin: Admin, changed: Callable[[], None]) -> None:
        self._lock = lock
        self._changed = changed
        self._background = BackgroundRead("battery report", lock, admin, self._read, needs_pin=False)
        self.run = self._background.run
        self.wake = self._background.wake

    async def _read(self) -> float:
        try:
            await self._lock.read_battery(READ_TIMEOUT_S)
        except LockError as error:
            if error.number in reading.NOT_NOW:
                raise
            log.info("%s does not tell its batteries' voltage: %s", self._lock.name, error)
        else:
            self._changed()
        return DAY_S
