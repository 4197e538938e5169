"""The measuring side of the benchmark, in the virtual machine; `__main__` starts it there.

    python -m tests.bench.guest OPTIONS

The contenders take turns, several times over, because a machine's speed drifts; each has its own processes, which end
with its turn, so that nobody is woken by another's traffic.  Times are taken where things happen and compared on the
machine's one monotonic clock.  The result is `$VM_RESULTS/bench.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import json
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from paho.mqtt.client import Client as Paho
from paho.mqtt.client import MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from nuki_bridge.bridge.lanes import MOST, WITHIN_S
from tests.bench import by_cause, sharing
from tests.bench.air import ADDRESS, ECHO_ADDRESS
from tests.bench.child import Child, Process
from tests.bench.table import spread
from tests.integration.broker import Broker
from tests.vm.guest import stack

RESULTS = Path(os.environ.get("VM_RESULTS", "."))
DIRECTORY = Path(os.environ.get("TMPDIR", "/tmp")) / "bench"
PROGRAM = Path(sys.executable).parent / "nuki-bridge"
PYTHON = (sys.executable, "-m")
ANSWERS = 4
"""Indications of a virtual lock for one action: ACCEPTED, unlocking, unlocked, COMPLETE."""
BUNCH = MOST - 10
"""Commands in a row, which a daemon that is fast carries out within the time in which more are a flood."""
NAME = "front_door"


class Watcher:
    """The measuring MQTT client.  No thread: it publishes at once, and reads while it waits."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[int, str, str]] = []
        self._paho = Paho(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._paho.on_message = self._on_message
        self._paho.on_connect = self._on_connect
        self._paho.connect("127.0.0.1", port, keepalive=65535)  # nobody reads while others have their turn

    def _on_connect(self, *_: object) -> None:
        for topic in (
            *(f"{NAME}/result", f"{NAME}/availability", "bridge/state", "bridge/response/pair"),
            *(f"{NAME}/response/users/list", f"{NAME}/response/invite/create", "invitation/+/response"),
        ):
            self._paho.subscribe(f"nuki/{topic}", 0)

    def _on_message(self, _client: object, _data: object, message: MQTTMessage) -> None:
        payload = message.payload.decode(errors="replace")  # a credential is sealed
        self.heard.append((time.monotonic_ns(), message.topic.removeprefix("nuki/"), payload))

    def publish(self, topic: str, payload: str | bytes) -> int:
        """Publish at QoS 0, as mosquitto_pub and Home Assistant do; gives the moment before."""
        self.heard.clear()
        now = time.monotonic_ns()
        self._paho.publish(f"nuki/{topic}", payload)
        return now

    def wait(self, topic: str, words: str, timeout_s: float = 60.0) -> int:
        """The moment at which a payload with these words came on `topic`, since the last `publish`."""
        deadline = time.monotonic() + timeout_s
        seen = 0
        while time.monotonic() < deadline:
            for moment, where, payload in self.heard[seen:]:
                if where == topic and words in payload:
                    return moment
            seen = len(self.heard)
            self._paho.loop(1.0)
        raise RuntimeError(f"{words!r} did not come on {topic} within {timeout_s} s, but {self.heard}")


class Daemon:
    """The installed program with a configuration of its own."""

    def __init__(self, watcher: Watcher, port: int, connection: str, *, pin: str | None = None) -> None:
        self.wait_for = "challenge" if connection == "persistent" else "scan"
        self.online: list[float] = []
        self.process: Process
        self.command: tuple[str, ...] = (str(PROGRAM),)
        self._watcher = watcher
        self._config = DIRECTORY / f"{connection}{'' if pin is None else '-with-pin'}.yaml"
        self._config.write_text(
            f"mqtt: {{host: 127.0.0.1, port: {port}}}\nstate_dir: {DIRECTORY}/state\n"
            f"locks: [{{name: {NAME}, connection: {connection}{'' if pin is None else f', pin: {pin!r}'}}}]\n"
        )

    def start(self) -> None:
        """Start it and wait until it knows its locks."""
        self._watcher.heard.clear()
        start = time.monotonic_ns()
        self.process = Process([*self.command, "run", "--config", str(self._config)], RESULTS / "nuki-bridge.log")
        self.online.append((self._watcher.wait("bridge/state", "online") - start) / 1e6)

    def until_reachable(self) -> None:
        """Wait until the lock can be commanded and the first reading is over."""
        self._watcher.wait(f"{NAME}/availability", "online")
        time.sleep(3)

    def stop(self) -> None:
        """End it."""
        self._watcher.heard.clear()
        self.process.end()
        self._watcher.wait("bridge/state", "offline")

    def pair(self, air: Child) -> None:
        """Pair the lock on the air."""
        self.start()
        air.ask("hold_button")
        self._watcher.publish("bridge/request/pair", json.dumps({"name": NAME}))
        self._watcher.wait("bridge/response/pair", '"ok"')
        self.stop()

    def act(self, action: str) -> tuple[int, int]:
        """One action; the moments of publishing and of its result."""
        start = self._watcher.publish(f"{NAME}/set", action)
        return start, self._watcher.wait(f"{NAME}/result", '"status":"ok"')


class Client:
    """Another client: `bare` or `pynukibt`, with a link held or made for each action."""

    def __init__(self, command: tuple[str, ...], told: dict[str, Any], *, linked: bool) -> None:
        self.wait_for = "confirmed" if linked else "no link"
        self.process: Child
        self._command = (*command, ADDRESS)
        self._told = told
        self._linked = linked

    def start(self) -> None:
        """Start it."""
        self.process = Child(self._command, RESULTS / f"{self._command[-2]}.log")
        self.process.ask("use", **self._told)

    def until_reachable(self) -> None:
        """Find the lock, and connect if the link is to be held."""
        self.process.ask("find")
        if self._linked:
            self.process.ask("connect")

    def stop(self) -> None:
        """End it."""
        if self._linked:
            self.process.ask("disconnect")
        self.process.end()

    def act(self, action: str) -> tuple[int, int]:
        """One action; the moments at which it began and COMPLETE had come."""
        start, end = self.process.ask("act", action=action.upper(), linked=self._linked)
        return start, end


class Contender(Protocol):
    """`Daemon` or `Client`."""

    wait_for: str

    @property
    def process(self) -> Any: ...

    def start(self) -> None: ...
    def until_reachable(self) -> None: ...
    def stop(self) -> None: ...
    def act(self, action: str) -> tuple[int, int]: ...


class Measured:
    """What was measured of one contender's actions."""

    def __init__(self, air: Child, contender: Contender) -> None:
        self.contender = contender
        self._air = air
        self._times: dict[str, list[float]] = {"accepted_ms": [], "complete_ms": [], "end_ms": []}
        self._counts: dict[str, list[float]] = {"writes_before_motor": [], "att_until_end": []}
        self._turns: list[tuple[int, int, float]] = []
        self._rss_mib = 0.0
        self.first_rss_mib = 0.0

    def turn(self, count: int) -> None:
        """So many actions, each from where the last has left nothing to do."""
        air, contender = self._air, self.contender
        air.ask("wait", what=contender.wait_for)
        transactions, cpu_s = air.ask("transactions"), contender.process.cpu_s()
        for number in range(count):
            action = air.ask("ready", wait=contender.wait_for)
            self._add(*contender.act(action))
            if not number:
                self.first_rss_mib = contender.process.rss_mib()
        air.ask("wait", what=contender.wait_for)
        self._turns.append((count, air.ask("transactions") - transactions, contender.process.cpu_s() - cpu_s))
        self._rss_mib = max(self._rss_mib, contender.process.rss_mib())

    def _add(self, start: int, end: int) -> None:
        """One action: milliseconds from `start` until the lock accepted, until it said COMPLETE, and until `end`."""
        seen = self._air.ask("seen")
        moments = dict(reversed(seen["moments"]))
        accepted = moments["motor"]
        answers = [at for name, at in seen["packets"] if name == "ATT_HANDLE_VALUE_INDICATION" and at >= accepted]
        for times, moment in zip(self._times.values(), (accepted, answers[ANSWERS - 1], end), strict=True):
            times.append((moment - start) / 1e6)
        writes = [at for name, at in seen["packets"] if name == "ATT_WRITE_REQUEST" and at <= accepted]
        trips = [at for name, at in seen["packets"] if name.endswith(("_REQUEST", "_INDICATION")) and at <= end]
        for counts, value in zip(self._counts.values(), (len(writes), len(trips)), strict=True):
            counts.append(value)

    def result(self) -> dict[str, Any]:
        """Everything, for JSON."""
        count = len(self._times["end_ms"])
        return {
            "actions": count,
            **{name: spread(values) for name, values in (self._times | self._counts).items()},
            "att_per_action": sum(trips for _, trips, _ in self._turns) / count,
            "att_rounds": spread([trips / actions for actions, trips, _ in self._turns]),
            "cpu_s_per_action": sum(took for *_, took in self._turns) / count,
            "cpu_s_rounds": spread([took / actions for actions, _, took in self._turns]),
            "rss_mib": self._rss_mib,
        }


def floor(air: Child, count: int) -> dict[str, list[float]]:
    """Milliseconds of bare writes, and of writes with their echo."""
    air.ask("show", lock=False, echo=True)
    with Child((*PYTHON, "tests.bench.bare", ECHO_ADDRESS), RESULTS / "floor.log") as bare:
        bare.ask("find")
        bare.ask("connect")
        took: dict[str, list[float]] = bare.ask("floor", count=count)
        bare.ask("disconnect")
    air.ask("show", lock=True, echo=False)
    return took


def idle(daemon: Daemon, seconds: float) -> float:
    """Processor time of the daemon in percent while nothing happens."""
    before = daemon.process.cpu_s()
    time.sleep(seconds)
    return (daemon.process.cpu_s() - before) / seconds * 100


def back_to_back(air: Child, daemon: Daemon, count: int) -> dict[str, Any]:
    """More actions, each sent as soon as the last has its result, in bunches: more in a row would be a flood."""
    took: list[float] = []
    transactions, cpu_s = air.ask("transactions"), 0.0
    action = air.ask("ready", wait="challenge")
    while len(took) < count:
        if took:
            time.sleep(WITHIN_S)
        before = daemon.process.cpu_s()
        for _ in range(min(BUNCH, count - len(took))):
            start, end = daemon.act(action)
            took.append((end - start) / 1e6)
            action = "lock" if action == "unlock" else "unlock"
        air.ask("wait", what="challenge")
        cpu_s += daemon.process.cpu_s() - before
    return {
        "actions": count,
        "end_ms": spread(took),
        "att_per_action": (air.ask("transactions") - transactions) / count,
        "cpu_s_per_action": cpu_s / count,
        "rss_mib": daemon.process.rss_mib(),
    }


# -- all of it --------------------------------------------------------------------------------------------------------


def progress(what: str) -> None:
    """Tell the person who waits."""
    print(f"bench: {time.monotonic():4.0f} s: {what}", flush=True)


def measure(air: Child, broker: Broker, options: argparse.Namespace) -> dict[str, Any]:
    """Everything, in turns."""
    watcher = Watcher(broker.port)
    daemons = {each: Daemon(watcher, broker.port, each) for each in ("persistent", "on-demand")}
    contenders: dict[str, Contender] = dict(daemons)
    others = {"bare": (*PYTHON, "tests.bench.bare")}
    if options.pynukibt:
        others["pynukibt"] = (options.pynukibt, "-m", "tests.bench.pynukibt")
    for name, command in others.items():
        told = air.ask("authorize", name=name)
        contenders[f"{name} held"] = Client(command, told, linked=True)
        contenders[f"{name} alone"] = Client(command, told, linked=False)
    owners = Daemon(watcher, broker.port, "persistent", pin=sharing.PIN)
    for name, ahead in (("relay", False), ("relay ahead", True)):
        client = Client((*PYTHON, "tests.bench.relayed"), air.ask("authorize", name=name), linked=True)
        contenders[name] = sharing.Guest(owners, client, broker.port, f"nuki/{NAME}", ahead=ahead)
    daemons["persistent"].pair(air)
    measured = {name: Measured(air, contender) for name, contender in contenders.items()}
    floors: list[dict[str, list[float]]] = []
    special: dict[str, Any] = {"idle_cpu_percent": {}}
    counts = {"challenge": options.actions, "confirmed": options.actions, "calm": options.guest_actions}
    for number in range(options.rounds):
        progress(f"round {number + 1} of {options.rounds}: floor")
        floors.append(floor(air, -(-options.actions // options.rounds)))
        for name, each in measured.items():
            progress(f"round {number + 1} of {options.rounds}: {name}")
            count = counts.get(each.contender.wait_for, options.on_demand_actions)
            each.contender.start()
            each.contender.until_reachable()
            each.turn(-(-count // options.rounds))
            if isinstance(each.contender, Daemon) and number == options.rounds - 1:
                progress(f"{name}: idle")
                special["idle_cpu_percent"][name] = idle(each.contender, options.idle)
            if name == "persistent" and number == options.rounds - 1:
                progress(f"{name}: more actions")
                more = back_to_back(air, daemons[name], options.endurance - -(-options.actions // options.rounds))
                special["back_to_back"] = more
                special["rss_mib"] = {"after_1": each.first_rss_mib, f"after_{options.endurance}": more["rss_mib"]}
            if name == "relay" and number == options.rounds - 1:
                progress("users and invitations")
                special["listing"] = sharing.list_users(air, watcher, NAME, options.users)
                special["inviting"] = sharing.invite_and_redeem(air, watcher, NAME, options.invitations)
            each.contender.stop()
    progress("done")
    return {
        **{name: each.result() for name, each in measured.items()},
        **special,
        "online_ms": spread([each for daemon in daemons.values() for each in daemon.online]),
        **{f"floor_{what}_ms": spread([each for one in floors for each in one[what]]) for what in ("write", "echo")},
        "floor_rounds_ms": [spread(one["echo"])["median"] for one in floors],
    }


def measure_causes(air: Child, broker: Broker, options: argparse.Namespace) -> dict[str, Any]:
    """Where the daemon's processor time goes, for each kind of connection."""
    watcher = Watcher(broker.port)
    found: dict[str, Any] = {}
    for connection in ("persistent", "on-demand"):
        daemon = Daemon(watcher, broker.port, connection)
        if options.only_causes and not found:
            daemon.pair(air)
        progress(f"{connection}: by cause")
        found[connection] = by_cause.measure(air, daemon, DIRECTORY, options.cause_actions, options.idle)
    return {"causes": found}


def versions() -> dict[str, str]:
    """Of everything that takes part."""
    names = ("nuki-bridge", "bleak", "dbus-fast", "paho-mqtt", "PyNaCl", "bumble")
    bluez = subprocess.run([stack.DAEMON, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        **{name: metadata.version(name) for name in names},
        "Python": sys.version.split()[0],
        "kernel": os.uname().release,
        "BlueZ": bluez,
    }


def main() -> None:
    """The command line; `__main__` of this package knows the options."""
    parser = argparse.ArgumentParser()
    counts = ("--actions", "--on-demand-actions", "--guest-actions", "--endurance", "--users", "--invitations")
    for name in (*counts, "--rounds"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--cause-actions", type=int, default=0)
    parser.add_argument("--only-causes", action="store_true", help="of a daemon that is paired for it")
    parser.add_argument("--idle", type=float, required=True)
    parser.add_argument("--pynukibt", default="")
    options = parser.parse_args()
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    # As pip leaves an installed program: what it imports is compiled.
    compileall.compile_dir("nuki_bridge", quiet=1)
    compileall.compile_dir("tests", quiet=1)
    with (
        Child((*PYTHON, "tests.bench.air"), RESULTS / "air.log") as air,
        Broker(DIRECTORY, options=("log_type none",)) as broker,
    ):
        asyncio.run(stack.wait_powered())
        results = {} if options.only_causes else measure(air, broker, options)
        if options.cause_actions:
            results |= measure_causes(air, broker, options)
    (RESULTS / "bench.json").write_text(json.dumps({**results, "versions": versions()}))


if __name__ == "__main__":
    main()
