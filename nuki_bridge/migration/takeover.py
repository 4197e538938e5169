"""Pairings of another program into the store: under which names, in whose place, and what stands in the way.

Nothing is written before everything has been looked at.  What another pairing takes the place of is kept until the lock
has answered over the new one, as after pairing anew (`Store.save_unproven`).
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from datetime import datetime

from nuki_bridge.config import LockSettings
from nuki_bridge.errors import RequestError
from nuki_bridge.lock_name import lock_name_mistake, slug
from nuki_bridge.migration.export import Export, FoundPairing
from nuki_bridge.protocol.codes import Family
from nuki_bridge.records import frozen
from nuki_bridge.store import UNKNOWN_NUKI_ID, PairedLock, Store

UNKNOWN_UUID = bytes(16)
"""In place of the lock's identifier from pairing, which no other program keeps."""


class Change(enum.StrEnum):
    """What a pairing of the export does to those that are there."""

    NEW = "new"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"


@frozen
class Taking:
    """One pairing of the export, and what is to be stored: nothing if it is there already."""

    found: FoundPairing
    paired: PairedLock
    change: Change
    name: str
    """What the lock is called in topics: its name in the store, or in the configuration."""

    @property
    def takes_pin(self) -> bool:
        """Whether the PIN of the export is taken."""
        return self.change is not Change.UNCHANGED and self.found.pin is not None and self.paired.pin == self.found.pin


def plan(
    export: Export,
    stored: Sequence[PairedLock],
    configured: Sequence[LockSettings],
    *,
    wanted: str | None,
    replace: bool,
    now: datetime,
) -> list[Taking]:
    """Return what taking over an export comes to; `wanted` is the name that was asked for.

    Raises `RequestError` if the name cannot be had, or if a lock is paired already and not to be replaced.
    """
    if wanted is not None:
        if len(export.pairings) > 1:
            addresses = ", ".join(each.address for each in export.pairings)
            raise RequestError("bad_name", f"a name is for one device, this export has {addresses}; say which")
        if mistake := lock_name_mistake(wanted):
            raise RequestError("bad_name", f"the name {mistake}")
    takings: list[Taking] = []
    for found in export.pairings:
        known = [*stored, *(each.paired for each in takings)]
        takings.append(_plan_one(found, known, configured, wanted, replace, now))
    return takings


def carry_out(takings: Sequence[Taking], store: Store) -> None:
    """Make all of it durable; raises `StoreError`."""
    for each in takings:
        if each.change is not Change.UNCHANGED:
            store.save_unproven(each.paired)


def without_address(configured: Sequence[LockSettings], known: Collection[str]) -> list[str]:
    """Return the configured locks that are none of the `known` names: one of them may be meant."""
    return [each.name for each in configured if each.address is None and each.name not in known]


def _plan_one(
    found: FoundPairing,
    stored: Sequence[PairedLock],
    configured: Sequence[LockSettings],
    wanted: str | None,
    replace: bool,
    now: datetime,
) -> Taking:
    before = next((each for each in stored if each.address == found.address), None)
    in_configuration = next((each.name for each in configured if each.address == found.address), None)
    if before is None:
        kept = _name(found, stored, configured, in_configuration, wanted)
        return Taking(found, _paired(found, kept, None, now), Change.NEW, in_configuration or kept)
    name = in_configuration or before.name
    if wanted not in (None, name):
        raise RequestError("bad_name", f"the lock {found.address} is paired as {name}; leave the name out")
    if (before.authorization_id, before.shared_key) == (found.authorization_id, found.shared_key):
        return Taking(found, before, Change.UNCHANGED, name)
    if not replace:
        raise RequestError(
            "already_paired",
            f"{name} ({found.address}) is paired already, as authorization {before.authorization_id}; to use that"
            " of the export instead say so with --replace: this one is kept until the lock has accepted the other",
        )
    return Taking(found, _paired(found, before.name, before, now), Change.REPLACED, name)


def _paired(found: FoundPairing, name: str, before: PairedLock | None, now: datetime) -> PairedLock:
    family = found.family or (before.family if before is not None else Family.CLASSIC)
    # One that is known here may have been accepted by the lock already.
    kept = before.pin if before is not None else None
    pin = kept if kept is not None and len(kept) == family.pin_digits else found.pin
    return PairedLock(
        name=name,
        address=found.address,
        # Another program may have kept that of a lock before this one: the lock shows it with its configuration.
        nuki_id=before.nuki_id if before is not None else UNKNOWN_NUKI_ID,
        family=family,
        authorization_id=found.authorization_id,
        shared_key=found.shared_key,
        app_id=found.app_id,
        uuid=before.uuid if before is not None else UNKNOWN_UUID,
        id_type=found.id_type,
        paired_at=now,
        pin=pin,
    )


def _name(
    found: FoundPairing,
    stored: Sequence[PairedLock],
    configured: Sequence[LockSettings],
    in_configuration: str | None,
    wanted: str | None,
) -> str:
    """Return the name under which a lock that is not paired yet is stored."""
    if wanted is not None and in_configuration not in (None, wanted):
        raise RequestError("bad_name", f"the configuration calls the lock {found.address} {in_configuration}")
    owners = {each.name: each.address for each in configured if each.address not in (None, found.address)}
    owners |= {each.name: each.address for each in stored}
    if wanted is not None and wanted in owners:
        raise RequestError("name_taken", f"{wanted} is the name of the lock {owners[wanted]}")
    name = base = wanted or in_configuration or _suggested(found)
    number = 2
    while name in owners:  # of the configuration's name, too: that counts in topics, whatever the store has
        suffix = f"_{number}"
        name, number = base[: 32 - len(suffix)] + suffix, number + 1
    return name


def _suggested(found: FoundPairing) -> str:
    """Return a name out of what the export says of a device, or out of its address."""
    if found.name is not None and (name := slug(found.name, UNKNOWN_NUKI_ID)) != slug("", UNKNOWN_NUKI_ID):
        return name
    if found.nuki_id is not None:
        return f"{found.noun}_{found.nuki_id:08x}"
    return f"{found.noun}_{found.address.replace(':', '')[-6:].lower()}"
