"""Removes what somebody has left retained on topics that nobody shall retain anything on.

It is done over a connection of its own: what is retained comes all at once, and before it has come nothing else does.
A broker throws away what it cannot deliver fast enough, and a command on the same connection would be among that.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from nuki_bridge.errors import BrokerError
from nuki_bridge.mqtt.connection import Connection, Setup, Version
from nuki_bridge.mqtt.message import Incoming, Outgoing, Subscription
from nuki_bridge.mqtt.size import SizeLimit
from nuki_bridge.mqtt.tcp import open_socket
from nuki_bridge.watchdog import Heartbeat

if TYPE_CHECKING:
    from nuki_bridge.config import MqttSettings

log = logging.getLogger(__name__)

SWEEP_S = 60.0
"""Seconds after which what is still retained is left there."""
STRAGGLERS_S = 0.2
"""Seconds by which a broker may deliver retained messages after it has acknowledged the subscription."""
KEEPALIVE_S = 15
MAX_PACKET_SIZE = 1024 * 1024
"""Largest packet in bytes that is accepted; larger ones stay at the broker (MQTT 5), which delivers them to nobody
here."""
FLUSH_S = 10.0
"""Seconds that a broker may need for what is published in one round."""


async def sweep(
    settings: MqttSettings,
    version: Version,
    filters: Iterable[str],
    tell: Callable[[Incoming], None],
    clock: Callable[[], float],
) -> int:
    """Remove everything that is retained on topics that fit `filters`; `tell` is given each, the sum is returned.

    Raises `BrokerError` if the broker cannot be reached, or keeps delivering for `SWEEP_S`.
    """
    try:
        async with asyncio.timeout(SWEEP_S):
            return await _Sweep(settings, version, filters, tell, clock).run()
    except TimeoutError:
        raise BrokerError(f"more and more is retained; given up after {SWEEP_S:g} s") from None


class _Sweep:
    def __init__(
        self,
        settings: MqttSettings,
        version: Version,
        filters: Iterable[str],
        tell: Callable[[Incoming], None],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._subscriptions = tuple(Subscription(each, no_local=True, qos=0) for each in filters)
        self._ready = asyncio.Event()
        self._found = 0
        self._tell = tell
        self._clock = clock
        setup = Setup(
            settings=settings,
            client_id=f"nuki-bridge-{secrets.token_hex(8)}",
            will=None,
            subscriptions=tuple,
            on_message=self._take,
            on_ready=lambda _: self._ready.set(),
            on_refused=lambda _: None,
            clock=clock,
            max_packet_size=MAX_PACKET_SIZE,
            heartbeat=Heartbeat(),
            size=SizeLimit(),
            on_too_large=lambda _: None,
            echo_topic=None,
        )
        self._connection = Connection(setup, version, keepalive_s=KEEPALIVE_S, probe=False)

    async def run(self) -> int:
        settings = self._settings
        sock = await open_socket(settings.host, settings.port, settings.tls)
        running = asyncio.create_task(self._connection.run(sock), name="mqtt sweep")
        working = asyncio.create_task(self._work(), name="sweep")
        try:
            await asyncio.wait((running, working), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                await running  # raises what ended it
            return await working
        finally:
            for task in (working, running):
                task.cancel()
            await asyncio.wait((working, running))
            with suppress(asyncio.CancelledError):
                running.exception()

    async def _work(self) -> int:
        """Ask for what is retained, again and again until there is nothing: a broker may deliver only so much."""
        await self._ready.wait()
        total = 0
        while True:
            self._found = 0
            self._connection.subscribe(self._subscriptions)
            await self._connection.fence()
            if not self._found:
                await asyncio.sleep(STRAGGLERS_S)
            if not self._found:
                return total
            total += self._found
            await self._connection.drain(FLUSH_S)
            log.debug("MQTT: %d retained messages removed", self._found)

    def _take(self, message: Incoming) -> None:
        if message.retain and message.payload:
            self._found += 1
            self._connection.publish(Outgoing(message.topic, b"", True, 0, {}, self._clock()))
            self._tell(message)
