"""What each lock costs in a process that has many: memory, and processor time while nothing happens.

Daemon and broker run on this machine itself.  The locks are virtual and live in the daemon, so that what a virtual lock
takes is in the figures, too.  Each is paired, with its PIN, and its link is held, which costs more than a link on
demand; then the daemon is started anew, as it runs for years.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import tempfile
from pathlib import Path
from typing import Any

from nuki_bridge.simulator.backend import STATE_FILE, save_locks
from nuki_bridge.simulator.lock import virtual_device
from tests import patience
from tests.bench.child import cpu_s
from tests.integration.broker import Broker
from tests.integration.daemon import running

COUNTS = (1, 100, 300)
SETTLED_S = 15.0
"""After the start: each lock's states, log, configuration and users are read."""
ADDRESS = "54:D2:72:10:{:02X}:{:02X}"


async def measure(idle_s: float) -> dict[str, Any]:
    """Resident MiB and percent of a processor with so many locks, and what each further one adds to that."""
    found = {str(count): await _with(count, idle_s) for count in COUNTS}
    each = {f"{low} to {high}": _each(found, low, high) for low, high in itertools.pairwise(COUNTS)}
    return {"idle_s": idle_s, "locks": found, "each": each}


def _each(found: dict[str, dict[str, float]], low: int, high: int) -> dict[str, float]:
    few, many = found[str(low)], found[str(high)]
    return {
        "kib": (many["rss_mib"] - few["rss_mib"]) * 1024 / (high - low),
        "percent": (many["idle_percent"] - few["idle_percent"]) / (high - low),
    }


async def _with(count: int, idle_s: float) -> dict[str, float]:
    addresses = [ADDRESS.format(*divmod(number, 256)) for number in range(count)]
    with tempfile.TemporaryDirectory(prefix="nuki-bridge-bench-") as temporary:
        directory = Path(temporary)
        for each in ("broker", "state"):
            (directory / each).mkdir()
        devices = [
            virtual_device(address, 0x10000000 + number, pin=1234, factory_new=True)
            for number, address in enumerate(addresses)
        ]
        save_locks(directory / "state" / STATE_FILE, devices)
        entries = [
            f'  - {{name: lock_{number}, address: "{address}", pin: "1234"}}\n'
            for number, address in enumerate(addresses)
        ]
        locks = "locks:\n" + "".join(entries)
        options = {"program": "tests.bench.instant", "log_level": "info", "topics": "bridge/#"}
        with Broker(directory / "broker", options=("log_type none",)) as broker:
            async with running(broker, directory, locks, **options) as home:
                for number, address in enumerate(addresses):
                    request = {"address": address, "name": f"lock_{number}"}
                    answer = await home.ask("bridge/request/pair", json.dumps(request))
                    assert answer["status"] == "ok", answer
                home.daemon.signal(signal.SIGTERM)
                await home.daemon.ended(patience.HANG_S)
                await home.until(lambda: home.last("bridge/state") == "offline")
                home.daemon.start()
                await home.online()
                await asyncio.sleep(SETTLED_S)
                assert home.daemon.process is not None
                pid = home.daemon.process.pid
                before = cpu_s(pid)
                await asyncio.sleep(idle_s)
                percent = (cpu_s(pid) - before) / idle_s * 100
                return {"rss_mib": home.daemon.memory_kib() / 1024, "idle_percent": percent}


def render(results: dict[str, Any]) -> str:
    """What was measured, in lines."""
    lines = ["Many virtual locks in one process, links held, on this machine itself:"]
    for count, one in results["locks"].items():
        lines.append(f"  {count:>3} locks: {one['rss_mib']:6.1f} MiB, idle {one['idle_percent']:.2f}% of a processor")
    for step, one in results["each"].items():
        lines.append(f"  {step}: {one['kib']:.0f} KiB and {one['percent']:.3f}% each")
    return "\n".join(lines)
