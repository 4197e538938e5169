"""What the daemon has loaded once it serves a lock: it stays in memory for years, and every start waits for it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nuki_bridge.protocol.advertisement import APPLE, beacon_data
from nuki_bridge.protocol.codes import Family, IdType
from nuki_bridge.store import PairedLock, Store
from tests import patience
from tests.integration.bluez_rig import ADDRESS, NUKI_ID, PrivateBus, classic_services
from tests.integration.broker import Broker, Peer, free_port
from tests.integration.daemon import Daemon
from tests.radio.bluez import Peripheral, StandInBluez

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="needs dbus-daemon"),
]

RUN = """
import pathlib, sys
from nuki_bridge.command_line.start import main
status = main(["run", "--config", sys.argv[1]])
pathlib.Path(sys.argv[2]).write_text(" ".join(sys.modules))
sys.exit(status)
"""

OURS = {
    *("bluetooth", "bridge", "command_line", "daemon", "home_assistant", "lock", "mqtt", "nuki_mqtt", "owner"),
    *("protocol", "sharing", "topics"),
    *("allowance", "arguments", "config", "database", "errors", "kinds", "lock_name", "logs", "records", "schema"),
    *("store", "watchdog", "yamlpage"),
}
"""Folders and modules of this program."""
OF_THE_COMMAND_LINE = {"daemon_commands", "start"}
PACKAGES = {"bleak", "dbus_fast", "nacl", "paho", "typing_extensions", "yaml"}
"""Those of others; `typing_extensions` is bleak's on Python 3.11."""
LIBRARY = {
    *("abc", "argparse", "array", "ast", "asyncio", "atexit", "base64", "binascii", "bisect", "builtins", "bz2"),
    *("codecs", "collections", "concurrent", "contextlib", "contextvars", "copy", "copyreg", "dataclasses"),
    *("datetime", "dis", "encodings", "enum", "errno", "fcntl", "fnmatch", "functools", "gc", "genericpath"),
    *("gettext", "glob", "grp", "hashlib", "heapq", "hmac", "importlib", "inspect", "io", "ipaddress", "itertools"),
    *("json", "keyword", "linecache", "locale", "logging", "lzma", "marshal", "math", "ntpath", "opcode"),
    *("operator", "os", "pathlib", "platform", "posix", "posixpath", "pwd", "pyexpat", "random", "re", "reprlib"),
    *("secrets", "select", "selectors", "shutil", "signal", "site", "socket", "sqlite3", "stat", "string", "struct"),
    *("subprocess", "sys", "sysconfig", "textwrap", "threading", "time", "token", "tokenize", "traceback", "types"),
    *("typing", "unicodedata", "urllib", "uuid", "warnings", "weakref", "xml", "zipimport", "zlib", "zoneinfo"),
}
"""What Python 3.11 to 3.13 bring; `xml` and what unpacks archives come with dbus-fast and bleak."""
ABSENT = {"email", "http", "urllib.request", "_hashlib", "ssl"}
"""What would take megabytes: HTTP and mail for proxies, OpenSSL for a broker with TLS."""
OF_THE_ENVIRONMENT = {"cython_runtime", "sitecustomize", "socks"}
"""What the machine, Cython and the stand-ins of tests add."""


def paired(directory: Path) -> None:
    """A lock in the store, as if it had been paired with."""
    with closing(Store(directory)) as store:
        store.open()
        paired_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        key, uuid = bytes(range(32)), bytes(16)
        store.save_lock(
            PairedLock("front", ADDRESS, NUKI_ID, Family.CLASSIC, 1, key, 1, uuid, IdType.BRIDGE, paired_at)
        )


async def connected(bluez: StandInBluez) -> None:
    """The lock advertises until the daemon has a link to it and has asked something."""
    lock = Peripheral(ADDRESS, classic_services(), name="Nuki_22AABBCC")
    deadline = patience.now() + patience.HANG_S
    while not lock.written:
        assert patience.now() < deadline, bluez.calls
        bluez.advertise(lock, manufacturer={APPLE: beacon_data(NUKI_ID, state_changed=False)})
        await asyncio.sleep(0.05)


async def loaded(directory: Path) -> set[str]:
    """The modules of a daemon that has talked to its lock, by their full names."""
    paired(directory / "state")
    bluez = StandInBluez()
    bluez.add_adapter()
    await bluez.start()
    try:
        with Broker(directory) as broker:
            config = directory / "config.yaml"
            config.write_text(
                f"mqtt: {{host: 127.0.0.1, port: {broker.port}}}\nstate_dir: {directory}/state\n"
                "locks: [{name: front}]\n"
            )
            async with Peer(broker) as peer:
                await peer.subscribe("nuki/bridge/state")
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", RUN, str(config), str(directory / "loaded"), env={**os.environ}
                )
                try:
                    while (await peer.next(patience.HANG_S)).payload != b"online":
                        pass
                    await connected(bluez)
                finally:
                    process.send_signal(signal.SIGTERM)
                    assert await process.wait() == 0
    finally:
        await bluez.kill()
    return set((directory / "loaded").read_text().split())


async def test_what_is_loaded_is_listed_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = PrivateBus(tmp_path)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    bus.start()
    try:
        modules = await loaded(tmp_path)
    finally:
        bus.stop()
    folders = {name.split(".")[1] for name in modules if name.startswith("nuki_bridge.")}
    assert folders == OURS
    commands = {name.split(".")[2] for name in modules if name.startswith("nuki_bridge.command_line.")}
    assert commands == OF_THE_COMMAND_LINE
    public = {name.split(".")[0] for name in modules if not name.startswith("_")}
    assert public - LIBRARY - PACKAGES - OF_THE_ENVIRONMENT == {"nuki_bridge"}
    assert modules & ABSENT == set()


async def test_tls_is_loaded_by_whoever_turns_to_a_broker_with_it(tmp_path: Path) -> None:
    """The process began without it."""
    port = free_port()
    with Broker(tmp_path, tls=True, options=(f"listener {port} 127.0.0.1",)) as broker:
        daemon = Daemon(tmp_path, broker.port)

        async def connected(to: int) -> None:
            deadline = patience.now() + patience.HANG_S
            while f":{to} with MQTT" not in daemon.log:
                assert patience.now() < deadline, daemon.log
                await asyncio.sleep(0.05)

        daemon.start()
        try:
            await connected(broker.port)
            assert "libssl" not in daemon.mapped()
            secure = f"mqtt: {{host: localhost, port: {port}, tls: {{ca: {broker.ca}}}}}"
            plain = f"mqtt: {{host: 127.0.0.1, port: {broker.port}}}"
            daemon.config.write_text(daemon.config.read_text().replace(plain, secure))
            daemon.signal(signal.SIGHUP)
            await connected(port)
            assert "libssl" in daemon.mapped()
            async with Peer(broker) as peer:
                await peer.subscribe("nuki/bridge/response/restart")
                peer.publish("nuki/bridge/request/restart", "{}")
                assert b"ok" in (await peer.next(patience.HANG_S)).payload
            assert await daemon.ended(patience.HANG_S) == 1
        finally:
            daemon.kill()
