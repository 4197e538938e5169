"""A lock's batteries over time: a row for each day, kept in SQLite while the lock is paired.

A row holds the worst of its day, so that a day is written a few times only, however often the lock reports.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.database import DAMAGED, Database
from nuki_bridge.errors import StoreError, UnusableState
from nuki_bridge.lock import wall_clock
from nuki_bridge.records import frozen
from nuki_bridge.store import UNKNOWN_NUKI_ID, PairedLock

if TYPE_CHECKING:
    from nuki_bridge.lock.lock import Lock

log = logging.getLogger(__name__)

MOST_DAYS: Final = 400
"""How many days of a lock are kept."""


@frozen
class BatteryDay:
    """One day: `level` in percent and `voltage_mv` are the lowest that the lock told, None if it told none.

    `critical` and `charging` tell whether it was so at any time.  `day` is that of the lock's wall clock.
    """

    day: str
    level: int | None = None
    voltage_mv: int | None = None
    critical: bool = False
    charging: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as answers tell it."""
        return asdict(self)


def _lowest(before: int | None, now: int | None) -> int | None:
    return now if before is None else before if now is None else min(before, now)


class BatteryDays:
    """The days of all locks in SQLite.  Every method raises `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, lock: PairedLock, first: str, last: str) -> list[BatteryDay]:
        """Return the days of a lock from `first` to `last`, the oldest first."""
        with self._database.translated_errors():
            rows = self._database.db.execute(
                "SELECT day, level, voltage_mv, critical, charging FROM battery_day"
                " WHERE lock = ? AND nuki_id = ? AND day BETWEEN ? AND ? ORDER BY day",
                (lock.name, lock.nuki_id, first, last),
            ).fetchall()
        return [self._from_row(row) for row in rows]

    def keep(self, lock: PairedLock, day: BatteryDay) -> None:
        """Keep a day in place of what was kept of it; do nothing if the lock is not paired any more.

        Another lock's days under that name go, and so do days after this one, which a wrong clock has made.
        """
        with self._database.transaction() as db:
            db.execute(
                "DELETE FROM battery_day WHERE lock = ? AND (nuki_id != ? OR day >= ?)",
                (lock.name, lock.nuki_id, day.day),
            )
            db.execute(
                "INSERT INTO battery_day SELECT name, nuki_id, ?, ?, ?, ?, ? FROM lock WHERE name = ? AND nuki_id = ?",
                (day.day, day.level, day.voltage_mv, day.critical, day.charging, lock.name, lock.nuki_id),
            )
            db.execute(
                "DELETE FROM battery_day WHERE lock = ? AND day NOT IN"
                " (SELECT day FROM battery_day WHERE lock = ? ORDER BY day DESC LIMIT ?)",
                (lock.name, lock.name, MOST_DAYS),
            )

    def _from_row(self, row: tuple[Any, ...]) -> BatteryDay:
        day, level, voltage_mv, critical, charging = row
        if (
            not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", day)
            or not 0 <= (level or 0) <= 0xFF
            or not 0 <= (voltage_mv or 0) <= 0xFFFF
        ):
            raise UnusableState(f"{self._database.path} {DAMAGED}")
        return BatteryDay(day, level, voltage_mv, bool(critical), bool(charging))


class BatteryHistory:
    """The days of one lock; `note` takes in what the lock has told.  `now` is the wall clock."""

    def __init__(self, lock: Lock, days: BatteryDays, now: Callable[[], datetime]) -> None:
        self._lock = lock
        self._days = days
        self._now = now
        self._kept: tuple[str, int, BatteryDay] | None = None  # name and Nuki ID of the lock, and its last day
        self._states: object = None  # what was taken in last, as is
        self._report: object = None
        self._warned = False

    def note(self) -> None:
        """Take in what the lock has told since the last time; cheap if it is nothing new."""
        lock, paired = self._lock, self._lock.paired
        states = lock.states if lock.states is not self._states else None
        report = lock.battery_report if lock.battery_report is not self._report else None
        if (states is None and report is None) or paired.nuki_id == UNKNOWN_NUKI_ID:
            return
        told = (states is not None and states.battery_critical, report is not None and report.critical)
        try:
            before = self._today(paired)
            now = replace(
                before,
                level=_lowest(before.level, None if states is None else states.battery_percent),
                voltage_mv=_lowest(before.voltage_mv, None if report is None else report.voltage_mv),
                critical=before.critical or any(told),
                charging=before.charging or (states is not None and bool(states.battery_charging)),
            )
            if now != before or self._kept is None:
                self._days.keep(paired, now)
            self._kept = paired.name, paired.nuki_id, now
        except StoreError as error:
            if not self._warned:
                log.warning("how %s's batteries are is not remembered: %s", paired.name, error)
            self._warned = True
        self._states, self._report = lock.states, lock.battery_report

    def _today(self, paired: PairedLock) -> BatteryDay:
        """Return what is kept of today; with nothing in it, and `_kept` None, if there is nothing."""
        today = self._day().isoformat()
        if self._kept is not None:
            name, nuki_id, day = self._kept
            if (name, nuki_id, day.day) == (paired.name, paired.nuki_id, today):
                return day
        self._kept = None
        for day in self._days.of(paired, today, today):
            self._kept = paired.name, paired.nuki_id, day
            return day
        return BatteryDay(today)

    def _day(self) -> date:
        return self._now().astimezone(wall_clock.zone_in(self._lock)).date()

    def last(self, days: int) -> list[BatteryDay]:
        """Return what is kept of the last `days` days, today's among them, the oldest first; raises `StoreError`."""
        today = self._day()
        first = today - timedelta(days=days - 1)
        return self._days.of(self._lock.paired, first.isoformat(), today.isoformat())
