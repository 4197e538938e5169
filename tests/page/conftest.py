"""What the tests of the page in Chromium share: the stage they play on, and phones that must not complain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.page.phone import NewPhone, Phone, chromium
from tests.page.stage import Stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Broker, daemon, virtual lock and the page's server; none of them has met a fault of the program at the end."""
    running = Stage(tmp_path_factory.mktemp("stage"))
    yield running
    running.stop()
    assert "Traceback" not in running.log


@pytest.fixture
def forbidden() -> str:
    """Pattern of what no phone may have logged."""
    return "Content Security Policy|Uncaught|TypeError"


@pytest.fixture
def new_phone(stage: Stage, tmp_path: Path, forbidden: str) -> Iterator[NewPhone]:
    """Starts phones; at the end none of them has met what the page's rules forbid, or a fault of a script."""
    phones: list[Phone] = []

    def start(name: str = "phone", **options: Any) -> Phone:
        phones.append(chromium(options.pop("url", stage.url), tmp_path / name, **options))
        return phones[-1]

    yield start
    for phone in phones:
        phone.quit()
    heard = [line for phone in phones for line in phone.heard]
    assert not [line for line in heard if re.search(forbidden, line)]
