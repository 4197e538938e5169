"""What the Bridge HTTP API refuses, and that this costs nobody anything.

Calls that were recorded or forged, bad parameters, floods, restarts, callers that give up and ask again.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests import patience
from tests.integration.bridge_house import (
    LOCK,
    NUKI_ID,
    TOKEN,
    UNLATCH,
    UNLOCK,
    Answer,
    Caller,
    House,
    another_process,
    house,
    parse,
    patience_until,
    raw,
    send,
    status,
)
from tests.integration.daemon import Home

pytestmark = pytest.mark.real_time


async def moved(home: House, number: int) -> None:
    """Nothing else moves: the motor was started so often, also a moment later."""
    await asyncio.sleep(0.5)
    assert await home.movements() == number


# -- the token --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["encrypted", "hashed"])
async def test_a_call_that_somebody_recorded_moves_nothing(tmp_path: Path, way: str) -> None:
    async with house(tmp_path) as home:
        caller = Caller(home.port, way=way)
        recorded = caller.url("lockAction", nukiId=NUKI_ID, deviceType=0, action=UNLATCH)
        assert (await send(home.port, recorded)).json()["success"] is True
        again = await asyncio.gather(*(send(home.port, recorded) for _ in range(5)))
        assert {each.status for each in again} == {401}
        other = recorded.replace(f"action={UNLATCH}", f"action={UNLOCK}")  # the token is not bound to the action
        assert (await send(home.port, other)).status == 401
        upper = recorded.upper().replace("/LOCKACTION", "/lockAction").replace("NUKIID", "nukiId")
        assert (await send(home.port, upper)).status in (400, 401, 404)
        await moved(home, 1)

        at_once = caller.url("lockAction", nukiId=NUKI_ID, deviceType=0, action=LOCK)
        answers = await asyncio.gather(*(send(home.port, at_once) for _ in range(8)))
        assert sorted({each.status for each in answers}) in ([200, 401], [200, 401, 503])
        assert [each.status for each in answers].count(200) == 1
        await moved(home, 2)


@pytest.mark.parametrize("way", ["encrypted", "hashed"])
async def test_a_call_of_another_time_moves_nothing(tmp_path: Path, way: str) -> None:
    async with house(tmp_path) as home:
        caller = Caller(home.port, way=way)
        for later_s in (-3600, -63, 90, 3600, 86400 * 365):  # what is ahead comes nearer while the call is on its way
            url = caller.url("lockAction", later_s, nukiId=NUKI_ID, deviceType=0, action=UNLOCK)
            assert (await send(home.port, url)).status == 401, later_s
        await moved(home, 0)
        for later_s in (-50, 50):
            assert (await send(home.port, caller.url("list", later_s))).status == 200, later_s


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_what_was_used_stays_used_when_the_process_is_started_anew(tmp_path: Path, how: int) -> None:
    async with house(tmp_path) as home:
        recorded = [
            Caller(home.port, way=way).url("lockAction", later_s, nukiId=NUKI_ID, deviceType=0, action=UNLATCH)
            for way in ("encrypted", "hashed")
            for later_s in (0, 15)
        ]
        for url in recorded:
            assert (await send(home.port, url)).json()["success"] is True
        before = await home.movements()
        await another_process(home, how)
        for url in recorded:
            assert (await send(home.port, url)).status in (401, 503)
        await moved(home, before)
        if how == signal.SIGTERM:  # after a crash it takes a minute
            await patience_until(lambda: status(home.caller, "list"), 200)


async def test_wrong_tokens(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        right = home.caller.shown()
        wrong: list[dict[str, str]] = [
            {},
            {"token": TOKEN},  # plain ones are off
            {"token": ""},
            Caller(home.port, "another").shown(),
            Caller(home.port, "another", "hashed").shown(),
            Caller(home.port, "", "hashed").shown(),
            {**right, "nonce": "00" * 24},
            {**right, "nonce": right["nonce"][:-2]},
            {"ctoken": right["ctoken"]},
            {"nonce": right["nonce"]},
            {**right, "ctoken": right["ctoken"][:-2]},
            {**right, "ctoken": "zz" * 42},
            {
                "ts": "2019-03-05T01:06:53Z",
                "rnr": "4711",
                "hash": "f52eb5ce382e356c4239f8fb4d0a87402bb95b7b3124f0762b806ad7d0d01cb6",
            },
            {"ts": "", "rnr": "", "hash": ""},
            {"ts": "9999999999", "rnr": "-1", "hash": "0" * 64},
            {"hash": "é" * 64, "ts": "\0", "rnr": "1e3"},
        ]
        for shown in wrong:
            for path in (
                "list",
                "info",
                "lockState",
                "lockAction",
                "lock",
                "unlock",
                "callback/add",
                "callback/list",
                "callback/remove",
            ):
                query = urlencode(
                    {
                        "nukiId": NUKI_ID,
                        "deviceType": 0,
                        "action": UNLOCK,
                        "url": "http://127.0.0.1:1/",
                        "id": 0,
                        **shown,
                    }
                )
                answer = await send(home.port, f"/{path}?{query}")
                assert answer.status == 401, (path, shown, answer)
        assert (await home.caller.get("list")).status == 200
        assert (await home.caller.get("callback/list")).json() == {"callbacks": []}
        await moved(home, 0)


async def test_the_token_is_told_to_nobody(tmp_path: Path) -> None:
    """Not by a log of any level, not by the process list, not by an answer, not at the broker."""
    async with house(tmp_path, plain_token=True) as home:
        plain = Caller(home.port, way="plain")
        calls = [
            plain.url("list"),
            plain.url("lockAction", nukiId=NUKI_ID, action=99),
            plain.url("nonsense"),
            plain.url("lockAction", nukiId=1, action=1),
        ]
        told = [await send(home.port, url) for url in calls]
        told.append(await send(home.port, f"/list?token={TOKEN}x"))
        told.append(parse(await raw(home.port, f"GET /list?token={TOKEN} HTTP/9.9\r\n\r\n".encode())))
        told.append(parse(await raw(home.port, f"BREW /list?token={TOKEN} HTTP/1.1\r\nHost: a\r\n\r\n".encode())))
        assert [
            each for each in told if TOKEN in each.text or any(TOKEN in value for value in each.headers.values())
        ] == []
        assert TOKEN not in home.web.log
        assert TOKEN not in home.daemon.log
        assert TOKEN not in called(home.web.process.pid)
        assert [topic for topic, payload, _ in home.home.heard if TOKEN in payload] == []
        assert [file for file in kept(tmp_path / "web-state") if TOKEN.encode() in file.read_bytes()] == []
        assert [file for file in kept(tmp_path / "web-state") if file.stat().st_mode & 0o077] == []


def called(pid: int) -> str:
    """What the process list shows of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/environ").read_text()


def kept(directory: Path) -> list[Path]:
    """The files that the process keeps."""
    found = [each for each in directory.rglob("*") if each.is_file()]
    assert found
    return found


# -- parameters -------------------------------------------------------------------------------------------------------


async def test_bad_parameters_get_the_makers_codes_and_move_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        for action in (0, 6, 7, -1, 80, 99, "1.0", "1e0", "unlock", "", " 1", "0x1", "１", 10**30, "1,2", "true"):
            assert (await home.caller.action(action)).status == 400, action
        assert (await home.caller.get("lockAction", nukiId=NUKI_ID)).status == 400
        assert (await home.caller.get("lockAction", action=UNLOCK)).status in (400, 404)
        for unknown in (
            0,
            1,
            NUKI_ID + 1,
            NUKI_ID - 2**32,
            NUKI_ID + 2**32,
            -NUKI_ID,
            "front",
            "",
            "1.5",
            "nuki/front",
            "#",
            10**40,
        ):
            for path in ("lockAction", "lockState", "lock", "unlock"):
                answer = await home.caller.get(path, nukiId=unknown, action=UNLOCK)
                assert answer.status in (400, 404), (path, unknown, answer)
        for path in (
            "",
            "nonsense",
            "lockaction/",
            "../etc/passwd",
            "reboot",
            "factoryReset",
            "fwupdate",
            "clearlog",
            "unpair",
        ):
            answer = await home.caller.get(path, nukiId=NUKI_ID)
            assert answer.status in (400, 404, 501), (path, answer)
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            url = home.caller.url("lockAction", nukiId=NUKI_ID, action=UNLOCK)
            assert (await send(home.port, url, method)).status in (400, 404, 405, 501), method
        await moved(home, 0)


async def test_a_parameter_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """Else somebody between could add a second one, and two programs would each take another."""
    async with house(tmp_path) as home:
        for twice in (f"action={UNLATCH}", "action=9", f"nukiId={NUKI_ID}", "nukiId=7", f"Action={UNLATCH}"):
            url = home.caller.url("lockAction", nukiId=NUKI_ID, deviceType=0, action=LOCK)
            assert (await send(home.port, f"{url}&{twice}")).status == 400, twice
        await moved(home, 0)


async def test_how_programs_write_their_calls(tmp_path: Path) -> None:
    """In the forms that pynuki, nuki-bridge-api, homebridge-nb and SymconNukiBridge use."""
    async with house(tmp_path) as home:
        hashed = Caller(home.port, way="hashed")
        shown = "&".join(f"{name}={value}" for name, value in hashed.shown().items())
        assert (await send(home.port, f"/list?1&{shown}")).status == 200  # a parameter without a value, ":" as it is
        shown = "&".join(f"{name}={value}" for name, value in hashed.shown().items())
        assert (
            await send(home.port, f"/lockState?nukiId={NUKI_ID:X}&deviceType=4&{shown}")
        ).status == 200  # hexadecimal
        shown = "&".join(f"{name}={value}" for name, value in home.caller.shown().items())
        answer = await send(home.port, f"/lockAction?{shown}&nukiId={NUKI_ID}&deviceType=0&action=1&noWait=0")
        assert (answer.status, answer.json()["success"]) == (200, True)
        misspelt = home.caller.url("list").replace("nonce=", "nounce=")  # as the maker's own example
        assert (await send(home.port, misspelt)).status == 200
        await moved(home, 1)


async def test_the_answers_have_what_programs_cannot_do_without(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.introduced()
        listed, info = await home.caller.get("list"), await home.caller.get("info")
        assert {each.headers["content-type"].partition(";")[0] for each in (listed, info)} == {"application/json"}
        [item] = listed.json()
        assert item["nukiId"] == NUKI_ID
        assert re.fullmatch(r"\d+\.\d+\.\d+", item["firmwareVersion"])  # homebridge-nb leaves out a lock without
        assert item["deviceType"] in (0, 2, 3, 4)
        assert {"mode", "state", "stateName", "batteryCritical", "timestamp"} <= set(item["lastKnownState"])
        told = info.json()
        assert told["bridgeType"] == 1  # else nuki-bridge-api sends its token as it is
        assert re.fullmatch(r"[\d.]+", told["versions"]["firmwareVersion"])
        for number in told["ids"].values():  # openHAB's are 32 bit with sign, homebridge-nb wants eight digits
            assert 0x10000000 <= number <= 0x7FFFFFFF
        assert '"scanResults": [' in info.text  # FHEM looks for these letters
        assert "\n" not in info.text.strip()
        for refused in (401, 404, 400):
            answer = {
                401: await send(home.port, "/list"),
                404: await home.caller.get("lockState", nukiId=1),
                400: await home.caller.action(9),
            }[refused]
            assert answer.status == refused
            assert "error" in answer.text.lower()  # FHEM takes it for good otherwise


# -- many, slow, large ------------------------------------------------------------------------------------------------


async def test_callers_that_send_nothing_keep_nobody_waiting(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        slow = []
        for number in range(60):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", home.port)
            except ConnectionError:
                break
            writer.write(b"GET /li"[: number % 8])
            slow.append((reader, writer))
        try:
            answer = await patience.until(lambda: True) and await home.caller.action(UNLOCK)
            assert (answer.status, answer.json()["success"]) == (200, True)
            async with asyncio.timeout(patience.HANG_S):  # and they are shown the door
                for reader, _ in slow:
                    with contextlib.suppress(ConnectionError):
                        await reader.read()
        finally:
            for _, writer in slow:
                writer.close()
        await moved(home, 1)


async def test_floods_and_large_requests(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        before = home.web.rss_mib
        for huge in (
            b"GET /list?" + b"a=1&" * 60000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /list HTTP/1.1\r\n" + b"X-Large: " + b"a" * 300000 + b"\r\n\r\n",
            b"GET /list HTTP/1.1\r\n" + b"X: y\r\n" * 50000 + b"\r\n",
            b"POST /list HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999\r\n\r\n" + b"x" * 200000,
            b"POST /list HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"ffffffff\r\n" + b"x" * 200000,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
            b"\n" * 100000,
        ):
            try:
                answer = await raw(home.port, huge)
            except ConnectionError:
                continue
            assert not answer.startswith(b"HTTP/1.1 200"), huge[:60]
        for _ in range(4):
            answers = await asyncio.gather(
                *(try_(home, f"/lockAction?nukiId={NUKI_ID}&action=1&token=guess{number}") for number in range(60))
            )
            assert {each.status for each in answers if each is not None} <= {401, 503}
        url = home.caller.url("lockAction", nukiId=NUKI_ID, action=UNLOCK)
        twice = f"GET {url} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        await raw_closing(home.port, twice + twice)  # pipelined
        await moved(home, 1)
        assert home.web.rss_mib < before + 16
        assert (await home.caller.get("list")).status == 200


async def try_(home: House, url: str) -> Answer | None:
    try:
        return await send(home.port, url)
    except (ConnectionError, AssertionError):
        return None


async def raw_closing(port: int, data: bytes) -> None:
    """Send it, wait for the first answer, and go."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(patience.HANG_S):
        await reader.read(1)
    await asyncio.sleep(0.3)
    writer.close()


async def test_pollers_do_not_keep_a_command_away(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        polling = True

        async def poll() -> None:
            while polling:
                await try_(home, home.caller.url("list"))
                await try_(home, home.caller.url("lockState", nukiId=NUKI_ID))

        pollers = [asyncio.create_task(poll()) for _ in range(4)]
        try:
            for number, action in enumerate((UNLOCK, LOCK, UNLATCH), 1):
                answer = await home.caller.action(action)
                assert (answer.status, answer.json()["success"]) == (200, True)
                assert await home.movements() == number
        finally:
            polling = False
            await asyncio.gather(*pollers)


async def test_the_same_command_of_several_at_once_moves_the_door_once(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.home.ask("front/simulate", {"motor_s": 2.0})  # who is asked after its end is asked for another one
        answers = await asyncio.gather(*(home.caller.action(UNLATCH) for _ in range(4)))
        assert [(each.status, each.json()["success"]) for each in answers] == [(200, True)] * 4
        await moved(home, 1)
        assert (await home.caller.action(UNLATCH)).json()["success"] is True  # and then it is another command
        await moved(home, 2)


async def test_different_commands_at_once_are_done_one_after_the_other_or_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        answers = await asyncio.gather(
            home.caller.action(UNLATCH), home.caller.action(LOCK), home.caller.action(UNLOCK)
        )
        assert {each.status for each in answers} <= {200, 503}
        done = [each for each in answers if each.status == 200 and each.json()["success"]]
        assert done
        # Which comes first is not said: to unlock, or to lock a locked door, there may have been nothing to do.
        idle = [each for each in await home.home.audit() if each["detail"] == "nothing to do"]
        assert len(idle) <= 1
        await moved(home, len(done) - len(idle))


# -- callers that give up ---------------------------------------------------------------------------------------------


async def test_a_caller_that_gives_up_and_asks_again_moves_the_door_once(tmp_path: Path) -> None:
    """As `got` does: the same address again, because the first answer did not come."""
    async with house(tmp_path) as home:
        await home.home.ask("front/simulate", {"motor_s": 3.0})
        for way, action in (("encrypted", UNLATCH), ("hashed", LOCK)):
            before, results = await home.movements(), len(home.home.on("front/result"))
            url = Caller(home.port, way=way).url("lockAction", nukiId=NUKI_ID, deviceType=0, action=action)
            for _ in range(3):
                await begin_and_hang_up(home.port, url)
            await home.home.until(partial(more_results, home.home, results))
            await moved(home, before + 1)


async def test_a_caller_with_a_plain_token_that_gives_up_and_asks_again_moves_the_door_once(tmp_path: Path) -> None:
    async with house(tmp_path, plain_token=True) as home:
        await home.home.ask("front/simulate", {"motor_s": 12.0})
        url = Caller(home.port, way="plain").url("lockAction", nukiId=NUKI_ID, deviceType=0, action=UNLATCH)
        request = f"GET {url} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        for number in range(1, 4):
            await home.web.hung_up_on(request, "unlatch (is|was) asked", number)
        assert home.home.on("front/result") == []
        await home.home.until(lambda: home.home.on("front/result"))
        await moved(home, 1)


def more_results(home: Home, than: int) -> bool:
    """Whether another action has come to its end."""
    return len(home.on("front/result")) > than


async def begin_and_hang_up(port: int, url: str) -> None:
    """Ask, and go half a second later."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {url} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    await asyncio.sleep(0.5)
    writer.close()


async def test_nowait_answers_at_once_and_moves_once(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.home.ask("front/simulate", {"motor_s": 5.0})
        async with asyncio.timeout(3.0):
            answer = await home.caller.action(UNLOCK, noWait=1)
        assert (answer.status, answer.json()["success"]) == (200, True)
        await home.settled("unlocked")
        await moved(home, 1)


# -- somebody is away -------------------------------------------------------------------------------------------------


async def test_without_the_broker_nothing_is_promised_and_nothing_comes_later(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.broker.freeze()
        first = asyncio.create_task(try_(home, home.caller.url("lockAction", nukiId=NUKI_ID, action=UNLATCH)))
        await asyncio.sleep(0.5)
        home.broker.stop()
        answer = await first
        assert answer is None or answer.status == 503 or answer.json()["success"] is False
        for path in ("lockAction", "lockState", "unlock"):
            answer = await home.caller.get(path, nukiId=NUKI_ID, action=UNLATCH)
            assert answer.status == 503, path
            assert "unavailable" not in answer.text.lower()  # FHEM would ask again each second, for ever
        (tmp_path / "broker" / "etc").rename(tmp_path / "broker" / "was")
        home.broker.start()
        peer = home.broker.peer("everybody")
        await peer.subscribe("nuki/#")
        watching = Home(home.broker, home.daemon, peer)
        try:
            await watching.online()
            await patience_until(lambda: status(home.caller, "lockState", nukiId=NUKI_ID), 200)
            await asyncio.sleep(2.0)
            assert await watching.movements() == 0
        finally:
            watching.close()


async def test_without_the_daemon_nothing_is_promised_and_nothing_comes_later(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.daemon.kill()
        await home.home.until(lambda: home.home.last("bridge/state") == "offline")
        for way in ({}, {"noWait": 1}):
            answer = await home.caller.action(UNLATCH, **way)
            assert answer.status == 503, way
        assert (await home.caller.get("lockState", nukiId=NUKI_ID)).status == 503
        home.daemon.start()
        await home.home.until(lambda: home.home.last("bridge/state") == "online")
        await home.home.until(lambda: home.home.last("front/availability") == "online")
        await asyncio.sleep(1.0)
        assert await home.movements() == 0


async def test_a_lock_out_of_reach_is_503_for_its_state_and_moves_nothing_later(tmp_path: Path) -> None:
    """Never 200 without success for a state: Home Assistant would give up all its locks."""
    async with house(tmp_path) as home:
        await home.home.ask("front/simulate", {"out_of_range": True})
        await home.home.until(lambda: home.home.last("front/availability") == "offline", 120.0)
        assert (await home.caller.get("lockState", nukiId=NUKI_ID)).status == 503
        answer = await home.caller.action(UNLATCH)
        assert answer.status == 503 or answer.json()["success"] is False
        await home.home.ask("front/simulate", {"out_of_range": False})
        await home.home.until(lambda: home.home.last("front/availability") == "online", 120.0)
        await moved(home, 0)


async def test_what_actions_leaves_out_is_refused(tmp_path: Path) -> None:
    lines = 'locks: [{name: front, address: "54:D2:72:2B:3C:4D", actions: [lock]}]\n'
    async with house(tmp_path, lines) as home:
        for action in (UNLOCK, UNLATCH, 4, 5):
            answer = await home.caller.action(action)
            assert (answer.status, answer.json()["success"]) == (200, False)
        answer = await home.caller.get("unlock", nukiId=NUKI_ID)
        assert (answer.status, answer.json()["success"]) == (200, False)
        await moved(home, 0)
