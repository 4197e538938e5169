"""Writes what the declarations of the requests say into docs/asyncapi.yaml and docs/requests.md: `make docs`.

In docs/asyncapi.yaml that is the payload of each request, and each schema that several arguments share; in
docs/requests.md the column of arguments.  All else in these files is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from nuki_bridge.arguments import Arguments, Check
from nuki_bridge.bridge.requests import REQUESTS

DOCS = Path(__file__).parents[1] / "docs"
ASYNCAPI = DOCS / "asyncapi.yaml"
PAGE = DOCS / "requests.md"


def declared() -> Iterator[tuple[str, Arguments]]:
    """Topic of each request, and what it takes."""
    for scope, requests in (("bridge", REQUESTS.bridge), ("<lock>", REQUESTS.lock)):
        for name, each in requests.items():
            yield f"{scope}/request/{name}", each.arguments


# -- docs/asyncapi.yaml -----------------------------------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _argument(check: Check[Any], *, required: bool) -> Mapping[str, Any]:
    schema = dict(check.reference if required else check.or_null)
    if not check.meaning or "$ref" in schema:  # nothing beside a reference counts
        return schema
    first = {"type": schema.pop("type")} if "type" in schema else {}
    return {**first, "description": check.meaning, **schema}


def payload(takes: Arguments) -> dict[str, Any]:
    """The schema of a request's payload."""
    properties = {name: _argument(check, required=True) for name, check in takes.required.items()}
    properties |= {name: _argument(check, required=False) for name, check in takes.optional.items()}
    return {
        "type": "object",
        "additionalProperties": False,
        **({"required": list(takes.required)} if takes.required else {}),
        "properties": {**properties, "transaction": {"$ref": "#/components/schemas/Transaction"}},
    }


def _lines(schema: Any, indent: int) -> list[str]:
    dumped = yaml.dump(
        schema, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120 - indent, allow_unicode=True
    )
    return [" " * indent + line for line in dumped.splitlines()]


def _replace(lines: list[str], place: tuple[str, ...], new: list[str]) -> None:
    """Put `new` for all below the last line of `place`, whose lines stand in this order with others between them."""
    start = 0
    for line in place:
        if line not in lines[start:]:
            raise SystemExit(f"{ASYNCAPI.name} lacks {' '.join(place)}: write all but its schema by hand first")
        start = lines.index(line, start) + 1
    depth = len(place[-1]) - len(place[-1].lstrip())
    end = start
    while end < len(lines) and len(lines[end]) - len(lines[end].lstrip()) > depth:
        end += 1
    lines[start:end] = new


def asyncapi(text: str) -> str:
    """The description with the requests' schemas as they are declared."""
    lines = text.splitlines()
    shared: dict[str, Any] = {}
    for topic, takes in declared():
        address = topic.replace("<lock>", "{lock}")
        place = (f"    address: '{{base}}/{address}'", "      request:", "        payload:")
        _replace(lines, place, _lines(payload(takes), 10))
        shared |= {each.name: each for each in (*takes.required.values(), *takes.optional.values()) if each.name}
    for name, check in shared.items():
        for number, line in enumerate(lines):
            if line.startswith(f"    {name}: {{"):  # all in one line, or begun there
                lines[number : number + 1] = [f"    {name}:", f"      {line.partition(': ')[2]}"]
        _replace(lines, ("  schemas:", f"    {name}:"), _lines(check.schema, 6))
    return "\n".join(lines) + "\n"


# -- docs/requests.md -------------------------------------------------------------------------------------------------


def arguments(takes: Arguments) -> str:
    """What a request takes, in words."""
    told = []
    for name, check in {**takes.required, **takes.optional}.items():
        if takes.which and name in ("id", "name"):
            continue
        notes = ": ".join(each for each in ("required" if name in takes.required else "", check.meaning) if each)
        told.append(f"`{name}` ({notes})" if notes else f"`{name}`")
    which = f"which {takes.which} by `id` or `name`" if takes.which else ""
    return "; ".join(each for each in (which, ", ".join(told)) if each)


def page(text: str) -> str:
    """The page with the column of arguments as it is declared."""
    lines = text.splitlines()
    rows = {
        match[1]: number for number, line in enumerate(lines) if (match := re.match(r"\| `(\S+/request/\S+)` \|", line))
    }
    for topic, takes in declared():
        if topic not in rows:
            raise SystemExit(f"{PAGE.name} has no row for {topic}: write it first, with what it answers")
        cells = re.split(r"(?<!\\)\|", lines[rows[topic]])
        said = arguments(takes)
        cells[2] = f" {said} " if said else " "
        lines[rows[topic]] = "|".join(cells)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write both files."""
    ASYNCAPI.write_text(asyncapi(ASYNCAPI.read_text()))
    PAGE.write_text(page(PAGE.read_text()))


if __name__ == "__main__":
    main()
