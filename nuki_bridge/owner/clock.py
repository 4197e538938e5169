"""A lock's clock: setting it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from nuki_bridge.arguments import Arguments, Declaration
from nuki_bridge.errors import RequestError
from nuki_bridge.lock import wall_clock
from nuki_bridge.owner import access
from nuki_bridge.owner.call import Answer, Call, Handler
from nuki_bridge.owner.clock_keeper import MAX_SET_BACK, nearest_second
from nuki_bridge.protocol.messages import Status, UpdateTime


async def _set_time(call: Call) -> Answer:
    """Set the lock's clock, by default to now.

    Not by default to a time long before what it shows: a computer without a clock of its own believes after a power
    cut that it is as late as when it was switched off, until it has heard a time server, and time limits of users that
    are over would be valid again.
    """
    lock, admin = call.lock, call.admin
    given: datetime | None = call.arguments.get("time")
    config = await lock.read_config(call.timeout_s)
    zone = wall_clock.zone_of(config)
    if given is not None and given.tzinfo is None:
        given = given.replace(tzinfo=zone)
    sent = (given or call.now()).astimezone(UTC)
    if given is None and config.current_time is not None and config.current_time - sent > MAX_SET_BACK:
        ours, its = wall_clock.rfc3339(sent, zone), wall_clock.rfc3339(config.current_time, zone)
        raise RequestError(
            "clock_behind",
            f"this computer's clock shows {ours}, the lock's {its}; if it is the lock's that is wrong, give time",
        )

    def stamped(request: UpdateTime) -> UpdateTime:
        """Return what is right at the moment at which it is sent."""
        nonlocal sent
        sent = given or nearest_second(call.now())
        return replace(request, time=sent)

    await admin.ask(UpdateTime(time=sent), Status, call.left_s(), stamp=stamped)
    lock.schedule_states()
    call.owned.clock.was_set()
    return {"data": {"time": wall_clock.rfc3339(sent, zone)}}


_TIME: Final = access.moment.meant("default: now; not if that sets the clock back by more than an hour")
REQUESTS: Final[Mapping[str, Declaration[Handler]]] = {"time/set": Declaration(Arguments({"time": _TIME}), _set_time)}
"""What can be asked of the clock."""
