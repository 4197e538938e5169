"""The systemd unit, judged by systemd's own tools."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "systemd" / "nuki-bridge.service"
WEB_UNIT = UNIT.with_name("nuki-bridge-web.service")
each_unit = pytest.mark.parametrize("unit", [UNIT, WEB_UNIT], ids=lambda unit: unit.stem)
MOST_EXPOSURE = 1.5


def analyze(*arguments: object) -> str:
    ended = subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=600)
    return ended.stdout + ended.stderr


@each_unit
def test_little_of_the_system_is_exposed_to_the_service(unit: Path) -> None:
    told = analyze("security", "--offline=true", unit)
    overall = re.search(rf"Overall exposure level for {re.escape(unit.name)}: ([0-9.]+)", told)
    assert overall, told
    assert float(overall[1]) <= MOST_EXPOSURE, told


@each_unit
def test_every_line_of_the_unit_is_understood(unit: Path) -> None:
    """Unknown settings are ignored by systemd, and with them what they were to protect."""
    told = [line for line in analyze("verify", "--man=no", unit).splitlines() if "nuki-bridge" in line]
    assert [line for line in told if "/usr/bin/nuki-bridge is not executable" not in line] == []


def test_the_unit_does_as_the_documentation_says() -> None:
    text = UNIT.read_text()
    for line in ("Type=notify", "WatchdogSec=30", "TimeoutStopSec=5", "LimitCORE=0", "Restart=always"):
        assert f"\n{line}\n" in text
    assert re.search(r"^ExecReload=.* -HUP \$\$MAINPID'$", text, re.MULTILINE)


def test_the_pages_unit_sees_nothing_of_the_bridge_and_waits_for_its_configuration() -> None:
    text = WEB_UNIT.read_text()
    for line in (
        "User=nuki-bridge-web",
        "StateDirectory=nuki-bridge-web",
        "ConditionPathExists=/etc/nuki-bridge/web.yaml",
    ):
        assert f"\n{line}\n" in text
    assert "InaccessiblePaths=-/var/lib/nuki-bridge " in text
    for line in ("Type=notify", "WatchdogSec=30", "TimeoutStopSec=5", "LimitCORE=0", "Restart=always", "UMask=0077"):
        assert f"\n{line}\n" in text
