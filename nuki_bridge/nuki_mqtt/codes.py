"""Nuki's own MQTT API, document 1.5, as tables and pure functions: topics, payloads, codes.

Actions, states, modes, triggers, the door sensor's states and the errors in `commandResponse` have the numbers that
they have over Bluetooth (`protocol/codes.py`), so that only what the API leaves out or adds stands here.  Both sides of
it use this: a lock that is listened to, and one that the bridge plays.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import TYPE_CHECKING, Final

from nuki_bridge.lock_name import is_nuki_id
from nuki_bridge.protocol.codes import DoorState, KeypadSource, Trigger
from nuki_bridge.records import frozen

if TYPE_CHECKING:
    from nuki_bridge.lock.profile import Profile

# -- topics (document, 4.1) -------------------------------------------------------------------------------------------

VENDOR_BASE: Final = "nuki"
"""First level of every topic of Nuki's own API; it cannot be changed in the lock."""
STATE_TOPICS: Final = (
    "deviceType",
    "name",
    "firmware",
    "mode",
    "state",
    "batteryCritical",
    "batteryChargeState",
    "batteryCharging",
    "keypadBatteryCritical",
    "doorsensorState",
    "doorsensorBatteryCritical",
    "ringactionTimestamp",
    "serverConnected",
    "timestamp",
    "connected",
)
"""Last levels of the topics that Nuki's own API retains, with QoS 0 (document, 4.2)."""
LOCK_ACTION: Final = "lockAction"
"""Last level of the topic that takes an action by its number."""
SIMPLE_COMMANDS: Final = ("lock", "unlock")
"""Last levels of the topics that take `true`: what "unlock" does depends on the lock, it may open the door."""
COMMANDS: Final = (LOCK_ACTION, *SIMPLE_COMMANDS)
"""Last levels of the topics on which the lock takes commands, never retained, with QoS 2 (document, 4.3)."""
COMMAND_RESPONSE: Final = "commandResponse"
"""Last level of the topic on which the lock says how it took the last command: never retained, with QoS 2."""
LOCK_ACTION_EVENT: Final = "lockActionEvent"
"""Last level of the topic on which the lock says that it is about to act: never retained, with QoS 2."""
VENDOR_QOS: Final = 2
"""The quality of service of commands, responses and events in Nuki's own API."""
EXPIRY_S: Final = 10
"""Seconds after which a command to Nuki's own API is void: the message expiry that the document recommends."""


def spelled(nuki_id: int) -> str:
    """Return a Nuki ID as it is printed on the device and stands in its topics: 8 hex digits in upper case."""
    return f"{nuki_id:08X}"


def spellings(nuki_id: int) -> tuple[str, ...]:
    """Return every spelling of a Nuki ID that is to be understood in a topic, the usual one first, each once."""
    upper, short = spelled(nuki_id), f"{nuki_id:X}"
    return tuple(dict.fromkeys((upper, upper.lower(), short, short.lower())))


def topic(nuki_id: int, name: str) -> str:
    """Return the topic of that last level, `state` for example, as the device itself spells it."""
    return f"{VENDOR_BASE}/{spelled(nuki_id)}/{name}"


def is_vendor_id(level: str) -> bool:
    """Return whether a topic's level is a Nuki ID and not the name of a lock: 8 hex digits in any case."""
    return is_nuki_id(level)


def qos_of(topic_filter: str) -> int:
    """Return the quality of service to subscribe with: an event of the vendor's must not come twice."""
    first, _, rest = topic_filter.partition("/")
    return VENDOR_QOS if first == VENDOR_BASE and is_vendor_id(rest.partition("/")[0]) else 1


# -- plain payloads (document, 4.2 and 4.3) ---------------------------------------------------------------------------


def read_number(payload: bytes, most: int = 255) -> int | None:
    """Return a decimal number from 0 to `most`, None for anything else."""
    text = payload.strip()
    if not text.isdigit() or len(text) > 10:
        return None
    number = int(text)
    return number if number <= most else None


def read_bool(payload: bytes) -> bool | None:
    """Return what `true` or `false` means, None for anything else; case does not matter."""
    return {b"true": True, b"false": False}.get(payload.strip().lower())


def number(value: int) -> bytes:
    """Return a number as the API writes it."""
    return b"%d" % value


def boolean(value: bool) -> bytes:
    """Return a truth value as the API writes it."""
    return b"true" if value else b"false"


def timestamp(moment: datetime) -> bytes:
    """Return a moment that knows its offset, to the second: `2018-10-03T06:49:00+00:00`."""
    return moment.isoformat(timespec="seconds").encode()


# -- codes (document, 3) ----------------------------------------------------------------------------------------------


class DeviceType(enum.IntEnum):
    """What `deviceType` says; `ULTRA` is not in document 1.5, it follows from the number over Bluetooth."""

    SMART_LOCK = 0
    OPENER = 2
    SMART_DOOR = 3
    SMART_LOCK_3 = 4
    ULTRA = 5


MOST_ACTION: Final = 6
"""Largest action code that `lockAction` takes; 1 is the smallest."""
DOOR_STATES: Final = frozenset(DoorState)
"""Numbers of `doorsensorState` that mean something; 0 (not paired) is not in the document, but over Bluetooth."""


def device_type(profile: Profile, told: int | None) -> int:
    """Return what `deviceType` says of that kind of device, whose configuration has `told` its type or not."""
    if told is not None and told in frozenset(DeviceType):
        return told
    return DeviceType.OPENER if profile.rings else DeviceType.SMART_LOCK_3


def sendable(profile: Profile) -> frozenset[int]:
    """Return the actions of that kind of device which `lockAction` takes: 1 to 6 as far as the device has them."""
    return frozenset(each for each in profile.names.by_name.values() if 1 <= each <= MOST_ACTION)


def knows_state(profile: Profile, state: int) -> bool:
    """Return whether `state` is one of that kind of device; others are to be ignored."""
    return state in profile.states.values()


# -- lockActionEvent (document, 4.3) ----------------------------------------------------------------------------------


@frozen
class LockActionEvent:
    """What the lock is about to do, and for whom.

    `auth_id` is an authorization, `code_id` a keypad's code: two number spaces, 0 for none.  What `context` means
    depends on the others; see the properties.
    """

    action: int
    trigger: int = Trigger.UNDEFINED
    auth_id: int = 0
    code_id: int = 0
    context: int = 0

    @classmethod
    def parse(cls, payload: bytes) -> LockActionEvent | None:
        """Read the numbers between the commas, five or fewer, of more the first five; None if they are none."""
        if len(payload) > 200:
            return None
        read = [read_number(each, 0xFFFFFFFF) for each in payload.split(b",")[:5]]
        numbers = [each for each in read if each is not None]
        if len(numbers) < len(read) or max(numbers[:2]) > 0xFF:
            return None
        return cls(*numbers)

    def to_payload(self) -> bytes:
        """Return the event as the API writes it."""
        return b"%d,%d,%d,%d,%d" % (self.action, self.trigger, self.auth_id, self.code_id, self.context)

    @property
    def keypad_source(self) -> KeypadSource | None:
        """How the keypad was used; None if it was not, or in a way that this program does not know."""
        known = self.code_id > 0 and self.context in frozenset(KeypadSource)
        return KeypadSource(self.context) if known else None

    @property
    def is_auto_unlock(self) -> bool:
        """The phone app did it by itself, as its owner came home."""
        return self.code_id == 0 and self.trigger == Trigger.SYSTEM and self.context == 1

    @property
    def is_mqtt(self) -> bool:
        """Somebody asked for it over this API: perhaps ourselves."""
        return self.trigger == Trigger.MQTT
