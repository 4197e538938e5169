"""Other programs that pair with a lock, and export that as they do: what `import` has to read.

Written from their sources as the modules of `nuki_bridge/migration/` name them, not from those modules.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from nuki_bridge.lock.pairing import PairOptions, pair
from nuki_bridge.protocol.codes import Family, IdType
from nuki_bridge.protocol.crypto import public_key
from nuki_bridge.simulator.behaviour import seeded
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.radio import VirtualRadio
from tests.unit.rig import clock, now

APP_ID = 0x9ABCDEF0


@dataclass(frozen=True)
class OtherProgram:
    """One pairing of another program, with all that it might keep of it."""

    address: str
    family: Family
    auth_id: bytes
    """As it stands on the wire."""
    secret: bytes
    device_public: bytes
    shared_key: bytes
    id_type: IdType
    pin: str

    @property
    def secrets(self) -> list[str]:
        """What nobody may get to see."""
        return [self.secret.hex(), self.shared_key.hex(), self.device_public.hex(), self.pin]


async def paired(
    radio: VirtualRadio, lock: VirtualLock, pin: str, id_type: IdType = IdType.BRIDGE, seed: int = 9
) -> OtherProgram:
    """Pair with a lock whose button is held, over the whole handshake."""
    draw = seeded(seed)
    drawn: list[bytes] = []

    def random(size: int) -> bytes:
        drawn.append(draw(size))
        return drawn[-1]

    lock.hold_button()
    result, _ = await pair(
        radio,
        lock.address,
        lock.device.family,
        PairOptions(id_type, "other", APP_ID, pin),
        random=random,
        timeout_s=20.0,
        clock=clock,
        now=now,
    )
    return OtherProgram(
        lock.address,
        lock.device.family,
        result.authorization_id.to_bytes(4, "little"),
        drawn[0],
        lock.keys.public,
        result.shared_key,
        result.id_type,
        pin,
    )


def nuki_hub(*programs: OtherProgram, **changed: Any) -> str:
    """The export "with redacted settings and pairing data"."""
    fields: dict[str, Any] = {
        "run": "1",
        "confVersion": "915",
        "deviceId": str(APP_ID),
        "deviceIdOp": str(APP_ID),
        "nukiId": "439041101",
        "nukidOp": "",
        "mqttbroker": "192.168.1.2",
        "mqttport": "1883",
        "mqttuser": "hub",
        "mqttpass": "hub-password",
        "lockena": "1",
        "lockpin": "1",
        "mqttpath": "nukihub",
        "openerena": "0",
        "openerpin": "4",
        "hassdiscovery": "homeassistant",
        "geminiPin": "",
        "geminiena": "0",
        "regAsApp": "0",
        "regOpnAsApp": "",
        "wifiPass": "wifi-password",
        "aclLckOpn": "01000000",
    }
    for each in programs:
        kind = "Opener" if each.family is Family.OPENER else "Lock"
        ultra = each.family is Family.ULTRA
        fields |= {
            f"bleAddress{kind}": each.address.replace(":", "").lower(),
            f"secretKeyK{kind}": each.shared_key.hex(),
            f"authorizationId{kind}": each.auth_id.hex(),
            f"securityPinCode{kind}": 0 if ultra else int(each.pin),
        }
        if kind == "Lock":
            fields |= {
                "ultraPinCodeLock": int(each.pin) if ultra else 0,
                "isUltra": "1" if ultra else "0",
                "geminiena": "1" if ultra else "0",
                "geminiPin": each.pin.lstrip("0") if ultra else "",
                "regAsApp": "1" if each.id_type is IdType.APP else "0",
            }
    return json.dumps({**fields, **changed})


def hass_nuki_bt(*programs: OtherProgram, title: str = "Front door") -> str:
    """Home Assistant's .storage/core.config_entries."""
    entries: list[dict[str, Any]] = [
        {"entry_id": "a1", "domain": "mqtt", "title": "MQTT", "source": "user", "data": {"password": "mqtt-password"}},
        {"entry_id": "a2", "domain": "hass_nuki_bt", "title": "Nuki_0", "source": "ignore", "data": {}},
    ]
    for number, each in enumerate(programs):
        data = {
            "device_address": each.address,
            "name": title,
            "pin": each.pin,
            "client_type": "App" if each.id_type is IdType.APP else "Bridge",
            "auth_id": each.auth_id.hex(),
            "device_public_key": each.device_public.hex(),
            "public_key": public_key(each.secret).hex(),
            "private_key": each.secret.hex(),
            "app_id": str(APP_ID),
        }
        entry = {"entry_id": f"b{number}", "domain": "hass_nuki_bt", "title": title, "source": "bluetooth"}
        entries.append({**entry, "data": data})
    return json.dumps({"version": 1, "minor_version": 5, "key": "core.config_entries", "data": {"entries": entries}})


def _values(each: OtherProgram) -> dict[str, Any]:
    return {
        "address": each.address,
        "auth_id": each.auth_id.hex(),
        "nuki_public_key": each.device_public.hex(),
        "bridge_public_key": public_key(each.secret).hex(),
        "bridge_private_key": each.secret.hex(),
    }


def pynukibt(*programs: OtherProgram) -> str:
    """The arguments of `NukiDevice`, as somebody writes them down."""
    values = [
        {**_values(each), "app_id": APP_ID, "client_type": each.id_type.name, "security_pin": each.pin}
        for each in programs
    ]
    return str(yaml.safe_dump(values if len(values) > 1 else values[0]))


def raspi_nuki_bridge(*programs: OtherProgram) -> str:
    """The nuki.yaml, which can hold no PIN."""
    return str(
        yaml.dump(
            {
                "server": {
                    "host": "0.0.0.0",
                    "port": "8080",
                    "adapter": "hci0",
                    "name": "RaspiNukiBridge",
                    "app_id": APP_ID,
                    "token": "ab" * 32,
                },
                "smartlock": [
                    {**_values(each), "connection_timeout": 10, "command_timeout": 30, "retry": 5} for each in programs
                ],
            }
        )
    )


EXPORTS: dict[str, Callable[..., str]] = {
    "nuki_hub": nuki_hub,
    "hass_nuki_bt": hass_nuki_bt,
    "pyNukiBT": pynukibt,
    "RaspiNukiBridge": raspi_nuki_bridge,
}
"""Each program, by the name that `import` gives it."""
