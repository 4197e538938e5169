"""Docstrings of constants and attributes stand alone: an editor shows each without the one above it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "nuki_bridge"

FILES = sorted(PACKAGE.rglob("*.py"))

RUNS_ON = re.compile(r"(And|But|Or|Then|Within this|For so long|After that|So long|So many|So often|So far|It,)\b")


def documented(file: Path) -> Iterator[tuple[str, str]]:
    """Name and docstring of each assignment in `file` that has one."""
    for node in ast.walk(ast.parse(file.read_text())):
        body = getattr(node, "body", None)
        for first, second in pairwise(body) if isinstance(body, list) else ():
            if not isinstance(first, ast.Assign | ast.AnnAssign) or not isinstance(second, ast.Expr):
                continue
            if isinstance(second.value, ast.Constant) and isinstance(second.value.value, str):
                target = first.target if isinstance(first, ast.AnnAssign) else first.targets[0]
                yield ast.unparse(target), second.value.value


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_each_is_a_sentence_of_its_own(file: Path) -> None:
    for name, text in documented(file):
        assert not text[0].islower() or text.startswith("bluetoothd "), f"{name}: {text}"
        assert re.search(r"[.?…][`\"')]*$", text.strip()), f"{name}: {text}"
        assert RUNS_ON.match(text) is None, f"{name}: {text}"


def test_there_are_some_to_look_at() -> None:
    some = islice((each for file in FILES for each in documented(file)), 201)
    assert len(list(some)) > 200
