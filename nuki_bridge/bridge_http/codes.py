"""The maker's numbers and texts for states, modes, door sensors and actions, by our words; tables and no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LOCK = 0
"""Device type of a Smart Lock 1.0 or 2.0."""
OPENER = 2
"""Device type of an Opener."""
SMART_DOOR = 3
"""Device type of a Smart Door."""
LOCK_3 = 4
"""Device type of a Smart Lock 3.0 and of what came after it, of which the interface knows nothing."""
_TYPES = (LOCK, OPENER, SMART_DOOR, LOCK_3)

BLUETOOTH_NAMES: Final[Mapping[int, str]] = {OPENER: "Nuki_Opener_", SMART_DOOR: "Nuki_Door_"}
"""How the name begins under which a device advertises itself, by its type; of any other it is `Nuki_`."""

State = tuple[int, str]
"""A state's number and text."""

UNDEFINED: Final[State] = (255, "undefined")
LOCK_STATES: Final[Mapping[str, State]] = {
    "uncalibrated": (0, "uncalibrated"),
    "locked": (1, "locked"),
    "unlocking": (2, "unlocking"),
    "unlocked": (3, "unlocked"),
    "locking": (4, "locking"),
    "unlatched": (5, "unlatched"),
    "unlocked_lock_n_go": (6, "unlocked (lock \N{LEFT SINGLE QUOTATION MARK}n\N{RIGHT SINGLE QUOTATION MARK} go)"),
    "unlatching": (7, "unlatching"),
    "motor_blocked": (254, "motor blocked"),
}
"""A Smart Lock's states; what is not here is undefined."""
OPENER_STATES: Final[Mapping[str, State]] = {
    "uncalibrated": (0, "untrained"),
    "locked": (1, "online"),
    "rto_active": (3, "rto active"),
    "open": (5, "open"),
    "opening": (7, "opening"),
    "boot_run": (253, "boot run"),
}
"""An Opener's states; what is not here is undefined."""
DOOR_UNKNOWN: Final[State] = (255, "unknown")
DOOR_STATES: Final[Mapping[str, State]] = {
    "deactivated": (1, "deactivated"),
    "closed": (2, "door closed"),
    "open": (3, "door opened"),
    "unknown": (4, "door state unknown"),
    "calibrating": (5, "calibrating"),
    "uncalibrated": (16, "uncalibrated"),
    "tampered": (240, "removed"),
}
"""A door sensor's states; what is not here is unknown."""
DOOR_MODE = 2
CONTINUOUS_MODE = 3

LOCK_ACTIONS: Final[Mapping[int, str]] = {
    1: "unlock",
    2: "lock",
    3: "unlatch",
    4: "lock_n_go",
    5: "lock_n_go_unlatch",
}
"""What `/lockAction` asks of a Smart Lock."""
OPENER_ACTIONS: Final[Mapping[int, str]] = {
    1: "activate_rto",
    2: "deactivate_rto",
    3: "open",
    4: "activate_continuous_mode",
    5: "deactivate_continuous_mode",
}
"""What `/lockAction` asks of an Opener."""


def device_type(family: object, told: object) -> int:
    """Return the maker's device type, by the family in `bridge/info` and the type that the lock tells, if it does."""
    if family == "opener":
        return OPENER
    if isinstance(told, int) and not isinstance(told, bool):
        return told if told in _TYPES else LOCK_3
    return LOCK_3 if family == "ultra" else LOCK
