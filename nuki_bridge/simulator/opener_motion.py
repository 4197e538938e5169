"""Who has a virtual Opener act, what it writes down and answers about it, and what a ring does (opener.md 4, 7, 9)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from nuki_bridge.protocol.codes import (
    Completion,
    DoorState,
    ErrorCode,
    IdType,
    NukiState,
    OpenerAction,
    Trigger,
    name_of,
)
from nuki_bridge.protocol.opener import OpenerStates
from nuki_bridge.simulator.authorizations import StoredEntry
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.motion import Acting, Asker, Over
from nuki_bridge.simulator.opener_device import OpenerDevice
from nuki_bridge.simulator.strike import Arming, Strike

RING = 0x06
"""Type of a log entry about a ring."""
_RTO = (OpenerAction.ACTIVATE_RTO, OpenerAction.DEACTIVATE_RTO)
_CONTINUOUS_MODE = (OpenerAction.ACTIVATE_CONTINUOUS_MODE, OpenerAction.DEACTIVATE_CONTINUOUS_MODE)
_SOURCES: dict[int, int] = {IdType.APP: 2, IdType.FOB: 4, IdType.BRIDGE: 5, IdType.KEYPAD: 6, IdType.KEYPAD_2: 6}
_SOURCE_TIME_CONTROL = 1
_SOURCE_BUTTON = 3
_FOB_ACTIONS = {
    2: OpenerAction.ACTIVATE_RTO,
    3: OpenerAction.DEACTIVATE_RTO,
    5: OpenerAction.ACTIVATE_CONTINUOUS_MODE,
    6: OpenerAction.DEACTIVATE_CONTINUOUS_MODE,
    7: OpenerAction.OPEN,
}


class OpenerMotion(Acting):
    """The strike and the modes of one Opener, and whoever has set them going.  Implements `motion.Works`."""

    def __init__(self, device: OpenerDevice, *, on_state: Callable[[], None]) -> None:
        """Call `on_state` after each state worth reporting has been written down."""
        super().__init__(device)
        self._device = device
        self._notify_state = on_state
        self.strike = Strike(
            device.behaviour,
            device.advanced,
            device.transport,
            on_state=self._on_state,
            on_opening=self._on_opening,
            on_rest=self._on_rest,
        )
        self.typed_code_id = 0
        """ID of the code that is being typed into the keypad, 0 for none."""

    @property
    def calibrated(self) -> bool:
        """The Opener has been trained for its intercom."""
        return self.strike.trained

    @property
    def busy(self) -> bool:
        """Another action is running."""
        return self.strike.active or self._queued or self._is_kept_busy

    @property
    def last_action(self) -> int:
        """The action of the last lock action."""
        return self.strike.last_action

    @property
    def deafens(self) -> bool:
        """Nothing is answered any more on a link over which an action was carried out."""
        return self._device.behaviour.deaf_after_action

    def states(self) -> OpenerStates:
        """Return all that the Opener can tell of its states; of its battery that is whether it is critical."""
        device, strike = self._device, self.strike
        mode = NukiState.DOOR_MODE if strike.continuous_mode is None else NukiState.CONTINUOUS_MODE
        return OpenerStates(
            nuki_state=NukiState.PAIRING_MODE if device.pairing_mode else mode,
            lock_state=strike.state,
            trigger=strike.trigger,
            current_time=device.clock.told(),
            timezone_offset_min=device.told_offset_min,
            battery_state=int(device.battery_critical),
            config_update_count=device.config_update_count,
            ring_to_open_timer=strike.rto_left_min(),
            last_action=strike.last_action,
            last_trigger=strike.last_trigger,
            last_completion=strike.last_completion,
            door_state=DoorState.UNAVAILABLE,
        )

    def stop(self, *, forget: bool) -> None:
        """Stop at once, for a reboot; `forget` the last action."""
        self.strike.cancel()
        if forget:
            self.strike.did(0, Trigger.SYSTEM)

    def fob_action(self, configured: int) -> OpenerAction | None:
        """Return what a press of a fob or of the button does that is configured so, None for nothing."""
        if configured == 1:
            return OpenerAction.ACTIVATE_RTO if self.strike.rto is None else OpenerAction.DEACTIVATE_RTO
        if configured == 4:
            is_off = self.strike.continuous_mode is None
            return OpenerAction.ACTIVATE_CONTINUOUS_MODE if is_off else OpenerAction.DEACTIVATE_CONTINUOUS_MODE
        return _FOB_ACTIONS.get(configured)

    # -- for clients --------------------------------------------------------------------------------------------------

    def perform(self, asker: Asker, action: OpenerAction, flags: int = 0) -> None:
        """Carry out a lock action that has passed all checks but the Opener's own; raise `Refused`."""
        is_bridge = asker.authorization.id_type == IdType.BRIDGE
        if action in _CONTINUOUS_MODE and (not is_bridge or self._device.behaviour.continuous_mode_needs_pin):
            raise Refused(ErrorCode.BAD_PARAMETER)
        self._admit(asker, action)
        self._accept(asker, partial(self._begin, asker, action, flags))

    def switch_continuous_mode(self, asker: Asker, on: bool, timeout_min: int) -> None:
        """Carry out a Continuous Mode Action; raise `Refused`."""
        action = OpenerAction.ACTIVATE_CONTINUOUS_MODE if on else OpenerAction.DEACTIVATE_CONTINUOUS_MODE
        self._admit(asker, action)
        self._accept(asker, partial(self._begin, asker, action, 0, timeout_min=timeout_min))

    def switch_all_off(self, asker: Asker) -> None:
        """End ring to open and continuous mode, for a Simple Lock Action; raise `Refused`."""
        self._admit(asker, OpenerAction.DEACTIVATE_CONTINUOUS_MODE)
        self._accept(asker, partial(self._begin, asker, OpenerAction.DEACTIVATE_RTO, 0, both=True))

    def _admit(self, asker: Asker, action: OpenerAction) -> None:
        if not self.strike.trained:
            raise Refused(ErrorCode.NOT_CALIBRATED)
        if self.busy:
            raise Refused(ErrorCode.BUSY)
        wiring = self._device.settings.capabilities
        if (wiring == 0 and action in _RTO) or (wiring == 2 and action is OpenerAction.OPEN):
            raise Refused(ErrorCode.BAD_PARAMETER)
        asker.authorization.count_action()

    def _accept(self, asker: Asker, begin: Callable[[], None]) -> None:
        behaviour = self._device.behaviour
        for _ in range(behaviour.accepted_times):
            asker.accept()
        if behaviour.ends_at_once:
            size = behaviour.states_size_of(self._device.family)
            self._device.call_later(0.1, lambda: asker.reply(self.states(), size=size))
            self._device.call_later(0.15, asker.complete)
        if behaviour.queue_s > 0:
            self._queued = True
            self._device.call_later(behaviour.queue_s, begin)
        else:
            begin()

    def _begin(
        self, asker: Asker, action: OpenerAction, flags: int, *, timeout_min: int = 0, both: bool = False
    ) -> None:
        self._queued = False
        self.mover = asker
        asker.note("action_started", name_of(action))

        def done(completion: Completion) -> None:
            by, suffix = asker.authorization, asker.suffix
            self._device.log_action(action, Trigger.SYSTEM, completion, by=by, suffix=suffix, flags=flags)
            asker.note("completed", name_of(completion))
            if completion is Completion.CANCELED:
                asker.refuse(ErrorCode.CANCELED)
            elif not (self._device.behaviour.complete_missing or self._device.behaviour.ends_at_once):
                asker.complete()

        if action is OpenerAction.OPEN:
            if self.strike.active:  # a ring has come first
                asker.note("completed", "nothing to do")
                asker.refuse(ErrorCode.BUSY)
            else:
                self.strike.open(Trigger.SYSTEM, done, self._device.advanced.electric_strike_delay / 1000)
            return
        arming = Arming(_SOURCES.get(asker.authorization.id_type, 0))
        self._switch(action, Trigger.SYSTEM, arming, timeout_min=timeout_min, both=both)
        done(Completion.SUCCESS)
        if not self.strike.active:
            self.mover = None

    # -- for people, and for the Opener itself ------------------------------------------------------------------------

    def start(self, action: OpenerAction, trigger: Trigger, over: Over, who: StoredEntry | None = None) -> None:
        """Act without a client."""

        def done(completion: Completion) -> None:
            self._device.note("completed", who, detail=name_of(completion))
            over(action, completion)

        if action is OpenerAction.OPEN:
            self._actor = who
            self.strike.open(trigger, done, self._device.advanced.electric_strike_delay / 1000)
            return
        if who is not None:
            source = _SOURCES.get(who.id_type, 0)
        else:
            source = _SOURCE_BUTTON if trigger is Trigger.BUTTON else _SOURCE_TIME_CONTROL
        self._switch(action, trigger, Arming(source, self.typed_code_id))
        done(Completion.SUCCESS)

    def start_logged(self, action: OpenerAction, trigger: Trigger) -> None:
        """Act without a client, and write the action into the log at its end."""
        self.start(action, trigger, lambda done, completion: self._device.log_action(done, trigger, completion))

    def switch(self, action: OpenerAction, source: int) -> None:
        """Switch a mode as whoever has this number in the log of rings."""
        self._switch(action, Trigger.SYSTEM, Arming(source))

    def ring(self, *, is_echo: bool = False) -> None:
        """Ring the bell, or short-circuit its line as an opening does, which opens nothing."""
        device, strike = self._device, self.strike
        if not strike.trained:
            device.note("ring", detail="not recognized: not trained")
            return
        device.note("ring", detail="echo" if is_echo else None)
        rto, always = (None, None) if is_echo else (strike.rto, strike.continuous_mode)
        self._log_ring(rto, always)
        if rto is None and always is None:
            device.changed()
            return
        if strike.active:  # a second ring, while the door is open
            device.changed()
            return
        if rto is not None and device.advanced.disable_rto_after_ring:
            strike.set_rto(None)
        delay_s = device.advanced.electric_strike_delay / 1000
        if device.advanced.random_electric_strike_delay:
            delay_s = 3 + device.random(1)[0] % 5

        def done(completion: Completion) -> None:
            device.note("completed", detail=name_of(completion))
            if device.behaviour.logs_opening_by_ring:
                device.log_action(OpenerAction.OPEN, Trigger.MANUAL, completion)

        strike.open(Trigger.MANUAL, done, delay_s)

    def _log_ring(self, rto: Arming | None, always: Arming | None) -> None:
        device = self._device
        advanced = device.advanced
        by = always or rto
        mask = bool(always) | bool(rto) << 1 | 4
        suppressed = bool(advanced.doorbell_suppression & mask)
        data = [bool(rto) | bool(always) << 1, by.source if by else 0, 0, suppressed]
        data += [0 if suppressed else advanced.sound_ring, Completion.SUCCESS]
        if by is not None and by.code_id:
            data += by.code_id.to_bytes(2, "little")
        write = partial(device.write_log, RING, *data)
        if device.behaviour.log_late_s > 0:
            device.call_later(device.behaviour.log_late_s, write)
        else:
            write()

    def _switch(
        self, action: OpenerAction, trigger: Trigger, by: Arming, *, timeout_min: int = 0, both: bool = False
    ) -> None:
        strike, behaviour = self.strike, self._device.behaviour
        before = strike.continuous_mode
        if action is OpenerAction.ACTIVATE_RTO:
            strike.set_rto(by)
            if behaviour.rto_ends_continuous_mode:
                strike.set_continuous_mode(None)
        elif action is OpenerAction.ACTIVATE_CONTINUOUS_MODE:
            strike.set_continuous_mode(by, timeout_min)
        if action is OpenerAction.DEACTIVATE_RTO:
            strike.set_rto(None)
        if (action is OpenerAction.DEACTIVATE_CONTINUOUS_MODE or both) and not behaviour.continuous_mode_stays:
            strike.set_continuous_mode(None)
        strike.did(action, trigger)
        if bool(before) != bool(strike.continuous_mode):
            self._device.note("continuous_mode", detail="on" if strike.continuous_mode else "off")
        self._on_state()

    # -- what the strike tells ----------------------------------------------------------------------------------------

    def _on_state(self) -> None:
        self._device.note("state", detail=name_of(self.strike.state))
        self._device.changed()
        if not self._device.behaviour.states_missing:
            self._notify_state()

    def _on_opening(self) -> None:
        self._note_motor(f"{name_of(OpenerAction.OPEN)}: {name_of(self.strike.state)}")

    def _on_rest(self) -> None:
        self.mover = self._actor = None
        self._device.on_memory_changed()
        if self._device.behaviour.strike_rings:
            self._device.call_later(self._device.behaviour.echo_s, partial(self.ring, is_echo=True))
