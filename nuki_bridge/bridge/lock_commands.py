"""The requests to one lock that only read its reports and publish them; the others stand beside their subjects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from nuki_bridge.arguments import Arguments, Declaration, whole
from nuki_bridge.bridge import report
from nuki_bridge.bridge.lock_topics import LockTopics
from nuki_bridge.owner.battery_history import MOST_DAYS
from nuki_bridge.owner.call import Answer, Call

DEFAULT_DAYS: Final = 90
"""How many days of its batteries are told unless somebody asks for another number."""


class LockCommands:
    """Carries out requests that only read a lock's reports; `topics` gives the topics of a lock by its name."""

    def __init__(self, topics: Callable[[str], LockTopics]) -> None:
        self._topics = topics

    async def refresh(self, call: Call) -> Answer:
        """Ask the lock for its states and tell everything known about it."""
        await call.lock.refresh(call.timeout_s)
        topics = self._topics(call.owned.name)
        topics.update(whole=True)
        return {"data": report.status(call.lock, call.owned.clock.to_json(), topics.last_action)}

    async def battery(self, call: Call) -> Answer:
        """Ask the lock for its battery report."""
        battery = report.battery_report(call.lock.profile, await call.lock.read_battery(call.timeout_s))
        self._topics(call.owned.name).update()
        return {"data": battery}

    async def battery_history(self, call: Call) -> Answer:
        """Tell how the lock's batteries were, a day each; the lock itself is not asked."""
        days = call.owned.battery.last(call.arguments.get("days", DEFAULT_DAYS))
        return {"data": [each.to_json() for each in days]}


_DAYS: Final = whole(1, MOST_DAYS).meant(f"how many days, today among them; default {DEFAULT_DAYS}")

REQUESTS: Final[Mapping[str, Declaration[Callable[[LockCommands, Call], Awaitable[Answer]]]]] = {
    "refresh": Declaration(Arguments(), LockCommands.refresh, reads=True),
    "battery/get": Declaration(Arguments(), LockCommands.battery, reads=True),
    "battery/history": Declaration(Arguments({"days": _DAYS}), LockCommands.battery_history, reads=True),
}
"""What can be asked of the lock's reports."""
