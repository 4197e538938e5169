"""A lock's log entries as messages: a page of them, beyond an entry that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nuki_bridge.protocol.log_entries import LogEntry, LogEntryCount, RequestLogEntries

if TYPE_CHECKING:
    from nuki_bridge.lock.admin import Admin
    from nuki_bridge.lock.lock import Lock


async def read(
    lock: Lock, admin: Admin, *, start: int, count: int, descending: bool, timeout_s: float
) -> list[LogEntry]:
    """Return up to `count` entries beyond `start` (exclusive; 0: from the newest or oldest), in the lock's order.

    What shows the newest ones becomes the lock's `Evidence`, unless an action is under way.  Raises as `Admin.listing`.
    """
    request = RequestLogEntries(start=start, count=count, descending=descending, total_count=True)
    found = await admin.listing(request, LogEntry, LogEntryCount, lock.clock() + timeout_s)
    has_newest = start == 0 if descending else len(found) < count
    if has_newest and found and not lock.runs:
        lock.evidence.read(found)
    return found
