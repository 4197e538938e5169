"""The command `health`: how the daemon, its radio and its locks are."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nuki_bridge.command_line.asking import in_local_time, show
from nuki_bridge.command_line.registration import Commands

if TYPE_CHECKING:
    from nuki_bridge.command_line.client import BridgeClient


def declare(commands: Commands) -> None:
    """Add the command."""
    commands.add("health", "show how the daemon, its radio and its locks are", health)


async def health(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Show how the daemon, its radio and its locks are."""
    answer = await client.ask("bridge", "health", {})
    if not arguments.json and isinstance(answer, dict) and isinstance(answer.get("locks"), list):
        answer = {**answer, "locks": in_local_time(answer["locks"])}
    show(arguments, answer)
