"""One lock as its owner has it: everything that stands above the lock itself, whole from the beginning."""

from __future__ import annotations

import asyncio
from dataclasses import field

from nuki_bridge.lock.admin import Admin
from nuki_bridge.lock.lock import Lock
from nuki_bridge.owner.battery_history import BatteryHistory
from nuki_bridge.owner.clock_keeper import ClockKeeper
from nuki_bridge.owner.keypad_list import KeypadList
from nuki_bridge.owner.lock_log import LogBook
from nuki_bridge.owner.pin import PinKeeper
from nuki_bridge.owner.users import Users
from nuki_bridge.records import frozen


@frozen
class OwnedLock:
    """A lock that is in use, with what its owner can do."""

    lock: Lock
    admin: Admin
    users: Users
    keypad: KeypadList
    log_book: LogBook
    pin: PinKeeper
    clock: ClockKeeper
    battery: BatteryHistory
    setting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the lock's own settings are changed."""

    @property
    def name(self) -> str:
        """What the lock is called in topics."""
        return self.lock.name
