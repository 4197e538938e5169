"""Invitations with the daemon as a process of its own and a real mosquitto, seen by independent guests."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import signal
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nacl.secret import SecretBox

from tests import patience
from tests.integration.broker import Broker, Peer
from tests.integration.command import start
from tests.integration.daemon import Daemon, Home

pytestmark = pytest.mark.real_time


@pytest.fixture
def broker(tmp_path: Path) -> Any:
    with Broker(tmp_path) as broker:
        yield broker


@asynccontextmanager
async def at_home(directory: Path, broker: Broker) -> AsyncIterator[Home]:
    daemon = Daemon(directory, broker.port)
    peer = Peer(broker)
    await peer.subscribe("nuki/#")
    home = Home(broker, daemon, peer)
    daemon.start()
    try:
        await home.online()
        yield home
    finally:
        daemon.kill()
        home.close()


class Stranger:
    """A guest written from the contract alone."""

    def __init__(self, code: str) -> None:
        plain = code.replace("-", "").upper()
        digest = hashlib.sha512(f"nuki-bridge/invitation/1:{plain}".encode()).digest()
        self.topic = f"invitation/{digest[:16].hex()}"
        self._box = SecretBox(digest[-32:])
        self.client = secrets.token_hex(16)

    async def redeem(self, home: Home) -> Any:
        """The credential, or the word of an error."""
        peer = Peer(home.broker)
        try:
            await peer.subscribe(f"nuki/{self.topic}/response")
            request = json.dumps({"client": self.client, "time": int(time.time())}).encode()
            peer.publish(f"nuki/{self.topic}/redeem", bytes(self._box.encrypt(request)))
            answer = (await peer.next()).payload
        finally:
            peer.close()
        if answer[:1] == b"{":
            return json.loads(answer)["error"]
        return json.loads(self._box.decrypt(answer))


async def invite(home: Home, **arguments: Any) -> dict[str, Any]:
    answer = await home.ask("front/request/invite/create", {"name": "Anna", **arguments})
    assert answer["status"] == "ok", answer
    data: dict[str, Any] = answer["data"]
    return data


async def on_lock(home: Home) -> set[str]:
    """Names of the lock's users."""
    told = (await home.ask("front/simulate", {"audit": 1}))["data"]
    return {each["name"] for each in told["authorizations"]}


async def test_a_guest_redeems_and_the_next_one_is_too_late(tmp_path: Path, broker: Broker) -> None:
    async with at_home(tmp_path, broker) as home:
        await home.pair(pin="1234")
        data = await invite(home, remote=True, expires_in="48h", access={"weekdays": ["mo"], "time_from": "08:00"})
        await home.until(lambda: home.last("front/invitations") not in (None, "[]"))
        assert data["code"] not in str(home.last("front/invitations"))
        guests = [Stranger(data["code"]) for _ in range(5)]
        answers = await asyncio.gather(*(each.redeem(home) for each in guests))
        # Each may have heard what another one was answered; the next question is asked when all that has come.
        await home.until(lambda: len(home.on(f"{guests[0].topic}/response")) == len(guests))
        credentials = [each for each in answers if isinstance(each, dict) and each["authorization_id"] == data["id"]]
        assert credentials
        [winner] = [guest for guest in guests if isinstance(await guest.redeem(home), dict)]
        assert winner.client
        await home.until(lambda: home.last("front/invitations") == "[]")
        assert data["code"] not in home.daemon.log
        assert credentials[0]["shared_key"] not in home.daemon.log


async def test_killed_after_the_answer_the_outcome_stands(tmp_path: Path, broker: Broker) -> None:
    async with at_home(tmp_path, broker) as home:
        await home.pair(pin="1234")
        first, second = await invite(home), await invite(home, name="Bert")
        guest = Stranger(first["code"])
        credential = await guest.redeem(home)
        home.daemon.signal(signal.SIGKILL)
        await home.daemon.ended(5)
        await home.until(lambda: home.last("bridge/state") == "offline")
        home.daemon.start()
        await home.online()
        assert await guest.redeem(home) == credential
        assert await Stranger(first["code"]).redeem(home) == "redeemed"
        assert (await Stranger(second["code"]).redeem(home))["user"] == "Bert"


async def test_it_expires_and_leaves_the_lock(tmp_path: Path, broker: Broker) -> None:
    async with at_home(tmp_path, broker) as home:
        await home.pair(pin="1234")
        data = await invite(home, expires_in="6s")
        assert "Anna" in await on_lock(home)
        await home.until(lambda: home.last("front/invitations") == "[]")
        assert await Stranger(data["code"]).redeem(home) == "expired"
        deadline = patience.now() + patience.HANG_S
        while "Anna" in await on_lock(home):
            assert patience.now() < deadline
            await asyncio.sleep(0.1)


async def test_the_owner_invites_lists_and_revokes_on_the_command_line(tmp_path: Path, broker: Broker) -> None:
    url = f"mqtt://127.0.0.1:{broker.port}/nuki"
    async with at_home(tmp_path, broker) as home:
        await home.pair(pin="1234")

        async def owner(*arguments: str) -> Any:
            process = await start("invite", *arguments, "--broker", url)
            return await process.end()

        for name, kind in (("Anna", "svg"), ("Dora", "png")):
            file = tmp_path / f"anna.{kind}"
            options = ["--weekdays", "mo-fr", "--from-time", "08:00", "--to-time", "20:00", "--no-remote"]
            result = await owner("front", "--name", name, *options, "--expires", "24h", "--qr", str(file))
            assert result.status == 0, result.err
            assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
            assert file.stat().st_size > 100
            assert "█" in result.out
            assert "You may use the key Mon–Fri 08:00–20:00." in result.out
            assert "  nuki-bridge redeem\n" in result.out, "the broker is on this computer, and nowhere else"
            assert "Only this computer reaches the broker yet" in result.out
            assert "nuki-bridge guest unlock --bluetooth" in result.out, "without --no-remote it would be the relay"
        await home.until(lambda: len(json.loads(home.last("front/invitations") or "[]")) == 2)
        [told, _] = json.loads(home.last("front/invitations") or "")
        assert told["remote"] is False
        assert told["access"] == {
            "weekdays": ["mo", "tu", "we", "th", "fr"],
            "time_from": "08:00",
            "time_until": "20:00",
        }
        refused = await owner("front", "--name", "Bert", "--qr", str(tmp_path / "anna.png"))
        assert (refused.status, "new file" in refused.err) == (2, True)
        listed = json.loads((await owner("list", "front", "--json")).out)
        assert [each["user"] for each in listed] == ["Anna", "Dora"]
        revoked = await owner("front", "revoke", str(listed[0]["id"]))
        assert revoked.status == 0, revoked.err
        assert "Anna is revoked" in revoked.out
        assert (await owner("revoke", "front", "Dora")).status == 0
        assert "no invitation is open" in (await owner("list")).out
        gone = await owner("revoke", "front", "Anna")
        assert (gone.status, "unknown_invitation" in gone.err) == (1, True)
        made = json.loads((await owner("front", "--name", "Cleo", "--json")).out)
        assert (await Stranger(made["code"]).redeem(home))["user"] == "Cleo"
        for wrong in (["front"], ["revoke"], ["a", "b", "c"]):
            assert (await owner(*wrong)).status == 2
