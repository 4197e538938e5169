"""Requests are declared once, beside their subjects, and joined in one place."""

from __future__ import annotations

from nuki_bridge.bridge.requests import REQUESTS, TABLES
from tests import request_docs


def test_no_request_is_declared_twice() -> None:
    """Joined, the second one would silently take the place of the first."""
    assert len(REQUESTS.lock) == sum(len(table) for table in TABLES)


def test_requests_that_only_read_say_so() -> None:
    """What is named here is read anew each time; all others are carried out once for each transaction."""
    reading = {name for name, each in {**REQUESTS.bridge, **REQUESTS.lock}.items() if each.reads}
    assert reading == {
        *("scan", "locks", "health", "trace", "refresh", "battery/get", "battery/history"),
        *("config/get", "log/get", "users/list", "invite/list", "keypad/list", "timecontrol/list"),
    }


def test_whoever_asks_for_what_is_not_there_is_told_all_that_is() -> None:
    assert ", ".join(REQUESTS.bridge) == "scan, pair, unpair, locks, health, restart, trace"
    assert ", ".join(REQUESTS.lock) == (
        "refresh, battery/get, battery/history, users/list, users/add, users/update, users/remove, invite/create, "
        "invite/list, invite/revoke, config/get, config/set, pin/verify, pin/set, time/set, keypad/list, keypad/add, "
        "keypad/update, keypad/remove, timecontrol/list, timecontrol/add, timecontrol/update, timecontrol/remove, "
        "calibrate, reboot, pause, log/get, log/set"
    )


def test_the_description_is_what_make_docs_writes() -> None:
    text = request_docs.ASYNCAPI.read_text()
    assert request_docs.asyncapi(text) == text, "run `make docs`"


def test_the_table_of_requests_is_what_make_docs_writes() -> None:
    text = request_docs.PAGE.read_text()
    assert request_docs.page(text) == text, "run `make docs`"


def test_make_docs_mends_what_was_changed_by_hand() -> None:
    """The tests above can fail: a schema, a shared schema and a cell that differ are written as declared."""
    text = request_docs.ASYNCAPI.read_text()
    for right, wrong in (("maximum: 500\n", "maximum: 501\n"), ("maxLength: 32, pattern", "maxLength: 33, pattern")):
        assert text.count(right) == 1
        assert request_docs.asyncapi(text.replace(right, wrong)) == text
    page = request_docs.PAGE.read_text()
    assert request_docs.page(page.replace("`count` (", "`number` (")) == page
