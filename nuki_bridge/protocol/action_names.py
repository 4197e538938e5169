"""Lock actions and lock states by the names that people and programs write.

One table for each kind of device, for commands as for the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final, Generic, Protocol

from nuki_bridge.protocol.codes import E_, Action, LockState, OpenerAction, OpenerState


def _bare(name: str) -> str:
    return re.sub(r"[\s_'\u2019-]+", "", name.lower())  # U+2019, the apostrophe of phones and of the maker's documents


class Words(Protocol):
    """The words of one kind of device (a `Profile`)."""

    @property
    def names(self) -> ActionNames[Any]:
        """Those of its actions."""

    @property
    def states(self) -> Mapping[str, int]:
        """Those of its states."""


class ActionNames(Generic[E_]):
    """The names of the actions in `kind`, but for those `left_out`; `aliases` are further names for some of them."""

    def __init__(self, kind: type[E_], left_out: Collection[E_], aliases: Mapping[str, E_]) -> None:
        self.kind: Final = kind
        self.by_name: Final[Mapping[str, E_]] = {
            action.name.lower(): action for action in kind if action not in left_out
        }
        """Every action under the name that answers and events give it."""
        self.aliases: Final = aliases
        self._by_spelling = {_bare(name): action for name, action in [*self.by_name.items(), *aliases.items()]}

    def find(self, name: str) -> E_ | None:
        """Return the action of this name, None if there is none.

        Neither case counts nor what stands between the words: `lock_n_go`, `Lock 'n' go`, `lockNgo`.
        """
        return self._by_spelling.get(_bare(name))


LOCK_ACTIONS: Final = ActionNames(
    Action, {Action.NONE, Action.FOB_NO_ACTION, Action.BUTTON_NO_ACTION}, {"open": Action.UNLATCH}
)
"""What a Smart Lock can be asked to do."""
OPENER_ACTIONS: Final = ActionNames(
    OpenerAction,
    {OpenerAction.NONE, OpenerAction.FOB_NO_ACTION, OpenerAction.BUTTON_NO_ACTION},
    {
        "electric_strike_actuation": OpenerAction.OPEN,
        "activate_cm": OpenerAction.ACTIVATE_CONTINUOUS_MODE,
        "deactivate_cm": OpenerAction.DEACTIVATE_CONTINUOUS_MODE,
    },
)
"""What an Opener can be asked to do; the aliases are the names that other programs use for it."""
LOCK_STATES: Final[Mapping[str, LockState]] = {state.name.lower(): state for state in LockState}
"""The states of a Smart Lock by their names."""
OPENER_STATES: Final[Mapping[str, OpenerState]] = {state.name.lower(): state for state in OpenerState}
"""The states of an Opener by their names."""

_WORDS: Final = {
    _bare(word): word for kind in (OPENER_ACTIONS, LOCK_ACTIONS) for word in (*kind.aliases, *kind.by_name)
}
ACTION_WORDS: Final = tuple(dict.fromkeys((*LOCK_ACTIONS.by_name, "open", *OPENER_ACTIONS.by_name)))
"""Every action of any kind of device by its name, and `open`, which is another one on each kind."""


def action_word(name: str) -> str | None:
    """Return in its usual spelling what some kind of device calls an action, None if none does.

    Which action that is, if any, only the kind of device tells: `open` unlatches a Smart Lock's door and has an Opener
    act on its strike.
    """
    return _WORDS.get(_bare(name))
