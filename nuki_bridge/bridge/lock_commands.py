"""Requests to one lock, beside its actions: each is a coroutine that gives the fields of the answer.

`COMMANDS` joins what the modules of the single subjects have; `arguments.LOCK_COMMANDS` says what each takes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.bridge import report
from nuki_bridge.owner import keypad, lock_config, lock_log, maintenance, pin, time_control, user_commands
from nuki_bridge.sharing import invite_commands

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


Command = Callable[[Call], Awaitable[Answer]]


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


COMMANDS: Final[Mapping[str, Command]] = {
    "refresh": _refresh,
    "battery/get": _battery,
    **user_commands.COMMANDS,
    **invite_commands.COMMANDS,
    **lock_config.COMMANDS,
    **pin.COMMANDS,
    **lock_log.COMMANDS,
    **keypad.COMMANDS,
    **time_control.COMMANDS,
    **maintenance.COMMANDS,
}
"""What each request of `arguments.LOCK_COMMANDS` does."""
