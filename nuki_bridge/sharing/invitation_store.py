"""The table of invitations: each method is one durable step of an invitation's life, whole or not at all.

What the steps mean and in which order they come is told in `invitations.py`.  The code is not kept, only what is
derived from it, and that only as long as it is of use.
"""

from __future__ import annotations

import enum
from dataclasses import field, fields, replace
from typing import Any

from nuki_bridge.errors import StoreError
from nuki_bridge.protocol.codes import Family
from nuki_bridge.protocol.field_kinds import TimeLimit, time_limit
from nuki_bridge.records import frozen
from nuki_bridge.store import Store


class Stage(enum.StrEnum):
    """Where in its life an invitation is."""

    ASKED = "asked"
    """The lock is asked for an authorization, nobody has been told the code."""
    OPEN = "open"
    REDEEMED = "redeemed"
    EXPIRED = "expired"
    REVOKED = "revoked"
    LOST = "lost"
    """The lock's answer never came; the code was never told to anybody."""


@frozen
class Invitation:
    """One row: `lookup` has 16 bytes, the keys 32; times are Unix seconds.

    `asked` and `entry_created` are on the lock's clock.  `seconds_left` bounds an open invitation's life whatever the
    wall clock does.  `on_lock`: its authorization must go from the lock and is, or may be, still there.
    """

    nuki_id: int
    lookup: bytes = field(repr=False)
    key: bytes | None = field(repr=False)
    shared_key: bytes | None = field(repr=False)
    asked: int
    user: str
    remote: bool
    limit: TimeLimit | None
    created: int
    expires: int
    seconds_left: int
    on_lock: bool
    stage: Stage = Stage.ASKED
    number: int = 0
    authorization_id: int | None = None
    entry_created: int | None = None
    client: bytes | None = field(default=None, repr=False)
    ended: int | None = None


_COLUMNS = ["time_limit" if each.name == "limit" else each.name for each in fields(Invitation)]

_MOST = {
    **dict.fromkeys(("nuki_id", "authorization_id"), 0xFFFFFFFF),
    **dict.fromkeys(("asked", "entry_created", "created", "expires", "seconds_left", "ended"), 253402214399),
}
"""The highest number that makes sense, by column; of times the last second but one day of the year 9999."""


class Records:
    """The table in `store`.  Every method raises `StoreError`; then nothing has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> list[Invitation]:
        """Return every row, the oldest first."""
        with self._store.transaction() as db:
            rows = db.execute(f"SELECT {', '.join(_COLUMNS)} FROM invitation ORDER BY number").fetchall()
        return [_from_row(row) for row in rows]

    def ask(self, row: Invitation) -> Invitation:
        """The lock is about to be asked; gives the row with its number."""
        values = [getattr(row, each.name) for each in fields(row)]
        values[_COLUMNS.index("number")] = None
        values[_COLUMNS.index("stage")] = row.stage.value
        if row.limit is not None:
            values[_COLUMNS.index("time_limit")] = time_limit.pack(row.limit, Family.CLASSIC)
        marks = ", ".join("?" for _ in _COLUMNS)
        with self._store.transaction() as db:
            done = db.execute(f"INSERT INTO invitation ({', '.join(_COLUMNS)}) VALUES ({marks})", values)
        assert done.lastrowid is not None
        return replace(row, number=done.lastrowid)

    def open(self, row: Invitation) -> None:
        """The lock has made the authorization that `row` names now."""
        created, number = row.entry_created, row.authorization_id
        values = {"stage": Stage.OPEN, "authorization_id": number, "entry_created": created, "on_lock": 0}
        self._change(row.number, Stage.ASKED, **values)

    def redeem(self, number: int, client: bytes, now: int) -> bool:
        """The first who asked gets it; False if it is not open."""
        return self._change(number, Stage.OPEN, stage=Stage.REDEEMED, client=client, ended=now)

    def wipe(self, number: int) -> None:
        """Nobody may ask for the credential any more."""
        self._change(number, Stage.REDEEMED, key=None, shared_key=None, client=None)

    def end(self, number: int, before: Stage, stage: Stage, now: int, *, on_lock: bool = True) -> bool:
        """It is over without having been redeemed; False if it is not at `before` any more."""
        return self._change(number, before, stage=stage, ended=now, on_lock=int(on_lock), key=None, shared_key=None)

    def cleaned(self, number: int, stage: Stage) -> None:
        """Its authorization is not on the lock any more."""
        self._change(number, stage, on_lock=0)

    def note_left(self, number: int, seconds_left: int) -> None:
        """So much of its life is left."""
        self._change(number, Stage.OPEN, seconds_left=seconds_left)

    def forget(self, number: int) -> None:
        """Delete the row."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM invitation WHERE number = ?", (number,))

    def _change(self, number: int, before: Stage, **values: Any) -> bool:
        names = ", ".join(f"{name} = ?" for name in values)
        with self._store.transaction() as db:
            done = db.execute(
                f"UPDATE invitation SET {names} WHERE number = ? AND stage = ?",
                (*values.values(), number, before.value),
            )
            return done.rowcount == 1


def _from_row(row: tuple[Any, ...]) -> Invitation:
    values = dict(zip(_COLUMNS, row, strict=True))
    packed = values.pop("time_limit")
    try:
        sizes = [(values["lookup"], 16), (values["key"], 32), (values["shared_key"], 32), (packed, 19)]
        if any(each is not None and len(each) != size for each, size in sizes):
            raise ValueError("something has the wrong size")
        values["limit"] = None if packed is None else time_limit.unpack(packed)
        values["stage"] = Stage(values["stage"])
        for name, most in _MOST.items():
            if values[name] is not None and not 0 <= values[name] <= most:
                raise ValueError(f"{name} is out of range")
    except ValueError:
        raise StoreError("the table of invitations in the state database is damaged") from None
    values["remote"], values["on_lock"] = bool(values["remote"]), bool(values["on_lock"])
    return Invitation(**values)
