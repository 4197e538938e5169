"""What a story in the virtual machine needs: an adapter, a lock on the air, a broker and the installed daemon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nuki_bridge.protocol.codes import Family
from nuki_bridge.simulator.behaviour import Behaviour
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.virtual_device import VirtualDevice
from tests.integration.broker import Broker
from tests.radio.air import Air
from tests.radio.medium import DuplicateFilter
from tests.radio.peripheral import Peripheral
from tests.vm.guest import stack
from tests.vm.guest.program import Program

ADDRESS = "54:D2:72:2B:3C:4D"
MOTOR_S = 0.3


@dataclass
class World:
    """An adapter, a lock on the air, a broker and the running daemon."""

    air: Air
    lock: VirtualLock
    peripheral: Peripheral
    program: Program

    def movements(self) -> list[str]:
        """What the motor was started for."""
        return [str(entry.detail) for entry in self.lock.movements()]

    async def pair(self, **arguments: Any) -> dict[str, Any]:
        """Hold the lock's button and pair it as `front_door`."""
        self.lock.hold_button()
        answer = await self.program.request("bridge/request/pair", name="front_door", timeout=60, **arguments)
        assert answer["status"] == "ok", answer
        await self.program.until("front_door/availability", "online")
        return answer

    async def work(self, *, after: str) -> None:
        """Unlock and lock: the motor turns once for each.  `after` says what has just happened to the lock's link."""
        before = self.movements()
        await self.program.until("front_door/availability", "online", 60)
        for action in ("unlock", "lock"):
            result = await self.program.act("front_door", action)
            assert result["status"] == "ok", (after, result)
        assert self.movements() == [*before, "unlock: unlocking", "lock: locking"], after


@asynccontextmanager
async def a_world(
    directory: Path,
    *,
    family: Family = Family.CLASSIC,
    connection: str = "persistent",
    duplicates: DuplicateFilter = "address",
) -> AsyncIterator[World]:
    """Plug everything in, power it up and start the daemon; afterwards nothing of it is left."""
    pin = 123456 if family is Family.ULTRA else 1234
    behaviour = Behaviour(motor_s=MOTOR_S, pairing_mode_s=120)
    lock = VirtualLock(ADDRESS, 0x1A2B3C4D, family=family, pin=pin, behaviour=behaviour)
    air = Air(duplicates=duplicates)
    locks = f"[{{name: front_door, connection: {connection}}}]"
    try:
        peripheral = await air.add(lock, interval_s=0.2)
        await air.plug_in()
        await stack.wait_powered()
        with Broker(directory) as broker:
            async with Program(directory, broker, locks=locks) as program:
                yield World(air, lock, peripheral, program)
    finally:
        await air.close()
        await stack.wait_gone()


def trail(lock: VirtualDevice, *kinds: str) -> list[tuple[str, int | None, str | None]]:
    """What the lock noted down: kind, authorization ID and detail of each entry."""
    return [(entry.what, entry.authorization_id, entry.detail) for entry in lock.audit if entry.what in kinds]
