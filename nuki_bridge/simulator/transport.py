"""The transport of a virtual lock: it carries the lock's bytes, tells the time and calls the lock later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from nuki_bridge.bluetooth.link import Channel


class Timer(Protocol):
    """A call that will be made later."""

    def cancel(self) -> None:
        """Do not make the call."""


class Clock(Protocol):
    """The time of day, and calls at a later time."""

    def now(self) -> datetime:
        """Return the time of day, with a time zone."""

    def call_later(self, delay_s: float, fn: Callable[[], None]) -> Timer:
        """Call `fn` once, `delay_s` seconds from now, never from within this call."""


class Transport(Clock, Protocol):
    """Carries a lock's bytes; `VirtualLock.attach` gives it to the lock."""

    def send(self, connection_id: int, channel: Channel, data: bytes) -> None:
        """Send one whole message; the transport cuts it into indications."""

    def drop(self, connection_id: int) -> None:
        """End the connection once all that was sent has arrived, then call the lock's `disconnected`."""

    def advertise(self) -> None:
        """Show that the lock advertises something else, or starts or stops advertising."""


class Attachment:
    """The transport that a lock has been attached to.  Implements `Transport`.

    The parts of a lock are built with it, before there is a transport.  Until `attach` is called it tells the time of
    the system, and whatever sends or waits raises `RuntimeError`.
    """

    def __init__(self) -> None:
        self._transport: Transport | None = None

    def attach(self, transport: Transport) -> None:
        """Use `transport` from now on."""
        self._transport = transport

    def now(self) -> datetime:
        """Return the time of day in UTC; a wrong clock of the lock does not change it."""
        return (datetime.now(UTC) if self._transport is None else self._transport.now()).astimezone(UTC)

    def call_later(self, delay_s: float, fn: Callable[[], None]) -> Timer:
        """Call `fn` once, `delay_s` seconds from now."""
        return self._attached().call_later(delay_s, fn)

    def send(self, connection_id: int, channel: Channel, data: bytes) -> None:
        """Send one whole message."""
        self._attached().send(connection_id, channel, data)

    def drop(self, connection_id: int) -> None:
        """End the connection."""
        self._attached().drop(connection_id)

    def advertise(self) -> None:
        """Show what the lock advertises now; do nothing without a transport."""
        if self._transport is not None:
            self._transport.advertise()

    def _attached(self) -> Transport:
        if self._transport is None:
            raise RuntimeError("a virtual lock needs a transport: call attach() first")
        return self._transport
