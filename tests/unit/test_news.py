"""A guest whose page is open is told that the lock's state has changed, and nothing while it does not; virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nuki_bridge.protocol.codes import Action
from nuki_bridge.protocol.messages import KeyturnerStates
from nuki_bridge.sharing import news
from tests.unit.party import CHALLENGE, STATES, Guest, Party, party


def told(house: Party, guest: Guest) -> int:
    """How often a guest was told; each time without a word, and not retained."""
    topic = f"nuki/front/relay/{guest.id}/news"
    found = [each for each in house.published if each.topic == topic]
    assert all(each.payload in (b"", "") and not each.retain for each in found)
    return len(found)


async def asks(guest: Guest) -> None:
    guest.write(STATES)
    assert isinstance(await guest.next(), KeyturnerStates)


async def test_a_turn_by_somebody_else_is_told_within_5_s_long_after_the_session_has_ended(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        await asks(anna)
        await asyncio.sleep(3600.0)
        assert told(house, anna) == 0
        house.send("front/set", b"unlock")
        await asyncio.sleep(5.0)
        assert told(house, anna) >= 1
        await asks(anna)


async def test_a_door_that_nobody_moves_costs_nothing(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        await asks(anna)
        before = len(house.audit("write"))
        silent = len(house.published)
        await asyncio.sleep(60.0)
        assert told(house, anna) == 0
        assert [each for each in house.published[silent:] if "relay" in each.topic] == []
        assert len(house.audit("write")) - before < 60  # the bridge's own, as without a guest


async def test_one_turn_is_told_a_few_times_at_most_and_its_end_is_the_last(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna, ben = house.guest("Anna"), house.guest("Ben")
        await asks(anna)
        await ben.act(Action.UNLOCK)
        await asyncio.sleep(20.0)
        assert 1 <= told(house, anna) <= 3
        assert 1 <= told(house, ben) <= 3
        assert house.retained["nuki/front/state"] == "unlocked"


async def test_strangers_and_those_who_may_no_longer_are_not_told(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        anna, ben = house.guest("Anna"), house.guest("Ben")
        stranger = Guest(house, 4711, bytes(32), "Mallory")
        stranger.write(CHALLENGE)
        await asks(anna)
        await asks(ben)
        answer = await house.ask("front/request/users/update", {"name": "Ben", "enabled": False})
        assert answer["status"] == "ok"
        house.send("front/set", b"unlock")
        await asyncio.sleep(10.0)
        assert told(house, anna) >= 1
        assert (told(house, ben), told(house, stranger)) == (0, 0)


async def test_listeners_are_bounded_and_one_authorization_cannot_push_the_others_out(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        listening = house.member.running.relay.news
        listening.listen("nuki/front/relay/a/news", 1)
        for number in range(500):
            listening.listen(f"nuki/front/relay/{number}/news", 2)
        assert listening.listeners == 1 + news.MAX_OF_ONE
        for number in range(500):
            listening.listen(f"nuki/front/relay/x{number}/news", 100 + number)
        assert listening.listeners == news.MAX_LISTENERS
