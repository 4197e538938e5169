"""The motor of a virtual Smart Lock: what an action makes it do, step by step in time.

It knows neither links nor messages: it reports each state to `on_state`, and the end of an action to whoever started
it.  An Opener has no bolt: electric strike, ring to open and continuous mode would need a module in place of this one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from nuki_bridge.protocol.codes import Action, Completion, LockState, Trigger
from nuki_bridge.records import frozen
from nuki_bridge.simulator.advanced_config import AdvancedSettings
from nuki_bridge.simulator.behaviour import Behaviour, after
from nuki_bridge.simulator.transport import Clock, Timer

Done = Callable[[Completion], None]
"""Called at the end of an action, with how it ended."""


@frozen
class MotorTurn:
    """The motor turns: `moving` is reported at the start, `final` at the end."""

    moving: LockState
    final: LockState


@frozen
class Hold:
    """The latch is held, then springs back."""


@frozen
class Wait:
    """Lock 'n' go waits, unlocked, before it locks."""


_UNLOCK = MotorTurn(LockState.UNLOCKING, LockState.UNLOCKED)
_LOCK = MotorTurn(LockState.LOCKING, LockState.LOCKED)
_CALIBRATE = MotorTurn(LockState.CALIBRATING, LockState.UNLOCKED)
_UNLATCH = MotorTurn(LockState.UNLATCHING, LockState.UNLATCHED)
Phase = MotorTurn | Hold | Wait

REACHABLE_BY_HAND = (LockState.LOCKED, LockState.UNLOCKED, LockState.UNLATCHED)


MOTOR_ACTIONS = frozenset(
    {
        Action.UNLOCK,
        Action.LOCK,
        Action.UNLATCH,
        Action.LOCK_N_GO,
        Action.LOCK_N_GO_UNLATCH,
        Action.FULL_LOCK,
    }
)
"""Actions that `plan` accepts: all those of a Smart Lock that turn the motor."""


def plan(action: Action, state: LockState, *, again: bool = False) -> list[Phase]:
    """Return the phases of `action` from `state`; none if there is nothing to do, unless it is to turn `again`."""
    is_open = state in (LockState.UNLOCKED, LockState.UNLATCHED)
    match action:
        case Action.UNLOCK:
            return [] if is_open and not again else [_UNLOCK]
        case Action.LOCK | Action.FULL_LOCK:
            return [] if state is LockState.LOCKED and not again else [_LOCK]
        case Action.UNLATCH:
            return [_UNLATCH, Hold()]
        case Action.LOCK_N_GO:
            return [Wait(), _LOCK] if is_open else [_UNLOCK, Wait(), _LOCK]
        case Action.LOCK_N_GO_UNLATCH:
            return [_UNLATCH, Hold(), Wait(), _LOCK]
    raise ValueError(f"{action.name} is not something a motor does")


class Motor:
    """The state of the bolt, and one action at a time."""

    def __init__(
        self,
        behaviour: Behaviour,
        settings: AdvancedSettings,
        clock: Clock,
        *,
        on_state: Callable[[], None],
        on_turn: Callable[[Action, MotorTurn, bool], None],
        on_rest: Callable[[], None],
        on_found: Callable[[], None],
    ) -> None:
        """Call `on_state` at every state worth reporting, `on_turn` at every start, with whether the motor is blocked.

        `settings` say how long the latch is held and lock 'n' go waits, unless `behaviour` does.  `on_rest` is called
        after an action has ended and whoever started it has been told how, `on_found` when the lock knows where the
        bolt is that it could not move.
        """
        self._behaviour = behaviour
        self._settings = settings
        self._clock = clock
        self._on_state = on_state
        self._on_turn = on_turn
        self._on_rest = on_rest
        self._on_found = on_found
        self.state = behaviour.start_state
        self.trigger = Trigger.SYSTEM
        self.last_action = Action.NONE
        self.last_trigger = Trigger.SYSTEM
        self.last_completion = Completion.SUCCESS
        self.blocked = False
        self.fails: tuple[Completion, LockState] | None = None
        """How and where the next turn fails, such as for a handle that was not lifted; None if it does not fail."""
        self.openings = 0
        self.closings = 0
        self._phases: list[Phase] = []
        self._done: Done | None = None
        self._timer: Timer | None = None
        self._waits_until: datetime | None = None
        self._came_from = self.state
        self._found: Timer | None = None

    @property
    def calibrated(self) -> bool:
        """The lock knows its positions."""
        return self.state is not LockState.UNCALIBRATED

    @property
    def busy(self) -> bool:
        """An action is under way and takes no other; waiting in lock 'n' go does."""
        return bool(self._phases) and self._waits_until is None

    @property
    def active(self) -> bool:
        """An action is under way, waiting included."""
        return bool(self._phases)

    def wait_left_s(self) -> int:
        """Return the seconds until lock 'n' go locks, at most 255; 0 when it is not waiting."""
        if self._waits_until is None:
            return 0
        return max(1, min(255, round((self._waits_until - self._clock.now()).total_seconds())))

    def resting_state(self) -> LockState:
        """Return the state in which the action under way ends, for a memory that outlives the process."""
        state = self.state
        for phase in self._phases:
            state = phase.final if isinstance(phase, MotorTurn) else LockState.UNLOCKED
        return state

    def phases_of(self, action: Action) -> list[Phase]:
        """Return the phases of `action` from where the bolt is; none if there is nothing to do."""
        return plan(action, self.state, again=self._behaviour.turns_again)

    def start(self, action: Action, trigger: Trigger, done: Done) -> bool:
        """Start `action`; return False, and do not call `done`, if there is nothing to do.

        `done` is called at its end.  It ends a lock 'n' go that waits.  The caller makes sure that the motor is not
        `busy`.
        """
        self.cancel()
        self.last_action, self.last_trigger, self.last_completion = action, trigger, Completion.SUCCESS
        phases = self.phases_of(action)
        if not phases:
            return False
        self.trigger = trigger
        self._phases = phases
        self._done = done
        self._enter()
        return True

    def calibrate(self, done: Done) -> None:
        """Run the bolt to its ends; it rests unlocked.  The caller makes sure that the motor is not `busy`."""
        self.cancel()
        self.last_action, self.last_trigger, self.last_completion = Action.NONE, Trigger.SYSTEM, Completion.SUCCESS
        self.trigger = Trigger.SYSTEM
        self._phases = [_CALIBRATE]
        self._done = done
        self._enter()

    def cancel(self) -> None:
        """End the action under way at once: a motor that was turning stops in an undefined state."""
        if not self._phases:
            return
        turning = isinstance(self._phases[0], MotorTurn)
        self.put(LockState.UNDEFINED if turning else LockState.UNLOCKED, self.trigger)

    def put(self, state: LockState, trigger: Trigger) -> None:
        """Set the state from outside, as a hand or a lost calibration does; end an action under way."""
        self._forget_block()
        self.state, self.trigger = state, trigger
        if self._phases:
            self.last_completion = Completion.CANCELED
        self._on_state()
        if self._phases:
            self._finish(Completion.CANCELED)

    def _enter(self) -> None:
        phase = self._phases[0]
        behaviour = self._behaviour
        self._forget_block()
        if isinstance(phase, MotorTurn):
            if self.state is not LockState.MOTOR_BLOCKED:
                self._came_from = self.state
            self._on_turn(self.last_action, phase, self.blocked)
            self.state = phase.moving
            self._later(behaviour.motor_s / 2 if self.blocked else behaviour.motor_s)
            for _ in range(behaviour.moving_reports):
                self._on_state()
            return
        if isinstance(phase, Hold):
            hold_s = behaviour.unlatch_s
            self._later(self._settings.unlatch_duration if hold_s is None else hold_s)
        else:
            given_s = behaviour.lock_n_go_s
            wait_s = self._settings.lock_n_go_timeout if given_s is None else given_s
            self._waits_until = after(self._clock.now(), wait_s)
            self._later(wait_s)
            self.state = LockState.UNLOCKED_LOCK_N_GO
            self._on_state()
        if behaviour.complete_before_hold and self._done is not None:
            done, self._done = self._done, None
            done(Completion.SUCCESS)

    def _later(self, delay_s: float) -> None:
        self._timer = self._clock.call_later(delay_s, self._leave)

    def _leave(self) -> None:
        phase, behaviour = self._phases[0], self._behaviour
        self._timer = None
        self._waits_until = None
        if isinstance(phase, MotorTurn) and self.blocked:
            self.state = LockState.MOTOR_BLOCKED
            self.last_completion = Completion.MOTOR_BLOCKED
            self._on_state()
            if behaviour.blocked_s is not None:
                self._found = self._clock.call_later(behaviour.blocked_s, self._find_bolt)
            self._finish(Completion.MOTOR_BLOCKED)
            return
        if isinstance(phase, MotorTurn) and self.fails is not None:
            (self.last_completion, self.state), self.fails = self.fails, None
            self._on_state()
            self._finish(self.last_completion)
            return
        if isinstance(phase, MotorTurn):
            self.state = phase.final
            self.openings += phase.final is not LockState.LOCKED
            self.closings += phase.final is LockState.LOCKED
        else:
            self.state = LockState.UNLOCKED
        del self._phases[0]
        following = self._phases[0] if self._phases else None
        if not isinstance(phase, Wait) and not isinstance(following, Wait):
            self._on_state()
        if following is None:
            self._finish(Completion.SUCCESS)
        else:
            self._enter()

    def _find_bolt(self) -> None:
        """The bolt is where it was before the motor was blocked."""
        self._found = None
        self.state = self._came_from
        self._on_found()

    def _forget_block(self) -> None:
        if self._found is not None:
            self._found.cancel()
            self._found = None

    def _finish(self, completion: Completion) -> None:
        """End the action, then tell it: whoever is told finds the motor free."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._waits_until = None
        self._phases = []
        self.last_completion = completion
        done, self._done = self._done, None
        if done is not None:
            done(completion)
        self._on_rest()
