"""A change of a lock's security PIN that may have been cut off: by a kill, a restart, an answer that got lost.

The new PIN is made durable before it is sent, beside the old one, and takes its place when the lock has accepted it.
Where that is not known the old one decides, because it was right before the change: the lock is asked once whether it
still is.  If so the change never happened; its refusal, one wrong try, proves the new one, which is used from then on.
So nothing is tried that somebody may have made up, and there is one wrong try at most.
"""

from __future__ import annotations

from nuki_bridge.errors import LockError, NukiError
from nuki_bridge.lock.admin import Admin
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.outcome import OutcomeUnknown
from nuki_bridge.owner.refused_pins import Attempt, Refusals
from nuki_bridge.protocol.codes import ErrorCode

_ATTEMPTS = Attempt.DOUBT, Attempt.DOUBT_AGAIN


class CutOff:
    """A change to the PIN `new`; the old one is the one in use."""

    def __init__(self, lock: Lock, admin: Admin, refusals: Refusals, new: str) -> None:
        self.new = new
        self._lock = lock
        self._admin = admin
        self._refusals = refusals

    def old_is_possible(self) -> bool:
        """The lock may have the old PIN, for all that is known here."""
        old = self._lock.pin.digits
        return old not in (None, self.new) and self._lock.pin.is_usable

    async def old_is_right(self, old: str, deadline: float) -> bool:
        """Ask the lock, once, whether it takes the old PIN; until `deadline` on the lock's clock.

        Raises what that raises, `OutcomeUnknown` if the answer gets lost: it is asked again then, but not a third time
        within an hour.
        """
        attempt = self._attempt(old)
        self._refusals.note(old, attempt)
        try:
            is_right = await self._admin.is_pin(old, max(deadline - self._lock.clock(), 0.0))
        except OutcomeUnknown:
            raise  # it may have been refused
        except NukiError:
            self._refusals.forget(old, attempt)
            raise
        # others stay refused: or else a change that is cut off would let somebody guess on
        for each in _ATTEMPTS:
            self._refusals.forget(old, each)
        return is_right

    def _attempt(self, old: str) -> Attempt:
        """As what the try is counted; raises `LockError` if there were enough."""
        for attempt in _ATTEMPTS:
            if not self._refusals.has(old, attempt):
                return attempt
        raise LockError(
            "bad_pin",
            "it is not clear which security PIN the lock has: a change was cut off, and the answer got lost twice when "
            "it was asked; it is asked again after an hour",
            number=ErrorCode.BAD_PIN,
        )
