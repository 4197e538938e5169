"""Reads a PIN or the digits of a code from a file or the terminal: they never stand in a command line."""

from __future__ import annotations

import sys
from pathlib import Path

from nuki_bridge.errors import RequestError


def read_pin(file: str) -> str:
    """Return the PIN in the first line of `file` (`-`: of stdin); raises `RequestError` without quoting it."""
    try:
        line = first_line(file)
    except OSError as error:
        raise RequestError("bad_pin_file", f"{file} cannot be read: {error.strerror}") from None
    return _checked_pin(line)


def ask_pin(prompt: str = "The lock's security PIN (it is not shown): ") -> str:
    """Ask for the PIN on the terminal; raises `RequestError`."""
    import getpass

    try:
        return _checked_pin(getpass.getpass(prompt))
    except EOFError:
        raise RequestError("pin_required", "no security PIN was given; the lock needs it") from None


def _checked_pin(text: str) -> str:
    pin = text.strip()
    if not (pin.isascii() and pin.isdigit() and len(pin) in (4, 6)):
        raise RequestError("bad_pin_file", "the security PIN must be 4 or 6 digits and nothing else")
    return pin


def first_line(file: str) -> str:
    """Return at most 100 characters of the first line of `file` (`-`: of stdin); raises `OSError`."""
    if file == "-":
        return sys.stdin.readline(100)
    with Path(file).open(encoding="utf-8", errors="replace") as opened:
        return opened.readline(100)
