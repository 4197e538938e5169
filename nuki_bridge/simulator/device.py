"""What every virtual device knows, and what it writes into its log and its audit trail.

Users, PIN, clock, log, keypad codes, beacon and pairing mode are the same for a Smart Lock and an Opener, but for the
UUIDs; `lock_device` and `opener_device` have what only one of them knows.  `surroundings` is what people and things do
to a device, `connections` its Bluetooth side.  Nothing here knows connections or requests.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial

from nuki_bridge.protocol.advertisement import APPLE, beacon_data, beacon_name
from nuki_bridge.protocol.codes import (
    OPENER_PAIRING_SERVICE,
    PAIRING_SERVICE,
    PAIRING_SERVICE_ULTRA,
    Command,
    ErrorCode,
    Family,
    IdType,
    LogType,
    name_of,
)
from nuki_bridge.protocol.crypto import KEY_SIZE
from nuki_bridge.simulator.authorizations import Authorizations, StoredEntry
from nuki_bridge.simulator.behaviour import AuditEntry, Behaviour, DeviceSettings, PinGuard, Random, Refused
from nuki_bridge.simulator.clock import LockClock
from nuki_bridge.simulator.handshake import KeyPair, SecretKey
from nuki_bridge.simulator.keypad import Codes
from nuki_bridge.simulator.log import Log
from nuki_bridge.simulator.time_control import Entries
from nuki_bridge.simulator.transport import Attachment, Timer

AUDIT_SIZE = 20_000
"""Number of entries that the audit trail keeps at least."""
_PAIRING_SERVICES = {
    Family.CLASSIC: PAIRING_SERVICE,
    Family.ULTRA: PAIRING_SERVICE_ULTRA,
    Family.OPENER: OPENER_PAIRING_SERVICE,
}


class Device:
    """A device's memory: its users, settings, clock, log, beacon and pairing mode.  Implements `handshake.Host`.

    A subclass says what the settings are and which actions time control knows.
    """

    settings: DeviceSettings

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
        """Build a device that advertises `address` and `name`; `pin` is the security PIN, None while none is set.

        A `factory_new` device stays in pairing mode until somebody has been paired.  `random` gives keys, IDs and
        nonces; `keys`, `uuid` (16 bytes) and `next_authorization_id` may be given instead of drawn.
        """
        self.address = address.upper()
        self.nuki_id = nuki_id
        self.family: Family = family
        self.name = name or beacon_name(nuki_id, opener=family is Family.OPENER)
        self.behaviour = behaviour or Behaviour()
        self.random = random
        self.keys: KeyPair = keys or SecretKey(random(KEY_SIZE))
        self.uuid = uuid or random(16)
        self.transport = Attachment()
        self.pin_guard = PinGuard(pin)
        self.settings = self._first_settings()
        self.clock = LockClock(self.transport, self.settings, self.behaviour)
        self.authorizations = Authorizations(next_authorization_id)
        self.codes = Codes()
        self.time_control = Entries(self._planned_actions())
        self.log = Log(family)
        self.audit: list[AuditEntry] = []
        self.accessory_battery_state = 0
        """Bit 0: there is a keypad, 1: its battery is low, 2: there is a door sensor, 3: its battery is low."""
        self.battery_percent = 84
        """Charge of the battery; an Opener tells only whether it is critical."""
        self.battery_critical = False
        self.last_command = 0
        """Number of the last command that was carried out."""
        self.config_update_count = 0
        self.state_changed = False
        self.factory_new = factory_new
        self.loses_entries = False
        """What ends now has no entry in the log: the device breaks down."""
        self.on_memory_changed: Callable[[], None] = lambda: None
        """Called after each change that must survive a restart; whoever keeps the device's memory sets it."""
        self.on_changed: Callable[[], None] = lambda: None
        """Called after each change of what Keyturner States tell: for whatever tells it elsewhere than by Bluetooth."""
        self.on_action: Callable[[int, int, StoredEntry | None, int], None] = lambda action, trigger, by, flags: None
        """Called when an action is about to be executed, or a button or fob does nothing: action, trigger, user, flags.

        What people did just before stands in the audit trail."""
        self._pairing_timer: Timer | None = None
        self._pairing_open = False

    def _first_settings(self) -> DeviceSettings:
        """Return the settings of a factory-new device."""
        raise NotImplementedError

    def met(self, authorization: StoredEntry) -> None:
        """Take note that a user has proved itself on a new connection."""

    def action_name(self, number: int) -> str:
        """Return the name of a lock action, for the audit trail."""
        return name_of(number)

    def door_sensor(self) -> tuple[bool, bool]:
        """Return whether there is a door sensor, and whether the log keeps what it sees."""
        return False, False

    def _planned_actions(self) -> Collection[enum.IntEnum]:
        """Return the actions that a time control entry may have."""
        raise NotImplementedError

    # -- what it shows ------------------------------------------------------------------------------------------------

    def manufacturer_data(self) -> dict[int, bytes]:
        """Return the beacon, by company identifier."""
        opener = self.family is Family.OPENER
        return {APPLE: beacon_data(self.nuki_id, state_changed=self.state_changed, opener=opener)}

    def service_data(self) -> dict[str, bytes]:
        """Return the Nuki ID (4 bytes, big-endian) under the pairing service's UUID in pairing mode, else nothing."""
        if not self.pairing_mode:
            return {}
        return {_PAIRING_SERVICES[self.family]: self.nuki_id.to_bytes(4, "big")}

    @property
    def pairing_mode(self) -> bool:
        """Pairing is open: the button was held, or nobody has been paired since the factory."""
        return self.settings.pairing_enabled and (self._pairing_open or self.factory_new)

    # -- its clock ----------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the time of the lock's own clock, in UTC."""
        return self.clock.now()

    def set_clock(self, now: datetime) -> None:
        """Set the device's clock, which runs on from `now`.  Raise `ValueError` outside the years 2000 to 2099."""
        self.clock.set(now)
        self.on_memory_changed()

    @property
    def timezone_offset_min(self) -> int:
        """Minutes from UTC to the lock's wall clock, with daylight saving."""
        return self.clock.timezone_offset_min

    @property
    def told_offset_min(self) -> int:
        """Minutes that the lock's states and Config tell."""
        return self.clock.told_offset_min(self.family)

    def call_later(self, delay_s: float, fn: Callable[[], None]) -> Timer:
        """Call `fn` once, `delay_s` seconds from now."""
        return self.transport.call_later(delay_s, fn)

    # -- users and PIN ------------------------------------------------------------------------------------------------

    @property
    def pin_is_set(self) -> bool:
        """The owner has set a security PIN."""
        return self.pin_guard.pin is not None

    def check_pin(self, pin: int) -> None:
        """Raise `Refused` for a wrong security PIN, or while wrong ones have led to a ban."""
        before = (self.pin_guard.wrong, self.pin_guard.banned_until)
        try:
            self.pin_guard.check(pin, self.behaviour, self.transport.now())
        finally:
            if before != (self.pin_guard.wrong, self.pin_guard.banned_until):
                self.on_memory_changed()

    def add_user(self, key: bytes, id_type: int, app_id: int, name: str, *, full: ErrorCode) -> StoredEntry:
        """Add an entry to the user table and return it; raise `Refused(full)` when there is no room."""
        most = self.behaviour.max_users
        added = self.authorizations.add(
            key=key, id_type=id_type, app_id=app_id, name=name, now=self.now(), max_users=most
        )
        if added is None:
            raise Refused(full)
        entry, replaced = added
        for old in replaced:
            self.note("replaced", old)
        self.on_memory_changed()
        return entry

    def admit(self, key: bytes, id_type: int, app_id: int, name: str, pin: int | None) -> int:
        """Add a user who has proved `key` and return the authorization ID; raise `Refused`.

        `pin` is None in a family whose pairing does not ask for the security PIN.
        """
        if pin is not None:
            self.check_pin(pin)
        return self.add_user(key, id_type, app_id, name, full=ErrorCode.MAX_USER).authorization_id

    def paired(self, authorization_id: int) -> None:
        """End pairing mode, because a handshake has been completed."""
        self.note("paired", self.authorizations.get(authorization_id))
        self.factory_new = False
        self.leave_pairing_mode()
        self.users_changed()
        self.transport.advertise()

    def forget_challenges(self) -> None:
        """Make every challenge issued so far invalid."""
        for authorization in self.authorizations:
            authorization.challenge = None

    # -- pairing mode -------------------------------------------------------------------------------------------------

    def hold_button(self) -> None:
        """Start pairing mode, for `Behaviour.pairing_mode_s` or until somebody has been paired."""
        if not self.settings.pairing_enabled:
            self.note("pairing_mode", detail="refused: switched off in the settings")
            return
        self.leave_pairing_mode()
        self._pairing_open = True
        self._pairing_timer = self.call_later(self.behaviour.pairing_mode_s, self.leave_pairing_mode)
        self.note("pairing_mode", detail="on")
        self.transport.advertise()

    def leave_pairing_mode(self) -> None:
        """End the pairing mode that `hold_button` has started; a factory-new lock stays in pairing mode."""
        if self._pairing_timer is not None:
            self._pairing_timer.cancel()
            self._pairing_timer = None
        if self._pairing_open:
            self._pairing_open = False
            self.note("pairing_mode", detail="off")
            self.transport.advertise()

    # -- changes and the beacon ---------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Raise the beacon's flag: something that Keyturner States tell has changed."""
        if not self.behaviour.beacon_bit_missing:
            if self.behaviour.beacon_bit_late_s > 0:
                self.call_later(self.behaviour.beacon_bit_late_s, self._raise_bit)
            else:
                self._raise_bit()
        self.on_memory_changed()
        self.on_changed()

    def config_changed(self) -> None:
        """Count a change of something that Config tells."""
        self.config_update_count = (self.config_update_count + 1) % 256
        self.changed()

    def users_changed(self) -> None:
        """Count a change of the user table as one of Config, if `Behaviour.counts_user_changes`."""
        if self.behaviour.counts_user_changes:
            self.config_changed()
        else:
            self.on_memory_changed()

    def states_read(self, authorization: StoredEntry) -> None:
        """Take the beacon's flag down when a Bridge has read Keyturner States; other clients do not clear it."""
        clears = authorization.id_type == IdType.BRIDGE and not self.behaviour.beacon_bit_stays
        if self.state_changed and clears:
            self.state_changed = False
            self.transport.advertise()
            self.on_memory_changed()

    def _raise_bit(self) -> None:
        if not self.state_changed:
            self.state_changed = True
            self.transport.advertise()
            self.on_memory_changed()

    # -- audit trail and log ------------------------------------------------------------------------------------------

    def movements(self) -> list[AuditEntry]:
        """Return every start of the motor, in order."""
        return [entry for entry in self.audit if entry.what == "motor"]

    def note(
        self,
        what: str,
        authorization: StoredEntry | None = None,
        *,
        command: int = 0,
        detail: str | None = None,
        suffix: str | None = None,
    ) -> None:
        """Write a line of the audit trail."""
        number, name = (authorization.authorization_id, authorization.name) if authorization else (None, None)
        now = self.transport.now()
        self.audit.append(AuditEntry(now, what, number, name, _command_name(command), detail, suffix))
        if len(self.audit) > 2 * AUDIT_SIZE:
            del self.audit[:-AUDIT_SIZE]

    def log_action(
        self,
        action: int,
        trigger: int,
        completion: int,
        *,
        by: StoredEntry | None = None,
        suffix: str | None = None,
        flags: int = 0,
    ) -> None:
        """Write a lock action into the log; `suffix` is appended to the name of `by`."""
        data = (action, trigger, flags, completion)
        if self.loses_entries:
            return
        suffix = None if self.behaviour.suffix_missing else suffix
        write = partial(self.write_log, LogType.LOCK_ACTION, *data, by=by, suffix=suffix)
        if self.behaviour.log_late_s > 0:
            self.call_later(self.behaviour.log_late_s, write)
        else:
            write()

    def write_log(
        self,
        kind: int,
        *data: int,
        by: StoredEntry | None = None,
        name: str | None = None,
        suffix: str | None = None,
    ) -> None:
        """Write an entry into the log, with the time of the lock's clock; `name` replaces the name of `by`."""
        self.log.write(
            self.now(),
            kind,
            *data,
            authorization_id=by.authorization_id if by else 0,
            name=(name or (by.name if by else "")) + (suffix or ""),
            capacity=self.behaviour.log_size,
        )
        self.on_memory_changed()


def _command_name(command: int) -> str | None:
    try:
        return Command(command).name.lower()
    except ValueError:
        return f"{command:#06x}" if command else None
