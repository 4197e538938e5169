"""What the bridge is asked: a message in, a command carried out, its answer out.

Each command runs as a task of its own, so that a slow lock holds up nobody else; a lock takes its commands in the order
in which they came, unless they come in a flood: see `lanes`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import IntEnum
from functools import partial

from nuki_bridge.allowance import Allowance
from nuki_bridge.bridge.answered import Answered, AnswerMaker
from nuki_bridge.bridge.answers import GUESTS, Answers, about, what
from nuki_bridge.bridge.floodgate import Floodgate
from nuki_bridge.bridge.lanes import MAX_COMMANDS, MAX_OF_LOCK, QUIET_S, CommandQueue, Lane
from nuki_bridge.bridge.members import Member, Members
from nuki_bridge.bridge.ports import Ports
from nuki_bridge.bridge.running_lock import RunningLock
from nuki_bridge.bridge.tasks import Tasks
from nuki_bridge.errors import NukiError, RequestError, TimedOut
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.owner.call import Answer, Call, Handler
from nuki_bridge.protocol.action_names import Words
from nuki_bridge.records import frozen
from nuki_bridge.sharing.invite_commands import InviteCommands
from nuki_bridge.topics import topics
from nuki_bridge.topics.topics import Publication, RefusedRequest, Request, Requests
from nuki_bridge.topics.tree import RequestKind

log = logging.getLogger(__name__)

MAX_RETAINED = 1000
"""Most topics with a retained command that are remembered."""
ASKERS = (5, 1.0)
"""Answers in a flood to Response Topics from which nothing else in it came, and how many more each second."""
LEAVE_S = 0.5
"""Seconds that commands given up at shutdown may take to answer."""


@frozen
class Subjects:
    """Who carries out what comes in, or keeps it out: `requests` have their handlers."""

    requests: Requests
    invitations: InviteCommands
    answers: Answers
    floodgate: Floodgate


@frozen
class Asker:
    """Whoever has passed on a command that came on no topic of the bridge.

    `begun` is called once the lock says that it carries it out, `ended` when it is over: with None, or with what it was
    refused for or how it failed.
    """

    begun: Callable[[], None]
    ended: Callable[[NukiError | None], None]


class Intake:
    """Takes the messages of one bridge; commands run among its `tasks`.

    `base` gives the base topic, `seen` is shown what is none of our requests, `begun` is told of each action that came
    on a topic of ours when its lock, named first, says that it carries it out.
    """

    def __init__(
        self,
        members: Members,
        subjects: Subjects,
        ports: Ports,
        tasks: Tasks,
        *,
        base: Callable[[], str],
        seen: Callable[[Incoming], None],
        begun: Callable[[str, int], None] = lambda name, action: None,
    ) -> None:
        self._members = members
        self._tasks = tasks
        self._ports = ports
        self._base = base
        self._seen = seen
        self._begun = begun
        self._answers = subjects.answers
        self._redeem = subjects.invitations.redeem
        self._floodgate = subjects.floodgate
        self._declared = subjects.requests
        self._requests: set[asyncio.Task[None]] = set()
        self._retained: set[str] = set()
        """Topics on which a retained command lies at a broker that hides the flag of what is published (MQTT 3.1.1)."""
        self._leaving = False
        self._answered = Answered(ports.clock)
        self._lanes: dict[str, Lane] = {}
        self._new_askers = Allowance(*ASKERS, ports.clock)
        self._asker = ""  # the last Response Topic in a flood

    async def leave(self) -> None:
        """Give up what is under way, with an answer, and take nothing from then on."""
        self._leaving = True
        commands = [
            *self._requests,
            *(task for each in self._members if each.running is not None for task in each.running.commands),
        ]
        for task in commands:
            task.cancel()
        if commands:
            await asyncio.wait(commands, timeout=LEAVE_S)

    def disconnected(self) -> None:
        """Forget what the broker retains: it is lost, and tells that anew on the next connection."""
        self._retained.clear()

    def handle(self, message: Incoming) -> None:
        """Take in one message; every answer comes later, by itself."""
        cleared = message.retain and not message.payload
        if not self._floodgate.admits(message.topic, len(message.payload), cleared=cleared):
            return
        if not message.payload and message.topic in self._retained:
            # Somebody removes it, and it looks like a request without arguments.
            self._retained.discard(message.topic)
            log.debug("a retained command was removed from %r", message.topic)
            return
        lane = self._lane(topics.addressed(self._base(), message), message.topic)
        if lane is not None and not lane.arrives():
            self._flooded(lane, message)
            return
        try:
            request = topics.parse(self._base(), message, self._declared, self._words)
        except RefusedRequest as error:
            answered = self._answers.turn_away(error.request, error)
            if error.code == "retained_command":
                self._note_retained(error.request, message.topic, few=answered)
            return
        if request is None:
            self._seen(message)
            return
        try:
            self._accept(request, lane)
        except RequestError as error:
            self._answers.turn_away(request, error)

    def take(self, name: str, message: Incoming, read: Callable[[], IntEnum], asker: Asker) -> None:
        """Take in a command for the lock of that name which came on no topic of ours; all rules hold for it, too.

        `read` gives its action, or raises `RequestError`.  The outcome of an action is published on the lock's topic as
        well; of what is none only `asker` is told.
        """
        if not message.payload:
            return  # somebody clears what was retained
        request = topics.passed_on(name, message)
        lane = self._lane_of(message.topic)
        if not lane.arrives():
            if lane.answers():
                asker.ended(RequestError("too_many_requests", _flood(lane)))
            return
        try:
            if message.retain:
                raise RequestError("retained_command", topics.RETAINED)
            request = topics.with_action(self._base(), request, read())
            self._accept(request, lane, asker)
        except RequestError as error:
            self._answers.turn_away(request, error)
            asker.ended(error)

    def _lane(self, request: Request | None, topic: str) -> Lane | None:
        """Return the commands on the same topic; those that mean nothing share one lane, guests have none."""
        if request is None or request.kind not in (RequestKind.SET, RequestKind.REQUEST):
            return None
        known = request.lock is None or self._members.get(request.lock) is not None
        if not known or not self._declared.know(request):
            topic = "topics that the bridge does not know"
        return self._lane_of(topic)

    def _lane_of(self, topic: str) -> Lane:
        lane = self._lanes.get(topic)
        if lane is None:
            lane = self._lanes[topic] = Lane(topic, self._ports.clock, self._flood_began)
        return lane

    def _flood_began(self, lane: Lane) -> None:
        if self._tasks.running and not self._leaving:
            self._tasks.create(lane.tell(), f"flood on {lane.name}")

    def _flooded(self, lane: Lane, message: Incoming) -> None:
        """Refuse what is part of a flood, mostly without an answer.

        There is one now and then, and one for an asker who is perhaps another.
        """
        is_new = message.response_topic not in (None, self._asker) and self._new_askers.take()
        self._asker = message.response_topic or self._asker
        if not lane.answers() and not is_new:
            return
        try:
            request = topics.parse(self._base(), message, self._declared, self._words)
        except RefusedRequest as error:
            request = error.request
        if request is not None:
            self._answers.send(topics.refused(request, "too_many_requests", _flood(lane)))

    def swept(self, message: Incoming) -> None:
        """Say that something was removed which a guest had left retained, unless there is much of it."""
        try:
            topics.parse(self._base(), message, self._declared, self._words)
        except RefusedRequest as error:
            self._answers.turn_away(error.request, error)

    def _note_retained(self, request: Request, topic: str, *, few: bool) -> None:
        if request.kind in GUESTS and not few:
            self._floodgate.sweep_soon()
        elif request.kind in GUESTS:
            # A guest's topic is a new one each time: nobody would ever remove what is retained there.
            self._ports.publish(Publication(topic, b"", retain=True))
        elif self._ports.protocol() != "5" and len(self._retained) < MAX_RETAINED:
            self._retained.add(topic)

    def _accept(self, request: Request, lane: Lane | None, asker: Asker | None = None) -> None:
        """Make a request a task, or raise `RequestError`."""
        if not self._tasks.running or self._leaving:
            raise RequestError("stopped", "the bridge is stopping; nothing was carried out")
        commands = self._requests
        work: Callable[[], Awaitable[Answer]]
        if request.kind is RequestKind.REDEEM:
            self._redeem(request)
            return
        if request.kind is RequestKind.SIMULATE:
            work = partial(self._simulate, request)
        elif request.lock is None:
            work = partial(self._declared.bridge[request.command].handler, request)
        else:
            member, running = self._member(request.lock, for_guest=request.kind is RequestKind.RELAY)
            if request.kind is RequestKind.RELAY:
                running.relay.receive(request)
                return
            if request.action is not None:
                member.check_allowed(request.action)
            commands = running.commands
            begun = partial(self._begun, request.lock, request.action or 0) if asker is None else asker.begun
            work = partial(self._ask_lock, member, running, request, begun)
            if lane is not None:
                work = partial(self._in_turn, running.line, lane, lane.floods, request, work)
        given = self._answered.recall(request)
        if given is not None:
            with about(request):
                log.info("%s came again and is not carried out twice", what(request))
            self._answers.send(given)
            return
        if lane is not None and lane.commands >= MAX_COMMANDS:
            lane.refused()
            raise RequestError("too_many_requests", f"{MAX_COMMANDS} of these commands wait already; try again later")
        if len(commands) >= MAX_OF_LOCK:
            raise RequestError("too_many_requests", f"{MAX_OF_LOCK} commands are waiting already; try again later")
        self._answered.began(request)
        with about(request):
            task = self._tasks.create(self._answer(request, work, asker), what(request))
        commands.add(task)
        task.add_done_callback(commands.discard)
        if lane is not None:
            lane.commands += 1
            task.add_done_callback(lane.left)

    def _member(self, name: str, *, for_guest: bool) -> tuple[Member, RunningLock]:
        member = self._members.get(name)
        if member is None:
            if for_guest:  # who knows of one lock need not know of the others
                raise RequestError("unknown_lock", "there is no lock of this name")
            known = ", ".join(each.name for each in self._members) or "none"
            raise RequestError("unknown_lock", f"there is no lock of this name; the bridge knows: {known}")
        if member.running is None:
            raise RequestError("not_paired", f"{name} is not paired; pair it first (bridge/request/pair)")
        return member, member.running

    def _words(self, name: str) -> Words:
        """Return the words of a lock's kind; raises `RequestError` if it is not known."""
        return self._member(name, for_guest=False)[1].owned.lock.profile

    async def _answer(self, request: Request, work: Callable[[], Awaitable[Answer]], asker: Asker | None) -> None:
        """Do the work and publish what came of it."""
        started = self._ports.clock()
        fault: NukiError | None = None
        answer: Callable[[Request], list[Publication]]
        try:
            if started >= request.deadline:
                raise TimedOut("the command came too late to be carried out")
            answer = partial(topics.done, **await work())
            said = f"done in {self._ports.clock() - started:.1f} s"
        except NukiError as error:
            fault = error
            said = f"{error.code} ({error})"
        except asyncio.CancelledError:
            stopped = RequestError("stopped", "the bridge stopped before the outcome was known")
            self._answers.send(self._answered.ended(request, _refusal(stopped)))
            if asker is not None:
                asker.ended(stopped)
            raise
        except Exception:
            log.exception("internal error in %s", what(request))
            fault = NukiError("internal error of the bridge; its log tells more")
            said = "internal error"
        if fault is not None:
            answer = _refusal(fault)
        answers = self._answered.ended(request, answer)
        if not all(self._ports.fits(each) for each in answers):
            said = "answer_too_large"
            text = "it was done, but the answer is larger than the broker takes"
            answers = topics.refused(request, "answer_too_large", text)
        self._answers.send(answers)  # first of all: somebody waits for it
        if asker is not None:
            asker.ended(fault)
        log.info("%s: %s", what(request), said)

    async def _in_turn(
        self, line: CommandQueue, lane: Lane, floods: int, request: Request, work: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        async with line.turn(lane, floods, request.deadline - self._ports.clock()):
            return await work()

    async def _ask_lock(
        self, member: Member, running: RunningLock, request: Request, begun: Callable[[], None]
    ) -> Answer:
        left = request.deadline - self._ports.clock()
        if request.action is not None:
            outcome = await running.perform(
                request.action, left, suffix=request.suffix, only_if=request.only_if, begun=begun
            )
            return {"completion": outcome.completion}
        call = Call(
            running.owned,
            request.arguments,
            request.deadline,
            left,
            now=self._ports.now,
            random=self._ports.random,
            base=self._base(),
            check_allowed=member.check_allowed,
        )
        handler: Handler = self._declared.lock[request.command].handler
        return await handler(call)

    async def _simulate(self, request: Request) -> Answer:
        """Control a virtual lock, by its name here or by its Nuki ID."""
        if self._ports.simulate is None or request.lock is None:
            raise RequestError(
                "unknown_command", "there are no virtual locks here; they come with bluetooth.backend: virtual"
            )
        member = self._members.get(request.lock)
        which = member.address if member is not None and member.address else request.lock
        try:
            return {"data": self._ports.simulate({**request.arguments, "lock": which})}
        except ValueError as error:
            raise RequestError("bad_request", str(error)) from None


def _flood(lane: Lane) -> str:
    return f"so many commands came on {lane.name} that none is carried out until nothing came for {QUIET_S:g} s"


def _refusal(error: NukiError) -> AnswerMaker:
    return partial(topics.refused, code=error.code, message=str(error))
