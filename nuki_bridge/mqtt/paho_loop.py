"""paho-mqtt on one socket without a thread: the event loop tells it when to read and when to write."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
        self._in_paho = False  # what paho calls then must not have it write: it would wait for itself
        self._has_read = False
        self._waits_to_write = False
        self._last_words: asyncio.Handle | None = None
        self.closed = asyncio.Event()
        """Set as soon as paho has let go of the socket."""

    def start(self) -> None:
        """Read from now on, and write as soon as paho wants to."""
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
            with self._entered():
                self._paho.loop_write()
        except Exception:
            _LOGGER.debug("MQTT: writing failed", exc_info=True)
            self._broken("the connection broke while writing")
        if self._paho.is_unwritable and self._last_words is None and not self.closed.is_set():
            self._last_words = self._loop.call_soon(self._hear_last_words)

    def _hear_last_words(self) -> None:
        """Read why a broker has hung up that cannot be written to any more, then have writing fail."""
        self._readable()
        if not self.closed.is_set():
            self._paho.is_given_up = True
            self.write()

    def tend(self) -> None:
        """Have paho do what it does by time: pings, and ending a connection on which they stay unanswered."""
        with self._entered():
            self._paho.loop_misc()

    @contextmanager
    def _entered(self) -> Iterator[None]:
        self._in_paho = True
        try:
            yield
        finally:
            self._in_paho = False

    def _readable(self) -> None:
        self._heard()
        self._has_read = True
        try:
            with self._entered():
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
            if self._last_words is not None:
                self._last_words.cancel()

    def _on_want_write(self, _sock: object) -> None:
        """Write at once what was published, as sockets mostly take it; what they do not take has to wait.

        So has what comes first: a broker that hangs up after the handshake of TLS says why, and that has to be read
        before something is written to nobody.
        """
        if self._has_read and not self._in_paho:
            self.write()
        if not self.closed.is_set() and self._paho.want_write():
            self._waits_to_write = True
            self._loop.add_writer(self._sock, self.write)

    def _on_written(self, _sock: object) -> None:
        if self._waits_to_write:
            self._waits_to_write = False
            self._loop.remove_writer(self._sock)
