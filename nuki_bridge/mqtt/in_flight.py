"""What was published and the broker has not acknowledged yet."""

from __future__ import annotations

import asyncio

from nuki_bridge.mqtt.message import Outgoing

MAX_MESSAGES = 1000
"""Messages that wait for the broker at most; more are refused."""
MAX_SIZE = 1024 * 1024
"""Bytes of payload that wait for the broker at most; more are refused."""


class InFlight:
    """The messages of one connection that wait for an acknowledgement, in the order in which they were published.

    `since` is when the broker acknowledged one last, or the first of them was published, in seconds on the loop's
    clock.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._messages: dict[int, Outgoing] = {}  # by message ID
        self._size = 0
        self._none = asyncio.Event()
        self._none.set()
        self.since = self._loop.time()

    @property
    def messages(self) -> list[Outgoing]:
        """All of them."""
        return list(self._messages.values())

    def has_room(self, size: int) -> bool:
        """Return whether one more of so many bytes may wait."""
        return len(self._messages) < MAX_MESSAGES and self._size + size <= MAX_SIZE

    def add(self, number: int, message: Outgoing) -> None:
        """Note that a message was published under this ID."""
        if not self._messages:
            self.since = self._loop.time()
        self._messages[number] = message
        self._size += len(message.payload)
        self._none.clear()

    def pop(self, number: int) -> Outgoing | None:
        """Return the message of this ID, which the broker has answered; None for one that is not known."""
        message = self._messages.pop(number, None)
        self.since = self._loop.time()
        self._size -= len(message.payload) if message is not None else 0
        if not self._messages:
            self._none.set()
        return message

    def is_overdue(self, limit_s: float) -> bool:
        """Return whether something waits and nothing was acknowledged for longer than so many seconds."""
        return bool(self._messages) and self._loop.time() - self.since > limit_s

    def give_up(self) -> None:
        """End every `drain`: nothing will be acknowledged any more."""
        self._none.set()

    async def drain(self) -> None:
        """Wait until all are acknowledged, or given up."""
        await self._none.wait()
