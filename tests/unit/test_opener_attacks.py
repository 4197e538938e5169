"""An Opener whose words mislead: what is told of its strike and its bell is so, or it is not told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.lock.rings import FEW_BEACONS, SILENT_S, Hearing
from tests.unit.intercom import OPENER, SETTINGS, WITH_PIN, Intercom

BOTH = pytest.mark.parametrize("settings", [SETTINGS, WITH_PIN], ids=["no pin", "pin"])


@BOTH
@pytest.mark.parametrize(
    "habit",
    [{}, {"complete_before_hold": True}, {"complete_missing": True}, {"ends_at_once": True, "queue_s": 0.2}],
    ids=str,
)
async def test_how_the_strike_before_ended_is_not_told_of_the_next(
    tmp_path: Path, settings: Any, habit: dict[str, Any]
) -> None:
    """Whoever hears that it failed asks again, and the door opens twice."""
    house = Intercom(tmp_path, settings, ends_at_the_end=True, **habit)
    async with house.running():
        await house.paired()
        first = asyncio.create_task(house.do("open", 120.0))
        while house.strikes() == 0:
            await asyncio.sleep(0.02)
        house.opener.reboot()
        assert (await first)["status"] == ("ok" if "ends_at_once" in habit else "error")
        await asyncio.sleep(120)
        answer = await house.do("open", 120.0)
        await asyncio.sleep(10)
        assert house.strikes() == 2
        assert answer.get("error", "ok") in ("ok", "outcome_unknown"), answer
        if "complete_missing" not in habit:
            assert answer["status"] == "ok"


async def test_rings_are_told_after_the_log_has_begun_anew(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        for _ in range(3):
            house.opener.ring()
            await asyncio.sleep(60)
        house.opener.device.log.load([])
        house.opener.device.log.next_index = 1
        await asyncio.sleep(30)
        for count in range(4, 9):
            house.opener.ring()
            await asyncio.sleep(60)
            assert len(house.rings()) == count


async def visit(house: Intercom, seconds: float, *, opens: bool) -> None:
    """Somebody else is linked for so long, which sets the beacon's bit, and perhaps opens."""
    link = house.radio.link(OPENER, lambda channel, data: None, lambda: None)
    await link.connect(5.0)
    house.opener.device.changed()
    await asyncio.sleep(1)
    if opens:
        house.opener.press_button()
    await asyncio.sleep(seconds)
    await link.disconnect()


@BOTH
@pytest.mark.parametrize("seconds", [5.0, 12.0, 30.0])
@pytest.mark.parametrize("opens", [False, True])
async def test_a_visit_of_the_app_is_no_ring(tmp_path: Path, settings: Any, seconds: float, opens: bool) -> None:
    house = Intercom(tmp_path, settings)
    house.opener.advanced.single_button_press_action = 7
    async with house.running():
        await house.paired()
        for _ in range(3):
            await asyncio.sleep(60)
            await visit(house, seconds, opens=opens)
        await asyncio.sleep(60)
        assert house.rings() == []
        house.opener.ring()
        await asyncio.sleep(2)
        assert len(house.rings()) == 1


@pytest.mark.parametrize(
    ("usual", "silent_s", "there"),
    [
        ([1.0] * FEW_BEACONS, 3.9, True),
        ([1.0] * FEW_BEACONS, 5.0, False),
        ([1.0, 6.0] * FEW_BEACONS, 11.0, True),  # far away, where one in six is heard now and then
        ([1.0, 6.0] * FEW_BEACONS, 13.0, False),
        ([40.0] * FEW_BEACONS, SILENT_S + 0.1, False),
        ([1.0] * 3, SILENT_S, True),  # nobody knows yet
    ],
)
def test_what_silence_is_out_of_the_ordinary(usual: list[float], silent_s: float, there: bool) -> None:
    hearing = Hearing()
    for each in usual:
        hearing.heard(each)
    assert hearing.heard(silent_s) == there


@pytest.mark.parametrize("after_s", [0.2, 1.0, 2.0, None])
async def test_a_ring_while_the_broker_is_away_is_told_once(tmp_path: Path, after_s: float | None) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        await asyncio.sleep(60)
        if after_s is not None:
            house.opener.ring()
            await asyncio.sleep(after_s)
        house.online = False
        house.bridge.connection_changed(False)
        if after_s is None:
            house.opener.ring()
        await asyncio.sleep(20)
        house.online = True
        house.bridge.connection_changed(True)
        await asyncio.sleep(60)
        assert len(house.rings()) == 1


@BOTH
async def test_a_ring_right_before_somebody_asks_for_the_states_is_told_once(tmp_path: Path, settings: Any) -> None:
    house = Intercom(tmp_path, settings)
    async with house.running():
        await house.paired()
        for count in range(1, 6):
            await asyncio.sleep(60)
            asked = asyncio.create_task(house.ask("hall/request/refresh"))
            await asyncio.sleep(0.05 * count)
            house.opener.ring()
            await asked
            await asyncio.sleep(60)
            assert len(house.rings()) == count
