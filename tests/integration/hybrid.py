"""The daemon beside a lock with Nuki's own MQTT API: Bluetooth and MQTT tell of the same bolt.

The daemon runs in this process, over a radio in memory, so that the test and the lock's MQTT client have the same
virtual lock in their hands; the broker is a real one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal
from unittest import mock

from nuki_bridge import config
from nuki_bridge.daemon import daemon
from nuki_bridge.mqtt import mqtt
from nuki_bridge.simulator.behaviour import Behaviour
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.radio import VirtualRadio
from tests import patience
from tests.integration.broker import Broker, Peer, Received
from tests.integration.daemon import CLASSIC, Home
from tests.nuki_mqtt_lock import NukiMqttLock

NUKI_ID = 0x1A2B3C4D
ID = f"{NUKI_ID:08X}"
PIN = "1234"
MOTOR_S = 0.3
"""Seconds that the motor takes: long enough to do something meanwhile."""
KEEPALIVE_S = 3600
"""So long nobody is given up by the broker because he is slow."""


class _Log(logging.Handler):
    """What the daemon has logged, with the time."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[float, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((patience.now(), f"{record.levelname} {record.name}: {record.getMessage()}"))


class InProcess:
    """The daemon as a task of this process; what `Home` needs of one."""

    def __init__(self, directory: Path, settings: str, radio: VirtualRadio) -> None:
        self.config = directory / "config.yaml"
        self.config.write_text(settings)
        self._radio = radio
        self._stop = asyncio.Event()
        self._task: asyncio.Task[int] | None = None
        self._log = _Log()

    @property
    def log(self) -> str:
        """Everything it has logged."""
        return "\n".join(line for _, line in self._log.lines)

    async def start(self) -> None:
        """Start it; what it publishes comes later."""
        ready = asyncio.Event()
        self._stop.clear()
        settings = config.load(self.config)
        self._task = asyncio.create_task(daemon.run(settings, radio=self._radio, ready=ready, stop=self._stop))
        await ready.wait()
        logging.getLogger().addHandler(self._log)

    async def end(self) -> None:
        """Stop it as SIGTERM would."""
        if (task := self._task) is not None:
            self._stop.set()
            await task
            self._task = None
        logging.getLogger().removeHandler(self._log)


class Hybrid(Home):
    """`Home` with the lock itself, its MQTT client and what the log of the daemon says."""

    lock: VirtualLock
    radio: VirtualRadio
    own: NukiMqttLock
    inside: InProcess

    def _is_of_the_bridge(self, message: Received) -> bool:
        return not message.topic.startswith(f"nuki/{ID}/") and super()._is_of_the_bridge(message)

    @property
    def turns(self) -> list[str]:
        """Every start of the motor so far, such as `unlock: unlocking`; the judge of what has moved."""
        return [str(each.detail) for each in self.lock.movements()]

    def states(self) -> list[str]:
        """What our topic has told of the bolt, in its order."""
        return self.on("front/state")

    async def until_state(self, state: str) -> None:
        await self.until(lambda: self.last("front/state") == state)

    async def at_rest(self) -> None:
        """Wait until the motor rests."""
        await self.until(lambda: not self.lock.motor.active)

    async def stop_bridge(self) -> None:
        """Stop it as SIGTERM would, and wait until the observer has seen its end."""
        await self.inside.end()
        await self.until(lambda: self.last("bridge/state") == "offline")

    async def start_bridge(self) -> None:
        """Start it again, and wait until it takes commands and has the lock."""
        await self.inside.start()
        await self.online()
        await self.until(lambda: self.last("front/availability") == "online")

    async def act(self, action: str | dict[str, Any] = "unlock") -> dict[str, Any]:
        """Send a command on our topic and return its outcome."""
        return await self.ask("front/set", action)


@asynccontextmanager
async def hybrid(
    directory: Path,
    *,
    official_api: str = "listen",
    lock: str = "",
    settings: str = "",
    protocol: Literal["5", "3.1.1"] = "5",
    own: bool = True,
    log_level: str = "debug",
    **behaviour: Any,
) -> AsyncIterator[Hybrid]:
    """A paired lock `front`; `own` starts its MQTT client before the daemon.

    `protocol` is the MQTT version of both, `lock` are further keys of the lock in the configuration, `settings` further
    lines of it; `behaviour` is that of the virtual lock.
    """
    (directory / "broker").mkdir()
    with _one_clock():
        async with _at_home(
            directory, f"official_api: {official_api}{lock}", settings, protocol, log_level, behaviour
        ) as home:
            if own:
                await home.own.start()
                await home.until(lambda: home.last(f"{ID}/connected") == "true")
            yield home


@contextmanager
def _one_clock() -> Iterator[None]:
    """Let the daemon count by the seconds of this process's event loop, which a busy machine makes longer.

    The broker's stay as they are: it would give a client up that it hears of less often than was agreed.
    """
    ours = mock.patch.dict(mqtt.Client.__init__.__kwdefaults__, clock=patience.now, keepalive_s=KEEPALIVE_S)
    with mock.patch.object(mqtt, "boottime", patience.now), ours:
        yield


@asynccontextmanager
async def _at_home(
    directory: Path,
    lock: str,
    settings: str,
    protocol: Literal["5", "3.1.1"],
    log_level: str,
    behaviour: dict[str, Any],
) -> AsyncIterator[Hybrid]:
    virtual = VirtualLock(
        CLASSIC, NUKI_ID, pin=int(PIN), factory_new=True, behaviour=Behaviour(**{"motor_s": MOTOR_S, **behaviour})
    )
    radio = VirtualRadio([virtual])
    with Broker(directory / "broker") as broker:
        text = (
            f'mqtt: {{host: 127.0.0.1, port: {broker.port}, protocol: "{protocol}"}}\n'
            f"state_dir: {directory}/state\n"
            f"log_level: {log_level}\n"
            f'locks: [{{name: front, address: "{CLASSIC}", pin: "{PIN}", {lock}}}]\n'
            f"{settings}"
        )
        inside = InProcess(directory, text, radio)
        peer = Peer(broker)
        await peer.subscribe("nuki/#")
        home = Hybrid(broker, inside, peer)  # type: ignore[arg-type]  # its log is all that is needed of it
        home.lock, home.radio, home.inside = virtual, radio, inside
        home.own = NukiMqttLock(virtual, broker.port, version=5 if protocol == "5" else 4)
        try:
            await inside.start()
            await home.online()
            answer = await home.ask("bridge/request/pair", {"address": CLASSIC, "name": "front"})
            assert answer["status"] == "ok", answer
            await home.until(lambda: home.last("front/availability") == "online" and home.last("front/state"))
            yield home
        finally:
            await inside.end()
            home.own.stop()
            home.close()


def true_states(lock: VirtualLock) -> list[str]:
    """Every state that the bolt has had, in order, by the lock's own audit trail."""
    return ["locked", *(str(each.detail) for each in lock.audit if each.what == "state")]


def was_never_so(shown: list[str], true: list[str]) -> str | None:
    """What was shown that was not true when it was its turn; None if each followed the truth, in its order.

    States may be left out, but none may come back that was over: an automation would act on it.
    """
    rest = iter(true)
    last = None
    for number, state in enumerate(shown):
        if state != last and not any(each == state for each in rest):
            return f"{state!r}, number {number} of {shown}, while the lock was {true}"
        last = state
    return None
