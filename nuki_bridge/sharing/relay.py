"""Whole encrypted messages between guests' MQTT sessions and the lock's one Bluetooth link; no key is needed here.

A guest talks to the lock end to end; the bridge passes frames on as they are and tells whose they are by the
authorization ID in their header.  Each refusal means that the frame was not passed on; only `disconnected` and
`outcome_unknown` leave open what became of the last one.

Turns.  The lock has one challenge for each authorization, so neither keep-alive nor another guest can spoil a guest's
challenge.  Yet the link serves one exchange at a time: a plain "not authorized" bears no name and belongs to whoever
asked last, answers in pieces must not meet a new request, and two actions at once would make the lock refuse one as
busy.  So a guest's exchange takes the lock's turn like a command of the bridge, and each frame of it waits until the
one before is answered.  What is inside cannot be read, but how long it is: a challenge or a reading is over with its
answer, a command with an Error Report or with a Status after its first answer.  The turn is then kept for `PAUSE_S`,
because the frame that uses the challenge is on its way; when the end cannot be told, it ends with a silence of
`ANSWER_S`, in any case after `TURN_S`.  Nothing depends on guessing right: the lock's later messages reach the guest
also outside its turn, an action that meets another one is answered with busy, and a plain error is never the bridge's
own over a link that a guest has used (`lock/exchange.py`).  All guests of a lock together stand in line for the turn
once and take it by rotation, authorization by authorization and session by session, so that however many they are a
command of the bridge waits for one of them at most, and however many sessions one of them has the others wait for one
of these.  Whose frames the lock cannot read has to pause (`unreadable.py`).

Who may use it is for the lock's own list to say (`owner/users.py`), which needs the security PIN.  The session ID is
the guest's secret no more than the frames are: whoever overhears it can disturb, and nothing else.  A frame that was
sent before is refused by the lock, whose challenge is used up; one that was held back on its way is refused here,
unless the bridge has seen the lock's challenge for it on this very link, no longer than `CHALLENGE_S` ago."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Callable
from contextlib import suppress

from nuki_bridge.errors import Disconnected, LinkError, LockError, NukiError, RequestError, TimedOut
from nuki_bridge.lock.lock import LOST_PAIRING, Lock
from nuki_bridge.lock.outcome import OutcomeUnknown
from nuki_bridge.lock.turn import Rank, acting_for
from nuki_bridge.owner.users import Users
from nuki_bridge.protocol.crypto import TAG_SIZE
from nuki_bridge.protocol.field_kinds import NONCE_SIZE
from nuki_bridge.protocol.frames import HEADER_SIZE, MAX_FRAME_SIZE, PLAIN_ERROR_SIZE, authorization_id, frame_size
from nuki_bridge.records import mutable
from nuki_bridge.sharing.news import News
from nuki_bridge.sharing.relay_sessions import RelaySession, RelaySessions
from nuki_bridge.sharing.unreadable import Owed, Pauses, Unanswered
from nuki_bridge.topics.topics import Publication, Request

log = logging.getLogger(__name__)

CHALLENGE_S = 60.0
"""Seconds after the lock's last challenge for it in which an authorization's command is passed on."""

ANSWER_S = 5.0
"""Seconds of silence that end a turn while something is still expected of the lock."""
DOUBT_S = 2.0
"""Seconds of silence that end a turn after a plain error that may be the answer to somebody else's frame."""
PAUSE_S = 0.5
"""Seconds of silence that end a turn while only the guest's next frame is expected."""
TURN_S = 10.0
"""Longest turn in seconds; below the deadline of a command that waits.  No frame is written in its last `ANSWER_S`."""

_EMPTY_FRAME_SIZE = HEADER_SIZE + TAG_SIZE + 4 + 2 + 2
_CHALLENGE_SIZE = _EMPTY_FRAME_SIZE + NONCE_SIZE
_STATUS_SIZE = _EMPTY_FRAME_SIZE + 1
_REQUEST_DATA_SIZE = _EMPTY_FRAME_SIZE + 2
_ERROR_REPORT_SIZE = _EMPTY_FRAME_SIZE + 3


@mutable
class _Turn:
    """A guest's turn at the lock: it ends at `quiet_at`, which each frame moves, or at `ends_at`."""

    session: RelaySession
    ends_at: float
    quiet_at: float
    request: Request
    """The frame that was written last."""
    owed: Owed | None = None
    """The frame that was written last, until the lock answers it."""
    doubted: bool = False
    """Whether a plain error has come since that may be the answer to it."""
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
        self._sessions = RelaySessions(lock.clock, served=lambda: self._served_now, give_way=self._answer)
        self._unanswered = Unanswered(lock.clock)
        self._pauses = Pauses(lock.clock)
        self.news = News(lock.clock, publish=publish, may=self._may)
        self._turns = 0
        self._served: dict[int, int] = {}  # authorization ID: the number of its last turn
        self._challenged: dict[int, float] = {}  # authorization ID: when the lock sent it a challenge on this link
        self._turn: _Turn | None = None
        self._served_now: RelaySession | None = None  # whose turn it is, or is about to be
        self._wake = asyncio.Event()

    # -- told by the broker -------------------------------------------------------------------------------------------

    def receive(self, request: Request) -> None:
        """Take in a guest's frame; raises `RequestError` if that can be refused at once."""
        self._sessions.end_idle()
        if not re.fullmatch(r"[0-9A-Fa-f]{32}", request.session):
            raise RequestError("bad_request", "a session is named by 32 hex digits")
        self._sessions.count(request.session)
        number = _checked(request.payload)
        if number == self._lock.paired.authorization_id:
            raise RequestError("own_authorization", "this is the bridge's own authorization, which it does not share")
        self._sessions.take_in(number, request)
        self._wake.set()

    def _answer(self, session: RelaySession, request: Request, error: NukiError) -> None:
        """Refuse a frame that has waited; of a session that never had a turn anybody may have made it up."""
        (self._refuse if session.admitted else self._turn_away)(request, error)

    # -- told by the lock's exchange ----------------------------------------------------------------------------------

    def take(self, frame: bytes) -> bool:
        """Pass a frame of the lock on to the session that it is for; True if there is one."""
        if len(frame) == PLAIN_ERROR_SIZE:
            return self._take_plain_error()
        self._sessions.end_idle()
        number, turn = authorization_id(frame), self._turn
        sessions = self._sessions.of(number)
        if len(frame) == _CHALLENGE_SIZE:
            self._challenged[number] = self._lock.clock()
        served = turn if turn is not None and turn.session.authorization_id == number else None
        if served is not None:
            served.answers += 1
            if served.owed is not None:
                self._unanswered.answered(served.owed)
                served.owed = None
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
            served.acted |= served.command
            self._pauses.readable(number)
            served.session.proven = True
            self.news.listen(served.request.reply_to[0].removesuffix("error") + "news", number)
            quiet_s = ANSWER_S if served.command and not ends_command else PAUSE_S
            served.quiet_at = self._lock.clock() + quiet_s
            self._wake.set()
        return bool(sessions)

    def _take_plain_error(self) -> bool:
        """The lock could not read some guest's frame; True if one can be meant."""
        turn, owed = self._turn, self._unanswered.plain_error()
        if turn is not None and turn.owed is not None:
            if owed is turn.owed:
                self._lost_authorization(turn)
            else:
                turn.doubted = True
                turn.quiet_at = min(turn.quiet_at, self._lock.clock() + DOUBT_S)
            self._wake.set()
        return owed is not None

    def _lost_authorization(self, turn: _Turn) -> None:
        """The lock could not decrypt what the turn's guest wrote: the session ends, with what waits in it."""
        session, turn.owed = turn.session, None
        error = RequestError("not_authorized", "the lock does not accept this authorization's key")
        for request in session.frames or (session.request,):
            self._refuse(request, error)
        session.frames.clear()
        self._sessions.end(session)
        self._pauses.unreadable(session.authorization_id)
        self._users.doubt()
        turn.quiet_at = self._lock.clock()

    def _gave_no_answer(self, turn: _Turn, owed: Owed) -> None:
        """The lock has said nothing to what was written last; a session that it has never answered ends with it."""
        session = turn.session
        turn.acted |= turn.command
        if turn.doubted:
            self._unanswered.settle(owed)
        sentence = "the frame was passed on, but the lock did not answer it; what became of it is not known"
        self._refuse(turn.request, OutcomeUnknown(sentence))
        if not session.proven:
            for request in session.frames:
                self._refuse(request, TimedOut("the lock did not answer the frame before this one"))
            session.frames.clear()
            self._sessions.end(session)
            self._pauses.unreadable(session.authorization_id)

    def link_lost(self) -> None:
        """Tell everybody who counts on the link; their challenges went with it."""
        self._challenged.clear()
        self._unanswered.clear()
        self._sessions.end_idle()
        for session in self._sessions:
            if session.linked:
                session.linked = False
                self._refuse(session.request, Disconnected("the link to the lock was lost"))
        if self._turn is not None:
            self._turn.acted |= self._turn.owed is not None and self._turn.command
            self._turn.owed = None
            self._turn.quiet_at = self._lock.clock()
        self._wake.set()

    def _is_active(self, session: RelaySession) -> None:
        session.active_at = self._lock.clock()
        if self._lock.profile.rings:
            return  # it tells of no ring while a link is held
        self._lock.need_link_until(max(each.active_at + each.idle_s for each in (session, *self._sessions)))

    # -- to the lock --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Pass frames on until cancelled; those that still wait are answered with `stopped` then."""
        acting_for.set(Rank.GUEST)
        with self._lock.exchange.serving(self):
            try:
                await self._serve_all()
            finally:
                self._served_now = None
                for session in self._sessions:
                    for request in session.frames:
                        self._refuse(request, RequestError("stopped", "the bridge stopped before it passed this on"))
                self._sessions.clear()

    async def _serve_all(self) -> None:
        while True:
            self._wake.clear()
            session = self._next()
            if session is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_left_s()):
                        await self._wake.wait()
                continue
            self._sessions.to_the_end(session)
            self._served_now = session
            await self._serve(session)
            self._served_now = None

    def _next(self) -> RelaySession | None:
        """Whose turn it is; None if nothing waits, or nothing but what has to pause."""
        ready = [each for each in self._sessions if each.frames and self._pauses_s(each) <= 0]
        return min(ready, key=lambda each: self._served.get(each.authorization_id, 0), default=None)

    def _pause_left_s(self) -> float | None:
        """When one of those that have to pause is ready; None if there are none."""
        return min((self._pauses_s(each) for each in self._sessions if each.frames), default=None)

    def _pauses_s(self, session: RelaySession) -> float:
        """Return how long a session still has to pause, no longer than its first frame may wait."""
        left_s = session.frames[0].deadline - self._lock.clock()
        return 0.0 if session.proven else min(self._pauses.left_s(session.authorization_id), left_s)

    async def _serve(self, session: RelaySession) -> None:
        """Give a session its turn; if that is not possible its first frame is refused."""
        request = session.frames[0]
        try:
            await self._users.ensure(session.authorization_id, self._left(request))
            self._check(session.authorization_id)
            self._check_challenge(session.authorization_id, request.payload)  # before a link is made for it in vain
            async with self._lock.linked(request.deadline):
                if self._lock.exchange.in_doubt:
                    await self._lock.read_states()  # over a link that no guest has used the answer is clear
                await self._take_turn(session)
        except LockError as error:
            if error.number in LOST_PAIRING:
                error = RequestError("not_paired", "the lock does not accept the bridge any more")  # type: ignore[assignment]
            self._answer(session, session.frames.popleft(), error)
        except NukiError as error:
            self._answer(session, session.frames.popleft(), error)

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

    def _may(self, number: int) -> bool:
        with suppress(RequestError):
            self._check(number)
            return True
        return False

    def _check_challenge(self, number: int, frame: bytes) -> None:
        """Raises `RequestError` for a command that may have been held back on its way: the lock's challenge for it is
        too old, or was not seen on this link."""
        challenged_at = self._challenged.get(number, -math.inf)
        if len(frame) != _REQUEST_DATA_SIZE and self._lock.clock() - challenged_at > CHALLENGE_S:
            raise RequestError(
                "challenge_expired",
                f"the lock has sent no challenge for this over the present link within {CHALLENGE_S:g} s; ask anew",
            )

    async def _take_turn(self, session: RelaySession) -> None:
        """Write a session's frames as they come, one after the other, until its turn ends.

        Raises what keeps the first frame that waits from being written.
        """
        now = self._lock.clock()
        turn = self._turn = _Turn(session, now + TURN_S, now, session.frames[0])
        session.admitted = True
        self._turns += 1
        self._served[session.authorization_id] = self._turns
        try:
            while True:
                if self._is_deaf_after(turn):
                    break  # whatever comes next needs a new link
                while session.frames and turn.owed is None:
                    if self._users.is_stale(session.authorization_id) or self._lock.clock() + ANSWER_S > turn.ends_at:
                        return  # it gets another turn, in the first case after the list was read
                    self._check(session.authorization_id)
                    self._left(session.frames[0])
                    self._check_challenge(session.authorization_id, session.frames[0].payload)
                    await self._write(turn, session.frames.popleft())
                self._wake.clear()
                left = min(turn.quiet_at, turn.ends_at) - self._lock.clock()
                if left <= 0:
                    break
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._wake.wait()
            if turn.owed is not None:
                self._gave_no_answer(turn, turn.owed)
            elif self._lock.profile.rings:
                session.linked &= session.commanded  # nothing is open, and the link is soon let go
        finally:
            self._turn = None
            if turn.acted:
                await self._leave_deaf_link(session)
                self._lock.schedule_states()

    def _is_deaf_after(self, turn: _Turn) -> bool:
        """Whether the link hears nothing more, because the turn's command has been carried out over it."""
        return self._lock.profile.deaf_after_action and turn.acted and not turn.session.commanded

    async def _leave_deaf_link(self, session: RelaySession) -> None:
        """Drop a link that hears nothing more after an action, so that whoever is next has a new one.

        A guest whose command has come to its end is not told: nothing of theirs is open.
        """
        if not self._lock.profile.deaf_after_action:
            return
        session.linked &= session.commanded
        await self._lock.exchange.drop()

    async def _write(self, turn: _Turn, request: Request) -> None:
        session, now = turn.session, self._lock.clock()
        alone = not any(each.commanded for each in self._sessions.of(session.authorization_id))
        owed = turn.owed = self._unanswered.wrote(session.authorization_id, alone=alone)
        turn.request, turn.answers, turn.doubted = request, 0, False
        turn.command = len(request.payload) != _REQUEST_DATA_SIZE
        session.commanded |= turn.command
        session.linked = True
        if turn.command:
            self._lock.guest_acts()
        turn.quiet_at = now + ANSWER_S
        self._is_active(session)
        try:
            await self._lock.exchange.pass_on(request.payload)
        except LinkError as error:
            log.debug("%s: a guest's frame may not have reached the lock: %s", self._lock.name, error)
            await self._lock.exchange.drop()
            self.link_lost()
        if turn.owed is owed and not turn.doubted:
            turn.quiet_at = self._lock.clock() + ANSWER_S


def _checked(frame: bytes) -> int:
    """Return the authorization ID of a frame; raises `RequestError` if it is none that a lock could get."""
    if len(frame) > MAX_FRAME_SIZE:
        raise RequestError("payload_too_large", f"a frame has {MAX_FRAME_SIZE} bytes at most, not {len(frame)}")
    if len(frame) < _EMPTY_FRAME_SIZE or len(frame) != frame_size(frame):
        raise RequestError("bad_frame", f"an encrypted frame of {len(frame)} bytes contradicts its length field")
    return authorization_id(frame)
