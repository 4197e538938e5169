"""Beacons and pairing mode against constructed examples of the document."""

from __future__ import annotations

import pytest

from nuki_bridge.protocol.advertisement import Sighting, beacon_data, beacon_name, parse_advertisement
from nuki_bridge.protocol.codes import Family
from tests.unit.vectors import VECTORS, unhex

BEACONS = [v for v in VECTORS["derived"] if v["name"].startswith("iBeacon")]
PAIRING = "a92ee100-5501-11e4-916c-0800200c9a66"
PAIRING_ULTRA = "a92ee300-5501-11e4-916c-0800200c9a66"


@pytest.mark.parametrize("changed", [False, True])
def test_beacon(changed: bool) -> None:
    data = unhex(BEACONS[changed]["manufacturer_data"])
    seen = parse_advertisement("54:d2:72:2b:3c:4d", None, -60, {0x004C: data}, {})
    assert seen == Sighting("54:D2:72:2B:3C:4D", None, -60, 0x1A2B3C4D, False, changed)
    assert beacon_data(0x1A2B3C4D, state_changed=changed) == data
    assert beacon_name(0x1A2B3C4D) == "Nuki_1A2B3C4D"


@pytest.mark.parametrize(("last", "changed"), [(0xC4, False), (0xC5, True), (0xC8, False), (0xC9, True)])
def test_only_bit_0_of_the_last_byte_counts(last: int, changed: bool) -> None:
    data = unhex(BEACONS[0]["manufacturer_data"])[:-1] + bytes([last])
    seen = parse_advertisement("AA:BB:CC:DD:EE:FF", None, None, {0x004C: data}, {})
    assert seen is not None
    assert seen.state_changed is changed


@pytest.mark.parametrize(
    "data", [b"", b"\x06\x31\x00", b"\x02\x15" + bytes(21), unhex(BEACONS[0]["manufacturer_data"])[:-1]]
)
def test_other_apple_advertisements_are_not_ours(data: bytes) -> None:
    assert parse_advertisement("AA:BB:CC:DD:EE:FF", "Nuki?", None, {0x004C: data}, {}) is None


@pytest.mark.parametrize(("uuid", "family"), [(PAIRING, Family.CLASSIC), (PAIRING_ULTRA, Family.ULTRA)])
def test_pairing_mode_is_told_by_service_data(uuid: str, family: Family) -> None:
    seen = parse_advertisement("AA:BB:CC:DD:EE:FF", None, None, {}, {uuid: bytes.fromhex("1A2B3C4D")})
    assert seen is not None
    assert (seen.pairing, seen.nuki_id, seen.state_changed) == (family, 0x1A2B3C4D, None)
