"""What a virtual lock stands on: somebody who carries its bytes and calls it later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from nuki_bridge.bluetooth.link import Channel


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Forget it."""


class Clock(Protocol):
    """Time of day, and time that passes."""

    def now(self) -> datetime:
        """Now, with a time zone."""

    def call_later(self, delay_s: float, fn: Callable[[], None]) -> Timer:
        """Call `fn` once, `delay_s` seconds from now, never from within this call."""


class Transport(Clock, Protocol):
    """What carries a lock's bytes; given to it by `VirtualLock.attach`."""

    def send(self, connection_id: int, channel: Channel, data: bytes) -> None:
        """Indicate one whole message; cutting it into indications is the transport's business."""

    def drop(self, connection_id: int) -> None:
        """End the connection, after what was sent before; calls the lock's `disconnected`."""

    def advertise(self) -> None:
        """What is advertised has changed, or whether anything is."""
