"""One lock action, from the challenge to its true outcome.

A nonce serves once, and an action whose answer got lost is never repeated blindly: it is sent again only if the lock's
log proves that it did nothing (`evidence.py`), and only if it merely leads to a state.  Otherwise the lock is asked for
its states (`inquiry.py`), and `outcome.py` judges what they say of it: perhaps nothing.

Lock 'n' go stands unlocked for up to a minute before it locks.  It does not keep the lock's turn for that long: once
somebody wants it the link is dropped, so that no late word of this action passes for an answer to another, and the
states that come in from then on show its end.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import suppress

from nuki_bridge.errors import LinkError, LockError, NukiError, ProtocolError, TimedOut, UnexpectedMessage
from nuki_bridge.lock.attempt import Attempt
from nuki_bridge.lock.condition import nonce_if
from nuki_bridge.lock.inquiry import QUIET_S, Inquiry
from nuki_bridge.lock.outcome import NotExecuted, Outcome
from nuki_bridge.lock.progress import ActionContext, ActionProgress
from nuki_bridge.lock.turn import TurnRefusals
from nuki_bridge.protocol.codes import Command, ErrorCode, StatusCode, name_of
from nuki_bridge.protocol.common import States
from nuki_bridge.protocol.messages import LockAction, Status
from nuki_bridge.protocol.wire import Message

log = logging.getLogger(__name__)

COMPLETE_TIMEOUT_S = 3.0
"""Seconds to wait for COMPLETE after a final state; some devices never send it."""
GIVE_WAY_S = 0.5
"""Seconds between checks, while lock 'n' go waits, whether anybody else wants the lock's turn."""

NOTHING_MOVED = frozenset({ErrorCode.BAD_NONCE, ErrorCode.BUSY})
"""Refusals of a lock that has not begun what it was asked for."""
ENDS = frozenset({ErrorCode.MOTOR_BLOCKED, ErrorCode.CANCELED, ErrorCode.MOTOR_TIMEOUT})
"""How an action ends for which the motor has started: before the lock has taken it, it is of an earlier one."""


class ActionRun:
    """One lock action on its way; `deadline` (on the lock's clock) bounds the sending, not the motor."""

    def __init__(
        self,
        lock: ActionContext,
        progress: ActionProgress,
        deadline: float,
        suffix: str | None,
        only_if: Collection[int] | None,
        attempt: Attempt | None,
    ) -> None:
        self._lock = lock
        self._progress = progress
        self._inquiry = Inquiry(lock, progress)
        self._action = progress.action
        self._deadline = deadline
        self._suffix = suffix
        self._only_if = only_if
        self._attempt = attempt

    async def carry_out(self) -> Outcome:
        """Wait for the lock's turn, send the action and return its true outcome; see `Lock.perform`."""
        lock = self._lock
        on_turn = None if self._attempt is None else self._attempt.begin
        try:
            async with lock.linked(self._deadline, skip_gdio=lock.fault is None, on_turn=on_turn):
                try:
                    outcome = await self._send()
                finally:
                    if self._progress in lock.runs:
                        lock.rings.acted(lock.profile, self._action)
                        if lock.profile.deaf_after_action:
                            await lock.exchange.drop()
                    lock.schedule_states()  # on the same link: asking for the states clears the beacon bit
            return outcome or await self._inquiry.watch()
        finally:
            if self._progress in lock.runs:
                lock.runs.discard(self._progress)
                lock.evidence.over()

    async def _send(self) -> Outcome | None:
        """Carry the action out, under the lock's turn; raises as `Lock.perform`.

        None if it waits, unlocked, to lock again and others want the turn: `Inquiry.watch` finds the outcome then.
        """
        if self._attempt is not None:
            self._deadline = self._attempt.begin(self._deadline, self._lock.clock())
        lock, progress, deadline = self._lock, self._progress, self._deadline
        refusals, is_again = TurnRefusals(lock.clock, deadline), False
        while True:
            waiting: set[ActionProgress] = set()
            with suppress(LinkError, ProtocolError, LockError):
                waiting = await progress.waiting()
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
                is_again = error.number == ErrorCode.BUSY
                progress.refused(busy=is_again)
                if self._action in lock.profile.sent_once or not await refusals.allow_another(error):
                    raise
            except (LinkError, ProtocolError) as lost:
                if await self._is_to_be_sent_again(lost):
                    log.info("%s: %s was not carried out; sending it again", lock.name, name_of(self._action))
                    is_again = False
                    continue
                if progress.traces.waits:
                    return None
                return await self._find_outcome(lost)

    def _begin(self, waiting: set[ActionProgress], *, refused: bool) -> None:
        """Take note that the action is sent now."""
        if self._attempt is not None:
            self._attempt.was_sent = True
        self._progress.begin(waiting, self._suffix, refused=refused)

    async def _is_to_be_sent_again(self, lost: NukiError) -> bool:
        """Return whether the action, whose answer got lost, is to be sent again.

        Raises `NotExecuted` if the lock's log proves that it did nothing, and that may not be done.
        """
        if not await self._inquiry.was_idle(lost):
            return False
        if not self._lock.profile.is_repeatable(self._action) or self._lock.clock() >= self._deadline:
            raise NotExecuted("the lock did not carry the action out; its answer got lost") from lost
        return True

    async def _refused(self, error: LockError) -> Outcome | None:
        """React to a refusal; give the outcome if the action was carried out in another way."""
        return None

    async def _find_outcome(self, lost: NukiError | None = None) -> Outcome:
        """Return the outcome of an action that is over; raises as `Lock.perform`."""
        return await self._inquiry.outcome(lost)

    # -- on the link that it was sent over ----------------------------------------------------------------------------

    async def _send_and_follow(self, nonce: bytes) -> Outcome | None:
        """Send the action and follow it to its end, in every variant that locks are known for.

        ACCEPTED may come twice or not at all, COMPLETE may come early or stay away.  Raises `LinkError` or
        `ProtocolError` if the answer got lost: whether the motor turned is open then.  None as `_send`.
        """
        lock, exchange, progress = self._lock, self._lock.exchange, self._progress
        await exchange.send(
            LockAction(action=self._action, app_id=lock.paired.app_id, flags=0, name_suffix=self._suffix, nonce=nonce)
        )
        quiet_at = lock.clock() + exchange.reply_timeout_s
        while lock.clock() < progress.give_up_at:
            if progress.is_waiting and lock.is_wanted:
                # Over this link the lock owes us words that would pass for answers to what others ask.
                await exchange.drop()
                progress.link_lost()
                return None
            left_s = max(quiet_at - lock.clock(), 0.0)
            try:
                answer = await exchange.receive(min(left_s, GIVE_WAY_S) if progress.is_waiting else left_s)
            except LockError as error:
                if self._is_of_another(error):
                    continue
                raise self._unless_doubtful(error) from error
            except TimedOut:
                if lock.clock() < quiet_at:
                    continue
                if not progress.traces.is_ours:
                    raise
                outcome = await self._ended_silently()
                if outcome is not None:
                    return outcome
                quiet_at = lock.clock() + QUIET_S
                continue
            if (outcome := self._took(answer) or await self._end_by(answer)) is not None:
                return outcome
            quiet_at = self._patient_until(answer, quiet_at)
        raise progress.still_moving()

    async def _end_by(self, answer: Message) -> Outcome | None:
        """Return the outcome if the lock says that the action is complete and it is known how it ended."""
        is_end = isinstance(answer, Status) and answer.status != StatusCode.ACCEPTED
        return await self._completed() if is_end else None

    def _patient_until(self, answer: Message, quiet_at: float) -> float:
        """Take a word of the lock that is not the last; return until when to wait for the next, `quiet_at` by now."""
        if isinstance(answer, States):
            if self._progress.traces.shows_it_begun(answer):
                self._progress.traces.accepted = True  # some firmware says no more than this, unless a refusal follows
                self._progress.has_begun()
            rests = not self._lock.profile.is_passing(self._action, answer)
            return self._lock.clock() + (COMPLETE_TIMEOUT_S if rests else QUIET_S)
        if isinstance(answer, Status) and answer.status == StatusCode.ACCEPTED:
            self._progress.accepted()
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
        states = await self._inquiry.read_states()
        if self._lock.profile.is_passing(self._action, states):
            return None
        try:
            return await self._find_outcome()
        finally:
            await self._lock.exchange.drop()  # a late COMPLETE would pass for the next action's

    async def _completed(self) -> Outcome | None:
        """Return the outcome of an action that the lock calls complete; None if it is not over all the same."""
        progress, last = self._progress, self._progress.traces.last
        if last is None or last is progress.before_word or self._lock.profile.is_passing(self._action, last):
            last = await self._inquiry.read_states()
        outcome = progress.traces.completed(last)
        if outcome is not None:
            progress.has_begun()  # of what has nothing to do some firmware says no more than COMPLETE
            progress.completed()
        return outcome

    def _unless_doubtful(self, error: LockError) -> NukiError:
        """Return `error`, or one that says that it may be of something else, and that nobody knows what became of this.

        Whoever else uses this key, a second phone or program of a guest's, gets the same words as we.  A refusal of
        theirs, once the lock is seen moving for our action, would have us send that again: the motor would start twice.
        The lock may as well have begun another one's of the same name, and mean us: what it shows then proves nothing.
        """
        traces = self._progress.traces
        if error.number in ENDS and not traces.accepted:
            return UnexpectedMessage(f"the lock says of an action that it never took: {error}")
        if error.number in NOTHING_MOVED and traces.accepted:
            traces.is_blind = True
            return UnexpectedMessage(f"the lock was seen carrying the action out, and says: {error}")
        return error

    def _is_of_another(self, error: LockError) -> bool:
        """Return whether the lock says so of something else: of another command, or as it has taken this one."""
        is_taken = self._progress.has_word and error.number in NOTHING_MOVED
        return error.command not in (Command.LOCK_ACTION, 0) or is_taken
