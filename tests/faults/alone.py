"""One lock alone: a `Lock` lives through a schedule in virtual time."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from nuki_bridge.errors import NukiError
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.pairing import PairOptions, pair
from nuki_bridge.protocol.codes import Action, Family, LockState, name_of
from nuki_bridge.protocol.codes import Command as Code
from nuki_bridge.protocol.messages import KeyturnerStates
from nuki_bridge.protocol.wire import decode, encode
from nuki_bridge.simulator.behaviour import AuditEntry, Behaviour, seeded
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.radio import VirtualRadio
from tests.faults.judge import OLD_S, Case, Command, Violation
from tests.faults.schedule import READINGS, SETTLED_S, Event, Schedule, draw
from tests.faults.trouble import Trouble
from tests.unit.rig import ADDRESS, NUKI_ID, clock, now
from tests.virtual_time import VirtualTimeLoop

REACHABLE_S = 60.0
"""After the last fault."""
_OPEN = (LockState.UNLOCKED, LockState.UNLATCHED, LockState.UNLOCKED_LOCK_N_GO)


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
        self.began = 0.0

    def add(self, who: str, text: str) -> None:
        """One line, with the loop's time."""
        if self.wanted:
            self.lines.append(f"{clock():10.3f}  {who:<8} {text}")

    def emit(self, record: logging.LogRecord) -> None:
        """What the program says; errors are complaints that nobody took."""
        if record.levelno >= logging.ERROR:
            self.complaints.append(record.getMessage())
        if self.wanted:
            self.add("client", record.getMessage())

    def stray(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception that nobody took."""
        error = context.get("exception")
        self.complaints.append(f"{context['message']}: {error!r}")
        self.add("stray", self.complaints[-1])


class Alone:
    """The run of one schedule."""

    def __init__(self, schedule: Schedule, trace: Trace) -> None:
        self._plan = schedule
        self._trace = trace
        family, pin = schedule.family, 123456 if schedule.family is Family.ULTRA else 1234
        self.virtual = VirtualLock(
            ADDRESS, NUKI_ID, family=family, pin=pin, behaviour=Behaviour(), random=seeded(schedule.seed)
        )
        self._pin = str(pin)
        self.radio = VirtualRadio([self.virtual], clock=now)
        self._trouble = Trouble(self.radio, self.virtual)
        self._commands: list[Command] = []
        self._sent: list[tuple[float, KeyturnerStates]] = []
        self._told = 0
        self._found: list[Violation] = []
        self._asking: set[asyncio.Task[None]] = set()
        self.lock: Lock

    # -- the run ------------------------------------------------------------------------------------------------------

    async def play(self) -> Report:
        """Live through it and judge; the loop runs in virtual time."""
        plan = self._plan
        lock = self.lock = await self._paired()
        self._listen()
        radio = asyncio.create_task(self.radio.run(lock.sighted, lock.radio_changed), name="radio")
        run = asyncio.create_task(lock.run(), name="lock")
        await asyncio.sleep(10.0)
        began = clock()
        for event in plan.events:
            await asyncio.sleep(max(began + event.at - clock(), 0.0))
            self._happen(event)
        await asyncio.sleep(began + plan.ends_at - clock())
        self._trace.add("fault", "the last one is over")
        self._trouble.over()
        quiet = clock()
        await asyncio.sleep(REACHABLE_S)
        if not lock.reachable:
            self._add(
                "reachable", f"not reachable {REACHABLE_S:g} s after the last fault, which was over at {quiet:.3f}"
            )
        await asyncio.sleep(SETTLED_S - REACHABLE_S)
        self._agree(quiet)
        await self._last_command()
        await asyncio.sleep(180.0)  # the longest action, and answers that come late
        for task in (run, radio):
            if task.done():
                self._add("errors", f"the task {task.get_name()} ended by itself: {task}")
            task.cancel()
        await asyncio.wait((run, radio))
        self._judge()
        self._look_for_leftovers()
        gc.collect()
        self._found += [Violation("errors", each) for each in self._trace.complaints]
        answers = Counter(command.word for command in self._commands)
        return Report(plan.seed, self._found, answers, self._trace.lines)

    async def _paired(self) -> Lock:
        plan, virtual = self._plan, self.virtual
        virtual.hold_button()
        pin = self._pin if plan.with_pin else None
        options = PairOptions(plan.id_type, "bridge", 0x01020304, pin)
        kwargs: dict[str, Any] = {"random": seeded(2), "timeout_s": 20.0, "clock": clock, "now": now}
        paired, _ = await pair(self.radio, ADDRESS, plan.family, options, **kwargs)
        self._trouble.ours = paired.authorization_id
        virtual.log.enabled = plan.log_on
        for name in Behaviour.__slots__:
            setattr(virtual.behaviour, name, getattr(plan.behaviour, name))
        virtual.motor.state, virtual.door = plan.behaviour.start_state, plan.behaviour.start_door
        for name, value in plan.settings.items():
            setattr(virtual.settings, name, value)
        for name, value in plan.advanced.items():
            setattr(virtual.advanced, name, value)
        virtual.auto_lock_watch.settings_changed()
        for name, value in plan.radio.items():
            setattr(self.radio, name, value)
        return Lock(
            paired,
            self.radio,
            connection=plan.connection,
            random=seeded(3),
            clock=clock,
            now=now,
            on_states=self._told_states,
            on_change=lambda lock: self._trace.add("told", "reachable" if lock.reachable else "not reachable"),
        )

    def _listen(self) -> None:
        """Keep what the lock sends as its states, and in the trace what it notes down."""
        virtual, send, note = self.virtual, self.virtual.send_encrypted, self.virtual.note

        def sending(connection_id: int, to: Any, message: Any, size: int | None = None) -> None:
            if isinstance(message, KeyturnerStates):
                payload = encode(message, virtual.family)[:size]
                states = decode(Code.KEYTURNER_STATES, payload, virtual.family)
                assert isinstance(states, KeyturnerStates)
                self._sent.append((clock(), states))
            send(connection_id, to, message, size)

        def noting(what: str, *args: Any, **kwargs: Any) -> None:
            note(what, *args, **kwargs)
            self._trace.add("lock", _line(virtual.audit[-1]))

        virtual.send_encrypted = sending  # type: ignore[method-assign]
        virtual.note = noting  # type: ignore[method-assign]

    def _happen(self, event: Event) -> None:
        self._trace.add("schedule", str(event))
        if event.what == "command":
            self._ask(event.values["action"], event.values["timeout_s"])
        elif event.what in READINGS:
            self._start(self._read(event.what, event.values["timeout_s"]))
        else:
            self._trouble.do(event.what, event.values)

    # -- the client ---------------------------------------------------------------------------------------------------

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return task

    def _ask(self, action: Action, timeout_s: float) -> tuple[Command, asyncio.Task[None]]:
        asked_at = clock()
        command = Command(f"c{len(self._commands) + 1}", name_of(action), asked_at, asked_at + timeout_s)
        self._commands.append(command)
        return command, self._start(self._perform(command, action, timeout_s))

    async def _perform(self, command: Command, action: Action, timeout_s: float) -> None:
        self._trace.add("asks", f"{command.suffix}: {command.action} within {timeout_s:g} s")
        try:
            await self.lock.perform(action, timeout_s, suffix=command.suffix)
        except Exception as error:
            command.error = error
        command.answered_at = clock()
        self._trace.add("answer", f"{command.suffix}: {command.word} {command.error or ''}")

    async def _read(self, what: str, timeout_s: float) -> None:
        asked_at = clock()
        try:
            await getattr(self.lock, what)(timeout_s)
        except NukiError as error:
            self._trace.add("answer", f"{what}: {error.code}")
        except Exception as error:
            self._add("errors", f"{what} ended with {type(error).__name__}: {error}")
        if clock() - asked_at > timeout_s + 60.0:
            self._add("in time", f"{what} took {clock() - asked_at:.1f} s")

    async def _last_command(self) -> None:
        """With nothing wrong, and nobody about: the other way from where it is."""
        action = Action.LOCK if self.virtual.motor.state in _OPEN else Action.UNLOCK
        command, task = self._ask(action, 15.0)
        await asyncio.wait((task,), timeout=60.0)
        if command.word != "success":
            self._add("healthy", f"{command.suffix} ({command.action}) is answered {command.word}: {command.error}")

    def _told_states(self, lock: Lock, before: KeyturnerStates | None, states: KeyturnerStates) -> None:
        """It must be a report that the lock sent, none older than the last one told."""
        word = f"{name_of(states.lock_state)}, door {states.door_state}"
        self._trace.add("told", word)
        for place in range(self._told, len(self._sent)):
            sent_at, sent = self._sent[place]
            if sent == states:
                self._told = place
                if clock() - sent_at > OLD_S:
                    self._add("states", f"{word} is told at {clock():.3f}, the lock said it at {sent_at:.3f}")
                return
        self._add("states", f"{word} is told at {clock():.3f}, the lock never said it, or not since then")

    # -- the verdict --------------------------------------------------------------------------------------------------

    def _add(self, rule: str, text: str) -> None:
        self._found.append(Violation(rule, text))
        self._trace.add("BROKEN", str(self._found[-1]))

    def _agree(self, quiet: float) -> None:
        told, motor = self.lock.states, self.virtual.motor
        after = f"{SETTLED_S:g} s after the last fault, which was over at {quiet:.3f}"
        if told is None:
            self._add("agree", f"no state is told {after}")
        elif told.lock_state != motor.state:
            self._add("agree", f"{name_of(told.lock_state)} is told {after}; the lock is {name_of(motor.state)}")
        elif told.door_state not in (None, self.virtual.door):
            self._add("agree", f"door {told.door_state} is told {after}; it is {self.virtual.door}")

    def _judge(self) -> None:
        slack_s = self.radio.write_s + (5.0 if any("delay_write" in e.values for e in self._plan.events) else 0.0)
        ours = frozenset({self._trouble.ours})
        self._found += Case(
            self._commands, self.virtual.audit, ours, name_of(self._plan.behaviour.start_state), slack_s
        ).judge()

    def _look_for_leftovers(self) -> None:
        loop = asyncio.get_running_loop()
        for task in asyncio.all_tasks(loop) - {asyncio.current_task()}:
            self._add("left", f"the task {task.get_name()}: {task.get_coro()}")
        for handle in loop._scheduled:  # type: ignore[attr-defined]
            callback = handle._callback
            owner = getattr(callback, "__self__", None)
            module = type(owner).__module__ if owner is not None else getattr(callback, "__module__", "")
            if not handle.cancelled() and not str(module).startswith("nuki_bridge.simulator."):
                self._add("left", f"a timer: {handle}")
        if self.virtual.links or self.lock.connected:
            self._add("left", f"{self.virtual.links} link(s)")


def _line(entry: AuditEntry) -> str:
    parts = (entry.what, entry.detail, f"by {entry.name}" if entry.name else None, entry.suffix)
    return " ".join(part for part in parts if part)


def play(seed: int, *, traced: bool = False) -> Report:
    """Play the run of a seed."""
    schedule = draw(seed)
    trace = Trace(traced)
    logger = logging.getLogger("nuki_bridge")
    before = logger.level, logger.propagate
    logger.setLevel(logging.DEBUG if traced else logging.ERROR)
    logger.propagate = False
    logger.addHandler(trace)
    try:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.get_loop().set_exception_handler(trace.stray)
            report = runner.run(Alone(schedule, trace).play())
    finally:
        logger.removeHandler(trace)
        logger.level, logger.propagate = before
    report.trace[:0] = schedule.describe()
    return report
