"""The process of `nuki-bridge web`: builds the server, obeys signals, tells systemd.

A broker that is away ends nothing: the page tells phones, and goes on when it is back.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from nuki_bridge import __version__, logs
from nuki_bridge.daemon.service import feed_watchdog, notifier, watchdog_interval_s
from nuki_bridge.errors import BrokerError
from nuki_bridge.watchdog import Watchdog
from nuki_bridge.web import authority_page, files
from nuki_bridge.web.broker import REFUSED, Broker, try_account
from nuki_bridge.web.certificate import Certificates
from nuki_bridge.web.limits import Limits
from nuki_bridge.web.server import Server
from nuki_bridge.web.settings import WebSettings
from nuki_bridge.web.tunnel import Way

log = logging.getLogger(__name__)

STOP_S = 2.8
"""Seconds after which the process ends whatever hangs."""


class Part(Protocol):
    """What else this process serves."""

    def open(self) -> int:
        """Listen; gives the port.  Raises `PageError` if that cannot be."""

    async def run(self) -> None:
        """Serve until cancelled."""


class _Guests:
    """Whether the broker takes the guests' account; told once when that changes."""

    def __init__(self, settings: WebSettings) -> None:
        self._username = settings.guest.username if settings.guest else ""
        self._refused = False

    def refused(self, refused: bool) -> None:
        if refused and not self._refused:
            log.error("%s", REFUSED.format(self._username))
        self._refused = refused


async def run(
    settings: WebSettings,
    *,
    page: Path = files.PAGE,
    beside: Sequence[Part] = (),
    stop: asyncio.Event | None = None,
    ready: asyncio.Future[int] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; with `stop` until that is set, and signals are the caller's business.

    `page` has the page's files, `beside` is served, too.  `ready` gets the port, once phones may come.  Returns the
    exit status; raises `PageError` if the page cannot be served.
    """
    logs.set_up(settings.log_level)
    for warning in settings.warnings:
        log.warning("%s", warning)
    owns_process, stop = stop is None, stop or asyncio.Event()
    notify = notifier()
    guests, broker = _Guests(settings), Broker(settings.broker)
    way = Way(settings.guest, broker.connect, Limits(time.monotonic), guests.refused)
    certificates = Certificates(settings)
    content = _content(settings, page, certificates)
    server = Server(content, way, secure=settings.secure, names=_names(settings), tls=certificates.context)
    port = server.open(settings.listen, settings.port)
    for each in beside:
        each.open()
    if owns_process:
        _heed_signals(stop, alone=not beside)
    log.info("nuki-bridge web %s serves on port %d", __version__, port)
    tasks = [
        asyncio.create_task(server.run(), name="server"),
        *(asyncio.create_task(each.run(), name="beside") for each in beside),
        asyncio.create_task(certificates.run(), name="certificates"),
        asyncio.create_task(_look(broker, settings), name="look"),
        asyncio.create_task(feed_watchdog(notify, Watchdog(time.monotonic), watchdog_interval_s()), name="watchdog"),
        asyncio.create_task(stop.wait(), name="stop"),
    ]
    gc.collect()
    gc.freeze()
    try:
        notify(f"READY=1\nSTATUS=serving on port {port}")
        if ready is not None:
            ready.set_result(port)
        await _first_to_end(tasks[: 1 + len(beside)], tasks[-1])
    finally:
        notify("STOPPING=1\nSTATUS=stopping")
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return 0


def _content(settings: WebSettings, page: Path, certificates: Certificates) -> dict[str, files.File]:
    """Return what is served: the page's files, and the authority's own page if there is one; loads the certificates."""
    content = files.load(page) | files.settings(settings.broker.base_topic)
    certificates.load()
    if certificates.authority is not None:
        content |= authority_page.files(certificates.authority, settings.own_ca)
    return content


def _heed_signals(stop: asyncio.Event, *, alone: bool) -> None:
    """Have SIGTERM and SIGINT set `stop`; `alone`: nothing is served beside the page that a signal could be for."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stop)
    if alone:
        loop.add_signal_handler(signal.SIGUSR1, _no_button)


async def _first_to_end(serving: Sequence[asyncio.Task[Any]], stop: asyncio.Task[Any]) -> None:
    """Wait until one of `serving` ends, whose error is raised, or `stop` does."""
    await asyncio.wait((*serving, stop), return_when=asyncio.FIRST_COMPLETED)
    for task in serving:
        if task.done():
            task.result()


def _stop(stop: asyncio.Event) -> None:
    if not stop.is_set():
        guard = threading.Timer(STOP_S, os._exit, (0,))
        guard.daemon = True
        guard.start()
    stop.set()


def _no_button() -> None:
    log.warning("SIGUSR1 stands for the button of a Nuki Bridge; without bridge_api in web.yaml there is none")


def _names(settings: WebSettings) -> frozenset[str]:
    """Under which a page is ours, beside plain addresses."""
    here = os.uname().nodename.lower()
    return frozenset({*settings.names, *settings.own_ca, here, f"{here.partition('.')[0]}.local"})


async def _look(broker: Broker, settings: WebSettings) -> None:
    """Tell at the start what phones would find out: the broker is away, or refuses the guests."""
    if settings.guest is None:
        log.warning("web.yaml names no guest account: only whoever has an account at the broker can use the page")
        return
    try:
        await try_account(broker, settings.guest)
    except BrokerError as error:
        if broker.away is None:
            log.error("%s", error)
