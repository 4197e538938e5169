"""The virtual lock's time zones against those of the system."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from nuki_bridge.simulator.timezones import NONE, known, offset_min

# Left out are zones whose published rules are outdated: Cairo (0) and Mexico City (11).
ZONES = {
    1: "Africa/Lagos",
    4: "America/Anchorage",
    6: "America/Chicago",
    7: "America/Denver",
    8: "America/Halifax",
    9: "America/Los_Angeles",
    12: "America/New_York",
    13: "America/Phoenix",
    15: "America/Santiago",
    17: "America/St_Johns",
    21: "Asia/Jerusalem",
    23: "Asia/Kathmandu",
    28: "Asia/Tehran",
    31: "Australia/Adelaide",
    32: "Australia/Brisbane",
    34: "Australia/Hobart",
    36: "Australia/Sydney",
    37: "Europe/Berlin",
    38: "Europe/Helsinki",
    39: "Europe/Istanbul",
    40: "Europe/London",
    42: "Pacific/Auckland",
    45: "Pacific/Pago_Pago",
}


@pytest.mark.long
@pytest.mark.parametrize(("number", "name"), ZONES.items(), ids=ZONES.values())
def test_every_hour_of_a_year_is_as_the_system_knows_it(number: int, name: str) -> None:
    try:
        zone = ZoneInfo(name)
    except ZoneInfoNotFoundError:
        pytest.skip("this system has no time zones")
    for hour in range(365 * 24):
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
        expected = moment.astimezone(zone).utcoffset()
        assert expected is not None
        assert offset_min(number, moment) == expected.total_seconds() / 60, moment


def test_the_documents_numbers_are_known_and_no_others() -> None:
    assert [number for number in range(0x10000) if known(number)] == [*range(46), NONE]


def test_mexico_has_the_published_summer_time() -> None:
    assert offset_min(11, datetime(2026, 7, 1, tzinfo=UTC)) == -300
    assert offset_min(11, datetime(2026, 1, 1, tzinfo=UTC)) == -360
