"""Where the command line finds its broker: the configuration, or a file of its own for the group's members."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nuki_bridge import config
from nuki_bridge.command_line import cli
from nuki_bridge.config import MqttSettings
from nuki_bridge.errors import ConfigError


@pytest.fixture
def client_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That file, which is not there yet; the default configuration names a broker of its own."""
    default = tmp_path / "config.yaml"
    default.write_text("mqtt: {host: from-the-configuration}\n")
    monkeypatch.setattr(config, "DEFAULT_PATH", default)
    monkeypatch.setattr(config, "CLIENT_PATH", tmp_path / "client.yaml")
    monkeypatch.delenv(cli.BROKER_VARIABLE, raising=False)
    return tmp_path / "client.yaml"


def write(file: Path, text: str, mode: int = 0o640) -> None:
    file.write_text(text)
    file.chmod(mode)


def broker(*arguments: str) -> MqttSettings:
    return cli._broker(cli.parse(["locks", *arguments]))


def test_without_the_file_it_is_the_configurations(client_file: Path) -> None:
    assert broker().host == "from-the-configuration"


def test_with_the_file_it_is_the_files(client_file: Path) -> None:
    write(client_file, "mqtt: {host: here, username: owner, password: open-sesame}\n")
    settings = broker()
    assert (settings.host, settings.username) == ("here", "owner")
    assert settings.password is not None
    assert settings.password.reveal() == "open-sesame"


def test_what_is_said_on_the_command_line_or_in_the_environment_goes_first(
    client_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(client_file, "mqtt: {host: here}\n")
    (tmp_path / "other.yaml").write_text("mqtt: {host: other}\n")
    monkeypatch.setenv(cli.BROKER_VARIABLE, "mqtt://environment")
    assert broker().host == "environment"
    assert broker("--config", str(tmp_path / "other.yaml")).host == "other"
    assert broker("--broker", "mqtt://line").host == "line"


def test_a_password_in_it_that_every_user_can_read_is_refused(client_file: Path) -> None:
    write(client_file, "mqtt: {username: owner, password: open-sesame}\n", 0o644)
    with pytest.raises(ConfigError, match="every user can read this secret; chmod o-r") as refused:
        broker()
    assert "open-sesame" not in str(refused.value)


@pytest.mark.parametrize("key", ["locks: []", "bluetooth: {}", "state_dir: /x"])
def test_it_has_a_broker_and_nothing_else(key: str, client_file: Path) -> None:
    write(client_file, f"{key}\n")
    with pytest.raises(ConfigError, match="unknown key"):
        broker()


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Have the system refuse to open a file, as for those who are not in the group; root is let in elsewhere."""
    real = open
    files: set[Path] = set()

    def opening(file: Path, *arguments: object, **more: object) -> object:
        if file in files:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
        return real(file, *arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr("builtins.open", opening)
    return files.add


def test_a_locks_pin_that_only_root_may_read_is_not_needed_to_talk_to_the_daemon(
    client_file: Path, tmp_path: Path, closed: Callable[[Path], None]
) -> None:
    config.DEFAULT_PATH.write_text(f"locks: [{{name: door, pin_file: {tmp_path}/pin}}]\nmqtt: {{host: here}}\n")
    closed(tmp_path / "pin")
    assert broker().host == "here"
    with pytest.raises(ConfigError, match="Permission denied"):
        config.load(None)


@pytest.mark.parametrize("which", ["config.yaml", "client.yaml", "mqtt-password"])
def test_whoever_may_not_read_it_is_told_of_sudo_and_the_group(
    which: str, client_file: Path, tmp_path: Path, closed: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    if which == "client.yaml":
        write(client_file, "mqtt: {}\n")
    elif which == "mqtt-password":
        config.DEFAULT_PATH.write_text("mqtt: {username: nuki, password_file: mqtt-password}\n")
    closed(tmp_path / which)
    assert cli.main(["locks"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "Permission denied" in said[0]
    assert "put sudo in front" in said[1]
    assert 'sudo adduser "$USER" nuki-bridge' in said[1]
    assert str(client_file) in said[1]


@pytest.fixture
def running(client_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where systemd keeps the running service's credentials; the configuration names one, and a PIN."""
    place = tmp_path / "run"
    place.mkdir()
    monkeypatch.setattr(config, "CREDENTIALS_OF_SERVICE", place)
    config.DEFAULT_PATH.write_text(
        "mqtt: {host: here, username: nuki, password_file: mqtt-password}\nlocks: [{name: door, pin_file: door-pin}]\n"
    )
    return place


def test_what_only_the_running_service_has_is_found_there_by_root(running: Path) -> None:
    write(running / "mqtt-password", "open-sesame\n", 0o400)
    password = broker().password
    assert password is not None
    assert password.reveal() == "open-sesame"


def test_while_the_service_is_stopped_it_is_said_how_to_name_the_broker(
    running: Path, client_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["locks"]) == 2
    mistake, advice = capsys.readouterr().err.splitlines()
    assert "mqtt.password_file: cannot read this file: No such file or directory" in mistake
    assert "pin_file" not in mistake
    assert "--broker URL" in advice
    assert str(client_file) in advice


def test_check_config_says_that_a_stopped_service_has_no_secrets(
    running: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are missing now, and may be there when it counts."""
    hidden = "that systemd hands to the service (LoadCredential) is found by root, and while that runs"
    running.rmdir()
    assert cli.main(["check-config"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    for each, key in zip(told, ("mqtt.password_file", "locks[0].pin_file"), strict=True):
        assert f"{key}: cannot read this file: No such file or directory; a relative path starts at " in each
        assert each.endswith(f"; one {hidden}")
    running.mkdir()
    assert cli.main(["check-config"]) == 2
    assert "LoadCredential" not in capsys.readouterr().err


def test_of_another_configuration_they_are_no_secrets(running: Path, tmp_path: Path) -> None:
    write(running / "mqtt-password", "open-sesame\n", 0o400)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.yaml").write_text(config.DEFAULT_PATH.read_text())
    with pytest.raises(ConfigError, match="No such file"):
        broker("--config", str(tmp_path / "other" / "config.yaml"))


def test_whoever_may_not_look_among_them_looks_beside_the_configuration(
    running: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.exists

    def exists(path: Path) -> bool:
        if path.parent == running:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(Path, "exists", exists)
    write(tmp_path / "mqtt-password", "beside\n")
    password = broker().password
    assert password is not None
    assert password.reveal() == "beside"
