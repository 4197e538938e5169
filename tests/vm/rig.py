"""Runs a command in a virtual machine that has what the machine at hand may lack: a kernel with Bluetooth.

    python -m tests.vm.rig [--python PYTHON] [--timeout SECONDS] [--results DIR] -- COMMAND...

QEMU without hardware acceleration boots Debian's kernel in seconds.  The guest sees the host's files, read-only under
an overlay in memory, and so has this clone and its virtual environments under the same paths.  dbus-daemon and
bluetoothd run there; a controller and a lock come from `nuki_bridge.simulator.peripheral`.  The output of the command
appears as it comes, its exit status is ours.  In the guest `VM_RESULTS` names a directory whose content stays behind
in the `--results` directory; the logs of the guest's kernel and bluetoothd lie there, too.

The first run downloads and unpacks the kernel into `.cache/vm`; `VM_KERNEL` names the package of another one.  Nothing
has a fixed port or name: several machines run beside each other.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import lzma
import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
CACHE = PROJECT / ".cache" / "vm"
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "bluetooth", "hci_vhci", "virtio-rng")
"""Modules the guest needs beside what is built in; theirs come along."""
NEEDED = ("qemu-system-x86_64", "dpkg-deb", "/bin/busybox", "/usr/libexec/bluetooth/bluetoothd", "dbus-daemon")
BROKEN_KERNELS = ("linux-image-6.1.0-56-amd64",)
"""Kernels in which bluetoothd dies of a kernel BUG (`hci_chan_del`) as soon as a connection fails while it is made."""
TIMED_OUT = 124
"""Exit status when the time was up, as with timeout(1)."""


class RigError(Exception):
    """The virtual machine cannot be built or did not come up; the text says why."""


def run(
    command: Sequence[str],
    *,
    python: Path | None = None,
    timeout_s: float = 600.0,
    results: Path | None = None,
    environment: dict[str, str] | None = None,
    bluetoothd_options: str = "",
    output: IO[bytes] | None = None,
) -> int:
    """Run `command` as root in a fresh virtual machine, in the project's directory; returns its exit status.

    `python` is an interpreter whose directory comes first in `PATH`; `output` gets stdout and stderr of the command
    (default: our stdout).  After `timeout_s` seconds the machine is stopped and the status is 124.  Raises `RigError`
    if the guest never gets as far as the command.
    """
    for program in NEEDED:
        if shutil.which(program) is None:
            raise RigError(f"{program} is missing; `make deps` installs what the virtual machine needs")
    kernel, initramfs = _boot_files()
    with contextlib.ExitStack() as stack:
        if results is None:
            results = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nuki-bridge-vm-")))
        results.mkdir(parents=True, exist_ok=True)
        (results / "status").unlink(missing_ok=True)
        shutil.copy(HERE / "guest.sh", results / "guest.sh")
        (results / "bluetoothd.options").write_text(bluetoothd_options)
        (results / "command.sh").write_text(_command_script(command, python, environment or {}))
        ended = _run_qemu(kernel, initramfs, results, timeout_s, output or sys.stdout.buffer)
        if ended is None:
            return TIMED_OUT
        try:
            return int((results / "status").read_text())
        except (OSError, ValueError):
            log = (results / "kernel.log").read_text(errors="replace") if (results / "kernel.log").exists() else ""
            raise RigError(
                f"the virtual machine ended before the command (QEMU's status {ended}); its kernel said:\n{log[-3000:]}"
            ) from None


def _command_script(command: Sequence[str], python: Path | None, environment: dict[str, str]) -> str:
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    if python is not None:
        # Not resolved: the link in a virtual environment is what makes it one.
        path = f"{Path(os.path.abspath(python)).parent}:{path}"
    values = {
        "PATH": path,
        "HOME": "/run/home",
        "TMPDIR": "/run/tmp",
        "LANG": "C.UTF-8",
        "VM_RESULTS": "/run/vm",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **environment,
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    return "\n".join([*lines, f"cd {shlex.quote(str(PROJECT))} || exit 125", f"exec {shlex.join(command)}", ""])


# -- the machine ------------------------------------------------------------------------------------------------------


def _run_qemu(kernel: Path, initramfs: Path, results: Path, timeout_s: float, output: IO[bytes]) -> int | None:
    """Run the machine until it switches itself off; returns QEMU's exit status, None if the time was up before."""
    arguments = [
        "qemu-system-x86_64",
        *("-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off", "-smp", "2", "-m", "2048"),
        *("-kernel", str(kernel), "-initrd", str(initramfs)),
        *("-append", "console=ttyS0 quiet panic=-1 rdinit=/init nokaslr mitigations=off random.trust_cpu=on"),
        *("-virtfs", "local,path=/,mount_tag=rootfs,security_model=none,readonly=on,multidevs=remap"),
        *("-virtfs", f"local,path={_escaped(results)},mount_tag=results,security_model=none,multidevs=remap"),
        *("-nodefaults", "-display", "none", "-no-reboot", "-nic", "none", "-device", "virtio-rng-pci"),
        *("-serial", f"file:{results / 'kernel.log'}"),
        *("-chardev", "stdio,id=output,signal=off", "-serial", "chardev:output"),
    ]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as qemu:
        assert qemu.stdout is not None
        try:
            timed_out = _pump(qemu.stdout, output, time.monotonic() + timeout_s)
            return None if timed_out else qemu.wait(10)
        finally:
            # Also on Ctrl-C: no machine outlives us.
            qemu.kill()


def _escaped(path: Path) -> str:
    return str(path.resolve()).replace(",", ",,")


def _pump(source: IO[bytes], output: IO[bytes], deadline: float) -> bool:
    """Copy until the source ends; True if the deadline came first."""
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                continue
            data = os.read(source.fileno(), 65536)
            if not data:
                return False
            output.write(data)
            output.flush()
    output.write(b"\nvm: the time is up, stopping the machine\n")
    output.flush()
    return True


# -- kernel and initramfs ---------------------------------------------------------------------------------------------


def _boot_files() -> tuple[Path, Path]:
    """Kernel image and initramfs, made when they are missing; safe while another rig does the same."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with _locked(CACHE / "lock"):
        tree = _kernel_tree()
        kernel = next((tree / "boot").glob("vmlinuz-*"))
        init = (HERE / "init.sh").read_bytes()
        busybox = Path("/bin/busybox").read_bytes()
        digest = hashlib.sha256(init + busybox + repr(MODULES).encode()).hexdigest()[:16]
        initramfs = tree / f"initramfs-{digest}.cpio"
        if not initramfs.exists():
            unfinished = initramfs.with_suffix(".part")
            unfinished.write_bytes(_initramfs(init, busybox, _modules(tree)))
            unfinished.rename(initramfs)
        return kernel, initramfs


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _kernel_tree() -> Path:
    """The unpacked kernel package, downloaded when no kernel is there yet."""
    wanted = os.environ.get("VM_KERNEL")
    ready = sorted(path.parent for path in CACHE.glob(f"{wanted or '*'}/complete"))
    usable = [tree for tree in ready if wanted or tree.name not in BROKEN_KERNELS]
    if usable:
        return usable[-1]
    package = wanted or _kernel_package()
    print(f"vm: downloading {package}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        _output("apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package, cwd=folder)
        deb = next(Path(folder).glob("*.deb"))
        unpacked = Path(folder) / "tree"
        _output("dpkg-deb", "-x", str(deb), str(unpacked))
        (unpacked / "complete").touch()
        tree = CACHE / package
        shutil.rmtree(tree, ignore_errors=True)
        unpacked.rename(tree)
    return tree


def _kernel_package() -> str:
    """The newest kernel that apt knows and that is not known to be broken."""
    known = re.findall(r"^Depends: (linux-image-\S+)", _output("apt-cache", "show", "linux-image-amd64"), re.MULTILINE)
    for package in known:
        if package not in BROKEN_KERNELS:
            return str(package)
    raise RigError(f"apt knows no usable kernel (linux-image-amd64), only {known}; run `apt-get update` first")


def _output(*command: str, cwd: str | None = None) -> str:
    try:
        return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise RigError(f"{command[0]} failed: {getattr(error, 'stderr', None) or error}") from error


def _modules(tree: Path) -> dict[str, bytes]:
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

    for module in MODULES:
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


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm.rig", description="Run a command in a virtual machine.")
    parser.add_argument("--python", type=Path, help="interpreter whose directory comes first in the guest's PATH")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS")
    parser.add_argument("--results", type=Path, metavar="DIR", help="keep what the guest writes to $VM_RESULTS")
    parser.add_argument("--bluetoothd", default="", metavar="OPTIONS", help="e.g. --bluetoothd=--experimental")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    options = parser.parse_args()
    # A terminated rig must stop its machine as an interrupted one does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return run(
            options.command,
            python=options.python,
            timeout_s=options.timeout,
            results=options.results,
            bluetoothd_options=options.bluetoothd,
        )
    except RigError as error:
        print(f"vm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
