"""What the owner gives to a guest: a credential as it stands in a file."""

from __future__ import annotations

from typing import Any

KEY = bytes(range(32))


def data(**changes: Any) -> dict[str, Any]:
    lock = {"name": "front", "nuki_id": "1A2B3C4D", "address": "54:D2:72:2B:3C:4D", "type": "classic"}
    lock |= changes.pop("lock", {})
    whole = {"version": 1, "lock": lock, "authorization_id": 7, "shared_key": KEY.hex(), "user": "Anna"}
    return {**whole, "remote": True, "base_topic": "nuki", **changes}
