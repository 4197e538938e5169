"""The guest's modules as one script: compressed together they weigh a sixth less, and come with one answer.

The modules stand one after the other, each after those that it imports, in one scope: so no two of them may have the
same name at their top level, and none the name of something of the browser's.  The files stay as they are; who serves
them with another program serves them one by one.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping

ENTRY = "/app.js"
"""The module that a guest's page begins with, and the path of the script that holds it and all that it imports."""
WORKER = "/sw.js"
"""The service worker, whose list of files names the modules."""

_IMPORT = re.compile(r'^import (?:(\{[^}]*\}|\* as \w+) from )?"(\.[^"]+)";\n', re.MULTILINE)
_LATER = re.compile(r'\bimport\("(\.[^"]+)"\)')
"""An import of what is loaded when it is wanted."""
_EXPORT = re.compile(r"^export (?=(?:async )?(?:const|let|function|class) (\w+))", re.MULTILINE)


def bundled(scripts: Mapping[str, str]) -> dict[str, str]:
    """Return the scripts as they are served, by path.

    The entry holds all that it imports, every other script gets those names from there, and the service worker does not
    list what the entry holds.  An entry that imports nothing is left alone.
    """
    inside: list[str] = []
    if ENTRY in scripts:
        _collect(scripts, ENTRY, inside)
    if len(inside) < 2:
        return dict(scripts)
    return {path: _served(scripts, path, inside) for path in scripts}


def _collect(scripts: Mapping[str, str], path: str, found: list[str]) -> None:
    """Add a module and all that it imports, each after what it imports itself."""
    for _, name in _IMPORT.findall(scripts[path]):
        if _absolute(path, name) not in found:
            _collect(scripts, _absolute(path, name), found)
    found.append(path)


def _absolute(path: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), name))


def _served(scripts: Mapping[str, str], path: str, inside: list[str]) -> str:
    if path == ENTRY:
        names = sorted(_wanted(scripts, inside))
        return "".join(_part(scripts, each) for each in inside) + f"export {{ {', '.join(names)} }};\n"
    if path == WORKER:
        listed = "|".join(re.escape(each[1:]) for each in inside if each != ENTRY)
        return re.sub(rf'"(?:{listed})", ?', "", scripts[path])
    if path in inside:
        return scripts[path]

    def instead(found: re.Match[str]) -> str:
        target = _absolute(path, found[2])
        return found[0].replace(found[2], _relative(path, ENTRY)) if target in inside else found[0]

    return _IMPORT.sub(instead, scripts[path])


def _wanted(scripts: Mapping[str, str], inside: Collection[str]) -> set[str]:
    """Names that what is loaded later gets from the modules inside."""
    found: set[str] = set()
    for path in scripts.keys() - set(inside):
        for what, name in _IMPORT.findall(scripts[path]):
            if _absolute(path, name) in inside:
                found |= {each.strip() for each in what.strip("{}").split(",")} - {""}
    return found


def _relative(path: str, target: str) -> str:
    name = posixpath.relpath(target, posixpath.dirname(path))
    return name if name.startswith(".") else f"./{name}"


def _part(scripts: Mapping[str, str], path: str) -> str:
    """A module as a part of the whole: what it imports is in scope, and what it loads later has its path from there."""

    def instead(found: re.Match[str]) -> str:
        what, target = found[1] or "", _absolute(path, found[2])
        if not what.startswith("*"):
            return ""
        return f"const {what.split()[-1]} = {{ {', '.join(_EXPORT.findall(scripts[target]))} }};\n"

    script = _IMPORT.sub(instead, scripts[path])
    script = _LATER.sub(lambda found: f'import("{_relative(ENTRY, _absolute(path, found[1]))}")', script)
    return _EXPORT.sub("", script)
