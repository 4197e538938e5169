"""When something is read of a lock by itself, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nuki_bridge.lock.admin import Admin
from nuki_bridge.lock.background_read import BackgroundRead
from nuki_bridge.lock.lock import Lock
from tests.unit.rig import Rig, clock


class Reading:
    """A reading that is due again 60 s after each; `at` are the moments of all, `looks` counts looks at the lock."""

    def __init__(self, lock: Lock) -> None:
        self.at: list[float] = []
        self.looks = 0
        self.there = True
        reading = self

        class Counted(BackgroundRead):
            @property
            def possible(self) -> bool:
                reading.looks += 1
                return reading.there and super().possible

        self.read = Counted("test", lock, Admin(lock), self._work, needs_pin=False)

    async def _work(self) -> float:
        self.at.append(clock())
        return 60.0


@asynccontextmanager
async def reading() -> AsyncIterator[Reading]:
    rig = Rig()
    async with rig.running() as lock:
        made = Reading(lock)
        task = asyncio.create_task(made.read.run())
        await asyncio.sleep(1.0)
        assert len(made.at) == 1
        try:
            yield made
        finally:
            task.cancel()


async def test_nothing_is_looked_at_before_something_is_due() -> None:
    async with reading() as made:
        before = made.looks
        for _ in range(100):
            made.read.wake()
            await asyncio.sleep(0.1)
        assert made.looks == before
        await asyncio.sleep(60.0)
        assert len(made.at) == 2


async def test_what_became_due_earlier_is_read_then() -> None:
    async with reading() as made:
        begun = clock()
        made.read.schedule(5.0)
        made.read.schedule(9.0)
        await asyncio.sleep(20.0)
        assert [round(each - begun) for each in made.at[1:]] == [5]


async def test_a_lock_that_was_away_is_read_when_it_is_there_again() -> None:
    async with reading() as made:
        made.there = False
        await asyncio.sleep(100.0)
        made.read.wake()
        await asyncio.sleep(1.0)
        assert len(made.at) == 1
        made.there = True
        made.read.wake()
        await asyncio.sleep(1.0)
        assert len(made.at) == 2
