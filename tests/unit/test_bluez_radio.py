"""What the radio over BlueZ decides by itself, without a bus: adapter, way of scanning, sightings, errors in words."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from bleak.backends.bluezdbus import client as bleak_client
from bleak.backends.bluezdbus import manager as bleak_manager
from bleak.exc import BleakDBusError, BleakDeviceNotFoundError, BleakError
from dbus_fast.constants import MessageFlag
from dbus_fast.message import Message

from nuki_bridge.bluetooth import bluez as bluez_module
from nuki_bridge.bluetooth.bluez import ADAPTER, DEVICE, MONITORS, Bluez
from nuki_bridge.bluetooth.gatt import _explain, _StaleServices
from nuki_bridge.bluetooth.radio import BluezRadio
from nuki_bridge.bluetooth.scan import _OR_PATTERNS, LOOK_AGAIN_S, QUIET_S, Scanner
from nuki_bridge.errors import AdapterUnavailable, Disconnected, LinkError, NotFound
from nuki_bridge.protocol import codes
from nuki_bridge.protocol.advertisement import APPLE, Sighting, beacon_data
from nuki_bridge.protocol.codes import Family

ADDRESS = "54:D2:72:AA:BB:CC"


def objects(**adapters: bool) -> dict[str, dict[str, dict[str, Any]]]:
    """Managed objects with these adapters, powered or not."""
    return {f"/org/bluez/{name}": {ADAPTER: {"Powered": powered}} for name, powered in adapters.items()}


# -- the adapter ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "adapters", "available", "adapter", "reason"),
    [
        (None, {}, False, None, "no Bluetooth adapter found"),
        (None, {"hci0": False, "hci1": True}, True, "hci1", None),
        (None, {"hci10": True, "hci9": True}, True, "hci9", None),
        (None, {"hci0": False}, False, "hci0", "adapter hci0 is powered off: `bluetoothctl power on`"),
        ("hci1", {"hci0": True, "hci1": True}, True, "hci1", None),
        ("hci1", {"hci0": True, "hci1": False}, False, "hci1", "adapter hci1 is powered off: `bluetoothctl power on`"),
        ("hci1", {"hci0": True}, False, "hci1", "Bluetooth adapter hci1 not found; present: hci0"),
        ("hci1", {}, False, "hci1", "Bluetooth adapter hci1 not found"),
    ],
)
def test_the_first_powered_adapter_or_the_configured_one_is_used(
    wanted: str | None,
    adapters: dict[str, bool],
    available: bool,
    adapter: str | None,
    reason: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bluez_module, "_blocked", lambda adapter: None)
    bluez = Bluez(wanted, lambda: None)
    bluez._choose(objects(**adapters))
    assert (bluez.status.available, bluez.status.adapter, bluez.status.reason) == (available, adapter, reason)


def test_a_blocked_adapter_is_told_from_one_that_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bluez_module, "_blocked", lambda adapter: f"adapter {adapter} is blocked")
    bluez = Bluez(None, lambda: None)
    bluez._choose(objects(hci0=False))
    assert bluez.status.reason == "adapter hci0 is blocked"


def test_monitors_count_only_if_they_can_match_patterns() -> None:
    bluez = Bluez(None, lambda: None)
    offered = objects(hci0=True)
    for types, passive in (([], False), (["or_patterns"], True)):
        offered["/org/bluez/hci0"][MONITORS] = {"SupportedMonitorTypes": types}
        bluez._choose(offered)
        assert bluez.passive is passive


# -- patterns of the passive scan -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (0xFF, APPLE.to_bytes(2, "little") + beacon_data(0x12345678, state_changed=True)),
        (0xFF, APPLE.to_bytes(2, "little") + beacon_data(0x12345678, state_changed=False, opener=True)),
        *((0x21, UUID(uuid).bytes[::-1] + b"\x12\x34\x56\x78") for uuid in (
            codes.PAIRING_SERVICE, codes.PAIRING_SERVICE_ULTRA, codes.OPENER_PAIRING_SERVICE)),
        (0x07, UUID(codes.INITIALIZATION_SERVICE).bytes[::-1]),
    ],
)  # fmt: skip
def test_every_advertisement_of_a_lock_matches_a_pattern(kind: int, data: bytes) -> None:
    assert any(kind == type_ and data[offset:].startswith(content) for offset, type_, content in _OR_PATTERNS)


def test_other_advertisements_match_none_and_no_pattern_is_too_long() -> None:
    homekit = APPLE.to_bytes(2, "little") + b"\x06\x31\x00"
    stranger = APPLE.to_bytes(2, "little") + b"\x02\x15" + bytes(21)
    for data in (homekit, stranger):
        assert not any(type_ == 0xFF and data.startswith(content) for _, type_, content in _OR_PATTERNS)
    assert all(offset + len(content) <= 31 for offset, _, content in _OR_PATTERNS)


# -- reports ----------------------------------------------------------------------------------------------------------


class Reports:
    """Feeds a scanner with what bleak makes of BlueZ's properties of one device."""

    def __init__(self, *, remembered: bool = False) -> None:
        self.bluez = bluez = Bluez(None, lambda: None)
        if remembered:
            bluez.with_service_data = frozenset({ADDRESS})
        self.sightings: list[Sighting] = []
        self.scanner = Scanner(bluez, lambda: None, (), self.sightings.append)
        self.properties: dict[str, Any] = {}

    def report(self, **changed: Any) -> Sighting | None:
        """One report of BlueZ; the sighting it makes, if any."""
        self.properties.update(changed)
        advertisement = SimpleNamespace(
            local_name=None,
            manufacturer_data=self.properties.get("ManufacturerData", {}),
            service_data=self.properties.get("ServiceData", {}),
            service_uuids=[],
            platform_data=("", dict(self.properties)),
        )
        count = len(self.sightings)
        self.scanner._on_detection(SimpleNamespace(address=ADDRESS), advertisement)  # type: ignore[arg-type]
        return self.sightings[-1] if len(self.sightings) > count else None


def beacon(*, changed: bool = False) -> dict[int, bytes]:
    return {APPLE: beacon_data(0x12345678, state_changed=changed)}


def pairing() -> dict[str, bytes]:
    return {codes.PAIRING_SERVICE: b"\x12\x34\x56\x78"}


async def test_only_what_was_received_now_is_a_sighting() -> None:
    reports = Reports()
    assert reports.report(ManufacturerData=beacon(), RSSI=-60) is not None
    assert reports.report(Connected=True) is None
    reports.properties.pop("RSSI")
    assert reports.report(ServicesResolved=True) is None
    assert reports.report(Connected=False) is None
    louder = reports.report(RSSI=-50)
    assert louder is not None
    assert (louder.rssi, louder.state_changed) == (-50, False)
    flipped = reports.report(ManufacturerData=beacon(changed=True))
    assert flipped is not None
    assert flipped.state_changed
    assert reports.scanner.rssi(ADDRESS) == -50


async def test_pairing_mode_counts_once_for_each_time_it_is_received() -> None:
    reports = Reports()
    first = reports.report(ServiceData=pairing(), RSSI=-60)
    assert first is not None
    assert first.pairing is Family.CLASSIC
    assert reports.report(RSSI=-50) is None  # the scan response, perhaps
    later = reports.report(ManufacturerData=beacon())
    assert later is not None
    assert later.pairing is None
    again = reports.report(ServiceData=pairing())
    assert again is not None
    assert again.pairing is Family.CLASSIC


async def test_service_data_from_before_the_start_is_not_taken_for_pairing_mode() -> None:
    reports = Reports(remembered=True)
    first = reports.report(ServiceData=pairing(), ManufacturerData=beacon(), RSSI=-60)
    assert first is not None
    assert first.pairing is None
    again = reports.report(ServiceData=pairing())
    assert again is not None
    assert again.pairing is Family.CLASSIC


async def test_strangers_are_ignored_and_not_remembered() -> None:
    reports = Reports()
    assert reports.report(ManufacturerData={APPLE: b"\x06\x31\x00"}, RSSI=-60) is None
    assert reports.scanner.rssi(ADDRESS) is None
    assert not reports.scanner._heard


async def test_waiting_for_a_report_ends_with_it_or_with_the_loss_of_the_adapter() -> None:
    reports = Reports()
    with reports.scanner.expecting(ADDRESS) as event:
        wakes: tuple[Callable[[], object], ...] = (lambda: reports.report(RSSI=-60), reports.scanner.forget)
        for wake in wakes:
            event.clear()
            wake()
            assert event.is_set()
    with reports.scanner.expecting("54:D2:72:00:00:00") as event:
        reports.report(RSSI=-50)
        assert not event.is_set()


# -- the way of scanning ----------------------------------------------------------------------------------------------


async def test_no_adapter_no_scan() -> None:
    bluez = Bluez(None, lambda: None)
    scanner = Scanner(bluez, lambda: None, (), lambda _: None)
    assert scanner._wanted() is None
    assert await scanner.adjust() is None


async def test_the_scan_is_limited_to_what_the_known_addresses_have_in_common() -> None:
    bluez = Bluez(None, lambda: None)
    bluez._choose(objects(hci0=True))
    scanner = Scanner(bluez, lambda: None, (), lambda _: None)
    patterns = []
    for address in (None, ADDRESS, "54:D2:72:11:22:33", "F0:00:00:00:00:01"):
        if address is not None:
            scanner.add(address)
        wanted = scanner._wanted()
        assert wanted is not None
        patterns.append(wanted.pattern)
    assert patterns == ["", ADDRESS, "54:D2:72:", ""]


async def test_looking_around_lasts_as_long_as_somebody_does() -> None:
    bluez = Bluez(None, lambda: None)
    bluez._choose(objects(hci0=True))
    bluez.passive = True
    wakes: list[None] = []
    scanner = Scanner(bluez, lambda: wakes.append(None), (), lambda _: None)
    with scanner.look_around():
        with scanner.look_around():
            pass
        during = scanner._wanted()
        assert during is not None
        assert (during.passive, during.pattern, during.restart_s) == (False, "", LOOK_AGAIN_S)
    after = scanner._wanted()
    assert after is not None
    assert (after.passive, after.restart_s) == (True, QUIET_S)
    assert len(wakes) == 4


# -- errors in words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BleakDeviceNotFoundError(ADDRESS, "Device was not found."), NotFound),
        (BleakError("device 'dev_54' not found"), NotFound),
        (BleakDBusError("org.bluez.Error.NotReady", ["Resource Not Ready"]), AdapterUnavailable),
        (BleakDBusError("org.freedesktop.DBus.Error.NoReply", ["no reply"]), AdapterUnavailable),
        (BleakDBusError("org.bluez.Error.NotConnected", ["Not Connected"]), Disconnected),
        (BleakError("failed to discover services, device disconnected"), Disconnected),
        (BleakError("Not connected"), Disconnected),
        (EOFError(), Disconnected),
        (BrokenPipeError(), Disconnected),
        (AssertionError(), Disconnected),
        (KeyError("/org/bluez/hci0/dev/service0010/char0011"), _StaleServices),
        (BleakDBusError("org.bluez.Error.Failed", ["Operation failed with ATT error: 0x0a"]), _StaleServices),
        (BleakDBusError("org.bluez.Error.InProgress", ["In Progress"]), LinkError),
        (BleakDBusError("org.bluez.Error.Failed", ["Operation failed with ATT error: 0x0e (Unlikely)"]), LinkError),
    ],
)
def test_errors_of_the_libraries_become_our_own(error: Exception, kind: type[LinkError]) -> None:
    found, text = _explain(error)
    assert found is kind
    assert text


def test_a_device_in_bluez_is_addressed_by_its_path() -> None:
    bluez = Bluez("hci1", lambda: None)
    assert bluez.device_path(ADDRESS.lower()) == "/org/bluez/hci1/dev_54_D2_72_AA_BB_CC"


def test_remembered_service_data_is_noted() -> None:
    bluez = Bluez(None, lambda: None)
    known = objects(hci0=True)
    known["/org/bluez/hci0/dev_1"] = {DEVICE: {"Address": ADDRESS, "ServiceData": {"x": b""}}}
    known["/org/bluez/hci0/dev_2"] = {DEVICE: {"Address": "54:D2:72:00:00:00"}}
    bluez._choose(known)
    assert bluez.with_service_data == {ADDRESS}


def test_what_bleak_asks_of_bluez_does_not_start_a_bluetoothd_that_was_stopped() -> None:
    BluezRadio()
    for module in (bleak_client, bleak_manager):
        assert vars(module)["MessageBus"] is bluez_module.QuietBus
    asked = bluez_module._quiet(Message(destination="org.bluez", path="/", interface=DEVICE, member="Connect"))
    assert asked.flags is MessageFlag.NO_AUTOSTART
    other = bluez_module._quiet(Message(destination="org.freedesktop.DBus", path="/", member="AddMatch"))
    assert other.flags is MessageFlag.NONE
