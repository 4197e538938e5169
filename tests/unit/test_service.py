"""What systemd is told, in virtual time."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nuki_bridge.daemon.service import LOOK_S, feed_watchdog, watchdog_interval_s
from nuki_bridge.watchdog import SLACK_S, Watchdog


def clock() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def feeding(watchdog: Watchdog, interval_s: float | None) -> AsyncIterator[list[str]]:
    told: list[str] = []
    task = asyncio.create_task(feed_watchdog(told.append, watchdog, interval_s))
    await asyncio.sleep(0)
    yield told
    task.cancel()


async def test_the_watchdog_is_fed_three_times_in_its_interval() -> None:
    async with feeding(Watchdog(clock), 6.0) as told:
        await asyncio.sleep(6.1)
        assert told == ["WATCHDOG=1"] * 4


async def test_a_long_interval_is_no_reason_to_look_rarely() -> None:
    async with feeding(Watchdog(clock), 3600.0) as told:
        await asyncio.sleep(LOOK_S * 3 + 0.1)
        assert len(told) == 4


async def test_a_part_that_is_stuck_starves_it_and_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    watchdog = Watchdog(clock)
    async with feeding(watchdog, 30.0) as told:
        watchdog.heartbeat("the broker").step(0.0, "hearing from the broker")
        await asyncio.sleep(SLACK_S + 0.5)
        fed = len(told)
        await asyncio.sleep(600.0)
        assert len(told) == fed
        errors = [each.getMessage() for each in caplog.records if each.levelno == logging.CRITICAL]
        assert errors == ["no progress any more, stuck in the broker: hearing from the broker"]


async def test_a_part_that_moves_again_in_time_saves_the_process(caplog: pytest.LogCaptureFixture) -> None:
    watchdog = Watchdog(clock)
    async with feeding(watchdog, 30.0) as told:
        part = watchdog.heartbeat("Bluetooth")
        part.step(0.0, "starting the scan")
        await asyncio.sleep(SLACK_S + 15.0)
        fed = len(told)
        part.step(60.0, "the pause")
        await asyncio.sleep(30.0)
        assert len(told) >= fed + 3
        assert caplog.records[-1].getMessage() == "every part makes progress again"


async def test_after_a_standstill_of_the_process_every_part_gets_its_time_again() -> None:
    """Suspended, stopped or swapped out: no part could keep its promise."""
    now = 0.0
    watchdog = Watchdog(lambda: clock() + now)
    async with feeding(watchdog, 30.0) as told:
        watchdog.heartbeat("lock front").step(5.0, "awaiting the lock's answer")
        now += 7200.0  # while everything stands still
        await asyncio.sleep(LOOK_S + 0.1)
        assert len(told) == 2
        await asyncio.sleep(5.0 + SLACK_S + LOOK_S)
        assert len(told) < 6
        assert watchdog.stuck() == ["lock front: awaiting the lock's answer"]


async def test_without_a_watchdog_the_log_alone_tells(caplog: pytest.LogCaptureFixture) -> None:
    watchdog = Watchdog(clock)
    async with feeding(watchdog, None) as told:
        watchdog.heartbeat("Bluetooth").step(0.0, "starting the scan")
        await asyncio.sleep(SLACK_S + 2 * LOOK_S)
        assert told == []
        assert "stuck in Bluetooth: starting the scan" in caplog.text


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_interval_is_that_of_this_process(environ: dict[str, str], interval_s: float | None) -> None:
    assert watchdog_interval_s(environ) == interval_s
