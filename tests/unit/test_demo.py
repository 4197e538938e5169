"""The demo on a computer that takes its time; what it does is in `tests/integration/test_demo.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from nuki_bridge.command_line import demo
from nuki_bridge.command_line.client import BridgeOffline
from nuki_bridge.config import MqttSettings
from nuki_bridge.errors import BrokerError


class Client:
    """A conversation that cannot be begun before `ready`, by the loop's clock."""

    ready = 0.0
    failure: Callable[[], Exception]
    open_ones = 0

    def __init__(self, broker: MqttSettings) -> None:
        pass

    async def open(self) -> None:
        type(self).open_ones += 1
        await asyncio.sleep(3)
        if asyncio.get_running_loop().time() < self.ready:
            raise type(self).failure()

    async def close(self) -> None:
        type(self).open_ones -= 1


FAILURES: tuple[Callable[[], Exception], ...] = (
    lambda: BridgeOffline("bridge/state is empty"),
    lambda: BrokerError("no answer"),
)


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_daemon_that_needs_a_minute_is_waited_for(
    failure: Callable[[], Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "BridgeClient", Client)
    Client.open_ones, Client.failure = 0, staticmethod(failure)
    begun = asyncio.get_running_loop().time()
    Client.ready = begun + 60
    await demo._connected(MqttSettings())
    assert Client.open_ones == 1
    Client.ready = begun + 1e6
    with pytest.raises(BrokerError):
        await demo._connected(MqttSettings())
    assert Client.open_ones == 1
    assert asyncio.get_running_loop().time() - begun < 60 + 2 * demo.START_TIMEOUT_S
