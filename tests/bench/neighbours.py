"""What the ways of others cost beside the bridge's own topics, on this machine itself.

Nuki's MQTT API (`official_api: serve`) and the Bridge HTTP API take a command as the bridge's own topic does, so all
are asked in turn, in the same run: until the lock's motor starts, as the lock notes it down, and until the answer is
there.  In the other direction (`listen`) a lock tells of a turn by hand on its own topic, and the bridge on its.  Each
topic is watched over a connection of its own: the broker holds back a small message that follows another one.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from nuki_bridge.protocol.codes import LockState
from tests.bench.native import CALM_S, last_motor
from tests.bench.table import spread
from tests.integration.bridge_house import House, house
from tests.integration.broker import Peer
from tests.integration.daemon import CLASSIC
from tests.integration.hybrid import ID, hybrid

_ENTRY = f'locks:\n  - {{name: front, address: "{CLASSIC}", pin: "1234", official_api: serve}}\n'
_CODES = {"unlock": 1, "lock": 2}


async def measure(actions: int) -> dict[str, Any]:
    """Milliseconds of each way, `actions` times each."""
    return {"actions": actions, **await _commands(actions), **await _states(actions)}


async def _commands(actions: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="nuki-bridge-bench-") as temporary:
        async with house(Path(temporary), _ENTRY) as home:
            await home.home.ask("front/simulate", {"motor_s": 0})
            await home.home.until(lambda: home.home.last(f"{ID}/connected") == "true")
            own, served = home.broker.peer("everybody"), home.broker.peer("everybody")
            try:
                await own.subscribe("nuki/front/result")
                await served.subscribe(f"nuki/{ID}/commandResponse")
                return await _in_turn(home, own, served, actions)
            finally:
                own.close()
                served.close()


async def _in_turn(home: House, own: Peer, served: Peer, actions: int) -> dict[str, Any]:
    async def by_own_topic(action: str) -> None:
        own.send("nuki/front/set", json.dumps({"action": action}))
        assert json.loads((await own.next()).payload)["status"] == "ok"

    async def served_so(action: str) -> None:
        served.send(f"nuki/{ID}/lockAction", str(_CODES[action]))
        assert (await served.next()).payload == b"0"

    async def by_http(action: str) -> None:
        answer = await home.caller.action(_CODES[action])
        assert answer.json()["success"], answer

    ways: dict[str, Callable[[str], Awaitable[None]]] = {"own": by_own_topic, "served": served_so, "http": by_http}
    motor: dict[str, list[float]] = {name: [] for name in ways}
    answer: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(actions):
        for name, way in ways.items():
            action = "lock" if number % 2 else "unlock"
            await home.home.ask("front/simulate", {"turn": "unlocked" if number % 2 else "locked"})
            await asyncio.sleep(CALM_S)
            while not own._queue.empty():
                await own.next()  # what came of the other ways
            start = time.time()
            await way(action)
            answer[name].append((time.time() - start) * 1000)
            motor[name].append((last_motor(await home.home.audit()) - start) * 1000)
    return {
        **{f"{name}_motor_ms": spread(took) for name, took in motor.items()},
        **{f"{name}_answer_ms": spread(took) for name, took in answer.items()},
    }


async def _states(actions: int) -> dict[str, Any]:
    """A turn by hand, until the lock's own topic and the bridge's have told of it; Bluetooth does not tell."""
    with tempfile.TemporaryDirectory(prefix="nuki-bridge-bench-") as temporary:
        theirs: list[float] = []
        ours: list[float] = []
        async with (
            hybrid(Path(temporary), log_level="info", beacon_bit_missing=True) as home,
            Peer(home.broker) as lock,
            Peer(home.broker) as bridge,
        ):
            await lock.subscribe(f"nuki/{ID}/state")
            await bridge.subscribe("nuki/front/state")
            for number in range(actions):
                await asyncio.sleep(CALM_S)
                while not (lock._queue.empty() and bridge._queue.empty()):
                    await (bridge if lock._queue.empty() else lock).next()
                start = time.time()
                home.lock.turn_by_hand(LockState.LOCKED if number % 2 else LockState.UNLOCKED)
                for peer, took in ((lock, theirs), (bridge, ours)):
                    await peer.next()
                    took.append((time.time() - start) * 1000)
    return {"their_state_ms": spread(theirs), "our_state_ms": spread(ours)}


def render(results: dict[str, Any]) -> str:
    """What was measured, in lines."""
    rows = (
        ("own_motor_ms", "the bridge's own topic, until the motor starts"),
        ("served_motor_ms", "Nuki's lockAction, until the motor starts"),
        ("http_motor_ms", "Bridge HTTP API, until the motor starts"),
        ("own_answer_ms", "the bridge's own topic, until the result"),
        ("served_answer_ms", "Nuki's lockAction, until commandResponse"),
        ("http_answer_ms", "Bridge HTTP API, until its answer"),
        ("their_state_ms", "a turn by hand, until the lock's own topic tells"),
        ("our_state_ms", "  until the bridge's topic tells"),
    )
    lines = [f"Nuki's own interfaces, {results['actions']} times each, on this machine itself:"]
    for key, what in rows:
        one = results[key]
        lines.append(f"{what.ljust(50)}  {one['median']:.1f} ms ({one['min']:.1f}-{one['max']:.1f})")
    return "\n".join(lines)
