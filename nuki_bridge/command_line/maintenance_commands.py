"""The commands `calibrate`, `reboot`, `pause` and `set-clock`: upkeep of a lock."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nuki_bridge.command_line import lock_argument
from nuki_bridge.command_line.asking import given, progress, show
from nuki_bridge.command_line.registration import Commands

if TYPE_CHECKING:
    from nuki_bridge.command_line.client import BridgeClient


def declare(commands: Commands) -> None:
    """Add the commands with their arguments."""
    calibrate_text = "have a lock measure where its bolt ends; the bolt moves"
    lock_argument.add_last(commands.add("calibrate", calibrate_text, calibrate))
    lock_argument.add_last(commands.add("reboot", "start a lock anew", reboot))
    pause_text = "leave a lock to the maker's app for a while, as an Opener lets nobody in beside the bridge"
    pausing = commands.add("pause", pause_text, pause)
    lock_argument.add_last(pausing)
    pausing.add_argument("--for", type=int, metavar="SECONDS", help="how long (default: 600, at most 3600)")
    pausing.add_argument("--end", action="store_true", help="end it now")
    clock = commands.add("set-clock", "set a lock's clock, by default to this moment", set_clock)
    lock_argument.add_last(clock)
    clock.add_argument(
        "--time", help="such as 2026-12-01T10:00:00+01:00; without an offset it is the lock's local time"
    )


async def calibrate(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Have a lock measure where its bolt ends."""
    from nuki_bridge.command_line.client import ACTION_TIMEOUT_S

    lock = client.lock_name(arguments.lock or None)
    with progress(arguments, f"{lock}: calibrating, the bolt moves"):
        done = await client.ask(lock, "calibrate", {}, ACTION_TIMEOUT_S)
    show(arguments, done if arguments.json else f"{lock}: calibrated, it is {done['state']} now")


async def reboot(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Start a lock anew."""
    lock = client.lock_name(arguments.lock or None)
    with progress(arguments, f"{lock}: starting it anew"):
        done = await client.ask(lock, "reboot", {})
    text = "starts anew" if done["confirmed"] else "dropped the link before it answered, as it does when it starts anew"
    show(arguments, {"lock": lock, "message": f"it {text}", **done} if arguments.json else f"{lock}: it {text}")


async def pause(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Leave a lock to the maker's app for a while, or end that."""
    lock = client.lock_name(arguments.lock or None)
    request = {"enabled": False} if arguments.end else given(arguments, "for")
    done = await client.ask(lock, "pause", request)
    until = done["paused_until"]
    text = f"left to others until {until}; commands are carried out all the same" if until else "no pause any more"
    show(arguments, done if arguments.json else f"{lock}: {text}")


async def set_clock(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Set a lock's clock."""
    lock = client.lock_name(arguments.lock or None)
    with progress(arguments, f"{lock}: setting its clock"):
        done = await client.ask(lock, "time/set", given(arguments, "time"))
    show(arguments, done if arguments.json else f"{lock}: its clock was set to {done['time']}")
