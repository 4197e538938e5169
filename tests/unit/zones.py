"""Time zones as locks tell them."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from nuki_bridge.lock import wall_clock

WINTER = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
SUMMER = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)


def zone(timezone_id: int | None = 37, offset_min: int = 0, dst_mode: int = 0, now: datetime = WINTER) -> Any:
    config: Any = SimpleNamespace(
        timezone_id=timezone_id, timezone_offset_min=offset_min, dst_mode=dst_mode, current_time=now
    )
    return wall_clock.zone_of(config)
