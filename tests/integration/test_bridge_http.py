"""The Bridge HTTP API as a process: over a real broker with the shipped access list, to a daemon with virtual locks."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from nuki_bridge.bridge_http.server import MAX_CONNECTIONS
from tests import patience
from tests.integration.bridge_http import TOKEN, Api, api, encrypted, read
from tests.integration.broker import Broker
from tests.integration.daemon import OPENER, Home, running
from tests.integration.guarded import GuardedBroker, password

pytestmark = pytest.mark.real_time


def at(broker: Broker) -> str:
    return f"{{host: 127.0.0.1, port: {broker.port}}}"


@asynccontextmanager
async def home(directory: Path) -> AsyncIterator[Home]:
    """A broker and a daemon."""
    with Broker(directory) as broker:
        async with running(broker, directory) as there:
            yield there


@asynccontextmanager
async def house(directory: Path, **options: Any) -> AsyncIterator[tuple[Home, Api, int]]:
    """A daemon with the paired lock `front`, the API, and the lock's `nukiId`."""
    async with home(directory) as there:
        await there.pair()
        async with api(directory, at(there.broker), **options) as server:
            yield there, server, await known(server)


async def known(server: Api, number: int = 0) -> int:
    """The `nukiId` of a device as soon as its state is in the list."""
    deadline = patience.now() + patience.HANG_S
    while patience.now() < deadline:
        status, told = await server.call("/list")
        assert status in (200, 503)  # 503 until the broker has told of the devices
        if status == 200 and len(told) > number and told[number]["lastKnownState"]["stateName"] != "undefined":
            return int(told[number]["nukiId"])
        await asyncio.sleep(0.05)
    raise AssertionError(server.log)


async def test_a_lock_is_turned_and_told_of(tmp_path: Path) -> None:
    async with house(tmp_path) as (there, server, nuki_id):
        assert await server.call("/lockAction", nukiId=nuki_id, deviceType=4, action=1) == (
            200,
            {"success": True, "batteryCritical": False},
        )
        status, told = await server.call("/lockState", nukiId=nuki_id)
        assert (status, told["stateName"], told["success"]) == (200, "unlocked", True)
        assert (await server.call("/lock", nukiId=nuki_id))[1]["success"] is True
        await there.until(lambda: there.last("front/state") == "locked")
        status, told = await server.call("/info")
        assert (status, told["scanResults"][0]["nukiId"]) == (200, nuki_id)


async def test_a_client_that_gives_up_and_asks_again_moves_the_lock_once(tmp_path: Path) -> None:
    async with house(tmp_path) as (there, server, nuki_id):
        call = {"nukiId": nuki_id, "action": 3}
        await there.ask("front/simulate", {"motor_s": 12})
        for number in range(1, 4):
            query = urlencode({**call, **encrypted()})
            request = f"GET /lockAction?{query} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            await server.hung_up_on(request.encode(), "unlatch (is|was) asked", number)
        assert there.on("front/result") == []
        await there.until(lambda: there.on("front/result"))
        assert await server.call("/lockAction", **call) == (200, {"success": True, "batteryCritical": False})
        assert len(there.on("front/result")) == 1
        assert await there.movements() == 1


async def test_nobody_without_the_token_gets_anything(tmp_path: Path) -> None:
    async with house(tmp_path) as (there, server, nuki_id):
        call = {"nukiId": nuki_id, "action": 1}
        used = encrypted()
        assert (await server.raw("/info", used))[0] == 200
        for wrong in (
            used,
            {},
            {"token": TOKEN},
            encrypted("another-token"),
            encrypted(at=1),
            {**encrypted(), "nonce": "00" * 24},
        ):
            assert (await server.raw("/lockAction", {**call, **wrong}))[0] == 401
        assert (await server.raw("/auth", {}))[0] == 403
        for path in ("/unpair", "/log", "/reboot", "/", f"/{TOKEN}", "/lockAction/"):
            assert (await server.raw(path, encrypted()))[0] == 404
        assert there.on("front/result") == []


async def test_the_owners_signal_hands_the_token_out_once(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        async with api(tmp_path, at(broker)) as server:
            server.process.send_signal(signal.SIGUSR1)
            await server.says("the token is handed out to the first")
            assert await server.raw("/auth", {}) == (200, {"token": TOKEN, "success": True})
            await server.says("nothing is heard of nuki-bridge below nuki: it does not run, or the account")
            assert (await server.raw("/auth", {}))[0] == 403


async def test_a_call_that_was_used_stays_used_over_a_restart(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        used = encrypted()
        async with api(tmp_path, at(broker)) as server:
            assert (await server.raw("/info", used))[0] == 200
        async with api(tmp_path, at(broker)) as server:
            assert (await server.raw("/info", used))[0] == 503


async def test_the_plain_token_works_where_it_is_allowed(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        async with api(tmp_path, at(broker), more="  plain_token: true\n") as server:
            assert (await server.raw("/info", {"token": TOKEN}))[0] == 200
            assert (await server.raw("/info", {"token": TOKEN[:-1]}))[0] == 401


async def test_the_shipped_access_list_lets_it_do_all_that(tmp_path: Path) -> None:
    with GuardedBroker(tmp_path) as broker:
        async with broker.peer("nuki") as bridge:
            for topic, payload in (
                ("state", "online"),
                (
                    "info",
                    '{"locks": [{"name": "front", "nuki_id": "2BB28570", "family": "classic", "paired": true}]}',
                ),
            ):
                bridge.publish(f"nuki/bridge/{topic}", payload, retain=True)
            bridge.publish("nuki/front/state", "locked", retain=True)
            for topic in ("nuki/front/set", "nuki/front/request/refresh"):
                await bridge.subscribe(topic)
            more = f'  username: bridge_api\n  password: "{password("bridge_api")}"\n'
            async with api(tmp_path, at(broker), more=more) as server:
                nuki_id = await known(server)
                for path, parameters, answer in (
                    ("/lockAction", {"action": 1}, "result"),
                    ("/lockState", {}, "response/refresh"),
                ):
                    asked = asyncio.create_task(server.call(path, nukiId=nuki_id, **parameters))
                    message = await bridge.next()
                    transaction = json.loads(message.payload)["transaction"]
                    bridge.publish(f"nuki/front/{answer}", json.dumps({"status": "ok", "transaction": transaction}))
                    assert (await asked)[0] == 200


async def test_a_broker_or_daemon_that_is_away_is_503_and_comes_back(tmp_path: Path) -> None:
    async with house(tmp_path) as (there, server, nuki_id):
        call = {"nukiId": nuki_id, "action": 2}
        there.broker.stop()
        deadline = patience.now() + patience.HANG_S
        while (await server.call("/lockAction", **call))[0] != 503:
            assert patience.now() < deadline
        assert (await server.call("/list"))[1][0]["nukiId"] == nuki_id  # what was known
        there.broker.start()
        while (await server.call("/lockAction", **call))[0] != 200:
            assert patience.now() < deadline
            await asyncio.sleep(0.2)


class Callback:
    """A server that keeps each body that it is sent; `status` is its answer, None: none at all."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.requests: list[bytes] = []
        self.status: int | None = 204
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = json.loads(await reader.readexactly(length))
        self.requests.append(head)
        self.bodies.append(body)
        if self.status is None:
            await asyncio.sleep(3600)
        location = "Location: http://127.0.0.1:1/\r\n" if self.status == 302 else ""
        writer.write(f"HTTP/1.1 {self.status} x\r\n{location}Content-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Callback]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/nuki?id=1"

    async def until(self, state: str, count: int = 0) -> None:
        deadline = patience.now() + patience.HANG_S
        while not any(each["stateName"] == state for each in self.bodies[count:]):
            assert patience.now() < deadline, self.bodies
            await asyncio.sleep(0.02)


async def test_callbacks_are_told_of_changes_and_kept(tmp_path: Path) -> None:
    async with home(tmp_path) as there, Callback().listening() as first, Callback().listening() as silent:
        await there.pair()
        silent.status = None
        async with api(tmp_path, at(there.broker)) as server:
            nuki_id = await known(server)
            for each in (silent, first):
                assert await server.call("/callback/add", url=each.url) == (200, {"success": True})
            await server.call("/lockAction", nukiId=nuki_id, action=1)
            await first.until("unlocked")
            assert first.requests[0].startswith(b"POST /nuki?id=1 HTTP/1.1\r\n")
            assert first.bodies[-1]["nukiId"] == nuki_id
            assert not {"timestamp", "success"} & first.bodies[-1].keys()
            await silent.until("unlocked")
            assert len(silent.bodies) <= len(first.bodies)  # it has got them, though it does not say so
        before = len(first.bodies)
        async with api(tmp_path, at(there.broker)) as server:
            await first.until("unlocked", before)
            assert [each["id"] for each in (await server.call("/callback/list"))[1]["callbacks"]] == [0, 1]


@pytest.mark.parametrize("status", [500, 302])
async def test_a_callback_that_failed_is_tried_again_with_what_is_true_then(tmp_path: Path, status: int) -> None:
    async with house(tmp_path) as (_, server, nuki_id), Callback().listening() as callback:
        callback.status = status
        await server.call("/callback/add", url=callback.url)
        await server.call("/lockAction", nukiId=nuki_id, action=1)
        await server.says("the callback to 127.0.0.1:\\d+ failed: status")
        await server.call("/lockAction", nukiId=nuki_id, action=2)
        await callback.until("locked")  # in vain; after that comes a pause, so that nothing else is on its way
        callback.bodies.clear()
        callback.status = 200
        await callback.until("locked")
        assert [each["stateName"] for each in callback.bodies] == ["locked"]


async def test_an_opener_is_opened_and_rings(tmp_path: Path) -> None:
    async with home(tmp_path) as there:
        await there.ask("3E4F5061/simulate", {"hold_button": True})
        await there.pair(OPENER, "gate", pin="1234")
        async with api(tmp_path, at(there.broker)) as server, Callback().listening() as callback:
            nuki_id = await known(server)
            await server.call("/callback/add", url=callback.url)
            deadline = patience.now() + patience.HANG_S
            # What rang before the Opener's log was read for the first time is not told.
            while not any(each["ringactionState"] for each in callback.bodies):
                assert patience.now() < deadline, callback.bodies
                await there.ask("gate/simulate", {"ring": True})
                await asyncio.sleep(2)
            assert (await server.call("/unlock", nukiId=nuki_id, deviceType=2))[1]["success"] is True
            await callback.until("open")


async def test_who_floods_or_says_nothing_keeps_nobody_out(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        async with api(tmp_path, at(broker)) as server:
            silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(MAX_CONNECTIONS + 20)]
            assert (await server.call("/info"))[0] == 200
            for _, writer in silent:
                writer.close()
            for junk in (b"\x16\x03\x01\r\n\r\n", b"GET /list HTTP/1.1\r\n\r\n", b"GET " + b"x" * 9000 + b"\r\n\r\n"):
                assert (await server.get(junk)).startswith(b"HTTP/1.1 4")
            post = b"POST /list HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            assert (await server.get(post)).startswith(b"HTTP/1.1 405")


async def test_several_calls_over_one_connection(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        async with api(tmp_path, at(broker)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            for _ in range(3):
                query = "&".join(f"{name}={value}" for name, value in encrypted().items())
                writer.write(f"GET /callback/list?{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                assert read(head + await reader.readexactly(17)) == (200, {"callbacks": []})
            writer.close()


async def test_the_process_stays_small(tmp_path: Path) -> None:
    async with house(tmp_path, log_level="info") as (_, server, nuki_id):
        for action in (1, 2) * 5:
            await server.call("/lockAction", nukiId=nuki_id, action=action)
            await server.call("/list")
        print(f"{server.rss_mib:.1f} MiB")
        assert server.rss_mib <= 35
