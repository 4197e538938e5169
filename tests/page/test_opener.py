"""An Opener on the phones of its guest and its owner: real Chromium, server, mosquitto, daemon and virtual Opener."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.integration.daemon import OPENER
from tests.page.owner import go, log_in
from tests.page.phone import NewPhone, Phone, credential_of
from tests.page.stage import Stage

MEDIUM_MS = 700
"""Long enough for ring to open, but too short for `open`."""
INTERCOM = "nuki/intercom"


@pytest.fixture(scope="module")
def stage(stage: Stage) -> Stage:
    """The bridge has an Opener beside the lock."""

    async def pair() -> None:
        await stage.house.ask("3E4F5061/simulate", {"hold_button": True})
        answer = await stage.house.ask("bridge/request/pair", {"address": OPENER, "name": "intercom", "pin": "1234"})
        assert answer["status"] == "ok", answer
        await stage.house.until(lambda: stage.house.last("intercom/state") == "locked")

    stage.do(pair())
    return stage


def simulate(stage: Stage, **controls: Any) -> dict[str, Any]:
    """What the Opener's `simulate` answers."""
    found: dict[str, Any] = stage.do(stage.house.ask("intercom/simulate", controls))["data"]
    return found


def begun(stage: Stage) -> list[str]:
    """What the Opener has begun to do, in order."""
    return [each["detail"] for each in simulate(stage, audit=True)["audit"] if each["what"] == "action_started"]


@pytest.fixture
def guest(stage: Stage, new_phone: NewPhone) -> Phone:
    """A phone that has a key to the Opener, and shows it."""
    started = new_phone("guest")
    made = stage.do(stage.house.ask("intercom/request/invite/create", {"name": f"Guest {time.time():.0f}"}))
    started.redeem(made["data"]["code"])
    started.says("Ready")
    return started


def test_the_owner_opens_switches_and_hears_the_bell(stage: Stage, new_phone: NewPhone) -> None:
    owner = new_phone("owner")
    log_in(owner)
    owner.shows("Intercom")
    go(owner, "lock", INTERCOM)
    owner.says("Ready")
    before = begun(stage)
    owner.until(lambda: simulate(stage, status=True)["links"] == 0)  # with a link it has no beacon to tell it by
    simulate(stage, ring=True)
    owner.shows("The doorbell rang at", 15)
    owner.hold("unlock")
    owner.until(lambda: begun(stage) == [*before, "open"])
    owner.says("Ready")
    owner.touch(owner.button("Ring to open"))
    owner.says("Ring to open is on")
    owner.tap("Ring to open")
    owner.says("Ready")
    owner.touch(owner.button("Continuous mode"))
    owner.says("Opens at every ring")
    owner.tap("Continuous mode")
    owner.says("Ready")
    modes = ["activate_rto", "deactivate_rto", "activate_continuous_mode", "deactivate_continuous_mode"]
    assert begun(stage) == [*before, "open", *modes]
    for view in ("log", "settings", "battery", "keypad", "timecontrol", "maintenance", "users", "pin", "invite"):
        go(owner, view, INTERCOM)
        words = owner.run("return document.getElementById('view').textContent")
        assert not any(wrong in words for wrong in ("owner.", "undefined", "[object", "NaN")), (view, words)
        assert "Calibrate" not in words, "the maker's app trains an Opener"


def test_a_guest_opens_by_a_hold_once_and_switches_ring_to_open(stage: Stage, guest: Phone) -> None:
    assert credential_of(guest)["lock"]["type"] == "opener"
    before = begun(stage)
    for never in ("Unlock", "Lock", "Continuous"):
        assert never not in guest.text
    guest.hold("unlock", MEDIUM_MS)
    guest.shows("until the ring is full")
    guest.hold("unlock")
    guest.until(lambda: guest.word() in ("Opening …", "Open"))
    guest.says("Ready")
    assert "rang at" not in guest.text
    guest.touch(guest.button("Ring to open"))
    guest.says("Ring to open is on")
    time.sleep(2)
    assert begun(stage) == [*before, "open", "activate_rto"]
    guest.tap("Ring to open")
    guest.says("Ready")
    assert begun(stage) == [*before, "open", "activate_rto", "deactivate_rto"]
    guest.until(lambda: simulate(stage, status=True)["links"] == 0)
    simulate(stage, continuous_mode=True)
    guest.says("Opens at every ring", 15)
    guest.until(lambda: simulate(stage, status=True)["links"] == 0)
    simulate(stage, continuous_mode=False)
    guest.says("Ready", 15)
    assert guest.axe() == []
    assert guest.overflow() == []


def test_a_strike_whose_answer_gets_lost_is_not_sent_again(stage: Stage, guest: Phone) -> None:
    before = begun(stage)
    stage.cable.mutes = lambda data: b"/write" in data and len(data) > 140
    guest.hold("unlock")
    guest.shows("It is not known what happened", 60)
    guest.shows("Look at the door before you try again")
    time.sleep(5)
    assert begun(stage) == [*before, "open"]
