"""What a lock holds and nobody asked to change is written back as it was, whatever it may mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.protocol.codes import Command, Family
from nuki_bridge.protocol.keypad_codes import KeypadCode
from nuki_bridge.protocol.messages import AuthorizationEntry, LogEntry
from nuki_bridge.protocol.time_control import TimeControlEntry
from nuki_bridge.protocol.wire import decode, encode
from tests.unit.test_bridge import House
from tests.unit.test_users import PIN, ask

NAMES = {
    "not UTF-8": b"Lisa\xff\xfe",
    "after the end": b"Lisa\0\x07\x01junk",
    "all of it": b"Lisa-Marie Schneider\x01\x02\x80",
    "control": b"Li\x1b[31msa",
}
LIMITS = {
    "24:00": bytes(14) + b"\x00\x08\x00\x18\x00",
    "no date": b"\xea\x07\x00\x00\x00\x00\x00" + bytes(12),
    "eighth weekday": bytes(14) + b"\xff" + bytes(4),
    "nothing": bytes(19),
    "all ones": b"\xff" * 19,
}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "state", PIN)


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_an_entry_is_encoded_as_it_was(name: bytes, limit: bytes) -> None:
    payload = bytes.fromhex("1100000000") + name.ljust(32, b"\0") + b"\1\1" + bytes(14) + b"\0\0\1" + limit
    entry = decode(Command.AUTHORIZATION_ENTRY, payload, Family.CLASSIC)
    assert isinstance(entry, AuthorizationEntry)
    assert entry.name.isprintable()
    assert encode(entry, Family.CLASSIC) == payload


@pytest.mark.parametrize("raw", LIMITS.values(), ids=LIMITS)
async def test_disabling_a_user_leaves_name_and_limit(house: House, raw: bytes) -> None:
    async with house.running():
        await house.pair(name="front")
        made = await ask(house, "users/add", name="Anna", access={"time_from": "08:00"})
        entry = house.classic.authorizations.get(made["authorization_id"])
        assert entry is not None
        name = NAMES["not UTF-8"].ljust(32, b"\0")
        payload = bytes.fromhex("1100000000") + name + b"\1\1" + bytes(14) + b"\0\0\1" + raw
        held = decode(Command.AUTHORIZATION_ENTRY, payload, Family.CLASSIC)
        assert isinstance(held, AuthorizationEntry)
        entry.name, entry.limit = held.name, held.limit
        house.classic.users_changed()
        await ask(house, "users/update", id=made["authorization_id"], enabled=False)
        assert entry.limit is not None
        assert (entry.enabled, entry.limit.raw, getattr(entry.name, "raw", None)) == (False, raw, name)


async def test_an_entry_that_comes_twice_is_told_once(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await ask(house, "keypad/add", name="Lisa", code="345678")
        await house.ask("front/set", "unlock")
        await ask(house, "timecontrol/add", time="07:30", action="unlock")
        before = {command: await ask(house, command) for command in LISTS}
        whole = house.classic.send_encrypted

        def twice(connection_id: int, to: Any, message: Any, size: int | None = None) -> None:
            for _ in range(
                2 if isinstance(message, AuthorizationEntry | KeypadCode | TimeControlEntry | LogEntry) else 1
            ):
                whole(connection_id, to, message, size)

        house.classic.send_encrypted = twice  # type: ignore[method-assign]
        for command, told in before.items():
            again = await ask(house, command)
            ids = [each.get("id", each.get("index")) for each in again]
            assert len(ids) == len(set(ids)) >= len(told) > 0, command


ENTRIES = (AuthorizationEntry, KeypadCode, TimeControlEntry, LogEntry)
LISTS = ("users/list", "keypad/list", "timecontrol/list", "log/get")
