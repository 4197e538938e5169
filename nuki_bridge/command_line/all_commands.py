"""The commands that people type, put together; a service imports none of them."""

from __future__ import annotations

from typing import Final

from nuki_bridge.command_line import (
    bridge_commands,
    config_commands,
    import_commands,
    invite_commands,
    keypad_commands,
    lock_commands,
    log_commands,
    maintenance_commands,
    pairing_commands,
    pin_commands,
    retire_commands,
    time_control_commands,
    trace_commands,
    user_commands,
)
from nuki_bridge.command_line.registration import Commands

TALKING: Final = (
    pairing_commands,
    lock_commands,
    bridge_commands,
    user_commands,
    config_commands,
    log_commands,
    pin_commands,
    invite_commands,
    keypad_commands,
    time_control_commands,
    maintenance_commands,
    trace_commands,
)
"""Modules of commands that talk to the running daemon, in the order of `--help`."""


def declare_here(commands: Commands) -> None:
    """Add those that need no running daemon."""
    import_commands.declare(commands)
    retire_commands.declare(commands)


def declare_talking(commands: Commands) -> None:
    """Add those that talk to it."""
    for module in TALKING:
        module.declare(commands)
