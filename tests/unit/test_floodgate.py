"""Guests' messages in a flood are shut out for a while, and everything else goes on; on virtual time."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from nuki_bridge.bridge.floodgate import MOST, guest_filters
from nuki_bridge.config import MqttSettings
from nuki_bridge.daemon.broker import Broker
from nuki_bridge.pulse import Pulse
from nuki_bridge.topics.topics import command_filters
from tests.unit.test_relay import Guest, Party, party

if TYPE_CHECKING:
    from nuki_bridge.mqtt import mqtt

GUESTS = ["nuki/+/relay/+/write", "nuki/invitation/+/redeem"]


def flood(house: Party, count: int) -> None:
    for number in range(count):
        topic = f"front/relay/{number:032x}/write" if number % 2 else f"invitation/{number:032x}/redeem"
        house.send(topic, b"junk")


def pauses(house: Party) -> int:
    return [each["type"] for each in house.events("bridge/event")].count("guests_paused")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    texts = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    return [each for each in texts if "messages of guests" in each]


def test_what_guests_publish_is_among_what_the_bridge_listens_to() -> None:
    assert guest_filters("nuki") == GUESTS
    assert set(GUESTS) < set(command_filters("nuki"))


async def test_a_flood_of_guests_messages_is_shut_out_for_a_minute(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.challenge()
        await asyncio.sleep(10.0)
        flood(house, 20_000)
        assert house.unwatched == GUESTS
        assert house.events("bridge/event")[-1]["seconds"] == 60
        assert not set(GUESTS) & set(house.bridge.filters()), "a reconnect must not let the flood in"
        house.watched = []
        published = len(house.published)
        flood(house, 100)
        anna.write(b"junk")
        assert house.published[published:] == [], "what still comes is not read"
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"
        assert (await house.ask("front/request/users/list"))["status"] == "ok"
        await asyncio.sleep(60.0)
        assert house.watched == GUESTS
        assert set(GUESTS) <= set(house.bridge.filters())
        assert await Guest(house, anna.number, anna.key, "Anna").challenge()
        assert pauses(house) == len(warnings(caplog)) == 1


async def test_one_flood_is_one_warning_however_long_it_lasts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with party(tmp_path) as house:
        for _ in range(3):
            flood(house, 2 * MOST)
            await asyncio.sleep(61.0)
        assert (pauses(house), len(warnings(caplog))) == (3, 1)
        await asyncio.sleep(600.0)
        flood(house, 2 * MOST)
        assert (pauses(house), len(warnings(caplog))) == (4, 2)


async def test_large_messages_count_by_their_size(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        for number in range(MOST // 101):
            house.send(f"front/relay/{number:032x}/write", bytes(100 * 1024))
        assert pauses(house) == 0
        house.send(f"front/relay/{99:032x}/write", bytes(100 * 1024))
        assert pauses(house) == 1


async def test_many_messages_in_a_longer_time_are_no_flood(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        for _ in range(10):
            flood(house, MOST)
            for _ in range(2 * MOST):
                house.send("front/state", b"locked", retain=True)
            await asyncio.sleep(5.0)
        assert pauses(house) == 0
        flood(house, MOST)
        assert pauses(house) == 0
        flood(house, 1)
        assert pauses(house) == 1


async def test_the_gate_shuts_for_the_base_topic_that_is_in_use(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        house.bridge.move("home/door")
        flood(house, 2 * MOST)
        assert pauses(house) == 0
        for number in range(2 * MOST):
            assert house.bridge.floodgate.admits(f"home/door/front/relay/{number:032x}/write") == (number < MOST)
        assert house.unwatched == ["home/door/+/relay/+/write", "home/door/invitation/+/redeem"]


async def test_the_present_connection_is_asked_to_end_the_subscriptions() -> None:
    class Client:
        ended: tuple[str, ...] = ()

        def unsubscribe(self, *topics: str) -> None:
            self.ended = topics

    broker = Broker(
        MqttSettings(),
        filters=list,
        on_message=lambda message: None,
        on_connection=lambda connected: None,
        pulse=Pulse().part("the broker"),
    )
    client = Client()
    broker._client = cast("mqtt.Client", client)
    broker.unwatch(GUESTS)
    assert client.ended == tuple(GUESTS)
