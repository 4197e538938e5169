"""What the daemon tells systemd (sd_notify(3)): that it is ready, how it is, and that it makes progress.

Elsewhere nothing is told.  The log is `logs`'.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nuki_bridge.watchdog import Watchdog

log = logging.getLogger(__name__)

LOOK_S = 10.0
"""Longest interval in seconds between checks of the parts; a third of the watchdog's interval if that is shorter."""
STALL_S = 1.0
"""Seconds by which a late check shows that the whole process stood still."""


def notifier(environ: Mapping[str, str] = os.environ) -> Callable[[str], None]:
    """Return a function that sends a line such as `READY=1` to systemd; it does nothing elsewhere."""
    path = environ.get("NOTIFY_SOCKET", "")
    if not path:
        return lambda line: None
    address = f"\0{path[1:]}" if path.startswith("@") else path  # abstract sockets have names instead of files

    def notify(line: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
                to.sendto(line.encode(), address)
        except OSError as error:
            log.warning("systemd could not be told %s: %s", line.partition("=")[0], error.strerror)

    return notify


def watchdog_interval_s(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return within how many seconds systemd's watchdog wants to hear from this process; None if there is none."""
    try:
        interval_s = int(environ["WATCHDOG_USEC"]) / 1e6
        mine = int(environ.get("WATCHDOG_PID", os.getpid())) == os.getpid()
    except (KeyError, ValueError):
        return None
    return interval_s if mine and interval_s > 0 else None


async def feed_watchdog(notify: Callable[[str], None], watchdog: Watchdog, interval_s: float | None) -> None:
    """Feed the watchdog while the event loop runs and every part keeps its promise; until cancelled.

    The time for which the whole process stood still (suspended, stopped, swapped out) counts for no part.  Where there
    is no watchdog the log alone tells of a part that is stuck.
    """
    pause_s = LOOK_S if interval_s is None else min(LOOK_S, interval_s / 3)
    told: list[str] = []
    while True:
        stuck = watchdog.stuck()
        if stuck != told:
            told = stuck
            for each in stuck:
                log.critical("no progress any more, stuck in %s", each)
            if not stuck:
                log.warning("every part makes progress again")
        if not stuck and interval_s is not None:
            notify("WATCHDOG=1")
        asleep_at = watchdog.clock()
        await asyncio.sleep(pause_s)
        late_s = watchdog.clock() - asleep_at - pause_s
        if late_s > STALL_S:
            watchdog.excuse(late_s)
