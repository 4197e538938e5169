"""The journal's own protocol: what the daemon writes to journald's socket, seen from there.

The socket has a fixed path, so that the daemon gets a mount namespace with one of ours at that place.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.broker import Broker
from tests.integration.daemon import PIN, ULTRA, Daemon, watching

UNSHARE = shutil.which("unshare")
pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(
        UNSHARE is None or subprocess.run([UNSHARE, "-m", "true"], capture_output=True).returncode != 0,
        reason="needs root and mount namespaces",
    ),
]
pytest.importorskip("systemd.journal")


class Journald:
    """journald's end of the socket."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(directory / "socket"))
        self._socket.setblocking(False)
        self.entries: list[dict[str, str]] = []
        asyncio.get_running_loop().add_reader(self._socket, self._receive)

    def _receive(self) -> None:
        self.entries.append(_fields(self._socket.recv(1 << 20)))

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()


def _fields(datagram: bytes) -> dict[str, str]:
    """The native protocol: `NAME=value` lines; a value with newlines follows its name and length (64 bits)."""
    fields: dict[str, str] = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + size], rest[9 + size :]
        fields[name.decode()] = value.decode()
        datagram = rest
    return fields


class UnderJournald(Daemon):
    """A daemon whose stderr is the journal's."""

    def start_under(self, journald: Journald) -> None:
        script = (
            'mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && mount --bind "$0" /run/systemd/journal'
            ' && exec "$@"'
        )
        program = [sys.executable, "-m", "nuki_bridge", "run", "--config", str(self.config)]
        with (self.directory / "daemon.log").open("ab") as log:
            status = os.fstat(log.fileno())
            self.process = subprocess.Popen(
                ["unshare", "-m", "sh", "-c", script, str(journald.directory), *program],
                stdout=log,
                stderr=log,
                env={**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"},
            )


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    directory = tmp_path / "broker"
    directory.mkdir()
    with Broker(directory) as broker:
        yield broker


async def test_entries_carry_lock_and_transaction_and_no_secret(broker: Broker, tmp_path: Path) -> None:
    journald = Journald(tmp_path / "journal")
    daemon = UnderJournald(tmp_path, broker.port)
    home = await watching(broker, daemon)
    daemon.start_under(journald)
    try:
        await home.online()
        await home.pair(ULTRA, pin=PIN)
        await home.ask("front/set", {"action": "unlock", "transaction": "evening\n1"})
        await home.until(lambda: any(done(each) for each in journald.entries))
        found = next(each for each in journald.entries if done(each))
        assert (found["NUKI_LOCK"], found["NUKI_TRANSACTION"]) == ("front", "evening?1")
        assert (found["PRIORITY"], found["SYSLOG_IDENTIFIER"]) == ("6", "nuki-bridge")
        assert found["CODE_FILE"].endswith(".py")
        assert found["CODE_FUNC"]
        assert int(found["CODE_LINE"]) > 0
        allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")
        assert all(set(name) <= allowed for each in journald.entries for name in each)
        assert not [each for each in journald.entries if PIN in "".join(each.values())]
        assert daemon.log == ""
    finally:
        home.close()
        daemon.kill()
        journald.close()


def done(entry: dict[str, str]) -> bool:
    return entry["MESSAGE"].startswith("front: unlock: done")
