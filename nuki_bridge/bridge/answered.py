"""What was asked in the last minute, and what was answered: a command that comes twice is carried out once.

A publisher that got no acknowledgement sends its command again, and its broker passes on both.  They are known by their
`transaction`: the same one on the same topic, asking for the same, is the same command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from nuki_bridge.errors import RequestError
from nuki_bridge.records import mutable
from nuki_bridge.topics.topics import Publication, Request

REMEMBERED_S = 60.0
"""Seconds for which an answer is given again to the same command."""
MAX_REMEMBERED = 200
"""Most commands that are remembered; beyond that, those answered longest ago are forgotten."""
MAX_WAITING = 20
"""Most repetitions of one command that wait for its answer."""

AnswerMaker = Callable[[Request], list[Publication]]
"""Makes the answer for whoever asked."""


@mutable
class _Command:
    """One command: under way as long as there is no `answer`."""

    answer: AnswerMaker | None = None
    answered_at: float = 0.0
    waiting: list[Request] = field(default_factory=list)


class Answered:
    """The commands of the last minute that turn a lock or change something; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._commands: dict[bytes, _Command] = {}
        """By their identity; those that are answered in the order of their answers, after those under way."""

    def recall(self, request: Request) -> list[Publication] | None:
        """Return None for a command that is to be carried out, else its answers: none while the first one is under way.

        Raises `RequestError` for one of which the broker says that it has delivered it before, and which is not known:
        nobody knows how old it is.  Without a `transaction` two commands are two, unless the broker says that.
        """
        if not request.moves or not (request.again or request.has_transaction):
            return None
        self._forget()
        command = self._commands.get(request.identity)
        if command is None:
            if request.again:
                raise RequestError(
                    "timeout",
                    "the broker may have had this for long, and it is not carried out any more; publish it anew",
                )
            return None
        if command.answer is not None:
            return command.answer(request)
        if len(command.waiting) >= MAX_WAITING:
            raise RequestError(
                "too_many_requests", f"the same command came {MAX_WAITING} times already; wait for its answer"
            )
        command.waiting.append(request)
        return []

    def began(self, request: Request) -> None:
        """Take note that a command is carried out from now on; `ended` tells how it ended."""
        if request.moves:
            before = self._commands.get(request.identity)
            waiting = before.waiting if before is not None else []  # on the first one, if two are under way
            self._commands[request.identity] = _Command(waiting=waiting)

    def ended(self, request: Request, answer: AnswerMaker) -> list[Publication]:
        """Return the answers for everybody who asked for it."""
        command = self._commands.pop(request.identity, None) if request.moves else None
        if command is None:
            return answer(request)
        askers, command.waiting = [request, *command.waiting], []
        command.answer, command.answered_at = answer, self._clock()
        self._commands[request.identity] = command
        self._forget()
        return [publication for asker in askers for publication in answer(asker)]

    def _forget(self) -> None:
        old = self._clock() - REMEMBERED_S
        answered = [key for key, each in self._commands.items() if each.answer is not None]
        for number, key in enumerate(answered):
            if self._commands[key].answered_at >= old and len(answered) - number <= MAX_REMEMBERED:
                break
            del self._commands[key]
