"""Time control: actions that a lock does by itself, by its own clock.  List, add, change, remove.

The lock acts also while the bridge is away.  An action that the configuration does not let MQTT do cannot be planned
over MQTT either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.arguments import Arguments, Declaration, entry_id, flag, member_of, with_schema
from nuki_bridge.errors import RequestError
from nuki_bridge.lock.outcome import NotExecuted, OutcomeUnknown
from nuki_bridge.lock.profile import SMART_LOCK
from nuki_bridge.owner import access
from nuki_bridge.owner.call import Answer, Call, Handler
from nuki_bridge.owner.setting import READ_BACK_S
from nuki_bridge.protocol.codes import Action, name_of
from nuki_bridge.protocol.messages import Status
from nuki_bridge.protocol.time_control import (
    AddTimeControlEntry,
    RemoveTimeControlEntry,
    RequestTimeControlEntries,
    TimeControlEntry,
    TimeControlEntryCount,
    TimeControlEntryId,
    UpdateTimeControlEntry,
)

if TYPE_CHECKING:
    from nuki_bridge.lock.admin import Admin

ACTIONS: Final[Mapping[str, Action]] = {
    name: action for name, action in SMART_LOCK.names.by_name.items() if action in SMART_LOCK.planned
}
"""What a lock can be told to do at a time, by its name."""


action: Final = member_of(ACTIONS, {"description": "lock action"}, "PlannedAction")
"""A lock action by its name."""


@with_schema(
    {
        "type": "array",
        "items": {"type": "string", "enum": list(access.WEEKDAYS)},
        "description": "absent or empty: every day",
    },
    "Weekdays",
)
def weekdays(value: Any) -> int:
    """Return a mask of weekdays (bit 6 Monday), 0 for every day."""
    return 0 if value == [] else access.weekdays(value)


async def read(admin: Admin, deadline: float) -> dict[int, TimeControlEntry]:
    """Return every entry by its ID; raises as `Admin.listing`."""
    entries = await admin.listing(RequestTimeControlEntries(), TimeControlEntry, TimeControlEntryCount, deadline)
    return {each.entry_id: each for each in entries}


def to_json(entry: TimeControlEntry) -> dict[str, Any]:
    """Return an entry as JSON; `time` is the lock's local time, no weekdays means every day."""
    return {
        "id": entry.entry_id,
        "enabled": bool(entry.enabled),
        "weekdays": access.weekdays_to_json(entry.weekdays) or list(access.WEEKDAYS),
        "time": f"{entry.at:%H:%M}" if entry.at else None,
        "action": name_of(entry.action),
    }


# -- requests ---------------------------------------------------------------------------------------------------------


async def _list(call: Call) -> Answer:
    """Return all entries, by their IDs."""
    entries = await read(call.admin, call.lock.clock() + call.left_s())
    return {"data": [to_json(entries[number]) for number in sorted(entries)]}


async def _add(call: Call) -> Answer:
    """Return a new entry, enabled as every new one unless `enabled` is false."""
    _check_allowed(call)
    admin = call.admin
    wanted = TimeControlEntry(
        entry_id=0,
        enabled=True,
        weekdays=call.arguments.get("weekdays", 0),
        at=call.arguments["time"],
        action=call.arguments["action"],
    )
    request = AddTimeControlEntry(weekdays=wanted.weekdays, at=wanted.at, action=wanted.action)
    async with call.exclusive():
        known = await read(admin, call.lock.clock() + call.left_s())
        try:
            number = (await admin.ask(request, TimeControlEntryId, call.left_s(), repeat=False)).entry_id
        except OutcomeUnknown:
            number = await _find_made(call, admin, known, wanted)
        entry = replace(wanted, entry_id=number)
        if not call.arguments.get("enabled", True):
            entry = replace(entry, enabled=False)
            await _write(call, admin, entry)
    return {"data": to_json(entry)}


async def _find_made(call: Call, admin: Admin, known: Mapping[int, TimeControlEntry], wanted: TimeControlEntry) -> int:
    """Return the ID of an entry whose answer got lost, from the list."""
    entries = await read(admin, call.lock.clock() + READ_BACK_S)
    for number, each in entries.items():
        if number not in known and (each.weekdays, each.at, each.action) == (wanted.weekdays, wanted.at, wanted.action):
            return number
    raise NotExecuted("the lock's answer got lost, and it has no such entry")


async def _update(call: Call) -> Answer:
    """Change what the arguments name; gives the entry as it is then."""
    given = {key: call.arguments[key] for key in ("time", "action", "weekdays", "enabled") if key in call.arguments}
    if not given:
        raise RequestError("bad_request", "nothing to change; give time, action, weekdays or enabled")
    _check_allowed(call)
    admin = call.admin
    async with call.exclusive():
        before = await _find(call, admin)
        entry = replace(
            before,
            at=given.get("time", before.at),
            action=given.get("action", before.action),
            weekdays=given.get("weekdays", before.weekdays),
            enabled=given.get("enabled", before.enabled),
        )
        if entry.enabled:  # whoever made the entry: it would be carried out on account of this request
            call.check_allowed(entry.action)
        await _write(call, admin, entry)
    return {"data": to_json(entry)}


async def _write(call: Call, admin: Admin, entry: TimeControlEntry) -> None:
    request = UpdateTimeControlEntry(
        entry_id=entry.entry_id,
        enabled=entry.enabled,
        weekdays=entry.weekdays,
        at=entry.at,
        action=entry.action,
    )
    await admin.ask(request, Status, call.left_s())


async def _remove(call: Call) -> Answer:
    """Delete an entry; gives its ID."""
    admin = call.admin
    async with call.exclusive():
        entry = await _find(call, admin)
        await admin.remove(RemoveTimeControlEntry(entry_id=entry.entry_id), call.left_s())
    return {"data": {"id": entry.entry_id}}


async def _find(call: Call, admin: Admin) -> TimeControlEntry:
    entries = await read(admin, call.lock.clock() + call.left_s())
    number = call.arguments["id"]
    if number not in entries:
        raise RequestError("unknown_entry", f"the lock has no time control entry with the ID {number}")
    return entries[number]


def _check_allowed(call: Call) -> None:
    if "action" in call.arguments:
        call.check_allowed(call.arguments["action"])


_ID: Final = entry_id(0xFF)
_TIME: Final = access.time_of_day.meant("local, such as 22:30")
_WEEKDAYS: Final = weekdays.meant("default: all")
REQUESTS: Final[Mapping[str, Declaration[Handler]]] = {
    "timecontrol/list": Declaration(Arguments(), _list, reads=True),
    "timecontrol/add": Declaration(
        Arguments(
            {"weekdays": _WEEKDAYS, "enabled": flag},
            required={"time": _TIME, "action": action.meant("a lock action that the configuration allows")},
        ),
        _add,
    ),
    "timecontrol/update": Declaration(
        Arguments(
            {"time": access.time_of_day, "action": action, "weekdays": weekdays, "enabled": flag},
            required={"id": _ID},
        ),
        _update,
    ),
    "timecontrol/remove": Declaration(Arguments(required={"id": _ID}), _remove),
}
"""What can be asked of time control."""
