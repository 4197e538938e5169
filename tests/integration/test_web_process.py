"""`nuki-bridge web` as systemd starts it: readiness, watchdog, and the one sentence with which it ends if it must."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

import pytest

from nuki_bridge.web import files
from tests import patience
from tests.integration.broker import free_port
from tests.integration.manager import Manager
from tests.integration.web import ROOT, fetch_nacl

pytestmark = pytest.mark.real_time


async def ends(directory: Path, settings: str, *more: str) -> tuple[int, str]:
    """Exit status and what it said, of a server that cannot serve."""
    file = directory / "web.yaml"
    file.write_text(settings)
    file.chmod(0o600)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nuki_bridge", "web", "--config", str(file), *more),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(patience.HANG_S):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_systemd_is_told_and_its_watchdog_is_fed(tmp_path: Path) -> None:
    pytest.importorskip("systemd.daemon")
    fetch_nacl()
    manager = Manager(tmp_path)
    port = free_port()
    (tmp_path / "web.yaml").write_text(f"listen: 127.0.0.1\nport: {port}\nbroker: {{host: 127.0.0.1, port: 1}}\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nuki_bridge", "web", "--config", str(tmp_path / "web.yaml")),
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "1500000"},
    )
    try:
        await manager.until(lambda: "READY=1" in manager.lines)
        assert manager.status == f"serving on port {port}"
        process.send_signal(signal.SIGUSR1)  # meant for the Bridge HTTP API, which is off: nobody is cut off
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith((files.PAGE / "index.html").read_bytes())
        writer.close()
        await manager.until_fed(3)
        process.terminate()
        async with asyncio.timeout(patience.HANG_S):
            assert await process.wait() == 0
        assert "STOPPING=1" in manager.lines
    finally:
        manager.close()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_port_that_is_taken_is_told_in_one_sentence(tmp_path: Path) -> None:
    fetch_nacl()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, said = await ends(tmp_path, f"listen: 127.0.0.1\nport: {port}\n")
    assert status == 1
    assert said == (
        f"nuki-bridge: 127.0.0.1:{port} is in use by another program; give `port` in web.yaml another value, or stop"
        " that program (page_error)\n"
    )


async def test_an_address_of_another_machine_is_told(tmp_path: Path) -> None:
    fetch_nacl()
    status, said = await ends(tmp_path, "insecure: true\nlisten: 192.0.2.77\nport: 8080\n")
    assert status == 1
    assert "192.0.2.77" in said
    assert "no" in said
    assert said.count("\n") == 1


async def test_a_wrong_configuration_ends_it_for_good(tmp_path: Path) -> None:
    status, said = await ends(tmp_path, "listen: 0.0.0.0\nguest: {username: guest, password_file: hunter2}\n")
    assert status == 2  # systemd does not try again
    first, second = said.splitlines()
    assert first.startswith(f"{tmp_path}/web.yaml:1: listen: must be a loopback address")
    assert second.startswith(f"{tmp_path}/web.yaml:2: guest.password_file: cannot read this file")
    assert "hunter2" not in said


async def test_a_certificate_that_cannot_be_used_is_told_in_one_sentence(tmp_path: Path) -> None:
    fetch_nacl()
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("nothing")
        (tmp_path / name).chmod(0o600)
    status, said = await ends(tmp_path, f"port: {free_port()}\ntls: {{cert: cert.pem, key: key.pem}}\n")
    assert status == 1
    assert said.startswith(
        f"nuki-bridge: the certificate {tmp_path}/cert.pem with the key {tmp_path}/key.pem cannot be used"
    )
    assert said.count("\n") == 1
