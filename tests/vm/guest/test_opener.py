"""The virtual Opener on the real stack: with a client that others wrote, and with the installed daemon."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

if not os.environ.get("VM_RESULTS"):
    pytest.skip("runs in the virtual machine: python -m tests.vm.rig -- pytest tests/vm/guest", allow_module_level=True)

from nuki_bridge.simulator.behaviour import Behaviour
from nuki_bridge.simulator.opener import VirtualOpener
from tests.integration.broker import Broker
from tests.radio.air import Air
from tests.radio.peripheral import Peripheral
from tests.vm.guest import stack
from tests.vm.guest.independent import an_independent_client, is_now
from tests.vm.guest.program import Program
from tests.vm.guest.world import trail

pytestmark = pytest.mark.real_time

ADDRESS = "54:D2:72:4F:50:61"
NUKI_ID = 0x3E4F5061
PIN = 1234


@asynccontextmanager
async def an_opener(**behaviour: Any) -> AsyncIterator[VirtualOpener]:
    """An Opener on the air of a powered adapter."""
    opener = VirtualOpener(ADDRESS, NUKI_ID, pin=PIN, behaviour=Behaviour(pairing_mode_s=120, **behaviour))
    air = Air()
    try:
        await air.add(opener, interval_s=0.2)
        await air.plug_in()
        await stack.wait_powered()
        yield opener
    finally:
        await air.close()
        await stack.wait_gone()


def states_of(opener: VirtualOpener, **other: Any) -> dict[str, Any]:
    """Opener States in pyNukiBT's words, of one that has just opened, with what is `other`."""
    return {
        "nuki_state": "DOOR_MODE",
        "lock_state": "LOCKED",
        "trigger": "SYSTEM",
        "timezone_offset": opener.told_offset_min,
        "critical_battery_state": 0,
        "config_update_count": opener.config_update_count,
        "ring_to_open_timer": 0,
        "last_lock_action": "ELECTRIC_STRIKE_ACTUATION",
        "last_lock_action_trigger": "SYSTEM",
        "last_lock_action_completion_status": "SUCCESS",
        "door_sensor_state": "UNAVAILABLE",
        "battery": {"percent": 100, "critical": False},
        **other,
    }


def config_of(opener: VirtualOpener) -> dict[str, Any]:
    """The Opener's settings in pyNukiBT's words."""
    settings = opener.settings
    same: tuple[str, ...] = (
        "capabilities",
        "pairing_enabled",
        "button_enabled",
        "led_enabled",
        "dst_mode",
        "has_fob",
        "fob_action_1",
    )
    same += ("fob_action_2", "fob_action_3", "operating_mode", "has_keypad")
    return {
        **{name: int(getattr(settings, name)) for name in same},
        "nuki_id": NUKI_ID,
        "name": settings.name,
        "latitude": settings.latitude,
        "longitude": pytest.approx(settings.longitude),
        "timezone_offset": opener.told_offset_min,
        "advertising_mode": "AUTOMATIC",
        "firmware_version": list(settings.firmware_version),
        "hardware_revision": list(settings.hardware_revision),
        "timezone_id": "EUROPE_BERLIN",
    }


async def test_an_independent_client_pairs_opens_switches_both_modes_and_hears_the_bell() -> None:
    async with an_opener(deaf_after_action=False) as opener, an_independent_client("opener", ADDRESS) as client:
        assert await client.get("hear") == {"poll_needed": True, "rssi": -60}
        assert await client.ask("pair") == {"error": "P_ERROR_NOT_PAIRING"}
        opener.hold_button()
        paired = await client.get("pair")
        [authorization] = opener.authorizations
        number = authorization.authorization_id
        assert int.from_bytes(bytes.fromhex(paired["auth_id"]), "little") == number
        await stack.until(lambda: opener.links == 0, what="the end of the link that was for pairing")

        assert (await client.get("states"))["lock_state"] == "LOCKED"
        config = await client.get("config")
        assert is_now(config.pop("current_time"))
        assert config == config_of(opener)

        done = await client.get("act", action="ELECTRIC_STRIKE_ACTUATION")
        assert done == {"status": "COMPLETED", "lock_state": "LOCKED"}
        assert trail(opener, "action_received", "motor", "completed", "action_refused") == [
            ("action_received", number, "open"),
            ("motor", number, "open: opening"),
            ("completed", number, "success"),
        ]
        states = await client.get("states")
        assert is_now(states.pop("current_time"))
        assert states == states_of(opener)

        for action, changed in (
            ("ACTIVATE_RTO", {"lock_state": "RTO_ACTIVE", "ring_to_open_timer": 20}),
            ("DEACTIVATE_RTO", {}),
            ("ACTIVATE_CM", {"nuki_state": "CONTINUOUS_MODE"}),
        ):
            assert (await client.get("act", action=action, wait=False))["status"] == "ACCEPTED"
            states = await client.get("states")
            assert is_now(states.pop("current_time"))
            assert states == states_of(opener, last_lock_action=action, **changed)

        await client.get("leave")
        await stack.until(lambda: opener.links == 0, what="the end of the link")
        assert (await client.get("hear"))["poll_needed"] is False
        opener.ring()
        assert (await client.get("hear"))["poll_needed"] is True
        await stack.until(lambda: not opener.strike.active, what="the end of the opening by the ring")
        states = await client.get("states")
        assert (states["nuki_state"], states["lock_state"]) == ("CONTINUOUS_MODE", "LOCKED")
        assert states["trigger"] == "MANUAL"
        assert [each.detail for each in opener.movements()] == ["open: opening"] * 2
        kinds = [entry["type"] for entry in await client.get("log", pin=PIN, count=5)]
        assert kinds == ["DOOR_SENSOR", "LOCK_ACTION"], "pyNukiBT calls a ring by the name that it has at a lock"

        # The link is deaf after an action: this client waits until it is dropped, and asks again over a new one.
        opener.behaviour.deaf_after_action = True
        assert (await client.get("act", action="DEACTIVATE_CM", wait=False))["status"] == "ACCEPTED"
        await client.get("config")
        assert (await client.get("states"))["nuki_state"] == "DOOR_MODE"
        assert [each for each in trail(opener, "dropped") if "deaf" in str(each[2])]


@asynccontextmanager
async def a_home(directory: Path, **behaviour: Any) -> AsyncIterator[tuple[VirtualOpener, Peripheral, Program]]:
    """An Opener on the air and the installed daemon beside a broker."""
    opener = VirtualOpener(ADDRESS, NUKI_ID, pin=PIN, behaviour=Behaviour(pairing_mode_s=120, **behaviour))
    air = Air()
    try:
        peripheral = await air.add(opener, interval_s=0.2)
        await air.plug_in()
        await stack.wait_powered()
        with Broker(directory) as broker:
            async with Program(directory, broker, locks="[{name: intercom}]") as program:
                yield opener, peripheral, program
    finally:
        await air.close()
        await stack.wait_gone()


def rings(program: Program) -> list[dict[str, Any]]:
    """What the daemon has told of rings."""
    events = [json.loads(payload) for topic, payload in program.log if topic == "intercom/event"]
    return [each for each in events if each["type"] == "ring"]


async def rung(opener: VirtualOpener, program: Program) -> dict[str, Any]:
    """Ring the bell once while nobody is connected, and return what the daemon tells of it."""
    await stack.until(lambda: opener.links == 0, what="the end of the link")
    before = len(rings(program))
    opener.ring()
    await stack.until(lambda: len(rings(program)) > before, what="the event of the ring")
    await stack.until(lambda: not opener.strike.active, what="the end of an opening by the ring")
    await stack.until(lambda: opener.links == 0, what="the end of the link")
    [told] = rings(program)[before:]
    return told


@pytest.mark.parametrize("mtu", [517, 23])
async def test_the_daemon_pairs_strikes_once_and_tells_of_every_ring(tmp_path: Path, mtu: int) -> None:
    """The Opener is as a real one: one link, which is deaf after an action."""
    async with a_home(tmp_path) as (opener, peripheral, program):
        peripheral.max_mtu = mtu
        opener.hold_button()
        [seen] = (await program.request("bridge/request/scan", timeout=3))["data"]
        assert (seen["nuki_id"], seen["address"], seen["pairing_mode"]) == ("3E4F5061", ADDRESS, True)
        paired = await program.request("bridge/request/pair", name="intercom", pin=str(PIN), timeout=60)
        assert paired["status"] == "ok", paired
        await program.until("intercom/state", "locked")
        await program.until("intercom/continuous_mode", "off")
        # The log is read for the first time before a ring counts.
        await stack.until(lambda: "log_read" in {each.what for each in opener.audit}, what="the first look at the log")

        struck = await program.act("intercom", "open")
        assert (struck["status"], struck["completion"]) == ("ok", "success")
        assert [each.detail for each in opener.movements()] == ["open: opening"]
        await program.until("intercom/state", "locked")

        opener.advanced.electric_strike_duration = 1000
        for action, topic, word in (
            ("activate_rto", "state", "rto_active"),
            ("deactivate_rto", "state", "locked"),
            ("activate_continuous_mode", "continuous_mode", "on"),
            ("deactivate_continuous_mode", "continuous_mode", "off"),
        ):
            assert (await program.act("intercom", action))["status"] == "ok", action
            await program.until(f"intercom/{topic}", word)
        assert len(opener.movements()) == 1
        assert rings(program) == []

        await asyncio.sleep(30)  # a strike's echo counts no longer
        assert (await rung(opener, program))["opened"] is None
        assert (await program.act("intercom", "activate_rto"))["status"] == "ok"
        assert (await rung(opener, program))["opened"] == "rto"
        await program.until("intercom/state", "rto_active")
        assert len(opener.movements()) == 2
        assert len(rings(program)) == 2


async def test_an_opener_is_free_again_after_the_daemon_was_killed(tmp_path: Path) -> None:
    """A link that BlueZ has kept would hide every ring, and shut the app out."""
    async with a_home(tmp_path) as (opener, _, program):
        opener.hold_button()
        paired = await program.request("bridge/request/pair", name="intercom", pin=str(PIN), timeout=60)
        assert paired["status"] == "ok", paired
        await stack.until(lambda: opener.links == 0, what="the end of the link")
        task = asyncio.create_task(program.act("intercom", "open"))
        await stack.until(lambda: opener.strike.active, what="the strike")
        await program.stop(signal.SIGKILL)
        task.cancel()
        await program.start()
        await program.until("intercom/state", "locked", 60)
        await stack.until(lambda: opener.links == 0, what="the end of the link")
        assert len(opener.movements()) == 1
        assert await program.stop() == 0
        assert opener.links == 0
