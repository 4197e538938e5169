"""`nuki-bridge trace` with a daemon that runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.broker import Broker
from tests.integration.command import call
from tests.integration.daemon import CLASSIC, running

pytestmark = pytest.mark.real_time


async def test_a_trace_is_printed_for_people_and_for_programs(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        url = f"mqtt://127.0.0.1:{broker.port}/nuki"
        (tmp_path / "daemon").mkdir()
        async with running(broker, tmp_path / "daemon") as home:
            await home.pair()
            result = await call("trace", "front", "--for", "2s", "--json", "--broker", url)
            assert (result.status, result.lines) == (0, [])
            told = json.loads(result.out)
            assert told["seconds"] == 2
            messages = [each.get("message") for each in told["notes"]]
            assert {"KeyturnerStates", "Config", "Challenge"} <= set(messages)
            assert CLASSIC not in result.out
            people = await call("trace", "--for", "2s", "--broker", url)
            assert people.status == 0
            assert "KeyturnerStates" in people.out
            wrong = await call("trace", "--for", "1h", "--broker", url)
            assert (wrong.status, wrong.out) == (2, "")
            assert "from 1s to 10m" in wrong.err
            unknown = await call("trace", "elsewhere", "--broker", url)
            assert unknown.status == 1
            assert await home.movements() == 0
