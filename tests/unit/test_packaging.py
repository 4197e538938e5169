"""What the package and the installer repeat of the program agrees with it: version, dependencies, paths, commands."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import nuki_bridge
from nuki_bridge import config
from nuki_bridge.bluetooth import revival
from nuki_bridge.command_line import cli

ROOT = Path(__file__).parents[2]
SCRIPTS = [
    *sorted((ROOT / "debian").glob("nuki-bridge.p*")),
    *(ROOT / ".ci" / name for name in ("deb", "dist", "release", "repo")),
    ROOT / "systemd" / "install.sh",
]
DEBIAN_NAMES = {"pynacl": "python3-nacl", "pyyaml": "python3-yaml", "systemd-python": "python3-systemd"}
"""Where Debian's name is not python3- and the name on PyPI."""


def test_the_changelogs_version_is_the_programs() -> None:
    first = (ROOT / "debian" / "changelog").read_text().splitlines()[0]
    assert re.fullmatch(r"nuki-bridge \((.+?)\) \w+; urgency=\w+", first)
    assert f"({nuki_bridge.__version__})" in first


def test_the_package_depends_on_what_the_program_imports() -> None:
    """The same names and versions as in setup.cfg, whose upper bounds Debian's releases keep by themselves."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = set()
    # systemd-python as well, which is optional only because pip has to compile it.
    for line in (setup["options"]["install_requires"] + setup["options.extras_require"]["systemd"]).split("\n"):
        if line:
            name, version = re.fullmatch(r"([\w-]+) >= ([\d.]+)(?:, < \d+)?", line).groups()  # type: ignore[union-attr]
            wanted.add((DEBIAN_NAMES.get(name, f"python3-{name}"), version))
    control = (ROOT / "debian" / "control").read_text()
    assert set(re.findall(r"^ (python3-[\w-]+) \(>= ([\d.]+)\),$", control, re.MULTILINE)) == wanted


def test_make_installs_the_tools_that_the_package_is_built_with() -> None:
    control = (ROOT / "debian" / "control").read_text()
    wanted = re.search(r"^Build-Depends:\n((?: .*\n)+)", control, re.MULTILINE)[1]  # type: ignore[index]
    names = (
        wanted.replace("debhelper-compat (= 13)", "debhelper").replace("dh-sequence-python3", "dh-python").split(",")
    )
    recipe = re.search(r"^packages-deb:\n\t@.ci/packages (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe
    assert {each.strip() for each in names} - {""} | {"dpkg-dev"} == set(recipe[1].split())


def manual(page: str) -> str:
    """A manual page as the package is built with it."""
    return subprocess.run(
        [sys.executable, ROOT / "debian" / "manpage.py", page],
        capture_output=True,
        text=True,
        check=True,
        env={"SOURCE_DATE_EPOCH": "1764028800"},
    ).stdout


def test_the_manual_pages_are_those_of_the_package() -> None:
    listed = (ROOT / "debian" / "nuki-bridge.manpages").read_text().split()
    for each in listed:
        name, _, section = each.removeprefix("debian/").rpartition(".")
        assert manual(f"{name}.{section}").startswith(
            f".TH {name.upper().replace('-', chr(92) + '-')} {section} 2025-11-25 "
        )
    assert len(listed) == 3


def test_the_manual_page_of_the_configuration_tells_of_every_key() -> None:
    def keys(kind: Any, path: str = "") -> set[str]:
        found = set()
        for name in kind:
            found.add(f"{path}{name}")
            found |= keys(sections[name], f"{path}{name}{'[]' * (name == 'locks')}.") if name in sections else set()
        return found

    sections = {
        "mqtt": config._MQTT,
        "discovery": config._DISCOVERY,
        "bluetooth": config._BLUETOOTH,
        "web": config._WEB,
        "locks": config._LOCK,
    }
    page = manual("nuki-bridge.yaml.5").replace(r"\-", "-")
    told = {each.partition(":")[0] for each in re.findall(r"^\.TP\n\.B (.*)$", page, re.MULTILINE)}
    inline = {"mqtt.password", "locks[].pin"}  # told beside the file that holds it
    assert told == keys(config._SETTINGS) - inline
    assert not re.search(r"^\.B .*\n *$", page, re.MULTILINE), "a key that nothing is said of"


def test_the_manual_page_of_the_daemon_is_the_page_of_the_documentation() -> None:
    page = manual("nuki-bridge-run.8")
    headings = re.findall(r"^#+ (.*)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)[1:]
    told = page.replace(r"\-", "-")
    assert [each for each in headings if f"\n.SH {each.upper()}\n" not in told] == []
    assert "](" not in page
    assert "`" not in page
    assert page.count("\n.nf\n") == page.count("\n.fi\n") > 3


def test_the_manual_page_tells_of_every_command_and_option() -> None:
    page = manual("nuki-bridge.1")
    words = page.replace(r"\-", "-")
    commands: Any = next(each for each in cli._parser()._actions if each.dest == "command").choices
    assert commands
    for name, parser in commands.items():
        assert f"\n.SS {name}\n" in words
        for option in parser._option_string_actions:
            assert option in words, f"{name} {option}"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_valid(script: Path) -> None:
    shell = script.read_text().splitlines()[0].removeprefix("#!")
    assert shell in ("/bin/sh", "/bin/bash")
    subprocess.run([shell, "-n", script], check=True)


def test_unit_policy_and_scripts_name_the_same_user_and_paths() -> None:
    unit = (ROOT / "systemd" / "nuki-bridge.service").read_text()
    user = (ROOT / "systemd" / "sysusers.d" / "nuki-bridge.conf").read_text().splitlines()[-1].split()[1]
    assert f"\nUser={user}\n" in unit
    assert f'<policy user="{user}">' in (ROOT / "systemd" / "dbus-1" / "nuki-bridge.conf").read_text()
    postinst, postrm = ((ROOT / "debian" / f"nuki-bridge.{name}").read_text() for name in ("postinst", "postrm"))
    assert f"chgrp {user} " in postinst
    assert f"userdel {user} " in postrm
    state = f"/var/lib/{re.findall(r'^StateDirectory=(.*)$', unit, re.MULTILINE)[0]}"
    assert f"rm -rf {state} " in postrm
    page = (ROOT / "systemd" / "nuki-bridge-web.service").read_text()
    users = (ROOT / "systemd" / "sysusers.d" / "nuki-bridge.conf").read_text()
    assert re.findall(r"^User=(.*)$", page, re.MULTILINE) == re.findall(r"^u (nuki-bridge-web) ", users, re.MULTILINE)
    assert "userdel nuki-bridge-web " in postrm
    assert "/var/lib/nuki-bridge-web" in postrm
    # What `make install` replaces by the path in the virtual environment.
    assert len(re.findall(r"^ExecStart=/usr/bin/nuki-bridge run", unit, re.MULTILINE)) == 1
    assert "s,/usr/bin/nuki-bridge," in (ROOT / "systemd" / "install.sh").read_text()


def test_what_the_page_tells_to_make_by_hand_is_what_a_purge_removes_or_names() -> None:
    postrm = (ROOT / "debian" / "nuki-bridge.postrm").read_text()
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "etc" / "mosquitto" / "nuki-bridge.conf"]
    told = "\n".join(page.read_text() for page in pages)
    made = set(re.findall(r"/etc/systemd/system/nuki-bridge[\w.-]*\.service\.d(?:/[\w.-]+)?", told))
    assert "/etc/systemd/system/nuki-bridge.service.d/secrets.conf" in made
    assert [each for each in made if each not in postrm] == []
    for name in ("nuki-bridge.acl", "nuki-bridge.passwd"):
        assert f"/etc/mosquitto/{name}" in postrm


def test_a_bluetoothd_that_died_is_restarted_and_one_that_was_stopped_is_not() -> None:
    drop_in = (ROOT / "systemd" / "bluetooth.service.d" / "nuki-bridge.conf").read_text()
    assert "\n[Service]\nRestart=on-failure\n" in drop_in
    pause_s = int(re.findall(r"^RestartSec=(\d+)$", drop_in, re.MULTILINE)[0])
    assert pause_s < revival.PAUSE_S / 2  # D-Bus is asked only where this is not in effect
    assert 4 * pause_s > 10  # or systemd gives it up: 5 starts within 10 s


def test_the_readme_names_the_package_of_this_version() -> None:
    named = set(re.findall(r"nuki-bridge_[\w.]+\.deb", (ROOT / "README.md").read_text()))
    assert named == {f"nuki-bridge_{nuki_bridge.__version__}_all.deb"}
