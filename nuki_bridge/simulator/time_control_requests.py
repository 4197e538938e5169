"""The owner's requests about time control entries (smartlock.md 11)."""

from __future__ import annotations

from nuki_bridge.protocol.time_control import (
    AddTimeControlEntry,
    RemoveTimeControlEntry,
    RequestTimeControlEntries,
    TimeControlEntry,
    TimeControlEntryCount,
    TimeControlEntryId,
    UpdateTimeControlEntry,
)
from nuki_bridge.simulator.client_request import ClientRequest, Handlers


def _request_entries(request: ClientRequest, message: RequestTimeControlEntries) -> None:
    device = request.device
    entries = list(device.time_control)
    request.note("time_control_read", str(len(entries)))
    request.reply(TimeControlEntryCount(count=len(entries)))
    for each in entries:
        request.reply(
            TimeControlEntry(
                entry_id=each.entry_id, enabled=each.enabled, weekdays=each.weekdays, at=each.at, action=each.action
            )
        )
    request.end_list()


def _add(request: ClientRequest, message: AddTimeControlEntry) -> None:
    device = request.device
    entry = device.time_control.add(message.weekdays, message.at, message.action, device.behaviour.max_time_control)
    request.note("time_control_added", str(entry.entry_id))
    device.config_changed()
    request.reply(TimeControlEntryId(entry_id=entry.entry_id))


def _update(request: ClientRequest, message: UpdateTimeControlEntry) -> None:
    entry = request.device.time_control.change(message)
    request.note("time_control_updated", f"{entry.entry_id}, {'enabled' if entry.enabled else 'disabled'}")
    request.device.config_changed()
    request.complete()


def _remove(request: ClientRequest, message: RemoveTimeControlEntry) -> None:
    entry = request.device.time_control.remove(message.entry_id)
    request.note("time_control_removed", str(entry.entry_id))
    request.device.config_changed()
    request.complete()


HANDLERS: Handlers = {
    RequestTimeControlEntries: _request_entries,
    AddTimeControlEntry: _add,
    UpdateTimeControlEntry: _update,
    RemoveTimeControlEntry: _remove,
}
"""The owner's requests about time control."""
