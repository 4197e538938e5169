"""The commands of README.md and of pages in docs, as a person copies them from there."""

from __future__ import annotations

import re
import textwrap

from tests.vm.debian import PROJECT


def blocks(section: str, page: str = "README.md", *, kind: str = "sh") -> list[list[str]]:
    """The commands of each shell block in a section, without their comments; or the lines of blocks of another kind."""
    found = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", _text(page), re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no section {section!r}"
    shell = re.findall(rf"^ *```{kind}\n(.*?)^ *```", found[1], re.MULTILINE | re.DOTALL)
    assert shell, f"{page} has no {kind} block in {section!r}"
    if kind != "sh":
        return [block.splitlines() for block in shell]
    lines = [[re.sub(r"(^|\s+)#.*", "", line).strip() for line in block.splitlines()] for block in shell]
    return [[line for line in block if line] for block in lines]


def inline(command: str) -> str:
    """The command, which must stand in README.md between backticks."""
    assert f"`{command}`" in _text(), f"README.md does not name `{command}`"
    return command


def override(page: str) -> str:
    """What a page tells to enter in `systemctl edit`: its one block of `ini`."""
    [block] = re.findall(r"^ *```ini\n(.*?)^ *```", _text(page), re.MULTILINE | re.DOTALL)
    return textwrap.dedent(block)


def _text(page: str = "README.md") -> str:
    return (PROJECT / page).read_text()
