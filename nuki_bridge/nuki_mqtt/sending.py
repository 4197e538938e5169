"""Commands through a lock's own MQTT API: one at a time, sent once, with an outcome that is proven or called unknown.

`commandResponse` names no command, and the lock's events name no sender.  So both count only as long as nobody else was
seen commanding the lock; what the lock did is told by its states.  Nothing is ever sent again.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final

from nuki_bridge.errors import TimedOut
from nuki_bridge.lock.heard import What
from nuki_bridge.lock.outcome import SUCCESS, Outcome, OutcomeUnknown, failure
from nuki_bridge.lock.turn import exclusive
from nuki_bridge.nuki_mqtt import codes
from nuki_bridge.protocol.codes import Command, Completion, ErrorCode, open_enum
from nuki_bridge.protocol.messages import ErrorReport
from nuki_bridge.protocol.session import lock_error
from nuki_bridge.topics.topics import Publication

if TYPE_CHECKING:
    from nuki_bridge.lock.lock import Lock
    from nuki_bridge.nuki_mqtt.codes import LockActionEvent

log = logging.getLogger(__name__)

ANSWER_S: Final = codes.EXPIRY_S + 2.0
"""Seconds in which the lock must show that it has a command; the broker delivers none that is older than 10 s."""
ENDS_S: Final = 30.0
"""Seconds in which an action must have come to its end."""
WAITS_S: Final = 120.0
"""Seconds in which an action that waits before it locks must have."""
SETTLE_S: Final = 4.0
"""Seconds in which a lock that has taken a command begins to move, if it moves at all."""
RIVAL_S: Final = 15.0
"""Seconds for which somebody else's command may still be answered."""
ECHO_S: Final = 15.0
"""Seconds after a command of ours in which the lock's event about it may come."""
UNANSWERED_S: Final = 300.0
"""Seconds for which nothing is sent to a lock that has done nothing with a command."""
_SIMPLE: Final = {"lock": frozenset({2}), "unlock": frozenset({1, 3})}
"""What the simple commands may make the lock do."""


class Sent:
    """One command on its way, by what was heard since it was sent at `at`."""

    def __init__(
        self, lock: Lock, action: int, rivals: frozenset[int] | None, begun: Callable[[], None] = lambda: None
    ) -> None:
        self._begun = begun
        self.action = action
        self.at = lock.clock()
        self.news = asyncio.Event()
        self.echoed = False
        """Our own message has come back (MQTT 3.1.1)."""
        self._lock = lock
        self._profile = lock.profile
        self._rivals = rivals
        """What others were seen asking for, None if nobody was seen."""
        self._before = lock.heard.now(What.STATE)
        self._last: int | None = None
        self._moved = self._opened = self._waited = False
        self._crowded = rivals is not None
        """Somebody else was seen commanding the lock, or acting."""
        self._refusal: int | None = None
        self._taken_at: float | None = None

    # -- what is heard ------------------------------------------------------------------------------------------------

    def rival(self, actions: frozenset[int]) -> None:
        """Somebody else commands the lock."""
        self._rivals = actions | (self._rivals or frozenset())
        self._crowded = True
        if self._taken_at is None:
            self._refusal = None

    def responded(self, number: int | None) -> None:
        """The lock says how it took the last command: ours, if there is no other."""
        if self._rivals is not None or number is None:
            return
        if number:
            self._refusal = number
        else:
            self._take()
        self.news.set()

    def acted(self, event: LockActionEvent) -> bool:
        """The lock is about to act; gives whether that is for us, and surely for nobody else."""
        ours = event.is_mqtt and self._is_named(event.action) and event.action not in (self._rivals or ())
        if ours:
            self._take()
            self.news.set()
        else:
            self._crowded = True
        return ours

    def _is_named(self, action: int) -> bool:
        return action == self.action or action in self._profile.other_names.get(self.action, ())

    def saw(self, state: int) -> None:
        """The lock is in this state, since the command was sent."""
        profile = self._profile
        self._last = state
        self._moved |= state in profile.passes_through(self.action)
        self._opened |= state in profile.held
        self._waited |= state in profile.waiting
        self.news.set()

    def _take(self) -> None:
        if self._taken_at is None:
            self._taken_at = self._lock.clock()
            self._begun()

    # -- what it means ------------------------------------------------------------------------------------------------

    @property
    def is_taken(self) -> bool:
        """Whether the lock is proven to have it."""
        return self._taken_at is not None

    @property
    def is_waiting(self) -> bool:
        """Whether the lock has it, and stands unlocked for it before it locks."""
        return self.is_taken and self._last in self._profile.waiting and self.action in self._profile.waits

    @property
    def has_sign(self) -> bool:
        """Whether the lock has shown anything since."""
        return self.is_taken or self._last is not None or self._refusal is not None

    def verdict(self) -> Outcome | None:
        """Return the outcome, None as long as it is not proven; raises `LockError` if the lock refused or failed."""
        if self._refusal is not None:
            raise lock_error(ErrorReport(error=open_enum(ErrorCode, self._refusal), failed_command=Command.LOCK_ACTION))
        if self._taken_at is None:
            return None
        profile, state = self._profile, self._last
        if state is not None and state == profile.blocked and not self._crowded:
            raise failure(Completion.MOTOR_BLOCKED)
        if self._is_done():
            return Outcome(SUCCESS, None)
        return None

    def _is_done(self) -> bool:
        profile, action, state = self._profile, self.action, self._last
        if action in profile.targets:
            where = profile.targets[action]
            if state is not None:
                has_led = self._moved or self._before not in where or self._is_settled()
                return state in where and has_led
            return self._before in where and self._is_settled()
        if self._crowded or state is None:
            return False
        rests = state in profile.rests.get(action, ())
        if action in profile.opens:
            return self._opened or (self._moved and rests)
        return rests and (self._moved or self._waited)

    def _is_settled(self) -> bool:
        assert self._taken_at is not None
        return self._lock.clock() >= self._taken_at + SETTLE_S

    @property
    def next_at(self) -> float:
        """When there may be a verdict without anything new."""
        return math.inf if self._taken_at is None or self._is_settled() else self._taken_at + SETTLE_S

    def words(self) -> str:
        """Return what is known, for whoever asked."""
        state = self._lock.heard.now(What.STATE)
        word = "of unknown state" if state is None else self._profile.state_word(state)
        return f"{self._profile.action_word(self.action)} was sent through the lock's MQTT API; the lock is {word} now"


class Sender:
    """Sends commands to one lock.

    `publish` tells whether the broker will get a message, `protocol` is the MQTT version, None without a broker.
    `on_unanswered` is told that the lock did nothing with a command.
    """

    def __init__(
        self,
        lock: Lock,
        publish: Callable[[Publication], bool],
        protocol: Callable[[], str | None],
        on_unanswered: Callable[[], None],
    ) -> None:
        self._lock = lock
        self._publish = publish
        self._protocol = protocol
        self._on_unanswered = on_unanswered
        self._busy = asyncio.Lock()
        self._sent: Sent | None = None
        self._rivals: frozenset[int] = frozenset()  # not answered yet
        self._rival_at = -math.inf
        self._ended: Sent | None = None
        self._ended_at = -math.inf
        self._unanswered_at = -math.inf

    @property
    def may_send(self) -> bool:
        """Whether there is hope that the lock takes a command."""
        return self._protocol() is not None and self._lock.clock() >= self._unanswered_at + UNANSWERED_S

    # -- what is heard ------------------------------------------------------------------------------------------------

    def reconnected(self) -> None:
        """The lock has connected to the broker anew: its settings may be others."""
        self._unanswered_at = -math.inf

    def commanded(self, name: str, payload: bytes) -> None:
        """Somebody commands the lock: ourselves, as MQTT 3.1.1 brings that back, or somebody else."""
        sent, number = self._sent, codes.read_number(payload)
        if name == codes.LOCK_ACTION and sent is not None and not sent.echoed and self._protocol() != "5":
            sent.echoed = number == sent.action
            if sent.echoed:
                return
        any_action = codes.sendable(self._lock.profile)
        told = frozenset() if number is None else frozenset({number})
        actions = _SIMPLE.get(name, told) or any_action
        now = self._lock.clock()
        fresh = now < self._rival_at + RIVAL_S
        self._rivals, self._rival_at = actions | (self._rivals if fresh else frozenset()), now
        if sent is not None:
            sent.rival(actions)

    def responded(self, number: int | None) -> None:
        """The lock says how it took the last command."""
        self._unanswered_at = -math.inf
        if self._sent is not None:
            self._sent.responded(number)
        else:
            self._rival_at = -math.inf

    def is_echo(self, event: LockActionEvent) -> bool:
        """Take an event of the lock; return whether it is about a command of ours."""
        sent, now = self._sent, self._lock.clock()
        if event.is_mqtt:
            self._unanswered_at = -math.inf
        if sent is not None:
            return sent.acted(event)
        ended = self._ended
        return ended is not None and now < self._ended_at + ECHO_S and event.is_mqtt and event.action == ended.action

    def saw(self, state: int, at: float) -> None:
        """The lock was in this state at that moment, or later."""
        if self._sent is not None and at >= self._sent.at:
            self._sent.saw(state)

    # -- sending ------------------------------------------------------------------------------------------------------

    def give_up(self) -> None:
        """Nobody listens any more: what is under way ends without a proof when its time is over."""
        self._unanswered_at = self._lock.clock()

    async def idle(self, deadline: float) -> None:
        """Wait until no command is under way here; raises `TimedOut`."""
        async with self._turn(deadline):
            pass

    def _turn(self, deadline: float) -> AbstractAsyncContextManager[None]:
        return exclusive(self._busy, deadline - self._lock.clock(), "the lock was busy with an earlier command")

    async def perform(
        self, action: int, deadline: float, check: Callable[[], None], begun: Callable[[], None] = lambda: None
    ) -> Outcome:
        """Send one action and return its outcome; `check` raises if it may not be sent after all.

        `begun` is called once, when the lock has proven to have it.

        Raises `TimedOut` if it was not sent, `OutcomeUnknown` if nothing proves what became of it, and as `verdict`.
        """
        async with self._turn(deadline):
            check()
            left_s = deadline - self._lock.clock()
            if left_s < 1 or not self.may_send:
                raise TimedOut("the lock could not be reached within the deadline")
            rivals = self._rivals if self._lock.clock() < self._rival_at + RIVAL_S else None
            before, sent = self._sent, Sent(self._lock, action, rivals, begun)
            self._sent = sent
            if before is not None:
                before.news.set()
            try:
                if not self._publish(
                    Publication(
                        codes.topic(self._lock.paired.nuki_id, codes.LOCK_ACTION),
                        codes.number(action),
                        qos=codes.VENDOR_QOS,
                        expiry_s=min(codes.EXPIRY_S, int(left_s)),
                    )
                ):
                    raise TimedOut("the command could not be sent: the broker is away")
                outcome = await self._follow(sent, give_way=True)
            except BaseException:
                self._over(sent)
                raise
        try:  # lock 'n' go stands unlocked for up to a minute, and others may command the lock meanwhile
            outcome = outcome or await self._follow(sent)
            assert outcome is not None
            return outcome
        finally:
            self._over(sent)

    def _over(self, sent: Sent) -> None:
        if self._sent is sent:
            self._sent, self._ended, self._ended_at = None, sent, self._lock.clock()

    async def _follow(self, sent: Sent, *, give_way: bool = False) -> Outcome | None:
        """Return the outcome; with `give_way` None as soon as the lock only waits to lock again."""
        lock = self._lock
        longest_s = WAITS_S if sent.action in lock.profile.waits else ENDS_S
        while True:
            outcome = sent.verdict()
            if outcome is not None:
                return outcome
            if self._sent is not sent:
                break  # another command came while it waited
            if give_way and sent.is_waiting:
                return None
            until = sent.at + (longest_s if sent.is_taken else ANSWER_S)
            if lock.clock() >= until:
                break
            sent.news.clear()
            try:
                async with asyncio.timeout(min(until, sent.next_at) - lock.clock()):
                    await sent.news.wait()
            except TimeoutError:
                pass
        if not sent.has_sign:
            self._unanswered_at = lock.clock()
            self._on_unanswered()
        raise OutcomeUnknown(sent.words())
