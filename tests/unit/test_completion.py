"""What the shell offers while a command is typed, by the program's own parser."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nuki_bridge.command_line import cli, completion
from nuki_bridge.owner import lock_config

ROOT = Path(__file__).parents[2]
COMPLETIONS = ROOT / "completions"
NAMES = ["front_door", "shed"]


def offered(*words: str, names: list[str] | None = None) -> list[str]:
    return completion.complete(cli._parser(), words, lambda: NAMES if names is None else names)


def test_all_commands_are_offered_first() -> None:
    commands = next(each for each in cli._parser()._actions if each.dest == "command").choices
    assert commands
    assert offered("") == sorted(commands)
    assert offered("unl") == [each for each in sorted(commands) if each.startswith("unl")]
    assert offered() == offered("")


@pytest.mark.parametrize("command", ["status", "unlock", "lock", "watch", "unpair"])
def test_a_lock_is_offered_by_its_name(command: str) -> None:
    assert offered(command, "") == NAMES
    assert offered(command, "sh") == ["shed"]
    assert offered(command, "shed", "") == []


def test_what_is_done_with_a_lock_stands_behind_it_or_the_lock_is_left_out() -> None:
    assert offered("users", "") == sorted([*NAMES, "add", "list", "remove", "update"])
    assert offered("users", "shed", "") == ["add", "list", "remove", "update"]
    assert offered("users", "list", "") == NAMES
    assert offered("users", "remove", "") == []
    assert offered("pin", "verify", "") == NAMES
    assert offered("config", "get", "s") == ["shed"]


def test_settings_are_offered_with_their_values() -> None:
    known = {*lock_config.checks(), *lock_config.opener_checks()}
    assert offered("config", "shed", "set", "") == sorted(f"{each}=" for each in known)
    assert offered("config", "shed", "set", "pairing_enabled=") == ["pairing_enabled=false", "pairing_enabled=true"]
    assert "dst_mode=european" in offered("config", "set", "dst_mode=e")
    assert "led_enabled=" in offered("config", "shed", "set", "pairing_enabled=true", "led_")
    assert offered("config", "shed", "get", "") == []
    assert offered("config", "shed", "set", "no_such=") == []


def test_options_are_those_of_the_command_and_of_all() -> None:
    found = offered("pair", "--")
    assert {"--name", "--address", "--broker", "--json"} <= set(found)
    assert "--expires" not in found
    assert offered("pair", "--name", "") == []
    assert offered("--broker", "mqtt://x/y", "unlo") == ["unlock"]
    assert offered("--json", "status", "") == NAMES


def commands_below(parser: argparse.ArgumentParser, *words: str) -> Iterator[tuple[str, ...]]:
    yield words
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from commands_below(below, *words, name)


def test_no_option_is_offered_that_would_be_refused() -> None:
    assert "--broker" not in offered("retire", "--")
    for command in commands_below(cli._parser()):
        parser = cli._parser()
        for word in command:
            [parser] = [
                each.choices[word]
                for each in parser._actions
                if isinstance(each, argparse._SubParsersAction) and word in each.choices
            ]
        for option in offered(*command, "--"):
            assert option in parser._option_string_actions, command


def test_a_file_is_the_shells_to_offer() -> None:
    assert offered("import", "") == [completion.FILES]
    assert offered("pair", "--pin-file", "") == [completion.FILES]
    assert offered("status", "--config", "x") == [completion.FILES]


def test_a_wrong_line_gets_nothing() -> None:
    assert offered("nonsense", "") == []
    assert offered("users", "shed", "nonsense", "") == []
    assert offered("lock", "shed", "--nonsense", "") == []


def test_the_bridge_is_asked_only_where_a_lock_can_stand() -> None:
    def asked() -> list[str]:
        raise AssertionError("nobody wants to know")

    parser = cli._parser()
    for words in ([""], ["st"], ["pair", "-"], ["guest", "unlock", ""], ["import", ""], ["users", "shed", ""]):
        completion.complete(parser, words, asked)


def test_without_a_bridge_no_names_come_and_no_word_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["__complete", "--broker", "mqtt://127.0.0.1:1/nuki", "status", ""]) == 0
    assert cli.main(["__complete", "--broker", "nonsense", "status", ""]) == 0
    assert capsys.readouterr() == ("\n\n", "")


@pytest.fixture
def program(tmp_path: Path) -> dict[str, str]:
    """The environment in which `nuki-bridge` is this program."""
    (tmp_path / "nuki-bridge").write_text(f'#!/bin/sh\nexec {sys.executable} -m nuki_bridge "$@"\n')
    (tmp_path / "nuki-bridge").chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


BASH = """
source "$1"
COMP_LINE=$2 COMP_POINT=${#2}
complete -p nuki-bridge >/dev/null
_nuki_bridge
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("nuki-bridge unlo", ["unlock"]),
        ("nuki-bridge users shed ", ["add", "list", "remove", "update"]),
        ("nuki-bridge config shed set pairing_e", ["pairing_enabled="]),
        ("nuki-bridge config shed set pairing_enabled=t", ["true"]),
        ("nuki-bridge import setup.c", ["setup.cfg"]),
    ],
)
def test_bash_offers_it(line: str, wanted: list[str], program: dict[str, str]) -> None:
    call = ["bash", "-euc", BASH, "bash", str(COMPLETIONS / "nuki-bridge.bash"), line]
    done = subprocess.run(call, capture_output=True, text=True, env=program, cwd=ROOT, check=False)
    assert (done.stdout.split(), done.stderr) == (wanted, "")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_zsh_reads_its_function() -> None:
    subprocess.run(["zsh", "-n", str(COMPLETIONS / "_nuki-bridge")], check=True)
