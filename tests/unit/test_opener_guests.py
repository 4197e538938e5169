"""Guests of an Opener: invited like those of any lock, over a link that hears nothing more after an action."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.config import MqttSettings
from nuki_bridge.errors import RequestError
from nuki_bridge.guest import guest
from nuki_bridge.guest.credential_file import read_credential
from nuki_bridge.lock.credential import credential
from nuki_bridge.lock.profile import OPENER
from nuki_bridge.mqtt import mqtt
from nuki_bridge.protocol.codes import Family, IdType, OpenerAction
from nuki_bridge.protocol.messages import ErrorReport, LockAction, RequestData, Status
from nuki_bridge.protocol.opener import OpenerStates
from nuki_bridge.protocol.session import Session
from nuki_bridge.simulator.behaviour import seeded
from tests.unit import invited
from tests.unit.guest_connection import Connection
from tests.unit.intercom import WITH_PIN, Intercom, clock
from tests.unit.party import CHALLENGE, STATES, Guest


class Visitor(Guest):
    """A guest of the Opener."""

    def __init__(self, house: Intercom, number: int, key: bytes, name: str) -> None:
        super().__init__(house, number, key, name)
        self.session = Session(number, key, Family.OPENER, seeded(number))

    def write(self, frame: Any, **fields: Any) -> None:
        data = frame if isinstance(frame, bytes) else self.session.send(frame)
        self.house.send(f"hall/relay/{self.id}/write", data, **fields)

    def heard(self) -> list[bytes]:
        topic = f"nuki/hall/relay/{self.id}/indicate"
        return [each.payload for each in self.house.published if each.topic == topic]

    def errors(self) -> list[str]:
        return [each["error"] for each in self.house.events(f"hall/relay/{self.id}/error")]

    async def open(self) -> list[Any]:
        """Have the strike act; gives all that was said of it."""
        nonce = await self.challenge()
        self.write(LockAction(action=OpenerAction.OPEN, app_id=0, flags=0, name_suffix=None, nonce=nonce))
        said: list[Any] = []
        while True:
            said.append(await self.next())
            if isinstance(said[-1], ErrorReport) or (isinstance(said[-1], Status) and said[-1].status == 0):
                return said


@asynccontextmanager
async def visited(directory: Path, **behaviour: Any) -> AsyncIterator[tuple[Intercom, Visitor]]:
    """A house whose Opener has a guest."""
    house = Intercom(directory, WITH_PIN, **behaviour)
    async with house.running():
        await house.paired()
        key = seeded(7)(32)
        entry = house.opener.add_user(key, IdType.APP, 0, "Anna", full=0)
        entry.remote_allowed = True
        house.opener.users_changed()
        await house.ask("hall/request/users/list", wait_s=30)
        await asyncio.sleep(20)
        yield house, Visitor(house, entry.authorization_id, key, "Anna")


async def test_a_guest_opens_once_for_each_command(tmp_path: Path) -> None:
    async with visited(tmp_path) as (house, anna):
        for count in (1, 2):
            assert not any(isinstance(each, ErrorReport) for each in await anna.open())
            assert house.strikes() == count
        assert anna.errors() == []
        await asyncio.sleep(60)
        assert house.rings() == []
        assert [each["user"]["name"] for each in house.actions()] == ["Anna", "Anna"]


async def test_an_invitation_to_an_opener_is_made_redeemed_and_used(tmp_path: Path) -> None:
    house = Intercom(tmp_path, WITH_PIN)
    async with house.running():
        await house.paired()
        made = await invited.invite(house, "hall")
        await asyncio.sleep(5)
        told = invited.Guest(made["code"]).redeem(house)
        credential = read_credential(told)
        assert (credential.family, credential.name, credential.user) == (Family.OPENER, "hall", "Anna")
        await asyncio.sleep(20)
        anna = Visitor(house, credential.authorization_id, credential.shared_key, "Anna")
        assert not any(isinstance(each, ErrorReport) for each in await anna.open())
        assert house.strikes() == 1
        revoked = await house.ask("hall/request/users/remove", {"name": "Anna"})
        assert revoked["status"] == "ok"
        anna.write(CHALLENGE)
        await asyncio.sleep(10)
        assert anna.errors() == ["not_authorized"]


@pytest.mark.parametrize(
    ("action", "word"),
    [(OpenerAction.OPEN, "success"), (OpenerAction.ACTIVATE_RTO, "success"), (4, "pin_required")],
    ids=["open", "rto", "continuous mode"],
)
async def test_what_the_guests_program_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: int, word: str
) -> None:
    async with visited(tmp_path) as (house, anna):
        member = house.bridge.members.get("hall")
        assert member is not None
        assert member.paired is not None
        made = credential(
            member.paired, "nuki", authorization_id=anna.number, shared_key=anna.key, user="Anna", remote=True
        )
        monkeypatch.setattr(guest, "GuestConnection", lambda settings: Connection(settings, house, lambda frame: None))
        monkeypatch.setattr(mqtt, "boottime", clock)
        try:
            outcome = await guest.over_relay(
                MqttSettings(),
                read_credential(json.loads(json.dumps(made))),
                lambda lock: lock.perform(action, guest.SEND_TIMEOUT_S),
                lambda states: None,
                twice=OPENER.is_repeatable(action),
            )
            found = outcome.completion
        except RequestError as error:
            found = error.code
        assert found == word
        assert house.strikes() == (action == OpenerAction.OPEN)
        await asyncio.sleep(10.0)
        assert house.state()[0] == ("rto_active" if action == OpenerAction.ACTIVATE_RTO else "locked")


async def test_what_a_guest_asks_right_after_an_action_is_answered(tmp_path: Path) -> None:
    """Over the link of the action nothing would be, for as long as that takes to drop."""
    async with visited(tmp_path) as (house, anna):
        await anna.open()
        await asyncio.sleep(1.0)
        started = asyncio.get_running_loop().time()
        anna.write(STATES)
        assert isinstance(await anna.next(), OpenerStates)
        assert asyncio.get_running_loop().time() - started < 2.0
        assert anna.errors() == []
        assert house.strikes() == 1


async def test_the_bridge_and_a_guest_open_one_after_the_other(tmp_path: Path) -> None:
    async with visited(tmp_path) as (house, anna):
        await anna.open()
        assert (await house.do("open"))["status"] == "ok"
        assert not any(isinstance(each, ErrorReport) for each in await anna.open())
        assert house.strikes() == 3


@pytest.mark.parametrize(("habit", "free_after_s"), [(False, 5.0), (True, 10.0)])
async def test_a_guest_whose_page_is_open_does_not_hide_a_ring(
    tmp_path: Path, habit: bool, free_after_s: float
) -> None:
    """Where an app sets the beacon's bit the log is asked first whether it was a ring."""
    async with visited(tmp_path, app_sets_bit=habit) as (house, anna):
        anna.write(CHALLENGE)
        await anna.next()
        await asyncio.sleep(free_after_s)
        assert house.opener.links == 0
        house.opener.ring()
        await asyncio.sleep(2.0)
        assert len(house.rings()) == 1


async def test_a_guest_with_nothing_open_is_not_told_that_the_link_was_let_go(tmp_path: Path) -> None:
    async with visited(tmp_path) as (house, anna):
        anna.write(STATES)
        await anna.next()
        await asyncio.sleep(10.0)
        assert (house.opener.links, anna.errors()) == (0, [])


async def test_a_guest_is_told_that_the_link_broke_under_a_command(tmp_path: Path) -> None:
    async with visited(tmp_path) as (house, anna):
        nonce = await anna.challenge()
        house.radio.faults.disconnect_after_write = 1
        anna.write(LockAction(action=OpenerAction.OPEN, app_id=0, flags=0, name_suffix=None, nonce=nonce))
        await asyncio.sleep(60.0)
        assert anna.errors() == ["disconnected"]
        assert house.strikes() == 1


async def test_a_page_hears_that_continuous_mode_was_switched(tmp_path: Path) -> None:
    async with visited(tmp_path) as (house, anna):
        anna.write(RequestData(wanted=STATES.wanted))
        await anna.next()
        await asyncio.sleep(10.0)
        before = len(house.on(f"hall/relay/{anna.id}/news"))
        assert (await house.do("activate_cm"))["status"] == "ok"
        await asyncio.sleep(5.0)
        assert len(house.on(f"hall/relay/{anna.id}/news")) == before + 1
