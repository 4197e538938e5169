"""The times, habits and settings of a virtual lock, an entry of its audit trail, and the guard of its security PIN."""

from __future__ import annotations

import random as _random
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from nuki_bridge.protocol.codes import Action, DoorState, ErrorCode, Family, LockState
from nuki_bridge.records import frozen

Random = Callable[[int], bytes]
"""Function that returns the given number of random bytes."""


_STATES_SIZES = {Family.CLASSIC: 21, Family.ULTRA: 27, Family.OPENER: 19}
_CONFIG_SIZES = {Family.CLASSIC: 77, Family.ULTRA: 79, Family.OPENER: 72}


def seeded(seed: int) -> Random:
    """Return a source of bytes that gives the same bytes for the same seed: for tests, never for a real lock."""
    return _random.Random(seed).randbytes


class Refused(Exception):
    """The lock refuses a request; `error` is the code of the Error Report."""

    def __init__(self, error: ErrorCode) -> None:
        super().__init__(error.name)
        self.error = error


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """Times in seconds, lengths in bytes, and the habits in which firmware differs; all may be changed at any time.

    The habits about bolt, auto lock and Keyturner States are those of a Smart Lock, those about strike, rings and
    continuous mode those of an Opener; both can have those about links, challenges, users, log and PIN.
    """

    motor_s: float = 2.5
    """Seconds that one movement of the motor takes."""
    unlatch_s: float | None = None
    """Seconds for which the latch is held; if None, as many as the owner has set."""
    lock_n_go_s: float | None = None
    """Seconds that lock 'n' go waits before it locks; if None, as many as the owner has set."""
    start_state: LockState = LockState.LOCKED
    """State of a lock that has no memory."""
    start_door: DoorState = DoorState.CLOSED
    """State of the door of a lock that has no memory."""

    states_size: int | None = None
    """Length of Keyturner States: 15, 19, 20, 21 or 27; of an Opener's 13 to 26; if None, 21, 27 or 19 by family."""
    config_size: int | None = None
    """Length of Config: 71 to 79, of an Opener's 72 to 75; if None, 77, 79 or 72 by family."""
    advanced_config_size: int | None = None
    """Length of Advanced Config: 28, 31 or 33, of an Opener's 25 to 27, or 0 for firmware without it.

    If None, 31 or 33 by family; for an Opener what its layout has without Auto update."""
    advanced_layout_a: bool = False
    """An Opener's Advanced Config has layout A, without the unknown byte 12 of layout B."""
    tells_offset_in_force: bool = False
    """States and Config tell the offset in force beside a timezone ID; firmware 2.6 and 3.10 tell 0 there."""
    tells_lost_time: bool = False
    """A lock that has been without power tells no time, all zeros, until its clock is set; otherwise it counts from
    the year 2000 (not documented)."""
    immediate_auto_lock_missing: bool = False
    """Advanced Config tells that immediate auto lock is not supported."""
    speaks_mqtt: bool = True
    """A lock with networks of its own tells that it is connected to a broker, by Nuki's own MQTT API."""
    accepted_times: int = 1
    """How often Status ACCEPTED is sent for one action; some firmware sends it twice."""
    moving_reports: int = 1
    """How often a moving state is reported."""
    complete_missing: bool = False
    """Status COMPLETE is not sent after an action."""
    complete_before_hold: bool = False
    """Status COMPLETE is sent before the latch is released, lock 'n' go locks or the strike lets go, not after that."""
    accepts_nothing_to_do: bool = False
    """An action that has nothing to do is answered by ACCEPTED and COMPLETE, not by COMPLETE alone."""

    turns_again: bool = False
    """`lock` turns a locked bolt on, as if it were set to one turn, and `unlock` an unlocked one to its end."""
    blocked_s: float | None = None
    """Seconds until the lock tells, in place of "motor blocked", where its bolt is; the beacon says nothing of that.
    If None, never."""
    queue_s: float = 0.0
    """Seconds from ACCEPTED to the start of the motor; until then nothing shows that there is anything to do."""
    locks_as: Action | None = None
    """Action that stands in reports and log for a client's `lock`, such as full lock; if None, `lock` itself."""
    busy_in_lock_n_go: bool = False
    """An action is refused as busy while lock 'n' go waits; otherwise it ends lock 'n' go."""
    reboot_forgets_action: bool = False
    """The last action is forgotten by a reboot."""
    reboot_loses_entry: bool = False
    """An action that a reboot cuts off, as when weak batteries break down under the motor, has no log entry."""

    relay_s: float = 0.3
    """Seconds from the start of an opening until the strike acts, beside the delay that the owner has set."""
    ends_at_the_end: bool = False
    """Until an opening ends the states tell how the one before it ended (not documented)."""
    ends_at_once: bool = False
    """An Opener sends its states and COMPLETE when it accepts an action, before anything has come of it."""
    states_missing: bool = False
    """An Opener does not send its states during an action."""
    deaf_after_action: bool = True
    """An Opener answers an action, but then nothing that is written on the same link."""
    deaf_s: float = 10.0
    """Seconds from a write on such a link until the link drops."""
    app_sets_bit: bool = True
    """An app that connects to an Opener sets the beacon's bit "state changed", although nothing has changed."""
    strike_rings: bool = False
    """Each opening short-circuits the bell line: the Opener takes it for a ring, which opens nothing."""
    echo_s: float = 1.0
    """Seconds from the end of an opening to the ring that it is taken for."""
    continuous_mode_needs_pin: bool = False
    """Continuous mode is not switched by a lock action, not even for a Bridge."""
    continuous_mode_stays: bool = False
    """Switching continuous mode off is answered as if it were done, but it stays on."""
    rto_ends_continuous_mode: bool = False
    """Switching ring to open on ends continuous mode (not documented)."""
    logs_modes: bool = False
    """Switching ring to open or continuous mode has an entry in the log."""
    logs_opening_by_ring: bool = False
    """An opening by a ring has an entry in the log beside that of the ring (not documented)."""

    advertise_while_connected: bool = False
    """The lock advertises beside a link, as newer firmware does."""
    beacon_bit_missing: bool = False
    """The beacon's bit "state changed" is never set; some firmware does not set it, at least for turns by hand."""
    beacon_bit_late_s: float = 0.0
    """Seconds from a change to the setting of the beacon's bit "state changed"."""
    beacon_bit_stays: bool = False
    """The beacon's bit is not cleared when a Bridge reads the states, as with locks that use WiFi or Thread."""
    idle_timeout_s: float = 20.0
    """Seconds without traffic after which a link is dropped; 0 for never."""
    max_links: int | None = None
    """How many links the device takes at a time; if None, 4, or 1 for an Opener."""
    pushes_states_of_others: bool = False
    """Movements are reported on every link, not only on the one that has asked for them."""
    plain_error_s: float = 0.0
    """Seconds from a message that the lock cannot decrypt to the plain Error Report; others are answered meanwhile."""
    ignores_unreadable: bool = False
    """A message that the lock cannot decrypt is not answered at all."""
    challenges_outlive_link: bool = False
    """A challenge stays valid when the link ends (not documented)."""
    challenge_s: float | None = None
    """Seconds for which a challenge is valid; if None, until it is used or replaced (not documented)."""

    pairing_mode_s: float = 60.0
    """Seconds that pairing mode lasts."""
    reboot_s: float = 4.0
    """Seconds that a reboot takes; meanwhile nobody sees or reaches the lock."""
    max_users: int = 200
    """How many users the lock holds."""
    max_codes: int = 100
    """How many keypad codes the lock holds (not documented)."""
    max_time_control: int = 20
    """How many time control entries the lock holds (not documented)."""
    counts_user_changes: bool = True
    """A change of the user table raises the config update count; the document promises that for Config only."""
    tells_entry_count: bool = True
    """Authorization Entry Count is sent before the entries."""
    entry_tail_always: bool = False
    """An entry is sent with the fields of a time limit even if it has none."""
    list_end_missing: bool = False
    """Status COMPLETE is not sent after a list."""
    log_size: int = 1000
    """How many entries the log holds; new ones replace the oldest."""
    log_count_size: int | None = None
    """Length of Log Entry Count: 3 on old firmware; if None, 5."""
    log_data_padded: bool = False
    """The data of every log entry has 5 bytes, as a Smart Lock 3.0 sends it."""
    log_late_s: float = 0.0
    """Seconds from the end of an action to its entry in the log."""
    suffix_missing: bool = False
    """What a client has appended to its name does not stand in the log."""
    logs_refusals: bool = True
    """A lock action that is refused for its time limit or as busy has a log entry."""
    pin_attempts: int = 3
    """How many wrong PINs in a row start a ban."""
    pin_ban_s: float = 300.0
    """Seconds that a ban after wrong PINs lasts."""

    def max_links_of(self, family: Family) -> int:
        """Return how many links the device takes at a time."""
        return self.max_links or (1 if family is Family.OPENER else 4)

    def states_size_of(self, family: Family) -> int:
        """Return the length of Keyturner States."""
        return self.states_size or _STATES_SIZES[family]

    def config_size_of(self, family: Family) -> int:
        """Return the length of Config."""
        return self.config_size or _CONFIG_SIZES[family]

    def advanced_config_size_of(self, family: Family) -> int:
        """Return the length of Advanced Config, 0 for firmware without it."""
        if self.advanced_config_size is not None:
            return self.advanced_config_size
        if family is Family.OPENER:
            return 25 if self.advanced_layout_a else 26
        return 33 if family is Family.ULTRA else 31


@dataclass(slots=True, kw_only=True)
class DeviceSettings:
    """The settings in Config (0x0015) that every device has."""

    name: str
    latitude: float = 52.5
    longitude: float = 13.4
    pairing_enabled: bool = True
    button_enabled: bool = True
    led_enabled: bool = True
    timezone_offset_min: int = 60
    """Offset that counts, with `dst_mode`, only without a timezone ID; `LockClock` decides what the device tells."""
    dst_mode: int = 0
    has_fob: bool = False
    fob_action_1: int = 1
    fob_action_2: int = 2
    fob_action_3: int = 3
    advertising_mode: int = 0
    has_keypad: bool = False
    firmware_version: bytes = b"\x03\x05\x0b"
    hardware_revision: bytes = b"\x05\x01"
    timezone_id: int = 37

    def values(self) -> dict[str, Any]:
        """Return every setting by its name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(slots=True, kw_only=True)
class LockSettings(DeviceSettings):
    """The settings of a Smart Lock in Config; an Opener has others."""

    auto_unlatch: bool = False
    led_brightness: int = 3
    single_lock: bool = False
    homekit_status: int = 0
    device_type: int = 4
    capabilities: int = 0
    has_keypad_2: bool = False
    matter_status: int = 0
    product_variant: int = 0


@frozen
class AuditEntry:
    """One thing that happened at the lock; never holds a key, nonce or PIN.

    `authorization_id` and `name` tell who did it, None for people at the lock.  `what` is one of: connected,
    disconnected, dropped, write, refused, pairing_mode, paired, replaced, invited, updated, removed, entries_read,
    log_read, logging, config_set, advanced_config_set, clock_set, pin_verified, pin_set, reboot, action_received,
    action_refused, action_started, motor, state, completed, by_hand, button, fob, keypad, auto_lock, time_control,
    calibration, codes_read, code_added, code_updated, code_removed, time_control_read, time_control_added,
    time_control_updated, time_control_removed; only at an Opener: ring, deaf, continuous_mode.

    `suffix` is what a client has appended to its name for a lock action.  `action_started` comes once for each action
    that is carried out, `motor` once for each turn of the motor, or each opening by the strike.
    """

    time: datetime
    what: str
    authorization_id: int | None = None
    name: str | None = None
    command: str | None = None
    detail: str | None = None
    suffix: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the entry for JSON; `time` is in RFC 3339."""
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
    """Checks the security PIN, and refuses every PIN for a time after wrong ones; `pin` is None while none is set."""

    pin: int | None = field(repr=False)
    wrong: int = 0
    banned_until: datetime | None = None

    def check(self, pin: int, behaviour: Behaviour, now: datetime) -> None:
        """Raise `Refused` for a wrong PIN, and for every PIN as long as a ban lasts."""
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
        """Set another PIN and forget the wrong attempts at the old one."""
        self.pin = pin
        self.wrong = 0


def after(moment: datetime, seconds: float) -> datetime:
    """Return `moment` plus `seconds`, in UTC."""
    return datetime.fromtimestamp(moment.timestamp() + seconds, UTC)
