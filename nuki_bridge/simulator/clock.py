"""The clock of a virtual lock: its time, which can be wrong, and its time zone (smartlock.md 14)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nuki_bridge.protocol.codes import Family
from nuki_bridge.simulator import timezones
from nuki_bridge.simulator.behaviour import Behaviour, DeviceSettings
from nuki_bridge.simulator.transport import Clock

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
"""What the clock shows of a lock that has been without power (not documented)."""
_CONFIG_SIZE_WITH_ZONE = 74
"""Length in bytes of the shortest Config of a Smart Lock that has a timezone ID."""


class LockClock:
    """The clock of one lock; `source` tells the right time, `settings` hold the time zone."""

    def __init__(self, source: Clock, settings: DeviceSettings, behaviour: Behaviour) -> None:
        self._source = source
        self._settings = settings
        self._behaviour = behaviour
        self._offset = timedelta()
        self._gain = 0.0  # seconds in a second
        self._since: datetime | None = None  # `_gain` counts from then on
        self.is_lost = False
        """The lock has been without power since the clock was set."""

    @property
    def offset(self) -> timedelta:
        """How far the clock is ahead of the right time."""
        if self._since is None:
            return self._offset
        return self._offset + (self._source.now() - self._since) * self._gain

    @offset.setter
    def offset(self, offset: timedelta) -> None:
        self._offset = offset
        if self._since is not None:
            self._since = self._source.now()

    def now(self) -> datetime:
        """Return the time of the lock's clock, in UTC."""
        return self._source.now() + self.offset

    def told(self) -> datetime | None:
        """Return the time that the lock tells; None, which is all zeros, from firmware that tells that it has none."""
        return None if self.is_lost and self._behaviour.tells_lost_time else self.now()

    def set(self, now: datetime) -> None:
        """Set the clock, which runs on from `now`.  Raise `ValueError` outside the years 2000 to 2099."""
        if not 2000 <= now.astimezone(UTC).year < 2100:
            raise ValueError(f"a lock's clock shows the years 2000 to 2099, not {now.year}")
        self.offset = now - self._source.now()
        self.is_lost = False

    def drift(self, seconds_per_day: float) -> None:
        """Run fast by so much from now on, or slow by a negative number; what it shows now stays."""
        self._offset, self._since = self.offset, self._source.now()
        self._gain = seconds_per_day / 86400

    @property
    def timezone_offset_min(self) -> int:
        """Minutes from UTC to the lock's wall clock, with daylight saving.

        If there is a timezone ID, it alone decides; otherwise the offset and the DST mode of the settings do.
        """
        settings, now = self._settings, self.now()
        if settings.timezone_id != timezones.NONE:
            return timezones.offset_min(settings.timezone_id, now)
        return settings.timezone_offset_min + timezones.daylight_min(settings.dst_mode, now)

    def told_offset_min(self, family: Family) -> int:
        """Return the minutes that states and Config tell: some firmware tells 0 beside a timezone ID."""
        has_id = self._settings.timezone_id != timezones.NONE
        tells_id = has_id and (
            family is Family.OPENER or self._behaviour.config_size_of(family) >= _CONFIG_SIZE_WITH_ZONE
        )
        return 0 if tells_id and not self._behaviour.tells_offset_in_force else self.timezone_offset_min

    def wall_clock(self) -> datetime:
        """Return the time that the lock's wall clock shows, without a time zone."""
        return self.now().replace(tzinfo=None) + timedelta(minutes=self.timezone_offset_min)
