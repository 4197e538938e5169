"""An authorization that pairing has made durable and that the lock has not answered over yet.

The ordinary lock object goes on trying with it.  The lock's first states prove it; a lock that says that it does not
know it gets the one before it again, which it may still accept.  What was not known when pairing is kept when the lock
shows it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from nuki_bridge.errors import LockError, StoreError
from nuki_bridge.protocol.codes import ErrorCode

if TYPE_CHECKING:
    from nuki_bridge.bridge.bridge import Bridge
    from nuki_bridge.bridge.members import Member
    from nuki_bridge.store import PairedLock

log = logging.getLogger(__name__)


def proven(bridge: Bridge, member: Member) -> None:
    """The lock has told its states: the authorizations before this one are worthless."""
    if not member.unproven or member.paired is None:
        return
    try:
        bridge.store.forget_former(member.paired.name)
    except StoreError as error:
        log.warning("%s: %s", member.name, error)  # the next states are another occasion
    else:
        member.unproven = False


async def settle(bridge: Bridge, member: Member) -> None:
    """Take the lock with the authorization before this one, if it has said that it does not know this one."""
    async with bridge.pairing:
        try:
            paired = _former(bridge, member)
        except StoreError as error:
            log.warning("%s: %s", member.name, error)
            return
        if paired is None:
            return
        await bridge.stop(member)
        member.paired = paired
        bridge.start(member)
        bridge.publish_info()


def is_due(member: Member) -> bool:
    """`settle` has something to do."""
    fault = member.lock.fault if member.lock is not None else None
    return member.unproven and isinstance(fault, LockError) and fault.number == ErrorCode.NOT_AUTHORIZED


def save(bridge: Bridge, member: Member) -> None:
    """Make durable what the lock has shown of itself, if that is not done yet."""
    if not member.unsaved or member.paired is None:
        return
    try:
        bridge.store.save_shown(member.paired)
    except StoreError as error:
        log.warning("%s: %s", member.name, error)  # the next change is another occasion
    else:
        member.unsaved = False


def _former(bridge: Bridge, member: Member) -> PairedLock | None:
    if member.paired is None or not is_due(member):
        return None
    log.warning("%s does not know the authorization of its last pairing; the one before is used", member.name)
    return bridge.store.restore_former(member.paired.name)
