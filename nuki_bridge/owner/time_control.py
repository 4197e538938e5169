"""Time control: actions that a lock does by itself, by its own clock.  List, add, change, remove.

The lock acts also while the bridge is away.  An action that the configuration does not let MQTT do cannot be planned
over MQTT either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.arguments import Arguments, Declaration, entry_id, flag, one_of, with_schema
from nuki_bridge.errors import RequestError
from nuki_bridge.lock.outcome import NotExecuted, OutcomeUnknown
from nuki_bridge.lock.profile import OPENER, SMART_LOCK, Profile
from nuki_bridge.owner import access
from nuki_bridge.owner.call import Answer, Call, Handler
from nuki_bridge.owner.setting import READ_BACK_S
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


def actions_of(profile: Profile) -> dict[str, int]:
    """Return what a device of this kind can be told to do at a time, by its name."""
    return {name: action for name, action in profile.names.by_name.items() if action in profile.planned}


action: Final = with_schema(
    {
        "type": "string",
        "enum": [*actions_of(SMART_LOCK), *actions_of(OPENER)],
        "description": f"lock action; of an Opener {', '.join(actions_of(OPENER))}",
    },
    "PlannedAction",
)(one_of(*actions_of(SMART_LOCK), *actions_of(OPENER)))
"""A lock action of any kind of device by its name."""


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


def to_json(profile: Profile, entry: TimeControlEntry) -> dict[str, Any]:
    """Return an entry of such a device as JSON; `time` is its local time, no weekdays means every day."""
    return {
        "id": entry.entry_id,
        "enabled": bool(entry.enabled),
        "weekdays": access.weekdays_to_json(entry.weekdays) or list(access.WEEKDAYS),
        "time": f"{entry.at:%H:%M}" if entry.at else None,
        "action": profile.action_word(entry.action),
    }


# -- requests ---------------------------------------------------------------------------------------------------------


async def _list(call: Call) -> Answer:
    """Return all entries, by their IDs."""
    entries = await read(call.admin, call.lock.clock() + call.left_s())
    return {"data": [to_json(call.lock.profile, entries[number]) for number in sorted(entries)]}


async def _add(call: Call) -> Answer:
    """Return a new entry, enabled as every new one unless `enabled` is false."""
    action = _planned(call, call.arguments["action"])
    admin = call.admin
    wanted = TimeControlEntry(
        entry_id=0,
        enabled=True,
        weekdays=call.arguments.get("weekdays", 0),
        at=call.arguments["time"],
        action=action,
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
    return {"data": to_json(call.lock.profile, entry)}


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
    if "action" in given:
        given["action"] = _planned(call, given["action"])
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
    return {"data": to_json(call.lock.profile, entry)}


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


def _planned(call: Call, name: str) -> int:
    """Return the action of this name; raises `RequestError` if the device does not have it, or it is not allowed."""
    known = actions_of(call.lock.profile)
    if name not in known:
        raise RequestError(
            "unknown_action",
            f"{call.lock.profile.kind} cannot be told to {name} at a time; allowed are {', '.join(known)}",
        )
    call.check_allowed(known[name])
    return known[name]


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
