"""The messages about a lock's authorizations as tables (smartlock.md 11): list, invite, change, remove."""

from __future__ import annotations

from datetime import datetime

from nuki_bridge.protocol.codes import Command, IdType
from nuki_bridge.protocol.field_kinds import (
    TimeLimit,
    date_time,
    enum8,
    flag,
    kept_flag,
    raw,
    text,
    time_limit,
    u16,
    u32,
)
from nuki_bridge.protocol.messages import NAME_SIZE
from nuki_bridge.protocol.wire import Message, OwnerRequest, message, wire


@message(Command.REMOVE_AUTHORIZATION_ENTRY)
class RemoveAuthorizationEntry(OwnerRequest):
    """CL: delete an authorization (38 / 40 bytes)."""

    authorization_id: int = wire(u32)


@message(Command.REQUEST_AUTHORIZATION_ENTRIES)
class RequestAuthorizationEntries(OwnerRequest):
    """CL: list authorizations (38 / 40 bytes; one more with the filter, which only new firmware understands)."""

    offset: int = wire(u16)
    count: int = wire(u16)
    id_type: IdType | int | None = wire(enum8(IdType), default=None)


@message(Command.AUTHORIZATION_ENTRY)
class AuthorizationEntry(Message):
    """SL: one authorization (56 bytes, 75 with the tail); the limit counts only if `time_limited`."""

    authorization_id: int = wire(u32)
    id_type: IdType | int = wire(enum8(IdType))
    name: str = wire(text(NAME_SIZE))
    enabled: bool = wire(kept_flag)
    remote_allowed: bool = wire(kept_flag)
    created: datetime | None = wire(date_time)
    last_active: datetime | None = wire(date_time)
    lock_count: int = wire(u16)
    time_limited: bool = wire(kept_flag)
    limit: TimeLimit | None = wire(time_limit, default=None)


@message(Command.AUTHORIZATION_ENTRY_COUNT)
class AuthorizationEntryCount(Message):
    """SL: how many entries follow (2 bytes)."""

    count: int = wire(u16)


@message(Command.AUTHORIZATION_DATA_INVITE)
class AuthorizationDataInvite(OwnerRequest):
    """CL: create an authorization with a key of our making (120 / 122 bytes)."""

    name: str = wire(text(NAME_SIZE))
    id_type: IdType | int = wire(enum8(IdType))
    shared_key: bytes = wire(raw(32), secret=True)
    remote_allowed: bool = wire(flag)
    time_limited: bool = wire(flag)
    limit: TimeLimit = wire(time_limit)


@message(Command.AUTHORIZATION_ID_INVITE)
class AuthorizationIdInvite(Message):
    """SL: the authorization an invite created (11 bytes)."""

    authorization_id: int = wire(u32)
    created: datetime | None = wire(date_time)


@message(Command.UPDATE_AUTHORIZATION_ENTRY)
class UpdateAuthorizationEntry(OwnerRequest):
    """CL: change an authorization; there is no partial write (92 / 94 bytes)."""

    authorization_id: int = wire(u32)
    name: str = wire(text(NAME_SIZE))
    enabled: bool = wire(kept_flag)
    remote_allowed: bool = wire(kept_flag)
    time_limited: bool = wire(kept_flag)
    limit: TimeLimit = wire(time_limit)
