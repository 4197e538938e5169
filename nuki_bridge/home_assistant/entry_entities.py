"""A lock's users and keypad codes as switches in Home Assistant: each one is enabled or not.

They come and go while the lock stays, so that each is announced in a message of its own, which is cleared when the
entry is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from nuki_bridge.home_assistant.components import KEYPAD, USERS, Entity, if_json
from nuki_bridge.records import frozen

List = Literal["users", "keypad"]
LISTS: Final[tuple[List, ...]] = ("users", "keypad")


@frozen
class Entry:
    """One user or keypad code: its number in the lock's list, and its name."""

    number: int
    name: str


@frozen
class _Kind:
    key: str
    name: str
    topic: str
    icon: str


_KINDS: Final[Mapping[List, _Kind]] = {
    "users": _Kind("user", "User", USERS, "mdi:account-key"),
    "keypad": _Kind("keypad_code", "Keypad code", KEYPAD, "mdi:dialpad"),
}


def entity(of: List, entry: Entry) -> Entity:
    """Return the switch of an entry; its attributes are what else the list tells of it."""
    kind = _KINDS[of]
    found = f"(value_json | default([]) | selectattr('id', 'eq', {entry.number}) | list + [{{}}]) | first"
    return Entity(
        f"{kind.key}_{entry.number}",
        "switch",
        {
            "name": f"{kind.name} {entry.name}",
            "icon": kind.icon,
            "entity_category": "config",
            "state_topic": kind.topic,
            "value_template": if_json(
                f"{{{{ {{true: 'ON', false: 'OFF'}}.get(({found}).enabled | default(none), 'None') }}}}"
            ),
            "json_attributes_topic": kind.topic,
            "json_attributes_template": if_json(f"{{{{ ({found}) | to_json }}}}", "{}"),
            "command_topic": f"<lock>/request/{of}/update",
            "payload_on": f'{{"id":{entry.number},"enabled":true}}',
            "payload_off": f'{{"id":{entry.number},"enabled":false}}',
            "state_on": "ON",
            "state_off": "OFF",
        },
        ("pin",),
    )


def entries(listed: list[dict[str, Any]] | None) -> tuple[Entry, ...] | None:
    """Return who is in a list as it is published; None if that is not known.

    The bridge itself has no switch, because it could not be switched on again, and neither has an invitation that
    nobody has redeemed: it is about to become somebody, or to go.
    """
    if listed is None:
        return None
    shown = [each for each in listed if not each.get("self") and not each.get("pending")]
    return tuple(Entry(each["id"], _printable(each["name"]) or str(each["id"])) for each in shown)


def _printable(name: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in name).split())
