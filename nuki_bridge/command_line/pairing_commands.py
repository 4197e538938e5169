"""The commands `scan`, `pair`, `unpair` and `locks`: which locks there are, and which of them the bridge has."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nuki_bridge.command_line.asking import in_local_time, progress, show
from nuki_bridge.command_line.registration import Commands
from nuki_bridge.command_line.secret_input import ask_pin, read_pin
from nuki_bridge.errors import RequestError

if TYPE_CHECKING:
    from nuki_bridge.command_line.client import BridgeClient

SLACK_S = 45.0
"""Seconds that pairing may take after a lock was found, and that scanning may take beyond its time."""
PRESS_BUTTON = "press the lock's button for 5 s until its ring lights up, or switch on pairing mode in the Nuki app"
"""How a lock is brought into pairing mode."""


_KIND = (
    "bridge is told of turns by hand at once, and takes the place of a Nuki Bridge; app leaves that alone "
    "(default: bridge; an Ultra, Go or 5th generation is always paired as app)"
)
"""Help for what a lock is paired as."""


def declare(commands: Commands) -> None:
    """Add the commands with their arguments."""
    scan_parser = commands.add("scan", "list the locks in range", scan)
    scan_parser.add_argument(
        "--timeout", type=_seconds(300), default=10.0, metavar="S", help="how long to listen (default: 10)"
    )
    _declare_pair(commands.add("pair", "pair the lock that is in pairing mode", pair))
    unpair_text = "forget a lock; the lock's own entry for the bridge is removed in the Nuki app"
    commands.add("unpair", unpair_text, unpair).add_argument("lock", metavar="LOCK", help="its name, as locks shows it")
    commands.add("locks", "list the paired locks", locks)


def _declare_pair(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--address", metavar="ADDRESS", help="only the lock with this Bluetooth address, such as 54:D2:72:AA:BB:CC"
    )
    parser.add_argument(
        "--name", help="what to call it in topics: a-z, 0-9, _ and - (default: made from the lock's own name)"
    )
    parser.add_argument("--as", dest="id_type", choices=("bridge", "app"), default="bridge", help=_KIND)
    parser.add_argument(
        "--pin-file",
        metavar="FILE",
        help="file with the lock's security PIN, - for standard input; without it a lock that needs its PIN for "
        "pairing makes this command ask on the terminal",
    )
    parser.add_argument(
        "--timeout", type=_seconds(600), default=60.0, metavar="S", help="how long to wait (default: 60)"
    )


def _seconds(longest: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0
        if not 1 <= seconds <= longest:
            raise argparse.ArgumentTypeError(f"must be a number of seconds from 1 to {longest:g}")
        return seconds

    return read


async def scan(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """List the locks in range."""
    seconds = arguments.timeout
    with progress(arguments, f"listening for locks for {seconds:g} s"):
        found = await client.ask("bridge", "scan", {"timeout": seconds}, seconds + SLACK_S)
    show(arguments, found, nothing="no lock was heard")


async def pair(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Pair the lock that is in pairing mode; asks for a PIN on the terminal if the lock wants one."""
    request: dict[str, Any] = {"as": arguments.id_type, "timeout": arguments.timeout}
    for key in ("address", "name"):
        if getattr(arguments, key) is not None:
            request[key] = getattr(arguments, key)
    if arguments.pin_file is not None:
        request["pin"] = read_pin(arguments.pin_file)
    try:
        paired = await _pair(client, arguments, request)
    except RequestError as error:
        if error.code != "pin_required" or "pin" in request:
            raise
        if not sys.stdin.isatty():
            raise RequestError("pin_required", f"{error}; give it with --pin-file FILE, - for standard input") from None
        request["pin"] = ask_pin()
        paired = await _pair(client, arguments, request)
    show(arguments, paired)
    if not arguments.json:
        print(f"\n{_next_step(paired, has_pin='pin' in request)}", flush=True)


def _next_step(paired: dict[str, Any], *, has_pin: bool) -> str:
    """Return what people do after pairing; `has_pin`: the security PIN was given."""
    from nuki_bridge.command_line.console import printable

    name = printable(paired.get("name"))
    done = f"{name} is paired. `nuki-bridge status {name}` shows it, `nuki-bridge lock {name}` locks the door."
    if has_pin:
        return f"{done}\nNext: `nuki-bridge invite {name} --name Anna` makes an invitation, for whoever Anna is."
    return (
        f"{done}\nNext: `nuki-bridge pin {name} verify` tells the bridge the lock's security PIN, which invitations,"
        " users,\ncodes and the log take."
    )


async def _pair(client: BridgeClient, arguments: argparse.Namespace, request: dict[str, Any]) -> Any:
    with progress(arguments, f"waiting up to {arguments.timeout:g} s for a lock in pairing mode: {PRESS_BUTTON}"):
        return await client.ask("bridge", "pair", request, arguments.timeout + SLACK_S)


async def unpair(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Make the daemon forget a lock; the lock's own entry for it stays."""
    name = client.lock_name(arguments.lock)
    with progress(arguments, f"unpairing {name}"):
        answer = await client.ask("bridge", "unpair", {"name": name})
    left = "Left to do: delete nuki-bridge in the Nuki app, where the lock still lists it"
    show(arguments, answer if arguments.json else f"{name} is forgotten here. {left}")


async def locks(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """List the paired locks."""
    answer = await client.ask("bridge", "locks", {})
    if not arguments.json and isinstance(answer, list):
        answer = in_local_time(answer)
    show(arguments, answer, nothing="no lock is paired; see `nuki-bridge pair --help`")
