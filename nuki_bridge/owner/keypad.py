"""A keypad's codes: list, add, change, remove.

A code opens the door to whoever knows it: it is part of no answer unless that was asked for, and of no log line, event
or retained topic.  The lock only takes an entry as a whole, so a change is made to what it has at that moment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.arguments import Arguments, Declaration, entry_id, flag, printable, text, with_schema
from nuki_bridge.errors import RequestError
from nuki_bridge.lock import wall_clock
from nuki_bridge.lock.outcome import NotExecuted, OutcomeUnknown
from nuki_bridge.owner import access
from nuki_bridge.owner.call import Answer, Call, Handler
from nuki_bridge.owner.entry_selector import EntrySelector
from nuki_bridge.owner.keypad_list import read, to_json
from nuki_bridge.owner.setting import READ_BACK_S
from nuki_bridge.owner.user_words import limit_of
from nuki_bridge.protocol.field_kinds import TimeLimit
from nuki_bridge.protocol.keypad_codes import (
    CODE_NAME_SIZE,
    AddKeypadCode,
    KeypadCode,
    KeypadCodeId,
    RemoveKeypadCode,
    UpdateKeypadCode,
)
from nuki_bridge.protocol.messages import Status

if TYPE_CHECKING:
    from datetime import tzinfo


# -- arguments --------------------------------------------------------------------------------------------------------


@with_schema(
    {
        "description": "a secret: six digits from 1 to 9 that do not begin with 12",
        "oneOf": [
            {"type": "string", "pattern": "^(?!12)[1-9]{6}$"},
            {"type": "integer", "minimum": 111111, "maximum": 999999},
        ],
    },
    "KeypadDigits",
)
def code(value: Any) -> int:
    """Return a code: six digits from 1 to 9 that do not begin with 12, as text or number.

    Raises `ValueError` with the rest of "NAME …", which never quotes it.
    """
    digits = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(digits, str) or not re.fullmatch("(?!12)[1-9]{6}", digits):
        raise ValueError("must be six digits from 1 to 9 that do not begin with 12")
    return int(digits)


code_name: Final = printable(CODE_NAME_SIZE, "CodeName")
"""A name that a lock keeps whole."""


# -- requests ---------------------------------------------------------------------------------------------------------


async def _zone(call: Call) -> tzinfo:
    return wall_clock.zone_of(call.lock.config or await call.lock.read_config(call.timeout_s))


async def _list(call: Call) -> Answer:
    """Return all codes, by their IDs; the codes themselves only if `codes` is true."""
    zone = await _zone(call)
    entries = await read(call.admin, call.deadline)
    call.owned.keypad.read(entries)
    with_code = call.arguments.get("codes", False)
    return {"data": [to_json(entries[number], zone, with_code=with_code) for number in sorted(entries)]}


async def _add(call: Call) -> Answer:
    """Return a new code; a lost answer is looked for in the list, because two with the same digits cannot be."""
    admin, zone = call.admin, await _zone(call)
    digits, name = call.arguments["code"], call.arguments["name"]
    limit = limit_of(call.arguments.get("access"), zone, call.now())

    request = AddKeypadCode(code=digits, name=name, time_limited=limit is not None, limit=limit or TimeLimit())
    async with call.exclusive():
        try:
            made = await admin.ask(request, KeypadCodeId, call.left_s(), repeat=False)
        except OutcomeUnknown:
            entries = await read(admin, call.lock.clock() + READ_BACK_S)
            found = next((each for each in entries.values() if each.code == digits and each.name == name), None)
            if found is None:
                raise NotExecuted("the lock's answer got lost, and it has no such code") from None
            call.owned.keypad.keep(found)
            return {"data": to_json(found, zone)}
    entry = KeypadCode(
        code_id=made.code_id,
        code=digits,
        name=name,
        enabled=True,
        created=made.created,
        last_active=None,
        lock_count=0,
        time_limited=limit is not None,
        limit=limit,
    )
    call.owned.keypad.keep(entry)
    return {"data": to_json(entry, zone)}


async def _update(call: Call) -> Answer:
    """Change what the arguments name; gives the entry as it is then."""
    selector = EntrySelector(call.arguments, "keypad code", "unknown_keypad_code")
    given = {key: call.arguments[key] for key in ("rename", "code", "enabled", "access") if key in call.arguments}
    if not given:
        raise RequestError("bad_request", "nothing to change; give rename, code, enabled or access")
    admin, zone = call.admin, await _zone(call)
    async with call.exclusive():
        entries = await read(admin, call.deadline)
        entry = entries[selector.find(_names(entries))]
        entry = replace(
            entry,
            name=given.get("rename", entry.name),
            code=given.get("code", entry.code),
            enabled=given.get("enabled", entry.enabled),
        )
        if "access" in given:
            limit = limit_of(given["access"], zone, call.now())
            entry = replace(entry, time_limited=limit is not None, limit=limit)

        request = UpdateKeypadCode(
            code_id=entry.code_id,
            code=entry.code,
            name=entry.name,
            enabled=entry.enabled,
            time_limited=entry.time_limited,
            limit=entry.limit or TimeLimit(),
        )
        await admin.ask(request, Status, call.left_s())
    call.owned.keypad.keep(entry)
    return {"data": to_json(entry, zone)}


async def _remove(call: Call) -> Answer:
    """Delete a code; gives its ID and name."""
    selector = EntrySelector(call.arguments, "keypad code", "unknown_keypad_code")
    admin = call.admin
    async with call.exclusive():
        entries = await read(admin, call.deadline)
        entry = entries[selector.find(_names(entries))]
        await admin.remove(RemoveKeypadCode(code_id=entry.code_id), call.left_s())
    call.owned.keypad.forget(entry.code_id)
    return {"data": {"id": entry.code_id, "name": entry.name}}


def _names(entries: Mapping[int, KeypadCode]) -> dict[int, str]:
    return {number: each.name for number, each in entries.items()}


_ID: Final = entry_id(0xFFFF)
REQUESTS: Final[Mapping[str, Declaration[Handler]]] = {
    "keypad/list": Declaration(
        Arguments({"codes": flag.meant("true: with the digits, which open the door; default false")}),
        _list,
        reads=True,
    ),
    "keypad/add": Declaration(
        Arguments(
            {"access": access.check},
            required={
                "name": code_name.meant(f"up to {CODE_NAME_SIZE} bytes"),
                "code": code.meant("six digits from 1 to 9, not beginning with 12"),
            },
        ),
        _add,
    ),
    "keypad/update": Declaration(
        Arguments(
            {
                "id": _ID,
                "name": text,
                "rename": code_name,
                "code": code,
                "enabled": flag,
                "access": access.check.meant("null: at any time"),
            },
            nullable=frozenset({"access"}),
            which="code",
        ),
        _update,
    ),
    "keypad/remove": Declaration(Arguments({"id": _ID, "name": text}, which="code"), _remove),
}
"""What can be asked of the keypad."""
