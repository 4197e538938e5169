"""The messages about a lock's log as tables (smartlock.md 11): list it, switch it on and off."""

from __future__ import annotations

from datetime import datetime

from nuki_bridge.protocol.codes import Command, LogType
from nuki_bridge.protocol.field_kinds import date_time, enum8, flag, text, u8, u16, u32
from nuki_bridge.protocol.messages import NAME_SIZE
from nuki_bridge.protocol.wire import Message, OwnerRequest, message, wire


@message(Command.ENABLE_LOGGING)
class EnableLogging(OwnerRequest):
    """CL: switch the log on or off (35 / 37 bytes)."""

    enabled: bool = wire(flag)


@message(Command.REQUEST_LOG_ENTRIES)
class RequestLogEntries(OwnerRequest):
    """CL: log entries older (descending) or newer (ascending) than `start`, which is not among them (42 / 44 bytes).

    `start` 0 is from the newest or oldest.  `total_count` asks for a LogEntryCount first.
    """

    start: int = wire(u32)
    count: int = wire(u16)
    descending: bool = wire(flag)
    total_count: bool = wire(flag)


@message(Command.LOG_ENTRY_COUNT)
class LogEntryCount(Message):
    """SL: how many entries there are (5 bytes; 3 from old firmware)."""

    logging_enabled: bool = wire(flag)
    count: int = wire(u16)
    door_sensor_enabled: bool | None = wire(flag, default=None)
    door_sensor_logging_enabled: bool | None = wire(flag, default=None)


@message(Command.LOG_ENTRY)
class LogEntry(Message):
    """SL: one log entry (48 bytes and data, of which each `kind` has its own; what follows it is padding).

    `data` is up to 5 bytes, for an Opener's ring 8: for a lock action, calibration or initialization run action,
    trigger, flags and completion status; for a keypad action action, source, completion status and code ID (u16); for
    a ring see `opener.ring_of`.
    """

    index: int = wire(u32)
    time: datetime | None = wire(date_time)
    authorization_id: int = wire(u32)
    name: str = wire(text(NAME_SIZE))
    kind: LogType | int = wire(enum8(LogType))
    data_0: int | None = wire(u8, default=None)
    data_1: int | None = wire(u8, default=None)
    data_2: int | None = wire(u8, default=None)
    data_3: int | None = wire(u8, default=None)
    data_4: int | None = wire(u8, default=None)
    data_5: int | None = wire(u8, default=None)
    data_6: int | None = wire(u8, default=None)
    data_7: int | None = wire(u8, default=None)
