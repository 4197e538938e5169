"""The credential file of a guest: what it holds, where it is kept, and that it is never overwritten.

A credential is a file that only its owner can read: whoever has it can open the door from nearby.  It also holds the
broker's URL as it was given when redeeming, with the password: that opens nothing by itself, so a second place to keep
it would protect nothing and be one more thing to lose.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nuki_bridge.errors import RequestError
from nuki_bridge.lock.credential import VERSION
from nuki_bridge.mqtt.message import is_topic_name
from nuki_bridge.protocol.codes import Family, IdType
from nuki_bridge.protocol.crypto import KEY_SIZE
from nuki_bridge.records import frozen
from nuki_bridge.store import PairedLock

PROBE_SIZE = 4096
"""Bytes for which there must be room; a credential has a few hundred."""
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EACCES, errno.ENOSYS})
"""Errors of file systems without hard links (FAT, some FUSE and SMB), and of systems that forbid them (Android)."""
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""Errors of file systems that cannot make a directory durable."""


@frozen
class Credential:
    """What a credential file holds; `data` is all of it, as it was made by the bridge."""

    name: str
    nuki_id: int
    address: str
    family: Family
    authorization_id: int
    shared_key: bytes = field(repr=False)
    user: str
    remote: bool
    base_topic: str
    broker: str | None = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)

    def paired(self) -> PairedLock:
        """Return it as `Lock` wants it.  The lock gives invited users no App-ID; the authorization's own will do."""
        return PairedLock(
            name=self.name,
            address=self.address,
            nuki_id=self.nuki_id,
            family=self.family,
            authorization_id=self.authorization_id,
            shared_key=self.shared_key,
            app_id=self.authorization_id,
            uuid=bytes(16),
            id_type=IdType.APP,
            paired_at=datetime.now(UTC),
        )


def read_credential(data: object) -> Credential:
    """Check what was read as JSON; raises `RequestError` without quoting any of it."""
    try:
        if not isinstance(data, dict) or data["version"] != VERSION:
            raise ValueError
        lock = data["lock"]
        found = Credential(
            name=lock["name"],
            nuki_id=int(lock["nuki_id"], 16),
            address=lock["address"],
            family=Family(lock["type"]),
            authorization_id=data["authorization_id"],
            shared_key=bytes.fromhex(data["shared_key"]),
            user=str(data.get("user", "")),
            remote=bool(data.get("remote", True)),
            base_topic=data.get("base_topic", "nuki"),
            broker=data.get("broker"),
            data=data,
        )
        sound = (
            re.fullmatch(r"[a-z0-9_-]{1,32}", found.name)
            and re.fullmatch(r"[0-9A-F]{2}(:[0-9A-F]{2}){5}", found.address)
            and isinstance(found.authorization_id, int)
            and 0 <= found.authorization_id < 2**32
            and len(found.shared_key) == KEY_SIZE
            and is_topic_name(found.base_topic)
            and isinstance(found.broker, str | None)
        )
        if not sound:
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RequestError("bad_credential", "this is not a credential that this version can use") from None
    return found


def directory() -> Path:
    """Return where credentials are kept unless told otherwise."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(base) / "nuki-bridge" / "guest"


def load(path: Path) -> Credential:
    """Return the credential in a file; raises `RequestError`."""
    with translated_errors(path):
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    try:
        return read_credential(data)
    except RequestError as error:
        raise RequestError("bad_credential", f"{path}: {error}") from None


def find(name: str | None) -> Path:
    """Return the file of the credential for a lock, without a name the only one; raises `RequestError`."""
    files = sorted(directory().glob("*.json"))
    known = ", ".join(each.stem for each in files)
    if not files:
        raise RequestError("lock_missing", f"there is no credential in {directory()}; see `nuki-bridge redeem --help`")
    if name is None and len(files) > 1:
        raise RequestError("lock_missing", f"say which lock; there are credentials for: {known}")
    found = [each for each in files if name in (None, each.stem)]
    if not found:
        raise RequestError("unknown_lock", f"there is no credential for {name!r}; there are some for: {known}")
    return found[0]


def store(path: Path, credential: Credential, broker: str | None) -> None:
    """Write a credential file, 0600, whole or not at all; raises `RequestError`, also if there is one already."""
    data = {**credential.data, **({"broker": broker} if broker else {})}
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    with translated_errors(path):
        make_directory(path.parent)
        new = _beside(path)
        write_new(new, text)
        try:
            os.link(new, path)  # unlike a rename it fails if there is one
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            write_new(path, text)
        finally:
            with suppress(FileNotFoundError):
                new.unlink()
        sync_directory(path.parent)


def refuse_unwritable(path: Path) -> None:
    """Raise `RequestError` if a credential could not be stored there; to be called before one is asked for.

    Makes the directory, which stays.
    """
    with translated_errors(path):
        make_directory(path.parent)
        probe = _beside(path)
        write_new(probe, " " * PROBE_SIZE)
        probe.unlink()


def _beside(path: Path) -> Path:
    """Return a name in the same directory that nothing has."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")


def refuse_existing(path: Path) -> None:
    """Raise `RequestError` if there is a file already: nothing is overwritten."""
    if os.path.lexists(path):
        raise RequestError("credential_exists", f"{path} is there already and is not overwritten; give another file")


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turn errors of the system into `RequestError`; `path` is what the block is about."""
    try:
        yield
    except FileExistsError:
        refuse_existing(path)
        raise RequestError("bad_credential", f"{path.parent} is not a directory") from None
    except OSError as error:
        raise RequestError("bad_credential", f"{error.filename or path} cannot be used: {error.strerror}") from None


def make_directory(path: Path) -> None:
    """Make a directory, and those above it, for its owner alone; one that is there stays as it is."""
    if not path.exists():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_new(path: Path, text: str) -> None:
    """Make a file, 0600, whole or not at all; raises `FileExistsError` if there is one, or another `OSError`."""
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="utf-8")
    try:
        with file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise


def sync_directory(path: Path) -> None:
    """Make what was done in a directory durable, where the file system can."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(fd)
