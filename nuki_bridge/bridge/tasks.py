"""The tasks of one bridge: who has work for them may know them before they run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)

RESTART_S = 5.0
"""Seconds before a task that failed through a mistake of this program is started again."""


class Tasks:
    """A task group that is entered once; `create` only works from then on."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> Tasks:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        if self._group is not None:
            await self._group.__aexit__(*error)

    @property
    def running(self) -> bool:
        """Whether the tasks have been entered."""
        return self._group is not None

    def create(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` as a task."""
        if self._group is None:
            raise RuntimeError("no task runs yet")
        return self._group.create_task(work, name=name)

    def keep_up(self, what: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Run `run` as a task, again and again."""
        return self.create(again_and_again(what, run), name=what)


async def again_and_again(what: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run for ever: a mistake in one lock's code must not take the others down."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("internal error: %s failed and is started again in %g s", what, RESTART_S)
        await asyncio.sleep(RESTART_S)
