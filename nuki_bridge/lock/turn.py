"""Whose turn it is at a lock's one link, and sending again what the lock has refused.

People come first: a command or request waits for whoever holds the turn at that moment and for those that people asked
for before.  Then guests, whose frames the relay passes on one turn at a time.  What the bridge reads by itself comes
last, and gives way between two exchanges (`Turn.is_wanted`).  Nobody is put off for ever: who has waited for
`PATIENCE_S` goes up one rank.  As the guests of a lock stand in line once for all of them, a command waits for one
guest's turn at most all the same.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from nuki_bridge.errors import LockError, TimedOut
from nuki_bridge.protocol.codes import ErrorCode

PATIENCE_S = 10.0
"""Seconds of waiting after which a rank counts as the one above; two thirds of a command's deadline."""
BUSY_PAUSE_S = 1.0
"""Seconds before a request is sent again to a lock that was busy."""

T = TypeVar("T")
Challenges = Callable[[], Awaitable[bytes]]
"""Return a fresh challenge each time."""


class Rank(enum.IntEnum):
    """Who wants the turn; lower ones come first."""

    PERSON = 0
    """Somebody's command or request."""
    GUEST = 1
    """A guest's frames."""
    BRIDGE = 2
    """What the bridge does by itself."""


acting_for: ContextVar[Rank] = ContextVar("acting_for", default=Rank.PERSON)
"""For whom the present task acts; set by tasks that live as long as the bridge."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A task in the line, since when (on the turn's clock)."""

    task: asyncio.Task[Any] | None
    rank: Rank
    since: float
    called: asyncio.Future[None]

    def place(self, now: float) -> int:
        """Return the rank that counts."""
        return max(self.rank - int((now - self.since) / PATIENCE_S), Rank.PERSON)


class Turn:
    """Held by one task at a time; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._holder: Rank | None = None
        self._place: int = Rank.PERSON  # the rank that counts, at which the holder has got it
        self._task: asyncio.Task[Any] | None = None
        self._line: list[_Waiting] = []

    @property
    def holder(self) -> Rank | None:
        """Who holds it, None if nobody does."""
        return self._holder

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits who comes before the holder, unless that has waited for so long itself."""
        return self._holder is not None and any(each.rank < self._place for each in self._line)

    @property
    def is_wanted_by_people(self) -> bool:
        """Whether somebody other than the bridge waits, a guest or not."""
        return any(each.rank < Rank.BRIDGE for each in self._line)

    async def acquire(self, rank: Rank, timeout_s: float | None = None) -> None:
        """Wait for the turn; raises `TimeoutError`."""
        if self._holder is None:
            self._holder, self._place, self._task = rank, rank, asyncio.current_task()
            return
        called = asyncio.get_running_loop().create_future()
        waiting = _Waiting(asyncio.current_task(), rank, self._clock(), called)
        self._line.append(waiting)
        try:
            async with asyncio.timeout(None if timeout_s is None else max(timeout_s, 0.0)):
                await called
        except BaseException:
            if waiting in self._line:
                self._line.remove(waiting)
            else:
                self.release()  # it was called just before it gave up
            raise

    def release(self) -> None:
        """Leave it to whoever comes next; does nothing for a task that does not hold it."""
        if self._holder is None or self._task is not asyncio.current_task():
            return
        self._holder = self._task = None
        now = self._clock()
        # of several in one place the first that came; one that is giving up is passed over
        first = min(
            (each for each in self._line if not each.called.done()), key=lambda each: each.place(now), default=None
        )
        if first is not None:
            self._line.remove(first)
            self._holder, self._place, self._task = first.rank, first.place(now), first.task
            first.called.set_result(None)

    async def step_aside(self, timeout_s: float) -> None:
        """Let those go first that come before the holder, who must have nothing under way.

        Raises `TimeoutError` if the turn does not come back; it is not held then.
        """
        rank = self._holder
        if rank is not None and self.is_wanted:
            self.release()
            await self.acquire(rank, timeout_s)


class TurnRefusals:
    """What the lock has refused of one command so far, which is to be sent by `deadline` (on `clock`, in seconds)."""

    def __init__(self, clock: Callable[[], float], deadline: float) -> None:
        self._clock = clock
        self._deadline = deadline
        self._of_challenge = False

    async def allow_another(self, error: LockError) -> bool:
        """Return whether what was refused with `error` may be sent again now.

        Once if the lock refused the challenge, and each time that it was busy, after `BUSY_PAUSE_S`, as long as that
        leaves time before the deadline.  Neither has moved or changed anything.
        """
        if error.number == ErrorCode.BAD_NONCE and not self._of_challenge:
            self._of_challenge = True  # the one in hand was outdated
            return True
        if error.number == ErrorCode.BUSY and self._clock() + BUSY_PAUSE_S < self._deadline:
            await asyncio.sleep(BUSY_PAUSE_S)
            return True
        return False


@asynccontextmanager
async def exclusive(turn: asyncio.Lock, timeout_s: float, otherwise: str) -> AsyncIterator[None]:
    """Hold `turn`; raises `TimedOut` with `otherwise`, which says what was under way, if it is not free in time."""
    try:
        async with asyncio.timeout(max(timeout_s, 0.0)):
            await turn.acquire()
    except TimeoutError:
        raise TimedOut(f"{otherwise} until the deadline") from None
    try:
        yield
    finally:
        turn.release()


async def with_challenge(
    send: Callable[[bytes], Awaitable[T]],
    challenge: Challenges,
    clock: Callable[[], float],
    deadline: float,
) -> T:
    """Return what `send`, given a fresh challenge (32 bytes), gives.

    What the lock has not taken is sent again as `TurnRefusals` allow.  Others are raised, also those of `challenge`.
    An action does not go this way: before each sending it asks for more than a challenge, and it has to know of each.
    """
    refusals = TurnRefusals(clock, deadline)
    while True:
        nonce = await challenge()
        try:
            return await send(nonce)
        except LockError as error:
            if not await refusals.allow_another(error):
                raise
