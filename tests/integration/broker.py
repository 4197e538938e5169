"""A private mosquitto for tests, and `Peer`, an independent MQTT client to talk to it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client as Paho
from paho.mqtt.client import MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests import patience

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
_reservations: list[socket.socket] = []


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on, and that nobody gets by chance as long as this process lives."""
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # lets a server have it that says the same
    reservation.bind(("127.0.0.1", 0))
    _reservations.append(reservation)
    return int(reservation.getsockname()[1])


class Broker:
    """mosquitto on a free loopback port; `with` starts and kills it.  Its state is lost at a stop.

    `directory` holds its files.  `users` (name to password) turns anonymous access off.  `tls` makes a throw-away CA
    and a certificate for `names`, `client_certificate` also demands one of clients.  `options` are further lines of
    mosquitto.conf.
    """

    def __init__(
        self,
        directory: Path,
        *,
        users: Mapping[str, str] | None = None,
        tls: bool = False,
        names: str = "DNS:localhost,IP:127.0.0.1",
        client_certificate: bool = False,
        options: tuple[str, ...] = (),
    ) -> None:
        self.directory = directory
        self.port = free_port()
        self.ca = directory / "ca.pem"
        self.certificate = directory / "client.pem"
        self.key = directory / "client.key"
        self._users = users
        self._lines = list(options)
        if tls:
            make_ca(self.ca, directory / "ca.key")
            make_certificate(self.ca, directory / "ca.key", directory / "server.pem", directory / "server.key", names)
            self._lines += [
                f"cafile {self.ca}",
                f"certfile {directory}/server.pem",
                f"keyfile {directory}/server.key",
                f"require_certificate {str(client_certificate).lower()}",
            ]
        if client_certificate:
            make_certificate(self.ca, directory / "ca.key", self.certificate, self.key, names)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything it has logged."""
        return (self.directory / "mosquitto.log").read_text(errors="replace")

    def start(self) -> None:
        """Start it, on the same port each time, and wait until it accepts connections."""
        if not Path(MOSQUITTO).exists():
            raise RuntimeError("mosquitto is not installed (Debian: apt install mosquitto)")
        if self._users is not None:
            self._write_passwords()
        configuration = self.directory / "mosquitto.conf"
        user = ["user root"] if os.geteuid() == 0 else []  # else it drops root and cannot read its files
        configuration.write_text(
            "\n".join(
                [
                    f"listener {self.port} 127.0.0.1",
                    f"allow_anonymous {str(self._users is None).lower()}",
                    "persistence false",
                    "log_type all",
                    *([f"password_file {self.directory}/passwords"] if self._users is not None else []),
                    *user,
                    *self._lines,
                    "",
                ]
            )
        )
        self.run(configuration)

    def run(self, configuration: Path) -> None:
        """Start it with this configuration and wait until it accepts connections."""
        with (self.directory / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", str(configuration)], stdout=log, stderr=log)
        deadline = patience.now() + patience.HANG_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except ConnectionRefusedError:
                if self._process.poll() is not None or patience.now() > deadline:
                    self.stop()
                    raise RuntimeError(f"mosquitto did not start:\n{self.log}") from None
                time.sleep(0.01)

    def stop(self) -> None:
        """Kill it; nothing happens if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """Let it hang: it accepts connections (the kernel does) and never answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """End `freeze`."""
        os.kill(self.pid, signal.SIGCONT)

    def set_users(self, users: Mapping[str, str]) -> None:
        """Change names and passwords while it runs."""
        self._users = users
        self._write_passwords()
        os.kill(self.pid, signal.SIGHUP)

    def _write_passwords(self) -> None:
        file = self.directory / "passwords"
        assert self._users is not None
        file.write_text("".join(f"{name}:{password}\n" for name, password in self._users.items()))
        file.chmod(0o600)
        subprocess.run(["mosquitto_passwd", "-U", str(file)], check=True)  # hashes the file in place


def make_ca(certificate: Path, key: Path) -> None:
    """A throw-away certificate authority, made as the internet's recipes make it: without key usage extensions."""
    _openssl(f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test-{key.parent.name}")(
        "-keyout", key, "-out", certificate
    )


def make_certificate(ca: Path, ca_key: Path, certificate: Path, key: Path, names: str) -> None:
    """A certificate for `names` (as OpenSSL writes subjectAltName), signed by `ca`."""
    request = certificate.with_suffix(".csr")
    _openssl("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost")(
        "-keyout", key, "-out", request, "-addext", f"subjectAltName={names}"
    )
    _openssl("x509 -req -days 2 -copy_extensions copy -CAcreateserial")(
        "-in", request, "-CA", ca, "-CAkey", ca_key, "-out", certificate
    )


def _openssl(options: str) -> Callable[..., None]:
    def run(*more: object) -> None:
        subprocess.run(["openssl", *options.split(), *map(str, more)], check=True, capture_output=True)

    return run


@dataclass(frozen=True)
class Received:
    """A message that a client got."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Any
    """By paho's names; those that did not come are no attributes."""


class Peer:
    """Another MQTT 5 client, in paho's own thread, so that it goes on while the event loop stands still."""

    def __init__(self, broker: Broker, *, username: str | None = None, password: str | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Received] = asyncio.Queue()
        self._paho = Paho(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._paho.max_inflight_messages_set(1000)
        if username is not None:
            self._paho.username_pw_set(username, password)
        self.sent: set[tuple[str, bytes]] = set()
        """Topics and payloads that this client published."""
        self._acknowledged = asyncio.Event()
        self._paho.on_message = self._received
        self._paho.on_subscribe = lambda *_: self._call(self._acknowledged.set)
        self._paho.connect("127.0.0.1", broker.port)
        self._paho.loop_start()

    async def __aenter__(self) -> Peer:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def _received(self, _client: Paho, _data: object, message: MQTTMessage) -> None:
        payload, properties = bytes(message.payload), message.properties
        self._call(self._queue.put_nowait, Received(message.topic, payload, message.qos, message.retain, properties))

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def close(self) -> None:
        """Disconnect and end the thread."""
        self._paho.disconnect()
        self._paho.loop_stop()

    async def subscribe(self, topic: str) -> None:
        """Subscribe, with Retain As Published, and wait for the broker's answer."""
        self._acknowledged.clear()
        self._paho.subscribe(topic, options=SubscribeOptions(qos=1, retainAsPublished=True))
        async with asyncio.timeout(patience.HANG_S):
            await self._acknowledged.wait()

    def publish(self, topic: str, payload: bytes | str, *, retain: bool = False, **properties: Any) -> None:
        """Publish at QoS 1 and block until the broker has it; `properties` by paho's names (`ResponseTopic=...`).

        After the broker was away it waits until this client is connected again.
        """
        patience.blocking_until(self._paho.is_connected)
        self.send(topic, payload, retain=retain, **properties).wait_for_publish(600)

    def send(self, topic: str, payload: bytes | str, *, retain: bool = False, **properties: Any) -> Any:
        """`publish` without waiting; gives paho's MQTTMessageInfo."""
        packed = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        for name, value in properties.items():
            setattr(packed, name, value)
        self.sent.add((topic, payload.encode() if isinstance(payload, str) else bytes(payload)))
        return self._paho.publish(topic, payload, 1, retain, packed)

    async def next(self, timeout_s: float = patience.HANG_S) -> Received:
        """The next message received; TimeoutError if none comes."""
        async with asyncio.timeout(timeout_s):
            return await self._queue.get()
