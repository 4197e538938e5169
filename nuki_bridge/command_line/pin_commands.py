"""The command `pin`: tell the daemon a lock's security PIN, or change it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from nuki_bridge.command_line import lock_argument
from nuki_bridge.command_line.asking import progress, show
from nuki_bridge.command_line.registration import Commands
from nuki_bridge.command_line.secret_input import ask_pin, read_pin
from nuki_bridge.errors import RequestError

if TYPE_CHECKING:
    from nuki_bridge.command_line.client import BridgeClient


def declare(commands: Commands) -> None:
    """Add the command with its arguments."""
    parser = commands.add("pin", "tell the daemon a lock's security PIN, or change it", pin)
    lock_argument.add_first(parser)
    parser.add_argument(
        "what", choices=("verify", "set"), help="verify: it is used from then on; set: the lock's new one"
    )
    parser.add_argument(
        "--pin-file", metavar="FILE", help="file with the PIN, - for standard input; without it you are asked"
    )


async def pin(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Verify or replace the security PIN."""
    if arguments.pin_file is not None:
        digits = read_pin(arguments.pin_file)
    elif sys.stdin.isatty():
        digits = ask_pin()
        if arguments.what == "set" and ask_pin("The same once more: ") != digits:
            raise RequestError("bad_pin_file", "the two PINs differ; nothing was changed")
    else:
        raise RequestError("bad_pin_file", "give the PIN in --pin-file, - for standard input")
    from nuki_bridge.command_line.console import printable

    done = "the PIN is right, and used from now on" if arguments.what == "verify" else "the PIN is changed"
    lock = client.lock_name(arguments.lock or None)
    with progress(arguments, f"{lock}: asking it"):
        answer = await client.ask(lock, f"pin/{arguments.what}", {"pin": digits})
    told = answer if isinstance(answer, dict) else {}
    word = "verified" if arguments.what == "verify" else "changed"
    note = f"; {printable(told['note'])}" if "note" in told else ""
    show(arguments, {"lock": lock, "pin": word, **told} if arguments.json else f"{done}{note}")
