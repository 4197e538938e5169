"""The relay under attack: by whoever reads and writes all of the broker, and by one guest against the others."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.protocol.codes import Action, ErrorCode, LockState
from nuki_bridge.protocol.messages import Challenge, ErrorReport, KeyturnerStates, LockAction, Status
from nuki_bridge.protocol.wire import Message
from nuki_bridge.simulator.behaviour import seeded
from tests.unit.house import House
from tests.unit.party import CHALLENGE, STATES, Guest, again, motor, party, stranger
from tests.unit.rig import clock


class Recorded(Guest):
    """A guest whose frames a reader of the broker keeps."""

    def __init__(self, house: House, number: int, key: bytes, name: str) -> None:
        super().__init__(house, number, key, name)
        self.sent: list[bytes] = []

    def write(self, frame: bytes | Message, **fields: Any) -> None:
        data = frame if isinstance(frame, bytes) else self.session.send(frame)
        self.sent.append(data)
        super().write(data, **fields)


async def test_replayed_frames_move_nothing(tmp_path: Path) -> None:
    """In the same session and in another one, with and without the replayed request of a challenge before them."""
    async with party(tmp_path) as house:
        guest = house.guest()
        anna = Recorded(house, guest.number, guest.key, "Anna")
        await anna.act(Action.UNLOCK)
        assert motor(house) == ["unlock"]
        await asyncio.sleep(5.0)
        ask, act = anna.sent
        for session in (anna, stranger(house, anna.number), stranger(house, anna.number)):
            for frame in (act, ask, act, act, ask, ask, act):
                house.send(f"front/relay/{session.id}/write", frame)
                await asyncio.sleep(1.0)
        await asyncio.sleep(10.0)
        assert motor(house) == ["unlock"]
        refusals = [each.error for each in anna.messages() if isinstance(each, ErrorReport)]
        assert set(refusals) == {ErrorCode.BAD_NONCE}
        assert isinstance((await again(house, guest).act(Action.LOCK))[-1], Status)


async def test_a_frame_that_was_held_back_moves_nothing(tmp_path: Path) -> None:
    """Only the broker can do that: it keeps the one frame that would open the door until nobody expects it."""
    async with party(tmp_path) as house:
        anna = house.guest()
        nonce = await anna.challenge()
        held_back = anna.session.send(
            LockAction(action=Action.UNLOCK, app_id=0, flags=0, name_suffix=None, nonce=nonce)
        )
        reading = anna.session.send(STATES)
        for _ in range(4):  # a replayed reading keeps the session open and the link busy
            anna.write(reading)
            await asyncio.sleep(16.0)
        other = stranger(house, anna.number)
        for session in (anna, other):
            session.write(held_back)
        await asyncio.sleep(5.0)
        assert motor(house) == []
        assert (anna.errors(), other.errors()) == (["challenge_expired"], ["challenge_expired"])
        assert isinstance((await again(house, anna).act(Action.UNLOCK))[-1], Status)


@pytest.mark.long
@pytest.mark.parametrize("outlives", [True, False])
@pytest.mark.parametrize("connection", ["persistent", "on-demand"])
@pytest.mark.parametrize("lost", ["link", "bridge"])
@pytest.mark.parametrize("later_s", [2.0, 3600.0])
async def test_a_frame_that_was_held_back_over_a_loss_moves_nothing(
    tmp_path: Path, later_s: float, lost: str, connection: str, outlives: bool
) -> None:
    """A command is passed on only if the bridge has seen the lock's challenge for it on this link.

    How long a challenge lives, and whether it outlives the link, is for the lock to say; its maker does not tell.
    """
    async with party(tmp_path, connection=connection) as house:
        house.classic.behaviour.challenges_outlive_link = outlives
        anna = house.guest()
        nonce = await anna.challenge()
        held_back = anna.session.send(
            LockAction(action=Action.UNLOCK, app_id=0, flags=0, name_suffix=None, nonce=nonce)
        )
        await asyncio.sleep(1.0)
        if lost == "link":
            house.classic.drop_links()
        else:
            await house.bridge.stop(house.member)
            house.bridge.start(house.member)
        await asyncio.sleep(later_s)
        reading, other = again(house, anna), again(house, anna)
        reading.write(STATES)  # the link is up, and the challenge as it was
        assert isinstance(await reading.next(), KeyturnerStates)
        told = anna.errors()
        for session in (anna, other):
            session.write(held_back)
            await asyncio.sleep(5.0)
        assert anna.errors() == [*told, "challenge_expired"]
        assert other.errors() == ["challenge_expired"]
        assert motor(house) == []
        assert isinstance((await again(house, anna).act(Action.UNLOCK))[-1], Status)


async def test_a_forged_frame_in_a_guests_session_disturbs_and_no_more(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna, eve = house.guest("Anna"), house.guest("Eve")
        await anna.challenge()
        house.send(f"front/relay/{anna.id}/write", eve.session.send(STATES))
        await asyncio.sleep(1.0)
        assert anna.errors() == ["bad_frame"], "a session belongs to the authorization that began it"
        assert eve.heard() == []
        house.send(f"front/relay/{anna.id}/write", stranger(house, anna.number).session.send(CHALLENGE))
        await asyncio.sleep(2.0)
        assert anna.errors() == ["bad_frame", "not_authorized"]
        assert motor(house) == []
        assert isinstance((await again(house, anna).act(Action.UNLOCK))[-1], Status)


async def test_a_wrong_key_ends_the_session_with_what_waits_in_it(tmp_path: Path) -> None:
    """Twenty frames with a wrong key cost the lock those that were written before it answered, not twenty."""
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.challenge()
        eve = stranger(house, anna.number)
        refused = len(house.audit("refused"))
        for _ in range(20):
            eve.write(CHALLENGE)
        await asyncio.sleep(5.0)
        assert set(eve.errors()) == {"not_authorized"}
        assert 1 <= len(house.audit("refused")) - refused <= 4
        assert await anna.challenge()


@pytest.mark.parametrize("kind", ["wrong key", "unknown", "own", "malformed"])
async def test_the_rate_holds_for_frames_that_are_refused_too(tmp_path: Path, kind: str) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.challenge()
        number = {"unknown": 4711, "own": house.member.paired.authorization_id}.get(kind, anna.number)
        eve = stranger(house, number)
        for _ in range(30):
            eve.write(b"junk" if kind == "malformed" else CHALLENGE)
            await asyncio.sleep(0.2)
        assert eve.errors().count("too_many_requests") == 10
        await asyncio.sleep(10.0)
        eve.write(b"junk")
        assert eve.errors()[-1] == "bad_frame"


async def test_sessions_that_are_counted_do_not_use_up_memory(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        for number in range(3000):
            house.send(f"front/relay/{number:032x}/write", b"junk")
            await asyncio.sleep(0.006)  # slow enough for the floodgate
        assert house.on("bridge/event")[1:] == []
        assert house.member.running.relay._sessions.counted <= 1000


async def test_one_guest_with_many_sessions_holds_up_the_others_for_one_turn(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        eve, ben = house.guest("Eve"), house.guest("Ben")
        await ben.challenge()
        await asyncio.sleep(2.0)
        many = [again(house, eve) for _ in range(30)]
        for session in many:
            session.write(CHALLENGE)
        await asyncio.sleep(0.01)
        started = clock()
        ben = again(house, ben)
        ben.write(CHALLENGE)
        assert isinstance(await ben.next(), Challenge)
        assert clock() - started < 2.0
        assert sum(bool(each.heard()) for each in many) <= 2


async def test_sessions_with_a_forged_id_do_not_use_up_the_places(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna, ben = house.guest("Anna"), house.guest("Ben")
        await anna.challenge()
        for _ in range(200):
            stranger(house, anna.number).write(CHALLENGE)
        await asyncio.sleep(2.0)
        assert await ben.challenge()
        await asyncio.sleep(12.0)
        assert await anna.challenge()
        assert motor(house) == []


async def test_one_authorization_cannot_take_all_places(tmp_path: Path) -> None:
    """A frame that looks valid waits in each of its sessions, so that none of them is idle."""
    async with party(tmp_path) as house:
        anna, ben = house.guest("Anna"), house.guest("Ben")
        await ben.challenge()
        await asyncio.sleep(2.0)
        many = [stranger(house, anna.number) for _ in range(70)]
        for each in many:
            each.write(CHALLENGE)
        assert len(house.member.running.relay._sessions) <= 1 + 6
        assert [each.errors() for each in many[:6]] == [[]] * 6
        assert {error for each in many[6:] for error in each.errors()} == {"too_many_requests"}
        ben = again(house, ben)
        ben.write(CHALLENGE)
        assert ben.errors() == []
        assert isinstance(await ben.next(), Challenge)


async def test_when_all_places_are_taken_the_authorization_with_the_most_gives_one_back(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        guests = [house.guest(f"Guest {number}") for number in range(16)]
        ben, carl = house.guest("Ben"), house.guest("Carl")
        await ben.challenge()
        await asyncio.sleep(2.0)
        house.classic.out_of_range()
        await asyncio.sleep(1.0)
        sessions = [again(house, each) for each in guests[:10] for _ in range(6)]
        sessions += [again(house, each) for each in guests[10:13]]
        for each in sessions:
            each.write(CHALLENGE)
        assert len(house.member.running.relay._sessions) == 64
        assert [each.errors() for each in sessions] == [[]] * 63
        await asyncio.sleep(0.1)  # the first of them is being served
        for each in (again(house, carl), again(house, carl), again(house, ben)):
            each.write(CHALLENGE)
            assert each.errors() == []
        assert len(house.member.running.relay._sessions) == 64
        ended = [each.number for each in sessions if each.errors() == ["too_many_requests"]]
        assert len(set(ended)) == 3
        assert set(ended) <= {each.number for each in guests[:10]}, "those with six give one back, each in turn"
        assert sessions[0].errors() == []


async def test_sessions_that_the_lock_has_answered_are_the_last_to_give_way(tmp_path: Path) -> None:
    """Whoever has made up 64 IDs must not end the session of somebody who waits for the lock's last word."""
    async with party(tmp_path) as house:
        ben, carl = house.guest("Ben"), house.guest("Carl")
        await ben.challenge()
        await asyncio.sleep(2.0)
        house.classic.out_of_range()
        await asyncio.sleep(1.0)
        before = len(house.published)
        for number in range(200):
            Guest(house, 9000 + number, bytes(32), "nobody").write(CHALLENGE)
        assert len(house.member.running.relay._sessions) == 64
        assert ben.id in house.member.running.relay._sessions
        carl.write(CHALLENGE)
        assert carl.errors() == []
        assert len(house.published) - before <= 20, "few of those who never had a turn are told that they gave way"


async def test_a_guest_who_opens_a_session_for_each_command_is_not_held_up(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        for number in range(12):
            anna = again(house, anna)
            assert isinstance((await anna.act(Action.UNLOCK if number % 2 else Action.LOCK))[-1], Status)
        assert len(house.member.running.relay._sessions) <= 6


async def test_made_up_ids_and_keys_do_not_have_the_list_read_all_the_time(tmp_path: Path) -> None:
    """Two hundred users are some seconds of the lock's time and battery."""
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.challenge()
        await asyncio.sleep(30.0)
        reads = len(house.audit("entries_read"))
        for second in range(600):
            if second % 2:
                Guest(house, 5000 + second, bytes(32), "nobody").write(CHALLENGE)
            else:
                stranger(house, anna.number).write(CHALLENGE)
            await asyncio.sleep(1.0)
        assert len(house.audit("entries_read")) - reads <= 14
        assert await anna.challenge()
        ben = house.guest("Ben")
        await house.ask("front/request/refresh")  # tells the new config update count
        assert await ben.challenge()


async def test_a_flood_of_junk_stays_out_of_the_journal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.challenge()
        with caplog.at_level(logging.INFO):
            for number in range(300):
                house.send(f"front/relay/{number:032x}/write", bytes(10))
                house.send(f"front/relay/{'x' * 100}{number}/write", bytes(10))
                house.send(f"invitation/{number:032x}/redeem", b"[" * 10_000)
                house.send(f"invitation/{number:032x}/redeem", bytes(20_000))
                Guest(house, 9000 + number, bytes(32), "nobody").write(CHALLENGE)
            await asyncio.sleep(5.0)
        assert len(caplog.records) < 10
        assert house.classic.motor.state is LockState.LOCKED


async def test_a_flood_of_guests_messages_gets_few_answers(tmp_path: Path) -> None:
    """Each answer takes a place in the queue to the broker, which the owner's answers need."""
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.challenge()
        await asyncio.sleep(10.0)
        before = len(house.published)
        for number in range(150):
            house.send(f"front/relay/{number:032x}/write", b"junk")
            house.send(f"front/relay/{number:032x}/write", b"junk", retain=True)
            house.send(f"elsewhere/relay/{number:032x}/write", b"junk")
            if number % 10 == 0:
                house.send(f"invitation/{number:032x}/redeem", bytes(20_000))
            house.send(f"invitation/{number:032x}/redeem", b"junk", retain=True)
        answers = house.published[before:]
        assert 20 <= len(answers) <= 2 * 20, "a retained one is removed besides"
        assert await anna.challenge()
        await asyncio.sleep(2.0)
        stranger = Guest(house, anna.number, bytes(32), "stranger")
        stranger.write(b"junk")
        assert stranger.errors() == ["bad_frame"]


async def test_random_frames_of_every_length_do_no_harm(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.challenge()
        random = seeded(7)
        for size in range(0, 520, 3):
            junk = random(size)
            length = max(size - 30, 0).to_bytes(2, "little")
            framed = junk[:24] + anna.number.to_bytes(4, "little") + length + junk[30:]
            for frame in (junk, framed[:size]):
                house.send(f"front/relay/{random(16).hex()}/write", frame)
            if size % 30 == 0:
                await asyncio.sleep(1.0)
        await asyncio.sleep(30.0)
        assert motor(house) == []
        assert house.retained["nuki/front/availability"] == "online"
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"
