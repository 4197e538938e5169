"""A virtual lock, our side of it, and virtual time: what tests of `lock/lock.py` and `lock/pairing.py` share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from nuki_bridge.lock.link_plan import ConnectionMode
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.pairing import PairOptions, pair
from nuki_bridge.protocol.codes import Family, IdType
from nuki_bridge.protocol.common import States
from nuki_bridge.simulator.behaviour import Behaviour, seeded
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.radio import VirtualRadio
from nuki_bridge.store import PairedLock

ADDRESS = "54:D2:72:2B:3C:4D"
NUKI_ID = 0x1A2B3C4D
MODES = (ConnectionMode.PERSISTENT, ConnectionMode.ON_DEMAND)
"""The ways of keeping in touch; `auto` is now one of them and now the other."""
START = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)


def clock() -> float:
    return asyncio.get_running_loop().time()


def now() -> datetime:
    return START + timedelta(seconds=clock() - 1000.0)


class Rig:
    """One virtual lock in the air and one `Lock` paired with it."""

    def __init__(self, family: Family = Family.CLASSIC, **behaviour: Any) -> None:
        pin = 123456 if family is Family.ULTRA else 1234
        self.virtual = VirtualLock(
            ADDRESS,
            NUKI_ID,
            family=family,
            pin=pin,
            behaviour=Behaviour(**behaviour),
            random=seeded(1),
        )
        self.radio = VirtualRadio([self.virtual], clock=now)
        self.pin = str(pin)
        self.reported = asyncio.Event()
        """Set by each report of the lock."""
        self.states: list[States] = []
        self.changes: list[bool] = []
        self.lock: Lock

    async def pair(self, id_type: IdType = IdType.BRIDGE, pin: str | None = None) -> PairedLock:
        self.virtual.hold_button()
        options = PairOptions(id_type, "nuki-bridge test", 0x01020304, pin or self.pin)
        paired, _ = await pair(
            self.radio,
            ADDRESS,
            self.virtual.family,
            options,
            random=seeded(2),
            timeout_s=20.0,
            clock=clock,
            now=now,
        )
        return paired

    @asynccontextmanager
    async def running(
        self,
        connection: ConnectionMode = ConnectionMode.PERSISTENT,
        *,
        id_type: IdType = IdType.BRIDGE,
        settle: bool = True,
        states_every_s: float | None = None,
    ) -> AsyncIterator[Lock]:
        """Pair, run the lock's background and the radio; `settle` waits until everything due at start is done."""
        paired = await self.pair(id_type)
        self.lock = lock = Lock(
            paired,
            self.radio,
            connection=connection,
            random=seeded(3),
            clock=clock,
            now=now,
            on_states=self._on_states,
            on_change=lambda lock: self.changes.append(lock.reachable),
            states_every_s=states_every_s,
        )
        radio = asyncio.create_task(self.radio.run(lock.sighted, lock.radio_changed))
        run = asyncio.create_task(lock.run())
        try:
            if settle:
                await asyncio.sleep(5.0)
            yield lock
        finally:
            for task in (run, radio):
                task.cancel()
            results = await asyncio.gather(run, radio, return_exceptions=True)
            for result in results:
                if not isinstance(result, asyncio.CancelledError):
                    raise RuntimeError("a background task ended by itself") from result

    def _on_states(self, lock: Lock, before: States | None, states: States) -> None:
        self.states.append(states)
        self.reported.set()

    def movements(self) -> list[str]:
        """What the motor was started for, e.g. `unlock: unlocking`."""
        return [str(entry.detail) for entry in self.virtual.movements()]

    def writes(self) -> int:
        """How many values were written to the lock so far."""
        return sum(entry.what == "write" for entry in self.virtual.audit)


LOST = {
    "the link breaks before the lock has it": "disconnect_before_write",
    "the link breaks after the lock has it": "disconnect_after_write",
    "the write is not confirmed": "write_fails_after_delivery",
    "the answer does not arrive": "lose_indication",
}
