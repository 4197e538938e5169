"""The owner's commands, as typed: with the true daemon, a real mosquitto and a virtual lock."""

from __future__ import annotations

import json
import re
import signal
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import digits
from tests.integration.broker import Broker
from tests.integration.command import Result, call
from tests.integration.daemon import CLASSIC, Home, running

pytestmark = pytest.mark.real_time


class Owner:
    """Types commands."""

    def __init__(self, home: Home, port: int) -> None:
        self.home = home
        self._url = f"mqtt://127.0.0.1:{port}/nuki"

    async def type(self, *line: str, stdin: str = "") -> Result:
        return await call(*line, "--broker", self._url, stdin=stdin)

    async def get(self, *line: str, stdin: str = "") -> Any:
        result = await self.type(*line, "--json", stdin=stdin)
        assert result.status == 0, result.err
        return json.loads(result.out)


@asynccontextmanager
async def owning(tmp_path: Path) -> AsyncIterator[Owner]:
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker") as broker:
        async with running(broker, tmp_path) as home:
            await home.pair(CLASSIC, "front")
            yield Owner(home, broker.port)


async def test_an_evening_of_an_owner(tmp_path: Path) -> None:
    async with owning(tmp_path) as owner:
        refused = await owner.type("users", "front")
        assert (refused.status, "pin_required" in refused.err) == (1, True)
        assert (await owner.type("pin", "front", "verify", "--pin-file", "-", stdin="123456\n")).status == 1
        known = await owner.type("pin", "front", "verify", "--pin-file", "-", stdin="1234\n")
        assert (known.status, known.out) == (0, "the PIN is right, and used from now on\n")

        credential = tmp_path / "tablet.json"
        line = (
            "users",
            "front",
            "add",
            "Tablet",
            "--no-remote",
            "--weekdays",
            "mo-fr",
            "--credential",
            str(credential),
        )
        made = await owner.get(*line)
        assert stat.S_IMODE(credential.stat().st_mode) == 0o600
        assert json.loads(credential.read_text())["authorization_id"] == made["id"]
        again = await owner.type(*line)
        assert (again.status, "credential_exists" in again.err) == (1, True)

        changed = await owner.get("users", "front", "update", "Tablet", "--until", "2030-12-24", "--remote")
        assert (changed["remote"], changed["access"]) == (True, {"until": "2030-12-24T23:59:59+01:00"})
        changed = await owner.get(
            "users", "front", "update", str(made["id"]), "--always", "--disable", "--rename", "Old"
        )
        assert (changed["name"], changed["enabled"], changed["access"]) == ("Old", False, None)
        table = await owner.type("users", "front", "list")
        assert [line.split()[1] for line in table.out.splitlines()] == ["NAME", "nuki-bridge", "Old"]
        await owner.home.until(lambda: '"Old"' in (owner.home.last("front/users") or ""))
        assert json.loads(owner.home.last("front/users") or "")[1]["name"] == "Old"
        assert (await owner.type("users", "front", "remove", "Old")).status == 0
        assert len(await owner.get("users", "front")) == 1
        own = (await owner.get("users", "front"))[0]["id"]
        assert "own_authorization" in (await owner.type("users", "front", "remove", str(own))).err

        settings = await owner.get("config", "front", "set", "pairing_enabled=false", "name=Haus 7", "led_brightness=2")
        assert (settings["pairing_enabled"], settings["name"], settings["led_brightness"]) == (False, "Haus 7", 2)
        read = await owner.get("config", "front")
        assert {**read, "time": None} == {**settings, "time": None}
        wrong = await owner.type("config", "front", "set", "nuki_id=1")
        assert (wrong.status, "read-only" in wrong.err) == (1, True)

        file = tmp_path / "new-pin"
        file.write_text("4711\n")
        assert (await owner.type("pin", "front", "set", "--pin-file", str(file))).out == "the PIN is changed\n"
        assert len(await owner.get("users", "front")) == 1

        assert (await owner.type("unlock", "front")).status == 0
        await owner.home.until(lambda: owner.home.on("front/event"))
        log = await owner.get("log", "front", "--count", "1")
        assert (log[0]["action"], log[0]["user"]["id"], log[0]["source"]) == ("unlock", own, "bridge")
        assert "unlock" in (await owner.type("log", "front")).out
        assert json.loads(credential.read_text())["shared_key"] not in owner.home.daemon.log
        heard = str([each for each in owner.home.heard if "/request/" not in each[0]])
        for told in (owner.home.daemon.log, heard):
            assert not digits.shown("4711", told)


async def test_codes_times_and_upkeep_of_a_lock(tmp_path: Path) -> None:
    async with owning(tmp_path) as owner:
        assert (await owner.type("pin", "verify", "--pin-file", "-", stdin="1234\n")).status == 0
        assert (await owner.type("keypad")).out == "no codes\n"
        made = await owner.get("keypad", "add", "Lisa", "--code-file", "-", "--weekdays", "mo-fr", stdin="345678\n")
        assert (made["name"], made["access"], "code" in made) == (
            "Lisa",
            {"weekdays": ["mo", "tu", "we", "th", "fr"]},
            False,
        )
        drawn = await owner.get("keypad", "front", "add", "Tom", "--random")
        assert re.fullmatch("(?!12)[1-9]{6}", drawn["code"])
        assert (await owner.type("keypad", "list", "--codes")).out.split()[:3] == ["ID", "NAME", "CODE"]
        told = {each["name"]: each["code"] for each in await owner.get("keypad", "list", "--codes")}
        assert told == {"Lisa": "345678", "Tom": drawn["code"]}
        changed = await owner.get("keypad", "update", "Lisa", "--always", "--disable", "--rename", "Lise")
        assert (changed["name"], changed["enabled"], changed["access"]) == ("Lise", False, None)
        wrong = await owner.type("keypad", "add", "Max", "--code-file", "-", stdin="123456\n")
        assert (wrong.status, "123456" in wrong.err, "six digits" in wrong.err) == (1, False, True)
        assert (await owner.type("keypad", "add", "Max")).status == 2
        assert (await owner.type("keypad", "remove", "Lise")).status == 0
        assert [each["name"] for each in await owner.get("keypad")] == ["Tom"]
        assert "345678" not in owner.home.daemon.log

        entry = await owner.get("timecontrol", "add", "22:30", "lock", "--weekdays", "sa-su")
        assert entry == {"id": 1, "enabled": True, "weekdays": ["sa", "su"], "time": "22:30", "action": "lock"}
        changed = await owner.get("timecontrol", "update", "1", "--action", "full-lock", "--disable")
        assert changed == {**entry, "action": "full_lock", "enabled": False}
        assert "22:30" in (await owner.type("timecontrol", "front")).out
        assert (await owner.type("timecontrol", "remove", "1")).status == 0
        assert (await owner.type("timecontrol")).out == "no entries\n"

        assert (await owner.type("calibrate")).out == "front: calibrated, it is unlocked now\n"
        assert (await owner.type("set-clock", "--time", "2026-12-01T10:00:00+01:00")).out == (
            "front: its clock was set to 2026-12-01T10:00:00+01:00\n"
        )
        assert (await owner.type("reboot")).out == "front: it starts anew\n"


async def test_a_killed_daemon_repeats_and_loses_no_event(tmp_path: Path) -> None:
    async with owning(tmp_path) as owner:
        home = owner.home
        assert (await owner.type("pin", "front", "verify", "--pin-file", "-", stdin="1234")).status == 0
        for action in ("unlock", "lock", "unlock"):
            assert (await owner.type(action, "front")).status == 0
            await home.until(lambda: home.on("front/event"))
            # Killed between telling of it and noting that it was told, it could only tell again: it has done both when
            # it answers.
            await home.ask("front/request/refresh")
            told = len(home.on("front/event"))
            home.daemon.signal(signal.SIGKILL)
            await home.daemon.ended(5)
            home.heard.clear()
            home.daemon.start()
            await home.until(lambda: home.last("front/state") and home.last("front/availability") == "online")
            await home.ask("front/request/refresh")
            assert told == 1
            assert home.on("front/event") == []
