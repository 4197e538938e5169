"""paho-mqtt on one socket without a thread: the event loop tells it when to read and when to write."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nuki_bridge.mqtt.tcp import acknowledge

if TYPE_CHECKING:  # paho costs 2 MiB and is loaded by the first connection
    from nuki_bridge.mqtt.paho import PahoOnSocket

_LOGGER = logging.getLogger(__name__)


def guarded(callback: Callable[..., None]) -> Callable[..., None]:
    """Return `callback` as one of paho's: nothing may be raised into it."""

    def call(_paho: Any, _userdata: Any, *arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception:
            _LOGGER.exception("MQTT: internal error in %s", callback.__name__)

    return call


class PahoLoop:
    """Runs from `start` to `close`.

    `heard` is called before something is read; `broken` is told why reading or writing failed.
    """

    def __init__(
        self, paho: PahoOnSocket, sock: socket.socket, heard: Callable[[], None], broken: Callable[[str], None]
    ) -> None:
        self._paho = paho
        self._sock = sock
        self._heard = heard
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self.closed = asyncio.Event()
        """Set as soon as paho has let go of the socket."""

    def start(self) -> None:
        """Read from now on, and write when paho wants to."""
        self._paho.on_socket_close = guarded(self._on_socket_close)
        self._paho.on_socket_register_write = guarded(self._on_want_write)
        self._paho.on_socket_unregister_write = guarded(self._on_written)
        self._loop.add_reader(self._sock, self._readable)

    def close(self) -> None:
        """Close the socket; paho calls nobody here any more."""
        self._paho.on_socket_close = None
        self._paho.on_socket_register_write = self._paho.on_socket_unregister_write = None
        self._on_socket_close(self._sock)
        self._sock.close()

    def write(self) -> None:
        """Have paho write what waits."""
        try:
            self._paho.loop_write()
        except Exception:
            _LOGGER.debug("MQTT: writing failed", exc_info=True)
            self._broken("the connection broke while writing")

    def _readable(self) -> None:
        self._heard()
        try:
            self._paho.loop_read()
            # What TLS has decrypted already does not make the socket readable again.
            while not self.closed.is_set() and getattr(self._sock, "pending", int)() > 0:
                self._paho.loop_read()
            if not self.closed.is_set():
                acknowledge(self._sock)
        except Exception:
            _LOGGER.debug("MQTT: unreadable packet", exc_info=True)
            self._broken("the broker sent something that is not MQTT")

    def _on_socket_close(self, _sock: object) -> None:
        if not self.closed.is_set():
            self.closed.set()
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)

    def _on_want_write(self, _sock: object) -> None:
        self._loop.add_writer(self._sock, self.write)

    def _on_written(self, _sock: object) -> None:
        self._loop.remove_writer(self._sock)
