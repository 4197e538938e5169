"""The judge of the campaign of faults sees each broken rule, and none where all is well."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from nuki_bridge.errors import LockError, TimedOut
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.outcome import OutcomeUnknown
from nuki_bridge.protocol.codes import LockState
from nuki_bridge.simulator.behaviour import AuditEntry
from tests.faults import alone
from tests.faults.alone import Alone
from tests.faults.judge import Case, Command
from tests.faults.schedule import draw
from tests.faults.stage import Stage, Trace
from tests.unit.rig import START

OURS = 1
ASKED, DEADLINE = 1000.0, 1015.0


def entry(at: float, what: str, detail: str, *, suffix: str | None = "c1", who: int | None = OURS) -> AuditEntry:
    return AuditEntry(START + timedelta(seconds=at - 1000.0), what, who, None, None, detail, suffix)


def started(at: float = 1001.0, action: str = "unlock", suffix: str | None = "c1") -> AuditEntry:
    return entry(at, "action_started", action, suffix=suffix)


def ended(at: float = 1004.0, how: str = "success") -> list[AuditEntry]:
    return [entry(at, "completed", how), entry(at, "rested", how)]


def state(at: float, name: str) -> AuditEntry:
    return entry(at, "state", name, suffix=None, who=None)


def rules(
    audit: list[AuditEntry], error: Exception | None = None, *, at: float | None = 1005.0, action: str = "unlock"
) -> list[str]:
    """Which rules the answer of one command breaks."""
    command = Command("c1", action, ASKED, DEADLINE)
    if at is not None:
        command.answer(at, error)
    return [each.rule for each in Case([command], audit, frozenset({OURS}), "locked", 0.1).judge()]


@pytest.mark.parametrize(
    ("audit", "error", "broken"),
    [
        ([started(), *ended()], None, []),
        ([started(), *ended(1005.0)], None, []),
        ([entry(1001.0, "completed", "nothing to do")], None, []),
        ([started(), *ended(1006.0)], None, ["success"]),
        ([started(), *ended(how="canceled")], None, ["success"]),
        ([], None, ["success"]),
        ([started(), started(1003.0), *ended()], None, ["one start"]),
        ([started(), started(1002.0, suffix=None), *ended()], None, ["unasked"]),
        ([started(action="lock"), *ended()], None, ["unasked"]),
        ([started(action="unlatch"), *ended()], None, []),  # as the owner has set it
        ([started(1015.2)], OutcomeUnknown(""), ["deadline"]),
        ([started()], OutcomeUnknown(""), []),
        ([], OutcomeUnknown(""), []),
        ([started()], TimedOut(""), ["refusal"]),
        ([], TimedOut(""), []),
        ([started(), *ended(how="motor_blocked")], LockError("motor_blocked", ""), []),
        ([started(), *ended(how="canceled")], LockError("motor_blocked", ""), ["failure"]),
        ([started(), *ended(1006.0, "canceled")], LockError("canceled", ""), ["failure"]),
        ([], LockError("motor_blocked", ""), ["failure"]),
        ([entry(1001.0, "action_refused", "busy")], LockError("busy", ""), []),
        ([started(), entry(1002.0, "action_refused", "disabled")], LockError("disabled", ""), ["refusal"]),
        ([entry(1001.0, "refused", "not_authorized", who=None)], LockError("not_authorized", ""), ["failure"]),
        ([started()], LockError("incomplete", ""), []),
        ([started(), *ended()], LockError("incomplete", ""), ["failure"]),
        ([], ValueError("what"), ["errors"]),
    ],
)
def test_an_answer_is_held_against_the_record(audit: list[AuditEntry], error: Exception, broken: list[str]) -> None:
    assert rules(audit, error) == broken


def test_a_lock_that_is_there_already_needs_no_record() -> None:
    assert rules([], action="lock") == []
    assert rules([state(1002.0, "unlocked")], action="lock") == ["success"]
    assert rules([state(999.0, "unlocked"), state(1002.0, "locked")], action="lock") == ["success"]
    assert rules([state(1006.0, "unlocked")], action="lock") == []


def test_lock_n_go_succeeds_when_it_has_locked_again() -> None:
    record = [started(action="lock_n_go"), entry(1002.0, "completed", "success")]
    assert rules(record, action="lock_n_go") == ["success"]
    assert rules([*record, entry(1003.0, "rested", "canceled")], action="lock_n_go") == ["success"]
    assert rules([*record, entry(1003.0, "rested", "success")], action="lock_n_go") == []


def test_answers_come_in_time() -> None:
    assert rules([], at=None) == ["in time"]
    assert rules([], TimedOut(""), at=DEADLINE + 51.0) == ["in time"]
    assert rules([entry(1001.0, "action_received", "unlock")], TimedOut(""), at=DEADLINE + 51.0) == []


def broken_rules(seed: int = 1) -> set[str]:
    return {each.rule for each in alone.play(seed).violations}


def test_a_command_that_is_sent_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    perform = Lock.perform

    async def twice(self: Lock, *args: Any, **more: Any) -> Any:
        await perform(self, *args, **more)
        return await perform(self, *args, **more)

    monkeypatch.setattr(Lock, "perform", twice)
    assert "one start" in set().union(*(broken_rules(seed) for seed in range(1, 30)))


def test_what_is_left_behind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    perform = Lock.perform

    async def forgetful(self: Lock, *args: Any, **more: Any) -> Any:
        asyncio.get_running_loop().call_later(7200.0, self.schedule_states)
        failing = asyncio.get_running_loop().create_future()
        failing.set_exception(ValueError("nobody takes it"))
        return await perform(self, *args, **more)

    monkeypatch.setattr(Lock, "perform", forgetful)
    assert {"left", "errors"} <= broken_rules()


async def test_a_state_that_the_lock_never_had_is_found() -> None:
    run = Alone(draw(1), Trace(False))
    stage: Stage = run._stage
    await stage.paired()
    number = stage.trouble.ours
    entry = stage.virtual.authorizations.get(number)
    assert entry is not None
    lock: Any = None
    said = stage.virtual.keyturner_states()
    stage.virtual.connections.send_encrypted(1, entry, said)
    told = stage.sent[-1][1]
    run._told_states(lock, None, told)
    assert stage.found == []
    run._told_states(lock, None, replace(told, lock_state=LockState.UNLATCHED))
    await asyncio.sleep(60.0)
    run._told_states(lock, None, told)
    assert [each.rule for each in stage.found] == ["states", "states"]
