"""A real Home Assistant with its integration `nuki`, which takes the page's process for a Nuki Bridge.

It is told the address and the token, as a person types them in.  Behind it are mosquitto with the shipped access list,
the daemon and its virtual locks, whose own audit trail says what was done.  The tests are one story, told in the order
of this file.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.bridge_house import NUKI_ID, TOKEN, Caller, patience_until, settings
from tests.integration.broker import free_port
from tests.integration.daemon import CLASSIC, OPENER, Daemon, Home
from tests.integration.guarded import GuardedBroker, password
from tests.integration.web import ROOT, fetch_nacl
from tests.system.home_assistant import HomeAssistant, running, until

pytestmark = pytest.mark.real_time

LOCK, DOOR = "lock.nuki_1a2b3c4d", "binary_sensor.nuki_1a2b3c4d"
BATTERY = "sensor.nuki_1a2b3c4d_battery"


class House:
    """Broker, daemon, page and Home Assistant, for the whole file."""

    def __init__(self, directory: Path, broker: GuardedBroker, home_assistant: HomeAssistant) -> None:
        self.directory = directory
        self.broker = broker
        self.ha = home_assistant
        self.port = free_port()
        self.daemon = Daemon(directory / "daemon", broker.port)
        account = f'username: nuki, password: "{password("nuki")}"'
        text = self.daemon.config.read_text()
        self.daemon.config.write_text(text.replace(f"port: {broker.port}", f"port: {broker.port}, {account}"))
        self._web: subprocess.Popen[bytes] | None = None

    def start_web(self) -> None:
        """Run `nuki-bridge web`."""
        fetch_nacl()
        state, file = self.directory / "web-state", self.directory / "web.yaml"
        state.mkdir(exist_ok=True, mode=0o700)
        file.write_text(settings(self.broker, self.port, state))
        file.chmod(0o600)
        with (self.directory / "web.log").open("ab") as output:
            self._web = subprocess.Popen(
                [sys.executable, "-m", "nuki_bridge", "web", "--config", str(file)],
                cwd=ROOT,
                stdout=output,
                stderr=output,
            )

    def stop_web(self) -> None:
        """End it."""
        if self._web is not None:
            self._web.terminate()
            self._web.wait(30)
            self._web = None

    @property
    def web_log(self) -> str:
        return (self.directory / "web.log").read_text(errors="replace")

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Home]:
        peer = self.broker.peer("everybody")
        await peer.subscribe("nuki/#")
        home = Home(self.broker, self.daemon, peer)
        try:
            yield home
        finally:
            home.close()

    async def shows(self, entity: str, *states: str | None, timeout_s: float = 30.0) -> None:
        await asyncio.to_thread(self.ha.until, entity, *states, timeout_s=timeout_s)

    async def call(self, service: str, entity: str = LOCK, **data: Any) -> None:
        await asyncio.to_thread(self.ha.call, "lock", service, entity, **data)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    directory = tmp_path_factory.mktemp("house")
    for name in ("broker", "daemon"):
        (directory / name).mkdir()
    with GuardedBroker(directory / "broker") as broker, running(directory / "home-assistant") as home_assistant:
        house = House(directory, broker, home_assistant)
        house.daemon.start()
        house.start_web()
        try:
            yield house
        finally:
            house.stop_web()
            house.daemon.kill()


async def turns(home: Home) -> list[str]:
    """What the motor was started for, by the lock's own audit trail."""
    return [str(each["detail"]).partition(":")[0] for each in await home.audit("front_door") if each["what"] == "motor"]


async def known(caller: Caller) -> int:
    """How many devices the page knows the state of."""
    try:
        answer = await caller.get("list")
    except ConnectionRefusedError:
        return 0
    return sum("lastKnownState" in each for each in answer.json()) if answer.status == 200 else 0


async def test_a_wrong_token_is_told_as_such_and_the_right_one_finds_the_locks(house: House) -> None:
    async with house.watching() as home:
        await home.online()
        await home.ask("bridge/request/pair", {"address": CLASSIC, "name": "front_door", "pin": "1234"})
        await home.ask("front_door/simulate", {"motor_s": 0.5})
        await home.ask("3E4F5061/simulate", {"hold_button": True})
        await home.ask("bridge/request/pair", {"address": OPENER, "name": "intercom", "pin": "1234"})
    await patience_until(partial(known, Caller(house.port)), 2)
    flow = await asyncio.to_thread(house.ha.begin_bridge)
    wrong = await asyncio.to_thread(house.ha.enter_bridge, flow, house.port, "Sesame4712")
    assert wrong["errors"] == {"base": "invalid_auth"}, wrong
    nobody = await asyncio.to_thread(house.ha.enter_bridge, flow, free_port(), TOKEN)
    assert nobody["errors"] == {"base": "cannot_connect"}, nobody
    done = await asyncio.to_thread(house.ha.enter_bridge, flow, house.port, TOKEN)
    assert done["type"] == "create_entry", done
    await asyncio.to_thread(
        until, lambda: house.ha.entry("nuki")["state"] == "loaded", or_say=lambda: house.ha.log[-3000:]
    )
    await asyncio.to_thread(
        until, lambda: LOCK in house.ha.entities("nuki"), or_say=lambda: sorted(house.ha.entities("nuki"))
    )
    found = {entity: each["state"] for entity, each in house.ha.entities("nuki").items()}
    assert (found[LOCK], found[BATTERY], found[DOOR]) == ("locked", "84", "off"), found
    assert [entity for entity in found if entity.startswith("lock.") and entity != LOCK], found  # the Opener
    assert house.ha.attributes(LOCK)["supported_features"] == 1  # open
    device = house.ha.template(f"device_id('{LOCK}')")
    assert house.ha.template(f"device_attr('{device}', 'serial_number')") == f"{NUKI_ID:X}"


@pytest.mark.parametrize(
    ("service", "state", "movement"),
    [
        ("unlock", "unlocked", "unlock"),
        ("lock", "locked", "lock"),
        ("open", "unlocked", "unlatch"),
    ],
)
async def test_a_service_call_turns_the_motor_once(house: House, service: str, state: str, movement: str) -> None:
    """And its end is shown within seconds, although Home Assistant asks every 30 s only: its webhook is called."""
    async with house.watching() as home:
        before = await turns(home)
        await house.call(service)
        await home.until(lambda: json.loads(home.last("front_door/result") or "{}").get("status") == "ok")
        await house.shows(LOCK, state, timeout_s=8.0)
        assert (await turns(home))[len(before) :] == [movement]


async def test_a_turn_by_hand_and_the_door_are_told_at_once(house: House) -> None:
    async with house.watching() as home:
        await home.ask("front_door/simulate", {"turn": "unlocked", "door": "open"})
        await home.ask("front_door/request/refresh")
        await house.shows(LOCK, "unlocked", timeout_s=8.0)
        await house.shows(DOOR, "on", timeout_s=8.0)
        await home.ask("front_door/simulate", {"turn": "locked", "door": "closed"})
        await home.ask("front_door/request/refresh")
        await house.shows(LOCK, "locked", timeout_s=8.0)
        await house.shows(DOOR, "off", timeout_s=8.0)


async def test_the_opener_rings_and_opens(house: House) -> None:
    locks = [each for each in house.ha.entities("nuki") if each.startswith("lock.") and each != LOCK]
    [opener] = locks
    [ring] = [each for each in house.ha.entities("nuki") if each.startswith("binary_sensor.") and "ring" in each]
    async with house.watching() as home:
        await asyncio.sleep(6.0)  # what the beacon says right after an action of ours is on account of that
        await home.ask("intercom/simulate", {"ring": True})
        await house.shows(ring, "on", timeout_s=15.0)
        assert (before := await home.movements("intercom")) == 0
        await house.call("open", opener)
        await home.until(lambda: json.loads(home.last("intercom/result") or "{}").get("status") == "ok")
        assert await home.movements("intercom") == before + 1
        await house.call("unlock", opener)  # ring to open
        await house.shows(opener, "unlocked", timeout_s=15.0)
        await house.call("lock", opener)
        await house.shows(opener, "locked", timeout_s=15.0)
        assert await home.movements("intercom") == before + 1
        await house.shows(ring, "off", timeout_s=45.0)


async def test_a_lock_out_of_reach_takes_nobody_else_along(house: House) -> None:
    """Home Assistant asks such a lock itself, again and again; the others stay what they are."""
    opener = next(each for each in house.ha.entities("nuki") if each.startswith("lock.") and each != LOCK)
    async with house.watching() as home:
        before = await turns(home)
        await home.ask("front_door/simulate", {"out_of_range": True})
        await home.until(lambda: home.last("front_door/availability") == "offline", 120.0)
        await asyncio.sleep(35.0)
        assert house.ha.state(opener) == "locked"
        await home.ask("front_door/simulate", {"out_of_range": False})
        await house.shows(LOCK, "locked", timeout_s=120.0)
        assert await turns(home) == before


async def test_the_page_goes_and_comes_back(house: House) -> None:
    async with house.watching() as home:
        before = await turns(home)
        house.stop_web()
        await house.shows(LOCK, "unavailable", "locked", timeout_s=60.0)
        house.start_web()
        await home.ask("front_door/simulate", {"turn": "unlocked"})
        await house.shows(LOCK, "unlocked", timeout_s=60.0)
        assert await turns(home) == before


async def test_removed_in_home_assistant_its_webhook_is_gone(house: House) -> None:
    kept = house.directory / "web-state" / "bridge-api.json"
    entry = house.ha.entry("nuki")["entry_id"]
    assert entry in kept.read_text()
    await asyncio.to_thread(house.ha.request, "DELETE", f"/api/config/config_entries/entry/{entry}")
    await asyncio.to_thread(until, lambda: entry not in kept.read_text())
    assert TOKEN not in house.web_log
    assert "Traceback" not in house.web_log


def test_home_assistant_had_nothing_to_complain_of(house: House) -> None:
    """But for how and where it was started here, the wrong token, a fault of its own, and the time in which the page
    was away."""
    time.sleep(1.0)  # for its log to be written
    expected = (
        "Skipping pip installation",
        "Could not login with provided credentials",
        "has a non string unique_id",
        "Error fetching nuki devices data",
        "Error communicating",
        " is taking over 10 seconds",
    )
    assert [each for each in house.ha.complaints() if not any(part in each for part in expected)] == []
