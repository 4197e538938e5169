"""A virtual lock's time control entries: its table and the owner's requests (smartlock.md 11).

An entry does not act by itself here: `<lock>/simulate` says when its time has come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import time
from typing import TYPE_CHECKING, Any

from nuki_bridge.protocol.codes import Action, ErrorCode
from nuki_bridge.protocol.time_control import (
    AddTimeControlEntry,
    RemoveTimeControlEntry,
    RequestTimeControlEntries,
    TimeControlEntry,
    TimeControlEntryCount,
    TimeControlEntryId,
    UpdateTimeControlEntry,
)
from nuki_bridge.protocol.wire import Message, NoTime
from nuki_bridge.simulator import timezones
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.motor import MOTOR_ACTIONS
from nuki_bridge.simulator.owner import COMPLETE, end_list, note

if TYPE_CHECKING:
    from nuki_bridge.simulator.lock import Exchange

LAST_ID = 0xFF


@dataclass(slots=True)
class Entry:
    """What the lock does at a time of day; `weekdays` is a mask, bit 6 Monday, 0 for every day."""

    entry_id: int
    weekdays: int
    at: time | NoTime
    action: Action
    enabled: bool = True


class Entries:
    """The table; the lowest free ID is given."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter([self._entries[number] for number in sorted(self._entries)])

    def get(self, entry_id: int) -> Entry | None:
        """The entry of that ID."""
        return self._entries.get(entry_id)

    def add(self, weekdays: int, at: time | NoTime, action: int, capacity: int) -> Entry:
        """A new entry; raises `Refused`."""
        moment, what = _checked(weekdays, at, action)
        if len(self._entries) >= capacity:
            raise Refused(ErrorCode.TOO_MANY_ENTRIES)
        number = next(each for each in range(1, LAST_ID + 1) if each not in self._entries)
        entry = self._entries[number] = Entry(number, weekdays, moment, what)
        return entry

    def change(self, request: UpdateTimeControlEntry) -> Entry:
        """Write a whole entry; raises `Refused`."""
        entry = self._existing(request.entry_id)
        entry.at, entry.action = _checked(request.weekdays, request.at, request.action)
        entry.weekdays, entry.enabled = request.weekdays, request.enabled
        return entry

    def remove(self, entry_id: int) -> Entry:
        """Delete an entry; raises `Refused` if there is none."""
        entry = self._existing(entry_id)
        del self._entries[entry_id]
        return entry

    def _existing(self, entry_id: int) -> Entry:
        entry = self._entries.get(entry_id)
        if entry is None:
            raise Refused(ErrorCode.INVALID_AUTH_ID)
        return entry

    def to_list(self) -> list[dict[str, Any]]:
        """The table for JSON."""
        return [
            {
                "entry_id": each.entry_id,
                "weekdays": each.weekdays,
                "at": timezones.written(each.at),
                "action": int(each.action),
                "enabled": each.enabled,
            }
            for each in self
        ]

    def load(self, entries: list[dict[str, Any]]) -> None:
        """Take over what `to_list` gave."""
        for data in entries:
            at, action = timezones.read(data["at"]), Action(data["action"])
            self._entries[data["entry_id"]] = Entry(data["entry_id"], data["weekdays"], at, action, data["enabled"])


def _checked(weekdays: int, at: time | NoTime, action: int) -> tuple[time | NoTime, Action]:
    if weekdays > 0x7F or at == NoTime() or action not in MOTOR_ACTIONS:
        raise Refused(ErrorCode.BAD_PARAMETER)
    return at, Action(action)


# -- requests ---------------------------------------------------------------------------------------------------------


def _request_entries(exchange: Exchange, request: RequestTimeControlEntries) -> None:
    lock = exchange.lock
    entries = list(lock.time_control)
    note(exchange, "time_control_read", str(len(entries)))
    exchange.reply(TimeControlEntryCount(count=len(entries)))
    for each in entries:
        exchange.reply(
            TimeControlEntry(
                entry_id=each.entry_id, enabled=each.enabled, weekdays=each.weekdays, at=each.at, action=each.action
            )
        )
    end_list(exchange)


def _add(exchange: Exchange, request: AddTimeControlEntry) -> None:
    lock = exchange.lock
    entry = lock.time_control.add(request.weekdays, request.at, request.action, lock.behaviour.max_time_control)
    note(exchange, "time_control_added", str(entry.entry_id))
    lock.config_changed()
    exchange.reply(TimeControlEntryId(entry_id=entry.entry_id))


def _update(exchange: Exchange, request: UpdateTimeControlEntry) -> None:
    entry = exchange.lock.time_control.change(request)
    note(exchange, "time_control_updated", f"{entry.entry_id}, {'enabled' if entry.enabled else 'disabled'}")
    exchange.lock.config_changed()
    exchange.reply(COMPLETE)


def _remove(exchange: Exchange, request: RemoveTimeControlEntry) -> None:
    entry = exchange.lock.time_control.remove(request.entry_id)
    note(exchange, "time_control_removed", str(entry.entry_id))
    exchange.lock.config_changed()
    exchange.reply(COMPLETE)


HANDLERS: tuple[tuple[type[Message], Callable[..., Any]], ...] = (
    (RequestTimeControlEntries, _request_entries),
    (AddTimeControlEntry, _add),
    (UpdateTimeControlEntry, _update),
    (RemoveTimeControlEntry, _remove),
)
"""The owner's requests about time control."""
