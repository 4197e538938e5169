"""An authorization that pairing has made durable and that the lock has not answered over yet.

The ordinary lock object goes on trying with it.  The lock's first states prove it; a lock that says that it does not
know it gets the one before it again, which it may still accept.  What was not known when pairing is learned later.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from nuki_bridge.errors import LockError, StoreError
from nuki_bridge.protocol.codes import ErrorCode
from nuki_bridge.store import UNKNOWN_NUKI_ID

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
    """Take the lock with another authorization, or under its Nuki ID, if what it said calls for that."""
    async with bridge.pairing:
        try:
            _learn_id(bridge, member)
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
    return _is_refused(member) or _has_told_its_id(member)


def _former(bridge: Bridge, member: Member) -> PairedLock | None:
    if member.paired is None or not _is_refused(member):
        return None
    log.warning("%s does not know the authorization of its last pairing; the one before is used", member.name)
    return bridge.store.restore_former(member.paired.name)


def _learn_id(bridge: Bridge, member: Member) -> None:
    """The lock has told its Nuki ID; what is under way there goes on."""
    if not _has_told_its_id(member):
        return
    assert member.paired is not None
    assert member.lock is not None
    assert member.lock.config is not None
    nuki_id = member.lock.config.nuki_id
    member.paired = replace(member.paired, nuki_id=nuki_id)
    bridge.store.save_lock(member.paired)
    member.lock.paired = replace(member.lock.paired, nuki_id=nuki_id)
    bridge.publish_info()
    bridge.publisher.lock(member)


def _is_refused(member: Member) -> bool:
    fault = member.lock.fault if member.lock is not None else None
    return member.unproven and isinstance(fault, LockError) and fault.number == ErrorCode.NOT_AUTHORIZED


def _has_told_its_id(member: Member) -> bool:
    if member.lock is None or member.paired is None or member.lock.config is None:
        return False
    return member.paired.nuki_id == UNKNOWN_NUKI_ID != member.lock.config.nuki_id
