"""The command line as a process of its own, with a real mosquitto and a scripted daemon on the other side.

The scripted daemon shows what the true one rarely does: silence, lateness, answers for somebody else, going away.  The
true one is met in `test_demo`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import patience
from tests.integration.broker import Broker, Peer, free_port
from tests.integration.command import call, said, start

pytestmark = pytest.mark.real_time

AT_ONCE_S = 12.0
"""Far more than a busy machine takes, far less than the 30 s for which an answer is awaited."""

Answer = Callable[[dict[str, Any]], Any]
"""Makes an answer's `data` from a request; may raise `Refusal`."""


class Refusal(Exception):
    """Code and message of an error answer."""


@dataclass
class ScriptedDaemon:
    """Answers each topic as it was told to, and keeps what was asked."""

    peer: Peer
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    before: Callable[[str, dict[str, Any]], None] = lambda topic, request: None
    """Called before each answer."""
    five: bool = True
    """Honours MQTT 5 response topics."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            message = await self.peer.next(60)
            topic = message.topic.removeprefix("nuki/")
            if not topic.endswith("/set") and "/request/" not in topic:
                continue
            request = json.loads(message.payload)
            transaction = request.pop("transaction")
            self.asked.append((topic, request))
            self.before(topic, {**request, "transaction": transaction})
            if topic not in self.answers:
                continue
            try:
                answer = {"status": "ok", **self._body(topic, self.answers[topic](request))}
            except Refusal as refusal:
                answer = {"status": "error", "error": refusal.args[0], "message": refusal.args[1]}
            properties = message.properties
            to = getattr(properties, "ResponseTopic", None) if self.five else None
            if to is None:
                to = "nuki/" + topic.replace("/request/", "/response/").replace("/set", "/result")
                answer["transaction"] = transaction
                self.peer.send(to, json.dumps(answer))
            else:
                self.peer.send(to, json.dumps(answer), CorrelationData=properties.CorrelationData)

    @staticmethod
    def _body(topic: str, made: Any) -> dict[str, Any]:
        return made if topic.endswith("/set") else {"data": made}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as running:
        yield running


def url(broker: Broker, credentials: str = "") -> str:
    return f"mqtt://{credentials}localhost:{broker.port}/nuki"


@asynccontextmanager
async def scripted_daemon(broker: Broker, *locks: str, **login: str) -> AsyncIterator[ScriptedDaemon]:
    """A daemon that is online and knows `locks`."""
    async with Peer(broker, **login) as peer:
        for topic in ("+/request/#", "+/set"):
            await peer.subscribe(f"nuki/{topic}")
        peer.publish("nuki/bridge/state", "online", retain=True)
        peer.publish("nuki/bridge/info", json.dumps({"version": "1", "locks": list(locks)}), retain=True)
        daemon = ScriptedDaemon(peer)
        task = asyncio.create_task(daemon.run())
        try:
            yield daemon
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


# -- requests ---------------------------------------------------------------------------------------------------------


async def test_an_answer_becomes_a_table_or_json(broker: Broker) -> None:
    locks = [
        {"name": "front_door", "nuki_id": "12345678", "rssi": -60},
        {"name": "shed", "nuki_id": "AB", "rssi": None},
    ]
    async with scripted_daemon(broker) as daemon:
        daemon.answers["bridge/request/locks"] = lambda request: locks
        shown = await call("locks", "--broker", url(broker))
        assert shown.out.splitlines() == [
            "NAME        NUKI ID   RSSI",
            "front_door  12345678  -60",
            "shed        AB        -",
        ]
        assert (shown.status, shown.lines) == (0, [])
        shown = await call("--json", "locks", NUKI_BRIDGE_BROKER=url(broker))
        assert json.loads(shown.out) == locks
        assert (shown.status, shown.lines) == (0, [])


async def test_an_error_answer_is_one_line_and_status_1(broker: Broker) -> None:
    async with scripted_daemon(broker) as daemon:

        def refuse(_: object) -> None:
            raise Refusal("not_pairing", "no lock is in pairing mode;\npress its button")

        daemon.answers["bridge/request/pair"] = refuse
        shown = await call("pair", "--broker", url(broker))
        assert (shown.status, shown.out) == (1, "")
        assert shown.lines == ["nuki-bridge: no lock is in pairing mode; press its button (not_pairing)"]
        shown = await call("pair", "--json", "--broker", url(broker))
        assert shown.status == 1
        assert json.loads(shown.out)["error"] == "not_pairing"


async def test_answers_for_others_are_left_alone(broker: Broker) -> None:
    async with scripted_daemon(broker) as daemon:
        daemon.five = False

        def mislead(topic: str, request: dict[str, Any]) -> None:
            for other in ("other", None, 7, request["transaction"][:-1]):
                wrong = {"status": "ok", "data": ["wrong"], "transaction": other}
                daemon.peer.send("nuki/bridge/response/locks", json.dumps(wrong))
            for garbage in (b"\xff", b"[]", b"{", b"", b"[" * 5000):
                daemon.peer.send("nuki/bridge/response/locks", garbage)

        daemon.before = mislead
        daemon.answers["bridge/request/locks"] = lambda request: ["right"]
        shown = await call("locks", "--json", "--broker", url(broker))
        assert (json.loads(shown.out), shown.lines) == (["right"], [])


async def test_pairing_sends_what_was_asked_for(broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("012345\n")
    paired = {"name": "front_door", "nuki_id": "12345678", "address": "54:D2:72:AA:BB:CC", "authorization_id": 7}
    async with scripted_daemon(broker) as daemon:
        daemon.answers["bridge/request/pair"] = lambda request: paired
        options = ("--name", "front_door", "--address", "54:D2:72:AA:BB:CC", "--as", "app", "--timeout", "90")
        shown = await call("pair", *options, "--pin-file", str(tmp_path / "pin"), "--broker", url(broker))
        assert shown.status == 0
        assert "authorization_id: 7" in shown.out
        shown = await call("pair", "--pin-file", "-", "--broker", url(broker), stdin="4321\n")
        assert shown.status == 0
        assert daemon.asked == [
            (
                "bridge/request/pair",
                {"as": "app", "timeout": 90.0, "address": options[3], "name": "front_door", "pin": "012345"},
            ),
            ("bridge/request/pair", {"as": "bridge", "timeout": 60.0, "pin": "4321"}),
        ]


async def test_a_wrong_pin_file_asks_nobody(broker: Broker) -> None:
    async with scripted_daemon(broker) as daemon:
        shown = await call("pair", "--pin-file", "-", "--broker", url(broker), stdin="hunter2\n")
        assert shown.status == 2
        assert "hunter2" not in shown.err
        assert daemon.asked == []


async def test_a_needed_pin_is_asked_on_the_terminal_without_echo(broker: Broker) -> None:
    async with scripted_daemon(broker, "front_door") as daemon:

        def pair(request: dict[str, Any]) -> dict[str, Any]:
            if "pin" not in request:
                raise Refusal("pin_required", "this lock is paired with its security PIN")
            return {"name": "front_door"}

        daemon.answers["bridge/request/pair"] = pair
        terminal, inside = os.openpty()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nuki_bridge", "pair", "--broker", url(broker)),
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
        )
        shown = b""

        async def read_until(wanted: bytes) -> None:
            nonlocal shown
            async with asyncio.timeout(patience.HANG_S):
                while wanted not in shown:
                    shown += await asyncio.to_thread(os.read, terminal, 1000)

        await read_until(b"not shown): ")
        os.write(terminal, b"987654\n")
        await read_until(b"front_door")
        status = await process.wait()
        os.close(inside)
        os.close(terminal)
        assert status == 0
        assert b"987654" not in shown
        assert [request.get("pin") for _, request in daemon.asked] == [None, "987654"]


async def test_a_progress_line_comes_after_a_second(broker: Broker) -> None:
    async with scripted_daemon(broker) as daemon:

        def slow(_: object) -> list[str]:
            time.sleep(1.5)
            return []

        daemon.answers["bridge/request/scan"] = slow
        shown = await call("scan", "--timeout", "1", "--broker", url(broker))
        assert (shown.status, shown.out) == (0, "no lock was heard\n")
        assert shown.err.endswith("listening for locks for 1 s ...\n")
        assert shown.lines == []
        shown = await call("scan", "--timeout", "1", "--json", "--broker", url(broker))
        assert (shown.status, shown.out, shown.err) == (0, "[]\n", "")


# -- lock actions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "action"),
    [
        ("lock", "lock"),
        ("unlock", "unlock"),
        ("unlatch", "unlatch"),
        ("lock-n-go", "lock_n_go"),
        ("activate-rto", "activate_rto"),
    ],
)
async def test_an_action_is_published_and_its_own_result_awaited(broker: Broker, command: str, action: str) -> None:
    async with scripted_daemon(broker, "front_door") as daemon:

        def mislead(topic: str, request: dict[str, Any]) -> None:
            wrong = {"action": action, "status": "error", "error": "motor_blocked", "transaction": "another"}
            daemon.peer.send("nuki/front_door/result", json.dumps(wrong))

        daemon.before = mislead
        daemon.answers["front_door/set"] = lambda request: {"completion": "success", **request}
        shown = await call(command, "front_door", "--broker", url(broker))
        assert (shown.status, shown.out, shown.lines) == (0, f"front_door: {action}: success\n", [])
        assert daemon.asked == [("front_door/set", {"action": action})]


async def test_lock_n_go_may_pull_the_latch(broker: Broker) -> None:
    async with scripted_daemon(broker, "front_door") as daemon:
        daemon.answers["front_door/set"] = lambda request: {"completion": "success", **request}
        shown = await call("lock-n-go", "--unlatch", "--json", "--broker", url(broker))
        assert json.loads(shown.out) == {"status": "ok", "completion": "success", "action": "lock_n_go_unlatch"}


async def test_a_blocked_motor_is_status_1(broker: Broker) -> None:
    async with scripted_daemon(broker, "front_door") as daemon:

        def refuse(_: object) -> None:
            raise Refusal("motor_blocked", "the motor is blocked")

        daemon.answers["front_door/set"] = refuse
        shown = await call("unlock", "front_door", "--broker", url(broker))
        assert (shown.status, shown.lines) == (1, ["nuki-bridge: the motor is blocked (motor_blocked)"])


async def test_a_lock_may_be_left_out_only_if_there_is_one(broker: Broker) -> None:
    async with scripted_daemon(broker, "front_door", "shed") as daemon:
        shown = await call("unlock", "--broker", url(broker))
        assert shown.status == 2
        assert "front_door, shed" in shown.err
        shown = await call("unlock", "garage", "--broker", url(broker))
        assert shown.status == 1
        assert "front_door, shed" in shown.err
        shown = await call("unlock", "+", "--broker", url(broker))
        assert shown.status == 1
        assert daemon.asked == []


async def test_a_daemon_that_dies_meanwhile_leaves_the_outcome_open(broker: Broker) -> None:
    async with scripted_daemon(broker, "front_door") as daemon:
        daemon.before = lambda topic, request: daemon.peer.send("nuki/bridge/state", "offline", retain=True)
        shown = await call("unlock", "--broker", url(broker))
        assert shown.status == 1
        assert shown.seconds < AT_ONCE_S
        assert "went offline" in shown.err
        assert "nobody knows now whether front_door has carried it out" in shown.err


async def test_a_broker_that_dies_meanwhile_leaves_the_outcome_open(broker: Broker) -> None:
    async with scripted_daemon(broker, "front_door") as daemon:
        daemon.before = lambda topic, request: broker.stop()
        shown = await call("unlock", "--broker", url(broker))
        assert shown.status == 1
        assert shown.seconds < AT_ONCE_S
        assert len(shown.lines) == 1
        assert "nobody knows now whether front_door has carried it out" in shown.err


async def test_an_action_expires_at_the_broker(broker: Broker) -> None:
    """What could not be delivered in time must not be delivered later."""
    async with scripted_daemon(broker, "front_door") as daemon, Peer(broker) as witness:
        await witness.subscribe("nuki/front_door/set")
        daemon.answers["front_door/set"] = lambda request: {"completion": "success"}
        assert (await call("lock", "--broker", url(broker))).status == 0
        message = await witness.next()
        assert message.properties.MessageExpiryInterval <= 15
        assert not message.retain


# -- nobody there -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [None, "offline"])
async def test_without_a_daemon_it_says_so_at_once(broker: Broker, state: str | None) -> None:
    if state:
        async with Peer(broker) as peer:
            peer.publish("nuki/bridge/state", state, retain=True)
    for command in ("locks", "unlock", "watch"):
        shown = await call(command, "--broker", url(broker))
        assert shown.status == 1
        assert shown.seconds < AT_ONCE_S
        assert shown.lines[0].startswith("nuki-bridge: no nuki-bridge is running on this broker (nuki/bridge/state is ")
        assert len(shown.lines) == 1


async def test_without_a_broker_it_says_so_at_once(tmp_path: Path) -> None:
    shown = await call("locks", "--broker", f"mqtt://localhost:{free_port()}")
    assert shown.status == 1
    assert shown.seconds < AT_ONCE_S
    assert len(shown.lines) == 1
    assert "localhost" in shown.err


async def test_an_unknown_host_is_one_line() -> None:
    shown = await call("locks", "--broker", "mqtt://no-such-host.invalid")
    assert shown.status == 1
    assert "no-such-host.invalid" in shown.err.splitlines()[-1]


async def test_a_wrong_password_is_final_and_not_shown(tmp_path: Path) -> None:
    with Broker(tmp_path, users={"anna": "right"}) as broker:
        shown = await call("locks", "--broker", url(broker, "anna:hunter2@"))
        assert shown.status == 1
        assert shown.seconds < AT_ONCE_S
        assert len(shown.lines) == 1
        assert "hunter2" not in shown.err
        async with scripted_daemon(broker, username="anna", password="right") as daemon:
            daemon.answers["bridge/request/locks"] = lambda request: []
            assert (await call("locks", "--broker", url(broker, "anna:right@"))).status == 0


async def test_the_configuration_names_the_broker_and_its_password_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("right\n")
    (tmp_path / "password").chmod(0o600)
    with Broker(tmp_path, users={"anna": "right"}) as broker:
        (tmp_path / "config.yaml").write_text(
            f"mqtt: {{host: localhost, port: {broker.port}, username: anna, password_file: {tmp_path}/password}}\n"
        )
        async with scripted_daemon(broker, username="anna", password="right") as daemon:
            daemon.answers["bridge/request/health"] = lambda request: {"bluetooth": {"adapter": "hci0"}}
            shown = await call("health", "--config", str(tmp_path / "config.yaml"))
            assert (shown.status, shown.out) == (0, "bluetooth:\n  adapter: hci0\n")


async def test_tls_is_checked_against_the_given_authority(tmp_path: Path) -> None:
    with Broker(tmp_path, tls=True) as broker:
        address = f"mqtts://localhost:{broker.port}/nuki"
        shown = await call("locks", "--broker", f"{address}?ca={broker.ca}")
        assert "no nuki-bridge is running" in shown.err
        for wrong in (address, f"{address}?ca={tmp_path}/none.pem", f"mqtt://localhost:{broker.port}"):
            shown = await call("locks", "--broker", wrong)
            assert shown.status == 1
            assert len(shown.lines) == 1
            assert "no nuki-bridge is running" not in shown.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupt_ends_it_quietly_at_once(broker: Broker, number: signal.Signals) -> None:
    async with scripted_daemon(broker, "front_door") as daemon:
        asked = asyncio.Event()
        daemon.before = lambda topic, request: asked.set()
        process = await start("unlock", "--broker", url(broker))
        await asyncio.wait_for(asked.wait(), patience.HANG_S)
        interrupted = patience.now()
        process.process.send_signal(number)
        shown = await process.end()
        assert patience.now() - interrupted < AT_ONCE_S
        assert shown.status == (130 if number is signal.SIGINT else -number)
        assert "Traceback" not in shown.err


async def test_an_interrupt_while_a_broker_does_not_answer_is_quiet_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        process = await start("locks", "--broker", f"mqtt://127.0.0.1:{mute.getsockname()[1]}")
        connection, _ = await asyncio.to_thread(mute.accept)
        process.process.send_signal(signal.SIGINT)
        shown = await process.end(3)
        connection.close()
        assert (shown.status, shown.out) == (130, "")
        assert "Traceback" not in shown.err


# -- status and watch -------------------------------------------------------------------------------------------------


async def test_status_shows_what_is_retained(broker: Broker) -> None:
    async with scripted_daemon(broker, "front_door", "shed") as daemon:
        daemon.peer.publish("nuki/front_door/availability", "online", retain=True)
        daemon.peer.publish("nuki/front_door/status", json.dumps({"state": "locked", "rssi": -60}), retain=True)
        shown = await call("status", "front_door", "--json", "--broker", url(broker))
        assert json.loads(shown.out) == {
            "name": "front_door",
            "availability": "online",
            "state": "locked",
            "rssi": -60,
        }
        shown = await call("status", "--broker", url(broker))
        assert [line.split()[:2] for line in shown.out.splitlines()] == [
            ["NAME", "AVAILABILITY"],
            ["front_door", "online"],
            ["shed", "-"],
        ]
        assert daemon.asked == []


async def test_watch_prints_changes_as_they_come(broker: Broker) -> None:
    async with scripted_daemon(broker, "front_door") as daemon:
        for nuki_id in ("2BB28570", "2bb28570"):  # Nuki's own topics may lie below the same base topic
            daemon.peer.publish(f"nuki/{nuki_id}/state", "3", retain=True)
        daemon.peer.publish("nuki/front_door/state", "locked", retain=True)
        process = await start("watch", "--broker", url(broker))
        assert (await process.line()).split(maxsplit=1)[1] == "front_door  is locked\n"
        daemon.peer.publish("nuki/front_door/state", "locked", retain=True)
        daemon.peer.publish("nuki/front_door/state", "unlocking", retain=True)
        daemon.peer.publish("nuki/2BB28570/state", "1", retain=True)
        event = {"type": "lock_action", "action": "unlock", "completion": "success", "user": {"id": 7, "name": "Anna"}}
        daemon.peer.publish("nuki/front_door/event", json.dumps({**event, "source": "app"}))
        daemon.peer.publish("nuki/front_door/event", json.dumps({**event, "source": "app"}))
        refused = {"action": "lock", "status": "error", "error": "motor_blocked", "message": "the motor is blocked"}
        daemon.peer.publish("nuki/front_door/result", json.dumps(refused))
        daemon.peer.publish("nuki/front_door/result", json.dumps({"action": "unlock", "status": "ok"}))
        daemon.peer.publish("nuki/front_door/battery", "{}", retain=True)
        daemon.peer.publish("nuki/bridge/state", "offline", retain=True)
        for told in (
            "front_door  is unlocking",
            "front_door  Anna unlocked (app): success",
            "front_door  Anna unlocked (app): success",
            "front_door  lock failed: the motor is blocked (motor_blocked)",
            "bridge  is offline",
        ):
            assert (await process.line()).split(maxsplit=1)[1] == f"{told}\n"
        process.process.send_signal(signal.SIGINT)
        shown = await process.end()
        assert (shown.status, shown.out, shown.lines) == (130, "", [])


async def test_watch_prints_json_lines(broker: Broker) -> None:
    async with scripted_daemon(broker, "front_door", "shed") as daemon:
        process = await start("watch", "front_door", "--json", "--broker", url(broker))
        daemon.peer.publish("nuki/shed/state", "locked", retain=True)
        daemon.peer.publish("nuki/front_door/state", "unlocked", retain=True)
        line = json.loads(await process.line())
        assert (line["lock"], line["topic"], line["value"]) == ("front_door", "state", "unlocked")
        process.process.send_signal(signal.SIGINT)
        assert (await process.end()).status == 130


async def test_watch_ends_when_its_reader_goes_away(broker: Broker) -> None:
    async with scripted_daemon(broker, "front_door") as daemon:
        shell = await asyncio.create_subprocess_shell(
            f"{sys.executable} -m nuki_bridge watch --broker {url(broker)} | head -n 1",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        stop = asyncio.Event()

        async def move() -> None:
            for count in range(200):
                if stop.is_set():
                    break
                daemon.peer.send("nuki/front_door/event", json.dumps({"count": count}))
                await asyncio.sleep(0.1)

        moving = asyncio.create_task(move())
        async with asyncio.timeout(patience.HANG_S):
            out, err = await shell.communicate()
        stop.set()
        await moving
        assert out.decode().count("\n") == 1
        assert said(err.decode()) == ""


async def test_an_action_can_depend_on_the_state_and_name_who_asked(broker: Broker) -> None:
    async with scripted_daemon(broker, "front_door") as daemon:
        daemon.answers["front_door/set"] = lambda request: {"completion": "success", **request}
        options = ("--only-if", "unlocked", "--only-if", "unlatched", "--as", "cron")
        assert (await call("lock", "front_door", *options, "--broker", url(broker))).status == 0
        wanted = {"action": "lock", "only_if": ["unlocked", "unlatched"], "as": "cron"}
        assert daemon.asked == [("front_door/set", wanted)]
