"""Which PINs a lock has refused, or may have: remembered for an hour, over restarts, so that none is tried again.

Whoever may ask the bridge to start again must not be able to guess on, and a daemon that is started again and again
must not have the lock ban its owner.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import field
from datetime import datetime

from nuki_bridge.lock.lock import Lock
from nuki_bridge.records import mutable
from nuki_bridge.store import PairedLock, Store

REFUSED_FOR_S = 3600.0
"""Seconds for which a PIN that the lock has refused is not tried again."""


class Attempt(enum.StrEnum):
    """What a PIN was sent for: each attempt is made once within the hour, and counts as one."""

    FIRST = "first"
    AGAIN = "again"
    """Once more, because the answer to the first got lost."""
    DOUBT = "doubt"
    """It was right before a change that was cut off."""
    DOUBT_AGAIN = "doubt again"


@mutable
class RefusedPins:
    """Those of one lock that are known in this run; `now` is on the bridge's clock, which nobody sets."""

    _until: dict[tuple[str, Attempt], float] = field(default_factory=dict, repr=False)
    unanswered: set[str] = field(default_factory=set, repr=False)
    """Those among them whose answer got lost: each may be tried once more."""

    def has(self, pin: str | None, now: float, attempt: Attempt = Attempt.FIRST) -> bool:
        """The lock has refused this PIN within the hour, or may have."""
        return pin is not None and now < self._until.get((pin, attempt), -math.inf)

    def count(self, now: float) -> int:
        """Return how many attempts the lock has refused within the hour, or may have."""
        return sum(now < until for until in self._until.values())

    def add(self, pin: str, attempt: Attempt, now: float) -> None:
        """Count an attempt from now on."""
        self._until[pin, attempt] = now + REFUSED_FOR_S

    def remove(self, pin: str, attempt: Attempt) -> None:
        """Let an attempt not count."""
        self._until.pop((pin, attempt), None)

    def clear(self) -> None:
        """Let none count."""
        self._until.clear()
        self.unanswered.clear()

    def recall(self, store: Store, paired: PairedLock, clock: Callable[[], float], now: datetime) -> None:
        """Take over what an earlier run has noted, or this one under another name; what is older is forgotten."""
        wall_s, hour_s = int(now.timestamp()), int(REFUSED_FOR_S)
        # a clock that was set back since then must not make it last
        store.forget_old_refusals(wall_s - hour_s, wall_s + hour_s)
        for attempt in Attempt:
            for pin, since_s in store.refused_pins(paired, attempt).items():
                self._until.setdefault((pin, attempt), clock() + hour_s - max(wall_s - since_s, 0))


class Refusals:
    """The refused PINs of a lock in use; each change is durable at once."""

    def __init__(self, pins: RefusedPins, store: Store, lock: Lock, now: Callable[[], datetime]) -> None:
        self._pins = pins
        self._store = store
        self._lock = lock
        self._now = now
        self.unanswered = pins.unanswered

    def has(self, pin: str | None, attempt: Attempt = Attempt.FIRST) -> bool:
        """The lock has refused this PIN within the hour, or may have."""
        return self._pins.has(pin, self._lock.clock(), attempt)

    def count(self) -> int:
        """Return how many attempts the lock has refused within the hour, or may have."""
        return self._pins.count(self._lock.clock())

    def note(self, pin: str, attempt: Attempt = Attempt.FIRST) -> None:
        """Count an attempt from now on."""
        self._pins.add(pin, attempt, self._lock.clock())
        self._store.keep_refused_pin(self._lock.paired, pin, int(self._now().timestamp()), attempt)

    def forget(self, pin: str, attempt: Attempt = Attempt.FIRST) -> None:
        """Let an attempt not count: the lock has not refused it."""
        self._pins.remove(pin, attempt)
        self._store.forget_refused_pins(self._lock.paired, pin, attempt)

    def forget_all(self) -> None:
        """Let none count: the lock has taken the right one."""
        self._pins.clear()
        self._store.forget_refused_pins(self._lock.paired)
