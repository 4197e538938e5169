"""Ask a lock and show its answer: what most commands do with the running daemon."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nuki_bridge.command_line import access_options
from nuki_bridge.errors import RequestError

if TYPE_CHECKING:
    from nuki_bridge.command_line.client import BridgeClient


BY_NAME = "name:"
"""What stands before a name that would be taken for an ID."""
ID_OR_NAME = f"ID or name; {BY_NAME}4711 if the name is a number"
"""Help for an argument that names an entry."""

_TIMES = ("time", "last_active", "expires")
"""Columns of tables that are moments."""


async def ask(
    client: BridgeClient,
    arguments: argparse.Namespace,
    command: str,
    request: dict[str, Any],
    doing: str,
    *,
    columns: tuple[str, ...] = (),
    nothing: str = "nothing",
) -> None:
    """Ask the lock and show the answer: of a list only `columns`, and `nothing` in place of an empty one."""
    lock = client.lock_name(arguments.lock or None)
    with progress(arguments, f"{lock}: {doing}"):
        answer = await client.ask(lock, command, request)
    if not arguments.json and isinstance(answer, list):
        rows = [{key: _flat(key, each.get(key)) for key in columns} for each in answer]
        answer, columns = await in_one_zone(client, lock, rows, columns)
    elif not arguments.json and isinstance(answer, dict):
        answer = {key: _flat(key, value) for key, value in answer.items()}
    show(arguments, answer, nothing=nothing, columns=columns)


async def in_one_zone(
    client: BridgeClient, lock: str, rows: list[dict[str, Any]], columns: tuple[str, ...]
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return rows and columns of a table whose times are the lock's local ones, with the zone's name in the heading.

    Without a name it is their offset from UTC, if all have the same; else each keeps its own.
    """
    times = {
        key: [(row, match) for row in rows if (match := _moment(row.get(key)))] for key in columns if key in _TIMES
    }
    offsets = {match[3].upper() for found in times.values() for _, match in found}
    if not offsets:
        return rows, columns
    zone = await client.timezone(lock)
    if zone is None and len(offsets) == 1:
        offset = offsets.pop()
        zone = "UTC" if offset in ("Z", "+00:00") else f"UTC{offset}"
    if zone is None:
        return rows, columns
    heading = {key: f"{key} ({zone})" if times.get(key) else key for key in columns}
    for key, found in times.items():
        for row, match in found:
            row[key] = f"{match[1]} {match[2]}"
    return [{heading[key]: row.get(key) for key in columns} for row in rows], tuple(heading.values())


def in_local_time(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a table about several locks with all moments in this computer's time, which the heading names.

    Each lock tells its own zone's, and they could not be compared.
    """
    now = datetime.now().astimezone()
    offset = now.isoformat()[-6:]
    zone = "UTC" if offset == "+00:00" else f"UTC{offset}"
    timed = {key for row in rows for key, value in row.items() if _moment(value)}

    def local(value: Any) -> Any:
        return f"{datetime.fromisoformat(value).astimezone(now.tzinfo):%Y-%m-%d %H:%M:%S}" if _moment(value) else value

    return [{f"{key} ({zone})" if key in timed else key: local(value) for key, value in row.items()} for row in rows]


def _moment(value: Any) -> re.Match[str] | None:
    """Return date, time of day and offset of a moment as answers have it, None of anything else."""
    pattern = r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)([Zz]|[+-]\d\d:\d\d)"
    return re.fullmatch(pattern, value) if isinstance(value, str) else None


def _flat(key: str, value: Any) -> Any:
    """Return what stands in a table: a name in place of ID and name, limits in one line, days as they are typed."""
    if key == "access":
        return access_options.in_words(value)
    if key == "weekdays" and isinstance(value, list):
        return access_options.days_in_words(value)
    return value.get("name") if isinstance(value, dict) and "id" in value else value


def by_id_or_name(text: str) -> dict[str, Any]:
    """Return how a request names an entry: by its ID if `text` is a number, else by its name, also behind `name:`."""
    if text.startswith(BY_NAME):
        return {"name": text.removeprefix(BY_NAME)}
    return {"id": int(text)} if text.isascii() and text.isdigit() else {"name": text}


def given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return the arguments of these names that were given."""
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}


def changed_access(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return `access` for a request that changes something: new limits, none with `--always`, empty if they stay.

    Raises `RequestError` if both are given.
    """
    access = access_options.access_of(arguments)
    if access is not None and arguments.always:
        raise RequestError("bad_arguments", "--always takes all limits away; leave it out, or the limits")
    return {"access": access} if access is not None or arguments.always else {}


def progress(arguments: argparse.Namespace, text: str) -> AbstractContextManager[Callable[[str], None]]:
    """Show a progress line, unless JSON is wanted."""
    from nuki_bridge.command_line import console

    return console.progress(text, quiet=arguments.json)


def show(arguments: argparse.Namespace, data: Any, *, nothing: str = "nothing", columns: Sequence[str] = ()) -> None:
    """Print an answer; for people `nothing` in place of an empty one, and of a table only `columns`."""
    from nuki_bridge.command_line import console

    console.show(data if data or arguments.json else nothing, as_json=arguments.json, columns=columns)
