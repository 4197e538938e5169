"""A credential: what makes a device a user of a lock, by Bluetooth alone and through the relay; pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nuki_bridge.store import PairedLock

VERSION = 1


def credential(
    paired: PairedLock, base: str, *, authorization_id: int, shared_key: bytes, user: str, remote: bool
) -> dict[str, Any]:
    """Return what makes somebody a user of a lock: a secret, for one person's device alone."""
    return {
        "version": VERSION,
        "lock": {
            "name": paired.name,
            "nuki_id": f"{paired.nuki_id:08X}",
            "address": paired.address,
            "type": paired.family.value,
        },
        "authorization_id": authorization_id,
        "shared_key": shared_key.hex(),
        "user": user,
        "remote": remote,
        "base_topic": base,
    }
