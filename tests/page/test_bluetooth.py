"""A phone and a lock without the bridge: real Chromium with Bluetooth emulated, the virtual lock behind it."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.protocol.codes import ErrorCode, Family, IdType, LockState
from nuki_bridge.simulator.behaviour import Behaviour
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.opener import VirtualOpener
from nuki_bridge.simulator.virtual_device import VirtualDevice
from tests.page.phone import Phone, chromium, credential_of
from tests.page.radio import Radio
from tests.page.stage import Stage

MEDIUM_MS = 700
"""Long enough for `unlock` and ring to open, but too short for an Opener's `open`."""
ADDRESS, NUKI_ID = "54:D2:72:2B:3C:4D", 0x1A2B3C4D
KEY = bytes(range(32))
At = Callable[..., tuple[Phone, Radio]]


@pytest.fixture
def at(stage: Stage, tmp_path: Path) -> Iterator[At]:
    """Puts a phone in front of a lock; at the end nothing has met what the page's rules forbid."""
    opened: list[tuple[Phone, Radio]] = []

    def put(lock: VirtualDevice, *, mtu: int = 247, **options: Any) -> tuple[Phone, Radio]:
        phone = chromium(stage.url, tmp_path / "phone", bluetooth=True, **options)
        radio = Radio(phone, lock, mtu=mtu)
        opened.append((phone, radio))
        return opened[-1]

    yield put
    for phone, radio in opened:
        radio.close()
        phone.quit()
        heard = phone.heard
        assert not [each for each in heard if re.search("Content Security Policy|Uncaught|TypeError", each)]


def lock_with_user(**options: Any) -> tuple[VirtualLock, dict[str, Any]]:
    """A lock and the credential of a person who may use it near the door."""
    behaviour = Behaviour(motor_s=0.6, **options.pop("behaviour", {}))
    lock = VirtualLock(ADDRESS, NUKI_ID, pin=1234, behaviour=behaviour, **options)
    entry = lock.add_user(KEY, IdType.APP, 7, "Anna", full=ErrorCode.MAX_USER)
    return lock, {
        "version": 1,
        "lock": {"name": "front_door", "nuki_id": f"{NUKI_ID:08X}", "address": ADDRESS, "type": "smartlock"},
        "authorization_id": entry.authorization_id,
        "shared_key": KEY.hex(),
        "user": "Anna",
        "remote": False,
        "base_topic": "nuki",
        "access": None,
    }


def opener_with_user(**behaviour: Any) -> tuple[VirtualOpener, dict[str, Any]]:
    """An Opener, and the credential of a person who may use it."""
    opener = VirtualOpener(ADDRESS, NUKI_ID, pin=1234, behaviour=Behaviour(**behaviour))
    entry = opener.add_user(KEY, IdType.APP, 7, "Anna", full=ErrorCode.MAX_USER)
    _, credential = lock_with_user()
    lock = {"name": "intercom", "nuki_id": f"{NUKI_ID:08X}", "address": ADDRESS, "type": "opener"}
    return opener, {**credential, "authorization_id": entry.authorization_id, "lock": lock}


def keep(phone: Phone, credential: dict[str, Any]) -> None:
    """Have the phone keep a credential, and show its door."""
    phone.open()
    phone.until(lambda: phone.find("h1"))
    phone.run(
        "const { Store } = await import('/store.js'); await new Store().add(JSON.parse(args[0]))",
        json.dumps(credential),
    )
    phone.open()


def near(phone: Phone, word: str = "Locked") -> None:
    """Choose the lock, whose state then is shown."""
    phone.tap("At the door: by Bluetooth")
    phone.says(word)
    phone.shows("By Bluetooth, straight to the lock.")


def movements(radio: Radio) -> int:
    """How often the motor has started."""
    return radio.call(lambda: len(radio.lock.movements()))


# -- the guest's credential, at the door ----------------------------------------------------------------------------


@pytest.mark.parametrize("mtu", [247, 23])
def test_anna_opens_at_the_door_without_the_bridge(at: At, mtu: int) -> None:
    lock, credential = lock_with_user()
    anna, radio = at(lock, mtu=mtu)
    keep(anna, credential)
    anna.shows("Front door")
    near(anna)
    assert "as of" in anna.text
    assert "No connection" not in anna.text
    anna.hold("unlock", 150)
    anna.shows("until the ring is full")
    assert movements(radio) == 0
    anna.hold("unlock")
    anna.says("Unlocked")
    assert movements(radio) == 1
    anna.tap("Lock")
    anna.says("Locked")
    anna.hold("unlatch")
    anna.until(lambda: anna.word() in ("Latch pulled", "Unlocked"))
    assert movements(radio) == 3
    radio.call(lambda: lock.turn_by_hand(LockState.LOCKED))
    anna.tap("Ask the lock again")
    anna.says("Locked")
    anna.until(lambda: radio.open == 0)  # others can reach the lock again


def begun(radio: Radio) -> list[str | None]:
    """What the Opener has begun to do for somebody."""
    return radio.call(lambda: [each.detail for each in radio.lock.audit if each.what == "action_started"])


def test_an_opener_is_opened_by_a_hold_and_ring_to_open_switched(at: At) -> None:
    """The numbers of a lock's actions mean something else to it: unlock would be ring to open."""
    opener, credential = opener_with_user()
    anna, radio = at(opener)
    keep(anna, credential)
    anna.shows("Intercom")
    near(anna, "Ready")
    assert "Unlock" not in anna.text
    anna.hold("unlock", MEDIUM_MS)
    anna.shows("until the ring is full")
    assert begun(radio) == []
    anna.tap("Ring to open")
    anna.shows("until the ring is full")
    anna.touch(anna.button("Ring to open"))
    anna.says("Ring to open is on")
    time.sleep(1)  # the end of the hold is no tap that switches it off again
    assert begun(radio) == ["activate_rto"]
    anna.until(lambda: anna.find("[role=switch]").get_attribute("aria-checked") == "true")
    anna.tap("Ring to open")
    anna.says("Ready")
    anna.hold("unlock")
    anna.until(lambda: anna.word() in ("Opening …", "Open"))
    anna.says("Ready")
    anna.idle()
    assert "rang at" not in anna.text
    wanted = ["activate_rto", "deactivate_rto", "open"]
    assert begun(radio) == wanted
    assert "not known" not in anna.text
    radio.call(lambda: opener.switch_continuous_mode(True))
    anna.tap("Ask the lock again")
    anna.says("Opens at every ring")
    assert begun(radio) == wanted


def test_an_opener_becomes_a_door_of_this_phone(at: At) -> None:
    opener = VirtualOpener(ADDRESS, NUKI_ID, pin=1234, factory_new=True)
    anna, radio = at(opener)
    pair(anna, "Street")
    anna.shows("This phone opens Street now")
    anna.says("Ready")
    assert credential_of(anna)["lock"]["type"] == "opener"
    anna.hold("unlock")
    anna.until(lambda: begun(radio) == ["open"])


def test_the_page_starts_without_a_network_and_unlocks(stage: Stage, at: At) -> None:
    lock, credential = lock_with_user()
    anna, radio = at(lock)
    keep(anna, credential)
    anna.until(lambda: anna.run("return (await navigator.serviceWorker.ready).active.state") == "activated")
    anna.run("await (await caches.open((await caches.keys())[0])).match('views/near.js')")
    stage.close_page()
    try:
        anna.open()
        anna.shows("Front door")
        near(anna)
        anna.hold("unlock")
        anna.says("Unlocked")
        assert movements(radio) == 1
    finally:
        stage.serve()


def test_a_first_connection_that_fails_is_tried_again(at: At) -> None:
    lock, credential = lock_with_user()
    anna, radio = at(lock)
    radio.refused_connections = 2
    keep(anna, credential)
    near(anna)
    assert radio.connections == 1


def test_a_lock_out_of_reach_is_told_in_words(at: At) -> None:
    lock, credential = lock_with_user()
    anna, radio = at(lock)
    keep(anna, credential)
    radio.refused_connections = 1000
    anna.tap("At the door: by Bluetooth")
    anna.shows("cannot be reached; nothing was sent")
    radio.refused_connections = 0
    anna.tap("Ask the lock again")
    anna.says("Locked")
    assert movements(radio) == 0


def test_a_removed_user_is_told_so(at: At) -> None:
    lock, credential = lock_with_user()
    anna, radio = at(lock)
    keep(anna, credential)
    near(anna)
    radio.call(lambda: lock.remove_authorization(credential["authorization_id"]))
    anna.hold("unlock")
    anna.shows("Your key is not valid any more")
    assert movements(radio) == 0


def test_a_lost_answer_is_one_movement_and_told_plainly(at: At) -> None:
    lock, credential = lock_with_user()
    anna, radio = at(lock)
    keep(anna, credential)
    near(anna)
    radio.call(lambda: setattr(radio, "lose_after", 2))  # the request for a challenge, and the action
    anna.hold("unlock")
    anna.shows("It is not known what happened")
    anna.shows("Look at the door before you try again")
    anna.says("Unlocked")
    assert movements(radio) == 1


def test_another_lock_is_not_taken_for_this_one(at: At) -> None:
    lock, credential = lock_with_user()
    anna, radio = at(lock)
    credential["lock"]["nuki_id"] = "0BADCAFE"
    keep(anna, credential)
    anna.tap("At the door: by Bluetooth")
    anna.shows("That was another lock")
    assert radio.writes == []


def test_no_lock_chosen_is_no_fault(at: At) -> None:
    lock, credential = lock_with_user()
    anna, radio = at(lock)
    keep(anna, credential)
    radio.cancels = True
    anna.tap("At the door: by Bluetooth")
    anna.shows("No lock was chosen")
    radio.cancels = False
    near(anna)


# -- where there is no Bluetooth ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("Object.defineProperty(window, 'isSecureContext', {value: false})", "secure connection (https)"),
        ("delete Navigator.prototype.bluetooth", "This browser lets no page use Bluetooth"),
        (
            "delete Navigator.prototype.bluetooth;"
            "Object.defineProperty(navigator, 'userAgent', {value: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0)'})",
            "No browser on iPhone",
        ),
    ],
)
def test_a_browser_without_bluetooth_says_what_works_instead(at: At, script: str, words: str) -> None:
    lock, credential = lock_with_user()
    anna, _ = at(lock)
    anna.cdp("Page.addScriptToEvaluateOnNewDocument", source=script)
    keep(anna, credential)
    anna.shows(words)
    anna.shows("What works: open the invitation in such a browser")
    anna.open()
    anna.run("history.replaceState(null, '')")
    anna.tap(anna.until(lambda: anna.find("[aria-label=Details]")))
    anna.tap("Add another door")
    anna.tap("Add a lock by Bluetooth")
    anna.shows(words)
    anna.shows("let the bridge add the lock and invite this phone")


# -- the phone becomes a user ---------------------------------------------------------------------------------------


def pair(phone: Phone, door: str = "Haustür") -> None:
    """Fill in and add."""
    phone.open()
    phone.tap("Add a lock by Bluetooth")
    phone.until(lambda: phone.find("#door")).send_keys(door)
    phone.find("#user").send_keys("Bea")
    phone.tap(phone.find("form .primary"))


@pytest.mark.parametrize("mtu", [247, 23])
def test_a_phone_becomes_a_user_of_a_classic_lock(at: At, mtu: int) -> None:
    lock = VirtualLock(ADDRESS, NUKI_ID, pin=1234, factory_new=True, behaviour=Behaviour(motor_s=0.6))
    bea, radio = at(lock, mtu=mtu)
    pair(bea)
    bea.shows("This phone opens Haustür now")
    bea.says("Locked")
    kept = credential_of(bea)
    entry = next(iter(lock.authorizations))
    assert (entry.name, entry.id_type, entry.authorization_id) == ("Bea", IdType.APP, kept["authorization_id"])
    assert (kept["lock"]["nuki_id"], kept["remote"], kept["title"]) == (f"{NUKI_ID:08X}", False, "Haustür")
    bea.hold("unlock")
    bea.says("Unlocked")
    assert movements(radio) == 1

    bea.open()  # the key outlives the page; the lock has to be chosen anew
    bea.shows("Haustür")
    radio.renew()
    near(bea, "Unlocked")


@pytest.mark.parametrize("mtu", [247, 23])
def test_a_phone_becomes_a_user_of_an_ultra(at: At, mtu: int) -> None:
    lock = VirtualLock(
        ADDRESS, NUKI_ID, family=Family.ULTRA, pin=123456, factory_new=True, behaviour=Behaviour(motor_s=0.6)
    )
    bea, radio = at(lock, mtu=mtu)
    pair(bea)
    bea.shows("This lock asks for its PIN")
    assert [data for channel, data in radio.writes if channel is Channel.PAIRING] == []
    pin = bea.find("#pin")
    pin.send_keys("654321")
    bea.tap(bea.find("form .primary"))
    bea.shows("The PIN is wrong")
    assert len(list(lock.authorizations)) == 0
    pin.clear()
    pin.send_keys("123456")
    bea.tap(bea.find("form .primary"))
    bea.shows("This phone opens Haustür now")
    bea.says("Locked")
    bea.hold("unlock")
    bea.says("Unlocked")
    assert movements(radio) == 1
    assert "123456" not in json.dumps(credential_of(bea))


def test_a_lock_whose_button_was_not_held_says_what_to_press(at: At) -> None:
    lock, _ = lock_with_user()
    bea, radio = at(lock)
    pair(bea)
    bea.shows("Hold its button until the ring of light stays on")
    radio.call(lock.hold_button)
    bea.tap(bea.find("form .primary"))
    bea.shows("This phone opens Haustür now")


def test_a_full_lock_takes_nobody(at: At) -> None:
    lock, _ = lock_with_user(behaviour={"max_users": 1})
    bea, radio = at(lock)
    radio.call(lock.hold_button)
    pair(bea)
    bea.shows("no room for another user")
    assert credential_of(bea) is None


def test_a_key_is_kept_although_the_end_of_the_handshake_is_lost(at: At) -> None:
    lock = VirtualLock(ADDRESS, NUKI_ID, pin=1234, factory_new=True, behaviour=Behaviour(motor_s=0.6))
    bea, radio = at(lock)
    radio.lose_after = 5  # the confirmation arrives, its answer does not
    pair(bea)
    bea.shows("This phone opens Haustür now")
    assert credential_of(bea)["authorization_id"] == next(iter(lock.authorizations)).authorization_id


def test_a_handshake_that_breaks_off_leaves_no_key(at: At) -> None:
    lock = VirtualLock(ADDRESS, NUKI_ID, pin=1234, factory_new=True)
    bea, radio = at(lock)
    radio.lose_after = 3  # the authenticator
    pair(bea)
    bea.shows("The connection broke off")
    assert credential_of(bea) is None


# -- how it looks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "width"), [("de", 320), ("en", 360)])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_each_view_is_sound(at: At, language: str, width: int, dark: bool) -> None:
    """Nothing is wider than the phone, and axe finds nothing; `$NUKI_SCREENSHOTS` is where pictures go."""
    lock, credential = lock_with_user(family=Family.ULTRA)
    phone, radio = at(lock, language=language, width=width, dark=dark)

    def look(name: str) -> None:
        shoot(phone, f"{name}-{language}-{width}-{'dark' if dark else 'light'}")
        assert phone.overflow() == []
        assert phone.axe() == []

    phone.open()
    phone.tap("Bluetooth")
    phone.until(lambda: phone.find("#door"))
    look("pair")
    phone.find("#door").send_keys("Tür")
    phone.tap(phone.find("form .primary"))
    phone.until(lambda: phone.find(".note.failed"))
    look("pair-pin")
    keep(phone, credential)
    radio.renew()
    phone.until(lambda: phone.find(".near .primary"))
    look("near-choose")
    phone.tap("Bluetooth")
    phone.says("Verriegelt" if language == "de" else "Locked")
    phone.until(lambda: phone.find(".near .dim"))
    look("near-used")
    phone.cdp("Page.addScriptToEvaluateOnNewDocument", source="delete Navigator.prototype.bluetooth")
    phone.open()
    phone.until(lambda: phone.find(".near .note"))
    look("near-none")


def shoot(phone: Phone, name: str) -> None:
    """A picture for those who want to look."""
    if directory := os.environ.get("NUKI_SCREENSHOTS"):
        Path(directory).mkdir(parents=True, exist_ok=True)
        phone.driver.save_screenshot(str(Path(directory) / f"{name}.png"))
