"""RaspiNukiBridge's configuration, nuki.yaml, with its pairings.

Read from regevbr/RaspiNukiBridge at commit c365252: nuki_bridge/config.py writes the file, nuki_bridge/__main__.py
reads it; and from dauden1184/RaspiNukiBridge at commit 03cdd89, whose README.md has people write the pairing into the
same file.  Keys and authorization ID are hex digits, the latter in the order of its bytes on the wire.  It pairs as a
bridge only, with a Smart Lock or an Opener; which it was is found out when it connects, and so does this program.  It
has no PIN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nuki_bridge.errors import RequestError
from nuki_bridge.migration.export import Export, Fields, FoundPairing, NotTaken
from nuki_bridge.protocol.codes import IdType

PROGRAM = "RaspiNukiBridge"

_LEFT_OUT = (
    ("host port token", "its HTTP interface: this program has MQTT; delete Home Assistant's Nuki integration"),
    ("adapter", "the adapter: give it as bluetooth.adapter in config.yaml, if it matters"),
    ("name", "its name, which the app goes on showing for this user of the lock"),
)


def is_configuration(data: object) -> bool:
    """Return whether this looks like its configuration, with or without a pairing."""
    if not isinstance(data, Mapping):
        return False
    server = data.get("server")
    return "smartlock" in data or (isinstance(server, Mapping) and "app_id" in server)


def read(data: Mapping[str, Any]) -> Export:
    """Return what is in a configuration; raises `RequestError` for one without a pairing, or if a field is wrong."""
    fields = Fields(data)
    server = fields.below("server")
    if "smartlock" not in data:
        raise RequestError("bad_export", "smartlock is missing: RaspiNukiBridge has written no pairing into this file")
    locks = [Fields(each, f"smartlock[{index}]") for index, each in enumerate(fields.list_of("smartlock"))]
    if not locks:
        raise RequestError("bad_export", "smartlock is empty: RaspiNukiBridge has not been paired")
    app_id = server.u32("app_id")
    left_out = []
    for names, why in _LEFT_OUT:
        there = tuple(server.path(each) for each in names.split() if server.text(each) is not None)
        if there:
            left_out.append(NotTaken(there, why))
    times = [
        lock.path(each)
        for lock in locks
        for each in ("connection_timeout", "command_timeout", "retry")
        if lock.text(each) is not None
    ]
    if times:
        left_out.append(NotTaken(tuple(times), "how long and how often it tries: this program has its own rules"))
    return Export(PROGRAM, tuple(_pairing(each, app_id) for each in locks), tuple(left_out))


def _pairing(fields: Fields, app_id: int) -> FoundPairing:
    return FoundPairing(
        address=fields.address("address"),
        authorization_id=fields.authorization_id("auth_id"),
        shared_key=fields.shared_key(("nuki_public_key",), ("bridge_public_key",), ("bridge_private_key",)),
        app_id=app_id,
        id_type=IdType.BRIDGE,
    )
