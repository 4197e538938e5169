"""What the benchmark prints: medians, their spread, and how far each aim is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from tests.bench.causes import columns

NAMES = {
    "persistent": "nuki-bridge, persistent",
    "back_to_back": "  back to back",
    "bare held": "bare client, link held",
    "pynukibt held": "pyNukiBT, link held",
    "relay": "guest through the relay",
    "relay ahead": "  guest, challenge ahead",
    "on-demand": "nuki-bridge, on-demand",
    "bare alone": "bare client, no link",
    "pynukibt alone": "pyNukiBT, no link",
}
"""Contenders of a result, and what they are called."""
_NOTES = """\
Medians (least-greatest) and their ratio to the floor, a bare write + indication. Time runs from the MQTT publish, or
from a client's call, until the lock has accepted the action, has sent COMPLETE, and until the MQTT result or the
client's end. Writes: before the motor starts. ATT: round trips until the result / in all. CPU: of the process, for each
action, in the virtual machine. The motor takes no time. Without a link, connecting waits for an advertisement, one
every 100 ms. Persistent: each action begins when the lock has seen the next challenge asked for and confirmed; back to
back: each begins at the last one's result. On-demand: when the last link is gone and the scan runs again. Relay: from
the guest's call, challenge and action by way of broker and bridge, when the link has been silent for a second; asked
ahead: the challenge is there by then, as on the phone page, where a finger is on the button for longer than that."""


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest, and the median of how far all are from the median."""
    median = statistics.median(values)
    away = statistics.median(abs(each - median) for each in values)
    return {"median": median, "min": min(values), "max": max(values), "mad": away}


def render(results: dict[str, Any]) -> str:
    """The table, what it means, and the aims, as text."""
    return "\n".join([*_table(results), "", _NOTES, "", *_more(results), "", *_aims(results)])


def _table(results: dict[str, Any]) -> list[str]:
    floor = results["floor_echo_ms"]
    rows: list[tuple[str, ...]] = [
        ("", "actions", "ms until accepted", "ms until COMPLETE", "ms until the end", "writes", "ATT", "CPU s", "MiB"),
        ("bare write", "", _ms(results["floor_write_ms"], floor), "", "", "1", "1", "", ""),
        ("bare write + indication", "", _ms(floor, floor), "", "", "1", "2", "", ""),
    ]
    for key, name in NAMES.items():
        if (one := results.get(key)) is None:
            continue
        until_end = f"{one['att_until_end']['median']:g} / " if "att_until_end" in one else ""
        rows.append(
            (
                name,
                str(one["actions"]),
                *(_ms(one[what], floor) if what in one else "" for what in ("accepted_ms", "complete_ms", "end_ms")),
                f"{one['writes_before_motor']['median']:g}" if "writes_before_motor" in one else "",
                f"{until_end}{one['att_per_action']:.1f}",
                f"{one['cpu_s_per_action']:.3f}",
                f"{one['rss_mib']:.1f}",
            )
        )
    return columns(rows)


def _ms(value: dict[str, float], floor: dict[str, float]) -> str:
    ratio = value["median"] / floor["median"]
    return f"{value['median']:.1f} ({value['min']:.1f}-{value['max']:.0f}) {ratio:5.2f}x"


def _tenths(value: dict[str, float]) -> str:
    return f"{value['median']:.1f} ms ({value['min']:.1f}-{value['max']:.0f})"


def _range(value: dict[str, float]) -> str:
    return f"{value['median']:.0f} ms ({value['min']:.0f}-{value['max']:.0f})"


def _more(results: dict[str, Any]) -> list[str]:
    online = results["online_ms"]
    machine = results["machine"]
    listing, inviting, native = results["listing"], results["inviting"], results["native"]
    return [
        f"listing {listing['users']} users: {_range(listing['link_ms'])} on the link, "
        f"{_range(listing['answer_ms'])} until the answer, {listing['att']['median']:g} ATT round trips",
        f"{inviting['invitations']} invitations: {_range(inviting['create_ms'])} to make one, "
        f"{_range(inviting['redeem_ms'])} to redeem one, {inviting['create_s'] + inviting['redeem_s']:.1f} s in all",
        "on this machine itself, until the motor starts: a guest through the relay "
        f"{_tenths(native['relay_ms'])}, with the challenge asked ahead "
        f"{_tenths(native['relay_ahead_ms'])}, the bridge's own action {_tenths(native['own_ms'])}, "
        f"a client beside the lock {_tenths(native['direct_ms'])}",
        f"daemon, from process start to online: {online['median']:.0f} ms ({online['min']:.0f}-{online['max']:.0f})",
        f"  on this machine itself, with virtual locks: {_range(native['online_ms'])}",
        f"floor in each round: {', '.join(f'{each:.1f}' for each in results['floor_rounds_ms'])} ms",
        f"something else kept {machine['others']:.2f} of {machine['processors']} processors busy (best is 0)",
    ]


def _aims(results: dict[str, Any]) -> list[str]:
    floor = results["floor_echo_ms"]["median"]
    persistent, on_demand, bare = (results[each] for each in ("persistent", "on-demand", "bare alone"))
    more, relay, native = results["back_to_back"], results["relay"], results["native"]
    idle, rss = results["idle_cpu_percent"], results["rss_mib"]
    first, last = rss.values()
    x_floor, memory = "x floor", "MiB resident"
    aims = [
        ("ATT writes before the motor starts, persistent", persistent["writes_before_motor"]["median"], 1, ""),
        ("publish to accepted, persistent", persistent["accepted_ms"]["median"] / floor, 1.0, x_floor),
        ("publish to result, persistent", persistent["end_ms"]["median"] / floor, 2.5, x_floor),
        ("  of a second command right behind the first", more["end_ms"]["median"] / floor, 3.0, x_floor),
        (
            "publish to accepted, on-demand",
            on_demand["accepted_ms"]["median"] / bare["accepted_ms"]["median"],
            0.9,
            "x bare client without a link",
        ),
        ("to a turning motor, a guest through the relay", relay["accepted_ms"]["median"] / floor, 2.0, x_floor),
        ("  on this machine itself", native["relay_ms"]["median"], 6, "ms"),
        ("  with the challenge asked ahead", results["relay ahead"]["accepted_ms"]["median"] / floor, 2.0, x_floor),
        ("  that on this machine itself", native["relay_ahead_ms"]["median"], 6, "ms"),
        ("processor time of an action, persistent", persistent["cpu_s_per_action"], 0.06, "s"),
        ("  back to back", more["cpu_s_per_action"], 0.06, "s"),
        ("idle, persistent", idle["persistent"], 0.3, "% of a processor"),
        ("idle, on-demand", idle["on-demand"], 0.15, "% of a processor"),
        ("process start to online", results["online_ms"]["median"] / 1000, 5, "s"),
        ("  on this machine itself", native["online_ms"]["median"] / 1000, 0.5, "s"),
        (
            f"listing {results['listing']['users']} users",
            results["listing"]["link_ms"]["median"] / 1000,
            1,
            "s of link time",
        ),
        ("daemon's memory after " + " / ".join(key[6:] for key in rss), max(first, last), 36, memory),
        ("  growing by", (last - first) * 1.048576, 1, "MB"),
        ("daemon's memory, on-demand", on_demand["rss_mib"], 36, memory),
    ]
    width = max(len(what) for what, *_ in aims)
    return [
        f"{what.ljust(width)}  {value:6.2f}  aim {aim:g} {unit}".rstrip() + ("" if value <= aim else "   missed")
        for what, value, aim, unit in aims
    ]
