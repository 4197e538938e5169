"""State and door as a lock tells them by another way than Bluetooth, and which of both ways is newer.

Pure: every moment is passed in, in seconds on the lock's clock.  A lock with Wi-Fi or Thread says at once what changed,
in order, some time later than it would over Bluetooth.  So a value told counts until a reading over Bluetooth that was
begun after it says how things are.  A reading begun before it is older and changes nothing, so that nobody sees the
state go back for a moment.  Where a reading was ahead of what is told, the values that still come from before it are
not shown; a new reading decides, or time, if there is none.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nuki_bridge.records import mutable

if TYPE_CHECKING:
    from nuki_bridge.protocol.common import States

LAG_S = 3.0
"""Seconds by which what is told may come later than a reading over Bluetooth that was ahead of it; a value in doubt is
shown after so long if no reading has decided."""


class What(enum.StrEnum):
    """What is told."""

    STATE = "state"
    DOOR = "door"


class Verdict(enum.Enum):
    """What a value told is good for."""

    NONE = enum.auto()
    """It says what is known."""
    SHOWN = enum.auto()
    """It counts from now on; a reading is due for the rest."""
    DOUBTED = enum.auto()
    """It contradicts a reading that may be newer: another reading decides."""


@mutable
class _Value:
    """One of both, by the two ways; None for what neither has told."""

    shown: int | None = None
    """What was told and counts; None while the reading counts."""
    since: float = -math.inf
    """When it was told."""
    last: int | None = None
    """What was told last, whether it counts or not."""
    read: int | None = None
    """What the last reading said."""
    behind_until: float = -math.inf
    """Until when values may come that are older than that reading."""
    doubted: int | None = None
    doubted_at: float = -math.inf

    @property
    def now(self) -> int | None:
        return self.read if self.shown is None else self.shown

    @property
    def newest_at(self) -> float:
        """When something was told that a reading has to be newer than; minus infinity if nothing is open."""
        told_at = -math.inf if self.shown is None else self.since
        return told_at if self.doubted is None else max(told_at, self.doubted_at)

    def tell(self, value: int, at: float, *, stored: bool) -> Verdict:
        is_repeated, self.last = value == self.last, value
        if value == self.now:
            self.doubted, self.behind_until = None, -math.inf
            if not stored:
                self.shown, self.since = value, at
            return Verdict.NONE
        if stored and is_repeated:
            return Verdict.DOUBTED  # nobody knows since when; the lock said otherwise when it was read
        if self.read is not None and (stored or is_repeated or at < self.behind_until):
            self.doubted, self.doubted_at = value, at
            return Verdict.DOUBTED
        self._show(value, at)
        return Verdict.SHOWN

    def _show(self, value: int, at: float) -> None:
        self.shown, self.since, self.doubted = value, at, None

    def reported(self, value: int | None, begun_at: float, now: float) -> None:
        if value is None:
            return
        if self.doubted is not None and begun_at >= self.doubted_at:
            self.doubted = None
        if self.shown is not None and begun_at < self.since:
            return
        self.shown, self.read = None, value
        self.behind_until = now + LAG_S if self.last not in (None, value) else -math.inf

    def settle(self, now: float) -> bool:
        if self.doubted is None or now < self.doubted_at + LAG_S:
            return False
        self._show(self.doubted, self.doubted_at)
        return True


class Heard:
    """What one lock has told by another way, beside what was read over Bluetooth."""

    def __init__(self) -> None:
        self.connected: bool | None = None
        """Whether the lock can tell something; None if nobody listens."""
        self.takes_commands = False
        """A command can reach the lock by that way now."""
        self.read_at = -math.inf
        """When the last report over Bluetooth was asked for, or came unasked."""
        self._values = {each: _Value() for each in What}

    def forget(self) -> None:
        """Let only Bluetooth count, from now on: nobody listens any more."""
        self.connected, self.takes_commands = None, False
        for each in self._values.values():
            each.shown = each.last = each.doubted = None
            each.behind_until = -math.inf

    def tell(self, what: What, value: int, at: float, *, stored: bool = False) -> Verdict:
        """Take a value told; `stored`: the broker kept it, and it may be of any age."""
        return self._values[what].tell(value, at, stored=stored)

    def reported(self, states: States, begun_at: float, now: float) -> None:
        """Take a report over Bluetooth: asked for at `begun_at`, or come unasked then."""
        self.read_at = begun_at
        self._values[What.STATE].reported(states.lock_state, begun_at, now)
        self._values[What.DOOR].reported(states.door_state, begun_at, now)

    def needs_reading(self, begun_at: float) -> bool:
        """Return whether a reading begun then has left something open that was told after that."""
        return any(each.newest_at > begun_at for each in self._values.values())

    def settle(self, now: float) -> bool:
        """Let what has been in doubt for `LAG_S` count; gives whether there was something."""
        return True in [each.settle(now) for each in self._values.values()]

    def now(self, what: What) -> int | None:
        """Return how it is, by the newer of both ways; None if neither has told."""
        return self._values[what].now

    def is_told(self, what: What) -> bool:
        """Return whether that was told by the other way, and not read over Bluetooth."""
        return self._values[what].shown is not None

    def told(self) -> Iterator[What]:
        """Give what of both was told and not read."""
        return (each for each in What if self.is_told(each))
