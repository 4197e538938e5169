"""What hass_nuki_bt keeps in Home Assistant, and pyNukiBT's values as somebody has written them down.

Read from ronengr/hass_nuki_bt at commit b8870c3: custom_components/hass_nuki_bt/config_flow.py and const.py say what
an entry holds, __init__.py how it is read; Home Assistant keeps all entries in .storage/core.config_entries.  And from
ronengr/pyNukiBT at commit a33865d: the arguments of `NukiDevice` in pyNukiBT/nuki.py.  Keys and authorization ID are
hex digits, the latter in the order of its bytes on the wire.  A PIN is text; until commit 9c58b6f it was a number,
without its leading zeros and 0 for none.  Which kind of device it is neither keeps: pyNukiBT finds out when it
connects, and so does this program.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nuki_bridge.errors import RequestError
from nuki_bridge.migration.export import Export, Fields, FoundPairing, NotTaken, pin_of
from nuki_bridge.protocol.codes import Family, IdType

DOMAIN = "hass_nuki_bt"
LIBRARY = "pyNukiBT"

_DEVICE_KEY = ("nuki_public_key", "device_public_key")
_PUBLIC = ("bridge_public_key", "public_key")
_SECRET = ("bridge_private_key", "private_key")
_ADDRESS = ("address", "device_address")
_PIN = ("pin", "security_pin")


def is_home_assistant(data: object) -> bool:
    """Return whether this is Home Assistant's list of its integrations' entries."""
    return isinstance(data, Mapping) and isinstance(data.get("data"), Mapping) and "entries" in data["data"]


def read_home_assistant(data: Mapping[str, Any]) -> Export:
    """Return the devices of hass_nuki_bt in there; raises `RequestError` if there is none, or a field is wrong."""
    below = Fields(data).below("data")
    entries = below.list_of("entries")
    found, others, ignored = [], 0, []
    for index, entry in enumerate(entries):
        place = f"{below.place}.entries[{index}]"
        fields = Fields(entry, place)
        if fields.text("domain") != DOMAIN:
            others += 1
        elif fields.text("source") == "ignore":  # a discovery that somebody has waved away
            ignored.append(place)
        else:
            found.append(_pairing(fields.below("data"), fields.text("title")))
    if not found:
        raise RequestError("bad_export", f"{below.path('entries')} has no entry of {DOMAIN} with a pairing")
    left_out = [NotTaken(tuple(ignored), "discoveries that were ignored, without a pairing")] if ignored else []
    if others:
        left_out.append(NotTaken((below.path("entries"),), f"entries of other integrations: {others}"))
    return Export(DOMAIN, tuple(found), tuple(left_out))


def is_values(data: object) -> bool:
    """Return whether these are the values of one device, or of several in a list."""
    each = data[0] if isinstance(data, list) and data else data
    return isinstance(each, Mapping) and "auth_id" in each


def read_values(data: object) -> Export:
    """Return the devices in there; raises `RequestError` if a field is wrong."""
    several = data if isinstance(data, list) else [data]
    places = [f"[{index}]" for index in range(len(several))] if isinstance(data, list) else [""]
    return Export(
        LIBRARY, tuple(_pairing(Fields(each, place), None) for each, place in zip(several, places, strict=True))
    )


def _pairing(fields: Fields, title: str | None) -> FoundPairing:
    pin, note = _pin(fields)
    return FoundPairing(
        address=fields.address(*_ADDRESS),
        authorization_id=fields.authorization_id("auth_id"),
        shared_key=fields.shared_key(_DEVICE_KEY, _PUBLIC, _SECRET),
        app_id=fields.u32("app_id"),
        id_type=_id_type(fields),
        family=Family.ULTRA if pin is not None and len(pin) == 6 else None,  # no other device has so long a PIN
        name=title,
        pin=pin,
        pin_note=note,
    )


def _id_type(fields: Fields) -> IdType:
    """Return the kind of the authorization: hass_nuki_bt takes everything but "App" for a bridge, also nothing."""
    word = (fields.text("client_type") or "bridge").lower()
    if word not in ("app", "bridge"):
        raise RequestError("bad_export", f"{fields.path('client_type')} must be App or Bridge")
    return IdType.APP if word == "app" else IdType.BRIDGE


def _pin(fields: Fields) -> tuple[str | None, str | None]:
    number = fields.counted(*_PIN)
    if number is not None and 0 <= number < 10_000:  # as hass_nuki_bt kept it before it knew the Ultra's
        return pin_of(number, Family.CLASSIC)
    digits = fields.text(*_PIN)
    if digits is None:
        return None, None
    if not re.fullmatch(r"[0-9]{4}|[0-9]{6}", digits):
        return None, "it has neither 4 digits nor 6"
    return digits, None
