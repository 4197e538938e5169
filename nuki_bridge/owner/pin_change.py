"""A change of a lock's security PIN that may have been cut off: by a kill, a restart, an answer that got lost.

The new PIN is made durable before it is sent, beside the old one, and takes its place when the lock has accepted it.
Where that is not known the old one decides, because it was right before the change: the lock is asked once whether it
still is.  If so the change never happened; its refusal, one wrong try, proves the new one, which is used from then on.
So nothing is tried that somebody may have made up, and there is one wrong try at most.
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from nuki_bridge.errors import LockError, NukiError
from nuki_bridge.lock.outcome import OutcomeUnknown
from nuki_bridge.owner import refused_pins
from nuki_bridge.protocol.codes import ErrorCode

if TYPE_CHECKING:
    from nuki_bridge.bridge.bridge import Bridge
    from nuki_bridge.bridge.members import Member
    from nuki_bridge.lock.admin import Admin
    from nuki_bridge.lock.lock import Lock

log = logging.getLogger(__name__)


def begin(bridge: Bridge, member: Member, new: str) -> None:
    """The lock is about to be given another PIN."""
    assert member.paired is not None
    bridge.store.keep_new_pin(member.paired.name, new)


def given_up(bridge: Bridge, member: Member) -> None:
    """The lock has the old one still."""
    assert member.paired is not None
    bridge.store.forget_new_pin(member.paired.name)


def keep(bridge: Bridge, member: Member, pin: str) -> None:
    """The lock has this PIN, whichever was asked for before; another one in the configuration is out of date."""
    assert member.paired is not None
    settings = member.settings
    configured = settings.pin.reveal() if settings is not None and settings.pin is not None else None
    member.paired = replace(member.paired, pin=pin)
    bridge.store.save_pin(member.paired, None if configured == pin else configured)


def look_for(bridge: Bridge, member: Member, lock: Lock, admin: Admin) -> None:
    """Have a change that was cut off cleared up before the PIN is used the next time."""
    assert member.paired is not None
    new = bridge.store.new_pin(member.paired.name)
    if new is not None:
        change = _CutOff(bridge, member, lock, admin, new)
        if change.old_is_possible():
            admin.pin.doubt = change.settle
        else:
            change.adopt()


class _CutOff:
    """The old PIN is the one in use by `admin`."""

    def __init__(self, bridge: Bridge, member: Member, lock: Lock, admin: Admin, new: str) -> None:
        self._bridge = bridge
        self._member = member
        self._lock = lock
        self._admin = admin
        self._new = new
        self._turn = asyncio.Lock()

    def old_is_possible(self) -> bool:
        """The lock may have the old PIN, for all that is known here."""
        old = self._admin.pin.digits
        return old not in (None, self._new) and self._admin.pin.is_usable

    def adopt(self) -> None:
        """The new PIN is used from now on, and meets what may become of it like every other."""
        log.info("%s: the change of its security PIN was cut off; the new one is used", self._lock.name)
        keep(self._bridge, self._member, self._new)
        self._admin.pin.use(self._new, refused=refused_pins.is_refused(self._member, self._lock, self._new))

    async def settle(self, deadline: float) -> None:
        """Ask the lock, once, whether it takes the old PIN; until `deadline` on the lock's clock.

        Raises what that raises, `OutcomeUnknown` if the answer gets lost: it is asked again then, but not a third time
        within an hour.
        """
        async with self._turn:  # whoever else waits for it finds it done
            pin = self._admin.pin
            if pin.doubt != self.settle:
                return
            old = pin.digits
            assert old is not None
            if not self.old_is_possible():
                self.adopt()
                return
            tried = self._mark(old)
            refused_pins.note(self._bridge, self._member, self._lock, tried)
            try:
                is_right = await self._admin.is_pin(old, max(deadline - self._lock.clock(), 0.0))
            except OutcomeUnknown:
                raise  # it may have been refused
            except NukiError:
                refused_pins.forget(self._bridge, self._member, self._lock, tried)
                raise
            # others stay refused: or else a change that is cut off would let somebody guess on
            for mark in self._marks(old):
                refused_pins.forget(self._bridge, self._member, self._lock, mark)
            if is_right:
                pin.is_right(old)
                given_up(self._bridge, self._member)
            else:
                refused_pins.note(self._bridge, self._member, self._lock, old)
                self.adopt()

    @staticmethod
    def _marks(old: str) -> tuple[str, str]:
        return f"{old} in doubt", f"{old} in doubt again"

    def _mark(self, old: str) -> str:
        """As what the try is counted; raises `LockError` if there were enough."""
        now = self._lock.clock()
        for mark in self._marks(old):
            if now >= self._member.refused_pins.get(mark, -math.inf):
                return mark
        raise LockError(
            "bad_pin",
            "it is not clear which security PIN the lock has: a change was cut off, and the answer got lost twice when "
            "it was asked; it is asked again after an hour",
            number=ErrorCode.BAD_PIN,
        )
