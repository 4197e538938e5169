"""The request `trace`: what is said between bridge and locks for a while, without secrets.

It begins by reading what takes no PIN, so that there is something to see; it moves no door and changes nothing.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Final

from nuki_bridge import __version__
from nuki_bridge.arguments import Arguments, Declaration, text, whole
from nuki_bridge.bridge.adapter import Adapter
from nuki_bridge.bridge.members import Members
from nuki_bridge.bridge.ports import Ports
from nuki_bridge.errors import AdapterUnavailable, NukiError, RequestError
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.trace import Tap, Trace
from nuki_bridge.owner.call import Answer
from nuki_bridge.owner.owned_lock import OwnedLock
from nuki_bridge.protocol.advertisement import Sighting
from nuki_bridge.protocol.codes import Family
from nuki_bridge.records import mutable
from nuki_bridge.topics.topics import Request

TRACE_S = 60
"""Seconds that a trace takes unless the request says otherwise."""
LONGEST_S = 600
"""Longest trace in seconds."""
READ_S = 15.0
"""Seconds that each of the first questions may take."""


@mutable
class TraceCommands:
    """Carries out the request `trace`; `trace_in_use` is the one that is being made."""

    members: Members
    adapter: Adapter
    ports: Ports
    trace_in_use: Trace | None = None

    def handshake(self, address: str, family: Family) -> Tap | None:
        """Return what looks on while this device is paired, if a trace is being made."""
        trace = self.trace_in_use
        return None if trace is None else Tap(trace, trace.device(address), lambda: family, list)

    async def trace(self, request: Request) -> Answer:
        """Note for a while what locks and bridge say; without a name of all locks, and of what is heard nearby."""
        seconds = request.arguments.get("for", TRACE_S)
        name = request.arguments.get("name")
        chosen = [each.owned for each in self.members if each.owned is not None and name in (None, each.name)]
        if name is not None and not chosen:
            known = ", ".join(each.name for each in self.members if each.owned is not None) or "none"
            raise RequestError("unknown_lock", f"there is no paired lock of this name; the bridge has: {known}")
        trace = Trace(self.ports.clock)
        ends_at = self.ports.clock() + seconds
        with ExitStack() as until:
            until.callback(self._over)
            self.trace_in_use = trace if name is None else None
            for owned in chosen:
                lock = owned.lock
                tap = Tap(trace, trace.device(lock.paired.address), _family(lock), partial(_known, owned))
                until.enter_context(lock.exchange.traced(tap))
            addresses = {each.lock.paired.address for each in chosen} if name is not None else None
            until.enter_context(self.adapter.overheard(lambda sighting: _hear(trace, sighting, addresses)))
            if name is None:
                with suppress(AdapterUnavailable):
                    until.enter_context(self.adapter.scan())
            reading = asyncio.gather(*(_read(trace, each.lock) for each in chosen))
            try:
                await asyncio.sleep(ends_at - self.ports.clock())
            finally:
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading
        return {
            "data": {
                "version": __version__,
                "seconds": seconds,
                "devices": [_device(trace, each.lock) for each in chosen],
                "notes": trace.notes,
                "left_out": trace.left_out,
            }
        }

    def _over(self) -> None:
        self.trace_in_use = None


def _hear(trace: Trace, sighting: Sighting, addresses: Collection[str] | None) -> None:
    if addresses is None or sighting.address in addresses:
        trace.heard(sighting)


def _family(lock: Lock) -> Callable[[], Family]:
    return lambda: lock.exchange.session.family


def _known(owned: OwnedLock) -> Collection[bytes]:
    """Return the secrets and names of a lock that are known now, as they would stand in a message."""
    lock = owned.lock
    numbers = [lock.paired.nuki_id, lock.paired.app_id, int(lock.pin.digits or 0)]
    found = [lock.paired.shared_key, lock.paired.uuid, *(each.to_bytes(4, "little") for each in numbers)]
    found += [str(each["name"]).encode() for each in owned.users.to_json()]
    if lock.config is not None:
        found.append(lock.config.name.encode())
        found += [struct.pack("<f", each) for each in (lock.config.latitude, lock.config.longitude)]
    return [each for each in found if any(each)]


async def _read(trace: Trace, lock: Lock) -> None:
    """Ask the lock for what takes no PIN; each refusal is a note, too."""
    asked: tuple[tuple[str, Callable[[float], Awaitable[Any]]], ...] = (
        ("states", lock.refresh),
        ("configuration", lock.read_config),
        ("advanced configuration", lock.read_advanced_config),
        ("battery", lock.read_battery),
    )
    for what, ask in asked:
        try:
            await ask(READ_S)
        except NukiError as error:
            trace.note(trace.device(lock.paired.address), "not read", message=what, error=error.code)


def _device(trace: Trace, lock: Lock) -> dict[str, Any]:
    config = lock.config
    told: dict[str, Any] = {
        "device": trace.device(lock.paired.address),
        "family": lock.paired.family.value,
        "connection": lock.connection.value,
        "rssi": lock.rssi,
        "services": {uuid: list(found) for uuid, found in lock.exchange.link.services.items()},
        "firmware": None,
        "hardware": None,
        "device_type": None,
    }
    if config is not None:
        told["firmware"] = ".".join(str(each) for each in config.firmware_version)
        told["hardware"] = ".".join(str(each) for each in config.hardware_revision)
        told["device_type"] = config.device_type
    return told


_NAME: Final = text.meant("of one lock alone; without it all locks and what is heard nearby")
_FOR: Final = whole(1, LONGEST_S, "seconds").meant("seconds, default 60")
REQUESTS: Final[Mapping[str, Declaration[Callable[[TraceCommands, Request], Awaitable[Answer]]]]] = {
    "trace": Declaration(Arguments({"name": _NAME, "for": _FOR}), TraceCommands.trace, reads=True),
}
"""What can be asked about the messages themselves."""
