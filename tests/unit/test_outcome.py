"""The verdict over a lost answer: an action is taken for not carried out only if the lock's report proves it."""

from __future__ import annotations

import pytest

from nuki_bridge.errors import LockError
from nuki_bridge.lock.outcome import Verdict, ended, judge, settled
from nuki_bridge.protocol.codes import Action as A
from nuki_bridge.protocol.codes import Completion, LockState, Trigger
from nuki_bridge.protocol.messages import KeyturnerStates

S = LockState
SYSTEM, MANUAL = Trigger.SYSTEM, Trigger.MANUAL
OK, BLOCKED = Completion.SUCCESS, Completion.MOTOR_BLOCKED


def report(state: LockState, last: tuple[A, Trigger, Completion] | None, trigger: Trigger = SYSTEM) -> KeyturnerStates:
    """A report of the lock; `last` None is firmware that does not tell the last action."""
    action, last_trigger, completion = last or (None, None, None)
    return KeyturnerStates(
        nuki_state=2,
        lock_state=state,
        trigger=trigger,
        current_time=None,
        timezone_offset_min=0,
        battery_state=0,
        last_action=action,
        last_trigger=last_trigger,
        last_completion=completion,
    )


LOCKED = report(S.LOCKED, (A.LOCK, SYSTEM, OK))
UNLOCKED = report(S.UNLOCKED, (A.UNLOCK, SYSTEM, OK))
OPENED = report(S.UNLOCKED, (A.UNLATCH, SYSTEM, OK))
LOCKED_BY_HAND = report(S.LOCKED, (A.LOCK, MANUAL, OK), MANUAL)
JAMMED = report(S.MOTOR_BLOCKED, (A.LOCK, SYSTEM, BLOCKED))
FULLY_LOCKED = report(S.LOCKED, (A.FULL_LOCK, SYSTEM, OK))
ONE_TURN_SINCE = report(S.LOCKED, (A.FULL_LOCK, SYSTEM, OK), MANUAL)
OLD_LOCKED, OLD_UNLOCKED = report(S.LOCKED, None), report(S.UNLOCKED, None)


@pytest.mark.parametrize(
    ("action", "before", "after", "verdict"),
    [
        (A.UNLOCK, LOCKED, UNLOCKED, Verdict.DONE),
        (A.UNLOCK, LOCKED, LOCKED, Verdict.IDLE),
        (A.UNLOCK, None, UNLOCKED, Verdict.DONE),
        (A.UNLOCK, None, LOCKED, Verdict.UNKNOWN),
        (A.UNLOCK, OLD_LOCKED, OLD_UNLOCKED, Verdict.DONE),
        (A.UNLOCK, OLD_LOCKED, OLD_LOCKED, Verdict.IDLE),
        (A.LOCK, UNLOCKED, JAMMED, Verdict.DONE),
        (A.LOCK, UNLOCKED, LOCKED_BY_HAND, Verdict.DONE),
        (A.UNLOCK, UNLOCKED, LOCKED_BY_HAND, Verdict.UNKNOWN),
        (A.FULL_LOCK, UNLOCKED, FULLY_LOCKED, Verdict.DONE),
        (A.FULL_LOCK, LOCKED, FULLY_LOCKED, Verdict.DONE),
        (A.FULL_LOCK, FULLY_LOCKED, FULLY_LOCKED, Verdict.DONE),
        (A.FULL_LOCK, LOCKED, LOCKED, Verdict.IDLE),
        (A.FULL_LOCK, LOCKED_BY_HAND, LOCKED_BY_HAND, Verdict.IDLE),
        (A.FULL_LOCK, ONE_TURN_SINCE, ONE_TURN_SINCE, Verdict.IDLE),
        (A.FULL_LOCK, UNLOCKED, LOCKED_BY_HAND, Verdict.UNKNOWN),
        (A.FULL_LOCK, None, LOCKED, Verdict.UNKNOWN),
        (A.FULL_LOCK, OLD_UNLOCKED, OLD_LOCKED, Verdict.DONE),
        (A.FULL_LOCK, OLD_LOCKED, OLD_LOCKED, Verdict.IDLE),
        (A.UNLATCH, LOCKED, OPENED, Verdict.DONE),
        (A.UNLATCH, UNLOCKED, UNLOCKED, Verdict.IDLE),
        (A.UNLATCH, OPENED, OPENED, Verdict.UNKNOWN),
        (A.UNLATCH, None, OPENED, Verdict.UNKNOWN),
        (A.UNLATCH, OLD_UNLOCKED, OLD_UNLOCKED, Verdict.UNKNOWN),
        (A.UNLATCH, OLD_LOCKED, OLD_UNLOCKED, Verdict.DONE),
        (A.UNLATCH, LOCKED, LOCKED_BY_HAND, Verdict.UNKNOWN),
        (A.LOCK_N_GO, OLD_UNLOCKED, OLD_LOCKED, Verdict.UNKNOWN),
    ],
)
def test_verdict(action: A, before: KeyturnerStates | None, after: KeyturnerStates, verdict: Verdict) -> None:
    assert judge(action, before, after) is verdict


def test_a_failed_action_raises_under_the_name_of_its_completion_status() -> None:
    low = report(S.UNLOCKED, (A.LOCK, SYSTEM, Completion.LOW_MOTOR_VOLTAGE))
    with pytest.raises(LockError, match="low motor voltage") as failed:
        ended(A.LOCK, low, reported=True)
    assert failed.value.code == "low_motor_voltage"
    with pytest.raises(LockError) as failed:
        ended(A.LOCK, report(S.MOTOR_BLOCKED, None), reported=True)
    assert failed.value.code == "motor_blocked"


def test_an_earlier_failure_is_not_blamed_on_this_action() -> None:
    """COMPLETE at once, nothing to do: the last completion status belongs to some earlier action."""
    assert ended(A.LOCK, report(S.LOCKED, (A.LOCK, SYSTEM, BLOCKED)), reported=False).completion == "success"
    assert ended(A.UNLOCK, report(S.UNLOCKED, (A.LOCK, SYSTEM, BLOCKED)), reported=True).completion == "success"


@pytest.mark.parametrize(
    ("action", "states", "told"),
    [
        (A.LOCK, OLD_LOCKED, True),
        (A.LOCK, LOCKED_BY_HAND, True),
        (A.LOCK, OLD_UNLOCKED, False),
        (A.LOCK, report(S.UNDEFINED, None), False),
        (A.LOCK, UNLOCKED, False),
        (A.LOCK, report(S.UNLOCKED, (A.LOCK, MANUAL, OK), MANUAL), False),
        (A.LOCK, report(S.UNDEFINED, (A.LOCK, SYSTEM, Completion.CANCELED)), True),
        (A.LOCK, report(S.MOTOR_BLOCKED, None), True),
        (A.UNLOCK, report(S.UNDEFINED, (A.LOCK, SYSTEM, OK)), False),
        (A.FULL_LOCK, OLD_UNLOCKED, False),
        (A.UNLATCH, OLD_LOCKED, True),
    ],
)
def test_without_complete_the_states_tell_the_end_if_they_speak_of_it(
    action: A, states: KeyturnerStates, told: bool
) -> None:
    assert settled(action, states) is told
