"""The relay as it runs on this machine: daemon and mosquitto are processes of their own, the lock is in the daemon.

What remains is what the relay itself costs: no radio, no emulated processor.  The moment that counts is the one at
which the lock's motor starts, as the lock notes it down.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import signal
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from nuki_bridge.bluetooth.link import Channel, Link
from nuki_bridge.protocol.codes import ErrorCode, IdType
from nuki_bridge.protocol.wire import Message
from nuki_bridge.simulator.behaviour import Behaviour
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.radio import VirtualRadio
from tests import patience
from tests.bench.bare import Bare
from tests.bench.relayed import Relayed
from tests.bench.table import spread
from tests.integration.broker import Broker, Peer
from tests.integration.daemon import CLASSIC, Daemon, Home, running

CALM_S = 1.5
"""Between two actions: the daemon reads the lock's states and its log after each."""
STARTS = 5
"""Of the daemon, to see how long it takes."""


class InMemory(Bare):
    """A client at the lock's side of the virtual radio."""

    _link: Link

    async def reach(self, lock: VirtualLock) -> None:
        """Connect to a lock in this process."""
        radio = VirtualRadio([lock])
        self._link = radio.link(self.address, lambda _, frame: self._arrived.put_nowait(frame), lambda: None)
        await self._link.connect(1.0)

    async def _send(self, message: Message) -> None:
        await self._link.write(Channel.USDIO, self._session.send(message))


async def measure(actions: int) -> dict[str, Any]:
    """Milliseconds until the motor starts (through the relay, by the bridge, directly), and of the daemon's start."""
    with tempfile.TemporaryDirectory(prefix="nuki-bridge-bench-") as temporary:
        directory = Path(temporary)
        (directory / "broker").mkdir()
        with Broker(directory / "broker", options=("log_type none",)) as broker:
            lock = f'locks:\n  - {{name: front, address: "{CLASSIC}", pin: "1234"}}\n'
            async with running(broker, directory, lock, program="tests.bench.instant", log_level="info") as home:
                times = await _at_home(home, actions)
            times["online_ms"] = [await _start(Daemon(directory, broker.port, lock), broker) for _ in range(STARTS)]
    times["direct_ms"] = await _directly(actions)
    return {name: spread(values) for name, values in times.items()}


async def _start(daemon: Daemon, broker: Broker) -> float:
    """Milliseconds from the start of the daemon, which knows a lock, until it says that it is online; ends it again."""
    async with Peer(broker) as peer:
        start = time.monotonic()
        daemon.start()
        await peer.subscribe("nuki/bridge/state")
        while (await peer.next()).payload != b"online":  # the last one's will is there first
            pass
        took = (time.monotonic() - start) * 1000
        daemon.signal(signal.SIGTERM)
        await daemon.ended(patience.HANG_S)
        return took


async def _at_home(home: Home, actions: int) -> dict[str, list[float]]:
    await home.pair()
    await home.ask("front/simulate", {"motor_s": 0})
    made = (await home.ask("front/request/users/add", {"name": "Guest"}))["data"]
    guest = Relayed(CLASSIC)
    await guest.use(made["authorization_id"], 0, made["shared_key"], "", "")
    await guest.reach(home.broker.port, "nuki/front")
    await guest.connect()
    took: dict[str, list[float]] = {"relay_ms": [], "relay_ahead_ms": [], "own_ms": []}
    names = itertools.cycle(("unlock", "lock"))
    for _, who in itertools.product(range(actions), took):
        await asyncio.sleep(CALM_S)
        action = next(names)
        if who == "relay_ahead_ms":
            await guest.ask_ahead()
        start = time.time()
        if who == "own_ms":
            await home.ask("front/set", json.dumps({"action": action}))
        else:
            await guest.act(action.upper(), linked=True)
        took[who].append((last_motor(await home.audit()) - start) * 1000)
    await guest.disconnect()
    return took


async def _directly(actions: int) -> list[float]:
    lock = VirtualLock(CLASSIC, 0x1A2B3C4D, pin=1234, behaviour=Behaviour(motor_s=0.0))
    key = secrets.token_bytes(32)
    client = InMemory(CLASSIC)
    await client.reach(lock)
    user = lock.add_user(key, IdType.APP, 1, "Guest", full=ErrorCode.MAX_USER)
    await client.use(user.authorization_id, 1, key.hex(), "", "")
    took = []
    for number in range(actions):
        start = time.time()
        await client.act("LOCK" if number % 2 else "UNLOCK", linked=True)
        took.append((last_motor([each.as_dict() for each in lock.audit]) - start) * 1000)
    return took


def last_motor(audit: list[dict[str, Any]]) -> float:
    """When the motor was started last, in Unix seconds."""
    last = next(each for each in reversed(audit) if each["what"] == "motor")
    return datetime.fromisoformat(last["time"]).timestamp()
