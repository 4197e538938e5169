"""How a long list is read: in few pages where entries come fast, and whole whatever the lock sends at a time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.lock.page_size import LONG_PAGE_S, PAGE_S, PageSize
from nuki_bridge.protocol.authorizations import RequestAuthorizationEntries
from nuki_bridge.simulator import requests
from nuki_bridge.simulator.client_request import ClientRequest
from tests.unit.house import PIN, House, add, ask
from tests.unit.rig import clock


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "state", PIN)


def pages(house: House) -> list[int]:
    """Entries of each page that the lock has sent so far."""
    return [int(each.detail or 0) for each in house.classic.audit if each.what == "entries_read"]


def long(*numbers: int) -> list[Any]:
    return [pytest.param(each, marks=pytest.mark.long) for each in numbers]


def sends_at_most(house: House, monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """The lock stops after so many entries and says that it is done, against the document; what it is asked for."""
    wanted: list[int] = []

    def handler(request: ClientRequest, message: RequestAuthorizationEntries) -> None:
        wanted.append(message.count)
        original(request, replace(message, count=min(message.count, most)))

    table = requests._HANDLERS[house.classic.family]
    kind, original = table[RequestAuthorizationEntries.command]
    monkeypatch.setitem(table, RequestAuthorizationEntries.command, (kind, handler))
    return wanted


async def listed(house: House, *, of: int) -> None:
    """The list is read, and nobody is missing."""
    everybody = {each.authorization_id for each in house.classic.authorizations}
    assert len(everybody) == of
    assert {each["id"] for each in await ask(house, "users/list")} == everybody


async def test_a_hundred_users_take_few_pages_where_they_come_fast(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        for number in range(99):
            add(house, f"user {number}")
        house.radio.indication_s = 0.008
        await listed(house, of=100)
        before = len(pages(house))
        await listed(house, of=100)
        assert pages(house)[before:] == [10, 40, 52]  # each begins with the last one of the page before


@pytest.mark.parametrize("entry_s", [0.01, 0.09])
async def test_a_command_waits_for_a_page_and_no_longer(house: House, entry_s: float) -> None:
    async with house.running():
        await house.pair(name="front")
        for number in range(199):
            add(house, f"user {number}")
        await asyncio.sleep(30)
        house.radio.indication_s = entry_s
        for _ in range(2):
            listing = asyncio.create_task(house.ask("front/request/users/list"))
            await asyncio.sleep(0.9 * entry_s * 100)
            begun, received = clock(), len(house.classic.audit)
            house.send("front/set", "unlock")
            while not any(each.what == "action_received" for each in house.classic.audit[received:]):
                await asyncio.sleep(0.01)
            assert not listing.done()
            assert clock() - begun <= 1.0 + 5 * entry_s + 0.01
            assert len((await listing)["data"]) == 200
            await asyncio.sleep(30)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("most", [20, *long(11, 39, 41, 99)])
async def test_a_lock_that_sends_fewer_at_a_time_than_asked_is_read_whole(
    house: House, monkeypatch: pytest.MonkeyPatch, most: int, told: bool
) -> None:
    house.classic.behaviour.tells_entry_count = told
    async with house.running():
        await house.pair(name="front")
        wanted = sends_at_most(house, monkeypatch, most)
        for number in range(149):
            add(house, f"user {number}")
        for _ in range(3):
            await listed(house, of=150)
        wanted.clear()
        await listed(house, of=150)
        assert max(wanted) <= most, "it is asked for more than it sends, again and again"


@pytest.mark.parametrize(
    "users", [50, 130, *(pytest.param(each, marks=pytest.mark.long) for each in (20, 49, 51, 90, 171))]
)
async def test_the_end_of_a_long_page_is_looked_behind_once(house: House, users: int) -> None:
    async with house.running():
        await house.pair(name="front")
        for number in range(users - 1):
            add(house, f"user {number}")
        await asyncio.sleep(30)
        for _ in range(2):
            await listed(house, of=users)
        before = len(pages(house))
        await listed(house, of=users)
        read = pages(house)[before:]
        assert sum(read) == users + len(read) - 1, "nothing is read twice but the last one of each page"


async def test_who_is_removed_between_two_pages_hides_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.running():
        await house.pair(name="front")
        people = [add(house, f"user {number}") for number in range(89)]
        await asyncio.sleep(30)
        house.radio.indication_s = 0.01
        house.classic.behaviour.counts_user_changes = False
        before = len(pages(house))
        listing = asyncio.create_task(house.ask("front/request/users/list"))
        while len(pages(house)) == before:
            await asyncio.sleep(0.001)
        house.classic.authorizations.remove(people[3].authorization_id)
        answer = await listing
        left = {each.authorization_id for each in house.classic.authorizations}
        assert left <= {each["id"] for each in answer["data"]}
        assert len(pages(house)) - before > 1


def test_pages_grow_with_what_was_measured_and_no_page_takes_too_long() -> None:
    sizes = PageSize()
    assert sizes.longer(sizes.short) == sizes.short, "nothing is known yet"
    sizes.entry_s = 0.0
    assert [sizes.short, sizes.longer(10), sizes.longer(40)] == [10, 40, 120]
    for entry_s in (0.005, 0.02, 0.05, 0.1, 0.25, 1.0):
        sizes.entry_s = entry_s
        size = sizes.short
        assert size <= 3 or size * entry_s <= PAGE_S
        for _ in range(4):
            size = sizes.longer(size)
            assert size <= sizes.short or size * entry_s <= LONG_PAGE_S
