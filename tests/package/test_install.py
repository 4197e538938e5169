"""`make install` into a directory of its own, and `make uninstall`: what is put where, and what is left alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import nuki_bridge

ROOT = Path(__file__).parents[2]
INSTALLER = ROOT / "systemd" / "install.sh"


def make(target: str, destination: Path, **variables: str) -> str:
    """What `make` says; it has to succeed."""
    settings = [f"{name}={value}" for name, value in {"DESTDIR": str(destination), **variables}.items()]
    done = subprocess.run(["make", target, *settings], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where it was installed, under a umask that a careful root may have."""
    destination = tmp_path_factory.mktemp("system")
    before = os.umask(0o077)
    try:
        make("install", destination)
    finally:
        os.umask(before)
    yield destination
    shutil.rmtree(destination)


def test_the_program_runs_from_its_own_environment(installed: Path) -> None:
    link = installed / "usr/local/bin/nuki-bridge"
    assert link.readlink() == Path("/opt/nuki-bridge/bin/nuki-bridge")
    program = installed / "opt/nuki-bridge/bin/nuki-bridge"
    assert program.read_text().startswith("#!/opt/nuki-bridge/bin/python")
    python = installed / "opt/nuki-bridge/bin/python"
    told = subprocess.run([python, program, "--version"], capture_output=True, text=True, check=True, cwd="/").stdout
    assert told.splitlines()[0] == f"nuki-bridge {nuki_bridge.__version__}"
    where = "import nuki_bridge, bleak, systemd.daemon; print(nuki_bridge.__file__)"
    told = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True, cwd="/").stdout
    assert told.startswith(f"{installed}/opt/nuki-bridge/lib/")


def test_the_service_starts_that_program(installed: Path) -> None:
    unit = (installed / "etc/systemd/system/nuki-bridge.service").read_text()
    original = (ROOT / "systemd" / "nuki-bridge.service").read_text()
    assert unit == original.replace("ExecStart=/usr/bin/", "ExecStart=/opt/nuki-bridge/bin/")
    unit = (installed / "etc/systemd/system/nuki-bridge-web.service").read_text()
    original = (ROOT / "systemd" / "nuki-bridge-web.service").read_text()
    assert unit == original.replace("ExecStart=/usr/bin/", "ExecStart=/opt/nuki-bridge/bin/")
    assert next(installed.glob("opt/nuki-bridge/lib/python3*/site-packages/nuki_bridge/web/page/index.html"))
    assert next(installed.glob("opt/nuki-bridge/lib/python3*/site-packages/nuki_bridge/web/page/vendor/nacl-fast.js"))
    policy = (installed / "etc/dbus-1/system.d/nuki-bridge.conf").read_bytes()
    assert policy == (ROOT / "systemd" / "dbus-1" / "nuki-bridge.conf").read_bytes()
    drop_in = (installed / "etc/systemd/system/bluetooth.service.d/nuki-bridge.conf").read_bytes()
    assert drop_in == (ROOT / "systemd" / "bluetooth.service.d" / "nuki-bridge.conf").read_bytes()


def test_the_shells_complete_its_command(installed: Path) -> None:
    for path, name in (
        ("share/bash-completion/completions/nuki-bridge", "nuki-bridge.bash"),
        ("share/zsh/site-functions/_nuki-bridge", "_nuki-bridge"),
    ):
        assert (installed / "usr/local" / path).read_bytes() == (ROOT / "completions" / name).read_bytes()


def test_the_service_can_read_the_program_and_others_not_the_configuration(installed: Path) -> None:
    config = installed / "etc/nuki-bridge/config.yaml"
    assert config.stat().st_mode & 0o777 == 0o640
    for path in [*installed.glob("opt/**/*"), *installed.glob("etc/**/*")]:
        if path not in (config,) and not path.is_symlink():
            assert path.stat().st_mode & 0o044 == 0o044, path


def test_nothing_knows_the_directory_it_was_put_together_in(installed: Path) -> None:
    found = subprocess.run(["grep", "-rlaF", installed, installed], capture_output=True, text=True, check=False)
    assert found.stdout == ""


def test_again_it_is_an_update_and_keeps_the_configuration(installed: Path) -> None:
    config = installed / "etc/nuki-bridge/config.yaml"
    config.write_text("log_level: debug\n")
    config.chmod(0o600)
    module = next(installed.glob("opt/nuki-bridge/lib/python3*/site-packages/nuki_bridge/__init__.py"))
    module.write_text("raise SystemExit('old')\n")
    make("install", installed)
    assert config.read_text() == "log_level: debug\n"
    assert config.stat().st_mode & 0o777 == 0o600
    assert module.read_bytes() == (ROOT / "nuki_bridge" / "__init__.py").read_bytes()


def test_uninstall_keeps_configuration_and_state(installed: Path) -> None:
    """Runs last: it takes away what the tests above look at."""
    key = installed / "var/lib/nuki-bridge/nuki-bridge.db"
    key.parent.mkdir(parents=True)
    key.touch()
    said = make("uninstall", installed)
    assert "What is left: /etc/nuki-bridge" in said
    left = {str(each.relative_to(installed)) for each in installed.rglob("*") if not each.is_dir()}
    assert left == {"etc/nuki-bridge/config.yaml", "var/lib/nuki-bridge/nuki-bridge.db"}
    assert not (installed / "etc/systemd/system/bluetooth.service.d").exists()
    make("uninstall", installed)


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"VENV": "opt"}, "must be absolute paths"),
        ({"PREFIX": "/a b"}, "must be absolute paths"),
        ({"VENV": "/etc"}, "/etc is there and is not a virtual environment"),
    ],
)
@pytest.mark.parametrize("target", ["install", "uninstall"])
def test_a_place_that_is_no_place_is_refused_before_anything_happens(
    target: str, variables: dict[str, str], complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "etc").mkdir()
    environment = {**os.environ, "DESTDIR": str(tmp_path), **variables}
    done = subprocess.run([INSTALLER, target], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert [each.name for each in tmp_path.rglob("*")] == ["etc"]
