"""Whether each part of the daemon makes progress: every part promises by when it will have made its next step.

A step is bounded by a deadline of the part's own (a timeout, a pause, a tick), so that a promise is kept whatever the
world does: a broker that is away, a lock out of reach and an adapter that is not there lead to the next attempt.  Only
what is stuck beyond its own deadlines breaks its promise.  What follows from that is for `service.feed_watchdog`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

SLACK_S = 20.0
"""What cleaning up after a deadline, and a busy machine, may add to a step."""


class Part:
    """One part's promise; a part that nobody asked for by `Pulse.part` promises to nobody."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._doing = ""
        self._due_at = math.inf

    def step(self, within_s: float, doing: str) -> None:
        """The step before is done; this one, `doing`, ends within so many seconds."""
        self._due_at = self._clock() + within_s + SLACK_S
        self._doing = doing

    def rest(self) -> None:
        """There is nothing to do until the next `step`."""
        self._due_at = math.inf

    def excuse(self, seconds: float) -> None:
        """Nobody could do anything for so long."""
        self._due_at += seconds

    @property
    def stuck(self) -> str | None:
        """What should have ended by now; None if all is well."""
        return self._doing if self._clock() > self._due_at else None


class Pulse:
    """All parts by name.  `clock` gives seconds and need not count through a suspend, because timers do not either."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._parts: dict[str, Part] = {}

    def part(self, name: str) -> Part:
        """A part that is watched from now on, at rest, in place of an earlier one of that name."""
        part = self._parts[name] = Part(self.clock)
        return part

    def forget(self, name: str) -> None:
        """That part is no more."""
        self._parts.pop(name, None)

    def excuse(self, seconds: float) -> None:
        """The whole process stood still for so long, which is no part's fault."""
        for part in self._parts.values():
            part.excuse(seconds)

    def stuck(self) -> list[str]:
        """Each part that broke its promise, as `name: what it is stuck in`."""
        return [f"{name}: {part.stuck}" for name, part in self._parts.items() if part.stuck is not None]
