"""The daemon: builds the objects, starts and stops them in order, and obeys signals.

Nothing outside ends it: without a broker, an adapter or bluetoothd it stays up and goes on as soon as they are there.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import signal
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nuki_bridge import __version__, mqtt
from nuki_bridge.bridge import Bridge, Outside
from nuki_bridge.service import feed_watchdog, notifier, set_up_logging
from nuki_bridge.store import Store

if TYPE_CHECKING:
    from nuki_bridge.config import Settings
    from nuki_bridge.link import Radio
    from nuki_bridge.topics import Publication

log = logging.getLogger(__name__)

STOPPED = 0
RESTART = 1
"""Exit status after `bridge/request/restart`: not 0, so that every kind of supervisor starts the daemon again."""
RADIO_S = 3.0
"""Longest wait at the start for the radio to say whether there is an adapter."""
SETTLED_S = 5.0
"""By then everything is loaded that stays for good."""
GOODBYE_S = 1.0
"""Longest wait at the end for the broker to take our farewell,"""
LINKS_S = 1.5
"""and for the locks' links to be dropped."""


async def run(
    settings: Settings,
    *,
    radio: Radio | None = None,
    ready: asyncio.Event | None = None,
    stop: asyncio.Event | None = None,
) -> int:
    """Run until SIGTERM or SIGINT; with `stop` until that is set, and signals are the caller's business.

    `radio` takes the place of the one that the settings ask for.  `ready` is set once everything runs, whether or not
    broker and locks are there.  Returns the exit status; raises `StoreError` if the state directory cannot be used.
    """
    set_up_logging(settings.log_level)
    for warning in settings.warnings:
        log.warning("%s", warning)
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: None)
        asyncio.get_running_loop().call_later(SETTLED_S, _settle)
    with closing(Store(settings.state_dir)) as store:
        store.open()
        return await _Daemon(settings, store, radio, stop).run(ready)


class _Daemon:
    """The objects and the order in which they start and stop."""

    def __init__(self, settings: Settings, store: Store, radio: Radio | None, stop: asyncio.Event) -> None:
        self._stop = stop
        self._restarting = False
        self._notify = notifier()
        simulate = None
        if radio is None:
            radio, simulate = _radio(settings)
        self._bridge = Bridge(
            settings,
            store,
            radio,
            Outside(
                publish=self._publish,
                watch=self._watch,
                protocol=lambda: self._client.protocol,
                restart=self._restart,
                clock=mqtt.boottime,
                now=lambda: datetime.now(UTC),
                random=secrets.token_bytes,
                hostname=os.uname().nodename.partition(".")[0],
                simulate=simulate,
            ),
        )
        self._client = mqtt.Client(
            settings.mqtt,
            will=(f"{settings.mqtt.base_topic}/bridge/state", b"offline"),
            subscriptions=lambda: _subscriptions(self._bridge.filters()),
            on_message=self._bridge.handle,
            on_connection=self._connection_changed,
        )

    async def run(self, ready: asyncio.Event | None) -> int:
        """Start everything, wait for the end, stop everything."""
        log.info("nuki-bridge %s starts", __version__)
        bridge = asyncio.create_task(self._bridge.run(), name="bridge")
        client = asyncio.create_task(self._connect_to_broker(), name="mqtt")
        watchdog = asyncio.create_task(feed_watchdog(self._notify), name="watchdog")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await asyncio.sleep(0)
            # Not later: a broker that is away must not make systemd believe that we do not start.
            self._notify("READY=1\nSTATUS=waiting for the broker")
            if ready is not None:
                ready.set()
            await asyncio.wait((stopping, bridge, client), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._notify("STOPPING=1\nSTATUS=stopping")
            log.info("nuki-bridge stops")
            if not client.done():
                await self._bridge.leave()
                await self._client.drain(GOODBYE_S)
            stopping.cancel()
            watchdog.cancel()
            await _end(client, bridge)
        for task in (bridge, client):
            if not task.cancelled():
                task.result()  # they end only by being cancelled or by a mistake of this program
        return RESTART if self._restarting else STOPPED

    async def _connect_to_broker(self) -> None:
        """Take commands only once it is known whether there is an adapter: the first would be refused for nothing."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RADIO_S):
                await self._bridge.radio_known.wait()
        await self._client.run()

    # -- handed to the bridge -----------------------------------------------------------------------------------------

    def _publish(self, publication: Publication) -> bool:
        return self._client.publish(
            publication.topic,
            publication.payload,
            retain=publication.retain,
            correlation_data=publication.correlation_data,
        )

    def _watch(self, filters: Iterable[str]) -> None:
        self._client.subscribe(*_subscriptions(filters))

    def _restart(self) -> None:
        log.info("restarting, as asked over MQTT")
        self._restarting = True
        self._stop.set()

    def _connection_changed(self, connected: bool, reason: str | None) -> None:
        self._bridge.connection_changed(connected)
        self._notify("STATUS=online" if connected else f"STATUS=no broker: {reason}")


def _settle() -> None:
    """Spare the garbage collector what stays for good: it comes by more often, in no time, and memory stays small."""
    gc.collect()
    gc.freeze()


def _subscriptions(filters: Iterable[str]) -> list[mqtt.Subscription]:
    return [mqtt.Subscription(each, no_local=True) for each in filters]


def _radio(settings: Settings) -> tuple[Radio, Callable[[dict[str, Any]], dict[str, Any]] | None]:
    """The radio that the settings ask for, and the control of its locks if they are virtual."""
    if settings.bluetooth.backend == "virtual":
        from nuki_bridge.simulator.backend import STATE_FILE, default_locks
        from nuki_bridge.simulator.radio import VirtualRadio

        virtual = VirtualRadio(default_locks(settings.state_dir), state_file=settings.state_dir / STATE_FILE)
        return virtual, virtual.control
    from nuki_bridge.ble import BluezRadio

    return BluezRadio(settings.bluetooth.adapter), None


async def _end(*tasks: asyncio.Task[None]) -> None:
    """Cancel the tasks and wait for their end; whoever is slow to leave a link is cut short."""
    for _ in range(2):
        for task in tasks:
            task.cancel()
        _, pending = await asyncio.wait(tasks, timeout=LINKS_S)
        if not pending:
            return
    log.warning("not stopped in time: %s", ", ".join(task.get_name() for task in pending))
