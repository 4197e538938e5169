"""What can stand next on a command line that is being typed: for the completion functions of bash and zsh.

A shell calls `nuki-bridge __complete` with the words after the program's name, the last of which may be unfinished, and
gets a line for each word that it may become, or `:files`.  Whatever is wrong gives no words and no message.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nuki_bridge.config import MqttSettings

FILES = ":files"
"""The answer where a file belongs, which the shell knows better."""
NAMES_S = 1.0
"""Longest time in seconds that the running bridge may take to tell its locks' names."""

_FILE_WORDS = ("FILE", "file")
_BEFORE_LOCK = ("list", "get")
"""What may stand before LOCK instead of behind it, and after `pin` anything."""


def complete(parser: argparse.ArgumentParser, words: Sequence[str], names: Callable[[], Iterable[str]]) -> list[str]:
    """Return what the last of `words` can become; `names` gives the names of the bridge's locks, if they are wanted."""
    *before, current = words or [""]
    place = _Place(parser, names)
    for word in before:
        place.go_on(word)
    found = place.files_or_words(current)
    return found if found == [FILES] else sorted({each for each in found if each.startswith(current)})


class _Place:
    """Where in a command line we are."""

    def __init__(self, parser: argparse.ArgumentParser, names: Callable[[], Iterable[str]]) -> None:
        self._names = names
        self._parsers = [parser]
        self._left = _positionals(parser)
        self._option: argparse.Action | None = None
        self._lacks_lock = False
        self._said = ""

    def go_on(self, word: str) -> None:
        """Take a word that is complete."""
        if self._option is not None:
            self._option = None
        elif word.startswith("-"):
            action = self._options().get(word.partition("=")[0])
            self._option = action if action is not None and action.nargs != 0 and "=" not in word else None
        elif self._left:
            self._take(word)

    def _take(self, word: str) -> None:
        action = self._left[0]
        self._said = word if action.nargs != "*" else self._said
        if action.dest == "lock":
            self._left = self._left[1:]
            following = self._left[0] if self._left else None
            if following is not None and word in (following.choices or ()):
                self._lacks_lock = True  # it was left out, or comes later
                self._take(word)
        elif isinstance(action, argparse._SubParsersAction):
            below = action.choices.get(word)
            self._left = _positionals(below) if below is not None else []
            self._parsers += [below] if below is not None else []
        elif action.nargs != "*":
            self._left = self._left[1:]

    def files_or_words(self, current: str) -> list[str]:
        """Return the words that can stand here."""
        if self._option is not None:
            return self._values(self._option)
        if current.startswith("-"):
            return [each for each, action in self._options().items() if action.help != argparse.SUPPRESS]
        found: list[str] = []
        if self._lacks_lock and (self._said in _BEFORE_LOCK or self._command == "pin"):
            found += self._lock_names()
        for action in self._left:
            found += self._values(action, current)
            if action.dest != "lock":  # which may be left out
                break
        return found

    @property
    def _command(self) -> str:
        return self._parsers[1].prog.split()[-1] if len(self._parsers) > 1 else ""

    def _values(self, action: argparse.Action, current: str = "") -> list[str]:
        if action.choices is not None:
            return [str(each) for each in action.choices]
        if action.dest == "lock":
            return self._lock_names()
        if action.dest == "settings":
            return _settings(current) if self._said == "set" else []
        is_file = action.metavar in _FILE_WORDS or action.dest.endswith("_file") or action.dest == "file"
        return [FILES] if is_file else []

    def _lock_names(self) -> list[str]:
        return [] if self._command == "guest" else list(self._names())  # whose LOCK is a credential's

    def _options(self) -> dict[str, argparse.Action]:
        """Return the options that can stand here: behind a command only its own, which most of the common ones are."""
        return {option: action for action in self._parsers[-1]._actions for option in action.option_strings}


def _positionals(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not action.option_strings]


def _settings(current: str) -> list[str]:
    """Return `KEY=` of each setting that a lock or an Opener may have, or `KEY=VALUE` once the key is there."""
    from nuki_bridge.owner import lock_config

    key, equals, _ = current.partition("=")
    kinds = (lock_config.checks(), lock_config.opener_checks())
    if not equals:
        return [f"{each}=" for kind in kinds for each in kind]
    schemas = [kind[key].schema for kind in kinds if key in kind]
    values = [value for schema in schemas for value in schema.get("enum", ()) if value is not None]
    values += ["true", "false"] if any(schema.get("type") == "boolean" for schema in schemas) else []
    return [f"{key}={value}" for value in values]


def lock_names(broker: Callable[[], MqttSettings]) -> list[str]:
    """Return the names that the running bridge tells within `NAMES_S`, none if it does not; `broker` gives settings."""
    import asyncio
    import logging

    from nuki_bridge.command_line.client import BridgeClient
    from nuki_bridge.errors import NukiError

    async def ask() -> list[str]:
        client = BridgeClient(broker())
        try:
            async with asyncio.timeout(NAMES_S):
                await client.open()
                return client.lock_names()
        finally:
            await client.close()

    logging.disable()
    try:
        return asyncio.run(ask())
    except (NukiError, TimeoutError, OSError):
        return []
    finally:
        logging.disable(logging.NOTSET)
