"""A stand-in for systemd-timedated on a real D-Bus is asked whether this computer's clock is right."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dbus_fast import Message, Variant
from dbus_fast.aio import MessageBus

from nuki_bridge.daemon.synchronized import TIMEDATED, is_synchronized
from tests.integration.bluez_rig import PrivateBus

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="needs dbus-daemon"),
]


@pytest.mark.parametrize("says", [True, False, None])
async def test_timedated_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: bool | None) -> None:
    """None: it is not there."""
    bus = PrivateBus(tmp_path)
    bus.start()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    timedated = await MessageBus(bus_address=bus.address).connect()

    def answer(message: Message) -> Message | None:
        if message.member == "Get" and message.body == [TIMEDATED, "NTPSynchronized"]:
            return Message.new_method_return(message, "v", [Variant("b", says)])
        return None

    try:
        if says is not None:
            timedated.add_message_handler(answer)
            await timedated.request_name(TIMEDATED)
        assert await is_synchronized(lambda: False) is bool(says)
    finally:
        timedated.disconnect()
        bus.stop()


async def test_without_a_d_bus_nobody_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'nothing'}")
    assert not await is_synchronized(lambda: False)
