"""The lock itself in Home Assistant, made of what its kind of device is to programs that know locks (`PlainLock`)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from nuki_bridge.home_assistant.components import SET, STATE, STATUS, if_json
from nuki_bridge.lock.profile import Profile
from nuki_bridge.protocol.codes import NukiState, name_of

LOCK_KEY: Final = "lock"
_OLD: Final = {"opening": "unlocking", "open": "unlocked"}
"""Home Assistant before 2024.10 knows neither `open` nor `opening`."""


def commands(profile: Profile) -> dict[str, str]:
    """Return the actions behind the three buttons of a lock; a device that may do none of them has no such entity."""
    plain = profile.plain
    asked = {"payload_lock": plain.lock, "payload_unlock": plain.unlock, "payload_open": plain.open}
    return {key: profile.action_word(action) for key, action in asked.items()}


def lock_entity(profile: Profile, traits: Collection[str], *, old: bool) -> dict[str, Any]:
    """Return the lock; its name is the device's.

    Home Assistant always has the buttons to lock and to unlock, and the one to open only if `traits` have the action.
    States that say nothing of the bolt, such as `calibrating`, are unknown.
    """
    plain = {profile.state_word(state): word for state, word in profile.plain.states.items()}
    states = {state: _OLD.get(word, word) if old else word for state, word in plain.items()}
    asked = commands(profile)
    return {
        "name": None,
        **_shown(profile, states),
        **{f"state_{word}": word for word in sorted({*states.values()})},
        "command_topic": SET,
        **{key: action for key, action in asked.items() if key != "payload_open" or action in traits},
        "optimistic": False,
        "retain": False,
    }


def _shown(profile: Profile, states: dict[str, str]) -> dict[str, str]:
    """Return where the state is told and what is made of it.

    A device with modes is unlocked as long as it lets everybody in who rings, which its status tells beside its state.
    """
    if not profile.modes:
        return {"state_topic": STATE, "value_template": f"{{{{ {states!r}.get(value, 'None') }}}}"}
    template = (
        f"{{% set shown = {states!r}.get(value_json.state, 'None') %}}"
        f"{{{{ 'unlocked' if shown == 'locked' and value_json.nuki_state == '{name_of(NukiState.CONTINUOUS_MODE)}'"
        " else shown }}"
    )
    return {"state_topic": STATUS, "value_template": if_json(template)}
