"""Answers and refusals: to whom one goes, and how many strangers may cause."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

from nuki_bridge import logs
from nuki_bridge.allowance import Allowance
from nuki_bridge.errors import NukiError
from nuki_bridge.protocol.codes import name_of
from nuki_bridge.topics import topics
from nuki_bridge.topics.topics import Publication, Request
from nuki_bridge.topics.tree import RequestKind

log = logging.getLogger(__name__)

GUESTS = frozenset({RequestKind.RELAY, RequestKind.REDEEM})
"""What guests may publish."""
REFUSALS = (20, 5.0)
"""Refusals to guests that are answered at once, and how many more each second; beyond that none is answered."""
LINES = (20, 0.1)
"""Lines in the log about refusals, and how many more each second; beyond that refusals are only counted."""


class Answers:
    """The answers of one bridge; `publish` tells whether the broker will get a message, `clock` gives seconds."""

    def __init__(self, publish: Callable[[Publication], bool], clock: Callable[[], float]) -> None:
        self._publish = publish
        self._refusals = Allowance(*REFUSALS, clock)
        self._lines = Allowance(*LINES, clock)
        self._not_listed = 0

    def send(self, answers: list[Publication]) -> None:
        """Publish what answers one request."""
        for answer in answers:
            if not self._publish(answer):
                log.debug("an answer on %r did not go out", answer.topic)

    def refuse(self, request: Request, error: NukiError) -> None:
        """Answer that a request is not carried out."""
        # guests can be many, and anybody who may write to the relay can be one: no line in the journal for each frame
        level = logging.DEBUG if request.kind in GUESTS else logging.INFO
        if level == logging.DEBUG or self._lines.take():
            with about(request):
                log.log(level, "%s refused: %s", what(request), error.code)
            if level == logging.INFO and self._not_listed:
                log.info("%d more commands were refused before that", self._not_listed)
                self._not_listed = 0
        else:
            self._not_listed += 1
        self.send(topics.refused(request, error.code, str(error)))

    def turn_away(self, request: Request, error: NukiError) -> bool:
        """Refuse what has just come in; in a flood of guests' messages without an answer.  Return whether with one.

        Whoever has their broker account could have answers queued faster than the broker takes them, and with them
        those that others wait for.
        """
        if request.kind in GUESTS and not self._refusals.take():
            return False
        self.refuse(request, error)
        return True


def what(request: Request) -> str:
    """Return a request for the log, never with its arguments; names come from a topic and may hold anything."""
    name = name_of(request.action) if request.action is not None else request.command or request.kind.value
    return "".join(filter(str.isprintable, f"{request.lock or 'bridge'}: {name}"))[:100]


def about(request: Request) -> AbstractContextManager[None]:
    """Have the log's lines in a block belong to this request."""
    return logs.about(request.lock, request.echo.get("transaction"))
