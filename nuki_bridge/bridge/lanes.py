"""Commands by their topic: whose turn it is at a lock, and what becomes of a flood.

The broker does not tell who has published a command, so nobody's share can be measured.  What can be told apart is the
topic: a program that runs away commands the same thing again and again.  Its topic is shut until it has been quiet
there, what waits from it is given up, and everything on other topics passes.  What was refused is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from nuki_bridge.errors import RequestError, TimedOut

log = logging.getLogger(__name__)

MAX_COMMANDS = 20
"""Most commands of one topic that may be under way or wait; more are refused."""
MAX_OF_LOCK = 3 * MAX_COMMANDS
"""Most commands on all topics of one lock, or of the bridge, that may be under way or wait; more are refused."""
AT_ONCE = 3
"""Commands that are handed to one lock at once: a lock 'n' go takes a minute, and others go through meanwhile."""
CROWDED = 10
"""Waiting commands of one topic above which those of other topics go first; below it the order of arrival counts."""
MOST = 100
"""Messages that may come on one topic within `WITHIN_S`; one more is a flood."""
WITHIN_S = 10.0
"""Seconds over which the messages on one topic are counted."""
MOST_REFUSED = 20
"""Refusals on one topic, because too many commands wait, within `REFUSED_WITHIN_S` that are a flood, too."""
REFUSED_WITHIN_S = 30.0
"""Seconds over which such refusals are counted."""
QUIET_S = 5.0
"""Seconds without a message on its topic after which a flood is over."""
TELL_S = 60.0
"""Seconds between lines in the log that say how many commands were refused."""
ANSWER_S = 5.0
"""Seconds between answers to refused commands in a flood."""


class Lane:
    """What comes on one topic, `name`; `on_flood` is told when a flood begins there, `clock` gives seconds."""

    def __init__(self, name: str, clock: Callable[[], float], on_flood: Callable[[Lane], None]) -> None:
        self.name = name
        self.commands = 0
        """Commands that are under way or wait."""
        self.floods = 0
        """Floods so far: a command that was taken before the last one and has not had its turn is given up."""
        self.waiting: set[asyncio.Future[None]] = set()
        self._clock = clock
        self._on_flood = on_flood
        self._arrivals: deque[float] = deque(maxlen=MOST)
        self._refusals: deque[float] = deque(maxlen=MOST_REFUSED)
        self._last = 0.0
        self._refused: int | None = None  # in this flood
        self._answered_at = 0.0

    @property
    def flooded(self) -> bool:
        """Whether nothing that comes is carried out."""
        return self._refused is not None and self._clock() - self._last < QUIET_S

    def arrives(self) -> bool:
        """Count a message that has come; return whether it may be carried out."""
        now = self._clock()
        if self.flooded:
            self._last = now
            self._refused = (self._refused or 0) + 1
            return False
        self._last = now
        if len(self._arrivals) == MOST and now - self._arrivals[0] < WITHIN_S:
            self._begin()
            return False
        self._arrivals.append(now)
        return True

    def left(self, _task: object) -> None:
        """Take note that a command has ended."""
        self.commands -= 1

    def refused(self) -> None:
        """Count a message that was refused because too many commands wait."""
        now = self._clock()
        self._refusals.append(now)
        if len(self._refusals) == MOST_REFUSED and now - self._refusals[0] < REFUSED_WITHIN_S:
            self._begin()

    def answers(self) -> bool:
        """Return whether the message that was just refused in a flood is to be answered: the first is, then few are."""
        if self._clock() - self._answered_at < ANSWER_S:
            return False
        self._answered_at = self._clock()
        return True

    def _begin(self) -> None:
        self._refused = 1
        self.floods += 1
        self._answered_at = self._clock() - ANSWER_S
        self._arrivals.clear()
        self._refusals.clear()
        for each in list(self.waiting):
            if not each.done():
                each.set_exception(_given_up())
        self._on_flood(self)

    async def tell(self) -> None:
        """Say in the log how a flood goes on, and when it is over."""
        log.warning(
            "too many commands come on %s; none there is carried out until nothing came for %g s", self.name, QUIET_S
        )
        told, told_at = 0, self._clock()
        while self.flooded:
            await asyncio.sleep(max(min(self._last + QUIET_S, told_at + TELL_S) - self._clock(), 0.001))
            if self.flooded and self._clock() >= told_at + TELL_S:
                log.warning("%d more commands on %s were refused", (self._refused or 0) - told, self.name)
                told, told_at = self._refused or 0, self._clock()
        log.info("no more come on %s; %d commands were refused", self.name, self._refused or 0)
        self._refused = None


def _given_up() -> RequestError:
    return RequestError("too_many_requests", "this command waited and was given up, because too many more came")


class CommandQueue:
    """The commands of one lock that wait to be handed to it."""

    def __init__(self) -> None:
        self._free = AT_ONCE
        self._waiting: list[tuple[Lane, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def turn(self, lane: Lane, floods: int, timeout_s: float) -> AsyncIterator[None]:
        """Hold the turn of a command of `lane` that was taken after so many `floods`.

        Raises `TimedOut`, or `RequestError` if the command is given up in another flood.
        """
        if lane.floods != floods:
            raise _given_up()
        if self._free:
            self._free -= 1
        else:
            await self._wait(lane, timeout_s)
        try:
            yield
        finally:
            self._next()

    async def _wait(self, lane: Lane, timeout_s: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((lane, turn))
        lane.waiting.add(turn)
        try:
            async with asyncio.timeout(timeout_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._next()  # it was given the turn at the moment in which it was given up
            if isinstance(error, TimeoutError):
                raise TimedOut("the lock was busy with earlier commands until the deadline") from None
            raise
        finally:
            self._waiting = [each for each in self._waiting if each[1] is not turn]
            lane.waiting.discard(turn)

    def _next(self) -> None:
        """Give the turn that has become free to who is next."""
        open_ones = [(lane, turn) for lane, turn in self._waiting if not turn.done()]
        if not open_ones:
            self._free += 1
            return
        _, turn = next((each for each in open_ones if len(each[0].waiting) <= CROWDED), open_ones[0])
        turn.set_result(None)
