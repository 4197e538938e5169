"""The guest's Bluetooth stack in a test's hands: bluetoothd started and killed, the adapter's power and presence."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dbus_fast.aio import MessageBus
from dbus_fast.constants import BusType, MessageFlag, MessageType
from dbus_fast.message import Message

DAEMON = "/usr/libexec/bluetooth/bluetoothd"
_PID = Path("/run/bluetoothd.pid")


class NotYet(AssertionError):
    """What was waited for did not come."""


async def until(condition: Callable[[], object], timeout_s: float = 30.0, what: str = "") -> float:
    """Wait until `condition` is true; returns how many seconds it took, raises `NotYet` after `timeout_s`."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > timeout_s:
            raise NotYet(f"{what or condition} did not come within {timeout_s} s")
        await asyncio.sleep(0.02)
    return time.monotonic() - start


async def run(*command: str, timeout_s: float = 20.0) -> str:
    """The output of a command."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    return output.decode(errors="replace")


async def wait_powered(powered: bool = True, adapter: str = "hci0", timeout_s: float = 60.0) -> float:
    """Wait until bluetoothd says that the adapter is powered (or not); returns the seconds it took."""
    return await _until_power_is(powered, adapter, timeout_s)


async def wait_gone(adapter: str = "hci0", timeout_s: float = 30.0) -> float:
    """Wait until bluetoothd no longer knows the adapter (or is not there itself); returns the seconds it took."""
    return await _until_power_is(None, adapter, timeout_s)


async def _until_power_is(wanted: bool | None, adapter: str, timeout_s: float) -> float:
    # Over one connection: a program started for every look would take half of this machine.
    start = time.monotonic()
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    try:
        while (found := await _powered(bus, adapter)) is not wanted:
            if time.monotonic() - start > timeout_s:
                raise NotYet(f"the power of {adapter} did not become {wanted} within {timeout_s} s, it is {found}")
            await asyncio.sleep(0.05)
    finally:
        bus.disconnect()
    return time.monotonic() - start


async def _powered(bus: MessageBus, adapter: str) -> bool | None:
    """Whether the adapter is powered; None while bluetoothd does not know it."""
    reply = await bus.call(
        Message(
            destination="org.bluez",
            path=f"/org/bluez/{adapter}",
            interface="org.freedesktop.DBus.Properties",
            member="Get",
            signature="ss",
            body=["org.bluez.Adapter1", "Powered"],
            flags=MessageFlag.NO_AUTOSTART,
        )
    )
    assert reply is not None
    return bool(reply.body[0].value) if reply.message_type is MessageType.METHOD_RETURN else None


async def power(on: bool) -> str:
    """`bluetoothctl power on` or `off`, as a person would type it."""
    return await run("bluetoothctl", "power", "on" if on else "off")


def block(on: bool, adapter: str = "hci0") -> None:
    """`rfkill block` or `unblock`, of this adapter."""
    [switch] = Path("/sys/class/bluetooth", adapter).glob("rfkill*")
    (switch / "soft").write_text("1" if on else "0")


async def stop_bluetoothd(how: signal.Signals = signal.SIGTERM) -> None:
    """Stop or kill bluetoothd; returns when it has gone."""
    pid = _pid()
    os.kill(pid, how)
    await until(lambda: not _alive(pid), what="the end of bluetoothd")


async def start_bluetoothd(*options: str) -> None:
    """Start bluetoothd, as the guest did unless `options` are given; `wait_powered` tells when it is ready."""
    process = _spawn(options)
    # Reaped by waiting for it; the end of the test's loop must not wait for that.
    threading.Thread(target=process.wait, daemon=True, name="bluetoothd").start()


def _spawn(options: tuple[str, ...]) -> subprocess.Popen[bytes]:
    results = Path(os.environ["VM_RESULTS"])
    options = options or tuple((results / "bluetoothd.options").read_text().split())
    with (results / "bluetoothd.log").open("ab") as log:
        process = subprocess.Popen(
            [DAEMON, "-n", *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    _PID.write_text(str(process.pid))
    return process


def _pid() -> int:
    return int(_PID.read_text())


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
