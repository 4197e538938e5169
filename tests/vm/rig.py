"""Runs a command in a virtual machine that has what the machine at hand may lack: a kernel with Bluetooth.

    python -m tests.vm.rig [--python PYTHON] [--timeout SECONDS] [--results DIR] [--machine KIND] -- COMMAND...

There are two kinds of it: a kernel that runs as a process (`uml`), and one that QEMU emulates (`kernel`), slower but
of any kind.  Either boots in seconds, without hardware acceleration.  The guest sees the host's files, read-only under
an overlay in memory, and so has this clone and its virtual environments under the same paths.  dbus-daemon and
bluetoothd run there; a controller and a lock come from `tests.radio.peripheral`.  The output of the command
appears as it comes, its exit status is ours.  In the guest `VM_RESULTS` names a directory whose content stays behind
in the `--results` directory; the logs of the guest's kernel and bluetoothd lie there, too.

Nothing has a fixed port or name: several machines run beside each other.  A machine with a whole system of its own is
in `machine`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import selectors
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Literal, get_args

from tests import patience
from tests.vm import uml
from tests.vm.kernel import COMMAND_LINE, RigError, boot_files, machine, qemu, shared

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
NEEDED = ("dpkg-deb", "/bin/busybox", "/usr/libexec/bluetooth/bluetoothd", "dbus-daemon")
TIMED_OUT = 124
"""Exit status when the time was up, as with timeout(1)."""

Kind = Literal["auto", "uml", "qemu"]
"""Which machine; by default the kernel in user mode where there can be one.  `VM_MACHINE` in the environment says so,
too."""


def run(
    command: Sequence[str],
    *,
    python: Path | None = None,
    timeout_s: float = 600.0,
    results: Path | None = None,
    environment: dict[str, str] | None = None,
    bluetoothd_options: str = "",
    output: IO[bytes] | None = None,
    kind: Kind = "auto",
    skip_time: bool = True,
    count_instructions: bool = False,
) -> int:
    """Run `command` as root in a fresh virtual machine, in the project's directory; returns its exit status.

    `python` is an interpreter whose directory comes first in `PATH`; `output` gets stdout and stderr of the command
    (default: our stdout).  After `timeout_s` seconds, as many as the host has to give (`tests/patience.py`), the
    machine is stopped and the status is 124.  With `skip_time` a machine that can (`uml`) has no time pass while nobody
    does anything.  With `count_instructions` the machine's clock counts instructions, which only QEMU can do
    (`kernel.qemu`).  Raises `RigError` if the guest never gets as far as the command.
    """
    with contextlib.ExitStack() as stack:
        if results is None:
            results = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nuki-bridge-vm-")))
        results.mkdir(parents=True, exist_ok=True)
        (results / "status").unlink(missing_ok=True)
        shutil.copy(HERE / "guest.sh", results / "guest.sh")
        (results / "bluetoothd.options").write_text(bluetoothd_options)
        (results / "command.sh").write_text(_command_script(command, python, environment or {}))
        if count_instructions:
            command_line = _emulated(results, count_instructions=True)
        else:
            command_line = _machine(kind, results, stack, skip_time)
        ended = _run(command_line, results / "kernel.log", timeout_s, output or sys.stdout.buffer)
        if ended is None:
            return TIMED_OUT
        try:
            return int((results / "status").read_text())
        except (OSError, ValueError):
            log = (results / "kernel.log").read_text(errors="replace") if (results / "kernel.log").exists() else ""
            raise RigError(
                f"the virtual machine ended before the command (status {ended}); its kernel said:\n{log[-3000:]}"
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


def _machine(kind: Kind, results: Path, stack: contextlib.ExitStack, skip_time: bool) -> list[str]:
    """The command that boots the machine, once all that it needs is there."""
    if kind == "auto":
        kind = os.environ.get("VM_MACHINE", "auto")  # type: ignore[assignment]
    if kind not in get_args(Kind):
        raise RigError(f"VM_MACHINE is {kind!r}, but must be one of {', '.join(get_args(Kind))}")
    if kind == "qemu":
        return _emulated(results)
    _refuse_without(*NEEDED)
    try:
        return uml.arguments(uml.kernel(), results, stack, skip_time=skip_time)
    except uml.Unavailable as error:
        if kind == "uml":
            raise
        print(f"vm: {error}; QEMU takes its place, which takes longer", file=sys.stderr, flush=True)
        return _emulated(results)


def _refuse_without(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise RigError(f"{program} is missing; `make deps` installs what the virtual machine needs")


def _emulated(results: Path, *, count_instructions: bool = False) -> list[str]:
    """The command that boots a machine of QEMU."""
    _refuse_without(*NEEDED, "qemu-system-x86_64")
    kernel, initramfs = boot_files()
    return [
        *(*qemu(count_instructions=count_instructions), "-m", "2048", "-no-reboot"),
        *("-kernel", str(kernel), "-initrd", str(initramfs), "-append", COMMAND_LINE),
        *shared(Path("/"), "rootfs"),
        *shared(results, "results", writable=True),
        *("-serial", "file:/dev/stderr", "-chardev", "stdio,id=output,signal=off", "-serial", "chardev:output"),
    ]


def _run(command: Sequence[str], log: Path, timeout_s: float, output: IO[bytes]) -> int | None:
    """Run the machine until it switches itself off; returns its exit status, None if the time was up before.

    What it says on stderr, the kernel's words, goes to `log`.
    """
    with log.open("wb") as kernel_log, machine(command, stderr=kernel_log) as process:
        assert process.stdout is not None
        timed_out = _pump(process.stdout, output, patience.now() + timeout_s)
        return None if timed_out else process.wait(600)


def _pump(source: IO[bytes], output: IO[bytes], deadline: float) -> bool:
    """Copy until the source ends; True if the deadline came first."""
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_READ)
        while (left := deadline - patience.now()) > 0:
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


# -- the command line -------------------------------------------------------------------------------------------------


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm.rig", description="Run a command in a virtual machine.")
    parser.add_argument("--python", type=Path, help="interpreter whose directory comes first in the guest's PATH")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS")
    parser.add_argument("--results", type=Path, metavar="DIR", help="keep what the guest writes to $VM_RESULTS")
    parser.add_argument("--machine", choices=get_args(Kind), default="auto", help="kind of machine (%(default)s)")
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
            kind=options.machine,
        )
    except RigError as error:
        print(f"vm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
