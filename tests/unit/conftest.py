"""What tests of the whole bridge start from; modules whose house has other settings have a fixture of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.house import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Two locks that nobody has paired yet, and no settings."""
    return House(tmp_path / "state")
