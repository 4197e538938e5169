"""What a lock's states say, in words, and what happened between one report and the next; pure functions.

Nothing is told that the lock has not reported itself.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nuki_bridge.lock import wall_clock
from nuki_bridge.protocol.codes import DoorState, Trigger, name_of

if TYPE_CHECKING:
    from nuki_bridge.lock.lock import Lock
    from nuki_bridge.lock.profile import Profile
    from nuki_bridge.protocol.messages import KeyturnerStates

_DOOR_WORDS = {
    DoorState.CLOSED: "closed",
    DoorState.OPEN: "open",
    DoorState.DEACTIVATED: "deactivated",
    DoorState.UNAVAILABLE: "unavailable",
    DoorState.CALIBRATING: "calibrating",
    DoorState.UNCALIBRATED: "uncalibrated",
    DoorState.TAMPERED: "tampered",
}


def door_word(states: KeyturnerStates) -> str | None:
    """The door sensor's state as a word; None if the lock has not told any."""
    if states.door_state is None:
        return None
    return _DOOR_WORDS.get(states.door_state, "unknown")  # type: ignore[call-overload, no-any-return]


def battery(states: KeyturnerStates) -> dict[str, Any]:
    """The batteries as the lock's states tell of them; null is "not told"."""
    return {
        "critical": states.battery_critical,
        "charging": states.battery_charging,
        "level": states.battery_percent,
        "keypad_critical": states.keypad_battery_critical,
        "door_sensor_critical": states.door_sensor_battery_critical,
    }


def name_or_none(value: int | None) -> str | None:
    """A number of the protocol under its name; None for one that was not told."""
    return None if value is None else name_of(value)


def lock_time(lock: Lock) -> str | None:
    """When the lock last reported, in RFC 3339 as the lock's wall clock shows it."""
    return wall_clock.rfc3339(lock.updated, wall_clock.zone_in(lock))


def offset_min(lock: Lock) -> int | None:
    """Minutes from UTC to the lock's wall clock when it last reported."""
    if lock.updated is None:
        return None
    there = lock.updated.astimezone(wall_clock.zone_in(lock)).utcoffset()
    return None if there is None else int(there.total_seconds() // 60)


def rfc3339(moment: datetime) -> str:
    """`moment` to the second, in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def lock_action(profile: Profile, states: KeyturnerStates) -> dict[str, Any]:
    """The last action as an event.

    By hand the last action of the states may still be an older one of somebody else: then the bolt's position tells
    more.
    """
    by_hand = states.trigger == Trigger.MANUAL and states.last_trigger != Trigger.MANUAL
    action = profile.by_hand.get(states.lock_state) if by_hand else states.last_action
    return {
        "type": "lock_action",
        "action": None if action is None else profile.action_word(action),
        "trigger": name_of(states.trigger),
        "completion": None if by_hand else name_or_none(states.last_completion),
        "state": profile.state_word(states.lock_state),
    }


class Events:
    """Finds in the reports of one lock what happened: an action that ended, a door that moved.

    Reports repeat themselves and may skip what lies between; an action is told once, when the motor rests.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._before: KeyturnerStates | None = None
        self._rested: KeyturnerStates | None = None
        self._moved = False
        self._measured = False

    def feed(self, states: KeyturnerStates) -> list[dict[str, Any]]:
        """The events that a report tells of; none for the first one, which only says how things are."""
        before, self._before = self._before, states
        events: list[dict[str, Any]] = []
        if states.lock_state in self._profile.measuring:
            self._measured = True
        elif states.lock_state in self._profile.under_way:
            self._moved = True
        else:
            is_news = not self._measured and self._rested is not None and self._is_news(self._rested, states)
            if self._moved or is_news:
                events.append(lock_action(self._profile, states))
            self._rested, self._moved, self._measured = states, False, False
        if before is not None and door_word(before) != door_word(states):
            events.append({"type": "door", "door": door_word(states)})
        return events

    def _is_news(self, before: KeyturnerStates, states: KeyturnerStates) -> bool:
        if _who(before) != _who(states):
            return True
        # The latch springs back by itself: the end of what has been told.
        released = (before.lock_state, states.lock_state) in self._profile.springs_back
        return before.lock_state != states.lock_state and not released


def _who(states: KeyturnerStates) -> tuple[int | None, ...]:
    return states.trigger, states.last_action, states.last_trigger, states.last_completion
