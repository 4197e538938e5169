"""What a lock holds and nobody asked to change is written back as it was, whatever it may mean."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.protocol.advanced_config import AdvancedConfig, SetAdvancedConfig
from nuki_bridge.protocol.authorizations import AuthorizationEntry, UpdateAuthorizationEntry
from nuki_bridge.protocol.codes import Command, Family
from nuki_bridge.protocol.field_kinds import NoTime, kept_flag, switch, time_limit, time_of_day
from nuki_bridge.protocol.keypad_codes import KeypadCode, UpdateKeypadCode
from nuki_bridge.protocol.log_entries import LogEntry
from nuki_bridge.protocol.time_control import TimeControlEntry
from nuki_bridge.protocol.wire import decode, encode
from tests.unit.house import PIN, ULTRA, House, ask

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
        whole = house.classic.connections.send_encrypted

        def twice(connection_id: int, to: Any, message: Any, size: int | None = None) -> None:
            for _ in range(
                2 if isinstance(message, AuthorizationEntry | KeypadCode | TimeControlEntry | LogEntry) else 1
            ):
                whole(connection_id, to, message, size)

        house.classic.connections.send_encrypted = twice  # type: ignore[method-assign]
        for command, told in before.items():
            again = await ask(house, command)
            ids = [each.get("id", each.get("index")) for each in again]
            assert len(ids) == len(set(ids)) >= len(told) > 0, command


ENTRIES = (AuthorizationEntry, KeypadCode, TimeControlEntry, LogEntry)
LISTS = ("users/list", "keypad/list", "timecontrol/list", "log/get")


# -- flags, times of day and limits that do not count -----------------------------------------------------------------

ODD = (b"\xff", b"\x02", b"\x80")


@pytest.fixture(params=ODD, ids=("FF", "02", "80"))
def odd(request: pytest.FixtureRequest) -> Any:
    """A flag that is set, as no document has it."""
    return kept_flag.unpack(request.param)


def packed(flag: Any) -> bytes:
    return kept_flag.pack(flag, Family.CLASSIC)


@pytest.mark.parametrize("byte", [b"\0", b"\1", *ODD])
def test_a_flag_is_encoded_as_it_was(byte: bytes) -> None:
    read = kept_flag.unpack(byte)
    assert (read, kept_flag.pack(read, Family.CLASSIC)) == (byte != b"\0", byte)
    assert kept_flag.pack(bool(read), Family.CLASSIC) == bytes([read])  # set anew it is the document's


@pytest.mark.parametrize("raw", [b"\x18\x00", b"\xff\xff", b"\x17\x3c", b"\x07\x1e"])
def test_a_time_of_day_is_encoded_as_it_was(raw: bytes) -> None:
    read = time_of_day.unpack(raw)
    assert (bool(read), time_of_day.pack(read, Family.CLASSIC)) == (raw == b"\x07\x1e", raw)


async def test_odd_flags_of_a_user_are_written_back(house: House, odd: Any) -> None:
    async with house.running():
        await house.pair(name="front")
        made = await ask(house, "users/add", name="Anna")
        entry = house.classic.authorizations.get(made["authorization_id"])
        assert entry is not None
        entry.enabled = entry.remote_allowed = odd
        house.classic.users_changed()
        told = await ask(house, "users/update", id=entry.authorization_id, rename="Bert")
        assert (told["enabled"], told["remote"]) == (True, True)
        assert json.dumps([told["enabled"], told["remote"]]) == "[true, true]"
        assert packed(entry.enabled) == packed(entry.remote_allowed) == packed(odd)
        await ask(house, "users/update", id=entry.authorization_id, enabled=False)
        await ask(house, "users/update", id=entry.authorization_id, enabled=True)
        assert (packed(entry.enabled), packed(entry.remote_allowed)) == (b"\1", packed(odd))


async def test_odd_flags_of_a_code_are_written_back(house: House, odd: Any) -> None:
    async with house.running():
        await house.pair(name="front")
        made = await ask(house, "keypad/add", name="Lisa", code="345678")
        code = house.classic.codes.get(made["id"])
        assert code is not None
        code.enabled = odd
        told = await ask(house, "keypad/update", id=made["id"], rename="Max")
        assert (json.dumps(told["enabled"]), packed(code.enabled)) == ("true", packed(odd))


@pytest.mark.parametrize("raw", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("command", ["users", "keypad"])
async def test_a_limit_that_does_not_count_is_written_back(house: House, command: str, raw: bytes) -> None:
    """It must neither be lost nor begin to count; what was asked for takes its place."""
    async with house.running():
        await house.pair(name="front")
        user = await ask(house, "users/add", name="Anna")
        code = await ask(house, "keypad/add", name="Lisa", code="345678")
        number = user["authorization_id"] if command == "users" else code["id"]
        table = house.classic.authorizations if command == "users" else house.classic.codes
        entry = table.get(number)
        assert entry is not None
        entry.idle_limit = time_limit.unpack(raw)
        house.classic.users_changed()
        told = await ask(house, f"{command}/update", id=number, rename="Bert")
        assert (told["access"], entry.limit) == (None, None)
        assert entry.idle_limit is not None
        assert time_limit.pack(entry.idle_limit, Family.CLASSIC) == raw
        await ask(house, f"{command}/update", id=number, access={"time_from": "08:00"})
        await ask(house, f"{command}/update", id=number, access=None)
        assert (entry.limit, entry.idle_limit) == (None, time_limit.unpack(bytes(19)))


@pytest.mark.parametrize("byte", ODD)
@pytest.mark.parametrize("kind", ["user", "code"])
async def test_an_odd_flag_for_the_limit_is_written_back(house: House, kind: str, byte: bytes) -> None:
    """The virtual lock makes a bool of it, so what goes over the air is looked at."""
    async with house.running():
        await house.pair(name="front")
        made = await ask(house, "users/add", name="Anna", access={"time_from": "08:00"})
        code = await ask(house, "keypad/add", name="Lisa", code="345678", access={"time_from": "08:00"})
        whole, seen = house.classic.connections.send_encrypted, []

        def send(connection_id: int, to: Any, message: Any, size: int | None = None) -> None:
            if isinstance(message, AuthorizationEntry | KeypadCode) and message.time_limited:
                message = replace(message, time_limited=kept_flag.unpack(byte))
            whole(connection_id, to, message, size)

        house.classic.connections.send_encrypted = send  # type: ignore[method-assign]
        house.classic.users_changed()
        member = house.bridge.members.get("front")
        assert member is not None
        assert member.owned is not None
        admin, asked = member.owned.admin, member.owned.admin.ask

        async def ask_and_look(request: Any, *arguments: Any, **named: Any) -> Any:
            if isinstance(request, UpdateAuthorizationEntry | UpdateKeypadCode):
                seen.append(request)
            return await asked(request, *arguments, **named)

        admin.ask = ask_and_look  # type: ignore[method-assign]
        if kind == "user":
            await ask(house, "users/update", id=made["authorization_id"], enabled=False)
        else:
            await ask(house, "keypad/update", id=code["id"], enabled=False)
        [message] = seen
        assert (packed(message.time_limited), packed(message.enabled)) == (byte, b"\0")


async def test_odd_flags_and_times_of_time_control_are_written_back(house: House, odd: Any) -> None:
    async with house.running():
        await house.pair(name="front")
        made = await ask(house, "timecontrol/add", time="07:30", action="unlock")
        entry = house.classic.time_control.get(made["id"])
        assert entry is not None
        entry.enabled, entry.at = odd, NoTime(b"\x18\0")
        told = await ask(house, "timecontrol/update", id=made["id"], weekdays=["mo"])
        assert (json.dumps(told["enabled"]), told["time"]) == ("true", None)
        assert (packed(entry.enabled), entry.at, entry.weekdays) == (packed(odd), NoTime(b"\x18\0"), 64)
        assert (await ask(house, "timecontrol/update", id=made["id"], time="08:00"))["time"] == "08:00"
        assert entry.at == time(8)


BASIC = ("auto_unlatch", "pairing_enabled", "button_enabled", "led_enabled", "single_lock")


async def test_odd_flags_of_the_configuration_are_written_back(house: House, odd: Any) -> None:
    async with house.running():
        await house.pair(name="front")
        settings = house.classic.settings
        for each in BASIC:
            setattr(settings, each, odd)
        told = await ask(house, "config/set", led_brightness=5)
        assert json.dumps([told[each] for each in BASIC]) == json.dumps([True] * len(BASIC))
        assert [packed(getattr(settings, each)) for each in BASIC] == [packed(odd)] * len(BASIC)
        await ask(house, "config/set", led_enabled=False)
        assert (packed(settings.led_enabled), packed(settings.single_lock)) == (b"\0", packed(odd))


ADVANCED = [name for name, kind, _ in AdvancedConfig.layout if kind in (kept_flag, switch)]


async def _set(house: House, **settings: Any) -> dict[str, Any]:
    answer = await house.ask("back/request/config/set", settings)
    assert answer["status"] == "ok", answer
    told: dict[str, Any] = answer["data"]
    return told


@pytest.mark.parametrize("byte", ODD)
async def test_odd_flags_and_times_of_the_advanced_configuration_are_written_back(house: House, byte: bytes) -> None:
    async with house.running():
        await house.pair(ULTRA, name="back", pin="123456")
        advanced = house.ultra.advanced
        names = [each for each in ADVANCED if byte != b"\xff" or each not in SWITCHES]
        for each in names:
            setattr(advanced, each, kept_flag.unpack(byte))
        advanced.night_mode_start = advanced.night_mode_end = NoTime(b"\x18\0")
        told = await _set(house, unlatch_duration=5)
        assert json.dumps([told[each] for each in names]) == json.dumps([True] * len(names))
        assert (told["night_mode_start"], told["night_mode_end"], advanced.unlatch_duration) == (None, None, 5)
        assert [packed(getattr(advanced, each)) for each in names] == [byte] * len(names)
        assert advanced.night_mode_start == advanced.night_mode_end == NoTime(b"\x18\0")
        assert (await _set(house, night_mode_end="06:00"))["night_mode_end"] == "06:00"
        assert [advanced.night_mode_start, advanced.night_mode_end] == [NoTime(b"\x18\0"), time(6)]


SWITCHES = ("auto_lock_enabled", "immediate_auto_lock", "auto_update", "slow_speed_in_night_mode")


def test_of_a_longer_advanced_configuration_the_known_fields_are_written_back() -> None:
    """Set Advanced Config has no room for more: 31 bytes of fields, nonce, PIN."""
    payload = bytes(range(33)) + b"\xaa\xbb\xcc"
    read = decode(Command.ADVANCED_CONFIG, payload, Family.ULTRA)
    values = {name: getattr(read, name) for name, _, _ in SetAdvancedConfig.layout[:-2]}
    sent = encode(SetAdvancedConfig(**values, nonce=bytes(32), security_pin=123456), Family.ULTRA)
    assert sent == payload[2:33] + bytes(32) + (123456).to_bytes(4, "little")
