"""People in the story: one with the program on a device of their own, one who speaks with the relay, one who pairs."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.bluetooth.radio import BluezRadio
from nuki_bridge.errors import LockError
from nuki_bridge.lock.pairing import PairOptions, pair
from nuki_bridge.protocol.codes import Action, Command, ErrorCode, Family, IdType, StatusCode
from nuki_bridge.protocol.messages import Challenge, ErrorReport, LockAction, RequestData, Status
from nuki_bridge.protocol.session import Session
from nuki_bridge.protocol.wire import Message
from tests.integration.broker import Peer
from tests.vm.guest.program import PROGRAM

ANSWER_S = 30.0


@dataclass(frozen=True)
class Spoken:
    """What a command printed, and its exit status."""

    status: int | None
    out: str
    err: str


class Device:
    """Somebody's computer: a home directory and a broker account of their own, and nothing else of the house."""

    def __init__(self, home: Path, broker_url: str) -> None:
        self.home = home
        self.home.mkdir()
        self._url = broker_url

    async def run(self, *words: str, broker: bool = True) -> Spoken:
        """Call `nuki-bridge`; without `broker` it is told of none."""
        # Not the rest of our environment: a device elsewhere has none of it.
        kept = {
            key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR", "PYTHONDONTWRITEBYTECODE") if key in os.environ
        }
        url = {"NUKI_BRIDGE_BROKER": self._url} if broker else {}
        process = await asyncio.create_subprocess_exec(
            *(str(PROGRAM), *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.home,
            env={**kept, **url, "HOME": str(self.home)},
        )
        async with asyncio.timeout(120):
            out, err = await process.communicate()
        said = "".join(line for line in err.decode().splitlines(keepends=True) if not line.endswith(" ...\n"))
        return Spoken(process.returncode, out.decode(), said)


class RawGuest:
    """One session at the relay with a credential; `peer` is a connection with the guests' broker account."""

    def __init__(self, peer: Peer, credential: dict[str, Any]) -> None:
        self.id = secrets.token_hex(16)
        self._peer = peer
        self._topic = f"nuki/{credential['lock']['name']}/relay/{self.id}"
        key = bytes.fromhex(credential["shared_key"])
        self._session = Session(credential["authorization_id"], key, Family.CLASSIC, secrets.token_bytes)

    async def open(self) -> None:
        """Listen to what comes for this session."""
        for kind in ("indicate", "error"):
            await self._peer.subscribe(f"{self._topic}/{kind}")

    def write(self, message: Message) -> None:
        """Send a message to the lock."""
        self._peer.send(f"{self._topic}/write", self._session.send(message))

    async def next(self) -> Message:
        """The next message of the lock, an error of the bridge fails."""
        while True:
            heard = await self._peer.next(ANSWER_S)
            assert heard.topic != f"{self._topic}/error", heard.payload
            if heard.topic == f"{self._topic}/indicate":
                return self._session.receive(heard.payload)

    def ask_challenge(self) -> None:
        """Ask for a challenge, and do not wait for it."""
        self.write(RequestData(wanted=Command.CHALLENGE))

    async def challenge(self) -> bytes:
        """A challenge of the lock for this guest."""
        self.ask_challenge()
        answer = await self.next()
        assert isinstance(answer, Challenge), answer
        return answer.nonce

    async def act(self, action: Action, nonce: bytes) -> list[str]:
        """A lock action with a challenge; the names of what the lock said until it was over."""
        self.write(LockAction(action=action, app_id=0, flags=0, name_suffix=None, nonce=nonce))
        said: list[str] = []
        while True:
            answer = await self.next()
            if isinstance(answer, ErrorReport):
                return [*said, ErrorCode(answer.error).name]
            if isinstance(answer, Status):
                said.append(StatusCode(answer.status).name)
                if answer.status == StatusCode.COMPLETE:
                    return said


def credential(path: Path) -> dict[str, Any]:
    """A credential file, with the keys in it."""
    data: dict[str, Any] = json.loads(path.read_text())
    return data


async def try_to_pair(adapter: str, address: str) -> str:
    """Somebody else near the door tries to pair, through an adapter of their own; gives the lock's refusal."""
    radio = BluezRadio(adapter)
    ready = asyncio.Event()
    running = asyncio.create_task(radio.run(lambda sighting: None, lambda status: ready.set()))
    try:
        await ready.wait()
        options = PairOptions(IdType.APP, "stranger", 0x0A0B0C0D, None)
        with pytest.raises(LockError) as refusal:
            await pair(
                *(radio, address, Family.CLASSIC, options),
                random=secrets.token_bytes,
                timeout_s=60.0,
                clock=time.monotonic,
                now=lambda: datetime.now(UTC),
            )
        return refusal.value.code
    finally:
        running.cancel()
        await asyncio.wait((running,))
