"""Open invitations whose user is changed meanwhile: by the owner over MQTT, or in the maker's app."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from nuki_bridge.lock.admin import Admin
from nuki_bridge.owner import authorizations
from tests.unit.house import CLASSIC, House
from tests.unit.invited import Guest, invite, names, open_ones, settle


def users(house: House) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(house.retained["nuki/front/users"])}


async def paired(house: House) -> None:
    await house.pair(name="front", pin="1234")


@pytest.mark.parametrize("counted", [True, False])
async def test_the_list_shows_who_is_invited_at_once(house: House, counted: bool) -> None:
    """Also for firmware that does not count users as a change of its configuration."""
    house.classic.behaviour.counts_user_changes = counted
    async with house.running():
        await paired(house)
        await invite(house)
        await asyncio.sleep(5.0)
        assert users(house)["Anna"]["pending"] is True


async def test_what_the_owner_changes_is_what_the_guest_gets(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        changes = {"rename": "Anna B", "remote": False, "access": {"weekdays": ["su"]}}
        answer = await house.ask("front/request/users/update", {"id": data["id"], **changes})
        assert answer["data"]["pending"] is True
        [shown] = open_ones(house)
        assert (shown["user"], shown["remote"], shown["access"]) == ("Anna B", False, {"weekdays": ["su"]})
        assert (await house.ask("front/request/invite/list"))["data"] == [shown]
        credential = Guest(data["code"]).redeem(house)
        assert (credential["user"], credential["remote"]) == ("Anna B", False)


async def test_it_is_revoked_by_its_new_name(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        await house.ask("front/request/users/update", {"id": data["id"], "rename": "Anna B"})
        assert (await house.ask("front/request/invite/revoke", {"name": "Anna"}))["error"] == "unknown_invitation"
        answer = await house.ask("front/request/invite/revoke", {"name": "Anna B"})
        assert answer["data"] == {"id": data["id"], "user": "Anna B", "removed_on_lock": True}
        assert names(house) == []


async def test_a_user_removed_in_the_makers_app_takes_the_invitation_along(house: House) -> None:
    async with house.running():
        await paired(house)
        anna, bert = await invite(house), await invite(house, name="Bert")
        await settle()
        house.radio.control({"lock": CLASSIC, "remove_authorization": anna["id"]})
        await settle()
        assert [each["user"] for each in open_ones(house)] == ["Bert"]
        assert Guest(anna["code"]).redeem(house) == "revoked"
        assert house.bridge.invitations.pending("front") == {bert["id"]}
        assert Guest(bert["code"]).redeem(house)["user"] == "Bert"


async def test_one_list_that_broke_off_ends_no_invitation(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        await settle()
        whole = authorizations.entries
        reads = []

        async def broken_once(admin: Admin, timeout_s: float) -> Any:
            entries = await whole(admin, timeout_s)
            reads.append(len(entries))
            return entries[:1] if len(reads) == 1 else entries

        monkeypatch.setattr(authorizations, "entries", broken_once)
        await house.ask("front/request/users/list")
        await settle()
        assert len(reads) == 2, "it was not read a second time"
        assert [each["id"] for each in open_ones(house)] == [data["id"]]
        assert Guest(data["code"]).redeem(house)["user"] == "Anna"


async def test_a_new_user_with_the_old_id_is_not_the_guest(house: House) -> None:
    """After a factory reset a lock counts its IDs from the start: the invitation ends, the stranger stays."""
    async with house.running():
        await paired(house)
        data = await invite(house)
        await settle()
        entry = house.classic.authorizations.get(data["id"])
        assert entry is not None
        entry.name, entry.created = "Berta", entry.created.replace(year=2030)
        house.classic.config_changed()
        await settle()
        assert open_ones(house) == []
        assert Guest(data["code"]).redeem(house) == "revoked"
        await settle()
        assert names(house) == ["Berta"]
