"""What the bridge is asked: a message in, a command carried out, its answer out.

Each command runs as a task of its own, so that a slow lock holds up nobody else; a lock takes its commands in the order
in which they came, unless they come in a flood: see `lanes`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

from nuki_bridge import logs
from nuki_bridge.bridge.answered import Answered
from nuki_bridge.bridge.bridge_commands import Answer
from nuki_bridge.bridge.lanes import MAX_COMMANDS, MAX_OF_LOCK, QUIET_S, Lane, Line
from nuki_bridge.bridge.lock_commands import Call, Handler
from nuki_bridge.bridge.requests import REQUESTS
from nuki_bridge.errors import NukiError, RequestError, TimedOut
from nuki_bridge.protocol.codes import name_of
from nuki_bridge.sharing import invite_commands
from nuki_bridge.sharing.allowance import Allowance
from nuki_bridge.topics import topics
from nuki_bridge.topics.topics import Publication, RefusedRequest, Request, RequestKind

if TYPE_CHECKING:
    from nuki_bridge.bridge.bridge import Bridge
    from nuki_bridge.bridge.members import Member
    from nuki_bridge.lock.lock import Lock
    from nuki_bridge.mqtt.message import Incoming

log = logging.getLogger(__name__)

GUESTS = frozenset({RequestKind.RELAY, RequestKind.REDEEM})
"""What guests may publish."""
MAX_RETAINED = 1000
"""Topics with a retained command that are remembered."""
REFUSALS = (20, 5.0)
"""Messages of guests that are refused at once with an answer, and how many more each second; above that without."""
LINES = (20, 0.1)
"""Lines in the log about refusals, and how many more each second; what is refused above that is counted."""
ASKERS = (5, 1.0)
"""Askers in a flood who are answered because nothing else in it came from their Response Topic, and how many more each
second."""
LEAVE_S = 0.5
"""How long commands that are given up at the end may take to answer."""


class Intake:
    """Takes the messages of one bridge; `tasks` is where its commands run, and None as long as none are taken."""

    def __init__(self, bridge: Bridge) -> None:
        self.tasks: asyncio.TaskGroup | None = None
        self._bridge = bridge
        self._requests: set[asyncio.Task[None]] = set()
        self._retained: set[str] = set()
        """Topics on which a retained command lies at a broker that hides the flag of what is published (MQTT 3.1.1)."""
        self._leaving = False
        self._answered = Answered(bridge.outside.clock)
        self._refusals = Allowance(*REFUSALS, bridge.outside.clock)
        self._lanes: dict[str, Lane] = {}
        self._lines = Allowance(*LINES, bridge.outside.clock)
        self._not_listed = 0
        self._new_askers = Allowance(*ASKERS, bridge.outside.clock)
        self._asker = ""  # the last Response Topic in a flood

    async def leave(self) -> None:
        """Give up what is under way, with an answer, and take nothing from then on."""
        self._leaving = True
        commands = [*self._requests, *(task for member in self._bridge.members for task in member.commands)]
        for task in commands:
            task.cancel()
        if commands:
            await asyncio.wait(commands, timeout=LEAVE_S)

    def disconnected(self) -> None:
        """The broker is lost: what it retains it tells anew on the next connection."""
        self._retained.clear()

    def handle(self, message: Incoming) -> None:
        """Take in one message; every answer comes later, by itself."""
        cleared = message.retain and not message.payload
        if not self._bridge.floodgate.admits(message.topic, len(message.payload), cleared=cleared):
            return
        if not message.payload and message.topic in self._retained:
            # Somebody removes it, and it looks like a request without arguments.
            self._retained.discard(message.topic)
            log.debug("a retained command was removed from %r", message.topic)
            return
        lane = self._lane(topics.addressed(self._bridge.base, message), message.topic)
        if lane is not None and not lane.arrives():
            self._flooded(lane, message)
            return
        try:
            request = topics.parse(self._bridge.base, message, REQUESTS)
        except RefusedRequest as error:
            answered = self.turn_away(error.request, error)
            if error.code == "retained_command":
                self._note_retained(error.request, message.topic, few=answered)
            return
        if request is None:
            self._bridge.publisher.seen(message, retain_is_kept=self._bridge.outside.protocol() == "5")
            return
        try:
            self._accept(request, lane)
        except RequestError as error:
            self.turn_away(request, error)

    def _lane(self, request: Request | None, topic: str) -> Lane | None:
        """The commands on the same topic; those that mean nothing share one lane, guests have none."""
        if request is None or request.kind not in (RequestKind.SET, RequestKind.REQUEST):
            return None
        known = request.lock is None or self._bridge.members.get(request.lock) is not None
        if not known or not REQUESTS.know(request):
            topic = "topics that the bridge does not know"
        lane = self._lanes.get(topic)
        if lane is None:
            lane = self._lanes[topic] = Lane(topic, self._bridge.outside.clock, self._flood_began)
        return lane

    def _flood_began(self, lane: Lane) -> None:
        if self.tasks is not None and not self._leaving:
            self.tasks.create_task(lane.tell(), name=f"flood on {lane.name}")

    def _flooded(self, lane: Lane, message: Incoming) -> None:
        """Refuse what is part of a flood, mostly without an answer: there is one now and then, and one for an asker
        who is perhaps another."""
        is_new = message.response_topic not in (None, self._asker) and self._new_askers.take()
        self._asker = message.response_topic or self._asker
        if not lane.answers() and not is_new:
            return
        try:
            request = topics.parse(self._bridge.base, message, REQUESTS)
        except RefusedRequest as error:
            request = error.request
        if request is not None:
            text = f"so many commands came on {lane.name} that none is carried out until nothing came for {QUIET_S:g} s"
            self._send(topics.refused(request, "too_many_requests", text))

    def turn_away(self, request: Request, error: NukiError) -> bool:
        """Refuse what has just come in; in a flood of guests' messages without an answer.  Gives whether with one.

        Whoever has their broker account could have answers queued faster than the broker takes them, and with them
        those that others wait for.
        """
        if request.kind in GUESTS and not self._refusals.take():
            return False
        self.refuse(request, error)
        return True

    def swept(self, message: Incoming) -> None:
        """What a guest had left retained was removed: say so, unless there is much of it."""
        try:
            topics.parse(self._bridge.base, message, REQUESTS)
        except RefusedRequest as error:
            self.turn_away(error.request, error)

    def _note_retained(self, request: Request, topic: str, *, few: bool) -> None:
        if request.kind in GUESTS and not few:
            self._bridge.floodgate.sweep_soon()
        elif request.kind in GUESTS:
            # A guest's topic is a new one each time: nobody would ever remove what is retained there.
            self._bridge.outside.publish(Publication(topic, b"", retain=True))
        elif self._bridge.outside.protocol() != "5" and len(self._retained) < MAX_RETAINED:
            self._retained.add(topic)

    def refuse(self, request: Request, error: NukiError) -> None:
        """Answer that a request is not carried out."""
        # guests can be many, and anybody who may write to the relay can be one: no line in the journal for each frame
        level = logging.DEBUG if request.kind in GUESTS else logging.INFO
        if level == logging.DEBUG or self._lines.take():
            with _about(request):
                log.log(level, "%s refused: %s", _what(request), error.code)
            if level == logging.INFO and self._not_listed:
                log.info("%d more commands were refused before that", self._not_listed)
                self._not_listed = 0
        else:
            self._not_listed += 1
        self._send(topics.refused(request, error.code, str(error)))

    def _send(self, answers: list[Publication]) -> None:
        for answer in answers:
            if not self._bridge.outside.publish(answer):
                log.debug("an answer on %r did not go out", answer.topic)

    def _accept(self, request: Request, lane: Lane | None) -> None:
        """Make a request a task, or raise `RequestError`."""
        if self.tasks is None or self._leaving:
            raise RequestError("stopped", "the bridge is stopping")
        commands = self._requests
        work: Callable[[], Awaitable[Answer]]
        if request.kind is RequestKind.REDEEM:
            invite_commands.redeem(self._bridge, request)
            return
        if request.kind is RequestKind.SIMULATE:
            work = partial(self._simulate, request)
        elif request.lock is None:
            work = partial(REQUESTS.bridge[request.command].handler, self._bridge, request)
        else:
            member, lock = self._member(request.lock, for_guest=request.kind is RequestKind.RELAY)
            if request.kind is RequestKind.RELAY and member.relay is not None:
                member.relay.receive(request)
                return
            if request.action is not None:
                member.check_allowed(request.action)
            commands = member.commands
            work = partial(self._ask_lock, member, lock, request)
            if lane is not None:
                work = partial(self._in_turn, member.line, lane, lane.floods, request, work)
        given = self._answered.recall(request)
        if given is not None:
            with _about(request):
                log.info("%s came again and is not carried out twice", _what(request))
            self._send(given)
            return
        if lane is not None and lane.commands >= MAX_COMMANDS:
            lane.refused()
            raise RequestError("too_many_requests", f"{MAX_COMMANDS} of these commands wait already; try again later")
        if len(commands) >= MAX_OF_LOCK:
            raise RequestError("too_many_requests", f"{MAX_OF_LOCK} commands are waiting already; try again later")
        self._answered.began(request)
        with _about(request):
            task = self.tasks.create_task(self._answer(request, work), name=_what(request))
        commands.add(task)
        task.add_done_callback(commands.discard)
        if lane is not None:
            lane.commands += 1
            task.add_done_callback(lane.left)

    def _member(self, name: str, *, for_guest: bool) -> tuple[Member, Lock]:
        member = self._bridge.members.get(name)
        if member is None:
            if for_guest:  # who knows of one lock need not know of the others
                raise RequestError("unknown_lock", "there is no lock of this name")
            known = ", ".join(each.name for each in self._bridge.members) or "none"
            raise RequestError("unknown_lock", f"there is no lock of this name; the bridge knows: {known}")
        if member.lock is None:
            raise RequestError("not_paired", f"{name} is not paired; pair it first (bridge/request/pair)")
        return member, member.lock

    async def _answer(self, request: Request, work: Callable[[], Awaitable[Answer]]) -> None:
        """Do the work and publish what came of it."""
        started = self._bridge.outside.clock()
        answer: Callable[[Request], list[Publication]]
        try:
            if started >= request.deadline:
                raise TimedOut("the command came too late to be carried out")
            answer = partial(topics.done, **await work())
            said = f"done in {self._bridge.outside.clock() - started:.1f} s"
        except NukiError as error:
            said = f"{error.code} ({error})"
            answer = partial(topics.refused, code=error.code, message=str(error))
        except asyncio.CancelledError:
            stopped = partial(topics.refused, code="stopped", message="the bridge stopped before the outcome was known")
            self._send(self._answered.ended(request, stopped))
            raise
        except Exception:
            log.exception("internal error in %s", _what(request))
            said = "internal error"
            answer = partial(
                topics.refused, code="internal", message="internal error of the bridge; its log tells more"
            )
        answers = self._answered.ended(request, answer)
        if not all(self._bridge.outside.fits(each) for each in answers):
            said = "answer_too_large"
            text = "it was done, but the answer is larger than the broker takes"
            answers = topics.refused(request, "answer_too_large", text)
        self._send(answers)  # first of all: somebody waits for it
        log.info("%s: %s", _what(request), said)

    async def _in_turn(
        self, line: Line, lane: Lane, floods: int, request: Request, work: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        async with line.turn(lane, floods, request.deadline - self._bridge.outside.clock()):
            return await work()

    async def _ask_lock(self, member: Member, lock: Lock, request: Request) -> Answer:
        left = request.deadline - self._bridge.outside.clock()
        if request.action is not None:
            outcome = await lock.perform(request.action, left, suffix=request.suffix, only_if=request.only_if)
            return {"completion": outcome.completion}
        call = Call(self._bridge, member, lock, request, left)
        handler: Handler = REQUESTS.lock[request.command].handler
        return await handler(call)

    async def _simulate(self, request: Request) -> Answer:
        """Control a virtual lock, by its name here or by its Nuki ID."""
        if self._bridge.outside.simulate is None or request.lock is None:
            raise RequestError("unknown_command", "there are no virtual locks here")
        member = self._bridge.members.get(request.lock)
        which = member.address if member is not None and member.address else request.lock
        try:
            return {"data": self._bridge.outside.simulate({**request.arguments, "lock": which})}
        except ValueError as error:
            raise RequestError("bad_request", str(error)) from None


def _what(request: Request) -> str:
    """A request for the log, never with its arguments; names come from a topic and may hold anything."""
    name = name_of(request.action) if request.action is not None else request.command or request.kind.value
    return "".join(filter(str.isprintable, f"{request.lock or 'bridge'}: {name}"))[:100]


def _about(request: Request) -> AbstractContextManager[None]:
    return logs.about(request.lock, request.echo.get("transaction"))
