"""One movement for one command, though the clients of this interface give up after five seconds and ask again.

Nothing in a call tells that it is another one's repetition.  So while an action is under way at a lock, the same one
joins it and gets its outcome, whoever asks; and an outcome that nobody took, because the client had hung up, is kept a
few seconds for the same client, who gets it in place of a second movement.  Another action waits a few seconds for the
first to end, because most clients give a command up that is refused as busy; only a lock 'n' go that waits at the open
door holds up nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from nuki_bridge.bridge_http.commands import DONE, Commands, Ended
from nuki_bridge.records import frozen

log = logging.getLogger(__name__)

KEPT_S = 10.0
"""Seconds for which an outcome that nobody took is kept for the client that had asked."""
MAX_KEPT = 32
"""Most outcomes that are kept."""
QUEUE_S = 5.0
"""Seconds for which an action waits for another one at the same lock."""
_WAITING = (("lock_n_go",), ("lock_n_go_unlatch",))

Steps = tuple[str, ...]
"""Actions by our names, one after the other."""


class Busy(Exception):
    """Another action is under way at this lock, and nothing was done; 503 to the client."""


@frozen
class _Kept:
    outcome: Ended
    until: float


class Turns:
    """The actions at all locks; `clock` gives seconds."""

    def __init__(self, commands: Commands, clock: Callable[[], float]) -> None:
        self._commands = commands
        self._clock = clock
        self._under_way: dict[tuple[str, Steps], asyncio.Task[Ended]] = {}
        self._kept: dict[tuple[str, Steps, str], _Kept] = {}

    def acts(self, lock: str) -> bool:
        """Return whether an action is under way at this lock."""
        return any(name == lock for name, _ in self._under_way)

    async def begin(self, lock: str, steps: Steps, client: str, gone: asyncio.Event) -> asyncio.Future[Ended]:
        """Begin an action, or join the same one, once no other is in the way; raises `Busy`.

        Whoever hangs up (`gone`) while it waits calls it off, and later leaves it under way.
        """
        until = self._clock() + QUEUE_S
        while (found := self._try(lock, steps, client)) is None:
            left_s = until - self._clock()
            if left_s <= 0 or gone.is_set():
                raise Busy
            hang_up = asyncio.create_task(gone.wait())
            try:
                others = self._in_the_way(lock)
                await asyncio.wait((*others, hang_up), timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            finally:
                hang_up.cancel()
            await asyncio.sleep(0)  # what has ended is taken off first
            if gone.is_set():
                raise Busy
        return found

    def _in_the_way(self, lock: str) -> list[asyncio.Task[Ended]]:
        return [task for (name, steps), task in self._under_way.items() if name == lock and steps not in _WAITING]

    def _try(self, lock: str, steps: Steps, client: str) -> asyncio.Future[Ended] | None:
        """Begin now, or join; None while another is in the way."""
        same = self._under_way.get((lock, steps))
        if same is not None:
            log.info("%s: %s was asked again and is under way", lock, steps[0])
            return same
        kept = self._kept.pop((lock, steps, client), None)
        if kept is not None and self._clock() < kept.until:
            log.info("%s: %s was asked again by %s, who gets the outcome of the first", lock, steps[0], client)
            answer: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
            answer.set_result(kept.outcome)
            return answer
        if self._in_the_way(lock):
            return None
        # What follows upon another action is no repetition of what was before that.
        self._kept = {key: each for key, each in self._kept.items() if key[0] != lock}
        task = asyncio.create_task(self._carry_out(lock, steps, client), name=f"{lock}: {steps[0]}")
        self._under_way[lock, steps] = task
        task.add_done_callback(lambda _: self._under_way.pop((lock, steps)))
        return task

    def not_taken(self, lock: str, steps: Steps, client: str, outcome: asyncio.Future[Ended]) -> None:
        """A client has hung up before it had the outcome, which may be known later."""

        def keep(done: asyncio.Future[Ended]) -> None:
            if done.cancelled() or done.exception() is not None or done.result().is_offline:
                return  # nothing has moved: who asks again may try again
            now = self._clock()
            self._kept = {key: each for key, each in self._kept.items() if now < each.until}
            if len(self._kept) < MAX_KEPT:
                self._kept[lock, steps, client] = _Kept(done.result(), now + KEPT_S)

        outcome.add_done_callback(keep)

    def taken(self, lock: str, steps: Steps, client: str) -> None:
        """A client has got the outcome; what it asks next is another command."""
        self._kept.pop((lock, steps, client), None)

    def undone(self, lock: str, steps: Steps, client: str, at: float) -> None:
        """The lock told then that these actions do not hold any more: who asks for one again does not repeat itself."""
        kept = self._kept.get((lock, steps, client))
        if kept is not None and kept.outcome.error is None and kept.until - KEPT_S < at:
            del self._kept[lock, steps, client]

    async def close(self) -> None:
        """Wait for nothing any more; what was sent is with the daemon."""
        tasks = [*self._under_way.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _carry_out(self, lock: str, steps: Steps, client: str) -> Ended:
        outcome = DONE
        for action in steps:
            log.info("%s: %s is asked for by %s", lock, action, client)
            outcome = await self._commands.act(lock, action)
            log.info("%s: %s: %s", lock, action, outcome.error or "done")
            if outcome.error is not None:
                break
        return outcome
