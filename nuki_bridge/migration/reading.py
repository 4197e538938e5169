"""An export of whichever program it is, out of the text of a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from nuki_bridge.errors import RequestError
from nuki_bridge.migration import nuki_hub, pynukibt, raspi_nuki_bridge
from nuki_bridge.migration.export import Export

_FORMATS: tuple[tuple[Callable[[object], bool], Callable[[Any], Export]], ...] = (
    (pynukibt.is_home_assistant, pynukibt.read_home_assistant),
    (raspi_nuki_bridge.is_configuration, raspi_nuki_bridge.read),
    (nuki_hub.is_export, nuki_hub.read),
    (pynukibt.is_values, pynukibt.read_values),
)


def read_export(data: bytes) -> Export:
    """Return what is in a file; raises `RequestError` with the field or the line that is wrong, and no value."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError("bad_export", f"line {data.count(10, 0, error.start) + 1} is not UTF-8 text") from None
    try:
        values = _json(text) if text.lstrip()[:1] in ("{", "[") else _yaml(text)
    except RecursionError:
        raise RequestError("bad_export", "the file is nested too deeply to be an export") from None
    for is_it, read in _FORMATS:
        if is_it(values):
            export = read(values)
            _refuse_twins(export)
            return export
    raise RequestError(
        "bad_export",
        "this is no export that is known here: it has neither secretKeyKLock (nuki_hub), data.entries (Home Assistant's"
        " core.config_entries with hass_nuki_bt), smartlock (RaspiNukiBridge) nor auth_id (pyNukiBT)",
    )


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise RequestError("bad_export", f"line {error.lineno} is not valid JSON; is the file whole?") from None
    except ValueError:  # a number of more digits than Python reads
        raise RequestError("bad_export", "the file holds a number that is too long") from None


def _yaml(text: str) -> object:
    import yaml

    try:
        # Every scalar as it was written: 12345678 may be an authorization ID in hex digits, 0123 a PIN.
        return yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise RequestError("bad_export", f"line {mark.line + 1 if mark else 1} is not valid YAML") from None
    except (yaml.YAMLError, ValueError, OverflowError):  # the last two: a \U escape beyond Unicode
        raise RequestError("bad_export", "the file is neither JSON nor YAML") from None


def _refuse_twins(export: Export) -> None:
    addresses = [each.address for each in export.pairings]
    twice = next((each for each in addresses if addresses.count(each) > 1), None)
    if twice is not None:
        raise RequestError(
            "bad_export",
            f"this export has {addresses.count(twice)} pairings with {twice}; leave only the newest in it",
        )
