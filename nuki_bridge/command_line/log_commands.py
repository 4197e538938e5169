"""The command `log`: show what happened at a lock, and switch its logging on or off."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nuki_bridge.command_line import lock_argument
from nuki_bridge.command_line.asking import ask, given, progress, show
from nuki_bridge.command_line.registration import Commands

if TYPE_CHECKING:
    from nuki_bridge.command_line.client import BridgeClient

_COLUMNS = ("index", "time", "type", "action", "user", "source", "completion", "door", "code_id")
"""What the table shows of each entry."""


def declare(commands: Commands) -> None:
    """Add the command with its arguments."""
    parser = commands.add("log", "show what happened at a lock, the newest first", log)
    lock_argument.add_last(parser)
    parser.add_argument("--count", type=int, metavar="N", help="how many entries (default: 20)")
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--before", type=int, metavar="INDEX", help="entries older than that with this number, such as 120"
    )
    place.add_argument(
        "--after", type=int, metavar="INDEX", help="entries newer than that, the oldest first, such as 120"
    )
    switch = parser.add_mutually_exclusive_group()
    switch.add_argument("--on", dest="enabled", action="store_true", default=None, help="have the lock write its log")
    switch.add_argument("--off", dest="enabled", action="store_false", help="have it write none; what it has stays")


async def log(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Show a lock's log, or switch it on or off."""
    if arguments.enabled is not None:
        lock = client.lock_name(arguments.lock or None)
        with progress(arguments, f"{lock}: switching its log"):
            now = await client.ask(lock, "log/set", {"enabled": arguments.enabled})
        does = "writes its log" if arguments.enabled else "writes no log; what it has stays"
        show(arguments, now if arguments.json else f"{lock}: it {does}")
        return
    request = given(arguments, "count", "before", "after")
    nothing = "nothing is in its log"
    await ask(client, arguments, "log/get", request, "reading its log", columns=_COLUMNS, nothing=nothing)
