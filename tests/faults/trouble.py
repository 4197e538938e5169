"""Makes the faults of a schedule happen to a virtual lock and its radio, and the people around it do what they do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nuki_bridge.protocol.codes import Action, Command, Completion, DoorState, ErrorCode, IdType, LockState
from nuki_bridge.protocol.crypto import KEY_SIZE
from nuki_bridge.simulator.authorizations import StoredEntry
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.faults import Faults
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.radio import VirtualRadio

_TELLS_COMPLETION = 19
"""Bytes of Keyturner States that hold the last action and its completion."""
_NOBODYS_LINK = 900_000
"""Connection numbers of the other phone, which the radio does not know: what goes there is lost."""


class Trouble:
    """Everything that may happen to one lock; `ours` is the authorization that the owner's phone may disable."""

    def __init__(self, radio: VirtualRadio, lock: VirtualLock) -> None:
        self._radio = radio
        self._lock = lock
        self.ours = 0
        self._phone: StoredEntry | None = None
        self._links = _NOBODYS_LINK

    def do(self, what: str, values: dict[str, Any]) -> None:
        """Have it happen now; with `for_s` it is over after so many seconds."""
        given = {name: value for name, value in values.items() if name != "for_s"}
        over = getattr(self, f"_{what}")(**given)
        if over is not None:
            asyncio.get_running_loop().call_later(values["for_s"], over)

    def over(self) -> None:
        """Nothing is wrong any more, and nobody comes by."""
        self._radio.faults = Faults()
        self._radio.set_adapter(True)
        lock = self._lock
        lock.out_of_range(False)
        lock.block_motor(False)
        lock.motor.fails = None
        lock.uncalibrate(False)
        lock.swallow_next_answer(0)
        lock.damage_next_answer(0)
        self._enable()

    # -- the radio ----------------------------------------------------------------------------------------------------

    def _fault(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self._radio.faults, name, value)

    def _half_open(self, notice_s: float | None) -> None:
        self._radio.half_open(self._lock.address, notice_s)

    def _orphan(self) -> None:
        self._radio.orphan(self._lock.address)

    def _adapter_off(self) -> Callable[[], None]:
        self._radio.set_adapter(False)
        return lambda: self._radio.set_adapter(True)

    # -- the lock -----------------------------------------------------------------------------------------------------

    def _drop_links(self) -> None:
        self._lock.drop_links()

    def _busy(self) -> Callable[[], None]:
        self._lock.be_busy(3600.0)
        return lambda: self._lock.be_busy(0.0)

    def _block_motor(self) -> Callable[[], None]:
        self._lock.block_motor()
        return lambda: self._lock.block_motor(False)

    def _motor_fails(self, how: Completion, where: LockState) -> None:
        """Old firmware does not tell how an action ended: there nobody could know."""
        if self._lock.behaviour.states_size_of(self._lock.family) >= _TELLS_COMPLETION:
            self._lock.motor.fails = how, where

    def _reboot(self) -> None:
        self._lock.reboot()

    def _break_down(self, notice_s: float | None) -> None:
        """It starts anew without a farewell, as with batteries that are too weak for the motor."""
        self._radio.half_open(self._lock.address, notice_s)
        self._lock.reboot()

    def _out_of_range(self) -> Callable[[], None]:
        self._lock.out_of_range()
        return lambda: self._lock.out_of_range(False)

    def _swallow(self, count: int) -> None:
        self._lock.swallow_next_answer(count)

    def _damage(self, count: int) -> None:
        self._lock.damage_next_answer(count)

    def _forget_challenges(self) -> None:
        self._lock.forget_challenges()

    def _disable(self) -> Callable[[], None]:
        self._lock.set_enabled(self.ours, False)
        return self._enable

    def _enable(self) -> None:
        entry = self._lock.authorizations.get(self.ours)
        if entry is not None and not entry.enabled:
            self._lock.set_enabled(self.ours, True)

    def _uncalibrate(self) -> Callable[[], None]:
        self._lock.uncalibrate()
        return lambda: self._lock.uncalibrate(False)

    # -- people -------------------------------------------------------------------------------------------------------

    def _knob(self, state: LockState) -> None:
        if self._lock.motor.calibrated:
            self._lock.turn_by_hand(state)

    def _button(self, count: int) -> None:
        self._lock.press_button(count)

    def _fob(self, presses: int) -> None:
        self._lock.press_fob(presses)

    def _keypad(self, action: Action) -> None:
        self._lock.use_keypad(action, code_id=3, name="Lisa")

    def _auto_lock(self) -> None:
        self._lock.auto_lock()

    def _door(self, state: DoorState) -> None:
        self._lock.set_door(state)

    def _battery(self, percent: int) -> None:
        self._lock.set_battery(percent)

    def _phone_acts(self, action: Action) -> None:
        """Another phone asks for an action; what it hears does not matter here."""
        lock = self._lock
        if self._phone is None:
            self._phone = lock.add_user(lock.random(KEY_SIZE), IdType.APP, 77, "phone", full=ErrorCode.MAX_USER)
        if lock.rebooting:
            return
        request = lock.connections.request(_NOBODYS_LINK, self._phone, Command.LOCK_ACTION)
        try:
            lock.motion.perform(request, action)
        except Refused as refusal:
            request.note("action_refused", refusal.error.name.lower())

    def _phone_link(self) -> Callable[[], None] | None:
        """Another phone holds a link: most locks are neither seen nor connected to meanwhile."""
        lock = self._lock
        self._links += 1
        number = self._links
        if lock.advertising:
            lock.connected(number)
        return lambda: lock.disconnected(number)
