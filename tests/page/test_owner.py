"""An owner's whole story on a phone.

Real Chromium, `nuki-bridge web`, mosquitto with its access list, daemon, virtual locks.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from nuki_bridge.owner.battery_history import BatteryDay, BatteryDays
from nuki_bridge.store import Store
from tests.integration.daemon import PIN as ULTRA_PIN
from tests.integration.daemon import ULTRA
from tests.integration.guarded import password
from tests.page.owner import go, log_in, set_out
from tests.page.phone import HANDS, NewPhone, Phone, secrets_on_disk
from tests.page.stage import Stage


def remember_batteries(state_dir: Path) -> None:
    """Let the bridge have known the lock for weeks: its batteries went down, were charged once, unheard for days."""
    store = Store(state_dir)
    store.open()
    try:
        [front] = store.locks()
        for back in range(60, 0, -1):
            if 20 < back < 26:
                continue
            day = (datetime.now(UTC) - timedelta(days=back)).date().isoformat()
            level = 96 - (60 - back) * 2 if back > 30 else 90 - (30 - back) // 2
            BatteryDays(store).keep(front, BatteryDay(day, level, 4000 + 20 * level, level < 42, back == 30))
    finally:
        store.close()


@pytest.fixture(scope="module")
def stage(stage: Stage) -> Stage:
    """The bridge knows the page's address."""
    daemon, house = stage.house.daemon, stage.house

    async def restart() -> None:
        before, told = len(house.on("bridge/state")), len(house.on("front/availability"))
        daemon.kill()
        remember_batteries(stage.directory / "state")
        daemon.config.write_text(f"{daemon.config.read_text()}web: {{url: '{stage.url.rstrip('/')}'}}\n")
        daemon.start()
        await house.until(lambda: house.on("bridge/state")[before:][-1:] == ["online"])
        await house.until(lambda: house.on("front/availability")[told:][-1:] == ["online"])

    stage.do(restart())
    return stage


@pytest.fixture
def forbidden(forbidden: str) -> str:
    """What no phone may have logged, and no secret either."""
    return f"{forbidden}|secret|code="


@pytest.fixture
def owner(stage: Stage, new_phone: NewPhone) -> Phone:
    """A phone on which the owner has logged in; it shows the locks."""
    started = new_phone("owner")
    log_in(started)
    return started


def labelled(phone: Phone, label: str, within: str = "") -> Any:
    """The field with this label, as soon as it is there."""
    script = (
        "const [label, within] = arguments, root = within ? document.querySelector(within) : document;"
        "const labels = [...root?.querySelectorAll('label') ?? []];"
        "const seen = labels.filter((each) => each.checkVisibility());"
        "const found = seen.find((each) => each.textContent === label);"
        "return (found ?? seen.find((each) => each.textContent.startsWith(label)))?.control ?? null;"
    )
    return phone.until(lambda: phone.driver.execute_script(script, label, within))


def fill(phone: Phone, label: str, text: str, within: str = "") -> None:
    field = labelled(phone, label, within)
    field.clear()
    field.send_keys(text)


def put(phone: Phone, field: Any, value: str) -> None:
    """Set a time or a choice, as its picker does."""
    phone.driver.execute_script(
        "const [field, value] = arguments; field.value = value;"
        "for (const name of ['input', 'change']) field.dispatchEvent(new Event(name, {bubbles: true}));",
        field,
        value,
    )


def agree(phone: Phone) -> None:
    """Say yes in the dialog."""
    button = phone.until(lambda: phone.find("dialog[open] .buttons button:last-child"))
    button.click()
    phone.until(lambda: not phone.driver.find_elements(By.CSS_SELECTOR, "dialog[open]"))


FRONT = "nuki/front"


# -- the story --------------------------------------------------------------------------------------------------------


def test_the_owner_invites_anna_who_opens_is_switched_off_and_removed(
    stage: Stage, owner: Phone, new_phone: NewPhone
) -> None:
    owner.tap("Invite a person")
    fill(owner, "Name", "Anna")
    labelled(owner, "Only at certain times").click()
    assert labelled(owner, "From").get_attribute("type") == "datetime-local"
    put(owner, labelled(owner, "Daily from"), "08:00")
    put(owner, labelled(owner, "Daily until"), "07:59")
    owner.tap("Make the invitation")
    code = owner.until(lambda: owner.find(".code")).text
    assert f"{stage.url}#code={code}" in owner.text
    assert (
        owner.run("const image = document.querySelector('img.qr'); await image.decode(); return image.naturalWidth") > 0
    )
    assert owner.driver.current_url == stage.url
    assert code not in owner.run("return JSON.stringify(history.state) + JSON.stringify({...localStorage})")
    assert owner.axe() == []

    anna = new_phone("anna")
    anna.redeem(code)
    anna.shows("You have the key: Front")
    owner.shows("Anna has the key now.")
    assert code not in owner.driver.page_source
    anna.says("Locked")
    before = stage.movements()
    anna.hold("unlock")
    anna.says("Unlocked")
    assert stage.movements() == before + 1

    go(owner, "users", FRONT)
    owner.still()
    owner.tap("Anna")
    assert labelled(owner, "Daily from").get_attribute("value") == "08:00"
    labelled(owner, "Switched on").click()
    owner.tap("Save")
    owner.shows("This is how the lock has it now.")
    assert [each["enabled"] for each in stage.request("users/list") if each["name"] == "Anna"] == [False]
    anna.tap("Lock")
    anna.shows("The owner has switched your key off.")

    fill(owner, "Name", "Anna Maria")
    labelled(owner, "Switched on").click()
    labelled(owner, "Only at certain times").click()
    owner.tap("Save")
    owner.until(lambda: owner.find("h1").text == "Anna Maria")
    user = next(each for each in stage.request("users/list") if each["name"] == "Anna Maria")
    assert (user["enabled"], user["remote"], user["access"]) == (True, True, None)

    owner.tap("Remove")
    agree(owner)
    owner.shows("Anna Maria is removed. The lock has confirmed it.")
    assert "Anna Maria" not in [each["name"] for each in stage.request("users/list")]


def test_a_limit_that_is_none_is_not_taken_for_always(stage: Stage, owner: Phone) -> None:
    go(owner, "invite", FRONT)
    fill(owner, "Name", "Cleo")
    labelled(owner, "Only at certain times").click()
    assert owner.run("return document.querySelector('form').checkValidity()") is False
    for box in owner.driver.find_elements(By.CSS_SELECTOR, ".days input"):
        owner.driver.execute_script("arguments[0].click()", box)
    owner.tap("Make the invitation")
    assert "Choose one day at least." in owner.run("return document.querySelector('.days input').validationMessage")
    labelled(owner, "Mon").send_keys(" ")
    owner.tap("Make the invitation")
    owner.until(lambda: owner.find(".code"))
    made = next(each for each in stage.request("invite/list") if each["user"] == "Cleo")
    assert made["access"] == {"weekdays": ["mo"]}
    stage.request("invite/revoke", id=made["id"])


def test_a_code_that_is_told_once_stays_when_the_language_changes(stage: Stage, owner: Phone) -> None:
    go(owner, "invite", FRONT)
    fill(owner, "Name", "Dora")
    owner.tap("Make the invitation")
    code = owner.until(lambda: owner.find(".code")).text
    owner.tap("Deutsch")
    owner.shows("Einladung für Dora")
    assert owner.find(".code").text == code
    owner.tap("English")
    owner.shows("Invitation for Dora")
    owner.tap("Take back")
    agree(owner)
    owner.shows("Taken back.")
    assert code not in owner.text
    owner.tap("Deutsch")
    owner.until(lambda: owner.find("form"))
    owner.tap("English")


def test_an_invitation_is_taken_back(stage: Stage, owner: Phone, new_phone: NewPhone) -> None:
    go(owner, "invite", FRONT)
    fill(owner, "Name", "Ben")
    owner.tap("Make the invitation")
    code = owner.until(lambda: owner.find(".code")).text
    owner.tap("Done")
    owner.until(lambda: "Invite a person" in owner.text)
    assert code not in owner.driver.page_source
    go(owner, "users", FRONT)
    owner.shows("Ben")
    owner.still()
    owner.tap("Take back")
    agree(owner)
    owner.shows("Taken back. The lock has confirmed it.")
    ben = new_phone("ben")
    ben.redeem(code)
    ben.shows("The owner has taken this invitation back.")


def test_a_wrong_password_is_said_and_a_right_one_goes_on(stage: Stage, new_phone: NewPhone) -> None:
    phone = new_phone()
    phone.open()
    phone.tap("I am the owner")
    field = phone.until(lambda: phone.find("[autocomplete=current-password]"))
    field.send_keys("nonsense")
    phone.tap("Log in")
    phone.shows("The broker does not take this account or password.")
    field.clear()
    field.send_keys(password("owner"))
    phone.tap("Log in")
    phone.shows("Your locks")
    phone.shows("Front")


def test_an_account_that_is_kept_comes_back_and_leaves_nothing_on_the_disk(stage: Stage, new_phone: NewPhone) -> None:
    phone = new_phone("kept")
    log_in(phone, keeps=True)
    phone.open()
    phone.shows("Front")
    secret = password("owner")
    phone.until(lambda: secrets_on_disk(phone.profile, secret.encode()))  # else there is nothing to forget
    phone.tap("Log out")
    phone.shows("I am the owner")
    phone.until(lambda: phone.run("return localStorage.getItem('sweep')") is None)
    phone.quit()
    assert secrets_on_disk(phone.profile, secret.encode(), secret.encode("utf-16-le")) == []


def test_whoever_logs_out_in_one_tab_is_logged_out_in_the_other(new_phone: NewPhone) -> None:
    phone = new_phone("two-tabs")
    log_in(phone, keeps=True)
    first = phone.driver.current_window_handle
    phone.driver.switch_to.new_window("tab")
    phone.driver.get(phone.url)
    phone.tap("Log out")
    phone.shows("Enter your code")
    phone.driver.close()
    phone.driver.switch_to.window(first)
    phone.shows("Enter your code")
    phone.open()
    phone.shows("Enter your code")


def test_whoever_logs_out_without_a_network_is_told_what_stays_for_now(new_phone: NewPhone) -> None:
    phone = new_phone()
    log_in(phone, keeps=True)
    phone.shows("Front")
    phone.run("window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))")
    phone.tap("Log out")
    phone.shows("You are logged out. Traces on the disk are cleared when this page is next opened with a connection.")
    phone.open()
    phone.shows("Enter your code")
    phone.until(lambda: phone.run("return localStorage.getItem('sweep')") is None)


def test_an_account_that_an_earlier_version_kept_is_moved(stage: Stage, new_phone: NewPhone) -> None:
    """Also where a door was forgotten without a network, and the rest of that comes first."""
    phone = new_phone()
    phone.open()
    phone.shows("I am the owner")
    account = json.dumps({"username": "owner", "password": password("owner")})
    phone.run("localStorage.setItem('owner', args[0]); localStorage.setItem('sweep', '1')", account)
    for _ in range(2):
        phone.open()
        phone.shows("Your locks")
        phone.shows("Front")
        assert phone.run("return [localStorage.owner, localStorage.sweep]") == [None, None]
    phone.tap("Log out")
    phone.shows("I am the owner")
    phone.open()
    phone.shows("Enter your code")


def test_an_account_that_is_not_kept_is_asked_for_again(stage: Stage, owner: Phone) -> None:
    assert secrets_on_disk(owner.profile, password("owner").encode()) == []
    owner.open()
    owner.shows("Enter your code")


# -- lists ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize(
    ("view", "title", "change"),
    [
        ((), "Front", "house.bridges.get('nuki').state = 'offline'"),
        (
            ("users", FRONT),
            "nuki-bridge",
            "lock.invitations = [{ id: 7, user: 'Gina', expires: new Date().toISOString(), access: null }]",
        ),
    ],
    ids=["home", "users"],
)
def test_a_tap_counts_though_the_list_changes_under_the_hand(
    stage: Stage, owner: Phone, hand: str, view: tuple[str, ...], title: str, change: str
) -> None:
    """What comes stands above the list, so that all of it moves, too."""
    go(owner, *view)
    owner.still()
    owner.run(
        "const house = await (await import('/owner/account.js')).open(), lock = house.locks.get('nuki/front');"
        f"const tell = () => {{ {change}; house.dispatchEvent(new Event('change')); }};"
        "for (const name of ['pointerdown', 'keydown']) document.addEventListener(name, tell, { once: true })"
    )
    owner.press(owner.find(".doors .card"), hand)
    owner.until(lambda: title in owner.find("h1").text)


def test_a_tap_and_a_hold_count_though_the_lock_says_something_under_the_finger(stage: Stage, owner: Phone) -> None:
    """What it says moves the buttons, but for one that is held: that goes on as it was."""
    at_the_lock(stage, owner)
    before = stage.movements()
    for word in ("Unlocked", "Locked"):
        owner.run(
            "const house = await (await import('/owner/account.js')).open(), lock = house.locks.get('nuki/front');"
            "const tell = (availability, ring) => {"
            " Object.assign(lock, { availability, ring }); house.dispatchEvent(new Event('change')); };"
            "tell('online');"
            "const news = () => tell('offline', { at: Date.now(), opened: null });"
            "document.addEventListener('pointerdown', news, { once: true })"
        )
        owner.idle()
        if word == "Unlocked":
            owner.hold("unlock")
        else:
            owner.touch(owner.button("Lock"), 90)
        owner.says(word)
    assert stage.movements() == before + 2


def test_a_tap_counts_though_an_answer_comes_under_the_finger(stage: Stage, owner: Phone) -> None:
    owner.run(
        "const house = await (await import('/owner/account.js')).open(), ask = house.request.bind(house);"
        "const down = new Promise((resolve) => document.addEventListener('pointerdown', resolve, { once: true }));"
        "house.request = async (...asked) => {"
        " const found = await ask(...asked); window.answered = true; await down;"
        " return found.map((each) => ({ ...each, lock_count: 99 })); }"
    )
    card = owner.find(".doors .card")
    set_out(owner, "users", FRONT)
    owner.until(lambda: owner.driver.execute_script("return window.answered") and owner.find(".doors .card") != card)
    owner.still()
    owner.touch(owner.find(".doors .card"), 90)
    owner.until(lambda: "nuki-bridge" in owner.find("h1").text)


def test_a_list_is_whole_when_its_bar_has_gone(stage: Stage, owner: Phone) -> None:
    made = stage.request("invite/create", name="Frieda")
    owner.run(
        "const house = await (await import('/owner/account.js')).open(), ask = house.request.bind(house);"
        "house.request = async (...asked) => {"
        " if (asked[1] === 'invite/list') await new Promise((resolve) => (window.goOn = resolve));"
        " return await ask(...asked); }"
    )
    set_out(owner, "users", FRONT)
    owner.until(lambda: owner.driver.execute_script("return !!window.goOn"))
    assert owner.find(".words progress")
    owner.driver.execute_script("window.goOn()")
    owner.until(lambda: not owner.driver.find_elements(By.CSS_SELECTOR, ".words progress"))
    assert "Frieda" in owner.text
    stage.request("invite/revoke", id=made["id"])


# -- the lock ---------------------------------------------------------------------------------------------------------


def at_the_lock(stage: Stage, phone: Phone) -> None:
    go(phone, "lock", FRONT)
    phone.until(lambda: phone.word())
    if phone.word() != "Locked":
        phone.tap("Lock")
        phone.says("Locked")
    phone.idle()


def test_a_lock_is_moved_once_for_each_hand(stage: Stage, owner: Phone) -> None:
    at_the_lock(stage, owner)
    owner.shows("84%")
    owner.shows("good signal")
    before = stage.movements()
    owner.hold("unlock", 150)
    owner.shows("until the ring is full")
    assert stage.movements() == before
    owner.hold("unlock")
    owner.says("Unlocked")
    owner.tap("Lock")
    owner.says("Locked")
    owner.hold("unlatch")
    owner.says("Latch pulled")
    assert stage.movements() == before + 3
    owner.tap("Lock")
    owner.says("Locked")
    owner.find("summary").click()
    owner.touch(owner.button("Lock ’n’ go"))
    owner.says("Unlocked for a moment")
    stage.do(stage.house.ask("front/set", {"action": "lock"}))
    owner.says("Locked")


def test_what_the_configuration_does_not_allow_is_not_offered(stage: Stage, owner: Phone) -> None:
    daemon = stage.house.daemon
    before = daemon.config.read_text()

    async def restart(text: str) -> None:
        daemon.kill()
        daemon.config.write_text(text)
        await back(stage)

    stage.do(restart(before.replace("{name: front,", "{name: front, actions: [lock],")))
    try:
        owner.until(lambda: "The bridge is not running" not in owner.text)  # nor would its configuration be known
        at_the_lock(stage, owner)
        owner.shows("The bridge’s configuration does not let this page: Unlock, Open door")
        buttons = owner.driver.find_elements(By.CSS_SELECTOR, ".hands button, .more button")
        assert [each.text for each in buttons if each.is_displayed()] == ["Lock"]
        assert owner.axe() == []
    finally:
        stage.do(restart(before))
    go(owner)
    at_the_lock(stage, owner)
    owner.until(lambda: owner.find(".hold.unlock").is_displayed())
    assert "does not let" not in owner.text


def test_an_opener_is_shown_as_what_it_is(stage: Stage, new_phone: NewPhone) -> None:
    """A stand-in for its bridge: what it publishes, and what it is asked for, once."""
    status = {"name": "intercom", "family": "opener", "connected": False}
    retained = {
        "cabin/bridge/state": "online",
        "cabin/bridge/info": json.dumps({"version": "0.1.0", "adapter": None, "locks": []}),
        "cabin/intercom/availability": "online",
        "cabin/intercom/state": "locked",
        "cabin/intercom/continuous_mode": "off",
        "cabin/intercom/status": json.dumps(status),
    }

    async def come() -> Any:
        peer = stage.house.broker.peer("everybody")
        await peer.subscribe("cabin/intercom/set")
        for topic, payload in retained.items():
            peer.publish(topic, payload, retain=True)
        return peer

    peer = stage.do(come())

    def tell(topic: str, payload: str, retain: bool = True) -> None:
        stage.call(lambda: peer.publish(f"cabin/intercom/{topic}", payload, retain=retain))

    def sent() -> list[str]:
        return [json.loads(each.payload)["action"] for each in came]

    came: list[Any] = []

    async def hear() -> None:
        while True:
            came.append(await peer.next(3600))
            done = {"status": "ok", "transaction": json.loads(came[-1].payload)["transaction"]}
            peer.send("cabin/intercom/result", json.dumps(done))

    hearing = stage.call(lambda: asyncio.get_running_loop().create_task(hear()))
    try:
        phone = new_phone("everybody")
        log_in(phone, "everybody")
        phone.shows("Intercom (cabin)")
        phone.shows("Ready")
        go(phone, "lock", "cabin/intercom")
        phone.says("Ready")
        for never in ("Unlock", "Lock ’n’ go"):
            assert never not in phone.text
        tell("event", json.dumps({"type": "ring", "time": None, "opened": None}), retain=False)
        phone.shows("The doorbell rang at")
        phone.hold("unlock")
        phone.until(lambda: sent() == ["open"])
        assert phone.axe() == []
        assert phone.overflow() == []
        tell("state", "opening")
        phone.says("Opening …")
        tell("state", "rto_active")
        phone.says("Ring to open is on")
        tell("continuous_mode", "on")
        phone.says("Opens at every ring")
        switches = phone.driver.find_elements(By.CSS_SELECTOR, ".hands [role=switch]")
        assert [each.text.splitlines() for each in switches] == [
            ["Ring to open", "on · tap"],
            ["Continuous mode", "on · tap"],
        ]
        phone.tap("Continuous mode")
        phone.until(lambda: sent() == ["open", "deactivate_continuous_mode"])
        tell("status", json.dumps({**status, "config": {"capabilities": "rto"}}))
        phone.shows("only when somebody rings")
        assert not phone.find(".hold.unlock").is_displayed()
        time.sleep(1)
        assert sent() == ["open", "deactivate_continuous_mode"]
    finally:
        stage.call(hearing.cancel)
        for topic in retained:
            stage.call(partial(peer.publish, topic, "", retain=True))
        stage.call(peer.close)


def test_a_keyboard_is_asked_before_the_door_moves(stage: Stage, owner: Phone) -> None:
    at_the_lock(stage, owner)
    before = stage.movements()
    owner.find(".hold.unlock").send_keys(Keys.ENTER)
    owner.until(lambda: "Front: Unlock?" in owner.find("dialog[open]").text)
    owner.find("dialog[open] .plain").click()
    assert stage.movements() == before
    owner.find(".hold.unlock").send_keys(Keys.ENTER)
    agree(owner)
    owner.says("Unlocked")
    assert stage.movements() == before + 1


def test_a_blocked_motor_is_said_in_words(stage: Stage, owner: Phone) -> None:
    at_the_lock(stage, owner)
    stage.simulate(block_motor=True)
    owner.hold("unlock")
    owner.shows("“Unlock” did not work")
    owner.shows("met resistance")
    assert owner.text.count("met resistance") == 1
    stage.simulate(block_motor=False)
    owner.hold("unlock")
    owner.says("Unlocked")
    assert "did not work" not in owner.text


def test_a_lost_answer_is_told_as_what_it_is_and_nothing_is_repeated(stage: Stage, owner: Phone) -> None:
    at_the_lock(stage, owner)
    before = stage.movements()
    stage.cable.mutes = lambda data: b"/set" in data
    owner.hold("unlock")
    owner.shows("It is not known what happened")
    owner.says("Unlocked")
    assert stage.movements() == before + 1


def test_an_action_right_after_the_connection_broke_has_an_outcome(stage: Stage, owner: Phone) -> None:
    at_the_lock(stage, owner)
    for word in ("Unlocked", "Locked", "Unlocked"):
        owner.run(
            "const house = await (await import('/owner/account.js')).open(); window.isCut = false;"
            "house.connection.addEventListener('status', () => (window.isCut = true), { once: true })"
        )
        stage.call(stage.cable.cut)
        owner.until(lambda: owner.driver.execute_script("return window.isCut"))
        if word == "Locked":
            owner.tap("Lock")
        else:
            owner.hold("unlock")
        owner.says(word)
        owner.until(lambda: not owner.driver.find_elements(By.CSS_SELECTOR, ".words .doing"))
        assert "not known" not in owner.text


def test_a_bridge_that_does_not_run_is_said(stage: Stage, owner: Phone) -> None:
    at_the_lock(stage, owner)
    stage.do(gone(stage))
    owner.shows("The bridge is not running.")
    owner.hold("unlock")
    owner.shows("“Unlock” did not work")
    stage.do(back(stage))
    owner.fresh()
    owner.hold("unlock")
    owner.says("Unlocked")


async def gone(stage: Stage) -> None:
    stage.house.daemon.kill()
    await stage.house.until(lambda: stage.house.last("bridge/state") == "offline")


async def back(stage: Stage) -> None:
    house, before = stage.house, len(stage.house.on("front/availability"))
    house.daemon.start()
    await house.until(lambda: house.last("bridge/state") == "online")
    await house.until(lambda: "online" in house.on("front/availability")[before:])


# -- what else can be asked -------------------------------------------------------------------------------------------


def test_the_pairing_switch_is_the_locks_own(stage: Stage, owner: Phone) -> None:
    go(owner, "settings", FRONT)
    owner.shows("New devices may pair by the button")
    labelled(owner, "New devices may pair").click()
    owner.tap("Save")
    owner.shows("This is how the lock has it now.")
    assert stage.request("config/get")["pairing_enabled"] is False
    labelled(owner, "New devices may pair").click()
    owner.tap("Save")
    owner.until(lambda: stage.request("config/get")["pairing_enabled"] is True)


def test_settings_are_changed_alone(stage: Stage, owner: Phone) -> None:
    before = stage.request("config/get")
    go(owner, "settings", FRONT)
    owner.driver.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
    fill(owner, "Lock ’n’ go: time", "45")
    owner.driver.execute_script("arguments[0].form.requestSubmit()", labelled(owner, "Lock ’n’ go: time"))
    owner.shows("This is how the lock has it now.")
    after = stage.request("config/get")
    assert {name for name in after if after[name] != before[name]} - {"time"} == {"lock_n_go_timeout"}
    assert after["lock_n_go_timeout"] == 45


def test_a_keypad_code_is_added_shown_for_a_moment_and_removed(stage: Stage, owner: Phone) -> None:
    go(owner, "keypad", FRONT)
    fill(owner, "Name", "Lisa")
    fill(owner, "Six digits", "345678")
    owner.tap(owner.find("section form .primary"))
    owner.shows("The code of Lisa is at the lock.")
    assert "345678" not in owner.driver.page_source
    assert labelled(owner, "Six digits").get_attribute("value") == ""
    owner.tap("Show the digits")
    owner.shows("345678")
    go(owner, "lock", FRONT)
    assert "345678" not in owner.driver.page_source
    go(owner, "keypad", FRONT)
    owner.until(lambda: owner.find("details summary")).click()
    owner.tap("Remove this code")
    agree(owner)
    owner.shows("The code of Lisa is removed.")
    assert stage.request("keypad/list") == []


def test_the_lock_locks_by_its_own_clock(stage: Stage, owner: Phone) -> None:
    go(owner, "timecontrol", FRONT)
    put(owner, labelled(owner, "Time at the door"), "22:30")
    for day in ("Sat", "Sun"):
        owner.driver.execute_script("arguments[0].click()", labelled(owner, day))
    owner.tap(owner.find("section form .primary"))
    owner.shows("22:30 · Lock · Mon, Tue, Wed, Thu, Fri")
    entry = stage.request("timecontrol/list")[0]
    assert (entry["time"], entry["action"], entry["weekdays"]) == ("22:30", "lock", ["mo", "tu", "we", "th", "fr"])
    owner.find("details summary").click()
    owner.tap("Remove this entry")
    agree(owner)
    owner.shows("Removed. The lock has confirmed it.")
    assert stage.request("timecontrol/list") == []


def test_the_log_names_who_it_was(stage: Stage, owner: Phone) -> None:
    stage.request("keypad/add", name="Tom", code="456789")
    stage.simulate(keypad={"action": "unlock", "code": "456789"})
    stage.do(stage.house.until(lambda: stage.state() == "unlocked"))  # it stands in the log when it has ended
    go(owner, "log", FRONT)
    owner.shows("Tom unlocked")
    owner.shows("at the keypad")
    assert owner.find(".timeline .mark")
    kind = labelled(owner, "What")
    put(owner, kind, "failed")
    owner.until(lambda: "Tom unlocked" not in owner.text)


def test_the_log_goes_back_page_by_page(stage: Stage, owner: Phone) -> None:
    for _ in range(25):
        stage.simulate(turn="unlocked")
        stage.simulate(turn="locked")
    newest = stage.request("log/get", count=1)[0]["index"]
    assert newest > 40
    go(owner, "log", FRONT)

    def shown() -> int:
        return len(owner.driver.find_elements(By.CSS_SELECTOR, ".log li"))

    def has_more() -> bool:
        return bool(owner.find(".view > .plain").is_displayed())

    owner.until(lambda: shown() == 40)
    while has_more():
        before = shown()
        owner.tap("Further back")
        owner.until(lambda before=before: shown() > before or not has_more())  # type: ignore[misc]
        owner.until(lambda: not owner.driver.find_elements(By.CSS_SELECTOR, ".words progress"))
    assert shown() == newest


def test_the_pin_is_tried_and_never_kept(stage: Stage, owner: Phone) -> None:
    go(owner, "pin", FRONT)
    fill(owner, "Security PIN", "1234")
    owner.tap("Try this PIN")
    owner.shows("The PIN is right.")
    assert labelled(owner, "Security PIN").get_attribute("value") == ""
    assert "1234" not in owner.run("return JSON.stringify({...localStorage}) + document.documentElement.innerHTML")
    fill(owner, "Security PIN", "4321", ".box:last-of-type")
    fill(owner, "Once more", "4322")
    owner.tap("Change the PIN")
    owner.shows("The two are not the same.")
    for pin, told in (("4321", "The bridge's configuration has the old one"), ("1234", "The lock has the new PIN.")):
        fill(owner, "Security PIN", pin, ".box:last-of-type")
        fill(owner, "Once more", pin)
        owner.tap("Change the PIN")
        agree(owner)
        owner.shows(told)


def test_clock_battery_calibration_and_restart(stage: Stage, owner: Phone) -> None:
    go(owner, "battery", FRONT)
    picture = owner.until(lambda: owner.find("svg[role=img]"))
    assert re.fullmatch(
        r"96% on \w+ \d+, \d+% on \w+ \d+; each day's lowest\.", str(picture.get_attribute("aria-label"))
    )
    owner.shows("was charged")
    assert len(owner.driver.find_elements("css selector", ".battery-days .mark.warning")) > 2
    owner.tap("Ask the lock now")
    owner.shows("Voltage")
    assert re.search(r"\d\.\d+ V", owner.text)
    go(owner, "maintenance", FRONT)
    owner.tap("Set the clock")
    owner.shows("The clock is set:")
    owner.tap("Calibrate")
    agree(owner)
    owner.shows("The lock is calibrated.")
    owner.tap("Restart the lock")
    agree(owner)
    owner.until(lambda: "starts again" in owner.text)
    go(owner, "bridge", "nuki")
    owner.shows("virtual0")


def test_this_phone_gets_a_key_of_its_own(stage: Stage, owner: Phone) -> None:
    go(owner, "key", FRONT)
    fill(owner, "Name", "Own phone")
    owner.tap("Keep it on this phone")
    owner.shows("This phone has a key of its own now")
    assert "Own phone" in [each["name"] for each in stage.request("users/list")]
    owner.open()
    owner.until(lambda: owner.word())
    before = stage.movements()
    owner.hold("unlatch")
    owner.says("Latch pulled")
    assert stage.movements() == before + 1


def test_a_lock_is_added_with_its_pin_and_given_up(stage: Stage, owner: Phone) -> None:
    owner.still()
    owner.tap("Add a device")
    owner.tap("Search")
    owner.shows("ready to pair")
    owner.tap("ready to pair")
    fill(owner, "What shall it be called?", "Back Door")
    assert labelled(owner, "What shall it be called?").get_attribute("value") == "back_door"
    owner.tap("Pair")
    owner.shows("This lock pairs only with its six-digit security PIN.")
    fill(owner, "Security PIN", ULTRA_PIN)
    owner.tap("Pair")
    owner.shows("Back door is yours now.")
    assert ULTRA_PIN not in owner.driver.page_source
    owner.tap("Go to the lock")
    owner.until(lambda: owner.word() == "Locked")

    def told() -> list[Any]:
        return [each["address"] for each in json.loads(stage.house.last("bridge/info") or "{}")["locks"]]

    stage.do(stage.house.until(lambda: ULTRA in told()))
    go(owner, "maintenance", "nuki/back_door")
    owner.tap("Unpair")
    agree(owner)
    owner.shows("Back door is unpaired.")
    owner.shows("Your locks")
    owner.until(lambda: "Back door" not in owner.text)


def test_locks_of_another_bridge_below_the_same_broker_are_there_too(stage: Stage, new_phone: NewPhone) -> None:
    """As far as the account may read them."""
    retained = {
        "cabin/bridge/state": "online",
        "cabin/bridge/info": json.dumps(
            {"version": "0.1.0", "adapter": {"name": "hci0", "available": True}, "locks": []}
        ),
        "cabin/gate/availability": "online",
        "cabin/gate/state": "locked",
        "cabin/gate/status": json.dumps({"name": "gate", "connected": True, "rssi": -80}),
    }

    async def publish(**payloads: str) -> None:
        peer = stage.house.broker.peer("everybody")
        for topic in retained:
            peer.publish(topic, payloads.get(topic, ""), retain=True)
        peer.close()

    stage.do(publish(**retained))
    try:
        phone = new_phone("everybody")
        log_in(phone, "everybody")
        phone.shows("Gate (cabin)")
        phone.shows("Front (nuki)")
        owner = new_phone("owner")
        log_in(owner)
        owner.shows("Front")
        assert "Gate" not in owner.text
    finally:
        stage.do(publish())


# -- how it looks -----------------------------------------------------------------------------------------------------

OF_THE_LOCK = [
    "lock",
    "invite",
    "users",
    "key",
    "log",
    "battery",
    "settings",
    "keypad",
    "timecontrol",
    "pin",
    "maintenance",
]
VIEWS = [
    (),
    *((name, FRONT) for name in [*OF_THE_LOCK, "maintenance"]),
    ("user", FRONT, "1"),
    ("bridge", "nuki"),
    ("add", "nuki"),
]


@pytest.mark.parametrize(("language", "width", "dark"), [("en", 360, False), ("de", 320, True)])
def test_every_view_fits_and_can_be_used_by_everybody(
    stage: Stage, new_phone: NewPhone, language: str, width: int, dark: bool
) -> None:
    phone = new_phone(language=language, width=width, dark=dark)
    pictures = Path("build/page") / f"owner-{language}-{width}"
    pictures.mkdir(parents=True, exist_ok=True)
    log_in(phone)
    for view in VIEWS:
        go(phone, *view)
        phone.driver.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
        if view[:1] == ("battery",):
            phone.until(lambda: phone.find("svg[role=img]"))
        phone.driver.save_screenshot(str(pictures / f"{'-'.join(view[:1]) or 'home'}.png"))
        assert phone.overflow() == [], view
        assert phone.axe() == [], view
        assert phone.run("return document.activeElement.tagName") == "H1", view
        words = phone.run("return document.getElementById('view').textContent")
        assert not re.search(r"owner\.|error\.|undefined|\[object|NaN|Invalid", words), (view, words)
