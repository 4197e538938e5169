"""The list of a keypad's codes: how it is read and told, and that it is published, never with the digits.

What is published is read anew when something may have changed it: the lock's config update count, one of our own
commands, or an hour that has passed; and not at all from a lock that says that it has no keypad.  The requests are
those of `keypad.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nuki_bridge.lock import wall_clock
from nuki_bridge.lock.background_read import BackgroundRead
from nuki_bridge.owner import access
from nuki_bridge.owner.list_age import SETTLE_S, SYNC_S, ListAge, Marks
from nuki_bridge.protocol.keypad_codes import KeypadCode, KeypadCodeCount, RequestKeypadCodes

if TYPE_CHECKING:
    from datetime import tzinfo

    from nuki_bridge.lock.admin import Admin
    from nuki_bridge.lock.lock import Lock
    from nuki_bridge.protocol.common import BasicConfig

READ_TIMEOUT_S = 30.0


async def read(admin: Admin, deadline: float) -> dict[int, KeypadCode]:
    """Return every code by its ID, until `deadline` on the lock's clock; raises as `Admin.pages`."""

    def request(offset: int, count: int) -> RequestKeypadCodes:
        return RequestKeypadCodes(offset=offset, count=count)

    return await admin.pages(request, KeypadCode, KeypadCodeCount, lambda code: code.code_id, deadline)


def to_json(entry: KeypadCode, zone: tzinfo, *, with_code: bool = False) -> dict[str, Any]:
    """Return a code's entry as JSON; the code itself only `with_code`."""
    told = {
        "id": entry.code_id,
        "name": entry.name,
        "enabled": bool(entry.enabled),
        "created": wall_clock.rfc3339(entry.created, zone),
        "last_active": wall_clock.rfc3339(entry.last_active, zone),
        "lock_count": entry.lock_count,
        "access": access.to_json(entry.limit, zone) if entry.time_limited else None,
    }
    return {**told, "code": f"{entry.code:06}"} if with_code else told


class KeypadList:
    """The codes of one lock's keypad; `run` it.  `publish` is given the list whenever it may have changed."""

    def __init__(self, lock: Lock, admin: Admin, publish: Callable[[list[dict[str, Any]]], None]) -> None:
        self._lock = lock
        self._admin = admin
        self._publish = publish
        self._entries: dict[int, KeypadCode] | None = None
        self._had_keypad: bool | None = None  # when its codes were to be read last
        self._age = ListAge()
        self._background = BackgroundRead("list of keypad codes", lock, admin, self._sync)
        self.run = self._background.run

    # -- what is known ------------------------------------------------------------------------------------------------

    def to_json(self) -> list[dict[str, Any]] | None:
        """Return the list as it was read last; None if it never was, empty without a keypad."""
        config = self._lock.config
        if config is not None and not has_keypad(config):
            return []
        if config is None or self._entries is None:
            return None
        zone = wall_clock.zone_of(config)
        return [to_json(self._entries[number], zone) for number in sorted(self._entries)]

    def get(self, code_id: int) -> KeypadCode | None:
        """Return the code of that ID, without its digits, in the list as it was read last."""
        return (self._entries or {}).get(code_id)

    def wake(self) -> None:
        """The lock has reported, or it has come or gone."""
        marks, config = self._marks(), self._lock.config
        if config is not None and self._had_keypad not in (None, has_keypad(config)):
            self._age.must_be_read()
            self._background.schedule()
        if self._age.is_outdated(marks):
            self._background.schedule(SETTLE_S if self._age.are_ours(marks) else 0.0)
        self._background.wake()

    def _marks(self) -> Marks:
        """Return what changes when the list may have changed."""
        states = self._lock.states
        return None if states is None else states.config_update_count, self._admin.edits

    def _show(self) -> None:
        told = self.to_json()
        if told is not None:
            self._publish(told)

    # -- reading ------------------------------------------------------------------------------------------------------

    async def _sync(self) -> float:
        """Read what may have changed; gives the seconds until the next time."""
        if self._age.may_wait(self._marks()):
            return SETTLE_S
        if self._age.is_due(self._lock.clock(), self._marks()):
            seen = self._marks()
            config = self._lock.config or await self._lock.read_config(READ_TIMEOUT_S)
            entries = {}
            self._had_keypad = has_keypad(config)
            if self._had_keypad:
                entries = await read(self._admin, self._lock.clock() + READ_TIMEOUT_S)
            self._age.was_read(self._lock.clock(), seen, has_news=True)
            self.read(entries)
        return self._age.read_at + SYNC_S - self._lock.clock()

    def read(self, entries: Mapping[int, KeypadCode]) -> None:
        """Somebody has read the whole list."""
        self._entries = {number: replace(entry, code=0) for number, entry in entries.items()}
        self._show()

    # -- changed by us ------------------------------------------------------------------------------------------------

    def keep(self, entry: KeypadCode) -> None:
        """The lock has this code now."""
        if self._entries is not None:
            self.read({**self._entries, entry.code_id: entry})
        self.wake()

    def forget(self, code_id: int) -> None:
        """The lock has this code no more."""
        if self._entries is not None:
            self.read({number: entry for number, entry in self._entries.items() if number != code_id})
        self.wake()


def has_keypad(config: BasicConfig) -> bool:
    """Return whether the lock says that it has a keypad."""
    return config.has_keypad or bool(config.has_keypad_2)
