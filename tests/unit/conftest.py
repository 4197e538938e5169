"""What tests of the whole bridge start from; modules whose house has other settings have a fixture of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.house import House
from tests.unit.import_desk import Desk


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Two locks that nobody has paired yet, and no settings."""
    return House(tmp_path / "state")


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A state directory that is there already: it is not made for the service's user."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    return Desk(tmp_path, state, capsys)
