"""Add commands to the command line; the parser of a command carries the function that does its work.

A module of commands has a function `declare`, which gets a `Commands` and adds each command with its arguments.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Handler = Callable[..., Any]
"""Does the work of a command; what a handler gets is up to the `run` of its `Commands`."""


@dataclass(frozen=True)
class Commands:
    """Adds commands that run alike and have their common options from `common`."""

    parsers: argparse._SubParsersAction[Any]
    run: Callable[[argparse.Namespace], int]
    """Run a command of this group, whose function is in `handler` of the arguments; returns the exit status."""
    common: argparse.ArgumentParser | None

    def add(self, name: str, text: str, handler: Handler) -> argparse.ArgumentParser:
        """Add a command with a line of help, and return its parser."""
        description = text[0].upper() + text[1:] + "."
        parser = self._parser(self.parsers, name, help=text, description=description)
        parser.set_defaults(run=self.run, handler=handler)
        return parser

    def add_below(
        self, parser: argparse.ArgumentParser, metavar: str
    ) -> Callable[[str, str, Handler], argparse.ArgumentParser]:
        """Let a command have commands below it, and return what adds one of them, as `add` does.

        The command's own handler does the work if none of them is given.
        """
        below = parser.add_subparsers(title="what to do", dest="what", metavar=metavar)

        def add(name: str, text: str, handler: Handler) -> argparse.ArgumentParser:
            added = self._parser(below, name, help=text, description=text)
            added.set_defaults(handler=handler)
            return added

        return add

    def _parser(
        self, parsers: argparse._SubParsersAction[Any], name: str, *, help: str, description: str
    ) -> argparse.ArgumentParser:
        parents = [self.common] if self.common else []
        added: argparse.ArgumentParser = parsers.add_parser(
            name, help=help, description=description, parents=parents, allow_abbrev=False
        )
        return added


def add_switch(parser: argparse.ArgumentParser, name: str, on: tuple[str, str], off: tuple[str, str]) -> None:
    """Add the two options, each with its help, that set `name` to true and false; without them it is None."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(on[0], dest=name, action="store_true", default=None, help=on[1])
    group.add_argument(off[0], dest=name, action="store_false", default=None, help=off[1])
