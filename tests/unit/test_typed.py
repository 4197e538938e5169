"""What people type on the command line: taken as they mean it, or refused in their own words."""

from __future__ import annotations

import argparse

import pytest

from nuki_bridge.arguments import Check
from nuki_bridge.bridge.requests import REQUESTS
from nuki_bridge.command_line import access_options, cli, guest_commands, invite_commands, words
from nuki_bridge.command_line.client import parse_broker_url
from nuki_bridge.owner import access
from nuki_bridge.protocol.action_names import LOCK_ACTIONS, OPENER_ACTIONS
from nuki_bridge.protocol.codes import LockState, name_of
from nuki_bridge.sharing import invitations
from nuki_bridge.topics.set_arguments import states_named


def refused(capsys: pytest.CaptureFixture[str], *line: str) -> str:
    """What the command line says when it does not take this."""
    with pytest.raises(SystemExit) as end:
        cli.main(line)
    assert end.value.code == 2
    return capsys.readouterr().err.splitlines()[-1].removeprefix("nuki-bridge ")


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "time"), [("8:00", "08:00"), ("08:00", "08:00"), ("0:05", "00:05"), ("23:59", "23:59")]
    )
    def test_a_time_of_day_needs_no_leading_zero(self, text: str, time: str) -> None:
        given = cli.parse(["users", "update", "Anna", "--from-time", text, "--until-time", text])
        assert access_options.access_of(given) == {"time_from": time, "time_until": time}
        assert cli.parse(["invite", "--name", "Anna", "--to-time", text]).until_time == time
        assert cli.parse(["timecontrol", "add", text, "lock"]).time == time
        assert cli.parse(["timecontrol", "update", "1", "--time", text]).time == time

    def test_a_day_may_end_at_its_end(self) -> None:
        assert cli.parse(["keypad", "add", "Anna", "--until-time", "24:00"]).until_time == "24:00"

    @pytest.mark.parametrize("text", ["8", "24:01", "8:0", "8.00", "25:00", "8:60", "eight", "\u0668:00"])
    def test_what_is_no_time_of_day(self, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        told = refused(capsys, "users", "update", "Anna", "--from-time", text)
        assert told.endswith("argument --from-time: must be a time of day from 00:00 to 23:59, such as 8:00")

    @pytest.mark.parametrize("option", ["--from", "--until"])
    @pytest.mark.parametrize("text", ["tomorrow", "24.12.2026", "2026-13-01", "2026-12-24T25:00"])
    def test_what_is_no_day(self, option: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        told = refused(capsys, "users", "update", "Anna", option, text)
        assert f"argument {option}: must be a day such as 2026-12-24" in told

    @pytest.mark.parametrize("text", ["2026-12-24T18:00", "2026-12-24 18:00", "2026-12-24T18:00:00+01:00"])
    def test_a_moment_is_taken_as_it_is(self, text: str) -> None:
        assert cli.parse(["users", "update", "Anna", "--until", text]).until == text


class TestExpires:
    @pytest.mark.parametrize(("text", "seconds"), [("48h", 172800), ("2d", 172800), ("30m", 1800), ("1h30m", 5400)])
    def test_a_duration(self, text: str, seconds: int) -> None:
        assert cli.parse(["invite", "--name", "Anna", "--expires", text]).expires == seconds

    def test_a_bare_number_is_refused(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Five seconds are too short to send the letter, and nobody means them."""
        told = refused(capsys, "invite", "--name", "Anna", "--expires", "5")
        assert told.endswith("argument --expires: needs a unit: 5h for hours, 5m for minutes")

    @pytest.mark.parametrize("text", ["72h", "3d", "48h1s"])
    def test_too_long_a_one_is_told_the_longest(self, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert refused(capsys, "invite", "--name", "Anna", "--expires", text).endswith("must be 48h at most")

    def test_the_longest_is_the_bridges(self) -> None:
        assert invite_commands.LIFETIME_S == invitations.LIFETIME_S

    @pytest.mark.parametrize("text", ["soon", "0h", "-5m", "5 hours"])
    def test_what_is_no_duration(self, text: str) -> None:
        with pytest.raises(argparse.ArgumentTypeError, match="such as 24h"):
            invite_commands._lifetime(text)


class TestUnknownWords:
    def test_what_an_opener_cannot_do_is_answered_with_commands(self) -> None:
        said = "there is no such lock action; allowed are activate_rto, open, fob_action_1"
        assert words.in_options(said) == "this device cannot do that; what it can: activate-rto, open"
        for names in (LOCK_ACTIONS, OPENER_ACTIONS):
            said = f"there is no such lock action; allowed are {', '.join(names.by_name)}"
            for command in words.in_options(said).rpartition(": ")[2].split(", "):
                assert cli.parse([command]).command == command

    def test_a_setting_is_not_answered_with_all_settings(self) -> None:
        with pytest.raises(ValueError, match="allowed: name") as refusal:
            REQUESTS.lock["config/set"].arguments.check({"auto_lock_timout": 120})
        said = str(refusal.value)
        assert words.in_options(said) == "'auto_lock_timout' is not known; did you mean auto_lock_timeout?"
        odd = said.replace("auto_lock_timout", "xyzzy")
        assert words.in_options(odd) == "'xyzzy' is not known; `nuki-bridge config` shows what there is"

    @pytest.mark.parametrize(
        ("word", "hint"),
        [
            ("unlocekd", "; did you mean unlocked?"),
            ("Unlocked-LockNGo", "; did you mean unlocked_lock_n_go?"),
            ("xyzzy", ""),
        ],
    )
    def test_a_state_that_there_is_not_is_answered_with_the_nearest(self, word: str, hint: str) -> None:
        states = {name_of(each): int(each) for each in LockState}
        with pytest.raises(ValueError, match="only_if") as refusal:
            states_named(frozenset((word, "locked")), states)
        what = f"--only-if: '{word}' is not a state of this device; it is one of {', '.join(states)}"
        assert words.in_options(str(refusal.value)) == f"{what}{hint}"

    @pytest.mark.parametrize(
        ("line", "hint"),
        [
            ("unlok", "there is no command 'unlok'; did you mean unlock?"),
            ("lock_n_go", "there is no command 'lock_n_go'; did you mean lock-n-go?"),
            ("settings front", "there is no command 'settings'; did you mean config?"),
            ("qwertz", "there is no command 'qwertz'; see --help"),
            ("users front delete Anna", "'delete' is not known; it is one of list, update, remove, add; did you mean"),
            ("guest opne", "argument ACTION: 'opne' is not known; it is one of lock, unlock"),
            ("guest opne", "activate-rto, deactivate-rto, status; did you mean open?"),
            ("pair --as fob", "argument --as: 'fob' is not known; it is one of bridge, app"),
            ("timecontrol add 8:00 unlcok", "argument ACTION: 'unlcok' is not known; did you mean unlock?"),
            ("pair --adress 54:D2:72:AA:BB:CC", "unrecognized arguments: --adress 54:D2:72:AA:BB:CC; did you mean"),
            ("invite --name Anna --untill 2026-12-24", "unrecognized arguments: --untill; did you mean --until?"),
            ("keypad add Lisa --from-tim=8:00", "unrecognized arguments: --from-tim=8:00; did you mean --from-time?"),
        ],
    )
    def test_the_nearest_known_word_is_named(self, line: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert hint in refused(capsys, *line.split())

    @pytest.mark.parametrize("what", ["list", "revoke"])
    def test_what_stands_below_invite_has_its_own_help(self, what: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            cli.main(["invite", what, "--help"])
        told = capsys.readouterr().out
        assert f"nuki-bridge invite [LOCK] {what}" in told
        assert "--expires" not in told

    def test_the_commands_are_never_all_listed(self, capsys: pytest.CaptureFixture[str]) -> None:
        told = refused(capsys, "unlok")
        assert "timecontrol" not in told
        assert "choose from" not in told

    def test_every_synonym_leads_to_a_word_that_exists(self) -> None:
        known = {"list", "add", "update", "remove", *(cli._parser()._actions[-1].choices or ())}
        assert set(words.SYNONYMS.values()) <= known
        assert not known & set(words.SYNONYMS)


class TestFieldsAndOptions:
    @pytest.mark.parametrize(
        ("said", "shown"),
        [
            (
                "access part time_until must differ from time_from; leave both out for the whole day",
                "--until-time must differ from --from-time; leave both out for the whole day",
            ),
            (
                "access ends before it begins: until must be later than from",
                "this limit ends before it begins: --until must be later than --from",
            ),
            ("access part from must be a time such as 8", "--from must be a time such as 8"),
            ("name must not be longer than 32 bytes", "the name must not be longer than 32 bytes"),
            ("led_brightness must be a whole number from 0 to 5", "led_brightness must be a whole number from 0 to 5"),
            ("expires_in must be a duration", "--expires must be a duration"),
            ("name of an Opener must not be longer", "the name of an Opener must not be longer"),
            (
                'this is the bridge itself: if that is what you want, add "self": true (on the command line: --self)',
                "this is the bridge itself: if that is what you want, add --self",
            ),
            (
                "several locks are in pairing mode, give the address of one: A, B",
                "several locks are in pairing mode, give the --address of one: A, B",
            ),
            ("the motor is blocked; check the door and the bolt", "the motor is blocked; check the door and the bolt"),
        ],
    )
    def test_a_sentence_names_options(self, said: str, shown: str) -> None:
        assert words.in_options(said) == shown

    def test_every_option_that_is_named_exists(self) -> None:
        known = {option for parser in parsers(cli._parser()) for option in parser._option_string_actions}
        assert {each for each in words.OPTIONS.values() if each.startswith("--")} <= known

    def test_no_complaint_about_limits_has_a_field(self) -> None:
        for part in access._PARTS:
            with pytest.raises(ValueError, match=part) as refusal:
                access.check({part: "nonsense"})
            told = words.in_options(f"access {refusal.value}")
            assert told.startswith(words.OPTIONS[part]), told
            assert "part" not in told.split()

    def test_no_complaint_about_a_request_has_a_field_that_is_none_of_the_command_line(self) -> None:
        """Of all requests but for settings, whose names are typed as they are."""
        for name, declared in {**REQUESTS.bridge, **REQUESTS.lock}.items():
            if name.startswith(("config/", "debug")):
                continue
            checks: dict[str, Check[object]] = {**declared.arguments.required, **declared.arguments.optional}
            for field, check in checks.items():
                if "_" not in field:
                    continue
                with pytest.raises(ValueError, match="must") as refusal:
                    check([[]])
                assert not words.in_options(f"{field} {refusal.value}").startswith(field), name


def parsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """This one and all below it."""
    found = [parser]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += [each for below in action.choices.values() for each in parsers(below)]
    return found


class TestGuestsPassword:
    """A letter's URL names the guests' account alone: whoever redeems is asked for its password."""

    URL = "mqtts://guest@broker.example.net/nuki"

    def asked(
        self, url: str, typed: str, monkeypatch: pytest.MonkeyPatch, *, tty: bool = True
    ) -> tuple[str | None, str | None]:
        """Password and URL that are used then."""
        monkeypatch.setattr("sys.stdin.isatty", lambda: tty, raising=False)
        monkeypatch.setattr("getpass.getpass", lambda prompt: typed)
        settings, used = guest_commands._with_password(parse_broker_url(url), url)
        return (settings.password.reveal() if settings.password is not None else None, used)

    def test_it_is_used_and_remembered_with_the_url(self, monkeypatch: pytest.MonkeyPatch) -> None:
        password, url = self.asked(self.URL, "a/b@c:d", monkeypatch)
        assert password == "a/b@c:d"
        assert url is not None
        again = parse_broker_url(url)
        assert again.password is not None
        assert (again.username, again.password.reveal(), again.host) == ("guest", "a/b@c:d", "broker.example.net")

    def test_an_account_without_one_needs_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.asked(self.URL, "", monkeypatch) == (None, self.URL)

    def test_nobody_is_asked_who_has_said_it_or_cannot_be(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told = self.URL.replace("guest@", "guest:come-in@")
        assert self.asked(told, "another", monkeypatch) == ("come-in", told)
        assert self.asked("mqtt://broker/nuki", "another", monkeypatch) == (None, "mqtt://broker/nuki")
        assert self.asked(self.URL, "another", monkeypatch, tty=False) == (None, self.URL)
