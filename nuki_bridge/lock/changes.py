"""What happened between one report of a lock and the next: an action that ended, a door that moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nuki_bridge.lock import state_json
from nuki_bridge.protocol.codes import Completion, Trigger, name_of

if TYPE_CHECKING:
    from nuki_bridge.lock.profile import Profile
    from nuki_bridge.protocol.common import States


def lock_action(profile: Profile, states: States) -> dict[str, Any]:
    """Return the last action as an event.

    After a turn by hand the last action in the states may still be an older one of somebody else; the bolt's position
    tells more then.
    """
    by_hand = states.trigger == Trigger.MANUAL and states.last_trigger != Trigger.MANUAL
    action = profile.by_hand.get(states.lock_state) if by_hand else states.last_action
    if action is not None and profile.rings and _is_undone(profile, action, states):
        action = None  # nobody did anything
    return {
        "type": "lock_action",
        "action": None if action is None else profile.action_word(action),
        "trigger": name_of(states.trigger),
        "completion": None if by_hand else state_json.name_or_none(states.last_completion),
        "state": profile.state_word(states.lock_state),
    }


def _is_undone(profile: Profile, action: int, states: States) -> bool:
    """Where the last action led to has ended by itself since, or was made use of."""
    led_to = action in profile.targets and states.last_completion == Completion.SUCCESS
    return led_to and not profile.leads_to(action, states)


class Events:
    """Find in the reports of one lock what happened: an action that ended, a door that moved.

    Reports repeat themselves and may skip what lies between; an action becomes one event, when the motor rests.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._before: States | None = None
        self._rested: States | None = None
        self._moved = False
        self._measured = False
        self._rang = False

    def feed(self, states: States) -> list[dict[str, Any]]:
        """Return the events that a report shows; none for the first one, which only says how things are."""
        before, self._before = self._before, states
        events: list[dict[str, Any]] = []
        if states.lock_state in self._profile.measuring:
            self._measured = True
        elif self._is_ring(states):
            self._rang = True  # it has an event of its own
        elif states.lock_state in self._profile.under_way:
            self._moved = True
        else:
            is_told = self._measured or self._rang
            is_news = not is_told and self._rested is not None and self._is_news(self._rested, states)
            if self._moved or is_news:
                events.append(lock_action(self._profile, states))
            self._rested, self._moved, self._measured, self._rang = states, False, False, False
        if before is not None and state_json.door_word(before) != state_json.door_word(states):
            events.append({"type": "door", "door": state_json.door_word(states)})
        return events

    def _is_ring(self, states: States) -> bool:
        """The door opens because the bell rang: nobody has asked for it."""
        profile = self._profile
        return profile.rings and states.lock_state in profile.opening and states.trigger == Trigger.MANUAL

    def _is_news(self, before: States, states: States) -> bool:
        # what a ring of the doorbell does to trigger and completion is not known: it is no action
        who = _who_of_bell if self._profile.rings else _who
        if who(before) != who(states):
            return True
        # The latch springs back by itself: the end of an action that has had its event.
        released = (before.lock_state, states.lock_state) in self._profile.springs_back
        # Some locks tell after a while where the bolt is that the motor could not move.
        found = before.lock_state == self._profile.blocked and states.last_action is not None
        return before.lock_state != states.lock_state and not (released or found)


def _who_of_bell(states: States) -> tuple[int | None, ...]:
    return states.last_action, states.last_trigger


def _who(states: States) -> tuple[int | None, ...]:
    return states.trigger, states.last_action, states.last_trigger, states.last_completion
