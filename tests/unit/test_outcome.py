"""What the reports since an action was sent tell of it: success or failure only if they speak of this action."""

from __future__ import annotations

import pytest

from nuki_bridge.errors import LockError
from nuki_bridge.lock.outcome import OutcomeUnknown, Traces
from nuki_bridge.lock.profile import SMART_LOCK
from nuki_bridge.protocol.codes import Action as A
from nuki_bridge.protocol.codes import Completion, LockState, Trigger
from nuki_bridge.protocol.messages import KeyturnerStates

S = LockState
SYSTEM, MANUAL, BUTTON, AUTO_LOCK = Trigger.SYSTEM, Trigger.MANUAL, Trigger.BUTTON, Trigger.AUTO_LOCK
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
UNLOCKING = report(S.UNLOCKING, (A.UNLOCK, SYSTEM, OK))
LOCKING = report(S.LOCKING, (A.LOCK, SYSTEM, OK))
OPENING = report(S.UNLATCHING, (A.UNLATCH, SYSTEM, OK))
HELD = report(S.UNLATCHED, (A.UNLATCH, SYSTEM, OK))
OPENED = report(S.UNLOCKED, (A.UNLATCH, SYSTEM, OK))
LOCKED_BY_HAND = report(S.LOCKED, (A.LOCK, MANUAL, OK), MANUAL)
AUTO_LOCKED = report(S.LOCKED, (A.LOCK, AUTO_LOCK, OK), AUTO_LOCK)
JAMMED = report(S.MOTOR_BLOCKED, (A.LOCK, SYSTEM, BLOCKED))
STOPPED = report(S.UNDEFINED, (A.LOCK, SYSTEM, Completion.CANCELED))
FULLY_LOCKED = report(S.LOCKED, (A.FULL_LOCK, SYSTEM, OK))
NO_HANDLE = report(S.LOCKED, (A.FULL_LOCK, SYSTEM, Completion.HANDLE_NOT_LIFTED))
WAITING = report(S.UNLOCKED_LOCK_N_GO, (A.LOCK_N_GO, SYSTEM, OK))
LEFT = report(S.LOCKED, (A.LOCK_N_GO, SYSTEM, OK))
FORGOTTEN = report(S.LOCKED, (A.NONE, SYSTEM, OK))
OLD_LOCKED, OLD_UNLOCKED, OLD_LOST = report(S.LOCKED, None), report(S.UNLOCKED, None), report(S.UNDEFINED, None)
OLD_HELD, OLD_LOCKING = report(S.UNLATCHED, None), report(S.LOCKING, None)


def traces(action: A, *seen: KeyturnerStates, accepted: bool = False, crowded: bool = False) -> Traces:
    found = Traces(SMART_LOCK, action, crowded=crowded)
    found.accepted = accepted
    for each in seen:
        found.saw(each)
    return found


def word(action: A, *seen: KeyturnerStates, accepted: bool = False, crowded: bool = False) -> str:
    """What the last of these reports, at rest, tells."""
    return word_of_end(traces(action, *seen, accepted=accepted, crowded=crowded))


def word_of_end(found: Traces) -> str:
    """What its last report, at rest, tells."""
    assert found.last is not None
    try:
        return found.ended(found.last).completion
    except (LockError, OutcomeUnknown) as error:
        return error.code


def word_of_complete(found: Traces, state: KeyturnerStates) -> str:
    """What COMPLETE means after it; `more` if the action goes on."""
    try:
        outcome = found.completed(state)
    except (LockError, OutcomeUnknown) as error:
        return error.code
    return outcome.completion if outcome else "more"


@pytest.mark.parametrize(
    ("action", "state"),
    [
        (A.UNLOCK, UNLOCKED),
        (A.UNLOCK, LOCKED),
        (A.LOCK, LOCKED),
        (A.LOCK, LOCKED_BY_HAND),
        (A.LOCK, JAMMED),
        (A.LOCK, STOPPED),
        (A.LOCK, OLD_LOCKED),
        (A.FULL_LOCK, FULLY_LOCKED),
        (A.UNLATCH, OPENED),
        (A.LOCK_N_GO, LEFT),
        (A.UNLATCH, OLD_UNLOCKED),
    ],
)
def test_a_report_alone_proves_nothing(action: A, state: KeyturnerStates) -> None:
    """It may tell of an earlier action of the same name, or of somebody else's."""
    assert word(action, state) == "outcome_unknown"


@pytest.mark.parametrize(
    ("action", "seen", "told"),
    [
        (A.UNLOCK, (UNLOCKING, UNLOCKED), "success"),
        (A.UNLOCK, (UNLOCKING, AUTO_LOCKED), "outcome_unknown"),
        (A.UNLOCK, (UNLOCKING, UNLOCKED, AUTO_LOCKED), "success"),
        (A.UNLOCK, (LOCKING, LOCKED), "outcome_unknown"),
        (A.LOCK, (LOCKING, JAMMED), "motor_blocked"),
        (A.LOCK, (LOCKING, STOPPED), "canceled"),
        (A.LOCK, (report(S.LOCKING, (A.LOCK, AUTO_LOCK, OK), AUTO_LOCK), AUTO_LOCKED), "outcome_unknown"),
        (A.UNLATCH, (HELD, OPENED), "success"),
        (A.UNLATCH, (OPENING, OPENED), "success"),
        (A.UNLATCH, (OPENING, report(S.UNDEFINED, (A.UNLATCH, SYSTEM, OK))), "outcome_unknown"),
        (A.UNLATCH, (OPENING, AUTO_LOCKED), "outcome_unknown"),
        (A.UNLATCH, (OPENING, FORGOTTEN), "outcome_unknown"),
        (A.UNLATCH, (OLD_HELD, OLD_UNLOCKED), "success"),
        (A.UNLATCH, (report(S.UNLATCHING, None), OLD_UNLOCKED), "outcome_unknown"),
        (A.LOCK_N_GO, (WAITING, LEFT), "success"),
        (A.LOCK_N_GO, (WAITING, OPENED), "outcome_unknown"),
        (A.LOCK_N_GO, (WAITING, report(S.UNLOCKED_LOCK_N_GO, (A.LOCK_N_GO, BUTTON, OK)), LEFT), "outcome_unknown"),
        (A.LOCK_N_GO, (WAITING, report(S.UNLOCKED, (A.LOCK_N_GO, SYSTEM, Completion.CANCELED))), "canceled"),
        (A.LOCK_N_GO, (WAITING, report(S.UNLOCKING, (A.LOCK_N_GO, SYSTEM, OK)), LEFT), "outcome_unknown"),
        (A.LOCK_N_GO, (WAITING, report(S.LOCKING, (A.LOCK_N_GO, SYSTEM, OK)), WAITING, LEFT), "outcome_unknown"),
        (A.UNLATCH, (OPENING, OPENED, report(S.UNDEFINED, (A.UNLATCH, SYSTEM, BLOCKED))), "outcome_unknown"),
        (A.UNLATCH, (OPENING, OPENED, LOCKED, report(S.UNDEFINED, (A.UNLATCH, SYSTEM, BLOCKED))), "success"),
        (A.UNLATCH, (OPENING, OPENED, OPENING, report(S.UNDEFINED, (A.UNLATCH, SYSTEM, BLOCKED))), "success"),
        (A.LOCK_N_GO, (WAITING, report(S.UNLOCKED, (A.LOCK_N_GO, SYSTEM, OK))), "outcome_unknown"),
        (A.LOCK_N_GO, (WAITING, report(S.LOCKED, (A.LOCK_N_GO_UNLATCH, SYSTEM, OK))), "outcome_unknown"),
        (A.LOCK, (OLD_LOCKING, OLD_LOCKED), "success"),
        (A.LOCK, (OLD_LOCKING, OLD_UNLOCKED), "outcome_unknown"),
        (A.LOCK, (OLD_LOCKING, report(S.MOTOR_BLOCKED, None)), "motor_blocked"),
    ],
)
def test_movement_of_its_own_ties_the_report_to_the_action(
    action: A, seen: tuple[KeyturnerStates, ...], told: str
) -> None:
    assert word(action, *seen) == told


@pytest.mark.parametrize(
    ("action", "before", "after", "told"),
    [
        (A.UNLOCK, (), (UNLOCKING, UNLOCKED), "outcome_unknown"),
        (A.UNLOCK, (UNLOCKING,), (UNLOCKED,), "outcome_unknown"),
        (A.UNLOCK, (UNLOCKING,), (UNLOCKING, UNLOCKED), "outcome_unknown"),
        (A.LOCK, (LOCKING,), (JAMMED,), "outcome_unknown"),
        (A.LOCK, (LOCKING,), (STOPPED,), "outcome_unknown"),
        (A.LOCK, (OLD_LOCKING,), (OLD_LOCKED,), "outcome_unknown"),
        (A.LOCK, (OLD_LOCKING,), (OLD_LOST,), "outcome_unknown"),
        (A.LOCK, (LOCKING, LOCKED), (), "success"),
        (A.LOCK, (LOCKING, LOCKED), (LOCKED,), "success"),
        (A.LOCK, (LOCKING, LOCKED), (JAMMED,), "success"),
        (A.UNLATCH, (OPENING,), (OPENED,), "outcome_unknown"),
        (A.UNLATCH, (OPENING,), (HELD, OPENED), "outcome_unknown"),
        (A.UNLATCH, (OPENING, HELD), (OPENED,), "success"),
        (A.UNLATCH, (OPENING, OPENED), (report(S.UNDEFINED, (A.UNLATCH, SYSTEM, BLOCKED)),), "success"),
        (A.UNLATCH, (OLD_HELD,), (OLD_UNLOCKED,), "outcome_unknown"),
        (A.UNLOCK, (OPENING,), (OPENED,), "outcome_unknown"),
        (A.UNLOCK, (OPENING, HELD), (OPENED,), "success"),  # by its settings it opens, and was seen there
        (A.LOCK_N_GO, (UNLOCKING,), (WAITING, LEFT), "outcome_unknown"),
        (A.LOCK_N_GO, (UNLOCKING, WAITING), (LEFT,), "success"),
    ],
)
@pytest.mark.parametrize("accepted", [False, True])
def test_after_its_link_was_lost_what_the_lock_does_may_be_anothers(
    action: A, before: tuple[KeyturnerStates, ...], after: tuple[KeyturnerStates, ...], told: str, accepted: bool
) -> None:
    """Ours may have ended otherwise meanwhile, and one of the same name have come after it."""
    found = Traces(SMART_LOCK, action, alias=A.UNLATCH if action is A.UNLOCK else None)
    found.accepted = accepted
    for each in before:
        found.saw(each)
    found.link_lost()
    found.sight_lost()
    for each in after:
        found.saw(each)
    is_known = accepted or any(state in (LOCKED, OPENED) for state in before)  # it came to rest over its own link
    assert word_of_end(found) == (told if is_known else "outcome_unknown")


@pytest.mark.parametrize("accepted", [False, True])
def test_a_lock_that_is_out_of_sight_for_a_moment_still_tells_of_what_it_has_accepted(accepted: bool) -> None:
    found = Traces(SMART_LOCK, A.UNLOCK)
    found.accepted = accepted
    found.saw(UNLOCKING)
    found.link_lost()
    found.saw(UNLOCKED)
    assert word_of_end(found) == ("success" if accepted else "outcome_unknown")


@pytest.mark.parametrize("lost_after", [2, 3, 4])
@pytest.mark.parametrize("later", [(JAMMED,), (STOPPED,), (LOCKING, LOCKED), (LOCKED,)])
def test_what_the_lock_has_accepted_ends_where_it_first_rests(
    later: tuple[KeyturnerStates, ...], lost_after: int
) -> None:
    """What comes after is of another one, whether the link lives on or not."""
    found = Traces(SMART_LOCK, A.LOCK)
    found.accepted = True
    for number, each in enumerate((LOCKING, JAMMED, *later)):
        if number == lost_after:
            found.link_lost()
        found.saw(each)
    assert word_of_end(found) == "motor_blocked"
    assert word_of_complete(found, later[-1]) == "motor_blocked"


def test_a_lock_n_go_that_failed_and_waits_again_is_another() -> None:
    failed = report(S.UNLOCKED, (A.LOCK_N_GO, SYSTEM, Completion.INCOMPLETE))
    assert word(A.LOCK_N_GO, failed, accepted=True) == "incomplete"
    found = traces(A.LOCK_N_GO, failed, WAITING, accepted=True)
    assert not found.waits
    assert word(A.LOCK_N_GO, failed, WAITING, LEFT, accepted=True) == "outcome_unknown"


def test_movement_counts_for_nothing_while_the_lock_carries_out_another_action() -> None:
    assert word(A.UNLATCH, HELD, OPENED, crowded=True) == "outcome_unknown"
    assert word(A.UNLATCH, HELD, OPENED, crowded=True, accepted=True) == "success"


@pytest.mark.parametrize(
    ("action", "state", "told"),
    [
        (A.UNLOCK, UNLOCKED, "success"),
        (A.UNLOCK, OPENED, "success"),
        (A.LOCK, FULLY_LOCKED, "success"),
        (A.LOCK, NO_HANDLE, "handle_not_lifted"),
        (A.FOB_ACTION_2, JAMMED, "motor_blocked"),
        (A.FOB_ACTION_1, UNLOCKED, "success"),
        (A.LOCK, report(S.UNLOCKED, (A.LOCK, MANUAL, OK), MANUAL), "outcome_unknown"),
        (A.LOCK, OLD_LOST, "incomplete"),
        (A.UNLATCH, OLD_UNLOCKED, "outcome_unknown"),
        (A.FULL_LOCK, OLD_UNLOCKED, "outcome_unknown"),
    ],
)
def test_what_the_lock_has_accepted_it_reports_under_its_own_name(action: A, state: KeyturnerStates, told: str) -> None:
    assert word(action, state, accepted=True) == told


@pytest.mark.parametrize(
    ("action", "state", "accepted", "told"),
    [
        (A.LOCK, report(S.LOCKED, (A.LOCK, SYSTEM, BLOCKED)), False, "success"),  # nothing to do
        (A.UNLOCK, report(S.UNLOCKED, (A.LOCK, SYSTEM, BLOCKED)), True, "success"),
        (A.UNLOCK, LOCKED, False, "more"),  # it came late, for an earlier one
        (A.LOCK, NO_HANDLE, True, "handle_not_lifted"),
        (A.LOCK, report(S.UNLOCKED, (A.LOCK, SYSTEM, Completion.LOW_MOTOR_VOLTAGE)), True, "low_motor_voltage"),
        (A.LOCK, report(S.MOTOR_BLOCKED, None), True, "motor_blocked"),
        (A.UNLATCH, HELD, True, "success"),
        (A.UNLATCH, OPENING, True, "success"),  # somebody else opens again
        (A.LOCK_N_GO, WAITING, True, "more"),
        (A.LOCK_N_GO_UNLATCH, report(S.UNLATCHED, (A.LOCK_N_GO_UNLATCH, SYSTEM, OK)), True, "more"),
        (A.LOCK_N_GO, LEFT, True, "success"),
        (A.LOCK_N_GO, OPENED, True, "outcome_unknown"),
    ],
)
def test_complete(action: A, state: KeyturnerStates, accepted: bool, told: str) -> None:
    assert word_of_complete(traces(action, state, accepted=accepted), state) == told


def test_by_its_settings_a_lock_may_open_where_it_is_asked_to_unlock() -> None:
    found = Traces(SMART_LOCK, A.UNLOCK, alias=A.UNLATCH)
    for each in (HELD, OPENED):
        found.saw(each)
    assert found.ended(OPENED).completion == "success"


def test_which_states_a_lock_leaves_by_itself() -> None:
    assert SMART_LOCK.is_passing(A.UNLATCH, HELD)
    by_hand = report(S.UNLATCHED, (A.UNLATCH, MANUAL, OK), MANUAL)
    assert not SMART_LOCK.is_passing(A.UNLATCH, by_hand), "a hand holds the knob"
    assert SMART_LOCK.is_passing(A.LOCK_N_GO, WAITING)
    assert not SMART_LOCK.is_passing(A.LOCK, WAITING), "nobody keeps the turn for somebody else's"
