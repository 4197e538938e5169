"""A virtual machine with a system of its own: Debian 13 from a disk, systemd as process 1, a lock on its door.

`Machine` boots it.  The disk keeps what is written when the machine reboots, and forgets it when the machine is gone.
Inside, `guest/agent.py` does what the test asks for.  What lies in the directory `files` appears in the machine in
`/run/vm`, and the other way round; the logs of its kernel and journal stay behind there.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.vm import debian
from tests.vm.kernel import COMMAND_LINE, DISK_MODULES, QEMU, RigError, boot_files, shared

PATIENCE_S = 180.0
"""Longest wait for anything, on a machine that is slow and shared."""
AGENT = f"""[Unit]
Description=The lock on the door, and a test's hands
# Ends after those that need the lock or its adapter.
Before=bluetooth.service mosquitto.service nuki-bridge.service
# Nobody could say what went wrong: better at once than after a long wait.
FailureAction=poweroff-immediate

[Service]
Environment=PYTHONPATH=/run/project PYTHONPYCACHEPREFIX=/var/cache/virtual-lock PYTHONUNBUFFERED=1
# The kernel counts all virtio devices in the port's name.
ExecStart=/bin/sh -c 'exec {debian.VIRTUAL_LOCK}/bin/python -m tests.vm.guest.agent /dev/vport*p1 /var/lib/virtual-lock'
StandardOutput=append:/run/vm/agent.log
StandardError=inherit
"""
NOT_NEEDED = (
    *("getty.target", "getty@tty1.service", "serial-getty@ttyS0.service", "systemd-networkd.service"),
    *("systemd-timesyncd.service", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer"),
    *("e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "systemd-update-utmp.service"),
    *("systemd-udev-settle.service", "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount"),
    *("systemd-hwdb-update.service", "systemd-pcrmachine.service", "systemd-network-generator.service"),
    *("modprobe@.service", "systemd-modules-load.service", "dev-hugepages.mount", "dev-mqueue.mount"),
    *("sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount", "keyboard-setup.service"),
)
"""Units that take time and have nothing to do here: consoles, kernel modules, times of day."""


class Failed(AssertionError):
    """A command in the machine did not do what was expected; the text has its output."""


class Watch:
    """A command that runs on in the machine; `lines` is what it has said so far."""

    def __init__(self, command: str, user: str) -> None:
        self.command = command
        self.user = user
        self.lines: list[str] = []
        self._grown = threading.Condition()

    def add(self, line: str) -> None:
        """It said one more line."""
        with self._grown:
            self.lines.append(line)
            self._grown.notify_all()

    def until(self, pattern: str, *, since: int = 0, timeout_s: float = PATIENCE_S) -> re.Match[str]:
        """Wait for a whole line that matches, after the first `since` ones; returns the match."""
        deadline = time.monotonic() + timeout_s
        with self._grown:
            while True:
                for line in self.lines[since:]:
                    if found := re.fullmatch(pattern, line):
                        return found
                if not self._grown.wait(deadline - time.monotonic()):
                    heard = "\n".join(self.lines[since:])
                    raise Failed(f"{self.command} did not say {pattern!r} within {timeout_s} s, but:\n{heard}")


class Machine:
    """The running machine; `with` starts and ends it."""

    def __init__(self, files: Path) -> None:
        self.files = files
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._watches: dict[int, Watch] = {}
        self._hellos: queue.Queue[bool] = queue.Queue()
        self._stack = contextlib.ExitStack()
        self._socket: socket.socket

    def __enter__(self) -> Machine:
        for program in ("qemu-system-x86_64", "/bin/busybox"):
            if shutil.which(program) is None:
                raise RigError(f"{program} is missing; `make deps` installs what the virtual machine needs")
        with self._stack as stack:
            self._write_units()
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nuki-bridge-vm-")))
            stack.enter_context(self._qemu(folder / "agent"))
            self._socket = stack.enter_context(socket.socket(socket.AF_UNIX))
            self._connect(folder / "agent")
            threading.Thread(target=self._listen, daemon=True, name="machine").start()
            self._wait_for_boot()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack, contextlib.suppress(Failed, RigError):
            self.run("journalctl --no-pager -o short-precise >/run/vm/journal.log; sync", timeout_s=60)

    # -- what a test does ---------------------------------------------------------------------------------------------

    def run(self, command: str, *, user: str = "root", text: str = "", timeout_s: float = PATIENCE_S) -> str:
        """The output of a shell's command, stderr included; raises `Failed` if its status is not 0."""
        status, output = self.attempt(command, user=user, text=text, timeout_s=timeout_s)
        if status != 0:
            raise Failed(f"`{command}` ended with status {status}:\n{output}")
        return output

    def attempt(
        self, command: str, *, user: str = "root", text: str = "", timeout_s: float = PATIENCE_S
    ) -> tuple[int, str]:
        """Exit status and output of a shell's command; `text` is its stdin."""
        answer = self._ask(timeout_s, run=_shell(command, user), text=text)
        return answer["status"], answer["output"]

    def watch(self, command: str, *, user: str = "root") -> Watch:
        """Start a command and go on."""
        watch = Watch(command, user)
        self.again(watch)
        return watch

    def again(self, watch: Watch) -> None:
        """Start a command anew that has ended, as by a reboot."""
        number = next(self._numbers)
        self._watches[number] = watch
        self._send(id=number, run=_shell(watch.command, watch.user), lines=True)

    def lock(self, **controls: Any) -> dict[str, Any]:
        """Do something to the lock on the door (`simulator/control.py`); returns how it is then."""
        answer: dict[str, Any] = self._ask(PATIENCE_S, lock=controls or {"status": True})["lock"]
        return answer

    def scan(self) -> str | None:
        """How the adapter scans now: active, passive or not at all."""
        kind: str | None = self._ask(PATIENCE_S, scan=True)["scan"]
        return kind

    def audit(self) -> list[dict[str, Any]]:
        """The lock's audit trail since the machine is there, over every reboot."""
        return [json.loads(line) for line in self.run("cat /var/lib/virtual-lock/audit.jsonl").splitlines()]

    def movements(self) -> list[str]:
        """What the lock's motor was started for, so far."""
        return [entry["detail"] for entry in self.audit() if entry["what"] == "motor"]

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until `condition` is true; raises `Failed` if `what` does not come."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                raise Failed(f"{what} did not come within {PATIENCE_S} s")
            time.sleep(0.1)

    def reboot(self) -> float:
        """`systemctl reboot`, until the machine is there again; returns how many seconds it took."""
        start = time.monotonic()
        self._send(id=next(self._numbers), run=_shell("systemctl reboot", "root"))
        self._wait_for_boot()
        return time.monotonic() - start

    # -- inside -------------------------------------------------------------------------------------------------------

    def _write_units(self) -> None:
        units = self.files / "units"
        shutil.rmtree(units, ignore_errors=True)
        wanted = units / "multi-user.target.wants"
        wanted.mkdir(parents=True)
        (units / "agent.service").write_text(AGENT)
        (wanted / "agent.service").symlink_to("../agent.service")
        for unit in NOT_NEEDED:
            (units / unit).symlink_to("/dev/null")

    @contextlib.contextmanager
    def _qemu(self, port: Path) -> Iterator[None]:
        kernel, initramfs = boot_files(debian.kernel(), DISK_MODULES)
        command_line = f"{COMMAND_LINE.replace('panic=-1', 'panic=0')} vm.disk systemd.show_status=1"
        arguments = [
            *(*QEMU, "-m", "1024", "-kernel", str(kernel), "-initrd", str(initramfs), "-append", command_line),
            *("-drive", f"file={debian.disk()},format=raw,if=virtio,snapshot=on,cache=unsafe"),
            *shared(debian.PROJECT, "project"),
            *shared(self.files, "results", writable=True),
            *("-serial", f"file:{self.files / 'kernel.log'}"),
            *("-chardev", f"socket,id=agent,path={port},server=on,wait=off"),
            *("-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=agent"),
        ]
        with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, start_new_session=True) as qemu:
            try:
                yield
            finally:
                qemu.kill()

    def _connect(self, port: Path) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                return self._socket.connect(str(port))
            except OSError:
                if time.monotonic() > deadline:
                    raise RigError("QEMU does not start") from None
                time.sleep(0.05)

    def _listen(self) -> None:
        with contextlib.suppress(OSError), self._socket.makefile("rb") as stream:
            for line in stream:
                said = json.loads(line)
                number = said.pop("id", None)
                if "hello" in said:
                    self._hellos.put(said["hello"])
                elif number in self._watches:
                    self._watches[number].add(said.get("line", f"(ended with status {said.get('status')})"))
                elif number in self._answers:
                    self._answers[number].put(said)
        self._hellos.put(False)
        for answers in self._answers.values():
            answers.put({"error": "the machine has gone"})

    def _wait_for_boot(self) -> None:
        there = False
        with contextlib.suppress(queue.Empty):
            there = self._hellos.get(timeout=PATIENCE_S)
        if not there:
            said = "\n".join(_tail(self.files / name) for name in ("kernel.log", "agent.log"))
            raise RigError(f"the virtual machine did not come up:\n{said}")

    def _ask(self, timeout_s: float, **request: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answers = self._answers[number] = queue.Queue()
        self._send(id=number, **request)
        try:
            answer = answers.get(timeout=timeout_s)
        except queue.Empty:
            raise Failed(f"{request} took longer than {timeout_s} s") from None
        if "error" in answer:
            raise Failed(f"{request}: {answer['error']}")
        return answer

    def _send(self, **request: Any) -> None:
        self._socket.sendall(json.dumps(request).encode() + b"\n")


def _shell(command: str, user: str) -> Sequence[str]:
    return ["sh", "-c", command] if user == "root" else ["runuser", "-l", user, "-c", command]


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-3000:] if path.exists() else ""
