"""The radio's side of the benchmark, a process of its own: adapter, virtual lock and echo device, with a stopwatch.

The stopwatch notes every ATT packet of the lock and what the lock notes down itself, on the monotonic clock that all
processes of a machine share.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

from bumble.att import Opcode

from nuki_bridge.protocol.codes import ErrorCode, IdType, LockState
from nuki_bridge.protocol.crypto import kdf1_dh1
from nuki_bridge.simulator.behaviour import Behaviour
from nuki_bridge.simulator.lock import VirtualLock
from tests.bench.child import serve
from tests.radio.air import Air
from tests.radio.peripheral import Peripheral
from tests.vm.guest.echo import EchoDevice

ADDRESS = "54:D2:72:2B:3C:4D"
NUKI_ID = 0x1A2B3C4D
ECHO_ADDRESS = "54:D2:72:00:00:01"
INTERVAL_S = 0.1
"""Between two advertisements: short, because connecting waits for one, half of this on average."""
PAUSE_S = 0.1
"""Before everything that is measured, for everybody alike: people do not act within 0.1 s of their last action."""
GOLDEN = 0.618
"""Of an advertising interval that each action comes later in it than the one before: its parts have equal shares."""
POLL_S = 0.005
CALM_S = 1.0
"""A silence on the link after which everybody has done what an action brings with it."""


class TimedLock(VirtualLock):
    """Notes when things happened."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.moments: list[tuple[str, int]] = []
        note = self.device.note

        def noting(what: str, *args: Any, **kwargs: Any) -> None:
            self.moments.append((what, time.monotonic_ns()))
            note(what, *args, **kwargs)

        self.device.note = noting  # type: ignore[method-assign]


class Stage:
    """What the measuring process asks for."""

    def __init__(self) -> None:
        self.air = Air()
        self.lock = TimedLock(ADDRESS, NUKI_ID, pin=1234, behaviour=Behaviour(motor_s=0.0, pairing_mode_s=120))
        self.echo = EchoDevice(ECHO_ADDRESS, 0x01020304)
        self.peripheral: Peripheral
        self.packets: list[tuple[int, int]] = []
        self.last_packet_ns = 0
        self._turns = 0

    async def start(self) -> None:
        """Plug everything in."""
        self.echo.in_range = False
        await self.air.add(self.echo, interval_s=INTERVAL_S)
        self.peripheral = await self.air.add(self.lock, interval_s=INTERVAL_S)
        controller = self.peripheral._controller
        count = controller.count

        def counted(pdu: bytes) -> None:
            if len(pdu) > 4 and pdu[2:4] == b"\x04\x00":
                self.last_packet_ns = time.monotonic_ns()
                self.packets.append((pdu[4], self.last_packet_ns))
            count(pdu)

        controller.count = counted  # type: ignore[method-assign]
        await self.air.plug_in()

    async def show(self, *, lock: bool, echo: bool) -> None:
        """Put them on the air, or take them off it."""
        if self.lock.in_range != lock:
            self.lock.out_of_range(not lock)
        if self.echo.in_range != echo:
            self.echo.carry(away=not echo)

    async def hold_button(self) -> None:
        """Pairing mode."""
        self.lock.hold_button()

    async def authorize(self, name: str) -> dict[str, Any]:
        """Pair somebody by hand: what a client needs to know, bytes in hex."""
        secret = secrets.token_bytes(32)
        key = kdf1_dh1(secret, self.lock.keys.public)
        app_id = 1 + secrets.randbelow(0xFFFFFFFF)  # with another's it would replace that one
        user = self.lock.add_user(key, IdType.APP, app_id, name, full=ErrorCode.MAX_USER)
        return {
            "authorization_id": user.authorization_id,
            "app_id": app_id,
            "key": key.hex(),
            "secret": secret.hex(),
            "lock_public_key": self.lock.keys.public.hex(),
        }

    async def fill(self, count: int) -> None:
        """Give the lock users until it has so many; with 0 take them away again."""
        lock = self.lock
        for each in lock.authorizations if not count else ():
            if each.name.startswith("Somebody"):
                lock.authorizations.remove(each.authorization_id)
        while len(lock.authorizations) < count:
            name = f"Somebody {len(lock.authorizations)}"
            lock.add_user(secrets.token_bytes(32), IdType.APP, 0, name, full=ErrorCode.MAX_USER)
        lock.users_changed()

    async def ready(self, wait: str) -> str:
        """Wait, then note everything from now on; gives the action that will turn the motor."""
        await self.wait(wait)
        # Who connects waits for an advertisement; at always the same time after the last one chance would decide.
        self._turns += 1
        await asyncio.sleep(PAUSE_S + self._turns * GOLDEN % 1 * INTERVAL_S)
        await self.wait(wait)
        self.lock.moments.clear()
        self.packets.clear()
        return "unlock" if self.lock.motor.state == LockState.LOCKED else "lock"

    async def seen(self) -> dict[str, Any]:
        """What was noted since `ready`: what the lock did, and ATT packets by name, each with its nanosecond."""
        return {
            "moments": self.lock.moments,
            "packets": [(Opcode(opcode).name, moment) for opcode, moment in self.packets],
        }

    async def transactions(self) -> int:
        """ATT round trips so far."""
        return self.peripheral.traffic.transactions

    async def wait(self, what: str) -> None:
        """Wait until what an action brings with it is over.

        `confirmed`: all that the lock sent has been.  `challenge`: somebody holds a challenge that nothing has used,
        too.  `calm`: nothing was sent for a while.  `no link`: nobody is connected.  `scan`: and the adapter scans.
        """
        adapter = self.air.adapter
        assert adapter is not None
        if what in ("confirmed", "challenge", "calm"):
            await self._until(self._all_confirmed)
        else:
            await self._until(lambda: not self.lock.links and not self.peripheral.links)
        if what == "calm":
            await self._until(lambda: time.monotonic_ns() - self.last_packet_ns > CALM_S * 1e9)
        if what == "challenge":
            await self._until(lambda: self._has_challenge() and self._all_confirmed())
        if what == "scan":
            await self._until(lambda: adapter.le_scan_enable)

    def _has_challenge(self) -> bool:
        return any(each.challenge is not None for each in self.lock.authorizations)

    def _all_confirmed(self) -> bool:
        seen = self.peripheral._controller.traffic
        return seen[Opcode.ATT_HANDLE_VALUE_INDICATION] == seen[Opcode.ATT_HANDLE_VALUE_CONFIRMATION]

    async def _until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(POLL_S)


async def main() -> None:
    """Serve until stdin ends."""
    stage = Stage()
    await stage.start()
    try:
        await serve(
            show=stage.show,
            hold_button=stage.hold_button,
            fill=stage.fill,
            authorize=stage.authorize,
            ready=stage.ready,
            seen=stage.seen,
            transactions=stage.transactions,
            wait=stage.wait,
        )
    finally:
        await stage.air.close()


if __name__ == "__main__":
    asyncio.run(main())
