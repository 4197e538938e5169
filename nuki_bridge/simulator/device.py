"""A virtual lock as a thing on a door: what it knows, what it notes down, and what people and the weather do to it.

`lock.VirtualLock` adds its Bluetooth side.  Nothing here knows connections or messages.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from nuki_bridge.protocol.advertisement import APPLE, beacon_data, beacon_name
from nuki_bridge.protocol.codes import (
    PAIRING_SERVICE,
    PAIRING_SERVICE_ULTRA,
    Action,
    Command,
    Completion,
    DoorState,
    ErrorCode,
    Family,
    LockState,
    Trigger,
    name_of,
)
from nuki_bridge.protocol.crypto import KEY_SIZE
from nuki_bridge.simulator.authorizations import Authorization, Authorizations
from nuki_bridge.simulator.behaviour import AuditEntry, Behaviour, PinGuard, Random, Settings, after
from nuki_bridge.simulator.handshake import KeyPair, SecretKey
from nuki_bridge.simulator.motor import REACHABLE_BY_HAND, Motor, Turn
from nuki_bridge.simulator.transport import Timer, Transport

if TYPE_CHECKING:
    from nuki_bridge.simulator.lock import Exchange

AUDIT_SIZE = 20_000
"""Entries of the audit trail that are kept at least."""


class Device:
    """The lock's own state, and the hands, doors and batteries around it."""

    def __init__(
        self,
        address: str,
        nuki_id: int,
        *,
        family: Family = Family.CLASSIC,
        name: str | None = None,
        pin: int | None = None,
        behaviour: Behaviour | None = None,
        random: Random = secrets.token_bytes,
        keys: KeyPair | None = None,
        uuid: bytes | None = None,
        next_authorization_id: int = 1,
        factory_new: bool = False,
    ) -> None:
        """`address` and `name` are what it advertises; `pin` is the security PIN as a number, None while none is set.

        `factory_new` keeps it in pairing mode until somebody has been paired.  `random` is its source of keys, IDs
        and nonces; `keys`, `uuid` (16 bytes) and `next_authorization_id` may be given instead of drawn.
        """
        if family is Family.OPENER:
            raise ValueError("a virtual lock is a Smart Lock; an Opener is not simulated")
        self.address = address.upper()
        self.nuki_id = nuki_id
        self.family: Family = family
        self.name = name or beacon_name(nuki_id)
        self.behaviour = behaviour or Behaviour()
        self.random = random
        self.keys: KeyPair = keys or SecretKey(random(KEY_SIZE))
        self.uuid = uuid or random(16)
        self.pin_guard = PinGuard(pin)
        self.settings = Settings(name=self.name, device_type=5 if family is Family.ULTRA else 4)
        self.authorizations = Authorizations(next_authorization_id)
        self.motor = Motor(self.behaviour, on_state=self._on_motor_state, on_turn=self._on_turn, on_rest=self._on_rest)
        self.mover: Exchange | None = None
        """The request behind the action under way; None if the lock acts of itself."""
        self.door: DoorState | int = self.behaviour.start_door
        self.battery_percent = 84
        self.battery_critical = False
        self.battery_charging = False
        self.config_update_count = 0
        self.state_changed = False
        self.in_range = True
        self.factory_new = factory_new
        self.clock_offset = timedelta()
        self.audit: list[AuditEntry] = []
        self.on_memory_changed: Callable[[], None] = lambda: None
        """Set by whoever keeps `to_dict()`: called after each change that must survive a restart."""
        self._transport: Transport | None = None
        self._pairing_timer: Timer | None = None
        self._pairing_open = False
        self._busy_until: datetime | None = None

    def attach(self, transport: Transport) -> None:
        """Give the lock its transport and clock."""
        self._transport = transport
        self.motor.clock = transport

    # -- what it shows ------------------------------------------------------------------------------------------------

    def manufacturer_data(self) -> dict[int, bytes]:
        """The beacon, by company identifier."""
        return {APPLE: beacon_data(self.nuki_id, state_changed=self.state_changed)}

    def service_data(self) -> dict[str, bytes]:
        """In pairing mode the Nuki ID (4 bytes, big-endian) under the pairing service's UUID, otherwise nothing."""
        if not self.pairing_mode:
            return {}
        service = PAIRING_SERVICE_ULTRA if self.family is Family.ULTRA else PAIRING_SERVICE
        return {service: self.nuki_id.to_bytes(4, "big")}

    @property
    def pairing_mode(self) -> bool:
        """Pairing is open: the button was held, or nobody has been paired since the factory."""
        return self._pairing_open or self.factory_new

    # -- what it knows ------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The lock's own clock, in UTC."""
        return self._time() + self.clock_offset

    @property
    def pin_is_set(self) -> bool:
        """The owner has set a security PIN."""
        return self.pin_guard.pin is not None

    @property
    def busy(self) -> bool:
        """Another action is running."""
        return self.motor.busy or (self._busy_until is not None and self._time() < self._busy_until)

    def check_pin(self, pin: int) -> None:
        """Raises `Refused` for a wrong security PIN, or while wrong ones have led to a ban."""
        self.pin_guard.check(pin, self.behaviour, self._time())

    def add_user(self, key: bytes, id_type: int, app_id: int, name: str, *, full: ErrorCode) -> Authorization:
        """A new entry in the user table; raises `Refused(full)` when there is no room."""
        entry, replaced = self.authorizations.add(
            key=key,
            id_type=id_type,
            app_id=app_id,
            name=name,
            now=self.now(),
            max_users=self.behaviour.max_users,
            full=full,
        )
        for old in replaced:
            self.note("replaced", old)
        self.on_memory_changed()
        return entry

    def movements(self) -> list[AuditEntry]:
        """Every start of the motor, in order."""
        return [entry for entry in self.audit if entry.what == "motor"]

    def note(
        self, what: str, authorization: Authorization | None = None, *, command: int = 0, detail: str | None = None
    ) -> None:
        """Write a line of the audit trail."""
        number, name = (authorization.authorization_id, authorization.name) if authorization else (None, None)
        self.audit.append(AuditEntry(self._time(), what, number, name, _command_name(command), detail))
        if len(self.audit) > 2 * AUDIT_SIZE:
            del self.audit[:-AUDIT_SIZE]

    def changed(self) -> None:
        """Something that Keyturner States tell has changed: raise the beacon's flag."""
        if not self.state_changed:
            self.state_changed = True
            self._advertise()
        self.on_memory_changed()

    def config_changed(self) -> None:
        """Something that Config or the user table tells has changed."""
        self.config_update_count = (self.config_update_count + 1) % 256
        self.changed()

    # -- what people and tests do to it -------------------------------------------------------------------------------

    def turn_by_hand(self, state: LockState) -> None:
        """Turn the key or knob.  Raises `ValueError` for a state a hand cannot make."""
        if state not in REACHABLE_BY_HAND:
            allowed = ", ".join(name_of(s) for s in REACHABLE_BY_HAND)
            raise ValueError(f"a hand cannot turn the lock to {name_of(state)!r}; allowed: {allowed}")
        self.note("by_hand", detail=name_of(state))
        self.motor.put(state, Trigger.MANUAL)

    def press_button(self, count: int = 1) -> None:
        """Press the button: once turns the other way, twice is lock 'n' go; while something runs, it stops that."""
        if count not in (1, 2):
            raise ValueError(f"the button is pressed once or twice, not {count} times")
        self.note("button", detail=str(count))
        if self.motor.active:
            self.motor.cancel()
        elif self.settings.button_enabled and self.motor.calibrated and not self.busy:
            other_way = Action.UNLOCK if self.motor.state is LockState.LOCKED else Action.LOCK
            self.motor.start(other_way if count == 1 else Action.LOCK_N_GO, Trigger.BUTTON, self._on_own_end)

    def hold_button(self) -> None:
        """Start pairing mode, for `Behaviour.pairing_mode_s` or until somebody has paired."""
        if not self.settings.pairing_enabled:
            self.note("pairing_mode", detail="refused: switched off in the settings")
            return
        self.leave_pairing_mode()
        self._pairing_open = True
        self._pairing_timer = self._the_transport().call_later(self.behaviour.pairing_mode_s, self.leave_pairing_mode)
        self.note("pairing_mode", detail="on")
        self._advertise()

    def leave_pairing_mode(self) -> None:
        """End pairing mode; does nothing outside of it.  A factory-new lock stays in it."""
        if self._pairing_timer is not None:
            self._pairing_timer.cancel()
            self._pairing_timer = None
        if self._pairing_open:
            self._pairing_open = False
            self.note("pairing_mode", detail="off")
            self._advertise()

    def set_battery(self, percent: int, critical: bool | None = None) -> None:
        """Charge in percent; critical below 20 unless told otherwise."""
        if not 0 <= percent <= 100:
            raise ValueError(f"a battery holds 0 to 100 percent, not {percent}")
        self.battery_percent = percent
        self.battery_critical = percent < 20 if critical is None else critical
        self.changed()

    def block_motor(self, blocked: bool = True) -> None:
        """Put something into the bolt's way, or take it out."""
        self.motor.blocked = blocked
        self.on_memory_changed()

    def uncalibrate(self, lost: bool = True) -> None:
        """Lose the calibration, or find it again (unlocked then)."""
        if lost:
            self.motor.put(LockState.UNCALIBRATED, Trigger.SYSTEM)
        elif not self.motor.calibrated:
            self.motor.put(LockState.UNLOCKED, Trigger.SYSTEM)

    def set_door(self, state: DoorState) -> None:
        """What the door sensor sees."""
        if state != self.door:
            self.door = state
            self.changed()

    def set_enabled(self, authorization_id: int, enabled: bool) -> None:
        """Enable or disable an authorization, as the owner's phone would.  Raises `ValueError` if there is none."""
        self._entry(authorization_id).enabled = enabled
        self.config_changed()

    def remove_authorization(self, authorization_id: int) -> None:
        """Delete an authorization, as the owner's phone would.  Raises `ValueError` if there is none."""
        self.note("removed", self._entry(authorization_id))
        self.authorizations.remove(authorization_id)
        self.config_changed()

    def be_busy(self, seconds: float) -> None:
        """Refuse actions as busy for so many seconds."""
        self._busy_until = after(self._time(), seconds)

    def forget_challenges(self) -> None:
        """Every challenge issued so far is void."""
        for authorization in self.authorizations:
            authorization.challenge = None

    def set_clock(self, now: datetime) -> None:
        """Set the lock's own clock; it goes on from there.  Raises `ValueError` outside the years 2000 to 2099."""
        if not 2000 <= now.astimezone(UTC).year < 2100:
            raise ValueError(f"a lock's clock shows the years 2000 to 2099, not {now.year}")
        self.clock_offset = now - self._time()
        self.on_memory_changed()

    # -- inside -------------------------------------------------------------------------------------------------------

    def report_states(self) -> None:
        """Tell whoever is to hear of a new state; the Bluetooth side knows whom."""
        raise NotImplementedError

    def _on_motor_state(self) -> None:
        self.note("state", detail=name_of(self.motor.state))
        self.changed()
        self.report_states()

    def _on_turn(self, action: Action, turn: Turn, blocked: bool) -> None:
        detail = f"{name_of(action)}: {name_of(turn.moving)}{', blocked' if blocked else ''}"
        if self.mover is None:
            self.note("motor", detail=detail)
        else:
            self.note("motor", self.mover.authorization, command=self.mover.command, detail=detail)

    def _on_rest(self) -> None:
        self.mover = None
        self.on_memory_changed()

    def _on_own_end(self, completion: Completion) -> None:
        self.note("completed", detail=name_of(completion))

    def _entry(self, authorization_id: int) -> Authorization:
        entry = self.authorizations.get(authorization_id)
        if entry is None:
            known = ", ".join(str(e.authorization_id) for e in self.authorizations) or "none"
            raise ValueError(f"the lock has no authorization {authorization_id}; it has: {known}")
        return entry

    def _advertise(self) -> None:
        if self._transport is not None:
            self._transport.advertise()

    def _time(self) -> datetime:
        """The transport's time in UTC, which a wrong clock of the lock does not touch."""
        return (self._transport.now() if self._transport is not None else datetime.now(UTC)).astimezone(UTC)

    def _the_transport(self) -> Transport:
        if self._transport is None:
            raise RuntimeError("a virtual lock needs a transport: call attach() first")
        return self._transport


def _command_name(command: int) -> str | None:
    try:
        return Command(command).name.lower()
    except ValueError:
        return f"{command:#06x}" if command else None
