"""pynuki in a process of its own.

    .venv-pynuki/bin/python -I pynuki_client.py

A request is `{"do": NAME, "with": [ARGUMENT, ...]}` with the name of a function below that is in `DO`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pynuki import NukiBridge
from pynuki.device import NukiDevice

bridges: list[NukiBridge] = []


def connect(port: int, token: str, secure: bool = True, timeout_s: float = 20.0) -> Any:
    """Log in as Home Assistant does; what the bridge tells of itself."""
    bridges[:] = [NukiBridge("127.0.0.1", token, port, secure, timeout_s)]
    return bridges[0].info()


def devices() -> Any:
    """All, as pynuki sees them."""
    return [shown(each) for each in bridges[0].devices]


def shown(device: NukiDevice) -> dict[str, Any]:
    """One of them."""
    told = {
        "kind": type(device).__name__,
        "name": device.name,
        "nuki_id": device.nuki_id,
        "firmware": device.firmware_version,
        "model": device.device_model_str,
        "state": device.state_name,
        "battery_critical": device.battery_critical,
    }
    if hasattr(device, "is_locked"):
        told["is_locked"] = device.is_locked
        told["door"] = device.door_sensor_state_name if device.is_door_sensor_activated else None
        told["battery"] = device.battery_charge
    if hasattr(device, "ring_action_state"):
        told["ringing"] = device.ring_action_state
        told["rto"] = device.is_rto_activated
    return told


def device_of(nuki_id: int) -> NukiDevice:
    return next(each for each in bridges[0].devices if each.nuki_id == nuki_id)


def act(nuki_id: int, method: str, **options: Any) -> Any:
    """Call a method of the device, such as `unlock`."""
    return getattr(device_of(nuki_id), method)(**options)


def update(nuki_id: int, aggressive: bool) -> Any:
    """Ask again, `aggressive`: the lock itself."""
    device = device_of(nuki_id)
    device.update(aggressive)
    return shown(device)


def bridge(method: str, *arguments: Any) -> Any:
    """Call a method of the bridge, such as `callback_add`."""
    return getattr(bridges[0], method)(*arguments)


DO = {each.__name__: each for each in (connect, devices, act, update, bridge)}


def main() -> None:
    """Answer until stdin ends."""
    for line in sys.stdin:
        request = json.loads(line)
        arguments = request["with"]
        options = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
        try:
            answer: dict[str, Any] = {"ok": DO[request["do"]](*arguments, **options)}
        except Exception as error:
            response = getattr(error, "response", None)
            answer = {"error": type(error).__name__, "status": getattr(response, "status_code", None)}
        print(json.dumps(answer), flush=True)


main()
