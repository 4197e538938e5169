"""`make bench`: boots the virtual machine, has everything measured there, prints one table and writes bench.json.

    python -m tests.bench
    python -m tests.bench daemon [--actions N] [--on-demand-actions N] [--endurance N]
    python -m tests.bench causes [--cause-actions N] [--here]
    python -m tests.bench page [--page-actions N] [--page-starts N]
    python -m tests.bench doorbell [--rings N]
    python -m tests.bench neighbours [--neighbour-actions N]
    python -m tests.bench many [--idle SECONDS]

`daemon` is all that is measured in the virtual machine, `causes` the processor time by cause alone, there or in some
minutes on this one (`--here`).  Phone page, doorbell, Nuki's own interfaces and many locks are measured on this machine
itself, in a few minutes each.  What was measured is in bench.json at once, which keeps the rest.

The result is printed beside the last one that was kept (`--keep`, `--compare FILE`), with what moved by more than its
own noise.

Timings count only on a machine that does nothing else: the load it had is part of the result.  With
`--count-instructions` the virtual machine's clock counts instructions instead, which depends far less on that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import compare, doorbell, here, many, neighbours, page
from tests.bench.causes import render as render_causes
from tests.bench.native import measure as measure_natively
from tests.bench.table import render
from tests.vm import rig
from tests.vm.kernel import RigError

KEPT = Path(__file__).resolve().parent / "kept.json"
"""The result of the last release, with which others are compared."""
PYNUKIBT = rig.PROJECT / ".venv-pynukibt" / "bin" / "python"


ALONE = {
    "page": "the phone page",
    "doorbell": "the doorbell",
    "neighbours": "Nuki's own interfaces",
    "many": "many locks",
}
"""What is measured on this machine itself, each for itself."""


def main() -> int:
    """The command line; the exit status says only whether it could be measured."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure the daemon in a virtual machine."
    )
    parser.add_argument(
        "part",
        nargs="?",
        choices=("all", "daemon", "causes", *ALONE),
        default="all",
        help="what to measure (%(default)s)",
    )
    parser.add_argument("--actions", type=int, default=200, help="for each contender that holds its link (%(default)s)")
    parser.add_argument("--on-demand-actions", type=int, default=200, help="for each that connects first (%(default)s)")
    parser.add_argument("--guest-actions", type=int, default=40, help="through the relay (%(default)s)")
    parser.add_argument("--page-actions", type=int, default=20, help="on the phone page, of each kind (%(default)s)")
    parser.add_argument("--page-starts", type=int, default=5, help="of the phone page, of each kind (%(default)s)")
    parser.add_argument("--rings", type=int, default=10, help="of the doorbell, of each kind (%(default)s)")
    parser.add_argument("--neighbour-actions", type=int, default=40, help="by each of Nuki's own ways (%(default)s)")
    parser.add_argument("--users", type=int, default=100, help="of the lock when they are listed (%(default)s)")
    parser.add_argument("--invitations", type=int, default=100, help="made and redeemed (%(default)s)")
    parser.add_argument("--endurance", type=int, default=1000, help="actions between two looks at memory (%(default)s)")
    parser.add_argument("--cause-actions", type=int, default=100, help="under observation (%(default)s)")
    parser.add_argument("--here", action="store_true", help="with `causes`: not in the virtual machine")
    parser.add_argument("--rounds", type=int, default=4, help="in which the contenders take turns (%(default)s)")
    parser.add_argument("--idle", type=float, default=60.0, metavar="SECONDS", help="of doing nothing (%(default)g)")
    parser.add_argument("--json", type=Path, default=rig.PROJECT / "bench.json", help="where to write the result")
    parser.add_argument("--compare", type=Path, default=KEPT, help="with this result (the last one kept)")
    parser.add_argument("--keep", action="store_true", help=f"keep this result, as {KEPT.relative_to(rig.PROJECT)}")
    parser.add_argument("--results", type=Path, help="keep the logs there")
    parser.add_argument("--machine", choices=("qemu", "uml"), default="qemu", help="kind of machine (%(default)s)")
    parser.add_argument(
        "--count-instructions",
        action="store_true",
        help="of QEMU's machine: its clock counts instructions, so that times hardly depend on what else runs here",
    )
    parser.add_argument("--timeout", type=float, default=10_800.0, metavar="SECONDS")
    options = parser.parse_args()
    if options.count_instructions and options.machine != "qemu":
        parser.error("only QEMU's machine can count instructions")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # no machine outlives us
    command = [
        *("python", "-m", "tests.bench.guest"),
        *("--actions", str(options.actions), "--on-demand-actions", str(options.on_demand_actions)),
        *("--guest-actions", str(options.guest_actions)),
        *("--users", str(options.users), "--invitations", str(options.invitations)),
        *("--endurance", str(max(options.endurance, options.actions))),
        *("--rounds", str(options.rounds), "--idle", str(options.idle)),
        *("--cause-actions", str(options.cause_actions)),
        *(("--only-causes",) if options.part == "causes" else ()),
        *(("--pynukibt", str(PYNUKIBT)) if PYNUKIBT.exists() else ()),
    ]
    if options.part == "causes" and options.here:
        print(render_causes(asyncio.run(here.measure(options.cause_actions, options.idle))))
        return 0
    alone = {}
    for name in ALONE if options.part == "all" else ALONE.keys() & {options.part}:
        alone[name] = _measure_alone(name, options)
        _keep(options.json, {name: alone[name]})
    if options.part in ALONE:
        print(_render_alone(alone))
        return 0
    others = Others()
    native = {}
    if options.part != "causes":
        print("bench: the relay on this machine itself", file=sys.stderr, flush=True)
        native = {"native": asyncio.run(measure_natively(options.guest_actions))}
    try:
        measured = _in_the_machine(command, options)
    except RigError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    clock = "instructions" if options.count_instructions else "time"
    machine = _machine(others) | {"kind": options.machine, "clock": clock}
    if options.part == "causes":
        _keep(options.json, {"causes": measured["causes"] | {"time": _now(), "machine": machine}})
        print(render_causes(measured["causes"]))
        return 0
    measured |= native | {"time": _now(), "machine": machine}
    _keep(options.json, measured)
    print(render(measured), render_causes(measured.get("causes", {})), _render_alone(alone), sep="\n\n")
    if options.compare.exists():
        print("", compare.render(json.loads(options.compare.read_text()), measured), sep="\n")
    if options.keep:
        KEPT.write_bytes(options.json.read_bytes())
    return 0


def _in_the_machine(command: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """What the guest's side has measured; raises `RigError` with the ends of its logs."""
    with tempfile.TemporaryDirectory(prefix="nuki-bridge-bench-") as temporary:
        results = options.results or Path(temporary)
        status = rig.run(
            command,
            python=Path(sys.executable),
            timeout_s=options.timeout,
            results=results,
            output=sys.stderr.buffer,
            kind=options.machine,
            skip_time=False,
            count_instructions=options.count_instructions,
        )
        if status != 0:
            logs = [
                f"-- {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in sorted(results.glob("*.log"))
            ]
            raise RigError("\n".join([f"the machine ended with status {status}", *logs]))
        measured: dict[str, Any] = json.loads((results / "bench.json").read_text())
        return measured


def _measure_alone(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One of `ALONE`, with when that was, and on which machine."""
    print(f"bench: {ALONE[name]} on this machine itself", file=sys.stderr, flush=True)
    others = Others()
    match name:
        case "page":
            found = page.measure(options.page_actions, options.page_starts)
        case "doorbell":
            found = asyncio.run(doorbell.measure(options.rings))
        case "neighbours":
            found = asyncio.run(neighbours.measure(options.neighbour_actions))
        case _:
            found = asyncio.run(many.measure(options.idle))
    return found | {"time": _now(), "machine": _machine(others)}


def _keep(file: Path, part: dict[str, Any]) -> None:
    """Replace a part of the result, and leave the rest of it."""
    kept = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(kept | part, indent=1) + "\n")


def _render_alone(parts: dict[str, Any]) -> str:
    """What was measured on this machine itself, as text."""
    renderers = {
        "page": page.render,
        "doorbell": doorbell.render,
        "neighbours": neighbours.render,
        "many": many.render,
    }
    return "\n\n".join(renderers[name](part) for name, part in parts.items() if name in renderers)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _machine(others: Others) -> dict[str, Any]:
    return {"processors": os.cpu_count(), "architecture": platform.machine(), "others": others.processors()}


class Others:
    """How many processors of this machine were busy with something else, on average since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._before = self._busy_s()

    def processors(self) -> float:
        """Call it when all our own children have ended."""
        return (self._busy_s() - self._before) / (time.monotonic() - self._start)

    @staticmethod
    def _busy_s() -> float:
        with open("/proc/stat") as file:
            user, nice, system, *_ = map(int, file.readline().split()[1:])
        ours = os.times()
        return (user + nice + system) / os.sysconf("SC_CLK_TCK") - ours.children_user - ours.children_system


if __name__ == "__main__":
    sys.exit(main())
