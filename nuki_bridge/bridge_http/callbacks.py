"""The URLs that want to be told of every change, kept on disk, and the deliveries to each.

Every URL has a task of its own, so that one which never answers costs the others nothing.  As long as one takes what it
is sent it gets each change in its order; from its first failure on only what is true by then, once for each device, and
the pauses between two attempts grow up to ten minutes.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import field

from nuki_bridge.bridge_http.memory import Memory
from nuki_bridge.bridge_http.post import BadUrl, Target, post, target_of
from nuki_bridge.records import mutable

log = logging.getLogger(__name__)

MAX_CALLBACKS = 3
MAX_WAITING = 32
"""Most changes that wait for one URL; beyond that it is told of each device once, as it is then."""
PAUSE_S = (1.0, 600.0)
"""Seconds from the first failure to the next attempt, and the longest pause."""


@mutable
class _Callback:
    target: Target
    waiting: deque[tuple[int, bytes | None]] = field(default_factory=deque)
    """IDs of devices that have changed, with what is to be said; None: what is true then."""
    more: asyncio.Event = field(default_factory=asyncio.Event)
    told: dict[int, bytes] = field(default_factory=dict)
    """What it has taken last of each device; nothing is known after a failure, which it may have taken all the same."""

    def collapse(self) -> None:
        self.waiting = deque((each, None) for each in dict.fromkeys(nuki_id for nuki_id, _ in self.waiting))


class Callbacks:
    """All of them; `told` gives what is to be said of a device, None if there is no such device any more."""

    def __init__(self, memory: Memory, told: Callable[[int], bytes | None]) -> None:
        self._memory = memory
        self._told = told
        self._all: dict[int, _Callback] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Begin with those in memory."""
        for number, url in [*self._memory.callbacks.items()][:MAX_CALLBACKS]:
            try:
                self._begin(number, target_of(url))
            except BadUrl as error:
                log.error("a callback that is kept cannot be used: %s", error)

    async def close(self) -> None:
        """End all deliveries."""
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    @property
    def urls(self) -> dict[int, str]:
        """All URLs by their ID."""
        return dict(self._memory.callbacks)

    def add(self, url: str) -> str | None:
        """Register a URL, unless it is there already; return why not, as a sentence."""
        try:
            target = target_of(url)
        except BadUrl as error:
            return str(error)
        kept = self._memory.callbacks
        if url in kept.values():
            return None
        if len(kept) >= MAX_CALLBACKS:
            return f"there are {MAX_CALLBACKS} callbacks already; remove one"
        number = next(each for each in range(MAX_CALLBACKS) if each not in kept)
        kept[number] = url
        if not self._memory.save():
            del kept[number]
            return "the callback cannot be kept; see the log of nuki-bridge web"
        log.info("a callback to %s is registered", target.where)
        self._begin(number, target)
        return None

    def remove(self, number: int) -> str | None:
        """Forget a URL; return why not, as a sentence."""
        url = self._memory.callbacks.pop(number, None)
        if url is None:
            return "there is no callback with this ID"
        if not self._memory.save():
            self._memory.callbacks[number] = url
            return "the callback cannot be removed; see the log of nuki-bridge web"
        self._all.pop(number, None)
        if (task := self._tasks.pop(number, None)) is not None:
            task.cancel()
        return None

    def tell(self, nuki_id: int) -> None:
        """A device has changed."""
        body = self._told(nuki_id)
        for each in self._all.values():
            each.waiting.append((nuki_id, body))
            if len(each.waiting) > MAX_WAITING:
                each.collapse()
            each.more.set()

    def _begin(self, number: int, target: Target) -> None:
        callback = self._all[number] = _Callback(target)
        self._tasks[number] = asyncio.create_task(self._deliver(callback), name=f"callback {number}")

    async def _deliver(self, callback: _Callback) -> None:
        failures = 0
        while True:
            callback.more.clear()
            if not callback.waiting:
                await callback.more.wait()
                continue
            if failures:
                callback.collapse()  # more has happened in the pause
            first = callback.waiting.popleft()
            nuki_id, body = first
            body = body or self._told(nuki_id)
            if body is None or body == callback.told.get(nuki_id):
                continue  # a retry has told this change before its turn came
            callback.told.pop(nuki_id, None)
            why = await post(callback.target, body)
            if why is None:
                callback.told[nuki_id] = body
                if failures:
                    log.info("the callback to %s works again", callback.target.where)
                failures = 0
                continue
            callback.waiting.appendleft(first)
            failures += 1
            if failures == 1:
                log.warning("the callback to %s failed: %s; trying again", callback.target.where, why)
            longest_s = min(PAUSE_S[1], PAUSE_S[0] * 2 ** min(failures - 1, 10))
            await asyncio.sleep(random.uniform(longest_s / 2, longest_s))
