"""An action that is to be sent only in some states of the lock, which is asked for its state right before.

What was read earlier may be old: somebody has turned the knob since, and the lock has not reported it yet.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Protocol

from nuki_bridge.errors import LinkError, ProtocolError, RequestError, TimedOut
from nuki_bridge.lock.retry import RECONNECT_S
from nuki_bridge.protocol.codes import name_of
from nuki_bridge.protocol.common import States

log = logging.getLogger(__name__)

STATE_AGE_S = 5.0
"""Seconds after which a state is read again before an action that depends on it is sent."""


class AskedLock(Protocol):
    """The lock that is asked, over a link under this task's turn."""

    name: str

    def clock(self) -> float:
        """Seconds, counting through suspend."""

    async def link_up(self, deadline: float) -> None:
        """Connect, trying again until `deadline`; raises `TimedOut` or `AdapterUnavailable`."""

    async def fresh_nonce(self, deadline: float) -> bytes:
        """Return a challenge to send a command with; raises `TimedOut` at `deadline`."""

    async def read_states(self) -> States:
        """Ask the lock for its states."""


async def nonce_if(lock: AskedLock, only_if: Collection[int] | None, deadline: float) -> bytes:
    """Return a challenge for an action, from a lock that has just said that its state is one of `only_if` (None: any).

    Raises `RequestError` in another state, and as `AskedLock.fresh_nonce`.
    """
    while True:
        if only_if is not None:
            await _check(lock, only_if, deadline)
        checked_at = lock.clock()
        nonce = await lock.fresh_nonce(deadline)
        if only_if is None or lock.clock() - checked_at <= STATE_AGE_S:
            return nonce


async def _check(lock: AskedLock, only_if: Collection[int], deadline: float) -> None:
    while True:
        await lock.link_up(deadline)
        try:
            state = (await lock.read_states()).lock_state
            break
        except (LinkError, ProtocolError) as error:
            log.debug("%s: %s; asking again", lock.name, error)
            if lock.clock() >= deadline:
                raise TimedOut("the lock did not tell its state within the deadline") from None
            await asyncio.sleep(min(RECONNECT_S[0], max(deadline - lock.clock(), 0.0)))
    if state not in only_if:
        allowed = " or ".join(name_of(each) for each in only_if)
        raise RequestError("state_not_allowed", f"the lock is {name_of(state)} and not {allowed}; nothing was moved")
