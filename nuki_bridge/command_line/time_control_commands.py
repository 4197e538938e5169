"""The command `timecontrol`: list and change what a lock does by its own clock."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nuki_bridge.command_line import access_options, lock_argument
from nuki_bridge.command_line.asking import ask, given, progress, show
from nuki_bridge.command_line.registration import Commands, add_switch
from nuki_bridge.errors import RequestError

if TYPE_CHECKING:
    from nuki_bridge.command_line.client import BridgeClient

_COLUMNS = ("id", "enabled", "time", "action", "weekdays")
"""What the table shows of each entry."""
_LOCK_ACTIONS = ("lock", "full-lock", "unlock", "unlatch", "lock-n-go", "lock-n-go-unlatch")
"""The actions that a lock can carry out by its own clock."""
_OPENER_ACTIONS = ("activate-rto", "deactivate-rto", "open", "activate-continuous-mode", "deactivate-continuous-mode")
"""The actions that an Opener can carry out by its own clock."""
_ID = "number of the entry, as the list shows it"
"""Help for the argument that names an entry."""
_WHICH = f"one of {', '.join(_LOCK_ACTIONS)}; of an Opener {', '.join(_OPENER_ACTIONS)}"
"""Help for the argument that names an action."""
_ACTIONS = (*_LOCK_ACTIONS, *_OPENER_ACTIONS)


def declare(commands: Commands) -> None:
    """Add the command with the commands below it and their arguments."""
    control = commands.add("timecontrol", "list and change what a lock does by its own clock", list_entries)
    lock_argument.add_first(control)
    add = commands.add_below(control, lock_argument.LIST)
    add("list", "the entries, asked of the lock now (default)", list_entries)
    new = add("add", "have the lock do something at a time of day", add_entry)
    new.add_argument(
        "time", type=access_options.time_of_day, metavar="HH:MM", help="such as 22:30, in the lock's local time"
    )
    new.add_argument("action", choices=_ACTIONS, metavar="ACTION", help=_WHICH)
    new.add_argument("--disabled", action="store_true", help="not before it is enabled")
    update = add("update", "change an entry; what is not named stays", update_entry)
    update.add_argument("number", type=int, metavar="ID", help=_ID)
    update.add_argument(
        "--time", type=access_options.time_of_day, metavar="HH:MM", help="such as 22:30, in the lock's local time"
    )
    update.add_argument("--action", choices=_ACTIONS, metavar="ACTION", help=_WHICH)
    add_switch(update, "enabled", ("--enable", "have the lock do it"), ("--disable", "keep it for later"))
    for parser in (new, update):
        parser.add_argument(
            "--weekdays", type=access_options.weekdays, metavar="DAYS", help="such as mo-fr; mo-su is every day"
        )
    add("remove", "delete an entry", remove_entry).add_argument("number", type=int, metavar="ID", help=_ID)


async def list_entries(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """List the entries."""
    doing = "asking it for its entries"
    await ask(client, arguments, "timecontrol/list", {}, doing, columns=_COLUMNS, nothing="no entries")


async def add_entry(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Make an entry."""
    request = {"time": arguments.time, "action": arguments.action.replace("-", "_")}
    if arguments.weekdays is not None:
        request["weekdays"] = arguments.weekdays
    if arguments.disabled:
        request["enabled"] = False
    await ask(client, arguments, "timecontrol/add", request, "making the entry")


async def update_entry(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Change an entry."""
    changes = given(arguments, "time", "action", "weekdays", "enabled")
    if not changes:
        raise RequestError("bad_arguments", "say what to change; see nuki-bridge timecontrol update --help")
    if "action" in changes:
        changes["action"] = changes["action"].replace("-", "_")
    await ask(client, arguments, "timecontrol/update", {"id": arguments.number, **changes}, "changing the entry")


async def remove_entry(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Delete an entry."""
    lock = client.lock_name(arguments.lock or None)
    with progress(arguments, f"{lock}: removing the entry"):
        gone = await client.ask(lock, "timecontrol/remove", {"id": arguments.number})
    show(arguments, gone if arguments.json else f"{lock}: entry {arguments.number} is removed")
