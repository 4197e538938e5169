"""What is said to whoever typed: in the words of the command line, not in the fields of requests over MQTT."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Iterable
from typing import Any, Final

FEW = 9
"""As many words are listed when none of them was given; of more, such as all commands, only the nearest is named."""

OPTIONS: Final = {
    "address": "--address",
    "after": "--after",
    "as": "--as",
    "before": "--before",
    "code": "the code",
    "count": "--count",
    "expires_in": "--expires",
    "from": "--from",
    "id": "the ID",
    "name": "the name",
    "only_if": "--only-if",
    "pin": "the PIN",
    "rename": "--rename",
    "time": "the time",
    "time_from": "--from-time",
    "time_until": "--until-time",
    "timeout": "--timeout",
    "until": "--until",
    "weekdays": "--weekdays",
}
"""What a field of a request is to somebody who types."""

SYNONYMS: Final = {
    "close": "lock",
    "create": "add",
    "delete": "remove",
    "devices": "locks",
    "edit": "update",
    "info": "status",
    "ls": "list",
    "monitor": "watch",
    "new": "add",
    "restart": "reboot",
    "rm": "remove",
    "settings": "config",
    "state": "status",
    "list-users": "users",
}
"""Words that other programs have for the same."""

_FIELD: Final = re.compile(r"^(\w+)(?= (?:must|of an? .* must|is missing)\b)")
"""The field of a request about which a sentence says what it must be."""
_ACTIONS: Final = re.compile(r"^there is no such lock action; allowed are ([\w, ]+)$")
"""All that a device can do, after an action that only another kind of device has."""
_NO_COMMANDS: Final = ("fob_action_1", "fob_action_2", "fob_action_3", "full_lock", "lock_n_go_unlatch")
"""Actions for which the command line has no command of their name."""
_UNKNOWN: Final = re.compile(r"^'(\w+)' is not known here; allowed: ([\w, ]+)$")
"""A field that no request of this kind has, and those that it has."""
_STATES: Final = re.compile(r"^only_if must be a list of states: ([\w, ]+); (.+) is none of them$", re.DOTALL)
"""The states that a device can have, and a word that names none of them."""
_PART: Final = re.compile(r"\b(?:part )?(time_from|time_until|(?:from|until|weekdays)(?= must)|(?<=later than )from)\b")
"""A part of `access` in a sentence about it."""


def in_options(sentence: str) -> str:
    """Return the daemon's sentence about a request with the options that stand for its fields."""
    sentence = sentence.replace('add "self": true (on the command line: --self)', "add --self")
    sentence = sentence.replace("give the address of one", "give the --address of one").replace("by id:", "by its ID:")
    if sentence.startswith("access "):
        rest = _PART.sub(lambda match: OPTIONS[match[1]], sentence.removeprefix("access "))
        return rest if rest.startswith("--") else f"this limit {rest}"
    if actions := _ACTIONS.match(sentence):
        can = [each.replace("_", "-") for each in actions[1].split(", ") if each not in _NO_COMMANDS]
        return f"this device cannot do that; what it can: {', '.join(can)}"
    if (unknown := _UNKNOWN.match(sentence)) and len(known := unknown[2].split(", ")) > FEW:
        meant = nearest(unknown[1], [each.replace("_", "-") for each in known])
        hint = f"did you mean {meant.replace('-', '_')}?" if meant else "`nuki-bridge config` shows what there is"
        return f"{unknown[1]!r} is not known; {hint}"
    if states := _STATES.match(sentence):
        known = states[1].split(", ")
        meant = nearest(states[2].strip("'\""), [each.replace("_", "-") for each in known])
        hint = f"; did you mean {meant.replace('-', '_')}?" if meant else ""
        return f"{OPTIONS['only_if']}: {states[2]} is not a state of this device; it is one of {states[1]}{hint}"
    return _FIELD.sub(lambda match: OPTIONS.get(match[1], match[1]), sentence, count=1)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of the known words that was meant, None if none of them looks like it."""
    import difflib

    words = list(known)
    if SYNONYMS.get(word.lower()) in words:
        return SYNONYMS[word.lower()]
    plain = word.lower().replace("_", "-")
    if plain in words:
        return plain
    return next(iter(difflib.get_close_matches(plain, words, n=1, cutoff=0.65)), None)


def instead(word: str, known: Collection[str]) -> str:
    """Return the end of a sentence about a word that is not known: `; did you mean unlock?`, or nothing."""
    meant = nearest(word, known)
    return f"; did you mean {meant}?" if meant not in (None, word) else ""


def not_a_choice(action: argparse.Action, word: str) -> str:
    """Return the sentence about a word that an argument cannot be."""
    choices = [str(each) for each in action.choices or ()]
    is_command = isinstance(action, argparse._SubParsersAction) and action.dest == "command"
    hint = instead(word, choices)
    if not hint and len(choices) > FEW:
        hint = "; see --help"
    few = f"; it is one of {', '.join(choices)}" if len(choices) <= FEW else ""
    return f"there is no command {word!r}{hint}" if is_command else f"{word!r} is not known{few}{hint}"


def options_of(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> set[str]:
    """Return the options of the commands that were chosen, and of all."""
    found: set[str] = set()
    for action in parser._actions:
        found.update(each for each in action.option_strings if each.startswith("--"))
        if isinstance(action, argparse._SubParsersAction):
            below: Any = action.choices.get(str(getattr(chosen, action.dest, None)))
            found |= options_of(below, chosen) if below is not None else set()
    return found
