"""A lock's authorization entries as messages: list, write, remove, make one with a key of ours.

Each is asked of the lock now, with the security PIN.  Who its users are is told in `users.py`, whom somebody has
invited in `sharing/invitations.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nuki_bridge.protocol.authorizations import (
    AuthorizationDataInvite,
    AuthorizationEntry,
    AuthorizationEntryCount,
    AuthorizationIdInvite,
    RemoveAuthorizationEntry,
    RequestAuthorizationEntries,
    UpdateAuthorizationEntry,
)
from nuki_bridge.protocol.codes import IdType
from nuki_bridge.protocol.field_kinds import TimeLimit
from nuki_bridge.protocol.messages import Status

if TYPE_CHECKING:
    from nuki_bridge.lock.admin import Admin


async def entries(admin: Admin, timeout_s: float) -> list[AuthorizationEntry]:
    """Return every authorization of the lock, in its own order; raises as `Admin.pages`."""
    kinds = AuthorizationEntry, AuthorizationEntryCount
    found = await admin.pages(_request, *kinds, lambda entry: entry.authorization_id, admin.clock() + timeout_s)
    return list(found.values())


async def page(admin: Admin, offset: int, count: int, timeout_s: float) -> list[AuthorizationEntry]:
    """Return up to `count` authorizations from place `offset` on, in the lock's order; raises as `Admin.listing`."""
    kinds = AuthorizationEntry, AuthorizationEntryCount
    return await admin.listing(_request(offset, count), *kinds, admin.clock() + timeout_s)


def _request(offset: int, count: int) -> RequestAuthorizationEntries:
    return RequestAuthorizationEntries(offset=offset, count=count, id_type=None)


async def update(admin: Admin, entry: AuthorizationEntry, timeout_s: float) -> None:
    """Write a whole entry: all of `entry` that can be written; raises as `Admin.ask`."""
    request = UpdateAuthorizationEntry(
        authorization_id=entry.authorization_id,
        name=entry.name,
        enabled=entry.enabled,
        remote_allowed=entry.remote_allowed,
        time_limited=entry.time_limited,
        limit=entry.limit or TimeLimit(),
    )
    await admin.ask(request, Status, timeout_s)


async def remove(admin: Admin, authorization_id: int, timeout_s: float) -> None:
    """Delete an authorization; one that is not there (any more) is as good as deleted.  Raises as `Admin.ask`."""
    await admin.remove(RemoveAuthorizationEntry(authorization_id=authorization_id), timeout_s)


async def invite(
    admin: Admin, name: str, shared_key: bytes, *, remote_allowed: bool, limit: TimeLimit | None, timeout_s: float
) -> AuthorizationIdInvite:
    """Create an App authorization with a key of our making (32 bytes).

    A lost answer raises `OutcomeUnknown`: it is not sent again, because there might be two then.
    """
    request = AuthorizationDataInvite(
        name=name,
        id_type=IdType.APP,
        shared_key=shared_key,
        remote_allowed=remote_allowed,
        time_limited=limit is not None,
        limit=limit or TimeLimit(),
    )
    return await admin.ask(request, AuthorizationIdInvite, timeout_s, repeat=False)
