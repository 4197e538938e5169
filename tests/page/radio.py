"""Bluetooth between a phone's Chromium and a virtual lock or Opener, without a radio: Chromium's `BluetoothEmulation`.

Chromium emulates the peripheral and asks what it answers; here a virtual lock does.  It cannot send indications, so
each one is the answer to a `readValue()` that is called in the page: the page's own listener gets it as one.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import threading
import urllib.request
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import wait
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar

from websockets.asyncio.client import ClientConnection, connect

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.protocol.codes import Family
from nuki_bridge.simulator.transport import Timer
from nuki_bridge.simulator.virtual_device import VirtualDevice
from tests import patience
from tests.page.phone import Phone

T = TypeVar("T")
TAIL = "-5501-11e4-916c-0800200c9a66"
SERVICES = {
    "a92ee200": {"a92ee201": Channel.GDIO, "a92ee202": Channel.USDIO},
    "a92ee100": {"a92ee101": Channel.PAIRING},
    "a92ee300": {"a92ee301": Channel.PAIRING},
    "a92ae200": {"a92ae201": Channel.GDIO, "a92ae202": Channel.USDIO},
    "a92ae100": {"a92ae101": Channel.PAIRING},
}
"""Services and their characteristics."""
OF_FAMILY = {
    Family.CLASSIC: ("a92ee200", "a92ee100"),
    Family.ULTRA: ("a92ee200", "a92ee300"),
    Family.OPENER: ("a92ae200", "a92ae100"),
}
"""The services of commands and of pairing."""

REMEMBER = """
(() => {
  if (!globalThis.BluetoothRemoteGATTCharacteristic) return;
  const { disconnect } = BluetoothRemoteGATTServer.prototype;
  BluetoothRemoteGATTServer.prototype.disconnect = function () {
    const isConnected = this.connected;
    disconnect.call(this);
    if (isConnected) parted("");
  };
  const start = BluetoothRemoteGATTCharacteristic.prototype.startNotifications;
  globalThis.heard = {};
  BluetoothRemoteGATTCharacteristic.prototype.startNotifications = async function () {
    const characteristic = await start.call(this);
    globalThis.heard[this.uuid.slice(0, 8)] = this;
    return characteristic;
  };
})();
"""
"""What the page's characteristics are told by, for `readValue`; and that it has let the lock go, which Chromium itself
keeps to itself."""

SUCCESS, FAILURE = 0x0, 0x8
"""HCI codes of a connection: made, and timed out."""


class Radio:
    """The lock `lock`, in reach of `phone`; `close` ends it.  The phone's page is opened after this is made."""

    def __init__(self, phone: Phone, lock: VirtualDevice, *, mtu: int = 247) -> None:
        self.phone, self.lock, self.mtu = phone, lock, mtu
        self.refused_connections = 0
        """So many attempts to connect fail before one succeeds."""
        self.connections = 0
        """How often a phone has connected."""
        self.open = 0
        """How many links there are now."""
        self.lose_after: int | None = None
        """So many writes still reach the lock, and the link is lost before the last one's answer arrives."""
        self.cancels = False
        """The person closes the browser's list without a choice."""
        self.writes: list[tuple[Channel, bytes]] = []
        self._numbers = itertools.count(1)
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._served = False
        self._channels: dict[str, tuple[str, Channel]] = {}
        self._pieces: deque[tuple[str, bytes]] = deque()
        self._reading: dict[str, bytes] = {}
        self._more = asyncio.Event()
        self._prompts: set[str] = set()
        self._number = 0
        self._session = ""
        self._socket: ClientConnection
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="radio", daemon=True)
        self._thread.start()
        self.do(self._start())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Have it done on the radio's loop."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        ends = patience.now() + patience.HANG_S
        while not wait([future], 1).done:
            assert patience.now() < ends
        return future.result()

    def call(self, work: Callable[[], T]) -> T:
        """Call something there: the lock is to be touched nowhere else."""

        async def run() -> T:
            return work()

        return self.do(run())

    def close(self) -> None:
        """End it."""

        async def end() -> None:
            await self._socket.close()
            for task in self._tasks:
                task.cancel()

        self.do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def renew(self) -> None:
        """The page has been opened anew."""

        async def enable() -> None:
            self._ended()
            with contextlib.suppress(RuntimeError):
                await self._ask("BluetoothEmulation.disable")
            await self._enable()

        self.do(enable())

    # -- Transport --------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the time of day."""
        return datetime.now(UTC)

    def call_later(self, delay_s: float, fn: Callable[[], None]) -> Timer:
        """Call `fn` once, `delay_s` seconds from now."""
        return self._loop.call_later(delay_s, fn)

    def send(self, connection_id: int, channel: Channel, data: bytes) -> None:
        """Send one whole message, as indications."""
        if connection_id != self._number:
            return
        uuid = next(name for name, each in self._channels.values() if each is channel)
        size = self.mtu - 3
        self._pieces.extend((uuid, data[at : at + size]) for at in range(0, len(data), size))
        self._more.set()

    def drop(self, connection_id: int) -> None:
        """End the connection."""
        self._later(self._drop(connection_id))

    def advertise(self) -> None:
        """Do nothing: Chromium sees the lock at all times."""

    async def _drop(self, connection_id: int) -> None:
        if connection_id == self._number:
            self._ended()
            self._served = False  # Chromium forgets what it has discovered
            await self._ask("BluetoothEmulation.simulateGATTDisconnection", address=self.lock.address)

    def _ended(self) -> None:
        number, self._number = self._number, 0
        self.open = 0
        self._pieces.clear()
        self._reading.clear()
        if number:
            self.lock.disconnected(number)

    # -- Chromium ---------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        self.lock.attach(self)
        url = await asyncio.to_thread(self._browser)
        self._socket = await connect(url, max_size=None, compression=None)
        self._later(self._listen())
        self._later(self._indicate())
        targets = (await self._ask("Target.getTargets"))["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        self._session = (await self._ask("Target.attachToTarget", targetId=page, flatten=True))["sessionId"]
        await self._ask("Page.enable", self._session)
        await self._ask("Page.addScriptToEvaluateOnNewDocument", self._session, source=REMEMBER)
        await self._ask("Runtime.enable", self._session)
        await self._ask("Runtime.addBinding", self._session, name="parted")
        await self._ask("DeviceAccess.enable", self._session)
        await self._enable()

    def _browser(self) -> str:
        """Return the address of the browser itself, where alone Bluetooth is emulated."""
        address = self.phone.driver.capabilities["goog:chromeOptions"]["debuggerAddress"]
        with urllib.request.urlopen(f"http://{address}/json/version", timeout=60) as answer:
            return str(json.load(answer)["webSocketDebuggerUrl"])

    async def _enable(self) -> None:
        """Switch Bluetooth on; Chromium switches it off when a page that has used it goes."""
        await self._ask("BluetoothEmulation.enable", state="powered-on", leSupported=True)
        await self._ask(
            "BluetoothEmulation.simulatePreconnectedPeripheral",
            address=self.lock.address,
            name=self.lock.name,
            manufacturerData=[],
            knownServiceUuids=[each + TAIL for each in OF_FAMILY[self.lock.family]],
        )
        self._served = False

    async def _serve(self) -> None:
        """Have the lock's characteristics discovered."""
        self._served = True
        for service in OF_FAMILY[self.lock.family]:
            found = await self._ask(
                "BluetoothEmulation.addService", address=self.lock.address, serviceUuid=service + TAIL
            )
            for name, channel in SERVICES[service].items():
                added = await self._ask(
                    "BluetoothEmulation.addCharacteristic",
                    serviceId=found["serviceId"],
                    characteristicUuid=name + TAIL,
                    properties={"write": True, "indicate": True, "read": True},
                )
                self._channels[added["characteristicId"]] = (name, channel)
                await self._ask(
                    "BluetoothEmulation.addDescriptor",
                    characteristicId=added["characteristicId"],
                    descriptorUuid="00002902-0000-1000-8000-00805f9b34fb",
                )

    async def _ask(self, method: str, session: str = "", /, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._replies[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        await self._socket.send(json.dumps(message))
        answer = await self._replies[number]
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        found: dict[str, Any] = answer["result"]
        return found

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                self._replies.pop(message["id"]).set_result(message)
            elif (handler := self._HANDLERS.get(message["method"])) is not None:
                self._later(handler(self, message["params"]))

    async def _chosen(self, params: dict[str, Any]) -> None:
        """Choose the lock in the browser's list, as soon as it is there."""
        device = next((each["id"] for each in params["devices"] if each["id"] == self.lock.address), None)
        if device is None or params["id"] in self._prompts:
            return  # to answer a prompt twice ends Chromium
        self._prompts.add(params["id"])
        answer = ("cancelPrompt", {}) if self.cancels else ("selectPrompt", {"deviceId": device})
        await self._ask(f"DeviceAccess.{answer[0]}", self._session, id=params["id"], **answer[1])

    async def _gatt(self, params: dict[str, Any]) -> None:
        code = SUCCESS
        if params["type"] == "connection":
            if self.refused_connections or not self.lock.in_range:
                self.refused_connections = max(0, self.refused_connections - 1)
                code = FAILURE
            else:
                self.connections += 1
                self.open = 1
                self._number = self.connections
                self.lock.connected(self._number)
        elif params["type"] == "disconnection":
            self._ended()
            return
        elif not self._served:
            await self._serve()
        await self._ask(
            "BluetoothEmulation.simulateGATTOperationResponse",
            address=params["address"],
            type=params["type"],
            code=code,
        )

    async def _characteristic(self, params: dict[str, Any]) -> None:
        number, kind = params["characteristicId"], params["type"]
        name, channel = self._channels[number]
        more = {}
        if kind == "read":
            more["data"] = base64.b64encode(self._reading.pop(name, b"")).decode()
        await self._ask(
            "BluetoothEmulation.simulateCharacteristicOperationResponse",
            characteristicId=number, type=kind, code=SUCCESS, **more,
        )  # fmt: skip
        if kind == "write":
            data = base64.b64decode(params["data"])
            self.writes.append((channel, data))
            if self._number:
                await self._written(channel, data)

    async def _written(self, channel: Channel, data: bytes) -> None:
        number = self._number
        if self.lose_after is not None:
            self.lose_after -= 1
        if self.lose_after == 0:
            self._number, self.lose_after = 0, None  # from here on nothing that it says arrives
        self.lock.written(number, channel, data)
        if not self._number:
            self._number = number
            await self._drop(number)

    async def _descriptor(self, params: dict[str, Any]) -> None:
        await self._ask(
            "BluetoothEmulation.simulateDescriptorOperationResponse",
            descriptorId=params["descriptorId"], type=params["type"], code=SUCCESS,
        )  # fmt: skip

    async def _parted(self, _params: dict[str, Any]) -> None:
        """The page has let the lock go; from a lock Chromium may be connected to again before it hears of an end."""
        if self.lock.family is Family.OPENER:
            await self._drop(self._number)

    _HANDLERS: ClassVar[dict[str, Callable[[Radio, dict[str, Any]], Coroutine[Any, Any, None]]]] = {
        "DeviceAccess.deviceRequestPrompted": _chosen,
        "Runtime.bindingCalled": _parted,
        "BluetoothEmulation.gattOperationReceived": _gatt,
        "BluetoothEmulation.characteristicOperationReceived": _characteristic,
        "BluetoothEmulation.descriptorOperationReceived": _descriptor,
    }

    async def _indicate(self) -> None:
        """Have the page read one piece after the other."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._pieces:
                name, piece = self._pieces.popleft()
                self._reading[name] = piece
                await self._ask(
                    "Runtime.evaluate", self._session,
                    expression=f"heard.{name}?.readValue().then(() => true, (error) => String(error))",
                    awaitPromise=True, returnByValue=True,
                )  # fmt: skip
