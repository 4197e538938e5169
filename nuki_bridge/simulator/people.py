"""What people, batteries and accessories do to a virtual device, without Bluetooth.

Fob, keypad, time control, battery and the owner's phone act on every device in the same way; what a press of the button
does, and what else there is around a device, stands in `surroundings` and `opener_surroundings`.
"""

from __future__ import annotations

import enum
from typing import Any, Protocol

from nuki_bridge.protocol.codes import Action, Completion, ErrorCode, IdType, KeypadSource, LogType, Trigger, name_of
from nuki_bridge.protocol.crypto import KEY_SIZE
from nuki_bridge.simulator.authorizations import StoredEntry, allows
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.device import Device
from nuki_bridge.simulator.motion import Over


class Acts(Protocol):
    """What moves in a device, as far as the people around it need it."""

    @property
    def calibrated(self) -> bool:
        """The device knows its bolt, or its intercom."""

    @property
    def busy(self) -> bool:
        """Another action is running."""

    def fob_action(self, configured: int) -> enum.IntEnum | None:
        """Return what a press of a fob does that is configured so, None for nothing."""

    def start(self, action: Any, trigger: Trigger, over: Over, who: StoredEntry | None = None) -> None:
        """Start an action without a client."""

    def start_logged(self, action: Any, trigger: Trigger) -> None:
        """Start an action without a client, and write it into the log at its end."""


class People:
    """People and things around one device."""

    def __init__(self, device: Device, motion: Acts) -> None:
        self._device = device
        self._acts = motion

    def press_button(self, count: int = 1) -> None:
        """Press the button once or twice."""
        raise NotImplementedError

    def uncalibrate(self, lost: bool = True) -> None:
        """Lose the calibration, or get it back."""
        raise NotImplementedError

    def time_has_come(self, entry_id: int) -> None:
        """Carry out a time control entry, whose time has come; raise `ValueError` if there is no such entry."""
        entry = self._device.time_control.get(entry_id)
        if entry is None:
            known = ", ".join(str(each.entry_id) for each in self._device.time_control) or "none"
            raise ValueError(f"the lock has no time control entry {entry_id}; it has: {known}")
        if not entry.enabled or self._acts.busy or not self._acts.calibrated:
            return
        self._device.note("time_control", detail=str(entry_id))
        self._acts.start_logged(entry.action, Trigger.AUTOMATIC)

    def enter_code(self, action: enum.IntEnum, digits: int) -> None:
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

    def set_battery(self, percent: int, critical: bool | None = None) -> None:
        """Set the charge in percent; if `critical` is None, the battery is critical below 20 percent."""
        if not 0 <= percent <= 100:
            raise ValueError(f"a battery holds 0 to 100 percent, not {percent}")
        self._device.battery_percent = percent
        self._device.battery_critical = percent < 20 if critical is None else critical
        self._device.changed()

    # -- fob and keypad: they have an authorization of their own, from their first use on ------------------------------

    def press_fob(self, presses: int = 1, authorization_id: int | None = None) -> None:
        """Press a fob 1 to 3 times; the configuration says what that does.

        Without `authorization_id` it is the first fob.  Raise `ValueError` if that number is not the ID of a fob.
        """
        fob = self._accessory(IdType.FOB, "Fob", authorization_id)
        self._device.note("fob", fob, detail=str(presses))
        settings = self._device.settings
        configured = (settings.fob_action_1, settings.fob_action_2, settings.fob_action_3)[presses - 1]
        action = self._acts.fob_action(configured)

        def over(action: int, completion: Completion) -> None:
            self._device.log_action(action, Trigger.AUTOMATIC, completion, by=fob)

        if action is None:
            self._device.on_action(Action.FOB_NO_ACTION, Trigger.AUTOMATIC, fob, 0)
            over(Action.FOB_NO_ACTION, Completion.SUCCESS)
        else:
            self._act_for(fob, action, Trigger.AUTOMATIC, over)

    def use_keypad(
        self,
        action: enum.IntEnum,
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

    def _act_for(self, who: StoredEntry, action: enum.IntEnum, trigger: Trigger, over: Over) -> None:
        """Start the action of an accessory, if its authorization and the lock allow it now."""
        who.last_active = self._device.now()
        refusal = None
        if not who.enabled or not who.may_act(self._device.now(), self._device.timezone_offset_min):
            refusal = Completion.REJECTED
        elif not self._acts.calibrated:
            refusal = Completion.OTHER_ERROR
        elif self._acts.busy:
            refusal = Completion.BUSY
        if refusal is None:
            who.count_action()
            self._acts.start(action, trigger, over, who)
        else:
            self._device.note("action_refused", who, detail=name_of(refusal))
            over(action, refusal)
