"""The D-Bus policy that comes with the service, on a real D-Bus whose other policies let nobody talk to BlueZ."""

from __future__ import annotations

import asyncio
import getpass
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from tests import patience

POLICY = Path(__file__).parents[2] / "systemd" / "dbus-1" / "nuki-bridge.conf"
_BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="false"/>
<allow receive_sender="*"/><allow send_type="method_call"/><deny send_destination="org.bluez"/></policy>
<include>{policy}</include></busconfig>
"""

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="needs dbus-daemon"),
]


@contextmanager
def bus(folder: Path, user: str) -> Iterator[str]:
    """The address of a D-Bus with the policy made out to `user`."""
    policy = folder / "policy.conf"
    policy.write_text(POLICY.read_text().replace('user="nuki-bridge"', f'user="{user}"'))
    config = folder / "bus.conf"
    config.write_text(_BUS_CONFIG.format(socket=folder / "bus", policy=policy))
    command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def answer(address: str, destination: str) -> Message:
    """What comes back to a call, from another client that owns the name `destination`."""
    bluez = await MessageBus(bus_address=address).connect()
    client = await MessageBus(bus_address=address).connect()
    try:
        await bluez.request_name(destination)
        call = Message(destination=destination, path="/", interface="org.freedesktop.DBus.Peer", member="Ping")
        async with asyncio.timeout(patience.HANG_S):
            reply = await client.call(call)
        assert reply is not None
        return reply
    finally:
        for each in (client, bluez):
            each.disconnect()


async def test_the_services_user_may_talk_to_bluez(tmp_path: Path) -> None:
    with bus(tmp_path, getpass.getuser()) as address:
        assert (await answer(address, "org.bluez")).message_type is MessageType.METHOD_RETURN


async def test_nobody_else_may_by_this_policy(tmp_path: Path) -> None:
    with bus(tmp_path, "daemon") as address:
        refused = await answer(address, "org.bluez")
        assert refused.error_name == "org.freedesktop.DBus.Error.AccessDenied"
        assert (await answer(address, "org.example")).message_type is MessageType.METHOD_RETURN
