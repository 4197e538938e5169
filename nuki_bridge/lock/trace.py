"""What is said between bridge and locks, noted down for somebody who has no such lock.

A note never holds a secret (`protocol/redaction.py`); what is noted is bounded, and what no longer fits is counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from nuki_bridge.protocol import redaction
from nuki_bridge.protocol.advertisement import Sighting
from nuki_bridge.protocol.codes import Family

MAX_SIZE = 40_000
"""Bytes of JSON that the notes may take: brokers take messages of 64 kB."""
MAX_ADVERTISEMENTS = 50
"""Most notes about one device's advertisements; the signal alone is no reason for one."""


class Trace:
    """Notes from now on; `clock` in seconds."""

    def __init__(self, clock: Callable[[], float], max_size: int = MAX_SIZE) -> None:
        self.notes: list[dict[str, Any]] = []
        self.left_out = 0
        """Notes for which there was no room."""
        self._clock = clock
        self._began = clock()
        self._room = max_size
        self._devices: dict[str, int] = {}
        self._said: dict[str, list[Any]] = {}

    def device(self, address: str) -> int:
        """Return the number under which the device at this address is told of."""
        return self._devices.setdefault(address, len(self._devices) + 1)

    def note(self, device: int, what: str, **more: Any) -> None:
        """Note something that happened just now."""
        noted = {"at": round(self._clock() - self._began, 3), "device": device, "what": what, **more}
        size = len(json.dumps(noted)) + 2
        if size > self._room:
            self.left_out += 1
            return
        self._room -= size
        self.notes.append(noted)

    def heard(self, sighting: Sighting) -> None:
        """Note an advertisement, if it says something that this device has not said before."""
        told = redaction.advertised(sighting)
        said = self._said.setdefault(sighting.address, [])
        if told in said or len(said) >= MAX_ADVERTISEMENTS:
            return
        said.append(told)
        number = self.device(sighting.address)
        maker = sighting.address[:8]
        self.note(number, "advertisement", maker=maker, rssi=sighting.rssi, data=dict(told))


class Tap:
    """Notes what one device's link carries; see `exchange.Tap`.

    `family` is how the device talks now, `known` its secrets, as far as the bridge has them.
    """

    def __init__(
        self, trace: Trace, device: int, family: Callable[[], Family], known: Callable[[], Collection[bytes]]
    ) -> None:
        self._trace = trace
        self._device = device
        self._family = family
        self._known = known

    def message(self, command: int, payload: bytes, frame_size: int, *, sent: bool) -> None:
        """Note one message of the bridge's own; whatever it is, it disturbs nobody."""
        what = _direction(sent)
        try:
            seen = redaction.shown(command, payload, self._family(), self._known())
        except Exception as error:
            self._trace.note(
                self._device, what, number=f"0x{command:04x}", size=len(payload), error=type(error).__name__
            )
            return
        more: dict[str, Any] = {"payload": seen.payload} if seen.payload is not None else {}
        if seen.hidden:
            more["hidden"] = list(seen.hidden)
        number = f"0x{seen.number:04x}"
        self._trace.note(self._device, what, message=seen.name, number=number, size=seen.size, frame=frame_size, **more)

    def frame(self, what: str, frame_size: int, *, sent: bool) -> None:
        """Note that a frame went by."""
        self._trace.note(self._device, _direction(sent), message=what, frame=frame_size)

    def link(self, *, up: bool) -> None:
        """Note that the link came or went."""
        self._trace.note(self._device, "connected" if up else "disconnected")

    def services(self, services: Mapping[str, Sequence[str]]) -> None:
        """Note which services and characteristics were found."""
        self._trace.note(self._device, "services", services={uuid: list(found) for uuid, found in services.items()})


def _direction(sent: bool) -> str:
    return "sent" if sent else "received"
