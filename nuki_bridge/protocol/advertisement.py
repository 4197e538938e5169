"""What a Nuki lock advertises: the beacon of normal operation and the service data of pairing mode (smartlock.md 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from uuid import UUID

from nuki_bridge.protocol.codes import (
    INITIALIZATION_SERVICE,
    KEYTURNER_SERVICE,
    OPENER_PAIRING_SERVICE,
    OPENER_SERVICE,
    PAIRING_SERVICE,
    PAIRING_SERVICE_ULTRA,
    Family,
)
from nuki_bridge.records import frozen

APPLE = 0x004C
"""Company identifier under which the beacon travels."""
BEACON_SIZE = 23
"""Manufacturer data of an iBeacon after the company identifier."""

_BEACON_HEAD = b"\x02\x15"
_LOCK_BEACON, _OPENER_BEACON = UUID(KEYTURNER_SERVICE).bytes, UUID(OPENER_SERVICE).bytes
_BEACON_SERVICES = {_LOCK_BEACON: False, _OPENER_BEACON: True}
_PAIRING_SERVICES = {
    PAIRING_SERVICE: Family.CLASSIC,
    PAIRING_SERVICE_ULTRA: Family.ULTRA,
    OPENER_PAIRING_SERVICE: Family.OPENER,
}


@frozen
class Sighting:
    """One advertisement of one Nuki device.

    `state_changed` is bit 0 of the beacon's last byte: the state changed and nobody has read it yet; None when this
    advertisement carried no beacon.  `pairing` is the family whose pairing mode is advertised, None outside of it.
    The last three are what it was read from.
    """

    address: str
    name: str | None = None
    rssi: int | None = None
    nuki_id: int | None = None
    opener: bool | None = None
    state_changed: bool | None = None
    pairing: Family | None = None
    uninitialized: bool = False
    manufacturer_data: Mapping[int, bytes] = field(default_factory=dict, compare=False, repr=False)
    service_data: Mapping[str, bytes] = field(default_factory=dict, compare=False, repr=False)
    service_uuids: tuple[str, ...] = field(default=(), compare=False, repr=False)


def parse_advertisement(
    address: str,
    name: str | None,
    rssi: int | None,
    manufacturer_data: Mapping[int, bytes],
    service_data: Mapping[str, bytes],
    service_uuids: tuple[str, ...] = (),
) -> Sighting | None:
    """Read one advertisement; None if it is not a Nuki device's.

    Apple's company identifier also carries HomeKit advertisements (of the lock itself, too): only a whole iBeacon with
    Nuki's proximity UUID counts.  UUID keys are lower case as BlueZ gives them.
    """
    nuki_id: int | None = None
    opener: bool | None = None
    state_changed: bool | None = None
    beacon = manufacturer_data.get(APPLE, b"")
    if len(beacon) >= BEACON_SIZE and beacon[:2] == _BEACON_HEAD and beacon[2:18] in _BEACON_SERVICES:
        opener = _BEACON_SERVICES[beacon[2:18]]
        nuki_id = int.from_bytes(beacon[18:22], "big")
        state_changed = bool(beacon[22] & 1)
    pairing: Family | None = None
    for uuid, family in _PAIRING_SERVICES.items():
        data = service_data.get(uuid)
        if data is None:
            continue
        pairing = family
        opener = family is Family.OPENER
        if len(data) >= 4:
            nuki_id = int.from_bytes(data[:4], "big")
    uninitialized = INITIALIZATION_SERVICE in service_uuids
    if nuki_id is None and pairing is None and not uninitialized:
        return None
    return Sighting(
        address.upper(),
        name,
        rssi,
        nuki_id,
        opener,
        state_changed,
        pairing,
        uninitialized,
        manufacturer_data,
        service_data,
        service_uuids,
    )


def beacon_data(nuki_id: int, *, state_changed: bool, opener: bool = False) -> bytes:
    """Return the manufacturer data (23 bytes) of the beacon, as a lock or an Opener sends it."""
    service, power = (_OPENER_BEACON, 0xC4) if opener else (_LOCK_BEACON, 0xC8)
    return _BEACON_HEAD + service + nuki_id.to_bytes(4, "big") + bytes([power | state_changed])


def beacon_name(nuki_id: int, *, opener: bool = False) -> str:
    """Return the local name that a device advertises: `Nuki_`, or `Nuki_Opener_`, and its ID in eight hex digits."""
    return f"Nuki_Opener_{nuki_id:08X}" if opener else f"Nuki_{nuki_id:08X}"
