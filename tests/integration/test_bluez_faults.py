"""The radio against a stand-in for bluetoothd on a private D-Bus: each fault is reported and passes by itself."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from bleak import BleakClient
from bleak.backends.bluezdbus import manager as bleak_manager

from nuki_bridge.bluetooth import gatt, radio, scan
from nuki_bridge.bluetooth.link import Channel, RadioStatus
from nuki_bridge.errors import AdapterUnavailable, Disconnected, LinkError, NotFound, TimedOut
from nuki_bridge.protocol import codes
from nuki_bridge.protocol.codes import Family
from tests import patience
from tests.integration.bluez_rig import ADDRESS, NUKI_ID, PrivateBus, classic_services, in_haste, rig, until
from tests.radio.bluez import DEVICE

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="needs dbus-daemon"),
]

OTHER = "54:D2:72:11:22:33"


@pytest.fixture(scope="module")
def private_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBus]:
    bus = PrivateBus(tmp_path_factory.mktemp("bus"))
    bus.start()
    yield bus
    bus.stop()


@pytest.fixture(autouse=True)
def _on_private_bus(private_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", private_bus.address)
    in_haste(monkeypatch)


# -- when all is well -------------------------------------------------------------------------------------------------


async def test_scans_connects_writes_and_gets_indications() -> None:
    async with rig() as r:
        assert r.statuses == [RadioStatus(True, "hci0")]
        await r.connected()
        assert r.sightings[0].nuki_id == NUKI_ID
        assert r.link.connected
        assert r.link.family is Family.CLASSIC
        assert r.link.rssi == -60
        await r.works()
        r.bluez.indicate(ADDRESS, codes.KEYTURNER_GDIO, b"\x12\x00")
        await until(lambda: (Channel.GDIO, b"\x12\x00") in r.data)
        await r.link.disconnect()
        await r.link.disconnect()
        assert (r.link.connected, r.losses) == (False, 1)
        await r.works()


async def test_a_link_tells_the_services_that_were_found() -> None:
    async with rig() as r:
        assert r.link.services == {}
        await r.connected()
        assert r.link.services.keys() == classic_services().keys()
        [gdio, usdio] = sorted(r.link.services[codes.KEYTURNER_SERVICE])
        assert (gdio.split()[0], usdio.split()[0]) == (codes.KEYTURNER_GDIO, codes.KEYTURNER_USDIO)
        assert {"indicate", "write"} <= set(usdio.split())


async def test_in_a_hurry_the_plain_errors_are_subscribed_to_later() -> None:
    async with rig() as r:
        await r.seen()
        with pytest.raises(Disconnected):
            await r.link.subscribe_gdio()
        await r.link.connect(2.0, skip_gdio=True)
        assert not r.link.gdio_subscribed
        r.bluez.indicate(ADDRESS, codes.KEYTURNER_GDIO, b"\x11\x00")
        await r.works()
        r.bluez.fail("StartNotify", "org.bluez.Error.Failed", "Operation failed with ATT error: 0x0e (Unlikely Error)")
        with pytest.raises(LinkError, match="enabling indications failed"):
            await r.link.subscribe_gdio()
        assert (r.link.connected, r.link.gdio_subscribed) == (True, False)
        for _ in range(2):
            await r.link.subscribe_gdio()
            assert r.link.gdio_subscribed
        assert r.bluez.calls["StartNotify"] == 3
        r.bluez.indicate(ADDRESS, codes.KEYTURNER_GDIO, b"\x12\x00")
        await until(lambda: r.data[-1] == (Channel.GDIO, b"\x12\x00"))
        assert [data for channel, data in r.data if channel is Channel.GDIO] == [b"\x12\x00"]
        await r.link.disconnect()
        assert not r.link.gdio_subscribed


async def test_a_lock_without_plain_errors_needs_no_second_subscription() -> None:
    async with rig() as r:
        r.lock.services = classic_services(gdio=False)
        await r.seen()
        await r.link.connect(2.0, skip_gdio=True)
        assert r.link.gdio_subscribed


async def test_a_subscription_that_is_not_confirmed_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gatt, "WRITE_S", 0.1)
    async with rig() as r:
        await r.seen()
        await r.link.connect(2.0, skip_gdio=True)
        r.bluez.hang("StartNotify")
        with pytest.raises(TimedOut):
            await r.link.subscribe_gdio()
        await r.link.disconnect()
        await r.works()


async def test_pairing_subscribes_to_the_pairing_characteristic_only() -> None:
    async with rig() as r:
        await r.seen()
        await r.link.connect(2.0, pairing=True)
        for uuid in (codes.PAIRING_GDIO, codes.KEYTURNER_USDIO):
            r.bluez.indicate(ADDRESS, uuid, b"\x03")
        await until(lambda: r.data)
        assert r.data == [(Channel.PAIRING, b"\x03")]


@pytest.mark.parametrize(
    ("pairing", "family"), [(codes.PAIRING_GDIO_ULTRA, Family.ULTRA), (codes.OPENER_PAIRING_GDIO, Family.OPENER)]
)
async def test_tells_the_family_from_the_characteristics(pairing: str, family: Family) -> None:
    async with rig() as r:
        opener = family is Family.OPENER
        usdio = codes.OPENER_USDIO if opener else codes.KEYTURNER_USDIO
        r.lock.services = {codes.PAIRING_SERVICE: [pairing], codes.KEYTURNER_SERVICE: [usdio]}
        await r.connected()
        assert r.link.family is family
        await r.link.write(Channel.USDIO, b"\x01")
        assert r.lock.written == [(usdio, b"\x01")]


async def test_a_lock_that_leaves_is_reported_once() -> None:
    async with rig() as r:
        await r.connected()
        r.bluez.drop(ADDRESS)
        await until(lambda: r.losses)
        await r.link.disconnect()
        assert (r.link.connected, r.losses) == (False, 1)
        with pytest.raises(Disconnected):
            await r.link.write(Channel.USDIO, b"\x01")
        await r.works()


async def test_links_that_come_and_go_leave_no_bus_connection_behind() -> None:
    def bus_connections() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    async with rig() as r:
        await r.connected()
        before = bus_connections()
        for _ in range(3):
            r.bluez.drop(ADDRESS)
            await until(lambda: not r.link.connected)
            await r.works()
            await r.link.disconnect()
            r.bluez.fail("StartNotify", "org.bluez.Error.Failed")
            with pytest.raises(LinkError):
                await r.link.connect(1.0)
            await r.works()
        await until(lambda: bus_connections() == before)  # one that was left may still be closing


async def test_an_address_carries_one_link_at_a_time() -> None:
    async with rig() as r:
        await r.connected()
        second = r.new_link()
        with pytest.raises(LinkError, match="already"):
            await second.connect(1.0)
        await r.works()
        await r.link.disconnect()
        await second.connect(1.0)


# -- scanning ---------------------------------------------------------------------------------------------------------


async def test_a_flip_of_the_beacon_bit_is_a_sighting_and_a_change_of_connection_is_none() -> None:
    async with rig() as r:
        await r.connected()
        await r.link.disconnect()
        await r.scanning()
        assert [sighting.state_changed for sighting in r.sightings] == [False]
        await r.beacon(changed=True)
        await r.beacon(changed=False)
        await until(lambda: len(r.sightings) == 3)
        assert [sighting.state_changed for sighting in r.sightings] == [False, True, False]


async def test_pairing_mode_is_seen_again_only_when_it_is_there_again() -> None:
    """BlueZ never forgets service data."""
    async with rig() as r:
        await r.scanning()
        service = {codes.PAIRING_SERVICE: NUKI_ID.to_bytes(4, "big")}
        r.bluez.advertise(r.lock, service=service)
        await until(lambda: r.sightings)
        assert r.sightings[-1].pairing is Family.CLASSIC
        await r.beacon(rssi=-70)
        await r.beacon(changed=True, rssi=-50)
        await until(lambda: len(r.sightings) == 3)
        assert [sighting.pairing for sighting in r.sightings] == [Family.CLASSIC, None, None]
        r.bluez.advertise(r.lock, service=service)
        r.bluez.advertise(r.lock, service=service)
        await until(lambda: len(r.sightings) == 5)
        assert [sighting.pairing for sighting in r.sightings[3:]] == [Family.CLASSIC, Family.CLASSIC]


async def test_only_known_locks_are_looked_for_but_when_looking_around() -> None:
    async with rig() as r:
        await r.scanning()
        assert r.bluez.filters[-1] == {"Transport": "le", "DuplicateData": True, "Pattern": ADDRESS}
        r.new_link(OTHER)
        await until(lambda: r.bluez.filters[-1].get("Pattern") == "54:D2:72:")
        with r.radio.look_around():
            await until(lambda: r.bluez.filters[-1] == {"Transport": "le", "DuplicateData": True})
        await until(lambda: r.bluez.filters[-1].get("Pattern") == "54:D2:72:")


async def test_a_scan_goes_on_without_a_new_look_at_all_that_bluez_knows() -> None:
    async with rig() as r:
        await r.seen()
        before = r.bluez.calls["GetManagedObjects"]
        await r.link.connect(2.0)
        await until(r.bluez.scanning)
        await r.link.disconnect()
        assert r.bluez.calls["GetManagedObjects"] == before
        with r.radio.look_around():  # what BlueZ remembers of pairing modes by now must not pass for one
            await until(lambda: r.bluez.calls["GetManagedObjects"] > before)


async def test_while_nothing_changes_bluez_is_asked_only_whether_the_adapter_is_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(radio, "LOOK_S", 0.05)
    async with rig() as r:
        await r.seen()
        before = r.bluez.calls["GetManagedObjects"]
        asked = r.bluez.calls["Get"]
        await until(lambda: r.bluez.calls["Get"] >= asked + 3)
        assert r.bluez.calls["GetManagedObjects"] == before
        r.bluez.fail("Get", "org.freedesktop.DBus.Error.UnknownObject", "no such object")
        await until(lambda: r.bluez.calls["GetManagedObjects"] == before + 1)
        assert r.statuses == [RadioStatus(True, "hci0")]


async def test_an_adapter_that_went_away_without_a_word_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radio, "LOOK_S", 0.05)
    async with rig() as r:
        await r.seen()
        r.bluez._objects["/org/bluez/hci0"]["org.bluez.Adapter1"]["Powered"] = False
        await until(lambda: not r.statuses[-1].available)


async def test_scans_passively_where_bluez_offers_it() -> None:
    async with rig(monitors=True) as r:
        await r.connected()
        assert r.bluez.calls["RegisterMonitor"] == 1
        assert r.bluez.calls["StartDiscovery"] == 0
        await r.works()


async def test_a_lock_that_stays_as_it_is_is_reported_again_and_again() -> None:
    async with rig() as r:
        await r.scanning()
        for _ in range(3):
            await r.beacon()
        await until(lambda: len(r.sightings) == 3)


async def test_a_passive_scan_calls_the_roll_of_locks_that_are_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reports what changes: a lock that stays as it is would be taken for one that is away."""
    monkeypatch.setattr(scan, "ABSENT_S", 0.2)
    monkeypatch.setattr(scan, "ROLL_CALL_S", 0.3)
    async with rig(monitors=True) as r:
        await r.seen()
        for rounds in (1, 2):
            await until(partial(lambda rounds: r.bluez.calls["StartDiscovery"] == rounds, rounds))
            await until(lambda: not r.radio.scanner.passive)
            await r.beacon()
            await until(lambda: r.radio.scanner.passive)
        assert len(r.sightings) == 3
        await until(lambda: r.bluez.calls["StartDiscovery"] == 3)
        await until(lambda: r.radio.scanner.passive, "the end of the roll call without an answer")


@pytest.mark.parametrize("monitors", [False, True])
async def test_only_a_passive_scan_becomes_due_while_locks_are_heard(monitors: bool) -> None:
    async with rig(monitors=monitors) as r:
        await r.seen()
        pause_s = await r.radio.scanner.adjust()
        assert pause_s is not None
        assert (pause_s <= scan.ABSENT_S) is monitors


async def test_nobody_calls_a_lock_that_holds_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "ABSENT_S", 0.1)
    async with rig(monitors=True) as r:
        await r.seen()
        await r.link.connect(2.0)
        calls = r.bluez.calls["StartDiscovery"]
        await asyncio.sleep(0.4)
        assert r.bluez.calls["StartDiscovery"] == calls
        await r.link.disconnect()
        await until(lambda: r.bluez.calls["StartDiscovery"] > calls)


async def test_scans_actively_when_the_monitor_is_refused() -> None:
    async with rig(adapters=()) as r:
        r.bluez.fail("RegisterMonitor", "org.bluez.Error.Failed", "no")
        r.bluez.add_adapter(monitors=True)
        await r.seen()
        assert r.bluez.calls["StartDiscovery"] == 1


@pytest.mark.parametrize("error", ["org.bluez.Error.InProgress", "org.bluez.Error.Failed"])
async def test_a_scan_that_does_not_start_is_tried_again(error: str, caplog: pytest.LogCaptureFixture) -> None:
    async with rig(adapters=()) as r:
        r.bluez.fail("StartDiscovery", error, "Operation already in progress", times=3)
        r.bluez.add_adapter()
        await r.seen()
        warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert len(warnings) == 1, warnings
        assert "scanning does not start on hci0" in warnings[0].getMessage()


async def test_a_start_of_the_scan_that_got_no_answer_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "SCAN_S", 0.1)
    async with rig(adapters=()) as r:
        r.bluez.hang("StartDiscovery")
        r.bluez.add_adapter()
        await r.seen()
        assert r.bluez.calls["StopDiscovery"] >= 1


async def test_bleak_connects_to_the_bus_anew_after_starts_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be bleak's own connection that is stuck."""
    monkeypatch.setattr(scan, "SCAN_S", 0.5)
    async with rig(adapters=()) as r:
        r.bluez.hang("StartDiscovery", scan.FRESH_START)
        r.bluez.add_adapter()
        await until(lambda: r.bluez.calls["StartDiscovery"] == scan.FRESH_START)
        before = bleak_manager._global_instances[asyncio.get_running_loop()]
        await r.seen()
        assert bleak_manager._global_instances[asyncio.get_running_loop()] is not before
        await r.works()


async def test_a_scan_that_does_not_start_costs_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "SCAN_S", 0.1)
    async with rig() as r:
        await r.connected()
        r.bluez.hang("StartDiscovery", 2 * scan.FRESH_START)
        before = r.bluez.calls["StartDiscovery"]
        with r.radio.look_around():
            await until(lambda: r.bluez.calls["StartDiscovery"] >= before + 2 * scan.FRESH_START)
        await r.works()
        assert r.losses == 0


async def test_a_refused_stop_of_the_scan_does_not_leave_bluez_deaf() -> None:
    async with rig() as r:
        await r.scanning()
        r.bluez.stop_sticks = True
        with r.radio.look_around():
            await until(lambda: not r.bluez.stop_sticks)
        await until(lambda: r.bluez.filters[-1].get("Pattern"))
        await r.seen()


async def test_a_scan_that_hears_nothing_is_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "QUIET_S", 0.5)
    async with rig() as r:
        await until(lambda: r.bluez.calls["StartDiscovery"] >= 2)
        await r.seen()


# -- connecting -------------------------------------------------------------------------------------------------------


async def test_a_lock_that_nobody_has_seen_is_not_found() -> None:
    async with rig() as r:
        with pytest.raises(NotFound, match=r"not seen within 0\.1 s"):
            await r.link.connect(0.1)
        assert r.bluez.calls["Connect"] == 0


async def test_connect_waits_for_the_lock_to_be_seen() -> None:
    async with rig() as r:
        await r.scanning()
        connecting = asyncio.create_task(r.link.connect(2.0))
        await until(lambda: r.bluez.calls["GetAll"])
        await r.beacon()
        await connecting
        await r.works()


async def test_bluez_is_not_asked_for_a_device_that_it_has_told_of() -> None:
    async with rig() as r:
        await r.connected()
        assert r.bluez.calls["GetAll"] == 0
        await r.link.disconnect()
        await r.works()
        assert r.bluez.calls["GetAll"] == 0


async def test_a_device_that_bluez_has_dropped_before_it_said_so_is_looked_for() -> None:
    async with rig() as r:
        await r.seen()
        r.bluez.fail("Connect", "org.freedesktop.DBus.Error.UnknownObject", "no such object")
        await r.link.connect(2.0)
        assert (r.bluez.calls["GetAll"], r.bluez.calls["Connect"]) == (1, 2)
        await r.works()


async def test_a_device_that_cannot_be_found_is_given_up_after_one_more_attempt() -> None:
    async with rig() as r:
        await r.seen()
        r.bluez.fail("Connect", "org.freedesktop.DBus.Error.UnknownObject", "no such object", times=9)
        with pytest.raises(NotFound):
            await r.link.connect(2.0)
        assert r.bluez.calls["Connect"] == 2


async def test_a_device_that_bluez_drops_while_connecting_is_looked_for_again() -> None:
    """BlueZ drops a device when an earlier attempt has failed at last, though the next one is under way."""
    async with rig() as r:
        await r.seen()
        r.bluez.hang("Connect")
        advertising = asyncio.create_task(r.link.connect(2.0))
        await until(lambda: r.bluez.calls["Connect"])
        r.bluez.forget(ADDRESS)
        await r.scanning()
        await r.beacon()
        await advertising
        assert r.bluez.calls["Connect"] == 2
        await r.works()


async def test_an_active_scan_pauses_while_connecting() -> None:
    """The kernel connects at the next report of the lock, and a scan that goes on reports it only once in 10 s."""
    async with rig() as r:
        await r.seen()
        r.bluez.hang("Connect")
        connecting = asyncio.create_task(r.link.connect(1.0))
        await until(lambda: r.bluez.calls["Connect"])
        assert not r.bluez.scanning()
        r.new_link(OTHER)
        await asyncio.sleep(0.1)
        assert not r.bluez.scanning()
        with pytest.raises(TimedOut):
            await connecting
        await until(r.bluez.scanning)


async def test_an_active_scan_rests_once_a_link_is_made_unless_somebody_looks_around(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Starting it again takes the bus, the adapter and us what the first command wants."""
    monkeypatch.setattr(scan, "REST_S", 60.0)
    async with rig() as r:
        await r.connected()
        r.new_link(OTHER)
        await asyncio.sleep(0.1)
        assert not r.bluez.scanning()
        with r.radio.look_around():
            await until(r.bluez.scanning)
    monkeypatch.setattr(scan, "REST_S", 1.0)
    async with rig() as r:
        await r.connected()
        assert not r.bluez.scanning()
        await until(r.bluez.scanning)


async def test_a_passive_scan_goes_on_while_connecting() -> None:
    async with rig(monitors=True) as r:
        await r.seen()
        r.bluez.hang("Connect")
        connecting = asyncio.create_task(r.link.connect(1.0))
        await until(lambda: r.bluez.calls["Connect"])
        assert r.bluez.scanning()
        with pytest.raises(TimedOut):
            await connecting


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("org.bluez.Error.InProgress", "Operation already in progress"),
        ("org.bluez.Error.AlreadyConnected", "Already Connected"),
        ("org.bluez.Error.Failed", "Operation already in progress"),
        ("org.bluez.Error.Failed", "Software caused connection abort"),
    ],
)
async def test_a_refused_connect_is_called_off_and_the_next_one_works(error: str, text: str) -> None:
    async with rig() as r:
        await r.seen()
        r.bluez.fail("Connect", error, text)
        with pytest.raises(LinkError, match=text):
            await r.link.connect(2.0)
        assert r.bluez.calls["Disconnect"] >= 1
        assert r.losses == 0
        await r.works()


async def test_a_connection_aborted_by_the_radio_is_over_within_the_timeout() -> None:
    async with rig() as r:
        await r.seen()
        r.bluez.fail("Connect", "org.bluez.Error.Failed", "le-connection-abort-by-local")
        with pytest.raises(LinkError):
            await r.link.connect(0.2)
        await r.works()


async def test_a_connect_that_never_returns_times_out_and_leaves_nothing_half_open() -> None:
    async with rig() as r:
        await r.seen()
        r.bluez.hang("Connect")
        began = patience.now()
        with pytest.raises(TimedOut, match=r"not connected within 1 s"):
            await r.link.connect(1.0)
        assert patience.now() - began < 4.0
        assert r.bluez.calls["Disconnect"] == 1
        assert r.losses == 0
        await r.works()


async def test_after_an_attempt_that_was_given_up_the_kernel_gets_time_to_settle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a passive scan nothing tells when it has: the next attempt waits, however short its own timeout."""
    monkeypatch.setattr(radio, "GIVING_UP_S", 1.5)
    async with rig(monitors=True) as r:
        await r.seen()
        r.bluez.hang("Connect")
        attempts, began = 0, patience.now()
        with pytest.raises(TimedOut):
            await r.link.connect(1.0)
        while not r.link.connected:  # the second of these has half its time left when the wait is over
            attempts += 1
            with contextlib.suppress(LinkError):
                await r.link.connect(1.0)
        assert patience.now() - began > 1.0 + 1.45
        assert attempts > 1
        assert r.bluez.calls["Connect"] == 2


async def test_after_an_attempt_that_was_given_up_the_lock_has_to_be_seen_again() -> None:
    async with rig() as r:
        await r.seen()
        r.bluez.hang("Connect")
        with pytest.raises(TimedOut):
            await r.link.connect(1.0)
        assert r.bluez.calls["Connect"] == 1
        connecting = asyncio.create_task(r.link.connect(2.0))
        await r.scanning()
        assert r.bluez.calls["Connect"] == 1
        await r.beacon(rssi=-70)
        await connecting
        await r.works()


async def test_not_even_a_disconnect_that_hangs_holds_a_connect_for_ever() -> None:
    async with rig() as r:
        await r.seen()
        r.bluez.hang("Connect")
        r.bluez.hang("Disconnect")
        with pytest.raises(TimedOut):
            await r.link.connect(1.0)
        await r.works()


async def test_a_cancelled_connect_leaves_nothing_half_open() -> None:
    async with rig() as r:
        await r.seen()
        r.bluez.hang("Connect")
        connecting = asyncio.create_task(r.link.connect(5.0))
        await until(lambda: r.bluez.calls["Connect"])
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        assert r.bluez.calls["Disconnect"] == 1
        await r.works()


async def test_a_connect_cancelled_while_subscribing_disconnects() -> None:
    async with rig() as r:
        await r.seen()
        r.bluez.hang("StartNotify")
        connecting = asyncio.create_task(r.link.connect(5.0))
        await until(lambda: r.bluez.calls["StartNotify"])
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        known = r.bluez.known(ADDRESS)
        assert known is not None
        assert not known["Connected"]
        assert r.losses == 0
        await r.works()


async def test_a_lock_that_leaves_during_discovery_is_an_error_and_the_next_attempt_works() -> None:
    async with rig() as r:
        await r.seen()
        r.lock.resolves = False
        connecting = asyncio.create_task(r.link.connect(3.0))
        await until(lambda: (r.bluez.known(ADDRESS) or {})["Connected"])
        r.bluez.drop(ADDRESS)
        # in bleak 0.22 "Not connected" if the loss is seen before the reply to Connect
        with pytest.raises(LinkError, match=r"disconnected|Not connected"):
            await connecting
        r.lock.resolves = True
        await r.works()


async def test_a_lock_that_leaves_while_subscribing_is_reported_at_once() -> None:
    async with rig() as r:
        await r.seen()
        r.bluez.hang("StartNotify")
        connecting = asyncio.create_task(r.link.connect(5.0))
        await until(lambda: r.bluez.calls["StartNotify"])
        began = patience.now()
        r.bluez.drop(ADDRESS)
        with pytest.raises(Disconnected):
            await connecting
        assert patience.now() - began < 4.0
        assert r.losses == 0
        await r.works()


async def test_a_discovery_that_does_not_end_times_out_and_disconnects() -> None:
    async with rig() as r:
        await r.seen()
        r.lock.resolves = False
        with pytest.raises(TimedOut):
            await r.link.connect(0.2)
        assert not (r.bluez.known(ADDRESS) or {})["Connected"]
        r.lock.resolves = True
        await r.works()


async def test_a_connection_left_behind_in_bluez_is_dropped_and_made_anew() -> None:
    async with rig() as r:
        await r.seen()
        r.bluez.set(r.bluez.device_path(ADDRESS), DEVICE, Connected=True)
        await until(lambda: r.radio.known(ADDRESS) is None)  # a signal on its way
        await r.works()
        assert r.bluez.calls["Disconnect"] == 1
        assert r.bluez.calls["Connect"] == 1


async def test_a_connection_that_bluez_does_not_let_go_of_costs_the_device_its_place_in_bluez() -> None:
    async with rig() as r:
        await r.seen()
        r.bluez.set(r.bluez.device_path(ADDRESS), DEVICE, Connected=True)
        await until(lambda: r.radio.known(ADDRESS) is None)
        r.bluez.stubborn = True
        with pytest.raises(LinkError, match="dead connection"):
            await r.link.connect(2.0)
        assert r.bluez.known(ADDRESS) is None
        r.bluez.stubborn = False
        await r.beacon()
        await r.works()


async def test_a_stale_gatt_cache_is_dropped() -> None:
    async with rig() as r:
        await r.seen()
        r.lock.services = classic_services(usdio=False)
        with pytest.raises(LinkError, match="no usdio characteristic"):
            await r.link.connect(2.0)
        assert r.bluez.known(ADDRESS) is None
        r.lock.services = classic_services()
        await r.beacon()
        await r.works()
        assert r.losses == 0


async def test_handles_that_the_lock_does_not_know_are_a_stale_gatt_cache_too() -> None:
    async with rig() as r:
        await r.seen()
        r.bluez.fail("StartNotify", "org.bluez.Error.Failed", "Operation failed with ATT error: 0x01 (Invalid Handle)")
        with pytest.raises(LinkError, match="services have changed"):
            await r.link.connect(2.0)
        assert r.bluez.known(ADDRESS) is None
        await r.beacon()
        await r.works()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("NotPermitted", "Write not permitted"),
        ("NotSupported", "Operation is not supported"),
        ("InvalidValueLength", "Invalid value length"),
        *(("Failed", f"Operation failed with ATT error: 0x{code}") for code in ("03", "06", "0d", "12", "fd")),
    ],
)
async def test_handles_that_belong_to_something_else_now_are_a_stale_gatt_cache(error: str, text: str) -> None:
    async with rig() as r:
        await r.seen()
        r.bluez.fail("StartNotify", f"org.bluez.Error.{error}", text)
        with pytest.raises(LinkError, match="services have changed"):
            await r.link.connect(2.0)
        assert r.bluez.known(ADDRESS) is None
        await r.beacon()
        await r.works()


async def test_a_write_to_a_handle_that_the_lock_does_not_know_has_the_cache_dropped_before_the_next_link() -> None:
    async with rig() as r:
        await r.connected()
        r.bluez.fail("WriteValue", "org.bluez.Error.Failed", "Operation failed with ATT error: 0x01 (Invalid Handle)")
        with pytest.raises(LinkError, match="services have changed"):
            await r.link.write(Channel.USDIO, b"\x01")
        await r.link.disconnect()
        assert r.bluez.calls["RemoveDevice"] == 0
        await r.works()
        assert r.bluez.calls["RemoveDevice"] == 1


async def test_a_lock_that_is_mute_over_several_links_has_the_cache_dropped() -> None:
    async with rig() as r:
        await r.seen()
        for _ in range(gatt.MUTE_LINKS):
            assert r.bluez.calls["RemoveDevice"] == 0
            await r.link.connect(2.0)
            await r.link.write(Channel.USDIO, b"\x01")
            await r.link.disconnect()
        await r.works()
        assert r.bluez.calls["RemoveDevice"] == 1
        for _ in range(gatt.MUTE_LINKS):
            await r.works()
            await r.link.disconnect()
        assert r.bluez.calls["RemoveDevice"] == 1


async def test_characteristics_that_have_moved_are_found_again() -> None:
    async with rig() as r:
        await r.connected()
        await r.link.disconnect()
        r.bluez.move_characteristics(ADDRESS)
        with contextlib.suppress(LinkError):  # bleak stumbles over its own copy
            await r.link.connect(2.0)
        await r.works()


async def test_a_lock_without_the_plain_keyturner_characteristic_works() -> None:
    async with rig() as r:
        r.lock.services = classic_services(gdio=False)
        await r.connected()
        await r.works()
        with pytest.raises(LinkError, match="no gdio characteristic"):
            await r.link.write(Channel.GDIO, b"\x01")


async def test_an_eof_while_enabling_indications_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    start_notify = BleakClient.start_notify

    async def takes_effect_and_fails(self: BleakClient, *args: object, **kwargs: object) -> None:
        await start_notify(self, *args, **kwargs)  # type: ignore[arg-type]
        raise EOFError

    monkeypatch.setattr(BleakClient, "start_notify", takes_effect_and_fails)
    async with rig() as r:
        await r.seen()
        await r.works()


# -- writing ----------------------------------------------------------------------------------------------------------


async def test_a_write_that_fails_is_a_link_error_and_the_link_stays() -> None:
    async with rig() as r:
        await r.connected()
        r.bluez.fail("WriteValue", "org.bluez.Error.Failed", "Operation failed with ATT error: 0x0e (Unlikely Error)")
        with pytest.raises(LinkError, match="writing failed"):
            await r.link.write(Channel.USDIO, b"\x01")
        await r.works()


async def test_a_write_without_confirmation_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gatt, "WRITE_S", 0.1)
    async with rig() as r:
        await r.connected()
        r.bluez.hang("WriteValue")
        with pytest.raises(TimedOut):
            await r.link.write(Channel.USDIO, b"\x01")
        await r.link.disconnect()
        await r.works()


async def test_a_write_under_way_ends_with_the_link() -> None:
    async with rig() as r:
        await r.connected()
        r.bluez.hang("WriteValue")
        writing = asyncio.create_task(r.link.write(Channel.USDIO, b"\x01"))
        await until(lambda: r.bluez.calls["WriteValue"])
        r.bluez.drop(ADDRESS)
        with pytest.raises(Disconnected):
            await asyncio.wait_for(writing, 1.0)
        assert r.losses == 1
        await r.works()


async def test_a_disconnect_that_hangs_ends_all_the_same() -> None:
    async with rig() as r:
        await r.connected()
        r.bluez.hang("Disconnect")
        await asyncio.wait_for(r.link.disconnect(), 2.0)
        assert (r.link.connected, r.losses) == (False, 1)
        await r.works()


# -- adapter, bluetoothd, D-Bus ---------------------------------------------------------------------------------------


async def test_waits_for_an_adapter_and_says_so() -> None:
    async with rig(adapters=()) as r:
        assert r.statuses == [RadioStatus(False, None, "no Bluetooth adapter found")]
        with pytest.raises(AdapterUnavailable, match="no Bluetooth adapter found"):
            await r.link.connect(1.0)
        r.bluez.add_adapter("hci1")
        await until(lambda: r.radio.status == RadioStatus(True, "hci1"))
        r.bluez.remove_adapter("hci1")
        await until(lambda: not r.radio.status.available)
        r.bluez.add_adapter()
        await r.seen()
        await r.works()


async def test_access_that_dbus_refuses_is_asked_for_again() -> None:
    """It is granted in silence, when D-Bus reads a policy that came with the package while we start."""
    async with rig(start=False) as r:
        r.bluez.fail("GetManagedObjects", "org.freedesktop.DBus.Error.AccessDenied", "Rejected send message", times=3)
        await r.bluez.start()
        await until(lambda: len(r.statuses) > 1)
        assert "D-Bus refuses access to BlueZ" in (r.statuses[1].reason or "")
        await until(lambda: r.radio.status == RadioStatus(True, "hci0"))
        await r.works()


async def test_waits_for_the_configured_adapter() -> None:
    async with rig("hci1") as r:
        assert r.statuses == [RadioStatus(False, "hci1", "Bluetooth adapter hci1 not found; present: hci0")]
        r.bluez.add_adapter("hci1")
        await until(lambda: r.radio.status == RadioStatus(True, "hci1"))


async def test_an_adapter_pulled_out_takes_the_link_with_it_and_comes_back() -> None:
    async with rig() as r:
        await r.connected()
        began = patience.now()
        r.bluez.remove_adapter()
        await until(lambda: r.losses and not r.radio.status.available)
        assert patience.now() - began < 4.0
        assert not r.link.connected
        with pytest.raises(LinkError):
            await r.link.write(Channel.USDIO, b"\x01")
        r.bluez.add_adapter()
        await until(lambda: r.radio.status.available)
        r.sightings.clear()
        await r.seen()
        await r.works()
        assert [status.available for status in r.statuses] == [True, False, True]
        assert r.losses == 1


async def test_an_adapter_pulled_out_while_connecting_ends_the_attempt() -> None:
    async with rig() as r:
        await r.seen()
        r.lock.resolves = False
        connecting = asyncio.create_task(r.link.connect(5.0))
        await until(lambda: (r.bluez.known(ADDRESS) or {})["Connected"])
        r.bluez.remove_adapter()
        with pytest.raises(LinkError):
            await asyncio.wait_for(connecting, 1.5)
        assert r.losses == 0


async def test_waiting_for_a_lock_ends_with_the_adapter() -> None:
    async with rig() as r:
        await r.scanning()
        connecting = asyncio.create_task(r.link.connect(5.0))
        await until(lambda: r.bluez.calls["GetAll"])
        r.bluez.remove_adapter()
        with pytest.raises(AdapterUnavailable):
            await asyncio.wait_for(connecting, 1.0)


async def test_a_powered_off_adapter_is_respected_and_used_again_when_it_is_on() -> None:
    async with rig() as r:
        await r.connected()
        r.bluez.power(False)
        await until(lambda: r.losses and not r.radio.status.available)
        assert r.statuses[-1] == RadioStatus(False, "hci0", "adapter hci0 is powered off: `bluetoothctl power on`")
        assert r.bluez.calls["Set"] == 0
        r.bluez.power(True)
        await until(lambda: r.radio.status.available)
        await r.beacon(changed=True)
        await until(lambda: r.sightings[-1].state_changed)
        await r.works()
        assert [status.available for status in r.statuses] == [True, False, True]


async def test_the_steps_of_an_adapter_that_comes_up_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radio, "SETTLE_S", 0.3)
    async with rig(adapters=()) as r:
        r.bluez.add_adapter(powered=False)
        await asyncio.sleep(0.1)
        r.bluez.power(True)
        await until(lambda: r.radio.status.available)
        await r.seen()
        assert r.statuses == [RadioStatus(False, None, "no Bluetooth adapter found"), RadioStatus(True, "hci0")]


async def test_a_second_adapter_takes_over_when_the_first_is_gone_and_not_before() -> None:
    async with rig(adapters=("hci1",)) as r:
        r.bluez.add_adapter("hci0")
        r.bluez.power(False, "hci0")
        r.bluez.power(True, "hci0")
        await asyncio.sleep(0.05)
        assert r.radio.status == RadioStatus(True, "hci1")
        r.bluez.remove_adapter("hci1")
        await until(lambda: r.radio.status == RadioStatus(True, "hci0"))
        await r.seen()
        await r.works()


async def test_a_bluetoothd_that_was_killed_is_noticed_and_used_again() -> None:
    """It says no goodbye: no device is reported disconnected, no object removed."""
    async with rig() as r:
        await r.connected()
        r.bluez.hang("WriteValue")
        writing = asyncio.create_task(r.link.write(Channel.USDIO, b"\x01"))
        await until(lambda: r.bluez.calls["WriteValue"])
        began = patience.now()
        await r.bluez.kill()
        with pytest.raises(LinkError):
            await writing
        await until(lambda: r.losses and not r.radio.status.available)
        assert patience.now() - began < 4.0
        assert r.radio.status.reason == "bluetoothd has died; it is started again in a moment"
        with pytest.raises(AdapterUnavailable):
            await r.link.connect(1.0)
        await r.bluez.start()
        r.bluez.add_adapter()
        await until(lambda: r.radio.status.available)
        r.sightings.clear()
        await r.seen()
        await r.works()
        assert [status.available for status in r.statuses] == [True, False, True]


async def test_a_bluetoothd_that_is_back_before_we_look_is_noticed_too() -> None:
    async with rig() as r:
        await r.connected()
        bus = r.bluez._bus
        await r.bluez.kill()
        r.bluez.add_adapter()
        await r.bluez.start()
        assert bus is not r.bluez._bus
        await until(lambda: r.losses == 1)
        r.sightings.clear()
        await r.seen()
        await r.works()


async def test_waits_for_bluetoothd() -> None:
    async with rig(start=False) as r:
        assert not r.radio.status.available
        assert r.radio.status.reason == "bluetoothd is not running: `systemctl start bluetooth`"
        await r.bluez.start()
        await r.seen()
        await r.works()


async def test_a_bluetoothd_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nuki_bridge.bluetooth.bluez.CALL_S", 0.1)
    async with rig(start=False) as r:
        r.bluez.hang("GetManagedObjects")
        await r.bluez.start()
        await until(lambda: "does not answer" in (r.radio.status.reason or ""))
        await r.seen()


async def test_a_question_that_got_no_answer_is_asked_again_over_a_new_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be our own connection to the bus that is stuck."""
    monkeypatch.setattr("nuki_bridge.bluetooth.bluez.CALL_S", 0.3)
    async with rig() as r:
        await r.connected()
        await r.scanning()  # else it may be bleak, about to scan, that gets no answer
        before = r.radio.bluez._bus
        r.bluez.hang("GetManagedObjects")
        r.bluez.power(False)
        await until(lambda: any("does not answer" in (each.reason or "") for each in r.statuses))
        r.bluez.power(True)
        await until(lambda: r.radio.status.available)
        assert r.radio.bluez._bus is not before
        await r.works()


async def test_the_system_bus_may_die_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = PrivateBus(tmp_path)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    with contextlib.ExitStack() as stack:
        stack.callback(bus.stop)
        bus.start()
        async with rig() as r:
            await r.connected()
            await r.scanning()
            bus.stop()
            await until(lambda: r.losses and not r.radio.status.available)
            assert (r.radio.status.reason or "").startswith("the system D-Bus cannot be reached")
            assert not r.link.connected
            await r.bluez.kill()
            bus.start()
            r.bluez.add_adapter()
            await r.bluez.start()
            await until(lambda: r.radio.status.available)
            r.sightings.clear()
            await r.seen()
            await r.works()
            assert r.losses == 1


async def test_no_byte_of_a_message_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = bytes.fromhex("c0ffeec0ffee")
    async with rig() as r:
        await r.connected()
        await r.link.write(Channel.USDIO, secret)
        r.bluez.indicate(ADDRESS, codes.KEYTURNER_USDIO, secret)
        await until(lambda: r.data)
    assert "6 bytes to usdio" in caplog.text
    for form in (secret.hex(), repr(secret)[2:-1], str(list(secret))[1:-1]):
        assert form not in caplog.text
