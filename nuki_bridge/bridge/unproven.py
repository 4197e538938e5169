"""An authorization that pairing has made durable and that the lock has not answered over yet.

The ordinary lock object goes on trying with it.  The lock's first states prove it; a lock that says that it does not
know it gets the one before it again, which it may still accept.  What was not known when pairing is kept when the lock
shows it.
"""

from __future__ import annotations

import logging

from nuki_bridge.errors import LockError, StoreError
from nuki_bridge.lock.lock import Lock
from nuki_bridge.protocol.codes import ErrorCode
from nuki_bridge.store import PairedLock, Store

log = logging.getLogger(__name__)


class Unproven:
    """What is not settled yet of one lock in use; raises `StoreError` at first if that cannot be read."""

    def __init__(self, store: Store, lock: Lock) -> None:
        self._store = store
        self._lock = lock
        self._has_former = store.has_former(lock.paired.name)
        """The lock has not answered over this authorization yet, and there is one before it."""
        self._unsaved = any(each.name == lock.paired.name and _differ(each, lock.paired) for each in store.locks())
        """The lock has shown its Nuki ID or another family, and the store does not have that yet."""

    def proven(self) -> None:
        """Take note that the lock has told its states: the authorizations before this one are worthless."""
        if not self._has_former:
            return
        try:
            self._store.forget_former(self._lock.paired.name)
        except StoreError as error:
            log.warning("%s: %s", self._lock.name, error)  # the next states are another occasion
        else:
            self._has_former = False

    def has_shown(self) -> None:
        """Take note that the lock has shown its Nuki ID or another family."""
        self._unsaved = True

    def save(self) -> None:
        """Make durable what the lock has shown of itself, if that is not done yet."""
        if not self._unsaved:
            return
        try:
            self._store.save_shown(self._lock.paired)
        except StoreError as error:
            log.warning("%s: %s", self._lock.name, error)  # the next change is another occasion
        else:
            self._unsaved = False

    @property
    def is_refused(self) -> bool:
        """Whether the lock has said that it does not know this authorization, and there is one before it."""
        fault = self._lock.fault
        return self._has_former and isinstance(fault, LockError) and fault.number == ErrorCode.NOT_AUTHORIZED

    def former(self) -> PairedLock | None:
        """Put the authorization before this one in its place in the store, if it is refused; raises `StoreError`."""
        if not self.is_refused:
            return None
        log.warning("%s does not know the authorization of its last pairing; the one before is used", self._lock.name)
        return self._store.restore_former(self._lock.paired.name)


def _differ(stored: PairedLock, now: PairedLock) -> bool:
    return (stored.nuki_id, stored.family) != (now.nuki_id, now.family)
