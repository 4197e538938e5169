"""What the last bytes of a lock's states say of its networks, by bytes written from the document."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki_bridge.bridge import report
from nuki_bridge.lock import battery_watch
from nuki_bridge.protocol.codes import Command, Family
from nuki_bridge.protocol.messages import KeyturnerStates
from nuki_bridge.protocol.wire import decode
from tests.unit.house import CLASSIC, ULTRA, House

TO_ACCESSORIES = bytes.fromhex("02 01 00 ea 07 0c 01 0a 1e 00 3c 00 a8 05 00 01 00 00 02 00 00")
"""Keyturner States up to the accessories' batteries (21 bytes)."""


def told(tail: str) -> dict[str, Any] | None:
    states = decode(Command.KEYTURNER_STATES, TO_ACCESSORIES + bytes.fromhex(tail), Family.ULTRA)
    assert isinstance(states, KeyturnerStates)
    return None if states.network is None else states.network.to_json()


def test_a_lock_whose_states_end_before_tells_nothing() -> None:
    assert told("") is None


def test_a_lock_in_the_wifi_with_a_broker() -> None:
    """Remote access 0x0D: available, over Wi-Fi, established; -47 dBm is the field report's."""
    assert told("0d 01 d1 ef 03 00") == {
        "remote_access": {
            "connected": True,
            "available": True,
            "via": "wifi",
            "bridge_paired": False,
            "thread_uplink_enabled": False,
            "nat64_available": False,
        },
        "bridge_rssi": None,
        "wifi": {"state": "connected", "server": "connected", "quality": 14, "rssi": -47},
        "mqtt": {"state": "connected", "via": "wifi"},
        "thread": {"state": "disabled", "server": "suspended", "commissioning": False, "wifi_suspended": False},
    }


def test_a_lock_in_a_thread_network() -> None:
    found = told("79 c4 00 00 06 3b")
    assert found is not None
    assert found["remote_access"] == {
        "connected": True,
        "available": True,
        "via": "thread",
        "bridge_paired": False,
        "thread_uplink_enabled": True,
        "nat64_available": True,
    }
    assert found["bridge_rssi"] == -60
    assert found["wifi"] == {"state": "disabled", "server": "suspended", "quality": 0, "rssi": None}
    assert found["mqtt"] == {"state": "connecting", "via": "thread"}
    assert found["thread"] == {
        "state": "connected",
        "server": "connecting",
        "commissioning": True,
        "wifi_suspended": True,
    }


def test_a_bridge_of_the_maker() -> None:
    found = told("0a 01 00 00 00 00")
    assert found is not None
    assert found["remote_access"]["bridge_paired"]
    assert found["remote_access"]["via"] is None


@pytest.mark.parametrize("size", range(1, 7))
def test_what_firmware_leaves_out_is_null(size: int) -> None:
    found = told("0d c4 d1 ef 03 01"[: 3 * size - 1])
    assert found is not None
    there = [found["remote_access"], found["bridge_rssi"], found["wifi"] and found["wifi"]["rssi"], found["wifi"]]
    there += [found["mqtt"], found["thread"]]
    known = [place for place, each in enumerate(there) if each is not None]
    # the strength of the Wi-Fi comes before its state, without which nothing is told of it
    assert known == [each for each in range(size) if each != 2 or size > 3]


@given(st.binary(min_size=0, max_size=9))
def test_no_bytes_are_too_strange(tail: bytes) -> None:
    found = told(tail.hex())
    assert (found is None) == (not tail)
    json.dumps(found)


async def test_the_status_tells_the_networks_and_no_news_of_their_strength(tmp_path: Path) -> None:
    house = House(tmp_path / "state")
    async with house.running():
        await house.pair(name="shed", address=ULTRA, pin="123456")
        await house.pair(name="front", address=CLASSIC)
        await asyncio.sleep(5.0)
        status = json.loads(house.retained["nuki/shed/status"])
        assert status["network"]["wifi"]["state"] == "connected"
        assert json.loads(house.retained["nuki/front/status"])["network"] is None
    weaker = {**status, "network": {**status["network"], "wifi": {**status["network"]["wifi"], "rssi": -80}}}
    assert report.content(weaker) == report.content(status)
    without = {**status, "network": {**status["network"], "wifi": {**status["network"]["wifi"], "state": "disabled"}}}
    assert report.content(without) != report.content(status)


async def test_the_voltage_is_read_once_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a day has 1000 s: to keep a link alive for a real one takes long, even in virtual time."""
    monkeypatch.setattr(battery_watch, "DAY_S", 1000.0)
    house = House(tmp_path / "state")
    async with house.running():
        await house.pair(name="front", address=CLASSIC)
        await asyncio.sleep(5.0)
        first = json.loads(house.retained["nuki/front/status"])["battery_report"]["voltage_mv"]
        house.classic.control({"battery": 20})
        await asyncio.sleep(900.0)
        assert json.loads(house.retained["nuki/front/status"])["battery_report"]["voltage_mv"] == first
        await asyncio.sleep(150.0)
        assert json.loads(house.retained["nuki/front/status"])["battery_report"]["voltage_mv"] == 4400 < first
