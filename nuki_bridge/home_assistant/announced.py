"""Which discovery topics hold a message of this installation, kept durably: nobody else takes them back.

A topic is written down before anything is published to it and removed after it was cleared.
"""

from __future__ import annotations

from collections.abc import Iterable

from nuki_bridge.store import Store


class Announced:
    """The table in `store`.  Every method but `of` raises `StoreError`; then nothing has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._topics: dict[str, set[str]] = {}

    def load(self) -> None:
        """Read the table."""
        with self._store.transaction() as db:
            rows = db.execute("SELECT device, topic FROM announced").fetchall()
        self._topics = {}
        for device, topic in rows:
            self._topics.setdefault(device, set()).add(topic)

    def devices(self) -> list[str]:
        """Return every device that has a topic."""
        return list(self._topics)

    def of(self, device: str) -> frozenset[str]:
        """Return a device's topics."""
        return frozenset(self._topics.get(device, ()))

    def add(self, device: str, topics: Iterable[str]) -> None:
        """Add topics that are about to be published."""
        new = set(topics) - self.of(device)
        if new:
            with self._store.transaction() as db:
                db.executemany(
                    "INSERT OR REPLACE INTO announced (device, topic) VALUES (?, ?)", [(device, topic) for topic in new]
                )
            self._topics.setdefault(device, set()).update(new)

    def remove(self, device: str, topics: Iterable[str]) -> None:
        """Remove topics that were cleared."""
        old = self.of(device).intersection(topics)
        if old:
            with self._store.transaction() as db:
                db.executemany("DELETE FROM announced WHERE topic = ?", [(topic,) for topic in old])
            self._topics[device] -= old
            if not self._topics[device]:
                del self._topics[device]
