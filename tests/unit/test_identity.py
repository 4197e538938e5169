"""A lock whose Nuki ID becomes known only after pairing: everything that is kept of it is kept under that ID."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import nuki_bridge
from nuki_bridge.bluetooth.nearby import NearbyDevices
from nuki_bridge.config import LockSettings
from nuki_bridge.errors import StoreError
from nuki_bridge.protocol.advertisement import Sighting
from nuki_bridge.protocol.codes import LockState
from nuki_bridge.sharing.invitation_store import Stage
from nuki_bridge.store import PairedLock
from tests.unit.house import CLASSIC, ULTRA, House, lose_after_handshake
from tests.unit.invited import invite, names, open_ones, settle

NUKI_ID = 0x1A2B3C4D


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """Its lock does not advertise its Nuki ID, and is lost right after the handshake of every pairing."""
    house, hear = House(tmp_path / "state"), NearbyDevices.hear

    def hear_no_id(nearby: NearbyDevices, sighting: Sighting) -> None:
        hear(nearby, replace(sighting, nuki_id=None))

    monkeypatch.setattr(NearbyDevices, "hear", hear_no_id)
    lose_after_handshake(house, monkeypatch)
    return house


async def pair(house: House) -> None:
    """Pair, so that the lock's Nuki ID is not known yet; it cannot be reached."""
    assert (await house.pair(name="front", pin="1234"))["nuki_id"] == "00000000"


async def learn(house: House) -> None:
    """Let the lock come back, and everything be read that is due."""
    house.radio.faults.connect_times_out = 0
    assert (await house.ask("front/request/refresh"))["status"] == "ok"
    await settle()
    assert [each.nuki_id for each in house.store.locks()] == [NUKI_ID]


async def test_the_log_is_told_on_from_where_it_was(house: House) -> None:
    async with house.running():
        await pair(house)
        await learn(house)
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"
        await settle()
        [stored] = house.store.locks()
        assert house.store.log_position(stored) is not None
    house.classic.turn_by_hand(LockState.LOCKED)
    await asyncio.sleep(30.0)
    house.published.clear()
    async with house.running():
        await settle()
        assert [(each["type"], each["action"]) for each in house.events("front/event")] == [("lock_action", "lock")]


async def test_an_invitation_ends_when_its_user_is_removed_elsewhere(house: House) -> None:
    async with house.running():
        await pair(house)
        await learn(house)
        invitation = await invite(house)
        assert [each["id"] for each in open_ones(house)] == [invitation["id"]]
        house.classic.remove_authorization(invitation["id"])
        await settle(700.0)
        assert open_ones(house) == []


async def test_an_invitation_ends_when_its_user_is_removed_here(house: House) -> None:
    async with house.running():
        await pair(house)
        await learn(house)
        invitation = await invite(house)
        answer = await house.ask("front/request/users/remove", {"id": invitation["id"]})
        assert answer["status"] == "ok"
        assert names(house) == []
        assert open_ones(house) == []


async def test_an_invitation_that_is_asked_for_before_the_id_is_known_is_of_this_lock(house: House) -> None:
    async with house.running():
        await pair(house)
        house.send("front/request/invite/create", {"name": "Anna"})
        await asyncio.sleep(1.0)
        house.radio.faults.connect_times_out = 0
        await settle()
        assert [each["user"] for each in open_ones(house)] == ["Anna"]
        [row] = house.bridge.invitations.open_at(NUKI_ID)
        assert row.stage is Stage.OPEN


async def test_what_was_refused_before_the_id_was_known_is_refused_after_a_restart(house: House) -> None:
    async with house.running():
        await pair(house)
        [unknown] = house.store.locks()
        house.store.keep_refused_pin(unknown, "4711", 1_796_112_000)
        await learn(house)
        [stored] = house.store.locks()
        assert house.store.refused_pins(stored) == {"4711": 1_796_112_000}


async def test_an_id_that_could_not_be_kept_is_kept_later(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.running():
        await pair(house)

        def fail(_lock: PairedLock) -> None:
            raise StoreError("the disk is full")

        with monkeypatch.context() as full:
            full.setattr(house.store, "save_lock", fail)
            full.setattr(house.store, "save_shown", fail, raising=False)
            house.radio.faults.connect_times_out = 0
            await settle()
            assert [each.nuki_id for each in house.store.locks()] == [0]
        assert (await house.ask("front/request/config/get"))["status"] == "ok"
        await asyncio.sleep(1.0)
        assert [each.nuki_id for each in house.store.locks()] == [NUKI_ID]


async def test_the_log_position_follows_a_lock_that_gets_another_name_in_the_store(tmp_path: Path) -> None:
    """The configuration calls the lock garden, and another one takes the name that it has in the store."""
    house = House(tmp_path / "state")
    async with house.running():
        await house.pair(name="front", pin="1234")
    house.settings = replace(house.settings, locks=(LockSettings("garden", CLASSIC),))
    async with house.running():
        await house.pair(ULTRA, name="front", pin="123456")
        assert [each.name for each in house.store.locks()] == ["front", "garden"]
        await settle()
        before = house.store.log_position(house.store.locks()[1])
        assert (await house.ask("garden/set", "unlock"))["status"] == "ok"
        await settle()
        after = house.store.log_position(house.store.locks()[1])
        assert before is not None
        assert after is not None
        assert after > before


OF_A_MOMENT = {"paired", "nuki_id", "authorization_id"}
"""What is known of a lock, and may be known better later."""


def kept_of_a_moment(tree: ast.AST) -> Iterator[ast.AST]:
    """The partials that hold something of it, and the functions within functions that hold all of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "partial":
            names = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
            names |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
            if names & OF_A_MOMENT:
                yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for inner in ast.walk(node):
            if inner is node or not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            own = {each.arg for each in (*inner.args.args, *inner.args.kwonlyargs)}
            used = {each.id for each in ast.walk(inner) if isinstance(each, ast.Name)}
            if "paired" in used - own:
                yield inner


def test_no_partial_and_no_closure_keeps_what_is_known_of_a_lock_at_one_moment() -> None:
    for file in Path(nuki_bridge.__file__).parent.rglob("*.py"):
        if "simulator" in file.parts:
            continue  # a virtual lock knows from the beginning who it is
        for node in kept_of_a_moment(ast.parse(file.read_text())):
            raise AssertionError(f"{file}: {ast.unparse(node)}")


def test_what_is_kept_of_a_moment_is_found() -> None:
    for text in ("f(partial(keep, lock.paired))", "def f(paired):\n    return lambda: paired.nuki_id"):
        assert len(list(kept_of_a_moment(ast.parse(text)))) == 1
    assert list(kept_of_a_moment(ast.parse("def f(lock):\n    return lambda: lock.paired.nuki_id"))) == []
