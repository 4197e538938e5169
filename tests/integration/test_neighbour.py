"""Two daemons on one base topic of a real mosquitto say so; one that is killed, restarted or cut off never does."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.integration.broker import Broker
from tests.integration.daemon import Daemon, Home, running

pytestmark = pytest.mark.real_time

WORDS = "another nuki-bridge is running on this base topic"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    directory = tmp_path / "broker"
    directory.mkdir()
    with Broker(directory) as broker:
        yield broker


def told(home: Home) -> list[str]:
    """IDs of the other bridges on `bridge/event`."""
    events = [json.loads(each) for each in home.on("bridge/event")]
    return [each["id"] for each in events if each["type"] == "another_bridge"]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_second_daemon_is_noticed_and_restarts_are_not(broker: Broker, tmp_path: Path, protocol: str) -> None:
    more = f"mqtt: {{host: 127.0.0.1, port: {broker.port}, protocol: '{protocol}'}}\n"
    one = tmp_path / "one"
    one.mkdir()
    async with running(broker, one) as home:
        daemon = home.daemon
        daemon.config.write_text(daemon.config.read_text().partition("\n")[2] + more)
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            daemon.signal(number)
            await daemon.ended(10.0)
            before = len(home.on("bridge/info"))
            daemon.start()
            await home.until(partial(lambda before: len(home.on("bridge/info")) > before, before))
            await home.online()
            assert (await home.ask("bridge/request/health"))["status"] == "ok"
        assert (told(home), WORDS in daemon.log) == ([], False)
        ours = json.loads(home.last("bridge/info") or "{}")["id"]
        directory = tmp_path / "two"
        directory.mkdir()
        second = Daemon(directory, broker.port)
        second.config.write_text(second.config.read_text().partition("\n")[2] + more)
        second.start()
        try:
            found = await home.until(lambda: told(home))
            assert WORDS in daemon.log + second.log
            theirs = {json.loads(each)["id"] for each in home.on("bridge/info") if each}
            assert set(found) <= theirs
            assert len(theirs) == 2
            assert ours in theirs
        finally:
            second.kill()
