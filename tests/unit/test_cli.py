"""The command line without a broker: arguments, broker URLs, exit status, what people see."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.command_line import (
    access_options,
    all_commands,
    cli,
    config_commands,
    console,
    daemon_commands,
    invite_commands,
    secret_input,
    start,
)
from nuki_bridge.command_line.asking import by_id_or_name
from nuki_bridge.command_line.client import BridgeClient, parse_broker_url
from nuki_bridge.errors import BrokerError, ConfigError, RequestError, UnusableState
from nuki_bridge.owner import lock_config
from nuki_bridge.store import Store


def run(*arguments: str) -> int:
    """Exit status of `nuki-bridge ARGUMENTS`, also where argparse exits by itself."""
    try:
        return cli.main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


@pytest.fixture(autouse=True)
def _no_broker_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cli.BROKER_VARIABLE, raising=False)


class TestArguments:
    @pytest.mark.parametrize(
        "line",
        [
            "",
            "no-such-command",
            "lock front_door surplus",
            "unpair",
            "pair --as fob",
            "pair --timeout 0",
            "pair --timeout nan",
            "pair --pin 123456",
            "scan --timeout soon",
            "demo --port 0",
            "status --brok mqtt://localhost",
            "users front explode",
            "invite revoke",
            "invite front back --name Anna",
            "invite revoke front Anna more",
            "invite list --name Anna",
            "users front remove",
            "users front update Anna --enable --disable",
            "users front update Anna --weekdays monday",
            "users front add Tablet",
            "config front change a=b",
            "log front --before 1 --after 2",
            "log front --count many",
            "pin",
            "pin front",
            "pin front set 123456",
            "pin front set --pin 123456",
        ],
    )
    def test_wrong_usage_is_status_2_and_says_so_on_stderr(self, line: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(*line.split()) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "nuki-bridge" in shown.err
        assert "Traceback" not in shown.err

    @pytest.mark.parametrize("line", ["--help", "--version", "pair --help", "lock-n-go --help"])
    def test_help_and_version_are_status_0(self, line: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(*line.split()) == 0
        assert "nuki-bridge" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "line",
        [
            "--broker mqtt://a --json status door",
            "status --broker mqtt://a --json door",
            "--json status --broker mqtt://a door",
            "status door --json --broker=mqtt://a",
        ],
    )
    def test_common_options_may_stand_before_and_after_the_command(self, line: str) -> None:
        arguments = cli.parse(line.split())
        assert (arguments.broker, arguments.json, arguments.lock) == ("mqtt://a", True, "door")

    @pytest.mark.parametrize(
        ("line", "function"),
        [
            ("lock-n-go", "lock_commands.act"),
            ("users", "user_commands.list_users"),
            ("users front", "user_commands.list_users"),
            ("users remove Anna", "user_commands.remove_user"),
            ("users front update Anna --disable", "user_commands.update_user"),
            ("keypad list front", "keypad_commands.list_codes"),
            ("timecontrol front remove 1", "time_control_commands.remove_entry"),
            ("config set led_enabled=on", "config_commands.config"),
            ("guest unlock", "guest_commands.guest"),
            ("guest open", "guest_commands.guest"),
            ("open", "lock_commands.act"),
            ("invite --name Anna", "invite_commands.invite"),
            ("invite list", "invite_commands.list_invitations"),
            ("invite front revoke Anna", "invite_commands.revoke_invitation"),
            ("check-config", "daemon_commands.check_config"),
        ],
    )
    def test_a_command_carries_the_function_that_does_its_work(self, line: str, function: str) -> None:
        handler = cli.parse(line.split()).handler
        assert f"{handler.__module__}.{handler.__name__}" == f"nuki_bridge.command_line.{function}"

    def test_every_command_that_talks_has_a_function_of_its_subject(self) -> None:
        (subparsers,) = (a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction))
        modules = {module.__name__ for module in all_commands.TALKING}
        talking = [parser for parser in subparsers.choices.values() if parser.get_default("run") is cli._talk]
        assert {parser.get_default("handler").__module__ for parser in talking} == modules
        for parser in talking:
            for below in (a for a in parser._actions if isinstance(a, argparse._SubParsersAction)):
                handlers = [each.get_default("handler") for each in below.choices.values()]
                assert len(set(handlers)) == len(handlers)
                assert {each.__module__ for each in handlers} == {parser.get_default("handler").__module__}

    def test_a_password_in_a_misspelt_argument_is_not_shown(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("status", "--brocker", "mqtt://u:secret@host") == 2
        assert run("mqtt://u:secret@host") == 2
        shown = capsys.readouterr()
        assert "secret" not in shown.out + shown.err


class TestOwner:
    @pytest.mark.parametrize(
        ("text", "days"),
        [
            ("mo-fr", "mo tu we th fr"),
            ("sa-mo", "mo sa su"),
            ("MO,we,Sa-su", "mo we sa su"),
            ("su", "su"),
            ("mo-su", "mo tu we th fr sa su"),
        ],
    )
    def test_weekdays(self, text: str, days: str) -> None:
        assert access_options.weekdays(text) == days.split()

    @pytest.mark.parametrize("text", ["", "monday", "mo-", "mo fr", "mo-xx", "1-5"])
    def test_what_are_no_weekdays(self, text: str) -> None:
        with pytest.raises(argparse.ArgumentTypeError, match="such as mo-fr"):
            access_options.weekdays(text)

    def test_a_day_alone_counts_whole(self) -> None:
        arguments = cli.parse(["users", "front", "update", "7", "--from", "2026-12-24", "--until", "2026-12-26"])
        assert access_options.access_of(arguments) == {"from": "2026-12-24T00:00:00", "until": "2026-12-26T23:59:59"}

    def test_common_options_may_stand_anywhere(self) -> None:
        for line in ("--json users front list", "users --json front list", "users front list --json"):
            assert cli.parse(line.split()).json

    @pytest.mark.parametrize("terminal", [True, False])
    def test_a_qr_code_is_light_on_dark_in_every_terminal(
        self, terminal: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
        lines = invite_commands.qr_text("nuki-bridge:invite?code=0000-0000-0000-0000").splitlines()
        assert len(lines) > 15
        assert all(line.startswith("\x1b[38;5;231;48;5;16m") and line.endswith("\x1b[0m") for line in lines) is terminal
        assert ("\x1b" in "".join(lines)) is terminal

    @pytest.mark.parametrize(
        ("access", "words"),
        [
            (None, None),
            ({}, None),
            ({"weekdays": ["mo", "tu", "we", "sa"]}, "mo-we,sa"),
            ({"weekdays": ["mo", "tu", "sa", "su"]}, "mo,tu,sa,su"),
            ({"time_from": "08:00"}, "08:00–24:00"),
            ({"weekdays": ["mo", "tu", "we"], "time_from": "08:00", "time_until": "20:00"}, "mo-we 08:00–20:00"),
            ({"time_until": "20:00", "until": "2026-12-24T23:59:59+01:00"}, "00:00–20:00, until 2026-12-24"),
            ({"from": "2026-07-01T00:00:00+02:00"}, "from 2026-07-01"),
            ({"from": "2026-07-01T09:30:00+02:00"}, "from 2026-07-01 09:30"),
        ],
    )
    def test_limits_in_words(self, access: object, words: str | None) -> None:
        assert access_options.in_words(access) == words

    @pytest.mark.parametrize(
        ("line", "lock", "what"),
        [
            ("users", "", None),
            ("users front", "front", None),
            ("users --json", "", None),
            ("users list", "", "list"),
            ("users front list", "front", "list"),
            ("users list front", "front", "list"),
            ("users update Anna --disable", "", "update"),
            ("users front update Anna --disable", "front", "update"),
            ("users --broker mqtt://host remove 7", "", "remove"),
            ("--config list users --broker=mqtt://host front remove 7", "front", "remove"),
            ("users list list", "list", "list"),
            ("config", "", "get"),
            ("config set led_enabled=on", "", "set"),
            ("config front set led_enabled=on", "front", "set"),
            ("config get front", "front", "get"),
            ("keypad add Lisa", "", "add"),
            ("keypad front remove 1", "front", "remove"),
            ("timecontrol list front", "front", "list"),
            ("pin set --pin-file -", "", "set"),
            ("invite --name Anna", "", None),
            ("invite --name Anna front", "front", None),
            ("invite front --name list", "front", None),
            ("invite --name=revoke --no-remote front", "front", None),
            ("invite list", "", "list"),
            ("invite list front", "front", "list"),
            ("invite front list", "front", "list"),
            ("invite revoke Anna", "", "revoke"),
            ("invite revoke front Anna", "front", "revoke"),
            ("invite front revoke Anna", "front", "revoke"),
            ("pin verify front", "front", "verify"),
        ],
    )
    def test_the_lock_may_be_left_out_or_stand_behind(self, line: str, lock: str, what: str | None) -> None:
        arguments = cli.parse(line.split())
        assert (arguments.lock, arguments.what) == (lock, what)

    @pytest.mark.parametrize("command", sorted(cli._parser()._actions[-1].choices or ()))
    @pytest.mark.parametrize("empty", ["", " ", "--broker=", "--config="])
    def test_an_empty_argument_is_not_taken_for_one_left_out(
        self, command: str, empty: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A script's `reboot "$LOCK"` without LOCK must not move the only lock."""
        assert run(command, empty) == 2
        assert run(empty, command) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert said == "nuki-bridge: error: an argument is empty; give its value, or leave it out"

    @pytest.mark.parametrize(
        ("text", "request_"),
        [
            ("7", {"id": 7}),
            ("Anna", {"name": "Anna"}),
            ("name:7", {"name": "7"}),
            ("name:name:7", {"name": "name:7"}),
            ("\u0667", {"name": "\u0667"}),
        ],
    )
    def test_a_number_is_an_id_unless_it_is_said_to_be_a_name(self, text: str, request_: dict[str, Any]) -> None:
        assert by_id_or_name(text) == request_

    @pytest.mark.parametrize(
        ("text", "setting"),
        [
            ("pairing_enabled=false", ("pairing_enabled", False)),
            ("led_enabled=On", ("led_enabled", True)),
            ("led_brightness=3", ("led_brightness", 3)),
            ("latitude=48.2", ("latitude", 48.2)),
            ("name=123", ("name", "123")),
            ("name=Front=door", ("name", "Front=door")),
            ("dst_mode=off", ("dst_mode", "off")),
            ("doorbell_suppression=off", ("doorbell_suppression", "off")),
            ("fob_action_1=lock", ("fob_action_1", "lock")),
            ("fob_action_1=null", ("fob_action_1", "null")),
        ],
    )
    def test_settings_have_the_type_that_they_look_like(self, text: str, setting: tuple[str, object]) -> None:
        assert config_commands.setting(text) == setting

    def test_every_word_of_a_setting_can_be_given(self) -> None:
        for checks in (lock_config.checks(), lock_config.opener_checks()):
            for name, check in checks.items():
                for word in check.schema.get("enum", ()):
                    assert config_commands.setting(f"{name}={word}") == (name, word)


class TestBrokerUrl:
    def test_a_host_alone_gets_the_defaults(self) -> None:
        settings = parse_broker_url("mqtt://localhost")
        assert (settings.host, settings.port, settings.base_topic) == ("localhost", 1883, "nuki")
        assert (settings.username, settings.password, settings.tls) == (None, None, None)

    def test_every_part_is_read_and_percent_decoded(self) -> None:
        settings = parse_broker_url("mqtt://a%40b:p%2Fw%3A%23@[::1]:1999/home/nuki%20locks/")
        assert (settings.host, settings.port, settings.base_topic) == ("::1", 1999, "home/nuki locks")
        assert settings.username == "a@b"
        assert settings.password is not None
        assert settings.password.reveal() == "p/w:#"

    def test_mqtts_means_tls_on_its_own_port(self) -> None:
        settings = parse_broker_url("mqtts://host")
        assert settings.port == 8883
        assert settings.tls is not None
        assert settings.tls.ca is None

    def test_mqtts_takes_a_file_of_authorities(self) -> None:
        settings = parse_broker_url("mqtts://host:1/base?ca=/tmp/my%20ca.pem")
        assert settings.tls is not None
        assert settings.tls.ca == Path("/tmp/my ca.pem")
        assert settings.port == 1

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "localhost",
            "http://u:secret@localhost",
            "mqtt://",
            "mqtt://:secret@localhost",
            "mqtt://u:secret@",
            "mqtt://u:secret@localhost:port",
            "mqtt://u:secret@localhost:70000",
            "mqtt://u:secret/more@localhost",
            "mqtt://u:secret#more@localhost",
            "mqtt://u:secret@localhost/nuki/#",
            "mqtt://u:secret@localhost/+",
            "mqtt://u:secret@localhost/$SYS",
            "mqtt://u:secret@localhost?ca=x",
            "mqtts://u:secret@localhost?key=secret",
            "mqtt://[::1",
        ],
    )
    def test_anything_else_is_refused_without_showing_the_password(
        self, url: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(RequestError) as refusal:
            parse_broker_url(url)
        assert "mqtt[s]://user:password@host:port/base_topic" in str(refusal.value)
        assert "secret" not in str(refusal.value)
        if url:
            assert run("locks", "--broker", url) == 2
            shown = capsys.readouterr()
            assert shown.err.count("\n") == 1
            assert "secret" not in shown.err

    def test_the_environment_names_the_broker_too(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv(cli.BROKER_VARIABLE, "nonsense")
        assert run("locks") == 2
        assert "broker URL" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("command", "code"),
        [
            ("locks --broker nonsense", "bad_broker_url"),
            ("redeem XXX", "bad_code"),
            ("pin verify --pin-file /dev/null", "bad_pin_file"),
            ("locks --config /none/such.yaml", "bad_config"),
        ],
    )
    def test_wrong_usage_has_a_code_as_every_failure(
        self, command: str, code: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A program that reads the JSON finds there what it has done wrong, too."""
        monkeypatch.setattr(logging, "disable", lambda: None)  # of this whole process
        monkeypatch.setattr(BridgeClient, "open", lambda _: asyncio.sleep(0))
        monkeypatch.setenv(cli.BROKER_VARIABLE, "mqtt://localhost")
        assert run(*command.split()) == 2
        plain = capsys.readouterr()
        assert plain.out == ""
        assert plain.err.endswith(f" ({code})\n") or code == "bad_config"
        assert run("--json", *command.split()) == 2
        shown = capsys.readouterr()
        assert shown.err == plain.err
        told = json.loads(shown.out)
        assert (told["status"], told["error"]) == ("error", code)
        assert told["message"] in plain.err

    @pytest.mark.skipif(sys.platform != "linux", reason="/proc")
    def test_a_password_in_the_command_line_is_hidden_from_ps(self) -> None:
        code = (
            "import sys; from nuki_bridge.command_line import cli;"
            "cli._hide_password(sys.argv[2]); print(open('/proc/self/cmdline').read())"
        )
        url = "mqtt://secret:secret%40@localhost/nuki"
        shown = subprocess.run(
            [sys.executable, "-c", code, "--broker", url, "last"], capture_output=True, text=True, check=True
        ).stdout
        assert "mqtt://secret:*********@localhost/nuki\0last" in shown


class TestCheckConfig:
    def test_a_valid_file_is_status_0(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "config.yaml"
        file.write_text("mqtt: {host: broker}\nlocks:\n  - name: front_door\n")
        assert run("check-config", "--config", str(file)) == 0
        assert capsys.readouterr().out == f"{file} is valid\n"

    def test_every_mistake_is_told_at_once_with_its_line(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "config.yaml"
        file.write_text("mqtt:\n  port: none\n  hots: a\nlocks:\n  - name: Front Door\n")
        assert run("check-config", "--config", str(file)) == 2
        lines = capsys.readouterr().err.splitlines()
        assert [line.split(": ")[:2] for line in lines] == [
            [f"{file}:2", "mqtt.port"],
            [f"{file}:3", "mqtt.hots"],
            [f"{file}:5", "locks[0].name"],
        ]

    @pytest.mark.parametrize("command", ["check-config", "run", "locks"])
    def test_a_named_file_that_is_not_there_is_status_2(
        self, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(command, "--config", str(tmp_path / "none.yaml")) == 2
        assert "none.yaml:1: " in capsys.readouterr().err

    def test_warnings_do_not_make_it_wrong(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "config.yaml"
        file.write_text("mqtt: {username: u, password: hidden}\n")
        file.chmod(0o644)
        assert run("check-config", "--config", str(file)) == 0
        shown = capsys.readouterr()
        assert shown.err.startswith("warning: ")
        assert "hidden" not in shown.out + shown.err


class TestFailures:
    @pytest.fixture(autouse=True)
    def _another_parser(self) -> Iterator[None]:
        """The parser knows the functions of the commands, and is made once in a process."""
        cli._parser.cache_clear()
        yield
        cli._parser.cache_clear()

    def test_a_bug_is_one_line_not_a_traceback(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def fail(_: argparse.Namespace) -> int:
            raise ZeroDivisionError("by\nzero")

        monkeypatch.setattr(daemon_commands, "check_config", fail)
        assert run("check-config") == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("nuki-bridge: internal error: ZeroDivisionError: by zero")

    def test_ctrl_c_is_quiet(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        def interrupted(_: argparse.Namespace) -> int:
            raise KeyboardInterrupt

        monkeypatch.setattr(daemon_commands, "check_config", interrupted)
        assert run("check-config") == 130
        assert capsys.readouterr() == ("", "")

    def test_a_reader_that_went_away_is_quiet(self, tmp_path: Path) -> None:
        """As in `nuki-bridge watch | head -1`."""
        file = tmp_path / "config.yaml"
        file.write_text("")
        reader, writer = os.pipe()
        os.close(reader)
        process = subprocess.run(
            [sys.executable, "-m", "nuki_bridge", "check-config", "--config", str(file)],
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
        os.close(writer)
        assert process.stderr == b""
        assert process.returncode == 1


class TestPin:
    def test_the_first_line_of_a_file_is_taken(self, tmp_path: Path) -> None:
        file = tmp_path / "pin"
        file.write_text("012345\nmore\n")
        assert secret_input.read_pin(str(file)) == "012345"

    def test_a_dash_is_standard_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("1234\n"))
        assert secret_input.read_pin("-") == "1234"

    @pytest.mark.parametrize("content", ["", "\n", "12 34", "1234567", "secret", "-123", "١٢٣٤"])
    def test_anything_but_digits_is_refused_without_being_shown(self, content: str, tmp_path: Path) -> None:
        file = tmp_path / "pin"
        file.write_text(content)
        with pytest.raises(RequestError) as refusal:
            secret_input.read_pin(str(file))
        assert "4 or 6 digits" in str(refusal.value)
        assert not content.strip() or content.strip() not in str(refusal.value)

    def test_an_unreadable_file_is_a_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(RequestError, match="cannot be read: No such file"):
            secret_input.read_pin(str(tmp_path / "none"))


class TestConsole:
    def test_a_table_is_aligned_and_leaves_empty_columns_out(self) -> None:
        rows: list[dict[str, Any]] = [
            {"name": "door", "rssi": -60, "door": None},
            {"name": "front_door", "rssi": None, "door": None},
        ]
        assert console.table(rows).splitlines() == ["NAME        RSSI", "door        -60", "front_door  -"]

    def test_a_table_can_show_some_columns_only(self) -> None:
        rows = [{"name": "door", "nuki_id": "AB", "rssi": -60}]
        assert console.table(rows, ("nuki_id", "name", "missing")).splitlines() == ["NUKI ID  NAME", "AB       door"]

    def test_fields_show_a_list_of_objects_as_a_table(self) -> None:
        text = console.fields({"up": True, "locks": [{"name": "a", "rssi": 1}, {"name": "bc", "rssi": None}]})
        assert text.splitlines() == ["up:    yes", "locks:", "  NAME  RSSI", "  a     1", "  bc    -"]

    def test_fields_show_what_is_nested_below(self) -> None:
        text = console.fields({"name": "door", "battery": {"level": 80, "critical": False}, "tags": ["a", "b"]})
        assert text.splitlines() == ["name:    door", "battery:", "  level:    80", "  critical: no", "tags:    a, b"]

    def test_text_from_outside_cannot_move_the_cursor(self) -> None:
        shown = console.table([{"name": "\x1b[2Jdoor\n\r\u202e"}])
        assert shown.splitlines()[1] == "?[2Jdoor???"

    def test_json_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        console.show([{"name": "Tür"}], as_json=True)
        assert capsys.readouterr().out == '[{"name": "Tür"}]\n'

    async def test_progress_is_said_after_a_second(self, capsys: pytest.CaptureFixture[str]) -> None:
        with console.progress("working"):
            await asyncio.sleep(0.9)
            assert capsys.readouterr().err == ""
            await asyncio.sleep(0.2)
            assert capsys.readouterr().err == "working ...\n"

    async def test_progress_of_something_quick_is_never_said(self, capsys: pytest.CaptureFixture[str]) -> None:
        with console.progress("working"):
            pass
        with console.progress("working", quiet=True):
            await asyncio.sleep(5)
        await asyncio.sleep(5)
        assert capsys.readouterr().err == ""

    async def test_a_terminal_keeps_one_line_up_to_date_and_forgets_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        monkeypatch.setattr(sys, "stderr", terminal := Terminal())
        with console.progress("waiting") as tell:
            await asyncio.sleep(2)
            tell("unlocking\x1b")
        assert terminal.getvalue() == "\r\x1b[Kwaiting ...\r\x1b[Kunlocking? ...\r\x1b[K"


@pytest.mark.parametrize(("service", "module"), [("run", "daemon_commands"), ("web", "web_commands")])
@pytest.mark.parametrize("options", [[], ["--config", "/etc/here.yaml"]])
def test_a_service_does_not_load_what_people_type(service: str, module: str, options: list[str]) -> None:
    """The daemon has 40 MiB for everything."""
    code = (
        "import sys; from nuki_bridge.command_line import start\n"
        f"assert start.service({[service, *options]}) is not None; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    modules = {each.rpartition(".")[2] for each in loaded if each.startswith("nuki_bridge.command_line.")}
    assert modules == {"start", module}
    assert {"asyncio", "argparse"} & set(loaded) == set()


@pytest.mark.parametrize(
    "line",
    [
        *("", "run --konfig x", "run --help", "run --config", "run --config -x", "run --config=x", "run x"),
        *("web setup --show", "web --config x y", "status", "--config x run"),
    ],
)
def test_what_does_not_just_start_a_service_has_every_command(line: str) -> None:
    assert start.service(line.split()) is None


def test_a_service_without_a_name_for_its_file_is_a_mistake() -> None:
    assert start.service(["run", "--config", ""]) is None
    assert start.service(["run", "--config", " "]) is None


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (ConfigError(["config.yaml:1: wrong"]), 2, "config.yaml:1: wrong\n"),
        (UnusableState("no room"), 2, "nuki-bridge: no room\n"),
        (BrokerError("gone"), 1, "nuki-bridge: gone (broker_error)\n"),
        (KeyboardInterrupt(), 130, ""),
        (ValueError("odd"), 1, "nuki-bridge: internal error: ValueError: odd (NUKI_BRIDGE_TRACEBACK=1 shows where)\n"),
    ],
)
def test_a_service_says_what_has_ended_it_as_any_command_does(
    error: BaseException, status: int, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(file: Path | None) -> int:
        assert file == Path("here")
        raise error

    monkeypatch.setattr(daemon_commands, "run_daemon", fail)
    assert start.main(["run", "--config", "here"]) == status
    assert capsys.readouterr().err == told


def test_check_config_tells_of_a_state_directory_that_cannot_be_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "config.yaml").write_text("log_level: info\nstate_dir: file/below\n")
    for command in ("check-config", "run"):
        assert cli.main([command, "--config", str(tmp_path / "config.yaml")]) == 2
        told = capsys.readouterr().err
        place = f"{tmp_path}/config.yaml:2: state_dir: " if command == "check-config" else str(tmp_path)
        assert told.removeprefix("nuki-bridge: ").startswith(place), told
        assert "not a directory" in told.lower()


@pytest.mark.parametrize("wrong", ["damaged", "newer", "another program's"])
def test_a_database_that_will_never_do_ends_the_daemon_with_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    """On which systemd does not start it again every two seconds."""
    store = Store(tmp_path / "state")
    store.open()
    store.close()
    path = tmp_path / "state" / "nuki-bridge.db"
    data = bytearray(path.read_bytes())
    if wrong == "damaged":
        data[:16] = b"junk" * 4
    elif wrong == "newer":
        data[60:64] = (9999).to_bytes(4, "big")
    else:
        data[68:72] = bytes(4)
    path.write_bytes(data)
    (tmp_path / "config.yaml").write_text(f"state_dir: {tmp_path}/state\n")
    assert cli.main(["run", "--config", str(tmp_path / "config.yaml")]) == 2
    assert wrong.partition("'")[0] in capsys.readouterr().err
    assert path.read_bytes() == bytes(data)
