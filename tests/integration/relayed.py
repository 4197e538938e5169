"""A daemon at home with a guarded broker, and guests with nothing but that broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.integration.command import Result, call
from tests.integration.daemon import CLASSIC, Daemon, Home
from tests.integration.guarded import GuardedBroker, password

PIN = "1234"


class Party(Home):
    """The daemon behind the shipped access list; `peer` is the bridge's own account, which sees everything."""

    broker: GuardedBroker
    directory: Path

    async def invite(self, name: str = "Anna", **more: Any) -> str:
        answer = await self.ask("front/request/invite/create", {"name": name, **more})
        assert answer["status"] == "ok", answer
        code: str = answer["data"]["code"]
        return code

    async def guest(self, *arguments: str, home: str = "anna", stdin: str = "", broker: bool = True) -> Result:
        """Run a command as somebody on another device."""
        url = ("--broker", self.broker.url("guest")) if broker else ()
        path = self.directory / home
        path.mkdir(exist_ok=True)
        return await call(*arguments, *url, stdin=stdin, HOME=str(path), XDG_CONFIG_HOME="")

    def kept(self, home: str = "anna", name: str = "front") -> Path:
        """Where the guest's credential is."""
        return self.directory / home / ".config" / "nuki-bridge" / "guest" / f"{name}.json"

    async def users(self) -> dict[str, dict[str, Any]]:
        answer = await self.ask("front/request/users/list")
        return {each["name"]: each for each in answer["data"]}


@asynccontextmanager
async def party(tmp_path: Path, lock: str = "") -> AsyncIterator[Party]:
    directory = tmp_path / "broker"
    directory.mkdir()
    with GuardedBroker(directory) as broker:
        entry = f'locks:\n  - {{name: front, address: "{CLASSIC}", pin: "{PIN}"{lock}}}\n'
        daemon = Daemon(tmp_path, broker.port, entry)
        text = daemon.config.read_text()
        account = f'username: nuki, password: "{password("nuki")}"'
        daemon.config.write_text(text.replace(f"port: {broker.port}}}", f"port: {broker.port}, {account}}}"))
        peer = broker.peer("nuki")
        await peer.subscribe("nuki/#")
        daemon.start()
        house = Party(broker, daemon, peer)
        house.directory = tmp_path
        try:
            await house.online()
            await house.pair()
            await house.ask("front/simulate", {"motor_s": 0.1})
            yield house
        finally:
            house.close()
            daemon.kill()
