"""Requests to one lock, beside its actions: each is a coroutine that gives the fields of the answer.

Those of a subject of their own stand in its module; here are the two that only read and publish.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.arguments import Arguments, Declaration
from nuki_bridge.bridge import report

if TYPE_CHECKING:
    from nuki_bridge.bridge.bridge import Bridge
    from nuki_bridge.bridge.members import Member
    from nuki_bridge.lock.lock import Lock
    from nuki_bridge.topics.topics import Request

Answer = dict[str, Any]
"""Fields of an answer beside its status."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a lock: `timeout_s` is what was left of its deadline at the start."""

    bridge: Bridge
    member: Member
    lock: Lock
    request: Request
    timeout_s: float

    def left_s(self) -> float:
        """What is left of the deadline now; 0 at least."""
        return max(self.request.deadline - self.lock.clock(), 0.0)

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The checked arguments."""
        return self.request.arguments


Handler = Callable[[Call], Awaitable[Answer]]
"""Carries out one request to a lock."""


async def _refresh(call: Call) -> Answer:
    """Ask the lock for its states and tell everything known about it."""
    await call.lock.refresh(call.timeout_s)
    call.bridge.publisher.lock(call.member, whole=True)
    return {"data": report.status(call.lock, call.member.last_action)}


async def _battery(call: Call) -> Answer:
    """Ask the lock for its battery report."""
    battery = report.battery_report(await call.lock.read_battery(call.timeout_s))
    call.bridge.publisher.lock(call.member)
    return {"data": battery}


REQUESTS: Final[Mapping[str, Declaration[Handler]]] = {
    "refresh": Declaration(Arguments(), _refresh, reads=True),
    "battery/get": Declaration(Arguments(), _battery, reads=True),
}
"""What can be asked of the lock's reports."""
