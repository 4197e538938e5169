"""Every request that can be made: the one place where the tables of the single subjects are joined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from nuki_bridge.arguments import Declaration
from nuki_bridge.bridge import bridge_commands, lock_commands, pairing_commands, trace_commands
from nuki_bridge.owner import (
    clock,
    keypad,
    lock_config,
    log_commands,
    maintenance,
    pause,
    pin_commands,
    time_control,
    user_commands,
)
from nuki_bridge.sharing import invite_commands
from nuki_bridge.topics.topics import Requests

Table = Mapping[str, Declaration[Any]]

_BRIDGE: Final[tuple[tuple[Table, type | None], ...]] = (
    (pairing_commands.REQUESTS, pairing_commands.PairingCommands),
    (bridge_commands.REQUESTS, bridge_commands.BridgeCommands),
    (trace_commands.REQUESTS, trace_commands.TraceCommands),
)
_LOCK: Final[tuple[tuple[Table, type | None], ...]] = (
    (lock_commands.REQUESTS, lock_commands.LockCommands),
    (user_commands.REQUESTS, None),
    (invite_commands.REQUESTS, invite_commands.InviteCommands),
    (lock_config.REQUESTS, None),
    (pin_commands.REQUESTS, None),
    (clock.REQUESTS, None),
    (keypad.REQUESTS, None),
    (time_control.REQUESTS, None),
    (maintenance.REQUESTS, None),
    (pause.REQUESTS, None),
    (log_commands.REQUESTS, None),
)
"""Tables of requests to a lock, with the class whose methods carry them out where they are not functions."""
TABLES: Final = tuple(table for table, _ in _LOCK)
"""Requests to a lock, by their subjects."""


def _joined(tables: Iterable[tuple[Table, type | None]], subjects: Mapping[type, object]) -> Table:
    joined: dict[str, Declaration[Any]] = {}
    for table, kind in tables:
        for name, declared in table.items():
            subject = subjects.get(kind) if kind is not None else None
            handler = declared.handler if subject is None else partial(declared.handler, subject)
            joined[name] = replace(declared, handler=handler)
    return joined


def carried_out_by(*subjects: object) -> Requests:
    """Return every request, with the handlers of these subjects."""
    by_class = {type(each): each for each in subjects}
    return Requests(bridge=_joined(_BRIDGE, by_class), lock=_joined(_LOCK, by_class))


REQUESTS: Final = carried_out_by()
"""Every request as it is declared: to the bridge and to a lock, by the rest of their topics."""
