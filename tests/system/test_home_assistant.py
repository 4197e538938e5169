"""A real Home Assistant beside a real mosquitto with the shipped access list, the daemon and its virtual locks.

It is told of nothing but the broker.  What a service call does is looked up in the virtual lock's own audit trail.  The
tests build on each other: they are one story, told in the order of this file.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from nuki_bridge import __version__
from nuki_bridge.home_assistant import discovery
from tests.integration.daemon import CLASSIC, OPENER, PIN, ULTRA, Daemon, Home
from tests.integration.guarded import GuardedBroker, password
from tests.system.home_assistant import HomeAssistant, running, until

pytestmark = pytest.mark.real_time

LOCK = "lock.front_door"
DISCOVERY = "homeassistant/device/nuki_bridge_1a2b3c4d/config"
ENTITIES = {
    LOCK: "locked",
    "binary_sensor.front_door_door": "off",
    "sensor.front_door_door_sensor": "closed",
    "sensor.front_door_battery": "84",
    "binary_sensor.front_door_battery_critical": "off",
    "binary_sensor.front_door_charging": "off",
    "sensor.front_door_battery_voltage": "5.68",
    "event.front_door_denied": "unknown",
    "sensor.front_door_last_action": "none",
    "sensor.front_door_last_user": "unknown",
    "sensor.front_door_last_trigger": "system",
    "button.front_door_unlatch": "unknown",
    "button.front_door_lock_n_go": "unknown",
    "button.front_door_lock_n_go_with_unlatch": "unknown",
    "button.front_door_refresh": "unknown",
    "button.front_door_restart": "unknown",
    "sensor.front_door_signal_strength": "-58",
    "binary_sensor.front_door_connection": "on",
    "switch.front_door_bluetooth_pairing": "on",
    "switch.front_door_auto_unlatch": "off",
    "switch.front_door_single_lock": "off",
    "switch.front_door_button": "on",
    "select.front_door_button_action_1": "intelligent",
    "select.front_door_button_action_2": "lock_n_go",
    "switch.front_door_led": "on",
    "number.front_door_led_brightness": "3",
    "select.front_door_advertising_mode": "automatic",
    "switch.front_door_auto_lock": "off",
    "number.front_door_auto_lock_timeout": "300",
    "switch.front_door_auto_lock_when_the_door_closes": "off",
    "switch.front_door_auto_unlock": "on",
    "switch.front_door_night_mode": "off",
    "text.front_door_night_mode_start": "22:00",
    "text.front_door_night_mode_end": "07:00",
    "switch.front_door_night_mode_auto_lock": "off",
    "switch.front_door_night_mode_auto_unlock": "on",
    "switch.front_door_night_mode_locks_when_it_begins": "off",
    "number.front_door_lock_n_go_timeout": "20",
    "number.front_door_unlatch_duration": "3",
}
BRIDGE = {
    "binary_sensor.nuki_bridge_connection": "on",
    "binary_sensor.nuki_bridge_bluetooth_adapter": "on",
    "sensor.nuki_bridge_version": __version__,
}
DISABLED = {
    "button.front_door_calibrate": "unknown",
    "select.front_door_battery_type": "alkaline",
    "switch.front_door_battery_type_detection": "on",
    "switch.front_door_detached_cylinder": "off",
    "switch.front_door_firmware_updates": "off",
    "text.front_door_name": "Nuki_1A2B3C4D",
    "select.front_door_time_zone": "Europe/Berlin",
    "number.front_door_utc_offset": "0",
    "select.front_door_daylight_saving": "off",
    "number.front_door_unlocked_position_offset": "0",
    "number.front_door_locked_position_offset": "0",
    "number.front_door_single_locked_position_offset": "0",
    "number.front_door_unlocked_to_locked_offset": "0",
}
"""Entities that are there, and have a state only when somebody has enabled them."""
FOB = {1: "unlock", 2: "lock", 3: "lock_n_go"}
ALWAYS = {"binary_sensor.front_door_connection", *BRIDGE}
"""Entities that do not depend on the lock."""


class House:
    """Broker, daemon and Home Assistant, for the whole file; `watching` gives an observer for one test."""

    def __init__(self, broker: GuardedBroker, daemon: Daemon, home_assistant: HomeAssistant) -> None:
        self.broker = broker
        self.daemon = daemon
        self.ha = home_assistant

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Home]:
        peer = self.broker.peer("everybody")
        await peer.subscribe("nuki/#")
        await peer.subscribe("homeassistant/#")
        home = Home(self.broker, self.daemon, peer)
        try:
            yield home
        finally:
            home.close()

    def configure(self, discovery: str = "") -> None:
        self.daemon.config.write_text(
            f'mqtt: {{host: 127.0.0.1, port: {self.broker.port}, username: nuki, password: "{password("nuki")}",'
            f" discovery: {{{discovery}}}}}\n"
            "bluetooth: {backend: virtual}\n"
            f"state_dir: {self.daemon.directory}/state\n"
        )

    def forms(self) -> set[str]:
        """The forms of the topics that the bridge would take back."""
        with contextlib.closing(sqlite3.connect(self.daemon.directory / "state" / "nuki-bridge.db")) as db:
            rows = db.execute("SELECT device, topic FROM announced").fetchall()
        entries = {device for device, _ in rows if "/" in device}  # one message for each in any form
        return {discovery.style_of(topic) for device, topic in rows if device not in entries}

    async def stop_daemon(self, how: int = signal.SIGTERM) -> None:
        self.daemon.signal(how)
        await self.daemon.ended(10)

    async def has(self, expected: dict[str, str], *, exactly: bool = True) -> None:
        """Wait until Home Assistant has these entities, `exactly`: and no other, in these states."""

        def differs() -> dict[str, Any]:
            found = {entity: each["state"] for entity, each in self.ha.entities().items()}
            keys = {*found, *expected} if exactly else {*expected}
            return {key: (found.get(key), expected.get(key)) for key in keys if found.get(key) != expected.get(key)}

        await asyncio.to_thread(until, lambda: not differs(), or_say=lambda: f"{differs()}\n{self.ha.log[-3000:]}")

    async def shows(self, entity: str, *states: str | None) -> str | None:
        return await asyncio.to_thread(self.ha.until, entity, *states)

    async def call(self, domain: str, service: str, entity: str, **data: Any) -> None:
        await asyncio.to_thread(self.ha.call, domain, service, entity, **data)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    directory = tmp_path_factory.mktemp("house")
    for name in ("broker", "daemon"):
        (directory / name).mkdir()

    class WithSettings(GuardedBroker):
        options_used = True  # the line of the access list that lets Home Assistant change settings

    with WithSettings(directory / "broker") as broker, running(directory / "home-assistant") as home_assistant:
        daemon = Daemon(directory / "daemon", broker.port)
        house = House(broker, daemon, home_assistant)
        house.configure()
        daemon.start()
        try:
            yield house
        finally:
            daemon.kill()


# -- found ------------------------------------------------------------------------------------------------------------


async def test_lock_and_bridge_are_found_by_discovery_alone(house: House) -> None:
    house.ha.add_mqtt(house.broker.port, "home", password("home"))
    async with house.watching() as home:
        await home.online()
        await home.ask("bridge/request/pair", {"address": CLASSIC, "name": "front_door", "pin": "1234"})
        await home.ask("front_door/simulate", {"motor_s": 0.5})
        await house.has({**ENTITIES, **BRIDGE})
    device = house.ha.template(f"device_id('{LOCK}')")
    told = {
        each: house.ha.template(f"device_attr('{device}', '{each}')")
        for each in ("name", "manufacturer", "model", "serial_number", "sw_version", "via_device_id")
    }
    assert told == {
        "name": "Front door",
        "manufacturer": "Nuki",
        "model": "Smart Lock 3.0 or 4th generation",
        "serial_number": "1A2B3C4D",
        "sw_version": "3.5.11",
        "via_device_id": house.ha.template("device_id('sensor.nuki_bridge_version')"),
    }
    assert house.ha.attributes(LOCK)["supported_features"] == 1  # open


# -- the lock ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "on_the_way", "end", "movement"),
    [
        ("unlock", "unlocking", "unlocked", "unlock: unlocking"),
        ("open", "opening", "open", "unlatch: unlatching"),
        ("lock", "locking", "locked", "lock: locking"),
    ],
)
async def test_a_service_call_turns_the_motor_once(
    house: House, service: str, on_the_way: str, end: str, movement: str
) -> None:
    async with house.watching() as home:
        before = await turns(home)
        await home.ask("front_door/simulate", {"motor_s": 3.0})  # for so long it is seen on the way
        shown = asyncio.create_task(house.shows(LOCK, on_the_way))
        await house.call("lock", service, LOCK)
        assert await shown == on_the_way
        await home.ask("front_door/simulate", {"motor_s": 0.5})
        await house.shows(LOCK, end)
        if end == "open":
            await house.shows(LOCK, "unlocked")  # the latch springs back
        assert (await turns(home))[len(before) :] == [movement]
        await house.shows("sensor.front_door_last_action", "unlatch" if service == "open" else service)
        await until_async(lambda: str(house.ha.state("sensor.front_door_last_user")).startswith("nuki-bridge"))


async def turns(home: Home) -> list[str]:
    """What the motor was started for, by the lock's own audit trail."""
    return [each["detail"] for each in await home.audit("front_door") if each["what"] == "motor"]


async def until_async(what: Any, say: Any = str) -> None:
    await asyncio.to_thread(until, what, or_say=say)


async def test_the_state_follows_a_turn_by_hand(house: House) -> None:
    async with house.watching() as home:
        await home.ask("front_door/simulate", {"turn": "unlocked"})
        await house.shows(LOCK, "unlocked")
        await house.shows("sensor.front_door_last_trigger", "manual")
        await house.shows("sensor.front_door_last_user", "unknown")
        await home.ask("front_door/simulate", {"turn": "locked"})
        await house.shows(LOCK, "locked")


async def test_a_blocked_motor_is_jammed(house: House) -> None:
    async with house.watching() as home:
        await home.ask("front_door/simulate", {"block_motor": True})
        await house.call("lock", "unlock", LOCK)
        await house.shows(LOCK, "jammed")
        await home.ask("front_door/simulate", {"block_motor": False})
        await house.call("lock", "lock", LOCK)
        await house.shows(LOCK, "locked")


async def test_lock_n_go_and_refresh_are_buttons(house: House) -> None:
    async with house.watching() as home:
        before = await turns(home)
        await house.call("button", "press", "button.front_door_lock_n_go")
        await house.shows(LOCK, "unlocked")
        assert (await turns(home))[len(before)].startswith("lock_n_go: ")
        await home.until(lambda: home.last("front_door/result"), 60.0)
        await house.shows(LOCK, "locked")
        await house.call("button", "press", "button.front_door_refresh")
        await home.until(lambda: home.last("front_door/response/refresh"))


# -- what else it shows -----------------------------------------------------------------------------------------------


async def test_door_and_battery(house: House) -> None:
    async with house.watching() as home:
        await home.ask("front_door/simulate", {"door": "open", "battery": 14})
        await home.ask("front_door/request/refresh")
        expected = {"binary_sensor.front_door_door": "on", "sensor.front_door_battery": "14"}
        await house.has({**expected, "binary_sensor.front_door_battery_critical": "on"}, exactly=False)
        await home.ask("front_door/simulate", {"door": "closed", "battery": 84})
        await home.ask("front_door/request/refresh")
        await house.has({each: ENTITIES[each] for each in expected}, exactly=False)


async def test_a_keypad_that_is_added_brings_its_events(house: House) -> None:
    async with house.watching() as home:
        await home.ask("front_door/simulate", {"keypad": {"action": "unlock", "code_id": 3, "name": "Lisa"}})
        await house.shows(LOCK, "unlocked")
        await house.shows("sensor.front_door_last_user", "Lisa")
        await home.ask("front_door/request/config/get")
        await asyncio.to_thread(until, lambda: house.ha.state("event.front_door_keypad") is not None)
        for accepted, kind in ((False, "invalid_code"), (True, "unlock")):
            keypad = {"action": "unlock", "code_id": 3, "name": "Lisa", "accepted": accepted}
            await home.ask("front_door/simulate", {"turn": "locked", "keypad": keypad})
            await home.ask("front_door/request/refresh")
            await asyncio.to_thread(
                until,
                partial(lambda kind: house.ha.attributes("event.front_door_keypad")["event_type"] == kind, kind),
                90.0,
                or_say=lambda: f"{house.ha.attributes('event.front_door_keypad')}\n{home.on('front_door/event')}",
            )
        denied = house.ha.attributes("event.front_door_denied")
        assert (denied["event_type"], denied["source"]) == ("invalid_code", "keypad")
        attributes = house.ha.attributes("event.front_door_keypad")
        assert (attributes["action"], attributes["source"], attributes["user"]) == ("unlock", "code", "Lisa")
        await house.call("lock", "lock", LOCK)
        await house.shows(LOCK, "locked")


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entity", "service", "data", "state", "setting"),
    [
        ("switch.front_door_bluetooth_pairing", "turn_off", {}, "off", {"pairing_enabled": False}),
        ("switch.front_door_bluetooth_pairing", "turn_on", {}, "on", {"pairing_enabled": True}),
        ("switch.front_door_auto_unlatch", "turn_on", {}, "on", {"auto_unlatch": True}),
        ("switch.front_door_single_lock", "turn_on", {}, "on", {"single_lock": True}),
        ("switch.front_door_button", "turn_off", {}, "off", {"button_enabled": False}),
        ("switch.front_door_led", "turn_off", {}, "off", {"led_enabled": False}),
        ("number.front_door_led_brightness", "set_value", {"value": 5}, "5", {"led_brightness": 5}),
        (
            "select.front_door_advertising_mode",
            "select_option",
            {"option": "slow"},
            "slow",
            {"advertising_mode": "slow"},
        ),
        ("number.front_door_auto_lock_timeout", "set_value", {"value": 1800}, "1800", {"auto_lock_timeout": 1800}),
        ("switch.front_door_auto_lock", "turn_on", {}, "on", {"auto_lock_enabled": True}),
        ("switch.front_door_auto_lock", "turn_off", {}, "off", {"auto_lock_enabled": False}),
        ("switch.front_door_auto_unlock", "turn_off", {}, "off", {"auto_unlock_disabled": True}),
        ("switch.front_door_night_mode", "turn_on", {}, "on", {"night_mode_enabled": True}),
        (
            "text.front_door_night_mode_start",
            "set_value",
            {"value": "23:30"},
            "23:30",
            {"night_mode_start": "23:30"},
        ),
        (
            "select.front_door_button_action_1",
            "select_option",
            {"option": "show_status"},
            "show_status",
            {"single_button_press_action": "show_status"},
        ),
        (
            "switch.front_door_night_mode_auto_unlock",
            "turn_off",
            {},
            "off",
            {"night_mode_auto_unlock_disabled": True},
        ),
        (
            "switch.front_door_auto_lock_when_the_door_closes",
            "turn_on",
            {},
            "on",
            {"immediate_auto_lock": True},
        ),
        ("number.front_door_lock_n_go_timeout", "set_value", {"value": 30}, "30", {"lock_n_go_timeout": 30}),
        ("number.front_door_unlatch_duration", "set_value", {"value": 5}, "5", {"unlatch_duration": 5}),
    ],
)
async def test_settings_are_changed_in_the_lock(
    house: House, entity: str, service: str, data: dict[str, Any], state: str, setting: dict[str, Any]
) -> None:
    async with house.watching() as home:
        await house.call(entity.partition(".")[0], service, entity, **data)
        await house.shows(entity, state)
        told = (await home.ask("front_door/request/config/get"))["data"]
        assert {key: told[key] for key in setting} == setting


async def test_settings_of_who_installs_the_lock_are_there_when_somebody_enables_them(house: House) -> None:
    async with house.watching() as home:
        assert not set(DISABLED) & set(house.ha.entities())
        await asyncio.to_thread(house.ha.enable, *DISABLED)
        await asyncio.to_thread(
            house.ha.until, "text.front_door_name", DISABLED["text.front_door_name"], timeout_s=90.0
        )
        await house.has(DISABLED, exactly=False)
        for entity, service, data, setting in (
            ("number.front_door_locked_position_offset", "set_value", {"value": -5}, {"locked_position_offset": -5}),
            (
                "select.front_door_time_zone",
                "select_option",
                {"option": "Europe/London"},
                {"timezone": "Europe/London"},
            ),
            ("select.front_door_battery_type", "select_option", {"option": "lithium"}, {"battery_type": "lithium"}),
            ("switch.front_door_detached_cylinder", "turn_on", {}, {"detached_cylinder": True}),
            ("text.front_door_name", "set_value", {"value": "Tür"}, {"name": "Tür"}),
        ):
            await house.call(entity.partition(".")[0], service, entity, **data)
            [(name, value)] = setting.items()
            await house.shows(entity, "on" if value is True else str(value), f"{value}.0")
            assert (await home.ask("front_door/request/config/get"))["data"][name] == value
        before = await turns(home)
        await house.call("button", "press", "button.front_door_calibrate")
        await home.until(lambda: home.last("front_door/response/calibrate"), 60.0)
        assert len(await turns(home)) > len(before)


async def test_what_a_button_asks_for_is_done(house: House) -> None:
    async with house.watching() as home:
        before = await turns(home)
        await house.call("button", "press", "button.front_door_unlatch")
        await home.until(lambda: home.last("front_door/result"), 60.0)
        await house.call("button", "press", "button.front_door_lock_n_go_with_unlatch")
        await home.until(lambda: len(home.on("front_door/result")) == 2, 90.0)
        assert [each.partition(":")[0] for each in (await turns(home))[len(before) :]][:2] == [
            "unlatch",
            "lock_n_go_unlatch",
        ]
        await house.call("button", "press", "button.front_door_restart")
        answer = await home.until(lambda: home.last("front_door/response/reboot"), 60.0)
        assert json.loads(answer)["status"] == "ok"
        await house.call("lock", "lock", LOCK)
        await house.shows(LOCK, "locked")


# -- users and codes --------------------------------------------------------------------------------------------------


async def test_users_and_codes_are_switches_and_go_with_them(house: House) -> None:
    user, code = "switch.front_door_user_anna", "switch.front_door_keypad_code_lisa"
    async with house.watching() as home:
        await home.ask("front_door/request/users/add", {"name": "Anna"})
        await home.ask("front_door/request/keypad/add", {"name": "Lisa", "code": "345678"})
        await house.has({user: "on", code: "on"}, exactly=False)
        assert house.ha.attributes(user)["type"] == "app"
        assert "code" not in house.ha.attributes(code)
        for entity, listed in ((user, "users"), (code, "keypad")):
            for service, state in (("turn_off", "off"), ("turn_on", "on")):
                await house.call("switch", service, entity)
                await house.shows(entity, state)
                answer = await home.ask(f"front_door/request/{listed}/list")
                [entry] = [each for each in answer["data"] if each["name"] in ("Anna", "Lisa")]
                assert entry["enabled"] == (state == "on")
        before = await turns(home)
        await house.call("switch", "turn_off", code)
        await house.shows(code, "off")
        await home.ask("front_door/simulate", {"keypad": {"action": "unlock", "code": "345678"}})
        denied = "event.front_door_denied"
        await asyncio.to_thread(until, lambda: house.ha.attributes(denied).get("user") == "Lisa", 90.0)
        assert await turns(home) == before
        await home.ask("front_door/request/keypad/update", {"name": "Lisa", "rename": "Lise"})
        await until_async(lambda: house.ha.attributes(code)["friendly_name"] == "Front door Keypad code Lise")
        await home.ask("front_door/request/users/remove", {"name": "Anna"})
        await home.ask("front_door/request/keypad/remove", {"name": "Lise"})
        await house.shows(user, None)
        await house.shows(code, None)


# -- away and back ----------------------------------------------------------------------------------------------------


def available(house: House) -> dict[str, str]:
    """What Home Assistant knows of: entities and their states."""
    states = {entity: str(each["state"]) for entity, each in house.ha.entities().items()}
    return {entity: state for entity, state in states.items() if state != "unavailable"}


async def test_a_lock_out_of_reach_is_unavailable(house: House) -> None:
    async with house.watching() as home:
        await home.ask("front_door/simulate", {"out_of_range": True})
        await asyncio.to_thread(house.ha.until, LOCK, "unavailable", timeout_s=120.0)
        await until_async(lambda: available(house).keys() == ALWAYS, lambda: available(house))
        await house.shows("binary_sensor.front_door_connection", "off")
        await home.ask("front_door/simulate", {"out_of_range": False})
        await asyncio.to_thread(house.ha.until, LOCK, "locked", timeout_s=120.0)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_entities_go_with_the_bridge_and_come_back(house: House, how: int) -> None:
    await house.stop_daemon(how)
    await house.shows(LOCK, "unavailable")
    expected = {"binary_sensor.nuki_bridge_connection": "off"}
    await until_async(lambda: available(house) == expected, lambda: available(house))
    house.daemon.start()
    await asyncio.to_thread(house.ha.until, LOCK, "locked", timeout_s=60.0)
    await house.has(BRIDGE, exactly=False)


async def test_after_a_restart_of_home_assistant_everything_is_known(house: House) -> None:
    """Also the last action, whose event came and went; and discovery, although the broker has lost it."""

    def lasting() -> dict[str, str]:
        states = {entity: str(each["state"]) for entity, each in house.ha.entities().items()}
        return {entity: state for entity, state in states.items() if not entity.startswith(("button", "event"))}

    async with house.watching() as home:
        await home.ask("front_door/simulate", {"fob": 1})
        await house.shows(LOCK, "unlocked")
        await house.shows("sensor.front_door_last_user", "Fob")
        await house.has({f"select.front_door_fob_action_{n}": word for n, word in FOB.items()}, exactly=False)
        before = lasting()
        await asyncio.to_thread(house.ha.stop)
        home.peer.publish(DISCOVERY, b"", retain=True)
        await asyncio.to_thread(house.ha.start)
        await house.shows(LOCK, "unlocked")
        await until_async(lambda: lasting() == before, lambda: (before, lasting()))
        await home.until(lambda: json.loads(home.last(DISCOVERY) or "{}").get("components"))
        assert house.ha.attributes("sensor.front_door_last_action")["source"] == "fob"


# -- forms, and the end -----------------------------------------------------------------------------------------------


async def test_from_one_form_to_the_other_and_back_the_entities_stay(house: House) -> None:
    """With the IDs and names that they had; in the old form the lock knows no `open`."""
    before = set(house.ha.entities())
    device = house.ha.template(f"device_id('{LOCK}')")
    for style in ("legacy", "device"):
        await house.stop_daemon()
        house.configure(f"style: {style}")
        house.daemon.start()
        async with house.watching() as home:
            legacy = "homeassistant/lock/nuki_bridge_1a2b3c4d/lock/config"
            new, old = (legacy, DISCOVERY) if style == "legacy" else (DISCOVERY, legacy)
            came = partial(lambda new, old: home.last(new) and home.last(old) in ("", None), new, old)
            await home.until(came, 60.0)
            await asyncio.to_thread(house.ha.until, LOCK, "unlocked", timeout_s=60.0)
            await until_async(lambda: set(house.ha.entities()) == before, lambda: set(house.ha.entities()) ^ before)
            assert house.ha.template(f"device_id('{LOCK}')") == device
            await house.call("lock", "open", LOCK)
            await home.until(lambda: home.last("front_door/state") == "unlatched")
            await house.shows(LOCK, "unlocked")
            await until_async(lambda style=style: house.forms() == {style})  # what was cleared is forgotten


async def test_switched_off_everything_disappears_and_on_again_it_is_back(house: House) -> None:
    before = set(house.ha.entities())
    for settings, expected in (("enabled: false", set()), ("", before)):
        await house.stop_daemon()
        house.configure(settings)
        house.daemon.start()
        await until_async(lambda expected=expected: set(house.ha.entities()) == expected, lambda: house.ha.log[-3000:])


async def test_a_lock_tells_of_its_own_networks(house: House) -> None:
    async with house.watching() as home:
        await home.online()
        await home.ask("bridge/request/pair", {"address": ULTRA, "name": "shed", "pin": PIN})
        expected = {
            "binary_sensor.shed_remote_access": "on",
            "sensor.shed_wi_fi": "connected",
            "sensor.shed_wi_fi_signal_strength": "-47",
            "sensor.shed_mqtt": "connected",
            "sensor.shed_thread": "disabled",
        }
        await house.has(expected, exactly=False)
        await home.ask("bridge/request/unpair", {"name": "shed"})
        await until_async(lambda: not [each for each in house.ha.entities() if ".shed" in each])


async def test_an_opener_is_a_lock_with_two_modes_and_a_doorbell(house: House) -> None:
    lock, bell = "lock.intercom", "event.intercom_doorbell"
    rto, continuous = "switch.intercom_ring_to_open", "switch.intercom_continuous_mode"
    async with house.watching() as home:
        await home.online()
        await home.ask("3E4F5061/simulate", {"hold_button": True})
        await home.ask("bridge/request/pair", {"address": OPENER, "name": "intercom", "pin": "1234"})
        expected = {lock: "locked", rto: "off", continuous: "off", bell: "unknown"}
        settings = {"number.intercom_ring_to_open_timeout": "20", "select.intercom_doorbell_suppression": "off"}
        await house.has({**expected, **settings, "button.intercom_open": "unknown"}, exactly=False)
        assert house.ha.attributes(lock)["supported_features"] == 1  # open

        await asyncio.sleep(6.0)  # what the beacon says right after an action of ours is on account of that
        await home.ask("intercom/simulate", {"ring": True})
        await until_async(lambda: house.ha.attributes(bell).get("event_type") == "ring")
        assert house.ha.attributes(bell)["opened"] is None
        assert house.ha.attributes(bell)["device_class"] == "doorbell"

        await house.call("switch", "turn_on", rto)
        await house.has({rto: "on", lock: "unlocked"}, exactly=False)
        await house.call("lock", "lock", lock)
        await house.has({rto: "off", lock: "locked"}, exactly=False)
        await house.call("switch", "turn_on", continuous)
        await house.has({continuous: "on", lock: "unlocked", rto: "off"}, exactly=False)
        await house.call("switch", "turn_off", continuous)
        await house.has({continuous: "off", lock: "locked"}, exactly=False)
        await house.call("select", "select_option", "select.intercom_doorbell_suppression", option="always")
        await house.shows("select.intercom_doorbell_suppression", "always")

        shown = asyncio.create_task(house.shows(lock, "opening", "open"))
        await house.call("lock", "open", lock)
        await shown
        await house.shows(lock, "locked")
        assert await home.movements("intercom") == 1
        await home.ask("bridge/request/unpair", {"name": "intercom"})
        await until_async(lambda: not [each for each in house.ha.entities() if ".intercom" in each])


async def test_an_unpaired_lock_disappears(house: House) -> None:
    async with house.watching() as home:
        await home.online()
        await house.shows(LOCK, "unlocked")
        device = house.ha.template(f"device_id('{LOCK}')")
        await home.ask("bridge/request/unpair", {"name": "front_door"})
        await house.has(BRIDGE)
        assert house.ha.template(f"device_attr('{device}', 'name')") is None


def test_home_assistant_had_nothing_to_complain_of(house: House) -> None:
    """But for how it and where it was started here, and for the way back to the old form, where it has no components to
    clean up."""
    time.sleep(1.0)  # for its log to be written
    expected = ("Skipping pip installation", "No device components to cleanup", " is taking over 10 seconds")
    assert [each for each in house.ha.complaints() if not any(part in each for part in expected)] == []
