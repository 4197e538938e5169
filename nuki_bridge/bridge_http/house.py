"""All locks and Openers as the broker tells of them, and who is told when one has changed.

`bridge/info` says which there are.  Other topics of the same form, such as those of a lock that speaks MQTT itself, are
none of them.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from nuki_bridge.bridge_http.device import RING_S, Device
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.mqtt.payload import read_object

log = logging.getLogger(__name__)

KINDS = ("availability", "state", "door", "continuous_mode", "battery", "status")
"""What is read of each lock."""
MAX_LOCKS = 64
"""Most names of locks of which anything is kept."""
SETTLE_S = 0.05
"""Seconds to wait for more after a change: state, door and battery come as messages of their own."""
FIRST_S = 1.0
"""Seconds to wait after the first that is heard of anything: the broker tells all that it has retained."""
_STATUS = ("name_in_lock", "device_type", "firmware", "rssi", "updated", "config")


class House:
    """Every device by the maker's ID.

    `changed` is given the ID of each device whose state object has changed.  `clock` gives seconds, `now` the moment.
    """

    def __init__(
        self,
        base: str,
        *,
        changed: Callable[[int], None],
        clock: Callable[[], float],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._base = base
        self._changed = changed
        self._clock = clock
        self._now = now
        self._heard: dict[str, dict[str, bytes]] = {}
        """Retained payloads by lock and kind, also of locks that `bridge/info` has not named yet."""
        self._devices: dict[int, Device] = {}
        self._told: dict[int, dict[str, Any]] = {}
        self._due: asyncio.TimerHandle | None = None
        self._rings: dict[int, asyncio.TimerHandle] = {}
        self.online = False
        """The daemon says that it is there; it says nothing else while it is not connected."""
        self.told = False
        """The daemon has said which devices there are."""

    @property
    def topics(self) -> list[str]:
        """The topic filters of all that is read; no message fits two of them."""
        return [f"{self._base}/bridge/info", *(f"{self._base}/+/{each}" for each in (*KINDS, "event"))]

    @property
    def devices(self) -> list[Device]:
        """All devices, in the daemon's order."""
        return [*self._devices.values()]

    def get(self, nuki_id: int) -> Device | None:
        """Return the device with this ID, None if there is none."""
        return self._devices.get(nuki_id)

    def lost(self) -> None:
        """The broker is away: nobody knows whether the daemon is there.  It may be back soon, so nobody is told."""
        self._set_online(False)

    def _set_online(self, online: bool) -> None:
        self.online = online
        for each in self._devices.values():
            each.orphaned = not online

    def close(self) -> None:
        """Tell nobody anything any more."""
        for each in (self._due, *self._rings.values()):
            if each is not None:
                each.cancel()

    def take(self, message: Incoming) -> None:
        """Take in a message on one of `topics`."""
        name, _, kind = message.topic.removeprefix(f"{self._base}/").partition("/")
        if name == "bridge":
            if kind == "state":
                self._set_online(message.payload == b"online")
                self._look_soon()
            elif kind == "info":
                self._take_info(message.payload)
        elif kind == "event":
            if not message.retain:
                self._take_event(name, message.payload)
        elif kind in KINDS and (name in self._heard or self._has_room(name)):
            self._heard.setdefault(name, {})[kind] = message.payload
            if (device := self._device(name)) is not None:
                self._fill(device, kind, message.payload)
                self._look_soon()

    def _has_room(self, name: str) -> bool:
        """Return whether anything is to be kept of it; eight hex digits are a lock that speaks MQTT itself."""
        if self._device(name) is not None:
            return True
        return len(self._heard) < MAX_LOCKS and re.fullmatch("[0-9A-Fa-f]{8}", name) is None

    def _device(self, name: str) -> Device | None:
        return next((each for each in self._devices.values() if each.name == name), None)

    # -- which there are ----------------------------------------------------------------------------------------------

    def _take_info(self, payload: bytes) -> None:
        locks = _object(payload).get("locks")
        before, self._devices, self.told = self._devices, {}, True
        for each in locks[:MAX_LOCKS] if isinstance(locks, list) else ():
            device = _device_of(each)
            if device is None:
                continue
            old = before.get(device.nuki_id)
            if old is not None and (old.name, old.family) == (device.name, device.family):
                device = old
            else:
                for kind, told in self._heard.get(device.name, {}).items():
                    self._fill(device, kind, told)
            device.orphaned = not self.online
            self._devices[device.nuki_id] = device
        names = {each.name for each in self._devices.values()}
        self._heard = {name: each for name, each in self._heard.items() if name in names}
        self._told = {each: told for each, told in self._told.items() if each in self._devices}
        self._look_soon()

    # -- what each of them tells --------------------------------------------------------------------------------------

    def _fill(self, device: Device, kind: str, payload: bytes) -> None:
        text = payload.decode(errors="replace")
        if kind == "availability":
            device.offline = text == "offline"
        elif kind == "state":
            device.turned_at = device.turned_at if text == device.state else self._clock()
            device.state = text or None
            device.heard = self._now().isoformat(timespec="seconds")
        elif kind == "door":
            device.door = text or None
        elif kind == "continuous_mode":
            device.continuous_mode = text == "on"
        elif kind == "battery":
            device.battery = _object(payload)
        elif kind == "status":
            told = _object(payload)
            device.status = {each: told[each] for each in _STATUS if told.get(each) is not None}

    def _take_event(self, name: str, payload: bytes) -> None:
        device = self._device(name)
        if device is None or not device.is_opener:
            return
        event = _object(payload)
        if event.get("type") != "ring":
            return
        now = self._now()
        time = event.get("time")
        try:
            at = datetime.fromisoformat(time) if isinstance(time, str) else now
            age_s = (now - at).total_seconds()
        except (ValueError, TypeError):  # no time, or one without offset
            at, age_s = now, 0.0
        device.rung = at.isoformat(timespec="seconds")
        if age_s < RING_S:
            # By our clock, from now on: the Opener's may be some seconds off.
            device.rung_at = self._clock()
            if (before := self._rings.pop(device.nuki_id, None)) is not None:
                before.cancel()
            loop = asyncio.get_running_loop()
            self._rings[device.nuki_id] = loop.call_later(RING_S + SETTLE_S, self._ring_over, device.nuki_id)
        self._look_soon()

    def _ring_over(self, nuki_id: int) -> None:
        self._rings.pop(nuki_id, None)
        self._look()

    # -- who is told --------------------------------------------------------------------------------------------------

    def _look_soon(self) -> None:
        if self._due is None:
            delay_s = SETTLE_S if self._told else FIRST_S
            self._due = asyncio.get_running_loop().call_later(delay_s, self._look)

    def _look(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        now = self._clock()
        for device in self.devices:
            shown = device.shown(now)
            if shown != self._told.get(device.nuki_id):
                self._told[device.nuki_id] = shown
                self._changed(device.nuki_id)


def _device_of(lock: object) -> Device | None:
    """Return the device of an entry of `bridge/info`, None if it is not paired."""
    if not isinstance(lock, Mapping) or not lock.get("paired"):
        return None
    name, number, family = lock.get("name"), lock.get("nuki_id"), lock.get("family")
    try:
        nuki_id = int(number, 16) if isinstance(number, str) else math.nan
    except ValueError:
        return None
    if not isinstance(name, str) or not isinstance(nuki_id, int):
        return None
    return Device(name, nuki_id, str(family))


def _object(payload: bytes) -> Mapping[str, Any]:
    try:
        return read_object(payload.decode(errors="replace"))
    except ValueError:
        return {}
