"""The log of a virtual device (smartlock.md 11, 0x0031 to 0x0034); an Opener has other types of entry."""

from __future__ import annotations

from datetime import UTC, datetime

from nuki_bridge.errors import BadFrame
from nuki_bridge.protocol.codes import Command, Family, LogType, open_enum
from nuki_bridge.protocol.log_entries import LogEntry
from nuki_bridge.protocol.messages import NAME_SIZE
from nuki_bridge.protocol.wire import decode, encode

_PADDED = {Family.CLASSIC: 5, Family.ULTRA: 5, Family.OPENER: 8}
"""Length in bytes of the longest data that an entry can have."""


class Log:
    """The entries, in the order in which they were written; new ones replace the oldest."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self.enabled = True
        self.next_index = 1
        """Index of the next entry: never 0, which stands for no entry in a request, and never used twice."""
        self.entries: list[LogEntry] = []
        self._kept: list[str] = []
        """Each entry as `to_list` returns it: the log is saved after each change, and encoding all of it is slow."""

    def write(
        self,
        now: datetime,
        kind: int,
        *data: int,
        authorization_id: int = 0,
        name: str = "",
        capacity: int = 1000,
    ) -> None:
        """Add an entry with up to 8 bytes of `data`, unless logging is off; `name` is cut to 32 bytes."""
        if not self.enabled:
            return
        entry = LogEntry(
            index=self.next_index,
            time=now.astimezone(UTC).replace(microsecond=0),
            authorization_id=authorization_id,
            name=name.encode()[:NAME_SIZE].decode(errors="ignore"),
            kind=open_enum(LogType, kind),
            **{f"data_{place}": value for place, value in enumerate(data)},
        )
        self.next_index += 1
        self.entries.append(entry)
        self._kept.append(encode(entry, self._family).hex())
        surplus = max(0, len(self.entries) - capacity)
        del self.entries[:surplus], self._kept[:surplus]

    def select(self, start: int, *, descending: bool) -> list[LogEntry]:
        """Return the entries after `start` in the given direction; 0 begins at the newest or the oldest."""
        if not descending:
            return [entry for entry in self.entries if entry.index > start]
        return [entry for entry in reversed(self.entries) if not start or entry.index < start]

    def to_list(self) -> list[str]:
        """Return the entries for JSON: the payload of each in hex."""
        return list(self._kept)

    def load(self, entries: list[str]) -> None:
        """Take over what `to_list` returned; raise `ValueError` if it is something else."""
        self.entries, self._kept = [], list(entries)
        for data in entries:
            try:
                entry = decode(Command.LOG_ENTRY, bytes.fromhex(data), self._family)
            except BadFrame as error:
                raise ValueError(str(error)) from None
            assert isinstance(entry, LogEntry)
            self.entries.append(entry)


def padded(entry: LogEntry, family: Family) -> LogEntry:
    """Return the entry as a Smart Lock 3.0 sends it: with zeros up to the longest data (5 bytes, 8 of an Opener)."""
    data = {f"data_{place}": getattr(entry, f"data_{place}") or 0 for place in range(_PADDED[family])}
    return LogEntry(
        index=entry.index,
        time=entry.time,
        authorization_id=entry.authorization_id,
        name=entry.name,
        kind=entry.kind,
        **data,
    )
