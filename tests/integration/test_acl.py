"""etc/mosquitto as it is shipped, in a real mosquitto: what each account may publish and read, and what not."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.broker import Peer
from tests.integration.guarded import ACCOUNTS, LISTENER, SHIPPED, GuardedBroker, password

pytestmark = pytest.mark.real_time


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[GuardedBroker]:
    with GuardedBroker(tmp_path) as running:
        yield running


SESSION = "0123456789abcdef" * 2
LOOKUP = "fedcba9876543210" * 2

STATES = [
    *("nuki/bridge/state", "nuki/bridge/info", "nuki/bridge/event"),
    *(f"nuki/front/{kind}" for kind in ("availability", "state", "door", "battery", "status", "event", "result")),
    *("nuki/front/users", "nuki/front/keypad", "nuki/front/invitations"),
]
LISTS = {"nuki/front/users", "nuki/front/keypad", "nuki/front/invitations"}
PLAIN_REQUESTS = ["nuki/front/set", "nuki/front/request/refresh", "nuki/front/request/battery/get"]
PLAIN_REQUESTS += ["nuki/bridge/request/locks", "nuki/bridge/request/health"]
MANAGING = [
    *(f"users/{each}" for each in ("list", "add", "update", "remove")),
    *(f"invite/{each}" for each in ("create", "list", "revoke")),
    *(f"keypad/{each}" for each in ("list", "add", "update", "remove")),
    *("pin/verify", "pin/set", "config/get", "config/set", "time/set", "log/get"),
    *("reboot", "calibrate"),
]
OWNER_REQUESTS = [f"nuki/front/request/{each}" for each in MANAGING]
OWNER_REQUESTS += [f"nuki/bridge/request/{each}" for each in ("pair", "unpair", "scan", "restart", "trace")]


def answers(requests: list[str]) -> list[str]:
    return [each.replace("/request/", "/response/") for each in requests if "/request/" in each]


RELAY_IN = [f"nuki/front/relay/{SESSION}/write"]
RELAY_OUT = [f"nuki/front/relay/{SESSION}/indicate", f"nuki/front/relay/{SESSION}/error"]
RELAY_OUT += [f"nuki/front/relay/{SESSION}/news"]
REDEEM = [f"nuki/invitation/{LOOKUP}/redeem"]
REDEEMED = [f"nuki/invitation/{LOOKUP}/response"]
INBOXES = {account: [f"nuki/bridge/response/{account}/{SESSION}"] for account in ("owner", "home")}
DISCOVERY = [
    "homeassistant/device/nuki_bridge_1a2b3c4d/config",
    "homeassistant/lock/nuki_bridge_1a2b3c4d/lock/config",
]
VENDORS = [
    f"nuki/1A2B3C4D/{each}" for each in ("state", "connected", "lockAction", "lock", "unlock", "commandResponse")
]
ENTRIES = ("users/update", "keypad/update")
BIRTH = "homeassistant/status"
ELSEWHERE = ["other/front/set", "homeassistant/lock/config", "nuki", "front/set", "nuki/front/simulate"]

EVERYTHING = [
    *STATES,
    *PLAIN_REQUESTS,
    *answers(PLAIN_REQUESTS),
    *OWNER_REQUESTS,
    *answers(OWNER_REQUESTS),
    *(RELAY_IN + RELAY_OUT + REDEEM + REDEEMED),
    *(INBOXES["owner"] + INBOXES["home"]),
    *(*DISCOVERY, BIRTH),
    *VENDORS,
    *ELSEWHERE,
]

BELOW = {each for each in EVERYTHING if each.startswith("nuki/") or each == "nuki"}
WRITES: dict[str, set[str]] = {
    "nuki": {*BELOW, *DISCOVERY},
    "owner": {*PLAIN_REQUESTS, *OWNER_REQUESTS, *INBOXES["owner"]},
    "home": {*PLAIN_REQUESTS, *INBOXES["home"], BIRTH},
    "guest": {*RELAY_IN, *REDEEM},
    "bridge_api": {"nuki/front/set", "nuki/front/request/refresh"},
}
READS: dict[str, set[str]] = {
    "nuki": {*BELOW, BIRTH},
    "owner": BELOW,
    "home": {
        *STATES,
        *("nuki/front/set", "nuki/front/simulate"),
        *VENDORS,
        *answers(PLAIN_REQUESTS),
        *INBOXES["home"],
        *(each for each in EVERYTHING if each.startswith("homeassistant/")),
    },
    "guest": {*RELAY_OUT, *REDEEMED},
    "bridge_api": {*STATES, "nuki/front/response/refresh", "nuki/1A2B3C4D/state"} - LISTS,
}


@pytest.mark.parametrize("account", ACCOUNTS)
async def test_what_an_account_may_publish(guarded: GuardedBroker, account: str) -> None:
    """Every topic is tried; somebody who reads all gets those and only those that are allowed."""
    async with guarded.peer("everybody") as reader, guarded.peer(account) as writer:
        await reader.subscribe("#")
        for topic in EVERYTHING:
            writer.send(topic, account).wait_for_publish(600)
        reader.publish("nuki/front/end", "end")
        assert await topics_until(reader, "nuki/front/end") == WRITES[account]


@pytest.mark.parametrize("account", ACCOUNTS)
@pytest.mark.parametrize("retain", [False, True])
async def test_what_an_account_may_read(guarded: GuardedBroker, account: str, retain: bool) -> None:
    """It subscribes to everything, as a whole and by name, before (or, retained, after) it is published."""
    end = sorted(READS[account])[0]
    async with guarded.peer("everybody") as writer, guarded.peer(account) as reader:
        if not retain:
            await subscribe_to_everything(reader)
        for topic in EVERYTHING:
            writer.publish(topic, "told", retain=retain)
        if retain:
            await subscribe_to_everything(reader)
        writer.publish(end, "end")
        assert await topics_until(reader, end, "end") == READS[account]


async def subscribe_to_everything(peer: Peer) -> None:
    for topic in ("#", "nuki/#", "nuki/+/relay/#", "nuki/bridge/response/#", *EVERYTHING):
        await peer.subscribe(topic)


async def topics_until(peer: Peer, end: str, payload: str = "end") -> set[str]:
    """The topics of everything that comes before `payload` on `end`."""
    seen: set[str] = set()
    while True:
        message = await peer.next()
        if (message.topic, message.payload.decode()) == (end, payload):
            return seen
        seen.add(message.topic)


async def test_home_automation_changes_settings_only_where_the_owner_took_those_lines_into_use(tmp_path: Path) -> None:
    class WithOptions(GuardedBroker):
        options_used = True

    with WithOptions(tmp_path) as guarded:
        async with guarded.peer("everybody") as reader, guarded.peer("home") as writer:
            await reader.subscribe("#")
            for topic in EVERYTHING:
                writer.send(topic, "home").wait_for_publish(600)
            reader.publish("nuki/front/end", "end")
            allowed = await topics_until(reader, "nuki/front/end")
            optional = {f"nuki/front/request/{each}" for each in ("config/set", "reboot", "calibrate", *ENTRIES)}
            assert allowed - WRITES["home"] == optional


def test_a_stranger_gets_in_neither_without_nor_with_a_wrong_password(guarded: GuardedBroker) -> None:
    for credentials in ([], ["-u", "owner", "-P", "wrong"], ["-u", "stranger", "-P", password("owner")]):
        command = ["mosquitto_pub", "-p", str(guarded.port), "-t", "nuki/front/set", "-m", "unlock", *credentials]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode != 0
        assert "uthori" in done.stderr


def test_the_shipped_password_file_lets_nobody_in() -> None:
    lines = (SHIPPED / "nuki-bridge.passwd").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == []


def test_the_listener_is_not_open_to_the_network() -> None:
    text = (SHIPPED / "nuki-bridge.conf").read_text()
    assert [line for line in text.splitlines() if line.startswith("listener")] == [LISTENER]
    assert "allow_anonymous false" in text.splitlines()
