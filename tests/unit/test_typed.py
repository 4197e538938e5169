"""What people type on the command line: taken as they mean it, or refused in their own words."""

from __future__ import annotations

import argparse

import pytest

from nuki_bridge.command_line import access_options, cli, invite_commands
from nuki_bridge.sharing import invitations


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
