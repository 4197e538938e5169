"""How long a ring at an Opener takes to MQTT, on this machine itself.

The virtual Opener's radio is as slow as a real one: it advertises every 100 ms, connecting waits for an advertisement,
and an indication takes 50 ms.  So what is measured is how often the bridge goes back and forth, and what it waits for.
A ring that opens nothing is known from the log if the bridge has the PIN, else from the beacon; one that ring to open
answers is known from the states.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from nuki_bridge.simulator.backend import STATE_FILE, default_locks, save_locks
from tests.bench.table import spread
from tests.integration.broker import Broker
from tests.integration.daemon import OPENER, Home, running

CALM_S = 20.0
"""Seconds before each ring: longer than an echo of anything before, and than a link that lingers."""
LONGEST_S = 15.0
"""Seconds after which a ring counts as lost."""


async def measure(rings: int) -> dict[str, Any]:
    """Milliseconds from the ring to its event, `rings` times each; a ring of which nobody told is counted."""
    without, with_pin = await asyncio.gather(_at_home(None, rings), _at_home("1234", rings))
    return {"without_pin": without, **with_pin, "aim_ms": 2000}


async def _at_home(pin: str | None, rings: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="nuki-bridge-bench-") as temporary:
        directory = Path(temporary)
        (directory / "broker").mkdir()
        devices = default_locks(directory / "state")
        for each in devices:
            each.device.factory_new = True
        (directory / "state").mkdir(mode=0o700)
        save_locks(directory / "state" / STATE_FILE, devices)
        with Broker(directory / "broker", options=("log_type none",)) as broker:
            known = f', pin: "{pin}"' if pin is not None else ""
            locks = f'locks:\n  - {{name: gate, address: "{OPENER}"{known}}}\n'
            async with running(broker, directory, locks, log_level="info") as home:
                await home.ask("bridge/request/pair", {"address": OPENER, "name": "gate"})
                await home.until(lambda: home.last("gate/state"))
                in_vain = await _ring(home, rings)
                if pin is None:
                    return in_vain
                await home.ask("gate/set", json.dumps({"action": "activate_rto"}))
                return {"with_pin": in_vain, "opened": await _ring(home, rings)}


async def _ring(home: Home, rings: int) -> dict[str, Any]:
    took: list[float] = []
    for _ in range(rings):
        await asyncio.sleep(CALM_S)
        before = _rung(home)
        start = time.monotonic()
        home.peer.publish("nuki/gate/simulate", '{"ring": true}')
        while _rung(home) == before and time.monotonic() < start + LONGEST_S:
            await asyncio.sleep(0.002)
        if _rung(home) > before:
            took.append((time.monotonic() - start) * 1000)
    return {"rings": rings, "told": len(took), "ms": spread(took) if took else None}


def _rung(home: Home) -> int:
    return sum(json.loads(each).get("type") == "ring" for each in home.on("gate/event"))


def render(results: dict[str, Any]) -> str:
    """What was measured, in lines."""
    lines = []
    for key, what in (
        ("without_pin", "a ring that opens nothing, without the PIN"),
        ("with_pin", "  with it"),
        ("opened", "a ring that ring to open answers"),
    ):
        one = results[key]
        told = f"{one['told']} of {one['rings']} told"
        if one["ms"] is not None:
            spread_ms = f"{one['ms']['median']:.0f} ms ({one['ms']['min']:.0f}-{one['ms']['max']:.0f})"
            missed = "" if one["ms"]["max"] <= results["aim_ms"] else "   missed"
            told = f"{spread_ms}, {told}, aim {results['aim_ms']} ms{missed}"
        lines.append(f"{what.ljust(44)}  {told}")
    return "\n".join(["Doorbell, from the ring to its event on MQTT, on this machine itself:", *lines])
