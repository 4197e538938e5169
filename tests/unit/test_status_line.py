"""The line in `systemctl status`: what it says, and how often."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nuki_bridge.bluetooth.link import RadioStatus
from nuki_bridge.bridge.members import Member
from nuki_bridge.config import LockSettings
from nuki_bridge.daemon.status_line import PAUSE_S, StatusLine, describe
from nuki_bridge.errors import LockError
from tests.unit.house import CLASSIC, ULTRA, House

CONNECTED = "broker connected (MQTT 5)"
HCI0 = RadioStatus(True, "hci0")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "state", LockSettings("front_door", CLASSIC), LockSettings("shed", ULTRA))


async def test_it_tells_of_locks_broker_and_adapter(house: House) -> None:
    async with house.running():
        await house.pair(name="front_door")
        members = house.bridge.members
        assert describe(members, CONNECTED, HCI0) == (
            "2 locks: front_door linked, shed not paired; broker connected (MQTT 5); adapter hci0"
        )
        house.send("front_door/simulate", {"out_of_range": True})
        await asyncio.sleep(120.0)
        assert "front_door out of reach" in describe(members, CONNECTED, HCI0)
        member = members.get("front_door")
        assert member is not None
        assert member.lock is not None
        member.lock.fault = LockError("not_authorized", "the lock has forgotten us", number=0x20)
        assert "front_door not_authorized" in describe(members, CONNECTED, HCI0)


async def test_a_lock_on_demand_is_in_reach(tmp_path: Path) -> None:
    house = House(tmp_path / "state", LockSettings("front_door", CLASSIC, connection="on-demand"))
    async with house.running():
        await house.pair(name="front_door")
        await asyncio.sleep(30.0)
        assert describe(house.bridge.members, CONNECTED, HCI0).startswith("1 lock: front_door in reach; ")


def test_what_is_missing_is_said_with_its_reason() -> None:
    radio = RadioStatus(False, "hci0", "adapter hci0 is powered off: `bluetoothctl power on`")
    assert describe([], "no broker: connection refused at localhost:1883", radio) == (
        "no locks; no broker: connection refused at localhost:1883; "
        "no Bluetooth: adapter hci0 is powered off: `bluetoothctl power on`"
    )


def test_many_locks_are_counted() -> None:
    line = describe([Member(f"lock_{number}") for number in range(10)], CONNECTED, HCI0)
    assert line.startswith("10 locks: lock_0 not paired, ")
    assert "lock_7 not paired, 2 more; broker" in line


def test_it_is_one_printable_line() -> None:
    assert describe([], "no broker: a\nb", HCI0) == "no locks; no broker: a b; adapter hci0"


# -- how often --------------------------------------------------------------------------------------------------------


async def test_a_change_is_told_at_once_and_the_next_after_a_pause() -> None:
    text = "one"
    told: list[str] = []
    line = StatusLine(lambda: text, told.append)
    line.schedule()
    await asyncio.sleep(0.01)
    assert told == ["one"]
    text = "two"
    line.schedule()
    await asyncio.sleep(PAUSE_S / 2)
    assert told == ["one"]
    await asyncio.sleep(PAUSE_S)
    assert told == ["one", "two"]
    await asyncio.sleep(10.0)
    text = "three"
    line.schedule()
    await asyncio.sleep(0.01)
    assert told[-1] == "three"


async def test_many_changes_make_one_line_and_the_last_one_counts() -> None:
    told: list[str] = []
    count = 0
    line = StatusLine(lambda: str(count), told.append)
    for _ in range(100):
        count += 1
        line.schedule()
        await asyncio.sleep(0.1)
    await asyncio.sleep(PAUSE_S)
    assert told[-1] == "100"
    assert len(told) <= 12


async def test_what_did_not_change_is_not_told_again() -> None:
    told: list[str] = []
    line = StatusLine(lambda: "same", told.append)
    for _ in range(5):
        line.schedule()
        await asyncio.sleep(PAUSE_S * 2)
    assert told == ["same"]


async def test_nothing_is_told_once_closed() -> None:
    told: list[str] = []
    line = StatusLine(lambda: "late", told.append)
    line.schedule()
    line.close()
    line.schedule()
    await asyncio.sleep(PAUSE_S)
    assert told == []
