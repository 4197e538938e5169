"""A house with guests, each of whom has a key of the lock and nothing but a broker."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from nuki_bridge.config import LockSettings, Secret
from nuki_bridge.protocol.codes import Action, Command, Family, IdType
from nuki_bridge.protocol.messages import (
    Challenge,
    ErrorReport,
    LockAction,
    RequestData,
    Status,
)
from nuki_bridge.protocol.session import Session
from nuki_bridge.protocol.wire import Message
from nuki_bridge.simulator.behaviour import seeded
from tests.unit.house import CLASSIC, House
from tests.unit.rig import clock

CHALLENGE = RequestData(wanted=Command.CHALLENGE)
ACTION = LockAction(action=Action.UNLOCK, app_id=0, flags=0, name_suffix="me", nonce=bytes(32))
STATES = RequestData(wanted=Command.KEYTURNER_STATES)


_COUNT = itertools.count(1)


class Guest:
    """Somebody with a key of the lock and nothing but a broker."""

    def __init__(self, house: House, number: int, key: bytes, name: str) -> None:
        count = next(_COUNT)
        self.house = house
        self.number = number
        self.key = key
        self.name = name
        self.id = f"{count:032x}"
        self.session = Session(number, key, Family.CLASSIC, seeded(100 + count))
        self._seen = 0
        """Messages that `next` has given."""
        self._heard: list[bytes] = []
        self._searched = 0
        """Publications of the house."""

    def write(self, frame: bytes | Message, **fields: Any) -> None:
        data = frame if isinstance(frame, bytes) else self.session.send(frame)
        self.house.send(f"front/relay/{self.id}/write", data, **fields)

    def heard(self) -> list[bytes]:
        """Every frame that came for this session."""
        topic = f"nuki/front/relay/{self.id}/indicate"
        self._heard += [each.payload for each in self.house.published[self._searched :] if each.topic == topic]
        self._searched = len(self.house.published)
        return self._heard

    def messages(self) -> list[Message]:
        return [self.session.receive(frame) for frame in self.heard()]

    def errors(self) -> list[str]:
        return [each["error"] for each in self.house.events(f"front/relay/{self.id}/error")]

    async def next(self, wait_s: float = 20.0) -> Message:
        """The next message of the lock for this session."""
        deadline = clock() + wait_s
        while clock() < deadline:
            heard = self.heard()
            if len(heard) > self._seen:
                self._seen += 1
                return self.session.receive(heard[self._seen - 1])
            await asyncio.sleep(0.01)
        raise AssertionError(f"nothing came; errors: {self.errors()}")

    async def challenge(self) -> bytes:
        self.write(CHALLENGE)
        answer = await self.next()
        assert isinstance(answer, Challenge)
        return answer.nonce

    async def act(self, action: Action, nonce: bytes | None = None) -> list[Message]:
        """Carry out a lock action; gives everything the lock said up to COMPLETE or an error."""
        nonce = nonce or await self.challenge()
        self.write(LockAction(action=action, app_id=0, flags=0, name_suffix=None, nonce=nonce))
        said: list[Message] = []
        while True:
            said.append(await self.next())
            if isinstance(said[-1], ErrorReport) or (isinstance(said[-1], Status) and said[-1].status == 0):
                return said


class Party(House):
    """A house with its PIN known, a paired front door, and guests."""

    def guest(self, name: str = "Anna", *, remote: bool = True, enabled: bool = True) -> Guest:
        key = seeded(sum(name.encode()))(32)
        entry = self.classic.add_user(key, IdType.APP, 0, name, full=0)  # type: ignore[arg-type]
        entry.remote_allowed, entry.enabled = remote, enabled
        self.classic.config_changed()
        return Guest(self, entry.authorization_id, key, name)

    def entry(self, guest: Guest) -> Any:
        entry = self.classic.authorizations.get(guest.number)
        assert entry is not None
        return entry

    def audit(self, *what: str) -> list[str]:
        return [f"{e.what} {e.detail}" for e in self.classic.audit if e.what in what]

    @property
    def member(self) -> Any:
        return self.bridge.members.get("front")


@asynccontextmanager
async def party(directory: Path, *, pin: str | None = "1234", connection: str = "persistent") -> AsyncIterator[Party]:
    settings = LockSettings("front", CLASSIC, connection=connection, pin=Secret(pin) if pin else None)  # type: ignore[arg-type]
    house = Party(directory / "state", settings)
    async with house.running():
        await house.pair()
        await asyncio.sleep(5.0)
        yield house


def stranger(house: Party, number: int) -> Guest:
    """Somebody who knows an authorization's ID, which stands in the header of each frame, but not its key."""
    return Guest(house, number, bytes(32), "stranger")


def motor(house: Party) -> list[str]:
    return [str(entry.detail).partition(":")[0] for entry in house.classic.movements()]


def again(house: Party, guest: Guest) -> Guest:
    """The same person with another session."""
    return Guest(house, guest.number, guest.key, guest.name)
