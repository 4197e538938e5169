"""What outlives the process, in one small file: our ID, the callbacks, and up to when calls may have been used."""

from __future__ import annotations

import json
import logging
import os
import secrets
from pathlib import Path
from typing import Any

from nuki_bridge.errors import PageError

log = logging.getLogger(__name__)

FILE = "bridge-api.json"
NUMBERS = range(0x10000000, 0x80000000)
"""IDs that every client takes: eight hexadecimal digits for homebridge-nb, 32 bits with sign for openHAB."""
MAX_SIZE = 16384
"""Most bytes that are read of it."""


class Memory:
    """The file in the state directory; `load` it first."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.number = 0
        """Our ID to clients, one of `NUMBERS`, made once."""
        self.callbacks: dict[int, str] = {}
        """URLs by their ID."""
        self.used_until = 0
        """No call with a hashed or encrypted token that was taken bears a later time, in seconds since 1970."""

    def load(self) -> None:
        """Read the file, or make it; raises `PageError`."""
        file = self._directory / FILE
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            data = file.read_bytes()[:MAX_SIZE] if file.exists() else b"{}"
            self._take(json.loads(data))
            if self.number not in NUMBERS:
                self.number = secrets.choice(NUMBERS)
            self._write()
        except OSError as error:
            raise PageError(f"{file} cannot be used: {error.strerror}; the service has to own it") from None
        except ValueError:
            raise PageError(f"{file} is damaged; remove it, and enter the bridge in your programs anew") from None

    def _take(self, told: Any) -> None:
        if not isinstance(told, dict):
            raise ValueError
        self.number = int(told.get("id", 0))
        self.used_until = int(told.get("used_until", 0))
        self.callbacks = {int(key): str(url) for key, url in dict(told.get("callbacks", {})).items()}

    def save(self) -> bool:
        """Write the file; False, and said in the log, if that cannot be."""
        try:
            self._write()
        except OSError as error:
            log.error("%s cannot be written: %s", self._directory / FILE, error.strerror)
            return False
        return True

    def _write(self) -> None:
        told = {"id": self.number, "callbacks": self.callbacks, "used_until": self.used_until}
        new = self._directory / f"{FILE}.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, 0o600)  # callbacks may bear secrets of other programs
            json.dump(told, file)
            file.flush()
            os.fsync(descriptor)
        os.replace(new, self._directory / FILE)
