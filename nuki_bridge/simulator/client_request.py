"""One request of a client: what its handler is given.

A handler works on the parts of the device that stand here and answers through the request.  The handlers of a subject
are a table (`Handlers`) in the module of that subject; `requests` joins the tables.  This module knows no handler, so
that the modules of the subjects can import it.  What stands in `ClientRequest` every device has; a handler that only a
Smart Lock has is given a `LockRequest`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from nuki_bridge.protocol.codes import ErrorCode, StatusCode
from nuki_bridge.protocol.messages import ErrorReport, Status
from nuki_bridge.protocol.wire import Message
from nuki_bridge.simulator.authorizations import StoredEntry
from nuki_bridge.simulator.auto_lock import AutoLockWatch
from nuki_bridge.simulator.device import Device
from nuki_bridge.simulator.lock_device import LockDevice
from nuki_bridge.simulator.motion import Motion, Works


class Answering(Protocol):
    """The Bluetooth side of the lock, as far as a request needs it; `connections.Connections` is one."""

    def send_encrypted(self, connection_id: int, to: StoredEntry, message: Message, size: int | None = None) -> None:
        """Send `message` encrypted for `to`, cut to `size` payload bytes."""

    def reboot(self) -> None:
        """Restart the lock, which drops every connection."""


@dataclass(slots=True, kw_only=True)
class ClientRequest:
    """One request, the parts of the device that it concerns, and the way to answer.  Implements `motion.Asker`."""

    device: Device
    motion: Works
    answering: Answering
    connection_id: int
    authorization: StoredEntry
    command: int
    muted: bool = False
    """Whatever is sent in answer gets lost."""
    suffix: str | None = None
    """What the client has appended to its name in the log; only a lock action can have it."""

    def note(self, what: str, detail: str | None = None) -> None:
        """Write a line of the audit trail about this request."""
        self.device.note(what, self.authorization, command=self.command, detail=detail, suffix=self.suffix)

    def reply(self, message: Message, *, size: int | None = None) -> None:
        """Send `message` encrypted for the client, cut to `size` payload bytes (older firmware sends less)."""
        if not self.muted:
            self.answering.send_encrypted(self.connection_id, self.authorization, message, size)

    def accept(self) -> None:
        """Send Status ACCEPTED."""
        self.reply(Status(status=StatusCode.ACCEPTED))

    def complete(self) -> None:
        """Send Status COMPLETE."""
        self.reply(Status(status=StatusCode.COMPLETE))

    def end_list(self) -> None:
        """Send Status COMPLETE after a list, unless this firmware does not."""
        if not self.device.behaviour.list_end_missing:
            self.complete()

    def refuse(self, error: ErrorCode) -> None:
        """Send an Error Report."""
        self.reply(ErrorReport(error=error, failed_command=self.command))

    def clock_changed(self) -> None:
        """Take note that the device's clock, or its time zone, has changed."""


@dataclass(slots=True, kw_only=True)
class LockRequest(ClientRequest):
    """One request to a Smart Lock."""

    device: LockDevice
    motion: Motion
    auto_lock: AutoLockWatch

    def clock_changed(self) -> None:
        """Take note that the lock's clock, or its time zone, has changed."""
        self.auto_lock.clock_changed()


Handlers = dict[type[Message], Callable[[Any, Any], None]]
"""The requests of one subject: the class of each message, and the function that carries it out or raises `Refused`."""
