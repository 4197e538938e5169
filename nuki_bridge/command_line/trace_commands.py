"""The command `trace`: what bridge and locks say to each other, for a report on a model that nobody has tried."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from nuki_bridge.command_line.asking import progress, show
from nuki_bridge.command_line.registration import Commands

if TYPE_CHECKING:
    from nuki_bridge.command_line.client import BridgeClient

LONGEST_S = 600
"""Longest trace in seconds."""
SLACK_S = 60.0
"""Seconds that the answer may take beyond the time of the trace."""


def declare(commands: Commands) -> None:
    """Add the command with its arguments."""
    parser = commands.add(
        "trace", "note what bridge and locks say to each other, without keys, codes, names and places", trace
    )
    parser.add_argument(
        "lock", nargs="?", metavar="LOCK", help="this one alone; without it all of them, and what is heard nearby"
    )
    parser.add_argument(
        "--for",
        dest="seconds",
        type=seconds,
        default=60,
        metavar="TIME",
        help="such as 30s or 5m, 10m at most (default: 60 s)",
    )


def seconds(text: str) -> int:
    """Return the seconds of `60`, `60s` or `5m`."""
    match = re.fullmatch(r"([0-9]{1,4})(s|m|)", text.strip().lower())
    found = int(match[1]) * (60 if match[2] == "m" else 1) if match else 0
    if not 1 <= found <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"must be a time such as 30s or 5m, from 1s to {LONGEST_S // 60}m")
    return found


async def trace(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Show what was said meanwhile; whatever the report is about is to be done while it waits."""
    request: dict[str, Any] = {"for": arguments.seconds}
    if arguments.lock is not None:
        request["name"] = client.lock_name(arguments.lock)
    with progress(arguments, f"noting for {arguments.seconds} s; do now what you want to show"):
        found = await client.ask("bridge", "trace", request, arguments.seconds + SLACK_S)
    if arguments.json:
        show(arguments, found)
        return
    show(arguments, {key: found[key] for key in ("version", "seconds", "left_out")})
    for device in found["devices"]:
        print()
        show(arguments, device)
    print()
    show(arguments, [_row(each) for each in found["notes"]], nothing="nothing was said")


def _row(note: dict[str, Any]) -> dict[str, Any]:
    """Return a note as a row of the table: what only some have stands in the last column."""
    first = ("at", "device", "what", "message", "number", "size", "frame")
    rest = {key: each for key, each in note.items() if key not in first}
    return {**{key: note.get(key) for key in first}, "more": rest or None}
