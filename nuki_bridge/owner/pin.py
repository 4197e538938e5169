"""A lock's security PIN: which one is used, tried, changed; and how often a wrong one may be tried.

The PIN is never part of an answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nuki_bridge.errors import LinkError, LockError, NukiError, ProtocolError, RequestError
from nuki_bridge.lock.admin import Admin
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.outcome import NotExecuted, OutcomeUnknown
from nuki_bridge.owner.pin_change import CutOff
from nuki_bridge.owner.refused_pins import Attempt, Refusals, RefusedPins
from nuki_bridge.owner.setting import READ_BACK_S
from nuki_bridge.protocol.codes import ErrorCode, Family
from nuki_bridge.store import PairedLock, Store

log = logging.getLogger(__name__)

MAX_REFUSED_PINS = 2
"""Attempts with a PIN that may be refused within an hour; one more, and a lock may ban its owner."""


def pin_to_use(configured: str | None, paired: PairedLock | None, store: Store) -> str | None:
    """Return the configured PIN, but for one that was replaced, here or in another run, by the stored one."""
    stored = paired.pin if paired is not None else None
    if configured is None or (
        paired is not None and stored is not None and store.replaced_pin(paired.name) == configured
    ):
        return stored
    return configured


def stored_pin(paired: PairedLock | None, refused: RefusedPins, family: Family | None, now: float) -> str | None:
    """Return the PIN that was kept of a lock, for pairing with it once more: unless it cannot be right any more."""
    pin = paired.pin if paired is not None else None
    if pin is None or refused.has(pin, now):
        return None
    return pin if family is None or len(pin) == family.pin_digits else None


class PinKeeper:
    """The PIN of one lock: `configured` gives the configuration's, `refusals` are those that the lock has refused.

    `changed` is told when another one is used, or when the lock has taken one.
    """

    def __init__(
        self,
        lock: Lock,
        admin: Admin,
        refusals: Refusals,
        store: Store,
        *,
        configured: Callable[[], str | None],
        changed: Callable[[], None],
    ) -> None:
        self._lock = lock
        self._admin = admin
        self._refusals = refusals
        self._store = store
        self._configured = configured
        self._changed = changed
        self._cut_off: CutOff | None = None
        self._settling = asyncio.Lock()
        self._warn_of_old()
        self.warn_of_width()
        self._look_for_change()

    @property
    def own(self) -> str | None:
        """The PIN to use."""
        return pin_to_use(self._configured(), self._lock.paired, self._store)

    def was_refused(self, pin: str) -> None:
        """The lock has refused this PIN."""
        self._refusals.note(pin)

    def use_own(self) -> None:
        """Use the PIN of another configuration, or none any more."""
        pin = self.own
        self._warn_of_old()
        self._lock.pin.use(pin, refused=self._refusals.has(pin))
        self.warn_of_width()
        self._look_for_change()
        self._changed()

    def warn_of_width(self) -> None:
        """Log it if the PIN that is known cannot be the lock's: nothing that takes it will be done."""
        try:
            if self._lock.pin.digits is not None:
                self._lock.pin.check_known(self._lock.pin.digits)
        except RequestError as error:
            log.warning("%s: %s", self._lock.name, error)

    def _warn_of_old(self) -> None:
        configured = self._configured()
        if configured is not None and self.own != configured:
            log.warning(
                "%s: the configuration is out of date: the security PIN in it (pin or pin_file) was replaced; "
                "the new one is used, correct the configuration",
                self._lock.name,
            )

    # -- a change that was cut off ------------------------------------------------------------------------------------

    def _look_for_change(self) -> None:
        """Have a change that was cut off cleared up before the PIN is used the next time."""
        new = self._store.new_pin(self._lock.paired.name)
        self._cut_off = None if new is None else CutOff(self._lock, self._admin, self._refusals, new)
        if self._cut_off is None:
            return
        if self._cut_off.old_is_possible():
            self._lock.pin.doubt()
        else:
            self._adopt(self._cut_off.new)

    async def settle(self, deadline: float) -> None:
        """Find out which PIN the lock has after a change that was cut off; raises as `CutOff.old_is_right`."""
        async with self._settling:  # whoever else waits for it finds it done
            pin, change = self._lock.pin, self._cut_off
            if change is None or not pin.in_doubt:
                return
            old = pin.digits
            if old is None or not change.old_is_possible():
                self._adopt(change.new)
            elif await change.old_is_right(old, deadline):
                pin.is_right(old)
                self._give_up_change()
            else:
                self._refusals.note(old)
                self._adopt(change.new)

    def _adopt(self, new: str) -> None:
        """The new PIN is used from now on, and meets what may become of it like every other."""
        log.info("%s: the change of its security PIN was cut off; the new one is used", self._lock.name)
        self._save(new)
        self._lock.pin.use(new, refused=self._refusals.has(new))

    def _give_up_change(self) -> None:
        """The lock has the old one still."""
        self._store.forget_new_pin(self._lock.paired.name)

    def _save(self, pin: str) -> None:
        """The lock has this PIN, whichever was asked for before; another one in the configuration is out of date."""
        configured = self._configured()
        self._lock.use(replace(self._lock.paired, pin=pin))
        self._store.save_pin(self._lock.paired, None if configured == pin else configured)

    # -- on somebody's request ----------------------------------------------------------------------------------------

    def _keep(self, pin: str) -> dict[str, Any]:
        """Remember a PIN that the lock took, durably; says so if the configuration has another one."""
        self._save(pin)
        self._changed()
        if self._configured() not in (None, pin):
            return {"note": "the configuration still has the PIN from before (pin or pin_file); change it there, too"}
        return {}

    def to_verify(self, given: str | None) -> str:
        """Return the PIN to ask the lock about: the given one, else the one in use; raises `RequestError`."""
        if given is not None:
            self._lock.pin.check_given(given)
            return given
        known = self.own
        if known is None:
            raise RequestError("pin_required", "no PIN is known; give it in pin")
        self._lock.pin.check_known(known)
        return known

    async def verify(self, pin: str, timeout_s: float) -> dict[str, Any]:
        """Ask the lock whether this PIN is right; it is used and kept then.

        Once: the same wrong PIN again would lead to a ban and to nothing else.  Raises as `Admin.verify_pin`.
        """
        refusals = self._refusals
        # Whoever gave the right PIN must not wait an hour because an answer got lost; the second try counts as another.
        attempt = Attempt.AGAIN if pin in refusals.unanswered else Attempt.FIRST
        if refusals.has(pin, attempt):
            raise LockError(
                "bad_pin",
                "the lock has refused this PIN already, or its answer got lost twice; it is tried again after an hour",
                number=ErrorCode.BAD_PIN,
            )
        is_ours = pin == self.own and self._admin.has_pin
        if not is_ours and refusals.count() >= MAX_REFUSED_PINS:
            raise LockError(
                "bad_pin",
                f"the lock has refused {MAX_REFUSED_PINS} PINs within an hour; after one more it may ban you, so none "
                "is tried until the hour is over",
                number=ErrorCode.BAD_PIN,
            )
        if is_ours:  # if it is refused `Admin` tells
            await self._admin.verify_pin(pin, timeout_s)
            return self._keep(pin)  # others stay refused: or else verifying ours in between would let somebody guess on
        # Before it is tried: nobody may have the bridge stop before the answer is there, and so guess on.
        refusals.note(pin, attempt)
        refusals.unanswered.add(pin)
        try:
            await self._admin.verify_pin(pin, timeout_s)
        except OutcomeUnknown:
            raise  # it may have been refused
        except NukiError as error:
            refusals.unanswered.discard(pin)
            if not isinstance(error, LockError) or error.number != ErrorCode.BAD_PIN:
                refusals.forget(pin, attempt)
            raise
        refusals.forget_all()
        return self._keep(pin)

    async def change(self, pin: str, left_s: Callable[[], float]) -> dict[str, Any]:
        """Give the lock another PIN.  A lost answer is cleared up by asking whether the old one is right still.

        `left_s` gives the seconds that are left.  Raises as `Admin.set_pin`.
        """
        admin, refusals = self._admin, self._refusals
        if not self._lock.pin.is_proven:  # or else a refusal afterwards would not tell that the new one is in force
            await admin.verify_own_pin(max(left_s(), READ_BACK_S))
        self._store.keep_new_pin(self._lock.paired.name, pin)
        try:
            await admin.set_pin(pin, left_s())
        except OutcomeUnknown as lost:
            try:
                has_old_pin = await self._has_old_pin(lost, max(left_s(), READ_BACK_S))
            except OutcomeUnknown:
                self._look_for_change()
                raise
            if has_old_pin and self._lock.pin.to_send() != int(pin):
                self._give_up_change()
                raise NotExecuted("the lock's answer got lost, and it has the same PIN as before") from lost
            self._lock.pin.is_right(pin)
            refusals.forget(pin)
        except NukiError:
            self._give_up_change()  # it was refused, or never sent
            raise
        else:
            refusals.forget_all()
        return self._keep(pin)

    async def _has_old_pin(self, lost: OutcomeUnknown, timeout_s: float) -> bool:
        """Return whether the lock takes the PIN in use; only its refusal proves that it has another one.

        That one was right before, so a refusal tells something new; it is wrong once at most, and counted then.  It is
        sent once: if this gets lost, too, `lost` is raised.
        """
        try:
            await self._admin.verify_own_pin(timeout_s)
        except LockError as error:
            if error.number == ErrorCode.BAD_PIN:
                return False
            raise lost from error
        except (LinkError, ProtocolError, RequestError, OutcomeUnknown) as error:
            raise lost from error
        return True
