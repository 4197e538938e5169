"""What each connection mode costs in link seconds a day: a day of a virtual lock's life, in virtual time.

`python -m tests.link_seconds` prints the table of docs/battery.md; it takes a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from nuki_bridge.lock.link_plan import ConnectionMode
from nuki_bridge.protocol.codes import Action, IdType, LockState
from tests.unit.rig import Rig, clock
from tests.virtual_time import VirtualTimeLoop

DAY_H: Final = 24.0
COMMANDS: Final = (
    (7.0, Action.UNLOCK),
    (7.1, Action.LOCK),
    (13.0, Action.UNLOCK),
    (13.05, Action.LOCK),
    (17.5, Action.UNLOCK),
    (17.6, Action.LOCK),
    (22.5, Action.LOCK),
    (22.51, Action.FULL_LOCK),
)
"""What is asked for over MQTT on a day, by the hour."""
BY_HAND: Final = (
    (8.0, LockState.UNLOCKED),
    (8.01, LockState.LOCKED),
    (19.0, LockState.UNLOCKED),
    (20.0, LockState.LOCKED),
)
"""What is done at the knob, by the hour."""
LOCKS: Final[Mapping[str, tuple[IdType, dict[str, Any]]]] = {
    "paired as Bridge, its beacon tells": (IdType.BRIDGE, {}),
    "paired as App, or its beacon tells nothing": (IdType.APP, {"beacon_bit_missing": True}),
}
"""The habits of locks: how the bridge is paired, and what of the firmware matters."""


@dataclass(frozen=True, slots=True)
class Cost:
    """How often the lock was connected, and for how many seconds in all."""

    connections: int
    link_s: float


async def cost(
    connection: ConnectionMode,
    id_type: IdType,
    habits: Mapping[str, Any],
    *,
    hours: float = DAY_H,
    begin_h: float = 0.0,
) -> Cost:
    """Return what the hours from `begin_h` on cost."""
    rig = Rig(**habits)
    async with rig.running(connection, id_type=id_type) as lock:
        rig.virtual.audit.clear()
        start, links = clock(), int(lock.connected)
        events: list[tuple[float, Action | LockState]] = sorted([*COMMANDS, *BY_HAND], key=lambda each: each[0])
        for hour, event in events:
            at = start + (hour - begin_h) * 3600.0
            if not start <= at < start + hours * 3600.0:
                continue
            await asyncio.sleep(max(at - clock(), 0.0))
            if isinstance(event, Action):
                await lock.perform(event, 15.0)
            else:
                rig.virtual.turn_by_hand(event)
        await asyncio.sleep(start + hours * 3600.0 - clock())
        moments = [
            (each.time.timestamp(), 1 if each.what == "connected" else -1)
            for each in rig.virtual.audit
            if each.what in ("connected", "disconnected")
        ]
        end = rig.virtual.now().timestamp()
        connected_since, total, connections = end - hours * 3600.0, 0.0, 0
        for moment, change in moments:
            if links:
                total += moment - connected_since
            connected_since, links = moment, links + change
            connections += change > 0
        return Cost(connections, total + (end - connected_since if links else 0.0))


def main() -> None:
    """Print the table."""
    print("| Lock | `connection` | Connections a day | Link seconds a day |\n|---|---|---|---|")
    for name, (id_type, habits) in LOCKS.items():
        for connection in ConnectionMode:
            with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
                found = runner.run(cost(connection, id_type, habits))
            print(f"| {name} | `{connection.value}` | {found.connections} | {found.link_s:.0f} |")


if __name__ == "__main__":
    main()
