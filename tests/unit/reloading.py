"""A house whose configuration can be written anew, and read again without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from nuki_bridge.config import MqttSettings, Settings
from nuki_bridge.daemon.reload import Reload
from nuki_bridge.errors import ConfigError
from nuki_bridge.simulator.radio import VirtualRadio
from tests.unit.house import House
from tests.unit.rig import now


class FakeBroker:
    """Keeps which broker it was told to change to."""

    def __init__(self) -> None:
        self.changes: list[MqttSettings] = []
        self.drained = 0

    async def drain(self, timeout_s: float) -> None:
        self.drained += 1

    def change(self, settings: MqttSettings) -> None:
        assert self.drained == len(self.changes) + 1, "the old broker got its farewell first"
        self.changes.append(settings)


class Reloading:
    """A house whose configuration can be written anew."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.broker = FakeBroker()
        self.told: list[str] = []
        self.mistakes: list[str] = []
        self.radios: list[VirtualRadio] = []
        self.settings = house.settings
        self.reload: Reload

    def _read(self) -> Settings:
        if self.mistakes:
            raise ConfigError(self.mistakes)
        return self.settings

    def _new_radio(self, settings: Settings) -> VirtualRadio:
        self.radios.append(VirtualRadio(self.house.radio.locks, clock=now))
        return self.radios[-1]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Reloading]:
        async with self.house.running():
            self.reload = Reload(
                self._read,
                self.house.bridge,
                self.broker,  # type: ignore[arg-type]
                new_radio=self._new_radio,
                notify=self.told.append,
            )
            task = asyncio.create_task(self.reload.run())
            yield self
            task.cancel()

    async def use(self, **changed: Any) -> None:
        """Write these settings and ask for them to be read."""
        self.settings = replace(self.settings, **changed)
        self.reload.ask()
        await asyncio.sleep(30.0)
        assert [line.partition("\n")[0] for line in self.told[-2:]] == ["RELOADING=1", "READY=1"]

    def link(self, name: str) -> tuple[object, int]:
        """What stays the same as long as the lock keeps its link."""
        member = self.house.bridge.members.get(name)
        assert member is not None
        assert member.lock is not None
        return member.lock, member.lock.reconnects
