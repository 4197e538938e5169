"""A database with a row in each table, of which one column holds what a fuzzer made."""

from __future__ import annotations

import sqlite3
import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from nuki_bridge.database import FILE_NAME
from nuki_bridge.home_assistant.announced import Announced
from nuki_bridge.owner.battery_history import BatteryDay, BatteryDays
from nuki_bridge.protocol.codes import Family, IdType
from nuki_bridge.sharing.invitation_store import Invitation, Records
from nuki_bridge.store import PairedLock, Store

COLUMNS = (
    ("lock", "name"),
    ("lock", "address"),
    ("lock", "family"),
    ("lock", "pin"),
    ("invitation", "stage"),
    ("invitation", "user"),
    ("refused_pin", "pin"),
    ("announced", "topic"),
    ("announced", "device"),
    ("equipment", "trait"),
    ("new_pin", "pin"),
    ("replaced_pin", "pin"),
    ("battery_day", "day"),
)
"""Tables and columns of text."""

_LOCK = PairedLock(
    name="front_door",
    address="54:D2:72:AA:BB:CC",
    nuki_id=0x22AABBCC,
    family=Family.ULTRA,
    authorization_id=2,
    shared_key=bytes(range(100, 132)),
    app_id=0x80000001,
    uuid=bytes(range(16)),
    id_type=IdType.BRIDGE,
    paired_at=datetime(2026, 12, 1, 9, 0, 0, tzinfo=UTC),
    pin="012345",
)
_INVITATION = Invitation(
    nuki_id=_LOCK.nuki_id,
    lookup=bytes(16),
    key=bytes(32),
    shared_key=bytes(32),
    asked=1_790_000_000,
    user="Anna",
    remote=True,
    limit=None,
    created=1_790_000_000,
    expires=1_790_000_100,
    seconds_left=100,
    on_lock=False,
    client=b"client",
)


@cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory))
        store.open()
        store.save_lock(_LOCK)
        store.keep_log_position(_LOCK, 7)
        store.keep_refused_pin(_LOCK, "654321", 1_790_000_000)
        store.keep_equipment(_LOCK, ("door sensor",))
        BatteryDays(store).keep(_LOCK, BatteryDay("2026-12-01", 84, 5680))
        store.save_pin(_LOCK, "222222")
        store.keep_new_pin(_LOCK.name, "111111")
        Records(store).ask(_INVITATION)
        Announced(store).add("front_door", ["homeassistant/device/front_door/config"])
        store.close()
        return (Path(directory) / FILE_NAME).read_bytes()


def filled(column: tuple[str, str] | None = None, value: bytes = b"") -> bytes:
    """The database's file, with `value` as the text in all rows of `column`, whatever is right about it."""
    if column is None:
        return _template()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        file = Path(directory) / FILE_NAME
        file.write_bytes(_template())
        db = sqlite3.connect(file, isolation_level=None)
        db.execute(f"UPDATE {column[0]} SET {column[1]} = CAST(? AS TEXT)", (value,))
        db.close()
        return file.read_bytes()
