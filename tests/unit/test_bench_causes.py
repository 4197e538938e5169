"""The benchmark's processor time by cause: which stack belongs to which, what is counted, and the table."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dbus_fast.aio.message_reader import build_message_reader

from tests.bench import causes
from tests.bench.by_cause import between
from tests.bench.causes import CAUSES, cause_of, render, shares
from tests.bench.profiled import Sampler, Tally, stack_of


def sampled(sampler: Sampler, work: Callable[[], object]) -> None:
    """Do something while its stack is sampled."""
    before = signal.getsignal(signal.SIGPROF)
    try:
        sampler.start()
        work()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


LOOP = [("asyncio.events", "Handle._run"), ("asyncio.base_events", "BaseEventLoop._run_once")]


@pytest.mark.parametrize(
    ("stack", "cause"),
    [
        ([("dbus_fast.aio.message_bus", "_MessageWriter.buffer_message"), *LOOP], causes.SENT),
        ([("dbus_fast.aio.message_bus", "MessageBus._reply_handler"), *LOOP], causes.RECEIVED),
        ([("bleak.backends.bluezdbus.manager", "BlueZManager._parse_msg"), *LOOP], causes.BLEAK),
        ([("nacl.bindings.crypto_box", "crypto_box_beforenm"), ("nuki_bridge.lock.line", "Line.send")], causes.CRYPTO),
        ([("nuki_bridge.protocol.crypto", "seal")], causes.CRYPTO),
        ([("nuki_bridge.protocol.wire", "Message.parse"), ("nuki_bridge.owner.lock_log", "read")], causes.DECODING),
        ([("nuki_bridge.owner.lock_log", "read"), *LOOP], causes.LOG),
        ([("paho.mqtt.client", "Client._packet_queue"), ("nuki_bridge.mqtt.mqtt", "Mqtt.publish")], causes.PUBLISHED),
        ([("paho.mqtt.client", "Client._handle_publish")], causes.HEARD),
        ([("nuki_bridge.store", "Store.save")], causes.DATABASE),
        ([("json.encoder", "JSONEncoder.iterencode"), ("nuki_bridge.bridge.publisher", "Publisher.send")], causes.JSON),
        ([("logging", "Logger.handle"), ("nuki_bridge.bridge.bridge", "Bridge.run")], causes.LOGGING),
        (LOOP, causes.LOOP),
        ([("jsonschema", "validate")], causes.OTHER),
        ([], causes.OTHER),
    ],
)
def test_a_stack_belongs_to_its_innermost_function_that_has_a_cause(stack: list[tuple[str, str]], cause: str) -> None:
    assert cause_of(stack) == cause


def test_what_the_standard_library_does_for_somebody_is_their_time() -> None:
    asked = ("nuki_bridge.lock.reading", "Reading.states")

    assert cause_of([("enum", "EnumType.__call__"), ("dataclasses", "replace"), asked, *LOOP]) == causes.LOCK


def test_every_module_of_the_program_has_a_cause_of_its_own() -> None:
    root = Path(__file__).parents[2]
    modules = [".".join(each.relative_to(root).with_suffix("").parts) for each in root.glob("nuki_bridge/**/*.py")]
    assert modules

    assert {cause_of([(each, "f")]) for each in modules} <= set(CAUSES) - {causes.OTHER}


def test_processor_time_is_found_where_it_was_spent() -> None:
    sampler = Sampler()
    namespace: dict[str, Any] = {"__name__": "nuki_bridge.protocol.wire"}
    exec("def spend(busy):\n    while busy():\n        pass\n", namespace)
    end = time.process_time() + 0.4
    sampled(sampler, lambda: namespace["spend"](lambda: time.process_time() < end))

    assert sampler.causes[causes.DECODING] > 10
    assert sampler.causes[causes.DECODING] >= 0.8 * sampler.causes.total()


def test_what_c_code_does_is_not_the_time_of_the_function_that_it_calls_next() -> None:
    """The hook is where Python next looks at signals, after all the reading; it has done nothing itself."""
    sampler = Sampler()
    namespace: dict[str, Any] = {"__name__": "nuki_bridge.protocol.wire"}
    exec("def hook(found):\n    return None\n", namespace)
    text = json.dumps({"a": list(range(300_000))})
    sampled(sampler, lambda: [json.loads(text, object_hook=namespace["hook"]) for _ in range(5)])

    assert sampler.causes[causes.JSON] >= 3
    assert sampler.causes[causes.DECODING] == 0


def test_a_compiled_callback_of_dbus_fast_is_named_though_it_has_no_frame() -> None:
    here, there = socket.socketpair()
    with here, there:

        class Handle:
            _callback = staticmethod(build_message_reader(here, lambda _: None, lambda _: None, False))

        namespace: dict[str, Any] = {"__name__": "asyncio.events", "getframe": sys._getframe}
        exec("def _run(self):\n    return getframe()\n", namespace)

        stack = stack_of(namespace["_run"](Handle()))

    assert stack[0][0] == "dbus_fast.aio.message_reader"
    assert stack[1] == ("asyncio.events", "_run")
    assert cause_of(stack) == causes.RECEIVED


def test_statements_that_are_durable_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "connect", sqlite3.connect)  # as it was, afterwards
    tally = Tally()
    tally._watch_databases()
    db = sqlite3.connect(tmp_path / "db", isolation_level=None)
    db.execute("CREATE TABLE t (x)")
    tally.counts.clear()

    db.execute("BEGIN")
    db.execute("INSERT INTO t VALUES (1)")
    db.execute("INSERT INTO t VALUES (2)")
    db.execute("COMMIT")
    db.execute("DELETE FROM t")
    db.execute("SELECT * FROM t")
    db.close()

    assert tally.counts["database commits, an fsync each"] == 2
    assert tally.counts["database statements"] == 6


def test_calls_are_counted_and_still_do_what_they_do() -> None:
    class Client:
        def publish(self, topic: str, payload: str = "") -> str:
            return f"{topic}={payload}"

    tally = Tally()
    tally._wrap(Client, "publish", "publishes", lambda _, topic, *__, **___: topic)
    client = Client()

    assert client.publish("a", payload="1") == "a=1"
    client.publish("a")

    assert tally.counts == {"publishes": 2}
    assert tally.detail == {"publishes: a": 2}


def test_two_looks_give_what_came_between_them() -> None:
    before = {"cpu_s": 1.0, "slept": 10, "counts": {"timers set": 5}, "detail": {}}
    after = {"cpu_s": 1.5, "slept": 30, "counts": {"timers set": 25, "log lines": 10}, "detail": {}}

    found = between(before, after, 1 / 10)

    assert found["cpu_ms"] == pytest.approx(50)
    assert found["counts"] == {"timers set": 2.0, "log lines": 1.0, "times asleep": 2.0}


def test_samples_are_not_scaled_so_that_their_error_can_be_told() -> None:
    before = {"cpu_s": 0.0, "slept": 0, "samples": {causes.JSON: 5}, "leaves": {}}
    after = {"cpu_s": 1.0, "slept": 0, "samples": {causes.JSON: 30, causes.LOOP: 75}, "leaves": {}}

    found = between(before, after, 1 / 10)

    assert found["samples"] == {causes.LOOP: 75, causes.JSON: 25}
    [loop, written] = shares(found["samples"])
    assert loop[:3] == (causes.LOOP, 75, 0.75)
    assert written[3] == pytest.approx((0.25 * 0.75 / 100) ** 0.5)


def test_a_minute_without_a_sample_is_shown_as_such() -> None:
    part = {"cpu_ms": 0.0, "samples": {}, "leaves": {}}
    counted = {"action": {"counts": {"timers set": 2.0}}, "idle_minute": {"counts": {"timers set": 1.0}}}
    action = {"cpu_ms": 80.0, "samples": {causes.JSON: 25, causes.LOOP: 75}, "leaves": {}}

    text = render({"persistent": {"sampled": {"action": action, "idle_minute": part}, "counted": counted}})

    [loop] = [line.split() for line in text.splitlines() if line.startswith(causes.LOOP)]
    assert loop[4:] == ["60.00", "3.46", "75.0%", "0.00", "0.00", "0.0%"]
    [timers] = [line.split() for line in text.splitlines() if line.startswith("timers set")]
    assert timers[2:] == ["2.00", "1.00"]
    assert "n=100" in text
