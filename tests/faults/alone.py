"""One lock alone: a `Lock` lives through a schedule in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

from nuki_bridge.errors import NukiError
from nuki_bridge.lock.lock import Lock
from nuki_bridge.protocol.codes import Action, name_of
from nuki_bridge.protocol.common import States
from nuki_bridge.simulator.behaviour import seeded
from tests.faults.judge import OLD_S, Command
from tests.faults.schedule import READINGS, Event, Schedule, draw
from tests.faults.stage import LONGEST_S, OPEN, Report, Stage, Trace, run
from tests.unit.rig import clock, now


class Alone:
    """The run of one schedule."""

    def __init__(self, schedule: Schedule, trace: Trace) -> None:
        self._stage = Stage(schedule, trace)
        self._told = 0
        self._lock: Lock

    async def play(self) -> Report:
        """Live through it and judge; the loop runs in virtual time."""
        stage, plan = self._stage, self._stage.plan
        lock = self._lock = Lock(
            await stage.paired(),
            stage.radio,
            connection=plan.connection,
            random=seeded(3),
            clock=clock,
            now=now,
            states_every_s=plan.states_every,
            on_states=self._told_states,
            on_change=lambda lock: stage.trace.add("told", "reachable" if lock.reachable else "not reachable"),
        )
        radio = asyncio.create_task(stage.radio.run(lock.sighted, lock.radio_changed), name="radio")
        running = asyncio.create_task(lock.run(), name="lock")
        self._agree(await stage.live(self._happen, lambda: None, lambda: lock.reachable))
        await self._last_command()
        await asyncio.sleep(LONGEST_S)
        stage.stopped(running, radio)
        await asyncio.wait((running, radio))
        return stage.report({stage.trouble.ours})

    def _happen(self, event: Event) -> None:
        if event.what == "command":
            self._ask(event.values["action"], event.values["timeout_s"])
        elif event.what in READINGS:
            self._stage.start(self._read(event.what, event.values["timeout_s"]))
        else:
            self._stage.trouble.do(event.what, event.values)

    # -- the client ---------------------------------------------------------------------------------------------------

    def _ask(self, action: Action, timeout_s: float) -> tuple[Command, asyncio.Task[None]]:
        commands = self._stage.commands
        asked_at = clock()
        command = Command(f"c{len(commands) + 1}", name_of(action), asked_at, asked_at + timeout_s)
        commands.append(command)
        return command, self._stage.start(self._perform(command, action, timeout_s))

    async def _perform(self, command: Command, action: Action, timeout_s: float) -> None:
        self._stage.trace.add("asks", f"{command.suffix}: {command.action} within {timeout_s:g} s")
        try:
            await self._lock.perform(action, timeout_s, suffix=command.suffix)
        except Exception as error:
            command.answer(clock(), error)
        else:
            command.answer(clock())
        self._stage.trace.add("answer", f"{command.suffix}: {command.word} {command.message}")

    async def _read(self, what: str, timeout_s: float) -> None:
        asked_at = clock()
        try:
            await getattr(self._lock, what)(timeout_s)
        except NukiError as error:
            self._stage.trace.add("answer", f"{what}: {error.code}")
        except Exception as error:
            self._stage.add("errors", f"{what} ended with {type(error).__name__}: {error}")
        if clock() - asked_at > timeout_s + 60.0:
            self._stage.add("in time", f"{what} took {clock() - asked_at:.1f} s")

    async def _last_command(self) -> None:
        """With nothing wrong, and nobody about: the other way from where it is."""
        action = Action.LOCK if self._stage.virtual.motor.state in OPEN else Action.UNLOCK
        command, task = self._ask(action, 15.0)
        await asyncio.wait((task,), timeout=60.0)
        self._stage.last_word(command)

    # -- what is told -------------------------------------------------------------------------------------------------

    def _told_states(self, lock: Lock, before: States | None, states: States) -> None:
        """It must be a report that the lock sent, none older than the last one told."""
        stage = self._stage
        word = f"{name_of(states.lock_state)}, door {states.door_state}"
        stage.trace.add("told", word)
        for place in range(self._told, len(stage.sent)):
            sent_at, sent = stage.sent[place]
            if sent == states:
                self._told = place
                if clock() - sent_at > OLD_S:
                    stage.add("states", f"{word} is told at {clock():.3f}, the lock said it at {sent_at:.3f}")
                return
        stage.add("states", f"{word} is told at {clock():.3f}, the lock never said it, or not since then")

    def _agree(self, after: str) -> None:
        told, virtual = self._lock.states, self._stage.virtual
        state: Any = virtual.motor.state
        if told is None:
            self._stage.add("agree", f"no state is told {after}")
        elif told.lock_state != state:
            self._stage.add("agree", f"{name_of(told.lock_state)} is told {after}; the lock is {name_of(state)}")
        elif told.door_state not in (None, virtual.door):
            self._stage.add("agree", f"door {told.door_state} is told {after}; it is {virtual.door}")


def play(seed: int, *, traced: bool = False) -> Report:
    """Play the run of a seed."""
    return run(Alone, draw(seed), traced=traced)
