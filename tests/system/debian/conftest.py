"""The machine on which the package is installed, and a story of which each test is a step."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import debian

BUILD = debian.PROJECT / "build"
FILES = BUILD / "debian-vm"
"""Shared with the machine; its logs stay there."""
OWNER = "pi"
"""Who types the commands of the README: a user who may use sudo."""

_failed: set[str] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        _failed.add(item.path.name)
    return report


@pytest.fixture(autouse=True)
def _story(request: pytest.FixtureRequest) -> None:
    """A step whose predecessor failed has nothing to stand on."""
    if request.path.name in _failed:
        pytest.skip("an earlier step of the story failed")


@pytest.fixture(scope="session")
def deb() -> Path:
    """The package, built from this clone."""
    return built()


def built(version: str | None = None) -> Path:
    """The package as `make deb` builds it, of another version if one is given."""
    command = ["make", "deb", *([f"VERSION={version}"] if version else [])]
    done = subprocess.run(command, cwd=debian.PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"make deb failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    found = sorted(BUILD.glob(f"nuki-bridge_{version or '*'}_all.deb"), key=os.path.getmtime)
    assert found, f"make deb left no package in {BUILD}"
    return found[-1]
