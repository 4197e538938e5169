"""A lock on which the owner has disabled us, and enabled us again, is back within a minute."""

from __future__ import annotations

import asyncio

import pytest

from nuki_bridge.errors import LockError
from nuki_bridge.lock.link_plan import ConnectionMode
from nuki_bridge.protocol.codes import Action, IdType
from tests.unit.rig import MODES, Rig


@pytest.mark.parametrize("id_type", [IdType.BRIDGE, IdType.APP])
@pytest.mark.parametrize("connection", MODES)
async def test_enabled_again_just_after_a_refusal(connection: ConnectionMode, id_type: IdType) -> None:
    rig = Rig()
    rig.radio.connect_s, rig.radio.latency_s = 3.0, 1.0
    async with rig.running(connection, id_type=id_type) as lock:
        await asyncio.sleep(60.0)
        number = lock.paired.authorization_id
        rig.virtual.set_enabled(number, False)
        with pytest.raises(LockError, match="disabled"):
            await lock.perform(Action.UNLOCK, 15.0)
        await asyncio.sleep(5.0)
        rig.virtual.set_enabled(number, True)
        await asyncio.sleep(60.0)
        assert lock.reachable
        await asyncio.sleep(600.0)
        assert lock.reachable
    assert rig.movements() == []
