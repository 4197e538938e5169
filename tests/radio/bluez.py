"""A stand-in for bluetoothd: enough of org.bluez to scan, connect, indicate and write through bleak, and to go wrong.

For faults that real parts cannot be made to show.  It serves on the bus that DBUS_SYSTEM_BUS_ADDRESS names, which has
to be a private one.  What a lock does with the bytes is the business of the `Peripheral`'s owner.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dbus_fast.aio import MessageBus
from dbus_fast.constants import BusType, MessageType
from dbus_fast.message import Message
from dbus_fast.signature import Variant
from dbus_fast.unpack import unpack_variants

ADAPTER = "org.bluez.Adapter1"
MONITORS = "org.bluez.AdvertisementMonitorManager1"
DEVICE = "org.bluez.Device1"
SERVICE = "org.bluez.GattService1"
CHARACTERISTIC = "org.bluez.GattCharacteristic1"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECTS = "org.freedesktop.DBus.ObjectManager"

_SIGNATURES = {
    "Powered": "b",
    "Connected": "b",
    "ServicesResolved": "b",
    "Notifying": "b",
    "Primary": "b",
    "Paired": "b",
    "RSSI": "n",
    "MTU": "q",
    "Adapter": "o",
    "Device": "o",
    "Service": "o",
    "Roles": "as",
    "Flags": "as",
    "UUIDs": "as",
    "SupportedMonitorTypes": "as",
    "Value": "ay",
}

HANG = object()
"""As an answer: none, ever."""


@dataclass
class Peripheral:
    """A device in range: what it advertises, its characteristics by service UUID, and who reads what is written."""

    address: str
    services: dict[str, list[str]]
    name: str | None = None
    on_write: Callable[[str, bytes], None] = lambda uuid, data: None
    resolves: bool = True
    """False: a connection comes up, but service discovery does not end."""
    written: list[tuple[str, bytes]] = field(default_factory=list)


class StandInBluez:
    """One bluetoothd with its adapters.

    `fail` and `hang` make the next calls of a method go wrong; `calls` counts the calls of each method.
    """

    def __init__(self) -> None:
        self.calls: defaultdict[str, int] = defaultdict(int)
        self.filters: list[dict[str, Any]] = []
        """Discovery filters in the order they were set."""
        self.stubborn = False
        """A `Disconnect` is answered, and `Connected` stays true."""
        self.stop_sticks = False
        """The next stop of a scan is refused, and BlueZ then believes that it scans, until it is stopped once more."""
        self.fragile = False
        """It dies when an attempt to connect is given up while the lock leaves its questions unanswered, and when the
        adapter is powered off meanwhile: bluetoothd 5.66."""
        self._deaf: set[str] = set()
        self._bus: MessageBus | None = None
        self._objects: dict[str, dict[str, dict[str, Any]]] = {}
        self._peripherals: dict[str, Peripheral] = {}
        self._answers: defaultdict[str, deque[object]] = defaultdict(deque)
        self._scans: dict[str, set[str]] = defaultdict(set)
        self._connecting: dict[str, Message] = {}

    # -- bluetoothd ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take the name org.bluez on the bus."""
        self._bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        self._bus.add_message_handler(self._on_message)
        await self._bus.request_name("org.bluez")

    async def kill(self) -> None:
        """Vanish without a goodbye, and with all that was connected or only remembered in memory."""
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.disconnect()
            with contextlib.suppress(EOFError, OSError):  # the bus went first
                await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        self._objects.clear()
        self._scans.clear()
        self._connecting.clear()

    async def stop(self) -> None:
        """End as `systemctl stop bluetooth` has it end: adapters are powered off and taken from the bus first."""
        for name in sorted(path.rpartition("/")[2] for path in self._objects if ADAPTER in self._objects[path]):
            self.power(False, name)
            self.remove_adapter(name)
        await self.kill()

    def add_adapter(self, name: str = "hci0", *, powered: bool = True, monitors: bool = False) -> None:
        """Plug an adapter in."""
        interfaces: dict[str, dict[str, Any]] = {ADAPTER: {"Powered": powered, "Roles": ["central"]}}
        if monitors:
            interfaces[MONITORS] = {"SupportedMonitorTypes": ["or_patterns"]}
        self._add(f"/org/bluez/{name}", interfaces)

    def remove_adapter(self, name: str = "hci0") -> None:
        """Pull an adapter out: its objects go, devices first, and no device is said to be disconnected."""
        path = f"/org/bluez/{name}"
        for known in sorted((p for p in self._objects if p.startswith(path + "/")), reverse=True):
            self._remove(known)
        self._remove(path)
        self._scans.pop(path, None)

    def power(self, on: bool, name: str = "hci0") -> None:
        """Switch an adapter on or off; off drops its connections and its scans."""
        path = f"/org/bluez/{name}"
        if not on:
            self._scans.pop(path, None)
            if self.fragile and any(self._is_stuck(known) for known in self._objects if known.startswith(path)):
                self.set(path, ADAPTER, Powered=False)
                self._die()
                return
            for known in [p for p in self._objects if p.startswith(path) and DEVICE in self._objects[p]]:
                self.drop(self._objects[known][DEVICE]["Address"], name)
        self.set(path, ADAPTER, Powered=on)

    # -- faults -------------------------------------------------------------------------------------------------------

    def fail(self, member: str, error: str, text: str = "", times: int = 1) -> None:
        """Answer the next calls of a method with an error."""
        self._answers[member].extend([(error, text)] * times)

    def hang(self, member: str, times: int = 1) -> None:
        """Never answer the next calls of a method."""
        self._answers[member].extend([HANG] * times)

    def _is_stuck(self, path: str) -> bool:
        """It has a link over which its questions stay unanswered, or an attempt to make one."""
        device = self._objects.get(path, {}).get(DEVICE, {})
        return path in self._connecting or (device.get("Connected", False) and not device["ServicesResolved"])

    def _die(self) -> None:
        """As `kill`, on its own account."""
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.disconnect()
        self._objects.clear()
        self._scans.clear()
        self._connecting.clear()

    # -- the air ------------------------------------------------------------------------------------------------------

    def advertise(
        self,
        peripheral: Peripheral,
        *,
        manufacturer: Mapping[int, bytes] | None = None,
        service: Mapping[str, bytes] | None = None,
        rssi: int = -60,
        adapter: str = "hci0",
    ) -> None:
        """Send one advertisement; BlueZ reports of it what is new, or all of it to who asked for duplicates."""
        self._peripherals[peripheral.address] = peripheral
        path = self.device_path(peripheral.address, adapter)
        if not self._scans.get(f"/org/bluez/{adapter}") or f"/org/bluez/{adapter}" in self._deaf:
            return
        news: dict[str, Any] = {"RSSI": rssi}
        known = self._objects.get(path, {}).get(DEVICE, {})
        if not peripheral.address.startswith(self._filter.get("Pattern", "")):
            return
        if manufacturer:
            data = {company: Variant("ay", value) for company, value in manufacturer.items()}
            news["ManufacturerData"] = Variant("a{qv}", {**_inner(known, "ManufacturerData"), **data})
        if service:
            data_of = {uuid: Variant("ay", value) for uuid, value in service.items()}
            news["ServiceData"] = Variant("a{sv}", {**_inner(known, "ServiceData"), **data_of})
        if not known:
            address = peripheral.address
            fixed = {"Address": address, "Alias": peripheral.name or address.replace(":", "-"), "Paired": False}
            state = {"Adapter": f"/org/bluez/{adapter}", "Connected": False, "ServicesResolved": False, "UUIDs": []}
            named = {"Name": peripheral.name} if peripheral.name else {}
            self._add(path, {DEVICE: {**fixed, **named, **state, **news}})
        elif changed := {k: v for k, v in news.items() if self._filter.get("DuplicateData") or known.get(k) != v}:
            self.set(path, DEVICE, **changed)

    def indicate(self, address: str, uuid: str, value: bytes, adapter: str = "hci0") -> None:
        """Send one indication, if it was enabled."""
        for path, interfaces in self._objects.items():
            properties = interfaces.get(CHARACTERISTIC, {})
            if path.startswith(self.device_path(address, adapter)) and properties.get("UUID") == uuid:
                if properties["Notifying"]:
                    self.set(path, CHARACTERISTIC, Value=value)
                return

    def drop(self, address: str, adapter: str = "hci0") -> None:
        """The peripheral ends its connection."""
        path = self.device_path(address, adapter)
        if self._objects.get(path, {}).get(DEVICE, {}).get("Connected"):
            for known in [p for p in self._objects if p.startswith(path + "/") and CHARACTERISTIC in self._objects[p]]:
                self._objects[known][CHARACTERISTIC]["Notifying"] = False
            self.set(path, DEVICE, Connected=False, ServicesResolved=False)

    def forget(self, address: str, adapter: str = "hci0") -> None:
        """The device vanishes from BlueZ, and an attempt to connect with it."""
        path = self.device_path(address, adapter)
        for known in sorted((p for p in self._objects if p.startswith(path)), reverse=True):
            self._remove(known)
        waiting = self._connecting.pop(path, None)
        if waiting is not None and self._bus is not None:
            self._bus.send(_error(waiting, "org.freedesktop.DBus.Error.UnknownObject", "gone"))

    def move_characteristics(self, address: str, adapter: str = "hci0") -> None:
        """The characteristics are found under other handles of the same services, as after a firmware update."""
        device = self.device_path(address, adapter)
        for path in [p for p in self._objects if p.startswith(device) and CHARACTERISTIC in self._objects[p]]:
            interfaces = self._objects[path]
            self._remove(path)
            self._add(f"{path[:-4]}{int(path[-4:], 16) + 0x100:04x}", interfaces)

    def device_path(self, address: str, adapter: str = "hci0") -> str:
        """Object path of a device."""
        return f"/org/bluez/{adapter}/dev_{address.replace(':', '_')}"

    def scanning(self, adapter: str = "hci0") -> bool:
        """Somebody has an active or a passive scan running."""
        return bool(self._scans.get(f"/org/bluez/{adapter}"))

    def known(self, address: str, adapter: str = "hci0") -> dict[str, Any] | None:
        """Properties of a device, None if it was never seen or has been removed."""
        return self._objects.get(self.device_path(address, adapter), {}).get(DEVICE)

    def set(self, path: str, interface: str, **changed: Any) -> None:
        """Change properties of an object and say so."""
        self._objects[path][interface].update(changed)
        body = [interface, {name: _variant(name, value) for name, value in changed.items()}, []]
        self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body)

    # -- objects ------------------------------------------------------------------------------------------------------

    @property
    def _filter(self) -> dict[str, Any]:
        return self.filters[-1] if self.filters else {}

    def _add(self, path: str, interfaces: dict[str, dict[str, Any]]) -> None:
        self._objects[path] = interfaces
        self._signal("/", OBJECTS, "InterfacesAdded", "oa{sa{sv}}", [path, _marshalled(interfaces)])

    def _remove(self, path: str) -> None:
        if interfaces := self._objects.pop(path, None):
            self._signal("/", OBJECTS, "InterfacesRemoved", "oas", [path, list(interfaces)])

    def _signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        if self._bus is not None:
            self._bus.send(Message.new_signal(path, interface, member, signature, body))

    # -- methods ------------------------------------------------------------------------------------------------------

    def _on_message(self, message: Message) -> Message | bool | None:
        if message.message_type is not MessageType.METHOD_CALL or message.destination is None:
            return None
        member = message.member or ""
        self.calls[member] += 1
        if answers := self._answers[member]:
            answer = answers.popleft()
            if answer is HANG:
                if member == "Connect":
                    self._connecting[message.path or ""] = message
                return True
            return _error(message, *answer)  # type: ignore[misc]
        path = message.path or ""
        if member == "GetManagedObjects":
            everything = {path: _marshalled(interfaces) for path, interfaces in self._objects.items()}
            return Message.new_method_return(message, "a{oa{sa{sv}}}", [everything])
        method = getattr(self, f"_{member}", None)
        if path not in self._objects or method is None:
            return _error(message, "org.freedesktop.DBus.Error.UnknownObject", f"no {member} at {path}")
        reply: Message | bool | None = method(path, message)
        return reply or Message.new_method_return(message)

    def _GetAll(self, path: str, message: Message) -> Message:
        properties = self._objects[path].get(message.body[0], {})
        return Message.new_method_return(message, "a{sv}", [_marshalled({"": properties})[""]])

    def _Get(self, path: str, message: Message) -> Message:
        interface, name = message.body
        return Message.new_method_return(message, "v", [_variant(name, self._objects[path][interface][name])])

    def _SetDiscoveryFilter(self, path: str, message: Message) -> None:
        self.filters.append(unpack_variants(message.body[0]))

    def _StartDiscovery(self, path: str, message: Message) -> Message | None:
        if not self._objects[path][ADAPTER]["Powered"]:
            return _error(message, "org.bluez.Error.NotReady", "Resource Not Ready")
        if message.sender in self._scans[path]:
            return _error(message, "org.bluez.Error.InProgress", "Operation already in progress")
        self._scans[path].add(message.sender or "")
        return None

    def _StopDiscovery(self, path: str, message: Message) -> Message | None:
        if message.sender not in self._scans[path]:
            return _error(message, "org.bluez.Error.Failed", "No discovery started")
        self._scans[path].discard(message.sender or "")
        self._deaf.discard(path)
        if self.stop_sticks:
            self.stop_sticks = False
            self._deaf.add(path)
            return _error(message, "org.bluez.Error.InProgress", "Operation already in progress")
        return None

    def _RegisterMonitor(self, path: str, message: Message) -> None:
        self._scans[path].add(message.body[0])

    def _UnregisterMonitor(self, path: str, message: Message) -> None:
        self._scans[path].discard(message.body[0])

    def _RemoveDevice(self, path: str, message: Message) -> Message | None:
        device = message.body[0]
        if device not in self._objects:
            return _error(message, "org.bluez.Error.DoesNotExist", "Does Not Exist")
        self.drop(self._objects[device][DEVICE]["Address"], path.rpartition("/")[2])
        self.forget(self._objects[device][DEVICE]["Address"], path.rpartition("/")[2])
        return None

    def _Connect(self, path: str, message: Message) -> None:
        peripheral = self._peripherals[self._objects[path][DEVICE]["Address"]]
        self.set(path, DEVICE, Connected=True)
        if not peripheral.resolves:
            return
        handle = itertools.count(0x10)
        for service, uuids in peripheral.services.items():
            service_path = f"{path}/service{next(handle):04x}"
            if service_path in self._objects:  # the cache, right or wrong
                break
            self._add(service_path, {SERVICE: {"UUID": service, "Device": path, "Primary": True}})
            for uuid in uuids:
                properties = {"UUID": uuid, "Service": service_path, "Flags": ["write", "indicate"], "Notifying": False}
                self._add(f"{service_path}/char{next(handle):04x}", {CHARACTERISTIC: properties})
        self.set(path, DEVICE, ServicesResolved=True)

    def _Disconnect(self, path: str, message: Message) -> Message | bool | None:
        if self.fragile and self._is_stuck(path):
            self._die()
            return True
        waiting = self._connecting.pop(path, None)
        if waiting is not None and self._bus is not None:
            self._bus.send(_error(waiting, "org.bluez.Error.Failed", "le-connection-canceled"))
        if not self.stubborn:
            self.drop(self._objects[path][DEVICE]["Address"], path.split("/")[3])
        return None

    def _StartNotify(self, path: str, message: Message) -> None:
        self.set(path, CHARACTERISTIC, Notifying=True)

    def _WriteValue(self, path: str, message: Message) -> Message | None:
        device = self._objects[path.rsplit("/", 2)[0]][DEVICE]
        if not device["Connected"]:
            return _error(message, "org.bluez.Error.Failed", "Not connected")
        peripheral = self._peripherals[device["Address"]]
        uuid, data = self._objects[path][CHARACTERISTIC]["UUID"], bytes(message.body[0])
        peripheral.written.append((uuid, data))
        asyncio.get_running_loop().call_soon(peripheral.on_write, uuid, data)
        return None


def _inner(properties: Mapping[str, Any], name: str) -> dict[Any, Variant]:
    return dict(properties[name].value) if name in properties else {}


def _variant(name: str, value: Any) -> Variant:
    return value if isinstance(value, Variant) else Variant(_SIGNATURES.get(name, "s"), value)


def _marshalled(interfaces: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Variant]]:
    return {
        interface: {name: _variant(name, value) for name, value in properties.items()}
        for interface, properties in interfaces.items()
    }


def _error(message: Message, name: str, text: str) -> Message:
    return Message.new_error(message, name, text)
