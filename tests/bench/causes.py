"""What processor time went to: a table that finds the cause of a sampled stack, and the report of all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

SENT = "D-Bus messages sent"
RECEIVED = "D-Bus messages received"
BLEAK = "bleak"
RADIO = "Bluetooth, own part"
DECODING = "decoding and encoding"
CRYPTO = "crypto"
PUBLISHED = "MQTT sent"
HEARD = "MQTT received"
LOG = "reading the lock's log"
DATABASE = "database"
JSON = "JSON"
LOOP = "event loop and timers"
LOGGING = "logging"
LOCK = "lock, own part"
BRIDGE = "bridge, own part"
VIRTUAL = "virtual lock"
OTHER = "other"

_RULES: tuple[tuple[str, str, str], ...] = (
    # cause, module or package, beginning of the function's name (empty: any)
    (SENT, "dbus_fast.aio.message_bus", "_MessageWriter."),
    (SENT, "dbus_fast.aio.message_bus", "MessageBus.send"),
    (SENT, "dbus_fast.aio.message_bus", "MessageBus.call"),
    (SENT, "dbus_fast.message", ""),
    (SENT, "dbus_fast._private.marshaller", ""),
    (SENT, "nuki_bridge.bluetooth.bluez", "QuietBus."),
    (SENT, "nuki_bridge.bluetooth.bluez", "_quiet"),
    (RECEIVED, "dbus_fast", ""),
    (BLEAK, "bleak", ""),
    (RADIO, "nuki_bridge.bluetooth", ""),
    (CRYPTO, "nacl", ""),
    (CRYPTO, "hmac", ""),
    (CRYPTO, "secrets", ""),
    (CRYPTO, "nuki_bridge.protocol.crypto", ""),
    (DECODING, "nuki_bridge.protocol", ""),
    (HEARD, "paho", "Client.loop_read"),
    (HEARD, "paho", "Client._loop_read"),
    (HEARD, "paho", "Client._packet_read"),
    (HEARD, "paho", "Client._packet_handle"),
    (HEARD, "paho", "Client._handle_"),
    (HEARD, "paho", "Client._sock_recv"),
    (HEARD, "paho", "Properties.unpack"),
    (PUBLISHED, "paho", ""),
    (HEARD, "nuki_bridge.mqtt.paho_loop", "PahoLoop._readable"),
    (HEARD, "nuki_bridge.mqtt.paho", "incoming"),
    (PUBLISHED, "nuki_bridge.mqtt", ""),
    (LOG, "nuki_bridge.owner.lock_log", ""),
    (LOG, "nuki_bridge.owner.log_commands", ""),
    (LOG, "nuki_bridge.owner.log_entries", ""),
    (DATABASE, "nuki_bridge.database", ""),
    (DATABASE, "nuki_bridge.store", ""),
    (DATABASE, "nuki_bridge.sharing.invitation_store", ""),
    (DATABASE, "nuki_bridge.home_assistant.announced", ""),
    (DATABASE, "nuki_bridge.owner.battery_history", ""),
    (JSON, "json", ""),
    (JSON, "nuki_bridge.lock.state_json", ""),
    (JSON, "nuki_bridge.owner.log_json", ""),
    (LOOP, "asyncio", ""),
    (LOOP, "selectors", ""),
    (LOGGING, "logging", ""),
    (LOGGING, "nuki_bridge.logs", ""),
    (LOCK, "nuki_bridge.lock", ""),
    (LOCK, "nuki_bridge.owner", ""),
    (VIRTUAL, "nuki_bridge.simulator", ""),
    (BRIDGE, "nuki_bridge", ""),
)
CAUSES = tuple(dict.fromkeys([cause for cause, *_ in _RULES] + [OTHER]))
"""Every cause."""

Frame = tuple[str, str]
"""Module, and function with the name of its class, if it has one."""


def cause_of(stack: Iterable[Frame]) -> str:
    """The cause of a stack, innermost frame first: that of the first frame which has one.

    What the standard library does for somebody (`struct`, `enum`, `dataclasses`) counts as that one's own.
    """
    for module, function in stack:
        for cause, start, begin in _RULES:
            if f"{module}.".startswith(f"{start}.") and function.startswith(begin):
                return cause
    return OTHER


def shares(samples: Mapping[str, int]) -> list[tuple[str, int, float, float]]:
    """Each cause with its samples, its share and the standard error of that; the greatest first."""
    total = sum(samples.values())
    found = []
    for cause, count in sorted(samples.items(), key=lambda each: -each[1]):
        share = count / total
        found.append((cause, count, share, math.sqrt(share * (1 - share) / total)))
    return found


def render(causes: Mapping[str, Any]) -> str:
    """Processor time by cause and the counts, for each kind of connection: for one action, for one idle minute."""
    lines = []
    for name, one in causes.items():
        if "sampled" not in one:  # when and where it was measured
            continue
        lines += ["", *_times(name, one), "", *_counts(name, one)]
    return "\n".join([*lines, "", _NOTES])


_NOTES = """\
By cause: the main thread's stack at every tick of its processor time; a tick belongs to the innermost function that has
a cause, what C code does to the function that called it. The error is the standard error of so many samples. Sampling
and counting have a daemon of their own each, and cost a little themselves."""


def _times(name: str, one: Mapping[str, Any]) -> list[str]:
    action, idle = one["sampled"]["action"], one["sampled"]["idle_minute"]
    found = {cause: (share, error) for cause, _, share, error in shares(action["samples"])}
    still = {cause: (share, error) for cause, _, share, error in shares(idle["samples"])}
    rows = [(f"{name}: processor time", "ms an action", "+-", "share", "ms an idle minute", "+-", "share")]
    for cause in sorted(found | still, key=lambda each: -found.get(each, (0.0, 0.0))[0]):
        row = [cause]
        for part, measured in ((found, action), (still, idle)):
            share, error = part.get(cause, (0.0, 0.0))
            ms = measured["cpu_ms"]
            row += [f"{share * ms:.2f}", f"{error * ms:.2f}", f"{share:.1%}"]
        rows.append(tuple(row))  # type: ignore[arg-type]
    totals = [(part["cpu_ms"], sum(part["samples"].values())) for part in (action, idle)]
    last = ["in all"]
    for ms, count in totals:
        last += [f"{ms:.2f}", "", f"n={count}"]
    rows.append(tuple(last))  # type: ignore[arg-type]
    return columns(rows)


def _counts(name: str, one: Mapping[str, Any]) -> list[str]:
    action, idle = one["counted"]["action"]["counts"], one["counted"]["idle_minute"]["counts"]
    rows = [(f"{name}: counts", "an action", "an idle minute")]
    rows += [(what, f"{action.get(what, 0):.2f}", f"{idle.get(what, 0):.2f}") for what in sorted(action | idle)]
    return columns(rows)


def columns(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Rows as lines, the first column to the left, all others to the right."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *cells in rows:
        right = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *right]).rstrip())
    return lines
