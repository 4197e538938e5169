"""Guests' MQTT sessions at one lock: how many there may be, how much each may send, and which one gives way.

A session's ID is its guest's secret no more than an authorization's is, so that nobody may shut out others by opening
sessions with somebody's ID.  What is done for a session is told in `relay.py`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from nuki_bridge.errors import NukiError, RequestError
from nuki_bridge.topics.topics import Request

RATE = 20
RATE_S = 10.0
"""Frames that a session may send, and the seconds within which they count."""
IDLE_S = 30.0
"""Seconds without a frame in either direction after which a session ends."""
COMMAND_IDLE_S = 90.0
"""Seconds without a frame after which a session ends whose command goes on: lock 'n' go may wait 60 s before its second
movement."""
MAX_SESSIONS = 64
"""Most sessions at one lock."""
MAX_SESSIONS_OF_ONE = 6
"""Most sessions of one authorization."""
MAX_COUNTED = 1000
"""Most sessions whose frames are counted."""


@dataclass(slots=True, eq=False)
class RelaySession:
    """One client's exchange of frames; `request` is its newest, `frames` are those that wait."""

    authorization_id: int
    request: Request
    active_at: float
    frames: deque[Request] = field(default_factory=deque)
    admitted: bool = False
    linked: bool = False
    """Something of it was written over the present link."""
    proven: bool = False
    """The lock has answered it with this authorization's key."""
    commanded: bool = False
    """More than a question was written for it, and the lock has not told the end of that."""

    @property
    def idle_s(self) -> float:
        """How long it stays without a frame."""
        return COMMAND_IDLE_S if self.commanded else IDLE_S


class RelaySessions:
    """Those at one lock, by ID; `served` tells whose turn it is, and `give_way` ends what waits in one."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        served: Callable[[], RelaySession | None],
        give_way: Callable[[RelaySession, Request, NukiError], object],
    ) -> None:
        self._clock = clock
        self._served = served
        self._give_way = give_way
        self._sessions: dict[str, RelaySession] = {}  # those whose turn was the longest ago first
        self._arrivals: dict[str, deque[float]] = {}  # session: its last frames, also those of one that has ended

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, name: str) -> bool:
        return name in self._sessions

    def __iter__(self) -> Iterator[RelaySession]:
        return iter(self._sessions.values())

    @property
    def counted(self) -> int:
        """How many sessions' frames are counted."""
        return len(self._arrivals)

    def of(self, authorization_id: int) -> list[RelaySession]:
        """Return those of one authorization that have had a turn."""
        return [each for each in self if each.admitted and each.authorization_id == authorization_id]

    def take_in(self, number: int, request: Request) -> None:
        """Have a frame of this authorization wait in its session; raises `RequestError` if there is no place for it."""
        now = self._clock()
        session = self._sessions.get(request.session)
        if session is None:
            session = self._open(number, request)
        elif session.authorization_id != number:
            raise RequestError("bad_frame", "this session belongs to another authorization")
        session.active_at = now
        session.request = request
        session.frames.append(request)

    def count(self, name: str) -> None:
        """One more frame in a session, there or not; raises `RequestError` if these are too many."""
        now = self._clock()
        arrivals = self._arrivals.pop(name, deque())
        while arrivals and now - arrivals[0] >= RATE_S:
            arrivals.popleft()
        self._arrivals[name] = arrivals  # the newest last
        while len(self._arrivals) > MAX_COUNTED:
            del self._arrivals[next(iter(self._arrivals))]
        if len(arrivals) >= RATE:
            raise RequestError("too_many_requests", f"a session may send {RATE} frames in {RATE_S:g} s")
        arrivals.append(now)

    def to_the_end(self, session: RelaySession) -> None:
        """It has its turn now: the other ones of its authorization come before its next one."""
        for name, each in self._sessions.items():
            if each is session:
                self._sessions[name] = self._sessions.pop(name)
                return

    def end(self, session: RelaySession) -> None:
        """Forget one."""
        self._sessions = {name: each for name, each in self._sessions.items() if each is not session}

    def end_idle(self) -> None:
        """Forget those that nobody uses any more."""
        now = self._clock()
        for name, session in list(self._sessions.items()):
            if not session.frames and now - session.active_at >= session.idle_s:
                del self._sessions[name]

    def clear(self) -> None:
        """Forget all."""
        self._sessions.clear()

    def _open(self, number: int, request: Request) -> RelaySession:
        own = [name for name, each in self._sessions.items() if each.authorization_id == number]
        if len(own) >= MAX_SESSIONS_OF_ONE:
            if not self._evict((name for name in own if not self._sessions[name].frames), number):
                raise RequestError(
                    "too_many_requests",
                    f"{MAX_SESSIONS_OF_ONE} sessions of this authorization wait for their turn at the lock; try later",
                )
        elif len(self._sessions) >= MAX_SESSIONS:
            counts = Counter(each.authorization_id for each in self)
            most = [each for each, count in counts.items() if count == max(counts.values())]
            self._evict((name for name, each in self._sessions.items() if each.authorization_id in most), number)
        session = self._sessions[request.session] = RelaySession(number, request, request.received_at)
        return session

    def _evict(self, names: Iterable[str], number: int) -> bool:
        """End one of these sessions, with an answer to what waits in it; False if there is none that is not served now.

        Rather one of the authorization that wants another, that the lock has never answered, in which nothing waits;
        of several the one whose turn was the longest ago.
        """

        def last(name: str) -> tuple[bool, bool, bool]:
            session = self._sessions[name]
            return session.authorization_id != number, session.proven, bool(session.frames)

        served = self._served()
        name = min((each for each in names if self._sessions[each] is not served), key=last, default=None)
        if name is None:
            return False
        session = self._sessions.pop(name)
        error = RequestError("too_many_requests", "too many sessions are open at this lock; try later")
        for request in session.frames:
            self._give_way(session, request, error)
        return True
