"""A paired lock as the database keeps it."""

from __future__ import annotations

from datetime import UTC, datetime

from nuki_bridge.protocol.codes import Family, IdType
from nuki_bridge.store import PairedLock

KEY = bytes(range(100, 132))
LOCK = PairedLock(
    name="front_door",
    address="54:D2:72:AA:BB:CC",
    nuki_id=0xFFFFFFFF,
    family=Family.ULTRA,
    authorization_id=2,
    shared_key=KEY,
    app_id=0x80000001,
    uuid=bytes(range(16)),
    id_type=IdType.BRIDGE,
    paired_at=datetime(2026, 12, 1, 9, 0, 0, tzinfo=UTC),
    pin="012345",
)
