"""Requests are declared once, beside their subjects, and joined in one place."""

from __future__ import annotations

from nuki_bridge.bridge.requests import REQUESTS, TABLES


def test_no_request_is_declared_twice() -> None:
    """Joined, the second one would silently take the place of the first."""
    assert len(REQUESTS.lock) == sum(len(table) for table in TABLES)


def test_requests_that_only_read_say_so() -> None:
    """What is named here is read anew each time; all others are carried out once for each transaction."""
    reading = {name for name, each in {**REQUESTS.bridge, **REQUESTS.lock}.items() if each.reads}
    assert reading == {
        *("scan", "locks", "health", "refresh", "battery/get", "config/get", "log/get"),
        *("users/list", "invite/list", "keypad/list", "timecontrol/list"),
    }


def test_whoever_asks_for_what_is_not_there_is_told_all_that_is() -> None:
    assert ", ".join(REQUESTS.bridge) == "scan, pair, unpair, locks, health, restart"
    assert ", ".join(REQUESTS.lock) == (
        "refresh, battery/get, users/list, users/add, users/update, users/remove, invite/create, invite/list, "
        "invite/revoke, config/get, config/set, pin/verify, pin/set, time/set, keypad/list, keypad/add, keypad/update, "
        "keypad/remove, timecontrol/list, timecontrol/add, timecontrol/update, timecontrol/remove, calibrate, reboot, "
        "log/get"
    )
