"""The lock asked what became of an action of which it says no more: its answer got lost, or lock 'n' go waits.

The states that it tells are judged by `outcome.py`; its log proves the rest, or nothing does.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from nuki_bridge.errors import LinkError, LockError, NukiError, ProtocolError, UnexpectedMessage
from nuki_bridge.lock.evidence import QUEUE_S
from nuki_bridge.lock.exchange import CONNECT_TIMEOUT_S
from nuki_bridge.lock.outcome import SUCCESS, Outcome, OutcomeUnknown, failure
from nuki_bridge.lock.progress import ActionContext, ActionProgress
from nuki_bridge.lock.retry import RECONNECT_S
from nuki_bridge.protocol.codes import Completion, ErrorCode, name_of
from nuki_bridge.protocol.common import States

log = logging.getLogger(__name__)

QUIET_S = 10.0
"""Seconds of silence during an accepted action after which the lock is asked for its states."""
RESOLVE_TIMEOUT_S = 30.0
"""Seconds for which a lock is sought after an answer got lost."""
RETRY_S = 3.0
"""Longest pause in seconds before a lock that did not answer, or answered something else, is asked again."""
POLL_S = 1.0
"""Seconds between the first two readings of a lock that is moving."""
POLL_GROWTH = 1.5
"""Factor by which the pause between readings grows, up to `QUIET_S`: an action takes seconds, a stuck lock is
spared."""


class Inquiry:
    """What became of one action, asked of the lock; under this task's turn, but for `watch`."""

    def __init__(self, lock: ActionContext, progress: ActionProgress) -> None:
        self._lock = lock
        self._progress = progress

    async def read_states(self) -> States:
        """Ask for the states over the link that is up; a refusal of that says nothing of the action.

        Raises `OutcomeUnknown` at once if the lock does not accept us any more.
        """
        try:
            return await self._lock.read_states()
        except LockError as error:
            name = name_of(self._progress.action)
            if error.number in (ErrorCode.NOT_AUTHORIZED, ErrorCode.DISABLED):
                raise OutcomeUnknown(f"{name} was sent, but cannot be asked after: {error}") from error
            raise UnexpectedMessage(f"the lock does not tell its states: {error}") from error

    async def was_idle(self, lost: NukiError) -> bool:
        """Seek a lock whose answer got lost, and wait until it rests; True if its log proves that it did nothing.

        The nonce of the lost action is dead by then: the lock knows only the last one it issued, and a new connection
        starts with a new one.  Raises `OutcomeUnknown`, also if the lock still reports movement in the end.
        """
        lock, progress, action, traces = self._lock, self._progress, self._progress.action, self._progress.traces
        log.info("%s: %s; asking the lock what became of %s", lock.name, lost, name_of(action))
        await lock.exchange.drop()
        progress.link_lost()
        sought_until, pause_s = lock.clock() + RESOLVE_TIMEOUT_S, POLL_S
        has_waited, retry_s = False, RECONNECT_S[0]
        while True:
            try:
                await lock.link_up(sought_until)
                states = await self.read_states()
            except (LinkError, ProtocolError) as error:
                if lock.clock() >= min(sought_until, progress.give_up_at):
                    raise OutcomeUnknown(
                        f"{name_of(action)} was sent, but the answer got lost and the lock cannot be asked: {error}"
                    ) from lost
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, RETRY_S)
                continue
            if traces.waits:
                return False
            # Nobody waits for another one's lock 'n' go.
            if progress.is_waiting or not lock.profile.is_passing(action, states):
                if has_waited or traces.restless or lock.clock() >= progress.sent_at + QUEUE_S:
                    break
                has_waited = True  # the lock may have the action and not have begun
                sought_until = max(sought_until, lock.clock() + QUEUE_S + CONNECT_TIMEOUT_S)
                await asyncio.sleep(progress.sent_at + QUEUE_S - lock.clock())
                continue
            if lock.clock() >= progress.give_up_at:
                raise progress.still_moving() from lost
            sought_until = max(sought_until, lock.clock() + pause_s + CONNECT_TIMEOUT_S)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * POLL_GROWTH, QUIET_S)
        if traces.is_ours or traces.restless:
            return False
        finding = await progress.find()
        return finding is not None and finding.completion is None and not traces.restless

    async def outcome(self, lost: NukiError | None = None) -> Outcome:
        """Return the outcome of an action that is over: by its states if the lock has taken it, or else by the log.

        Raises as `Lock.perform`.
        """
        progress, traces = self._progress, self._progress.traces
        states = traces.last
        assert states is not None
        if traces.accepted and not traces.is_lost:
            with suppress(OutcomeUnknown):
                return traces.ended(states)
        finding = None if progress.rivals else await progress.find()
        completion = None if finding is None else finding.completion
        if finding is not None and completion == Completion.SUCCESS:
            profile = self._lock.profile
            is_at_rest = states.lock_state in profile.rests.get(progress.action, ())
            if progress.action in profile.waits and not (is_at_rest and finding.is_newest):
                completion = None  # some firmware writes so while it stands unlocked
            else:
                return Outcome(SUCCESS, states)
        if completion is not None and completion != Completion.SUCCESS:
            raise failure(completion)
        try:
            return self._ended(states)
        except OutcomeUnknown as unknown:
            raise unknown from lost

    # -- without the turn ---------------------------------------------------------------------------------------------

    async def watch(self) -> Outcome:
        """Follow an action that waits to lock again, while others have the turn; raises as `Lock.perform`."""
        lock, progress, traces, pause_s = self._lock, self._progress, self._progress.traces, POLL_S
        while lock.clock() < progress.give_up_at:
            if progress.is_overtaken:
                raise LockError("canceled", "another command ended the action while it waited to lock")
            last = traces.last
            is_told_of = progress.rivals & lock.runs  # what is under way may tell more of this one's end
            is_over = last is not None and (traces.is_over or not lock.profile.is_passing(progress.action, last))
            if is_over and not is_told_of:
                return await self._after_watch()
            progress.news.clear()
            try:
                async with asyncio.timeout(pause_s):
                    await progress.news.wait()
            except TimeoutError:
                pause_s = min(pause_s * POLL_GROWTH, QUIET_S)
                try:
                    await lock.refresh(RESOLVE_TIMEOUT_S)
                except NukiError as error:
                    log.debug("%s: %s; asking again", lock.name, error)
        raise progress.still_moving()

    async def _after_watch(self) -> Outcome:
        """As `outcome`, with the turn if the log can tell: the states may be of another one of the same name."""
        progress, lock = self._progress, self._lock
        last = progress.traces.last
        assert last is not None
        if not progress.rivals and progress.sent is not None and lock.evidence.may_tell(progress.sent):
            with suppress(LinkError):
                async with lock.linked(lock.clock() + RESOLVE_TIMEOUT_S):
                    return await self.outcome()
        return self._ended(last)

    def _ended(self, states: States) -> Outcome:
        """As `Traces.ended`; but the end of lock 'n' go may be that of another one that was sent since."""
        progress, traces = self._progress, self._progress.traces
        waits = progress.action in self._lock.profile.waits
        if (
            waits
            and (progress.rivals or progress.guest_acted)
            and (states.last_action is None or traces.names_it(states))
        ):
            name, state = name_of(progress.action), name_of(states.lock_state)
            raise OutcomeUnknown(f"{name} waited to lock when another was sent; the lock is {state}")
        return traces.ended(states)
