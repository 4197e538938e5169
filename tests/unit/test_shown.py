"""What commands of an owner print when they have done their work, without a broker."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.command_line import cli


class Terminal(io.StringIO):
    """Standard output as somebody sees it."""

    def isatty(self) -> bool:
        """It is one."""
        return True


class FakeClient:
    """A conversation with a daemon that knows one lock and gives one answer."""

    def __init__(self, answer: Any, zone: str | None = None) -> None:
        self.answer = answer
        self.zone = zone
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def lock_name(self, name: str | None) -> str:
        """The only lock."""
        assert name in (None, "front")
        return "front"

    async def timezone(self, lock: str) -> str | None:
        """Its zone."""
        return self.zone

    async def ask(self, scope: str, command: str, data: dict[str, Any], timeout_s: float | None = None) -> Any:
        """Give the answer."""
        self.asked.append((scope, command, data))
        return self.answer


async def shown(line: str, answer: Any, capsys: pytest.CaptureFixture[str], zone: str | None = None) -> str:
    """What `nuki-bridge LINE` prints."""
    arguments = cli.parse(line.split())
    await arguments.handler(FakeClient(answer, zone), arguments)
    return capsys.readouterr().out


PAIRED = {"name": "front", "nuki_id": "12345678", "address": "54:D2:72:AA:BB:CC", "authorization_id": 7}
CODE = {"id": 1, "name": "Lisa", "enabled": True, "created": "2026-12-01T10:00:00+01:00", "lock_count": 0}


@pytest.fixture
def _in_india(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This computer's time zone, which no lock here has and which knows no summer time."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "IST-05:30")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_in_india")
@pytest.mark.parametrize("command", ["locks", "health"])
async def test_a_table_of_several_locks_has_one_time_zone(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"name": "front", "paired_at": "2026-07-01T21:00:00Z", "updated": "2026-12-01T10:00:00+01:00"},
        {"name": "shed", "paired_at": None, "updated": "2026-12-01T09:00:00+00:00"},
    ]
    answer: Any = rows if command == "locks" else {"version": "0.1.0", "locks": rows}
    lines = [" ".join(line.split()) for line in (await shown(command, answer, capsys)).splitlines()][-3:]
    assert lines == [
        "NAME PAIRED AT (UTC+05:30) UPDATED (UTC+05:30)",
        "front 2026-07-02 02:30:00 2026-12-01 14:30:00",
        "shed - 2026-12-01 14:30:00",
    ]
    assert json.loads(await shown(f"{command} --json", answer, capsys)) == answer


async def test_pair_says_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    told = await shown("pair --name front", PAIRED, capsys)
    assert "authorization_id: 7" in told
    assert "nuki-bridge pin front verify" in told
    assert json.loads(await shown("pair --json", PAIRED, capsys)) == PAIRED


async def test_pair_asks_nobody_for_a_pin_that_it_has_got(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pin").write_text("123456")
    told = await shown(f"pair --name front --pin-file {tmp_path}/pin", PAIRED, capsys)
    assert "front is paired" in told
    assert "pin front verify" not in told
    assert "nuki-bridge invite front" in told


async def test_unpair_says_what_is_left_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    told = await shown("unpair front", {**PAIRED, "removed_on_lock": False}, capsys)
    assert told.startswith("front is forgotten here. Left to do: delete nuki-bridge in the Nuki app")
    assert json.loads(await shown("unpair front --json", PAIRED, capsys)) == PAIRED


async def test_config_set_shows_what_was_set_as_the_lock_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    has = {"name": "Haus 7", "led_enabled": True, "led_brightness": 3}
    told = await shown("config set led_brightness=3 led_enabled=yes", has, capsys)
    assert told.splitlines() == ["led_brightness: 3", "led_enabled:    yes"]
    assert json.loads(await shown("config set led_brightness=3 --json", has, capsys)) == has


async def test_pin_says_what_happened_also_in_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for what, done, word in (
        ("verify", "the PIN is right, and used from now on", "verified"),
        ("set", "the PIN is changed", "changed"),
    ):
        for answer, note in (({}, ""), ({"note": "change it there, too"}, "; change it there, too")):
            monkeypatch.setattr(sys, "stdin", io.StringIO("1234\n"))
            assert await shown(f"pin {what} --pin-file -", answer, capsys) == f"{done}{note}\n"
            monkeypatch.setattr(sys, "stdin", io.StringIO("1234\n"))
            told = json.loads(await shown(f"pin {what} --pin-file - --json", answer, capsys))
            assert told == {"lock": "front", "pin": word, **answer}


async def test_reboot_says_what_happened_also_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert await shown("reboot", {"confirmed": True}, capsys) == "front: it starts anew\n"
    told = json.loads(await shown("reboot --json", {"confirmed": True}, capsys))
    assert told == {"lock": "front", "message": "it starts anew", "confirmed": True}


async def test_a_code_that_was_typed_is_shown_to_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getpass", lambda prompt: "345678")
    monkeypatch.setattr(sys, "stdin", Terminal())
    told = await shown("keypad add Lisa --weekdays mo-fr", {**CODE, "access": {"weekdays": ["mo", "tu"]}}, capsys)
    assert told.splitlines() == ["id:      1", "name:    Lisa", "enabled: yes", "access:  mo,tu"]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal := Terminal())
        await shown("keypad add Lisa", {**CODE, "access": None}, capsys)
    assert "code:    345678" in terminal.getvalue().splitlines()
    assert "access:  always" in terminal.getvalue().splitlines()


async def test_a_code_from_a_file_is_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("345678\n"))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal := Terminal())
        await shown("keypad add Lisa --code-file -", CODE, capsys)
    assert "345678" not in terminal.getvalue()
    assert "code" not in json.loads(await shown("keypad update 1 --disable --json", CODE, capsys))


async def test_weekdays_are_shown_as_they_are_typed(capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"id": 1, "enabled": True, "weekdays": ["mo", "tu", "we", "th", "fr"], "time": "22:30", "action": "lock"}
    table = (await shown("timecontrol", [entry, {**entry, "weekdays": ["sa", "su"]}], capsys)).splitlines()
    assert [line.split()[-1] for line in table] == ["WEEKDAYS", "mo-fr", "sa,su"]
    made = await shown("timecontrol add 22:30 lock --weekdays mo-fr", entry, capsys)
    assert "weekdays: mo-fr" in made.splitlines()
    assert json.loads(await shown("timecontrol --json", [entry], capsys)) == [entry]
    user = {"id": 7, "name": "Anna", "access": {"weekdays": ["mo", "tu", "we"], "time_from": "08:00"}}
    changed = await shown("users update Anna --weekdays mo-we --from-time 8:00", user, capsys)
    assert "access: mo-we 08:00–24:00" in changed.splitlines()


async def test_the_times_of_a_table_have_their_zone_in_the_heading(capsys: pytest.CaptureFixture[str]) -> None:
    winter = {"index": 1, "time": "2026-12-01T10:00:00+01:00", "type": "lock_action", "action": "lock"}
    other = {**winter, "index": 2, "time": "2026-12-02T23:05:09+01:00"}
    head, *lines = (await shown("log", [winter, other], capsys)).splitlines()
    assert head.split()[:3] == ["INDEX", "TIME", "(UTC+01:00)"]
    assert [line.split()[1:3] for line in lines] == [["2026-12-01", "10:00:00"], ["2026-12-02", "23:05:09"]]
    assert json.loads(await shown("log --json", [winter], capsys)) == [winter]
    summer = {**winter, "time": "2026-07-01T10:00:00+02:00"}
    head, *lines = (await shown("log", [winter, summer], capsys)).splitlines()
    assert head.split()[:3] == ["INDEX", "TIME", "TYPE"]
    assert [line.split()[1] for line in lines] == [winter["time"], summer["time"]]


async def test_a_zone_with_a_name_is_one_in_summer_and_winter(capsys: pytest.CaptureFixture[str]) -> None:
    winter = {"index": 1, "time": "2026-12-01T10:00:00+01:00", "type": "lock_action", "action": "lock"}
    summer = {**winter, "time": "2026-07-01T10:00:00+02:00"}
    head, *lines = (await shown("log", [winter, summer], capsys, "Europe/Berlin")).splitlines()
    assert head.split()[:3] == ["INDEX", "TIME", "(Europe/Berlin)"]
    assert [line.split()[1:3] for line in lines] == [["2026-12-01", "10:00:00"], ["2026-07-01", "10:00:00"]]
    assert json.loads(await shown("log --json", [winter], capsys, "Europe/Berlin")) == [winter]
    unset = {**winter, "time": None}
    assert "(UTC)" in await shown("log", [{**winter, "time": "2026-12-01T10:00:00+00:00"}, unset], capsys)
    assert "UTC" not in await shown("log", [unset], capsys)
    invited = {"id": 7, "user": "Anna", "expires": "2026-12-01T10:00:00+01:00", "remote": True, "access": None}
    assert "EXPIRES (UTC+01:00)" in await shown("invite list", [invited], capsys)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("timecontrol front remove 3", "front: entry 3 is removed"),
        ("log front --off", "front: it writes no log; what it has stays"),
        ("log front --on", "front: it writes its log"),
    ],
)
async def test_what_was_done_is_a_sentence(line: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await shown(line, {"id": 3}, capsys) == f"{sentence}\n"
    assert json.loads(await shown(f"{line} --json", {"id": 3}, capsys)) == {"id": 3}


async def test_watch_leaves_out_what_the_doctor_tries(capsys: pytest.CaptureFixture[str]) -> None:
    """A lock that does not exist is tried; somebody who watches meanwhile would take that for a rule of theirs."""

    class Watching(FakeClient):
        async def watch(self, *filters: str) -> AsyncIterator[tuple[str, bytes]]:
            """Give what comes in."""
            refused = b'{"status":"error","error":"unknown_lock","message":"there is no lock of this name"}'
            for lock in ("doctor.0123abcd", "Front Door", "front"):
                yield f"{lock}/result", refused

    arguments = cli.parse(["watch"])
    await arguments.handler(Watching(None), arguments)
    told = capsys.readouterr().out
    assert "doctor." not in told
    assert [line.split("  ")[1] for line in told.splitlines()] == ["Front Door", "front"]
