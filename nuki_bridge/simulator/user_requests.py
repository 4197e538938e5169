"""The owner's requests about the user table (smartlock.md 11); they are the same for every device."""

from __future__ import annotations

from nuki_bridge.protocol.authorizations import (
    AuthorizationDataInvite,
    AuthorizationEntry,
    AuthorizationEntryCount,
    AuthorizationIdInvite,
    RemoveAuthorizationEntry,
    RequestAuthorizationEntries,
    UpdateAuthorizationEntry,
)
from nuki_bridge.protocol.codes import ErrorCode, IdType
from nuki_bridge.simulator.authorizations import told_limit
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.client_request import ClientRequest, Handlers


def _request_entries(request: ClientRequest, message: RequestAuthorizationEntries) -> None:
    """Send the user who asks, then the others by ID; offset and count are places in this order."""
    asker, device = request.authorization, request.device
    entries = sorted(device.authorizations, key=lambda e: (e is not asker, e.authorization_id))
    if message.id_type is not None:
        entries = [e for e in entries if e.id_type == message.id_type]
    entries = entries[message.offset : message.offset + message.count]
    request.note("entries_read", str(len(entries)))
    if device.behaviour.tells_entry_count:
        request.reply(AuthorizationEntryCount(count=len(entries)))
    for entry in entries:
        request.reply(
            AuthorizationEntry(
                authorization_id=entry.authorization_id,
                id_type=entry.id_type,
                name=entry.name,
                enabled=entry.enabled,
                remote_allowed=entry.remote_allowed,
                created=entry.created,
                last_active=entry.last_active,
                lock_count=entry.lock_count,
                time_limited=entry.limit is not None,
                limit=entry.limit or told_limit(entry.idle_limit, device.behaviour),
            )
        )
    request.end_list()


def _remove_entry(request: ClientRequest, message: RemoveAuthorizationEntry) -> None:
    entry = request.device.authorizations.remove(message.authorization_id)
    request.note("removed", entry.label)
    request.device.users_changed()
    request.complete()


def _invite(request: ClientRequest, message: AuthorizationDataInvite) -> None:
    if message.id_type not in (IdType.APP, IdType.BRIDGE, IdType.FOB, IdType.KEYPAD):
        raise Refused(ErrorCode.BAD_PARAMETER)
    device = request.device
    entry = device.add_user(message.shared_key, message.id_type, 0, message.name, full=ErrorCode.TOO_MANY_ENTRIES)
    entry.remote_allowed = message.remote_allowed
    entry.set_limit(message.limit, message.time_limited)
    request.note("invited", entry.label)
    device.users_changed()
    request.reply(AuthorizationIdInvite(authorization_id=entry.authorization_id, created=entry.created))


def _update_entry(request: ClientRequest, message: UpdateAuthorizationEntry) -> None:
    """Write all of the entry, also what has not changed."""
    entry = request.device.authorizations.get(message.authorization_id)
    if entry is None:
        raise Refused(ErrorCode.INVALID_AUTH_ID)
    entry.name = message.name
    entry.enabled = message.enabled
    entry.remote_allowed = message.remote_allowed
    entry.set_limit(message.limit, message.time_limited)
    request.note("updated", f"{entry.label}, {'enabled' if entry.enabled else 'disabled'}")
    request.device.users_changed()
    request.complete()


HANDLERS: Handlers = {
    RequestAuthorizationEntries: _request_entries,
    RemoveAuthorizationEntry: _remove_entry,
    AuthorizationDataInvite: _invite,
    UpdateAuthorizationEntry: _update_entry,
}
"""The owner's requests about users."""
