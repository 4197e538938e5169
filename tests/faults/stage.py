"""What every run needs: the virtual lock with its habits, the trace, and what must be so in the end."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from nuki_bridge.lock.pairing import PairOptions, pair
from nuki_bridge.protocol.codes import Command as Code
from nuki_bridge.protocol.codes import Family, LockState, name_of
from nuki_bridge.protocol.messages import KeyturnerStates
from nuki_bridge.protocol.wire import decode, encode
from nuki_bridge.simulator.behaviour import AuditEntry, Behaviour, seeded
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.radio import VirtualRadio
from nuki_bridge.store import PairedLock
from tests.faults.judge import Case, Command, Violation
from tests.faults.schedule import Event, Schedule
from tests.faults.trouble import Trouble
from tests.unit.rig import ADDRESS, NUKI_ID, clock, now
from tests.virtual_time import VirtualTimeLoop

REACHABLE_S = 60.0
"""After the last fault the lock must be reachable."""
LONGEST_S = 180.0
"""The longest action, with an answer that comes late."""
OPEN = (LockState.UNLOCKED, LockState.UNLATCHED, LockState.UNLOCKED_LOCK_N_GO)


speaker: ContextVar[str] = ContextVar("speaker", default="client")
"""Whose code logs, for the trace."""


@dataclass(slots=True)
class Report:
    """How a run went."""

    seed: int
    violations: list[Violation] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)


class Trace(logging.Handler):
    """Who did what when: the schedule, the lock's record, the client's frames and answers; empty unless `wanted`."""

    def __init__(self, wanted: bool) -> None:
        super().__init__(logging.DEBUG)
        self.wanted = wanted
        self.lines: list[str] = []
        self.complaints: list[str] = []

    def add(self, who: str, text: str) -> None:
        """One line, with the loop's time."""
        if self.wanted:
            self.lines.append(f"{clock():10.3f}  {who:<8} {text}")

    def emit(self, record: logging.LogRecord) -> None:
        """What the program says; its errors are complaints that nobody took."""
        text = record.getMessage()
        if record.levelno >= logging.ERROR:
            error = record.exc_info[1] if record.exc_info else None
            self.complaints.append(f"{text}: {error!r}" if error else text)
        if self.wanted:
            arguments = record.args if isinstance(record.args, tuple) else ()
            for each in arguments:
                if isinstance(each, KeyturnerStates):
                    text = text.replace(repr(each), _states(each))
            self.add(speaker.get(), text)

    def stray(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception that nobody took."""
        self.complaints.append(f"{context['message']}: {context.get('exception')!r}")
        self.add("stray", self.complaints[-1])


class Stage:
    """One virtual lock on which a schedule is played, and what was found wrong."""

    def __init__(self, schedule: Schedule, trace: Trace) -> None:
        self.plan = schedule
        self.trace = trace
        pin = 123456 if schedule.family is Family.ULTRA else 1234
        self.pin = str(pin)
        self.virtual = VirtualLock(ADDRESS, NUKI_ID, family=schedule.family, pin=pin, random=seeded(schedule.seed))
        self.radio = VirtualRadio([self.virtual], clock=now)
        self.trouble = Trouble(self.radio, self.virtual)
        self.commands: list[Command] = []
        self.sent: list[tuple[float, KeyturnerStates]] = []
        """What the lock said of its states, to anybody."""
        self.found: list[Violation] = []
        self._asking: set[asyncio.Task[None]] = set()

    async def paired(self) -> PairedLock:
        """Pair with the lock as it comes from the factory; from then on it has its habits and settings."""
        plan, virtual = self.plan, self.virtual
        virtual.hold_button()
        options = PairOptions(plan.id_type, "bridge", 0x01020304, self.pin if plan.with_pin else None)
        kwargs: dict[str, Any] = {"random": seeded(2), "timeout_s": 20.0, "clock": clock, "now": now}
        paired, _ = await pair(self.radio, ADDRESS, plan.family, options, **kwargs)
        self.trouble.ours = paired.authorization_id
        virtual.log.enabled = plan.log_on
        for name in Behaviour.__slots__:
            setattr(virtual.behaviour, name, getattr(plan.behaviour, name))
        virtual.motor.state, virtual.device.door = plan.behaviour.start_state, plan.behaviour.start_door
        for subject, values in ((virtual.settings, plan.settings), (virtual.advanced, plan.advanced)):
            for name, value in values.items():
                setattr(subject, name, value)
        virtual.auto_lock_watch.settings_changed()
        for name, value in plan.radio.items():
            setattr(self.radio, name, value)
        self._listen()
        return paired

    def _listen(self) -> None:
        """Keep what the lock sends as its states, and in the trace what it notes down."""
        virtual, send, note = self.virtual, self.virtual.connections.send_encrypted, self.virtual.device.note

        def sending(connection_id: int, to: Any, message: Any, size: int | None = None) -> None:
            if isinstance(message, KeyturnerStates):
                payload = encode(message, virtual.family)[:size]
                states = decode(Code.KEYTURNER_STATES, payload, virtual.family)
                assert isinstance(states, KeyturnerStates)
                self.sent.append((clock(), states))
            send(connection_id, to, message, size)

        def noting(what: str, *args: Any, **kwargs: Any) -> None:
            note(what, *args, **kwargs)
            self.trace.add("lock", _line(virtual.audit[-1]))

        rest = virtual.motor._on_rest

        def resting() -> None:
            """Whatever was told before: how it really ended."""
            if virtual.motion.mover is not None:
                virtual.motion.mover.note("rested", name_of(virtual.motor.last_completion))
            rest()

        virtual.motor._on_rest = resting
        virtual.connections.send_encrypted = sending  # type: ignore[method-assign]
        virtual.device.note = noting  # type: ignore[method-assign]

    # -- while it is played -------------------------------------------------------------------------------------------

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Somebody asks for something and waits."""
        task = asyncio.create_task(work)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return task

    def add(self, rule: str, text: str) -> None:
        """A rule is broken."""
        self.found.append(Violation(rule, text))
        self.trace.add("BROKEN", str(self.found[-1]))

    def last_word(self, command: Command, *, is_guest: bool = False) -> None:
        """With nothing wrong a command succeeds; of a lock that is mute it may be unknown whether it did.

        Over the link that a guest uses the bridge reads lists, too, and gives it up after one that does not end.
        """
        if command.word == "outcome_unknown" and self.plan.begins_mute:
            return
        if (
            is_guest
            and command.word in ("outcome_unknown", "challenge_expired")
            and self.plan.behaviour.list_end_missing
        ):
            return
        if command.word != "success":
            self.add("healthy", f"{command.suffix} ({command.action}): {command.word} {command.message}")

    async def live(
        self, happen: Callable[[Event], None], over: Callable[[], object], is_reachable: Callable[[], bool]
    ) -> str:
        """Live through the schedule, and on until all has settled; gives "... s after the last fault ...".

        `happen` carries an event out, `over` ends what else is wrong than the lock and its radio.
        """
        await asyncio.sleep(10.0)
        began = clock()
        for event in self.plan.events:
            await asyncio.sleep(max(began + event.at - clock(), 0.0))
            self.trace.add("schedule", str(event))
            happen(event)
        await asyncio.sleep(began + self.plan.ends_at - clock())
        self.trace.add("schedule", "the last fault is over")
        self.trouble.over()
        over()
        since = f"s after the last fault, which was over at {clock():.3f}"
        await asyncio.sleep(REACHABLE_S)
        if not is_reachable():
            self.add("reachable", f"not {REACHABLE_S:g} {since}")
        await asyncio.sleep(self.plan.settled_s - REACHABLE_S)
        return f"{self.plan.settled_s:g} {since}"

    def stopped(self, *tasks: asyncio.Task[Any]) -> None:
        """These should still run; they are ended."""
        for task in tasks:
            if task.done():
                self.add("errors", f"the task {task.get_name()} ended by itself: {task}")
            task.cancel()

    # -- in the end ---------------------------------------------------------------------------------------------------

    def report(self, ours: set[int]) -> Report:
        """The verdict, once everything has been stopped; `ours` are the authorizations whose askers have suffixes."""
        slow = any("delay_write" in event.values for event in self.plan.events)
        start = name_of(self.plan.behaviour.start_state)
        slack_s = self.radio.write_s + self.virtual.behaviour.queue_s + (5.0 if slow else 0.0)
        self.found += Case(self.commands, self.virtual.audit, frozenset(ours), start, slack_s).judge()
        self._look_for_leftovers()
        gc.collect()
        self.found += [Violation("errors", each) for each in self.trace.complaints]
        answers = Counter(command.word for command in self.commands)
        return Report(self.plan.seed, self.found, answers, self.trace.lines)

    def _look_for_leftovers(self) -> None:
        loop = asyncio.get_running_loop()
        for task in asyncio.all_tasks(loop) - {asyncio.current_task()}:
            self.add("left", f"the task {task.get_name()}: {task.get_coro()}")
        for handle in loop._scheduled:  # type: ignore[attr-defined]
            callback = handle._callback
            owner = getattr(callback, "__self__", None)
            module = type(owner).__module__ if owner is not None else getattr(callback, "__module__", "")
            if not handle.cancelled() and not str(module).startswith("nuki_bridge.simulator."):
                self.add("left", f"a timer: {handle}")
        if self.virtual.links:
            self.add("left", f"{self.virtual.links} link(s)")


def _states(states: KeyturnerStates) -> str:
    names = (states.lock_state, states.trigger, states.last_action, states.last_trigger, states.last_completion)
    told = ", ".join("-" if each is None else name_of(each) for each in names)
    return f"KeyturnerStates({told}, door {states.door_state})"


def _line(entry: AuditEntry) -> str:
    parts = (entry.what, entry.detail, f"by {entry.name}" if entry.name else None, entry.suffix)
    return " ".join(part for part in parts if part)


def run(make: Callable[[Schedule, Trace], Any], schedule: Schedule, *, traced: bool) -> Report:
    """Play what `make` gives on a loop of its own, in virtual time."""
    trace = Trace(traced)
    logger = logging.getLogger("nuki_bridge")
    before = logger.level, logger.propagate
    logger.setLevel(logging.DEBUG if traced else logging.ERROR)
    logger.propagate = False
    logger.addHandler(trace)
    try:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.get_loop().set_exception_handler(trace.stray)
            report: Report = runner.run(make(schedule, trace).play())
    finally:
        logger.removeHandler(trace)
        logger.setLevel(before[0])
        logger.propagate = before[1]
    report.trace[:0] = schedule.describe()
    return report
