"""etc/node-red/flows.json in a real Node-RED, beside the demo: what people press, and what the lock then does.

What moved is read from the virtual lock's own audit trail.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.broker import free_port
from tests.integration.daemon import OPENER
from tests.integration.guarded import password
from tests.integration.relayed import party
from tests.patience import blocking_until as until
from tests.system.node_red import LOCK, Demo, NodeRed

NIGHT = "23:00"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with Demo(tmp_path_factory.mktemp("demo"), free_port()) as demo:
        demo.simulate(motor_s=0.2)
        assert demo.ask("request/pin/verify", {"pin": "1234"}, "response/pin/verify")["status"] == "ok"
        yield demo


@pytest.fixture(scope="module")
def node_red(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeRed]:
    with NodeRed(tmp_path_factory.mktemp("home") / "node-red") as node_red:
        yield node_red


@pytest.fixture(scope="module")
def unguarded(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeRed]:
    """Another one without `httpNodeAuth`, whose page was switched on all the same."""
    with NodeRed(tmp_path_factory.mktemp("open") / "node-red", password=False) as unguarded:
        deploy(demo, unguarded, NUKI_PAGE="on")
        until(lambda: "Connected to broker" in unguarded.log)
        yield unguarded


@pytest.fixture
def home(demo: Demo, node_red: NodeRed) -> NodeRed:
    """The flow as it works once somebody has set it up; the lock is locked, the door closed."""
    deploy(demo, node_red, NUKI_PAGE="on", NUKI_BUTTONS="on")
    demo.bring_to("locked")
    node_red.open_page()
    until(lambda: (node_red.state()["away"], node_red.state()["state"]) == (None, "locked"), node_red.state)
    until(lambda: node_red.state()["door"] == "closed")
    return node_red


def deploy(demo: Demo, node_red: NodeRed, **variables: object) -> None:
    node_red.deploy(NUKI_HOST="127.0.0.1", NUKI_PORT=demo.port, **variables)


def done(node_red: NodeRed) -> dict[str, Any]:
    """The outcome of the flow's command, as the page shows it."""
    result: dict[str, Any] = until(lambda: (node_red.state()["command"] or {}).get("result"), node_red.state)
    return result


def only_after(demo: Demo, received: list[str]) -> list[str]:
    """What the lock has received since; whatever was sent before has come by then."""
    demo.ask("request/refresh", {}, "response/refresh")
    return demo.received()[len(received) :]


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_the_page_shows_lock_door_and_battery(demo: Demo, home: NodeRed) -> None:
    shown = home.state()
    assert (shown["lock"], shown["away"], shown["state"], shown["door"]) == ("front_door", None, "locked", "closed")
    assert shown["battery"]["level"] == json.loads(until(lambda: demo.last("battery")))["level"]
    page = home.open_page()
    assert "front_door" in page
    assert "asks for no password" not in page


def test_the_page_follows_a_turn_by_hand(demo: Demo, home: NodeRed) -> None:
    demo.simulate(turn="unlocked")
    until(lambda: home.state()["state"] == "unlocked")
    until(lambda: (home.state()["last"] or {}).get("source") == "manual")
    demo.simulate(door="open")
    until(lambda: home.state()["door"] == "open")


def test_a_locked_lock_is_not_shown_as_such_when_nobody_knows(tmp_path: Path, node_red: NodeRed) -> None:
    """The broker goes, nothing is done meanwhile, and nothing late when it is back."""
    port = free_port()
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with Demo(tmp_path / "first", port) as demo:
        deploy(demo, node_red, NUKI_PAGE="on", NUKI_BUTTONS="on")
        node_red.open_page()
        until(lambda: node_red.state()["state"] == "locked")
    until(lambda: node_red.state()["away"] == "No connection to the MQTT broker")
    assert node_red.state()["state"] is None
    assert node_red.ask(do="unlock")[0] == 503
    assert node_red.ask(do="unlatch")[0] == 503
    node_red.press("Unlock")
    node_red.press(NIGHT)
    assert until(lambda: [each for each in node_red.notices() if each.startswith("Not locked for the night")]) == [
        "Not locked for the night: there is no connection to the MQTT broker."
    ]
    with Demo(tmp_path / "second", port) as demo:
        until(lambda: node_red.state()["state"] == "locked")
        assert demo.received() == []


# -- commands ---------------------------------------------------------------------------------------------------------


def test_lock_and_unlock_turn_the_motor_once(demo: Demo, home: NodeRed) -> None:
    received, moved = demo.received(), demo.movements()
    status, answer = home.ask(do="unlock")
    assert status == 202
    assert done(home) == {"ok": True, "text": "success", "error": None}
    assert home.state()["command"]["transaction"] == answer["transaction"]
    until(lambda: answer["transaction"] in [json.loads(each)["transaction"] for each in demo.on("result")])
    until(lambda: home.state()["state"] == "unlocked")
    assert home.ask(do="lock")[0] == 202
    until(lambda: home.state()["state"] == "locked")
    assert done(home)["ok"]
    assert only_after(demo, received) == ["unlock", "lock"]
    assert demo.movements() == moved + 2


def test_a_command_that_fails_says_why(demo: Demo, home: NodeRed) -> None:
    demo.simulate(block_motor=True)
    try:
        home.ask(do="unlock")
        assert done(home)["error"] == "motor_blocked"
        until(lambda: any("motor_blocked" in each for each in home.notices()))
    finally:
        demo.simulate(block_motor=False)


def test_a_second_click_does_not_send_a_second_command(demo: Demo, home: NodeRed) -> None:
    received = demo.received()
    demo.simulate(motor_s=2)
    try:
        assert home.ask(do="unlock")[0] == 202
        assert home.ask(do="unlock")[0] == 409
        assert done(home)["ok"]
    finally:
        demo.simulate(motor_s=0.2)
    assert only_after(demo, received) == ["unlock"]


def test_opening_the_door_takes_a_confirmation_that_serves_once(demo: Demo, home: NodeRed) -> None:
    received = demo.received()
    status, question = home.ask(do="unlatch")
    assert (status, question["seconds"]) == (200, 15)
    assert only_after(demo, received) == []
    assert home.ask(do="confirm", confirm="0" * 32)[0] == 410
    assert home.ask(do="confirm")[0] == 410
    home.press("Confirm unlatch")  # asked for on the page, not here
    assert only_after(demo, received) == []
    assert home.ask(do="confirm", confirm=question["confirm"])[0] == 202
    assert done(home)["ok"]
    assert home.ask(do="confirm", confirm=question["confirm"])[0] == 410
    assert only_after(demo, received) == ["unlatch"]


def test_a_confirmation_that_comes_too_late_does_nothing(demo: Demo, home: NodeRed) -> None:
    received = demo.received()
    deploy(demo, home, NUKI_PAGE="on", NUKI_CONFIRM_S=5)
    home.open_page()
    until(lambda: home.state()["away"] is None)
    _, question = home.ask(do="unlatch")
    assert home.state()["confirm"]["action"] == "unlatch"
    until(lambda: home.state()["confirm"] is None)
    assert home.ask(do="confirm", confirm=question["confirm"])[0] == 410
    assert only_after(demo, received) == []


def test_only_the_last_question_can_be_confirmed(demo: Demo, home: NodeRed) -> None:
    received = demo.received()
    _, first = home.ask(do="unlatch")
    _, second = home.ask(do="unlatch")
    assert home.ask(do="confirm", confirm=first["confirm"])[0] == 410
    assert only_after(demo, received) == []
    assert home.ask(do="confirm", confirm=second["confirm"])[0] == 202


# -- the editor's buttons ---------------------------------------------------------------------------------------------


def test_buttons_in_the_editor(demo: Demo, home: NodeRed) -> None:
    received = demo.received()
    home.press("Unlock")
    until(lambda: demo.last("state") == "unlocked")
    assert done(home)["ok"]
    home.press("Lock")
    until(lambda: demo.last("state") == "locked")
    assert done(home)["ok"]
    home.press("Confirm unlatch")
    assert only_after(demo, received) == ["unlock", "lock"]
    home.press("Unlatch …")
    until(lambda: home.state()["confirm"])
    home.press("Confirm unlatch")
    until(lambda: demo.received()[len(received) :] == ["unlock", "lock", "unlatch"])


def test_buttons_that_open_are_off_until_somebody_switches_them_on(demo: Demo, home: NodeRed) -> None:
    """Without a password of the editor any web page may press them: `press` sends no credentials."""
    received = demo.received()
    deploy(demo, home, NUKI_PAGE="on")
    home.open_page()
    until(lambda: home.state()["away"] is None)
    for button in ("Unlock", "Unlatch …", "Confirm unlatch"):
        home.press(button)
    until(lambda: sum("NUKI_BUTTONS" in each for each in home.notices()) >= 3)
    assert home.state()["confirm"] is None
    assert only_after(demo, received) == []


# -- whom the page serves ---------------------------------------------------------------------------------------------


def test_the_page_is_off_until_somebody_switches_it_on(demo: Demo, home: NodeRed) -> None:
    received = demo.received()
    deploy(demo, home)
    status, _, text = home.request("GET", "/nuki")
    assert (status, "NUKI_PAGE" in text) == (403, True)
    assert home.request("POST", "/nuki", {"do": "unlock"}, {"X-Nuki-Page": home.token})[0] == 403
    assert only_after(demo, received) == []


def test_the_page_warns_when_nobody_is_asked_for_a_password(unguarded: NodeRed) -> None:
    assert "asks for no password" in unguarded.request("GET", "/nuki", user=False)[2]


def test_without_the_password_there_is_nothing(demo: Demo, home: NodeRed) -> None:
    received = demo.received()
    assert home.request("GET", "/nuki", user=False)[0] == 401
    for token in ("", home.token):
        assert home.request("POST", "/nuki", {"do": "unlock"}, {"X-Nuki-Page": token}, user=False)[0] == 401
    assert only_after(demo, received) == []


def test_other_web_sites_cannot_open_the_door(demo: Demo, home: NodeRed) -> None:
    """What a page elsewhere can make a browser send, whose owner is logged in here."""
    received = demo.received()
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://elsewhere.example"}
    assert home.request("GET", "/nuki?do=unlock")[0] == 200  # the page, and nothing else
    assert home.request("GET", "/nuki?callback=steal", headers={"X-Nuki-Page": "1"})[0] == 403
    assert home.request("POST", "/nuki", "do=unlock", form)[0] == 403
    assert home.request("POST", "/nuki", '{"do":"unlock"}', {**form, "Content-Type": "text/plain"})[0] == 403
    assert home.request("POST", "/nuki", {"do": "unlock"}, {"X-Nuki-Page": "0" * 32})[0] == 403
    del form["Origin"]
    assert home.request("POST", "/nuki", "do=unlock", {**form, "X-Nuki-Page": home.token})[0] == 400
    _, headers, _ = home.request("GET", "/nuki")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert only_after(demo, received) == []


def test_other_web_sites_cannot_read_the_page_even_without_a_password(
    demo: Demo, home: NodeRed, unguarded: NodeRed
) -> None:
    """Node-RED 4 allows every other site to read its answers: the flow must not give them any."""
    received = demo.received()
    elsewhere = {"Origin": "http://elsewhere.example"}
    status, _, text = unguarded.request("GET", "/nuki", headers=elsewhere, user=False)
    assert (status, "token" in text) == (403, False)
    unguarded.open_page()
    until(lambda: unguarded.state()["away"] is None, unguarded.state)
    own = {"X-Nuki-Page": unguarded.token}
    for origin in ("http://elsewhere.example", "null", f"http://localhost:{unguarded.port}"):
        assert unguarded.request("POST", "/nuki", {"do": "unlock"}, {**own, "Origin": origin})[0] == 403
    assert only_after(demo, received) == []
    assert unguarded.request("POST", "/nuki", {"do": "lock"}, {**own, "Origin": unguarded.url})[0] == 202
    until(lambda: demo.received()[len(received) :] == ["lock"])


def test_nonsense_is_refused(demo: Demo, home: NodeRed) -> None:
    received = demo.received()
    for body in ({}, {"do": "full_lock"}, {"do": ["unlock"]}, {"do": None}, {"command": "unlock"}):
        assert home.request("POST", "/nuki", body, {"X-Nuki-Page": home.token})[0] == 400
    assert home.request("POST", "/nuki", "[]", {"X-Nuki-Page": home.token})[0] == 400
    assert only_after(demo, received) == []


# -- at 23:00 ---------------------------------------------------------------------------------------------------------


def test_at_night_it_locks_if_the_door_is_closed(demo: Demo, home: NodeRed) -> None:
    received = demo.received()
    demo.bring_to("unlocked")
    until(lambda: home.state()["state"] == "unlocked")
    home.press(NIGHT)
    until(lambda: demo.last("state") == "locked")
    assert done(home)["ok"]
    assert only_after(demo, received) == ["lock"]


@pytest.mark.parametrize(
    ("door", "notice"),
    [
        ("open", "the door is open"),
        ("unknown", "it is not known whether the door is closed (sensor: unknown)"),
        ("unavailable", "it is not known whether the door is closed (sensor: unavailable)"),
    ],
)
def test_at_night_it_says_so_if_it_may_not_lock(demo: Demo, home: NodeRed, door: str, notice: str) -> None:
    received = demo.received()
    demo.bring_to("unlocked", door)
    until(lambda: (home.state()["state"], home.state()["door"]) == ("unlocked", door))
    home.press(NIGHT)
    until(lambda: home.notices()[:1] == [f"Not locked for the night: {notice}."])
    assert only_after(demo, received) == []


def test_at_night_a_locked_door_is_left_alone(demo: Demo, home: NodeRed) -> None:
    received, notices = demo.received(), home.notices()
    home.press(NIGHT)
    assert only_after(demo, received) == []
    assert home.notices() == notices


# -- notices ----------------------------------------------------------------------------------------------------------


RING = {
    "type": "ring",
    "time": "2026-12-01T10:00:00+01:00",
    "suppressed": None,
    "found_by": "state",
    "index": None,
}


@pytest.mark.parametrize(
    ("opened", "text"),
    [
        (None, "The doorbell rings."),
        ("rto", "The doorbell rings; ring to open has opened the door."),
        ("continuous_mode", "The doorbell rings; continuous mode has opened the door."),
    ],
)
def test_a_notice_when_the_doorbell_rings(demo: Demo, home: NodeRed, opened: str | None, text: str) -> None:
    """One for each, from the flow's own device or from another; they are published in the bridge's place."""
    deploy(demo, home, NUKI_PAGE="on", NUKI_DOORBELL="intercom")
    home.open_page()
    until(lambda: home.state()["away"] is None, home.state)
    for device in (LOCK, "intercom"):
        expected = [text, *home.notices()]
        demo.publish("event", {**RING, "opened": opened}, of=device)
        until(partial(lambda expected: home.notices() == expected, expected), home.notices)


def test_a_notice_when_somebody_rings_at_an_opener(demo: Demo, home: NodeRed) -> None:
    deploy(demo, home, NUKI_PAGE="on", NUKI_DOORBELL="intercom")
    home.open_page()
    until(lambda: home.state()["away"] is None, home.state)
    demo.publish("simulate", {"hold_button": True}, of="3E4F5061")
    demo.publish("request/pair", {"address": OPENER, "name": "intercom"}, of="bridge")
    until(lambda: any(topic == "intercom/status" for topic, _ in demo.heard))
    expected = ["The doorbell rings.", *home.notices()]
    time.sleep(6.0)  # what the beacon says right after the pairing is on account of that
    demo.publish("simulate", {"ring": True}, of="intercom")
    until(lambda: home.notices() == expected, home.state)


def test_one_notice_when_a_battery_becomes_critical(demo: Demo, home: NodeRed) -> None:
    text = "The lock's batteries are nearly empty (12 %): change or charge them."
    demo.simulate(battery=12)
    demo.ask("request/refresh", {}, "response/refresh")
    until(lambda: text in home.notices())
    demo.simulate(battery=10)
    demo.ask("request/refresh", {}, "response/refresh")
    until(lambda: home.state()["battery"]["level"] == 10)
    assert sum("batteries are nearly empty" in each for each in home.notices()) == 1
    demo.simulate(battery=80)
    demo.ask("request/refresh", {}, "response/refresh")
    until(lambda: home.state()["battery"]["critical"] is False)


# -- with accounts and an access list ---------------------------------------------------------------------------------


@pytest.mark.real_time
async def test_with_the_accounts_of_the_access_list(tmp_path: Path, node_red: NodeRed) -> None:
    """`owner` may all that the flow does, `home` everything but invite; the password comes from the tab's variables."""
    async with party(tmp_path) as house:

        async def deploy_as(user: str) -> None:
            await asyncio.to_thread(
                node_red.deploy,
                NUKI_HOST="127.0.0.1",
                NUKI_PORT=house.broker.port,
                NUKI_USER=user,
                NUKI_PASSWORD=password(user),
                NUKI_LOCK="front",
                NUKI_PAGE="on",
            )
            await asyncio.to_thread(node_red.open_page)
            await asyncio.to_thread(until, lambda: node_red.state()["away"] is None)

        for user in ("home", "owner"):
            await deploy_as(user)
            for action, state in (("unlock", "unlocked"), ("lock", "locked")):
                assert (await asyncio.to_thread(partial(node_red.ask, do=action)))[0] == 202
                assert (await asyncio.to_thread(done, node_red))["ok"]
                await house.until(partial(lambda state: house.last("front/state") == state, state))
        status, made = await asyncio.to_thread(lambda: node_red.ask(do="invite", name="Anna"))
        assert (status, made["user"]) == (200, "Anna")
        heard = await house.until(lambda: [topic for topic, payload, _ in house.heard if made["code"] in payload])
        [inbox] = heard
        assert re.fullmatch("bridge/response/owner/[0-9a-f]{32}", inbox)
        assert [each for each, kept in node_red.files().items() if password(user).encode() in kept] == []


# -- invitations ------------------------------------------------------------------------------------------------------


def redeem(demo: Demo, code: str, file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nuki_bridge", "redeem", code, "--broker", demo.url, "--credential", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_an_invitation_is_told_once_and_can_be_redeemed_once(demo: Demo, home: NodeRed, tmp_path: Path) -> None:
    form = {"name": "Anna", "from": "", "until": "2099-01-02T10:00", "weekdays": ["mo", "su"], "remote": True}
    status, made = home.ask(do="invite", time_from="08:00", time_until="", expires_in="1h", **form)
    assert status == 200, made
    assert made["user"] == "Anna"
    (listed,) = until(lambda: home.state()["invitations"])
    access = listed["access"]
    assert (access["weekdays"], access["time_from"], access["until"][:16]) == (
        ["mo", "su"],
        "08:00",
        "2099-01-02T10:00",
    )

    code = made["code"]
    assert len(code) == 19
    secret = code.replace("-", "")

    def told() -> list[str]:
        return [topic for topic, payload in demo.heard if secret in payload.replace("-", "")]

    until(told)
    assert len(told()) == 1  # the answer to this flow's own inbox
    until(lambda: any("context" in each.parts and b'"Anna"' in kept for each, kept in home.files().items()))
    assert [each for each, kept in home.files().items() if code.encode() in kept] == []
    assert code not in json.dumps(home.state())
    assert code not in home.open_page()

    first = redeem(demo, code, tmp_path / "anna.json")
    assert first.returncode == 0, first.stderr
    until(lambda: home.state()["invitations"] == [])
    until(lambda: "Anna has redeemed the invitation." in home.notices())
    second = redeem(demo, code, tmp_path / "somebody.json")
    assert (second.returncode, "(redeemed)" in second.stderr) == (1, True)


def test_an_invitation_can_be_revoked(demo: Demo, home: NodeRed, tmp_path: Path) -> None:
    _, made = home.ask(do="invite", name="Ben")
    (listed,) = until(lambda: home.state()["invitations"])
    status, answer = home.ask(do="revoke", id=listed["id"])
    assert (status, answer["removed_on_lock"]) == (200, True)
    until(lambda: home.state()["invitations"] == [])
    assert "(revoked)" in redeem(demo, made["code"], tmp_path / "ben.json").stderr


def test_what_is_wrong_with_an_invitation_is_told(demo: Demo, home: NodeRed) -> None:
    status, answer = home.ask(do="invite", name="")
    assert (status, answer["code"]) == (502, "bad_request")
    status, answer = home.ask(do="invite", name="Anna", until="2020-01-01T10:00", **{"from": "2021-01-01T10:00"})
    assert (status, "later than from" in answer["error"]) == (502, True)
    assert home.state()["invitations"] == []
