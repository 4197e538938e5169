"""The documentation says what the program does: its tables equal the code's, its links and paths exist."""

from __future__ import annotations

import ast
import configparser
import dataclasses
import functools
import importlib
import os
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nuki_bridge
from nuki_bridge import config
from nuki_bridge.bridge.requests import REQUESTS
from nuki_bridge.command_line import cli
from nuki_bridge.errors import NukiError
from nuki_bridge.protocol.codes import Completion, ErrorCode, Family, OpenerErrorCode
from nuki_bridge.protocol.messages import ErrorReport
from nuki_bridge.protocol.session import lock_error
from nuki_bridge.topics import tree
from nuki_bridge.web.http import HEADERS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "nuki_bridge"
README = ROOT / "README.md"
INDEX = ROOT / "docs" / "index.md"
PAGES = [README, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
OURS = [page for page in PAGES if page.parent.name != "protocol"]
"""Pages about this program; those in docs/protocol are about the lock."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
each_of_ours = pytest.mark.parametrize("page", OURS, ids=lambda page: str(page.relative_to(ROOT)))


def tables(page: Path, first_column: str) -> list[list[str]]:
    """Rows of every table whose first column is called so, as cells without surrounding spaces."""
    rows: list[list[str]] = []
    inside = False
    for line in page.read_text().splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells[0] == first_column:
            inside = True
        elif inside and not set(cells[0]) <= {"-", ":"}:
            rows.append(cells)
    assert rows, f"{page.name} has no table that starts with {first_column}"
    return rows


def code(cell: str) -> str:
    """What stands between backticks in a cell, and nothing else does."""
    match = re.fullmatch(r"`([^`]+)`", cell)
    assert match, f"{cell} is not in backticks"
    return match[1]


# -- tables -----------------------------------------------------------------------------------------------------------


def test_the_topic_table_is_that_of_the_program() -> None:
    documented = [
        (code(topic), who, retained, meaning)
        for topic, who, retained, meaning in tables(ROOT / "docs" / "topics.md", "Topic")
    ]
    assert documented == [
        (
            each.pattern,
            {"in": "you", "out": "bridge"}[each.direction],
            "yes" if each.retained else "",
            each.meaning + (" (virtual locks only)" if each.virtual else ""),
        )
        for each in tree.TABLE
    ]


def test_the_request_table_is_that_of_the_program() -> None:
    documented = {}
    for request, takes, _ in tables(ROOT / "docs" / "requests.md", "Request"):
        documented[code(request)] = set(re.findall(r"`([^`]+)`", takes))
    commands = {f"bridge/request/{name}": each for name, each in REQUESTS.bridge.items()}
    commands |= {f"<lock>/request/{name}": each for name, each in REQUESTS.lock.items()}
    assert documented == {name: {*each.arguments.required, *each.arguments.optional} for name, each in commands.items()}


SECTIONS: dict[str, tuple[dict[str, Any], Any]] = {
    "": (config._SETTINGS, config.Settings()),
    "mqtt.": (config._MQTT, config.MqttSettings()),
    "mqtt.tls.": (config._TLS, config.TlsSettings()),
    "mqtt.discovery.": (config._DISCOVERY, config.DiscoverySettings()),
    "bluetooth.": (config._BLUETOOTH, config.BluetoothSettings()),
    "web.": (config._WEB, config.WebSettings()),
    "locks[].": (config._LOCK, config.LockSettings("")),
}
"""Each section of the configuration: its keys, and its settings when none is given."""
PARENTS = {"mqtt", "mqtt.tls", "mqtt.discovery", "bluetooth", "web", "locks"}


def keys() -> dict[str, Any]:
    """Every key by its path, with its default."""
    found = {}
    for prefix, (section, defaults) in SECTIONS.items():
        for key in section:
            if prefix + key not in PARENTS - {"mqtt.tls"}:
                found[prefix + key] = getattr(defaults, key.removesuffix("_file"))
    return found


def test_every_section_of_the_configuration_is_known_here() -> None:
    """Otherwise a new section of the configuration would need no documentation."""
    tables = {name: value for name, value in vars(config).items() if isinstance(value, dict)}
    sections = {name for name in tables if re.fullmatch(r"_[A-Z]+", name)}
    assert sections == {"_SETTINGS", "_MQTT", "_TLS", "_DISCOVERY", "_BLUETOOTH", "_LOCK", "_WEB"}


def test_the_configuration_table_lists_every_key_with_its_default() -> None:
    documented = {code(key): default for key, default, _ in tables(ROOT / "docs" / "configuration.md", "Key")}
    assert documented.keys() == keys().keys()
    for key, default in keys().items():
        if isinstance(default, bool):
            assert documented[key] == f"`{str(default).lower()}`", key
        elif isinstance(default, str | int | Path) and key != "locks[].name":
            assert documented[key] == f"`{default}`", key
        else:
            assert not documented[key].startswith("`"), f"{key} has no fixed default"


def test_the_example_configuration_names_every_key() -> None:
    words = set(re.findall(r"(\w+):", (ROOT / "etc" / "config.yaml").read_text()))
    assert {key.rpartition(".")[2] for key in keys()} <= words


# -- error codes ------------------------------------------------------------------------------------------------------

RAISING = {"RequestError": 0, "RefusedRequest": 1, "LockError": 0, "refused": 1, "EntrySelector": 2}
"""Calls that take an error code, and which argument it is."""
PASSED_ON = {
    "bridge/answers.py",
    "bridge/intake.py",
    "command_line/client.py",
    "command_line/guest_commands.py",
    "guest/guest.py",
    "guest/relay_link.py",
    "lock/outcome.py",
    "owner/entry_selector.py",
    "protocol/session.py",
    "topics/topics.py",
}
"""Modules that also pass on a code that is found elsewhere: an exception's, a completion status's, the lock's."""


@functools.cache
def literal_codes() -> tuple[tuple[str, str | None], ...]:
    """File and code of each call in `RAISING` outside the virtual lock; None for a code that is not written there."""
    found: list[tuple[str, str | None]] = []
    for file in sorted(PACKAGE.rglob("*.py")):
        name = str(file.relative_to(PACKAGE))
        if name.startswith("simulator/"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            position = RAISING.get(called)
            if position is None or len(node.args) <= position:
                continue
            argument = node.args[position]
            is_text = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
            found.append((name, argument.value if is_text else None))  # type: ignore[attr-defined]
    return tuple(found)


def class_codes() -> set[str]:
    """The `code` of every exception class of the program."""
    for module in pkgutil.walk_packages([str(PACKAGE)], "nuki_bridge."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def below(kind: type[NukiError]) -> Iterator[type[NukiError]]:
        yield kind
        for each in kind.__subclasses__():
            yield from below(each)

    return {each.code for each in below(NukiError) if each.__module__.startswith("nuki_bridge.")}


def lock_codes() -> set[str]:
    """What a lock can answer."""
    reported = {lock_error(ErrorReport(error=each, failed_command=0)).code for each in ErrorCode}
    by_an_opener = {
        lock_error(ErrorReport(error=int(each), failed_command=0), Family.OPENER).code for each in OpenerErrorCode
    }
    return reported | by_an_opener | {each.name.lower() for each in Completion if each is not Completion.SUCCESS}


def answerable_codes() -> set[str]:
    """Every error code that somebody can get to see."""
    written = {each for _, each in literal_codes() if each is not None}
    return written | class_codes() | lock_codes() | {"failed"}


def test_the_scan_for_codes_sees_every_place() -> None:
    """A code that is put together at run time would escape the comparison below."""
    assert {name for name, each in literal_codes() if each is None} <= PASSED_ON


def test_every_error_code_is_documented_and_no_other() -> None:
    documented = [code(row[0]) for row in tables(ROOT / "docs" / "errors.md", "Code")]
    assert len(documented) == len(set(documented))
    assert sorted(documented) == sorted(answerable_codes())


def test_each_error_code_says_who_means_what_and_what_to_do() -> None:
    for row in tables(ROOT / "docs" / "errors.md", "Code"):
        _, who, meaning, what_to_do = row
        assert set(who.split(", ")) <= {"bridge", "lock", "command line"}, row
        assert meaning, row
        assert what_to_do, row


def test_codes_of_the_lock_are_marked_as_such() -> None:
    said_by_lock = {code(row[0]) for row in tables(ROOT / "docs" / "errors.md", "Code") if "lock" in row[1].split(", ")}
    assert said_by_lock == lock_codes()


# -- links, paths, commands -------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_relative_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{page.name} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(linked), f"{page.name} links to {target}: no such heading"


def paths_in(page: Path) -> set[str]:
    """Paths below the folders of this project that a page names, in text, links and commands."""
    folders = r"(?:nuki_bridge|tests|docs|etc|systemd|\.ci)"
    return set(re.findall(rf"(?<![\w./-])({folders}/[\w./-]*\w/?)", page.read_text()))


@each_of_ours
def test_paths_named_in_a_page_exist(page: Path) -> None:
    missing = {path for path in paths_in(page) if not (ROOT / path).exists()}
    assert not missing


@each_of_ours
def test_modules_named_in_a_page_exist(page: Path) -> None:
    """A bare `name.py` in backticks is a module of the package."""
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", page.read_text()))
    missing = {name for name in named if not (PACKAGE / name).exists() and not (ROOT / name).exists()}
    assert not missing


def all_tests() -> set[str]:
    files = (ROOT / "tests").rglob("test_*.py")
    return {
        name for file in files for name in re.findall(r"^\s*(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    }


@each_of_ours
def test_tests_named_in_a_page_exist(page: Path) -> None:
    """A page that says which test shows something stops saying so when there is no such test any more."""
    named = set(re.findall(r"`(test_\w+)`", page.read_text()))
    assert named - all_tests() == set()


def test_the_page_of_docs_explains_each_sentence_that_sends_a_guest_to_the_owner() -> None:
    texts = (PACKAGE / "web" / "page" / "texts.js").read_text()
    english = re.findall(r'^  "[\w.]+": \[\s*"([^"]+)"', texts, re.MULTILINE)
    sent = {each for each in english if "tell the owner" in each.lower()}
    explained = {row[0] for row in tables(ROOT / "docs" / "page.md", "The page says")}
    assert len(sent) > 10
    assert sent <= explained <= set(english)


def test_what_the_pages_server_is_documented_to_say_is_what_it_says() -> None:
    sources = "".join(each.read_text() for each in sorted((PACKAGE / "web").glob("*.py")))
    sources = re.sub(r'"\s*\n\s*f?"', "", sources)
    sentences = [row[0] for row in tables(ROOT / "docs" / "page.md", "It says")]
    assert len(sentences) > 5
    assert [
        part for each in sentences for part in code(each).split("…") if part.strip() and part.strip() not in sources
    ] == []


def test_nginx_is_told_the_headers_of_the_pages_server() -> None:
    text = (ROOT / "docs" / "page.md").read_text()
    documented = dict(re.findall(r"^    add_header ([\w-]+) \"?([^\"\n]+?)\"? always;$", text, re.MULTILINE))
    assert documented == HEADERS


def test_each_claim_of_the_threat_model_names_a_test() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert len(headings) == 9
    for heading, section in zip(headings, re.split(r"^## .+$", text, flags=re.MULTILINE)[1:], strict=True):
        claims = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| Cannot")]
        assert claims, f"{heading} claims nothing"
        assert [line for line in claims if "`test_" not in line] == []


def test_the_index_links_every_page_and_the_readme_the_index() -> None:
    linked = {(INDEX.parent / each).resolve() for each in re.findall(r"\]\(([^)#]+)", INDEX.read_text())}
    pages = {page for page in PAGES if page.parent.name in ("docs", "protocol")} | {ROOT / "docs" / "asyncapi.yaml"}
    assert pages - linked - {INDEX} == set()
    assert "](docs/index.md)" in README.read_text()


def test_the_readme_is_short() -> None:
    """A person reads it to the end; whatever is looked up stands in docs."""
    assert len(README.read_text().split()) < 1600


def installed() -> dict[Path, Path]:
    """Where each page and example is that the package installs, by the file here; a name of its own for a link."""
    debian, shared = ROOT / "debian", Path("usr/share/doc/nuki-bridge")
    found: dict[Path, Path] = {}
    for line in (debian / "nuki-bridge.docs").read_text().split():
        source = ROOT / line
        files = [source, *source.rglob("*")] if source.is_dir() else [source]
        found |= {shared / each.relative_to(ROOT): each for each in files}
    links = [line.split() for line in (debian / "nuki-bridge.links").read_text().splitlines() if line[0] != "#"]
    examples = {shared / "examples" / each.relative_to(ROOT / "etc"): each for each in (ROOT / "etc").rglob("*")}
    examples[shared / "examples"] = ROOT / "etc"
    for target, name in links:
        for place, each in list(examples.items()):
            if place.is_relative_to(target):
                examples[Path(name) / place.relative_to(target)] = each
    return found | examples


def test_links_work_in_the_installed_package_too() -> None:
    """Pages and examples lie there in other folders, and what is not installed cannot be linked to."""
    places = installed()
    pages = {place: page.read_text() for place, page in places.items() if page.suffix == ".md"}
    links = [(place, each) for place, page in pages.items() for each in re.findall(r"\]\(([^)\s#]+)", page)]
    ours = [(place, each) for place, each in links if not re.match(r"[a-z]+:", each)]
    assert [each for each in ours if Path(os.path.normpath(each[0].parent / each[1])) not in places] == []
    assert len(places) > 50


def test_the_glossary_names_classes_that_exist_once() -> None:
    glossary = (ROOT / "docs/architecture.md").read_text().partition("## Glossary")[2].partition("\n## ")[0]
    named = [
        word.partition(".")[0]
        for row in glossary.splitlines()
        for word in re.findall(r"`(\w[\w.]*)`", row.rpartition("| `")[1] + row.rpartition("| `")[2])
    ]
    assert len(named) > 20
    classes = [
        name
        for file in (ROOT / "nuki_bridge").rglob("*.py")
        for name in re.findall(r"^ *class (\w+)", file.read_text(), re.MULTILINE)
    ]
    assert {name: classes.count(name) for name in named if classes.count(name) != 1} == {}


def test_the_architecture_names_every_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    files = [each for each in PACKAGE.rglob("*.py") if each.stem not in ("__init__", "__main__")]
    modules = [str(each.relative_to(PACKAGE)) for each in files]
    assert [each for each in modules if f"`{each}`" not in text] == []


def commands_in(page: Path) -> Iterator[str]:
    """Arguments of every `nuki-bridge …` in code blocks and between backticks."""
    text = page.read_text()
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    for line in [*blocks.splitlines(), *spans]:
        match = re.fullmatch(r"\s*(?:sudo (?:-u \S+ )?)?(?:\S*/)?nuki-bridge (?P<rest>[^|>]+?)(?:\s+#.*)?", line)
        if match:
            yield match["rest"]


@each_of_ours
def test_commands_in_a_page_are_understood(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command line parses, with LOCK standing for a name."""
    for line in commands_in(page):
        try:
            cli.parse(shlex.split(line))
        except SystemExit as end:
            if end.code != 0:
                pytest.fail(f"{page.name}: nuki-bridge {line}: {capsys.readouterr().err}")


def test_the_page_of_commands_names_every_command() -> None:
    parser = cli._parser()
    subparsers = next(each for each in parser._actions if each.dest == "command")
    assert subparsers.choices
    named = {
        name for row in tables(ROOT / "docs" / "commands.md", "Command") for name in re.findall(r"`([\w-]+)`", row[0])
    }
    assert named == set(subparsers.choices)


def test_where_to_get_it_and_to_report_is_everywhere_what_setup_cfg_says() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    home = setup["metadata"]["url"]
    _, issues = setup["metadata"]["project_urls"].strip().split(" = ")
    assert (home, issues) == (nuki_bridge.HOMEPAGE, nuki_bridge.ISSUES)
    assert f"\nHomepage: {home}\n" in (ROOT / "debian" / "control").read_text()
    assert re.findall(r"<(https?://[^>]+)>", README.read_text()) == [home, issues]


def test_the_version_comes_with_where_to_get_it_and_to_report(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.parse(["--version"])
    told = capsys.readouterr().out
    assert (end.value.code, told.splitlines()[0]) == (0, f"nuki-bridge {nuki_bridge.__version__}")
    assert nuki_bridge.HOMEPAGE in told
    assert nuki_bridge.ISSUES in told


def test_make_targets_named_in_a_page_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in OURS for name in re.findall(r"\bmake ([a-z-]+)`", page.read_text())}
    assert {"run", "test"} <= named <= targets


def test_the_changelog_tells_of_this_version() -> None:
    assert re.search(rf"^## {re.escape(nuki_bridge.__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_dataclasses_and_keys_of_the_configuration_agree() -> None:
    """The defaults above are read from the settings by the keys' names."""
    for prefix, (section, defaults) in SECTIONS.items():
        fields = {each.name for each in dataclasses.fields(defaults)}
        assert {key.removesuffix("_file") for key in section} <= fields, prefix
