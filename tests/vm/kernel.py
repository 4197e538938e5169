"""What a machine of QEMU boots: a kernel of Debian, and an initramfs with the modules that the machine needs.

The kernel's package is unpacked, not installed.  `tree` keeps one in `.cache/vm`, the newest that apt knows here;
`VM_KERNEL` names the package of another one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import lzma
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
CACHE = PROJECT / ".cache" / "vm"
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "bluetooth", "hci_vhci", "virtio-rng")
"""Modules that a machine needs to have this one's files and Bluetooth; what they need comes along."""
DISK_MODULES = (*MODULES, "virtio_blk", "cmac", "crc32c_generic", "ext4", "virtio_console", "autofs4")
"""Modules of one that starts a system of its own from a disk."""
BROKEN_KERNELS = ("linux-image-6.1.0-56-amd64",)
"""Kernels in which bluetoothd dies of a kernel BUG (`hci_chan_del`) as soon as a connection fails while it is made."""
QEMU = (
    *("qemu-system-x86_64", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off", "-smp", "2"),
    *("-nodefaults", "-display", "none", "-nic", "none", "-device", "virtio-rng-pci"),
)
"""A machine without hardware acceleration, network or display."""
_INSTRUCTIONS = {
    "tcg,thread=multi,tb-size=512": "tcg,tb-size=512",
    "2": "1",  # one processor: QEMU counts the instructions of one thread
}
_INSTRUCTION_CLOCK = ("-icount", "shift=3,sleep=on")
"""Each instruction takes 2^3 ns; while the processor has nothing to do, time passes as it does here."""
COMMAND_LINE = (
    "console=ttyS0 quiet panic=-1 rdinit=/init nokaslr mitigations=off random.trust_cpu=on VM_OUTPUT=/dev/ttyS1"
)
"""Of the kernel; its log is on the first serial port."""


class RigError(Exception):
    """The virtual machine cannot be built or did not come up; the text says why."""


def boot_files(kernel: Path | None = None, modules: Sequence[str] = MODULES) -> tuple[Path, Path]:
    """Kernel image and initramfs, made when they are missing; safe while another rig does the same.

    `kernel` is an unpacked package, by default the one in `.cache/vm`.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with locked(CACHE / "lock"):
        unpacked = kernel or tree()
        init = (HERE / "init.sh").read_bytes()
        busybox = Path("/bin/busybox").read_bytes()
        digest = hashlib.sha256(init + busybox + repr((unpacked.name, modules)).encode()).hexdigest()[:16]
        initramfs = CACHE / f"initramfs-{digest}.cpio"
        if not initramfs.exists():
            unfinished = initramfs.with_suffix(".part")
            unfinished.write_bytes(_initramfs(init, busybox, _modules(unpacked, modules)))
            unfinished.rename(initramfs)
        return next((unpacked / "boot").glob("vmlinuz-*")), initramfs


def qemu(*, count_instructions: bool = False) -> tuple[str, ...]:
    """The start of QEMU's command line.

    With `count_instructions` the clock of the machine counts the instructions that its processor, then a single one,
    has executed: how long something takes there hardly depends on what else keeps this machine busy.
    """
    if not count_instructions:
        return QEMU
    return (*(_INSTRUCTIONS.get(each, each) for each in QEMU), *_INSTRUCTION_CLOCK)


def shared(path: Path, tag: str, *, writable: bool = False) -> tuple[str, ...]:
    """Arguments for QEMU with which the machine can mount a directory over 9p, by `tag`."""
    escaped = str(path.resolve()).replace(",", ",,")
    access = "" if writable else "readonly=on,"
    return ("-virtfs", f"local,path={escaped},mount_tag={tag},security_model=none,{access}multidevs=remap")


@contextlib.contextmanager
def machine(command: Sequence[str], *, stderr: IO[bytes] | int) -> Iterator[subprocess.Popen[bytes]]:
    """Start a machine; stdout is a pipe.  At the end of the block, however it comes, no process of it is left."""
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=nothing, stdout=pipe, stderr=stderr, start_new_session=True) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else has the lock at `path` meanwhile."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def tree() -> Path:
    """The unpacked kernel package, downloaded when no kernel is there yet."""
    wanted = os.environ.get("VM_KERNEL")
    ready = sorted(path.parent for path in CACHE.glob(f"{wanted or '*'}/complete"))
    usable = [tree for tree in ready if wanted or tree.name not in BROKEN_KERNELS]
    if usable:
        return usable[-1]
    package = wanted or _kernel_package()
    print(f"vm: downloading {package}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        output("apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package, cwd=folder)
        deb = next(Path(folder).glob("*.deb"))
        unpacked = Path(folder) / "tree"
        output("dpkg-deb", "-x", str(deb), str(unpacked))
        (unpacked / "complete").touch()
        tree = CACHE / package
        shutil.rmtree(tree, ignore_errors=True)
        unpacked.rename(tree)
    return tree


def _kernel_package() -> str:
    """The newest kernel that apt knows and that is not known to be broken."""
    known = re.findall(r"^Depends: (linux-image-\S+)", output("apt-cache", "show", "linux-image-amd64"), re.MULTILINE)
    for package in known:
        if package not in BROKEN_KERNELS:
            return str(package)
    raise RigError(f"apt knows no usable kernel (linux-image-amd64), only {known}; run `apt-get update` first")


def output(*command: str, cwd: str | None = None) -> str:
    """What a command says; raises `RigError` with its errors if it fails."""
    try:
        return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise RigError(f"{command[0]} failed: {getattr(error, 'stderr', None) or error}") from error


def _modules(tree: Path, wanted: Sequence[str]) -> dict[str, bytes]:
    """The wanted modules with everything they depend on, in loading order.

    Each module names those it needs in its own `.modinfo`; what has no file is built into the kernel.
    """
    files = {path.name.split(".ko")[0].replace("-", "_"): path for path in tree.glob("lib/modules/**/*.ko*")} or {
        path.name.split(".ko")[0].replace("-", "_"): path for path in tree.glob("usr/lib/modules/**/*.ko*")
    }
    order: dict[str, bytes] = {}

    def add(name: str) -> None:
        name = name.replace("-", "_")
        path = files.get(name)
        if path is None or name in order:
            return
        content = path.read_bytes()
        if path.suffix == ".xz":
            content = lzma.decompress(content)
        found = re.search(rb"\0depends=([^\0]*)\0", content)
        for needed in found[1].decode().split(",") if found and found[1] else ():
            add(needed)
        order[name] = content

    for module in wanted:
        add(module)
    return order


def _initramfs(init: bytes, busybox: bytes, modules: dict[str, bytes]) -> bytes:
    entries: list[tuple[str, int, bytes]] = [
        *((folder, 0o040755, b"") for folder in ("bin", "modules")),
        ("init", 0o100755, init),
        ("bin/busybox", 0o100755, busybox),
        ("modules/order", 0o100644, "\n".join(modules).encode()),
        *((f"modules/{name}.ko", 0o100644, content) for name, content in modules.items()),
        ("TRAILER!!!", 0, b""),
    ]
    return b"".join(_cpio_entry(number, *entry) for number, entry in enumerate(entries, start=1))


def _cpio_entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    """One file of a cpio archive in the `newc` format: a header of hexadecimal fields, name and content padded to 4."""
    encoded = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    return header + b"\0" * (-len(header) % 4) + content + b"\0" * (-len(content) % 4)
