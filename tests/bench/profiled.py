"""`nuki-bridge` under observation: where its processor time goes, or how often it does what.

    python -m tests.bench.profiled FILE sample|count ARGUMENTS...

`ARGUMENTS` are the program's own.  On SIGUSR2 everything found since the start is written to FILE, as JSON.  Nothing of
the program is changed by `sample`; `count` wraps the functions that it counts, and so costs time itself.
"""

from __future__ import annotations

import asyncio
import dis
import functools
import json
import logging
import os
import re
import selectors
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tests.bench.causes import Frame, cause_of

INTERVAL_S = 0.002
"""Of processor time between two samples; no less than the kernel's tick, which often is 4 ms."""
_RESUME = dis.opmap["RESUME"]
_DEPTH = 60


class Sampler:
    """Counts the causes of the stacks at the ticks of `ITIMER_PROF`.

    Python looks at signals between two bytecodes: at a jump back, after a call and when a function begins.  A function
    that is at its beginning has not done anything yet: what ran was its caller, or C code which that one called.
    """

    def __init__(self) -> None:
        self.causes: Counter[str] = Counter()
        self.leaves: Counter[str] = Counter()
        self._busy = False

    def start(self) -> None:
        """Sample from now on."""
        signal.signal(signal.SIGPROF, self._on_tick)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def _on_tick(self, _number: int, frame: FrameType | None) -> None:
        if self._busy:  # a tick within a tick is our own time
            return
        self._busy = True
        if frame is not None and frame.f_back is not None and _begins(frame):
            frame = frame.f_back
        stack = stack_of(frame)
        cause = cause_of(stack)
        self.causes[cause] += 1
        module, function = stack[0] if stack else ("?", "?")
        self.leaves[f"{cause}: {module}:{function}"] += 1
        self._busy = False

    def found(self) -> dict[str, Any]:
        """Everything so far, for JSON."""
        return {"samples": dict(self.causes), "leaves": dict(self.leaves)}


def _begins(frame: FrameType) -> bool:
    at = frame.f_lasti
    return at < 0 or frame.f_code.co_code[at] == _RESUME


def stack_of(frame: FrameType | None) -> list[Frame]:
    """The functions of a stack, innermost first; a compiled callback of dbus-fast, which has no frame, among them."""
    stack: list[Frame] = []
    while frame is not None and len(stack) < _DEPTH:
        module = frame.f_globals.get("__name__", "?")
        if not stack and module == "asyncio.events" and frame.f_code.co_name == "_run":
            callback = getattr(frame.f_locals.get("self"), "_callback", None)
            while isinstance(callback, functools.partial):
                callback = callback.func
            where = getattr(callback, "__module__", None) or ""
            if where.startswith("dbus_fast."):
                stack.append((where, getattr(callback, "__qualname__", "?")))
        stack.append((module, frame.f_code.co_qualname))
        frame = frame.f_back
    return stack


class Tally:
    """Counts what is called, by wrapping it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.detail: Counter[str] = Counter()

    def start(self) -> None:
        """Count from now on."""
        import paho.mqtt.client
        from dbus_fast.aio import message_bus

        self._wrap(selectors.DefaultSelector, "select", "wake-ups (selector)")
        self._wrap(asyncio.BaseEventLoop, "call_soon", "callbacks")
        self._wrap(asyncio.BaseEventLoop, "call_at", "timers set")
        self._wrap(json, "dumps", "JSON written")
        self._wrap(json, "loads", "JSON read")
        self._wrap(logging.Logger, "handle", "log lines")
        self._wrap(os, "fsync", "fsync calls")
        self._wrap(paho.mqtt.client.Client, "publish", "MQTT publishes", lambda _, topic, *__, **___: topic)
        self._wrap(message_bus._MessageWriter, "buffer_message", "D-Bus messages sent", lambda _, msg, *__: _told(msg))
        self._watch_arrivals(message_bus.MessageBus)
        self._watch_databases()

    def _wrap(self, owner: Any, name: str, what: str, detail: Callable[..., str] | None = None) -> None:
        inner = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.counts[what] += 1
            if detail is not None:
                self.detail[f"{what}: {detail(*args, **kwargs)}"] += 1
            return inner(*args, **kwargs)

        setattr(owner, name, counted)

    def _watch_arrivals(self, bus: Any) -> None:
        connect = bus.connect

        async def connected(self_: Any) -> Any:
            self_.add_message_handler(self._on_arrival)
            return await connect(self_)

        bus.connect = connected

    def _on_arrival(self, message: Any) -> None:
        self.counts["D-Bus messages received"] += 1
        self.detail[f"D-Bus messages received: {_told(message)}"] += 1

    def _watch_databases(self) -> None:
        connect = sqlite3.connect

        def connected(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            db: sqlite3.Connection = connect(*args, **kwargs)
            db.set_trace_callback(lambda statement: self._on_statement(db, statement))
            return db

        sqlite3.connect = connected  # type: ignore[assignment]

    def _on_statement(self, db: sqlite3.Connection, statement: str) -> None:
        """One that is durable when it is done: the end of a transaction, or a change outside of one."""
        word = statement.split(None, 1)[0].upper()
        self.counts["database statements"] += 1
        if word == "COMMIT" or (word in ("INSERT", "UPDATE", "DELETE", "REPLACE") and not db.in_transaction):
            self.counts["database commits, an fsync each"] += 1
        elif "WAL_CHECKPOINT" in statement.upper():
            self.counts["database checkpoints"] += 1
        else:
            return
        self.detail[f"database: {re.sub(r'[0-9]+', 'N', statement)[:60]}"] += 1

    def found(self) -> dict[str, Any]:
        """Everything so far, for JSON."""
        return {"counts": dict(self.counts), "detail": dict(self.detail)}


def _told(message: Any) -> str:
    """What a D-Bus message is, in a few words; for one that changes properties, which."""
    kind = message.message_type.name.lower()
    if message.member != "PropertiesChanged" or len(message.body) < 2:
        return f"{kind} {message.member or ''}".strip()
    return f"{kind} {message.member} {message.body[0].rpartition('.')[2]} {','.join(sorted(message.body[1]))}"


def voluntary_switches() -> int:
    """How often this process has gone to sleep by itself."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def main() -> int:
    """The command line of the program, behind a file and what to look for."""
    file, mode, *arguments = sys.argv[1:]
    observer = Sampler() if mode == "sample" else Tally()
    written = 0

    def write(*_: object) -> None:
        nonlocal written
        written += 1
        found = observer.found() | {"number": written, "cpu_s": time.process_time(), "slept": voluntary_switches()}
        new = Path(f"{file}.new")
        new.write_text(json.JSONEncoder().encode(found))
        new.replace(file)

    signal.signal(signal.SIGUSR2, write)
    observer.start()
    from nuki_bridge.command_line.cli import main as program

    return program(arguments)


if __name__ == "__main__":
    sys.exit(main())
