"""The machine in which the benchmark measures: what its clock counts."""

from __future__ import annotations

import subprocess
import sys

from tests.vm.kernel import QEMU, qemu


def test_a_machine_whose_clock_counts_instructions_has_one_processor_and_no_second_thread() -> None:
    command = qemu(count_instructions=True)

    assert command[command.index("-icount") + 1] == "shift=3,sleep=on"
    assert command[command.index("-smp") + 1] == "1"
    assert "thread=multi" not in command[command.index("-accel") + 1]


def test_any_other_machine_has_the_clock_of_this_one() -> None:
    assert qemu() == QEMU
    assert "-icount" not in qemu()


def test_the_kernel_in_user_mode_cannot_count_instructions() -> None:
    command = [sys.executable, "-m", "tests.bench", "--count-instructions", "--machine", "uml"]

    ended = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert "only QEMU's machine can count instructions" in ended.stderr
