"""What an adapter and bluetoothd can be set to, and what the installed daemon makes of it: passive scans, rfkill."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

if not os.environ.get("VM_RESULTS"):
    pytest.skip("runs in the virtual machine: python -m tests.vm.rig -- pytest tests/vm/guest", allow_module_level=True)

from nuki_bridge.protocol.codes import LockState
from tests.integration.broker import Broker
from tests.radio.air import Air
from tests.vm.guest import stack
from tests.vm.guest.program import Program
from tests.vm.guest.world import a_world

pytestmark = pytest.mark.real_time


@asynccontextmanager
async def experimental() -> AsyncIterator[None]:
    """bluetoothd with `--experimental`, and as it was afterwards."""
    await stack.stop_bluetoothd()
    await stack.start_bluetoothd("--experimental")
    try:
        yield
    finally:
        await stack.stop_bluetoothd()
        await stack.start_bluetoothd()


async def test_on_demand_a_turn_by_hand_is_seen_without_asking_the_lock_for_anything(tmp_path: Path) -> None:
    """An active scan has each lock answer, which costs its battery; a passive one only listens."""
    async with experimental(), a_world(tmp_path, connection="on-demand", duplicates="data") as world:
        program, lock = world.program, world.lock
        await world.pair()
        await program.until("front_door/state", "locked")
        for state in (LockState.UNLOCKED, LockState.LOCKED):
            await stack.until(lambda: lock.links == 0 and world.air.scan == "passive", what="the passive scan")
            before = world.air.active_scans
            lock.turn_by_hand(state)
            await stack.until(lambda: lock.links > 0, what="the daemon's connection")
            assert world.air.active_scans == before
            await program.until("front_door/state", state.name.lower())
        assert world.movements() == []
        await world.work(after="turns by hand")


ACTIVATION = Path("/usr/share/dbus-1/system-services/org.bluez.service")
START = Path("/run/tmp/start-bluetoothd")


@pytest.fixture
def activating() -> Iterator[None]:
    """D-Bus starts bluetoothd by itself, as systemd does for it elsewhere; there is none here."""
    before = ACTIVATION.read_text()
    START.write_text(f"#!/bin/sh\necho $$ >/run/bluetoothd.pid\nexec {stack.DAEMON} -n 2>>/run/vm/bluetoothd.log\n")
    START.chmod(0o755)
    ACTIVATION.write_text(f"[D-BUS Service]\nName=org.bluez\nUser=root\nExec={START}\n")
    reload = [
        "dbus-send",
        "--system",
        "--print-reply",
        "--dest=org.freedesktop.DBus",
        "/",
        "org.freedesktop.DBus.ReloadConfig",
    ]
    subprocess.run(reload, check=True, capture_output=True)
    try:
        yield
    finally:
        ACTIVATION.write_text(before)
        subprocess.run(reload, check=True, capture_output=True)


@pytest.mark.usefixtures("activating")
async def test_a_bluetoothd_that_dies_is_started_again_and_one_that_is_stopped_is_not(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        program = world.program
        await world.pair()
        await stack.stop_bluetoothd(signal.SIGKILL)
        await program.until("front_door/availability", "offline", 20)
        await stack.until(lambda: "has died" in program.retained["bridge/info"], 20)
        await stack.until(lambda: '"available":true' in program.retained["bridge/info"], 60)
        await world.work(after="bluetoothd died and was started by D-Bus")

        await stack.stop_bluetoothd(signal.SIGTERM)
        await stack.until(lambda: "bluetoothd is not running" in program.retained["bridge/info"], 20)
        await asyncio.sleep(30)
        assert "bluetoothd is not running" in program.retained["bridge/info"]
        await stack.start_bluetoothd()
        await stack.wait_powered()
        await world.work(after="bluetoothd was stopped and started")


@pytest.mark.usefixtures("activating")
async def test_a_lock_that_does_not_answer_leaves_bluetoothd_usable(tmp_path: Path) -> None:
    """bluetoothd 5.66 may die of it; other versions live on.  Either way the lock is reached when it answers again."""
    async with a_world(tmp_path) as world:
        program = world.program
        await world.pair()
        world.peripheral.mute = True
        world.lock.drop_links()
        await program.until("front_door/availability", "offline", 60)
        await asyncio.sleep(90)
        world.peripheral.mute = False
        await world.work(after="the lock was mute")
        world.peripheral.mute = True
        world.lock.drop_links()
        await asyncio.sleep(15)
        await stack.power(False)
        await asyncio.sleep(20)
        world.peripheral.mute = False
        await stack.power(True)  # which a bluetoothd that was started again has done by itself
        await world.work(after="power off with a connect pending")


async def test_an_adapter_that_rfkill_blocks_is_told_with_the_way_out(tmp_path: Path) -> None:
    air = Air()
    try:
        await air.plug_in()
        await stack.wait_powered()
        with Broker(tmp_path) as broker:
            async with Program(tmp_path, broker) as program:
                stack.block(True)
                await stack.until(lambda: "rfkill unblock bluetooth" in program.retained["bridge/info"], 20)
                refused = await program.request("bridge/request/scan", timeout=2)
                assert refused["error"] == "adapter_unavailable"
                assert "rfkill unblock bluetooth" in refused["message"]
                stack.block(False)
                await stack.wait_powered()
                await stack.until(lambda: '"available":true' in program.retained["bridge/info"], 20)
    finally:
        await air.close()
        await stack.wait_gone()
