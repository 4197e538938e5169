"""News for guests' open pages: the lock's state has changed, so ask again.

The bridge cannot tell a guest the state itself, because it holds no key of theirs; an empty message makes their page
read it from the lock.  Sessions end after half a minute without a frame (`relay_sessions.py`), pages stay open: so who
is told is kept here, for whoever the lock has answered in a session.  While nothing changes nothing is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nuki_bridge.lock import state_json
from nuki_bridge.protocol.common import States
from nuki_bridge.topics.topics import Publication

PAUSE_S = 2.0
"""Between two messages about one lock: a turn changes its state several times, and each message makes guests ask."""
KEPT_S = 12 * 3600.0
"""Seconds after its last frame that the lock answered in which a session gets `news`."""
MAX_LISTENERS = 128
"""Most sessions of one lock that get `news`."""
MAX_OF_ONE = 6
"""Most sessions of one authorization that get `news`: the newest ones."""


class News:
    """The sessions that are told of one lock; `run` it.

    `may` says whether an authorization may use the lock remotely now, `clock` gives seconds.
    """

    def __init__(
        self, clock: Callable[[], float], *, publish: Callable[[Publication], bool], may: Callable[[int], bool]
    ) -> None:
        self._clock = clock
        self._publish = publish
        self._may = may
        self._listeners: dict[str, tuple[int, float]] = {}  # topic: authorization ID and when; the newest last
        self._told: tuple[object, ...] | None = None
        self._due = asyncio.Event()

    @property
    def listeners(self) -> int:
        """How many are told."""
        return len(self._listeners)

    def listen(self, topic: str, authorization_id: int) -> None:
        """The lock has answered a session of this authorization; `topic` is where it hears of changes."""
        self._listeners.pop(topic, None)
        self._listeners[topic] = authorization_id, self._clock()
        of_one = [each for each, (number, _) in self._listeners.items() if number == authorization_id]
        for each in of_one[:-MAX_OF_ONE]:
            del self._listeners[each]
        while len(self._listeners) > MAX_LISTENERS:
            del self._listeners[next(iter(self._listeners))]

    def look(self, states: States) -> None:
        """The lock has told its states: if they are others than before, all are told soon."""
        seen = states.lock_state, states.nuki_state, state_json.door_word(states)
        if self._told not in (None, seen):
            self._due.set()
        self._told = seen

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            now = self._clock()
            for topic, (number, heard_at) in list(self._listeners.items()):
                if now - heard_at > KEPT_S:
                    del self._listeners[topic]
                elif self._may(number):
                    self._publish(Publication(topic, b""))
            await asyncio.sleep(PAUSE_S)
