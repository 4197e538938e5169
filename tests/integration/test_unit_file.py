"""The systemd unit, judged by systemd's own tools."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

UNIT = Path(__file__).parents[2] / "systemd" / "nuki-bridge.service"
MOST_EXPOSURE = 1.5


def analyze(*arguments: object) -> str:
    ended = subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=600)
    return ended.stdout + ended.stderr


def test_little_of_the_system_is_exposed_to_the_service() -> None:
    told = analyze("security", "--offline=true", UNIT)
    overall = re.search(r"Overall exposure level for nuki-bridge\.service: ([0-9.]+)", told)
    assert overall, told
    assert float(overall[1]) <= MOST_EXPOSURE, told


def test_every_line_of_the_unit_is_understood() -> None:
    """Unknown settings are ignored by systemd, and with them what they were to protect."""
    told = [line for line in analyze("verify", "--man=no", UNIT).splitlines() if "nuki-bridge" in line]
    assert [line for line in told if "/usr/bin/nuki-bridge is not executable" not in line] == []


def test_the_unit_does_as_the_documentation_says() -> None:
    text = UNIT.read_text()
    for line in ("Type=notify", "WatchdogSec=30", "TimeoutStopSec=5", "LimitCORE=0", "Restart=always"):
        assert f"\n{line}\n" in text
    assert re.search(r"^ExecReload=.* -HUP \$\$MAINPID'$", text, re.MULTILINE)
