"""What MQTT has of a lock's log; how an entry is told is in `log_json.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from nuki_bridge.arguments import Arguments, Declaration, flag, whole
from nuki_bridge.errors import RequestError
from nuki_bridge.lock.admin import LIST_S, PROGRESS_S
from nuki_bridge.owner import log_entries
from nuki_bridge.owner.call import Answer, Call, Handler
from nuki_bridge.owner.log_json import event_of
from nuki_bridge.protocol.log_entries import EnableLogging
from nuki_bridge.protocol.messages import Status

if TYPE_CHECKING:
    from nuki_bridge.protocol.log_entries import LogEntry

DEFAULT_COUNT = 20
"""Log entries in an answer, unless `count` says how many."""


async def _get(call: Call) -> Answer:
    """Log entries, the newest first; with `after` those that came after that index, the oldest first."""
    lock, admin, users = call.lock, call.admin, call.owned.users
    before, after = call.arguments.get("before"), call.arguments.get("after")
    if before is not None and after is not None:
        raise RequestError("bad_request", "give before or after, not both")
    count: int = call.arguments.get("count", DEFAULT_COUNT)
    deadline = lock.clock() + call.timeout_s
    latest = deadline + LIST_S
    zone = await users.zone(call.timeout_s)
    start: int = before or after or 0
    found: list[LogEntry] = []
    while len(found) < count:
        wanted = min(admin.page_size, count - len(found))
        left_s = deadline - lock.clock()
        page = await log_entries.read(
            lock, admin, start=start, count=wanted, descending=after is None, timeout_s=left_s
        )
        deadline = min(max(deadline, lock.clock() + PROGRESS_S), latest)
        found += page
        if len(page) < wanted:
            break
        start = page[-1].index
    profile = lock.profile
    return {"data": [{"index": each.index, **event_of(profile, each, zone, users.kind_of)} for each in found[:count]]}


async def _set(call: Call) -> Answer:
    """Switch the lock's logging on or off; what its log holds stays."""
    enabled: bool = call.arguments["enabled"]
    await call.admin.ask(EnableLogging(enabled=enabled), Status, call.left_s())
    return {"data": {"enabled": enabled}}


_INDEX: Final = 0xFFFFFFFF
REQUESTS: Final[Mapping[str, Declaration[Handler]]] = {
    "log/get": Declaration(
        Arguments(
            {
                "count": whole(1, 500).meant(f"how many entries, default {DEFAULT_COUNT}"),
                "before": whole(1, _INDEX).meant("an index: entries older than this one"),
                "after": whole(0, _INDEX).meant("an index: entries newer than this one, the oldest first"),
            }
        ),
        _get,
        reads=True,
    ),
    "log/set": Declaration(Arguments(required={"enabled": flag}), _set),
}
"""What can be asked of the log."""
