"""A connection that was cut off leaves its last will behind: after a restart that is nobody else's doing."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest

from tests.unit.house import House


async def test_the_will_of_a_connection_before_is_put_right_without_blaming_anybody(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with house.running():
        await house.pair(name="front")
        house.published.clear()
        house.send("bridge/state", "offline", retain=True)
        await asyncio.sleep(1.0)
        assert house.on("bridge/state") == ["online"]
        assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


async def test_whoever_else_publishes_there_is_named_as_such(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async with house.running():
        await house.pair(name="front")
        house.published.clear()
        for topic in ("front/availability", "bridge/info"):
            house.send(topic, "offline", retain=True)
        await asyncio.sleep(1.0)
        assert house.on("front/availability") == ["online"]
        assert [each.getMessage().split(",")[0] for each in caplog.records if each.levelno >= logging.WARNING] == [
            "somebody else published to nuki/front/availability",
            "somebody else published to nuki/bridge/info",
        ]


@pytest.mark.long
async def test_who_goes_on_publishing_there_is_named_once_an_hour(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as a second bridge on the same base topic: each puts its topics right once a minute."""
    async with house.running():
        await house.pair(name="front")
        house.published.clear()
        for _ in range(125):
            house.send("front/availability", "offline", retain=True)
            await asyncio.sleep(60.0)
        assert len(house.on("front/availability")) == 125
        said = [each.getMessage().partition("again")[2] for each in caplog.records if each.levelno >= logging.WARNING]
        assert [re.sub("59|60", "N", each) for each in said] == ["", *2 * [" (N times more since this was last said)"]]
