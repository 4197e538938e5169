"""Which PINs a lock has refused, or may have: remembered for an hour, over restarts, so that none is tried again.

Whoever may ask the bridge to start again must not be able to guess on, and a daemon that is started again and again
must not have the lock ban its owner.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nuki_bridge.bridge.bridge import Bridge
    from nuki_bridge.bridge.members import Member
    from nuki_bridge.lock.lock import Lock
    from nuki_bridge.store import PairedLock

REFUSED_FOR_S = 3600.0
"""A PIN that the lock has refused is not tried again for so long."""


def is_refused(member: Member, lock: Lock, pin: str | None) -> bool:
    """The lock has refused this PIN within the hour."""
    return pin is not None and lock.clock() < member.refused_pins.get(pin, -math.inf)


def lately(bridge: Bridge, paired: PairedLock, lock: Lock) -> dict[str, float]:
    """As `Member.refused_pins`, from an earlier run or under another name; older ones are forgotten."""
    wall_s, hour_s = int(bridge.outside.now().timestamp()), int(REFUSED_FOR_S)
    # a clock that was set back since then must not make it last
    bridge.store.forget_old_refusals(wall_s - hour_s, wall_s + hour_s)
    refused = bridge.store.refused_pins(paired)
    return {pin: lock.clock() + hour_s - max(wall_s - since_s, 0) for pin, since_s in refused.items()}


def note(bridge: Bridge, member: Member, lock: Lock, pin: str) -> None:
    """Count a PIN as refused from now on, durably."""
    member.refused_pins[pin] = lock.clock() + REFUSED_FOR_S
    bridge.store.keep_refused_pin(lock.paired, pin, int(bridge.outside.now().timestamp()))


def forget(bridge: Bridge, member: Member, lock: Lock, pin: str | None = None) -> None:
    """Let this PIN not count as refused, durably; without one none, because the lock has taken the right one."""
    if pin is None:
        member.refused_pins.clear()
        member.open_pins.clear()
    else:
        member.refused_pins.pop(pin, None)
    bridge.store.forget_refused_pins(lock.paired, pin)
