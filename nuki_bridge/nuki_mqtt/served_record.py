"""Which locks' topics of Nuki's own API hold something of this bridge, kept durably: nobody else takes that back.

A lock is written down before anything is published for it and removed after its topics were cleared.
"""

from __future__ import annotations

from nuki_bridge.store import Store


class ServedRecord:
    """The table in `store`; every method raises `StoreError`, and then nothing has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def nuki_ids(self) -> frozenset[int]:
        """Return the Nuki IDs."""
        with self._store.transaction() as db:
            return frozenset(nuki_id for (nuki_id,) in db.execute("SELECT nuki_id FROM served").fetchall())

    def add(self, nuki_id: int) -> None:
        """Add a lock for which something is about to be published."""
        with self._store.transaction() as db:
            db.execute("INSERT OR IGNORE INTO served (nuki_id) VALUES (?)", (nuki_id,))

    def remove(self, nuki_id: int) -> None:
        """Remove a lock whose topics were cleared, or which publishes there itself."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM served WHERE nuki_id = ?", (nuki_id,))
