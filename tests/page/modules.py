"""The page's modules: which there are, what they import, and Node.js to run them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable
from typing import Any

from nuki_bridge.web.bundle import ENTRY, WORKER
from nuki_bridge.web.files import TWEETNACL, load
from tests.page.known import NACL, PAGE


def node(script: str, *, timeout: float = 60) -> Any:
    """What an ES module prints as JSON; `nacl` and `load` are there."""
    head = (
        "import { createRequire } from 'node:module';\n"
        f"globalThis.nacl = createRequire(import.meta.url)({str(NACL)!r});\n"
        f"const load = (name) => import({PAGE.as_uri()!r} + '/' + name);\n"
    )
    done = subprocess.run(
        ["node", "--no-warnings", "--input-type=module", "-"],
        input=head + script,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def imported(name: str, found: set[str] | None = None) -> set[str]:
    """A module of the page and all that it imports when it is loaded."""
    found = set() if found is None else found
    if name not in found:
        found.add(name)
        for other in re.findall(r"^import [^;]*?\"(\.{1,2}/[^\"]+)\";", (PAGE / name).read_text(), re.MULTILINE):
            imported(str((PAGE / name).parent.joinpath(other).resolve().relative_to(PAGE)), found)
    return found


def top_names(name: str) -> list[str]:
    """What a module names at its top level, without what it imports."""
    script = (PAGE / name).read_text()
    return re.findall(r"^(?:export )?(?:async )?(?:const|let|class|function) (\w+)", script, re.MULTILINE)


def guest_files() -> set[str]:
    """What a guest's browser loads, but for tweetnacl and icons."""
    return imported("app.js") | {"first.js", "style.css", "manifest.webmanifest"}


def guest_paths() -> set[str]:
    """Paths of all that a guest's browser loads to show a door: the modules travel as one script."""
    scripts = {f"/{name}" for name in imported("app.js")} - {ENTRY}
    listed = {"/", WORKER, TWEETNACL, "/icons/icon.svg", "/icons/icon-192.png"}
    return {f"/{name}" for name in guest_files()} - scripts | listed


def owner_paths() -> set[str]:
    """Those of an owner's."""
    own = {f"/{name}" for name in imported("owner/main.js") - imported("app.js")}
    return guest_paths() | own | {"/owner/owner.css"}


def weights(paths: Iterable[str]) -> dict[str, int]:
    """Bytes of these files as they travel."""
    served = load()
    return {path: len(served[path].packed or served[path].plain) for path in paths}
