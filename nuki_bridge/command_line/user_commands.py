"""The command `users`: list and change the users of a lock."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nuki_bridge.command_line import access_options, lock_argument
from nuki_bridge.command_line.asking import ID_OR_NAME, ask, by_id_or_name, changed_access, given, progress, show
from nuki_bridge.command_line.registration import Commands, add_switch
from nuki_bridge.errors import RequestError

if TYPE_CHECKING:
    from nuki_bridge.command_line.client import BridgeClient

_COLUMNS = ("id", "name", "type", "enabled", "remote", "last_active", "lock_count", "access", "pending", "self")
"""What the table shows of each user."""


def declare(commands: Commands) -> None:
    """Add the command with the commands below it and their arguments."""
    users = commands.add("users", "list and change the users of a lock", list_users)
    lock_argument.add_first(users)
    add = commands.add_below(users, lock_argument.LIST)
    add("list", "the users, asked of the lock now (default)", list_users)
    update = add("update", "change a user; what is not named stays", update_user)
    update.add_argument("user", metavar="USER", help=ID_OR_NAME)
    update.add_argument("--rename", metavar="NAME", help="another name, which the lock's log shows from then on")
    add_switch(update, "enabled", ("--enable", "let the user in again"), ("--disable", "let the user in no more"))
    anywhere, nearby = ("--remote", "from anywhere, through the bridge"), ("--no-remote", "only near the door")
    add_switch(update, "remote", anywhere, nearby)
    access_options.declare(update)
    update.add_argument("--always", action="store_true", help="take all limits away")
    update.add_argument("--self", dest="own", action="store_true", help="even if that is the bridge itself")
    remove = add("remove", "delete a user", remove_user)
    remove.add_argument("user", metavar="USER", help=ID_OR_NAME)
    remove.add_argument("--self", dest="own", action="store_true", help="even if that is the bridge itself")
    new = add("add", "make a user without an invitation, for a device of your own", add_user)
    new.add_argument("name", metavar="NAME", help="what to call it; the lock's log shows this name")
    new.add_argument("--no-remote", dest="remote", action="store_false", default=None, help="only near the door")
    access_options.declare(new)
    new.add_argument(
        "--credential",
        type=Path,
        required=True,
        metavar="FILE",
        help="where to keep the credential; must not be there yet",
    )


async def list_users(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """List the users of a lock."""
    await ask(client, arguments, "users/list", {}, "asking it for its users", columns=_COLUMNS)


async def update_user(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Change a user."""
    access = changed_access(arguments)
    changes = {**given(arguments, "rename", "enabled", "remote"), **access}
    if not changes:
        raise RequestError("bad_arguments", "say what to change; see nuki-bridge users LOCK update --help")
    await ask(client, arguments, "users/update", {**_user(arguments), **changes}, "changing the user")


async def remove_user(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Delete a user."""
    lock = client.lock_name(arguments.lock or None)
    with progress(arguments, f"{lock}: removing the user"):
        gone = await client.ask(lock, "users/remove", _user(arguments))
    show(arguments, gone if arguments.json else f"{lock}: {gone.get('name')} (user {gone.get('id')}) is removed")


async def add_user(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Make a user and keep the credential in a new file."""
    from nuki_bridge.guest import credential_file

    credential_file.refuse_existing(arguments.credential)
    credential_file.refuse_unwritable(arguments.credential)
    request: dict[str, Any] = {"name": arguments.name}
    if arguments.remote is not None:
        request["remote"] = arguments.remote
    if access := access_options.access_of(arguments):
        request["access"] = access
    lock = client.lock_name(arguments.lock or None)
    with progress(arguments, f"{lock}: making the user"):
        made = credential_file.read_credential(await client.ask(lock, "users/add", request))
    credential_file.store(arguments.credential, made, None)
    found = {"lock": made.name, "id": made.authorization_id, "user": made.user, "credential": str(arguments.credential)}
    text = f"{made.name}: {made.user} is user {made.authorization_id}; whoever has this file can open the door"
    show(arguments, found if arguments.json else text)


def _user(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return how a request names the user that is meant."""
    user = by_id_or_name(arguments.user)
    return {**user, "self": True} if arguments.own else user
