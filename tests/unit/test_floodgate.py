"""Guests' messages in a flood are shut out for a while, and everything else goes on; on virtual time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from nuki_bridge.bridge.floodgate import MOST, guest_filters
from nuki_bridge.config import MqttSettings
from nuki_bridge.daemon.broker import Broker
from nuki_bridge.errors import BrokerError
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.topics.tree import command_filters
from nuki_bridge.watchdog import Watchdog
from tests.unit.party import Guest, Party, party
from tests.unit.rig import clock

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
        heartbeat=Watchdog().heartbeat("the broker"),
    )
    client = Client()
    broker._client = cast("mqtt.Client", client)
    broker.unwatch(GUESTS)
    assert client.ended == tuple(GUESTS)


# -- what is retained on guests' topics


class Sweeper:
    """What `Outside.sweep` is: keeps when it was called and for what, and finds `found`."""

    def __init__(self) -> None:
        self.calls: list[float] = []
        self.filters: list[str] = []
        self.found: list[Incoming] = []
        self.takes_s = 1.0
        self.fails = False

    async def __call__(self, filters: list[str], tell: Callable[[Incoming], None]) -> int:
        self.calls.append(clock())
        self.filters = filters
        await asyncio.sleep(self.takes_s)
        if self.fails:
            raise BrokerError("no answer from the broker")
        for each in self.found:
            tell(each)
        count, self.found = len(self.found), []
        return count


@asynccontextmanager
async def swept(tmp_path: Path) -> AsyncIterator[tuple[Party, Sweeper]]:
    async with party(tmp_path) as house:
        sweeper = Sweeper()
        house.bridge.floodgate._sweep = lambda filters: sweeper(filters, house.bridge.intake.swept)
        await asyncio.sleep(1.0)
        house.watched = []
        yield house, sweeper


def left(count: int) -> list[Incoming]:
    topics = [f"nuki/invitation/{number:032x}/redeem" for number in range(count)]
    return [Incoming(topic, b"junk", retain=True, received_at=clock()) for topic in topics]


async def test_at_each_connection_what_is_retained_is_removed_and_guests_are_heard_meanwhile(tmp_path: Path) -> None:
    async with swept(tmp_path) as (house, sweeper):
        anna = house.guest()
        house.bridge.connection_changed(False)
        assert set(GUESTS) <= set(house.bridge.filters())
        house.bridge.connection_changed(True)
        sweeper.takes_s = 20.0
        assert await anna.challenge()
        assert (sweeper.filters, len(sweeper.calls)) == (GUESTS, 1)


async def test_before_mqtt_5_guests_are_heard_once_that_is_done(tmp_path: Path) -> None:
    """There a subscription cannot leave out what is retained."""
    async with swept(tmp_path) as (house, sweeper):
        house.protocol = "3.1.1"
        for fails in (False, True):
            sweeper.fails = fails
            house.bridge.connection_changed(False)
            assert not set(GUESTS) & set(house.bridge.filters())
            house.bridge.connection_changed(True)
            house.watched = []
            await asyncio.sleep(0.5)
            assert house.watched == []
            await asyncio.sleep(1.0)
            assert house.watched == GUESTS


async def test_what_was_retained_is_answered_sparingly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with swept(tmp_path) as (house, sweeper):
        sweeper.found = left(3000)
        before = len(house.published)
        house.bridge.connection_changed(True)
        await asyncio.sleep(2.0)
        answers = [each for each in house.published[before:] if each.topic.startswith("nuki/invitation/")]
        assert 20 <= len(answers) < 30
        assert all(b"retained_command" in each.payload for each in answers)
        assert pauses(house) == 0, "nobody publishes now"
        texts = [each.getMessage() for each in caplog.records if "retained" in each.getMessage()]
        assert texts == ["3000 retained messages on guests' topics were removed"]


async def test_what_is_retained_in_a_flood_is_removed_before_guests_are_heard_again(tmp_path: Path) -> None:
    async with swept(tmp_path) as (house, sweeper):
        flood(house, 2 * MOST)
        shut_at = clock()
        house.watched = []
        await asyncio.sleep(60.5)
        assert [each - shut_at for each in sweeper.calls] == [pytest.approx(60.0)]
        assert (house.watched, house.bridge.floodgate.is_open) == ([], False)
        await asyncio.sleep(1.0)
        assert (house.watched, house.bridge.floodgate.is_open) == (GUESTS, True)


async def test_retained_messages_that_come_one_by_one_are_removed_together(tmp_path: Path) -> None:
    async with swept(tmp_path) as (house, sweeper):
        before = len(house.published)
        for message in left(300):
            house.bridge.handle(message)
        cleared = [each for each in house.published[before:] if each.retain and not each.payload]
        assert 20 <= len(cleared) < 30, "the queue to the broker is needed for others"
        await asyncio.sleep(30.0)
        assert len(sweeper.calls) == 1


async def test_what_could_not_be_removed_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A broker that has much to deliver may not answer for a while."""
    async with swept(tmp_path) as (house, sweeper):
        sweeper.found, sweeper.fails = left(30), True
        house.bridge.connection_changed(True)
        await asyncio.sleep(15.0)
        assert len(sweeper.calls) == 2
        sweeper.fails = False
        await asyncio.sleep(60.0)
        assert (len(sweeper.calls), sweeper.found) == (3, [])
        assert caplog.messages[-1] == "30 retained messages on guests' topics were removed"


async def test_what_the_sweep_clears_is_no_flood(tmp_path: Path) -> None:
    async with swept(tmp_path) as (house, sweeper):
        sweeper.takes_s = 30.0
        house.bridge.connection_changed(True)
        await asyncio.sleep(1.0)
        for message in left(2 * MOST):
            house.bridge.handle(replace(message, payload=b""))
        assert pauses(house) == 0
        await asyncio.sleep(40.0)
        for message in left(2 * MOST):
            house.bridge.handle(replace(message, payload=b""))
        assert pauses(house) == 1, "nobody else has so much to clear"


async def test_a_gate_that_shuts_during_a_sweep_stays_shut(tmp_path: Path) -> None:
    async with swept(tmp_path) as (house, sweeper):
        sweeper.takes_s = 10.0
        house.bridge.connection_changed(True)
        await asyncio.sleep(5.0)
        flood(house, 2 * MOST)
        await asyncio.sleep(59.0)
        assert not house.bridge.floodgate.is_open
        await asyncio.sleep(12.0)
        assert house.bridge.floodgate.is_open
        assert house.watched == GUESTS


def test_what_is_stored_on_guests_topics_is_not_asked_for() -> None:
    broker = Broker(
        MqttSettings(),
        filters=list,
        on_message=lambda message: None,
        on_connection=lambda connected: None,
        heartbeat=Watchdog().heartbeat("the broker"),
    )
    subscriptions = broker._subscriptions(command_filters("nuki"))
    assert {each.topic for each in subscriptions if not each.stored} == set(GUESTS)
