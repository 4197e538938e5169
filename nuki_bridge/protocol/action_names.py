"""Lock actions by the names that people and programs write; one table for commands and for the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from nuki_bridge.protocol.codes import Action

ACTIONS: Final[Mapping[str, Action]] = {
    action.name.lower(): action
    for action in Action
    if action not in (Action.NONE, Action.FOB_NO_ACTION, Action.BUTTON_NO_ACTION)
}
"""What a lock can be asked to do, by its name."""


def _bare(name: str) -> str:
    return re.sub(r"[\s_'\N{RIGHT SINGLE QUOTATION MARK}-]+", "", name.lower())


_BY_SPELLING: Final = {_bare(name): action for name, action in ACTIONS.items()} | {"open": Action.UNLATCH}


def action_named(name: str) -> Action | None:
    """The action of this name, None if there is none.

    Neither case counts nor what stands between the words: `lock_n_go`, `Lock 'n' go`, `lockNgo`.  `open` is `unlatch`.
    """
    return _BY_SPELLING.get(_bare(name))
