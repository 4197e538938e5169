"""A virtual lock as a thing on a door: what it knows, and what it notes down in its log and in the audit trail.

`surroundings` adds what people and the weather do to it, `lock.VirtualLock` its Bluetooth side.  Nothing here knows
connections or messages.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from nuki_bridge.protocol.advertisement import APPLE, beacon_data, beacon_name
from nuki_bridge.protocol.codes import (
    PAIRING_SERVICE,
    PAIRING_SERVICE_ULTRA,
    Action,
    Command,
    DoorState,
    ErrorCode,
    Family,
    LogType,
    name_of,
)
from nuki_bridge.protocol.crypto import KEY_SIZE
from nuki_bridge.simulator import advanced_config, timezones
from nuki_bridge.simulator.authorizations import Authorization, Authorizations
from nuki_bridge.simulator.behaviour import AuditEntry, Behaviour, PinGuard, Random, Settings
from nuki_bridge.simulator.handshake import KeyPair, SecretKey
from nuki_bridge.simulator.keypad import Codes
from nuki_bridge.simulator.log import Log
from nuki_bridge.simulator.motor import Motor, Turn
from nuki_bridge.simulator.time_control import Entries
from nuki_bridge.simulator.transport import Timer, Transport

if TYPE_CHECKING:
    from nuki_bridge.simulator.lock import Exchange

_CONFIG_SIZE_WITH_ZONE = 74
"""Bytes of the shortest Config with a timezone ID."""
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
        self.advanced = advanced_config.initial(family, self.behaviour)
        self.motor = Motor(
            self.behaviour,
            self.advanced,
            on_state=self._on_motor_state,
            on_turn=self._on_turn,
            on_rest=self._on_rest,
        )
        self.mover: Exchange | None = None
        """The request behind the action under way; None if nobody asked over Bluetooth."""
        self.actor: Authorization | None = None
        """The fob or keypad behind the action under way."""
        self.door: DoorState | int = self.behaviour.start_door
        self.accessory_battery_state = 0
        """Bit 0: there is a keypad, 1: its battery is low, 2: there is a door sensor, 3: its battery is low."""
        self.battery_percent = 84
        self.battery_critical = False
        self.battery_charging = False
        self.config_update_count = 0
        self.state_changed = False
        self.in_range = True
        self.factory_new = factory_new
        self.rebooting = False
        self.clock_offset = timedelta()
        self.log = Log()
        self.codes = Codes()
        self.time_control = Entries()
        self.door_logging = True
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
        return self.settings.pairing_enabled and (self._pairing_open or self.factory_new)

    # -- what it knows ------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The lock's own clock, in UTC."""
        return self._time() + self.clock_offset

    @property
    def timezone_offset_min(self) -> int:
        """Minutes from UTC to the lock's wall clock, daylight saving included.

        A timezone ID decides alone; without one the offset and the DST mode that were set do.
        """
        settings, now = self.settings, self.now()
        if settings.timezone_id != timezones.NONE:
            return timezones.offset_min(settings.timezone_id, now)
        return settings.timezone_offset_min + timezones.daylight_min(settings.dst_mode, now)

    @property
    def told_offset_min(self) -> int:
        """Minutes that its states and Config tell: beside a timezone ID 0, if such is its firmware's habit."""
        has_id = self.settings.timezone_id != timezones.NONE
        tells_id = has_id and self.behaviour.config_size_of(self.family) >= _CONFIG_SIZE_WITH_ZONE
        return 0 if tells_id and not self.behaviour.tells_offset_in_force else self.timezone_offset_min

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
        before = (self.pin_guard.wrong, self.pin_guard.banned_until)
        try:
            self.pin_guard.check(pin, self.behaviour, self._time())
        finally:
            if before != (self.pin_guard.wrong, self.pin_guard.banned_until):
                self.on_memory_changed()

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
        self,
        what: str,
        authorization: Authorization | None = None,
        *,
        command: int = 0,
        detail: str | None = None,
        suffix: str | None = None,
    ) -> None:
        """Write a line of the audit trail."""
        number, name = (authorization.authorization_id, authorization.name) if authorization else (None, None)
        self.audit.append(AuditEntry(self._time(), what, number, name, _command_name(command), detail, suffix))
        if len(self.audit) > 2 * AUDIT_SIZE:
            del self.audit[:-AUDIT_SIZE]

    def changed(self) -> None:
        """Something that Keyturner States tell has changed: raise the beacon's flag."""
        if not self.behaviour.beacon_bit_missing:
            if self.behaviour.beacon_bit_late_s > 0:
                self.call_later(self.behaviour.beacon_bit_late_s, self._raise_bit)
            else:
                self._raise_bit()
        self.on_memory_changed()

    def config_changed(self) -> None:
        """Something that Config tells has changed."""
        self.config_update_count = (self.config_update_count + 1) % 256
        self.changed()

    def users_changed(self) -> None:
        """The user table has changed: `Behaviour.counts_user_changes` decides whether anybody can see that."""
        if self.behaviour.counts_user_changes:
            self.config_changed()
        else:
            self.on_memory_changed()

    def log_action(
        self,
        action: int,
        trigger: int,
        completion: int,
        *,
        by: Authorization | None = None,
        suffix: str | None = None,
        flags: int = 0,
    ) -> None:
        """Write a lock action into the log; `suffix` is appended to the name of who did it."""
        data = (action, trigger, flags, completion)
        write = partial(self.write_log, LogType.LOCK_ACTION, *data, by=by, suffix=suffix)
        if self.behaviour.log_late_s > 0:
            self.call_later(self.behaviour.log_late_s, write)
        else:
            write()

    def write_log(
        self,
        kind: LogType,
        *data: int,
        by: Authorization | None = None,
        name: str | None = None,
        suffix: str | None = None,
    ) -> None:
        """Write into the log at the lock's own time; `name` stands for the one of `by`."""
        self.log.write(
            self.now(),
            kind,
            *data,
            authorization_id=by.authorization_id if by else 0,
            name=(name or (by.name if by else "")) + (suffix or ""),
            capacity=self.behaviour.log_size,
        )
        self.on_memory_changed()

    # -- pairing mode and clock ---------------------------------------------------------------------------------------

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

    def set_clock(self, now: datetime) -> None:
        """Set the lock's own clock, which goes on from there.  Raises `ValueError` outside the years 2000 to 2099."""
        if not 2000 <= now.astimezone(UTC).year < 2100:
            raise ValueError(f"a lock's clock shows the years 2000 to 2099, not {now.year}")
        self.clock_offset = now - self._time()
        self.on_memory_changed()

    def call_later(self, delay_s: float, fn: Callable[[], None]) -> Timer:
        """Call `fn` once, `delay_s` seconds from now."""
        return self._the_transport().call_later(delay_s, fn)

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
            self.note("motor", self.actor, detail=detail)
        else:
            self.mover.note("motor", detail)

    def _on_rest(self) -> None:
        self.mover = self.actor = None
        self.on_memory_changed()

    def _raise_bit(self) -> None:
        if not self.state_changed:
            self.state_changed = True
            self._advertise()
            self.on_memory_changed()

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
