"""What bleak does not tell about BlueZ: which adapter can be used, and when it or bluetoothd goes away and comes back.

Also the three things bleak has no call for: dropping a connection that BlueZ believes in, removing a device together
with its stale GATT cache, and making bleak itself forget what it believed before a loss.  Scanning and GATT are left to
bleak (`radio.py`).  Nothing here polls: BlueZ and the bus report by signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dbus_fast.aio import MessageBus
from dbus_fast.constants import BusType, MessageFlag, MessageType
from dbus_fast.errors import AuthError, DBusError, InvalidAddressError
from dbus_fast.message import Message
from dbus_fast.unpack import unpack_variants

from nuki_bridge.bluetooth.link import RadioStatus
from nuki_bridge.errors import AdapterUnavailable, LinkError

log = logging.getLogger(__name__)

CALL_S = 5.0
"""Longest wait in seconds for an answer of bluetoothd; a disconnect alone takes it 2 s."""

BLUEZ = "org.bluez"
ADAPTER = "org.bluez.Adapter1"
DEVICE = "org.bluez.Device1"
MONITORS = "org.bluez.AdvertisementMonitorManager1"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECTS = "org.freedesktop.DBus.ObjectManager"
DBUS = "org.freedesktop.DBus"

_WATCHED = 10
"""Adapters from hci0 on whose coming and going is signalled."""
_MATCHES = (
    f"type='signal',sender='{DBUS}',member='NameOwnerChanged',arg0='{BLUEZ}'",
    f"type='signal',sender='{BLUEZ}',interface='{PROPERTIES}',member='PropertiesChanged',arg0='{ADAPTER}'",
    # One rule for each adapter, or every passing phone would wake us: BlueZ announces devices by the same signal.
    *(
        f"type='signal',sender='{BLUEZ}',interface='{OBJECTS}',member='{member}',arg0path='/org/bluez/hci{number}'"
        for member in ("InterfacesAdded", "InterfacesRemoved")
        for number in range(_WATCHED)
    ),
)


class Bluez:
    """The state of the one adapter that is used, kept current by D-Bus signals.

    `adapter` is the configured name (`hci0`), None for the first powered one.  `on_change` is called from signals
    whenever `refresh` would tell something new.
    """

    def __init__(self, adapter: str | None, on_change: Callable[[], None]) -> None:
        self._wanted = adapter
        self._on_change = on_change
        self._bus: MessageBus | None = None
        self._bus_death: asyncio.Task[None] | None = None
        self.lost = False
        """The adapter went away since the last `refresh`."""
        self.died = False
        """bluetoothd left the bus without taking its adapters from it first, as it does when somebody stops it."""
        self._why_dead = ""
        self._present: set[str] = set()  # adapters that bluetoothd has shown and not taken away,
        self._removed: set[str] = set()  # those that it took away since it was asked for them
        self.status = RadioStatus(False, adapter, "Bluetooth has not been started yet")
        self.signalled = True
        """The next change will be signalled; otherwise `refresh` has to be called again by and by."""
        self.passive = False
        """The adapter offers advertisement monitors, the passive way of scanning."""
        self.with_service_data: frozenset[str] = frozenset()
        """Addresses whose service data BlueZ remembers from before `refresh`: it may be long out of date."""

    async def refresh(self) -> bool:
        """Read the state anew into `status`; True if the adapter, even if it is back, went away since the last call.

        Never raises: what is wrong becomes the reason in `status`.
        """
        self.signalled = True
        try:
            async with asyncio.timeout(CALL_S):
                self._removed.clear()
                self._choose(await self._managed_objects())
        except AdapterUnavailable as error:
            self._unusable(str(error))
        except DBusError as error:
            self.signalled = False
            self._unusable(f"bluetoothd does not answer ({error_text(error)})")
        except TimeoutError:
            self.signalled = False
            self.close()  # it may as well be our connection to the bus that is stuck
            self._unusable(f"bluetoothd does not answer within {CALL_S:g} s")
        except _BUS_ERRORS as error:
            self.signalled = False
            self.close()
            self._unusable(f"the system D-Bus cannot be reached ({error_text(error)})")
        lost, self.lost = self.lost, False
        return lost

    async def answers(self) -> bool:
        """Return whether bluetoothd answers and the adapter in use is on; if not, `refresh` tells why."""
        try:
            async with asyncio.timeout(CALL_S):
                path = f"/org/bluez/{self.status.adapter}"
                reply = await self._call(path, PROPERTIES, "Get", "ss", [ADAPTER, "Powered"])
        except (TimeoutError, *_BUS_ERRORS):
            return False
        return bool(reply.body[0].value)

    async def start_daemon(self) -> None:
        """Have D-Bus, which leaves it to systemd, start bluetoothd; raises `LinkError`."""
        try:
            async with asyncio.timeout(CALL_S):
                start = ("StartServiceByName", "su", [BLUEZ, 0])
                await self._call("/org/freedesktop/DBus", DBUS, *start, destination=DBUS)
        except TimeoutError:
            log.debug("bluetoothd takes its time to start")
        except _BUS_ERRORS as error:
            raise LinkError(error_text(error)) from error

    def cannot_start(self, why: str) -> None:
        """Say that bluetoothd has died and could not be started, instead of promising it."""
        self._why_dead = f"bluetoothd has died and D-Bus cannot start it ({why}): `systemctl start bluetooth`"
        self._on_change()

    def close(self) -> None:
        """Leave the bus."""
        if self._bus_death is not None:
            self._bus_death.cancel()
            self._bus_death = None
        if self._bus is not None:
            self._bus.disconnect()
            self._bus = None

    # -- devices ------------------------------------------------------------------------------------------------------

    def device_path(self, address: str) -> str:
        """Return the D-Bus object path of a device, whether BlueZ knows it or not."""
        return f"/org/bluez/{self.status.adapter}/dev_{address.upper().replace(':', '_')}"

    async def device(self, address: str) -> dict[str, Any] | None:
        """Return the properties of a device, None if BlueZ does not know it.  Raises `LinkError`."""
        reply = await self._device_call(address, PROPERTIES, "GetAll", "s", [DEVICE])
        return None if reply is None else dict(unpack_variants(reply.body[0]))

    async def disconnect(self, address: str) -> None:
        """Drop the connection that BlueZ has or is making; returns when it is down.  Raises `LinkError`."""
        await self._device_call(address, DEVICE, "Disconnect")

    async def remove(self, address: str) -> None:
        """Make BlueZ forget a device and its GATT cache; the scanner finds it anew.  Raises `LinkError`."""
        path = self.device_path(address)
        await self._device_call(address, ADAPTER, "RemoveDevice", "o", [path], path=path.rpartition("/")[0])

    async def _device_call(
        self, address: str, interface: str, member: str, signature: str = "", body: Iterable[Any] = (), path: str = ""
    ) -> Message | None:
        """Call a method of a device, None if BlueZ does not know the device."""
        try:
            async with asyncio.timeout(CALL_S):
                return await self._call(path or self.device_path(address), interface, member, signature, body)
        except DBusError as error:
            if error.type in _NO_SUCH_DEVICE:
                return None
            raise LinkError(f"BlueZ refuses {member} for {address}: {error_text(error)}") from error
        except TimeoutError as error:
            raise LinkError(f"BlueZ does not answer {member} for {address}") from error
        except _BUS_ERRORS as error:
            raise AdapterUnavailable(f"the system D-Bus cannot be reached ({error_text(error)})") from error

    # -- the bus ------------------------------------------------------------------------------------------------------

    async def _open(self) -> MessageBus:
        bus = None
        try:
            bus = MessageBus(bus_type=BusType.SYSTEM)
            await bus.connect()
            bus.add_message_handler(self._on_message)
            self._bus = bus
            for match in _MATCHES:
                await self._call("/org/freedesktop/DBus", DBUS, "AddMatch", "s", [match], destination=DBUS)
        except BaseException:
            self._bus = None
            if bus is not None:
                with contextlib.suppress(Exception):  # dbus-fast wants it even if connect failed
                    bus.disconnect()
            raise
        self._bus_death = asyncio.create_task(self._watch(bus), name="dbus-watch")
        return bus

    async def _watch(self, bus: MessageBus) -> None:
        with contextlib.suppress(Exception):
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        self._bus = self._bus_death = None
        self.lost = True
        self._on_change()

    async def _call(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Iterable[Any] = (),
        *,
        destination: str = BLUEZ,
    ) -> Message:
        if self._bus is None:
            raise EOFError("not connected")
        reply = await self._bus.call(
            Message(
                destination=destination,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=list(body),
                # Whoever stopped bluetoothd wants it to stay stopped.
                flags=MessageFlag.NO_AUTOSTART,
            )
        )
        if reply is None:
            raise EOFError("the bus closed the connection")
        if reply.message_type is MessageType.ERROR:
            raise DBusError(reply.error_name or "", str(reply.body[0]) if reply.body else "")
        return reply

    async def _managed_objects(self) -> dict[str, dict[str, dict[str, Any]]]:
        if self._bus is None:
            await self._open()
        owner = await self._call("/org/freedesktop/DBus", DBUS, "NameHasOwner", "s", [BLUEZ], destination=DBUS)
        if not owner.body[0]:
            raise AdapterUnavailable(self._why_dead if self.died else _NOT_RUNNING)
        self.died = False
        try:
            reply = await self._call("/", OBJECTS, "GetManagedObjects")
        except DBusError as error:
            if error.type == "org.freedesktop.DBus.Error.AccessDenied":
                self.signalled = False  # nor will the day be told when D-Bus has read its policies again
                raise AdapterUnavailable(REFUSED) from None
            if error.type in _NOT_THERE:
                raise AdapterUnavailable(self._why_dead if self.died else _NOT_RUNNING) from None
            raise
        return dict(unpack_variants(reply.body[0]))

    def _on_message(self, message: Message) -> None:
        """Note a loss from a signal at once; leave reading the new state to `refresh`."""
        if message.message_type is not MessageType.SIGNAL:
            return
        ours = f"/org/bluez/{self.status.adapter}"
        if message.member == "NameOwnerChanged" and message.body[0] == BLUEZ:
            self.lost = self.lost or bool(message.body[1])
            self.died = not message.body[2] and bool(self._present)
            self._why_dead = _DIED
            self._present.clear()
        elif message.member == "PropertiesChanged" and message.body[0] == ADAPTER:
            if "Powered" not in message.body[1]:
                return
            self.lost = self.lost or (message.path == ours and not message.body[1]["Powered"].value)
        elif message.member == "InterfacesRemoved" and ADAPTER in message.body[1]:
            self.lost = self.lost or message.body[0] == ours
            self._removed.add(message.body[0].rpartition("/")[2])
            self._present -= self._removed
        elif message.member != "InterfacesAdded":
            return
        self._on_change()

    # -- the choice ---------------------------------------------------------------------------------------------------

    def _unusable(self, reason: str, adapter: str | None = None) -> None:
        self.lost = self.lost or self.status.available
        self.status = RadioStatus(False, adapter or self._wanted, reason)

    def _choose(self, objects: dict[str, dict[str, dict[str, Any]]]) -> None:
        found = {path.rpartition("/")[2]: interfaces for path, interfaces in objects.items() if ADAPTER in interfaces}
        self._present = {name for name in found if _number(name)[0] < _WATCHED} - self._removed
        powered = sorted((name for name in found if found[name][ADAPTER].get("Powered")), key=_number)
        self.with_service_data = frozenset(
            str(interfaces[DEVICE]["Address"])
            for interfaces in objects.values()
            if interfaces.get(DEVICE, {}).get("ServiceData")
        )
        if self._wanted is not None and self._wanted not in found:
            others = f"; present: {', '.join(sorted(found, key=_number))}" if found else ""
            self._unusable(f"Bluetooth adapter {self._wanted} not found{others}")
        elif not found:
            self._unusable("no Bluetooth adapter found")
        elif self._wanted in powered or (self._wanted is None and powered):
            # A second adapter that appears is no reason to leave the one that works.
            current = self.status.adapter if self.status.available else None
            adapter = self._wanted or (current if current in powered else powered[0])
            self.lost = self.lost or (self.status.available and adapter != current)
            self.status = RadioStatus(True, adapter)
            self.passive = "or_patterns" in found[adapter].get(MONITORS, {}).get("SupportedMonitorTypes", ())
        else:
            adapter = self._wanted or min(found, key=_number)
            # Somebody switched it off, for a flight or for silence: that is respected, not overridden.
            self._unusable(_blocked(adapter) or f"adapter {adapter} is powered off: `bluetoothctl power on`", adapter)


class QuietBus(MessageBus):
    """A connection of bleak to the bus that does not have D-Bus start a bluetoothd which was stopped."""

    async def call(self, msg: Message) -> Message:
        """Send a message and return its answer; see `MessageBus.call`."""
        return await super().call(_quiet(msg))

    def send(self, msg: Message) -> Any:
        """Send a message; see `MessageBus.send`."""
        return super().send(_quiet(msg))


def _quiet(msg: Message) -> Message:
    if msg.destination == BLUEZ:
        msg.flags = MessageFlag(msg.flags | MessageFlag.NO_AUTOSTART)
    return msg


def keep_bleak_quiet() -> None:
    """Let bleak use `QuietBus`; an exchange under way when somebody stops bluetoothd would have it started again."""
    from bleak.backends.bluezdbus import client, manager

    for module in (client, manager):
        vars(module)["MessageBus"] = QuietBus


def forget_bleak_cache() -> None:
    """Make bleak start afresh after a loss of adapter, bluetoothd or bus.

    bleak keeps one copy of BlueZ's objects per event loop and believes it as long as its bus connection lives.  A
    bluetoothd that was killed says no goodbye: without this bleak would hold devices connected that nobody holds, and
    wait for signals that never come.
    """
    from bleak.backends.bluezdbus import manager as bleak_manager

    manager = bleak_manager._global_instances.pop(asyncio.get_running_loop(), None)
    if manager is not None:
        for condition in [one for some in manager._condition_callbacks.values() for one in some]:
            if condition.property_name == "Connected":
                condition.callback(False)
        for watcher in [one for some in manager._device_watchers.values() for one in some]:
            watcher.on_connected_changed(False)
        if (watch := getattr(manager, "_bus_watcher_task", None)) is not None:
            watch.cancel()  # it would warn of what we do here
        if manager._bus is not None:
            manager._bus.disconnect()


def known_to_bleak(path: str) -> dict[str, Any] | None:
    """Return the properties of a device as bleak believes them, None if it knows none at `path`.

    bleak keeps them current by signals and acts upon them, so what they say need not be asked of BlueZ before.
    """
    from bleak.backends.bluezdbus import manager as bleak_manager

    manager = bleak_manager._global_instances.get(asyncio.get_running_loop())
    if manager is None or manager._bus is None or not manager._bus.connected:
        return None
    properties: dict[str, Any] | None = manager._properties.get(path, {}).get(DEVICE)
    return properties


async def stop_bleak_discovery(adapter: str) -> None:
    """End the discovery that BlueZ holds for bleak's bus connection, whether bleak knows of it or not."""
    from bleak.backends.bluezdbus import manager as bleak_manager

    manager = bleak_manager._global_instances.get(asyncio.get_running_loop())
    if manager is not None and manager._bus is not None and manager._bus.connected:
        await manager._bus.call(
            Message(destination=BLUEZ, path=f"/org/bluez/{adapter}", interface=ADAPTER, member="StopDiscovery")
        )


REFUSED = "D-Bus refuses access to BlueZ: is there a policy for this user, or is it in the group bluetooth?"
_NOT_RUNNING = "bluetoothd is not running: `systemctl start bluetooth`"
_DIED = "bluetoothd has died; it is started again in a moment"
_NOT_THERE = (
    "org.freedesktop.DBus.Error.NoReply",  # it ended meanwhile
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
)
_BUS_ERRORS = (OSError, EOFError, AuthError, InvalidAddressError, DBusError)
_NO_SUCH_DEVICE = (
    "org.freedesktop.DBus.Error.UnknownObject",
    "org.freedesktop.DBus.Error.UnknownMethod",
    "org.bluez.Error.DoesNotExist",
)


def error_text(error: Exception) -> str:
    """Return the text of an error, or its class if it has none."""
    try:
        return str(error) or type(error).__name__
    except ValueError:  # bleak 0.22 cannot write the ATT errors of newer BlueZ
        return " ".join(str(part) for part in error.args)


def _number(name: str) -> tuple[int, str]:
    return (int(name[3:]) if name[3:].isdigit() else 1000, name)


def _blocked(adapter: str) -> str | None:
    """Return what rfkill says about an adapter that is off; None if it does not block it."""
    with contextlib.suppress(OSError):
        for switch in Path("/sys/class/bluetooth", adapter).glob("rfkill*"):
            if (switch / "hard").read_text().strip() == "1":
                return f"adapter {adapter} is blocked by a hardware switch (rfkill)"
            if (switch / "soft").read_text().strip() == "1":
                return f"adapter {adapter} is blocked: `rfkill unblock bluetooth`"
    return None
