"""A keypad's codes over MQTT: list, add, change, remove; a code is told only to whoever asks for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.protocol.codes import Action, Family
from nuki_bridge.protocol.field_kinds import TimeLimit
from nuki_bridge.protocol.keypad_codes import AddKeypadCode, KeypadCode, RemoveKeypadCode, UpdateKeypadCode
from nuki_bridge.protocol.wire import decode, encode
from tests.unit.house import PIN, House, ask, refusal


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "state", PIN)


def on_lock(house: House) -> list[tuple[int, str, bool]]:
    return [(each.digits, each.name, each.enabled) for each in house.classic.codes]


# -- the messages


@pytest.mark.parametrize(("family", "pin"), [(Family.CLASSIC, "d204"), (Family.ULTRA, "d2040000")])
def test_a_new_code_on_the_wire(family: Family, pin: str) -> None:
    """Byte by byte as the table in the document has it: no published example exists."""
    message = AddKeypadCode(
        code=345678, name="Lisa", time_limited=False, limit=TimeLimit(), nonce=bytes(range(32)), security_pin=1234
    )
    expected = "4e460500" + b"Lisa".hex() + "00" * 16 + "00" + "00" * 19 + bytes(range(32)).hex() + pin
    assert encode(message, family).hex() == expected
    assert "345678" not in repr(message)


@pytest.mark.parametrize(
    ("message", "sizes"),
    [
        (RemoveKeypadCode(code_id=1, nonce=bytes(32), security_pin=1), (36, 38)),
        (
            UpdateKeypadCode(
                code_id=1,
                code=345678,
                name="Lisa",
                enabled=True,
                time_limited=False,
                limit=TimeLimit(),
                nonce=bytes(32),
                security_pin=1,
            ),
            (81, 83),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_sizes_are_the_documented_ones(message: Any, sizes: tuple[int, int]) -> None:
    assert (len(encode(message, Family.CLASSIC)), len(encode(message, Family.ULTRA))) == sizes


@pytest.mark.parametrize("tail", [0, 19])
def test_an_entry_with_and_without_its_tail(tail: int) -> None:
    payload = bytes.fromhex("01004e460500") + b"Lisa".ljust(20, b"\0") + b"\1" + bytes(14) + b"\7\0" + b"\0"
    entry = decode(0x45, payload + bytes(tail), Family.CLASSIC)
    assert isinstance(entry, KeypadCode)
    assert (entry.code_id, entry.code, entry.name, entry.enabled, entry.lock_count) == (1, 345678, "Lisa", True, 7)
    assert (entry.limit is None) == (tail == 0)


# -- over MQTT


async def test_a_code_from_its_making_to_its_end(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        assert await ask(house, "keypad/list") == []
        made = await ask(house, "keypad/add", name="Lisa", code="345678")
        assert (made["id"], made["name"], made["enabled"], made["access"]) == (1, "Lisa", True, None)
        assert on_lock(house) == [(345678, "Lisa", True)]

        changed = await ask(house, "keypad/update", name="Lisa", rename="Lise", access={"weekdays": ["mo"]})
        assert (changed["name"], changed["access"]) == ("Lise", {"weekdays": ["mo"]})
        assert on_lock(house) == [(345678, "Lise", True)]
        changed = await ask(house, "keypad/update", id=1, enabled=False, code=456789)
        assert (changed["enabled"], changed["access"]) == (False, {"weekdays": ["mo"]})
        assert on_lock(house) == [(456789, "Lise", False)]
        assert (await ask(house, "keypad/update", id=1, access=None))["access"] is None

        assert await ask(house, "keypad/remove", name="Lise") == {"id": 1, "name": "Lise"}
        assert on_lock(house) == []


async def test_digits_are_told_only_if_they_are_asked_for(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with house.running():
        await house.pair(name="front")
        await ask(house, "keypad/add", name="Lisa", code=345678)
        await ask(house, "keypad/update", id=1, enabled=True)
        assert "code" not in (await ask(house, "keypad/list"))[0]
        assert "345678" not in house.everything() + json.dumps(house.retained) + caplog.text
        assert (await ask(house, "keypad/list", codes=True))[0]["code"] == "345678"
        assert "345678" not in json.dumps(house.retained) + caplog.text


@pytest.mark.parametrize("count", [20, 39, 45])
async def test_more_codes_than_one_page(house: House, count: int) -> None:
    async with house.running():
        await house.pair(name="front")
        lock = house.classic
        lock.behaviour.list_end_missing = True
        for number in range(count):
            lock.codes.add(333111 + 10 * (number // 9) + number % 9, f"guest {number}", None, lock.now(), 100)
        listed = await ask(house, "keypad/list")
        assert [each["id"] for each in listed] == list(range(1, count + 1))


@pytest.mark.parametrize("code", ["12345", "345670", "123456", "3456789", 345670, True, None, "34567a", "３４５６７８"])
async def test_a_bad_code_is_refused_without_being_quoted(house: House, code: Any) -> None:
    async with house.running():
        await house.pair(name="front")
        answer = await house.ask("front/request/keypad/add", {"name": "Lisa", "code": code})
        assert answer["error"] == "bad_request"
        assert str(code) not in answer["message"] or code is None
        assert on_lock(house) == []


async def test_what_else_is_refused(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await ask(house, "keypad/add", name="Lisa", code="345678")
        await ask(house, "keypad/add", name="Lisa", code="456789")
        assert await refusal(house, "keypad/add", name="Tom", code="345678") == "code_already_exists"
        assert await refusal(house, "keypad/add", name="A name of more than 20", code="567891") == "bad_request"
        assert await refusal(house, "keypad/update", name="Lisa", enabled=False) == "ambiguous"
        assert await refusal(house, "keypad/update", id=1) == "bad_request"
        assert await refusal(house, "keypad/update", enabled=False) == "bad_request"
        assert await refusal(house, "keypad/remove", id=7) == "unknown_keypad_code"
        house.classic.behaviour.max_codes = 2
        assert await refusal(house, "keypad/add", name="Tom", code="567891") == "too_many_entries"
        assert len(on_lock(house)) == 2


async def test_a_lost_answer_makes_no_second_code(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        original = house.classic.codes.add

        def add_and_lose(*arguments: Any) -> Any:
            code = original(*arguments)
            house.classic.drop_links()
            return code

        house.classic.codes.add = add_and_lose  # type: ignore[method-assign, assignment]
        made = await ask(house, "keypad/add", name="Lisa", code="345678")
        assert (made["id"], made["name"]) == (1, "Lisa")
        assert [each.what for each in house.classic.audit].count("code_added") == 1
        assert on_lock(house) == [(345678, "Lisa", True)]


async def test_the_lock_takes_the_code_that_was_made(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await ask(house, "keypad/add", name="Lisa", code="345678", access={"weekdays": ["su"]})
        house.classic.enter_code(Action.UNLOCK, 345678)  # it is a Tuesday
        assert not house.classic.movements()
        await ask(house, "keypad/update", name="Lisa", access=None)
        house.classic.enter_code(Action.UNLOCK, 345678)
        assert len(house.classic.movements()) == 1
        [told] = await ask(house, "keypad/list")
        assert told["lock_count"] == 1
