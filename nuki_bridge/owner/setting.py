"""One setting of a lock: how a value in JSON is checked, and how one of the lock is told.

Which settings there are is told in `lock_config.py` and `advanced_config.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nuki_bridge.topics.arguments import Check


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: the check gives the value on the wire, `shown` makes a word of it.

    `field` is its name in the message, if that is another one.
    """

    check: Check
    shown: Callable[[Any], Any] = lambda value: value
    field: str = ""


def flag(value: Any) -> bool:
    """True or false; raises `ValueError` with the rest of "NAME …", as all checks do."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def number(low: int, high: int, unit: str = "") -> Check:
    """A whole number; `unit` is such as " of minutes"."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number{unit} from {low} to {high}")
        return value

    return check


def word(*words: str) -> Setting:
    """One of a few words, each by its place; a number of the lock that none has is told as it is."""

    def check(value: Any) -> int:
        if value not in words or not isinstance(value, str):
            raise ValueError(f"must be one of {', '.join(words)}")
        return words.index(value)

    return Setting(check, lambda value: words[value] if value < len(words) else value)
