"""The least that a guest at the relay can do: one challenge and one action, as `bare` does it over Bluetooth.

    python -m tests.bench.relayed ADDRESS

The relay's end is the program's own; the lock's address is of no use here and only asked for as by the others.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.config import MqttSettings
from nuki_bridge.guest.relay_link import GuestConnection, RelayLink, RelayRadio
from nuki_bridge.kinds import Secret
from nuki_bridge.protocol.wire import Message
from tests.bench.bare import Bare
from tests.bench.child import serve


class Relayed(Bare):
    """One session with the lock through broker and bridge."""

    _connection: GuestConnection
    _link: RelayLink

    async def reach(self, port: int, topic: str, username: str | None = None, password: str | None = None) -> None:
        """Connect to the broker, with an account if it wants one; `topic` is the lock's, with the base topic."""
        kept = None if password is None else Secret(password)
        self._connection = GuestConnection(MqttSettings(host="127.0.0.1", port=port, username=username, password=kept))
        await self._connection.open()
        radio = RelayRadio(self._connection, topic)
        self._link = radio.link(self.address, lambda _, frame: self._arrived.put_nowait(frame), lambda: None)

    async def connect(self) -> None:
        """Begin a session."""
        await self._link.connect(1.0)

    async def disconnect(self) -> None:
        """Leave the broker."""
        await self._connection.close()

    async def _send(self, message: Message) -> None:
        await self._link.write(Channel.USDIO, self._session.send(message))

    async def _receive(self) -> Message:
        return await self._connection.unless_over(super()._receive())


async def main() -> None:
    """Serve until stdin ends."""
    guest = Relayed(sys.argv[1])
    functions: Any = {
        name: getattr(guest, name) for name in ("use", "reach", "connect", "disconnect", "ask_ahead", "act")
    }
    await serve(**functions)


if __name__ == "__main__":
    asyncio.run(main())
