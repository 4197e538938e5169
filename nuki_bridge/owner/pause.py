"""Leaving a lock to the maker's app for a while."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nuki_bridge.arguments import Arguments, Declaration, flag, whole
from nuki_bridge.lock import wall_clock
from nuki_bridge.owner.call import Answer, Call, Handler

DEFAULT_S: Final = 600
LONGEST_S: Final = 3600


async def _pause(call: Call) -> Answer:
    """Begin a pause, in place of one that there is, or end it."""
    lock, arguments = call.lock, call.arguments
    lock.pause(arguments.get("for", DEFAULT_S) if arguments.get("enabled", True) else 0)
    return {"data": {"paused_until": wall_clock.rfc3339(lock.paused_to, wall_clock.zone_in(lock))}}


_FOR: Final = whole(1, LONGEST_S, "seconds").meant(f"seconds, default {DEFAULT_S}")
REQUESTS: Final[Mapping[str, Declaration[Handler]]] = {
    "pause": Declaration(Arguments({"enabled": flag.meant("default true; false ends it"), "for": _FOR}), _pause),
}
"""What can be asked for the app's sake."""
