"""The line that `systemctl status` shows: locks, broker and adapter at a glance."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nuki_bridge.errors import LockError

if TYPE_CHECKING:
    from nuki_bridge.bluetooth.link import RadioStatus
    from nuki_bridge.bridge.members import Member

PAUSE_S = 1.0
"""Shortest interval in seconds between two lines: a link that comes and goes must not keep systemd busy."""
MOST_LOCKS = 8
"""Most locks that are named; the others are only counted."""


def describe(members: Iterable[Member], broker: str, radio: RadioStatus) -> str:
    """Return a line such as `1 lock: front_door linked; broker connected (MQTT 5); adapter hci0`."""
    words = [f"{member.name} {_word(member)}" for member in members]
    locks = "no locks" if not words else f"{len(words)} lock{'s' if len(words) > 1 else ''}: "
    shown, more = words[:MOST_LOCKS], len(words) - MOST_LOCKS
    if more > 0:
        shown.append(f"{more} more")
    adapter = f"adapter {radio.adapter}" if radio.available else f"no Bluetooth: {radio.reason}"
    line = f"{locks}{', '.join(shown)}; {broker}; {adapter}"
    return "".join(each if each.isprintable() else " " for each in line)


def _word(member: Member) -> str:
    lock = member.lock
    if member.paired is None or lock is None:
        return "not paired"
    if isinstance(lock.fault, LockError):
        return lock.fault.code
    if lock.connected:
        return "linked"
    return "in reach" if lock.reachable else "out of reach"


class StatusLine:
    """Tells the line when it has changed, once in `PAUSE_S` at most; the last one is always told."""

    def __init__(self, describe: Callable[[], str], tell: Callable[[str], None]) -> None:
        self._describe = describe
        self._tell = tell
        self._told = ""
        self._told_at = -math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def schedule(self) -> None:
        """Look at the line soon: something in it may have changed."""
        if self._timer is None and not self._closed:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(self._told_at + PAUSE_S - loop.time(), 0.0), self._due)

    def close(self) -> None:
        """Tell nothing any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _due(self) -> None:
        self._timer = None
        line = self._describe()
        if line != self._told:
            self._told, self._told_at = line, asyncio.get_running_loop().time()
            self._tell(line)
