"""The Debian package as `make deb` leaves it: what is in it, with which modes, and what lintian says."""

from __future__ import annotations

import dataclasses
import email
import io
import posixpath
import re
import shutil
import subprocess
import tarfile
from email.message import Message
from pathlib import Path

import pytest

import nuki_bridge

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs the tools of a Debian system")

ROOT = Path(__file__).parents[2]
LIBRARY = "usr/lib/python3/dist-packages"
SHARED = "usr/share/doc/nuki-bridge"


def make_deb(*arguments: str) -> Path:
    """The package that `make deb` tells of."""
    done = subprocess.run(["make", "deb", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / done.stdout.splitlines()[-1]


@dataclasses.dataclass(frozen=True)
class Package:
    path: Path
    fields: Message
    scripts: dict[str, str]
    """Control files but `control`, by name."""
    files: dict[str, tarfile.TarInfo]
    """Everything that is unpacked, by path without a leading slash."""
    contents: dict[str, bytes]


def read(path: Path) -> Package:
    """Take a package apart, without unpacking it anywhere."""

    def archive(option: str) -> tarfile.TarFile:
        packed = subprocess.run(["dpkg-deb", option, path], capture_output=True, check=True).stdout
        return tarfile.open(fileobj=io.BytesIO(packed))

    def text(member: tarfile.TarInfo) -> bytes:
        file = archive_.extractfile(member)
        assert file is not None
        return file.read()

    with archive("--ctrl-tarfile") as archive_:
        control = {each.name.removeprefix("./"): text(each).decode() for each in archive_ if each.isfile()}
    with archive("--fsys-tarfile") as archive_:
        files = {each.name.removeprefix("./"): each for each in archive_}
        contents = {name: text(each) for name, each in files.items() if each.isfile()}
    return Package(path, email.message_from_string(control.pop("control")), control, files, contents)


@pytest.fixture(scope="module")
def package() -> Package:
    return read(make_deb())


def names(field: str) -> set[str]:
    """The packages that a field names."""
    return {re.split(r"[ :]", each.strip())[0] for each in re.split(r"[,|]", field)}


def test_is_named_after_the_programs_version(package: Package) -> None:
    assert package.path == ROOT / "build" / f"nuki-bridge_{nuki_bridge.__version__}_all.deb"
    assert package.fields["Package"] == "nuki-bridge"
    assert package.fields["Version"] == nuki_bridge.__version__
    assert package.fields["Architecture"] == "all"


def sources() -> set[Path]:
    """Everything that lies in the project's directory, but what make keeps in places of its own."""
    folders = ("debian", "docs", "etc", "nuki_bridge", "systemd")
    below = {each for name in folders for each in (ROOT / name).rglob("*") if "__pycache__" not in each.parts}
    return below | set(ROOT.iterdir())


def test_another_version_is_only_the_packages_and_leaves_nothing_among_the_sources() -> None:
    before = sources()
    other = make_deb("VERSION=9.0~test+1")
    assert sources() == before
    try:
        package = read(other)
        assert other.name == "nuki-bridge_9.0~test+1_all.deb"
        assert package.fields["Version"] == "9.0~test+1"
        version = f'__version__ = "{nuki_bridge.__version__}"'
        assert version in package.contents[f"{LIBRARY}/nuki_bridge/__init__.py"].decode()
    finally:
        other.unlink()


@pytest.mark.parametrize("version", ["", "x", "1-1", "1:2", "1 2", "$(id)"])
def test_a_version_that_makes_no_package_is_refused(version: str) -> None:
    done = subprocess.run([ROOT / ".ci" / "deb", version], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "VERSION must begin with a digit" in done.stderr


def test_depends_on_packages_of_debian_alone(package: Package) -> None:
    depends = names(package.fields["Depends"])
    assert {"bluez", "systemd", "python3", "python3-bleak", "python3-dbus-fast", "python3-nacl"} <= depends
    assert {"python3-paho-mqtt", "python3-systemd", "python3-yaml"} <= depends
    assert "mosquitto" not in depends
    assert "mosquitto" in names(package.fields["Recommends"])
    assert not re.search(r"\$\{|3\.1\d", package.fields["Depends"]), "neither unfilled nor tied to a Python"


def test_the_configuration_is_the_only_conffile_and_nobody_elses_to_read(package: Package) -> None:
    assert package.scripts["conffiles"].split() == ["/etc/nuki-bridge/config.yaml"]
    assert package.files["etc/nuki-bridge/config.yaml"].mode == 0o640
    assert package.contents["etc/nuki-bridge/config.yaml"] == (ROOT / "etc" / "config.yaml").read_bytes()


def test_all_belongs_to_root_and_only_root_can_write(package: Package) -> None:
    links = {name: file.linkname for name, file in package.files.items() if file.issym()}
    assert links == {f"{SHARED}/etc": "examples"}
    for name, file in package.files.items():
        assert (file.uid, file.gid, file.uname, file.gname) == (0, 0, "root", "root"), name
        if name in links:
            continue
        assert file.isfile() or file.isdir(), name
        if name != "etc/nuki-bridge/config.yaml":
            executable = file.isdir() or name == "usr/bin/nuki-bridge"
            assert file.mode == (0o755 if executable else 0o644), name


def test_the_program_is_there_whole_and_nothing_else(package: Package) -> None:
    modules = {str(each.relative_to(ROOT)) for each in (ROOT / "nuki_bridge").rglob("*.py")}
    page = (ROOT / "nuki_bridge" / "web" / "page").rglob("*")
    modules |= {str(each.relative_to(ROOT)) for each in page if each.is_file()} | {"nuki_bridge/web/authority.html"}
    assert "nuki_bridge/web/page/vendor/nacl-fast.js" in modules
    unpacked = {name.removeprefix(f"{LIBRARY}/") for name in package.contents if name.startswith(LIBRARY)}
    assert {each for each in unpacked if ".dist-info/" not in each} == {*modules, "nuki_bridge/py.typed"}
    assert re.match(rb"#! ?/usr/bin/python3\n", package.contents["usr/bin/nuki-bridge"])


def test_files_are_where_debian_13_looks_for_them(package: Package) -> None:
    for name, source in {
        "usr/lib/systemd/system/nuki-bridge.service": "systemd/nuki-bridge.service",
        "usr/lib/systemd/system/nuki-bridge-web.service": "systemd/nuki-bridge-web.service",
        "usr/lib/systemd/system/bluetooth.service.d/nuki-bridge.conf": "systemd/bluetooth.service.d/nuki-bridge.conf",
        "usr/lib/sysusers.d/nuki-bridge.conf": "systemd/sysusers.d/nuki-bridge.conf",
        "usr/share/dbus-1/system.d/nuki-bridge.conf": "systemd/dbus-1/nuki-bridge.conf",
        f"{SHARED}/README.md": "README.md",
        f"{SHARED}/CHANGELOG.md": "CHANGELOG.md",
        f"{SHARED}/CONTRIBUTING.md": "CONTRIBUTING.md",
        f"{SHARED}/docs/operations.md": "docs/operations.md",
        f"{SHARED}/docs/asyncapi.yaml": "docs/asyncapi.yaml",
        "usr/share/bash-completion/completions/nuki-bridge": "completions/nuki-bridge.bash",
        "usr/share/zsh/vendor-completions/_nuki-bridge": "completions/_nuki-bridge",
        f"{SHARED}/examples/mosquitto/nuki-bridge.acl": "etc/mosquitto/nuki-bridge.acl",
        f"{SHARED}/examples/node-red/flows.json": "etc/node-red/flows.json",
    }.items():
        assert package.contents[name] == (ROOT / source).read_bytes(), name
    others: tuple[str, ...] = (
        "etc/nuki-bridge/config.yaml",
        "usr/bin/nuki-bridge",
        "usr/share/man/man1/nuki-bridge.1.gz",
        "usr/share/man/man5/nuki-bridge.yaml.5.gz",
        "usr/share/man/man8/nuki-bridge-run.8.gz",
    )
    others += ("usr/share/lintian/overrides/nuki-bridge",)
    places = (
        LIBRARY,
        SHARED,
        "usr/share/bash-completion/",
        "usr/share/zsh/",
        "usr/lib/systemd/system/",
        "usr/lib/sysusers.d/",
        "usr/share/dbus-1/system.d/",
    )
    assert [name for name in package.contents if not name.startswith(places) and name not in others] == []
    assert not {each.split("/")[0] for each in package.files} - {"", ".", "etc", "usr"}


def test_links_of_the_readme_and_of_the_pages_lead_to_files_of_the_package(package: Package) -> None:
    """Nothing is compressed on the way, and what lies elsewhere than in the sources is linked to."""
    names = {name.rstrip("/") for name in package.files}
    missing = set()
    for page in [name for name in package.contents if name.startswith(SHARED) and name.endswith(".md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", package.contents[page].decode()):
            if "://" not in target and not target.startswith("mailto:"):
                path = posixpath.normpath(f"{posixpath.dirname(page)}/{target}").rstrip("/")
                if path.replace(f"{SHARED}/etc", f"{SHARED}/examples") not in names:
                    missing.add(f"{page.removeprefix(SHARED)}: {target}")
    assert missing == set()


def test_everything_to_copy_from_is_an_example(package: Package) -> None:
    wanted = {str(each.relative_to(ROOT / "etc")) for each in (ROOT / "etc").rglob("*") if each.is_file()}
    assert {"config.yaml", "mosquitto/nuki-bridge.conf"} <= wanted
    prefix = f"{SHARED}/examples/"
    assert {name.removeprefix(prefix) for name in package.contents if name.startswith(prefix)} == wanted


def test_nothing_was_compiled_and_nothing_of_the_workplace_is_inside(package: Package) -> None:
    for name, content in package.contents.items():
        assert not name.endswith((".pyc", ".orig", "~")), name
        assert str(ROOT).encode() not in content, name


def test_the_user_is_there_before_the_service_starts(package: Package) -> None:
    postinst = package.scripts["postinst"]
    steps = [
        "systemd-sysusers",
        "chgrp nuki-bridge",
        "ReloadConfig",
        "py3compile",
        "deb-systemd-helper enable",
        "deb-systemd-invoke",
    ]
    places = [postinst.index(step) for step in steps]
    assert places == sorted(places)


def test_the_service_starts_again_after_an_upgrade_and_stops_before_removal(package: Package) -> None:
    assert re.search(r"_dh_action=restart", package.scripts["postinst"])
    assert re.search(r'\[ "\$1" = remove \][^\n]*\n\s*deb-systemd-invoke stop', package.scripts["prerm"])


@pytest.mark.skipif(shutil.which("lintian") is None, reason="needs lintian")
def test_lintian_has_nothing_to_say(package: Package) -> None:
    """Errors and warnings of the package and of its source."""
    changes = list((ROOT / "build" / "deb" / nuki_bridge.__version__).glob("*.changes"))
    assert len(changes) == 1, package.path
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", *changes],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
