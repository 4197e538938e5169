"""The page over TLS: certificates of files and of an own authority as clients check them, and what is said of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import stat
import subprocess
import time
from pathlib import Path

import pytest

from nuki_bridge.errors import PageError
from nuki_bridge.web import certificate, own_ca
from nuki_bridge.web.certificate import Certificates
from nuki_bridge.web.settings import CertificateFiles, WebSettings
from tests import patience
from tests.integration.broker import free_port, make_ca, make_certificate
from tests.integration.web import Web, web

pytestmark = pytest.mark.real_time


def trusting(ca: Path) -> ssl.SSLContext:
    """A client that trusts this authority alone, strictly, as Python 3.13 does by itself."""
    context = ssl.create_default_context(cafile=ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


async def shakes_hands(port: int, context: ssl.SSLContext, name: str) -> dict[str, object]:
    async with asyncio.timeout(patience.HANG_S):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    found = writer.get_extra_info("peercert")
    writer.close()
    return dict(found)


def settings(directory: Path, more: str) -> str:
    return (
        f"listen: 127.0.0.1\nport: {free_port()}\nstate_dir: {directory}/state\nbroker: {{port: 1}}\n"
        f"guest: {{username: guest}}\n{more}"
    )


async def test_the_own_authority_makes_a_certificate_that_clients_accept(tmp_path: Path) -> None:
    async with web(tmp_path, settings(tmp_path, "own_ca: [door.test, 127.0.0.1]")) as page:
        folder = tmp_path / "state" / own_ca.FOLDER
        assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        context = trusting(folder / own_ca.CA_FILE)
        for name in ("door.test", "127.0.0.1"):
            assert await shakes_hands(page.port, context, name)
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            await shakes_hands(page.port, context, "bank.test")
        await page.says(
            "a phone asked for bank.test, a name that the certificate does not have; it has door.test, 127.0.0.1"
        )
        answer = await page.get(b"GET /ca HTTP/1.1\r\nHost: door.test\r\nConnection: close\r\n\r\n", _anyone())
        assert own_ca.fingerprint(folder / own_ca.CA_FILE).encode() in answer
        assert b"Content-Security-Policy: default-src 'none'" in answer
        answer = await page.get(b"GET /ca.crt HTTP/1.1\r\nHost: door.test\r\nConnection: close\r\n\r\n", _anyone())
        assert b"Content-Type: application/x-x509-ca-cert" in answer
        assert answer.endswith((folder / own_ca.CA_FILE).read_bytes())
        assert b"PRIVATE" not in answer
        before = (folder / own_ca.CA_FILE).read_bytes()
    async with web(tmp_path, settings(tmp_path, "own_ca: [door.test]")) as page:
        assert (folder / own_ca.CA_FILE).read_bytes() == before  # made once
        assert await shakes_hands(page.port, context, "door.test")


def _anyone() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.parametrize(
    ("names", "stolen"),
    [
        (["door.test"], "DNS:bank.test"),
        (["door.test"], "IP:192.0.2.7"),
        (["192.0.2.1"], "DNS:bank.test"),
        (["192.0.2.1", "fd00::1"], "IP:192.0.2.7"),
        (["192.0.2.1", "fd00::1"], "IP:fd00::2"),
    ],
)
def test_whoever_steals_its_key_can_vouch_for_nobody_else(tmp_path: Path, names: list[str], stolen: str) -> None:
    folder = own_ca.prepare(tmp_path, names)
    own_ca.issue(folder, names)
    assert _verifies(folder, folder / own_ca.SERVER_FILE) == ""
    make_certificate(
        folder / own_ca.CA_FILE, folder / own_ca.CA_KEY_FILE, tmp_path / "stolen.pem", tmp_path / "stolen.key", stolen
    )
    assert "permitted subtree violation" in _verifies(folder, tmp_path / "stolen.pem")


def _verifies(folder: Path, cert: Path) -> str:
    ended = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", folder / own_ca.CA_FILE, cert],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if ended.returncode == 0 else ended.stdout + ended.stderr


def test_a_name_that_the_authority_may_not_vouch_for_is_told(tmp_path: Path) -> None:
    folder = own_ca.prepare(tmp_path, ["door.test"])
    assert own_ca.prepare(tmp_path, ["door.test", "a.door.test"]) == folder
    with pytest.raises(PageError, match=r"vouches for door\.test only, not for other\.test"):
        own_ca.prepare(tmp_path, ["door.test", "other.test"])


def test_the_own_certificate_is_renewed_long_before_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Certificates(WebSettings(own_ca=("door.test",), state_dir=tmp_path))
    kept.load()
    first = kept.context()
    assert not kept._is_due()
    now = time.time()
    day = 86400.0
    monkeypatch.setattr(time, "time", lambda: now + (own_ca.SERVER_DAYS - own_ca.RENEW_DAYS + 1) * day)
    assert kept._is_due()
    kept._take()
    assert kept.context() is not first
    monkeypatch.setattr(time, "time", lambda: now - day)  # a clock that was wrong when it was made
    assert kept._is_due()


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    make_ca(tmp_path / "ca.pem", tmp_path / "ca.key")
    make_certificate(
        tmp_path / "ca.pem",
        tmp_path / "ca.key",
        tmp_path / "c.pem",
        tmp_path / "c.key",
        "DNS:door.test,DNS:*.pages.test",
    )
    return CertificateFiles(tmp_path / "c.pem", tmp_path / "c.key")


async def test_a_renewed_certificate_is_taken_without_a_restart(
    tmp_path: Path, files: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "LOOK_S", 0.01)
    kept = Certificates(WebSettings(tls=files))
    kept.load()
    first = kept.context()
    looking = asyncio.create_task(kept.run())
    files.cert.write_text("half of a file")
    await asyncio.sleep(0.2)
    assert kept.context() is first
    make_certificate(tmp_path / "ca.pem", tmp_path / "ca.key", files.cert, files.key, "DNS:door.test")
    deadline = patience.now() + patience.HANG_S
    while kept.context() is first and patience.now() < deadline:
        await asyncio.sleep(0.01)
    assert kept.context() is not first
    looking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await looking


def test_what_phones_would_refuse_is_told_in_one_sentence(tmp_path: Path, files: CertificateFiles) -> None:
    def told(**more: object) -> str | None:
        return certificate.check(WebSettings(tls=files, **more))  # type: ignore[arg-type]

    assert told() is None
    assert told(names=("door.test", "my.pages.test")) is None
    assert told(names=("other.test",)) == (
        f"the certificate {files.cert} does not have the name other.test, only door.test, *.pages.test; take another"
        " certificate, or use a name that it has"
    )
    _, found = certificate.read(files.cert, files.key)
    assert (found.mistake([], found.ends + 1) or "").startswith(f"the certificate {files.cert} has expired on ")
    assert "is this computer's clock right?" in (found.mistake([], found.begins - 1) or "")
    make_certificate(tmp_path / "ca.pem", tmp_path / "ca.key", tmp_path / "o.pem", tmp_path / "o.key", "DNS:o.test")
    os.replace(tmp_path / "o.key", files.key)
    assert f"the key {files.key} does not belong to the certificate {files.cert}" in (told() or "")
    files.key.write_text("nothing")
    assert "cannot be used: " in (told() or "")


async def test_whoever_speaks_no_tls_or_never_ends_a_handshake_gets_nothing(
    tmp_path: Path, files: CertificateFiles
) -> None:
    more = f"tls: {{cert: {files.cert}, key: {files.key}}}"
    async with web(tmp_path, settings(tmp_path, more)) as page:
        assert await page.get(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") in (b"", page_alert := await _alert(page))
        assert b"HTTP" not in page_alert
        context = trusting(tmp_path / "ca.pem")
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        assert await shakes_hands(page.port, context, "door.test")


async def _alert(page: Web) -> bytes:
    return await page.get(b"nothing of TLS\r\n\r\n")
