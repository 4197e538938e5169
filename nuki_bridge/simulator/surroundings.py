"""What people, doors, batteries and accessories do to a virtual lock, without Bluetooth.

Door, hand and calibration are those of a Smart Lock.  Fob, keypad, button, battery and the owner's phone would act on
an Opener, too; its doorbell is missing here.
"""

from __future__ import annotations

from nuki_bridge.protocol.codes import (
    Action,
    Completion,
    DoorState,
    ErrorCode,
    IdType,
    KeypadSource,
    LockState,
    LogType,
    Trigger,
    name_of,
)
from nuki_bridge.protocol.crypto import KEY_SIZE
from nuki_bridge.simulator.authorizations import StoredEntry, allows
from nuki_bridge.simulator.auto_lock import AutoLockWatch
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.device import Device
from nuki_bridge.simulator.motion import Motion, Over
from nuki_bridge.simulator.motor import REACHABLE_BY_HAND

_BY_HAND = {LockState.LOCKED: Action.LOCK, LockState.UNLOCKED: Action.UNLOCK, LockState.UNLATCHED: Action.UNLATCH}
_DOOR_EVENTS = {DoorState.OPEN: 0, DoorState.CLOSED: 1, DoorState.TAMPERED: 3}
_BUTTON_ACTIONS = {2: Action.UNLOCK, 3: Action.LOCK, 4: Action.UNLATCH, 5: Action.LOCK_N_GO}
_INTELLIGENT = 1


class Surroundings:
    """People and things around one lock."""

    def __init__(self, device: Device, motion: Motion, auto_lock: AutoLockWatch) -> None:
        self._device = device
        self._motion = motion
        self._auto_lock = auto_lock

    # -- at the door --------------------------------------------------------------------------------------------------

    def turn_by_hand(self, state: LockState) -> None:
        """Turn the key or knob.  Raise `ValueError` for a state that a hand cannot reach."""
        if state not in REACHABLE_BY_HAND:
            allowed = ", ".join(name_of(s) for s in REACHABLE_BY_HAND)
            raise ValueError(f"a hand cannot turn the lock to {name_of(state)!r}; allowed: {allowed}")
        self._device.note("by_hand", detail=name_of(state))
        self._motion.motor.put(state, Trigger.MANUAL)
        self._device.log_action(_BY_HAND[state], Trigger.MANUAL, Completion.SUCCESS)

    def press_button(self, count: int = 1) -> None:
        """Press the button: it stops what is running, otherwise it does what the configuration says."""
        if count not in (1, 2):
            raise ValueError(f"the button is pressed once or twice, not {count} times")
        self._device.note("button", detail=str(count))
        advanced = self._device.advanced
        configured = advanced.single_button_press_action if count == 1 else advanced.double_button_press_action
        action = self._motion.other_way() if configured == _INTELLIGENT else _BUTTON_ACTIONS.get(configured)
        if self._motion.motor.active:
            self._motion.motor.cancel()
        elif not self._device.settings.button_enabled or action is None:
            self._device.log_action(Action.BUTTON_NO_ACTION, Trigger.BUTTON, Completion.SUCCESS)
        elif self._motion.motor.calibrated and not self._motion.busy:
            self._motion.start_logged(action, Trigger.BUTTON)

    def time_has_come(self, entry_id: int) -> None:
        """Carry out a time control entry, whose time has come; raise `ValueError` if there is no such entry."""
        entry = self._device.time_control.get(entry_id)
        if entry is None:
            known = ", ".join(str(each.entry_id) for each in self._device.time_control) or "none"
            raise ValueError(f"the lock has no time control entry {entry_id}; it has: {known}")
        if not entry.enabled or self._motion.busy or not self._motion.motor.calibrated:
            return
        self._device.note("time_control", detail=str(entry_id))
        self._motion.start_logged(entry.action, Trigger.AUTOMATIC)

    def enter_code(self, action: Action, digits: int) -> None:
        """Type a code into the keypad; it is accepted if it is in the table, enabled and within its time limit."""
        code = self._device.codes.with_digits(digits)
        if code is None:
            self.use_keypad(action, accepted=False)
            return
        allowed = code.enabled and (
            code.limit is None or allows(code.limit, self._device.now(), self._device.timezone_offset_min)
        )
        if allowed:
            code.lock_count = min(code.lock_count + 1, 0xFFFF)
            code.last_active = self._device.now()
        self.use_keypad(action, code_id=code.code_id, name=code.name, accepted=allowed)

    def set_door(self, state: DoorState) -> None:
        """Set what the door sensor sees."""
        if state == self._device.door:
            return
        self._device.door = state
        if self._device.door_logging and state in _DOOR_EVENTS:
            self._device.write_log(LogType.DOOR_SENSOR, _DOOR_EVENTS[state])
        self._device.changed()
        self._auto_lock.schedule()
        if state is DoorState.CLOSED:
            self._auto_lock.door_closed()

    def log_door(self, on: bool) -> None:
        """Switch the logging of the door sensor on or off."""
        if on != self._device.door_logging:
            self._device.door_logging = on
            self._device.write_log(LogType.DOOR_SENSOR_LOGGING, on)

    def set_battery(self, percent: int, critical: bool | None = None) -> None:
        """Set the charge in percent; if `critical` is None, the battery is critical below 20 percent."""
        if not 0 <= percent <= 100:
            raise ValueError(f"a battery holds 0 to 100 percent, not {percent}")
        self._device.battery_percent = percent
        self._device.battery_critical = percent < 20 if critical is None else critical
        self._device.changed()

    def block_motor(self, blocked: bool = True) -> None:
        """Put something into the way of the bolt, or take it out."""
        self._motion.motor.blocked = blocked
        self._device.on_memory_changed()

    def uncalibrate(self, lost: bool = True) -> None:
        """Lose the calibration, or get it back, which leaves the lock unlocked."""
        if lost:
            self._motion.motor.put(LockState.UNCALIBRATED, Trigger.SYSTEM)
        elif not self._motion.motor.calibrated:
            self._motion.motor.put(LockState.UNLOCKED, Trigger.SYSTEM)

    # -- fob and keypad: they have an authorization of their own, from their first use on ------------------------------

    def press_fob(self, presses: int = 1, authorization_id: int | None = None) -> None:
        """Press a fob 1 to 3 times; the configuration says what that does.

        Without `authorization_id` it is the first fob.  Raise `ValueError` if that number is not the ID of a fob.
        """
        fob = self._accessory(IdType.FOB, "Fob", authorization_id)
        self._device.note("fob", fob, detail=str(presses))
        settings = self._device.settings
        configured = (settings.fob_action_1, settings.fob_action_2, settings.fob_action_3)[presses - 1]
        action = self._motion.fob_action(configured)

        def over(action: int, completion: Completion) -> None:
            self._device.log_action(action, Trigger.AUTOMATIC, completion, by=fob)

        if action is None:
            over(Action.FOB_NO_ACTION, Completion.SUCCESS)
        else:
            self._act_for(fob, action, Trigger.AUTOMATIC, over)

    def use_keypad(
        self,
        action: Action,
        *,
        code_id: int = 0,
        source: KeypadSource = KeypadSource.CODE,
        name: str | None = None,
        accepted: bool = True,
    ) -> None:
        """Use the keypad with code `code_id`, which belongs to `name`; a wrong code is not `accepted`."""
        keypad = self._accessory(IdType.KEYPAD, "Keypad", None)
        self._device.note("keypad", keypad, detail=f"{name_of(action)}, {name_of(source)} {code_id}")

        def over(action: int, completion: Completion) -> None:
            code = code_id.to_bytes(2, "little")
            self._device.write_log(LogType.KEYPAD_ACTION, action, source, completion, *code, by=keypad, name=name)

        if accepted:
            self._act_for(keypad, action, Trigger.SYSTEM, over)
        else:
            finger = source is KeypadSource.FINGERPRINT
            over(action, Completion.INVALID_FINGERPRINT if finger else Completion.INVALID_CODE)

    # -- the owner's phone --------------------------------------------------------------------------------------------

    def set_enabled(self, authorization_id: int, enabled: bool) -> None:
        """Enable or disable an authorization, as the owner's phone would.  Raise `ValueError` if there is none."""
        entry = self._entry(authorization_id)
        entry.enabled = enabled
        self._device.note("updated", detail=f"{entry.label}, {'enabled' if enabled else 'disabled'}")
        self._device.users_changed()

    def remove_authorization(self, authorization_id: int) -> None:
        """Delete an authorization, as the owner's phone would.  Raise `ValueError` if there is none."""
        self._device.note("removed", detail=self._entry(authorization_id).label)
        self._device.authorizations.remove(authorization_id)
        self._device.users_changed()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _entry(self, authorization_id: int) -> StoredEntry:
        entry = self._device.authorizations.get(authorization_id)
        if entry is None:
            known = ", ".join(str(e.authorization_id) for e in self._device.authorizations) or "none"
            raise ValueError(f"the lock has no authorization {authorization_id}; it has: {known}")
        return entry

    def _accessory(self, id_type: IdType, name: str, authorization_id: int | None) -> StoredEntry:
        """Return the fob or keypad with this ID, or the first one, which is paired if the lock has none yet."""
        if authorization_id is not None:
            entry = self._entry(authorization_id)
            if entry.id_type != id_type:
                raise ValueError(f"authorization {authorization_id} is not a {name_of(id_type)}")
            return entry
        for entry in self._device.authorizations:
            if entry.id_type == id_type:
                return entry
        try:
            entry = self._device.add_user(self._device.random(KEY_SIZE), id_type, 0, name, full=ErrorCode.MAX_USER)
        except Refused as refusal:
            raise ValueError(f"the lock cannot pair a {name_of(id_type)}: its user table is full") from refusal
        if id_type is IdType.FOB:
            self._device.settings.has_fob = True
        else:
            self._device.settings.has_keypad = True
        self._device.note("paired", entry)
        self._device.config_changed()
        return entry

    def _act_for(self, who: StoredEntry, action: Action, trigger: Trigger, over: Over) -> None:
        """Start the action of an accessory, if its authorization and the lock allow it now."""
        who.last_active = self._device.now()
        refusal = None
        if not who.enabled or not who.may_act(self._device.now(), self._device.timezone_offset_min):
            refusal = Completion.REJECTED
        elif not self._motion.motor.calibrated:
            refusal = Completion.OTHER_ERROR
        elif self._motion.busy:
            refusal = Completion.BUSY
        if refusal is None:
            who.count_action()
            self._motion.start(action, trigger, over, who)
        else:
            self._device.note("action_refused", who, detail=name_of(refusal))
            over(action, refusal)
