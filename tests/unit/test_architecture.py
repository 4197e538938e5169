"""Which way imports point (docs/architecture.md): what lies above may import what lies below."""

from __future__ import annotations

import ast
import configparser
import dataclasses
import functools
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from nuki_bridge.bridge.members import Member

PACKAGE = Path(__file__).parents[2] / "nuki_bridge"

LAYERS = (
    "errors",
    "records",
    "watchdog",
    "allowance",
    "logs",
    "lock_name",
    "arguments",
    "protocol",
    "yamlpage",
    "kinds",
    "config",
    "schema",
    "database",
    "store",
    "migration",
    "mqtt",
    "topics",
    "bluetooth",
    "simulator",
    "lock",
    "owner",
    "sharing",
    "home_assistant",
    "nuki_mqtt",
    "bridge",
    "guest",
    "daemon",
    "web",
    "bridge_http",
    "doctor",
    "command_line",
)
"""Folders and single modules: each imports only what stands before it, also for its types alone."""

MAY_IMPORT = {
    "protocol": {"errors", "records"},
    "mqtt": {"errors", "records", "watchdog"},
    "bluetooth": {"errors", "records", "watchdog", "protocol"},
    "bluetooth/link": {"records", "protocol"},
    "simulator": {"errors", "records", "protocol", "bluetooth/link"},
    "migration": {"errors", "records", "lock_name", "protocol", "config", "store"},
    "lock": {"errors", "records", "watchdog", "protocol", "bluetooth/link", "store"},
    "web": {"allowance", "errors", "records", "watchdog", "logs", "kinds", "yamlpage", "mqtt", "daemon/service"},
    "bridge_http": {"allowance", "errors", "records", "kinds", "config", "mqtt", "web"},
    "mqtt/payload": set(),
    "arguments": {"records"},
    "topics": {"errors", "records", "arguments", "protocol", "mqtt"},
}
"""All that these may import, what is there for the types alone included (but the settings' types for MQTT)."""


def unit_of(name: str) -> str:
    """`folder/module`, or `module` if it lies in no folder, out of a dotted name."""
    _, first, *rest = name.split(".")
    return f"{first}/{rest[0]}" if rest and (PACKAGE / first).is_dir() else first


@functools.cache
def imported(unit: str, *, types: bool) -> dict[str, set[str]]:
    """What of the package each file of `unit` imports, lazily or not, as `folder/module` or `module`.

    `types`: also what is imported under `TYPE_CHECKING`.
    """
    path = PACKAGE / unit
    found: dict[str, set[str]] = {}
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]:
        tree = ast.parse(file.read_text())
        skipped = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        names: set[str] = set()
        for node in ast.walk(tree):
            if not types and id(node) in skipped:
                continue
            if isinstance(node, ast.Import):
                names |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                names |= {f"{node.module}.{each.name}" for each in node.names}
        ours = {unit_of(name) for name in names if name.startswith("nuki_bridge.")}
        found[str(file.relative_to(PACKAGE))] = ours - {"__version__", "HOMEPAGE", "ISSUES"}
    return found


def test_every_folder_and_module_has_its_layer() -> None:
    units = {each.stem for each in PACKAGE.iterdir() if each.suffix == ".py" or (each / "__init__.py").exists()}
    assert units - {"__init__", "__main__"} == set(LAYERS)


def test_the_layers_are_documented_in_their_order() -> None:
    text = " ".join((PACKAGE.parent / "docs" / "architecture.md").read_text().split())
    assert f"The layers, the lowest first: {', '.join(f'`{each}`' for each in LAYERS)}." in text


@pytest.mark.parametrize("unit", LAYERS)
def test_imports_point_one_way(unit: str) -> None:
    before = {*LAYERS[: LAYERS.index(unit)], unit}
    for file, names in imported(unit, types=True).items():
        assert {name for name in names if name.split("/")[0] not in before} == set(), file


@pytest.mark.parametrize("unit", MAY_IMPORT)
def test_what_is_below_does_not_know_what_is_above(unit: str) -> None:
    allowed = MAY_IMPORT[unit] | {unit} | ({"config", "kinds"} if unit == "mqtt" else set())
    for file, names in imported(unit, types=True).items():
        assert {name for name in names if not {name, name.split("/")[0]} & allowed} == set(), file


def import_cycle(units: Iterable[str]) -> list[str]:
    """Return the modules of one import cycle among these folders and modules, none if there is no cycle.

    Every import counts: those inside a function and those for the types alone, too.
    """
    files = {file: names for unit in units for file, names in imported(unit, types=True).items()}
    modules = {file.removesuffix(".py"): names for file, names in files.items()}
    graph = {module: {name for name in names if name in modules} for module, names in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_itself_over_others() -> None:
    assert import_cycle(LAYERS) == []


def test_a_cycle_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be as long as it likes, and one of its imports may be for the types alone."""
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "lower.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from nuki_bridge.part.upper import Upper\n"
    )
    (tmp_path / "part" / "middle.py").write_text("from nuki_bridge.part import lower\n")
    (tmp_path / "part" / "upper.py").write_text("def late():\n    from nuki_bridge.part.middle import Middle\n")
    (tmp_path / "part" / "alone.py").write_text("import nuki_bridge.part.upper\n")
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    assert set(import_cycle(["part"])) == {"part/lower", "part/middle", "part/upper"}


def test_the_bridge_is_handed_to_nobody_below() -> None:
    """It builds its parts and gives each of them what that needs."""
    for unit in LAYERS[: LAYERS.index("daemon")]:
        for file, names in imported(unit, types=True).items():
            assert "bridge/bridge" not in names, file


def test_a_member_is_no_bag() -> None:
    assert len(dataclasses.fields(Member)) <= 5


def test_frozen_classes_compile_nothing_when_they_are_loaded() -> None:
    """`records.frozen` is a dataclass whose methods are there already: a tenth of the time, a third of the memory."""
    found = [str(file) for file in PACKAGE.rglob("*.py") if "@dataclass(frozen=True, slots=True" in file.read_text()]
    assert found == []


def joins(tree: ast.AST) -> Iterator[ast.Assign]:
    """Assignments that give an object to another one which is there already."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign):
            continue
        targets = [each for each in node.targets if isinstance(each, ast.Attribute)]
        foreign = any(not (isinstance(each.value, ast.Name) and each.value.id == "self") for each in targets)
        value = node.value
        made = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id.istitle()
        tied = isinstance(value, ast.Lambda) or (isinstance(value, ast.Name) and value.id == "self") or made
        if foreign and tied:
            yield node


def test_nothing_is_joined_to_an_object_that_is_there_already() -> None:
    """Parts are handed to constructors: then none is there without another, and all are known from the beginning."""
    memory = PACKAGE / "simulator" / "memory.py"  # it fills a virtual lock with values out of a file
    for file in {*PACKAGE.rglob("*.py")} - {memory}:
        for node in joins(ast.parse(file.read_text())):
            raise AssertionError(f"{file}:{node.lineno}: {ast.unparse(node)}")


def test_a_join_is_found() -> None:
    for join in ("lock.evidence = Evidence(lock)", "self._lock.guests = self", "users.removed = lambda number: None"):
        assert len(list(joins(ast.parse(join)))) == 1
    for other in ("self._users = Users(lock)", "session.active_at = now", "row.ended = None"):
        assert list(joins(ast.parse(other))) == []


def test_bluetooth_and_mqtt_meet_in_the_daemon_alone() -> None:
    """Between them stands the bridge, which knows links and messages, not BlueZ and no broker."""
    outside = {*(f"bluetooth/{each}" for each in ("radio", "gatt", "scan", "bluez")), "mqtt/mqtt", "mqtt/connection"}
    for unit in ("lock", "owner", "topics", "sharing", "home_assistant", "nuki_mqtt", "bridge"):
        for file, names in imported(unit, types=False).items():
            assert names & outside == set(), file


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


KINDS_OF_DEVICES = {"LockState", "Action", "OpenerState", "OpenerAction"}
"""The enumerations whose numbers mean something else on another kind of device."""
KNOW_THEM = {"lock/profile.py"}
"""Beside `protocol` and `simulator`, who may name their members."""


def members_named(code: str, kinds: Collection[str] = KINDS_OF_DEVICES) -> set[str]:
    """Every `LockState.LOCKED` in `code`, under any name that it is imported by, also by index."""
    if not any(each in code for each in kinds):
        return set()
    tree = ast.parse(code)
    known = {each: each for each in kinds}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            known |= {each.asname or each.name: each.name for each in node.names if each.name in kinds}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Subscript):
            kind = node.value
            name = kind.attr if isinstance(kind, ast.Attribute) else getattr(kind, "id", "")
            what = node.attr if isinstance(node, ast.Attribute) else ast.unparse(node.slice)
            if name in known and what != "__members__":
                found.add(f"{known[name]}.{what}")
    return found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("if state == LockState.LOCKED: pass", {"LockState.LOCKED"}),
        ("from x import LockState as S\nmatch state:\n    case S.LOCKED: pass", {"LockState.LOCKED"}),
        ("a = 1 if codes.Action.LOCK in some else 2", {"Action.LOCK"}),
        ("some = {Action['LOCK']}", {"Action.'LOCK'"}),
        ("def act(action: Action) -> list[LockState]: return [each for each in LockState]", set()),
    ],
)
def test_a_member_is_found_wherever_it_is_named(code: str, found: set[str]) -> None:
    assert members_named(code) == found


def test_only_its_profile_and_the_radio_ask_whether_it_is_an_opener() -> None:
    """Families of Smart Locks differ in bytes; what only an Opener can do stands in its profile."""
    for file in sorted(PACKAGE.rglob("*.py")):
        path = file.relative_to(PACKAGE)
        told = path.as_posix() == "migration/nuki_hub.py"  # whose export says which device is which
        if path.parts[0] not in ("protocol", "simulator", "bluetooth") and str(path) not in KNOW_THEM and not told:
            assert "Family.OPENER" not in members_named(file.read_text(), {"Family"}), path


def test_only_the_profile_knows_what_a_kind_of_device_can_do() -> None:
    """Another kind of device is another profile, and no `if` anywhere else."""
    for file in sorted(PACKAGE.rglob("*.py")):
        path = file.relative_to(PACKAGE)
        if path.parts[0] not in ("protocol", "simulator") and str(path) not in KNOW_THEM:
            assert members_named(file.read_text()) == set(), path


_IMPORT_ALL = """
import importlib, pkgutil, sys
class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in %r:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NotInstalled())
for module in pkgutil.walk_packages([%r], "nuki_bridge."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def test_a_normal_install_can_import_every_module() -> None:
    """What only tests need is no part of the program."""
    settings = configparser.ConfigParser()
    settings.read(PACKAGE.parent / "setup.cfg")
    extras = settings["options.extras_require"]
    needed = {line.split()[0].lower() for each in ("test", "dev") for line in extras[each].split("\n") if line.strip()}
    only_for_tests = {each.replace("-", "_") for each in needed} | {"xdist", "tests"}
    assert "bumble" in only_for_tests
    subprocess.run([sys.executable, "-c", _IMPORT_ALL % (only_for_tests, str(PACKAGE))], check=True)


@functools.cache
def loaded_by_the_command_line() -> frozenset[str]:
    code = "import sys, nuki_bridge.command_line.cli; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return frozenset(done.stdout.split())


@pytest.mark.parametrize("module", ["bluetooth", "mqtt", "daemon", "simulator", "http", "email", "yaml", "sqlite3"])
def test_the_command_line_loads_only_what_it_needs(module: str) -> None:
    """`--help` must answer at once on a small computer."""
    assert loaded_by_the_command_line() & {module, f"nuki_bridge.{module}"} == set()


def test_no_test_module_is_imported_by_another() -> None:
    """What several share stands in a file of its own, so that whoever moves a test breaks no other."""
    found = re.compile(r"^\s*(?:from|import) tests\.(?:\w+\.)*test_\w+", re.MULTILINE)
    files = [*(PACKAGE.parent / "tests").rglob("*.py")]
    assert len(files) > 150
    assert [str(file) for file in files if found.search(file.read_text())] == []
