"""How long one action may be tried over Bluetooth by whoever has another way, and what became of that."""

from __future__ import annotations


class Attempt:
    """What became of sending one action over Bluetooth, for who has another way.

    `within_s` bounds the sending from when its turn has come, and `leave_s` is left of the command's time for the other
    way, however late the turn comes; a second is always tried.
    """

    def __init__(self, within_s: float, leave_s: float) -> None:
        self._within_s = within_s
        self._leave_s = leave_s
        self._until: float | None = None
        self.was_sent = False
        """The lock may have it; as long as this is false it certainly has not."""

    def begin(self, deadline: float, now: float) -> float:
        """Take note that the turn has come; return by when the action has to be sent."""
        if self._until is None:
            self._until = min(deadline, max(now + 1.0, min(now + self._within_s, deadline - self._leave_s)))
        return self._until

    @property
    def had_turn(self) -> bool:
        """Whether the turn has come: it was no other command that took the time."""
        return self._until is not None
