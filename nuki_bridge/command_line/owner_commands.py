"""The owner's commands: the users of a lock, its settings, its log and its security PIN.

Their arguments are declared here, too.  The PIN is read from a file or asked for, and never stands in a command line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nuki_bridge.command_line import access_options
from nuki_bridge.errors import RequestError

if TYPE_CHECKING:
    from nuki_bridge.command_line.client import Client

_WORDS = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}
_TEXTS = ("name", "timezone", "dst_mode")
"""Settings whose value is a word, whatever it looks like."""
_USER = ("id", "name", "type", "enabled", "remote", "last_active", "lock_count", "access", "pending", "self")
_ENTRY = ("index", "time", "type", "action", "user", "source", "completion", "door", "code_id")
_LIST = ("list", "update", "remove", "add")
_WHAT = {
    "users": _LIST,
    "keypad": _LIST,
    "timecontrol": _LIST,
    "config": ("get", "set"),
    "pin": ("verify", "set"),
}
"""What may stand behind LOCK, or in its place."""
ONLY = "may be left out if there is only one"


# -- arguments --------------------------------------------------------------------------------------------------------


def with_lock(argv: Sequence[str]) -> list[str]:
    """The arguments with LOCK in its place: empty where a command of `_WHAT` leaves it out, or behind its `list`.

    argparse cannot see that.  A lock whose own name is one of these words is meant if another one of them follows.
    """
    words = [place for place in range(len(argv)) if _is_word(argv, place)]
    command = argv[words[0]] if words else ""
    if command not in _WHAT:
        return list(argv)
    behind = words[1:3]
    said = [argv[place] for place in behind]
    if said and (said[0] not in _WHAT[command] or (len(said) > 1 and said[1] in _WHAT[command])):
        return list(argv)
    arranged = list(argv)
    if len(said) > 1 and (command == "pin" or said[0] in ("list", "get")):
        arranged[behind[0]], arranged[behind[1]] = said[1], said[0]
    else:
        arranged.insert(words[0] + 1, "")
    return arranged


def _is_word(argv: Sequence[str], place: int) -> bool:
    """Neither an option nor the value of one that all commands have."""
    return not argv[place].startswith("-") and (place == 0 or argv[place - 1] not in ("--config", "--broker"))


def declare(add: Callable[[str, str], argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Declare the arguments of `COMMANDS`; `add` makes the parser of one, from its name and a line of help."""
    _declare_users(add("users", "list and change the users of a lock"), common)
    config = add("config", "show or change a lock's settings")
    config.add_argument("lock", metavar="[LOCK]", help=ONLY)
    config.add_argument("what", choices=("get", "set"), nargs="?", default="get", help="default: get")
    config.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="such as pairing_enabled=false")
    log = add("log", "show what happened at a lock, the newest first")
    log.add_argument("lock", nargs="?", metavar="LOCK", help=ONLY)
    log.add_argument("--count", type=int, metavar="N", help="how many entries (default: 20)")
    place = log.add_mutually_exclusive_group()
    place.add_argument("--before", type=int, metavar="INDEX", help="entries older than this one")
    place.add_argument("--after", type=int, metavar="INDEX", help="entries newer than this one, the oldest first")
    pin = add("pin", "tell the daemon a lock's security PIN, or change it")
    pin.add_argument("lock", metavar="[LOCK]", help=ONLY)
    pin.add_argument("what", choices=("verify", "set"), help="verify: it is used from then on; set: the lock's new one")
    pin.add_argument(
        "--pin-file", metavar="FILE", help="file with the PIN, - for standard input; without it you are asked"
    )


def _declare_users(users: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    add = sub_commands(users, common)
    add("list", "the users, asked of the lock now (default)")
    update = add("update", "change a user; what is not named stays")
    update.add_argument("user", metavar="USER", help="ID or name")
    update.add_argument("--rename", metavar="NAME")
    switch(update, "enabled", "--enable", "--disable")
    switch(update, "remote", "--remote", "--no-remote")
    access_options.declare(update)
    update.add_argument("--always", action="store_true", help="take all limits away")
    update.add_argument("--self", dest="own", action="store_true", help="even if that is the bridge itself")
    remove = add("remove", "delete a user")
    remove.add_argument("user", metavar="USER", help="ID or name")
    remove.add_argument("--self", dest="own", action="store_true", help="even if that is the bridge itself")
    new = add("add", "make a user without an invitation, for a device of your own")
    new.add_argument("name", metavar="NAME")
    new.add_argument("--no-remote", dest="remote", action="store_false", default=None, help="only near the door")
    access_options.declare(new)
    new.add_argument(
        "--credential",
        type=Path,
        required=True,
        metavar="FILE",
        help="where to keep the credential; must not be there yet",
    )


def sub_commands(
    parser: argparse.ArgumentParser, common: argparse.ArgumentParser
) -> Callable[[str, str], argparse.ArgumentParser]:
    """Declare LOCK and what to do with one of its lists; gives what makes the parser of each, as for `declare`."""
    parser.add_argument("lock", metavar="[LOCK]", help=ONLY)
    actions = parser.add_subparsers(title="what to do", dest="what", metavar="|".join(_LIST))
    return lambda name, text: actions.add_parser(
        name, help=text, description=text, parents=[common], allow_abbrev=False
    )


def switch(parser: argparse.ArgumentParser, name: str, on: str, off: str) -> None:
    """Declare the two options that set `name` to true and false; None is neither."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(on, dest=name, action="store_true", default=None)
    group.add_argument(off, dest=name, action="store_false", default=None)


# -- commands ---------------------------------------------------------------------------------------------------------


async def users(client: Client, arguments: argparse.Namespace) -> None:
    """List or change the users of a lock."""
    await _USERS[arguments.what or "list"](client, arguments)


async def _list(client: Client, arguments: argparse.Namespace) -> None:
    await ask(client, arguments, "users/list", {}, "asking it for its users", columns=_USER)


async def _update(client: Client, arguments: argparse.Namespace) -> None:
    access = access_options.access_of(arguments)
    if access is not None and arguments.always:
        raise RequestError("bad_arguments", "--always takes all limits away; give it alone")
    changes: dict[str, Any] = {
        key: getattr(arguments, key) for key in ("rename", "enabled", "remote") if getattr(arguments, key) is not None
    }
    if access is not None or arguments.always:
        changes["access"] = access
    if not changes:
        raise RequestError("bad_arguments", "say what to change; see nuki-bridge users LOCK update --help")
    await ask(client, arguments, "users/update", {**_which(arguments), **changes}, "changing the user")


async def _remove(client: Client, arguments: argparse.Namespace) -> None:
    from nuki_bridge.command_line import commands, console

    lock = client.lock_name(arguments.lock or None)
    with commands.progress(arguments, f"{lock}: removing the user"):
        gone = await client.ask(lock, "users/remove", _which(arguments))
    text = f"{lock}: {gone.get('name')} (user {gone.get('id')}) is removed"
    console.show(gone if arguments.json else text, as_json=arguments.json)


async def _add(client: Client, arguments: argparse.Namespace) -> None:
    from nuki_bridge.command_line import commands, console
    from nuki_bridge.guest import credential_file

    credential_file.refuse_existing(arguments.credential)
    credential_file.refuse_unwritable(arguments.credential)
    request: dict[str, Any] = {"name": arguments.name}
    if arguments.remote is not None:
        request["remote"] = arguments.remote
    if access := access_options.access_of(arguments):
        request["access"] = access
    lock = client.lock_name(arguments.lock or None)
    with commands.progress(arguments, f"{lock}: making the user"):
        made = credential_file.read_credential(await client.ask(lock, "users/add", request))
    credential_file.store(arguments.credential, made, None)
    found = {"lock": made.name, "id": made.authorization_id, "user": made.user, "credential": str(arguments.credential)}
    text = f"{made.name}: {made.user} is user {made.authorization_id}; whoever has this file can open the door"
    console.show(found if arguments.json else text, as_json=arguments.json)


def by_id_or_name(text: str) -> dict[str, Any]:
    """What a request says of an entry that is meant: its ID if it is a number, else its name."""
    return {"id": int(text)} if text.isascii() and text.isdigit() else {"name": text}


def _which(arguments: argparse.Namespace) -> dict[str, Any]:
    which = by_id_or_name(arguments.user)
    return {**which, "self": True} if arguments.own else which


async def config(client: Client, arguments: argparse.Namespace) -> None:
    """Show a lock's settings, or change some of them."""
    if arguments.what == "set":
        settings = dict(_setting(each) for each in arguments.settings)
        if not settings:
            raise RequestError("bad_arguments", "say what to set, such as pairing_enabled=false")
        await ask(client, arguments, "config/set", settings, "changing its settings")
    elif arguments.settings:
        raise RequestError("bad_arguments", "KEY=VALUE belongs to set")
    else:
        await ask(client, arguments, "config/get", {}, "asking it for its settings")


def _setting(text: str) -> tuple[str, Any]:
    key, equals, word = text.partition("=")
    if not equals:
        raise RequestError("bad_arguments", f"{text!r:.40} is not KEY=VALUE")
    key = key.strip()
    if key in _TEXTS:
        return key, word
    if word.lower() in _WORDS:
        return key, _WORDS[word.lower()]
    try:
        number = json.loads(word)
    except (ValueError, RecursionError):
        return key, word
    return key, number if isinstance(number, int | float) else word


async def log(client: Client, arguments: argparse.Namespace) -> None:
    """Show a lock's log."""
    wanted = ("count", "before", "after")
    request = {key: getattr(arguments, key) for key in wanted if getattr(arguments, key) is not None}
    await ask(client, arguments, "log/get", request, "reading its log", columns=_ENTRY, nothing="nothing is in its log")


async def pin(client: Client, arguments: argparse.Namespace) -> None:
    """Verify or replace the security PIN."""
    from nuki_bridge.command_line import commands

    if arguments.pin_file is not None:
        digits = commands.read_pin(arguments.pin_file)
    elif sys.stdin.isatty():
        digits = commands.ask_pin()
        if arguments.what == "set" and commands.ask_pin("The same once more: ") != digits:
            raise RequestError("bad_pin_file", "that was another PIN")
    else:
        raise RequestError("bad_pin_file", "give the PIN in --pin-file, - for standard input")
    done = "the PIN is right, and used from now on" if arguments.what == "verify" else "the PIN is changed"
    await ask(client, arguments, f"pin/{arguments.what}", {"pin": digits}, "asking it", nothing=done)


async def ask(
    client: Client,
    arguments: argparse.Namespace,
    command: str,
    request: dict[str, Any],
    doing: str,
    *,
    columns: tuple[str, ...] = (),
    nothing: str = "nothing",
) -> None:
    """Ask the lock and show the answer: of a list only `columns`, `nothing` in place of an empty one."""
    from nuki_bridge.command_line import commands

    lock = client.lock_name(arguments.lock or None)
    with commands.progress(arguments, f"{lock}: {doing}"):
        answer = await client.ask(lock, command, request)
    if not arguments.json and isinstance(answer, list):
        answer = [{key: _flat(key, each.get(key)) for key in columns} for each in answer]
    commands.show(arguments, answer, nothing=nothing, columns=columns)


def _flat(key: str, value: Any) -> Any:
    """What stands in a table: somebody's name in place of ID and name, limits in one line."""
    if key == "access":
        return access_options.in_words(value)
    return value.get("name") if isinstance(value, dict) and "id" in value else value


_USERS = {"list": _list, "update": _update, "remove": _remove, "add": _add}
COMMANDS: dict[str, Callable[[Client, argparse.Namespace], Coroutine[Any, Any, None]]] = {
    "users": users,
    "config": config,
    "log": log,
    "pin": pin,
}
