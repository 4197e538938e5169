"""A guest's whole story on a phone: real Chromium, server, mosquitto with its access list, daemon and virtual lock."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests import patience
from tests.page.known import CHECKS, known, vectors
from tests.page.modules import guest_paths, imported, top_names
from tests.page.phone import NewPhone, Phone, chromium, credential_of, secrets_on_disk
from tests.page.stage import Stage

SHORT_MS, MEDIUM_MS = 150, 700
"""Too short for `unlock`, and long enough for that but too short for `unlatch`."""
_numbers = itertools.count(1)


@pytest.fixture
def phone(stage: Stage, new_phone: NewPhone) -> Phone:
    """A phone that has a key to the locked door, and shows it."""
    started = new_phone()
    started.redeem(stage.invite(f"Guest {next(_numbers)}")["code"])
    started.until(lambda: started.word() not in ("", "State not read yet"))
    if started.word() != "Locked":
        started.tap("Lock")
        started.says("Locked")
    started.idle()
    return started


# -- the story --------------------------------------------------------------------------------------------------------


def test_anna_opens_the_link_and_then_the_door(stage: Stage, new_phone: NewPhone) -> None:
    code = stage.invite("Anna")["code"]
    anna = new_phone()
    anna.open(f"#code={code}")
    anna.shows("You are invited")
    assert anna.driver.current_url == stage.url
    assert "localhost" in anna.text
    anna.tap("Get the key")
    anna.shows("You have the key: Front")
    anna.says("Locked")
    assert "as of" in anna.text
    assert "Door closed" in anna.text

    before = stage.movements()
    anna.hold("unlock", SHORT_MS)
    anna.shows("until the ring is full")
    assert stage.movements() == before
    anna.hold("unlock")
    anna.says("Unlocked")
    anna.tap("Lock")
    anna.says("Locked")
    anna.hold("unlatch", MEDIUM_MS)
    anna.shows("until the ring is full")
    anna.hold("unlatch")
    anna.until(lambda: stage.movements() >= before + 3)
    anna.until(lambda: anna.word() in ("Latch pulled", "Unlocked"))
    assert stage.movements() == before + 3
    assert {entry["name"] for entry in stage.request("users/list")} >= {"Anna"}

    anna.open()
    anna.shows("Front")
    assert code not in anna.driver.page_source
    assert code not in stage.log


def test_a_forgotten_door_leaves_no_key_on_the_disk(stage: Stage, new_phone: NewPhone, tmp_path: Path) -> None:
    code = stage.invite("Ben")["code"]
    ben = new_phone()
    ben.redeem(code)
    ben.shows("Front")
    key = credential_of(ben)["shared_key"]
    ben.quit()
    assert secrets_on_disk(tmp_path / "phone", key.encode()), "it is kept, else there is nothing to forget"

    ben = new_phone()
    ben.open()
    ben.tap(ben.until(lambda: ben.find("[aria-label=Details]")))
    ben.shows("Ben")
    ben.tap("Forget this door")
    ben.tap(ben.until(lambda: ben.find("dialog .danger")))
    ben.shows("Front is forgotten.")
    ben.shows("Enter your code")
    ben.quit()
    # The browser's own history has the link that was opened; its code is of no use to anybody since it was redeemed.
    assert secrets_on_disk(tmp_path / "phone", key.encode(), bytes.fromhex(key), key.encode("utf-16-le")) == []


def test_two_doors_on_one_phone_and_one_of_them_forgotten(stage: Stage, phone: Phone) -> None:
    stage.do(stage.house.pair("54:D2:72:3D:4E:5F", "shed", pin="123456"))
    answer = stage.do(stage.house.ask("shed/request/invite/create", {"name": "Anna"}))
    phone.open(f"#code={answer['data']['code']}")
    phone.tap("Get the key")
    phone.shows("You have the key: Shed")
    phone.says("Locked")
    before = {name: stage.frames(name) for name in ("front", "shed")}
    phone.open()
    phone.shows("Your doors")
    phone.until(lambda: phone.text.count("as of") == 2)
    phone.until(lambda: all(stage.frames(name) > before[name] for name in before))
    phone.run(
        "const tell = EventTarget.prototype.dispatchEvent, doors = (window.doors = new Set());"
        "EventTarget.prototype.dispatchEvent = function (event) {"
        " if (this.credential) doors.add(this); return tell.call(this, event); };"
        "dispatchEvent(new Event('online'))"  # both are read once more
    )
    phone.until(lambda: phone.driver.execute_script("return window.doors.size") == 2)
    phone.still()
    phone.run(
        "const redraw = () => window.doors.forEach((door) => door.dispatchEvent(new Event('change')));"
        "document.addEventListener('mousedown', redraw, { once: true })"
    )
    phone.press(phone.button("Shed"), "mouse")  # which counts, though the list is drawn anew meanwhile
    phone.tap(phone.until(lambda: phone.find("[aria-label=Details]")))
    phone.tap("Forget this door")
    phone.tap(phone.until(lambda: phone.find("dialog .danger")))
    phone.shows("Shed is forgotten.")
    phone.says("Locked")
    phone.open()
    phone.says("Locked")
    phone.hold("unlock")
    phone.says("Unlocked")


def test_a_door_that_another_tab_forgets_is_shown_no_more(stage: Stage, phone: Phone) -> None:
    shows = phone.driver.current_window_handle
    phone.says("Locked")
    phone.driver.switch_to.new_window("tab")
    phone.driver.get(stage.url)
    phone.says("Locked")
    phone.tap(phone.until(lambda: phone.find("[aria-label=Details]")))
    phone.tap("Forget this door")
    phone.tap(phone.until(lambda: phone.find("dialog .danger")))
    phone.shows("Front is forgotten.")
    phone.driver.close()
    phone.driver.switch_to.window(shows)
    phone.shows("Enter your code")


def test_what_a_lock_says_while_its_door_is_forgotten_is_not_kept(stage: Stage, phone: Phone) -> None:
    """Nor is a door that the page was just forgetting when it was closed."""
    left = phone.run(
        """
        const { Store } = await import('/store.js'), store = new Store(), [{ id, states, at }] = await store.doors();
        await Promise.all([store.forget(id), store.remember(id, states, at)]);
        const doors = (await store.open()).transaction('doors', 'readwrite').objectStore('doors');
        const found = doors.getAll();
        await new Promise((resolve) => (found.onsuccess = resolve));
        doors.put({ id, credential: null });
        await new Promise((resolve) => (doors.transaction.oncomplete = resolve));
        localStorage.setItem('sweep', '1');
        return found.result;
        """
    )
    assert left == []
    phone.open()
    phone.shows("Enter your code")


def test_the_page_starts_although_the_network_swallows_what_a_forgotten_door_has_left_to_do(
    stage: Stage, phone: Phone
) -> None:
    """Without its VPN a phone hears nothing at all: neither the server nor that there is none."""
    swept, sweep, doors, asked = phone.run(
        """
        const { Store } = await import('/store.js'), store = new Store();
        localStorage.setItem('sweep', '1');
        const asked = [];
        window.fetch = (url, { signal }) => {
            asked.push(url);
            return new Promise((_, lost) => signal?.addEventListener('abort', () => lost(signal.reason)));
        };
        return [await store.sweep(), localStorage.getItem('sweep'), (await store.doors()).length, asked];
        """
    )
    assert (swept, sweep, doors) == (False, "1", 1)
    assert asked == ["settings.json"], "what clears the disk is not begun and given up: it might be done later"
    phone.open()
    phone.says("Locked")
    phone.until(lambda: phone.run("return localStorage.getItem('sweep')") is None)


def test_what_one_tab_does_while_another_clears_the_disk_is_not_undone(
    stage: Stage, phone: Phone, tmp_path: Path
) -> None:
    """The browser clears all that the page keeps; what is to stay was read before it, and is written again after it."""
    secrets = {name: f"{number:02x}" * 32 for number, name in enumerate(("one", "two", "late"), 0xD1)}
    password = "correct-horse-battery"
    credential = credential_of(phone)
    phone.driver.get("about:blank")  # no other tab than the two
    tabs = [phone.driver.current_window_handle]
    phone.driver.switch_to.new_window("tab")
    tabs.append(phone.driver.current_window_handle)
    begin = """
        window.make = (number, shared_key) => ({ ...args[0], authorization_id: number, shared_key });
        const { Store } = await import('/store.js');
        window.store = new Store();
        const numbers = async () => (await store.doors()).map((each) => each.credential.authorization_id);
        window.left = async () => [await numbers(), await store.account()];
    """
    for tab in tabs:
        phone.driver.switch_to.window(tab)
        phone.driver.get(f"{stage.url}settings.json")  # of the same origin, and without the page's own store
        phone.run(begin, credential)

    def first(script: str, *arguments: Any) -> Any:
        phone.driver.switch_to.window(tabs[0])
        return phone.run(script, *arguments)

    def second(script: str, *arguments: Any) -> Any:
        phone.driver.switch_to.window(tabs[1])
        return phone.run(script, *arguments)

    lock = credential["lock"]["nuki_id"]
    held = """
        window.now ??= window.fetch;
        const reached = new Promise((resolve) => (window.fetch = async (url, options) => {
            if (url !== 'forget') return now(url, options);
            window.fetch = now;
            if (args[0] === 'before') await new Promise((go) => { window.go = go; resolve(); });
            const answer = await now(url, options);
            if (args[0] === 'after') await new Promise((go) => { window.go = go; resolve(); });
            return answer;
        }));
    """
    for when in ("before", "after"):  # the first tab stands still there, and has read all that it knows
        first(
            "await store.keepAccount({ username: 'owner', password: args[2] });"
            "await store.add(make(101, args[0])); await store.add(make(102, args[1]))",
            secrets["one"], secrets["two"], password,
        )  # fmt: skip
        assert second("await store.account(); return store.isOwners") is True
        first(f"{held} window.gone = store.forget(args[1] + '-101'); await reached", when, lock)
        second(
            "const { logout } = await import('/owner/account.js');"
            "await store.add(make(103, args[0])); await store.forget(args[1] + '-102'); return logout(store)",
            secrets["late"], lock,
        )  # fmt: skip
        first("go(); await gone")
        assert second("return left()") == [[103, credential["authorization_id"]], None], when
        assert first("return [await left(), localStorage.getItem('sweep')]") == [
            [[103, credential["authorization_id"]], None],
            None,
        ]
    # Two that clear it one right after the other: the second has read while nothing was there.
    first("await store.add(make(101, args[0]))", secrets["one"])
    first(f"{held} window.gone = store.forget(args[1] + '-103'); await reached", "after", lock)
    second(f"{held} localStorage.setItem('sweep', '1'); window.gone = store.sweep(); await reached", "before")
    first("go(); await gone")
    second("go(); await gone")
    assert second("return left()") == [[101, credential["authorization_id"]], None]
    second("await store.forget(args[0] + '-101')", lock)
    phone.quit()
    forgotten = [each.encode() for each in (*secrets.values(), password)]
    forgotten += [each.decode().encode("utf-16-le") for each in forgotten]
    assert secrets_on_disk(tmp_path / "phone", *forgotten) == []
    assert secrets_on_disk(tmp_path / "phone", credential["shared_key"].encode())


# -- codes ------------------------------------------------------------------------------------------------------------


def test_wrong_codes_are_told_apart(stage: Stage, new_phone: NewPhone) -> None:
    guest = new_phone()
    guest.open()
    guest.enter("ABCD-EFGH-JKMN-PQRU")
    guest.shows("This code is mistyped")
    guest.open("#code=ABCD")
    guest.shows("This code is mistyped")
    guest.enter("0000-0000-0000-0000")
    guest.tap("Get the key")
    guest.shows("does not know this code")
    guest.tap("Another code")

    revoked = stage.invite("Eve")
    stage.request("invite/revoke", id=revoked["id"])
    guest.enter(revoked["code"])
    guest.tap("Get the key")
    guest.shows("taken this invitation back")

    expired = stage.invite("Late", expires_in="1s")
    time.sleep(1.5)
    guest.redeem(expired["code"])
    guest.shows("has expired")

    used = stage.invite("Mallory")["code"]
    other = new_phone("other")
    other.redeem(used)
    other.shows("You have the key")
    guest.redeem(used.lower().replace("-", " ").replace(" ", "%20"))
    guest.shows("has been used already")


def test_two_guests_race_for_one_code(stage: Stage, new_phone: NewPhone) -> None:
    code = stage.invite("Twice")["code"]
    racers = [new_phone("one"), new_phone("two")]
    for each in racers:
        each.open(f"#code={code}")
        each.shows("You are invited")
    for each in racers:
        each.driver.execute_script("document.querySelector('button.primary').click()")
    for each in racers:
        each.until(lambda each=each: "You have the key" in each.text or "has been used already" in each.text)  # type: ignore[misc]
    assert sorted("You have the key" in each.text for each in racers) == [False, True]


def test_a_lost_answer_to_a_redemption_is_asked_for_again(stage: Stage, new_phone: NewPhone) -> None:
    code = stage.invite("Lena")["code"]
    stage.cable.mutes = lambda data: b"/redeem" in data
    lena = new_phone()
    lena.redeem(code)
    lena.shows("You have the key: Front", 60)
    assert stage.cable.muted
    assert len([each for each in stage.request("users/list") if each["name"] == "Lena"]) == 1


def test_a_redemption_goes_on_after_the_page_was_closed(stage: Stage, new_phone: NewPhone) -> None:
    code = stage.invite("Tom")["code"]
    stage.cable.mutes = lambda data: b"/redeem" in data
    tom = new_phone()
    tom.redeem(code)
    tom.until(lambda: stage.cable.mutes(b"/redeem") is False)
    tom.quit()
    again = new_phone()
    again.redeem(code)
    again.shows("You have the key: Front")


def test_a_bridge_that_does_not_answer_is_told_while_it_is_asked_again(stage: Stage, new_phone: NewPhone) -> None:
    code = stage.invite("Paul")["code"]
    paul = new_phone()
    paul.open(f"#code={code}")
    paul.shows("You are invited")
    paul.until(lambda: paul.driver.execute_script("return document.readyState") == "complete")
    stage.cable.mutes = lambda data: b"/redeem" in data
    paul.tap("Get the key")
    paul.shows("The bridge does not answer.", 5)
    paul.shows("You have the key: Front", 60)
    assert "does not answer" not in paul.text


# -- what the lock or the bridge refuses ------------------------------------------------------------------------------


def test_refusals_are_told_in_words_and_nothing_moves(stage: Stage, phone: Phone) -> None:
    number = credential_of(phone)["authorization_id"]
    before = stage.movements()
    days, today = ("mo", "tu", "we", "th", "fr", "sa", "su"), time.localtime().tm_wday
    others = [days[(today + later) % 7] for later in (3, 4)]  # nowhere in the world is it one of these
    stage.request("users/update", id=number, access={"weekdays": others})
    phone.hold("unlock")
    phone.shows("Not on this day")
    stage.request("users/update", id=number, access=None, enabled=False)
    phone.hold("unlock")
    phone.shows("switched your key off")
    stage.request("users/update", id=number, enabled=True, remote=False)
    phone.hold("unlock")
    phone.shows("works only near the door")
    stage.request("users/update", id=number, remote=True)
    stage.simulate(busy=60)
    phone.hold("unlock")
    phone.shows("busy with another action")
    time.sleep(5)
    assert stage.movements() == before
    stage.simulate(busy=0)
    stage.simulate(block_motor=True)
    phone.hold("unlock")
    phone.shows("met resistance")
    stage.simulate(block_motor=False)
    stage.request("users/remove", id=number)
    phone.hold("unlock")
    phone.shows("not valid any more")


def test_an_invitation_for_near_the_door_says_so(stage: Stage, new_phone: NewPhone) -> None:
    near = new_phone()
    near.redeem(stage.invite("Near", remote=False)["code"])
    near.shows("works only near the door")


# -- connections ------------------------------------------------------------------------------------------------------


def test_a_turn_by_others_shows_within_five_seconds(stage: Stage, phone: Phone) -> None:
    stage.do(stage.house.ask("front/set", "unlock"))
    phone.says("Unlocked", 5)
    stage.do(stage.house.ask("front/set", "lock"))
    phone.says("Locked", 5)


def test_the_page_starts_without_a_network_and_connects_by_itself(
    stage: Stage, phone: Phone, new_phone: NewPhone
) -> None:
    phone.until(
        lambda: phone.run("return (await caches.keys()).length && !!(await navigator.serviceWorker.ready).active")
    )
    phone.quit()
    stage.close_page()
    try:
        again = new_phone()
        again.open()
        again.says("Locked")
        again.shows("No connection")
        again.hold("unlock")
        again.shows("did not work")
    finally:
        stage.serve()
    again.fresh(60)
    again.hold("unlock")
    again.says("Unlocked")


def test_broker_gone_and_back(tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    stage = Stage(tmp_path / "stage")  # of its own: the observer of the other one would not hear anything afterwards
    phone = chromium(stage.url, tmp_path / "phone")
    try:
        phone.redeem(stage.invite()["code"])
        phone.says("Locked")
        stage.call(stage.house.broker.stop)
        phone.shows("No connection")
        stage.call(lambda: stage.house.broker.run(stage.house.broker.directory / "etc" / "mosquitto.conf"))
        phone.until(lambda: "No connection" not in phone.text, 40)
        phone.until(lambda: _acts(phone, "unlock", "Unlocked"), 60)
    finally:
        phone.quit()
        stage.stop()


def _acts(phone: Phone, kind: str, word: str) -> bool:
    """Try once; the bridge may need some seconds to be at the broker again, and says so."""
    phone.hold(kind)
    phone.until(lambda: phone.word() == word or "did not work" in phone.text)
    return phone.word() == word


def test_bridge_gone(tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    stage = Stage(tmp_path / "stage")
    phone = chromium(stage.url, tmp_path / "phone")
    try:
        phone.redeem(stage.invite()["code"])
        phone.says("Locked")
        stage.call(
            stage.house.peer.close
        )  # it listens to everything, so that somebody would get what the bridge does not
        stage.call(stage.house.daemon.kill)
        phone.hold("unlock")
        phone.shows("The bridge is not running", 5)
        phone.driver.refresh()
        phone.shows("The bridge is not running", 10)
        stage.call(stage.house.daemon.start)
        phone.until(lambda: "The bridge is not running" not in phone.text, 60)  # without a hand
        phone.until(lambda: _acts(phone, "unlock", "Unlocked"), 60)
    finally:
        phone.quit()
        stage.stop()


def test_a_lost_answer_is_told_and_nothing_is_repeated(stage: Stage, phone: Phone) -> None:
    before = stage.movements()
    stage.cable.mutes = lambda data: b"/write" in data and len(data) > 140
    phone.hold("unlock")
    phone.shows("It is not known what happened", 40)
    phone.shows("It now says: Unlocked")
    assert "Look at the door before you try again" in phone.text
    phone.says("Unlocked")
    time.sleep(3)
    assert stage.movements() == before + 1


def test_a_command_is_not_carried_out_late(stage: Stage, phone: Phone) -> None:
    """The network stands still while the challenge is asked for, and comes back when nobody expects anything."""
    before = stage.movements()
    stage.cable.held = True
    phone.hold("unlock")
    time.sleep(20)
    stage.cable.held = False
    phone.shows("did not work", 30)
    time.sleep(3)
    assert stage.movements() == before
    phone.says("Locked")


@pytest.mark.parametrize("action", ["unlock", "press"])
def test_a_page_that_sleeps_before_the_challenge_comes_does_nothing_when_it_wakes(
    stage: Stage, phone: Phone, action: str
) -> None:
    """The ring was full, and the phone goes to sleep for some seconds while the lock is asked."""
    stage.do(stage.house.ask("front/set", "lock" if action == "unlock" else "unlock"))
    phone.says("Locked" if action == "unlock" else "Unlocked")
    time.sleep(1)
    before = stage.movements()
    stage.cable.held = True
    frames = stage.frames()
    phone.touch(phone.find(f".{action}"), None if action == "unlock" else 90)
    phone.shows("Asking the lock")
    with phone.asleep():
        stage.cable.held = False
        patience.blocking_until(lambda: stage.frames() > frames)  # the challenge
        time.sleep(2)
    phone.shows("The page was asleep meanwhile, so nothing was sent to the lock")
    time.sleep(2)
    assert stage.movements() == before
    assert phone.word() == ("Locked" if action == "unlock" else "Unlocked")
    phone.tap("Lock")
    phone.says("Locked")


def test_a_page_that_sleeps_while_a_finger_holds_does_nothing_when_it_wakes(stage: Stage, phone: Phone) -> None:
    """Whoever took the finger away meanwhile has not held it until the ring was full."""
    before = stage.movements()
    button = phone.find(".hold.unlatch")
    phone.finger(button, down=True)
    phone.until(lambda: "holding" in str(button.get_attribute("class")))
    with phone.asleep():
        time.sleep(3)
    phone.shows("The page was asleep meanwhile, so nothing was sent to the lock")
    phone.finger(button, down=False)
    time.sleep(2)
    assert stage.movements() == before
    phone.hold("unlock")
    phone.says("Unlocked")
    assert stage.movements() == before + 1


def test_a_ring_that_was_full_because_the_clock_went_on_without_the_page_opens_nothing(
    stage: Stage, phone: Phone
) -> None:
    """The phone slept while a finger held, and told the page nothing of it."""
    before = stage.movements()
    button = phone.find(".hold.unlatch")
    phone.driver.execute_script(
        "const real = Date.now.bind(Date), sleep = () => { Date.now = () => real() + 30000; };"
        "document.addEventListener('pointerdown', sleep, { once: true });"  # after the button has heard of it
    )
    phone.finger(button, down=True)
    phone.shows("The page was asleep meanwhile, so nothing was sent to the lock")
    phone.finger(button, down=False)
    phone.hold("unlock")
    phone.says("Unlocked")
    assert stage.movements() == before + 1


def test_a_page_that_was_hidden_is_awake_again_at_once(stage: Stage, phone: Phone) -> None:
    page = phone.driver.current_window_handle
    phone.driver.switch_to.new_window("tab")
    other = phone.driver.current_window_handle
    stage.do(stage.house.ask("front/set", "unlock"))
    stage.call(stage.cable.cut)
    time.sleep(2)
    phone.driver.switch_to.window(page)
    phone.cdp("Page.bringToFront")
    phone.fresh(10)
    phone.says("Unlocked", 10)
    assert "No connection" not in phone.text
    phone.driver.switch_to.window(other)
    phone.driver.close()
    phone.driver.switch_to.window(page)


def test_whoever_looks_again_keeps_the_connection(stage: Stage, phone: Phone) -> None:
    """Of which several events tell at once."""
    phone.run(
        "window.opened = 0; const Real = WebSocket;"
        "window.WebSocket = class extends Real { constructor(...where) { super(...where); window.opened++; } };"
        "document.dispatchEvent(new Event('visibilitychange'));"
        "for (const name of ['pageshow', 'focus', 'online']) dispatchEvent(new Event(name))"
    )
    time.sleep(4)  # after 2.5 s a ping without an answer would end it
    assert phone.run("return window.opened") == 0


# -- everybody --------------------------------------------------------------------------------------------------------


def test_keyboard_alone_asks_before_it_turns(stage: Stage, phone: Phone) -> None:
    before = stage.movements()

    def press(*keys: str) -> None:
        for key in keys:
            phone.driver.switch_to.active_element.send_keys(key)

    def at(selector: str) -> bool:
        for _ in range(12):
            if phone.driver.execute_script("return document.activeElement.matches(arguments[0])", selector):
                return True
            phone.cdp("Input.dispatchKeyEvent", type="rawKeyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
            phone.cdp("Input.dispatchKeyEvent", type="keyUp", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        return False

    assert at(".hold.unlock")
    press(Keys.ENTER)
    phone.until(lambda: phone.find("dialog"))
    assert "Unlock Front?" in phone.find("dialog").text
    press(Keys.ESCAPE)
    phone.until(lambda: not phone.driver.find_elements("css selector", "dialog"))
    assert stage.movements() == before
    assert at(".hold.unlock")
    press(Keys.SPACE)
    phone.until(lambda: phone.find("dialog"))
    assert at("dialog .primary")
    press(Keys.ENTER)
    phone.says("Unlocked")
    phone.until(lambda: phone.driver.find_element("id", "spoken").get_attribute("textContent") == "Unlocked")
    assert at(".press")
    press(Keys.ENTER)
    phone.says("Locked")
    assert stage.movements() == before + 2


def test_the_ring_of_a_button_shows_nothing_before_it_is_held(phone: Phone) -> None:
    """Not even a hairline where it begins; while a finger holds it fills."""
    lasts = "return document.querySelector(arguments[0]).style.getPropertyValue('--hold')"
    kinds = (".hold.unlock", ".hold.unlatch")
    assert [phone.driver.execute_script(lasts, kind) for kind in kinds] == ["600ms", "1200ms"]
    phone.still()
    button = phone.find(".hold.unlock")
    phone.driver.execute_script("document.querySelector('.hold.unlock').blur()")
    at_rest = button.screenshot_as_png
    assert button.screenshot_as_png == at_rest, "it moves by itself"
    phone.driver.execute_script("document.querySelector('.hold.unlock .fill').remove()")
    assert button.screenshot_as_png == at_rest
    phone.driver.execute_script("document.querySelector('.hold.unlatch').style.setProperty('--hold', '60000ms')")
    other = phone.find(".hold.unlatch")
    phone.finger(other, down=True)
    style = "return getComputedStyle(document.querySelector('.hold.unlatch .fill')).visibility"
    phone.until(lambda: phone.driver.execute_script(style) == "visible")
    phone.finger(other, down=False)
    phone.until(lambda: phone.driver.execute_script(style) == "hidden")


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(("width", "dark"), [(320, False), (360, True)])
def test_every_view_fits_and_is_accessible(
    stage: Stage, new_phone: NewPhone, language: str, width: int, dark: bool
) -> None:
    guest = new_phone(language=language, width=width, height=568 if width == 320 else 740, dark=dark)
    pictures = Path("build/page") / f"{language}-{width}"
    pictures.mkdir(parents=True, exist_ok=True)
    wrong: list[str] = []

    def look(name: str) -> None:
        guest.driver.save_screenshot(str(pictures / f"{name}.png"))
        wrong.extend(f"{name}: {each}" for each in [*guest.axe(), *guest.overflow()])

    def wait_for(selector: str) -> Any:
        return guest.until(lambda: guest.find(selector))

    access = {
        "until": "2030-12-24T18:00:00+01:00",
        "weekdays": ["mo", "tu", "we"],
        "time_from": "08:00",
        "time_until": "20:00",
    }
    guest.open()
    wait_for("#code")
    look("code")
    guest.enter("XXXX-UUUU")
    wait_for("[aria-invalid=true]")
    look("mistyped")
    guest.redeem("0000-0000-0000-0000")
    wait_for(".note.failed")
    look("unknown")
    guest.open(f"#code={stage.invite(f'Großmutter Hildegard {next(_numbers)}', access=access)['code']}")
    wait_for("button.primary")
    look("invitation")
    guest.tap(guest.find("button.primary"))
    wait_for(".note.done")
    guest.until(lambda: "stale" not in str(guest.find(".state").get_attribute("class")))
    look("door")
    assert {"en": "Monday to Wednesday, 08:00 to 20:00", "de": "Montag bis Mittwoch, 08:00 bis 20:00 Uhr"}[
        language
    ] in guest.find(".state").text
    guest.hold("unlock", SHORT_MS)
    look("hint")
    guest.hold("unlock")
    wait_for(".words .note.failed, .words .note.warning, .state.unlocked")
    look("after")
    stage.cable.mutes = lambda data: b"/write" in data and len(data) > 140
    guest.tap(guest.find(".press"))
    wait_for(".words .note.warning")  # not the one about Bluetooth, which shows while there is no connection
    look("lost")
    guest.driver.execute_script("document.querySelector('.hold.unlatch').click()")
    wait_for("dialog")
    look("question")
    guest.tap(wait_for("dialog .plain"))
    guest.until(lambda: not guest.driver.find_elements("css selector", "dialog"))
    guest.tap(wait_for("header button.icon"))
    wait_for("dl")
    look("details")
    guest.tap(wait_for(".danger"))
    wait_for("dialog")
    look("forget")
    guest.tap(wait_for("dialog .danger"))
    wait_for(".note.done")
    look("forgotten")
    assert not wrong, "\n".join(wrong)


def test_without_a_secure_context_redeem_unlock_and_lock_work(stage: Stage, new_phone: NewPhone) -> None:
    plain = new_phone(url=f"http://door.test:{stage.port}/")
    plain.redeem(stage.invite("Vpn")["code"])
    plain.until(lambda: plain.word() not in ("", "State not read yet"))
    assert plain.run("return isSecureContext") is False
    plain.tap("Lock")
    plain.says("Locked")
    plain.hold("unlock")
    plain.says("Unlocked")


def test_modules_compute_the_known_answers_in_the_browser(stage: Stage, new_phone: NewPhone) -> None:
    browser = new_phone()
    browser.open()
    count = browser.run(
        f"const checks = {CHECKS}\nreturn await checks((name) => import('/' + name), args[0], args[1]);",
        json.loads(json.dumps(vectors())),
        known(),
    )
    assert count > 200


def test_what_a_guest_loads_is_what_is_weighed(stage: Stage, new_phone: NewPhone) -> None:
    """The modules come as one script, whose names hide nothing that a browser has."""
    browser = new_phone()
    browser.open()
    browser.shows("Enter your code")
    loaded = browser.run("return performance.getEntriesByType('resource').map((each) => new URL(each.name).pathname)")
    scripts = {path for path in loaded if path.endswith((".js", ".css"))}
    assert scripts == {path for path in guest_paths() if path.endswith((".js", ".css"))} - {"/sw.js"}
    names = [name for path in imported("app.js") for name in top_names(path)]
    assert len(names) > 150
    # Two are the page's own, asked for by way of `globalThis`; of the browser's `Lock` no script speaks.
    assert set(browser.run("return args[0].filter((name) => name in window)", names)) == {"arrived", "nacl", "Lock"}
