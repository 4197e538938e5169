"""The least that a client over bleak can do, for comparison: one write, or one challenge and one action.

    python -m tests.bench.bare ADDRESS

It uses this project's messages, and none of what makes a daemon of them.
"""

from __future__ import annotations

import asyncio
import sys
import time

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice

from nuki_bridge.protocol.codes import KEYTURNER_GDIO, KEYTURNER_USDIO, Action, Command, Family, StatusCode
from nuki_bridge.protocol.frames import Reassembler
from nuki_bridge.protocol.messages import Challenge, LockAction, RequestData, Status
from nuki_bridge.protocol.session import Session
from nuki_bridge.protocol.wire import Message
from tests.bench.child import serve

ACTION_SIZE = 92
"""Bytes of an encrypted lock action without a name suffix."""
ANSWER_S = 20.0
PAUSE_S = 0.1
"""As everybody pauses (see `air`)."""


class Bare:
    """One link, one exchange at a time; all times are monotonic nanoseconds."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._device: BLEDevice | None = None
        self._client: BleakClient
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self._reassembler = Reassembler(encrypted=True)
        self._session: Session
        self._app_id = 0
        self._challenge: Challenge | None = None

    async def find(self) -> None:
        """Scan for the device."""
        self._device = await BleakScanner.find_device_by_address(self.address, timeout=30)
        if self._device is None:
            raise RuntimeError(f"{self.address} is not on the air")

    async def connect(self) -> None:
        """Connect, discover, enable indications on USDIO."""
        assert self._device is not None
        self._client = BleakClient(self._device)
        await self._client.connect()
        self._reassembler.clear()
        await self._client.start_notify(KEYTURNER_USDIO, lambda _, value: self._arrived.put_nowait(bytes(value)))

    async def disconnect(self) -> None:
        """Leave."""
        await self._client.disconnect()

    # -- the floor ----------------------------------------------------------------------------------------------------

    async def floor(self, count: int) -> dict[str, list[float]]:
        """Milliseconds of writes with response, where nobody is subscribed, and of writes until their echo came."""
        took: dict[str, list[float]] = {"write": [], "echo": []}
        for _ in range(count):
            await asyncio.sleep(PAUSE_S)
            start = time.monotonic_ns()
            await self._client.write_gatt_char(KEYTURNER_GDIO, bytes(ACTION_SIZE), response=True)
            took["write"].append((time.monotonic_ns() - start) / 1e6)
            await asyncio.sleep(PAUSE_S)
            start = time.monotonic_ns()
            await self._client.write_gatt_char(KEYTURNER_USDIO, bytes(ACTION_SIZE), response=True)
            async with asyncio.timeout(ANSWER_S):
                await self._arrived.get()
            took["echo"].append((time.monotonic_ns() - start) / 1e6)
        return took

    # -- the action ---------------------------------------------------------------------------------------------------

    async def use(self, authorization_id: int, app_id: int, key: str, secret: str, lock_public_key: str) -> None:
        """Take this authorization."""
        self._session = Session(authorization_id, bytes.fromhex(key), Family.CLASSIC, _random)
        self._app_id = app_id

    async def ask_ahead(self) -> None:
        """Ask for the next action's challenge."""
        self._challenge = await self._asked()

    async def act(self, action: str, linked: bool) -> list[int]:
        """Challenge, unless there is one, and action until COMPLETE, in a link of its own unless `linked`: start and
        end."""
        start = time.monotonic_ns()
        if not linked:
            await self.connect()
        challenge, self._challenge = self._challenge or await self._asked(), None
        await self._send(LockAction(action=Action[action], app_id=self._app_id, flags=0, nonce=challenge.nonce))
        while True:
            answer = await self._receive()
            if isinstance(answer, Status) and answer.status == StatusCode.COMPLETE:
                break
        end = time.monotonic_ns()
        if not linked:
            await self.disconnect()
        return [start, end]

    async def _asked(self) -> Challenge:
        await self._send(RequestData(wanted=Command.CHALLENGE))
        challenge = await self._receive()
        assert isinstance(challenge, Challenge)
        return challenge

    async def _send(self, message: Message) -> None:
        await self._client.write_gatt_char(KEYTURNER_USDIO, self._session.send(message), response=True)

    async def _receive(self) -> Message:
        async with asyncio.timeout(ANSWER_S):
            while True:
                for frame in self._reassembler.feed(await self._arrived.get()):
                    return self._session.receive(frame)


def _random(size: int) -> bytes:
    with open("/dev/urandom", "rb", buffering=0) as file:
        return file.read(size)


async def main() -> None:
    """Serve until stdin ends."""
    bare = Bare(sys.argv[1])
    await serve(
        find=bare.find,
        connect=bare.connect,
        disconnect=bare.disconnect,
        floor=bare.floor,
        use=bare.use,
        act=bare.act,
    )


if __name__ == "__main__":
    asyncio.run(main())
