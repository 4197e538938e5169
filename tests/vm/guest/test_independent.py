"""The virtual lock and a client that others wrote: pyNukiBT, in an environment of its own, over the real stack.

What our own client and our lock misunderstand in the same way, this would show.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

if not os.environ.get("VM_RESULTS"):
    pytest.skip("runs in the virtual machine: python -m tests.vm.rig -- pytest tests/vm/guest", allow_module_level=True)

from nuki_bridge.protocol.codes import DoorState, Family, LockState
from nuki_bridge.simulator.behaviour import Behaviour
from nuki_bridge.simulator.lock import VirtualLock
from tests.radio.air import Air
from tests.vm.guest import stack
from tests.vm.guest.independent import an_independent_client, is_now
from tests.vm.guest.world import trail

pytestmark = pytest.mark.real_time

ADDRESS = "54:D2:72:2B:3C:4D"
NUKI_ID = 0x1A2B3C4D
SAME_IN_BOTH = (
    *("auto_unlatch", "pairing_enabled", "button_enabled", "led_enabled", "led_brightness", "dst_mode", "has_fob"),
    *("fob_action_1", "fob_action_2", "fob_action_3", "single_lock", "has_keypad", "homekit_status", "capabilities"),
)
"""Settings that pyNukiBT gives the same name, as plain numbers."""


@asynccontextmanager
async def a_lock(family: Family, pin: int) -> AsyncIterator[VirtualLock]:
    """A lock on the air of a powered adapter."""
    # The motor takes its time: pyNukiBT waits for the end of a movement only after it has seen the beginning.
    lock = VirtualLock(ADDRESS, NUKI_ID, family=family, pin=pin, behaviour=Behaviour(motor_s=1.0, pairing_mode_s=120))
    air = Air()
    try:
        await air.add(lock, interval_s=0.2)
        await air.plug_in()
        await stack.wait_powered()
        yield lock
    finally:
        await air.close()
        await stack.wait_gone()


def config_of(lock: VirtualLock) -> dict[str, Any]:
    """The lock's settings in pyNukiBT's words."""
    settings, modern = lock.settings, lock.family is Family.ULTRA
    return {
        **{name: int(getattr(settings, name)) for name in SAME_IN_BOTH},
        "nuki_id": NUKI_ID,
        "name": settings.name,
        "latitude": settings.latitude,
        "longitude": pytest.approx(settings.longitude),
        "timezone_offset": lock.told_offset_min,
        "advertising_mode": "AUTOMATIC",
        "firmware_version": list(settings.firmware_version),
        "hardware_revision": list(settings.hardware_revision),
        "timezone_id": "EUROPE_BERLIN",
        "device_type": "SMARTLOCK_ULTRA" if modern else "SMARTLOCK_3_4",
        "has_keypad_v2": int(settings.has_keypad_2),
        "matter_status": "UNAVAILABLE" if modern else None,
    }


def states_of(lock: VirtualLock) -> dict[str, Any]:
    """Keyturner States in pyNukiBT's words, of a lock that rests locked after it was told to."""
    modern = lock.family is Family.ULTRA
    return {
        "nuki_state": "DOOR_MODE",
        "lock_state": "LOCKED",
        "trigger": "SYSTEM",
        "timezone_offset": lock.told_offset_min,
        "critical_battery_state": lock.battery_percent // 2 << 2,
        "config_update_count": lock.config_update_count,
        "lock_n_go_timer": 0,
        "last_lock_action": "LOCK",
        "last_lock_action_trigger": "SYSTEM",
        "last_lock_action_completion_status": "SUCCESS",
        "door_sensor_state": "DOOR_OPENED",
        "nightmode_active": 0,
        "accessory_battery_state": 0,
        "remote_access_status": 0x0D if modern else None,
        "ble_strength": 1 if modern else None,
        "wifi_strength": -47 if modern else None,
        "wifi_status": 0xEF if modern else None,
        "mqtt_status": 3 if modern else None,
        "thread_status": 0 if modern else None,
        "battery": {"percent": lock.battery_percent, "critical": False},
    }


@pytest.mark.parametrize(("family", "pin"), [(Family.CLASSIC, 1234), (Family.ULTRA, 123456)], ids=["classic", "ultra"])
async def test_an_independent_client_pairs_reads_acts_and_hears_the_beacon(family: Family, pin: int) -> None:
    async with a_lock(family, pin) as lock, an_independent_client(family.value, ADDRESS) as client:
        pairing = {"pin": pin} if family is Family.ULTRA else {}
        assert await client.get("hear") == {"poll_needed": True, "rssi": -60}
        assert await client.ask("pair", **pairing) == {"error": "P_ERROR_NOT_PAIRING"}
        lock.hold_button()
        paired = await client.get("pair", **pairing)
        [authorization] = lock.authorizations
        number = authorization.authorization_id
        assert int.from_bytes(bytes.fromhex(paired["auth_id"]), "little") == number
        assert (authorization.name, authorization.app_id) == ("independent", 0x0A0B0C0D)
        assert trail(lock, "paired") == [("paired", number, None)]
        assert not lock.pairing_mode
        await stack.until(lambda: lock.links == 0, what="the end of the link that was for pairing")

        assert (await client.get("states"))["lock_state"] == "LOCKED"
        config = await client.get("config")
        assert is_now(config.pop("current_time"))
        assert config == config_of(lock)

        lock.set_door(DoorState.OPEN)
        assert await client.get("act", action="UNLOCK") == {"status": "COMPLETED", "lock_state": "UNLOCKED"}
        assert lock.motor.state.name == "UNLOCKED"
        assert await client.get("act", action="LOCK") == {"status": "COMPLETED", "lock_state": "LOCKED"}
        assert lock.motor.state is LockState.LOCKED
        assert trail(lock, "action_received", "motor", "completed", "action_refused") == [
            ("action_received", number, "unlock"),
            ("motor", number, "unlock: unlocking"),
            ("completed", number, "success"),
            ("action_received", number, "lock"),
            ("motor", number, "lock: locking"),
            ("completed", number, "success"),
        ]
        states = await client.get("states")
        assert is_now(states.pop("current_time"))
        assert states == states_of(lock)

        report = await client.get("battery")
        assert (report["battery_voltage"], report["critical_battery_state"]) == (5680, 0)
        assert (report["lock_action"], report["lock_distance"], report["start_temperature"]) == ("LOCK", 380, 21)
        assert (report["max_turn_current"], report["battery_resistance"]) == (310, 650)
        assert await client.get("verify_pin", pin=pin) is True
        assert await client.get("verify_pin", pin=pin + 1) is False

        lock.block_motor()
        assert await client.ask("act", action="UNLOCK") == {"error": "K_ERROR_MOTOR_BLOCKED"}
        lock.block_motor(False)
        assert trail(lock, "refused") == [
            ("refused", None, "pairing: not_pairing"),
            ("refused", number, "bad_pin"),
        ]
        # A Bridge's reading has taken the beacon's flag down, an App's has not: as such the Ultra family pairs.
        await client.get("states")
        assert lock.state_changed is (family is Family.ULTRA)
        await client.get("leave")
        await stack.until(lambda: lock.links == 0, what="the end of the link")
        assert (await client.get("hear"))["poll_needed"] is lock.state_changed
        lock.turn_by_hand(LockState.UNLOCKED)
        assert (await client.get("hear"))["poll_needed"] is True
        states = await client.get("states")
        assert (states["lock_state"], states["trigger"]) == ("UNLOCKED", "MANUAL")
        assert len(lock.movements()) == 3
