"""What an Opener does at a time: by its own names, as its own numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from nuki_bridge.errors import RequestError
from nuki_bridge.lock.profile import OPENER, SMART_LOCK, Profile
from nuki_bridge.owner import time_control
from nuki_bridge.protocol.codes import Family
from nuki_bridge.protocol.messages import Status
from nuki_bridge.protocol.time_control import TimeControlEntry, TimeControlEntryId
from nuki_bridge.protocol.wire import Message, OwnerRequest, decode, encode

NONCE = bytes(32)
ENTRIES = ["070100060001", "080160163005", "090000070042"]
"""Each day at 6:00 0x01, Monday and Tuesday at 22:48 0x05, and what nobody knows."""


class Device:
    """Has entries, and notes what it is written, as bytes."""

    def __init__(self, profile: Profile = OPENER) -> None:
        self.profile = profile
        self.allowed: set[int] = {1, 2, 3, 4, 5}
        self.written: list[str] = []

    def clock(self) -> float:
        return 0.0

    async def listing(self, request: Message, kind: type[Message], count: type[Message], deadline: float) -> list[Any]:
        return [decode(TimeControlEntry.command, bytes.fromhex(each), Family.OPENER) for each in ENTRIES]

    async def ask(self, request: OwnerRequest, wanted: type[Message], timeout_s: float, *, repeat: bool = True) -> Any:
        self.written.append(encode(request.signed(NONCE, 0), Family.OPENER)[:-34].hex())
        return TimeControlEntryId(entry_id=10) if wanted is TimeControlEntryId else Status(status=0)

    def check_allowed(self, action: int) -> None:
        if action not in self.allowed:
            raise RequestError("action_not_allowed", "this action is not allowed")

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        yield

    async def request(self, name: str, **arguments: Any) -> Any:
        """Ask for it as MQTT does."""
        declared = time_control.REQUESTS[f"timecontrol/{name}"]
        call = SimpleNamespace(
            lock=self,
            admin=self,
            arguments=declared.arguments.check(arguments),
            left_s=lambda: 10.0,
            exclusive=self.exclusive,
            check_allowed=self.check_allowed,
        )
        return (await declared.handler(call))["data"]  # type: ignore[arg-type]


async def test_its_entries_are_told_in_its_own_words() -> None:
    assert [(each["id"], each["action"]) for each in await Device().request("list")] == [
        (7, "activate_rto"),
        (8, "deactivate_continuous_mode"),
        (9, "unknown_0x42"),
    ]
    assert [each["action"] for each in await Device(SMART_LOCK).request("list")] == [
        "unlock",
        "lock_n_go_unlatch",
        "unknown_0x42",
    ]


@pytest.mark.parametrize(
    ("action", "byte"),
    [
        ("activate_rto", "01"),
        ("deactivate_rto", "02"),
        ("open", "03"),
        ("activate_continuous_mode", "04"),
        ("deactivate_continuous_mode", "05"),
    ],
)
async def test_a_new_entry_has_its_own_number(action: str, byte: str) -> None:
    device = Device()
    made = await device.request("add", time="18:00", action=action, weekdays=["mo"])
    assert device.written == ["401200" + byte]
    assert (made["id"], made["action"], made["time"]) == (10, action, "18:00")


async def test_a_changed_entry_keeps_the_rest() -> None:
    device = Device()
    await device.request("update", id=8, action="activate_rto")
    await device.request("update", id=8, time="22:00")
    assert device.written == ["080160163001", "080160160005"]


@pytest.mark.parametrize(
    ("profile", "action", "says"),
    [
        (OPENER, "unlock", "an Opener cannot be told to unlock at a time; allowed are activate_rto, "),
        (OPENER, "lock", "an Opener cannot be told to lock"),
        (SMART_LOCK, "activate_rto", "a Smart Lock cannot be told to activate_rto at a time; allowed are unlock"),
        (SMART_LOCK, "open", "a Smart Lock cannot be told to open"),
    ],
)
async def test_a_word_of_the_other_kind_is_refused(profile: Profile, action: str, says: str) -> None:
    """The number of one's `lock` is that of the other's `deactivate_rto`: it must never be sent for it."""
    device = Device(profile)
    for name, place in (("add", {"time": "18:00"}), ("update", {"id": 7})):
        with pytest.raises(RequestError, match=says) as refused:
            await device.request(name, action=action, **place)
        assert refused.value.code == "unknown_action"
    assert device.written == []


async def test_an_action_that_is_not_allowed_is_not_planned() -> None:
    device = Device()
    device.allowed = {2}
    for name, arguments in (
        ("add", {"time": "18:00", "action": "open"}),
        ("update", {"id": 8, "action": "activate_rto"}),
        ("update", {"id": 7, "time": "18:00"}),
    ):
        with pytest.raises(RequestError) as refused:
            await device.request(name, **arguments)
        assert refused.value.code == "action_not_allowed"
    assert device.written == []
    await device.request("update", id=7, enabled=False)
    assert device.written == ["070000060001"]
