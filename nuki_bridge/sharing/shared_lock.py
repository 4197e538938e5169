"""A lock as sharing knows it: perhaps paired, perhaps in use."""

from __future__ import annotations

from typing import Protocol

from nuki_bridge.owner.owned_lock import OwnedLock
from nuki_bridge.store import PairedLock


class SharedLock(Protocol):
    """One lock of this installation."""

    @property
    def name(self) -> str:
        """What it is called in topics."""

    @property
    def paired(self) -> PairedLock | None:
        """The lock and our authorization on it; None if it is not paired."""

    @property
    def owned(self) -> OwnedLock | None:
        """The lock with what its owner can do, while it is in use."""
