"""`nuki-bridge retire` clears what the bridge keeps at a broker: that and nothing else, and not under a daemon."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests import patience
from tests.integration.broker import Broker, Peer
from tests.integration.command import call
from tests.integration.daemon import CLASSIC, Daemon, Home, running
from tests.integration.guarded import GuardedBroker, password

pytestmark = pytest.mark.real_time

FOREIGN = {
    "homeassistant/light/kitchen/config": "{}",
    "nuki/1A2B3C4D/state": "1",
    "nuki/elsewhere/state": "locked",
    "nuki/front/note": "mine",
}
"""What others have retained: another program's device, a lock's own topics, another bridge's lock, somebody's note."""


@asynccontextmanager
async def listening(broker: Broker, topic: str = "#") -> AsyncIterator[Peer]:
    """A client that is shown what is retained."""
    peer = Peer(broker, username="everybody", password=password("everybody"))
    try:
        await peer.subscribe(topic)
        yield peer
    finally:
        peer.close()


async def retained(broker: Broker) -> dict[str, str]:
    """Everything that the broker has retained."""
    found: dict[str, str] = {}
    async with listening(broker) as peer:
        peer.publish("the/end", b"")
        while (message := await peer.next()).topic != "the/end":
            found[message.topic] = message.payload.decode(errors="replace")
    return found


@asynccontextmanager
async def stopped(tmp_path: Path, extra: str = "") -> AsyncIterator[tuple[Home, Broker]]:
    """A home with a paired lock whose daemon has been stopped, after others have retained something, too."""
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker") as broker:
        async with running(broker, tmp_path, extra) as home:
            await home.pair(CLASSIC, "front")
            if "serve" in extra:
                await home.until(lambda: home.last("1A2B3C4D/connected") == "true")
            async with listening(broker, "homeassistant/#") as peer:
                told: set[str] = set()
                while len(told) < 2:  # the bridge and the lock, of which either may be told twice
                    told.add((await peer.next()).topic)
            assert {each.split("/")[-1] for each in told} == {"config"}
            home.daemon.signal(signal.SIGTERM)
            assert await home.daemon.ended(10) == 0
            for topic, payload in FOREIGN.items():
                home.peer.publish(topic, payload, retain=True)
            yield home, broker
            home.daemon.kill()


async def test_what_the_bridge_has_retained_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    async with stopped(tmp_path) as (home, broker):
        line = ("retire", "--config", str(home.daemon.config))
        before = await retained(broker)
        assert {"nuki/bridge/state", "nuki/bridge/info", "nuki/front/state"} < set(before)

        unasked = await call(*line)
        assert (unasked.status, "--yes" in unasked.err) == (2, True)
        dry = await call(*line, "--dry-run")
        assert (dry.status, dry.lines) == (0, [])
        assert {each.strip() for each in dry.out.splitlines()[1:]} == before.keys() - FOREIGN.keys()
        assert await retained(broker) == before

        done = await call(*line, "--yes")
        assert (done.status, done.lines) == (0, [])
        assert done.out.startswith("cleared: ")
        assert "the bridge and front below nuki/" in done.out
        assert await retained(broker) == FOREIGN
        again = await call(*line, "--yes", "--json")
        assert json.loads(again.out) == {
            "status": "ok",
            "cleared": False,
            "topics": [],
            "discovery": [],
            "other_bridge": None,
        }

        home.daemon.start()
        await home.until(lambda: home.last("front/state") == "locked")
        async with asyncio.timeout(patience.HANG_S):
            while (await retained(broker)).keys() != before.keys():
                await asyncio.sleep(0.1)


async def test_what_was_served_by_nukis_own_api_is_cleared_too(tmp_path: Path) -> None:
    served = f'locks: [{{name: front, address: "{CLASSIC}", official_api: serve, official_discovery: true}}]\n'
    async with stopped(tmp_path, served) as (home, broker):
        assert (await retained(broker))["nuki/1A2B3C4D/connected"] == "false"
        done = await call("retire", "--yes", "--config", str(home.daemon.config))
        assert (done.status, done.lines) == (0, [])
        assert " topics of Nuki's own MQTT API and " in done.out
        assert (await retained(broker)).keys() == FOREIGN.keys() - {"nuki/1A2B3C4D/state"}


async def test_while_the_daemon_runs_nothing_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker") as broker:
        async with running(broker, tmp_path) as home:
            await home.pair(CLASSIC, "front")
            refused = await call("retire", "--yes", "--config", str(home.daemon.config))
            assert (refused.status, "sudo systemctl stop nuki-bridge" in refused.err) == (1, True)
            assert "" not in home.on("front/state")
            assert home.last("bridge/state") == "online"


async def test_while_a_copy_of_it_runs_elsewhere_nothing_is_cleared(tmp_path: Path) -> None:
    """The state directory was moved to another computer by a backup, as docs/operations.md says."""
    async with stopped(tmp_path) as (home, broker):
        (tmp_path / "old").mkdir()
        shutil.copytree(tmp_path / "state", tmp_path / "old" / "state")
        old = Daemon(tmp_path / "old", broker.port)
        home.daemon.start()
        await home.until(lambda: home.last("bridge/state") == "online" and home.last("front/state") == "locked")
        refused = await call("retire", "--yes", "--config", str(old.config))
        assert (refused.status, "identity is running" in refused.err) == (1, True)
        assert "" not in home.on("front/state")

        home.daemon.kill()
        await home.until(lambda: home.last("bridge/state") == "offline")
        home.peer.publish("nuki/bridge/state", "online", retain=True)  # as a broker has it after a power cut of both
        done = await call("retire", "--yes", "--config", str(old.config))
        assert (done.status, done.lines) == (0, [])
        assert await retained(broker) == FOREIGN


async def test_another_bridge_on_the_base_topic_keeps_what_it_has(tmp_path: Path) -> None:
    async with stopped(tmp_path) as (home, broker):
        theirs = {
            "nuki/bridge/info": json.dumps({"id": "0123456789abcdef", "locks": [{"name": "elsewhere"}, {"name": 1}]}),
            "nuki/bridge/state": "online",
        }
        for topic, payload in theirs.items():
            home.peer.publish(topic, payload, retain=True)
        with home.daemon.config.open("a") as config:
            config.write("locks: [{name: front}, {name: elsewhere}]\n")
        done = await call("retire", "--yes", "--config", str(home.daemon.config))
        assert (done.status, done.lines) == (0, [])
        assert "is another bridge's (0123456789abcdef)" in done.out
        assert await retained(broker) == FOREIGN | theirs


async def test_without_the_state_directory_nobody_knows_what_is_ours(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"state_dir: {tmp_path}/none\n")
    refused = await call("retire", "--yes", "--config", str(config))
    assert (refused.status, f"there is no {tmp_path}/none" in refused.err) == (1, True)
    assert not (tmp_path / "none").exists()


async def test_a_guarded_broker_is_cleared_with_the_bridges_own_account(tmp_path: Path) -> None:
    """That account may tell Home Assistant of locks, and may not read what it was told."""
    with GuardedBroker(tmp_path) as broker:
        secret = tmp_path / "mqtt-password"
        secret.write_text(password("nuki"))
        secret.chmod(0o600)
        daemon = Daemon(tmp_path, broker.port)
        settings = daemon.config.read_text()

        def account(name: str) -> None:
            secret.write_text(password(name))
            daemon.config.write_text(
                settings.replace("mqtt: {", f"mqtt: {{username: {name}, password_file: {secret}, ")
            )

        account("nuki")
        daemon.start()
        try:
            async with listening(broker, "homeassistant/#") as peer:
                assert (await peer.next()).topic.startswith("homeassistant/")
            daemon.signal(signal.SIGTERM)
            assert await daemon.ended(10) == 0
            before = await retained(broker)
            assert {each.split("/")[0] for each in before} == {"nuki", "homeassistant"}

            account("owner")  # who may read all this and publish none of it
            refused = await call("retire", "--yes", "--config", str(daemon.config))
            assert (refused.status, "could not be cleared" in refused.err) == (1, True)
            assert await retained(broker) == before

            account("nuki")
            done = await call("retire", "--yes", "--config", str(daemon.config))
            assert (done.status, done.lines) == (0, [])
            assert await retained(broker) == {}
        finally:
            daemon.kill()
