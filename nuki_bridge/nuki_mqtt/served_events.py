"""`lockActionEvent` of a lock that the bridge plays: each action once, whoever has caused it.

What the bridge itself has asked for is told when the lock says that it carries it out, before it has moved; what others
do is told when the bridge learns it: from the lock's log, with who it was, or from its states.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.nuki_mqtt.codes import LockActionEvent
from nuki_bridge.protocol.codes import Completion, KeypadSource, Trigger, name_of

if TYPE_CHECKING:
    from nuki_bridge.lock.profile import Profile

OLD: Final = timedelta(seconds=180)
"""Age from which an action is history: nobody is told of it as of one that is about to be."""
TOLD_S: Final = 300.0
"""Seconds within which the log tells, under our authorization, of an action of our own that was told already."""
TOLD_BY_STATES_S: Final = 120.0
"""Seconds within which the states do, which do not say whose it was; lock 'n' go waits for a minute or more."""
_REFUSED: Final = frozenset(
    name_of(each)
    for each in (
        Completion.TOO_RECENT,
        Completion.BUSY,
        Completion.REJECTED,
        Completion.REJECTED_NIGHT_MODE,
        Completion.INVALID_CODE,
        Completion.INVALID_FINGERPRINT,
    )
)
"""Completion statuses of what was never begun."""
_TRIGGERS: Final = {name_of(each): each for each in Trigger if each not in (Trigger.MANUAL, Trigger.UNDEFINED)}
_SOURCES: Final = {name_of(each): each for each in KeypadSource}


class ActionEvents:
    """The events of one lock from `since` on; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float], since: datetime) -> None:
        self._clock = clock
        self._earlier = since + timedelta(seconds=TOLD_BY_STATES_S)
        """Until when the log has entries of what an earlier run has begun, and told."""
        self._told: deque[tuple[float, int]] = deque(maxlen=20)
        """When an action of our own was told, and which."""
        self._keypad: tuple[Any, Any] | None = None
        """Time and action of what was told as a keypad's: it comes once more, as a lock action."""

    def begun(self, action: int, own_id: int, *, by_api: bool) -> LockActionEvent:
        """Return the event for an action of ours that the lock carries out.

        `own_id` is that of our authorization; `by_api`: it came over Nuki's own API.
        """
        self._told.append((self._clock(), action))
        return LockActionEvent(action, Trigger.MQTT) if by_api else LockActionEvent(action, Trigger.SYSTEM, own_id)

    def happened(
        self, event: Mapping[str, Any], profile: Profile, own_id: int, now: datetime
    ) -> LockActionEvent | None:
        """Return the event for what the bridge tells as `event`; None if it is none, or was told already."""
        if event["type"] not in ("lock_action", "keypad") or event.get("completion") in _REFUSED:
            return None
        action = _number(profile, event.get("action"))
        if action is None or _is_old(event.get("time"), now):
            return None
        auth_id = (event.get("user") or {}).get("id") or 0
        if event["type"] == "keypad":
            if event.get("completion") != name_of(Completion.SUCCESS):
                return None  # the lock action that it led to, if any, has its own
            self._keypad = event.get("time"), action
            context = _SOURCES.get(event.get("trigger", ""), 0)
            return LockActionEvent(action, Trigger.SYSTEM, auth_id, event.get("code_id") or 0, context)
        keypad, self._keypad = self._keypad, None
        trigger = event.get("trigger")
        if auth_id == own_id:
            was_told = self._was_told(profile, action, TOLD_S) or _is_before(event.get("time"), self._earlier)
        else:
            may_be_own = not auth_id and trigger == name_of(Trigger.SYSTEM)
            was_told = may_be_own and self._was_told(profile, action, TOLD_BY_STATES_S)
        if was_told or keypad == (event.get("time"), action):
            return None
        if trigger == name_of(Trigger.MANUAL):
            return None  # a turn by hand has no trigger in this API
        return LockActionEvent(action, _TRIGGERS.get(trigger or "", Trigger.SYSTEM), auth_id)

    def _was_told(self, profile: Profile, action: int, within_s: float) -> bool:
        since = self._clock() - within_s
        for each in list(self._told):
            if each[0] >= since and profile.reported_as(each[1], action):
                self._told.remove(each)
                return True
        return False


def _number(profile: Profile, word: str | None) -> int | None:
    """Return the number of an action by its name, also of those which only reports carry."""
    found = None if word is None else profile.names.kind.__members__.get(word.upper())
    return int(found) if found else None


def _is_old(time: str | None, now: datetime) -> bool:
    return _is_before(time, now - OLD)


def _is_before(time: str | None, moment: datetime) -> bool:
    """Return whether a time as events have it is known and earlier."""
    told = None if time is None else datetime.fromisoformat(time)
    return told is not None and told.tzinfo is not None and told < moment
