"""An Opener whose words mislead: what is told of its strike and its bell is so, or it is not told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.unit.intercom import SETTINGS, WITH_PIN, Intercom

BOTH = pytest.mark.parametrize("settings", [SETTINGS, WITH_PIN], ids=["no pin", "pin"])


@BOTH
@pytest.mark.parametrize("habit", [{}, {"complete_before_hold": True}, {"complete_missing": True}], ids=str)
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
        assert (await first)["status"] == "error"
        await asyncio.sleep(120)
        answer = await house.do("open", 120.0)
        assert house.strikes() == 2
        assert answer.get("error", "ok") in ("ok", "outcome_unknown"), answer
        if "complete_missing" not in habit:
            assert answer["status"] == "ok"
