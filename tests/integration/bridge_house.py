"""A house whose doors are asked for over the Bridge HTTP API.

mosquitto with the shipped access list, the daemon with virtual locks, and `nuki-bridge web`, each a process of its own.

`Caller` is a client of that interface. It is written from the maker's document and shares no code with the program.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nacl.secret import SecretBox

from tests import patience
from tests.integration import web
from tests.integration.broker import free_port
from tests.integration.daemon import CLASSIC, Daemon, Home
from tests.integration.guarded import GuardedBroker, password
from tests.integration.web import Web

TOKEN = "Sesame4711"
ACCOUNT = "bridge_api"
NUKI_ID = 0x1A2B3C4D
"""Of the virtual lock at `CLASSIC`."""
UNLOCK, LOCK, UNLATCH = 1, 2, 3
"""The maker's actions."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


class Caller:
    """Calls with one of the maker's three ways to show the token: `encrypted`, `hashed` or `plain`."""

    def __init__(self, port: int, token: str = TOKEN, way: str = "encrypted") -> None:
        self.port = port
        self.token = token
        self.way = way

    def shown(self, *, later_s: float = 0.0) -> dict[str, str]:
        """The parameters that show the token, new ones each time, by a clock that is `later_s` ahead."""
        if self.way == "plain":
            return {"token": self.token}
        at = (datetime.now(UTC) + timedelta(seconds=later_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
        number = secrets.randbelow(65536)
        if self.way == "hashed":
            digest = hashlib.sha256(f"{at},{number},{self.token}".encode()).hexdigest()
            return {"ts": at, "rnr": str(number), "hash": digest}
        nonce = secrets.token_bytes(24)
        box = SecretBox(hashlib.sha256(self.token.encode()).digest())
        return {"ctoken": box.encrypt(f"{at},{number}".encode(), nonce).ciphertext.hex(), "nonce": nonce.hex()}

    def url(self, path: str, later_s: float = 0.0, /, **parameters: object) -> str:
        """The path with its parameters and the token, to be sent as often as wanted."""
        query = {**{name: str(value) for name, value in parameters.items()}, **self.shown(later_s=later_s)}
        return f"/{path}?{urllib.parse.urlencode(query)}"

    async def get(self, path: str, **parameters: object) -> Answer:
        """One call."""
        return await send(self.port, self.url(path, **parameters))

    async def action(self, number: object, **parameters: object) -> Answer:
        """`/lockAction` for the lock of this house."""
        return await self.get("lockAction", **{"nukiId": NUKI_ID, "deviceType": 0, "action": number, **parameters})


async def send(port: int, url: str, method: str = "GET", body: bytes = b"") -> Answer:
    """One request on a connection of its own."""
    head = f"{method} {url} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
    head += f"Content-Length: {len(body)}\r\n" if body else ""
    return parse(await raw(port, head.encode() + b"\r\n" + body))


async def raw(port: int, data: bytes) -> bytes:
    """What comes back until the other side ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(patience.HANG_S):
            return await reader.read()
    finally:
        writer.close()


def parse(answer: bytes) -> Answer:
    """An answer as it came."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first.startswith("HTTP/1.1 "), answer
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split()[1]), headers, body.decode())


class House:
    """The broker, the daemon with one paired lock `front`, and the page's process with the Bridge HTTP API."""

    def __init__(self, broker: GuardedBroker, daemon: Daemon, home: Home, server: Web, port: int) -> None:
        self.broker = broker
        self.daemon = daemon
        self.home = home
        self.web = server
        self.port = port
        self.caller = Caller(port)

    async def movements(self) -> int:
        """How often the motor was started, by the lock's own record."""
        return await self.home.movements()

    async def settled(self, state: str) -> None:
        """Wait until the lock is in this state, as the API tells it."""
        await patience_until(self.known, state)

    async def introduced(self) -> None:
        """Wait until the API tells the lock's firmware, which the lock is asked for after its states."""
        await patience_until(self._has_firmware, True)

    async def _has_firmware(self) -> bool:
        return "firmwareVersion" in (await self.caller.get("list")).json()[0]

    async def known(self) -> str:
        """The state's name in `/list`."""
        answer = await self.caller.get("list")
        items = answer.json() if answer.status == 200 else []
        return str(items[0].get("lastKnownState", {}).get("stateName")) if items else ""


async def patience_until(what: Any, value: object) -> None:
    """Wait until awaiting `what` gives `value`."""
    ends = patience.now() + patience.HANG_S
    while (found := await what()) != value:
        assert patience.now() < ends, found
        await asyncio.sleep(0.05)


def settings(broker: GuardedBroker, port: int, state: Path, **more: object) -> str:
    """web.yaml with the Bridge HTTP API on; `more` are further keys of it."""
    api = {"port": port, "token": TOKEN, "username": ACCOUNT, "password": password(ACCOUNT), **more}
    return (
        f"listen: 127.0.0.1\nport: {free_port()}\nbroker: {{host: 127.0.0.1, port: {broker.port}}}\n"
        f"state_dir: {state}\nlog_level: debug\nbridge_api: {json.dumps(api)}\n"
    )


@asynccontextmanager
async def serving(directory: Path, broker: GuardedBroker, port: int, **more: object) -> AsyncIterator[Web]:
    """The page's process with the Bridge HTTP API, until the block ends; it has to stop then."""
    state = directory / "web-state"
    state.mkdir(exist_ok=True, mode=0o700)
    async with web.serving(directory, settings(broker, port, state, **more), Web) as server:
        await server.says("Bridge HTTP API")
        server.port = port
        yield server


@asynccontextmanager
async def house(directory: Path, extra: str = "", **more: object) -> AsyncIterator[House]:
    """The whole house; `extra` are lines of the daemon's configuration, `more` keys of `bridge_api`."""
    (directory / "broker").mkdir()
    with GuardedBroker(directory / "broker") as broker:
        daemon = Daemon(directory, broker.port, extra)
        account = f'username: nuki, password: "{password("nuki")}"'
        daemon.config.write_text(
            daemon.config.read_text().replace(f"port: {broker.port}", f"port: {broker.port}, {account}")
        )
        peer = broker.peer("everybody")
        await peer.subscribe("nuki/#")
        home = Home(broker, daemon, peer)
        daemon.start()
        try:
            await home.online()
            await home.pair(CLASSIC, "front")
            port = free_port()
            async with serving(directory, broker, port, **more) as server:
                found = House(broker, daemon, home, server, port)
                await found.settled("locked")
                yield found
        finally:
            home.close()
            daemon.kill()


async def status(caller: Caller, path: str, **parameters: object) -> int:
    """The HTTP status of a call."""
    return (await caller.get(path, **parameters)).status


async def another_process(home: House, how: int) -> None:
    """End the page's process in this way, and start it anew with the same settings and state."""
    home.web.process.send_signal(how)
    await home.web.process.wait()
    home.web._process = await web.begin(home.daemon.directory)
    await patience_until(lambda: answers(home), True)


async def answers(home: House) -> bool:
    try:
        return (await send(home.port, "/list")).status == 401
    except ConnectionRefusedError:
        return False


class Listener:
    """A program that is told of changes: `how` it answers is `ok`, `never`, `refuse`, `redirect` or `endless`."""

    def __init__(self, how: str = "ok", to: str = "") -> None:
        self.how = how
        self.to = to
        self.requests: list[tuple[str, dict[str, Any]]] = []
        """First line and body of each."""
        self.heads: list[str] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/told?id=7"

    def states(self) -> list[str]:
        """What it was told of."""
        return [body["stateName"] for _, body in self.requests]

    async def told(self, state: str, among: int = 1) -> None:
        """Wait until the last that it was told of is this state, or one of the last so many is; 0: of all."""
        await patience.until(lambda: state in self.states()[-among:], lambda: self.requests)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            size = int(
                next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("content-length"))
            )
            body = await reader.readexactly(size)
            self.requests.append((head.split("\r\n")[0], json.loads(body)))
            self.heads.append(head)
            if self.how == "never":
                await asyncio.sleep(3600)
            elif self.how == "endless":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    writer.write(b"x" * 65536)
                    await writer.drain()
            more = f"Location: {self.to}\r\n" if self.to else ""
            status = {"ok": "200 OK", "refuse": "500 No", "redirect": "302 There"}[self.how]
            writer.write(f"HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\n\r\n".encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(how: str = "ok", to: str = "") -> AsyncIterator[Listener]:
    listener = Listener(how, to)
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()
