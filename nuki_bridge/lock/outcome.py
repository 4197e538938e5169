"""What became of a lock action, by what the lock showed of it since it was sent.

Pure, and cautious: an action counts as carried out, or as failed, only if the lock said so of this action or moved on
account of it.  Two reports that are alike prove nothing: the same motor may have met the same obstacle twice, a lock
that was unlocked may have locked by itself, and the report before may have been old.  So nothing here ever says that an
action was not carried out; only the lock's log can (`evidence.py`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from nuki_bridge.errors import LockError, NukiError
from nuki_bridge.lock.profile import Profile
from nuki_bridge.protocol.codes import Completion, Trigger, name_of
from nuki_bridge.protocol.common import States

TIMER_ROUNDED_S = 2.0
"""A lock tells its time and how long lock 'n' go still waits in whole seconds."""
LONGEST_TIMER_S = 255
"""More a lock cannot tell, so that it may be longer."""


class OutcomeUnknown(NukiError):
    """An action was sent, and nothing tells whether, or how far, the lock carried it out."""

    code = "outcome_unknown"


class NotExecuted(NukiError):
    """An action was sent, its answer got lost, and the lock's log proves that it did nothing."""

    code = "not_executed"


class Outcome:
    """How a lock action ended, in the lock's own words; `completion` is its completion status in lower snake case."""

    __slots__ = ("completion", "states")

    def __init__(self, completion: str, states: States | None) -> None:
        self.completion = completion
        self.states = states


SUCCESS = name_of(Completion.SUCCESS)


def failure(completion: int) -> LockError:
    """Return the error under a completion status's name."""
    code = name_of(completion)
    if completion == Completion.MOTOR_BLOCKED:
        return LockError(code, "the motor is blocked; check the door and the bolt")
    return LockError(code, f"the lock ended the action with {code.replace('_', ' ')}")


class Traces:
    """What the lock showed of one action since that was sent: `saw` gets each report of it, whoever asked for it.

    `profile` is that of the lock's kind.  `crowded` says that the lock was carrying out another action: what moves then
    does not show that it has this one.
    `alias` is what the lock makes of the action by its settings.
    """

    def __init__(self, profile: Profile, action: int, *, crowded: bool = False, alias: int | None = None) -> None:
        self.profile = profile
        self.action = action
        self._alias = alias
        self._crowded = crowded
        self._foreign = False  # another one's movement was on its way when this was sent
        self.accepted = False
        """The lock has said that it carries it out, or was seen beginning as some firmware does that says nothing."""
        self.is_blind = False
        """The lock was out of sight since the link was lost: what is at rest now may be another's doing."""
        self.moved = False
        """It has shown a state that this action passes through, not set in motion by a person at the lock."""
        self.restless = False
        """It has moved at all, on whoever's account."""
        self.last: States | None = None
        self._reached: States | None = None
        self.is_over = False
        """What the lock shows from now on is of another action, even if that has the same name."""
        self._opened = False
        self._phase = 0
        self._has_waited = False
        self._has_failed = False
        self._failed: int | None = None  # how it ended, at the first rest after its movement
        self._wait_s = 0
        self._waited_at: datetime | None = None  # lock 'n' go was last seen waiting, by the lock's clock
        self._locks_at: datetime | None = None
        self.is_lost = False
        """The link over which the action was sent is gone."""
        self._was_hidden = False  # and the lock was out of sight for long enough that another one may have failed since
        self._name: int | None = None

    def came_early(self, states: States) -> None:
        """Note that `states` left the lock before it can have had the action.

        A movement in them is another one's, and so is what follows until the lock says that it takes this one.
        """
        self._foreign |= self.profile.is_unsettled(states)

    def saw(self, states: States) -> None:
        """Take a report of the lock."""
        self.last = states
        self.is_over |= self._failed is not None
        profile, state = self.profile, states.lock_state
        self.restless |= state in profile.moving or state in profile.held
        if state in profile.passes_through(self.action) and states.trigger == Trigger.SYSTEM:
            foreign = self._crowded or (self._foreign and not self.accepted)
            self.moved |= not foreign and not self.is_blind
            self._opened |= state in profile.held
        if self._name is None and self.is_ours and self.action in profile.waits:
            by_command = states.last_trigger == Trigger.SYSTEM and profile.reported_as(self.action, states.last_action)
            self._name = states.last_action if by_command else None
        self.is_over |= self._reached is not None and (state in profile.moving or not self._is_named(states))
        if self.action in profile.waits and self.is_ours and state in profile.any_turn:
            phase = profile.phases.get(state, 0)
            self.is_over |= phase < self._phase
            self._phase = max(self._phase, phase)
            self._follow_wait(states)
            self.is_over |= self._has_failed
        elif self.action in profile.waits and self.names_it(states):
            self._has_failed |= states.last_completion != Completion.SUCCESS
        if self._name is not None and states.last_action is not None:
            self.is_over |= states.last_action != self._name or states.last_trigger != Trigger.SYSTEM
        may_count = self.moved or (self.accepted and profile.is_repeatable(self.action))
        if may_count and not profile.is_passing(self.action, states) and self._succeeded(states):
            self._reached = states
        elif self._reached is None and self._rests_failed(states):
            self._failed = states.last_completion

    def _rests_failed(self, states: States) -> bool:
        """The lock took the action, moved, and rests now because it failed."""
        rests = self.accepted and self.moved and not self.profile.is_passing(self.action, states)
        return rests and not self.is_blind and not self._was_hidden and self._names_failure(states)

    def _names_failure(self, states: States) -> bool:
        """They tell that this action failed, or another one of the same name."""
        return self.names_it(states) and states.last_completion != Completion.SUCCESS

    def link_lost(self) -> None:
        """Nothing of it may be told over the link any more.

        If the lock was last seen moving for an action that it has accepted, and is seen again within a moment, what it
        shows is still of this action: somebody else's of the same name would have had to follow one that was stopped.
        """
        self.is_lost = True
        last = self.last
        turning = self.moved and last is not None and last.lock_state in self.profile.moving
        self.is_blind |= not (self.accepted and (turning or self._has_shown_much()))

    def sight_lost(self) -> None:
        """The lock has been out of sight for longer since the link was lost.

        Meanwhile it may have ended otherwise, and somebody else's of the same name have come after it: the states are
        the same.  They count only if before the lock was seen holding the latch, or waiting to lock, for this action:
        then the door was opened, and what follows is told apart by what came before.  Only how it failed is not, if all
        that was left to it was to let go of the latch: another one may have been stopped since.
        """
        self._was_hidden = self.action not in self.profile.waits
        self.is_blind |= not (self.accepted and self._has_shown_much())

    def _has_shown_much(self) -> bool:
        last = self.last
        opens = self._opened and self.action not in self.profile.waits
        return self._has_waited or (opens and last is not None and bool(last.last_action))

    def _follow_wait(self, states: States) -> None:
        """The lock tells how long lock 'n' go still waits: another one of the same name waits longer."""
        now, left_s = states.current_time, states.lock_n_go_timer
        if states.lock_state not in self.profile.waiting:
            return
        self._has_waited = True
        if now is None or not left_s or left_s >= LONGEST_TIMER_S:
            return
        locks_at = now + timedelta(seconds=left_s)
        if self._locks_at is None:
            self._wait_s, self._locks_at = left_s, locks_at
        self.is_over |= locks_at > self._locks_at + timedelta(seconds=TIMER_ROUNDED_S)
        self._waited_at = now

    def _may_be_another(self, states: States) -> bool:
        """Since lock 'n' go was seen waiting there was time, unseen, for a whole one of somebody else's."""
        now, since = states.current_time, self._waited_at
        return self.is_lost and now is not None and since is not None and (now - since).total_seconds() >= self._wait_s

    @property
    def is_ours(self) -> bool:
        """Whether the lock has the action: what it does is done on its account."""
        return self.accepted or self.moved

    @property
    def waits(self) -> bool:
        """Whether the lock stands unlocked and is going to lock again, on account of this action."""
        last = self.last
        if last is None or last.lock_state not in self.profile.waiting or self.is_over or not self.is_ours:
            return False
        return last.last_action is None or self.names_it(last)

    def shows_it_begun(self, states: States) -> bool:
        """Return whether a report that came unasked on the link of this action says that the lock carries it out."""
        by_command = states.trigger == Trigger.SYSTEM and states.last_trigger in (Trigger.SYSTEM, None)
        named = states.last_action is None or self.profile.reported_as(self.action, states.last_action)
        return self.moved and states.lock_state in self.profile.moving and by_command and named

    def names_it(self, states: States) -> bool:
        """Return whether `states` name this action, a command over Bluetooth, as itself or a relative, and its end."""
        return (
            self.is_ours
            and not self.is_over
            and states.last_completion is not None
            and states.last_trigger == Trigger.SYSTEM
            and self._is_named(states)
        )

    def _is_named(self, states: States) -> bool:
        """Under a related name only if the lock said that it took it; lock 'n' go under the first, which it keeps."""
        told = states.last_action
        related = self.accepted and self.profile.reported_as(self.action, told)
        return (told in (self.action, self._alias) or related) and self._name in (None, told)

    def completed(self, states: States) -> Outcome | None:
        """Return the outcome of an action of which the lock has said COMPLETE, None if that was not the end of it.

        Some firmware says it while the latch is held or lock 'n' go waits.  Raises `LockError` if the action failed.
        """
        if not self.is_ours:
            leads = self.profile.leads_to(self.action, states) and not self._foreign
            return Outcome(SUCCESS, states) if leads else None
        if self._failed is not None:
            raise failure(self._failed)
        named = self.names_it(states)
        if states.lock_state in self.profile.moving:  # on account of another one
            return None if self.action in self.profile.waits else Outcome(SUCCESS, states)
        if named and states.last_completion != Completion.SUCCESS:
            assert states.last_completion is not None
            raise failure(states.last_completion)
        if states.lock_state == self.profile.blocked and (named or states.last_action is None):
            raise failure(Completion.MOTOR_BLOCKED)
        if self.action in self.profile.waits:
            return None if self.profile.is_passing(self.action, states) else self.ended(states)
        return Outcome(SUCCESS, states)

    def ended(self, states: States) -> Outcome:
        """Return the outcome of an action that is over without COMPLETE, by `states`, in which the lock rests.

        Raises `LockError` if it failed, `OutcomeUnknown` if they do not say.
        """
        if self._succeeded(states):
            return Outcome(SUCCESS, states)
        named, completion, failed = self.names_it(states), states.last_completion, self._names_failure(states)
        if self._reached is not None:
            if failed and not self.is_blind:
                raise self._unknown(states)  # it got there, and then failed? or somebody else's did
            return Outcome(SUCCESS, self._reached)  # it got there, and was turned on since
        if self._failed is not None:
            raise failure(self._failed)
        if self.is_over or self.is_blind or self._may_be_another(states) or (failed and self._was_hidden):
            raise self._unknown(states)
        if failed:
            assert completion is not None
            raise failure(completion)
        if self.is_ours and states.lock_state == self.profile.blocked and (named or states.last_action is None):
            raise failure(Completion.MOTOR_BLOCKED)
        if self.accepted and states.lock_state == self.profile.undefined and (named or states.last_action is None):
            raise LockError("incomplete", "the lock accepted the action, but it is undefined now")
        raise self._unknown(states)

    def _unknown(self, states: States) -> OutcomeUnknown:
        return OutcomeUnknown(f"{name_of(self.action)} was sent; the lock is {name_of(states.lock_state)} now")

    def _succeeded(self, states: States) -> bool:
        """Return whether these states, at rest, say that the action was carried out.

        Not of one that the lock may never have got: somebody else's, or an earlier one, looks the same.
        """
        if not self.is_ours or self.is_over or states.lock_state in self.profile.nowhere:
            return False
        if self.is_blind or self._may_be_another(states):
            return False
        by_command, told_how = states.trigger == Trigger.SYSTEM, states.last_completion is not None
        if not told_how and (states.last_action is not None or not by_command):
            return False
        if told_how and not (self.names_it(states) and states.last_completion == Completion.SUCCESS):
            return False
        if self.profile.is_repeatable(self.action):
            return by_command and self.profile.leads_to(self.action, states)
        if self.action not in self.profile.rests:
            return told_how
        was_seen = self._opened if self.action in self.profile.opens else self.moved
        return by_command and (was_seen or told_how) and states.lock_state in self.profile.rests[self.action]
