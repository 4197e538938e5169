"""A lock that speaks Nuki's MQTT API itself, joined to a virtual lock of a house; its numbers are written out here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from nuki_bridge.config import LockSettings
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.protocol.codes import Action, Completion, Trigger
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.topics.topics import Publication
from tests.unit.house import PIN, House
from tests.unit.rig import clock

LISTEN = replace(PIN, official_api="listen")
versions = pytest.mark.parametrize("version", ["5", "3.1.1"])


class MqttLock:
    """Publishes what the virtual lock does, `lag_s` later, and carries out what comes on `lockAction`.

    Without `allows` it has not subscribed to its commands; without `responds` what it says of a command gets lost, and
    without `tells_events` its events do.
    """

    def __init__(self, house: House, virtual: VirtualLock, nuki_id: str = "1A2B3C4D") -> None:
        self.house = house
        self.virtual = virtual
        self.nuki_id = nuki_id
        self.lag_s = 0.05
        self.allows = self.responds = self.tells_events = True
        self.answers = 0
        """What it says of a command; other numbers than 0 are errors, and it does nothing."""
        self.commands: list[Publication] = []
        """What was published on its command topics."""
        self.online = False
        self._said: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        house.on_publish = self._take

    def say(self, name: str, payload: str, *, retain: bool | None = None) -> None:
        """Publish on a topic of the lock; MQTT 5 shows the flag of its state topics."""
        is_event = name in ("commandResponse", "lockActionEvent", "lockAction", "lock", "unlock")
        flag = (not is_event and self.house.protocol == "5") if retain is None else retain
        if not is_event:
            self._said[name] = payload
        topic = f"nuki/{self.nuki_id}/{name}"
        self.house.bridge.handle(Incoming(topic, payload.encode(), flag, received_at=clock()))

    def keep_telling(self) -> None:
        """Show what the broker keeps, as it does to whoever subscribes."""
        for name, payload in list(self._said.items()):
            self.say(name, payload, retain=True)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[MqttLock]:
        """Be a client of the broker."""
        self.online = True
        self._tell_states()
        self.say("connected", "true")
        following = asyncio.create_task(self._follow())
        try:
            yield self
        finally:
            self.online = False
            for each in (following, *self._tasks):
                each.cancel()

    def lost(self) -> None:
        """The broker tells its will."""
        self.online = False
        self.say("connected", "false")

    def _tell_states(self) -> None:
        for name, number in (("state", int(self.virtual.motor.state)), ("doorsensorState", int(self.virtual.door))):
            if self._said.get(name) != str(number):
                self.say(name, str(number))

    async def _follow(self) -> None:
        before = None
        while True:
            now = int(self.virtual.motor.state), int(self.virtual.door)
            if now != before and self.online:
                asyncio.get_running_loop().call_later(self.lag_s, self._told, now)
            before = now
            await asyncio.sleep(0.02)

    def _told(self, now: tuple[int, int]) -> None:
        for name, number in zip(("state", "doorsensorState"), now, strict=True):
            if self.online and self._said.get(name) != str(number):
                self.say(name, str(number))

    def _take(self, publication: Publication) -> None:
        if not publication.topic.startswith(f"nuki/{self.nuki_id}/"):
            return
        self.commands.append(publication)
        if self.house.protocol != "5":
            self.say(publication.topic.rpartition("/")[2], publication.payload.decode())
        if self.online and self.allows:
            task = asyncio.create_task(self._act(int(publication.payload)))
            self._tasks.add(task)

    async def _act(self, number: int) -> None:
        await asyncio.sleep(self.lag_s)
        busy = self.virtual.motion.busy
        if not self.answers and not busy:
            if self.tells_events:
                self.say("lockActionEvent", f"{number},172,0,0,0")

            def over(action: Action, completion: Completion) -> None:
                self.virtual.device.log_action(action, Trigger.MQTT, completion)

            self.virtual.motion.start(Action(number), Trigger.MQTT, over)
        if self.responds:
            self.say("commandResponse", str(69 if busy else self.answers))


@asynccontextmanager
async def listening(directory: Path, version: str = "5", settings: LockSettings = LISTEN) -> AsyncIterator[MqttLock]:
    """A house with one lock that is paired, and is a client of the broker; it has not moved yet."""
    house = House(directory, settings)
    house.protocol = version
    async with house.running():
        await house.pair()
        await asyncio.sleep(30)
        lock = MqttLock(house, house.classic)
        async with lock.connected():
            await asyncio.sleep(5)
            lock.virtual.audit.clear()
            yield lock
