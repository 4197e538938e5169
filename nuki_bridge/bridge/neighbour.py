"""Another nuki-bridge on the same base topic: both would carry out each command, and take each other's topics away.

`bridge/info` names the installation and its present run.  One of somebody else may be left from before: the broker
shows what is retained once on each connection.  Two on one connection are of a bridge that is running.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

log = logging.getLogger(__name__)

ADVICE = "another nuki-bridge is running on this base topic: stop one of them, or give one another mqtt.base_topic"
MOST = 16
"""Most bridges that are counted: whoever may publish to `bridge/info` can make some up."""


class Neighbour:
    """Shown each `bridge/info` that the broker shows; `tell` publishes an event of the bridge, once in a run."""

    def __init__(self, installation: str, run: str, tell: Callable[[dict[str, Any]], object]) -> None:
        self._own = installation, run
        self._tell = tell
        self._seen: set[tuple[str, str]] = set()
        self._told = False

    def connected(self) -> None:
        """Take note that the broker shows what is retained once more."""
        self._seen.clear()

    def moved(self) -> None:
        """Take note that the base topic is another one from now on."""
        self._seen.clear()
        self._told = False

    def is_foreign(self, base: str, payload: bytes) -> bool:
        """Return whether this `bridge/info` is of another installation or run; say so if that one is running."""
        whose = _whose(payload)
        if whose is None or whose == self._own:
            return False
        if whose not in self._seen:
            if len(self._seen) < MOST:
                self._seen.add(whose)
        elif not self._told:
            self._told = True
            log.warning("%s (base topic %s, the other one's id in bridge/info is %s)", ADVICE, base, whose[0])
            self._tell({"type": "another_bridge", "id": whose[0], "message": ADVICE})
        return True


def _whose(payload: bytes) -> tuple[str, str] | None:
    """Return ID and run in a `bridge/info`, None if it is none; an older version does not tell its run."""
    try:
        info = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    installation = info.get("id") if isinstance(info, Mapping) else None
    if not isinstance(installation, str) or not installation.isalnum() or len(installation) > 16:
        return None
    return installation, str(info.get("run"))[:32]
