"""How far one action has got: what the lock has said and shown of it since it was sent, and what was sent beside it.

`ActionProgress` hears every report of the lock, whoever asked for it, and asks for nothing itself but for the log.
What the reports tell is judged by `outcome.py`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from nuki_bridge.errors import NukiError
from nuki_bridge.lock.evidence import Evidence, Finding, Sent
from nuki_bridge.lock.exchange import Exchange
from nuki_bridge.lock.outcome import TIMER_ROUNDED_S, OutcomeUnknown, Traces
from nuki_bridge.lock.profile import Profile
from nuki_bridge.lock.rings import Rings
from nuki_bridge.protocol.codes import name_of
from nuki_bridge.protocol.common import BasicConfig, States
from nuki_bridge.store import PairedLock

ACTION_TIMEOUT_S = 120.0
"""From sending to the end: lock 'n' go with unlatch may hold the latch for 30 s and then wait 60 s before it locks."""
SIGHT_S = 5.0
"""Seconds after the last word over a lost link for which what the lock shows is still taken to be of this action."""
EARLY = 0.5
"""Part of the fastest answer over a link within which no report can be on account of what has just been sent."""


class ActionContext(Protocol):
    """What an action needs of its `Lock`."""

    name: str
    paired: PairedLock
    exchange: Exchange
    fault: NukiError | None
    """Why the lock cannot be used, if it cannot."""
    states: States | None
    config: BasicConfig | None
    runs: set[ActionProgress]
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

    def clock(self) -> float:
        """Seconds, counting through suspend."""

    def linked(
        self, deadline: float, *, skip_gdio: bool = False, on_turn: Callable[[float, float], float] | None = None
    ) -> AbstractAsyncContextManager[None]:
        """This task's turn, with the link up; see `Line.linked`."""

    async def link_up(self, deadline: float) -> None:
        """Connect, trying again until `deadline`; raises `TimedOut` or `AdapterUnavailable`."""

    async def fresh_nonce(self, deadline: float) -> bytes:
        """Return a challenge to send a command with; raises `TimedOut` at `deadline`."""

    async def read_states(self) -> States:
        """Ask the lock for its states."""

    async def refresh(self, timeout_s: float) -> States:
        """Read the states in a turn of its own."""

    def schedule_states(self) -> None:
        """Have the states read soon."""


class ActionProgress:
    """What is known of one action on its way; `begun` is called once, when the lock carries it out.

    From the sending on it is among `ActionContext.runs`.
    """

    def __init__(self, lock: ActionContext, action: int, begun: Callable[[], None] = lambda: None) -> None:
        self._lock = lock
        self.action = action
        self._tell_begun = begun
        self._is_told = False
        self.traces = Traces(lock.profile, action)
        """What the lock has shown of it since it was sent last."""
        self.sent: Sent | None = None
        """What is needed to find it in the log; None before it was sent."""
        self.give_up_at = math.inf
        """When it is not waited for any longer, on the lock's clock."""
        self.news = asyncio.Event()
        """Set with each report, and when another action has ended this one."""
        self.rivals: set[ActionProgress] = set()
        """Those that were sent since this one, and not refused."""
        self.guest_acted = False
        """A guest's command was passed on since this one was sent."""
        self.is_overtaken = False
        """Another action has ended it while it waited to lock."""
        self.has_word = False
        """The lock has said ACCEPTED of it."""
        self.before_word: States | None = None
        """The last report before that."""
        self._ends: set[ActionProgress] = set()  # those that it ends if the lock takes it
        self._ends_until = -math.inf  # until when they surely wait, on the lock's clock
        self._was_busy = False
        self._finding: Finding | None = None
        self._in_sight_until = math.inf

    # -- the sending --------------------------------------------------------------------------------------------------

    async def waiting(self) -> set[ActionProgress]:
        """Return the actions that wait to lock again, by what the lock says now: this one may end them.

        Raises as `ActionContext.read_states`.
        """
        watched = self._lock.runs - {self}
        if watched:
            asked_at = self._lock.clock()
            states = await self._lock.read_states()
            self._ends_until = asked_at + (states.lock_n_go_timer or 0) - TIMER_ROUNDED_S
            return {run for run in watched if run.traces.waits}
        return set()

    def begin(self, waiting: set[ActionProgress], suffix: str | None, *, refused: bool) -> None:
        """Begin the account of this action, which is about to be sent: nothing that the lock showed before counts."""
        self._ends, self.has_word, self.before_word, self.guest_acted = waiting, False, None, False
        lock, evidence = self._lock, self._lock.evidence
        states = lock.states
        crowded = self._was_busy or (states is not None and lock.profile.is_unsettled(states))
        opens = lock.config is not None and lock.config.auto_unlatch
        alias = lock.profile.auto_unlatch.get(self.action) if opens else None
        self.traces = Traces(lock.profile, self.action, crowded=crowded, alias=alias)
        self._finding, self._in_sight_until = None, math.inf
        self.give_up_at = lock.clock() + ACTION_TIMEOUT_S
        if self.sent is None:
            self.sent = evidence.sends(self.action, suffix)
        else:
            self.sent = evidence.sends_again(self.sent, refused=refused)
        lock.rings.acts(lock.profile, self.action)
        lock.runs.add(self)
        for run in lock.runs - {self}:
            run.rivals.add(self)

    def refused(self, *, busy: bool) -> None:
        """Note that the lock has not begun it: it is nobody's rival; `busy`: on account of another action."""
        for run in self._lock.runs:
            run.rivals.discard(self)
        self._was_busy |= busy

    @property
    def sent_at(self) -> float:
        """When it was sent last, on the lock's clock."""
        return self.give_up_at - ACTION_TIMEOUT_S

    # -- what the lock says and shows ---------------------------------------------------------------------------------

    def saw(self, states: States) -> None:
        """Take a report of the lock."""
        now, traces = self._lock.clock(), self.traces
        if now > self._in_sight_until:
            traces.sight_lost()
        if now - self.sent_at < self._lock.exchange.fastest_s * EARLY:
            traces.came_early(states)
        traces.saw(states)
        if traces.is_ours:
            self.has_begun()
        if self._in_sight_until < math.inf and not traces.is_blind and traces.shows_it_begun(states):
            self._in_sight_until = now + SIGHT_S  # it still turns for this action
        self.news.set()

    def link_lost(self) -> None:
        """Note that the link is gone that it was sent over; the lock was last heard over that."""
        self._in_sight_until = self._lock.exchange.last_message_at + SIGHT_S
        self.traces.link_lost()

    def accepted(self) -> None:
        """Note that the lock says that it carries it out."""
        if not self.has_word:
            self.before_word = self.traces.last
        self.traces.accepted = self.has_word = True
        self.has_begun()
        self._overtake(self._ends)

    def has_begun(self) -> None:
        """Tell, once, that the lock carries this action out."""
        if not self._is_told:
            self._is_told = True
            self._tell_begun()

    def completed(self) -> None:
        """Note that the lock has carried it out: those that it was to end and that do not wait any more have ended."""
        self._overtake({run for run in self._ends if not run.is_waiting})

    def may_be(self, action: int) -> bool:
        """Return whether the lock, when it speaks of `action`, may mean this one."""
        return self._lock.profile.reported_as(self.action, action)

    def _overtake(self, runs: set[ActionProgress]) -> None:
        """The lock has taken this action: those that surely still waited to lock have come to their end by it."""
        if self._lock.clock() < self._ends_until:
            for run in runs:
                run.is_overtaken = True
                run.news.set()

    # -- how things are -----------------------------------------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        """Whether the lock stands unlocked and is going to lock again, for this action."""
        last, profile = self.traces.last, self._lock.profile
        return self.action in profile.waits and last is not None and last.lock_state in profile.waiting

    async def find(self) -> Finding | None:
        """Return what the log proves, asked once for each sending."""
        if self._finding is None and self.sent is not None:
            self._finding = await self._lock.evidence.find(self.sent)
        return self._finding

    def still_moving(self) -> OutcomeUnknown:
        """Return the error for an action that is not over when it is given up."""
        last = self.traces.last
        state = "busy" if last is None else name_of(last.lock_state)
        return OutcomeUnknown(
            f"{name_of(self.action)} is not over {ACTION_TIMEOUT_S:g} s after it was sent; the lock is {state} now"
        )
