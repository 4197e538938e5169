"""The rig's own proof: kernel, bluetoothd and bleak get along with a device that bumble puts on the air."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

if not os.environ.get("VM_RESULTS"):
    pytest.skip("runs in the virtual machine: python -m tests.vm.rig -- pytest tests/vm/guest", allow_module_level=True)

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.protocol.advertisement import APPLE
from nuki_bridge.protocol.codes import KEYTURNER_GDIO, KEYTURNER_USDIO, PAIRING_SERVICE
from tests.radio.air import Air
from tests.radio.medium import DuplicateFilter
from tests.radio.peripheral import Peripheral
from tests.vm.guest import stack
from tests.vm.guest.echo import EchoDevice

pytestmark = pytest.mark.real_time


@asynccontextmanager
async def an_air(
    *, max_mtu: int = 247, duplicates: DuplicateFilter = "data"
) -> AsyncIterator[tuple[Air, EchoDevice, Peripheral]]:
    """An adapter that bluetoothd has powered, and one device."""
    air = Air(duplicates=duplicates)
    echo = EchoDevice()
    try:
        peripheral = await air.add(echo, max_mtu=max_mtu, interval_s=0.1)
        await air.plug_in()
        await stack.wait_powered()
        yield air, echo, peripheral
    finally:
        await air.close()
        await stack.wait_gone()


class Watcher:
    """A scanner that keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[AdvertisementData] = []
        self.scanner = BleakScanner(lambda device, data: self.seen.append(data))

    def flag(self) -> int | None:
        """The beacon's last byte, as seen last."""
        beacons = [data.manufacturer_data[APPLE] for data in self.seen if APPLE in data.manufacturer_data]
        return beacons[-1][-1] & 1 if beacons else None


async def find(echo: EchoDevice) -> BLEDevice:
    found = await BleakScanner.find_device_by_address(echo.address, timeout=30)
    assert found is not None
    return found


async def subscribe(client: BleakClient) -> list[bytes]:
    received: list[bytes] = []
    for uuid in (KEYTURNER_GDIO, KEYTURNER_USDIO):
        await client.start_notify(uuid, lambda _, data: received.append(bytes(data)))
    return received


def record(name: str, value: object) -> None:
    with (Path(os.environ["VM_RESULTS"]) / "timings.txt").open("a") as file:
        print(name, value, file=file)


async def test_a_flipped_beacon_bit_is_seen() -> None:
    async with an_air() as (_, echo, peripheral):
        watcher = Watcher()
        async with watcher.scanner:
            await stack.until(lambda: watcher.flag() == 0, what="the beacon")
            assert watcher.seen[-1].local_name == echo.name
            echo.flag(True)
            record("beacon bit seen after s", await stack.until(lambda: watcher.flag() == 1, what="the bit"))
            echo.pairing = True
            peripheral.advertise()
            await stack.until(lambda: PAIRING_SERVICE in watcher.seen[-1].service_data, what="pairing mode")
            assert watcher.seen[-1].service_data[PAIRING_SERVICE] == echo.nuki_id.to_bytes(4, "big")


@pytest.mark.parametrize("max_mtu", [23, 247, 517])
async def test_messages_go_both_ways_at_every_mtu(max_mtu: int) -> None:
    async with an_air(max_mtu=max_mtu) as (_, echo, peripheral):
        device = await find(echo)
        start = time.monotonic()
        async with BleakClient(device) as client:
            record(f"mtu {max_mtu}: connected after s", time.monotonic() - start)
            received = await subscribe(client)
            assert list(peripheral.links.values()) == [max_mtu]
            assert peripheral.subscribed(Channel.USDIO)
            assert not peripheral.subscribed(Channel.PAIRING)
            assert not echo.advertising
            for size in (1, 20, 21, 100, 180):
                message = os.urandom(size)
                received.clear()
                before = peripheral.traffic
                start = time.monotonic()
                await client.write_gatt_char(KEYTURNER_USDIO, message, response=True)
                await stack.until(lambda: sum(map(len, received)) == len(message), what="the echo")  # noqa: B023
                record(f"mtu {max_mtu}: {size} bytes there and back s", time.monotonic() - start)
                assert b"".join(received) == message[::-1]
                assert all(len(piece) == max_mtu - 3 for piece in received[:-1])
                assert echo.received[-1] == (Channel.USDIO, message)
                traffic = peripheral.traffic - before
                assert traffic.indications == len(received) == -(-size // (max_mtu - 3))
                long = size > max_mtu - 3
                assert (traffic.writes, traffic.executes) == ((0, 1) if long else (1, 0))
                assert traffic.prepares == (-(-size // (max_mtu - 5)) if long else 0)
                assert traffic.write_commands == 0
        await stack.until(lambda: echo.ended == [1], what="the end of the link")


async def test_a_subscription_is_not_remembered_over_a_reconnect() -> None:
    async with an_air() as (_, echo, peripheral):
        device = await find(echo)
        async with BleakClient(device) as client:
            await subscribe(client)
            assert peripheral.subscribed(Channel.USDIO)
        async with BleakClient(await find(echo)) as client:
            assert not peripheral.subscribed(Channel.USDIO)
            received = await subscribe(client)
            await client.write_gatt_char(KEYTURNER_USDIO, b"abc", response=True)
            await stack.until(lambda: received == [b"cba"], what="the echo")


async def ended_link(end: Callable[[Peripheral, int], None]) -> float:
    """How long bleak takes to notice that `end` was done to the link."""
    async with an_air() as (_, echo, peripheral):
        gone = asyncio.Event()
        client = BleakClient(await find(echo), disconnected_callback=lambda _: gone.set())
        await client.connect()
        start = time.monotonic()
        end(peripheral, echo.connections[0])
        await asyncio.wait_for(gone.wait(), 10)
        assert not client.is_connected
        assert echo.connections == []
        return time.monotonic() - start


async def test_a_link_that_the_lock_ends_is_noticed() -> None:
    record("termination noticed after s", await ended_link(lambda peripheral, number: peripheral.drop(number)))


async def test_a_link_that_vanishes_is_noticed_after_the_supervision_timeout() -> None:
    took = await ended_link(lambda peripheral, number: peripheral.vanish(number))
    assert took >= 0.4
    record("vanishing noticed after s", took)


async def test_a_device_out_of_range_does_not_connect_until_it_is_back() -> None:
    async with an_air() as (_, echo, _):
        device = await find(echo)
        echo.carry(away=True)
        with pytest.raises((BleakError, TimeoutError)):
            await BleakClient(device, timeout=3).connect()
        assert echo.connections == []
        echo.carry(away=False)
        async with BleakClient(await find(echo)):
            assert len(echo.connections) == 1


async def test_connects_can_stay_unanswered() -> None:
    async with an_air() as (_, echo, peripheral):
        device = await find(echo)
        peripheral.ignore_connects(1000)
        with pytest.raises((BleakError, TimeoutError)):
            await BleakClient(device, timeout=2).connect()
        peripheral.ignore_connects(0)
        async with BleakClient(await find(echo)):
            assert len(echo.connections) == 1


async def test_the_adapter_can_be_unplugged_and_plugged_in_again() -> None:
    async with an_air() as (air, echo, _):
        client = BleakClient(await find(echo))
        await client.connect()
        await air.unplug()
        record("adapter gone after s", await stack.wait_gone())
        await stack.until(lambda: not client.is_connected and echo.connections == [], what="the end of the link")
        await air.plug_in()
        record("adapter back after s", await stack.wait_powered())
        async with BleakClient(await find(echo)):
            assert len(echo.connections) == 1


async def test_bluetoothd_can_be_restarted() -> None:
    async with an_air() as (_, echo, _):
        client = BleakClient(await find(echo))
        await client.connect()
        await stack.stop_bluetoothd()
        await stack.until(lambda: not client.is_connected and echo.connections == [], what="the end of the link")
        await stack.start_bluetoothd()
        record("powered again after a restart s", await stack.wait_powered())
        async with BleakClient(await find(echo)):
            assert len(echo.connections) == 1


async def test_the_adapter_can_be_powered_off_and_on() -> None:
    async with an_air() as (_, echo, _):
        client = BleakClient(await find(echo))
        await client.connect()
        await stack.power(False)
        await stack.wait_powered(False)
        await stack.until(lambda: not client.is_connected and echo.connections == [], what="the end of the link")
        await stack.power(True)
        await stack.wait_powered()
        async with BleakClient(await find(echo)):
            assert len(echo.connections) == 1


async def test_two_devices_stand_beside_each_other() -> None:
    async with an_air() as (air, echo, _):
        other = EchoDevice("54:D2:72:00:00:02", 0x01020304)
        await air.add(other, max_mtu=23, interval_s=0.1)
        async with BleakClient(await find(echo)) as first, BleakClient(await find(other)) as second:
            answers = [await subscribe(client) for client in (first, second)]
            await first.write_gatt_char(KEYTURNER_USDIO, b"first", response=True)
            await second.write_gatt_char(KEYTURNER_USDIO, b"second", response=True)
            await stack.until(lambda: answers == [[b"tsrif"], [b"dnoces"]], what="both echoes")
