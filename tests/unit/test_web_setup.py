"""`nuki-bridge web setup` without a terminal: what it writes, with which modes, and what it says."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from nuki_bridge import config
from nuki_bridge.command_line import web_commands, web_setup
from nuki_bridge.command_line.cli import main
from nuki_bridge.kinds import Secret
from nuki_bridge.web import certificate, settings
from tests.integration.broker import make_ca, make_certificate


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No service is started, and no broker is asked."""
    monkeypatch.setattr(web_setup, "_systemctl", lambda *arguments: None)
    monkeypatch.setattr(web_setup, "_guest_mistake", lambda settings: None)
    monkeypatch.setattr(web_setup, "_free_tls_port", lambda: 443)


def run(directory: Path, *options: str) -> int:
    return main(["web", "setup", "--config", str(directory / "web.yaml"), *options])


def test_three_answers_make_a_page_for_the_family(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "password").write_text("it's s3cret\n")
    (tmp_path / "config.yaml").write_text("log_level: debug")
    options = ("--name", "door.lan", "--certificate", "own-ca", "--guest", "guest")
    assert run(tmp_path, *options, "--guest-password-file", str(tmp_path / "password")) == 0
    found = settings.load(tmp_path / "web.yaml", {})
    assert (found.own_ca, found.port) == (("door.lan",), 443)
    assert found.guest == settings.GuestSettings("guest", Secret("it's s3cret"))
    for name in ("web.yaml", web_setup.PASSWORD_FILE):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) & 0o137 == 0
    assert "s3cret" not in (tmp_path / "web.yaml").read_text()
    out, err = capsys.readouterr()
    assert "\nThe page: https://door.lan/\n" in out
    assert "█" in out or "▀" in out
    assert "https://door.lan/ca" in out
    assert "s3cret" not in out + err
    told = config.load(tmp_path / "config.yaml", {})
    assert (told.web.url, told.log_level) == ("https://door.lan", "debug")


def test_a_vpn_needs_no_certificate_and_a_guest_no_password(tmp_path: Path) -> None:
    assert run(tmp_path, "--name", "127.0.0.2", "--certificate", "vpn", "--guest", "guest") == 0
    found = settings.load(tmp_path / "web.yaml", {})
    assert (found.insecure, found.names, found.port, found.secure) == (True, ("127.0.0.2",), 8080, False)
    assert found.listen == ("127.0.0.2",)
    assert found.guest == settings.GuestSettings("guest")
    assert web_setup.url_of(found) == "http://127.0.0.2:8080"


API = """\
# For the heating.
bridge_api:{more}
  listen: 127.0.0.3
  # Twenty characters.
  token: "0123456789abcdef#:"
  username: bridge_api
  password: hunter2
"""


@pytest.mark.parametrize("before", ["", "log_level: debug\nport: 8090\n"])
@pytest.mark.parametrize("after", ["", "\nguest: {username: other}\n"])
@pytest.mark.parametrize(("more", "port"), [("", 8081), ("\n  port: 8081", 8080)])
def test_what_is_set_up_anew_keeps_the_bridge_api(
    before: str, after: str, more: str, port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It belongs to other programs, and whoever sets up the page does not think of it."""
    file = tmp_path / "web.yaml"
    file.write_text(before + API.format(more=more) + after)
    file.chmod(0o600)
    kept = settings.load(file, {}).bridge_api if before else None
    options = ("--name", "pi.lan", "--certificate", "local", "--guest", "guest", "--replace")
    assert run(tmp_path, *options) == 0
    found = settings.load(file, {})
    assert found.bridge_api is not None
    assert found.bridge_api.token.reveal() == "0123456789abcdef#:"
    assert kept is None or found.bridge_api == kept
    assert (found.port, found.log_level) == (port, "info")
    assert found.guest == settings.GuestSettings("guest")
    assert run(tmp_path, *options, "--port", str(found.bridge_api.port)) != 0
    assert settings.load(file, {}) == found
    out, err = capsys.readouterr()
    assert "hunter2" not in out + err
    assert "0123456789" not in out + err


def test_a_bridge_api_that_cannot_be_kept_is_not_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "web.yaml"
    file.write_text("bridge_api: {token: hunter2hunter2\n")
    assert run(tmp_path, "--name", "pi.lan", "--certificate", "local", "--no-guests", "--replace") != 0
    assert file.read_text() == "bridge_api: {token: hunter2hunter2\n"
    assert "hunter2" not in capsys.readouterr().err
    file.write_text("names: [pi.lan\n")
    assert run(tmp_path, "--name", "pi.lan", "--certificate", "local", "--no-guests", "--replace") != 0


@pytest.mark.parametrize("name", ["192.0.2.1", "pi.invalid"])
def test_a_vpn_that_is_not_up_yet_does_not_open_the_page_to_all(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--name", name, "--certificate", "vpn", "--guest", "guest") != 0
    assert f"{name} is no address of this machine now; start the VPN first" in capsys.readouterr().err
    assert not (tmp_path / "web.yaml").exists()


def test_a_certificate_of_files_has_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_ca(tmp_path / "ca.pem", tmp_path / "ca.key")
    make_certificate(tmp_path / "ca.pem", tmp_path / "ca.key", tmp_path / "c.pem", tmp_path / "c.key", "DNS:door.test")
    files = ("--certificate", "files", "--cert", str(tmp_path / "c.pem"), "--key", str(tmp_path / "c.key"))
    assert run(tmp_path, "--name", "other.test", *files, "--no-guests") == 0
    assert "does not have the name other.test, only door.test" in capsys.readouterr().err
    assert run(tmp_path, "--replace", "--name", "door.test", *files, "--no-guests", "--port", "8443") == 0
    found = settings.load(tmp_path / "web.yaml", {})
    assert found.tls == settings.CertificateFiles(tmp_path / "c.pem", tmp_path / "c.key")
    assert certificate.check(found) is None
    assert web_setup.url_of(found) == "https://door.test:8443"
    (tmp_path / "c.key").write_text("nothing")
    before = (tmp_path / "web.yaml").read_text()
    assert run(tmp_path, "--replace", "--name", "door.test", *files, "--no-guests") == 1
    assert (tmp_path / "web.yaml").read_text() == before


def test_what_is_there_is_kept_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "web.yaml").write_text("insecure: true\nnames: [pi.vpn]\n")
    assert run(tmp_path, "--name", "a", "--certificate", "local", "--no-guests") == 2
    assert "is there already; --show shows the address, --replace replaces it" in capsys.readouterr().err
    assert run(tmp_path, "--show") == 0
    assert "The page: http://pi.vpn:8080/" in capsys.readouterr().out


def test_without_a_terminal_the_question_that_is_open_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--name", "door.lan") == 2
    assert "there is no terminal to ask: " in capsys.readouterr().err
    assert not (tmp_path / "web.yaml").exists()


def test_the_broker_is_that_of_the_bridge(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mqtt: {host: broker.lan, port: 8883, tls: true}\nweb: {url: 'https://x'}\n")
    assert run(tmp_path, "--name", "pi", "--certificate", "local", "--no-guests") == 0
    found = settings.load(tmp_path / "web.yaml", {})
    assert (found.broker.host, found.broker.port, found.broker.tls is not None) == ("broker.lan", 8883, True)
    assert config.load(tmp_path / "config.yaml", {}).web.url == "https://x"  # somebody has chosen it


def test_the_bridges_secrets_are_not_needed_to_set_the_page_up(tmp_path: Path) -> None:
    """systemd may have them, and nobody else."""
    make_ca(tmp_path / "ca.pem", tmp_path / "ca.key")
    (tmp_path / "config.yaml").write_text(
        "mqtt: {host: broker.lan, tls: {ca: ca.pem}, username: nuki, password_file: mqtt-password}\n"
        "locks: [{name: door, pin_file: door-pin}]\n"
    )
    assert run(tmp_path, "--name", "door.lan", "--certificate", "own-ca", "--no-guests") == 0
    found = settings.load(tmp_path / "web.yaml", {}).broker
    assert (found.host, found.port, found.tls and found.tls.ca) == ("broker.lan", 8883, tmp_path / "ca.pem")
    assert config.load(tmp_path / "config.yaml", {}, other_files=False).web.url == "https://door.lan"


def test_the_hook_after_a_renewal_copies_both_files_at_once(tmp_path: Path) -> None:
    lineage = tmp_path / "live" / "door"
    lineage.mkdir(parents=True)
    (lineage / "fullchain.pem").write_text("certificate")
    (lineage / "privkey.pem").write_text("key")
    copies = tmp_path / "page-cert.pem", tmp_path / "page-key.pem"
    hook = web_setup._hook(lineage, "fullchain.pem", "privkey.pem", *copies).replace(f"-g {web_setup.SERVICE} ", "")
    for where, expected in ((tmp_path / "other", []), (lineage, ["certificate", "key"])):
        subprocess.run(["sh", "-c", hook], env={"RENEWED_LINEAGE": str(where), "PATH": "/usr/bin:/bin"}, check=True)
        assert [each.read_text() for each in copies if each.exists()] == expected
    assert stat.S_IMODE(copies[1].stat().st_mode) == 0o640


def test_each_way_that_is_offered_is_explained() -> None:
    assert tuple(web_setup.WAYS) == web_commands._WAYS
