"""pyNukiBT in a process of its own: what to do comes as JSON lines on stdin, what came of it goes to stdout.

    .venv-pynukibt/bin/python -I pynukibt_client.py ADDRESS

Knows nothing of this project.  A request is `{"do": NAME, ...}` with the name of a function below that is in `DO`; the
answer is `{"ok": RESULT}`, or `{"error": NAME}` when the lock refused.  pyNukiBT's log goes to stderr.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import sys
from typing import Any

from bleak import BleakScanner
from nacl.public import PrivateKey
from pyNukiBT import NukiConst, NukiDevice, NukiErrorException

NAME = "independent"
APP_ID = 0x0A0B0C0D


async def hear(device: NukiDevice) -> Any:
    """Scan until one beacon of the lock has come; pyNukiBT says what it makes of it."""
    heard = asyncio.Event()

    def on_advertisement(found: Any, data: Any) -> None:
        if found.address == device._address:
            device.rssi = None
            device.parse_advertisement_data(found, data)
            if device.rssi is not None:
                heard.set()

    async with BleakScanner(on_advertisement), asyncio.timeout(30):
        await heard.wait()
    return {"poll_needed": device.poll_needed(), "rssi": device.rssi}


async def pair(device: NukiDevice, pin: int | None = None) -> Any:
    """Pair; `pin` is for the Ultra family."""
    # pair() itself asks which family it is before it has connected.
    await device.connect()
    paired = await device.pair(pin)
    return {"auth_id": paired["auth_id"]}


async def states(device: NukiDevice) -> Any:
    """Keyturner States, and what pyNukiBT makes of their battery byte; reads the config, too, when that is new."""
    await device.update_state()
    battery = {"percent": device.battery_percentage, "critical": device.is_battery_critical}
    return {**device.keyturner_state, "battery": battery}


async def config(device: NukiDevice) -> Any:
    """Config, read anew."""
    await device.update_config()
    return device.get_config()


async def battery(device: NukiDevice) -> Any:
    """The Battery Report: pyNukiBT has its layout, but no function that asks for it."""
    const = device._const
    async with device._operation_lock:
        return await device._send_encrypted_command(
            const.NukiCommand.REQUEST_DATA,
            {"command": const.NukiCommand.BATTERY_REPORT},
            expected_response=const.NukiCommand.BATTERY_REPORT,
        )


async def act(device: NukiDevice, action: str, wait: bool = True) -> Any:
    """A lock action by pyNukiBT's name for it, until Status COMPLETED, or the first Status if it shall not `wait`.

    Gives that status and the state reported.  pyNukiBT loses a COMPLETED that follows at once.
    """
    done = await device.lock_action(getattr(device._const.LockAction, action), wait_for_completed=wait)
    return {"status": done.status, "lock_state": device.last_state["lock_state"]}


async def verify_pin(device: NukiDevice, pin: int) -> Any:
    """Whether the lock takes `pin` for its security PIN."""
    return await device.verify_security_pin(pin)


async def log(device: NukiDevice, pin: int, count: int) -> Any:
    """The newest entries of the log, the newest first."""
    return await device.request_log_entries(pin, count=count)


async def leave(device: NukiDevice) -> Any:
    """End the link."""
    await device.disconnect()


DO = {function.__name__: function for function in (hear, pair, states, config, battery, act, verify_pin, log, leave)}


def plain(value: Any) -> Any:
    """`value` as JSON can hold it; bytes become hex digits."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if not key.startswith("_")}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, datetime.datetime) else value


async def main() -> None:
    """Serve requests until stdin ends."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    secret = PrivateKey.generate()
    device = NukiDevice(
        address=sys.argv[1],
        auth_id=None,
        nuki_public_key=None,
        bridge_public_key=bytes(secret.public_key),
        bridge_private_key=bytes(secret),
        app_id=APP_ID,
        name=NAME,
        client_type=NukiConst.NukiClientType.BRIDGE,
    )
    while line := await asyncio.to_thread(sys.stdin.readline):
        request = json.loads(line)
        try:
            answer = {"ok": plain(await DO[request.pop("do")](device, **request))}
        except NukiErrorException as error:
            answer = {"error": str(error.error_code)}
        print(json.dumps(answer), flush=True)
    await device.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
