"""The phone page's server between real WebSockets and a real mosquitto, and what a hostile network sends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from nuki_bridge.web import limits, process
from nuki_bridge.web.settings import load
from tests import patience
from tests.integration.broker import Broker, Peer, free_port
from tests.integration.web import (
    Web,
    login,
    make_page,
    mqtt_connect,
    packet,
    publish,
    receive,
    subscribe,
    text,
    web,
)

pytestmark = pytest.mark.real_time

USERS = {"guest": "guests-s3cret", "owner": "owners-s3cret"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker", users=USERS) as running:
        yield running


def settings(broker: Broker, more: str = "", password: str = USERS["guest"]) -> str:
    return (
        f"listen: 127.0.0.1\nport: {free_port()}\nbroker: {{host: 127.0.0.1, port: {broker.port}}}\n"
        f"guest: {{username: guest, password: {password}}}\nlog_level: debug\n{more}"
    )


async def closed(phone: ClientConnection) -> int:
    """The close code that ends it."""
    async with asyncio.timeout(patience.HANG_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await phone.recv()
    assert phone.close_code is not None
    return phone.close_code


async def lives(page: Web) -> None:
    """A phone that comes now is served."""
    phone = await page.phone()
    assert await login(phone) == 0
    await phone.send(b"\xc0\x00")
    assert await receive(phone) == b"\xd0\x00"
    await phone.close()


# -- as it should be --------------------------------------------------------------------------------------------------


async def test_a_phone_without_an_account_is_a_guest_and_one_with_an_account_is_not(
    tmp_path: Path, broker: Broker
) -> None:
    async with web(tmp_path, settings(broker)) as page:
        guest, owner = await page.phone(), await page.phone()
        assert guest.subprotocol == "mqtt"
        assert await login(guest) == 0
        assert await login(owner, account=("owner", USERS["owner"])) == 0
        assert "u'guest'" in broker.log
        assert "u'owner'" in broker.log
        await owner.send(subscribe("a/b"))
        assert (await receive(owner))[0] == 0x90
        payload = os.urandom(600)
        await guest.send(publish("a/b", payload))
        got = b""
        while payload not in got:
            got += await receive(owner)
        payload = os.urandom(16000)
        await owner.send(publish("a/b", payload))
        while payload not in got:
            got += await receive(owner)
        await guest.close()
        await owner.close()
        for secret in USERS.values():
            assert secret not in page.log


async def test_a_packet_may_be_cut_and_several_may_come_at_once(tmp_path: Path, broker: Broker) -> None:
    async with web(tmp_path, settings(broker)) as page:
        phone = await page.phone()
        stream = mqtt_connect() + subscribe("x/y") + publish("x/y", b"hello")
        for at in range(0, len(stream), 3):
            await phone.send(stream[at : at + 3])
        got = b""
        while b"hello" not in got:
            got += await receive(phone)
        assert got[0] == 0x20
        await phone.close()


async def test_a_wrong_password_is_the_brokers_answer_and_stays_out_of_the_log(tmp_path: Path, broker: Broker) -> None:
    async with web(tmp_path, settings(broker)) as page:
        phone = await page.phone()
        assert await login(phone, account=("owner", "wrong-s3cret")) in (0x86, 0x87)
        await phone.close()
        assert "s3cret" not in page.log


async def test_mqtt_3_1_1_too(tmp_path: Path, broker: Broker) -> None:
    async with web(tmp_path, settings(broker)) as page:
        phone = await page.phone()
        assert await login(phone, version=4) == 0
        await phone.close()


async def test_a_guest_cannot_throw_somebody_else_out_of_the_broker(tmp_path: Path, broker: Broker) -> None:
    async with web(tmp_path, settings(broker)) as page:
        owner = await page.phone()
        assert await login(owner, name="the-bridge", account=("owner", USERS["owner"])) == 0
        guest = await page.phone()
        assert await login(guest, name="the-bridge") == 0
        await owner.send(b"\xc0\x00")
        assert await receive(owner) == b"\xd0\x00"
        await guest.close()
        await owner.close()


async def test_the_broker_away_is_told_and_it_goes_on_when_it_is_back(tmp_path: Path, broker: Broker) -> None:
    async with web(tmp_path, settings(broker)) as page:
        phone = await page.phone()
        assert await login(phone) == 0
        broker.stop()
        assert await closed(phone) == 4502
        phone = await page.phone()
        await phone.send(mqtt_connect())
        assert await closed(phone) == 4503
        await page.says(r"WARNING the broker is away: connection refused at 127\.0\.0\.1")
        broker.start()
        await lives(page)
        await page.says("INFO    the broker is back")
        assert page.log.count("the broker is away") == 1


async def test_guests_whom_the_broker_refuses_are_told_of_in_the_log(tmp_path: Path, broker: Broker) -> None:
    async with web(tmp_path, settings(broker, password="wr0ng")) as page:
        await page.says(
            r"ERROR   the broker refuses the guests' account guest: correct guest\.username and guest\.password"
        )
        phone = await page.phone()
        assert await login(phone) in (0x86, 0x87)
        assert "wr0ng" not in page.log


async def test_at_the_end_phones_are_told_that_the_server_goes(tmp_path: Path, broker: Broker) -> None:
    async with web(tmp_path, settings(broker)) as page:
        phone = await page.phone()
        assert await login(phone) == 0
        began = patience.now()
        page.process.terminate()
        assert await closed(phone) == 1001
        await page.process.wait()
        assert patience.now() - began < 3.0


async def test_one_connection_serves_one_file_after_the_other(tmp_path: Path, broker: Broker) -> None:
    async with web(tmp_path, settings(broker)) as page:
        ask = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        last = b"GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        answer = await page.get(ask + ask + last)
        assert answer.count(b"HTTP/1.1 200 OK") == 2
        assert answer.count(b"Content-Security-Policy: default-src 'none'") == 3
        assert b"HTTP/1.1 404 Not Found" in answer


async def test_forgetting_clears_what_the_browser_keeps_unless_a_foreign_page_asks(
    tmp_path: Path, broker: Broker
) -> None:
    async with web(tmp_path, settings(broker)) as page:

        def post(origin: str) -> bytes:
            return (
                f"POST /forget HTTP/1.1\r\nHost: 127.0.0.1:1\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n".encode()
            )

        answer = await page.get(post("http://127.0.0.1:1"))
        assert b'\r\nClear-Site-Data: "storage", "cache"\r\n' in answer
        answer = await page.get(post("http://evil.example"))
        assert answer.startswith(b"HTTP/1.1 403")
        assert b"Clear-Site-Data" not in answer


# -- as it should not be ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "https://127.0.0.1.evil.example"])
async def test_a_foreign_page_does_not_get_to_the_broker(tmp_path: Path, broker: Broker, origin: str | None) -> None:
    async with web(tmp_path, settings(broker)) as page:
        with pytest.raises(InvalidStatus) as refused:
            await page.phone(origin=origin)
        assert refused.value.response.status_code == 403
        assert broker.log.count("u'guest'") <= 1  # its own look at the start


async def test_a_name_of_others_that_means_this_machine_is_foreign(tmp_path: Path, broker: Broker) -> None:
    """DNS rebinding: the page at evil.example, whose name leads here by now."""
    async with web(tmp_path, settings(broker)) as page:
        where = f"evil.example:{page.port}"
        lines = [
            "GET /mqtt HTTP/1.1",
            f"Host: {where}",
            f"Origin: http://{where}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: mqtt",
        ]
        answer = await page.get("\r\n".join([*lines, "", ""]).encode())
        assert answer.startswith(b"HTTP/1.1 403 ")
        await page.says(
            r"a page at evil\.example was refused; if this is a name of this server, add it to names in web\.yaml"
        )
        assert broker.log.count("u'guest'") <= 1  # its own look at the start


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 4400),
        (b"\x10\xff\xff\xff\x7f", 4400),
        (packet(0x10, text("MQTT") + b"\x05\x06\0\x3c\0" + text("x")), 4400),
        (b"\x00" * 100, 4400),
        (mqtt_connect() + b"\x30\xff\xff\xff\x7f", 4400),
        (mqtt_connect() + publish("nuki/front/relay/x/write", bytes(2000)), 4400),
    ],
)
async def test_garbage_ends_the_tunnel_with_a_word(tmp_path: Path, broker: Broker, first: bytes, code: int) -> None:
    async with web(tmp_path, settings(broker)) as page:
        phone = await page.phone()
        await phone.send(first)
        assert await closed(phone) == code
        await lives(page)


async def test_text_is_no_mqtt(tmp_path: Path, broker: Broker) -> None:
    async with web(tmp_path, settings(broker)) as page:
        phone = await page.phone()
        await phone.send("CONNECT")
        assert await closed(phone) == 4400


async def test_a_giant_message_is_refused_before_it_is_there(tmp_path: Path, broker: Broker) -> None:
    async with web(tmp_path, settings(broker)) as page:
        phone = await page.phone()
        assert await login(phone) == 0
        with contextlib.suppress(ConnectionClosed):
            await phone.send(bytes(50_000_000))
        assert await closed(phone) in (1009, 1006)
        await lives(page)
        assert page.rss_mib < 40


async def test_giant_and_endless_requests_are_refused(tmp_path: Path, broker: Broker) -> None:
    async with web(tmp_path, settings(broker)) as page:
        answer = await page.get(b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000)
        assert answer.startswith(b"HTTP/1.1 431 ")
        answer = await page.get(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")
        await lives(page)


async def test_many_connections_that_say_nothing_keep_no_phone_out(tmp_path: Path, broker: Broker) -> None:
    """From this machine, where all addresses count in all only."""
    async with web(tmp_path, settings(broker)) as page:
        phone = await page.phone()
        assert await login(phone) == 0
        silent: list[socket.socket] = []
        try:
            for _ in range(600):
                one = socket.create_connection(("127.0.0.1", page.port))
                one.sendall(b"GET / HT")
                silent.append(one)
            await lives(page)
            await phone.send(b"\xc0\x00")
            assert await receive(phone) == b"\xd0\x00"
        finally:
            for one in silent:
                one.close()
        await phone.close()
        assert page.rss_mib < 60


@pytest.mark.slow
async def test_a_request_that_comes_a_byte_a_second_ends(tmp_path: Path, broker: Broker) -> None:
    async with web(tmp_path, settings(broker)) as page:
        reader, writer = await asyncio.open_connection("127.0.0.1", page.port)
        began = patience.now()
        with contextlib.suppress(OSError):
            for byte in b"GET / HTTP/1.1\r\nHost: abcdefghijklmnopqrstuvwxyz\r\n\r\n":
                writer.write(bytes((byte,)))
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        if not await reader.read(1):
                            break
        assert patience.now() - began < 20.0
        writer.close()


@pytest.mark.slow
async def test_a_phone_that_never_reads_is_dropped_and_costs_little(tmp_path: Path, broker: Broker) -> None:
    async with web(tmp_path, settings(broker)) as page:
        deaf = await page.phone()
        assert await login(deaf) == 0
        await deaf.send(subscribe("flood/#", qos=0))
        assert (await receive(deaf))[0] == 0x90
        deaf.transport.pause_reading()
        name = re.findall(r"as (nuki-page-\w+)", broker.log)[-1]
        async with Peer(broker, username="owner", password=USERS["owner"]) as peer:
            for _ in range(1000):
                peer.publish("flood/x", bytes(16000))
        deadline = patience.now() + patience.HANG_S
        while f"Client {name} closed its connection" not in broker.log and patience.now() < deadline:
            await lives(page)
            await asyncio.sleep(0.5)
        assert f"Client {name} closed its connection" in broker.log
        assert page.rss_mib < 45
        deaf.transport.abort()


async def test_whoever_comes_again_and_again_with_a_flood_gets_no_more_through(tmp_path: Path, broker: Broker) -> None:
    """Each new tunnel brings a chunk full of packets, of which not one is passed on."""
    async with web(tmp_path, settings(broker)) as page:
        listener = await page.phone()
        assert await login(listener, account=("owner", USERS["owner"])) == 0
        await listener.send(subscribe("f"))
        assert (await receive(listener))[0] == 0x90
        chunk = publish("f", b"x") * 2000
        for _ in range(10):
            phone = await page.phone()
            assert await login(phone) == 0
            await phone.send(chunk[:14000])
            assert await closed(phone) == 4429
        got = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                while True:
                    got += (await listener.recv()).count(b"f\0x")  # type: ignore[arg-type]
        assert got == 0
        await lives(page)
        await listener.close()


async def from_one_address(directory: Path, broker: Broker, work: Callable[[Web], Awaitable[None]]) -> None:
    """Serve in this process, where every client can be made one that does not come from this machine."""
    file, page, stop = directory / "web.yaml", make_page(directory), asyncio.Event()
    file.write_text(settings(broker))
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(process.run(load(file, {}), page=page, stop=stop, ready=ready))
    try:
        await work(Web(None, directory / "no.log", await ready))
    finally:
        stop.set()
        await serving


async def test_guessing_passwords_ends_and_keeps_no_guest_out(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def guess(page: Web) -> None:
        for _ in range(limits.LOGINS[0]):
            phone = await page.phone()
            assert await login(phone, account=("owner", "wrong")) in (0x86, 0x87)
            await phone.close()
        phone = await page.phone()
        await phone.send(mqtt_connect(account=("owner", USERS["owner"])))
        assert await closed(phone) == 4429
        await lives(page)

    monkeypatch.setattr(limits, "_key", lambda address: "192.0.2.1")
    monkeypatch.setattr(limits, "LOGINS", (limits.LOGINS[0], 1 / 3600))
    await from_one_address(tmp_path, broker, guess)


async def test_one_address_gets_its_share_of_connections_and_no_more(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crowd(page: Web) -> None:
        phones = [await page.phone() for _ in range(limits.MAX_OF_ONE)]
        with pytest.raises((OSError, InvalidMessage)):
            await page.phone()
        monkeypatch.setattr(limits, "_key", lambda address: "192.0.2.2")
        await lives(page)
        for phone in phones:
            phone.transport.abort()

    monkeypatch.setattr(limits, "_key", lambda address: "192.0.2.1")
    await from_one_address(tmp_path, broker, crowd)


async def test_a_flood_of_small_packets_is_slowed_down_to_what_the_bridge_bears(tmp_path: Path, broker: Broker) -> None:
    async with web(tmp_path, settings(broker)) as page:
        phone = await page.phone()
        assert await login(phone) == 0
        listener = await page.phone()
        assert await login(listener, account=("owner", USERS["owner"])) == 0
        await listener.send(subscribe("f"))
        assert (await receive(listener))[0] == 0x90
        flood = publish("f", b"x") * 2000

        async def send() -> None:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await phone.send(flood[:16000])

        flooding = asyncio.create_task(send())
        got = 0
        began = time.monotonic()  # as the server counts, which is another process
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3.0):
                while True:
                    got += (await listener.recv()).count(b"f\0x")  # type: ignore[arg-type]
        took_s = time.monotonic() - began
        flooding.cancel()
        assert got < 2 * (2000 + 20 * took_s)
        await lives(page)
        phone.transport.abort()
        await listener.close()
