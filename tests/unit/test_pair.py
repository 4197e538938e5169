"""Pairing over a link with the virtual lock: both families, any MTU, and what goes wrong."""

from __future__ import annotations

from typing import Any

import pytest

from nuki_bridge.errors import LinkError, LockError, NotFound, RequestError
from nuki_bridge.lock.pairing import PairOptions, pair
from nuki_bridge.protocol.codes import Family, IdType
from nuki_bridge.protocol.common import BasicConfig
from nuki_bridge.simulator.behaviour import seeded
from nuki_bridge.store import PairedLock
from tests.unit.rig import ADDRESS, NUKI_ID, Rig, clock, now

FAMILIES = pytest.mark.parametrize("family", [Family.CLASSIC, Family.ULTRA], ids=lambda f: f.value)


async def paired_as(
    rig: Rig, family: Family = Family.CLASSIC, *, id_type: IdType = IdType.BRIDGE, address: str = ADDRESS, **given: Any
) -> tuple[PairedLock, BasicConfig | None]:
    """Pair without a PIN, in 10 s."""
    options = PairOptions(id_type, "x", 1)
    return await pair(
        rig.radio, address, family, options, random=seeded(2), timeout_s=10.0, clock=clock, now=now, **given
    )


@FAMILIES
@pytest.mark.parametrize("mtu", [23, 247])
async def test_pairing_yields_an_authorization_that_the_lock_knows(family: Family, mtu: int) -> None:
    rig = Rig(family)
    rig.radio.mtu = mtu
    paired = await rig.pair()
    assert (paired.nuki_id, paired.address, paired.family) == (NUKI_ID, ADDRESS, family)
    assert paired.uuid == rig.virtual.uuid
    assert paired.id_type is (IdType.APP if family is Family.ULTRA else IdType.BRIDGE)
    entry = rig.virtual.authorizations.get(paired.authorization_id)
    assert entry is not None
    assert (entry.key, entry.app_id, entry.name) == (paired.shared_key, 0x01020304, "nuki-bridge test")
    assert rig.virtual.links == 0


async def test_a_wrong_pin_is_tried_once() -> None:
    rig = Rig(Family.ULTRA)
    with pytest.raises(LockError) as refused:
        await rig.pair(pin="999999")
    assert refused.value.code == "bad_pin"
    assert rig.virtual.pin_guard.wrong == 1
    assert len(rig.virtual.authorizations) == 0


async def test_the_ultra_family_needs_a_pin() -> None:
    rig = Rig(Family.ULTRA)
    rig.virtual.hold_button()
    with pytest.raises(RequestError, match="six-digit security PIN") as refused:
        await paired_as(rig, Family.ULTRA, id_type=IdType.APP)
    assert refused.value.code == "pin_required"


async def test_outside_pairing_mode_the_error_says_what_to_press() -> None:
    rig = Rig()
    with pytest.raises(LockError, match="hold its button") as refused:
        await paired_as(rig)
    assert refused.value.code == "not_pairing"


async def test_a_lost_last_answer_still_counts() -> None:
    """The lock has stored the authorization; only its COMPLETE did not arrive."""
    rig = Rig()
    rig.radio.faults.disconnect_after_write = 5
    paired = await rig.pair()
    assert rig.virtual.authorizations.get(paired.authorization_id) is not None


async def test_a_link_lost_before_the_authorization_is_an_error_and_leaves_nothing() -> None:
    rig = Rig()
    rig.radio.faults.disconnect_before_write = 3
    with pytest.raises(LinkError):
        await rig.pair()
    assert len(rig.virtual.authorizations) == 0


async def test_a_confirmation_that_never_reached_the_lock_is_found_out_by_asking() -> None:
    """The document has the lock store the user before it tells the ID (8.1, step 10)."""
    rig = Rig()
    rig.radio.faults.disconnect_before_write = 5
    paired = await rig.pair()
    assert rig.virtual.authorizations.get(paired.authorization_id) is not None


async def test_an_authorization_that_the_lock_did_not_keep_is_not_a_pairing() -> None:
    rig = Rig()
    rig.radio.faults.disconnect_after_write = 5

    def forget() -> None:
        for entry in rig.virtual.authorizations:
            rig.virtual.authorizations.remove(entry.authorization_id)

    rig.virtual.device.on_memory_changed = forget
    with pytest.raises(LinkError, match="try again"):
        await rig.pair()


async def test_the_authorization_is_kept_before_the_confirmation_is_sent() -> None:
    """The lock has stored it by then (8.1, step 10), in place of an older one."""
    rig = Rig()
    rig.virtual.hold_button()
    kept: list[tuple[PairedLock, int]] = []
    await paired_as(rig, nuki_id=NUKI_ID, keep=lambda paired: kept.append((paired, rig.writes())))
    [(paired, writes)] = kept
    entry = rig.virtual.authorizations.get(paired.authorization_id)
    assert entry is not None
    assert (paired.shared_key, paired.nuki_id, writes) == (entry.key, NUKI_ID, 4)


@pytest.mark.parametrize("write", [None, 5], ids=["complete", "last answer lost"])
async def test_a_lock_that_cannot_be_reached_after_the_handshake_is_paired_all_the_same(write: int | None) -> None:
    rig = Rig()
    rig.virtual.hold_button()
    rig.radio.faults.disconnect_after_write = write or 0

    def lose(paired: PairedLock) -> None:
        rig.radio.faults.connect_times_out = 1000

    paired, config = await paired_as(rig, nuki_id=NUKI_ID, keep=lose)
    assert config is None
    entry = rig.virtual.authorizations.get(paired.authorization_id)
    assert entry is not None
    assert (paired.shared_key, paired.nuki_id) == (entry.key, NUKI_ID)


async def test_first_attempts_to_connect_may_time_out() -> None:
    rig = Rig()
    rig.radio.faults.connect_times_out = 1
    assert (await rig.pair()).nuki_id == NUKI_ID


async def test_an_absent_lock_is_not_found() -> None:
    rig = Rig()
    with pytest.raises(NotFound):
        await paired_as(rig, address="AA:BB:CC:DD:EE:FF")


def test_the_pin_stays_out_of_the_repr() -> None:
    assert "4711" not in repr(PairOptions(IdType.APP, "x", 1, "4711"))
