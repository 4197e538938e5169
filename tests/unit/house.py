"""A house: two virtual locks, the whole bridge on virtual time, and everything that it published."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.bridge.bridge import Bridge
from nuki_bridge.bridge.ports import Ports
from nuki_bridge.config import LockSettings, MqttSettings, Secret, Settings
from nuki_bridge.lock.lock import Lock
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.protocol.codes import Family, IdType
from nuki_bridge.simulator.authorizations import StoredEntry
from nuki_bridge.simulator.behaviour import seeded
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.radio import VirtualRadio
from nuki_bridge.store import PairedLock, Store
from nuki_bridge.topics.topics import Publication
from nuki_bridge.watchdog import Watchdog
from tests.documented import mistake
from tests.unit.rig import clock, now

CLASSIC = "54:D2:72:2B:3C:4D"
ULTRA = "54:D2:72:3D:4E:5F"
PIN = LockSettings("front", CLASSIC, pin=Secret("1234"))
"""The settings of a lock with its PIN."""


class House:
    """Two virtual locks, the bridge, and what it published."""

    def __init__(self, directory: Path, *locks: LockSettings) -> None:
        self.settings = Settings(mqtt=MqttSettings(), locks=locks, state_dir=directory)
        self.classic = VirtualLock(CLASSIC, 0x1A2B3C4D, pin=1234, random=seeded(1))
        self.ultra = VirtualLock(ULTRA, 0x2C3D4E5F, family=Family.ULTRA, pin=123456, random=seeded(2))
        self.radio = VirtualRadio([self.classic, self.ultra], clock=now)
        self.published: list[Publication] = []
        self.retained: dict[str, str] = {}
        self.watched: list[str] = []
        self.unwatched: list[str] = []
        self.restarts = 0
        self.undocumented: list[str] = []
        self.protocol = "5"
        self.online = True
        self.accepting = True
        self.synchronized = False
        """The bridge knows that its clock is right."""
        self.largest: int | None = None
        """Bytes of payload that the broker takes."""
        self.on_publish: Callable[[Publication], None] = lambda publication: None
        self.store = Store(directory)
        self.watchdog = Watchdog(clock)
        self.bridge: Bridge

    def _fits(self, publication: Publication) -> bool:
        return self.largest is None or len(publication.payload) <= self.largest

    def _publish(self, publication: Publication) -> bool:
        if not (self.online and self.accepting and self._fits(publication)):
            return False
        self.published.append(publication)
        self.on_publish(publication)
        wrong = mistake(
            publication.topic, publication.payload, retained=publication.retain, base=self.settings.mqtt.base_topic
        )
        if wrong is not None:
            self.undocumented.append(wrong)
        if publication.retain:
            self.retained[publication.topic] = publication.payload.decode()
            if not publication.payload:
                del self.retained[publication.topic]
        return True

    def _watch(self, filters: Iterable[str]) -> None:
        self.watched = list(filters)

    def _unwatch(self, filters: Iterable[str]) -> None:
        self.unwatched = list(filters)

    async def _is_synchronized(self) -> bool:
        return self.synchronized

    def _restart(self) -> None:
        self.restarts += 1

    def new_client(self, **given: Any) -> Any:
        """A connection of its own for a lock that is served; `served.py` has houses with a broker for that."""
        raise AssertionError("no lock is served in this house")

    def restarted(self) -> House:
        """The next run of the same installation: with the same locks, and with what the database has kept."""
        other = House(self.settings.state_dir)
        other.settings, other.classic, other.ultra, other.radio = self.settings, self.classic, self.ultra, self.radio
        return other

    @asynccontextmanager
    async def running(self) -> AsyncIterator[House]:
        self.store.open()
        self.bridge = Bridge(
            self.settings,
            self.store,
            self.radio,
            Ports(
                publish=self._publish,
                fits=self._fits,
                watch=self._watch,
                unwatch=self._unwatch,
                protocol=lambda: self.protocol if self.online else None,
                restart=self._restart,
                clock=clock,
                now=now,
                synchronized=self._is_synchronized,
                random=seeded(3),
                hostname="pi",
                simulate=self.radio.control,
                watchdog=self.watchdog,
                new_client=self.new_client,
            ),
        )
        task = asyncio.create_task(self.bridge.run())
        await self.bridge.radio_known.wait()
        self.bridge.connection_changed(self.online)
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait((task,))
            self.store.close()
            assert task.cancelled()
            assert self.undocumented == []

    def send(self, below: str, payload: Any = b"", **fields: Any) -> None:
        """A message for the bridge; a dictionary goes as JSON."""
        data = json.dumps(payload) if isinstance(payload, dict) else payload
        data = data.encode() if isinstance(data, str) else data
        values = {"retain": False, "received_at": clock(), **fields}
        self.bridge.handle(Incoming(topic=f"nuki/{below}", payload=data, **values))

    async def ask(self, below: str, payload: Any = b"", wait_s: float = 120.0, **fields: Any) -> dict[str, Any]:
        """Send a message and await the first answer to it."""
        answer_topic = f"nuki/{below}".replace("/request/", "/response/")
        answer_topic = answer_topic if "/request/" in below else answer_topic.replace("/set", "/result")
        answer_topic += "/response" if below.endswith("/simulate") else ""
        start = len(self.published)
        self.send(below, payload, **fields)
        deadline = clock() + wait_s
        while clock() < deadline:
            for publication in self.published[start:]:
                if publication.topic == answer_topic:
                    answer: dict[str, Any] = json.loads(publication.payload)
                    return answer
            await asyncio.sleep(0.05)
        raise AssertionError(f"no answer on {answer_topic}")

    async def pair(self, address: str = CLASSIC, **arguments: Any) -> dict[str, Any]:
        lock = self.classic if address == CLASSIC else self.ultra
        lock.hold_button()
        answer = await self.ask("bridge/request/pair", {"address": address, **arguments})
        assert answer["status"] == "ok", answer
        await asyncio.sleep(1.0)
        data: dict[str, Any] = answer["data"]
        return data

    def lock(self, name: str = "front") -> Lock:
        """A lock that is paired and in use."""
        member = self.bridge.members.get(name)
        assert member is not None
        assert member.lock is not None
        return member.lock

    def on(self, below: str) -> list[str]:
        """Everything published on a topic so far."""
        return [each.payload.decode() for each in self.published if each.topic == f"nuki/{below}"]

    def events(self, below: str) -> list[dict[str, Any]]:
        return [json.loads(each) for each in self.on(below)]

    def everything(self) -> str:
        return "\n".join(f"{each.topic} {each.payload.decode()}" for each in self.published)


def lose_after_handshake(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the moment at which the lock has stored the authorization every attempt to connect times out."""
    save = house.store.save_unproven

    def save_and_lose(paired: PairedLock) -> None:
        save(paired)
        house.radio.faults.connect_times_out = 1000

    monkeypatch.setattr(house.store, "save_unproven", save_and_lose)


def add(house: House, name: str, id_type: IdType = IdType.APP) -> StoredEntry:
    """A user that somebody else has made."""
    lock = house.classic
    added = lock.authorizations.add(key=bytes(32), id_type=id_type, app_id=0, name=name, now=now(), max_users=500)
    assert added is not None
    lock.users_changed()
    return added[0]


def published(house: House) -> list[dict[str, Any]]:
    users: list[dict[str, Any]] = json.loads(house.retained["nuki/front/users"])
    return users


async def ask(house: House, command: str, **arguments: Any) -> Any:
    answer = await house.ask(f"front/request/{command}", arguments)
    assert answer["status"] == "ok", answer
    return answer["data"]


async def refusal(house: House, command: str, **arguments: Any) -> str:
    answer = await house.ask(f"front/request/{command}", arguments)
    assert answer["status"] == "error", answer
    return str(answer["error"])


def deaf(house: House, *after: str) -> None:
    """What the lock says right after one of these got lost."""
    lock = house.classic
    whole = lock.connections.send_encrypted

    def lose(connection_id: int, to: Any, message: Any, size: int | None = None) -> None:
        if not {lock.audit[-1].what, lock.audit[-1].detail} & set(after):
            whole(connection_id, to, message, size)

    lock.connections.send_encrypted = lose  # type: ignore[method-assign]


def tries(house: House) -> int:
    return sum(entry.detail == "bad_pin" for entry in house.classic.audit)


def events(house: House, kind: str = "") -> list[dict[str, Any]]:
    return [each for each in house.events("front/event") if kind in ("", each["type"])]


async def act(house: House, action: str) -> None:
    answer = await house.ask("front/set", action)
    assert answer["status"] == "ok", answer
    await asyncio.sleep(5)
