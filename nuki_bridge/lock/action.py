"""One lock action, from the challenge to its true outcome.

A nonce serves once, and an action whose answer got lost is never repeated blindly: it is sent again only if the lock's
log proves that it did nothing (`evidence.py`), and only if it merely leads to a state.  Otherwise the lock is asked for
its states, and `outcome.py` judges what they say of it: perhaps nothing.

Lock 'n' go stands unlocked for up to a minute before it locks.  It does not keep the lock's turn for that long: once
somebody wants it the link is dropped, so that no late word of this action passes for an answer to another, and the
states that come in from then on show its end.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, suppress
from typing import Protocol

from nuki_bridge.errors import LinkError, LockError, NukiError, ProtocolError, TimedOut, UnexpectedMessage
from nuki_bridge.lock.condition import nonce_if
from nuki_bridge.lock.evidence import QUEUE_S, Evidence, Finding, Sent
from nuki_bridge.lock.exchange import CONNECT_TIMEOUT_S, Exchange
from nuki_bridge.lock.outcome import (
    SUCCESS,
    TIMER_ROUNDED_S,
    NotExecuted,
    Outcome,
    OutcomeUnknown,
    Traces,
    failure,
)
from nuki_bridge.lock.profile import Profile
from nuki_bridge.lock.retry import RECONNECT_S
from nuki_bridge.lock.rings import Rings
from nuki_bridge.lock.turn import TurnRefusals
from nuki_bridge.protocol.codes import (
    Command,
    Completion,
    ErrorCode,
    StatusCode,
    name_of,
)
from nuki_bridge.protocol.common import BasicConfig, States
from nuki_bridge.protocol.messages import LockAction, Status
from nuki_bridge.protocol.wire import Message
from nuki_bridge.store import PairedLock

log = logging.getLogger(__name__)

ACTION_TIMEOUT_S = 120.0
"""From sending to the end: lock 'n' go with unlatch may hold the latch for 30 s and then wait 60 s before it locks."""
QUIET_S = 10.0
"""Seconds of silence during an accepted action after which the lock is asked for its states."""
COMPLETE_TIMEOUT_S = 3.0
"""Seconds to wait for COMPLETE after a final state; some devices never send it."""
RESOLVE_TIMEOUT_S = 30.0
"""Seconds for which a lock is sought after an answer got lost."""
RETRY_S = 3.0
"""Longest pause in seconds before a lock that did not answer, or answered something else, is asked again."""
SIGHT_S = 5.0
"""Seconds after the last word over a lost link for which what the lock shows is still taken to be of this action."""
POLL_S = 1.0
"""Seconds between the first two readings of a lock that is moving."""
POLL_GROWTH = 1.5
"""Factor by which the pause between readings grows, up to `QUIET_S`: an action takes seconds, a stuck lock is
spared."""
EARLY = 0.5
"""Part of the fastest answer over a link within which no report can be on account of what has just been sent."""
GIVE_WAY_S = 0.5
"""Seconds between checks, while lock 'n' go waits, whether anybody else wants the lock's turn."""

NOTHING_MOVED = frozenset({ErrorCode.BAD_NONCE, ErrorCode.BUSY})
"""Refusals of a lock that has not begun what it was asked for."""
ENDS = frozenset({ErrorCode.MOTOR_BLOCKED, ErrorCode.CANCELED, ErrorCode.MOTOR_TIMEOUT})
"""How an action ends for which the motor has started: before the lock has taken it, it is of an earlier one."""


class ActionContext(Protocol):
    """What an action needs of its `Lock`, whose turn it holds."""

    name: str
    paired: PairedLock
    exchange: Exchange
    states: States | None
    config: BasicConfig | None
    runs: set[ActionRun]
    """The actions that have been sent and are not over; each gets every report of the lock."""
    evidence: Evidence
    """The lock's log."""
    rings: Rings
    """Its doorbell."""

    @property
    def profile(self) -> Profile:
        """What this kind of lock can do."""

    @property
    def is_wanted(self) -> bool:
        """Somebody waits for the turn."""

    def linked(self, deadline: float) -> AbstractAsyncContextManager[None]:
        """This task's turn, with the link up; raises as `link_up`."""

    async def refresh(self, timeout_s: float) -> States:
        """Read the states in a turn of its own."""

    def clock(self) -> float:
        """Seconds, counting through suspend."""

    async def link_up(self, deadline: float) -> None:
        """Connect, trying again until `deadline`; raises `TimedOut` or `AdapterUnavailable`."""

    async def fresh_nonce(self, deadline: float) -> bytes:
        """Return a challenge to send a command with; raises `TimedOut` at `deadline`."""

    async def read_states(self) -> States:
        """Ask the lock for its states."""


class Attempt:
    """What became of sending one action over Bluetooth, for who has another way.

    `within_s` bounds the sending from when its turn has come, and `leave_s` is left of the command's time for the other
    way, however late the turn comes; a second is always tried.
    """

    def __init__(self, within_s: float, leave_s: float) -> None:
        self._within_s = within_s
        self._leave_s = leave_s
        self._until: float | None = None
        self.was_sent = False
        """The lock may have it; as long as this is false it certainly has not."""

    def begin(self, deadline: float, now: float) -> float:
        """Take note that the turn has come; return by when the action has to be sent."""
        if self._until is None:
            self._until = min(deadline, max(now + 1.0, min(now + self._within_s, deadline - self._leave_s)))
        return self._until

    @property
    def had_turn(self) -> bool:
        """Whether the turn has come: it was no other command that took the time."""
        return self._until is not None


class ActionRun:
    """One lock action on its way; `deadline` (on the lock's clock) bounds the sending, not the motor.

    From the sending on it is among `ActionContext.runs` and gets each report of the lock, whoever asked for it.
    """

    def __init__(
        self,
        lock: ActionContext,
        action: int,
        deadline: float,
        suffix: str | None,
        only_if: Collection[int] | None = None,
        begun: Callable[[], None] = lambda: None,
        attempt: Attempt | None = None,
    ) -> None:
        self._attempt = attempt
        self._lock = lock
        self._action = action
        self._deadline = deadline
        self._suffix = suffix
        self._only_if = only_if
        self._tell_begun = begun
        self._is_told = False
        self._traces = Traces(lock.profile, action)
        self._sent: Sent | None = None
        self._give_up_at = math.inf
        self._news = asyncio.Event()
        self._rivals: set[ActionRun] = set()  # sent since this one, and not refused
        self._ends: set[ActionRun] = set()  # those that it ends if the lock takes it
        self._ends_until = -math.inf
        """Until when they surely wait, on the lock's clock."""
        self._is_overtaken = self._was_busy = self._has_word = False
        self._before_word: States | None = None  # the last report before ACCEPTED
        self._finding: Finding | None = None
        self._in_sight_until = math.inf

    def saw(self, states: States) -> None:
        """Take a report of the lock."""
        now, traces = self._lock.clock(), self._traces
        if now > self._in_sight_until:
            traces.sight_lost()
        if now - self._sent_at < self._lock.exchange.fastest_s * EARLY:
            traces.came_early(states)
        traces.saw(states)
        if traces.is_ours:
            self.has_begun()
        if self._in_sight_until < math.inf and not traces.is_blind and traces.shows_it_begun(states):
            self._in_sight_until = now + SIGHT_S  # it still turns for this action
        self._news.set()

    def _link_lost(self) -> None:
        """The link is gone that the action was sent over; the lock was last heard over it."""
        self._in_sight_until = self._lock.exchange.last_message_at + SIGHT_S
        self._traces.link_lost()

    async def run(self) -> Outcome | None:
        """Carry the action out, under the lock's turn; raises as `Lock.perform`.

        None if it waits, unlocked, to lock again and others want the turn: `watch` finds the outcome then.
        """
        if self._attempt is not None:
            self._deadline = self._attempt.begin(self._deadline, self._lock.clock())
        lock, deadline = self._lock, self._deadline
        refusals, is_again = TurnRefusals(lock.clock, deadline), False
        while True:
            waiting = await self._waiting()
            nonce = await nonce_if(lock, self._only_if, deadline)
            if not lock.exchange.link.connected:
                continue  # nothing has been sent over a link that is down
            self._begin(waiting, refused=is_again)
            is_again = True
            try:
                return await self._send_and_follow(nonce)
            except LockError as error:
                outcome = await self._refused(error)
                if outcome is not None:
                    return outcome
                if error.command != Command.LOCK_ACTION or error.number not in NOTHING_MOVED:
                    raise
                for run in lock.runs:
                    run._rivals.discard(self)
                is_busy = error.number == ErrorCode.BUSY
                self._was_busy, is_again = self._was_busy or is_busy, is_busy
                if self._action in lock.profile.sent_once or not await refusals.allow_another(error):
                    raise
            except (LinkError, ProtocolError) as lost:
                if await self._is_to_be_sent_again(lost):
                    log.info("%s: %s was not carried out; sending it again", lock.name, name_of(self._action))
                    is_again = False
                    continue
                if self._traces.waits:
                    return None
                return await self._find_outcome(lost)

    async def _is_to_be_sent_again(self, lost: NukiError) -> bool:
        """Return whether the action, whose answer got lost, is to be sent again.

        Raises `NotExecuted` if the lock's log proves that it did nothing, and that may not be done.
        """
        if not await self._was_idle(lost):
            return False
        if not self._lock.profile.is_repeatable(self._action) or self._lock.clock() >= self._deadline:
            raise NotExecuted("the lock did not carry the action out; its answer got lost") from lost
        return True

    async def _refused(self, error: LockError) -> Outcome | None:
        """React to a refusal; give the outcome if the action was carried out in another way."""
        return None

    async def _waiting(self) -> set[ActionRun]:
        """Return the actions that wait to lock again, by what the lock says now: this one may end them."""
        watched = self._lock.runs - {self}
        if watched:
            asked_at = self._lock.clock()
            with suppress(LinkError, ProtocolError, LockError):
                states = await self._lock.read_states()
                self._ends_until = asked_at + (states.lock_n_go_timer or 0) - TIMER_ROUNDED_S
                return {run for run in watched if run._traces.waits}
        return set()

    def _begin(self, waiting: set[ActionRun], *, refused: bool) -> None:
        """Begin the account of this action: nothing that the lock showed before counts."""
        if self._attempt is not None:
            self._attempt.was_sent = True
        self._ends, self._has_word, self._before_word = waiting, False, None
        lock, evidence = self._lock, self._lock.evidence
        states = lock.states
        crowded = self._was_busy or (states is not None and lock.profile.is_unsettled(states))
        opens = lock.config is not None and lock.config.auto_unlatch
        alias = lock.profile.auto_unlatch.get(self._action) if opens else None
        self._traces = Traces(lock.profile, self._action, crowded=crowded, alias=alias)
        self._finding, self._in_sight_until = None, math.inf
        self._give_up_at = lock.clock() + ACTION_TIMEOUT_S
        if self._sent is None:
            self._sent = evidence.sends(self._action, self._suffix)
        else:
            self._sent = evidence.sends_again(self._sent, refused=refused)
        lock.rings.acts(lock.profile, self._action)
        lock.runs.add(self)
        for run in lock.runs - {self}:
            run._rivals.add(self)

    def _is_accepted(self) -> None:
        """The lock says that it carries this action out."""
        if not self._has_word:
            self._before_word = self._traces.last
        self._traces.accepted = self._has_word = True
        self.has_begun()
        self._overtake(self._ends)

    def has_begun(self) -> None:
        """Tell, once, that the lock carries this action out."""
        if not self._is_told:
            self._is_told = True
            self._tell_begun()

    def may_be(self, action: int) -> bool:
        """Return whether the lock, when it speaks of `action`, may mean this one."""
        return self._lock.profile.reported_as(self._action, action)

    def _overtake(self, runs: set[ActionRun]) -> None:
        """The lock has taken this action: those that surely still waited to lock have come to their end by it."""
        if self._lock.clock() < self._ends_until:
            for run in runs:
                run._is_overtaken = True
                run._news.set()

    # -- on the link that it was sent over ----------------------------------------------------------------------------

    async def _send_and_follow(self, nonce: bytes) -> Outcome | None:
        """Send the action and follow it to its end, in every variant that locks are known for.

        ACCEPTED may come twice or not at all, COMPLETE may come early or stay away.  Raises `LinkError` or
        `ProtocolError` if the answer got lost: whether the motor turned is open then.  None as `run`.
        """
        lock, exchange, traces = self._lock, self._lock.exchange, self._traces
        await exchange.send(
            LockAction(action=self._action, app_id=lock.paired.app_id, flags=0, name_suffix=self._suffix, nonce=nonce)
        )
        quiet_at = lock.clock() + exchange.reply_timeout_s
        while lock.clock() < self._give_up_at:
            if self._waits and lock.is_wanted:
                # Over this link the lock owes us words that would pass for answers to what others ask.
                await exchange.drop()
                self._link_lost()
                return None
            left_s = max(quiet_at - lock.clock(), 0.0)
            try:
                answer = await exchange.receive(min(left_s, GIVE_WAY_S) if self._waits else left_s)
            except LockError as error:
                if self._is_of_another(error):
                    continue
                if error.number in ENDS and not traces.accepted:
                    raise UnexpectedMessage(f"the lock says of an action that it never took: {error}") from error
                raise
            except TimedOut:
                if lock.clock() < quiet_at:
                    continue
                if not traces.is_ours:
                    raise
                outcome = await self._ended_silently()
                if outcome is not None:
                    return outcome
                quiet_at = lock.clock() + QUIET_S
                continue
            if (outcome := self._took(answer) or await self._end_by(answer)) is not None:
                return outcome
            quiet_at = self._patient_until(answer, quiet_at)
        raise self._still_moving()

    async def _end_by(self, answer: Message) -> Outcome | None:
        """Return the outcome if the lock says that the action is complete and it is known how it ended."""
        is_end = isinstance(answer, Status) and answer.status != StatusCode.ACCEPTED
        return await self._completed() if is_end else None

    def _patient_until(self, answer: Message, quiet_at: float) -> float:
        """Take a word of the lock that is not the last; return until when to wait for the next, `quiet_at` by now."""
        if isinstance(answer, States):
            if self._traces.shows_it_begun(answer):
                self._traces.accepted = True  # some firmware says no more than this, unless a refusal follows
                self.has_begun()
            rests = not self._lock.profile.is_passing(self._action, answer)
            return self._lock.clock() + (COMPLETE_TIMEOUT_S if rests else QUIET_S)
        if isinstance(answer, Status) and answer.status == StatusCode.ACCEPTED:
            self._is_accepted()
            return max(quiet_at, self._lock.clock() + self._patience_s)
        return quiet_at

    @property
    def _patience_s(self) -> float:
        """Seconds to wait for more of an action that the lock has taken."""
        return QUIET_S

    def _took(self, answer: Message) -> Outcome | None:
        """Return the outcome if this word of the lock is the last that it says of the action."""
        return None

    async def _ended_silently(self) -> Outcome | None:
        """Ask for the states; return the outcome if the lock is at rest, None if it is still moving."""
        states = await self._read_states()
        if self._lock.profile.is_passing(self._action, states):
            return None
        try:
            return await self._find_outcome()
        finally:
            await self._lock.exchange.drop()  # a late COMPLETE would pass for the next action's

    async def _completed(self) -> Outcome | None:
        """Return the outcome of an action that the lock calls complete; None if it is not over all the same."""
        last = self._traces.last
        if last is None or last is self._before_word or self._lock.profile.is_passing(self._action, last):
            last = await self._read_states()
        outcome = self._traces.completed(last)
        if outcome is not None:
            self._overtake({run for run in self._ends if not run._waits})
        return outcome

    def _is_of_another(self, error: LockError) -> bool:
        """Return whether the lock says so of something else: of another command, or as it has taken this one."""
        return error.command not in (Command.LOCK_ACTION, 0) or (self._has_word and error.number in NOTHING_MOVED)

    async def _read_states(self) -> States:
        """Ask for the states over the link that is up; a refusal of that says nothing of the action.

        Raises `OutcomeUnknown` at once if the lock does not accept us any more.
        """
        try:
            return await self._lock.read_states()
        except LockError as error:
            if error.number in (ErrorCode.NOT_AUTHORIZED, ErrorCode.DISABLED):
                raise OutcomeUnknown(f"{name_of(self._action)} was sent, but cannot be asked after: {error}") from error
            raise UnexpectedMessage(f"the lock does not tell its states: {error}") from error

    # -- after its answer got lost ------------------------------------------------------------------------------------

    async def _was_idle(self, lost: NukiError) -> bool:
        """Seek a lock whose answer got lost, and wait until it rests; True if its log proves that it did nothing.

        The nonce of the lost action is dead by then: the lock knows only the last one it issued, and a new connection
        starts with a new one.  Raises `OutcomeUnknown`, also if the lock still reports movement in the end.
        """
        lock, action, traces = self._lock, self._action, self._traces
        log.info("%s: %s; asking the lock what became of %s", lock.name, lost, name_of(action))
        await lock.exchange.drop()
        self._link_lost()
        sought_until, pause_s = lock.clock() + RESOLVE_TIMEOUT_S, POLL_S
        has_waited, retry_s = False, RECONNECT_S[0]
        while True:
            try:
                await lock.link_up(sought_until)
                states = await self._read_states()
            except (LinkError, ProtocolError) as error:
                if lock.clock() >= min(sought_until, self._give_up_at):
                    raise OutcomeUnknown(
                        f"{name_of(action)} was sent, but the answer got lost and the lock cannot be asked: {error}"
                    ) from lost
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, RETRY_S)
                continue
            if traces.waits:
                return False
            if self._waits or not lock.profile.is_passing(action, states):  # nobody waits for another one's lock 'n' go
                if has_waited or traces.restless or lock.clock() >= self._sent_at + QUEUE_S:
                    break
                has_waited = True  # the lock may have the action and not have begun
                sought_until = max(sought_until, lock.clock() + QUEUE_S + CONNECT_TIMEOUT_S)
                await asyncio.sleep(self._sent_at + QUEUE_S - lock.clock())
                continue
            if lock.clock() >= self._give_up_at:
                raise self._still_moving() from lost
            sought_until = max(sought_until, lock.clock() + pause_s + CONNECT_TIMEOUT_S)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * POLL_GROWTH, QUIET_S)
        if traces.is_ours or traces.restless:
            return False
        finding = await self._find()
        return finding is not None and finding.completion is None and not traces.restless

    @property
    def _sent_at(self) -> float:
        return self._give_up_at - ACTION_TIMEOUT_S

    async def _find(self) -> Finding | None:
        """Return what the log proves, asked once."""
        if self._finding is None and self._sent is not None:
            self._finding = await self._lock.evidence.find(self._sent)
        return self._finding

    async def _find_outcome(self, lost: NukiError | None = None) -> Outcome:
        """Return the outcome of an action that is over: by its states if the lock has taken it, or else by the log.

        Raises as `Lock.perform`.
        """
        states = self._traces.last
        assert states is not None
        if self._traces.accepted and not self._traces.is_lost:
            with suppress(OutcomeUnknown):
                return self._traces.ended(states)
        finding = None if self._rivals else await self._find()
        completion = None if finding is None else finding.completion
        if finding is not None and completion == Completion.SUCCESS:
            profile = self._lock.profile
            is_at_rest = states.lock_state in profile.rests.get(self._action, ())
            if self._action in profile.waits and not (is_at_rest and finding.is_newest):
                completion = None  # some firmware writes so while it stands unlocked
            else:
                return Outcome(SUCCESS, states)
        if completion is not None and completion != Completion.SUCCESS:
            raise failure(completion)
        try:
            return self._traces.ended(states)
        except OutcomeUnknown as unknown:
            raise unknown from lost

    def _still_moving(self) -> OutcomeUnknown:
        last = self._traces.last
        state = "busy" if last is None else name_of(last.lock_state)
        return OutcomeUnknown(
            f"{name_of(self._action)} is not over {ACTION_TIMEOUT_S:g} s after it was sent; the lock is {state} now"
        )

    # -- without the turn ---------------------------------------------------------------------------------------------

    @property
    def _waits(self) -> bool:
        """Whether the lock stands unlocked and is going to lock again, for this action."""
        last, profile = self._traces.last, self._lock.profile
        return self._action in profile.waits and last is not None and last.lock_state in profile.waiting

    async def watch(self) -> Outcome:
        """Follow an action that waits to lock again, while others have the turn; raises as `Lock.perform`."""
        lock, traces, pause_s = self._lock, self._traces, POLL_S
        while lock.clock() < self._give_up_at:
            if self._is_overtaken:
                raise LockError("canceled", "another command ended the action while it waited to lock")
            last = traces.last
            is_told_of = self._rivals & lock.runs  # what is under way may tell more of this one's end
            is_over = last is not None and (traces.is_over or not lock.profile.is_passing(self._action, last))
            if is_over and not is_told_of:
                return await self._after_watch()
            self._news.clear()
            try:
                async with asyncio.timeout(pause_s):
                    await self._news.wait()
            except TimeoutError:
                pause_s = min(pause_s * POLL_GROWTH, QUIET_S)
                try:
                    await lock.refresh(RESOLVE_TIMEOUT_S)
                except NukiError as error:
                    log.debug("%s: %s; asking again", lock.name, error)
        raise self._still_moving()

    async def _after_watch(self) -> Outcome:
        """As `_find_outcome`, with the turn if the log is needed."""
        last, lock = self._traces.last, self._lock
        assert last is not None
        name = name_of(self._action)
        if self._rivals and self._traces.names_it(last):
            raise OutcomeUnknown(f"{name} waited to lock when another was sent; the lock is {name_of(last.lock_state)}")
        try:
            return self._traces.ended(last)
        except OutcomeUnknown:
            if self._rivals or self._sent is None or not lock.evidence.may_tell(self._sent):
                raise
        try:
            async with lock.linked(lock.clock() + RESOLVE_TIMEOUT_S):
                return await self._find_outcome()
        except LinkError as error:
            raise OutcomeUnknown(f"{name} waited to lock; the lock was {name_of(last.lock_state)} then") from error
