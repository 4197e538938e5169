"""What the command line shows: tables, key and value lists, and a progress line.

Everything that came over the broker passes `printable` on its way to the terminal.  Knows no command and no topic.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

PROGRESS_AFTER_S = 1.0
"""Seconds after which a progress line appears."""


def printable(value: Any) -> str:
    """Return a JSON value as one line of text without control characters, so that no name can move the cursor."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        value = ", ".join(f"{key}={printable(item)}" for key, item in value.items())
    elif isinstance(value, list):
        value = ", ".join(printable(item) for item in value)
    return "".join(sign if sign.isprintable() else "?" for sign in str(value))


def table(rows: Sequence[Mapping[str, Any]], columns: Iterable[str] = ()) -> str:
    """Return the rows under a heading line; `columns` are the keys to show (default: all).

    A column that no row has a value for is left out.
    """
    columns = columns or {key: None for row in rows for key in row}
    used = [key for key in columns if any(row.get(key) is not None for row in rows)]
    heading = [_heading(printable(key)) for key in used]
    lines = [heading] + [[printable(row.get(key)) for key in used] for row in rows]
    return "\n".join(_aligned(lines))


def _heading(key: str) -> str:
    """Return a column's key in capitals, but for what stands in brackets behind it, such as a time zone."""
    word, bracket, more = key.partition(" (")
    return word.replace("_", " ").upper() + bracket + more


def fields(values: Mapping[str, Any], indent: str = "") -> str:
    """Return one `key: value` line for each entry; what is nested stands indented below its key."""
    lines = []
    width = max((len(printable(key)) for key in values), default=0) + 1
    for key, value in values.items():
        label = f"{printable(key)}:"
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{label}", fields(value, indent + "  ")]
        elif _is_rows(value):
            lines += [f"{indent}{label}", *(f"{indent}  {line}" for line in table(value).splitlines())]
        else:
            lines.append(f"{indent}{label:<{width}} {printable(value)}")
    return "\n".join(lines)


def show(data: Any, *, as_json: bool, columns: Iterable[str] = ()) -> None:
    """Print `data`, flushed: as JSON, or as a table (list of objects), a list of fields (object) or a line."""
    if as_json:
        text = json.dumps(data, ensure_ascii=False)
    elif isinstance(data, Mapping):
        text = fields(data)
    elif _is_rows(data):
        text = table(data, columns)
    else:
        text = printable(data)
    print(text, flush=True)


@contextmanager
def progress(text: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Say `text` on stderr if the block takes longer than a second; a terminal forgets it when the block ends.

    Yields a function that changes the text, which is only seen on a terminal.  Needs a running event loop.
    """
    import asyncio

    terminal = sys.stderr.isatty()
    said = False

    def say() -> None:
        nonlocal said
        said = True
        print(
            f"\r\x1b[K{text} ..." if terminal else f"{text} ...",
            end="" if terminal else "\n",
            file=sys.stderr,
            flush=True,
        )

    def change(new: str) -> None:
        nonlocal text
        text = printable(new)
        if said and terminal:
            say()

    timer = None if quiet else asyncio.get_running_loop().call_later(PROGRESS_AFTER_S, say)
    try:
        yield change
    finally:
        if timer is not None:
            timer.cancel()
        if said and terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _is_rows(data: Any) -> bool:
    return isinstance(data, list) and bool(data) and all(isinstance(item, Mapping) for item in data)


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
