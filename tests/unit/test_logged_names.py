"""The name of a keypad's code in the log has 20 bytes; firmware leaves other bytes behind it."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from nuki_bridge.lock.profile import SMART_LOCK
from nuki_bridge.owner.log_json import event_of
from nuki_bridge.protocol.codes import Command, Family, LogType
from nuki_bridge.protocol.log_entries import LogEntry
from nuki_bridge.protocol.wire import decode

TWENTY = b"Lisa-Marie Schneider"


def entry(name: bytes, kind: LogType) -> Any:
    payload = bytes.fromhex("05000000 ea070c01080000 11000000") + name.ljust(32, b"\0") + bytes([kind, 3, 1, 0, 7, 0])
    found = decode(Command.LOG_ENTRY, payload, Family.CLASSIC)
    assert isinstance(found, LogEntry)
    return event_of(SMART_LOCK, found, UTC, lambda number: None)["user"]["name"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (TWENTY + b"ABC", "Lisa-Marie Schneider"),
        (TWENTY + b"\x80\xff~~~", "Lisa-Marie Schneider"),
        (b"Lisa\0" + bytes(15) + b"ABCDEF", "Lisa"),
        (b"Lisa\x07\x01junk", "Lisa"),
        (b"Lisa", "Lisa"),
        ("Zoë".encode() * 5 + b"AB", "Zoë" * 5),
    ],
)
def test_a_code_s_name_ends_at_20_bytes_and_at_a_control_character(name: bytes, shown: str) -> None:
    assert entry(name, LogType.KEYPAD_ACTION) == shown


def test_a_user_s_name_has_all_its_bytes() -> None:
    assert entry(TWENTY + b" and company", LogType.LOCK_ACTION) == "Lisa-Marie Schneider and company"
