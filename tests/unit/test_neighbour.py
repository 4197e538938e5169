"""Two bridges on one base topic are noticed by both, and told once; one bridge alone never is taken for two."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.bridge import neighbour
from nuki_bridge.topics.topics import Publication
from tests.unit.house import House

INFO = "nuki/bridge/info"
WORDS = "another nuki-bridge is running on this base topic"


def join(*houses: House) -> None:
    """One broker for all: what one publishes retained the others are shown, a moment later."""

    def deliver(to: House, publication: Publication) -> None:
        try:
            bridge = to.bridge
        except AttributeError:
            return  # it has not started
        if to.online and bridge is not None:
            to.send(publication.topic.removeprefix("nuki/"), publication.payload, retain=True)

    def spread(publication: Publication, publisher: House) -> None:
        loop = asyncio.get_running_loop()
        for each in houses:
            if each is not publisher and publication.retain:
                loop.call_later(0.01, deliver, each, publication)

    for each in houses:
        each.on_publish = lambda publication, own=each: spread(publication, own)  # type: ignore[misc]


def events(house: House) -> list[dict[str, Any]]:
    return [each for each in house.events("bridge/event") if each["type"] == "another_bridge"]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        each.getMessage()
        for each in caplog.records
        if each.levelno >= logging.WARNING and WORDS in each.msg % each.args
    ]


def reconnect(house: House, *shown: str) -> None:
    """The connection is lost and found, and the broker shows what it has retained."""
    house.bridge.connection_changed(False)
    house.bridge.connection_changed(True)
    for each in shown:
        house.send("bridge/info", each, retain=True)


@pytest.mark.parametrize("cloned", [False, True], ids=["two installations", "a copied state directory"])
async def test_both_say_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture, cloned: bool) -> None:
    one = House(tmp_path / "one")
    async with one.running():
        pass
    if cloned:
        shutil.copytree(tmp_path / "one", tmp_path / "two")
    one, two = House(tmp_path / "one"), House(tmp_path / "two")
    join(one, two)
    async with one.running():
        await asyncio.sleep(100.0)
        async with two.running():
            two.send("bridge/info", one.retained[INFO], retain=True)
            await asyncio.sleep(130.0)
            ids = [json.loads(each.retained[INFO])["id"] for each in (one, two)]
            assert [[event["id"] for event in events(each)] for each in (one, two)] == [[ids[1]], [ids[0]]]
            assert all(WORDS in event["message"] and "mqtt.base_topic" in event["message"] for event in events(one))
            await asyncio.sleep(3600.0)
            assert (len(events(one)), len(events(two)), len(warnings(caplog))) == (1, 1, 2)
            assert (ids[0] == ids[1]) is cloned


async def test_one_that_does_not_tell_its_run_is_noticed_too(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async with house.running():
        old = {key: value for key, value in json.loads(house.retained[INFO]).items() if key != "run"}
        for _ in range(5):
            house.send("bridge/info", {**old, "id": "0123456789abcdef"}, retain=True)
            await asyncio.sleep(60.0)
        assert ([each["id"] for each in events(house)], len(warnings(caplog))) == (["0123456789abcdef"], 1)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_ones_own_restarts_and_reconnects_are_nobody_elses(
    house: House, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    house.protocol = protocol
    before = "{}"
    for _ in range(3):
        async with house.running():
            house.send("bridge/info", before, retain=True)
            house.send("bridge/state", "offline", retain=True)
            await asyncio.sleep(70.0)
            for _ in range(3):
                reconnect(house, before if protocol == "5" else house.retained[INFO])  # the broker has started, too
                house.send("bridge/info", house.retained[INFO], retain=protocol == "5")  # an echo
                await asyncio.sleep(70.0)
            before = house.retained[INFO]
    assert (events(house), warnings(caplog)) == ([], [])


async def test_what_another_installation_has_left_is_no_bridge_that_runs(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with house.running():
        left = json.dumps({**json.loads(house.retained[INFO]), "id": "0123456789abcdef", "run": "1" * 16})
        for _ in range(5):
            reconnect(house, left)
            await asyncio.sleep(70.0)
        assert (events(house), warnings(caplog)) == ([], [])


@pytest.mark.parametrize("payload", ["", "[]", "null", "{", '{"id": 5}', '{"id": "\\u001b[31m"}', "[" * 9000])
def test_what_is_no_info_is_no_bridge(payload: str) -> None:
    told: list[Any] = []
    ours = neighbour.Neighbour("a" * 16, "b" * 16, told.append)
    assert not any(ours.is_foreign("nuki", payload.encode()) for _ in range(3))
    assert told == []


def test_many_that_were_made_up_are_not_kept() -> None:
    told: list[Any] = []
    ours = neighbour.Neighbour("a" * 16, "b" * 16, told.append)
    for number in range(100_000):
        assert ours.is_foreign("nuki", json.dumps({"id": f"{number:016x}"}).encode())
    assert (told, len(ours._seen)) == ([], neighbour.MOST)
