"""Who moves the bolt of a virtual lock, and what the lock writes down and answers about it.

The turns are the business of `motor`; here a client, a person or the lock itself starts it.  Fob actions and
calibration are those of a Smart Lock; the order of the answers to a client is the same for every device.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from nuki_bridge.protocol.codes import Action, Completion, ErrorCode, LockState, LogType, Trigger, name_of
from nuki_bridge.protocol.messages import KeyturnerStates
from nuki_bridge.protocol.wire import Message
from nuki_bridge.simulator.authorizations import StoredEntry
from nuki_bridge.simulator.behaviour import Refused, after
from nuki_bridge.simulator.device import Device
from nuki_bridge.simulator.lock_device import LockDevice
from nuki_bridge.simulator.motor import Motor, MotorTurn
from nuki_bridge.simulator.states import keyturner_states

ERRORS_BY_COMPLETION = {Completion.MOTOR_BLOCKED: ErrorCode.MOTOR_BLOCKED, Completion.CANCELED: ErrorCode.CANCELED}
"""The error that a client gets for an action that failed in this way."""
_FOB_ACTIONS = {1: Action.UNLOCK, 2: Action.LOCK, 3: Action.LOCK_N_GO}

Over = Callable[[Any, Completion], None]
"""Called at the end of an action, with what was done and how it ended."""


class Asker(Protocol):
    """A client that has asked for an action; `client_request.ClientRequest` is one."""

    @property
    def connection_id(self) -> int:
        """The connection that the request came over."""

    @property
    def authorization(self) -> StoredEntry:
        """The user who has asked."""

    @property
    def suffix(self) -> str | None:
        """What the client has appended to its name in the log."""

    def note(self, what: str, detail: str | None = None) -> None:
        """Write a line of the audit trail about the request."""

    def reply(self, message: Message, *, size: int | None = None) -> None:
        """Send `message`, cut to `size` payload bytes."""

    def accept(self) -> None:
        """Send Status ACCEPTED."""

    def complete(self) -> None:
        """Send Status COMPLETE."""

    def refuse(self, error: ErrorCode) -> None:
        """Send an Error Report."""


class Works(Protocol):
    """What moves in a device, as far as its Bluetooth side needs it."""

    @property
    def mover(self) -> Asker | None:
        """The request behind the action under way; None if nobody has asked over Bluetooth."""

    @property
    def busy(self) -> bool:
        """Another action is running."""

    @property
    def last_action(self) -> int:
        """The action of the last lock action."""

    @property
    def deafens(self) -> bool:
        """Nothing is answered any more on a link over which an action was carried out."""

    def states(self) -> Message:
        """Return all that the device can tell of its states."""

    def perform(self, asker: Asker, action: Any, flags: int = 0) -> None:
        """Carry out a lock action that has passed all checks but the motor's; raise `Refused`."""

    def stop(self, *, forget: bool) -> None:
        """Stop at once, for a reboot; `forget` the last action."""


class Acting:
    """Who has a device act, whatever it has in place of a motor."""

    def __init__(self, device: Device) -> None:
        self.mover: Asker | None = None
        """The request behind the action under way; None if nobody has asked over Bluetooth."""
        self._in = device
        self._actor: StoredEntry | None = None
        """The fob or keypad behind the action under way."""
        self._queued = False
        self._busy_until: datetime | None = None

    def be_busy(self, seconds: float) -> None:
        """Refuse actions as busy for this time."""
        self._busy_until = after(self._in.transport.now(), seconds)

    @property
    def _is_kept_busy(self) -> bool:
        return self._busy_until is not None and self._in.transport.now() < self._busy_until

    def _note_motor(self, detail: str) -> None:
        """Write down that the motor, or the strike, was set going, and by whom."""
        if self.mover is None:
            self._in.note("motor", self._actor, detail=detail)
        else:
            self.mover.note("motor", detail)


class Motion(Acting):
    """The motor of one lock and whoever has set it going.  Implements `Works`."""

    def __init__(self, device: LockDevice, *, on_state: Callable[[], None], on_rest: Callable[[], None]) -> None:
        """Call `on_state` after each state worth reporting has been written down, `on_rest` after each action."""
        super().__init__(device)
        self._device = device
        self._notify_state = on_state
        self._notify_rest = on_rest
        self.motor = Motor(
            device.behaviour,
            device.advanced,
            device.transport,
            on_state=self._on_state,
            on_turn=self._on_turn,
            on_rest=self._on_rest,
            on_found=self._on_found,
        )

    @property
    def calibrated(self) -> bool:
        """The lock knows its positions."""
        return self.motor.calibrated

    @property
    def deafens(self) -> bool:
        """Return False: a Smart Lock hears what comes after an action."""
        return False

    @property
    def last_action(self) -> int:
        """The action of the last lock action."""
        return self.motor.last_action

    def states(self) -> KeyturnerStates:
        """Return all that the lock can tell of its states."""
        return keyturner_states(self._device, self.motor)

    def stop(self, *, forget: bool) -> None:
        """Stop at once, for a reboot; `forget` the last action."""
        self.motor.cancel()
        if forget:
            self.motor.last_action, self.motor.last_completion = Action.NONE, Completion.SUCCESS

    @property
    def busy(self) -> bool:
        """Another action is running."""
        return self.motor.busy or self._is_kept_busy

    def other_way(self) -> Action:
        """Return the action that unlocks a locked lock and locks any other."""
        return Action.UNLOCK if self.motor.state is LockState.LOCKED else Action.LOCK

    def fob_action(self, configured: int) -> Action | None:
        """Return what a press of a fob does that is configured so: 4 turns the other way, 0 does nothing."""
        return self.other_way() if configured == 4 else _FOB_ACTIONS.get(configured)

    # -- for clients --------------------------------------------------------------------------------------------------

    def perform(self, asker: Asker, action: Action, flags: int = 0) -> None:
        """Carry out a lock action that has passed all checks but the motor's; raise `Refused`."""
        behaviour = self._device.behaviour
        if not self.motor.calibrated:
            raise Refused(ErrorCode.NOT_CALIBRATED)
        if self.busy or self._queued or (behaviour.busy_in_lock_n_go and self.motor.active):
            raise Refused(ErrorCode.BUSY)
        if action is Action.UNLOCK and self._device.settings.auto_unlatch:
            action = Action.UNLATCH
        if action is Action.LOCK and behaviour.locks_as is not None:
            action = behaviour.locks_as
        self.motor.cancel()  # a lock 'n' go that waits: its asker hears of it before this one is accepted
        asker.authorization.count_action()
        accepted_times = behaviour.accepted_times
        if not self.motor.phases_of(action):
            accepted_times = min(accepted_times, int(behaviour.accepts_nothing_to_do))
        for _ in range(accepted_times):
            asker.accept()
        if behaviour.queue_s > 0:
            self._queued = True
            self._device.call_later(behaviour.queue_s, partial(self._begin, asker, action, flags))
        else:
            self._begin(asker, action, flags)

    def calibrate(self, asker: Asker) -> None:
        """Measure where the bolt ends, for a request that has passed all other checks; raise `Refused`."""
        if self.busy:
            raise Refused(ErrorCode.BUSY)
        if self._device.battery_critical:
            raise Refused(ErrorCode.VOLTAGE_TOO_LOW)
        self.motor.cancel()
        asker.note("calibration")
        asker.accept()
        self.mover = asker

        def done(completion: Completion) -> None:
            data = (Action.NONE, Trigger.SYSTEM, 0, completion)
            self._device.write_log(LogType.CALIBRATION, *data, by=asker.authorization)
            self._answer(asker, completion)

        self.motor.calibrate(done)

    def _begin(self, asker: Asker, action: Action, flags: int) -> None:
        """Start the motor for an action that was accepted; people at the lock may have come first."""
        self._queued = False
        self.motor.cancel()
        self.mover = asker
        if self.motor.phases_of(action):
            asker.note("action_started", name_of(action))
        self._device.on_action(action, Trigger.SYSTEM, asker.authorization, flags)

        def log(completion: Completion) -> None:
            by, suffix = asker.authorization, asker.suffix
            self._device.log_action(action, Trigger.SYSTEM, completion, by=by, suffix=suffix, flags=flags)

        def done(completion: Completion) -> None:
            log(completion)
            self._answer(asker, completion)

        if not self.motor.start(action, Trigger.SYSTEM, done):
            self.mover = None
            asker.note("completed", "nothing to do")
            log(Completion.SUCCESS)
            asker.complete()

    def _answer(self, asker: Asker, completion: Completion) -> None:
        """Tell a client how its action has ended."""
        asker.note("completed", name_of(completion))
        error = ERRORS_BY_COMPLETION.get(completion)
        if error is not None:
            asker.refuse(error)
        elif not self._device.behaviour.complete_missing:
            asker.complete()

    # -- for people, and for the lock itself --------------------------------------------------------------------------

    def start(self, action: Action, trigger: Trigger, over: Over, who: StoredEntry | None = None) -> None:
        """Start the motor without a client; a lock 'n' go that waits ends first."""
        if action is Action.UNLOCK and self._device.settings.auto_unlatch:
            action = Action.UNLATCH
        self.motor.cancel()
        self._actor = who
        self._device.on_action(action, trigger, who, 0)

        def done(completion: Completion) -> None:
            self._device.note("completed", who, detail=name_of(completion))
            over(action, completion)

        if not self.motor.start(action, trigger, done):
            self._actor = None
            done(Completion.SUCCESS)

    def start_logged(self, action: Action, trigger: Trigger) -> None:
        """Start the motor without a client, and write the action into the log at its end."""
        self.start(action, trigger, lambda done, completion: self._device.log_action(done, trigger, completion))

    # -- what the motor tells -----------------------------------------------------------------------------------------

    def _on_state(self) -> None:
        self._device.note("state", detail=name_of(self.motor.state))
        self._device.changed()
        self._notify_state()

    def _on_turn(self, action: Action, turn: MotorTurn, blocked: bool) -> None:
        self._note_motor(f"{name_of(action)}: {name_of(turn.moving)}{', blocked' if blocked else ''}")

    def _on_found(self) -> None:
        """The beacon has no word of that."""
        self._device.note("state", detail=name_of(self.motor.state))
        self._device.on_memory_changed()
        self._device.on_changed()

    def _on_rest(self) -> None:
        self.mover = self._actor = None
        self._device.on_memory_changed()
        self._notify_rest()
