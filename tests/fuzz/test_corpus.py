"""Every input of the corpus again: none breaks what reads it, and the corpus gets far enough to be worth something."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import patience
from tests.fuzz import CORPUS, HANG_S, NAMES
from tests.fuzz.targets import TARGETS, clean


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    yield
    clean()


def test_each_target_has_a_corpus() -> None:
    assert tuple(TARGETS) == NAMES
    assert {each.name for each in CORPUS.iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_corpus_again(name: str) -> None:
    taken = {}
    for file in sorted((CORPUS / name).iterdir()):
        began = patience.now()
        taken[file.name] = TARGETS[name](file.read_bytes())
        assert patience.now() - began < HANG_S, f"{file} took too long"
    assert True in taken.values(), "one at least is taken: the others would break nothing behind the first check"
    assert False in taken.values(), "one at least is refused"
