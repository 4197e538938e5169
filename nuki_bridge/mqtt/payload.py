"""JSON in payloads: what strangers send is read strictly, what the bridge says is written compactly.

With the standard library: it can refuse what others let pass (a name that stands twice, NaN), and it is there anyway.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 32
"""Deepest nesting of JSON that is accepted; more could exhaust the stack of whoever walks it."""

_EXACT = 2**53
"""Limit below which a float that is a whole number is exactly that number."""
_TOO_DEEP = f"is nested more than {MAX_DEPTH} deep"


def dump(value: Any) -> bytes:
    """Return `value` as compact JSON."""
    try:
        return _compact(value).encode()
    except UnicodeEncodeError:  # half a surrogate pair in somebody's transaction
        return json.dumps(value, separators=(",", ":")).encode()


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def read_object(text: str) -> dict[str, Any]:
    """Return the JSON object in `text`; raises `ValueError` with the end of a sentence that begins "the payload"."""
    try:
        values = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number, parse_float=_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON ({error.msg})") from None
    except ValueError as error:
        raise ValueError(f"is not JSON that can be used: {error}") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if not isinstance(values, dict):
        raise ValueError("must be a JSON object")
    if not _is_shallow(values):
        raise ValueError(_TOO_DEEP)
    return values


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name stands in it twice")
    return values


def _no_number(_: str) -> float:
    raise ValueError("NaN and Infinity are no numbers")


def _number(digits: str) -> float | int:
    """Return a whole number as one, however it is written: templates and some languages write 17 as 17.0."""
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return True
    return False


def _inside(value: Any) -> Iterator[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return iter(inner)
