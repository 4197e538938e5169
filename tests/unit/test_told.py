"""What `status` and `watch` tell people of a lock."""

from __future__ import annotations

from typing import Any

import pytest

from nuki_bridge.command_line import console, told
from nuki_bridge.protocol.action_names import ACTION_WORDS

ANNA = {"id": 7, "name": "Anna"}


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        ("state", "unlocking", "is unlocking"),
        ("state", "unlocked_lock_n_go", "is unlocked and locks by itself soon"),
        ("state", "motor_blocked", "its motor is blocked"),
        ("availability", "offline", "is offline"),
        ("door", "open", "the door is open"),
        ("state", "", None),
        ("availability", "", None),
        ("door", "", None),
        (
            "event",
            {"type": "calibration", "action": "none", "completion": "success", "user": ANNA, "source": "app"},
            "Anna calibrated it (app): success",
        ),
        ("result", {"action": "unlock", "status": "ok"}, None),
        (
            "result",
            {"action": "lock_n_go", "status": "error", "error": "timeout", "message": "it is out of reach"},
            "lock n go failed: it is out of reach (timeout)",
        ),
        ("event", {"type": "door", "door": "open"}, None),
        ("event", {"type": "door", "door": "open", "source": "door_sensor"}, "the door sensor: open"),
        (
            "event",
            {"type": "lock_action_begun", "action": "unlock", "user": {"id": 4, "name": "Lisa"}, "source": "keypad"},
            "Lisa begins: unlock (keypad)",
        ),
        ("event", {"type": "ring", "opened": None, "time": None}, "the doorbell rang"),
        ("event", {"type": "ring", "opened": "rto"}, "the doorbell rang, and the door was opened (rto)"),
        (
            "event",
            {"type": "invitation", "invitation": "redeemed", "user": ANNA},
            "the invitation of Anna was redeemed",
        ),
        ("event", {"type": "firmware_update", "version": "1.2.3", "time": "now"}, "firmware update: version=1.2.3"),
        ("event", {"type": "new_kind"}, "new kind"),
        ("event", ["odd"], "odd"),
    ],
)
def test_what_happened_in_a_sentence(kind: str, value: Any, sentence: str | None) -> None:
    assert told.happened(kind, value) == sentence


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (
            {"action": "unlock", "completion": "success", "user": ANNA, "source": "app"},
            "Anna unlocked (app): success",
        ),
        ({"action": "lock", "completion": None, "trigger": "manual"}, "somebody locked (manual)"),
        (
            {"action": "unlock", "completion": "motor_blocked", "user": ANNA, "source": "app"},
            "Anna wanted: unlock (app): motor blocked",
        ),
        (
            {"type": "keypad", "action": "unlock", "completion": "invalid_code", "user": None, "source": "keypad"},
            "somebody wanted: unlock (keypad): invalid code",
        ),
        ({"action": None, "trigger": "manual", "state": "unlocked"}, "somebody moved it (manual): unlocked"),
        ({"action": "unknown_0x42", "completion": "success"}, "somebody wanted: unknown 0x42: success"),
        (
            {"action": "lock", "completion": "success", "user": {"id": 1, "name": "\x1b[2JAnna"}},
            "?[2JAnna locked: success",
        ),
    ],
)
def test_who_did_what(event: dict[str, Any], sentence: str) -> None:
    """What did not succeed is not told as done."""
    assert told.happened("event", {"type": "lock_action", **event}) == sentence


def test_what_can_be_done_by_name_has_its_word() -> None:
    assert set(told.DID) - {"calibrate"} <= set(ACTION_WORDS)
    assert {each for each in ACTION_WORDS if "fob" not in each} <= set(told.DID) | {"electric_strike_actuation"}


def test_a_lock_in_eight_lines() -> None:
    known = {
        "name": "front",
        "availability": "online",
        "address": "54:D2:72:AA:BB:CC",
        "state": "locked",
        "door": "closed",
        "nuki_state": "door_mode",
        "battery": {"critical": False, "charging": False, "level": 80, "keypad_critical": True},
        "rssi": -60,
        "updated": "2026-12-01T10:00:00+01:00",
        "fault": None,
        "led_brightness": 3,
        "last_lock_action": {"action": "lock", "completion": "success", "user": ANNA, "source": "app", "time": "now"},
    }
    assert console.fields(told.in_brief(known)).splitlines() == [
        "name:         front",
        "availability: online",
        "state:        locked",
        "door:         closed",
        "battery:      80 %, keypad's critical",
        "signal:       -60 dBm",
        "last action:  Anna locked (app): success, now",
        "updated:      2026-12-01T10:00:00+01:00",
    ]


def test_a_lock_that_has_done_nothing_yet_has_no_last_action() -> None:
    none = {"action": "none", "completion": "success", "trigger": "system", "user": None, "time": None}
    assert told.in_brief({"name": "front", "last_lock_action": none})["last action"] is None


def test_why_a_lock_is_out_of_reach_is_in_brief_too() -> None:
    fault = {"code": "not_found", "message": "it was not seen"}
    brief = told.in_brief({"availability": "offline", "fault": fault, "nuki_state": "pairing_mode", "state": "locked"})
    assert brief["availability"] == "offline: it was not seen"
    assert brief["state"] == "locked (pairing mode)"
    assert len(told.in_brief({})) == len(brief) == 8


@pytest.mark.parametrize(
    ("battery", "words"),
    [
        (None, None),
        ({"critical": False, "level": None}, "ok"),
        ({"critical": True, "level": None}, "critical"),
        ({"critical": True, "level": 10, "charging": True}, "critical, 10 %, charging"),
        ({"critical": False, "level": 90, "door_sensor_critical": True}, "90 %, door sensor's critical"),
    ],
)
def test_batteries_in_a_line(battery: object, words: str | None) -> None:
    assert told.battery(battery) == words


def test_a_line_for_each_day_of_the_batteries() -> None:
    days = [
        {"day": "2026-11-30", "level": 10, "voltage_mv": 4200, "critical": True, "charging": True},
        {"day": "2026-12-01", "level": 84, "voltage_mv": None, "critical": False, "charging": False},
    ]
    assert console.table(told.battery_days(days)).splitlines() == [
        "DAY         LEVEL  VOLTAGE  NOTE",
        "2026-12-01  84 %   -        -",
        "2026-11-30  10 %   4.20 V   critical, charging",
    ]
    opener = [{"day": "2026-12-01", "level": None, "voltage_mv": None, "critical": False, "charging": False}]
    assert told.battery_days(opener)[0]["note"] is None
