"""One setting of a lock: how a value in JSON is checked, and how one of the lock is told.

Which settings there are is told in `lock_config.py` and `advanced_config.py`, an Opener's in `opener_config.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nuki_bridge.arguments import Check, member_of, place_of
from nuki_bridge.protocol.wire import Message, OwnerRequest
from nuki_bridge.records import frozen

READ_BACK_S = 5.0
"""Seconds within which settings are read back after a change, also if the request was given less."""


@frozen
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


def words(named: Mapping[int, str]) -> Setting:
    """Return one of a few words by their numbers; a number of the lock that none has is told as it is."""
    numbers = {name: number for number, name in named.items()}
    return Setting(member_of(numbers, {}), lambda value: named.get(value, value))


def written(request: type[OwnerRequest], config: Message) -> dict[str, Any]:
    """Return the fields of `request` as they are in `config`, those of `OwnerRequest` left out."""
    own = {name for name, _, _ in request.layout} - set(OwnerRequest.__dataclass_fields__)
    return {name: getattr(config, name) for name in own}
