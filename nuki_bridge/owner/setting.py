"""One setting of a lock: how a value in JSON is checked, and how one of the lock is told.

Which settings there are is told in `lock_config.py` and `advanced_config.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nuki_bridge.arguments import Check, place_of

READ_BACK_S = 5.0
"""Seconds within which settings are read back after a change, also if the request was given less."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: the check gives the value on the wire, `to_json` makes a word of it.

    `field` is its name in the message, if that is another one.
    """

    check: Check[Any]
    to_json: Callable[[Any], Any] = lambda value: value
    field: str = ""


def word(*words: str) -> Setting:
    """Return one of a few words, each by its place; a number of the lock that none has is told as it is."""
    return Setting(place_of(*words), lambda value: words[value] if value < len(words) else value)
