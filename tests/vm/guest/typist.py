"""Types answers into a command that asks on a terminal, as a person does once the question is there.

    python typist.py COMMAND [QUESTION ANSWER] ...

Prints all that the terminal shows; the exit status is the command's.
"""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Sequence


def main(command: str, dialogue: Sequence[str]) -> int:
    """Run `command` in a shell on a terminal of its own; returns its exit status."""
    process, terminal = pty.fork()
    if process == 0:
        os.execvp("sh", ["sh", "-c", command])
    for question, answer in zip(dialogue[::2], dialogue[1::2], strict=True):
        _read_until(terminal, question)
        os.write(terminal, f"{answer}\n".encode())
    _read_until(terminal, None)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _read_until(terminal: int, question: str | None) -> None:
    """Show what the command says, up to a question or, without one, to its end."""
    said = ""
    while question is None or question not in said:
        try:
            new = os.read(terminal, 4096)
        except OSError:  # how Linux tells that the other end is closed
            new = b""
        if not new:
            if question is not None:
                sys.exit(f"the command ended without asking {question!r}")
            return
        sys.stdout.write(new.decode(errors="replace"))
        sys.stdout.flush()
        said += new.decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
