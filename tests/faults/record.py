"""What a virtual lock has really done, read from its audit trail: the judge's only witness."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from nuki_bridge.simulator.behaviour import AuditEntry
from tests.unit.rig import START

_LOCK_N_GO = ("lock_n_go", "lock_n_go_unlatch")


_LEADS_TO = {
    "lock": {"locked"},
    "full_lock": {"locked"},
    "unlock": {"unlocked", "unlatched", "unlocked_lock_n_go"},
}
"""Where a lock rests already if such an action finds nothing to do."""
_ROUNDED_S = 0.001
"""The record's times have microseconds."""


def seconds(moment: datetime) -> float:
    """A time of the record on the loop's clock."""
    return (moment - START).total_seconds() + 1000.0


@dataclass(slots=True)
class Deed:
    """What the lock did about one command, which its suffix tells; times are on the loop's clock."""

    action: str | None = None
    received: list[float] = field(default_factory=list)
    started: list[float] = field(default_factory=list)
    ended: list[tuple[float, str]] = field(default_factory=list)
    """When and with which completion, in the lock's words; "nothing to do" without a movement."""
    refused: list[tuple[float, str]] = field(default_factory=list)
    rested: list[tuple[float, str]] = field(default_factory=list)
    """When it was over, and how: some firmware says so before, while the latch is held or lock 'n' go waits."""

    def carried_out(self, by: float) -> bool:
        """It was done to its end at that time, or there was nothing to do."""
        by += _ROUNDED_S
        if not any(at <= by and how in ("success", "nothing to do") for at, how in self.ended):
            return False
        return self.action not in _LOCK_N_GO or any(at <= by and how == "success" for at, how in self.rested)

    def failed_as(self, word: str, by: float) -> bool:
        """It ended so."""
        return any(at <= by + _ROUNDED_S and how == word for at, how in (*self.ended, *self.rested))


def was_there(audit: Iterable[AuditEntry], start: str, action: str, begin: float, end: float) -> bool:
    """The lock, at first in the state `start`, rested all the time where `action` leads: there was nothing to do."""
    at_first, passed = start, set()
    for entry in audit:
        at = seconds(entry.time)
        if entry.what != "state" or at > end:
            continue
        if at <= begin:
            at_first = entry.detail or ""
        else:
            passed.add(entry.detail or "")
    return {at_first, *passed} <= _LEADS_TO.get(action, set())


def deeds(audit: Iterable[AuditEntry]) -> dict[str, Deed]:
    """By suffix."""
    found: dict[str, Deed] = {}
    for entry in audit:
        at, detail = seconds(entry.time), entry.detail or ""
        if entry.suffix is None:
            continue
        deed = found.setdefault(entry.suffix, Deed())
        if entry.what == "action_received":
            deed.received.append(at)
        elif entry.what == "action_started":
            deed.action = detail
            deed.started.append(at)
        elif entry.what == "completed":
            deed.ended.append((at, detail))
        elif entry.what == "rested":
            deed.rested.append((at, detail))
        elif entry.what == "action_refused":
            deed.refused.append((at, detail))
    return found
