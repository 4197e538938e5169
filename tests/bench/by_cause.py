"""Has the daemon act and idle under observation (`profiled`): processor time by cause, and how often it does what."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.bench.child import Child
    from tests.bench.guest import Daemon

ANSWER_S = 30.0
WARM = 2
"""Actions before the first that is observed: what only a first one brings with it is not meant."""
DETAILS = 40
"""Most of the single functions and messages that the result keeps."""


def measure(air: Child, daemon: Daemon, directory: Path, actions: int, idle_s: float) -> dict[str, Any]:
    """Observe a daemon twice, each time from its start: sampled, and counted.  For one action and one idle minute."""
    found: dict[str, Any] = {}
    plain = daemon.command
    for mode in ("sample", "count"):
        file = directory / "observed.json"
        daemon.command = (sys.executable, "-m", "tests.bench.profiled", str(file), mode)
        daemon.start()
        daemon.until_reachable()
        for _ in range(WARM):
            daemon.act(air.ask("ready", wait=daemon.wait_for))
        air.ask("ready", wait=daemon.wait_for)
        trips, before = air.ask("transactions"), look(daemon.process.pid, file)
        for _ in range(actions):
            daemon.act(air.ask("ready", wait=daemon.wait_for))
        air.ask("ready", wait=daemon.wait_for)
        trips, after = air.ask("transactions") - trips, look(daemon.process.pid, file)
        time.sleep(idle_s)
        later = look(daemon.process.pid, file)
        daemon.stop()
        action, idle = between(before, after, 1 / actions), between(after, later, 60 / idle_s)
        if mode == "count":
            action["counts"]["ATT round trips"] = trips / actions
        found["sampled" if mode == "sample" else "counted"] = {"action": action, "idle_minute": idle}
    daemon.command = plain
    return {"actions": actions, "idle_s": idle_s, **found}


def look(pid: int, file: Path) -> dict[str, Any]:
    """What the daemon under observation has found since its start."""
    file.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR2)
    deadline = time.monotonic() + ANSWER_S
    while not file.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the daemon under observation did not write {file}")
        time.sleep(0.02)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def between(before: Mapping[str, Any], after: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """What came between two looks: processor time and counts times `factor`, samples as they are."""
    found: dict[str, Any] = {"cpu_ms": (after["cpu_s"] - before["cpu_s"]) * 1000 * factor}
    for part in ("samples", "leaves", "counts", "detail"):
        if part not in after:
            continue
        new = Counter(after[part])
        new.subtract(before[part])
        most = new.most_common(DETAILS if part in ("leaves", "detail") else None)
        scale = factor if part in ("counts", "detail") else 1
        found[part] = {name: count * scale for name, count in most if count}
    if "counts" in found:
        found["counts"]["times asleep"] = (after["slept"] - before["slept"]) * factor
    return found
