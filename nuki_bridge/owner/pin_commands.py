"""What MQTT has of a lock's security PIN: trying one, giving the lock another; how that goes is told in `pin.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nuki_bridge.arguments import Arguments, Declaration, security_pin
from nuki_bridge.owner.call import Answer, Call, Handler


async def _verify(call: Call) -> Answer:
    """Ask the lock whether a PIN is right, by default the one we have; a right one is used and kept from then on."""
    pin = call.owned.pin.to_verify(call.arguments.get("pin"))
    async with call.exclusive():
        return {"data": await call.owned.pin.verify(pin, call.timeout_s)}


async def _set(call: Call) -> Answer:
    """Give the lock another PIN."""
    pin = call.arguments["pin"]
    call.lock.pin.check_given(pin)
    async with call.exclusive():
        return {"data": await call.owned.pin.change(pin, call.left_s)}


REQUESTS: Final[Mapping[str, Declaration[Handler]]] = {
    "pin/verify": Declaration(Arguments({"pin": security_pin.meant("default: the one that is known")}), _verify),
    "pin/set": Declaration(Arguments(required={"pin": security_pin.meant("the new one")}), _set),
}
"""What can be asked of the security PIN."""
