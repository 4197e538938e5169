"""The same Debian for the processors of a Raspberry Pi: what apt installs there for a package, run by qemu-user.

`resolve` asks apt what it would do on an arm64 machine that has nothing yet.  `unpacked` is a directory with all those
packages' files in it (their maintainer scripts have not run), and `program` the command line that runs a Python script
of them.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.vm import debian
from tests.vm.debian import DebianError, digest, locked, output, say

EMULATOR = "qemu-aarch64-static"
_APT = (
    *("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "APT::Architecture=arm64"),
    *("-o", "APT::Sandbox::User=root", "-o", "Dir::State=/mnt/apt/state", "-o", "Dir::Cache=/mnt/apt/cache"),
    *("-o", "Dir::State::status=/mnt/apt/status", "-o", "APT::Install-Recommends=false"),
)


def resolve(deb: Path) -> list[str]:
    """Names with architecture (`python3-nacl:arm64`) of all packages that apt installs with `deb`; `DebianError` if it
    cannot."""
    plan = _apt(_folder(deb), deb, "--simulate")
    return [_name(line.split()) for line in plan.splitlines() if line.startswith("Inst ")]


def unpacked(deb: Path) -> Path:
    """The root directory; made anew for each `deb`, while the packages it depends on are downloaded once."""
    folder = _folder(deb)
    _apt(folder, deb, "--download-only", "--yes")
    tree = folder / "root"
    with locked():
        if not (folder / "complete").exists():
            say("unpacking the packages for arm64")
            # What base-files would bring, had it come first.
            for name in ("bin", "lib", "sbin"):
                (tree / "usr" / name).mkdir(parents=True, exist_ok=True)
                (tree / name).symlink_to(f"usr/{name}")
            for each in sorted((folder / "apt" / "cache" / "archives").glob("*.deb")):
                _unpack(each, tree)
            (folder / "complete").touch()
        _unpack(deb, tree)
    return tree


def program(tree: Path, *command: str) -> list[str]:
    """The command line that runs a script or `-c` of Python with the files in `tree`."""
    return [EMULATOR, "-L", str(tree), str(tree / "usr" / "bin" / "python3"), *command]


def _folder(deb: Path) -> Path:
    base = debian.root()
    if shutil.which(EMULATOR) is None:
        raise DebianError(f"{EMULATOR} is missing; `make packages-debian` installs what this needs")
    folder = debian.CACHE / f"arm64-{digest(base.parent.name, output('dpkg-deb', '-f', str(deb), 'Depends'))}"
    update = debian.inside(*_APT, "update", binds={folder: "/mnt"})
    with locked():
        if not (folder / "updated").exists():
            say("asking apt about arm64")
            for name in ("state/lists/partial", "cache/archives/partial"):
                (folder / "apt" / name).mkdir(parents=True, exist_ok=True)
            (folder / "apt" / "status").touch()
            output(*update)
            (folder / "updated").touch()
    return folder


def _apt(folder: Path, deb: Path, *options: str) -> str:
    command = (*_APT, "install", *options, f"/media/{deb.name}")
    return output(*debian.inside(*command, binds={folder: "/mnt", deb: f"/media/{deb.name}"}))


def _name(words: list[str]) -> str:
    """`Inst NAME (VERSION Debian:13/stable [arm64])`"""
    architecture = next(word.strip("[])") for word in words if word.startswith("[") and word.endswith("])"))
    return f"{words[1]}:{architecture}"


def _unpack(deb: Path, tree: Path) -> None:
    # Not dpkg-deb -x: that would replace the links of a merged /usr by directories.
    unpack = ("tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", str(tree))
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as archive:
        output(*unpack, stdin=archive.stdout or subprocess.DEVNULL)
    if archive.returncode != 0:
        raise DebianError(f"{deb.name} cannot be unpacked")
