"""The owner's commands for a keypad's codes, for what a lock does by its own clock, and for its upkeep.

The digits of a code are read from a file or asked for, or drawn by chance, and never stand in a command line.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nuki_bridge.command_line import access_options, owner_commands
from nuki_bridge.errors import RequestError

if TYPE_CHECKING:
    from nuki_bridge.command_line.client import Client

_CODE = ("id", "name", "enabled", "last_active", "lock_count", "access")
_ENTRY = ("id", "enabled", "time", "action", "weekdays")
_ACTIONS = ("lock", "full-lock", "unlock", "unlatch", "lock-n-go", "lock-n-go-unlatch")


# -- arguments --------------------------------------------------------------------------------------------------------


def declare(add: Callable[[str, str], argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Declare the arguments of `COMMANDS`; `add` makes the parser of one, from its name and a line of help."""
    _declare_keypad(add("keypad", "list and change the codes of a lock's keypad"), common)
    _declare_time_control(add("timecontrol", "list and change what a lock does by its own clock"), common)
    for name, text in (
        ("calibrate", "have a lock measure where its bolt ends; the bolt moves"),
        ("reboot", "start a lock anew"),
    ):
        add(name, text).add_argument("lock", nargs="?", metavar="LOCK", help=owner_commands.ONLY)


def _declare_keypad(keypad: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    add = owner_commands.sub_commands(keypad, common)
    add("list", "the codes, asked of the lock now (default)").add_argument(
        "--codes", action="store_true", help="show their digits, too; whoever may read answers at the broker sees them"
    )
    new = add("add", "make a code")
    new.add_argument("name", metavar="NAME", help="whose it is; the lock's log shows this name")
    access_options.declare(new)
    update = add("update", "change a code; what is not named stays")
    update.add_argument("which", metavar="CODE", help="its ID or its name")
    update.add_argument("--rename", metavar="NAME")
    update.add_argument("--new-digits", action="store_true", help="ask for other digits")
    owner_commands.switch(update, "enabled", "--enable", "--disable")
    access_options.declare(update)
    update.add_argument("--always", action="store_true", help="take all limits away")
    for parser in (new, update):
        digits = parser.add_mutually_exclusive_group()
        digits.add_argument(
            "--code-file", metavar="FILE", help="file with the six digits, - for standard input; else you are asked"
        )
        digits.add_argument("--random", action="store_true", help="draw the digits by chance, and print them once")
    add("remove", "delete a code").add_argument("which", metavar="CODE", help="its ID or its name")


def _declare_time_control(control: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    add = owner_commands.sub_commands(control, common)
    add("list", "the entries, asked of the lock now (default)")
    new = add("add", "have the lock do something at a time of day")
    new.add_argument("time", metavar="HH:MM", help="in the lock's local time")
    new.add_argument("action", choices=_ACTIONS, metavar="ACTION", help=f"one of {', '.join(_ACTIONS)}")
    new.add_argument("--disabled", action="store_true", help="not before it is enabled")
    update = add("update", "change an entry; what is not named stays")
    update.add_argument("number", type=int, metavar="ID")
    update.add_argument("--time", metavar="HH:MM")
    update.add_argument("--action", choices=_ACTIONS, metavar="ACTION")
    owner_commands.switch(update, "enabled", "--enable", "--disable")
    for parser in (new, update):
        parser.add_argument(
            "--weekdays", type=access_options.weekdays, metavar="DAYS", help="such as mo-fr; mo-su is every day"
        )
    add("remove", "delete an entry").add_argument("number", type=int, metavar="ID")


# -- the keypad -------------------------------------------------------------------------------------------------------


async def keypad(client: Client, arguments: argparse.Namespace) -> None:
    """List or change a keypad's codes."""
    await _KEYPAD[arguments.what or "list"](client, arguments)


async def _list(client: Client, arguments: argparse.Namespace) -> None:
    request = {"codes": True} if getattr(arguments, "codes", False) else {}
    columns = (*_CODE[:2], "code", *_CODE[2:]) if request else _CODE
    await owner_commands.ask(
        client, arguments, "keypad/list", request, "asking it for its codes", columns=columns, nothing="no codes"
    )


async def _add(client: Client, arguments: argparse.Namespace) -> None:
    digits = _digits(arguments)
    request: dict[str, Any] = {"name": arguments.name, "code": digits}
    if limit := access_options.access_of(arguments):
        request["access"] = limit
    await _change(client, arguments, "keypad/add", request, "making the code", digits)


async def _update(client: Client, arguments: argparse.Namespace) -> None:
    limit = access_options.access_of(arguments)
    if limit is not None and arguments.always:
        raise RequestError("bad_arguments", "--always takes all limits away; give it alone")
    changes: dict[str, Any] = {
        key: getattr(arguments, key) for key in ("rename", "enabled") if getattr(arguments, key) is not None
    }
    if limit is not None or arguments.always:
        changes["access"] = limit
    digits = None
    if arguments.new_digits or arguments.code_file is not None or arguments.random:
        digits = changes["code"] = _digits(arguments)
    if not changes:
        raise RequestError("bad_arguments", "say what to change; see nuki-bridge keypad update --help")
    request = {**owner_commands.by_id_or_name(arguments.which), **changes}
    await _change(client, arguments, "keypad/update", request, "changing the code", digits)


async def _remove(client: Client, arguments: argparse.Namespace) -> None:
    which = owner_commands.by_id_or_name(arguments.which)
    await owner_commands.ask(client, arguments, "keypad/remove", which, "removing the code")


async def _change(
    client: Client, arguments: argparse.Namespace, command: str, request: dict[str, Any], doing: str, digits: str | None
) -> None:
    """Ask, and show the digits that were drawn here: nobody else knows them."""
    from nuki_bridge.command_line import commands

    lock = client.lock_name(arguments.lock or None)
    with commands.progress(arguments, f"{lock}: {doing}"):
        made = await client.ask(lock, command, request)
    commands.show(arguments, {**made, "code": digits} if arguments.random else made)


def _digits(arguments: argparse.Namespace) -> str:
    """The digits to set; raises `RequestError` without quoting them."""
    if arguments.random:
        return _drawn()
    if arguments.code_file is not None:
        return _read(arguments.code_file)
    if not sys.stdin.isatty():
        raise RequestError("bad_arguments", "give the digits in --code-file, - for standard input, or --random")
    import getpass

    try:
        return getpass.getpass("The code, six digits from 1 to 9 (it is not shown): ").strip()
    except EOFError:
        raise RequestError("bad_arguments", "no code was given") from None


def _drawn() -> str:
    """Six digits that a lock takes, each set of them as likely as any other."""
    while True:
        digits = "".join(secrets.choice("123456789") for _ in range(6))
        if not digits.startswith("12"):
            return digits


def _read(file: str) -> str:
    try:
        if file == "-":
            return sys.stdin.readline(100).strip()
        with Path(file).open(encoding="utf-8", errors="replace") as opened:
            return opened.readline(100).strip()
    except OSError as error:
        raise RequestError("bad_arguments", f"{file} cannot be read: {error.strerror}") from None


# -- the lock's own clock ---------------------------------------------------------------------------------------------


async def time_control(client: Client, arguments: argparse.Namespace) -> None:
    """List or change what a lock does by its own clock."""
    await _TIME_CONTROL[arguments.what or "list"](client, arguments)


async def _list_entries(client: Client, arguments: argparse.Namespace) -> None:
    await owner_commands.ask(
        client, arguments, "timecontrol/list", {}, "asking it for its entries", columns=_ENTRY, nothing="no entries"
    )


async def _add_entry(client: Client, arguments: argparse.Namespace) -> None:
    request = {"time": arguments.time, "action": arguments.action.replace("-", "_")}
    if arguments.weekdays is not None:
        request["weekdays"] = arguments.weekdays
    if arguments.disabled:
        request["enabled"] = False
    await owner_commands.ask(client, arguments, "timecontrol/add", request, "making the entry")


async def _update_entry(client: Client, arguments: argparse.Namespace) -> None:
    changes = {
        key: getattr(arguments, key)
        for key in ("time", "action", "weekdays", "enabled")
        if getattr(arguments, key) is not None
    }
    if not changes:
        raise RequestError("bad_arguments", "say what to change; see nuki-bridge timecontrol update --help")
    if "action" in changes:
        changes["action"] = changes["action"].replace("-", "_")
    request = {"id": arguments.number, **changes}
    await owner_commands.ask(client, arguments, "timecontrol/update", request, "changing the entry")


async def _remove_entry(client: Client, arguments: argparse.Namespace) -> None:
    request = {"id": arguments.number}
    await owner_commands.ask(client, arguments, "timecontrol/remove", request, "removing the entry")


# -- upkeep -----------------------------------------------------------------------------------------------------------


async def calibrate(client: Client, arguments: argparse.Namespace) -> None:
    """Have a lock measure where its bolt ends."""
    from nuki_bridge.command_line import commands
    from nuki_bridge.command_line.client import ACTION_TIMEOUT_S

    lock = client.lock_name(arguments.lock or None)
    with commands.progress(arguments, f"{lock}: calibrating, the bolt moves"):
        done = await client.ask(lock, "calibrate", {}, ACTION_TIMEOUT_S)
    commands.show(arguments, done if arguments.json else f"{lock}: calibrated, it is {done['state']} now")


async def reboot(client: Client, arguments: argparse.Namespace) -> None:
    """Start a lock anew."""
    from nuki_bridge.command_line import commands

    lock = client.lock_name(arguments.lock or None)
    with commands.progress(arguments, f"{lock}: starting it anew"):
        done = await client.ask(lock, "reboot", {})
    text = "starts anew" if done["confirmed"] else "dropped the link before it answered, as it does when it starts anew"
    commands.show(arguments, done if arguments.json else f"{lock}: it {text}")


_KEYPAD = {"list": _list, "add": _add, "update": _update, "remove": _remove}
_TIME_CONTROL = {"list": _list_entries, "add": _add_entry, "update": _update_entry, "remove": _remove_entry}
COMMANDS: dict[str, Callable[[Client, argparse.Namespace], Coroutine[Any, Any, None]]] = {
    "keypad": keypad,
    "timecontrol": time_control,
    "calibrate": calibrate,
    "reboot": reboot,
}
