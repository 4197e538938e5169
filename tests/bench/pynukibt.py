"""pyNukiBT from PyPI, for comparison; runs in an environment of its own, without this project's dependencies.

.venv-pynukibt/bin/python -m tests.bench.pynukibt ADDRESS
"""

from __future__ import annotations

import asyncio
import sys
import time

from bleak import BleakScanner
from pyNukiBT import NukiConst, NukiDevice

from tests.bench.child import serve

ANSWER_S = 20.0


class Client:
    """One `NukiDevice`; it has the same requests as `bare.Bare`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._device: NukiDevice
        self._complete = asyncio.Event()

    async def use(self, authorization_id: int, app_id: int, key: str, secret: str, lock_public_key: str) -> None:
        """Take this authorization."""
        self._device = NukiDevice(
            address=self.address,
            auth_id=authorization_id.to_bytes(4, "little"),
            nuki_public_key=bytes.fromhex(lock_public_key),
            bridge_public_key=None,
            bridge_private_key=bytes.fromhex(secret),
            app_id=app_id,
            name="pyNukiBT",
            client_type=NukiConst.NukiClientType.APP,
        )
        self._device.subscribe(self._on_message)

    async def find(self) -> None:
        """Scan for the device."""
        self._device.set_ble_device(await BleakScanner.find_device_by_address(self.address, timeout=30))

    async def connect(self) -> None:
        """Connect, discover, enable indications."""
        await self._device.connect()

    async def disconnect(self) -> None:
        """Leave."""
        await self._device.disconnect()

    async def act(self, action: str, linked: bool) -> list[int]:
        """An action until COMPLETE, in a link of its own unless `linked`: start and end in nanoseconds."""
        self._complete.clear()
        start = time.monotonic_ns()
        if not linked:
            await self._device.connect()
        await self._device.lock_action(getattr(self._device._const.LockAction, action))
        async with asyncio.timeout(ANSWER_S):
            await self._complete.wait()
        end = time.monotonic_ns()
        if not linked:
            await self._device.disconnect()
        return [start, end]

    def _on_message(self, command: object) -> None:
        status = self._device.last_action_status
        if command == self._device._const.NukiCommand.STATUS and status == NukiConst.StatusCode.COMPLETED:
            self._complete.set()


async def main() -> None:
    """Serve until stdin ends."""
    client = Client(sys.argv[1])
    await serve(use=client.use, find=client.find, connect=client.connect, disconnect=client.disconnect, act=client.act)


if __name__ == "__main__":
    asyncio.run(main())
