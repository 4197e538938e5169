"""What is retained of one lock: its availability, state, door, battery, status, users, keypad codes, invitations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Protocol

from nuki_bridge.bridge import report
from nuki_bridge.bridge.equipment import Equipment
from nuki_bridge.bridge.report import OFFLINE
from nuki_bridge.home_assistant.discovery import LockFacts, facts_of
from nuki_bridge.mqtt.payload import dump
from nuki_bridge.owner.owned_lock import OwnedLock

STATUS_S = 60.0
"""Shortest interval in seconds between two `<lock>/status` that differ only in time and signal strength."""
STATUS_DELAY_S = 0.25
"""Seconds that `<lock>/status` waits for more to tell: the reports of one movement come in a row, and the state and the
result of an action need not wait for a long text, also on a slow computer."""


class Shown(Protocol):
    """A lock in use, as far as its topics tell of it."""

    @property
    def owned(self) -> OwnedLock:
        """The lock itself."""

    @property
    def equipment(self) -> Equipment:
        """What it was once seen to have."""

    @property
    def allowed(self) -> Collection[int] | None:
        """The actions that MQTT may ask for; None for all."""


class LockTopics:
    """The topics of the lock `name`, whether it is in use or not.

    `put` publishes a retained payload on a topic below the lock's, if it changed.  `sweep` clears what an earlier run
    left there, `announce` tells Home Assistant, `updated` is told that there may be something new.  `clock` gives
    seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        put: Callable[[str, bytes], None],
        sweep: Callable[[str], None],
        announce: Callable[[LockFacts], None],
        updated: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.last_action: dict[str, Any] | None = None
        """The event of the last lock action that is known of."""
        self._put = put
        self._sweep = sweep
        self._announce = announce
        self._updated = updated
        self._clock = clock
        self._shown: Shown | None = None
        self._content: object = None  # of the last status, without its time
        self._status_at = 0.0
        self._status_due: asyncio.TimerHandle | None = None
        self._left = False

    # -- life ---------------------------------------------------------------------------------------------------------

    def begin(self, shown: Shown) -> None:
        """Tell of this lock from now on."""
        self._shown, self._content = shown, None

    def end(self) -> None:
        """Tell of nothing any more but that the lock is not in use."""
        self._shown = None
        self._cancel_status()

    def leave(self) -> None:
        """Publish that the lock cannot be reached, and nothing from then on."""
        self._put("availability", OFFLINE)
        self._cancel_status()
        self._left = True

    def _cancel_status(self) -> None:
        if self._status_due is not None:
            self._status_due.cancel()
            self._status_due = None

    @property
    def may_be_swept(self) -> bool:
        """Whether what an earlier run left is out of date: the lock has reported, or it is not in use."""
        return self._shown is None or self._shown.owned.lock.states is not None

    @property
    def expects_lists(self) -> bool:
        """Whether the lists of users and keypad codes have still to be read, or to be published."""
        return self._shown is not None and self._shown.owned.admin.has_pin

    # -- what there is to say -----------------------------------------------------------------------------------------

    def update(self, *, whole: bool = False) -> None:
        """Publish what changed: `status` a little later, unless it is the first or `whole` is wanted."""
        self._update(whole=whole)
        if not self._left:
            self._updated()

    def _update(self, *, whole: bool) -> None:
        shown = self._shown
        if shown is None:
            self._put("availability", OFFLINE)
            return
        lock, equipment = shown.owned.lock, shown.equipment
        if lock.states is not None:
            equipment.note()
        shown.owned.battery.note()
        for kind, payload in report.lock_payloads(lock, had_door="door" in equipment.traits).items():
            self._put(kind, payload)
        if lock.states is None:
            return
        self._status_soon(whole=whole)
        self._sweep(self.name)

    def _status_soon(self, *, whole: bool = False) -> None:
        if whole or self._content is None:
            self._status(whole=whole)
        elif self._status_due is None and not self._left:
            self._status_due = asyncio.get_running_loop().call_later(STATUS_DELAY_S, self._status)

    def _status(self, *, whole: bool = False) -> None:
        """Publish everything that is known; with nothing but a new time only now and then, or if `whole`."""
        self._cancel_status()
        shown = self._shown
        if shown is None:
            return  # it is paired no more
        status = report.status(shown.owned.lock, shown.owned.clock.to_json(), self.last_action)
        content = report.content(status)
        now = self._clock()
        if whole or content != self._content or now - self._status_at >= STATUS_S:
            self._content, self._status_at = content, now
            self._put("status", dump(status))
        facts = facts_of(shown.owned, shown.equipment.traits, shown.allowed)
        if facts is not None and not self._left:
            self._announce(facts)

    def note_action(self, event: dict[str, Any]) -> None:
        """Have the status tell of this action as the lock's last one."""
        self.last_action = event
        if self._shown is not None and self._shown.owned.lock.states is not None:
            self._status_soon()  # no other topic tells of it

    def invitations(self, told: list[dict[str, Any]]) -> None:
        """Publish the open invitations if they changed."""
        self._put("invitations", dump(told))

    def users(self, users: list[dict[str, Any]]) -> None:
        """Publish the users if they changed."""
        self._put("users", dump(users))
        self.update()  # Home Assistant has a switch for each

    def keypad(self, codes: list[dict[str, Any]]) -> None:
        """Publish the keypad's codes, which are without their digits, if they changed."""
        self._put("keypad", dump(codes))
        self.update()
