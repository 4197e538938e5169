"""The locks of `backend: virtual`, and the file that keeps their memory over a restart."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from nuki_bridge.errors import StoreError
from nuki_bridge.protocol.codes import Family
from nuki_bridge.simulator.lock import remembered, virtual_device
from nuki_bridge.simulator.virtual_device import VirtualDevice

STATE_FILE = "virtual-locks.json"
"""Name of the locks' memory in the state directory."""

LATENCY_S = 0.05
"""Seconds for an indication, and for a write with its confirmation: about as long as a real radio takes."""


def save_locks(path: Path, locks: Iterable[VirtualDevice]) -> None:
    """Write the locks' memory to `path`, mode 0600, whole or not at all.  Raise `StoreError`."""
    text = json.dumps({"locks": [lock.to_dict() for lock in locks]}, indent=1)
    temporary = path.with_name(path.name + ".new")
    try:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: the virtual locks' memory cannot be written: {error.strerror}") from error


def load_locks(path: Path) -> list[VirtualDevice]:
    """Return the locks in `path`; raise `StoreError` if the file cannot be used."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return [remembered(entry) for entry in data["locks"]]
    except OSError as error:
        raise StoreError(f"{path}: the virtual locks' memory cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: {error}; delete the file to start with factory-new virtual locks") from error


def default_locks(state_dir: Path) -> list[VirtualDevice]:
    """Return the locks that `STATE_FILE` in `state_dir` remembers, or three new ones if there is no such file.

    They are a Smart Lock, one of the Ultra family and an Opener.  A factory-new lock is in pairing mode until somebody
    has paired; after that the button has to be held, and at the Opener from the beginning.
    """
    path = state_dir / STATE_FILE
    if path.exists():
        return load_locks(path)
    return [
        virtual_device("54:D2:72:2B:3C:4D", 0x1A2B3C4D, pin=1234, factory_new=True),
        virtual_device("54:D2:72:3D:4E:5F", 0x2C3D4E5F, family=Family.ULTRA, pin=123456, factory_new=True),
        virtual_device("54:D2:72:4F:50:61", 0x3E4F5061, family=Family.OPENER, pin=1234),
    ]
