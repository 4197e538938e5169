"""Every request that can be made: the one place where the tables of the single subjects are joined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nuki_bridge.arguments import Declaration
from nuki_bridge.bridge import bridge_commands, lock_commands
from nuki_bridge.bridge.lock_commands import Handler
from nuki_bridge.owner import clock, keypad, lock_config, log_commands, maintenance, pin, time_control, user_commands
from nuki_bridge.sharing import invite_commands
from nuki_bridge.topics.topics import Requests

TABLES: Final[tuple[Mapping[str, Declaration[Handler]], ...]] = (
    lock_commands.REQUESTS,
    user_commands.REQUESTS,
    invite_commands.REQUESTS,
    lock_config.REQUESTS,
    pin.REQUESTS,
    clock.REQUESTS,
    keypad.REQUESTS,
    time_control.REQUESTS,
    maintenance.REQUESTS,
    log_commands.REQUESTS,
)
"""Requests to a lock, by their subjects."""
REQUESTS: Final = Requests(
    bridge=bridge_commands.REQUESTS,
    lock={name: declared for table in TABLES for name, declared in table.items()},
)
"""Requests to the bridge and to a lock, by the rest of their topics."""
