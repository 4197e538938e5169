"""Invitations over MQTT, between a virtual lock, its owner and guests; in virtual time."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
import segno

from nuki_bridge.config import WebSettings
from nuki_bridge.database import FILE_NAME
from nuki_bridge.errors import StoreError
from nuki_bridge.sharing.invitation_code import key, lookup, read_code, seal
from nuki_bridge.sharing.invitation_store import Records
from tests.unit import rig
from tests.unit.house import CLASSIC, House
from tests.unit.invited import HOUR_S, Guest, invite, names, open_ones, paired, settle
from tests.unit.rig import clock, now


def database(house: House) -> bytes:
    """Every byte of the database and its log."""
    directory = house.settings.state_dir
    return b"".join(file.read_bytes() for file in sorted(directory.iterdir()) if FILE_NAME in file.name)


def sealed(guest: Guest, content: bytes) -> bytes:
    """What somebody with the code, and no good intention, may send."""
    return seal(key(guest.code), content, bytes(24))


def in_range(house: House, there: bool) -> None:
    house.radio.control({"lock": CLASSIC, "out_of_range": not there})
    # Nobody need look every second, of days on end, for what is not there; a lock that is back shows itself at once.
    house.radio.interval_s = 1.0 if there else 600.0


# -- from the owner to the guest --------------------------------------------------------------------------------------


async def test_an_invitation_is_answered_once_with_what_the_owner_passes_on(house: House) -> None:
    async with house.running():
        await paired(house)
        house.published.clear()
        data = await invite(house, expires_in="48h", remote=False)
        assert data.keys() == {"id", "code", "link", "expires", "user"}
        assert read_code(data["link"]) == read_code(data["code"])
        assert data["user"] == "Anna"
        left = datetime.fromisoformat(data["expires"]) - now()
        assert timedelta(hours=47, minutes=59) < left <= timedelta(hours=48)
        assert house.everything().count(data["code"]) == 2  # in the code and in the link of one answer
        entry = house.classic.authorizations.get(data["id"])
        assert entry is not None
        assert (entry.name, entry.remote_allowed, entry.limit, entry.enabled) == ("Anna", False, None, True)
        [shown] = open_ones(house)
        assert shown == {
            "id": data["id"],
            "user": "Anna",
            "remote": False,
            "access": None,
            "created": shown["created"],
            "expires": data["expires"],
        }
        assert (await house.ask("front/request/invite/list"))["data"] == [shown]


async def test_with_a_page_the_link_opens_it_and_the_code_stays_behind_the_fragment(house: House) -> None:
    house.settings = replace(house.settings, web=WebSettings("https://door.example.net"))
    async with house.running():
        await paired(house)
        data = await invite(house)
        assert data["link"] == f"https://door.example.net/#code={data['code']}"
        assert read_code(data["link"]) == read_code(data["code"])
        assert "qr" not in data


async def test_how_guests_reach_the_broker_without_the_page_is_told_with_the_code(house: House) -> None:
    house.settings = replace(house.settings, mqtt=replace(house.settings.mqtt, public_url="mqtts://guest@door.example"))
    async with house.running():
        await paired(house)
        data = await invite(house)
        assert data["broker"] == f"mqtts://guest@door.example/{house.settings.mqtt.base_topic}"
        assert data["link"].startswith("nuki-bridge:invite?")


async def test_the_qr_code_is_drawn_only_for_who_asks_for_it(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house, qr=True)
        drawing = ElementTree.fromstring(data["qr"])
        assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(data["qr"]) < 8192
        drawn = io.BytesIO()
        segno.make_qr(data["link"], error="m").save(
            drawn, kind="svg", xmldecl=False, nl=False, omitsize=True, light="white"
        )
        assert data["qr"] == drawn.getvalue().decode()


async def test_the_guest_gets_the_credential_that_the_lock_knows(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        guest = Guest(data["code"])
        credential = guest.redeem(house)
        entry = house.classic.authorizations.get(data["id"])
        assert entry is not None
        assert credential == {
            "version": 1,
            "lock": {"name": "front", "nuki_id": "1A2B3C4D", "address": CLASSIC, "type": "classic"},
            "authorization_id": data["id"],
            "shared_key": entry.key.hex(),
            "user": "Anna",
            "remote": True,
            "base_topic": "nuki",
            "access": None,
            "client": guest.client,
        }
        assert open_ones(house) == []
        await settle()
        assert names(house) == ["Anna"]


async def test_access_reaches_the_lock_and_is_shown(house: House) -> None:
    access: dict[str, Any] = {
        "from": "2026-12-02T00:00:00+01:00",
        "until": "2027-01-01T00:00:00+01:00",
        "weekdays": ["mo", "fr"],
        "time_from": "08:00",
        "time_until": "20:00",
    }
    async with house.running():
        await paired(house)
        data = await invite(house, access=access)
        entry = house.classic.authorizations.get(data["id"])
        assert entry is not None
        assert entry.limit is not None
        assert entry.limit.weekdays == 0b1000100
        assert entry.limit.time_from is not None
        assert entry.limit.time_from.hour == 8
        [shown] = open_ones(house)
        assert shown["access"]["weekdays"] == ["mo", "fr"]
        assert datetime.fromisoformat(shown["access"]["until"]) == datetime.fromisoformat(access["until"])
    restarted = house.restarted()
    async with restarted.running():
        assert open_ones(restarted)[0]["access"]["time_until"] == "20:00"


@pytest.mark.long
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"name": ""},
        {"name": "x" * 33},
        {"name": "ä" * 17},
        {"name": "An\nna"},
        {"name": "Anna", "expires_in": "49h"},
        {"name": "Anna", "expires_in": 172801},
        {"name": "Anna", "expires_in": 0},
        {"name": "Anna", "expires_in": "0s"},
        {"name": "Anna", "expires_in": "soon"},
        {"name": "Anna", "expires_in": True},
        {"name": "Anna", "expires_in": -5},
        {"name": "Anna", "remote": "yes"},
        {"name": "Anna", "access": {"weekdays": ["xx"]}},
        {"name": "Anna", "access": {"from": "2027-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}},
        {"name": "Anna", "code": "0"},
    ],
)
async def test_wrong_arguments_change_nothing(house: House, arguments: dict[str, Any]) -> None:
    async with house.running():
        await paired(house)
        answer = await house.ask("front/request/invite/create", arguments)
        assert answer["error"] == "bad_request", answer
        assert names(house) == []


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("48h", 172800), ("30m", 1800), ("90s", 90), ("90", 90), (90, 90), (1.5, 1), ("1d12h", 129600), ("1h30m", 5400)],
)
async def test_expires_in_is_read_as_people_write_it(house: House, given: Any, seconds: int) -> None:
    async with house.running():
        await paired(house)
        await invite(house, expires_in=given)
        [shown] = open_ones(house)
        created, expires = (datetime.fromisoformat(shown[key]) for key in ("created", "expires"))
        assert expires - created == timedelta(seconds=seconds)


async def test_answers_go_to_the_response_topic_alone(house: House) -> None:
    async with house.running():
        await paired(house)
        house.published.clear()
        house.send("front/request/invite/create", {"name": "Anna"}, response_topic="someone/inbox")
        await settle(5.0)
        told = [each.topic for each in house.published if b'"code"' in each.payload]
        assert told == ["someone/inbox"]


async def test_neither_code_nor_key_is_logged_or_kept(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with house.running():
        await paired(house)
        data = await invite(house)
        credential = Guest(data["code"]).redeem(house)
        plain = read_code(data["code"])
        for secret in (data["code"], plain, credential["shared_key"]):
            assert secret not in caplog.text
        assert plain.encode() not in database(house)
        assert data["code"].encode() not in database(house)
        for row in house.bridge.invitations._rows.values():
            assert "key" not in repr(row)
            assert "lookup" not in repr(row)


# -- once, and to one -------------------------------------------------------------------------------------------------


async def test_of_two_guests_the_first_wins(house: House) -> None:
    async with house.running():
        await paired(house)
        code = (await invite(house))["code"]
        assert Guest(code).redeem(house)["user"] == "Anna"
        assert Guest(code).redeem(house) == "redeemed"


async def test_a_guest_whose_answer_got_lost_may_ask_again_for_ten_minutes(house: House) -> None:
    async with house.running():
        await paired(house)
        guest = Guest((await invite(house))["code"])
        first = guest.redeem(house)
        await asyncio.sleep(590.0)
        assert guest.redeem(house) == first
        assert Guest(guest.code, guest.client.upper()).redeem(house) == first
        await asyncio.sleep(11.0)
        assert guest.redeem(house) == "redeemed"


async def test_ten_minutes_later_the_credential_is_wiped(house: House) -> None:
    async with house.running():
        await paired(house)
        guest = Guest((await invite(house))["code"])
        shared_key = bytes.fromhex(guest.redeem(house)["shared_key"])
        assert shared_key in database(house)
        await asyncio.sleep(601.0)
        assert shared_key not in database(house)
        assert bytes.fromhex(guest.client) not in database(house)
        assert names(house) == ["Anna"]


@pytest.mark.long
async def test_in_the_end_no_secret_is_left_in_any_file(house: House) -> None:
    """Not in replaced rows, split pages, or the write-ahead log either; not even in pieces."""
    async with house.running():
        await paired(house)
        secrets: set[bytes] = set()
        made = []
        for number in range(30):
            limits: dict[str, Any] = {"access": {"weekdays": ["mo"]}} if number % 2 else {}
            made.append(await invite(house, name=f"Guest {number}", expires_in="1h", **limits))
            entry = house.classic.authorizations.get(made[-1]["id"])
            assert entry is not None
            secrets |= {key(read_code(made[-1]["code"])), entry.key}
        for number, data in enumerate(made):
            if number % 3 == 0:
                guest = Guest(data["code"])
                guest.redeem(house)
                secrets.add(bytes.fromhex(guest.client))
            elif number % 3 == 1:
                await house.ask("front/request/invite/revoke", {"id": data["id"]})
        present = [each for each in secrets if each in database(house)]
        assert len(present) == 10 * 3 + 10 * 2, "what is needed is there: the redeemed and the open ones"
        await asyncio.sleep(HOUR_S + 60)
        await settle()
        everything = b"".join(file.read_bytes() for file in house.settings.state_dir.iterdir())
        pieces = {each[start : start + 8] for each in secrets for start in range(len(each) - 7)}
        assert not [each for each in pieces if each in everything]


async def test_the_repeat_is_honoured_after_a_restart_but_no_longer_than_ten_minutes(house: House) -> None:
    async with house.running():
        await paired(house)
        guest = Guest((await invite(house))["code"])
        first = guest.redeem(house)
    await asyncio.sleep(300.0)
    second = house.restarted()
    async with second.running():
        assert guest.redeem(second) == first
        assert Guest(guest.code).redeem(second) == "redeemed"
    await asyncio.sleep(301.0)
    third = house.restarted()
    async with third.running():
        assert guest.redeem(third) == "redeemed"
        await settle(1.0)
        assert bytes.fromhex(first["shared_key"]) not in database(third)


async def test_an_open_invitation_survives_a_restart(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
    await asyncio.sleep(40 * HOUR_S)
    restarted = house.restarted()
    async with restarted.running():
        assert [each["id"] for each in open_ones(restarted)] == [data["id"]]
        assert Guest(data["code"]).redeem(restarted)["authorization_id"] == data["id"]


async def test_a_credential_says_whose_it_is_and_when_its_user_may(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house, access={"weekdays": ["mo"], "time_from": "08:00", "time_until": "20:00"})
        guest = Guest(data["code"])
        told = guest.redeem(house)
        assert told["client"] == guest.client
        assert told["access"]["weekdays"] == ["mo"]
        assert (told["access"]["time_from"], told["access"]["time_until"]) == ("08:00", "20:00")


async def test_redeeming_needs_neither_the_lock_nor_its_link(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        in_range(house, False)
        await asyncio.sleep(120.0)
        assert Guest(data["code"]).redeem(house)["authorization_id"] == data["id"]


@pytest.mark.long
async def test_outcomes_are_remembered_for_seven_days(house: House) -> None:
    async with house.running():
        await paired(house)
        redeemed, revoked, expired = [await invite(house, name=name, expires_in="1h") for name in ("A", "B", "C")]
        Guest(redeemed["code"]).redeem(house)
        assert (await house.ask("front/request/invite/revoke", {"id": revoked["id"]}))["status"] == "ok"
        await asyncio.sleep(HOUR_S + 60)
        in_range(house, False)  # or each day would take a second of keep-alive
        for days in (0, 6):
            await asyncio.sleep(days * 24 * HOUR_S)
            assert Guest(redeemed["code"]).redeem(house) == "redeemed"
            assert Guest(revoked["code"]).redeem(house) == "revoked"
            assert Guest(expired["code"]).redeem(house) == "expired"
        await asyncio.sleep(24 * HOUR_S)
        assert Guest(redeemed["code"]).redeem(house) == "unknown"
        assert Guest(revoked["code"]).redeem(house) == "unknown"
        assert Guest(expired["code"]).redeem(house) == "unknown"
        with closing(sqlite3.connect(house.settings.state_dir / FILE_NAME)) as db:
            assert db.execute("SELECT count(*) FROM invitation").fetchone() == (0,)


# -- what guests, and others, send ------------------------------------------------------------------------------------


async def test_a_request_that_does_not_open_changes_nothing(house: House) -> None:
    async with house.running():
        await paired(house)
        guest = Guest((await invite(house))["code"])
        other = Guest("0" * 16)
        good = guest.request()
        for payload in (
            b"x",
            bytes(40),
            bytes(500),
            good[:-1],
            good + b"x",
            other.request(),
            guest.request(client="short"),
            guest.request(client=5),
            guest.request(client=None),
            sealed(guest, b"[" * 8000),
            sealed(guest, b'{"client":' + b"9" * 8000 + b"}"),
            sealed(guest, b'{"client":' + b'{"client":' * 1000),
            sealed(guest, bytes(8000)),
            sealed(guest, b'"client"'),
            sealed(guest, b'{"client":"%b","client":"%b"}' % ((guest.client.encode(),) * 2)),
            sealed(guest, b'{"client":"%b","time":NaN}' % guest.client.encode()),
            sealed(guest, b'{"client":"%b","more":1e999}' % guest.client.encode()),
            sealed(guest, f'{{"client":"{guest.client}"}}'.encode("utf-16")),
            sealed(guest, b""),
            b'{"client":"' + b"0" * 32 + b'"}',
        ):
            assert guest.redeem(house, payload) == "unknown"
        assert len(open_ones(house)) == 1
        assert guest.redeem(house, good)["user"] == "Anna"


async def test_a_strange_lookup_is_unknown(house: House) -> None:
    async with house.running():
        await paired(house)
        assert Guest("0" * 16).redeem(house) == "unknown"
        for strange in ("zz", "00", "", "é"):
            house.send(f"invitation/{strange}/redeem", b"x")
            assert json.loads(house.on(f"invitation/{strange}/response")[-1])["error"] == "unknown"


async def test_the_guests_clock_does_not_matter(house: House) -> None:
    async with house.running():
        await paired(house)
        for number, time in enumerate((0, None, "2036-01-01T00:00:00Z", -1, 1e18)):
            guest = Guest((await invite(house, name=f"Anna {number}"))["code"])
            assert guest.redeem(house, guest.request(time=time))["user"] == f"Anna {number}"


async def test_a_retained_request_is_refused_and_redeems_nothing(house: House) -> None:
    async with house.running():
        await paired(house)
        guest = Guest((await invite(house))["code"])
        house.send(f"{guest.topic}/redeem", guest.request(), retain=True)
        assert json.loads(house.on(f"{guest.topic}/response")[-1])["error"] == "retained_command"
        assert house.on(f"{guest.topic}/redeem") == [""], "it would stay at the broker for ever"
        assert len(open_ones(house)) == 1
        house.published.clear()
        house.send(f"{guest.topic}/redeem", b"", retain=True)
        assert house.on(f"{guest.topic}/response") == []


async def test_an_oversized_request_is_refused(house: House) -> None:
    async with house.running():
        await paired(house)
        guest = Guest((await invite(house))["code"])
        house.send(f"{guest.topic}/redeem", bytes(16 * 1024 + 1))
        assert json.loads(house.on(f"{guest.topic}/response")[-1])["error"] == "payload_too_large"


async def test_a_guest_cannot_have_the_bridge_answer_elsewhere(house: House) -> None:
    async with house.running():
        await paired(house)
        guest = Guest((await invite(house))["code"])
        told = guest.redeem(house, response_topic="nuki/front/set", correlation_data=b"7")
        assert told["user"] == "Anna"
        assert house.on("front/set") == []


async def test_a_flood_of_garbage_gets_few_answers_and_holds_no_guest_up(house: House) -> None:
    async with house.running():
        await paired(house)
        guest = Guest((await invite(house))["code"])
        for number in range(400):  # fewer than shut the floodgate
            house.send(f"invitation/{number:032x}/redeem", bytes(100))
            house.send(f"{guest.topic}/redeem", bytes(100))
        answers = [each for each in house.published if each.topic.endswith("/response")]
        answers = [each for each in answers if "/invitation/" in each.topic]
        assert len(answers) <= 30
        first = guest.redeem(house)
        assert first["user"] == "Anna"
        assert guest.redeem(house) == first
        await asyncio.sleep(60.0)
        assert Guest("0" * 16).redeem(house) == "unknown"


# -- the end ----------------------------------------------------------------------------------------------------------


async def test_an_expired_invitation_is_gone_everywhere(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house, expires_in="30m")
        entry = house.classic.authorizations.get(data["id"])
        assert entry is not None
        await asyncio.sleep(1801.0)
        assert open_ones(house) == []
        assert Guest(data["code"]).redeem(house) == "expired"
        await settle()
        assert names(house) == []
        assert entry.key not in database(house)


async def test_a_code_is_expired_at_once_though_nobody_has_swept_yet(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house, expires_in="30m")
        invitations = house.bridge.invitations
        invitations._now = lambda: now() + timedelta(minutes=31)
        assert Guest(data["code"]).redeem(house) == "expired"


async def test_revoking_removes_it_from_the_lock_before_the_answer(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        answer = await house.ask("front/request/invite/revoke", {"id": data["id"]})
        assert answer["data"] == {"id": data["id"], "user": "Anna", "removed_on_lock": True}
        assert names(house) == []
        assert open_ones(house) == []
        assert Guest(data["code"]).redeem(house) == "revoked"
        answer = await house.ask("front/request/invite/revoke", {"id": data["id"]})
        assert answer["error"] == "unknown_invitation"


async def test_revoking_by_name_needs_a_name_that_is_alone(house: House) -> None:
    async with house.running():
        await paired(house)
        first, second = await invite(house), await invite(house, name="Bert")
        rename(house, second["id"], "Anna")
        house.classic.users_changed()
        await settle()
        answer = await house.ask("front/request/invite/revoke", {"name": "Anna"})
        assert answer["error"] == "ambiguous"
        assert str(first["id"]) in answer["message"]
        await house.ask("front/request/invite/revoke", {"id": first["id"]})
        assert (await house.ask("front/request/invite/revoke", {"name": "Anna"}))["data"]["id"] == second["id"]
        for wrong in ({}, {"name": "Anna", "id": 1}):
            assert (await house.ask("front/request/invite/revoke", wrong))["error"] == "bad_request"
        assert (await house.ask("front/request/invite/revoke", {"name": "Bert"}))["error"] == "unknown_invitation"


async def test_a_redeemed_invitation_cannot_be_revoked(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        Guest(data["code"]).redeem(house)
        answer = await house.ask("front/request/invite/revoke", {"id": data["id"]})
        assert answer["error"] == "unknown_invitation"
        assert names(house) == ["Anna"]


async def test_what_could_not_be_removed_is_removed_when_the_lock_is_back(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        in_range(house, False)
        await asyncio.sleep(120.0)
        answer = await house.ask("front/request/invite/revoke", {"id": data["id"]})
        assert answer["data"]["removed_on_lock"] is False
        assert Guest(data["code"]).redeem(house) == "revoked"
        assert house.bridge.invitations.pending("front") == {data["id"]}
        await asyncio.sleep(3 * HOUR_S)
        assert names(house) == ["Anna"]
        in_range(house, True)
        await settle()
        assert names(house) == []
        assert house.bridge.invitations.pending("front") == set()


async def test_it_is_removed_after_a_restart_too(house: House) -> None:
    async with house.running():
        await paired(house)
        await invite(house, expires_in="30m")
        in_range(house, False)
        await asyncio.sleep(HOUR_S)
    await asyncio.sleep(9 * 24 * HOUR_S)
    restarted = house.restarted()
    async with restarted.running():
        in_range(restarted, True)
        await settle()
        assert names(restarted) == []


async def test_an_invitation_that_expired_while_the_bridge_was_off_is_cleaned_up(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
    await asyncio.sleep(49 * HOUR_S)
    restarted = house.restarted()
    async with restarted.running():
        assert Guest(data["code"]).redeem(restarted) == "expired"
        await settle()
        assert names(restarted) == []
        assert open_ones(restarted) == []


async def test_a_stranger_who_has_the_old_id_stays(house: House) -> None:
    """After a factory reset a lock counts its IDs from the start again."""
    async with house.running():
        await paired(house)
        data = await invite(house)
        in_range(house, False)
        await asyncio.sleep(120.0)
        await house.ask("front/request/invite/revoke", {"id": data["id"]})
        entry = house.classic.authorizations.get(data["id"])
        assert entry is not None
        entry.name, entry.created = "Berta", entry.created + timedelta(days=1)
        in_range(house, True)
        await settle()
        assert names(house) == ["Berta"]
        assert house.bridge.invitations.pending("front") == set()


async def test_a_user_who_was_renamed_while_invited_is_removed_all_the_same(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        entry = house.classic.authorizations.get(data["id"])
        assert entry is not None
        entry.name = "Anna M."
        await house.ask("front/request/invite/revoke", {"id": data["id"]})
        assert names(house) == []


async def test_removing_the_user_ends_the_invitation(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        assert (await house.ask("front/request/users/remove", {"id": data["id"]}))["status"] == "ok"
        assert open_ones(house) == []
        assert Guest(data["code"]).redeem(house) == "revoked"


async def test_unpairing_ends_its_invitations(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        await house.ask("bridge/request/unpair", {"name": "front"})
        assert Guest(data["code"]).redeem(house) == "revoked"
        await paired(house)
        await settle()
        assert names(house) == []


async def test_the_user_is_pending_until_the_invitation_is_redeemed(house: House) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        assert house.bridge.invitations.pending("front") == {data["id"]}
        assert house.bridge.invitations.pending("back") == set()
        listed = {each["id"]: each for each in (await house.ask("front/request/users/list"))["data"]}
        assert listed[data["id"]]["pending"] is True
        Guest(data["code"]).redeem(house)
        assert house.bridge.invitations.pending("front") == set()
        shown = {each["id"]: each for each in json.loads(house.retained["nuki/front/users"])}
        assert shown[data["id"]]["pending"] is False


# -- clocks -----------------------------------------------------------------------------------------------------------


async def test_a_clock_set_back_prolongs_no_life(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        in_range(house, False)
        monkeypatch.setattr(house.bridge.invitations, "_now", lambda: now() - timedelta(days=30))
        await asyncio.sleep(47 * HOUR_S)
        assert len(open_ones(house)) == 1
        await asyncio.sleep(HOUR_S + 1)
        assert Guest(data["code"]).redeem(house) == "expired"
        in_range(house, True)
        await settle()
        assert names(house) == []


@pytest.mark.parametrize("jump", [timedelta(days=-30), timedelta(days=30)])
async def test_a_clock_that_jumps_leaves_the_guest_ten_minutes_and_nobody_else_any(
    house: House, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    async with house.running():
        await paired(house)
        guest = Guest((await invite(house))["code"])
        first = guest.redeem(house)
        monkeypatch.setattr(house.bridge.invitations, "_now", lambda: now() + jump)
        assert Guest(guest.code).redeem(house) == "redeemed"
        await asyncio.sleep(300.0)
        assert guest.redeem(house) == first
        await asyncio.sleep(302.0)
        assert guest.redeem(house) in ("redeemed", "unknown")
        assert bytes.fromhex(first["shared_key"]) not in database(house)
        assert names(house) == ["Anna"], "who has redeemed stays, whatever the clock shows"


@pytest.mark.long
async def test_restarts_with_a_clock_set_back_prolong_no_life(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        started = clock()
        in_range(house, False)
    monkeypatch.setattr(rig, "START", rig.START - timedelta(days=30))
    while clock() - started < 48.5 * HOUR_S:
        house = house.restarted()
        in_range(house, False)
        async with house.running():
            await asyncio.sleep(6 * HOUR_S)
    house = house.restarted()
    async with house.running():
        assert Guest(data["code"]).redeem(house) == "expired"


async def test_a_clock_that_jumps_ahead_ends_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.running():
        await paired(house)
        data = await invite(house)
        monkeypatch.setattr(house.bridge.invitations, "_now", lambda: now() + timedelta(days=30))
        assert Guest(data["code"]).redeem(house) == "expired"


# -- what the lock says -----------------------------------------------------------------------------------------------


async def test_a_full_lock_leaves_nothing_behind(house: House) -> None:
    async with house.running():
        await paired(house)
        house.classic.behaviour.max_users = 2
        await invite(house)
        answer = await house.ask("front/request/invite/create", {"name": "Bert"})
        assert answer["error"] == "too_many_entries"
        assert names(house) == ["Anna"]
        assert len(open_ones(house)) == 1
        assert len(house.bridge.invitations._rows) == 1


async def test_without_a_pin_nothing_is_made(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        assert (await house.ask("front/request/invite/create", {"name": "Anna"}))["error"] == "pin_required"
        assert names(house) == []
        assert house.bridge.invitations._rows == {}


async def test_a_wrong_pin_makes_nothing(house: House) -> None:
    async with house.running():
        await house.pair(name="front", pin="4321")
        for _ in range(5):
            assert (await house.ask("front/request/invite/create", {"name": "Anna"}))["error"] == "bad_pin"
        assert names(house) == []


async def test_a_lock_out_of_reach_makes_nothing_late(house: House) -> None:
    async with house.running():
        await paired(house)
        in_range(house, False)
        await asyncio.sleep(120.0)
        answer = await house.ask("front/request/invite/create", {"name": "Anna"})
        assert answer["error"] == "timeout"
        assert open_ones(house) == []
        assert house.bridge.invitations._rows == {}
        in_range(house, True)
        await settle(120.0)
        assert names(house) == []


async def test_what_a_lost_answer_left_on_the_lock_is_found_and_removed(house: House) -> None:
    async with house.running():
        await paired(house)
        first = await invite(house, name="Bert")
        await asyncio.sleep(5.0)
        rename(house, first["id"], "Anna")
        lose_invite_answer(house)
        answer = await house.ask("front/request/invite/create", {"name": "Anna"})
        assert answer["error"] == "outcome_unknown"
        assert names(house) == ["Anna", "Anna"]
        in_range(house, True)
        await settle(120.0)
        assert names(house) == ["Anna"]
        assert len(open_ones(house)) == 1
        [left] = [each.authorization_id for each in house.classic.authorizations if each.name == "Anna"]
        assert left == open_ones(house)[0]["id"]


@pytest.mark.long
async def test_a_user_of_the_same_name_is_not_taken_for_a_lost_one(house: House) -> None:
    """Whoever was there before, has acted already, or is another kind of user stays."""
    async with house.running():
        await paired(house)
        first = await invite(house, name="Bert")
        Guest(first["code"]).redeem(house)
        await asyncio.sleep(HOUR_S)
        rename(house, first["id"], "Anna")
        lose_invite_answer(house)
        await house.ask("front/request/invite/create", {"name": "Anna"})
        lost = max(each.authorization_id for each in house.classic.authorizations)
        house.classic.authorizations.remove(lost)
        in_range(house, True)
        await settle(120.0)
        assert names(house) == ["Anna"]
        assert house.classic.authorizations.get(first["id"]) is not None


def rename(house: House, authorization_id: int, name: str) -> None:
    """Somebody else has done so, just now."""
    entry = house.classic.authorizations.get(authorization_id)
    assert entry is not None
    entry.name = name


NAMING = {
    "an invitation": ("front/request/invite/create", {"name": "Anna"}),
    "a device": ("front/request/users/add", {"name": "Anna"}),
    "a rename": ("front/request/users/update", {"name": "Bert", "rename": "Anna"}),
}


@pytest.mark.parametrize("gap_s", [0.0, 0.05, 0.5, 3.0])
@pytest.mark.parametrize("second", NAMING)
@pytest.mark.parametrize("first", NAMING)
async def test_of_two_who_give_a_name_at_the_same_time_one_gets_it(
    house: House, first: str, second: str, gap_s: float
) -> None:
    async with house.running():
        await paired(house)
        await house.ask("front/request/users/add", {"name": "Bert"})
        await settle()
        before = len(house.published)
        for number, each in enumerate((first, second)):
            topic, arguments = NAMING[each]
            house.send(topic, {**arguments, "transaction": number})
            await asyncio.sleep(gap_s)
        await settle()
        told = [json.loads(each.payload) for each in house.published[before:] if "/response/" in each.topic]
        [refused] = [each for each in told if each["status"] == "error"]
        assert len(told) == 2
        assert refused["error"] in ({"unknown_user"} if first == second == "a rename" else {"name_taken"})
        assert "None" not in refused["message"]
        assert names(house).count("Anna") == 1


async def test_the_name_of_an_invitation_is_what_the_lock_has(house: House) -> None:
    async with house.running():
        await paired(house)
        first = await invite(house)
        assert (await house.ask("front/request/users/update", {"id": first["id"], "rename": "Bert"}))["status"] == "ok"
        assert (await house.ask("front/request/users/update", {"id": first["id"], "rename": "Bert"}))["status"] == "ok"
        assert (await house.ask("front/request/users/add", {"name": "Bert"}))["error"] == "name_taken"
        await invite(house)
        assert names(house) == ["Bert", "Anna"]


async def test_a_second_invitation_for_a_name_is_refused(house: House) -> None:
    async with house.running():
        await paired(house)
        first = await invite(house)
        again = await house.ask("front/request/invite/create", {"name": "Anna"})
        assert again["error"] == "name_taken"
        assert f"ID {first['id']}" in again["message"]
        Guest(first["code"]).redeem(house)
        await settle()
        again = await house.ask("front/request/invite/create", {"name": "Anna"})
        assert (again["error"], f"ID {first['id']}" in again["message"]) == ("name_taken", True)
        assert names(house) == ["Anna"]
        await house.ask("front/request/users/remove", {"id": first["id"]})
        await invite(house)
        assert names(house) == ["Anna"]


async def test_a_name_is_free_once_its_invitation_has_ended(house: House) -> None:
    """Also while the authorization is on the lock still, because that cannot be reached."""
    async with house.running():
        await paired(house)
        first = await invite(house)
        await settle()
        in_range(house, False)
        await house.ask("front/request/invite/revoke", {"id": first["id"]})
        assert names(house) == ["Anna"]
        in_range(house, True)
        await invite(house)
        await settle()
        assert names(house) == ["Anna"]
        assert len(open_ones(house)) == 1


async def test_an_invitation_that_is_over_before_it_begins_is_refused(house: House) -> None:
    async with house.running():
        await paired(house)
        for until in (now() - timedelta(seconds=1), now() - timedelta(days=400)):
            access = {"until": until.isoformat(timespec="seconds")}
            answer = await house.ask("front/request/invite/create", {"name": "Anna", "access": access})
            assert (answer["error"], "is over already" in answer["message"]) == ("bad_request", True)
        assert names(house) == []
        assert open_ones(house) == []


def lose_invite_answer(house: House) -> None:
    """The next invite is carried out, and then the lock is out of range before it has answered."""
    lock = house.classic
    original = lock.device.note

    def note(what: str, *arguments: Any, **more: Any) -> Any:
        result = original(what, *arguments, **more)
        if what == "invited":
            lock.device.note = original  # type: ignore[method-assign]
            in_range(house, False)
        return result

    lock.device.note = note  # type: ignore[method-assign]


# -- a disk that is full ----------------------------------------------------------------------------------------------


async def test_nothing_is_handed_out_that_could_not_be_made_durable(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> bool:
        raise StoreError("the disk is full")

    async with house.running():
        await paired(house)
        guest = Guest((await invite(house))["code"])
        with monkeypatch.context() as patch:
            patch.setattr(Records, "redeem", full)
            assert guest.redeem(house) == "store_error"
        with monkeypatch.context() as patch:
            patch.setattr(Records, "ask", full)
            answer = await house.ask("front/request/invite/create", {"name": "Bert"})
            assert answer["error"] == "store_error"
            assert names(house) == ["Anna"]
        with monkeypatch.context() as patch:
            patch.setattr(Records, "open", full)
            answer = await house.ask("front/request/invite/create", {"name": "Bert"})
            assert answer["error"] == "store_error"
        await settle(120.0)
        assert names(house) == ["Anna"]
        assert guest.redeem(house)["user"] == "Anna"


@pytest.mark.long
async def test_many_invitations(house: House) -> None:
    async with house.running():
        await paired(house)
        codes = [(await invite(house, name=f"Guest {number}"))["code"] for number in range(100)]
        assert len({lookup(read_code(each)) for each in codes}) == 100
        assert len(open_ones(house)) == 100
        assert [Guest(each).redeem(house)["user"] for each in codes] == [f"Guest {number}" for number in range(100)]
        assert open_ones(house) == []
