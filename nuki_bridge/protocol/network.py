"""What a lock tells of its own networks in the last bytes of its states (smartlock.md 11, Keyturner States)."""

from __future__ import annotations

from typing import Any, Final

from nuki_bridge.records import frozen

LINK_STATES: Final = ("disabled", "disconnected", "connecting", "connected")
"""Words for how the lock stands to a network or a broker, by their number."""
SERVER_STATES: Final = ("suspended", "unreachable", "connecting", "connected")
"""Words for how it stands to the maker's server over that network, likewise."""


@frozen
class Network:
    """The six bytes; None is one that the lock's firmware does not send.

    RSSIs are in dBm; 0 says that there is none, 1 that the lock does not tell it.
    """

    remote_access: int | None
    ble_rssi: int | None
    wifi_rssi: int | None
    wifi: int | None
    mqtt: int | None
    thread: int | None

    def to_json(self) -> dict[str, Any]:
        """Return what the bits mean, in words; null where the lock does not tell."""
        return {
            "remote_access": _remote_access(self.remote_access),
            "bridge_rssi": _rssi(self.ble_rssi),
            "wifi": _wifi(self.wifi, self.wifi_rssi),
            "mqtt": _mqtt(self.mqtt),
            "thread": _thread(self.thread),
        }


def _rssi(dbm: int | None) -> int | None:
    return dbm if dbm is not None and dbm < 0 else None


def _remote_access(bits: int | None) -> dict[str, Any] | None:
    if bits is None:
        return None
    return {
        "connected": bool(bits & 0x08),
        "available": bool(bits & 0x01),
        "via": "wifi" if bits & 0x04 else "thread" if bits & 0x10 else None,
        "bridge_paired": bool(bits & 0x02),
        "thread_uplink_enabled": bool(bits & 0x20),
        "nat64_available": bool(bits & 0x40),
    }


def _wifi(bits: int | None, rssi: int | None) -> dict[str, Any] | None:
    if bits is None:
        return None
    return {
        "state": LINK_STATES[bits & 3],
        "server": SERVER_STATES[bits >> 2 & 3],
        "quality": bits >> 4,
        "rssi": _rssi(rssi),
    }


def _mqtt(bits: int | None) -> dict[str, Any] | None:
    if bits is None:
        return None
    return {"state": LINK_STATES[bits & 3], "via": "thread" if bits & 4 else "wifi"}


def _thread(bits: int | None) -> dict[str, Any] | None:
    """The number that says "disabled" is about Matter here."""
    if bits is None:
        return None
    return {
        "state": LINK_STATES[bits & 3],
        "server": SERVER_STATES[bits >> 2 & 3],
        "commissioning": bool(bits & 0x10),
        "wifi_suspended": bool(bits & 0x20),
    }
