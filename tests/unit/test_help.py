"""What `--help` says: every argument explains itself, with the form of its value and its default."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import pytest

from nuki_bridge.command_line import cli

PLAIN = {"ACTION", "CODE", "FILE", "ID", "LOCK", "NAME", "TEXT", "URL", "USER", "WHO", "[LOCK]"}
"""Placeholders that say themselves what is to be put there."""


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and those of all commands below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in dict.fromkeys(action.choices.values()):
                yield from parsers(below)


def arguments() -> list[tuple[str, argparse.ArgumentParser, argparse.Action]]:
    """Every argument of every command, by what somebody types to see its help."""
    found = []
    for parser in parsers(cli._parser()):
        for action in parser._actions:
            if not isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
                name = "/".join(action.option_strings) or str(action.metavar or action.dest)
                found.append((f"{parser.prog} {name}", parser, action))
    return found


def help_of(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return parser._get_formatter()._expand_help(action) if action.help else ""


def test_the_walk_sees_them_all() -> None:
    names = {name for name, _, _ in arguments()}
    assert len(names) > 150
    assert {"nuki-bridge pair --as", "nuki-bridge users [LOCK] update --weekdays"} <= names


def test_every_argument_says_what_it_is() -> None:
    assert [name for name, _, action in arguments() if not action.help] == []


def test_every_option_says_its_default() -> None:
    silent = []
    for name, parser, action in arguments():
        if action.option_strings and action.nargs != 0 and action.default not in (None, argparse.SUPPRESS):
            value = f"{action.default:g}" if isinstance(action.default, float) else str(action.default)
            if not re.search(rf"default:? (?:[\w ]* )?{re.escape(value)}\b", help_of(parser, action)):
                silent.append(name)
    assert silent == []


def test_every_option_says_which_form_its_value_has() -> None:
    """By what it can be, by a placeholder that says so, or by an example."""
    silent = []
    for name, parser, action in arguments():
        if not action.option_strings or action.nargs == 0:
            continue
        said = help_of(parser, action)
        if action.choices is not None:
            known = action.metavar is None or all(str(each) in said for each in action.choices)
        else:
            known = action.metavar in PLAIN or bool(re.search(r"\d|such as|: ", said))
        if not known:
            silent.append(name)
    assert silent == []


@pytest.mark.parametrize("line", ["users LOCK update --help", "invite --help", "keypad LOCK add --help"])
def test_the_forms_of_days_and_times_are_said(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parse(line.split())
    shown = " ".join(capsys.readouterr().out.split())
    for form in ("2026-12-24", "2026-12-24T18:00", "mo-fr", "8:00", "22:00 to 06:00"):
        assert form in shown
