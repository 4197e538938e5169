"""`lockActionEvent` as an event of ours: what the lock is about to do, and for whom, by the lists that we hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.owner.log_json import source_of
from nuki_bridge.protocol.codes import KeypadSource, Trigger, name_of, open_enum

if TYPE_CHECKING:
    from nuki_bridge.lock.profile import Profile
    from nuki_bridge.nuki_mqtt.codes import LockActionEvent
    from nuki_bridge.owner.owned_lock import OwnedLock

BEGUN: Final = "lock_action_begun"
"""The type of the event that tells what a lock is about to do."""
_KEYPAD_WORDS: Final = {each: name_of(each) for each in KeypadSource}


def does_nothing(profile: Profile, event: LockActionEvent) -> bool:
    """Return whether somebody has used a fob or the button and the lock has nothing to do for that."""
    return event.action in profile.no_actions


def event_of(owned: OwnedLock, event: LockActionEvent) -> dict[str, Any]:
    """Return the event as `<lock>/event` tells it, but for its time.

    Authorizations and keypad codes are numbered apart: the user of a code is named after the code, as in the log.
    """
    return {
        "type": BEGUN,
        "action": owned.lock.profile.action_word(event.action),
        "trigger": name_of(open_enum(Trigger, event.trigger)),
        "user": _user(owned, event),
        "source": _source(owned, event),
        "code_id": event.code_id or None,
        "keypad": None if event.keypad_source is None else _KEYPAD_WORDS[event.keypad_source],
        "auto_unlock": event.is_auto_unlock,
    }


def _user(owned: OwnedLock, event: LockActionEvent) -> dict[str, Any] | None:
    if not event.auth_id and not event.code_id:
        return None
    if event.code_id:
        code = owned.keypad.get(event.code_id)
        name = None if code is None else code.name
    else:
        user = owned.users.get(event.auth_id)
        name = None if user is None else user.name
    return {"id": event.auth_id or None, "name": name}


def _source(owned: OwnedLock, event: LockActionEvent) -> str:
    if event.code_id:
        return "keypad"
    return source_of(event.trigger, event.auth_id, owned.users.kind_of)
