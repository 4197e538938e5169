"""Clients of a Nuki Bridge that others wrote, against `nuki-bridge web`, a virtual lock and the shipped access list.

Home Assistant's integration calls with pynuki, ioBroker with nuki-bridge-api, Homebridge with hb-nb-tools.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests import patience
from tests.integration.bridge_house import NUKI_ID, TOKEN, House, house, listening
from tests.system.bridge_clients import HB_NB_TOOLS, NUKI_BRIDGE_API, PYNUKI, Client, client

pytestmark = pytest.mark.real_time

WRONG = "Sesame4712"


async def movements(home: House) -> list[str]:
    """What the motor was started for, by the lock's own record."""
    return [str(each["detail"]).partition(":")[0] for each in await home.home.audit() if each["what"] == "motor"]


async def test_pynuki(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(PYNUKI, tmp_path) as pynuki, listening() as program:
        assert await pynuki.ask("connect", home.port, WRONG) == {"error": "InvalidCredentialsException", "status": None}
        info = await pynuki.get("connect", home.port, TOKEN)
        assert {"hardwareId", "serverId"} <= set(info["ids"])
        await home.introduced()
        [lock] = await pynuki.get("devices")
        assert {
            key: lock[key]
            for key in ("kind", "nuki_id", "firmware", "state", "is_locked", "battery", "battery_critical", "door")
        } == {
            "kind": "NukiLock",
            "nuki_id": NUKI_ID,
            "firmware": "3.5.11",
            "state": "locked",
            "is_locked": True,
            "battery": 84,
            "battery_critical": False,
            "door": "door closed",
        }
        assert (await pynuki.get("bridge", "callback_add", program.url))["success"] is True
        for method, end in (("unlock", "unlocked"), ("lock", "locked"), ("unlatch", "unlatched"), ("lock", "locked")):
            assert (await pynuki.get("act", NUKI_ID, method, {"block": True}))["success"] is True, method
            await program.told(end, 2)
        assert await movements(home) == ["unlock", "lock", "unlatch", "lock"]
        assert (await pynuki.get("act", NUKI_ID, "unlock"))["success"] is True  # without waiting
        await home.settled("unlocked")
        assert (await pynuki.get("update", NUKI_ID, True))["state"] == "unlocked"
        assert len(await movements(home)) == 5

        assert (await pynuki.ask("bridge", "lock_action", NUKI_ID, 9))["status"] == 400
        assert (await pynuki.ask("bridge", "lock_state", 1))["status"] == 404
        [callback] = (await pynuki.get("bridge", "callback_list"))["callbacks"]
        assert callback["url"] == program.url
        assert (await pynuki.get("bridge", "callback_remove", callback["id"]))["success"] is True
        assert (await pynuki.get("bridge", "callback_list"))["callbacks"] == []


async def test_pynuki_that_gives_up_after_five_seconds(tmp_path: Path) -> None:
    """Its own default; whoever asks again then gets the outcome of the first, and the door moves once."""
    async with house(tmp_path) as home, client(PYNUKI, tmp_path) as pynuki:
        await home.home.ask("front/simulate", {"motor_s": 7.0})
        await pynuki.get("connect", home.port, TOKEN, True, 5.0)
        answer: dict[str, Any] = {"error": "ReadTimeout", "status": None}
        asked = 0
        while answer == {"error": "ReadTimeout", "status": None}:
            answer = await pynuki.ask("act", NUKI_ID, "unlatch", {"block": True})
            asked += 1
        assert asked > 1
        assert answer == {"ok": {"success": True, "batteryCritical": False}}
        assert await movements(home) == ["unlatch"]


async def test_a_plain_token_only_where_it_is_allowed(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(PYNUKI, tmp_path) as pynuki:
        assert (await pynuki.ask("connect", home.port, TOKEN, False))["error"] == "InvalidCredentialsException"


async def test_nuki_bridge_api(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(NUKI_BRIDGE_API, tmp_path) as iobroker, listening() as program:
        assert (await iobroker.ask("connect", home.port, WRONG, False))["status"] == 401
        await iobroker.get("connect", home.port, TOKEN, False)
        [lock] = await iobroker.get("list")
        assert (lock["nukiId"], lock["lastKnownState"]["state"]) == (NUKI_ID, 1)
        added = await iobroker.get("addCallback", program.url)
        assert added["url"] == program.url
        for action, end in ((1, "unlocked"), (2, "locked"), (3, "unlatched")):
            assert await iobroker.get("lockAction", NUKI_ID, action, False) is True
            await program.told(end, 2)
        assert await iobroker.get("lockState", NUKI_ID) in (3, 5)
        assert await iobroker.get("lock", NUKI_ID) is True
        assert await iobroker.get("unlock", NUKI_ID) is True
        assert await movements(home) == ["unlock", "lock", "unlatch", "lock", "unlock"]
        assert (await iobroker.ask("lockAction", NUKI_ID, 9, False))["status"] == 400
        await iobroker.get("removeCallback", added["id"])
        assert await iobroker.get("callbacks") == []


async def test_nuki_bridge_api_asks_again_and_the_door_moves_once(tmp_path: Path) -> None:
    """It repeats a call by itself at 503, with the same values; what could not be sent then must not be done later."""
    async with house(tmp_path) as home, client(NUKI_BRIDGE_API, tmp_path) as iobroker:
        await iobroker.get("connect", home.port, TOKEN, False)
        await iobroker.get("list")
        home.daemon.kill()
        await home.home.until(lambda: home.home.last("bridge/state") == "offline")
        asked = asyncio.create_task(iobroker.ask("lockAction", NUKI_ID, 3, False))
        await asyncio.sleep(0.5)
        home.daemon.start()
        assert "error" in await asked
        await home.home.until(lambda: home.home.last("bridge/state") == "online")
        assert await movements(home) == []


@pytest.mark.parametrize("encryption", ["encryptedToken", "hashedToken"])
async def test_hb_nb_tools(tmp_path: Path, encryption: str) -> None:
    async with house(tmp_path) as home, client(HB_NB_TOOLS, tmp_path) as homebridge:
        assert (await homebridge.ask("connect", home.port, WRONG, encryption))["status"] == 401
        told = await homebridge.get("connect", home.port, TOKEN, encryption)
        assert len(told["id"]) == 8
        await home.introduced()
        [lock] = await homebridge.get("list")
        assert lock["firmwareVersion"] == "3.5.11"
        kind = lock["deviceType"]
        heard = await homebridge.get("listen")
        assert heard["added"]["success"] is True
        [callback] = heard["callbacks"]
        assert callback["url"] == heard["url"]
        for action, end in ((1, 3), (2, 1), (3, 5)):
            assert (await homebridge.get("lockAction", NUKI_ID, kind, action))["success"] is True
            await until_event(homebridge, end)
        state = await homebridge.get("lockState", NUKI_ID, kind)
        assert state["success"] is True
        assert await movements(home) == ["unlock", "lock", "unlatch"]
        assert (await homebridge.get("forget", callback["id"]))["success"] is True


async def until_event(homebridge: Client, state: int) -> None:
    """Wait until its listener has been told of this state."""
    ends = patience.now() + patience.HANG_S
    events: list[dict[str, Any]] = []
    while not any(each["nukiId"] == NUKI_ID and each["state"] == state for each in events):
        assert patience.now() < ends, events
        await asyncio.sleep(0.1)
        events = await homebridge.get("events")
