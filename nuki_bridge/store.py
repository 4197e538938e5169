"""What the daemon keeps over its restarts: the locks that are paired, and this installation's app ID.

The file it lies in is `database.py`'s; others keep tables of their own in it.  What the records mean is for others to
know.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import field, fields, replace
from datetime import UTC, datetime
from typing import Any

from nuki_bridge.database import DAMAGED, Database
from nuki_bridge.errors import UnusableState
from nuki_bridge.lock_name import lock_name_mistake
from nuki_bridge.protocol.codes import Family, IdType
from nuki_bridge.records import frozen

UNKNOWN_NUKI_ID = 0
"""Nuki ID of a paired lock that has neither advertised it nor sent its configuration yet."""


@frozen
class PairedLock:
    """A lock and our authorization on it.

    `shared_key` has 32 bytes, `uuid` 16 (the lock's, from pairing); `paired_at` is aware, kept in whole seconds; `pin`
    is the security PIN given when pairing.
    """

    name: str
    address: str
    nuki_id: int
    family: Family
    authorization_id: int
    shared_key: bytes = field(repr=False)
    app_id: int
    uuid: bytes
    id_type: IdType
    paired_at: datetime
    pin: str | None = field(default=None, repr=False)


_COLUMNS = tuple(each.name for each in fields(PairedLock))
# Not INSERT OR REPLACE, which deletes the old row and with it whatever refers to it.
_SAVE = (
    f"INSERT INTO lock ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' for _ in _COLUMNS)})"
    f" ON CONFLICT (name) DO UPDATE SET {', '.join(f'{column} = excluded.{column}' for column in _COLUMNS)}"
)


def _rename(db: sqlite3.Connection, old: str, new: str) -> None:
    lock_columns = (
        (table, "lock")
        for table in ("log_position", "former_lock", "new_pin", "replaced_pin", "equipment", "battery_day")
    )
    for table, column in (("lock", "name"), *lock_columns):
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (new, old))


class Store(Database):
    """The records in one directory's database; `open` before use.  Every method raises `StoreError`."""

    def locks(self) -> list[PairedLock]:
        """Return every paired lock, by name."""
        with self.translated_errors():
            rows = self.db.execute(f"SELECT {', '.join(_COLUMNS)} FROM lock ORDER BY name").fetchall()
        return [self._from_row(row) for row in rows]

    def peek(self) -> list[PairedLock]:
        """Return the same without opening the database, which may be open elsewhere; nothing is changed."""
        return [self._from_row(row) for row in self.look(f"SELECT {', '.join(_COLUMNS)} FROM lock ORDER BY name")]

    def save_lock(self, lock: PairedLock) -> None:
        """Keep `lock`, in place of one of the same name."""
        with self.translated_errors():
            self.db.execute(_SAVE, _to_row(lock))
        self.wipe_old_pages()

    def save_shown(self, lock: PairedLock) -> None:
        """Keep `lock`, which has shown its Nuki ID or another family.

        What was kept of it while its Nuki ID was unknown is kept under that ID from now on.
        """
        with self.transaction() as db:
            db.execute(_SAVE, _to_row(lock))
            for table in ("log_position", "equipment"):
                db.execute(
                    f"UPDATE {table} SET nuki_id = ? WHERE lock = ? AND nuki_id = ?",
                    (lock.nuki_id, lock.name, UNKNOWN_NUKI_ID),
                )
            # They may be another unknown lock's: one that is refused too often is safer than one that is tried again.
            db.execute(
                "INSERT INTO refused_pin SELECT ?, pin, attempt, refused_at FROM refused_pin WHERE nuki_id = ?"
                " ON CONFLICT (nuki_id, pin, attempt) DO UPDATE SET refused_at = max(refused_at, excluded.refused_at)",
                (lock.nuki_id, UNKNOWN_NUKI_ID),
            )

    def save_pin(self, lock: PairedLock, replaced: str | None = None) -> None:
        """Keep `lock` with its PIN, which puts an end to a change of that.

        `replaced` is the PIN of the configuration, which is out of date then.
        """
        with self.transaction() as db:
            db.execute(_SAVE, _to_row(lock))
            db.execute("DELETE FROM new_pin WHERE lock = ?", (lock.name,))
            db.execute("DELETE FROM replaced_pin WHERE lock = ?", (lock.name,))
            if replaced is not None:
                db.execute("INSERT INTO replaced_pin VALUES (?, ?)", (lock.name, replaced))

    def replaced_pin(self, name: str) -> str | None:
        """Return the PIN of the configuration that the lock's own has taken the place of; None if there is no such."""
        with self.translated_errors():
            rows = self.db.execute("SELECT pin FROM replaced_pin WHERE lock = ?", (name,)).fetchall()
        return str(rows[0][0]) if rows else None

    def keep_new_pin(self, name: str, pin: str) -> None:
        """Keep the PIN that the lock is about to be given; until it is known what became of that it may have either."""
        with self.translated_errors():
            self.db.execute("INSERT OR REPLACE INTO new_pin VALUES (?, ?)", (name, pin))
        self.wipe_old_pages()

    def new_pin(self, name: str) -> str | None:
        """Return the PIN that the lock may have been given; None if that is not in doubt."""
        with self.translated_errors():
            rows = self.db.execute("SELECT pin FROM new_pin WHERE lock = ?", (name,)).fetchall()
        if rows and not re.fullmatch("[0-9]{4}|[0-9]{6}", rows[0][0]):
            raise UnusableState(f"{self.path} {DAMAGED}")
        return str(rows[0][0]) if rows else None

    def forget_new_pin(self, name: str) -> None:
        """Forget the PIN that the lock has not been given."""
        with self.translated_errors():
            self.db.execute("DELETE FROM new_pin WHERE lock = ?", (name,))
        self.wipe_old_pages()

    def save_unproven(self, lock: PairedLock) -> None:
        """Keep `lock`, whose authorization has not been used yet; what had the name before can be had back."""
        columns = ", ".join(_COLUMNS)
        with self.transaction() as db:
            db.execute(
                f"INSERT INTO former_lock (lock, {columns}) SELECT name, {columns} FROM lock WHERE name = ?",
                (lock.name,),
            )
            db.execute(_SAVE, _to_row(lock))

    def has_former(self, name: str) -> bool:
        """Return whether the lock's authorization is unproven and took the place of another one."""
        with self.translated_errors():
            return bool(self.db.execute("SELECT 1 FROM former_lock WHERE lock = ?", (name,)).fetchall())

    def forget_former(self, name: str) -> None:
        """Forget the authorizations before the present one, which is proven now."""
        with self.translated_errors():
            self.db.execute("DELETE FROM former_lock WHERE lock = ?", (name,))
        self.wipe_old_pages()

    def restore_former(self, name: str) -> PairedLock | None:
        """Put the authorization back that the lock had before the unproven one; None if there was none."""
        with self.transaction() as db:
            rows = db.execute(
                f"SELECT number, {', '.join(_COLUMNS)} FROM former_lock WHERE lock = ? ORDER BY number DESC", (name,)
            ).fetchall()
            if not rows:
                return None
            number, *values = rows[0]
            former = replace(self._from_row(tuple(values)), name=name)
            db.execute("DELETE FROM former_lock WHERE number = ?", (number,))
            db.execute(_SAVE, _to_row(former))
        return former

    def rename_locks(self, moves: Mapping[str, PairedLock]) -> None:
        """Keep each of these locks under its new name, by the old one; all at once, because some may swap names.

        Raises `StoreError`, and nothing is changed, if a lock that is not among them has one of the new names.
        """
        with self.transaction() as db:
            db.execute("PRAGMA defer_foreign_keys = ON")  # until the end of this transaction
            for number, old in enumerate(moves):
                _rename(db, old, f"/{number}")  # which no lock is called
            for number, lock in enumerate(moves.values()):
                _rename(db, f"/{number}", lock.name)
                db.execute(_SAVE, _to_row(lock))

    def remove_lock(self, name: str) -> bool:
        """Forget the lock and its key; False if there is none of that name."""
        with self.translated_errors():
            removed = self.db.execute("DELETE FROM lock WHERE name = ?", (name,)).rowcount > 0
        self.wipe_old_pages()
        return removed

    def log_position(self, lock: PairedLock) -> int | None:
        """Return the index of the last entry of this lock's log that was told; None if none ever was."""
        with self.translated_errors():
            rows = self.db.execute(
                "SELECT position FROM log_position WHERE lock = ? AND nuki_id = ?", (lock.name, lock.nuki_id)
            ).fetchall()
        return self._u32(rows[0][0]) if rows else None

    def equipment(self, lock: PairedLock) -> frozenset[str]:
        """Return what this lock was once seen to have, in the words of `keep_equipment`."""
        with self.translated_errors():
            rows = self.db.execute(
                "SELECT trait FROM equipment WHERE lock = ? AND nuki_id = ?", (lock.name, lock.nuki_id)
            ).fetchall()
        return frozenset(trait for (trait,) in rows)

    def keep_equipment(self, lock: PairedLock, traits: Iterable[str]) -> None:
        """Keep what the lock has, in place of what it had, while it is paired."""
        with self.transaction() as db:
            db.execute("DELETE FROM equipment WHERE lock = ?", (lock.name,))
            db.executemany(
                "INSERT INTO equipment SELECT name, nuki_id, ? FROM lock WHERE name = ? AND nuki_id = ?",
                [(trait, lock.name, lock.nuki_id) for trait in sorted(traits)],
            )

    def keep_log_position(self, lock: PairedLock, position: int) -> None:
        """Remember the position; do nothing if the lock is not paired any more."""
        with self.translated_errors():
            self.db.execute(
                "INSERT INTO log_position SELECT name, nuki_id, ? FROM lock WHERE name = ? AND nuki_id = ?"
                " ON CONFLICT (lock) DO UPDATE SET nuki_id = excluded.nuki_id, position = excluded.position",
                (position, lock.name, lock.nuki_id),
            )

    def refused_pins(self, lock: PairedLock, attempt: str = "first") -> dict[str, int]:
        """Every PIN that this lock has refused at an attempt, whatever its name was then, and when (Unix seconds)."""
        with self.translated_errors():
            rows = self.db.execute(
                "SELECT pin, refused_at FROM refused_pin WHERE nuki_id = ? AND attempt = ?", (lock.nuki_id, attempt)
            )
            return {str(pin): int(refused_at) for pin, refused_at in rows}

    def keep_refused_pin(self, lock: PairedLock, pin: str, now: int, attempt: str = "first") -> None:
        """Remember the PIN, also if the lock is not paired any more."""
        with self.translated_errors():
            self.db.execute("INSERT OR REPLACE INTO refused_pin VALUES (?, ?, ?, ?)", (lock.nuki_id, pin, attempt, now))
        self.wipe_old_pages()

    def forget_refused_pins(self, lock: PairedLock, pin: str | None = None, attempt: str = "first") -> None:
        """Forget all, as the lock has taken a PIN; or only this attempt, which does not count as refused."""
        with self.translated_errors():
            if pin is None:
                self.db.execute("DELETE FROM refused_pin WHERE nuki_id = ?", (lock.nuki_id,))
            else:
                self.db.execute(
                    "DELETE FROM refused_pin WHERE nuki_id = ? AND pin = ? AND attempt = ?",
                    (lock.nuki_id, pin, attempt),
                )
        self.wipe_old_pages()

    def forget_old_refusals(self, first: int, last: int) -> None:
        """Forget the refused PINs of all locks from before `first` and from after `last` (Unix seconds)."""
        with self.translated_errors():
            self.db.execute("DELETE FROM refused_pin WHERE refused_at NOT BETWEEN ? AND ?", (first, last))
        self.wipe_old_pages()

    def _from_row(self, row: tuple[Any, ...]) -> PairedLock:
        try:
            return _from_row(row)
        except (ValueError, OverflowError, OSError):  # the last two: a time beyond the calendar, or the C library's
            raise UnusableState(f"{self.path} {DAMAGED}") from None

    def _u32(self, value: Any) -> int:
        if not 0 <= value <= 0xFFFFFFFF:
            raise UnusableState(f"{self.path} {DAMAGED}")
        return int(value)

    def app_id(self) -> int:
        """Return the ID under which this installation pairs: 1..0xFFFFFFFF, chosen at random once."""
        import secrets

        with self.translated_errors():
            self.db.execute(
                "INSERT OR IGNORE INTO installation VALUES ('app_id', ?)", (1 + secrets.randbelow(0xFFFFFFFF),)
            )
            [(app_id,)] = self.db.execute("SELECT value FROM installation WHERE key = 'app_id'").fetchall()
        return self._u32(app_id)


def _to_row(lock: PairedLock) -> list[Any]:
    changed = {"family": lock.family.value, "id_type": int(lock.id_type), "paired_at": int(lock.paired_at.timestamp())}
    return [changed.get(column, getattr(lock, column)) for column in _COLUMNS]


def _from_row(row: tuple[Any, ...]) -> PairedLock:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["family"] = Family(values["family"])
    values["id_type"] = IdType(values["id_type"])
    values["paired_at"] = datetime.fromtimestamp(values["paired_at"], UTC)
    numbers = (values["nuki_id"], values["authorization_id"], values["app_id"])
    if (
        lock_name_mistake(values["name"])
        or not re.fullmatch("[0-9A-F]{2}(:[0-9A-F]{2}){5}", values["address"])
        or not re.fullmatch("[0-9]{1,6}", values["pin"] or "0")
        or not all(0 <= each <= 0xFFFFFFFF for each in numbers)
        or (len(values["shared_key"]), len(values["uuid"])) != (32, 16)
    ):
        raise ValueError("this is no lock")
    return PairedLock(**values)
