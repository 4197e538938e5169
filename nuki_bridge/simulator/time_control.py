"""The time control entries of a virtual device (smartlock.md 11); those of an Opener have other actions.

It does not carry out an entry by itself: `<lock>/simulate` says when the time of an entry has come.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import time
from typing import Any

from nuki_bridge.protocol.codes import ErrorCode
from nuki_bridge.protocol.field_kinds import NoTime
from nuki_bridge.protocol.time_control import UpdateTimeControlEntry
from nuki_bridge.simulator import timezones
from nuki_bridge.simulator.behaviour import Refused

LAST_ID = 0xFF
"""Highest ID that an entry can have."""


@dataclass(slots=True)
class Entry:
    """An action at a time of day; bit 6 of `weekdays` is Monday, bit 0 Sunday, and 0 stands for every day."""

    entry_id: int
    weekdays: int
    at: time | NoTime
    action: Any
    """A member of the enumeration of the device's actions."""
    enabled: bool = True


class Entries:
    """The table of entries; a new entry gets the lowest free ID."""

    def __init__(self, actions: Collection[enum.IntEnum]) -> None:
        """Make an empty table of entries with one of the `actions` each."""
        self._actions = {int(action): action for action in actions}
        self._entries: dict[int, Entry] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter([self._entries[number] for number in sorted(self._entries)])

    def get(self, entry_id: int) -> Entry | None:
        """Return the entry with this ID, None if there is none."""
        return self._entries.get(entry_id)

    def add(self, weekdays: int, at: time | NoTime, action: int, capacity: int) -> Entry:
        """Add an entry and return it; raise `Refused`."""
        moment, what = self._checked(weekdays, at, action)
        if len(self._entries) >= capacity:
            raise Refused(ErrorCode.TOO_MANY_ENTRIES)
        number = next(each for each in range(1, LAST_ID + 1) if each not in self._entries)
        entry = self._entries[number] = Entry(number, weekdays, moment, what)
        return entry

    def change(self, request: UpdateTimeControlEntry) -> Entry:
        """Write all of an entry and return it; raise `Refused`."""
        entry = self._existing(request.entry_id)
        entry.at, entry.action = self._checked(request.weekdays, request.at, request.action)
        entry.weekdays, entry.enabled = request.weekdays, request.enabled
        return entry

    def remove(self, entry_id: int) -> Entry:
        """Delete an entry and return it; raise `Refused` if there is none."""
        entry = self._existing(entry_id)
        del self._entries[entry_id]
        return entry

    def _existing(self, entry_id: int) -> Entry:
        entry = self._entries.get(entry_id)
        if entry is None:
            raise Refused(ErrorCode.INVALID_AUTH_ID)
        return entry

    def to_list(self) -> list[dict[str, Any]]:
        """Return the table for JSON."""
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
        """Take over what `to_list` returned."""
        for data in entries:
            at, action = timezones.read(data["at"]), self._actions[data["action"]]
            self._entries[data["entry_id"]] = Entry(data["entry_id"], data["weekdays"], at, action, data["enabled"])

    def _checked(self, weekdays: int, at: time | NoTime, action: int) -> tuple[time | NoTime, enum.IntEnum]:
        if weekdays > 0x7F or at == NoTime() or action not in self._actions:
            raise Refused(ErrorCode.BAD_PARAMETER)
        return at, self._actions[action]
