"""What became of a lock action whose answer got lost: a verdict from the states before and after.

Pure, and cautious: an action counts as not carried out only if the lock's own report proves it.  Sending it again is a
decision of `lock.py`, which does so only for actions in `TARGETS`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from nuki_bridge.errors import LockError, NukiError
from nuki_bridge.protocol.codes import Action, Completion, LockState, Trigger, name_of
from nuki_bridge.protocol.messages import KeyturnerStates

TARGETS: dict[Action, frozenset[LockState]] = {
    Action.LOCK: frozenset({LockState.LOCKED}),
    Action.FULL_LOCK: frozenset({LockState.LOCKED}),
    Action.UNLOCK: frozenset({LockState.UNLOCKED, LockState.UNLATCHED, LockState.UNLOCKED_LOCK_N_GO}),
}
"""Actions that only lead to a state, and the states: sent twice they still move the motor once."""

_PASSING: dict[Action, frozenset[LockState]] = {
    Action.FULL_LOCK: frozenset({LockState.LOCKED}),
    Action.UNLATCH: frozenset({LockState.UNLATCHED, LockState.UNLOCKED}),
    Action.LOCK_N_GO: frozenset({LockState.UNLOCKED_LOCK_N_GO}),
    Action.LOCK_N_GO_UNLATCH: frozenset({LockState.UNLOCKED_LOCK_N_GO, LockState.UNLATCHED}),
}
"""States that these lead through or, with fewer turns, others, too; they prove something only if the lock moved."""


class OutcomeUnknown(NukiError):
    """An action was sent, its answer got lost, and nothing tells whether the lock carried it out."""

    code = "outcome_unknown"


class NotExecuted(NukiError):
    """An action was sent, its answer got lost, and the lock's state proves that it did nothing."""

    code = "not_executed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a lock action ended, in the lock's own words; `completion` is its completion status in lower snake case."""

    completion: str
    states: KeyturnerStates | None


class Verdict(enum.Enum):
    """Was the action carried out?"""

    DONE = "done"
    IDLE = "idle"
    UNKNOWN = "unknown"


def _fingerprint(states: KeyturnerStates) -> tuple[object, ...]:
    """What an action of anybody changes."""
    return states.lock_state, states.trigger, states.last_action, states.last_trigger, states.last_completion


def judge(action: Action, before: KeyturnerStates | None, after: KeyturnerStates) -> Verdict:
    """Was `action` carried out between the two reports?  `before` may be missing or older than the action."""
    moved = before is not None and _fingerprint(before) != _fingerprint(after)
    ours = after.last_action == action and after.last_trigger == Trigger.SYSTEM
    by_system = after.trigger == Trigger.SYSTEM
    if after.lock_state in TARGETS.get(action, ()) and (action not in _PASSING or (ours and by_system)):
        return Verdict.DONE
    if moved and ours:
        return Verdict.DONE
    if moved and after.last_action is None and by_system:  # old firmware: no last action
        return Verdict.DONE if after.lock_state in _PASSING.get(action, ()) else Verdict.UNKNOWN
    if before is not None and not moved and (action in TARGETS or (after.last_action is not None and not ours)):
        return Verdict.IDLE
    return Verdict.UNKNOWN


def settled(action: Action, states: KeyturnerStates) -> bool:
    """Whether `states`, of a lock that rests, tell how `action` ended, of which no COMPLETE was heard.

    An action that leads to a state has either a completion status of its own in them or led there (or to a blocked
    motor); a lock that is elsewhere and says nothing of it has not done it, or not to its end.
    """
    if states.last_completion is not None and states.last_action == action and states.last_trigger == Trigger.SYSTEM:
        return True
    return action not in TARGETS or states.lock_state in TARGETS[action] | {LockState.MOTOR_BLOCKED}


def ended(action: Action, states: KeyturnerStates, *, reported: bool) -> Outcome:
    """The outcome that `states` tell for an action that has ended.

    `reported` means that the lock sent them on account of this action; only then their completion status is its.
    Raises `LockError` under the completion status's name if the action failed.
    """
    if reported and states.lock_state == LockState.MOTOR_BLOCKED:
        raise LockError("motor_blocked", "the motor is blocked; check the door and the bolt")
    completion = states.last_completion
    if not reported or completion is None or states.last_action != action:
        completion = Completion.SUCCESS
    if completion != Completion.SUCCESS:
        code = name_of(completion)
        raise LockError(code, f"the lock ended the action with {code.replace('_', ' ')}")
    return Outcome(name_of(completion), states)
