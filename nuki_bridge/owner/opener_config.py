"""An Opener's settings: their names and values in JSON, in both messages.

Which wiring and which intercom it is told is read-only here: the maker's app trains the intercom after such a change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nuki_bridge.arguments import flag, whole
from nuki_bridge.owner.setting import Setting, word, words
from nuki_bridge.protocol.opener_advanced_config import (
    RTO_TIMEOUT_MIN,
    STRIKE_DELAY_MS,
    STRIKE_DURATION_MS,
    SUPPRESSION_MS,
)

CAPABILITIES: Final = ("open", "open_and_rto", "rto")
"""What the wiring allows."""
OPERATING_MODES: Final = (
    "generic",
    "analogue",
    "digital",
    "siedle",
    "tcs",
    "bticino",
    "siedle_hts",
    "str",
    "ritto",
    "fermax",
    "comelit",
    "urmet_bibus",
    "urmet_2voice",
    "golmar",
    "sks",
    "spare",
)
"""Kinds of intercom."""
FOB_ACTIONS: Final[Mapping[int, str]] = {
    0: "none",
    1: "toggle_rto",
    2: "activate_rto",
    3: "deactivate_rto",
    7: "open",
    8: "ring",
}
"""What presses of a fob do; the numbers between are in no source."""
BUTTON_ACTIONS: Final = (
    "none",
    "toggle_rto",
    "activate_rto",
    "deactivate_rto",
    "toggle_continuous_mode",
    "activate_continuous_mode",
    "deactivate_continuous_mode",
    "open",
)
SUPPRESSIONS: Final = (
    "off",
    "continuous_mode",
    "rto",
    "continuous_mode_and_rto",
    "ring",
    "continuous_mode_and_ring",
    "rto_and_ring",
    "always",
)
"""When the doorbell stays silent: in continuous mode, in ring to open, at every other ring."""
BATTERY_TYPES: Final = ("alkaline", "accumulator", "lithium", "no_warnings")
"""The last is for one that a USB cable feeds, by the app's words."""
_MS: Final = "milliseconds"
_FLAG: Final = Setting(flag, bool)
_SOUND: Final = Setting(whole(0, 3).meant("0 none to 3"))

BASIC: Final[Mapping[str, Setting]] = {
    "fob_action_1": words(FOB_ACTIONS),
    "fob_action_2": words(FOB_ACTIONS),
    "fob_action_3": words(FOB_ACTIONS),
}
"""The settings of its basic message that a Smart Lock has not, or with other words."""
BASIC_READ_ONLY: Final[Mapping[str, Setting]] = {
    "capabilities": word(*CAPABILITIES),
    "operating_mode": word(*OPERATING_MODES),
}
"""What that message tells beside and cannot be set here."""
ADVANCED: Final[Mapping[str, Setting]] = {
    "electric_strike_delay": Setting(whole(*STRIKE_DELAY_MS, _MS).meant("milliseconds, for opening by ring to open")),
    "random_electric_strike_delay": Setting(flag.meant("3 to 7 s instead"), bool),
    "electric_strike_duration": Setting(whole(*STRIKE_DURATION_MS, _MS)),
    "disable_rto_after_ring": _FLAG,
    "rto_timeout": Setting(whole(*RTO_TIMEOUT_MIN, "minutes")),
    "doorbell_suppression": word(*SUPPRESSIONS),
    "doorbell_suppression_duration": Setting(whole(*SUPPRESSION_MS, _MS)),
    "sound_ring": _SOUND,
    "sound_open": _SOUND,
    "sound_rto": _SOUND,
    "sound_cm": _SOUND,
    "sound_confirmation": _FLAG,
    "sound_level": Setting(whole(0, 255).meant("0 to 255")),
    "single_button_press_action": word(*BUTTON_ACTIONS),
    "double_button_press_action": word(*BUTTON_ACTIONS),
    "battery_type": word(*BATTERY_TYPES),
    "automatic_battery_type_detection": _FLAG,
}
"""The settings of its advanced message, which are the message's fields."""
ADVANCED_READ_ONLY: Final[Mapping[str, Setting]] = {
    "intercom_id": Setting(whole(0, 0xFFFF)),
    "bus_mode_switch": Setting(whole(0, 0xFF)),
    "short_circuit_duration": Setting(whole(0, 0xFFFF, _MS)),
    "auto_update": _FLAG,
}
"""What that message tells beside and cannot be set here; `auto_update` is not among what is written."""
