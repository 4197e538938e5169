"""What `<lock>/event` tells of invitations: each turn in their life once, and nothing that helps to redeem one."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest

from nuki_bridge.sharing.invitation_code import key, lookup
from tests.unit.house import House
from tests.unit.invited import HOUR_S, Guest, invite, paired
from tests.unit.rig import now


def told(house: House) -> list[tuple[str, str]]:
    """What became of whose invitation, in the order of the events."""
    events = [each for each in house.events("front/event") if each["type"] == "invitation"]
    return [(each["invitation"], each["user"]["name"]) for each in events]


def last(house: House) -> dict[str, Any]:
    event: dict[str, Any] = house.events("front/event")[-1]
    return event


async def test_the_owner_is_told_that_anna_has_redeemed_her_invitation(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        guest = Guest(data["code"])
        credential = guest.redeem(house)
        event = last(house)
        assert abs((datetime.fromisoformat(event.pop("time")) - now()).total_seconds()) < 2
        assert event == {
            "type": "invitation",
            "invitation": "redeemed",
            "user": {"id": data["id"], "name": "Anna"},
        }
        assert guest.redeem(house) == credential
        assert Guest(data["code"]).redeem(house) == "redeemed"
        assert told(house) == [("created", "Anna"), ("redeemed", "Anna")]


async def test_no_event_helps_to_redeem_an_invitation(house: House) -> None:
    async with house.running():
        await paired(house)
        guest = Guest((await invite(house))["code"])
        guest.redeem(house)
        text = json.dumps(house.events("front/event"))
        for secret in (guest.code, lookup(guest.code), key(guest.code).hex(), guest.client):
            assert secret not in text


async def test_one_that_nobody_redeems_expires(house: House) -> None:
    async with house.running():
        await paired(house)
        await invite(house, expires_in="10m")
        await asyncio.sleep(601.0)
        assert told(house) == [("created", "Anna"), ("expired", "Anna")]


@pytest.mark.parametrize("how", ["invite/revoke", "users/remove"])
async def test_one_that_is_taken_back_is_revoked(house: House, how: str) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        assert (await house.ask(f"front/request/{how}", {"id": data["id"]}))["status"] == "ok"
        await asyncio.sleep(10.0)
        assert told(house) == [("created", "Anna"), ("revoked", "Anna")]


@pytest.mark.parametrize("end", ["redeemed", "expired", "revoked"])
async def test_whoever_was_renamed_is_told_of_under_the_new_name(house: House, end: str) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house, expires_in="10m")
        await house.ask("front/request/users/update", {"id": data["id"], "rename": "Bert"})
        if end == "redeemed":
            Guest(data["code"]).redeem(house)
        elif end == "revoked":
            answer = await house.ask("front/request/invite/revoke", {"name": "Bert"})
            assert answer["data"]["user"] == "Bert"
        await asyncio.sleep(610.0)
        assert told(house) == [("created", "Anna"), (end, "Bert")]


@pytest.mark.long
async def test_what_happened_without_a_broker_is_told_when_it_is_back(house: House) -> None:
    async with house.running():
        await paired(house)
        await invite(house, expires_in="1h")
        house.online = False
        house.bridge.connection_changed(False)
        await asyncio.sleep(2 * HOUR_S)
        house.online = True
        house.bridge.connection_changed(True)
        assert told(house) == [("created", "Anna"), ("expired", "Anna")]
        ago_s = (now() - datetime.fromisoformat(last(house)["time"])).total_seconds()
        assert HOUR_S - 30 < ago_s < HOUR_S + 30


async def test_what_expired_while_the_bridge_was_off_is_told_once(house: House) -> None:
    async with house.running():
        await paired(house)
        await invite(house)
    await asyncio.sleep(49 * HOUR_S)
    restarted = house.restarted()
    restarted.online = False  # the broker is found later
    async with restarted.running():
        await asyncio.sleep(5.0)
        restarted.online = True
        restarted.bridge.connection_changed(True)
        assert told(restarted) == [("expired", "Anna")]
    third = restarted.restarted()
    async with third.running():
        await asyncio.sleep(5.0)
        assert told(third) == []


async def test_an_invitation_that_the_lock_did_not_make_is_no_event(house: House) -> None:
    async with house.running():
        await paired(house)
        house.classic.behaviour.max_users = len(house.classic.authorizations)
        answer = await house.ask("front/request/invite/create", {"name": "Anna"})
        assert answer["error"] == "too_many_entries"
        assert told(house) == []
