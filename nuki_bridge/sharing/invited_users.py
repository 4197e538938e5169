"""Which users of one lock are invitations: what `owner/users.py` asks and tells of them."""

from __future__ import annotations

from collections.abc import Mapping

from nuki_bridge.lock.lock import Lock
from nuki_bridge.protocol.authorizations import AuthorizationEntry
from nuki_bridge.sharing.invitations import Invitations


class InvitedUsers:
    """The invitations to one lock, under the Nuki ID that it has at the time."""

    def __init__(self, invitations: Invitations, lock: Lock) -> None:
        self._invitations = invitations
        self._lock = lock

    def pending_ids(self) -> set[int]:
        """Users of open invitations, and of those that are to be removed."""
        return self._invitations.pending(self._lock.name)

    def leaving_ids(self) -> set[int]:
        """Users who are removed as soon as the lock can be reached."""
        return self._invitations.leaving(self._lock.paired.nuki_id)

    def check_free(self, name: str, own_id: int | None) -> None:
        """Raises `RequestError`; see `Invitations.check_free`."""
        self._invitations.check_free(self._lock.paired.nuki_id, name, own_id)

    def removed(self, authorization_id: int) -> None:
        """This user was removed."""
        self._invitations.authorization_removed(self._lock.paired.nuki_id, authorization_id)

    def listed(self, entries: Mapping[int, AuthorizationEntry]) -> bool:
        """The lock's whole list was read; see `Invitations.listed`."""
        return self._invitations.listed(self._lock.paired.nuki_id, entries)
