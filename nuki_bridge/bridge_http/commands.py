"""What is asked of the daemon: a lock action or a fresh state, and the answer that belongs to it.

Every command bears a transaction of its own, by which its answer is known among those that others get on the same
topic; so it does not matter which version of MQTT the broker speaks.  What could not be handed over is gone, and what
was handed over when the broker was lost has an unknown end.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.mqtt.payload import dump, read_object
from nuki_bridge.records import frozen

EXPIRY_S = 10
"""Seconds within which an action has to be on its way to the lock: a client gives up after five, and a person soon."""
RESULT_S = 170.0
"""Seconds to wait for an action's result: 15 s until the lock has it, 120 s of lock 'n' go, 30 s of search."""
REFRESH_S = 30.0
"""Seconds to wait for a fresh state."""
AWAY_S = 10.0
"""Seconds for which the results of a daemon that is gone are waited for: it may only have lost the broker."""
SUFFIX = "Bridge API"
"""Behind the bridge's name in the lock's log."""
OFFLINE = frozenset({"timeout", "not_found", "adapter_unavailable", "disconnected", "link_error", "offline"})
"""Error codes after which nothing has reached the lock."""


@frozen
class Ended:
    """What became of a command; `error` and `message` are those of the daemon's answer."""

    error: str | None = None
    message: str = ""

    @property
    def is_offline(self) -> bool:
        """Nothing has reached the lock."""
        return self.error in OFFLINE


DONE = Ended()
_AWAY = Ended("offline", "the broker or nuki-bridge is away")
_LOST = Ended("outcome_unknown", "the connection to the broker was lost before the outcome was known")
_GONE = Ended("outcome_unknown", "nuki-bridge has gone away before it told the outcome")
_STOPPED = Ended("outcome_unknown", "this service was stopped before the outcome was known")
_SILENT = Ended("outcome_unknown", "nuki-bridge has not told the outcome")


class Publish(Protocol):
    """`mqtt.Client.publish`."""

    def __call__(self, topic: str, payload: bytes | str, *, expiry_s: int | None = None) -> bool:
        """Hand over a message; False if it will not get to the broker."""


class Commands:
    """Sends commands below the base topic with `publish`, while `is_there` says that somebody takes them."""

    def __init__(self, base: str, publish: Publish, is_there: Callable[[], bool]) -> None:
        self._base = base
        self._publish = publish
        self._is_there = is_there
        self._waiting: dict[str, tuple[str, asyncio.Future[Ended]]] = {}
        """By transaction: the topic of the command, and its outcome."""

    @property
    def topics(self) -> list[str]:
        """The topic filters of the answers."""
        return [f"{self._base}/+/result", f"{self._base}/+/response/refresh"]

    async def act(self, lock: str, action: str) -> Ended:
        """Have a lock carry out an action."""
        return await self._ask(f"{lock}/set", {"action": action, "as": SUFFIX}, RESULT_S, EXPIRY_S)

    async def refresh(self, lock: str) -> Ended:
        """Have a lock asked for its states, which then are on its topics."""
        return await self._ask(f"{lock}/request/refresh", {}, REFRESH_S, EXPIRY_S)

    async def _ask(self, topic: str, body: Mapping[str, Any], timeout_s: float, expiry_s: int) -> Ended:
        transaction = secrets.token_hex(16)
        answer: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._waiting[transaction] = (topic, answer)
        try:
            payload = dump({**body, "transaction": transaction})
            if not self._is_there() or not self._publish(f"{self._base}/{topic}", payload, expiry_s=expiry_s):
                return _AWAY
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            return _SILENT
        finally:
            del self._waiting[transaction]

    def take(self, message: Incoming) -> None:
        """Take in an answer."""
        if message.retain or not self._waiting:
            return
        with suppress(ValueError):
            told = read_object(message.payload.decode(errors="replace"))
            transaction = told.get("transaction")
            topic, answer = self._waiting.get(transaction, ("", None)) if isinstance(transaction, str) else ("", None)
            lock = message.topic.removeprefix(f"{self._base}/").partition("/")[0]
            if answer is not None and not answer.done() and topic.startswith(f"{lock}/"):
                error = None if told.get("status") == "ok" else str(told.get("error"))
                answer.set_result(Ended(error, str(told.get("message", ""))) if error else DONE)

    def refused(self, topic: str) -> None:
        """The broker's access list keeps us from `topic`."""
        text = f"the broker does not let this account publish on {topic}; see its access list"
        self._end(Ended("offline", text), topic.removeprefix(f"{self._base}/"))

    def lost(self) -> None:
        """The broker is away."""
        self._end(_LOST)

    def doubt(self) -> None:
        """The daemon is gone: what it has not told soon it will never tell, and keeps no lock from being used."""

        def give_up(waiting: list[asyncio.Future[Ended]]) -> None:
            for each in waiting:
                if not each.done():
                    each.set_result(_GONE)

        if waiting := [answer for _, answer in self._waiting.values()]:
            asyncio.get_running_loop().call_later(AWAY_S, give_up, waiting)

    def stopped(self) -> None:
        """This process ends; whoever waits is told that nobody knows, rather than hung up on: they would ask again."""
        self._end(_STOPPED)

    def _end(self, outcome: Ended, only: str | None = None) -> None:
        for topic, answer in [*self._waiting.values()]:
            if not answer.done() and only in (None, topic):
                answer.set_result(outcome)
