"""LOCK as an argument of a command, which may be left out if there is only one lock."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence

ONLY = "may be left out if there is only one"
"""Help for an argument that names a lock."""
LIST = "list|update|remove|add"
"""The usage line's words after LOCK for commands that list and change something."""

_INVITE_REVOKE_LOCK_WHO = 4
"""Number of the words of `invite revoke LOCK WHO`, in which LOCK stands behind what is done."""


def add_last(parser: argparse.ArgumentParser, without: str = ONLY) -> None:
    """Add LOCK as the last argument; `without` says what there is without it."""
    parser.add_argument("lock", nargs="?", metavar="LOCK", help=without)


def add_first(parser: argparse.ArgumentParser) -> None:
    """Add LOCK before an argument or commands below with the name `what`; without a lock it is empty.

    The command line has to pass `in_place` first.
    """
    parser.add_argument("lock", metavar="[LOCK]", help=ONLY)


def in_place(argv: Sequence[str], parser: argparse.ArgumentParser) -> list[str]:
    """Return the arguments with LOCK first: empty where it is left out, also if it stands behind `list` or `get`.

    argparse cannot see that.  A lock whose own name is one of these words is meant if another one of them follows.
    """
    places = [place for place in range(len(argv)) if _is_word(argv, place)]
    command = argv[places[0]] if places else ""
    below = _parser_of(command, parser)
    valued = _valued(below)
    places = [place for place in places if place == 0 or argv[place - 1] not in valued]
    what = _choices(below, "what")
    if below is None or not what or all(action.dest != "lock" for action in below._actions):
        return list(argv)
    behind = places[1:3]
    said = [argv[place] for place in behind]
    if said and (said[0] not in what or (len(said) > 1 and said[1] in what)):
        return list(argv)
    arranged = list(argv)
    is_lock_behind = command == "pin" or said[:1] in (["list"], ["get"])
    if len(said) > 1 and (is_lock_behind or (command == "invite" and len(places) == _INVITE_REVOKE_LOCK_WHO)):
        arranged[behind[0]], arranged[behind[1]] = said[1], said[0]
    else:
        arranged.insert(places[0] + 1, "")
    return arranged


def _is_word(argv: Sequence[str], place: int) -> bool:
    """Return whether this is neither an option nor the value of one that all commands have."""
    return not argv[place].startswith("-") and (place == 0 or argv[place - 1] not in ("--config", "--broker"))


def _parser_of(command: str, parser: argparse.ArgumentParser) -> argparse.ArgumentParser | None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices.get(command)
    return None


def _valued(parser: argparse.ArgumentParser | None) -> set[str]:
    """Return the options of a command that take a value, which is no word of its own."""
    actions = parser._actions if parser else []
    return {option for action in actions if action.nargs != 0 for option in action.option_strings}


def _choices(parser: argparse.ArgumentParser | None, name: str) -> Collection[str]:
    """Return the words that an argument may be, or the commands below."""
    actions = parser._actions if parser else []
    return [word for action in actions if action.dest == name for word in action.choices or ()]
