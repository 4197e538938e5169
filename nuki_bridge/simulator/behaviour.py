"""What a virtual lock is like: its times, its firmware's habits, its settings; and the entries of its audit trail."""

from __future__ import annotations

import random as _random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from nuki_bridge.protocol.codes import Action, DoorState, ErrorCode, Family, LockState

Random = Callable[[int], bytes]
"""Gives that many random bytes."""


def seeded(seed: int) -> Random:
    """A source of bytes that gives the same ones for the same seed: for tests, never for a lock that counts."""
    return _random.Random(seed).randbytes


class Refused(Exception):
    """The lock refuses a request: what the Error Report will say."""

    def __init__(self, error: ErrorCode) -> None:
        super().__init__(error.name)
        self.error = error


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """Times in seconds, sizes in bytes, and the habits in which firmware differs; may be changed at any time."""

    motor_s: float = 2.5
    """One movement of the motor."""
    unlatch_s: float | None = None
    """How long the latch is held; as the owner has set it if None."""
    lock_n_go_s: float | None = None
    """Lock 'n' go: from unlocked to the second movement; as the owner has set it if None."""
    start_state: LockState = LockState.LOCKED
    start_door: DoorState = DoorState.CLOSED

    states_size: int | None = None
    """Length of Keyturner States: 15, 19, 20, 21 or 27; by family (21 or 27) if None."""
    config_size: int | None = None
    """Length of Config: 71 to 79; by family (77 or 79) if None."""
    advanced_config_size: int | None = None
    """Length of Advanced Config: 28, 31 or 33, 0 for firmware that does not know it; by family (31 or 33) if None."""
    tells_offset_in_force: bool = False
    """Beside a timezone ID its states and Config tell the offset in force; otherwise 0, as firmware 2.6 and 3.10 do."""
    immediate_auto_lock_missing: bool = False
    """It says "not supported" of immediate auto lock."""
    accepted_times: int = 1
    """How often Status ACCEPTED is sent for one action: firmware that sends it twice exists."""
    moving_reports: int = 1
    """How often a moving state is reported."""
    complete_missing: bool = False
    """Status COMPLETE never comes."""
    complete_before_hold: bool = False
    """Status COMPLETE comes before the latch is released or lock 'n' go locks again, not after."""
    accepts_nothing_to_do: bool = False
    """With nothing to do: ACCEPTED and COMPLETE; otherwise COMPLETE at once."""

    queue_s: float = 0.0
    """Seconds from ACCEPTED to the start of the motor; until then nothing shows that there is anything to do."""
    locks_as: Action | None = None
    """What it calls a lock action of a client in its reports and its log, if not lock: full lock."""
    busy_in_lock_n_go: bool = False
    """It refuses an action as busy while lock 'n' go waits, instead of ending that for it."""
    reboot_forgets_action: bool = False
    """After a reboot it does not know its last action any more."""

    advertise_while_connected: bool = False
    beacon_bit_missing: bool = False
    """The beacon's bit "state changed" is never set: some firmware does not, at least for turns by hand."""
    beacon_bit_late_s: float = 0.0
    """The bit rises so long after the change."""
    beacon_bit_stays: bool = False
    """A Bridge's reading does not clear the bit either, as with locks whose WiFi or Thread is switched on."""
    idle_timeout_s: float = 20.0
    """A link without traffic is dropped after this; 0 for never."""
    max_links: int = 4
    pushes_states_of_others: bool = False
    """Report movements on every link, not only on the one that asked for them."""
    plain_error_s: float = 0.0
    """Seconds after a message that it cannot decrypt until the plain Error Report; others are answered meanwhile."""
    ignores_unreadable: bool = False
    """It says nothing at all to a message that it cannot decrypt."""
    challenges_outlive_link: bool = False
    """A challenge stays valid over a disconnect (not documented)."""

    pairing_mode_s: float = 60.0
    reboot_s: float = 4.0
    """How long a reboot takes; nobody sees or reaches the lock meanwhile."""
    max_users: int = 200
    max_codes: int = 100
    """Keypad codes; not documented."""
    max_time_control: int = 20
    """Time control entries; not documented."""
    counts_user_changes: bool = True
    """A change of the user table counts as one of the configuration; the document promises that only for Config."""
    tells_entry_count: bool = True
    """Authorization Entry Count comes before the entries."""
    entry_tail_always: bool = False
    """An entry has its time limit even if there is none."""
    list_end_missing: bool = False
    """Status COMPLETE does not come after a list."""
    log_size: int = 1000
    """Entries that the log holds; the oldest make room."""
    log_count_size: int | None = None
    """Length of Log Entry Count: 3 on old firmware, otherwise 5."""
    log_data_padded: bool = False
    """The data of every log entry has 5 bytes, as a Smart Lock 3.0 sends it."""
    log_late_s: float = 0.0
    """Seconds after the end of an action until its entry is written."""
    logs_refusals: bool = True
    """A lock action that is refused for its time or because the lock is busy has its log entry."""
    pin_attempts: int = 3
    """Wrong PINs in a row that start a ban."""
    pin_ban_s: float = 300.0

    def states_size_of(self, family: Family) -> int:
        """Length of Keyturner States."""
        return self.states_size or (27 if family is Family.ULTRA else 21)

    def config_size_of(self, family: Family) -> int:
        """Length of Config."""
        return self.config_size or (79 if family is Family.ULTRA else 77)

    def advanced_config_size_of(self, family: Family) -> int:
        """Length of Advanced Config; 0 if this firmware does not know it."""
        given = self.advanced_config_size
        return (33 if family is Family.ULTRA else 31) if given is None else given


@dataclass(slots=True, kw_only=True)
class Settings:
    """What the owner has set and Config (0x0015) tells."""

    name: str
    latitude: float = 52.5
    longitude: float = 13.4
    auto_unlatch: bool = False
    pairing_enabled: bool = True
    button_enabled: bool = True
    led_enabled: bool = True
    led_brightness: int = 3
    timezone_offset_min: int = 60
    """Counts, with `dst_mode`, only without a timezone ID; `Device.told_offset_min` is what the lock tells."""
    dst_mode: int = 0
    has_fob: bool = False
    fob_action_1: int = 1
    fob_action_2: int = 2
    fob_action_3: int = 3
    single_lock: bool = False
    advertising_mode: int = 0
    has_keypad: bool = False
    firmware_version: bytes = b"\x03\x05\x0b"
    hardware_revision: bytes = b"\x05\x01"
    homekit_status: int = 0
    timezone_id: int = 37
    device_type: int = 4
    capabilities: int = 0
    has_keypad_2: bool = False
    matter_status: int = 0
    product_variant: int = 0


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that happened at the lock; never holds a key, nonce or PIN.

    `authorization_id` and `name` are whoever did it, None for people at the lock.  `what` is one of: connected,
    disconnected, dropped, write, refused, pairing_mode, paired, replaced, invited, updated, removed, entries_read,
    log_read, logging, config_set, advanced_config_set, clock_set, pin_verified, pin_set, reboot, action_received,
    action_refused, action_started, motor, state, completed, by_hand, button, fob, keypad, auto_lock, time_control,
    calibration, codes_read, code_added, code_updated, code_removed, time_control_read, time_control_added,
    time_control_updated, time_control_removed.

    `suffix` is what a lock action's asker had appended to its name.  `action_started` comes once for each action that
    is carried out, `motor` with each of its turns.
    """

    time: datetime
    what: str
    authorization_id: int | None = None
    name: str | None = None
    command: str | None = None
    detail: str | None = None
    suffix: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The entry for JSON; `time` in RFC 3339."""
        return {
            "time": self.time.isoformat(),
            "what": self.what,
            "authorization_id": self.authorization_id,
            "name": self.name,
            "command": self.command,
            "detail": self.detail,
            "suffix": self.suffix,
        }


@dataclass(slots=True)
class PinGuard:
    """Checks the security PIN and bans whoever guesses; `pin` is None while none has been set."""

    pin: int | None = field(repr=False)
    wrong: int = 0
    banned_until: datetime | None = None

    def check(self, pin: int, behaviour: Behaviour, now: datetime) -> None:
        """Raises `Refused`: bad PIN, or too many attempts while the ban lasts (the right PIN does not help then)."""
        if self.banned_until is not None and now < self.banned_until:
            raise Refused(ErrorCode.TOO_MANY_PIN_ATTEMPTS)
        if self.pin is None or pin == self.pin:
            self.wrong = 0
            return
        self.wrong += 1
        if self.wrong >= behaviour.pin_attempts:
            self.wrong = 0
            self.banned_until = after(now, behaviour.pin_ban_s)
        raise Refused(ErrorCode.BAD_PIN)

    def change(self, pin: int) -> None:
        """Take another PIN; wrong attempts at the old one are forgotten."""
        self.pin = pin
        self.wrong = 0


def after(moment: datetime, seconds: float) -> datetime:
    """`moment` plus so many seconds."""
    return datetime.fromtimestamp(moment.timestamp() + seconds, UTC)
