"""Whole encrypted messages between guests' MQTT sessions and the lock's one Bluetooth link; no key is needed here.

A guest talks to the lock end to end; the bridge passes frames on as they are and tells whose they are by the
authorization ID in their header.  Each refusal means that the frame was not passed on; only `disconnected` leaves open
what became of the last one.

Turns.  The lock has one challenge for each authorization, so neither keep-alive nor another guest can spoil a guest's
challenge.  Yet the link serves one exchange at a time: a plain "not authorized" bears no name and belongs to whoever
asked last, answers in pieces must not meet a new request, and two actions at once would make the lock refuse one as
busy.  So a guest's exchange takes the lock's turn like a command of the bridge.  What is inside cannot be read, but how
long it is: a challenge or a reading is over with its answer, a command with an Error Report or with a Status after
its first answer.  The turn is then kept for `PAUSE_S`, because the frame that uses the challenge is on its way; when
the end cannot be told, it ends with a silence of `ANSWER_S`, in any case after `TURN_S`.  Nothing depends on guessing
right: the lock's later messages reach the guest also outside its turn, and an action that meets another one is answered
with busy.  All guests of a lock together stand in line for the turn once and take it by rotation, authorization by
authorization and session by session, so that however many they are a command of the bridge waits for one of them at
most, and however many sessions one of them has the others wait for one of these.

Who may use it is for the lock's own list to say (`owner/users.py`), which needs the security PIN.  The session ID is
the guest's secret no more than the frames are: whoever overhears it can disturb, and nothing else.  A frame that was
sent before is refused by the lock, whose challenge is used up; one that was held back on its way is refused here once
the challenge in it is `CHALLENGE_S` old."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from nuki_bridge.errors import Disconnected, LinkError, NukiError, RequestError, TimedOut
from nuki_bridge.lock.lock import Lock
from nuki_bridge.owner.users import Users
from nuki_bridge.protocol.crypto import TAG_SIZE
from nuki_bridge.protocol.frames import HEADER_SIZE, authorization_id, frame_size
from nuki_bridge.protocol.messages import NONCE_SIZE
from nuki_bridge.topics.topics import Publication, Request

log = logging.getLogger(__name__)

MAX_FRAME_SIZE = 512
"""Bytes of a frame; longer ones are refused."""
RATE = 20
RATE_S = 10.0
"""A session may send so many frames in so many seconds."""
IDLE_S = 30.0
"""A session without a frame in either direction ends after this,"""
COMMAND_IDLE_S = 90.0
"""and one whose command goes on after this: lock 'n' go may wait 60 s before its second movement."""
MAX_SESSIONS = 64
"""Sessions at one lock,"""
MAX_SESSIONS_OF_ONE = 6
"""those of one authorization,"""
MAX_COUNTED = 1000
"""and those whose frames are counted."""
CHALLENGE_S = 60.0
"""So long after the lock's last challenge for it an authorization's command is passed on."""

ANSWER_S = 5.0
"""Silence that ends a turn while something is still expected of the lock,"""
PAUSE_S = 0.5
"""and while only the guest's next frame is."""
TURN_S = 10.0
"""Longest turn; below the deadline of a command that waits."""

_EMPTY_FRAME_SIZE = HEADER_SIZE + TAG_SIZE + 4 + 2 + 2
_CHALLENGE_SIZE = _EMPTY_FRAME_SIZE + NONCE_SIZE
_STATUS_SIZE = _EMPTY_FRAME_SIZE + 1
_REQUEST_DATA_SIZE = _EMPTY_FRAME_SIZE + 2
_ERROR_REPORT_SIZE = _EMPTY_FRAME_SIZE + 3
_PLAIN_ERROR_SIZE = 7


@dataclass(slots=True, eq=False)
class _Session:
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


@dataclass(slots=True)
class _Turn:
    """A guest's turn at the lock: it ends at `quiet_at`, which each frame moves, or at `ends_at`."""

    session: _Session
    ends_at: float
    quiet_at: float
    command: bool = False
    answers: int = 0
    acted: bool = False


class Relay:
    """The guests of one lock; `run` it and give it their frames.  Implements `exchange.Guests`.

    `publish` sends to a guest, `refuse` answers a frame on its session's error topic, `turn_away` does so unless there
    are too many of its kind.
    """

    def __init__(
        self,
        lock: Lock,
        users: Users,
        *,
        publish: Callable[[Publication], bool],
        refuse: Callable[[Request, NukiError], object],
        turn_away: Callable[[Request, NukiError], object],
    ) -> None:
        self._lock = lock
        self._users = users
        self._publish = publish
        self._refuse = refuse
        self._turn_away = turn_away
        self._sessions: dict[str, _Session] = {}
        self._arrivals: dict[str, deque[float]] = {}  # session: its last frames, also those of one that has ended
        self._turns = 0
        self._served: dict[int, int] = {}  # authorization ID: the number of its last turn
        self._challenged: dict[int, float] = {}  # authorization ID: when the lock sent it a challenge on this link
        self._turn: _Turn | None = None
        self._served_now: _Session | None = None  # whose turn it is, or is about to be
        self._wake = asyncio.Event()

    # -- told by the broker -------------------------------------------------------------------------------------------

    def receive(self, request: Request) -> None:
        """Take in a guest's frame; raises `RequestError` if that can be refused at once."""
        now = self._lock.clock()
        self._end_idle_sessions()
        if not re.fullmatch(r"[0-9A-Fa-f]{32}", request.session):
            raise RequestError("bad_request", "a session is named by 32 hex digits")
        self._count(request.session, now)
        session = self._sessions.get(request.session)
        number = _checked(request.payload)
        if number == self._lock.paired.authorization_id:
            raise RequestError("own_authorization", "this is the bridge's own authorization, which it does not share")
        if session is None:
            session = self._open(number, request)
        elif session.authorization_id != number:
            raise RequestError("bad_frame", "this session belongs to another authorization")
        session.active_at = now
        session.request = request
        session.frames.append(request)
        self._wake.set()

    def _open(self, number: int, request: Request) -> _Session:
        own = [name for name, each in self._sessions.items() if each.authorization_id == number]
        if len(own) >= MAX_SESSIONS_OF_ONE:
            if not self._evict((name for name in own if not self._sessions[name].frames), number):
                raise RequestError(
                    "too_many_requests",
                    f"{MAX_SESSIONS_OF_ONE} sessions of this authorization wait for their turn at the lock; try later",
                )
        elif len(self._sessions) >= MAX_SESSIONS:
            # An authorization's ID is no secret: whoever opens sessions with somebody's ID must not shut out others.
            counts = Counter(each.authorization_id for each in self._sessions.values())
            most = [each for each, count in counts.items() if count == max(counts.values())]
            self._evict((name for name, each in self._sessions.items() if each.authorization_id in most), number)
        session = self._sessions[request.session] = _Session(number, request, request.received_at)
        return session

    def _evict(self, names: Iterable[str], number: int) -> bool:
        """End one of these sessions, with an answer to what waits in it; False if there is none that is not served now.

        Rather one of the authorization that wants another, that the lock has never answered, in which nothing waits;
        of several the one whose turn was the longest ago.
        """

        def last(name: str) -> tuple[bool, bool, bool]:
            session = self._sessions[name]
            return session.authorization_id != number, session.proven, bool(session.frames)

        name = min((each for each in names if self._sessions[each] is not self._served_now), key=last, default=None)
        if name is None:
            return False
        session = self._sessions.pop(name)
        error = RequestError("too_many_requests", "too many sessions are open at this lock; try later")
        for request in session.frames:
            self._answer(session, request, error)
        return True

    def _answer(self, session: _Session, request: Request, error: NukiError) -> None:
        """Refuse a frame that has waited; of a session that never had a turn anybody may have made it up."""
        (self._refuse if session.admitted else self._turn_away)(request, error)

    def _count(self, name: str, now: float) -> None:
        arrivals = self._arrivals.pop(name, deque())
        while arrivals and now - arrivals[0] >= RATE_S:
            arrivals.popleft()
        self._arrivals[name] = arrivals  # the newest last
        while len(self._arrivals) > MAX_COUNTED:
            del self._arrivals[next(iter(self._arrivals))]
        if len(arrivals) >= RATE:
            raise RequestError("too_many_requests", f"a session may send {RATE} frames in {RATE_S:g} s")
        arrivals.append(now)

    def _end_idle_sessions(self) -> None:
        now = self._lock.clock()
        for name, session in list(self._sessions.items()):
            if not session.frames and now - session.active_at >= session.idle_s:
                del self._sessions[name]

    # -- told by the lock's exchange ----------------------------------------------------------------------------------

    def take(self, frame: bytes) -> bool:
        """Pass a frame of the lock on to the session that it is for; True if there is one."""
        turn = self._turn
        if len(frame) == _PLAIN_ERROR_SIZE:
            if turn is None:
                return False
            self._lost_authorization(turn)
            return True
        self._end_idle_sessions()
        number = authorization_id(frame)
        sessions = [each for each in self._sessions.values() if each.admitted and each.authorization_id == number]
        if len(frame) == _CHALLENGE_SIZE:
            self._challenged[number] = self._lock.clock()
        served = turn if turn is not None and turn.session.authorization_id == number else None
        if served is not None:
            served.answers += 1
        # A turn's first Status says that the command was accepted; it may be over long before the command is.
        is_last = len(frame) == _STATUS_SIZE and (served is None or served.answers > 1)
        ends_command = len(frame) == _ERROR_REPORT_SIZE or is_last
        for session in sessions:
            session.commanded &= not ends_command
            self._is_active(session)
            topic = session.request.reply_to[0].removesuffix("error") + "indicate"
            if not self._publish(Publication(topic, frame)):
                log.debug("%s: a frame for a guest did not go out", self._lock.name)
        if served is not None:
            served.session.proven = True
            quiet_s = ANSWER_S if served.command and not ends_command else PAUSE_S
            served.quiet_at = self._lock.clock() + quiet_s
            self._wake.set()
        return bool(sessions)

    def _lost_authorization(self, turn: _Turn) -> None:
        """The lock could not decrypt what the turn's guest wrote: the session ends, with what waits in it."""
        session = turn.session
        for request in session.frames or (session.request,):
            self._refuse(request, RequestError("not_authorized", "the lock does not accept this authorization's key"))
        session.frames.clear()
        self._sessions = {name: each for name, each in self._sessions.items() if each is not session}
        self._users.doubt()
        turn.quiet_at = self._lock.clock()
        self._wake.set()

    def link_lost(self) -> None:
        """Tell everybody who counts on the link; their challenges went with it."""
        self._challenged.clear()
        self._end_idle_sessions()
        for session in self._sessions.values():
            if session.linked:
                session.linked = False
                self._refuse(session.request, Disconnected("the link to the lock was lost"))
        if self._turn is not None:
            self._turn.quiet_at = self._lock.clock()
        self._wake.set()

    def _is_active(self, session: _Session) -> None:
        session.active_at = self._lock.clock()
        self._lock.needed_until = max(each.active_at + each.idle_s for each in (session, *self._sessions.values()))

    # -- to the lock --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Pass frames on until cancelled; those that still wait are answered with `stopped` then."""
        self._lock.exchange.guests = self
        try:
            while True:
                self._wake.clear()
                waiting = [(name, each) for name, each in self._sessions.items() if each.frames]
                if not waiting:
                    await self._wake.wait()
                    continue
                name, session = min(waiting, key=lambda each: self._served.get(each[1].authorization_id, 0))
                self._sessions[name] = self._sessions.pop(name)  # to the end of the line
                self._served_now = session
                await self._serve(session)
                self._served_now = None
        finally:
            self._served_now = None
            self._lock.exchange.guests = None
            for session in self._sessions.values():
                for request in session.frames:
                    self._refuse(request, RequestError("stopped", "the bridge stopped before it passed this on"))
            self._sessions.clear()

    async def _serve(self, session: _Session) -> None:
        """Give a session its turn; if that is not possible its first frame is refused."""
        request = session.frames[0]
        try:
            await self._users.ensure(session.authorization_id, self._left(request))
            self._check(session.authorization_id)
            async with self._lock.linked(request.deadline):
                acted = await self._take_turn(session)
        except NukiError as error:
            self._answer(session, session.frames.popleft(), error)
        else:
            if acted:
                self._lock.look_again()

    def _left(self, request: Request) -> float:
        left = request.deadline - self._lock.clock()
        if left <= 0:
            raise TimedOut("the frame could not be passed on to the lock within its deadline")
        return left

    def _check(self, number: int) -> None:
        """Raises `RequestError` if this authorization may not be used remotely now."""
        entry = self._users.get(number)
        if entry is None:
            raise RequestError("not_authorized", "the lock does not know this authorization (any more)")
        if number in self._users.pending_ids():
            raise RequestError("pending", "the invitation of this authorization has not been redeemed yet")
        if not entry.enabled:
            raise RequestError("disabled", "this authorization is disabled")
        if not entry.remote_allowed:
            raise RequestError("remote_not_allowed", "this authorization may not be used remotely")

    def _check_challenge(self, number: int, frame: bytes) -> None:
        """Raises `RequestError` for a command whose challenge is so old that it was held back on its way."""
        since = self._lock.clock() - self._challenged.get(number, math.inf)
        if len(frame) != _REQUEST_DATA_SIZE and since > CHALLENGE_S:
            raise RequestError("challenge_expired", f"the lock's challenge is older than {CHALLENGE_S:g} s; ask anew")

    async def _take_turn(self, session: _Session) -> bool:
        """Write a session's frames as they come, until its turn ends; True if one may have changed something.

        Raises what keeps the first frame that waits from being written.
        """
        now = self._lock.clock()
        turn = self._turn = _Turn(session, now + TURN_S, now)
        session.admitted = True
        self._turns += 1
        self._served[session.authorization_id] = self._turns
        try:
            while True:
                while session.frames:
                    if self._users.is_stale(session.authorization_id):
                        return turn.acted  # it gets another turn, after the list was read
                    self._check(session.authorization_id)
                    self._left(session.frames[0])
                    self._check_challenge(session.authorization_id, session.frames[0].payload)
                    await self._write(turn, session.frames.popleft())
                self._wake.clear()
                left = min(turn.quiet_at, turn.ends_at) - self._lock.clock()
                if left <= 0:
                    return turn.acted
                try:
                    async with asyncio.timeout(left):
                        await self._wake.wait()
                except TimeoutError:
                    return turn.acted
        finally:
            self._turn = None

    async def _write(self, turn: _Turn, request: Request) -> None:
        turn.command = len(request.payload) != _REQUEST_DATA_SIZE
        turn.acted |= turn.command
        turn.session.commanded |= turn.command
        turn.answers = 0
        turn.session.linked = True
        turn.quiet_at = self._lock.clock() + ANSWER_S
        self._is_active(turn.session)
        try:
            await self._lock.exchange.write(request.payload)
        except LinkError as error:
            log.debug("%s: a guest's frame may not have reached the lock: %s", self._lock.name, error)
            await self._lock.exchange.drop()
            self.link_lost()


def _checked(frame: bytes) -> int:
    """The authorization ID of a frame; raises `RequestError` if it is none that a lock could get."""
    if len(frame) > MAX_FRAME_SIZE:
        raise RequestError("payload_too_large", f"a frame has {MAX_FRAME_SIZE} bytes at most, not {len(frame)}")
    if len(frame) < _EMPTY_FRAME_SIZE or len(frame) != frame_size(frame):
        raise RequestError("bad_frame", f"an encrypted frame of {len(frame)} bytes contradicts its length field")
    return authorization_id(frame)
