"""A log entry in words: what only an Opener writes, and what it writes under a Smart Lock's number."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

import pytest

from nuki_bridge.lock.profile import OPENER, SMART_LOCK, Profile
from nuki_bridge.owner.log_json import event_of
from nuki_bridge.protocol.codes import Command, Family
from nuki_bridge.protocol.log_entries import LogEntry
from nuki_bridge.protocol.wire import decode
from tests.documented import validator

TIME = "ea070b1d0f1e2d"  # 2026-11-29 15:30:45
ZONE = timezone(timedelta(hours=1))


def told(data: str, profile: Profile = OPENER, *, authorization_id: int = 0, name: str = "") -> dict[str, Any]:
    """What an entry with this type and data says."""
    head = "2a000000" + TIME + authorization_id.to_bytes(4, "little").hex() + name.encode().ljust(32, b"\0").hex()
    family = Family.OPENER if profile is OPENER else Family.CLASSIC
    entry = decode(Command.LOG_ENTRY, bytes.fromhex(head + data), family)
    assert isinstance(entry, LogEntry)
    event = event_of(profile, entry, ZONE, {3: "bridge"}.get)
    validator("/components/schemas/LogEntry").validate({"index": entry.index, **event})
    return event


def test_a_ring_that_opened_nothing() -> None:
    assert told("06" + "0000000102000000") == {
        "type": "ring",
        "opened": None,
        "suppressed": True,
        "armed_by": None,
        "code_id": None,
        "geofence": False,
        "sound": 2,
        "completion": "success",
        "user": None,
        "source": "doorbell",
        "time": "2026-11-29T16:30:45+01:00",
    }


@pytest.mark.parametrize(
    ("mode", "source", "opened", "armed_by"),
    [
        ("01", "05", "rto", "bridge"),
        ("01", "06", "rto", "keypad"),
        ("02", "01", "continuous_mode", "time_control"),
        ("02", "02", "continuous_mode", "app"),
        ("03", "03", "continuous_mode", "button"),
        ("01", "04", "rto", "fob"),
        ("04", "07", None, "unknown_0x07"),
    ],
)
def test_a_ring_that_opened_the_door(mode: str, source: str, opened: str | None, armed_by: str) -> None:
    ring = told("06" + mode + source + "010000031700", authorization_id=3, name="Bridge")
    assert (ring["opened"], ring["armed_by"], ring["code_id"]) == (opened, armed_by, 23)
    assert (ring["geofence"], ring["completion"]) == (True, "too_recent")
    assert ring["user"] == {"id": 3, "name": "Bridge"}


@pytest.mark.parametrize(
    ("action", "word"),
    [
        ("01", "activate_rto"),
        ("02", "deactivate_rto"),
        ("03", "open"),
        ("04", "activate_continuous_mode"),
        ("05", "deactivate_continuous_mode"),
    ],
)
def test_an_action_by_the_openers_own_name(action: str, word: str) -> None:
    event = told("02" + action + "000000", authorization_id=3, name="Bridge")
    assert (event["type"], event["action"], event["source"]) == ("lock_action", word, "bridge")
    assert told("05" + action + "01001700")["action"] == word


def test_a_smart_lock_means_its_door_sensor() -> None:
    event = told("06" + "0100000000000000", SMART_LOCK)
    assert (event["type"], event["door"], event["source"]) == ("door", "closed", "door_sensor")


@pytest.mark.parametrize(("data", "version"), [("040407", "4.4.7"), ("0400", "4.0.0"), ("0404070000", "4.4.7")])
def test_new_firmware(data: str, version: str) -> None:
    event = told("0a" + data, SMART_LOCK)
    assert (event["type"], event["version"], event["user"]) == ("firmware_update", version, None)
