"""An action that is only to be carried out in some states, and what the lock's log shows; in virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nuki_bridge.errors import RequestError, TimedOut
from nuki_bridge.lock.condition import STATE_AGE_S
from nuki_bridge.lock.link_plan import ConnectionMode
from nuki_bridge.lock.lock import Lock
from nuki_bridge.protocol.codes import Action, LockState
from tests.unit.house import House
from tests.unit.rig import Rig

UNLOCKED = frozenset({LockState.UNLOCKED})
LOCKED = frozenset({LockState.LOCKED})


async def refused(lock: Lock, action: Action, only_if: frozenset[LockState]) -> str:
    with pytest.raises(RequestError) as caught:
        await lock.perform(action, 15.0, only_if=only_if)
    assert caught.value.code == "state_not_allowed"
    return str(caught.value)


@pytest.mark.parametrize("connection", [*ConnectionMode])
async def test_in_another_state_nothing_moves(connection: ConnectionMode) -> None:
    rig = Rig()
    async with rig.running(connection) as lock:
        assert "the lock is locked and not unlocked" in await refused(lock, Action.LOCK, UNLOCKED)
        assert rig.movements() == []
        outcome = await lock.perform(Action.UNLOCK, 15.0, only_if=LOCKED, suffix="Node-RED")
        assert outcome.completion == "success"
        assert [each.suffix for each in rig.virtual.movements()] == ["Node-RED"]


@pytest.mark.parametrize("connection", [*ConnectionMode])
async def test_the_state_is_asked_of_the_lock_and_not_remembered(connection: ConnectionMode) -> None:
    """Somebody turned the knob a moment ago, and nobody has told the bridge."""
    rig = Rig(beacon_bit_missing=True)
    async with rig.running(connection) as lock:
        await asyncio.sleep(60.0)
        rig.virtual.turn_by_hand(LockState.UNLOCKED)
        assert lock.states is not None
        assert lock.states.lock_state is LockState.LOCKED
        await refused(lock, Action.UNLATCH, LOCKED)
        assert "unlatch" not in " ".join(rig.movements())


async def test_a_lock_that_does_not_tell_its_state_is_not_moved() -> None:
    rig = Rig()
    async with rig.running() as lock:
        rig.virtual.out_of_range()
        with pytest.raises(TimedOut):
            await lock.perform(Action.UNLOCK, 15.0, only_if=LOCKED)
        rig.virtual.out_of_range(False)
        await asyncio.sleep(60.0)
        assert rig.movements() == []


async def test_a_reading_that_gets_lost_is_made_again() -> None:
    rig = Rig()
    async with rig.running() as lock:
        rig.virtual.swallow_next_answer()
        outcome = await lock.perform(Action.UNLOCK, 15.0, only_if=LOCKED)
        assert outcome.completion == "success"
        assert len(rig.movements()) == 1


async def test_a_state_that_grew_old_on_the_way_to_the_challenge_is_read_again() -> None:
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND) as lock:
        await asyncio.sleep(60.0)
        fresh_nonce = lock.fresh_nonce

        async def late(deadline: float) -> bytes:
            lock.fresh_nonce = fresh_nonce  # type: ignore[method-assign]
            await asyncio.sleep(STATE_AGE_S + 1)
            rig.virtual.turn_by_hand(LockState.UNLOCKED)
            return await fresh_nonce(deadline)

        lock.fresh_nonce = late  # type: ignore[method-assign]
        await refused(lock, Action.UNLATCH, LOCKED)
        assert rig.movements() == []


async def test_a_refusal_by_state_is_the_result(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(5.0)
        command = {"action": "lock", "only_if": ["UNLOCKED"], "as": "cron", "transaction": 1}
        answer = await house.ask("front/set", command)
        assert (answer["error"], answer["action"], answer["transaction"]) == ("state_not_allowed", "lock", 1)
        assert house.classic.movements() == []
        answer = await house.ask("front/set", {"action": "unlock", "only_if": ["locked", "undefined"], "as": "cron"})
        assert answer["completion"] == "success"
        assert [each.suffix for each in house.classic.movements()] == ["cron"]
