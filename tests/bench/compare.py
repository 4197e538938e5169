"""A result beside the one that was kept: each figure old, new and in ratio, and what moved by more than its noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.bench.causes import columns
from tests.bench.table import NAMES

OTHER_MACHINE = 1.5
"""Machines whose floors differ by more than this factor are different ones."""

Kind = Literal["time", "processor", "memory", "count"]


@dataclass(frozen=True)
class Figure:
    """One figure; `noise` is how far it strays by itself, None if one measurement does not tell."""

    value: float
    noise: float | None
    kind: Kind


def figures(results: Mapping[str, Any]) -> dict[str, Figure]:
    """Every figure of a result by its name, in the order of the table."""
    found: dict[str, Figure] = {}
    for what in ("write", "echo"):
        _add(found, f"floor, {what}, ms", results.get(f"floor_{what}_ms"), "time")
    for key, name in NAMES.items():
        one = results.get(key)
        if one is None:
            continue
        for part, label in (("accepted_ms", "accepted"), ("complete_ms", "COMPLETE"), ("end_ms", "end")):
            _add(found, f"{name.strip()}: {label}, ms", one.get(part), "time")
        _add(found, f"{name.strip()}: ATT an action", one.get("att_rounds") or one.get("att_per_action"), "count")
        cpu = one.get("cpu_s_rounds") or one.get("cpu_s_per_action")
        _add(found, f"{name.strip()}: processor, s an action", cpu, "processor")
        _add(found, f"{name.strip()}: memory, MiB", one.get("rss_mib"), "memory")
    for name, percent in results.get("idle_cpu_percent", {}).items():
        _add(found, f"idle, {name}, %", percent, "processor")
    _add(found, "online after, ms", results.get("online_ms"), "time")
    _add(found, "users: link, ms", results.get("listing", {}).get("link_ms"), "time")
    _add(found, "users: ATT", results.get("listing", {}).get("att"), "count")
    for part in ("create_ms", "redeem_ms"):
        _add(found, f"invitation: {part[:-3]}, ms", results.get("inviting", {}).get(part), "time")
    for part, label in (
        ("relay_ms", "relay"),
        ("relay_ahead_ms", "relay, challenge ahead"),
        ("own_ms", "own action"),
        ("online_ms", "online after"),
    ):
        _add(found, f"this machine: {label}, ms", results.get("native", {}).get(part), "time")
    _add_causes(found, results.get("causes", {}))
    return found


def _add(found: dict[str, Figure], name: str, value: Any, kind: Kind) -> None:
    """Note a spread, or a single number.  Several that are all the same tell of a count, not of anything else."""
    if isinstance(value, Mapping):
        low, high = value["min"], value["max"]
        noise = value.get("mad", (high - low) / 2) if low < high or kind == "count" else None
        found[name] = Figure(value["median"], noise, kind)
    elif value is not None:
        found[name] = Figure(value, None, kind)


def _add_causes(found: dict[str, Figure], causes: Mapping[str, Any]) -> None:
    for name, one in causes.items():
        if "sampled" not in one:
            continue
        action = one["sampled"]["action"]
        total = sum(action["samples"].values())
        for cause, count in action["samples"].items():
            ms = action["cpu_ms"] / total
            # Twice the standard error: a moved figure is to be one that does not move by chance.
            noise = 2 * ms * math.sqrt(count * (1 - count / total))
            found[f"{name}: {cause}, ms an action"] = Figure(count * ms, noise, "processor")
        for what, count in one["counted"]["action"]["counts"].items():
            found[f"{name}: {what}, an action"] = Figure(count, None, "count")


def obstacle(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, frozenset[Kind]]:
    """Why not everything of two results can be compared ("" if it can), and the kinds of figures that can.

    With other kinds of clocks only counts and memory can; on another machine times only as ratios to the floor.
    """
    before, after = old.get("machine", {}), new.get("machine", {})
    for what, default in (("clock", "time"), ("kind", "qemu")):
        was, now = before.get(what, default), after.get(what, default)
        if was != now:
            return f"the machine's {what} was {was!r} and is {now!r}", frozenset(("memory", "count"))
    for what in ("architecture", "processors"):
        was, now = before.get(what), after.get(what)
        if was != now:
            return f"the machine's {what}: {was} before, {now} now", frozenset(("time", "count"))
    floors = [each.get("floor_echo_ms", {}).get("median") for each in (old, new)]
    if None not in floors and not 1 / OTHER_MACHINE <= floors[1] / floors[0] <= OTHER_MACHINE:
        return f"the floor was {floors[0]:.1f} ms and is {floors[1]:.1f} ms", frozenset(("time", "memory", "count"))
    return "", frozenset(("time", "processor", "memory", "count"))


def moved(old: Figure, new: Figure) -> bool:
    """Whether a figure has moved by more than the noise of both; never where one of them does not tell its noise."""
    if old.noise is None or new.noise is None:
        return False
    return abs(new.value - old.value) > old.noise + new.noise + 1e-9


def render(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The comparison, as text."""
    why, kinds = obstacle(old, new)
    before, after = figures(old), figures(new)
    in_floors = bool(why)  # a time says nothing where another machine took it; its ratio to the floor does
    if in_floors:
        before, after = (_in_floors(each, results) for each, results in ((before, old), (after, new)))
    rows = [("compared with " + str(old.get("time", "?")), "old", "new", "ratio", "")]
    left_out = []
    for name in (*before, *(each for each in after if each not in before)):
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            left_out.append(f"{name} ({'new' if was is None else 'not measured now'})")
        elif now.kind not in kinds:
            left_out.append(name)
        else:
            ratio = f"{now.value / was.value:.2f}" if was.value else "-"
            rows.append((name, _short(was.value), _short(now.value), ratio, "moved" if moved(was, now) else ""))
    lines = columns(rows)
    if why:
        lines.append(f"{why}: " + ("times are in floors; " if "time" in kinds else "") + "the rest is left out")
    if left_out:
        lines.append("not compared: " + "; ".join(left_out))
    lines.append("moved: the medians lie further apart than the median deviations of both together")
    return "\n".join(lines)


def _in_floors(found: Mapping[str, Figure], results: Mapping[str, Any]) -> dict[str, Figure]:
    """Times in the virtual machine as multiples of its floor; those of the machine around it have no floor."""
    floor = results.get("floor_echo_ms", {}).get("median")
    told = {}
    for name, each in found.items():
        if each.kind != "time":
            told[name] = each
        elif floor and not name.startswith("this machine"):
            noise = None if each.noise is None else each.noise / floor
            told[name.replace(", ms", ", x floor")] = Figure(each.value / floor, noise, each.kind)
    return told


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"
