"""What an idle held link costs in writes, and a challenge that waits on it for the next command."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.errors import LockError
from nuki_bridge.lock.link_plan import CHALLENGE_S, KEEPALIVE_S, ConnectionMode
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.profile import SMART_LOCK
from nuki_bridge.protocol.codes import Action, Command, DoorState
from nuki_bridge.protocol.messages import ErrorReport, Status
from tests.unit import rig as rigs
from tests.unit.house import House
from tests.unit.party import motor, party
from tests.unit.rig import Rig, clock

AGE_S = 30.0
"""Seconds after which the challenges of a lock with that habit are refused."""


class Asked:
    """What the bridge asks a lock for by a question without a challenge, from now on."""

    def __init__(self, lock: Lock) -> None:
        self.challenges = 0
        self.states = 0
        self.others: list[str] = []
        lock.exchange._tap = self

    def message(self, command: int, payload: bytes, frame_size: int, *, sent: bool) -> None:
        if not sent:
            return
        wanted = int.from_bytes(payload, "little") if command == Command.REQUEST_DATA else None
        self.challenges += wanted == Command.CHALLENGE
        self.states += wanted == Command.KEYTURNER_STATES
        if wanted not in (Command.CHALLENGE, Command.KEYTURNER_STATES):
            self.others.append(Command(command).name)

    def frame(self, what: str, frame_size: int, *, sent: bool) -> None:
        pass

    def link(self, *, up: bool) -> None:
        pass

    def services(self, services: Any) -> None:
        pass


async def minute(rig: Rig) -> tuple[int, int]:
    """How often challenge and states are asked for in an idle minute; nothing else may be."""
    before = rig.writes()
    asked = Asked(rig.lock)
    await asyncio.sleep(60.0)
    assert asked.others == []
    assert rig.writes() - before == asked.challenges + asked.states
    return asked.challenges, asked.states


async def quick(rig: Rig, action: Action) -> int:
    """Carry an action out; gives how many writes it took until the motor started."""
    before, moved = rig.writes(), len(rig.movements())
    task = asyncio.create_task(rig.lock.perform(action, 15.0))
    while len(rig.movements()) == moved:
        await asyncio.sleep(0.001)
    writes = rig.writes() - before
    assert (await task).completion == "success"
    return writes


async def told(rig: Rig) -> None:
    """Let the beacon, if it is heard, tell of a change, so that it is relied on."""
    rig.virtual.set_door(DoorState.OPEN)
    await asyncio.sleep(23.0)


def refusals(house: House | Rig) -> int:
    virtual = house.virtual if isinstance(house, Rig) else house.classic
    return sum(each.detail == "bad_nonce" for each in virtual.audit)


# -- a lock whose challenges do not grow old --------------------------------------------------------------------------


async def test_where_the_states_are_read_they_keep_the_link_alive() -> None:
    rig = Rig()
    async with rig.running() as lock:
        await asyncio.sleep(60.0)
        assert [await minute(rig) for _ in range(10)] == [(1, 6)] * 10
        assert (lock.connected, lock.reconnects) == (True, 1)


async def test_beside_a_beacon_that_tells_the_challenge_keeps_the_link_alive() -> None:
    rig = Rig(advertise_while_connected=True)
    async with rig.running() as lock:
        await told(rig)
        await asyncio.sleep(60.0)
        assert [await minute(rig) for _ in range(10)] == [(6, 0)] * 10
        assert (lock.connected, lock.reconnects) == (True, 1)


async def test_what_keeps_the_link_alive_is_asked_for_once_although_time_goes_on_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An answer is taken note of a little later than its last byte."""
    ticks = itertools.count()
    monkeypatch.setattr(rigs, "clock", lambda: clock() + 1e-6 * next(ticks))
    rig = Rig()
    async with rig.running():
        await asyncio.sleep(60.0)
        found = [await minute(rig) for _ in range(10)]
        assert sum(challenges + states for challenges, states in found) <= 70


async def test_a_link_that_a_guest_needs_is_kept_by_the_states_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(rigs, "clock", lambda: clock() + 1e-6 * next(ticks))
    rig = Rig()
    async with rig.running(ConnectionMode.ON_DEMAND) as lock:
        lock.need_link_until(clock() + 600.0)
        await lock.refresh(15.0)
        await asyncio.sleep(30.0)
        reconnects = lock.reconnects
        challenges, states = await minute(rig)
        assert (challenges, lock.connected, lock.reconnects) == (0, True, reconnects)
        assert states in (5, 6)


@pytest.mark.parametrize("tells", [False, True])
@pytest.mark.parametrize("idle_s", [9.0, 51.0, 59.0, 3601.0])
async def test_a_command_takes_the_challenge_in_hand_however_long_the_link_was_idle(tells: bool, idle_s: float) -> None:
    rig = Rig(advertise_while_connected=tells)
    async with rig.running() as lock:
        await told(rig)
        assert await quick(rig, Action.UNLOCK) == 1
        await asyncio.sleep(idle_s)
        challenge = lock.exchange.challenge
        assert challenge is not None
        assert await quick(rig, Action.LOCK) == 1
        assert lock.exchange.challenge != challenge
        await asyncio.sleep(1.0)
        assert refusals(rig) == 0
        assert rig.movements() == ["unlock: unlocking", "lock: locking"]


async def test_the_challenge_in_hand_is_as_old_as_the_last_action() -> None:
    rig = Rig()
    async with rig.running() as lock:
        await asyncio.sleep(33.0)
        await quick(rig, Action.UNLOCK)
        await asyncio.sleep(1.0)
        challenge = lock.exchange.challenge
        await asyncio.sleep(CHALLENGE_S - 5.0)
        assert lock.exchange.challenge == challenge
        await asyncio.sleep(5.0)
        assert lock.exchange.challenge not in (None, challenge)


async def test_a_lost_link_takes_its_challenge_along() -> None:
    rig = Rig()
    async with rig.running() as lock:
        await asyncio.sleep(20.0)
        challenge = lock.exchange.challenge
        rig.virtual.behaviour.challenges_outlive_link = True
        rig.virtual.drop_links()
        await asyncio.sleep(0.0)
        assert lock.exchange.challenge is None
        await asyncio.sleep(5.0)
        assert lock.exchange.challenge not in (None, challenge)
        assert await quick(rig, Action.UNLOCK) == 1


async def test_a_device_that_is_sent_something_once_only_gets_a_young_challenge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such an action fails if its challenge is refused."""
    monkeypatch.setattr(Lock, "profile", replace(SMART_LOCK, sent_once=frozenset({Action.UNLATCH})))
    rig = Rig(challenge_s=KEEPALIVE_S + 1.0)
    async with rig.running() as lock:
        await asyncio.sleep(47.0)
        assert await minute(rig) == (6, 6)
        assert (await lock.perform(Action.UNLATCH, 15.0)).completion == "success"
        assert refusals(rig) == 0


# -- a lock whose challenges do ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [Action.UNLOCK, Action.UNLATCH, Action.LOCK_N_GO])
@pytest.mark.parametrize("tells", [False, True])
async def test_a_command_with_an_outdated_challenge_is_carried_out_once_and_later_ones_have_younger(
    action: Action, tells: bool
) -> None:
    rig = Rig(challenge_s=AGE_S, advertise_while_connected=tells, lock_n_go_s=5.0)
    async with rig.running() as lock:
        await told(rig)
        while clock() - lock.exchange.challenged_at < (KEEPALIVE_S - 1.0 if tells else AGE_S + 5.0):
            await asyncio.sleep(0.5)
        outdated = not tells
        assert (await lock.perform(action, 15.0)).completion == "success"
        await asyncio.sleep(60.0)
        assert refusals(rig) == outdated
        assert len([each for each in rig.virtual.audit if each.what == "action_started"]) == 1
        assert len(rig.movements()) == (2 if action is Action.LOCK_N_GO else 1)
        if outdated:
            assert await minute(rig) == (6, 6)
        for pause_s in (9.0, 51.0, 601.0):
            await asyncio.sleep(pause_s)
            assert await quick(rig, Action.UNLATCH) == 1
            await asyncio.sleep(10.0)
        assert refusals(rig) == outdated
        assert lock.reconnects == 1


async def test_what_is_known_of_its_challenges_outlives_the_link() -> None:
    rig = Rig(challenge_s=AGE_S)
    async with rig.running() as lock:
        await asyncio.sleep(45.0)
        await lock.perform(Action.UNLOCK, 15.0)
        rig.virtual.drop_links()
        await asyncio.sleep(10.0)
        assert await minute(rig) == (6, 6)


async def test_a_refusal_of_a_young_challenge_does_not_say_that_they_grow_old() -> None:
    rig = Rig()
    async with rig.running() as lock:
        await quick(rig, Action.UNLOCK)
        rig.virtual.behaviour.challenge_s = 3.0
        await asyncio.sleep(5.0)
        assert (await lock.perform(Action.LOCK, 15.0)).completion == "success"
        assert refusals(rig) == 1
        assert rig.movements() == ["unlock: unlocking", "lock: locking"]
        await asyncio.sleep(60.0)
        assert await minute(rig) == (1, 6)


async def test_a_refusal_of_another_challenge_does_not_say_so_either() -> None:
    rig = Rig()
    async with rig.running() as lock:
        await asyncio.sleep(45.0)
        lock.exchange.challenge = bytes(32)
        assert (await lock.perform(Action.UNLOCK, 15.0)).completion == "success"
        assert refusals(rig) == 1
        await asyncio.sleep(60.0)
        assert await minute(rig) == (1, 6)


async def test_a_lock_that_refuses_each_challenge_is_not_asked_a_third_time() -> None:
    rig = Rig(challenge_s=-1.0)
    async with rig.running() as lock:
        await asyncio.sleep(45.0)
        before = refusals(rig)
        with pytest.raises(LockError) as refused:
            await lock.perform(Action.UNLOCK, 15.0)
        assert (refused.value.code, refusals(rig) - before) == ("bad_nonce", 2)
        assert rig.movements() == []


async def test_the_log_proves_what_a_lost_answer_did_with_outdated_challenges_too(tmp_path: Path) -> None:
    """A waiting lock 'n' go is asked after over a link that is held, whose challenge may be old."""
    async with party(tmp_path) as house:
        house.classic.behaviour.challenge_s = AGE_S
        lock = house.member.lock
        await lock.perform(Action.UNLOCK, 15.0)
        while clock() - lock.exchange.challenged_at < AGE_S + 5.0:
            await asyncio.sleep(1.0)
        entries, is_whole = await lock.evidence._newest()
        assert entries
        assert is_whole
        assert refusals(house) == 0


# -- requests and guests ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("users/list", {}),
        ("users/add", {"name": "Ben"}),
        ("config/set", {"led_enabled": False, "auto_lock_enabled": False}),
        ("log/get", {}),
        ("pin/verify", {"pin": "1234"}),
    ],
)
async def test_a_request_with_the_pin_gets_over_an_outdated_challenge(
    tmp_path: Path, command: str, arguments: dict[str, Any]
) -> None:
    async with party(tmp_path) as house:
        house.classic.behaviour.challenge_s = AGE_S
        lock = house.member.lock
        while clock() - lock.exchange.challenged_at < AGE_S + 5.0:
            await asyncio.sleep(1.0)
        before = refusals(house)
        answer = await house.ask(f"front/request/{command}", arguments)
        assert answer["status"] == "ok", answer
        assert refusals(house) - before == 1
        assert house.classic.pin_guard.wrong == 0
        assert sum(each.name == "Ben" for each in house.classic.authorizations) == (command == "users/add")
        await asyncio.sleep(60.0)
        before = refusals(house)
        for _ in range(5):
            await asyncio.sleep(17.0)
            assert clock() - lock.exchange.challenged_at <= KEEPALIVE_S
            assert (await house.ask(f"front/request/{command}", arguments))["status"] in ("ok", "error")
        assert refusals(house) == before


@pytest.mark.parametrize("connection", ["persistent", "on-demand", "auto"])
async def test_a_guests_challenge_is_the_guests_alone(tmp_path: Path, connection: str) -> None:
    """It serves beside the bridge's own, old or new, and a refusal of it says nothing of that."""
    async with party(tmp_path, connection=connection) as house:
        anna, lock = house.guest(), house.member.lock
        nonce = await anna.challenge()
        await asyncio.sleep(25.0)
        assert isinstance((await anna.act(Action.UNLOCK, nonce))[-1], Status)
        house.classic.behaviour.challenge_s = AGE_S
        nonce = await anna.challenge()
        await asyncio.sleep(AGE_S + 5.0)
        said = await anna.act(Action.LOCK, nonce) if lock.connected else []
        assert said == [] or isinstance(said[-1], ErrorReport)
        assert motor(house) == ["unlock"]
        assert lock.exchange.outdated_s == 0.0
        assert isinstance((await anna.act(Action.LOCK))[-1], Status)
        assert motor(house) == ["unlock", "lock"]


async def test_a_guests_command_is_passed_on_only_after_a_challenge_on_the_present_link(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        house.classic.behaviour.challenges_outlive_link = True
        anna = house.guest()
        nonce = await anna.challenge()
        house.classic.drop_links()
        await asyncio.sleep(15.0)
        assert house.member.lock.exchange.challenge is not None
        with pytest.raises(AssertionError, match="challenge_expired"):
            await anna.act(Action.UNLOCK, nonce)
        assert motor(house) == []
        assert isinstance((await anna.act(Action.UNLOCK))[-1], Status)
