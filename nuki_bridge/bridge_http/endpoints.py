"""What each path of the interface answers; no sockets.

Only what goes to a lock takes time.  The rest is answered from what the broker has told, so that no poller keeps a
command waiting.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

from nuki_bridge import __version__
from nuki_bridge.allowance import Allowance
from nuki_bridge.bridge_http.callbacks import Callbacks
from nuki_bridge.bridge_http.commands import Commands, Ended
from nuki_bridge.bridge_http.device import Device
from nuki_bridge.bridge_http.house import House
from nuki_bridge.bridge_http.turns import Busy, Steps, Turns
from nuki_bridge.mqtt.payload import dump
from nuki_bridge.records import frozen

log = logging.getLogger(__name__)

MAX_PARAMETERS = 16
NOWAIT_S = 0.5
"""Seconds for which `nowait` waits all the same: a refusal is known by then, unless the lock has to be found first."""
ASKED_S = 8.0
"""Longest time, in seconds, that a client waits for the state of a lock that is asked: Home Assistant gives up all its
locks after ten."""
FRESH_S = 3.0
"""Seconds for which a state that the lock was asked for is fresh enough for the next who asks."""
HARDWARE = 1
"""Type of a bridge that is a device of the maker's.  This is none; but some programs send their token as it is, where
everybody can read it, to the other type, which knows no other way."""

ASKING = (5, 1 / 120)
"""How often a lock is asked for its state for `/lockState`: so often at once, and how often more in a second."""


class Refused(Exception):
    """A call that is answered with an HTTP status and a sentence."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@frozen
class Reply:
    """An answer as JSON; `taken` or `lost` is called once it is known that the client has got it, or hung up before."""

    body: bytes = field(repr=False)
    taken: Callable[[], None] = lambda: None
    lost: Callable[[], None] = lambda: None


@frozen
class Call:
    """One call: its parameters, whose names are in lower case, the address that it comes from, and `gone`, which is set
    when the client hangs up."""

    query: Mapping[str, str] = field(repr=False)
    client: str
    gone: asyncio.Event


def parameters(query: str) -> dict[str, str]:
    """Read the part behind the question mark; raises `Refused`."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, f"a call has {MAX_PARAMETERS} parameters at most") from None
    values = {name.lower(): value for name, value in pairs}
    if len(values) != len(pairs):
        raise Refused(HTTPStatus.BAD_REQUEST, "a parameter stands in the call twice")
    return values


class Endpoints:
    """All paths but `/auth`, which takes no token.

    `number` is our ID to clients, `clock` gives seconds, `now` the moment.
    """

    def __init__(
        self,
        house: House,
        commands: Commands,
        turns: Turns,
        callbacks: Callbacks,
        *,
        number: int,
        clock: Callable[[], float],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._house = house
        self._commands = commands
        self._turns = turns
        self._callbacks = callbacks
        self._number = number
        self._clock = clock
        self._now = now
        self._begun = clock()
        self._refreshing: dict[str, asyncio.Task[Ended]] = {}
        self._refreshed: dict[str, float] = {}
        self._asking: dict[str, Allowance] = {}

    async def answer(self, path: str, call: Call) -> Reply:
        """Answer a call that bears the token; raises `Refused`."""
        return await PATHS[path](self, call)

    async def close(self) -> None:
        """Ask for nothing any more."""
        tasks = [*self._refreshing.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # -- what is known ------------------------------------------------------------------------------------------------

    async def _list(self, call: Call) -> Reply:
        now = self._clock()
        return _json([each.listed(now) for each in self._known().devices])

    async def _info(self, call: Call) -> Reply:
        return _json(
            {
                "bridgeType": HARDWARE,
                "ids": {"hardwareId": self._number, "serverId": self._number},
                "versions": {"firmwareVersion": __version__, "wifiFirmwareVersion": __version__},
                "uptime": int(self._clock() - self._begun),
                "currentTime": self._now().strftime("%Y-%m-%dT%H:%M:%SZ"),
                "wlanConnected": True,
                "serverConnected": False,
                "scanResults": [each.scanned() for each in self._house.devices],
            }
        )

    async def _callback_list(self, call: Call) -> Reply:
        return _json({"callbacks": [{"id": number, "url": url} for number, url in self._callbacks.urls.items()]})

    async def _callback_add(self, call: Call) -> Reply:
        return _success(self._callbacks.add(_given(call, "url")))

    async def _callback_remove(self, call: Call) -> Reply:
        return _success(self._callbacks.remove(_whole(call, "id")))

    async def _config_auth(self, call: Call) -> Reply:
        enable = _flag(call, "enable", None)
        return _success("only the owner can switch it on, at the bridge itself" if enable else None)

    # -- what goes to a lock ------------------------------------------------------------------------------------------

    async def _lock_state(self, call: Call) -> Reply:
        device = self._device(call)
        lock = device.name
        if device.away:  # the bridge looks for it by itself; whoever waited for that would have no time for the others
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "the device cannot be reached")
        # While an action is under way the lock tells its states by itself.
        asked = self._refreshed.get(lock)
        if not self._turns.acts(lock) and (asked is None or self._clock() - asked >= FRESH_S) and self._may_ask(device):
            task = self._refreshing.get(lock)
            if task is None:
                task = self._refreshing[lock] = asyncio.create_task(self._refresh(lock), name=f"{lock}: refresh")
                task.add_done_callback(lambda _: self._refreshing.pop(lock))
            if not await _unless_gone(task, call, ASKED_S):
                return _json({})
            if not task.done():
                raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "the device has not answered yet")
            _refuse_if_away(task.result())
        if device.state is None:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "the device has not told its state yet")
        return _json({**device.shown(self._clock()), "success": True})

    def _may_ask(self, device: Device) -> bool:
        """Return whether the lock is to be asked: some programs do that all the time, which costs its battery."""
        allowance = self._asking.get(device.name)
        if allowance is None:
            allowance = self._asking[device.name] = Allowance(*ASKING, self._clock)
        return device.name in self._refreshing or allowance.take()

    async def _refresh(self, lock: str) -> Ended:
        outcome = await self._commands.refresh(lock)
        if outcome.error is None:
            self._refreshed[lock] = self._clock()
        return outcome

    async def _lock_action(self, call: Call) -> Reply:
        device = self._device(call)
        number = _whole(call, "action")
        action = device.action(number)
        if action is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "action must be a whole number from 1 to 5")
        return await self._act(device, (action,), call)

    async def _lock(self, call: Call) -> Reply:
        device = self._device(call)
        return await self._act(device, device.simple_lock(), call)

    async def _unlock(self, call: Call) -> Reply:
        device = self._device(call)
        return await self._act(device, device.simple_unlock(), call)

    async def _act(self, device: Device, steps: Steps, call: Call) -> Reply:
        nowait = _flag(call, "nowait", False)
        lock, client = device.name, call.client
        if device.contradicts(steps):
            self._turns.undone(lock, steps, client, device.turned_at)
        try:
            outcome = await self._turns.begin(lock, steps, client, call.gone)
        except Busy:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "another action is under way at this device") from None

        def lost() -> None:
            self._turns.not_taken(lock, steps, client, outcome)

        while True:
            if not await _unless_gone(outcome, call, NOWAIT_S if nowait else None):
                lost()
                return _json({})
            if outcome.done() or not device.away:
                break
        if not outcome.done():  # nowait
            return Reply(dump({"success": True, "batteryCritical": device.critical}), lost=lost)
        ended = outcome.result()
        _refuse_if_away(ended)
        if ended.error == "unknown_lock":
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such device")
        told: dict[str, Any] = {"success": ended.error is None, "batteryCritical": device.critical}
        # "error" must not be in it: FHEM would take the answer for none.
        told |= {"reason": ended.error, "message": ended.message} if ended.error is not None else {}
        return Reply(dump(told), lambda: self._turns.taken(lock, steps, client), lost)

    def _known(self) -> House:
        """Return the house; raises `Refused` as long as nobody has told which devices there are: a program that asks
        once, when it starts, would be left without any."""
        if not self._house.told:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "nuki-bridge has not told yet which devices there are")
        return self._house

    def _device(self, call: Call) -> Device:
        """Return the device by its ID, a decimal number; homebridge-nb writes it in hexadecimal."""
        text = _given(call, "nukiid")
        if not re.fullmatch(r"[0-9A-Fa-f]{1,10}", text, re.ASCII):
            raise Refused(HTTPStatus.BAD_REQUEST, "nukiid must be a whole number")
        numbers = {int(text)} if text.isdigit() else set()
        numbers |= {int(text, 16)} if len(text) <= 8 else set()
        devices = [device for each in numbers if (device := self._known().get(each)) is not None]
        if len(devices) != 1:  # two: nobody knows which of them is meant
            raise Refused(HTTPStatus.NOT_FOUND, "there is no device with this nukiId")
        return devices[0]


PATHS: Final[Mapping[str, Callable[[Endpoints, Call], Awaitable[Reply]]]] = {
    "/list": Endpoints._list,
    "/info": Endpoints._info,
    "/lockState": Endpoints._lock_state,
    "/lockAction": Endpoints._lock_action,
    "/lock": Endpoints._lock,
    "/unlock": Endpoints._unlock,
    "/callback/add": Endpoints._callback_add,
    "/callback/list": Endpoints._callback_list,
    "/callback/remove": Endpoints._callback_remove,
    "/configAuth": Endpoints._config_auth,
}
"""Every path that takes a token."""


async def _unless_gone(outcome: asyncio.Future[Ended], call: Call, timeout_s: float | None = None) -> bool:
    """Wait for an outcome; return False if the client hangs up before it is there."""
    gone = asyncio.create_task(call.gone.wait())
    try:
        await asyncio.wait((outcome, gone), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    return not call.gone.is_set()


def _refuse_if_away(outcome: Ended) -> None:
    if outcome.is_offline:
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, outcome.message or "the device is offline")


def _json(value: Any) -> Reply:
    """Return the answer as one line with spaces, as the maker's: FHEM looks for `"scanResults": [`."""
    return Reply(json.dumps(value).encode())


def _success(why_not: str | None) -> Reply:
    return _json({"success": True} if why_not is None else {"success": False, "message": why_not})


def _given(call: Call, name: str) -> str:
    value = call.query.get(name)
    if not value:
        raise Refused(HTTPStatus.BAD_REQUEST, f"{name} is missing")
    return value


def _whole(call: Call, name: str) -> int:
    value = _given(call, name)
    if not (value.isascii() and value.isdigit() and len(value) <= 10):
        raise Refused(HTTPStatus.BAD_REQUEST, f"{name} must be a whole number")
    return int(value)


def _flag(call: Call, name: str, default: bool | None) -> bool:
    value = call.query.get(name)
    if value is None and default is not None:
        return default
    if value not in ("0", "1"):
        # The maker's document knows 0 and 1; programs in Python and JavaScript send their own words.
        if value is not None and value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise Refused(HTTPStatus.BAD_REQUEST, f"{name} must be 0 or 1")
    return value == "1"
