"""The package for the processors of a Raspberry Pi: apt finds all it depends on there, and the program runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.vm import arm64, debian


@pytest.fixture(scope="module")
def tree(deb: Path) -> Path:
    """All files of the package and of what it depends on."""
    return arm64.unpacked(deb)


def nuki_bridge(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program on an emulated processor."""
    command = arm64.program(tree, str(tree / "usr" / "bin" / "nuki-bridge"), *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_apt_resolves_what_the_package_depends_on(deb: Path) -> None:
    installed = arm64.resolve(deb)
    assert "nuki-bridge:all" in installed
    # Those with code for the processor, of all that the package names.
    libraries = ("python3-dbus-fast", "python3-nacl", "python3-systemd", "python3-yaml", "bluez")
    assert {f"{name}:arm64" for name in libraries} <= set(installed)
    assert {name.rpartition(":")[2] for name in installed} == {"all", "arm64"}


def test_the_program_says_what_it_can_do(tree: Path) -> None:
    done = nuki_bridge(tree, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "check-config" in done.stdout


def test_the_configuration_of_the_package_is_right_and_a_wrong_one_is_not(tree: Path, tmp_path: Path) -> None:
    shipped = nuki_bridge(tree, "check-config", "--config", str(tree / "etc" / "nuki-bridge" / "config.yaml"))
    assert (shipped.returncode, shipped.stderr) == (0, "")
    wrong = tmp_path / "config.yaml"
    wrong.write_text("mqtt:\n  prot: 1883\n")
    refused = nuki_bridge(tree, "check-config", "--config", str(wrong))
    assert refused.returncode == 2
    assert f"{wrong}:2: mqtt.prot" in refused.stdout + refused.stderr


def test_every_library_of_the_daemon_can_be_loaded(tree: Path) -> None:
    modules = "nuki_bridge.daemon.daemon, nuki_bridge.bluetooth.radio, nuki_bridge.store, systemd.journal, segno"
    said = debian.output(*arm64.program(tree, "-c", f"import platform, {modules}; print(platform.machine())"))
    assert said.strip() == "aarch64"
