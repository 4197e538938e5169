"""Which way imports point (docs/architecture.md): a module may import those to its right, never to its left."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "nuki_bridge"

FORBIDDEN = {
    "errors": {"*"},
    "protocol": {"*", "-protocol", "-errors"},
    "link": {"*", "-protocol", "-errors"},
    "payload": {"*"},
    "exchange": {"mqtt", "ble", "bluez", "bridge", "daemon", "config", "topics", "simulator", "lock"},
    "action": {"mqtt", "ble", "bluez", "bridge", "daemon", "config", "topics", "simulator", "lock"},
    "timetable": {"lock", "exchange", "mqtt", "ble", "bluez", "bridge", "daemon", "config", "topics", "simulator"},
    "lock": {"mqtt", "ble", "bluez", "bridge", "daemon", "config", "topics", "simulator"},
    "admin": {"mqtt", "ble", "bluez", "bridge", "daemon", "config", "topics", "simulator"},
    "pairing": {"mqtt", "ble", "bluez", "bridge", "daemon", "config", "topics", "simulator", "lock"},
    "ble": {"mqtt", "lock", "bridge", "daemon", "topics", "store", "simulator"},
    "bluez": {"mqtt", "lock", "bridge", "daemon", "topics", "store", "simulator", "ble"},
    "mqtt": {"ble", "bluez", "lock", "bridge", "daemon", "topics", "store", "simulator", "protocol"},
    "store": {"ble", "bluez", "mqtt", "lock", "bridge", "daemon", "topics", "simulator"},
    "topics": {"ble", "bluez", "mqtt_connection", "bridge", "daemon", "store", "simulator"},
    "bridge": {"ble", "bluez", "daemon", "cli", "simulator"},
    "simulator": {"lock", "exchange", "action", "pairing", "bridge", "daemon", "mqtt", "ble", "store", "config"},
}
"""Top-level modules that a module may not import; `*` is everything but those marked `-`."""


def imported(module: str) -> set[str]:
    """Top-level modules of the package that `module` (a file or a folder) imports, lazily or not."""
    path = PACKAGE / module
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    names: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nuki_bridge"):
                assert node.module is not None
                parts = node.module.split(".")
                names |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
            elif isinstance(node, ast.Import):
                names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("nuki_bridge.")}
    return names - {module, "__version__"}


@pytest.mark.parametrize("module", FORBIDDEN)
def test_imports_point_one_way(module: str) -> None:
    rules = FORBIDDEN[module]
    if "*" in rules:
        allowed = {rule[1:] for rule in rules if rule.startswith("-")}
        assert imported(module) <= allowed
    else:
        assert not imported(module) & rules


def test_the_protocol_does_no_io() -> None:
    """It imports the standard library's plain parts and PyNaCl: no asyncio, no sockets, no clock, no randomness."""
    names: set[str] = set()
    for file in (PACKAGE / "protocol").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                names.add((node.module or "").split(".")[0])
            elif isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
    assert not names & {"asyncio", "socket", "time", "random", "secrets", "os", "logging", "threading"}


def test_the_virtual_lock_shares_no_behaviour_with_the_client() -> None:
    """Otherwise simulator and client could share a misreading: message tables, frames and crypto are all they share."""
    for file in (PACKAGE / "simulator").glob("*.py"):
        text = file.read_text()
        assert "protocol.pairing" not in text
        assert "protocol.session" not in text


@pytest.mark.parametrize("module", ["ble", "mqtt", "simulator", "http", "email", "yaml", "sqlite3"])
def test_the_command_line_loads_only_what_it_needs(module: str) -> None:
    """`--help` must answer at once on a small computer."""
    code = "import sys, nuki_bridge.cli; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert f"nuki_bridge.{module}" not in loaded
    assert module not in loaded
