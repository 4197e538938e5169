"""The guest's client through the bridge, from its command to the lock and back, without a network; in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nuki_bridge.config import MqttSettings
from nuki_bridge.errors import RequestError
from nuki_bridge.guest import credential_file, guest
from nuki_bridge.lock.credential import credential
from nuki_bridge.lock.outcome import Outcome, OutcomeUnknown
from nuki_bridge.lock.profile import SMART_LOCK
from nuki_bridge.mqtt import mqtt
from nuki_bridge.protocol.codes import Action, LockState
from tests.unit.guest_connection import Before, Connection
from tests.unit.party import Guest, Party, motor, party
from tests.unit.rig import clock

if TYPE_CHECKING:
    pass

QUESTION_SIZE = 56
"""Bytes of a frame that asks for a challenge or a reading."""


async def act(
    house: Party, anna: Guest, action: Action, monkeypatch: pytest.MonkeyPatch, before: Before = lambda frame: None
) -> Outcome:
    """What `nuki-bridge guest` does."""
    made = credential(
        house.member.paired, "nuki", authorization_id=anna.number, shared_key=anna.key, user=anna.name, remote=True
    )
    monkeypatch.setattr(guest, "GuestConnection", lambda settings: Connection(settings, house, before))
    monkeypatch.setattr(mqtt, "boottime", clock)
    return await guest.over_relay(
        MqttSettings(),
        credential_file.read_credential(json.loads(json.dumps(made))),
        lambda lock: lock.perform(action, guest.SEND_TIMEOUT_S),
        lambda states: None,
        twice=SMART_LOCK.is_repeatable(action),
    )


def at_the_first_command(then: Callable[[], None]) -> Before:
    """Have something happen just before the bridge gets a guest's first frame that is more than a question."""
    left = [then]

    def before(frame: bytes) -> None:
        if len(frame) != QUESTION_SIZE and left:
            left.pop()()

    return before


async def test_a_guest_acts_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        for action, state in ((Action.UNLOCK, LockState.UNLOCKED), (Action.LOCK, LockState.LOCKED)):
            outcome = await act(house, anna, action, monkeypatch)
            assert outcome.completion == "success"
            assert house.classic.motor.state is state
        assert motor(house) == ["unlock", "lock"]


async def test_what_was_not_passed_on_is_begun_anew_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bridge was started anew between the challenge and the command: it has not seen the one for the other."""
    async with party(tmp_path) as house:
        anna = house.guest()
        forget = house.member.running.relay._challenged.clear
        outcome = await act(house, anna, Action.UNLOCK, monkeypatch, at_the_first_command(forget))
        assert outcome.completion == "success"
        assert motor(house) == ["unlock"]
        errors = [json.loads(each.payload)["error"] for each in house.published if each.topic.endswith("/error")]
        assert errors == ["challenge_expired"]


async def test_what_opens_the_door_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That nothing was passed on is the bridge's word, or of somebody who writes in its name, and not the lock's."""
    async with party(tmp_path) as house:
        anna = house.guest()
        forget = house.member.running.relay._challenged.clear
        with pytest.raises(RequestError, match="nothing was passed on") as refused:
            await act(house, anna, Action.UNLATCH, monkeypatch, at_the_first_command(forget))
        assert refused.value.code == "challenge_expired"
        assert motor(house) == []


@pytest.mark.parametrize("connection", ["persistent", "on-demand"])
async def test_a_link_lost_between_challenge_and_command_is_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: str
) -> None:
    """The bridge says that the link was lost, and then that the command which was on its way was not passed on."""
    async with party(tmp_path, connection=connection) as house:
        anna = house.guest()
        before = at_the_first_command(house.classic.drop_links)
        outcome = await act(house, anna, Action.UNLOCK, monkeypatch, before)
        assert outcome.completion == "success"
        assert motor(house) == ["unlock"]
        errors = [json.loads(each.payload)["error"] for each in house.published if each.topic.endswith("/error")]
        assert errors == ["disconnected", "challenge_expired"]


async def test_a_link_lost_after_the_command_has_the_lock_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        house.radio.write_s = house.radio.latency_s = 0.1

        def later() -> None:
            asyncio.get_running_loop().call_later(0.12, house.classic.drop_links)

        with suppress(OutcomeUnknown):
            outcome = await act(house, anna, Action.UNLOCK, monkeypatch, at_the_first_command(later))
            assert outcome.states is not None
            assert outcome.states.lock_state is LockState.UNLOCKED
        assert motor(house) == ["unlock"]


@pytest.mark.parametrize("action", [Action.UNLOCK, Action.UNLATCH])
async def test_a_command_whose_answer_stays_away_is_asked_after_and_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: Action
) -> None:
    async with party(tmp_path) as house:
        anna = house.guest()
        before = at_the_first_command(house.classic.swallow_next_answer)
        with suppress(OutcomeUnknown):
            outcome = await act(house, anna, action, monkeypatch, before)
            assert outcome.states is not None
            assert outcome.states.lock_state in (LockState.UNLOCKED, LockState.UNLATCHED)
        assert len(motor(house)) == 1
        errors = [json.loads(each.payload)["error"] for each in house.published if each.topic.endswith("/error")]
        assert errors == ["outcome_unknown"]
