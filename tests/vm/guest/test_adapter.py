"""What an adapter and bluetoothd can be set to, and what the installed daemon makes of it: passive scans, rfkill."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

if not os.environ.get("VM_RESULTS"):
    pytest.skip("runs in the virtual machine: python -m tests.vm.rig -- pytest tests/vm/guest", allow_module_level=True)

from nuki_bridge.protocol.codes import LockState
from nuki_bridge.simulator.air import Air
from tests.integration.broker import Broker
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
