"""What MQTT has of a lock's users: list, add, change and remove them; what that means is told in `users.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nuki_bridge.arguments import Arguments, Declaration, entry_id, flag, text
from nuki_bridge.errors import RequestError
from nuki_bridge.lock.credential import credential
from nuki_bridge.owner import access, lock_config
from nuki_bridge.owner.call import Answer, Call, Handler
from nuki_bridge.owner.entry_selector import EntrySelector
from nuki_bridge.protocol.crypto import KEY_SIZE


async def _list(call: Call) -> Answer:
    users = call.owned.users
    await users.read(call.timeout_s)
    return {"data": users.to_json()}


def _selector(call: Call) -> EntrySelector:
    return EntrySelector(call.arguments, "user", "unknown_user")


async def _update(call: Call) -> Answer:
    changes = {key: call.arguments[key] for key in ("rename", "enabled", "remote", "access") if key in call.arguments}
    selector = _selector(call)
    if not changes:
        raise RequestError("bad_request", "nothing to change; give rename, enabled, remote or access")
    own = call.arguments.get("self", False)
    return {"data": await call.owned.users.update(selector, changes, own=own, timeout_s=call.timeout_s)}


async def _remove(call: Call) -> Answer:
    own = call.arguments.get("self", False)
    return {"data": await call.owned.users.remove(_selector(call), own=own, timeout_s=call.timeout_s)}


async def _add(call: Call) -> Answer:
    """The answer holds the key of the new authorization: it goes to the asker and is kept nowhere."""
    name, remote = call.arguments["name"], call.arguments.get("remote", True)
    key = call.random(KEY_SIZE)
    entry = await call.owned.users.add(
        name, key, remote=remote, wanted=call.arguments.get("access"), timeout_s=call.timeout_s
    )
    told = credential(
        replace(call.lock.paired, name=call.lock.name),
        call.base,
        authorization_id=entry.authorization_id,
        shared_key=key,
        user=entry.name,
        remote=entry.remote_allowed,
    )
    return {"data": told}


_ID: Final = entry_id(0xFFFFFFFF)
REQUESTS: Final[Mapping[str, Declaration[Handler]]] = {
    "users/list": Declaration(Arguments(), _list, reads=True),
    "users/add": Declaration(
        Arguments({"remote": flag, "access": access.check}, required={"name": lock_config.name}), _add
    ),
    "users/update": Declaration(
        Arguments(
            {
                "id": _ID,
                "name": text,
                "rename": lock_config.name,
                "enabled": flag,
                "remote": flag,
                "access": access.check.meant("null: at any time"),
                "self": flag.meant("needed to disable or limit this bridge itself"),
            },
            nullable=frozenset({"access"}),
            which="user",
        ),
        _update,
    ),
    "users/remove": Declaration(
        Arguments(
            {"id": _ID, "name": text, "self": flag.meant("needed to remove this bridge itself")},
            which="user",
        ),
        _remove,
    ),
}
"""What can be asked of the users."""
