"""The phone page's configuration: what it says, and what is said about its mistakes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nuki_bridge.command_line.cli import main
from nuki_bridge.errors import ConfigError
from nuki_bridge.kinds import Secret, TlsSettings
from nuki_bridge.web import files as page_files
from nuki_bridge.web import settings as web_settings
from nuki_bridge.web.settings import (
    BridgeApiSettings,
    BrokerSettings,
    CertificateFiles,
    GuestSettings,
    WebSettings,
    load,
)

TOKEN = "0123456789abcdefghij"


def loaded(directory: Path, text: str, environ: dict[str, str] | None = None) -> WebSettings:
    file = directory / "web.yaml"
    file.write_text(text)
    file.chmod(0o600)
    return load(file, environ or {})


def mistakes(directory: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        loaded(directory, text)
    return [each.removeprefix(f"{directory}/web.yaml:") for each in error.value.mistakes]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("cert.pem", "key.pem", "guest"):
        (tmp_path / name).write_text("secret\n")
        (tmp_path / name).chmod(0o600)
    return tmp_path


def test_without_tls_it_listens_on_this_machine_alone(tmp_path: Path) -> None:
    found = loaded(tmp_path, "")
    assert (found.listen, found.port, found.secure) == (("127.0.0.1", "::1"), 8080, False)
    assert loaded(tmp_path, "insecure: true").listen == ("0.0.0.0", "::")
    assert loaded(tmp_path, "insecure: true\nlisten: 10.8.0.1").listen == ("10.8.0.1",)
    assert loaded(tmp_path, "listen: '[::1]'").listen == ("::1",)


def test_with_a_certificate_it_listens_everywhere(files: Path) -> None:
    found = loaded(files, "tls: {cert: cert.pem, key: key.pem}")
    assert (found.listen, found.port) == (("0.0.0.0", "::"), 443)
    assert found.tls == CertificateFiles(files / "cert.pem", files / "key.pem")
    found = loaded(files, "own_ca: [Door.lan, 192.168.1.5, 'fd00::1', door.lan]\nport: 8443")
    assert (found.own_ca, found.port) == (("door.lan", "192.168.1.5", "fd00::1"), 8443)


def test_broker_and_guests(files: Path) -> None:
    found = loaded(files, "broker: {host: broker.lan, tls: true}\nguest: {username: guest, password_file: guest}")
    assert found.broker == BrokerSettings("broker.lan", 8883, TlsSettings())
    assert found.guest == GuestSettings("guest", Secret("secret"))
    assert "secret" not in repr(found)


def test_a_secret_may_come_from_systemd(files: Path) -> None:
    credentials = files / "credentials"
    credentials.mkdir()
    (credentials / "guest").write_text("from systemd\n")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials), "STATE_DIRECTORY": "/var/lib/page"}
    found = loaded(files, "guest: {username: guest, password_file: guest}", environ)
    assert found.guest == GuestSettings("guest", Secret("from systemd"))
    assert found.state_dir == Path("/var/lib/page")


def test_who_checks_it_finds_the_running_services_secrets(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = files / "run"
    monkeypatch.setattr(web_settings, "CREDENTIALS_OF_SERVICE", running)
    monkeypatch.setattr(web_settings, "DEFAULT_PATH", files / "web.yaml")
    text = "guest: {username: guest, password_file: of-systemd}"
    with pytest.raises(ConfigError, match="LoadCredential"):
        loaded(files, text)
    running.mkdir()
    (running / "of-systemd").write_text("from systemd\n")
    assert loaded(files, text).guest == GuestSettings("guest", Secret("from systemd"))


KEYS = "listen, port, tls, own_ca, insecure, names, broker, guest, bridge_api, state_dir, log_level"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prot: 1", [f"1: prot: unknown key, did you mean port? allowed here: {KEYS}"]),
        ("port: '80'", ["1: port: must be a whole number from 1 to 65535, without quotes"]),
        (
            "\nlisten: 0.0.0.0",
            [
                "2: listen: must be a loopback address such as 127.0.0.1 without tls or own_ca; `insecure: true` says"
                " that a VPN protects what phones send"
            ],
        ),
        (
            "listen: door.lan",
            ["1: listen: must be an IP address of this machine, such as 127.0.0.1, 0.0.0.0 for all, or 10.8.0.1"],
        ),
        ("tls: true", ["1: tls: must be a mapping of cert and key"]),
        ("tls: {cert: cert.pem}", ["1: tls.key: is missing; cert and key belong together"]),
        (
            "own_ca: [https://door.lan]",
            ["1: own_ca[0]: must be a host name such as door.example.net or an IP address, without https:// and port"],
        ),
        ("own_ca: []", ["1: own_ca: must be a list of 1 to 20 names or IP addresses"]),
        (
            "tls: {cert: cert.pem, key: key.pem}\nown_ca: [a]\ninsecure: true",
            [
                "2: own_ca: give either tls or own_ca, not both",
                "3: insecure: has no meaning with tls or own_ca; remove one of them",
            ],
        ),
        ("guest: {password: x}", ["1: guest.username: is missing; it is the guests' account at the broker"]),
        (
            "guest: {username: g, password: a, password_file: guest}",
            ["1: guest.password_file: give either password or password_file, not both"],
        ),
        ("log_level: loud", ["1: log_level: must be debug, info, warning or error"]),
    ],
)
def test_mistakes_are_told_with_their_line(files: Path, text: str, expected: list[str]) -> None:
    assert mistakes(files, text) == expected


def test_an_unreadable_secret_is_told_without_its_name(files: Path) -> None:
    [told] = mistakes(files, "guest: {username: guest, password_file: hunter2}")
    assert told.startswith("1: guest.password_file: cannot read this file: No such file or directory")
    assert "hunter2" not in told


def test_without_a_file_it_is_said_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no such file; `nuki-bridge web setup` writes it"):
        load(tmp_path / "web.yaml", {})


def test_a_password_that_everybody_can_read_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text("guest: {username: guest, password: s3cret}")
    os.chmod(file, 0o644)
    [warning] = load(file, {}).warnings
    assert "every user can read this secret" in warning
    assert "s3cret" not in warning


def test_check_config_checks_the_page_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("log_level: info\n")
    (tmp_path / "web.yaml").write_text("\nprot: 1\n")
    assert main(["check-config", "--config", str(tmp_path / "config.yaml")]) == 2
    out, err = capsys.readouterr()
    assert out == f"{tmp_path}/config.yaml is valid\n"
    assert err == f"{tmp_path}/web.yaml:2: prot: unknown key, did you mean port? allowed here: {KEYS}\n"
    (tmp_path / "config.yaml").write_text("lgo_level: info\n")
    assert main(["check-config", "--config", str(tmp_path / "config.yaml")]) == 2
    assert capsys.readouterr().err.count("unknown key") == 2
    (tmp_path / "config.yaml").write_text("")
    (tmp_path / "web.yaml").write_text("port: 8080\n")
    assert main(["check-config", "--config", str(tmp_path / "config.yaml")]) == 0
    assert f"{tmp_path}/web.yaml is valid" in capsys.readouterr().out


def test_the_example_and_the_documentation_name_every_key() -> None:
    root = Path(__file__).parents[2]
    example = (root / "etc" / "web.yaml").read_text()
    page = "".join((root / "docs" / each).read_text() for each in ("page.md", "bridge-http.md"))
    below = {"tls": web_settings._FILES, "broker": web_settings._BROKER, "guest": web_settings._GUEST}
    below["bridge_api"] = web_settings._BRIDGE_API
    for key in web_settings._WEB:
        assert f"#{key}:" in example, key
        for each in [f"{key}.{inner}" for inner in below.get(key, ())] or [key]:
            assert f"`{each}`" in page, each


def test_the_example_is_valid_without_its_comment_signs(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    example = (root / "etc" / "web.yaml").read_text()
    api = example[example.index("#bridge_api:") : example.index("\n\n", example.index("#bridge_api:"))]
    lines = example.replace(api, "").splitlines()  # on its own below, because of the files that it names
    left_out = ("#tls:", "#insecure", "#  password_file")
    text = "\n".join(
        each[1:]
        for each in lines
        if each.startswith("#")
        and ":" in each
        and (each[1] != " " or each[1:3] == "  ")
        and not each.startswith(left_out)
    )
    found = loaded(tmp_path, text)
    assert (found.port, found.own_ca, found.broker, found.guest) == (
        443,
        ("door.lan", "192.168.1.5"),
        BrokerSettings(),
        GuestSettings("guest"),
    )
    text = "\n".join(each[1:] for each in api.splitlines() if "password_file" not in each)
    found = loaded(
        tmp_path, "port: 443\n" + text.replace("token_file: /etc/nuki-bridge/bridge-api-token", f"token: {TOKEN}")
    )
    assert found.bridge_api == BridgeApiSettings(Secret(TOKEN), ("127.0.0.1",), username="bridge_api")


def test_the_page_is_told_the_base_topic(tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text("broker: {base_topic: home/doors}\n")
    assert load(path).broker.base_topic == "home/doors"
    assert json.loads(page_files.settings("home/doors")["/settings.json"].plain) == {"base_topic": "home/doors"}
    path.write_text("broker: {base_topic: 'doors/#'}\n")
    with pytest.raises(ConfigError, match=r"broker\.base_topic: must be a topic without"):
        load(path)


# -- the Bridge HTTP API ----------------------------------------------------------------------------------------------


def test_the_bridge_api_is_off_without_its_section(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").bridge_api is None
    assert loaded(tmp_path, "bridge_api:\n").bridge_api is None


def test_the_bridge_api_listens_on_this_machine_alone_unless_told_otherwise(files: Path) -> None:
    (files / "token").write_text(f"{TOKEN}\n")
    (files / "token").chmod(0o600)
    found = loaded(files, "port: 8443\nbridge_api: {token_file: token, username: bridge_api, password_file: guest}")
    assert found.bridge_api == BridgeApiSettings(
        Secret(TOKEN), ("127.0.0.1", "::1"), 8080, False, "bridge_api", Secret("secret")
    )
    assert TOKEN not in repr(found)
    assert found.warnings == ()
    found = loaded(files, f"port: 8443\nbridge_api: {{token: {TOKEN}, listen: 192.168.1.5, port: 80}}")
    assert found.bridge_api is not None
    assert (found.bridge_api.listen, found.bridge_api.port) == (("192.168.1.5",), 80)


def test_a_short_token_is_warned_of_and_not_quoted(tmp_path: Path) -> None:
    [warning] = loaded(tmp_path, "port: 8443\nbridge_api: {token: hunter2}").warnings
    assert "bridge_api.token: whoever records one call can try all short tokens" in warning
    assert "hunter2" not in warning


SIZES = "must be 6 to 20 letters, digits and other printable ASCII characters without spaces"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "bridge_api: {port: 8081}",
            ["1: bridge_api.token: is missing, as is token_file; other programs have to know it"],
        ),
        ("bridge_api: {port: 8081, token: short}", [f"1: bridge_api.token: {SIZES}"]),
        ("bridge_api: {port: 8081, token: 'much too long a token for it'}", [f"1: bridge_api.token: {SIZES}"]),
        (
            f"bridge_api: {{port: 8081, token: {TOKEN}, password: x}}",
            ["1: bridge_api.username: is missing; it is the account at the broker"],
        ),
        (
            f"\nbridge_api: {{token: {TOKEN}}}",
            [
                "2: bridge_api.port: 8080 is the page's port already; give this one, or `port`, another value, such as"
                " 8081"
            ],
        ),
        (
            f"insecure: true\nlisten: 10.8.0.1\nbridge_api: {{token: {TOKEN}, listen: 0.0.0.0}}",
            [
                "3: bridge_api.port: 8080 is the page's port already; give this one, or `port`, another value, such as"
                " 8081"
            ],
        ),
    ],
)
def test_mistakes_about_the_bridge_api_are_told(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert mistakes(tmp_path, text) == expected


def test_two_servers_may_have_one_port_on_two_addresses(tmp_path: Path) -> None:
    text = f"insecure: true\nlisten: 10.8.0.1\nbridge_api: {{token: {TOKEN}, listen: 192.168.1.5}}"
    assert loaded(tmp_path, text).bridge_api is not None
