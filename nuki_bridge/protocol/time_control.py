"""The messages about time control, actions that a lock does by its own clock, as tables (smartlock.md 11)."""

from __future__ import annotations

from datetime import time

from nuki_bridge.protocol.codes import Action, Command, OpenerAction
from nuki_bridge.protocol.field_kinds import NoTime, action8, kept_flag, time_of_day, u8
from nuki_bridge.protocol.wire import Message, OwnerRequest, message, wire


@message(Command.REQUEST_TIME_CONTROL_ENTRIES)
class RequestTimeControlEntries(OwnerRequest):
    """CL: list all entries (34 / 36 bytes)."""


@message(Command.TIME_CONTROL_ENTRY_COUNT)
class TimeControlEntryCount(Message):
    """SL: how many entries follow (1 byte)."""

    count: int = wire(u8)


@message(Command.TIME_CONTROL_ENTRY)
class TimeControlEntry(Message):
    """SL: one entry (6 bytes); `weekdays` is a mask, bit 6 Monday, 0 for every day; `at` as the lock's clock shows."""

    entry_id: int = wire(u8)
    enabled: bool = wire(kept_flag)
    weekdays: int = wire(u8)
    at: time | NoTime = wire(time_of_day)
    action: Action | OpenerAction | int = wire(action8)


@message(Command.ADD_TIME_CONTROL_ENTRY)
class AddTimeControlEntry(OwnerRequest):
    """CL: a new entry (38 / 40 bytes)."""

    weekdays: int = wire(u8)
    at: time | NoTime = wire(time_of_day)
    action: Action | OpenerAction | int = wire(action8)


@message(Command.TIME_CONTROL_ENTRY_ID)
class TimeControlEntryId(Message):
    """SL: the entry that was made (1 byte)."""

    entry_id: int = wire(u8)


@message(Command.UPDATE_TIME_CONTROL_ENTRY)
class UpdateTimeControlEntry(OwnerRequest):
    """CL: change an entry; there is no partial write (40 / 42 bytes)."""

    entry_id: int = wire(u8)
    enabled: bool = wire(kept_flag)
    weekdays: int = wire(u8)
    at: time | NoTime = wire(time_of_day)
    action: Action | OpenerAction | int = wire(action8)


@message(Command.REMOVE_TIME_CONTROL_ENTRY)
class RemoveTimeControlEntry(OwnerRequest):
    """CL: delete an entry (35 / 37 bytes)."""

    entry_id: int = wire(u8)
