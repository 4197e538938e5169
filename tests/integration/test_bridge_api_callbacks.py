"""Callbacks of the Bridge HTTP API: who is told, who is not, and that one which never answers keeps nobody waiting."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.bridge_http.post import SILENT_S
from tests import patience
from tests.integration.bridge_house import (
    LOCK,
    NUKI_ID,
    UNLATCH,
    UNLOCK,
    Caller,
    House,
    another_process,
    house,
    listening,
    patience_until,
)

pytestmark = pytest.mark.real_time


async def add(home: House, url: str) -> dict[str, Any]:
    answer = await home.caller.get("callback/add", url=url)
    assert answer.status == 200, answer
    told: dict[str, Any] = answer.json()
    return told


async def urls(home: House) -> dict[int, str]:
    return {each["id"]: each["url"] for each in (await home.caller.get("callback/list")).json()["callbacks"]}


async def test_each_change_is_told_in_its_order(tmp_path: Path) -> None:
    async with house(tmp_path) as home, listening() as program:
        await home.home.ask("front/simulate", {"motor_s": 2.0})  # what is over sooner than it is seen is not told
        assert await add(home, program.url) == {"success": True}
        for turn in ("unlocked", "locked"):  # by hand; until then it may be told of the start
            await home.home.ask("front/simulate", {"turn": turn})
            await program.told(turn)
        program.requests.clear()
        for action, end in ((UNLOCK, "unlocked"), (LOCK, "locked")):
            assert (await home.caller.action(action)).json()["success"] is True
            await program.told(end)
        assert program.states() == ["unlocking", "unlocked", "locking", "locked"]
        first, body = program.requests[-1]
        assert first == "POST /told?id=7 HTTP/1.1"
        assert "content-type: application/json" in program.heads[-1].lower()
        assert (body["nukiId"], body["state"], body["mode"]) == (NUKI_ID, 1, 2)
        assert not {"timestamp", "success", "lastKnownState"} & set(body)
        await home.home.ask("front/simulate", {"door": "open"})
        await home.home.ask("front/request/refresh")
        await patience.until(lambda: program.requests[-1][1]["doorsensorStateName"] == "door opened")


async def test_a_listener_that_never_answers_keeps_nobody_waiting(tmp_path: Path) -> None:
    async with house(tmp_path) as home, listening("never") as dead, listening("endless") as mad, listening() as program:
        began = time.monotonic()
        for each in (dead, mad, program):
            assert await add(home, each.url) == {"success": True}
        before = home.web.rss_mib
        for action, end in ((UNLOCK, "unlocked"), (LOCK, "locked"), (UNLATCH, "unlatched")):
            async with asyncio.timeout(30):
                assert (await home.caller.action(action)).json()["success"] is True
            async with asyncio.timeout(5):
                await program.told(end, 0)
        assert len(dead.requests) <= 1 + (time.monotonic() - began) / SILENT_S  # one after the other
        assert await home.movements() == 3
        assert home.web.rss_mib < before + 8


async def test_who_comes_back_is_told_what_is_true_now(tmp_path: Path) -> None:
    async with house(tmp_path) as home, listening("refuse") as program:
        await add(home, program.url)
        await home.caller.action(UNLOCK)
        await patience.until(lambda: program.requests)
        for action in (LOCK, UNLOCK, LOCK, UNLATCH, LOCK):
            await home.caller.action(action)
        await home.settled("locked")
        before, program.how = len(program.requests), "ok"
        await patience.until(lambda: len(program.requests) > before and program.states()[-1] == "locked")
        await asyncio.sleep(2.0)
        assert len(program.requests) <= before + 2  # not each that it has missed


async def test_a_redirection_is_not_followed(tmp_path: Path) -> None:
    """Also not one to the bridge itself, with which a listener would act by the bridge's own hand."""
    async with house(tmp_path, plain_token=True) as home, listening() as other:
        own = f"http://127.0.0.1:{home.port}" + Caller(home.port, way="plain").url(
            "lockAction", nukiId=NUKI_ID, action=UNLATCH
        )
        async with listening("redirect", other.url) as first, listening("redirect", own) as second:
            for each in (first, second):
                await add(home, each.url)
            await home.home.ask("front/simulate", {"turn": "unlocked"})
            await patience.until(lambda: first.requests and second.requests)
            await asyncio.sleep(1.5)
        assert other.requests == []
        assert await home.movements() == 0


async def test_a_callback_to_the_bridge_itself_moves_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, plain_token=True) as home:
        own = f"http://127.0.0.1:{home.port}" + Caller(home.port, way="plain").url(
            "lockAction", nukiId=NUKI_ID, action=UNLATCH
        )
        broker = f"http://127.0.0.1:{home.broker.port}/"
        for url in (own, broker):
            await add(home, url)
        await home.home.ask("front/simulate", {"turn": "unlocked"})
        await home.settled("unlocked")
        await asyncio.sleep(2.0)
        assert await home.movements() == 0


async def test_urls_that_are_not_taken(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        for url in (
            "",
            "https://127.0.0.1/",
            "file:///etc/passwd",
            "ftp://127.0.0.1/",
            "127.0.0.1:80/x",
            "http://",
            "http:///x",
            "http://a:b@127.0.0.1/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:99999/",
            "http://127.0.0.1:x/",
            "http://127.0.0.1/a b",
            "http://127.0.0.1/\r\nX: y",
            "http://127.0.0.1/\n",
            "http://127.0.0.1/\0",
            "http://" + "a" * 250 + ".de/",
            "javascript:alert(1)",
            "http://[::1/",
        ):
            answer = await home.caller.get("callback/add", url=url)
            assert answer.status == 400 or answer.json()["success"] is False, url
        assert (await home.caller.get("callback/add")).status == 400
        assert await urls(home) == {}


async def test_three_that_stay(tmp_path: Path) -> None:
    """With the same IDs after the process was killed, and the same letters: programs compare them."""
    async with house(tmp_path, plain_token=True) as home, listening() as program:
        home.caller.way = "plain"  # for a minute after a crash the others are not taken
        texts = [program.url, "http://127.0.0.1:1/NUKI/%C3%A4?a=%2F&b=c;d", f"http://127.0.0.1:1/{'x' * 235}"]
        assert len(texts[2]) == 254
        for text in texts:
            assert await add(home, text) == {"success": True}
        await add(home, texts[0])  # again: no second one
        kept = dict(enumerate(texts))
        assert await urls(home) == kept
        assert (await add(home, "http://127.0.0.1:1/fourth"))["success"] is False
        await another_process(home, signal.SIGKILL)
        await patience_until(lambda: urls(home), kept)
        await home.home.ask("front/simulate", {"turn": "unlocked"})
        await patience.until(lambda: program.states()[-1:] == ["unlocked"])

        assert (await home.caller.get("callback/remove", id=1)).json()["success"] is True
        assert await urls(home) == {0: texts[0], 2: texts[2]}  # the others keep theirs
        for wrong in (1, 3, -1, 99, "x", ""):
            answer = await home.caller.get("callback/remove", id=wrong)
            assert answer.status == 400 or answer.json()["success"] is False, wrong
        assert (await home.caller.get("callback/remove")).status == 400
        assert (await home.caller.get("callback/remove", id=0)).json()["success"] is True
        number = len(program.requests)
        await home.home.ask("front/simulate", {"turn": "locked"})
        await home.settled("locked")
        await asyncio.sleep(0.5)
        assert len(program.requests) == number
