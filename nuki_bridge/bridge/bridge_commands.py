"""Requests to the bridge itself: locks, health, restart.

Each is a coroutine that is given the request and gives the fields of the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC
from typing import Any, Final

from nuki_bridge import __version__
from nuki_bridge.arguments import Arguments, Declaration
from nuki_bridge.bridge import report
from nuki_bridge.bridge.adapter import Adapter
from nuki_bridge.bridge.info import summary
from nuki_bridge.bridge.members import Member, Members
from nuki_bridge.bridge.ports import Ports
from nuki_bridge.bridge.running_lock import allowed_of
from nuki_bridge.lock import state_json, wall_clock
from nuki_bridge.lock.heard import What
from nuki_bridge.owner.call import Answer
from nuki_bridge.protocol.codes import name_of
from nuki_bridge.topics.topics import Request


class BridgeCommands:
    """Carries out the requests to the bridge itself, which has started when this was made."""

    def __init__(self, members: Members, adapter: Adapter, ports: Ports) -> None:
        self._members = members
        self._adapter = adapter
        self._ports = ports
        self._started_at = ports.clock()

    async def locks(self, _request: Request) -> Answer:
        """Return every lock, paired or merely configured."""
        return {"data": [_describe(each) for each in self._members]}

    async def health(self, _request: Request) -> Answer:
        """Return how the bridge, its adapter and its links are."""
        return {
            "data": {
                "version": __version__,
                "uptime_s": round(self._ports.clock() - self._started_at),
                "mqtt_version": self._ports.protocol(),
                "adapter": self._adapter.describe(),
                "locks": [
                    {
                        "name": each.name,
                        **report.link(each.lock),
                        "connection": each.connection,
                        "reconnects": each.lock.reconnects,
                        "clock_off_s": each.owned.clock.ahead_s,
                        "timezone_offset_min": state_json.offset_min(each.lock),
                    }
                    for each in self._members
                    if each.lock is not None and each.owned is not None
                ],
            }
        }

    async def restart(self, _request: Request) -> Answer:
        """End the daemon, so that its supervisor starts it again; the answer leaves first."""
        asyncio.get_running_loop().call_soon(self._ports.restart)
        return {"data": {}}


def _describe(member: Member) -> dict[str, Any]:
    told = summary(member)
    if member.paired is not None:
        told["authorization_id"] = member.paired.authorization_id
        told["as"] = name_of(member.paired.id_type)
        told["paired_at"] = wall_clock.rfc3339(member.paired.paired_at, UTC)
    if member.lock is not None:
        state = member.lock.heard.now(What.STATE)
        told["state"] = None if state is None else member.lock.profile.state_word(state)
        told |= report.link(member.lock)
    allowed = allowed_of(member.settings, member.profile)
    told["actions"] = None if allowed is None else sorted(member.profile.action_word(each) for each in allowed)
    return told


REQUESTS: Final[Mapping[str, Declaration[Callable[[BridgeCommands, Request], Awaitable[Answer]]]]] = {
    "locks": Declaration(Arguments(), BridgeCommands.locks, reads=True),
    "health": Declaration(Arguments(), BridgeCommands.health, reads=True),
    "restart": Declaration(Arguments(), BridgeCommands.restart),
}
"""What can be asked of the bridge itself."""
