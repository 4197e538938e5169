"""Junk with a guest's authorization ID over a radio with latency: the lock's plain errors are nobody else's answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nuki_bridge.protocol.codes import Action
from nuki_bridge.protocol.messages import Challenge, LockAction, Status
from tests.unit.house import CLASSIC
from tests.unit.party import ACTION, CHALLENGE, Party, again, motor, party, stranger
from tests.unit.rig import clock

ATTACK_S = 600.0


@asynccontextmanager
async def far(directory: Path, latency_s: float, connection: str = "persistent") -> AsyncIterator[Party]:
    """A party whose radio has a real one's latency."""
    async with party(directory, connection=connection) as house:
        house.radio.latency_s = house.radio.write_s = latency_s
        house.radio.connect_s = 0.5
        yield house


async def attack(house: Party, number: int, rate: float) -> None:
    """Frames that the lock cannot read, as long as a question and as a command in turn; some sessions send many."""
    while True:
        for frames in (1, 20):
            junk = stranger(house, number)
            for count in range(frames):
                junk.write(ACTION if count % 2 else CHALLENGE)
                await asyncio.sleep(1.0 / rate)


class Availability:
    """How much of the time the lock was `online`."""

    def __init__(self, house: Party) -> None:
        self._house = house
        self.started = clock()
        self.offline_s = 0.0

    async def watch(self) -> None:
        while True:
            if self._house.retained["nuki/front/availability"] != "online":
                self.offline_s += 0.1
            await asyncio.sleep(0.1)

    @property
    def share(self) -> float:
        return 1.0 - self.offline_s / (clock() - self.started)


@pytest.mark.long
@pytest.mark.parametrize(
    ("rate", "latency_s", "plain_error_s", "connection"),
    [
        (5.0, 0.1, 0.0, "persistent"),
        (25.0, 0.05, 0.0, "persistent"),
        (25.0, 0.1, 0.3, "persistent"),
        (25.0, 0.1, 0.0, "on-demand"),
    ],
)
async def test_ten_minutes_of_junk_harm_neither_the_owner_nor_other_guests(
    tmp_path: Path, rate: float, latency_s: float, plain_error_s: float, connection: str
) -> None:
    """The guests' broker account and an ID are all that it takes; the ID stands in the header of each frame."""
    async with far(tmp_path, latency_s, connection) as house:
        house.classic.behaviour.plain_error_s = plain_error_s
        eve, ben = house.guest("Eve"), house.guest("Ben")
        assert await ben.challenge()
        availability = Availability(house)
        tasks = [asyncio.create_task(attack(house, eve.number, rate)), asyncio.create_task(availability.watch())]
        moved: list[str] = []
        while clock() - availability.started < ATTACK_S:
            for who in ("owner", "guest"):
                for action in (Action.UNLOCK, Action.LOCK):
                    started, word = clock(), action.name.lower()
                    if who == "owner":
                        answer = await house.ask("front/set", word)
                        assert (answer["status"], answer.get("completion")) == ("ok", "success"), answer
                    else:
                        assert isinstance((await again(house, ben).act(action))[-1], Status)
                    assert clock() - started < 6.0
                    moved.append(word)
                    await asyncio.sleep(7.0)
        for task in tasks:
            task.cancel()
        assert availability.share >= 0.99
        assert motor(house) == moved
        assert house.member.lock.fault is None
        await asyncio.sleep(20.0)
        assert await again(house, eve).challenge(), "the guest whose ID it was"


async def test_a_guest_whose_id_is_flooded_slowly_still_gets_in(tmp_path: Path) -> None:
    async with far(tmp_path, 0.1) as house:
        eve = house.guest("Eve")
        assert await eve.challenge()
        attacking = asyncio.create_task(attack(house, eve.number, 0.5))
        await asyncio.sleep(120.0)
        for action in (Action.UNLOCK, Action.LOCK) * 5:
            started = clock()
            assert isinstance((await again(house, eve).act(action))[-1], Status)
            assert clock() - started < 8.0
        attacking.cancel()


@pytest.mark.long
@pytest.mark.parametrize("ids", [1, 8])
async def test_whose_frames_the_lock_cannot_read_has_to_pause(tmp_path: Path, ids: int) -> None:
    """Each costs the lock's battery two messages, with however many IDs; the bridge's own reading goes on."""
    async with far(tmp_path, 0.05) as house:
        guests = [house.guest(f"Guest {number}") for number in range(ids)]
        ben = house.guest("Ben")
        assert await ben.challenge()
        attacking = [asyncio.create_task(attack(house, each.number, 25.0 / ids)) for each in guests]
        await asyncio.sleep(60.0)
        refused = len(house.audit("refused"))
        for state in ("unlocked", "locked", "unlocked"):
            house.radio.control({"lock": CLASSIC, "turn": state})
            await asyncio.sleep(20.0)
            assert house.retained["nuki/front/state"] == state
        for task in attacking:
            task.cancel()
        assert 20 < len(house.audit("refused")) - refused < 70
        started = clock()
        assert await again(house, ben).challenge()
        assert clock() - started < 2.0


async def test_a_late_plain_error_does_not_tell_the_next_guest_that_its_key_is_gone(tmp_path: Path) -> None:
    async with far(tmp_path, 0.1) as house:
        anna, ben = house.guest("Anna"), house.guest("Ben")
        assert await anna.challenge()
        await asyncio.sleep(2.0)
        house.classic.behaviour.plain_error_s = 5.38
        eve = stranger(house, anna.number)
        eve.write(CHALLENGE)
        await asyncio.sleep(5.4)
        assert eve.errors() == ["outcome_unknown"]
        ben.write(CHALLENGE)
        assert isinstance(await ben.next(), Challenge)
        await asyncio.sleep(5.0)
        assert ben.errors() == []
        ben = again(house, ben)
        house.classic.behaviour.plain_error_s = 0.0
        assert isinstance((await ben.act(Action.UNLOCK))[-1], Status)


async def test_a_plain_error_that_never_comes_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    """It got lost: the next one may be the answer to either frame, so that its guest learns 2 s later."""
    async with far(tmp_path, 0.05) as house:
        anna, ben = house.guest("Anna"), house.guest("Ben")
        assert await anna.challenge()
        await asyncio.sleep(2.0)
        house.radio.faults.lose_indication = 1
        for number, wait_s in ((anna.number, 6.0), (ben.number, 3.0)):
            eve = stranger(house, number)
            eve.write(CHALLENGE)
            await asyncio.sleep(wait_s)
            assert eve.errors() == ["outcome_unknown"]
        eve = stranger(house, ben.number)
        eve.write(CHALLENGE)
        await asyncio.sleep(1.0)
        assert eve.errors() == ["not_authorized"]
        assert await again(house, ben).challenge()


@pytest.mark.parametrize("connection", ["persistent", "on-demand"])
async def test_a_lock_that_has_forgotten_the_bridge_is_noticed_within_seconds(tmp_path: Path, connection: str) -> None:
    """Also while guests write over each link that is made, so that its plain errors may be theirs."""
    async with far(tmp_path, 0.1, connection) as house:
        anna = house.guest()
        assert await anna.challenge()
        attacking = asyncio.create_task(attack(house, anna.number, 5.0))
        await asyncio.sleep(10.0)
        house.classic.authorizations.remove(house.member.paired.authorization_id)
        started = clock()
        answer = await house.ask("front/set", "unlock")
        assert clock() - started < 9.0
        if connection == "on-demand":
            assert answer["error"] == "not_authorized"
        else:
            assert answer["error"] == "outcome_unknown", "it was sent with the challenge at hand, and got no answer"
            await asyncio.sleep(2.0)
            assert (await house.ask("front/set", "unlock"))["error"] == "not_authorized"
        assert house.member.lock.fault is not None
        assert house.retained["nuki/front/availability"] == "offline"
        attacking.cancel()
        assert motor(house) == []


async def test_that_is_noticed_by_itself_before_a_guest_writes_over_the_next_link(tmp_path: Path) -> None:
    async with far(tmp_path, 0.1) as house:
        anna = house.guest()
        assert await anna.challenge()
        attacking = asyncio.create_task(attack(house, anna.number, 5.0))
        await asyncio.sleep(10.0)
        house.classic.authorizations.remove(house.member.paired.authorization_id)
        house.member.lock.schedule_states()
        await asyncio.sleep(9.0)
        assert house.member.lock.fault is not None
        attacking.cancel()
        errors = [json.loads(each.payload)["error"] for each in house.published if each.topic.endswith("/error")]
        assert "not_paired" in errors, "a guest's own key is as good as before"


async def test_a_plain_error_does_not_end_a_command_that_the_lock_carries_out(tmp_path: Path) -> None:
    """However it got there: nameless, it tells nothing of a command once a guest has used the link."""
    async with far(tmp_path, 0.1) as house:
        anna = house.guest()
        assert await anna.challenge()
        await asyncio.sleep(2.0)
        [connection] = house.classic.connections
        for delay_s in (0.0, 0.12, 0.2, 0.3, 1.0):
            asking = asyncio.create_task(house.ask("front/set", "unlock" if delay_s else "lock"))
            await asyncio.sleep(delay_s)
            house.classic.connections.refuse_plainly(connection)
            assert (await asking)["status"] == "ok"
            assert (await house.ask("front/set", "lock"))["status"] == "ok"
        assert house.member.lock.fault is None


@pytest.mark.parametrize("shared", [True, False])
async def test_a_bridge_that_is_removed_while_the_motor_turns_does_not_say_that_it_was_refused(
    tmp_path: Path, shared: bool
) -> None:
    async with far(tmp_path, 0.1) as house:
        if shared:
            assert await house.guest().challenge()
            await asyncio.sleep(2.0)
        house.classic.swallow_next_answer()
        asking = asyncio.create_task(house.ask("front/set", "unlock"))
        await asyncio.sleep(1.0)
        house.classic.authorizations.remove(house.member.paired.authorization_id)
        assert (await asking)["error"] == "outcome_unknown"
        assert motor(house) == ["unlock"]
        await asyncio.sleep(2.0)
        assert house.member.lock.fault is not None


async def test_a_frame_that_the_lock_ignores_gets_a_word(tmp_path: Path) -> None:
    async with far(tmp_path, 0.05) as house:
        anna = house.guest()
        nonce = await anna.challenge()
        house.classic.swallow_next_answer()
        anna.write(CHALLENGE)
        await asyncio.sleep(6.0)
        [told] = house.events(f"front/relay/{anna.id}/error")
        assert told["error"] == "outcome_unknown"
        assert "passed on" in told["message"]
        assert nonce != await anna.challenge(), "its session goes on, for the lock has answered it before"
        house.classic.behaviour.ignores_unreadable = True
        eve = stranger(house, anna.number)
        eve.write(CHALLENGE)
        eve.write(CHALLENGE)
        await asyncio.sleep(6.0)
        assert eve.errors() == ["outcome_unknown", "timeout"], "the second one was not passed on"


async def test_a_guests_next_frame_waits_for_the_answer_to_the_one_before(tmp_path: Path) -> None:
    async with far(tmp_path, 0.1) as house:
        anna = house.guest()
        assert await anna.challenge()
        size = len(anna.session.send(CHALLENGE))
        before = len(house.audit("write"))
        for _ in range(5):
            anna.write(CHALLENGE)
        await asyncio.sleep(0.15 + 2 * 0.15)
        frames = [each for each in house.audit("write")[before:] if each.endswith(f" {size} bytes")]
        assert len(frames) == 3
        await asyncio.sleep(3.0)
        assert len(anna.heard()) == 6


async def test_the_relay_takes_no_time(tmp_path: Path) -> None:
    """A guest's frame is written as soon as it comes, and the lock's answer handed on as soon as that comes."""
    async with far(tmp_path, 0.1) as house:
        anna = house.guest()
        nonce = await anna.challenge()
        started = clock()
        anna.write(LockAction(action=Action.UNLOCK, app_id=0, flags=0, name_suffix=None, nonce=nonce))
        assert isinstance(await anna.next(), Status)
        assert clock() - started < 0.05 + 0.1 + 0.02, "to the lock and back; `next` looks every 0.01 s"
