"""What an object on `<lock>/set` takes; pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nuki_bridge.arguments import Arguments, text, with_schema
from nuki_bridge.protocol.messages import SUFFIX_SIZE


@with_schema({"type": "array", "minItems": 1, "items": {"type": "string"}})
def states(value: Any) -> frozenset[str]:
    """Names of states, in any case; a list with one at least.  `states_named` knows those of the lock's kind."""
    names = [each.strip().lower() for each in value if isinstance(each, str)] if isinstance(value, list) else []
    if not names or len(names) != len(value):
        raise ValueError("must be a list of states, by their names")
    return frozenset(names)


def states_named(names: frozenset[str], known: Mapping[str, int]) -> frozenset[int]:
    """Return the states of these names, of those that are `known`; raises `ValueError`."""
    for name in sorted(names - known.keys()):
        raise ValueError(f"only_if must be a list of states: {', '.join(known)}; {name!r:.40} is none of them")
    return frozenset(known[each] for each in names)


@with_schema({"type": "string", "minLength": 1, "maxLength": SUFFIX_SIZE, "pattern": r"\S"})
def suffix(value: Any) -> str:
    """What the lock's log shows behind the bridge's name: a printable text of 1 to 20 bytes."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("must be a printable text")
    if len(value.encode(errors="replace")) > SUFFIX_SIZE:
        raise ValueError(f"must have {SUFFIX_SIZE} bytes at most")
    return value


SET: Final = Arguments({"action": text, "only_if": states, "as": suffix})
"""All arguments; `action` has a check of its own."""
