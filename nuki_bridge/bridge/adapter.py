"""The radio in use, with who is heard over it; another one may take its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from nuki_bridge.bluetooth.link import Radio, RadioStatus
from nuki_bridge.bluetooth.nearby import NearbyDevices
from nuki_bridge.bridge.tasks import again_and_again
from nuki_bridge.errors import AdapterUnavailable
from nuki_bridge.protocol.advertisement import Sighting


class Adapter:
    """The radio of a bridge; `run` it.

    `on_sighting` is told each advertisement, `on_status` the state of the radio when it changes.
    """

    def __init__(
        self,
        radio: Radio,
        clock: Callable[[], float],
        *,
        on_sighting: Callable[[Sighting], None],
        on_status: Callable[[RadioStatus], None],
    ) -> None:
        self.radio = radio
        self.nearby = NearbyDevices(clock)
        self.known = asyncio.Event()
        """Set once the radio has said for the first time whether there is an adapter."""
        self._on_sighting = on_sighting
        self._on_status = on_status
        self._task: asyncio.Task[None] | None = None
        self._overhearing: list[Callable[[Sighting], None]] = []

    async def run(self) -> None:
        """Run the radio, and after `use` the other one, until cancelled."""
        while True:
            radio = self.radio
            run = partial(radio.run, self._sighted, self._changed)
            self._task = asyncio.create_task(again_and_again("the radio", run), name="radio")
            try:
                await self._task
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling() or radio is self.radio:
                    raise

    async def use(self, radio: Radio) -> None:
        """Take another radio; whoever has links over the one before has dropped them."""
        before, self.radio = self._task, radio
        if before is not None:
            before.cancel()
            await asyncio.wait((before,))

    def describe(self) -> dict[str, Any]:
        """Return the state of the Bluetooth adapter as JSON."""
        status = self.radio.status
        return {"name": status.adapter, "available": status.available, "reason": status.reason}

    def scan(self) -> AbstractContextManager[None]:
        """Have the radio report every device during a block; raises `AdapterUnavailable`."""
        status = self.radio.status
        if not status.available:
            raise AdapterUnavailable(status.reason or "Bluetooth cannot be used")
        return self.radio.look_around()

    @contextmanager
    def overheard(self, tell: Callable[[Sighting], None]) -> Iterator[None]:
        """Tell each advertisement during a block."""
        self._overhearing.append(tell)
        try:
            yield
        finally:
            self._overhearing.remove(tell)

    def _sighted(self, sighting: Sighting) -> None:
        self.nearby.hear(sighting)
        for tell in self._overhearing:
            tell(sighting)
        self._on_sighting(sighting)

    def _changed(self, status: RadioStatus) -> None:
        self.known.set()
        self._on_status(status)
