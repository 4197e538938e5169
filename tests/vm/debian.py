"""Debian 13 as files and as a disk: the system that a Raspberry Pi OS of the same age is made of.

    python -m tests.vm.debian          builds it if it is missing, prints where it is

`root` is a directory to change root into (`inside` does that), `disk` the same as a file system for a virtual machine,
where systemd starts it.  Both are made once by debootstrap from the mirror that apt uses here, and lie in
`.cache/debian13`; another recipe makes them anew.  BlueZ and Python are there, as on a Pi.  Broker and libraries are
not: `repository` collects what apt would fetch for a package, for machines without a network.

Needs root, or sudo: the files belong to whom they belong to on a real machine.
"""

from __future__ import annotations

import configparser
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

PROJECT = Path(__file__).resolve().parent.parent.parent
CACHE = PROJECT / ".cache" / "debian13"
SUITE = "trixie"
PACKAGES = (
    *("systemd-sysv", "dbus", "udev", "sudo", "bluez", "ca-certificates"),
    *("python3", "python3-venv", "python3-pip"),
)
"""What is there beside the essential packages and apt."""
DISK_SIZE = "4G"
"""Of the file system; what is empty takes no space."""
VIRTUAL_LOCK = "/opt/virtual-lock"
"""A virtual environment for the lock on the air, apart from what the system has installed."""
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
APT_SETTINGS = ("Acquire::Check-", "Acquire::http", "Acquire::https", "Acquire::Retries")
"""Of apt on this machine, those that a mirror may need."""
AS_ROOT = () if os.geteuid() == 0 else ("sudo", "--preserve-env")

_CHROOT = """
root=$1; shift
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then mkdir -p "$root$2"; else [ -e "$root$2" ] || install -D /dev/null "$root$2"; fi
    mount --bind "$1" "$root$2"
    shift 2
done
shift
exec chroot "$root" "$@"
"""
_GET_KERNEL = """
apt-get -qq update
cd "$1"
apt-get -qq -o APT::Sandbox::User=root download $(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: *//p')
"""
_SET_UP = """
echo debian >/etc/hostname
echo '127.0.0.1 localhost debian' >/etc/hosts
systemd-machine-id-setup
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
"""


class DebianError(Exception):
    """The system cannot be built; the text says why."""


def root() -> Path:
    """The directory, built if it is missing or was made by another recipe; safe while others ask for it, too."""
    return _built() / "root"


def disk() -> Path:
    """The same system as the image of an ext4 file system: to be read, never to be written to."""
    return _built() / "disk.ext4"


def kernel() -> Path:
    """The unpacked package of the kernel that this Debian has, for `kernel.boot_files`."""
    return next(_built().glob("linux-image-*"))


def inside(*command: str, binds: Mapping[Path, str] | None = None) -> list[str]:
    """The command line that runs `command` as root with the Debian system as its files, and this machine's network.

    `binds` are files and directories of this machine that appear at the given places.  What is mounted goes away with
    the command; what the command changes stays, also for others.  pip finds its index as it does here.
    """
    return _inside(root(), command, binds or {})


def repository(deb: Path) -> Path:
    """A folder for apt's sources (`deb [trusted=yes] file:FOLDER ./`) with all that `apt install` of `deb` would fetch.

    Beside what the package depends on and recommends, mosquitto's clients are in it.
    """
    base = _built()
    fields = output("dpkg-deb", "-f", str(deb), "Depends", "Recommends")
    folder = CACHE / f"packages-{digest(base.name, fields)}"
    with locked():
        if not (folder / "Packages").exists():
            say(f"downloading what {deb.name} depends on")
            (folder / "partial").mkdir(parents=True, exist_ok=True)
            binds = {folder: "/var/cache/apt/archives", deb: f"/mnt/{deb.name}"}
            apt = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "APT::Sandbox::User=root")
            output(*_inside(base / "root", (*apt, "update"), binds))
            fetch = (*apt, "install", "--download-only", "--yes", f"/mnt/{deb.name}", "mosquitto-clients")
            output(*_inside(base / "root", fetch, binds))
            _write_index(folder)
    return folder


def _write_index(folder: Path) -> None:
    entries = []
    for deb in sorted(folder.glob("*.deb")):
        content = deb.read_bytes()
        described = output("dpkg-deb", "-f", str(deb)).strip()
        sha256 = hashlib.sha256(content).hexdigest()
        entries.append(f"{described}\nFilename: ./{deb.name}\nSize: {len(content)}\nSHA256: {sha256}\n")
    unfinished = folder / "Packages.part"
    unfinished.write_text("\n".join(entries))
    unfinished.rename(folder / "Packages")


# -- building ---------------------------------------------------------------------------------------------------------


def _built() -> Path:
    """The directory with `root` and `disk.ext4`."""
    pip = _lock_requirements()
    recipe = digest(SUITE, *PACKAGES, DISK_SIZE, VIRTUAL_LOCK, _GET_KERNEL, _SET_UP, *pip)
    ready = CACHE / recipe
    with locked():
        if not (ready / "complete").exists():
            for old in CACHE.iterdir():
                if old.name != "lock":
                    output(*AS_ROOT, "rm", "-rf", "--one-file-system", str(old))
            ready.mkdir()
            _build(ready, pip)
            (ready / "complete").touch()
    return ready


def _build(folder: Path, pip: tuple[str, ...]) -> None:
    if shutil.which("debootstrap", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        raise DebianError("debootstrap is missing; `make packages-debian` installs what this needs")
    tree = folder / "root"
    say(f"building Debian {SUITE} in {folder.relative_to(PROJECT)}")
    output(
        *(*AS_ROOT, "debootstrap", "--variant=minbase", f"--keyring={KEYRING}", f"--include={','.join(PACKAGES)}"),
        *(SUITE, str(tree), *_mirror()),
    )
    settings = [line for line in output("apt-config", "dump").splitlines() if line.startswith(APT_SETTINGS)]
    output(
        *_inside(tree, ("sh", "-euc", 'echo "$1" >/etc/apt/apt.conf.d/00mirror', "sh", "\n".join(settings)), {}),
    )
    output(*_inside(tree, ("python3", "-m", "venv", VIRTUAL_LOCK), {}))
    output(*_inside(tree, (f"{VIRTUAL_LOCK}/bin/pip", "install", "-q", "--no-cache-dir", *pip), {}))
    output(*_inside(tree, ("sh", "-euc", _GET_KERNEL, "sh", "/mnt"), {folder: "/mnt"}))
    for deb in folder.glob("linux-image-*.deb"):
        output("dpkg-deb", "-x", str(deb), str(folder / deb.name.split("_")[0]))
        output(*AS_ROOT, "rm", str(deb))
    output(*_inside(tree, ("sh", "-euc", _SET_UP), {}))
    image = folder / "disk.ext4"
    output(*AS_ROOT, "mkfs.ext4", "-q", "-d", str(tree), str(image), DISK_SIZE)
    output(*AS_ROOT, "chmod", "644", str(image))


def _lock_requirements() -> tuple[str, ...]:
    """What a virtual lock on the air needs of PyPI, in the versions that the other virtual machines have."""
    setup = configparser.ConfigParser()
    setup.read(PROJECT / "setup.cfg")
    lines = setup["options"]["install_requires"].splitlines() + setup["options.extras_require"]["test"].splitlines()
    return tuple(line.replace(" ", "") for line in lines if line.startswith(("bumble", "pynacl")))


def _mirror() -> tuple[str, ...]:
    """The mirror of Debian that apt uses here; none (debootstrap's own choice) if this is not Debian."""
    listed = output("apt-get", "indextargets", "--format", "$(ORIGIN) $(SUITE) $(REPO_URI)", "Identifier: Packages")
    for line in listed.splitlines():
        origin, suite, uri = line.split(maxsplit=2)
        if origin == "Debian" and "-" not in suite:
            return (uri,)
    return ()


def _inside(tree: Path, command: tuple[str, ...], binds: Mapping[Path, str]) -> list[str]:
    wanted = {Path("/etc/resolv.conf").resolve(): "/etc/resolv.conf", **binds}
    certificates = Path(os.environ.get("PIP_CERT", ""))
    if certificates.is_file():
        wanted[certificates] = str(certificates)
    pairs = [part for here, there in wanted.items() for part in (str(here), there)]
    enter = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", _CHROOT, "inside", str(tree))
    home = ("env", "HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    return [*AS_ROOT, *enter, *pairs, "--", *home, *command]


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Nobody else builds in the cache meanwhile; not to be nested."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def digest(*texts: str) -> str:
    """A short name for what was made from these texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def say(text: str) -> None:
    """Tell whoever waits."""
    print(f"debian: {text}", file=sys.stderr, flush=True)


def output(*command: str, stdin: IO[bytes] | int = subprocess.DEVNULL) -> str:
    """What a command says; raises `DebianError` with its words if it fails."""
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, stdin=stdin)
    except subprocess.CalledProcessError as error:
        said = f"{error.stdout[-2000:]}{error.stderr[-2000:]}"
        raise DebianError(f"`{' '.join(command)[-200:]}` failed:\n{said}") from None
    except OSError as error:
        raise DebianError(f"{command[0]}: {error.strerror}") from None
    return done.stdout


if __name__ == "__main__":
    try:
        print(root())
    except DebianError as error:
        sys.exit(f"debian: {error}")
