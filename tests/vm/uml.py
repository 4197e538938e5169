"""A kernel in user mode: a Linux that runs as a process of this one, many times faster than an emulated machine.

    python -m tests.vm.uml          builds the kernel if it is missing, prints where it is

It is made once, in some minutes, from Debian's kernel source with `uml.config`, and lies in `.cache/vm`.  Its Bluetooth
is the one of every Linux.  What differs from a machine of its own lies below: one processor, and every system call is
taken over by ptrace, which is fast only while all of it stays on one processor of the host.

Its time may skip what nobody does anything in: while all processes wait, the clock jumps to the next timer (the
kernel's `time-travel`).  A wait for a timeout costs nothing then, and a busy host makes nothing late.

Runs on x86-64, where Debian's source is to be had; elsewhere the machine is QEMU's.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.vm.kernel import CACHE, HERE, RigError, locked, machine, output

SOURCE = ("linux-source-6.1", "6.1.176-1")
"""Debian's package and its version.  In 6.1.192 bluetoothd dies of a kernel BUG as soon as a connection fails while
it is made; with 6.12.117 it does not find its controller again when it was restarted while a link was up."""
TOOLS = ("gcc", "make", "flex", "bison", "bc", "xz", "taskset")
INIT = HERE / "uml.sh"
_CONFIG = HERE / "uml.config"
_BOOT = ("mem=1024M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"init={INIT}", "quiet")


class Unavailable(RigError):
    """There can be no kernel in user mode here; the text says why."""


def kernel() -> Path:
    """The kernel, a program; built when it is missing, while another rig that wants it waits.

    Raises `Unavailable`, `RigError` if building fails.
    """
    recipe = _CONFIG.read_bytes() + repr(SOURCE).encode()
    program = CACHE / f"uml-{SOURCE[1]}-{hashlib.sha256(recipe).hexdigest()[:8]}"
    unusable = program.with_name(f"{program.name}-does-not-run")
    CACHE.mkdir(parents=True, exist_ok=True)
    with locked(CACHE / "uml.lock"):
        if unusable.exists():
            raise Unavailable(f"a kernel in user mode did not run here (remove {unusable} to have it tried again)")
        if not program.exists():
            _check()
            print(f"vm: building a kernel in user mode from {SOURCE[0]} {SOURCE[1]}", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(dir=CACHE, prefix="building-") as folder:
                built = _build(Path(folder))
                if not _runs(built):
                    unusable.touch()
                    raise Unavailable("a kernel in user mode does not run here; is ptrace forbidden?")
                built.rename(program)
    return program


def _check() -> None:
    if platform.machine() != "x86_64":
        raise Unavailable(f"a kernel in user mode is for x86_64, this is {platform.machine()}")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise Unavailable(f"{', '.join(missing)} missing, for building a kernel; `make deps` installs it")
    name, version = SOURCE
    if version not in output("apt-cache", "madison", name) and os.geteuid() == 0:
        output("apt-get", "update", "-qq")
    if version not in output("apt-cache", "madison", name):
        raise Unavailable(f"apt knows no {name} {version}")


def _build(folder: Path) -> Path:
    name, version = SOURCE
    output("apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", f"{name}={version}", cwd=str(folder))
    unpack = f"dpkg-deb --fsys-tarfile *.deb | tar -xO ./usr/src/{name}.tar.xz | tar -xJ --strip-components=1"
    output("sh", "-ec", unpack, cwd=str(folder))
    make = ("make", "-s", "ARCH=um", f"-j{os.cpu_count()}")
    output(*make, "allnoconfig", f"KCONFIG_ALLCONFIG={_CONFIG}", cwd=str(folder))
    output(*make, "linux", cwd=str(folder))
    return folder / "linux"


def _runs(program: Path) -> bool:
    """Whether it boots: a container may forbid what it needs of the host."""
    with tempfile.TemporaryDirectory(prefix="nuki-bridge-vm-") as folder:
        (Path(folder) / "guest.sh").write_text("echo booted >/run/vm/booted\n/bin/busybox poweroff -f\n")
        with contextlib.ExitStack() as stack:
            command = arguments(program, Path(folder), stack)
            with machine(command, stderr=subprocess.DEVNULL) as process, contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=600)
        return (Path(folder) / "booted").exists()


def arguments(program: Path, results: Path, stack: contextlib.ExitStack, *, skip_time: bool = True) -> list[str]:
    """The command that boots the machine; stdout is what its guest says, stderr what its kernel says.

    `results` appears in it as /run/vm; `stack` keeps the processor of the host for it and its own directory.
    """
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="nuki-bridge-uml-"))
    return [
        *("taskset", "-c", str(_processor(stack))),
        *(str(program), *_BOOT, f"uml_dir={folder}", f"VM_RESULTS={results.resolve()}", "VM_OUTPUT=/dev/tty0"),
        *(("time-travel",) if skip_time else ()),
    ]


def _processor(stack: contextlib.ExitStack) -> int:
    """A processor of the host that no other machine uses; waits until there is one, which costs less than sharing."""
    processors = sorted(os.sched_getaffinity(0))
    while True:
        for processor in processors:
            file = (CACHE / f"processor-{processor}").open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
            else:
                stack.callback(file.close)
                return processor
        time.sleep(0.1)


if __name__ == "__main__":
    try:
        print(kernel())
    except RigError as error:
        sys.exit(f"vm: {error}")
