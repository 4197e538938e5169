"""The command `keypad`: list and change the codes of a lock's keypad.

The digits of a code are read from a file or asked for, or drawn by chance, and never stand in a command line.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from typing import TYPE_CHECKING, Any

from nuki_bridge.command_line import access_options, lock_argument
from nuki_bridge.command_line.asking import ID_OR_NAME, ask, by_id_or_name, changed_access, given, progress, show
from nuki_bridge.command_line.registration import Commands, add_switch
from nuki_bridge.command_line.secret_input import first_line
from nuki_bridge.errors import RequestError

if TYPE_CHECKING:
    from nuki_bridge.command_line.client import BridgeClient

_COLUMNS = ("id", "name", "enabled", "last_active", "lock_count", "access")
"""What the table shows of each code; its digits come behind the name."""


def declare(commands: Commands) -> None:
    """Add the command with the commands below it and their arguments."""
    keypad = commands.add("keypad", "list and change the codes of a lock's keypad", list_codes)
    lock_argument.add_first(keypad)
    add = commands.add_below(keypad, lock_argument.LIST)
    add("list", "the codes, asked of the lock now (default)", list_codes).add_argument(
        "--codes", action="store_true", help="show their digits, too; whoever may read answers at the broker sees them"
    )
    new = add("add", "make a code", add_code)
    new.add_argument("name", metavar="NAME", help="whose it is; the lock's log shows this name")
    access_options.declare(new)
    update = add("update", "change a code; what is not named stays", update_code)
    update.add_argument("which", metavar="CODE", help=ID_OR_NAME)
    update.add_argument("--rename", metavar="NAME", help="another name, which the lock's log shows from then on")
    update.add_argument("--new-digits", action="store_true", help="ask for other digits")
    add_switch(update, "enabled", ("--enable", "let it open again"), ("--disable", "let it open no more"))
    access_options.declare(update)
    update.add_argument("--always", action="store_true", help="take all limits away")
    for parser in (new, update):
        digits = parser.add_mutually_exclusive_group()
        digits.add_argument(
            "--code-file", metavar="FILE", help="file with the six digits, - for standard input; else you are asked"
        )
        digits.add_argument("--random", action="store_true", help="draw the digits by chance, and print them once")
    add("remove", "delete a code", remove_code).add_argument("which", metavar="CODE", help=ID_OR_NAME)


async def list_codes(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """List the codes; their digits only with `--codes`."""
    request = {"codes": True} if getattr(arguments, "codes", False) else {}
    columns = (*_COLUMNS[:2], "code", *_COLUMNS[2:]) if request else _COLUMNS
    doing = "asking it for its codes"
    await ask(client, arguments, "keypad/list", request, doing, columns=columns, nothing="no codes")


async def add_code(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Make a code."""
    digits = _digits(arguments)
    request: dict[str, Any] = {"name": arguments.name, "code": digits}
    if access := access_options.access_of(arguments):
        request["access"] = access
    await _change(client, arguments, "keypad/add", request, "making the code", digits)


async def update_code(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Change a code."""
    access = changed_access(arguments)
    changes = {**given(arguments, "rename", "enabled"), **access}
    digits = None
    if arguments.new_digits or arguments.code_file is not None or arguments.random:
        digits = changes["code"] = _digits(arguments)
    if not changes:
        raise RequestError("bad_arguments", "say what to change; see nuki-bridge keypad update --help")
    request = {**by_id_or_name(arguments.which), **changes}
    await _change(client, arguments, "keypad/update", request, "changing the code", digits)


async def remove_code(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Delete a code."""
    await ask(client, arguments, "keypad/remove", by_id_or_name(arguments.which), "removing the code")


async def _change(
    client: BridgeClient,
    arguments: argparse.Namespace,
    command: str,
    request: dict[str, Any],
    doing: str,
    digits: str | None,
) -> None:
    """Ask, and show the digits: those drawn here nobody else knows, those typed here nobody has seen."""
    lock = client.lock_name(arguments.lock or None)
    with progress(arguments, f"{lock}: {doing}"):
        made = await client.ask(lock, command, request)
    if arguments.json:
        show(arguments, {**made, "code": digits} if arguments.random else made)
        return
    told = {key: made.get(key) for key in ("id", "name")}
    typed = arguments.code_file is None and sys.stdout.isatty()
    if digits is not None and (arguments.random or typed):
        told["code"] = digits
    limits = access_options.in_words(made.get("access")) or "always"
    show(arguments, {**told, "enabled": made.get("enabled"), "access": limits})


def _digits(arguments: argparse.Namespace) -> str:
    """Return the digits to set; raises `RequestError` without quoting them."""
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
        raise RequestError("bad_arguments", "no code was given; it has six digits from 1 to 9") from None


def _drawn() -> str:
    """Return six digits that a lock takes, each set of them as likely as any other."""
    while True:
        digits = "".join(secrets.choice("123456789") for _ in range(6))
        if not digits.startswith("12"):
            return digits


def _read(file: str) -> str:
    try:
        return first_line(file).strip()
    except OSError as error:
        raise RequestError("bad_arguments", f"{file} cannot be read: {error.strerror}") from None
