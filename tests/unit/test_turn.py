"""Whose turn it is at a lock, and what is sent again: in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from nuki_bridge.errors import LockError, TimedOut
from nuki_bridge.lock.link_plan import ConnectionMode
from nuki_bridge.lock.turn import BUSY_PAUSE_S, PATIENCE_S, Rank, Turn, acting_for, with_challenge
from nuki_bridge.protocol.codes import Action, Command, ErrorCode
from nuki_bridge.protocol.messages import ErrorReport
from nuki_bridge.protocol.session import lock_error
from tests.unit.rig import Rig, clock


class Line:
    """Tasks that want one turn; `order` names those that had it."""

    def __init__(self) -> None:
        self.turn = Turn(clock)
        self.order: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def join(self, name: str, rank: Rank, hold_s: float = 1.0, timeout_s: float | None = None) -> None:
        async def work() -> None:
            await self.turn.acquire(rank, timeout_s)
            self.order.append(name)
            await asyncio.sleep(hold_s)
            self.turn.release()

        self.tasks.append(asyncio.create_task(work()))
        await asyncio.sleep(0)

    async def end(self) -> list[str]:
        await asyncio.gather(*self.tasks)
        assert self.turn.holder is None
        return self.order


async def test_people_come_first_then_guests_then_the_bridge_each_in_their_order() -> None:
    line = Line()
    await line.join("held", Rank.BRIDGE)
    for name, rank in (
        ("b1", Rank.BRIDGE),
        ("g1", Rank.GUEST),
        ("p1", Rank.PERSON),
        ("b2", Rank.BRIDGE),
        ("p2", Rank.PERSON),
        ("g2", Rank.GUEST),
    ):
        await line.join(name, rank)
    assert await line.end() == ["held", "p1", "p2", "g1", "g2", "b1", "b2"]


async def test_nobody_is_put_off_for_ever() -> None:
    line = Line()
    await line.join("held", Rank.PERSON)
    await line.join("bridge", Rank.BRIDGE)
    await line.join("guest", Rank.GUEST)
    for number in range(40):
        await line.join(f"p{number}", Rank.PERSON, hold_s=1.0)
        await asyncio.sleep(0.9)
    order = await line.end()
    assert order.index("guest") <= PATIENCE_S + 2
    assert order.index("bridge") <= 2 * PATIENCE_S + 3


async def test_a_command_waits_for_one_guests_turn_at_most() -> None:
    line = Line()
    await line.join("g1", Rank.GUEST, hold_s=9.5)
    await line.join("g2", Rank.GUEST, hold_s=9.5)
    await asyncio.sleep(9.0)
    await line.join("person", Rank.PERSON)
    assert await line.end() == ["g1", "person", "g2"]


async def test_who_gives_up_leaves_the_line_and_never_keeps_the_turn() -> None:
    line = Line()
    await line.join("held", Rank.PERSON, hold_s=5.0)
    await line.join("impatient", Rank.PERSON, timeout_s=5.0)  # given up at the moment in which it is called
    await line.join("cancelled", Rank.PERSON)
    await line.join("last", Rank.BRIDGE)
    await asyncio.sleep(1.0)
    line.tasks[2].cancel()
    results = await asyncio.gather(*line.tasks, return_exceptions=True)
    assert isinstance(results[1], TimeoutError) or line.order[1] == "impatient"
    assert isinstance(results[2], asyncio.CancelledError)
    assert line.order[-1] == "last"
    assert line.turn.holder is None


async def test_stepping_aside_lets_go_first_who_comes_first_and_nobody_else() -> None:
    turn, order = Turn(clock), []

    async def bridge() -> None:
        await turn.acquire(Rank.BRIDGE)
        await asyncio.sleep(1.0)
        await turn.step_aside(10.0)
        order.append("bridge")
        turn.release()

    async def other(name: str, rank: Rank) -> None:
        await turn.acquire(rank, 10.0)
        order.append(name)
        await asyncio.sleep(1.0)
        turn.release()

    tasks = [asyncio.create_task(bridge())]
    await asyncio.sleep(0.1)
    tasks += [asyncio.create_task(other("reading", Rank.BRIDGE)), asyncio.create_task(other("person", Rank.PERSON))]
    await asyncio.gather(*tasks)
    assert order == ["person", "reading", "bridge"]


async def test_a_turn_that_does_not_come_back_is_not_given_away_twice() -> None:
    turn = Turn(clock)

    async def bridge() -> None:
        await turn.acquire(Rank.BRIDGE)
        await asyncio.sleep(1.0)
        try:
            await turn.step_aside(2.0)
        finally:
            turn.release()

    async def person() -> None:
        await turn.acquire(Rank.PERSON)
        await asyncio.sleep(5.0)
        assert turn.holder is Rank.PERSON
        turn.release()

    tasks = [asyncio.create_task(bridge()), asyncio.create_task(person())]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], TimeoutError)
    assert results[1] is None
    assert turn.holder is None


async def test_who_has_waited_for_long_does_not_give_way_again() -> None:
    line = Line()
    await line.join("p1", Rank.PERSON, hold_s=2 * PATIENCE_S)
    await line.join("bridge", Rank.BRIDGE, hold_s=5.0)
    await asyncio.sleep(2 * PATIENCE_S + 1.0)
    await line.join("p2", Rank.PERSON)
    assert line.order == ["p1", "bridge"]
    assert not line.turn.is_wanted
    assert await line.end() == ["p1", "bridge", "p2"]


# -- sending again ----------------------------------------------------------------------------------------------------


def refusal(error: ErrorCode) -> LockError:
    return lock_error(ErrorReport(error=error, failed_command=Command.LOCK_ACTION))


class Answers:
    """A lock that answers each sending with the next of these."""

    def __init__(self, *answers: str | LockError) -> None:
        self._answers = list(answers)
        self.nonces: list[bytes] = []
        self.begun = clock()

    async def challenge(self) -> bytes:
        return len(self.nonces).to_bytes(32, "little")

    async def send(self, nonce: bytes) -> str:
        self.nonces.append(nonce)
        answer = self._answers.pop(0)
        if isinstance(answer, LockError):
            raise answer
        return answer

    async def ask(self, timeout_s: float = 15.0) -> str:
        return await with_challenge(self.send, self.challenge, clock, self.begun + timeout_s)


async def test_a_refused_challenge_is_renewed_once() -> None:
    answers = Answers(refusal(ErrorCode.BAD_NONCE), "done")
    assert await answers.ask() == "done"
    assert len(set(answers.nonces)) == 2
    answers = Answers(refusal(ErrorCode.BAD_NONCE), refusal(ErrorCode.BUSY), refusal(ErrorCode.BAD_NONCE), "done")
    with pytest.raises(LockError, match="challenge"):
        await answers.ask()


async def test_a_busy_lock_is_asked_again_with_a_fresh_challenge_until_the_deadline() -> None:
    answers = Answers(refusal(ErrorCode.BUSY), refusal(ErrorCode.BUSY), "done")
    assert await answers.ask() == "done"
    assert clock() - answers.begun == 2 * BUSY_PAUSE_S
    assert len(set(answers.nonces)) == 3
    answers = Answers(*[refusal(ErrorCode.BUSY)] * 20)
    with pytest.raises(LockError, match="busy"):
        await answers.ask(5.0)
    assert clock() - answers.begun <= 5.0


async def test_what_has_another_reason_is_not_sent_again() -> None:
    answers = Answers(refusal(ErrorCode.BAD_PIN), "done")
    with pytest.raises(LockError):
        await answers.ask()
    assert len(answers.nonces) == 1


# -- at a lock --------------------------------------------------------------------------------------------------------


async def test_while_the_bridge_seeks_the_lock_a_command_is_told_that_it_cannot_be_reached() -> None:
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND) as lock:
        rig.virtual.out_of_range()

        async def errand() -> None:
            acting_for.set(Rank.BRIDGE)
            await lock.refresh(60.0)

        task = asyncio.create_task(errand())
        await asyncio.sleep(1.0)
        with pytest.raises(TimedOut, match="could not be reached"):
            await lock.perform(Action.UNLOCK, 2.0)
        with pytest.raises(TimedOut, match="could not be reached"):
            await lock.perform(Action.UNLOCK, 15.0)
        rig.virtual.out_of_range(away=False)
        assert (await lock.perform(Action.UNLOCK, 15.0)).completion == "success"
        await task


async def test_behind_an_earlier_command_a_command_is_told_so() -> None:
    rig = Rig(motor_s=30.0)
    async with rig.running() as lock:
        first = asyncio.create_task(lock.perform(Action.UNLOCK, 15.0))
        await asyncio.sleep(0.1)
        with pytest.raises(TimedOut, match="earlier commands"):
            await lock.perform(Action.LOCK, 15.0)
        await first


async def test_a_slow_lock_is_asked_one_thing_before_somebodys_command() -> None:
    """All that the bridge reads at the start is due, at 1.5 s for each answer."""
    rig = Rig()
    async with rig.running(settle=False) as lock:
        rig.radio.latency_s = 1.5
        while not lock.connected:
            await asyncio.sleep(0.1)
        begun = clock()
        task = asyncio.create_task(lock.perform(Action.UNLOCK, 15.0))
        while not rig.movements():
            await asyncio.sleep(0.05)
        assert clock() - begun <= 3.2
        await task
        assert rig.lock.config is None
        await asyncio.sleep(20.0)
        assert rig.lock.config is not None


async def test_what_the_bridge_reads_leaves_its_challenge_to_a_command_that_waits() -> None:
    rig = Rig()
    async with rig.running() as lock:
        rig.radio.latency_s = 1.0
        lock.exchange.challenge = None

        async def errand() -> None:
            acting_for.set(Rank.BRIDGE)
            await lock.read_config(15.0)

        before = rig.writes()
        task = asyncio.create_task(errand())
        await asyncio.sleep(0.5)
        begun = clock()
        outcome = asyncio.create_task(lock.perform(Action.UNLOCK, 15.0))
        while not rig.movements():
            await asyncio.sleep(0.01)
        assert clock() - begun < 1.0
        assert rig.writes() - before == 2  # for the challenge, and the command
        assert not task.done()
        assert (await outcome).completion == "success"
        await task


async def test_a_command_right_behind_another_waits_for_its_challenge_alone() -> None:
    rig = Rig()
    async with rig.running() as lock:
        rig.radio.latency_s = 1.0
        await lock.perform(Action.UNLOCK, 15.0)
        before, begun = rig.writes(), clock()
        await asyncio.sleep(0.1)
        task = asyncio.create_task(lock.perform(Action.LOCK, 15.0))
        while len(rig.movements()) < 2:
            await asyncio.sleep(0.01)
        assert clock() - begun < 1.1
        assert rig.writes() - before == 2
        await task
        states = len(rig.states)
        await asyncio.sleep(5.0)
        assert len(rig.states) == states + 1  # one reading for both
        assert lock.exchange.challenge is not None
