"""A lock's users over MQTT: list, add, change, remove, and the retained list that follows the lock."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.config import LockSettings, Secret
from nuki_bridge.protocol.authorizations import AuthorizationEntry
from nuki_bridge.protocol.codes import IdType
from nuki_bridge.protocol.messages import Status
from tests.unit.house import CLASSIC, PIN, House, add, ask, published, refusal


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "state", PIN)


async def test_a_second_user_of_a_name_is_refused_and_the_first_one_named(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        first = (await ask(house, "users/add", name="Anna"))["authorization_id"]
        second = (await ask(house, "users/add", name="Bert"))["authorization_id"]
        for command, arguments in (("users/add", {"name": "Anna"}), ("users/update", {"id": second, "rename": "Anna"})):
            answer = await house.ask(f"front/request/{command}", arguments)
            assert (answer["error"], f"ID {first}" in answer["message"]) == ("name_taken", True)
        assert (await ask(house, "users/update", id=first, rename="Anna"))["name"] == "Anna"
        assert sorted(each.name for each in house.classic.authorizations)[:2] == ["Anna", "Bert"]
        entry = house.classic.authorizations.get(second)
        assert entry is not None
        entry.name = "Anna"  # the maker's app may do so
        house.classic.users_changed()
        assert await refusal(house, "users/update", name="Anna", enabled=False) == "ambiguous"
        assert (await ask(house, "users/update", id=second, enabled=False))["enabled"] is False


@pytest.mark.parametrize("command", ["users/add", "users/update", "keypad/add", "keypad/update"])
async def test_access_that_is_over_already_is_refused(house: House, command: str) -> None:
    async with house.running():
        await house.pair(name="front")
        made = await ask(house, "users/add", name="Anna")
        code = await ask(house, "keypad/add", name="Lisa", code="345678")
        which = {
            "users/add": {"name": "Bert"},
            "users/update": {"id": made["authorization_id"]},
            "keypad/add": {"name": "Max", "code": "456789"},
            "keypad/update": {"id": code["id"]},
        }[command]
        for over in ("2026-12-01T08:59:00", "2026-12-01T08:00:00Z", "2001-01-01T00:00"):
            answer = await house.ask(f"front/request/{command}", {**which, "access": {"until": over}})
            assert (answer["error"], "is over already" in answer["message"]) == ("bad_request", True)
        assert len(house.classic.authorizations) == 2
        assert all(each.limit is None for each in house.classic.authorizations)
        assert [each.limit for each in house.classic.codes] == [None]
        await ask(house, command, **which, access={"until": "2026-12-01T10:00:00"})


@pytest.mark.parametrize("part", [{"time_from": "00:00"}, {"time_until": "00:00"}, {"time_until": "24:00"}])
async def test_midnight_as_the_only_border_is_no_limit(house: House, part: dict[str, str]) -> None:
    """A limit without content would be left to the lock to make something of."""
    async with house.running():
        await house.pair(name="front")
        made = await ask(house, "users/add", name="Anna", access=part)
        code = await ask(house, "keypad/add", name="Lisa", code="345678", access=part)
        entry = house.classic.authorizations.get(made["authorization_id"])
        assert entry is not None
        assert (entry.limit, code["access"], [each.limit for each in house.classic.codes]) == (None, None, [None])


async def test_the_list_is_published_once_the_lock_is_there(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        [own] = published(house)
        assert own["name"].startswith("nuki-bridge")
        assert (own["type"], own["self"], own["enabled"], own["pending"]) == ("bridge", True, True, False)
        assert own["created"].endswith("+01:00")
        assert own["access"] is None
        assert set(own) == {
            *("id", "name", "type", "enabled", "remote", "created", "last_active", "lock_count"),
            *("access", "pending", "self"),
        }


async def test_two_hundred_users_are_listed_in_pages_and_hold_up_nobody(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        for number in range(199):
            add(house, f"user {number}")
        begun = len(house.classic.audit)
        house.send("front/request/users/list")
        house.send("front/set", "unlock")
        await asyncio.sleep(60)
        [answer] = house.events("front/response/users/list")
        users = answer["data"]
        assert len(users) == 200
        assert [each["id"] for each in users] == sorted({each["id"] for each in users})
        steps = [each.what for each in house.classic.audit[begun:]]
        before, after = steps[: steps.index("action_received")], steps[steps.index("action_received") :]
        assert before.count("entries_read") <= 1 < after.count("entries_read"), "it waited for more than a page"


async def test_every_kind_of_user_has_its_word(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        for kind in (IdType.APP, IdType.FOB, IdType.KEYPAD, IdType.KEYPAD_2):
            add(house, f"the {kind.name}", kind)
        told = {each["name"]: each["type"] for each in await ask(house, "users/list")}
        assert "bridge" in told.values()
        assert told["the APP"] == "app"
        assert told["the FOB"] == "fob"
        assert told["the KEYPAD"] == told["the KEYPAD_2"] == "keypad"


@pytest.mark.long
@pytest.mark.parametrize("name", ["#", "a/+/b", '"; DROP', "{}", "🗝 Anna", " Anna ", "null", "7"])
async def test_any_printable_name_comes_back_as_it_is(house: House, name: str) -> None:
    async with house.running():
        await house.pair(name="front")
        made = await ask(house, "users/add", name=name)
        assert made["user"] == name
        assert [each["name"] for each in await ask(house, "users/list")][1:] == [name]
        assert await ask(house, "users/remove", name=name) == {"id": made["authorization_id"], "name": name}


@pytest.mark.long
@pytest.mark.parametrize("end_missing", [False, True])
@pytest.mark.parametrize("count_told", [False, True])
@pytest.mark.parametrize("users", [1, 20, 39, 40, 41])
async def test_the_list_is_complete_whatever_the_firmware_says_around_it(
    house: House, users: int, count_told: bool, end_missing: bool
) -> None:
    async with house.running():
        await house.pair(name="front")
        for number in range(users - 1):
            add(house, f"user {number}")
        await asyncio.sleep(30)
        house.classic.behaviour.list_end_missing = end_missing
        house.classic.behaviour.tells_entry_count = count_told
        assert len(await ask(house, "users/list")) == users


async def test_a_list_that_breaks_off_is_asked_for_again(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        for number in range(29):
            add(house, f"user {number}")
        await asyncio.sleep(30)
        whole = house.classic.connections.send_encrypted
        entries = 0

        def break_off(connection_id: int, to: Any, message: Any, size: int | None = None) -> None:
            nonlocal entries
            entries += isinstance(message, AuthorizationEntry)
            if not 7 <= entries <= 20 or not isinstance(message, AuthorizationEntry | Status):
                whole(connection_id, to, message, size)

        house.classic.connections.send_encrypted = break_off  # type: ignore[method-assign]
        assert len(await ask(house, "users/list")) == 30
        assert entries == 3 * 10 + 21  # the first page three times, then the others


async def test_without_a_pin_it_says_so(house: House) -> None:
    house.settings = type(house.settings)(mqtt=house.settings.mqtt, state_dir=house.settings.state_dir)
    async with house.running():
        await house.pair(name="front")
        for command, arguments in (
            ("users/list", {}),
            ("users/add", {"name": "Anna"}),
            ("users/remove", {"id": 1}),
            ("config/set", {"led_enabled": False}),
            ("log/get", {}),
            ("time/set", {}),
            ("pin/set", {"pin": "4321"}),
            ("pin/verify", {}),
        ):
            assert await refusal(house, command, **arguments) == "pin_required"
        assert "nuki/front/users" not in house.retained


# -- changes


async def test_a_partial_update_keeps_what_it_does_not_name(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        anna = add(house, "Anna")
        access = {"weekdays": ["mo", "tu"], "time_from": "08:00", "time_until": "20:00"}
        user = await ask(house, "users/update", name="Anna", access=access, remote=False)
        assert (user["access"], user["remote"], user["enabled"], user["name"]) == (access, False, True, "Anna")
        user = await ask(house, "users/update", id=anna.authorization_id, rename="Änne")
        assert (user["access"], user["remote"], user["name"]) == (access, False, "Änne")
        user = await ask(house, "users/update", name="Änne", enabled=False)
        assert (user["access"], user["enabled"]) == (access, False)
        assert user in published(house)
        entry = house.classic.authorizations.get(anna.authorization_id)
        assert entry is not None
        assert (entry.name, entry.enabled, entry.remote_allowed) == ("Änne", False, False)
        assert entry.limit is not None
        assert entry.limit.weekdays == 0b1100000
        user = await ask(house, "users/update", name="Änne", access=None)
        assert user["access"] is None
        assert entry.limit is None


async def test_an_update_does_not_undo_what_others_changed_meanwhile(house: House) -> None:
    house.classic.behaviour.counts_user_changes = False
    async with house.running():
        await house.pair(name="front")
        anna = add(house, "Anna")
        await ask(house, "users/list")
        anna.enabled = False
        await ask(house, "users/update", name="Anna", rename="Anna B")
        assert not anna.enabled


async def test_two_updates_at_once_both_count(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        anna = add(house, "Anna")
        await asyncio.gather(
            house.ask("front/request/users/update", {"id": anna.authorization_id, "remote": False}),
            house.ask("front/request/users/update", {"id": anna.authorization_id, "enabled": False}),
        )
        await asyncio.sleep(5)
        assert (anna.remote_allowed, anna.enabled) == (False, False)


async def test_removing(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        anna = add(house, "Anna")
        assert await ask(house, "users/remove", name="Anna") == {"id": anna.authorization_id, "name": "Anna"}
        assert house.classic.authorizations.get(anna.authorization_id) is None
        assert len(published(house)) == 1
        assert await refusal(house, "users/remove", name="Anna") == "unknown_user"


async def test_which_user_must_be_clear(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        first, _second = add(house, "Anna"), add(house, "Anna")
        assert await refusal(house, "users/update", name="Anna", enabled=False) == "ambiguous"
        assert await refusal(house, "users/remove", name="anna") == "unknown_user"
        assert await refusal(house, "users/remove", id=99) == "unknown_user"
        assert await refusal(house, "users/remove") == "bad_request"
        assert await refusal(house, "users/remove", id=first.authorization_id, name="Anna") == "bad_request"
        assert await refusal(house, "users/update", id=first.authorization_id) == "bad_request"
        await ask(house, "users/remove", id=first.authorization_id)
        await ask(house, "users/remove", name="Anna")


async def test_the_bridge_itself_is_guarded(house: House) -> None:
    async with house.running():
        data = await house.pair(name="front")
        own = data["authorization_id"]
        assert await refusal(house, "users/remove", id=own) == "own_authorization"
        assert await refusal(house, "users/update", id=own, enabled=False) == "own_authorization"
        assert await refusal(house, "users/remove", id=own, self=False) == "own_authorization"
        assert await refusal(house, "users/update", id=own, access={"weekdays": ["mo"]}) == "own_authorization"
        await ask(house, "users/update", id=own, access=None)
        await ask(house, "users/update", id=own, rename="the hall's bridge")
        assert house.classic.authorizations.get(own) is not None
        await ask(house, "users/remove", id=own, self=True)
        assert house.classic.authorizations.get(own) is None


@pytest.mark.parametrize(
    "arguments",
    [
        {"id": 5, "rename": "x" * 33},
        {"id": 5, "rename": ""},
        {"id": 5, "rename": "a\nb"},
        {"id": 5, "rename": "a\x1b[2Jb"},
        {"id": 5, "rename": "a\u202eb"},
        {"id": 5, "rename": ["a"]},
        {"id": 5, "enabled": 1},
        {"id": "5", "enabled": True},
        {"id": -1, "enabled": True},
        {"id": 5, "access": {"weekdays": []}},
        {"id": 5, "access": {"from": "2026-12-02T10:00:00", "until": "2026-12-01T10:00:00"}},
        {"id": 5, "shared_key": "00"},
    ],
)
async def test_a_malformed_update_changes_nothing(house: House, arguments: dict[str, Any]) -> None:
    async with house.running():
        await house.pair(name="front")
        while (anna := add(house, "Anna")).authorization_id < 5:
            pass
        before = house.classic.authorizations.to_list()
        assert await refusal(house, "users/update", **arguments) == "bad_request"
        assert [each["name"] for each in house.classic.authorizations.to_list()] == [each["name"] for each in before]
        assert anna.enabled


# -- an authorization for a device of one's own


async def test_add_answers_with_the_credential_and_only_the_asker_gets_it(house: House) -> None:
    async with house.running():
        paired = await house.pair(name="front")
        data = await ask(house, "users/add", name="Tablet", remote=False, access={"weekdays": ["sa"]})
        entry = house.classic.authorizations.get(data["authorization_id"])
        assert entry is not None
        assert data == {
            "version": 1,
            "lock": {"name": "front", "nuki_id": paired["nuki_id"], "address": CLASSIC, "type": "classic"},
            "authorization_id": entry.authorization_id,
            "shared_key": entry.key.hex(),
            "user": "Tablet",
            "remote": False,
            "base_topic": "nuki",
        }
        assert entry.limit is not None
        [told] = [each for each in published(house) if each["name"] == "Tablet"]
        assert (told["remote"], told["access"], told["type"]) == (False, {"weekdays": ["sa"]}, "app")
        holding = [each.topic for each in house.published if entry.key.hex() in each.payload.decode()]
        assert holding == ["nuki/front/response/users/add"]
        assert not any(each.retain for each in house.published if each.topic in holding)


async def test_a_lost_answer_to_add_is_looked_for(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        before = add(house, "Phone")
        await ask(house, "users/list")
        before.name = "Tablet"  # by somebody else, just now
        asking = asyncio.create_task(house.ask("front/request/users/add", {"name": "Tablet"}))
        while not any(entry.what == "invited" for entry in house.classic.audit):
            house.classic.connections.to_swallow = 1
            await asyncio.sleep(0.001)
            if house.classic.connections.to_swallow == 0:
                house.classic.connections.to_swallow = 1
        house.classic.connections.to_swallow = 0
        answer = await asking
        tablets = [each for each in house.classic.authorizations if each.name == "Tablet"]
        assert len(tablets) == 2
        if answer["status"] == "ok":
            assert answer["data"]["authorization_id"] == tablets[1].authorization_id


async def test_a_full_lock_says_so(house: House) -> None:
    house.classic.behaviour.max_users = 1
    async with house.running():
        await house.pair(name="front")
        assert await refusal(house, "users/add", name="Tablet") == "too_many_entries"


# -- the list follows the lock


async def test_a_change_elsewhere_is_seen_by_the_config_update_count(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        add(house, "Anna")
        await asyncio.sleep(20)
        assert [each["name"] for each in published(house)][1:] == ["Anna"]
        house.radio.control({"lock": CLASSIC, "remove_authorization": published(house)[1]["id"]})
        await asyncio.sleep(20)
        assert len(published(house)) == 1


@pytest.mark.long
async def test_firmware_that_does_not_count_users_is_looked_at_now_and_then(house: House) -> None:
    house.classic.behaviour.counts_user_changes = False
    async with house.running():
        await house.pair(name="front")
        anna = add(house, "Anna")
        await asyncio.sleep(310)
        assert len(published(house)) == 2
        anna.name = "Anna B"
        await asyncio.sleep(3700)
        assert published(house)[1]["name"] == "Anna B"


async def test_changes_of_our_own_in_a_row_have_the_list_read_once_afterwards(house: House) -> None:
    """Otherwise a hundred invitations would read a hundred lists, each longer than the last."""
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(5.0)
        before = sum(each.what == "entries_read" for each in house.classic.audit)
        for number in range(20):
            answer = await house.ask("front/request/invite/create", {"name": f"Guest {number}"})
            assert answer["status"] == "ok"
            await asyncio.sleep(0.7)
        during = sum(each.what == "entries_read" for each in house.classic.audit)
        assert during - before <= 2
        await asyncio.sleep(5.0)
        after = sum(each.what == "entries_read" for each in house.classic.audit)
        assert after - during <= 4  # two pages, at most twice
        assert len(published(house)) == 21


async def test_nothing_is_published_while_nothing_changes(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.published.clear()
        await asyncio.sleep(3500)
        assert house.on("front/users") == []


async def test_the_list_outlives_a_restart_without_a_gap(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        add(house, "Anna")
        await asyncio.sleep(20)
        before = house.retained["nuki/front/users"]
    again = House(house.settings.state_dir, PIN)
    again.classic, again.radio = house.classic, house.radio
    again.retained = {"nuki/front/users": before}
    async with again.running():
        from nuki_bridge.mqtt.message import Incoming

        again.bridge.handle(Incoming(topic="nuki/front/users", payload=before.encode(), retain=True, received_at=0.0))
        await asyncio.sleep(20)
        assert "" not in again.on("front/users")
        assert [each["name"] for each in published(again)][1:] == ["Anna"]


async def test_a_wrong_pin_is_tried_once(house: House) -> None:
    house.settings = type(house.settings)(
        mqtt=house.settings.mqtt,
        locks=(LockSettings("front", CLASSIC, pin=Secret("9999")),),
        state_dir=house.settings.state_dir,
    )
    async with house.running():
        await house.pair(name="front")
        for _ in range(3):
            assert await refusal(house, "users/list") == "bad_pin"
        add(house, "Anna")
        house.send("front/set", "unlock")
        await asyncio.sleep(4000)
        tries = [entry for entry in house.classic.audit if entry.detail == "bad_pin"]
        assert len(tries) == 1
        assert [each["type"] for each in house.events("front/event")] == ["lock_action"]
