"""Whether each part of the daemon makes progress: before each step a part says by when the step will have ended.

A step is bounded by a deadline of the part's own (a timeout, a pause, a tick), so that it ends whatever the world does:
a broker that is away, a lock out of reach and a missing adapter all lead to the next attempt.  Only a part that is
stuck beyond its own deadlines is late.  `service.feed_watchdog` decides what follows from that.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

SLACK_S = 20.0
"""Seconds that a step may take beyond its own deadline, for cleaning up on a busy machine."""


class Heartbeat:
    """The progress of one part; nobody watches one that does not come from `Watchdog.heartbeat`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._doing = ""
        self._due_at = math.inf

    def step(self, within_s: float, doing: str) -> None:
        """End the step before and begin this one, `doing`, which ends within `within_s` seconds."""
        self._due_at = self._clock() + within_s + SLACK_S
        self._doing = doing

    def rest(self) -> None:
        """Expect nothing until the next `step`."""
        self._due_at = math.inf

    def excuse(self, seconds: float) -> None:
        """Extend the present step by the time in which nothing could run."""
        self._due_at += seconds

    @property
    def stuck(self) -> str | None:
        """The step that should have ended by now; None if there is none."""
        return self._doing if self._clock() > self._due_at else None


class Watchdog:
    """The heartbeats of all parts by name.

    `clock` gives seconds.  It need not count while the machine is suspended, because timers do not either.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._heartbeats: dict[str, Heartbeat] = {}

    def heartbeat(self, name: str) -> Heartbeat:
        """Return a heartbeat that is watched from now on, at rest; it replaces an earlier one of that name."""
        heartbeat = self._heartbeats[name] = Heartbeat(self.clock)
        return heartbeat

    def forget(self, name: str) -> None:
        """Stop watching the part of that name."""
        self._heartbeats.pop(name, None)

    def excuse(self, seconds: float) -> None:
        """Extend every step by the time in which the whole process stood still."""
        for heartbeat in self._heartbeats.values():
            heartbeat.excuse(seconds)

    def stuck(self) -> list[str]:
        """Return each part that is late, as `name: what it is stuck in`."""
        return [f"{name}: {each.stuck}" for name, each in self._heartbeats.items() if each.stuck is not None]
