"""Which entry of a lock's list somebody means: by its ID, or by a name that only one has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nuki_bridge.errors import RequestError


class EntrySelector:
    """`id` or `name` in a request's arguments; `noun` is what the entries are.

    Raises `RequestError` unless exactly one of the two is given.
    """

    def __init__(self, arguments: Mapping[str, Any], noun: str, unknown: str) -> None:
        self._id, self._name = arguments.get("id"), arguments.get("name")
        self._noun = noun
        self._unknown = unknown
        if (self._id is None) == (self._name is None):
            raise RequestError("bad_request", f"say which {noun}: give either id or name")

    def find(self, names: Mapping[int, str]) -> int:
        """Return the ID of the one entry out of `names`; raises `RequestError`: `unknown` as given, or `ambiguous`."""
        if self._id is not None:
            if self._id not in names:
                raise RequestError(self._unknown, f"the lock has no {self._noun} with the ID {self._id}")
            return int(self._id)
        found = [number for number, name in names.items() if name == self._name]
        if not found:
            raise RequestError(self._unknown, f"the lock has no {self._noun} of this name")
        if len(found) > 1:
            numbers = ", ".join(str(number) for number in found)
            raise RequestError("ambiguous", f"several {self._noun}s have this name; say which by id: {numbers}")
        return found[0]
