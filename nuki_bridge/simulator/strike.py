"""The electric strike of a virtual Opener and its two modes, ring to open (RTO) and continuous mode (opener.md 3, 4).

It knows neither links nor messages nor the doorbell: it reports each state to `on_state`, and the end of an opening to
whoever started it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from nuki_bridge.protocol.codes import Completion, OpenerAction, OpenerState, Trigger
from nuki_bridge.records import frozen
from nuki_bridge.simulator.behaviour import Behaviour, after
from nuki_bridge.simulator.opener_settings import OpenerAdvancedSettings
from nuki_bridge.simulator.transport import Clock, Timer

Done = Callable[[Completion], None]
"""Called at the end of an opening, with how it ended."""


@frozen
class Arming:
    """What has switched a mode on: its number in the log of rings, and the ID of the keypad's code, 0 for none."""

    source: int
    code_id: int = 0


class Strike:
    """The state of the strike, and one opening at a time."""

    def __init__(
        self,
        behaviour: Behaviour,
        settings: OpenerAdvancedSettings,
        clock: Clock,
        *,
        on_state: Callable[[], None],
        on_opening: Callable[[], None],
        on_rest: Callable[[], None],
    ) -> None:
        """Call `on_state` at every state worth reporting, `on_opening` at each start, `on_rest` after each opening."""
        self._behaviour = behaviour
        self._settings = settings
        self._clock = clock
        self._on_state = on_state
        self._on_opening = on_opening
        self._on_rest = on_rest
        self.trained = True
        """It knows the intercom."""
        self.trigger = Trigger.SYSTEM
        self.last_action = 0
        self.last_trigger = Trigger.SYSTEM
        self.last_completion = Completion.SUCCESS
        self.rto: Arming | None = None
        """What has switched ring to open on, None while it is off."""
        self.continuous_mode: Arming | None = None
        """What has switched continuous mode on, None while it is off."""
        self._phase: OpenerState | None = None
        self._done: Done | None = None
        self._timer: Timer | None = None
        self._rto_timer: Timer | None = None
        self._rto_until: datetime | None = None
        self._mode_timer: Timer | None = None

    @property
    def state(self) -> OpenerState:
        """Lock state."""
        if not self.trained:
            return OpenerState.UNCALIBRATED
        return self._phase or (OpenerState.LOCKED if self.rto is None else OpenerState.RTO_ACTIVE)

    @property
    def active(self) -> bool:
        """An opening is under way."""
        return self._phase is not None

    def rto_left_min(self) -> int:
        """Return the minutes until ring to open ends, at most 255; 0 while it is off."""
        if self._rto_until is None:
            return 0
        return max(1, min(255, -(-int((self._rto_until - self._clock.now()).total_seconds()) // 60)))

    def did(self, action: int, trigger: Trigger) -> None:
        """Note an action as the last one."""
        self.trigger = self.last_trigger = trigger
        self.last_action, self.last_completion = action, Completion.SUCCESS

    # -- the strike ---------------------------------------------------------------------------------------------------

    def open(self, trigger: Trigger, done: Done, delay_s: float) -> None:
        """Open after `delay_s`; `done` is called at the end.  The caller makes sure that none is `active`."""
        ended = self.last_completion
        self.did(OpenerAction.OPEN, trigger)
        if self._behaviour.ends_at_the_end:
            self.last_completion = ended
        self._done = done
        self._phase = OpenerState.OPENING
        self._on_opening()
        self._timer = self._clock.call_later(self._behaviour.relay_s + delay_s, self._act)
        for _ in range(self._behaviour.moving_reports):
            self._on_state()

    def cancel(self) -> None:
        """End an opening at once."""
        if self.active:
            self._end(Completion.CANCELED)

    def _act(self) -> None:
        self._phase = OpenerState.OPEN
        self._timer = self._clock.call_later(self._settings.electric_strike_duration / 1000, self._let_go)
        self._on_state()
        if self._behaviour.complete_before_hold and self._done is not None:
            done, self._done = self._done, None
            done(Completion.SUCCESS)

    def _let_go(self) -> None:
        self._end(Completion.SUCCESS)

    def _end(self, completion: Completion) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._phase = None
        self.last_completion = completion
        self._on_state()
        done, self._done = self._done, None
        if done is not None:
            done(completion)
        self._on_rest()

    # -- the modes ----------------------------------------------------------------------------------------------------

    def set_rto(self, by: Arming | None) -> None:
        """Switch ring to open on for as long as the owner has set, or off; report nothing."""
        if self._rto_timer is not None:
            self._rto_timer.cancel()
        self._rto_timer = self._rto_until = None
        self.rto = by
        if by is not None:
            timeout_s = 60.0 * self._settings.rto_timeout
            self._rto_until = after(self._clock.now(), timeout_s)
            self._rto_timer = self._clock.call_later(timeout_s, self._rto_over)

    def set_continuous_mode(self, by: Arming | None, timeout_min: int = 0) -> None:
        """Switch continuous mode on, for `timeout_min` unless that is 0, or off; report nothing."""
        if self._mode_timer is not None:
            self._mode_timer.cancel()
        self._mode_timer = None
        self.continuous_mode = by
        if by is not None and timeout_min:
            self._mode_timer = self._clock.call_later(60.0 * timeout_min, self._mode_over)

    def _rto_over(self) -> None:
        self.set_rto(None)
        self._on_state()

    def _mode_over(self) -> None:
        self.set_continuous_mode(None)
        self._on_state()
