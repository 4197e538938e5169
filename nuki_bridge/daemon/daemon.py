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
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nuki_bridge import __version__, logs
from nuki_bridge.bridge.bridge import Bridge
from nuki_bridge.bridge.ports import Ports
from nuki_bridge.daemon import status_line
from nuki_bridge.daemon.broker import Broker
from nuki_bridge.daemon.reload import Reload
from nuki_bridge.daemon.service import feed_watchdog, notifier, watchdog_interval_s
from nuki_bridge.daemon.synchronized import is_synchronized
from nuki_bridge.mqtt import mqtt
from nuki_bridge.store import Store
from nuki_bridge.watchdog import Watchdog

if TYPE_CHECKING:
    from nuki_bridge.bluetooth.link import Radio
    from nuki_bridge.config import Settings

log = logging.getLogger(__name__)

STOPPED = 0
RESTART = 1
"""Exit status after `bridge/request/restart`: not 0, so that every kind of supervisor starts the daemon again."""
RADIO_S = 3.0
"""Longest wait in seconds at the start for the radio to say whether there is an adapter."""
SETTLED_S = 5.0
"""Seconds after the start by which everything that stays in memory is loaded."""
GOODBYE_S = 1.0
"""Longest wait in seconds at the end for the broker to take the last messages."""
LINKS_S = 0.8
"""Longest wait in seconds at the end for the locks' links to be dropped."""
CUT_SHORT_S = 0.2
"""Longest wait in seconds for tasks that were cancelled at the end."""
STOP_S = 2.8
"""Seconds after which the process ends whatever hangs: it promises to stop within 3 s."""


async def run(
    settings: Settings,
    *,
    radio: Radio | None = None,
    ready: asyncio.Event | None = None,
    stop: asyncio.Event | None = None,
    read: Callable[[], Settings] | None = None,
) -> int:
    """Run until SIGTERM or SIGINT; with `stop` until that is set, and signals are the caller's business.

    At SIGHUP the settings are those that `read` gives then, if it is given.  `radio` takes the place of the one that
    the settings ask for.  `ready` is set once everything runs, whether or not
    broker and locks are there.  Returns the exit status; raises `StoreError` if the state directory cannot be used.
    """
    logs.set_up(settings.log_level)
    for warning in settings.warnings:
        log.warning("%s", warning)
    with closing(Store(settings.state_dir)) as store:
        store.open()
        daemon = _Daemon(settings, store, radio, stop, read or (lambda: settings))
        if stop is None:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, daemon.stop)
            loop.add_signal_handler(signal.SIGHUP, daemon.reload.ask)
            loop.call_later(SETTLED_S, _settle)
        return await daemon.run(ready)


class _Daemon:
    """The objects and the order in which they start and stop."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        radio: Radio | None,
        stop: asyncio.Event | None,
        read: Callable[[], Settings],
    ) -> None:
        self._owns_process = stop is None
        self._stop = stop or asyncio.Event()
        self._restarting = False
        self._notify = notifier()
        self._watchdog = Watchdog()
        simulate = None
        if radio is None:
            radio, simulate = _radio(settings, self._watchdog)
        self._bridge = Bridge(
            settings,
            store,
            radio,
            Ports(
                publish=lambda publication: self._broker.publish(publication),
                fits=lambda publication: self._broker.fits(publication),
                watch=lambda filters: self._broker.watch(filters),
                unwatch=lambda filters: self._broker.unwatch(filters),
                protocol=lambda: self._broker.protocol,
                sweep=lambda filters, tell: self._broker.sweep(filters, tell),
                restart=self._restart,
                clock=mqtt.boottime,
                now=lambda: datetime.now(UTC),
                synchronized=is_synchronized,
                random=secrets.token_bytes,
                hostname=os.uname().nodename.partition(".")[0],
                simulate=simulate,
                new_client=self._new_client,
                changed=lambda: self._status.schedule(),
                watchdog=self._watchdog,
            ),
        )
        self._broker = Broker(
            settings.mqtt,
            filters=self._bridge.filters,
            on_message=self._bridge.handle,
            on_connection=self._bridge.connection_changed,
            heartbeat=self._watchdog.heartbeat("the broker"),
            on_too_large=self._bridge.too_large,
        )
        self.reload = Reload(
            read,
            self._bridge,
            self._broker,
            new_radio=lambda settings: _radio(settings, self._watchdog)[0],
            notify=self._notify,
        )
        self._status = status_line.StatusLine(self._describe, lambda line: self._notify(f"STATUS={line}"))

    async def run(self, ready: asyncio.Event | None) -> int:
        """Start everything, wait for the end, stop everything."""
        log.info("nuki-bridge %s starts", __version__)
        bridge = asyncio.create_task(self._bridge.run(), name="bridge")
        broker = asyncio.create_task(self._connect_to_broker(), name="mqtt")
        watchdog = asyncio.create_task(
            feed_watchdog(self._notify, self._watchdog, watchdog_interval_s()), name="watchdog"
        )
        reloading = asyncio.create_task(self.reload.run(), name="reload")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await asyncio.sleep(0)
            # Not later: a broker that is away must not make systemd believe that we do not start.
            self._notify("READY=1")
            self._status.schedule()
            if ready is not None:
                ready.set()
            await asyncio.wait((stopping, bridge, broker), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._status.close()
            reloading.cancel()
            self._notify("STOPPING=1\nSTATUS=stopping")
            log.info("nuki-bridge stops")
            if not broker.done():
                await self._bridge.leave()
                bridge.cancel()  # locks that are slow to leave must not keep the broker from hearing it
                await self._broker.drain(GOODBYE_S)
            for task in (stopping, watchdog):
                task.cancel()
            await _end(broker, bridge)
        for task in (bridge, broker):
            if task.done() and not task.cancelled():
                task.result()  # they end only by being cancelled or by a mistake of this program
        return self._exit_status

    async def _connect_to_broker(self) -> None:
        """Take commands only once it is known whether there is an adapter: the first would be refused for nothing."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RADIO_S):
                await self._bridge.radio_known.wait()
        await self._broker.run()

    def _new_client(self, **given: Any) -> mqtt.Client:
        """Return another connection to the broker of the present settings."""
        return mqtt.Client(self._bridge.settings.mqtt, **given)

    @property
    def _exit_status(self) -> int:
        return RESTART if self._restarting else STOPPED

    def stop(self) -> None:
        """End; if the process is ours in `STOP_S` at the latest, in case that something never lets go."""
        if self._owns_process and not self._stop.is_set():
            guard = threading.Timer(STOP_S, os._exit, (self._exit_status,))
            guard.daemon = True
            guard.start()
        self._stop.set()

    def _restart(self) -> None:
        log.info("restarting, as asked over MQTT")
        self._restarting = True
        self.stop()

    def _describe(self) -> str:
        line = status_line.describe(self._bridge.members, str(self._broker), self._bridge.radio.status)
        return f"new configuration refused, see the log; {line}" if self.reload.refused else line


def _settle() -> None:
    """Spare the garbage collector what stays for good: it comes by more often, in no time, and memory stays small."""
    gc.collect()
    gc.freeze()


def _radio(settings: Settings, watchdog: Watchdog) -> tuple[Radio, Callable[[dict[str, Any]], dict[str, Any]] | None]:
    """Return the radio that the settings ask for, and the control of its locks if they are virtual."""
    if settings.bluetooth.backend == "virtual":
        from nuki_bridge.simulator.backend import LATENCY_S, STATE_FILE, default_locks
        from nuki_bridge.simulator.radio import VirtualRadio

        virtual = VirtualRadio(
            default_locks(settings.state_dir),
            state_file=settings.state_dir / STATE_FILE,
            latency_s=LATENCY_S,
            write_s=LATENCY_S,
        )
        return virtual, virtual.control
    from nuki_bridge.bluetooth.radio import BluezRadio

    return BluezRadio(settings.bluetooth.adapter, watchdog.heartbeat("Bluetooth")), None


async def _end(*tasks: asyncio.Task[None]) -> None:
    """Cancel the tasks and wait for their end; whoever is slow to leave a link is cut short."""
    for patience_s in (LINKS_S, CUT_SHORT_S):
        for task in tasks:
            task.cancel()
        _, pending = await asyncio.wait(tasks, timeout=patience_s)
        if not pending:
            return
    log.warning("not stopped in time: %s", ", ".join(task.get_name() for task in pending))
