"""Guests at a lock: whole frames there and back, whose turn it is, and who is refused; on virtual time."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.owner import authorizations
from nuki_bridge.protocol.codes import Action, LockState
from nuki_bridge.protocol.frames import authorization_id
from nuki_bridge.protocol.messages import (
    Challenge,
    ErrorReport,
    KeyturnerStates,
    LockAction,
    Status,
)
from nuki_bridge.protocol.wire import Message
from tests.unit.party import ACTION, CHALLENGE, STATES, Guest, Party, party
from tests.unit.rig import clock

# -- there and back ---------------------------------------------------------------------------------------------------


async def test_a_guest_unlocks_end_to_end(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        said = await anna.act(Action.UNLOCK)
        assert [type(each) for each in said] == [Status, KeyturnerStates, KeyturnerStates, Status]
        assert house.classic.motor.state is LockState.UNLOCKED
        assert anna.errors() == []
        await asyncio.sleep(2.0)
        assert house.retained["nuki/front/state"] == "unlocked"


async def test_the_log_knows_what_kind_of_user_it_was_who_is_gone(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.act(Action.UNLOCK)
        await asyncio.sleep(5.0)
        assert (await house.ask("front/request/users/remove", {"name": "Anna"}))["status"] == "ok"
        await house.ask("front/request/users/list")
        [entry] = (await house.ask("front/request/log/get", {"count": 1}))["data"]
        assert (entry["user"]["name"], entry["source"]) == ("Anna", "app")


async def test_frames_pass_unchanged_and_those_of_others_stay_away(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna, ben = house.guest("Anna"), house.guest("Ben")
        anna.write(STATES)
        ben.write(STATES)
        await anna.next()
        await ben.next()
        assert {authorization_id(each) for each in anna.heard()} == {anna.number}
        assert {authorization_id(each) for each in ben.heard()} == {ben.number}
        assert all(isinstance(each, KeyturnerStates) for each in anna.messages() + ben.messages())


async def test_the_guests_challenge_outlives_keep_alive_and_other_guests(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna, ben = house.guest("Anna"), house.guest("Ben")
        nonce = await anna.challenge()
        await ben.challenge()
        await asyncio.sleep(25.0)
        said = await anna.act(Action.UNLOCK, nonce)
        assert not any(isinstance(each, ErrorReport) for each in said)


async def test_the_bridges_commands_go_on_beside_guests(tmp_path: Path) -> None:
    """Neither is refused as busy: one exchange at a time, in the order in which they came."""
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.challenge()
        guest = asyncio.create_task(anna.act(Action.UNLOCK))
        await asyncio.sleep(0.3)
        assert (await house.ask("front/set", "lock"))["status"] == "ok"
        assert isinstance((await guest)[-1], Status)
        bridge = asyncio.create_task(house.ask("front/set", "unlock"))
        await asyncio.sleep(0.1)
        assert isinstance((await anna.act(Action.LOCK))[-1], Status)
        assert (await bridge)["status"] == "ok"
        assert house.audit("action_refused") == []
        assert house.classic.motor.state is LockState.LOCKED
        assert [str(entry.detail).partition(":")[0] for entry in house.classic.movements()] == [
            *("unlock", "lock", "unlock", "lock")
        ]


async def test_many_guests_do_not_keep_the_bridge_waiting(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        guests = [house.guest(f"guest {number}") for number in range(10)]
        await guests[0].challenge()
        for guest in guests:
            guest.write(CHALLENGE)
        await asyncio.sleep(0)
        started = clock()
        assert (await house.ask("front/request/refresh"))["status"] == "ok"
        assert clock() - started < 2.5
        for guest in guests:
            assert isinstance(await guest.next(), Challenge)


async def test_on_demand_the_link_is_brought_up_and_kept_while_a_session_is_active(tmp_path: Path) -> None:
    async with party(tmp_path, connection="on-demand") as house:
        anna = house.guest()
        await asyncio.sleep(10.0)
        lock = house.member.lock
        assert not lock.connected
        nonce = await anna.challenge()
        await asyncio.sleep(15.0)
        assert lock.connected
        said = await anna.act(Action.UNLOCK, nonce)
        assert isinstance(said[-1], Status)
        await asyncio.sleep(29.0)
        assert lock.connected
        await asyncio.sleep(5.0)
        assert not lock.connected
        assert anna.errors() == []


async def test_the_lost_link_is_told_to_those_who_count_on_it(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.challenge()
        await asyncio.sleep(1.0)
        house.classic.drop_links()
        await asyncio.sleep(1.0)
        assert anna.errors() == ["disconnected"]
        house.classic.drop_links()
        await asyncio.sleep(3.0)
        assert anna.errors() == ["disconnected"]


@pytest.mark.parametrize("connection", ["persistent", "on-demand"])
async def test_a_session_hears_the_end_of_a_slow_lock_n_go(tmp_path: Path, connection: str) -> None:
    async with party(tmp_path, connection=connection) as house:
        house.classic.behaviour.lock_n_go_s = 60.0
        anna = house.guest()
        nonce = await anna.challenge()
        anna.write(LockAction(action=Action.LOCK_N_GO, app_id=0, flags=0, name_suffix=None, nonce=nonce))
        await asyncio.sleep(75.0)
        last = anna.messages()[-1]
        assert isinstance(last, Status)
        assert last.status == 0
        assert anna.errors() == []


async def test_an_idle_session_ends_and_hears_no_more(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.challenge()
        await asyncio.sleep(31.0)
        house.classic.drop_links()
        await asyncio.sleep(3.0)
        assert anna.errors() == []
        await anna.challenge()


# -- refusals ---------------------------------------------------------------------------------------------------------


async def refusal(house: Party, guest: Guest, frame: bytes | Message = ACTION) -> str:
    """The error that a frame is answered with; nothing of it reached the lock."""
    writes = len(house.audit("write"))
    guest.write(frame)
    await asyncio.sleep(3.0)
    assert guest.heard() == []
    [code] = guest.errors()
    frames = house.audit("write")[writes:]
    size = len(frame) if isinstance(frame, bytes) else len(guest.session.send(frame))
    assert not [each for each in frames if each.endswith(f" {size} bytes")]
    return code


async def test_unknown_disabled_and_local_only_authorizations_are_refused(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        ben, eve = house.guest("Ben", remote=False), house.guest("Eve", enabled=False)
        assert await refusal(house, ben) == "remote_not_allowed"
        assert await refusal(house, eve) == "disabled"
        assert await refusal(house, Guest(house, 4711, bytes(32), "nobody")) == "not_authorized"
        own = house.member.paired.authorization_id
        assert await refusal(house, Guest(house, own, house.member.paired.shared_key, "us")) == ("own_authorization")


async def test_a_pending_invitation_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        open_ids = {anna.number}
        monkeypatch.setattr(house.bridge.invitations, "pending", lambda _name: open_ids)
        assert await refusal(house, anna) == "pending"
        open_ids.clear()
        assert await anna.challenge()


async def test_the_list_that_is_published_lets_guests_in(tmp_path: Path) -> None:
    """It is read once for both, and again when it is too old to say who may act from elsewhere."""
    async with party(tmp_path) as house:
        anna, ben = house.guest("Anna"), house.guest("Ben")
        assert (await house.ask("front/request/refresh"))["status"] == "ok"  # tells the new config update count
        await asyncio.sleep(5.0)
        reads = len(house.audit("entries_read"))
        assert await anna.challenge()
        assert len(house.audit("entries_read")) == reads
        house.entry(ben).remote_allowed = False  # by a firmware that does not count this
        await asyncio.sleep(301.0)
        assert await refusal(house, ben) == "remote_not_allowed"
        users = json.loads(house.retained["nuki/front/users"])
        assert [each["remote"] for each in users if each["name"] == "Ben"] == [False]


async def test_guests_who_come_together_have_the_list_read_once(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        guests = [house.guest(name) for name in ("Anna", "Ben", "Cleo")]
        reads = len(house.audit("entries_read"))
        assert (await house.ask("front/request/refresh"))["status"] == "ok"
        for each in guests:
            each.write(CHALLENGE)
        for each in guests:
            assert isinstance(await each.next(), Challenge)
        assert len(house.audit("entries_read")) == reads + 1


async def test_what_the_owner_changes_counts_at_once(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.challenge()
        for enabled, remote, code in ((True, False, "remote_not_allowed"), (False, True, "disabled")):
            entry = house.member.owned.users.get(anna.number)
            assert entry is not None
            await authorizations.update(
                house.member.owned.admin, replace(entry, enabled=enabled, remote_allowed=remote), 10.0
            )
            anna.write(CHALLENGE)
            await asyncio.sleep(3.0)
            assert anna.errors()[-1] == code
        await authorizations.remove(house.member.owned.admin, anna.number, 10.0)
        anna.write(CHALLENGE)
        await asyncio.sleep(3.0)
        assert anna.errors()[-1] == "not_authorized"
        assert len(anna.heard()) == 1


async def test_without_the_pin_nobody_is_let_in(tmp_path: Path) -> None:
    async with party(tmp_path, pin=None) as house:
        assert await refusal(house, house.guest()) == "pin_required"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"", "bad_frame"),
        (bytes(53), "bad_frame"),
        (bytes(24) + b"\1\0\0\0" + b"\xff\0" + bytes(40), "bad_frame"),
        (bytes(513), "payload_too_large"),
        (bytes(20000), "payload_too_large"),
    ],
)
async def test_frames_of_wrong_size_are_refused(tmp_path: Path, frame: bytes, code: str) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        anna.write(frame)
        await asyncio.sleep(0.1)
        assert anna.errors() == [code]


async def test_malformed_sessions_and_unknown_locks_are_refused(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        frame = anna.session.send(CHALLENGE)
        for session in ("", "1234", "g" * 32, "0" * 33):
            house.send(f"front/relay/{session}/write", frame)
            assert house.events(f"front/relay/{session}/error")[0]["error"] == "bad_request"
        house.send(f"back/relay/{anna.id}/write", frame)
        assert house.events(f"back/relay/{anna.id}/error")[0]["error"] == "unknown_lock"


async def test_a_guest_is_not_told_which_locks_there_are(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        house.send(f"back/relay/{anna.id}/write", anna.session.send(CHALLENGE))
        house.send(f"back/relay/{anna.id}/write", b"junk")
        for told in house.events(f"back/relay/{anna.id}/error"):
            assert told["message"] == "there is no lock of this name"
        assert "front" in (await house.ask("back/set", "lock"))["message"], "the owner is"


async def test_a_retained_frame_is_never_passed_on(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        anna.write(CHALLENGE, retain=True)
        await asyncio.sleep(3.0)
        assert anna.errors() == ["retained_command"]
        assert anna.heard() == []
        [cleared] = [each for each in house.published if each.topic == f"nuki/front/relay/{anna.id}/write"]
        assert (cleared.payload, cleared.retain) == (b"", True), "it would stay at the broker for ever"


async def test_a_session_stays_with_its_authorization(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna, ben = house.guest("Anna"), house.guest("Ben")
        await anna.challenge()
        anna.write(ben.session.send(CHALLENGE))
        await asyncio.sleep(1.0)
        assert anna.errors() == ["bad_frame"]


async def test_more_than_twenty_frames_in_ten_seconds_are_refused(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        for _ in range(22):
            anna.write(CHALLENGE)
        await asyncio.sleep(9.0)
        assert anna.errors() == ["too_many_requests"] * 2
        assert len(anna.heard()) == 20
        await asyncio.sleep(1.5)
        anna.write(CHALLENGE)
        await asyncio.sleep(1.0)
        assert len(anna.heard()) == 21


async def test_junk_sessions_do_not_keep_guests_out(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        for number in range(200):
            Guest(house, 1000 + number, bytes(32), "nobody").write(CHALLENGE)
        await asyncio.sleep(15.0)
        assert await anna.challenge()


async def test_a_key_that_is_gone_is_the_guests_loss_not_the_bridges(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        impostor = Guest(house, anna.number, bytes(32), "impostor")
        impostor.write(CHALLENGE)
        await asyncio.sleep(2.0)
        assert impostor.errors() == ["not_authorized"]
        assert house.member.lock.fault is None
        assert house.retained["nuki/front/availability"] == "online"
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"
        assert await anna.challenge()
        assert anna.errors() == []


async def test_the_bridges_own_lost_pairing_is_still_noticed(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.challenge()
        await asyncio.sleep(2.0)
        house.classic.authorizations.remove(house.member.paired.authorization_id)
        assert (await house.ask("front/request/refresh"))["error"] == "not_authorized"
        assert house.member.lock.fault is not None


async def test_nothing_is_passed_on_late(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        nonce = await anna.challenge()
        await asyncio.sleep(2.0)
        house.classic.out_of_range()
        await asyncio.sleep(1.0)
        anna.write(LockAction(action=Action.UNLOCK, app_id=0, flags=0, name_suffix=None, nonce=nonce))
        await asyncio.sleep(1.0)
        assert anna.errors() == ["disconnected", "challenge_expired"], "its challenge went with the link"
        anna.write(CHALLENGE)
        await asyncio.sleep(16.0)
        assert anna.errors() == ["disconnected", "challenge_expired", "timeout"]
        house.classic.out_of_range(False)
        await asyncio.sleep(10.0)
        assert house.classic.motor.state is LockState.LOCKED
        assert house.audit("action_refused") == []


async def test_an_expired_frame_is_not_passed_on(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.challenge()
        await asyncio.sleep(2.0)
        busy = asyncio.create_task(house.ask("front/set", "unlock"))
        await asyncio.sleep(0.1)
        anna.write(CHALLENGE, message_expiry_s=1)
        await busy
        await asyncio.sleep(3.0)
        assert anna.errors() == ["timeout"]
        assert len(anna.heard()) == 1


async def test_an_answer_that_comes_after_the_turn_still_arrives(tmp_path: Path) -> None:
    """Lock 'n' go waits for 20 s between its movements; the bridge reads the lock's states meanwhile."""
    async with party(tmp_path) as house:
        anna = house.guest()
        acting = asyncio.create_task(anna.act(Action.LOCK_N_GO))
        await asyncio.sleep(15.0)
        assert (await house.ask("front/request/refresh"))["status"] == "ok"
        said = await asyncio.wait_for(acting, 60.0)
        states = [each.lock_state for each in said if isinstance(each, KeyturnerStates)]
        assert states[-1] is LockState.LOCKED
        assert isinstance(said[-1], Status)


@pytest.mark.parametrize(("logging", "word"), [(True, "canceled"), (False, "outcome_unknown")])
async def test_the_end_of_a_guests_lock_n_go_is_not_taken_for_that_of_ours(
    tmp_path: Path, logging: bool, word: str
) -> None:
    """It waits hardly longer than ours, which it ended: only the log tells them apart, if it is written."""
    async with party(tmp_path) as house:
        anna = house.guest()
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"
        house.classic.log.enabled = logging
        await asyncio.sleep(60.0)
        ours = asyncio.create_task(house.ask("front/set", "lock_n_go"))
        while house.classic.motor.state.name != "UNLOCKED_LOCK_N_GO":
            await asyncio.sleep(0.01)
        await anna.act(Action.LOCK_N_GO)
        assert house.classic.motor.state is LockState.LOCKED
        assert (await ours)["error"] == word


async def test_unpairing_answers_what_waits(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.challenge()
        await asyncio.sleep(1.0)
        busy = asyncio.create_task(house.ask("front/set", "unlock"))
        await asyncio.sleep(0.1)
        anna.write(CHALLENGE)
        await asyncio.sleep(0.1)
        await house.bridge.stop(house.member)
        assert sorted(anna.errors()) == ["disconnected", "stopped"]
        assert (await busy)["error"] == "stopped"
        anna.write(CHALLENGE)
        await asyncio.sleep(0.1)
        assert anna.errors()[2:] == ["not_paired"]


async def test_the_lists_age_is_looked_at(tmp_path: Path) -> None:
    """A change made in the maker's app that the lock does not count is seen after five minutes at most."""
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.challenge()
        house.entry(anna).remote_allowed = False
        await asyncio.sleep(301.0)
        anna.write(CHALLENGE)
        await asyncio.sleep(3.0)
        assert anna.errors() == ["remote_not_allowed"]


async def test_a_guests_frame_in_pieces_survives_a_request_of_the_bridge(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        await anna.challenge()
        await asyncio.sleep(2.0)
        house.radio.latency_s = 0.2
        exchange = house.member.lock.exchange
        frame = anna.session.send(Status(status=0))
        exchange._on_data(Channel.USDIO, frame[:40])
        asking = asyncio.create_task(house.ask("front/request/refresh"))
        await asyncio.sleep(0.1)
        exchange._on_data(Channel.USDIO, frame[40:])
        assert (await asking)["status"] == "ok"
        assert anna.heard()[-1] == frame
