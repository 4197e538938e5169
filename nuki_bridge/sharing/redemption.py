"""What a guest gets who redeems an invitation: the sealed credential, or the reason why not; pure functions."""

from __future__ import annotations

from datetime import tzinfo

from nuki_bridge.errors import BadFrame, RequestError
from nuki_bridge.lock.credential import credential
from nuki_bridge.mqtt.payload import dump
from nuki_bridge.owner import access
from nuki_bridge.protocol.authorizations import AuthorizationEntry
from nuki_bridge.protocol.crypto import BOX_NONCE_SIZE
from nuki_bridge.protocol.session import Random
from nuki_bridge.sharing.invitation_code import client_of, seal, unseal
from nuki_bridge.sharing.invitation_store import Invitation, Stage
from nuki_bridge.store import PairedLock


def unknown() -> RequestError:
    """Return the error for an invitation that is not there, as far as a guest is told."""
    return RequestError("unknown", "there is no such invitation")


def redeemed() -> RequestError:
    """Return the error for an invitation that somebody else has redeemed, or whose credential is not told any more."""
    return RequestError("redeemed", "the invitation was redeemed")


def client_in(data: bytes, row: Invitation | None, *, is_over: bool) -> bytes:
    """Return the client number of a guest's sealed request for an invitation that can be redeemed, as far as it tells.

    `is_over`: the ten minutes have passed in which a redeemed one's credential is told again.  Raises `RequestError`
    `expired`, `redeemed`, `revoked` or `unknown`.
    """
    if row is None or row.stage in (Stage.ASKED, Stage.LOST):
        raise unknown()
    if row.stage is Stage.EXPIRED:
        raise RequestError("expired", "the invitation has expired")
    if row.stage is Stage.REVOKED:
        raise RequestError("revoked", "the invitation was revoked")
    if row.key is None or (row.stage is Stage.REDEEMED and is_over):
        raise redeemed()
    try:
        return client_of(unseal(row.key, data))
    except (BadFrame, ValueError):
        # Not from somebody who has the code: they learn nothing, and nothing changes.
        raise unknown() from None


def sealed_credential(
    row: Invitation, entry: AuthorizationEntry | None, lock: PairedLock, base: str, zone: tzinfo, random: Random
) -> bytes:
    """Return the credential of a redeemed invitation, sealed for its guest.

    `entry` is what the lock's list last told of its authorization, `lock` bears the name that the bridge gives it, and
    `zone` is the lock's.  The answer bears the client number: whoever else has the code hears it, too, and shall know
    that it is not theirs.
    """
    assert row.key is not None
    assert row.client is not None
    assert row.shared_key is not None
    assert row.authorization_id is not None
    content = credential(
        lock,
        base,
        authorization_id=row.authorization_id,
        shared_key=row.shared_key,
        user=row.user if entry is None else entry.name,
        remote=row.remote if entry is None else bool(entry.remote_allowed),
    )
    limit = row.limit if entry is None else entry.limit if entry.time_limited else None
    content |= {"access": access.to_json(limit, zone), "client": row.client.hex()}
    nonce = random(BOX_NONCE_SIZE)
    while nonce.startswith(b"{"):  # a guest may tell an error, which is JSON in clear, by its first byte
        nonce = random(BOX_NONCE_SIZE)
    return seal(row.key, dump(content), nonce)
