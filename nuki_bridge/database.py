"""A durable file of small records: SQLite in a directory of its own, opened by one process, upgraded, never guessed at.

A method that changes something has made it durable when it returns.  A database that is damaged, foreign or newer is
refused and left as it is, byte for byte.  What is kept in the tables is `store.py`'s and others'.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nuki_bridge.errors import StateInUse, StoreError, UnusableState
from nuki_bridge.schema import MIGRATIONS

_log = logging.getLogger(__name__)

FILE_NAME = "nuki-bridge.db"
APPLICATION_ID = 0x4E756B69
"""Marks the file as ours, in its header: "Nuki"."""

_HEADER_SIZE = 100
_HEADER_MAGIC = b"SQLite format 3\0"
DAMAGED = "is damaged; restore it from a backup, or move it away and pair the locks again"

_LASTING = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""Errors of the system after which the directory can never be used."""
_REASONS = {
    sqlite3.SQLITE_FULL: "cannot be written, the disk is full; free some space",
    sqlite3.SQLITE_READONLY: "cannot be written; make it writable for the user that runs nuki-bridge",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check the owner and mode of its directory",
    sqlite3.SQLITE_BUSY: "is locked by another program; close that one",
    sqlite3.SQLITE_IOERR: "cannot be read or written; check the disk and its free space",
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
}


class Database:
    """The database in one directory; `open` before use.  Every method raises `StoreError`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.path = directory / FILE_NAME
        """Path of the database file."""
        self._open_db: sqlite3.Connection | None = None
        self._directory_fd: int | None = None

    def open(self) -> None:
        """Open the database; creates directory (0700) and file (0600), upgrades an older schema.

        Raises `StoreError` if another daemon uses the directory, or if the database cannot be used.
        """
        try:
            with self.translated_errors():
                self._claim_directory()
                if not os.path.lexists(self.path):
                    self._create()
                self._refuse_unusable()
                self._connect()
        except BaseException:
            self.close()
            raise
        self.wipe_old_pages()

    def close(self) -> None:
        """Close the database and let go of the directory; does nothing when closed."""
        db, self._open_db = self._open_db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):  # whatever was to be kept is on the disk already
                db.close()
        fd, self._directory_fd = self._directory_fd, None
        if fd is not None:
            os.close(fd)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The database, for whoever keeps a table of its own: all statements in the block become durable, or none."""
        with self.translated_errors():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:  # some errors have rolled back already
                    self.db.execute("ROLLBACK")
                raise
        self.wipe_old_pages()

    # -- inside -------------------------------------------------------------------------------------------------------

    @property
    def db(self) -> sqlite3.Connection:
        """The open database."""
        if self._open_db is None:
            raise StoreError(f"{self.path} is not open")
        return self._open_db

    @contextlib.contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Tell the errors of SQLite and of the system in a sentence for the operator."""
        try:
            yield
        except UnicodeDecodeError:
            raise UnusableState(f"{self.path} {DAMAGED}") from None  # its words would quote what may be a secret
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the upper bits only refine
            reason = _REASONS.get(code, f"cannot be used: {error}")
            raise (UnusableState if reason is DAMAGED else StoreError)(f"{self.path} {reason}") from error
        except OSError as error:
            kind = UnusableState if error.errno in _LASTING else StoreError
            raise kind(f"{error.filename or self.path} cannot be used: {error.strerror}") from error

    def _claim_directory(self) -> None:
        with contextlib.suppress(FileExistsError):
            self._directory.mkdir(mode=0o700, parents=True)
        fd = self._directory_fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        if mode & 0o077:
            # Never close a directory that others live in, such as /var/lib.
            if all(entry.startswith("nuki-bridge") for entry in os.listdir(self._directory)):
                os.chmod(self._directory, 0o700)
            elif mode & 0o022:
                raise StoreError(
                    f"{self._directory} can be written by other users and holds other files; give state_dir a directory"
                    " of its own, or make it private with chmod 0700"
                )
            else:
                _log.warning(
                    "%s can be read by other users and holds other files; better give state_dir a directory of its own",
                    self._directory,
                )
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # freed by the kernel however this process ends
        except BlockingIOError:
            raise StateInUse(
                f"{self._directory} is in use by another nuki-bridge; stop that one, or give this one its own state_dir"
            ) from None

    def _create(self) -> None:
        """Make an empty database under another name first, so that a half-made one never has the name that counts."""
        if self._size_of("-wal"):
            raise StoreError(f"{self.path} is missing, but {FILE_NAME}-wal is there; restore a backup of both")
        new = f"{self.path}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = MEMORY")
            _migrate(db, 0)
        os.replace(new, self.path)
        assert self._directory_fd is not None
        os.fsync(self._directory_fd)

    def _refuse_unusable(self) -> None:
        """Look at the database without touching it.

        Version and application ID in the header are true before SQLite has opened the file: they change only outside
        WAL mode (see `_connect`), so none is waiting in the log.
        """
        with os.fdopen(os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            header = file.read(_HEADER_SIZE)
        if len(header) < _HEADER_SIZE or not header.startswith(_HEADER_MAGIC):
            raise UnusableState(f"{self.path} {DAMAGED} (it is not an SQLite database)")
        version = int.from_bytes(header[60:64], "big")
        application_id = int.from_bytes(header[68:72], "big")
        if application_id != APPLICATION_ID:
            raise UnusableState(
                f"{self.path} belongs to another program; move it away, or give state_dir a directory of its own"
            )
        if version == 0:
            raise UnusableState(f"{self.path} {DAMAGED} (it has no schema version)")
        if version > len(MIGRATIONS):
            raise UnusableState(
                f"{self.path} was written by a newer nuki-bridge (schema {version}, this one knows {len(MIGRATIONS)});"
                " install that version again"
            )
        self._refuse_damaged()

    def look(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query, of none if there is no database, while it may be open elsewhere.

        Nothing is claimed, made or upgraded.
        """
        with self.translated_errors():
            if not self.path.exists():
                return []
            mode = "ro" if self._size_of("-wal") else "ro&immutable=1"
            with contextlib.closing(self._to_read(mode)) as db:
                db.text_factory = _text
                return db.execute(query).fetchall()

    def _refuse_damaged(self) -> None:
        if self._size_of("-journal"):
            mode = "rw"  # an upgrade was cut off; only a writer can roll it back
        elif self._size_of("-wal"):
            mode = "ro"  # the log counts; a reader never moves it into the database
        else:
            mode = "ro&immutable=1"  # creates no files beside it
        with contextlib.closing(self._to_read(mode)) as db:
            if db.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)]:
                raise UnusableState(f"{self.path} {DAMAGED}")
            db.text_factory = _text
            for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
                for _ in db.execute(f'SELECT * FROM "{table}"'):  # no check of SQLite's looks at the texts
                    pass

    def _to_read(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(f"{self.path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)

    def _size_of(self, suffix: str) -> int:
        try:
            return os.stat(f"{self.path}{suffix}").st_size
        except FileNotFoundError:
            return 0

    def _connect(self) -> None:
        for suffix in ("", "-wal", "-shm", "-journal"):  # new ones take the mode of the database
            with contextlib.suppress(FileNotFoundError):
                os.chmod(f"{self.path}{suffix}", 0o600)
        db = self._open_db = sqlite3.connect(self.path, timeout=1.0, isolation_level=None)
        db.text_factory = _text
        for pragma in ("foreign_keys = ON", "secure_delete = ON", "synchronous = FULL", "temp_store = MEMORY"):
            db.execute(f"PRAGMA {pragma}")
        [(version,)] = db.execute("PRAGMA user_version").fetchall()
        if version < len(MIGRATIONS):
            db.execute("PRAGMA journal_mode = DELETE")
            _migrate(db, version)
        [(mode,)] = db.execute("PRAGMA journal_mode = WAL").fetchall()
        if mode != "wal":
            raise StoreError(f"{self.path} is on a file system without write-ahead logs; use a local disk")

    def wipe_old_pages(self) -> None:
        """Empty the log, where pages with replaced or deleted keys outlive `secure_delete`."""
        try:
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:  # what was asked is durable; the next change wipes again
            _log.warning("%s: the log could not be emptied yet: %s", self.path, error)


def _text(data: bytes) -> str:
    """Return what SQLite calls a text; raises `UnicodeDecodeError` if it is none."""
    return data.decode()


def _migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring the schema from `version` to the newest in one transaction."""
    with db:
        db.execute("BEGIN IMMEDIATE")
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
