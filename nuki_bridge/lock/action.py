"""One lock action, from the challenge to its true outcome.

A nonce serves once, and an action whose answer got lost is never repeated blindly: the lock is asked for its state
first.  Only if that proves that nothing happened, and the action merely leads to a state, is it sent once more.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from nuki_bridge.errors import LinkError, LockError, NukiError, ProtocolError, TimedOut
from nuki_bridge.lock.exchange import CONNECT_TIMEOUT_S, Exchange
from nuki_bridge.lock.outcome import TARGETS, NotExecuted, Outcome, OutcomeUnknown, Verdict, ended, judge, settled
from nuki_bridge.lock.retry import RECONNECT_S
from nuki_bridge.protocol.codes import MOVING_STATES, Action, ErrorCode, LockState, StatusCode, name_of
from nuki_bridge.protocol.messages import KeyturnerStates, LockAction, Status
from nuki_bridge.store import PairedLock

log = logging.getLogger(__name__)

ACTION_TIMEOUT_S = 120.0
"""From sending to the end: lock 'n' go with unlatch may hold the latch for 30 s and then wait 60 s before it locks."""
QUIET_S = 10.0
"""Silence during an accepted action after which the lock is asked for its states."""
COMPLETE_TIMEOUT_S = 3.0
"""How long COMPLETE may stay away after a final state; some devices never send it."""
RESOLVE_TIMEOUT_S = 30.0
"""How long a lock is sought after an answer got lost."""
POLL_S = 1.0
"""Between the first two readings of a lock that is moving."""
POLL_GROWTH = 1.5
"""How much longer each pause after that is, up to `QUIET_S`: an action takes seconds, a stuck lock is spared."""
BUSY_PAUSE_S = 1.0
"""Before an action is sent again to a lock that said it was busy."""

UNSETTLED_STATES = MOVING_STATES | {LockState.UNLATCHED, LockState.UNLOCKED_LOCK_N_GO}
"""States that the lock leaves by itself before long."""


class Reach(Protocol):
    """What an action needs of its `Lock`, whose turn it holds."""

    name: str
    paired: PairedLock
    exchange: Exchange
    states: KeyturnerStates | None

    def clock(self) -> float:
        """Seconds, counting through suspend."""

    async def link_up(self, deadline: float) -> None:
        """Connect, trying again until `deadline`; raises `TimedOut` or `AdapterUnavailable`."""

    async def fresh_nonce(self, deadline: float) -> bytes:
        """A challenge to send a command with; raises `TimedOut` at `deadline`."""

    async def read_states(self) -> KeyturnerStates:
        """Ask the lock for its states."""


class ActionRun:
    """One lock action on its way; `deadline` (on the lock's clock) bounds the sending, not the motor."""

    def __init__(self, lock: Reach, action: Action, deadline: float, suffix: str | None) -> None:
        self._lock = lock
        self._action = action
        self._deadline = deadline
        self._suffix = suffix

    async def run(self) -> Outcome:
        """Carry the action out; raises as `Lock.perform`."""
        lock, action, deadline = self._lock, self._action, self._deadline
        refused_nonce = False
        while True:
            nonce = await lock.fresh_nonce(deadline)
            before, sent_at = lock.states, lock.clock()
            try:
                return await self._send_and_follow(nonce)
            except LockError as error:
                if error.number == ErrorCode.BAD_NONCE and not refused_nonce:
                    refused_nonce = True  # it moved nothing; the challenge in hand was outdated
                elif error.number == ErrorCode.BUSY and lock.clock() + BUSY_PAUSE_S < deadline:
                    await asyncio.sleep(BUSY_PAUSE_S)
                else:
                    raise
            except (LinkError, ProtocolError) as lost:
                outcome = await self._resolve(before, lost, sent_at + ACTION_TIMEOUT_S)
                if outcome is not None:
                    return outcome
                if action not in TARGETS or lock.clock() >= deadline:
                    raise NotExecuted("the lock did not carry the action out; its answer got lost") from lost
                log.info("%s: %s was not carried out; sending it again", lock.name, name_of(action))

    async def _send_and_follow(self, nonce: bytes) -> Outcome:
        """Send the action and follow it to its end, in every variant that locks are known for.

        ACCEPTED may come twice or not at all, COMPLETE may stay away after the final state.  Raises `LinkError` or
        `ProtocolError` if the answer got lost: whether the motor turned is open then.
        """
        lock, action, exchange = self._lock, self._action, self._lock.exchange
        await exchange.send(
            LockAction(action=action, app_id=lock.paired.app_id, flags=0, name_suffix=self._suffix, nonce=nonce)
        )
        accepted = reported = False
        rested: KeyturnerStates | None = None
        quiet_s = exchange.reply_timeout_s
        give_up_at = lock.clock() + ACTION_TIMEOUT_S
        while lock.clock() < give_up_at:
            try:
                answer = await exchange.receive(quiet_s)
            except TimedOut:
                if not accepted:
                    raise
                states = await lock.read_states()
                if states.lock_state not in UNSETTLED_STATES:
                    if not settled(action, states) and rested is not None:
                        return ended(action, rested, reported=True)  # it got there, and was turned on since
                    if not settled(action, states):
                        state = name_of(states.lock_state)
                        raise LockError("incomplete", f"the lock accepted the action, but it is {state} now") from None
                    return ended(action, states, reported=True)
                quiet_s = QUIET_S
                continue
            if isinstance(answer, KeyturnerStates):
                reported = True
                if answer.lock_state in TARGETS.get(action, ()) and settled(action, answer):
                    rested = answer
                quiet_s = QUIET_S if answer.lock_state in UNSETTLED_STATES else COMPLETE_TIMEOUT_S
            elif isinstance(answer, Status) and answer.status == StatusCode.ACCEPTED:
                accepted = True
                quiet_s = max(quiet_s, QUIET_S)
            elif isinstance(answer, Status):
                states = lock.states if reported and lock.states else await lock.read_states()
                return ended(action, states, reported=reported)
        raise OutcomeUnknown(f"the lock is still moving {ACTION_TIMEOUT_S:g} s after it accepted the action")

    async def _resolve(self, before: KeyturnerStates | None, lost: NukiError, give_up_at: float) -> Outcome | None:
        """Find out what became of an action whose answer got lost: reconnect and ask for the states.

        None if the lock proves that it did nothing.  The nonce of the lost action is dead by then: the lock knows only
        the last one it issued, and a new connection starts with a new one.  Raises `OutcomeUnknown`, also if the lock
        still reports movement at `give_up_at`.
        """
        lock, action = self._lock, self._action
        log.info("%s: %s; asking the lock what became of %s", lock.name, lost, name_of(action))
        await lock.exchange.drop()
        deadline = lock.clock() + RESOLVE_TIMEOUT_S
        done, pause_s = False, POLL_S
        while True:
            try:
                await lock.link_up(deadline)
                states = await lock.read_states()
            except (LinkError, ProtocolError) as error:
                if lock.clock() >= deadline:
                    raise OutcomeUnknown(
                        f"{name_of(action)} was sent, but the answer got lost and the lock cannot be asked: {error}"
                    ) from lost
                await asyncio.sleep(RECONNECT_S[0])
                continue
            verdict = judge(action, before, states)
            done = done or verdict is Verdict.DONE
            moving = states.lock_state in MOVING_STATES
            if not moving or lock.clock() >= give_up_at:
                break
            deadline = max(deadline, lock.clock() + pause_s + CONNECT_TIMEOUT_S)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * POLL_GROWTH, QUIET_S)
        if done and not moving and settled(action, states):
            return ended(action, states, reported=True)
        if done or moving or verdict is Verdict.UNKNOWN:
            state = name_of(states.lock_state)
            raise OutcomeUnknown(
                f"{name_of(action)} was sent, but the answer got lost; the lock is {state} now"
            ) from lost
        return None
