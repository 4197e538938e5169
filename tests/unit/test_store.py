"""The store: what it keeps through anything, and what it refuses without touching it."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from pathlib import Path

import pytest

from nuki_bridge import database
from nuki_bridge.errors import StoreError, UnusableState
from nuki_bridge.home_assistant.announced import Announced
from nuki_bridge.owner.refused_pins import Attempt
from nuki_bridge.protocol.codes import Family, IdType
from nuki_bridge.schema import MIGRATIONS
from nuki_bridge.sharing.invitation_store import Invitation, Records
from nuki_bridge.store import Store
from tests.unit.stored import KEY, LOCK


@contextlib.contextmanager
def opened(directory: Path) -> Iterator[Store]:
    store = Store(directory)
    store.open()
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state"


def contents(directory: Path) -> dict[str, bytes]:
    """Every file of the directory, but for the log's index, which holds nothing of its own."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if not path.name.endswith("-shm")}


def refused(directory: Path) -> str:
    """The sentence with which the directory is refused, having checked that nothing in it changed."""
    before = contents(directory)
    with pytest.raises(StoreError) as caught:
        Store(directory).open()
    assert contents(directory) == before
    return str(caught.value)


CHILD = """
import signal, sys
from pathlib import Path
from dataclasses import replace
from nuki_bridge.store import Store
from tests.unit.stored import LOCK
store = Store(Path(sys.argv[1]))
"""


@contextlib.contextmanager
def child(directory: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has a `store` on `directory` and runs `code`; killed without warning at the end."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD + code, str(directory)], cwd=root, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


# -- what it keeps ----------------------------------------------------------------------------------------------------


def test_lock_comes_back_as_it_was_saved(directory: Path) -> None:
    bare = replace(LOCK, name="shed", family=Family.CLASSIC, id_type=IdType.APP, pin=None)
    with opened(directory) as store:
        assert store.locks() == []
        store.save_lock(bare)
        store.save_lock(LOCK)
        assert store.locks() == [LOCK, bare]
    with opened(directory) as store:
        assert store.locks() == [LOCK, bare]


def test_saving_again_replaces_the_lock_of_that_name(directory: Path) -> None:
    again = replace(LOCK, address="54:D2:72:00:00:01", shared_key=bytes(32), authorization_id=3)
    with opened(directory) as store:
        store.save_lock(LOCK)
        store.save_lock(again)
        assert store.locks() == [again]


def test_removing_forgets_one_lock(directory: Path) -> None:
    other = replace(LOCK, name="other")
    with opened(directory) as store:
        store.save_lock(LOCK)
        store.save_lock(other)
        assert store.remove_lock("front_door") is True
        assert store.remove_lock("front_door") is False
        assert store.locks() == [other]


def test_time_is_kept_in_whole_seconds_whatever_its_zone(directory: Path) -> None:
    there = LOCK.paired_at.astimezone(timezone(timedelta(hours=5))) + timedelta(microseconds=5)
    with opened(directory) as store:
        store.save_lock(replace(LOCK, paired_at=there))
        [lock] = store.locks()
    assert lock.paired_at == LOCK.paired_at
    assert lock.paired_at.tzinfo is UTC


def test_app_id_is_chosen_once_for_each_installation(tmp_path: Path) -> None:
    with opened(tmp_path / "one") as store:
        first = store.app_id()
        assert store.app_id() == first
        assert 0 < first <= 0xFFFFFFFF
    with opened(tmp_path / "one") as store:
        assert store.app_id() == first
    with opened(tmp_path / "two") as store:
        assert store.app_id() != first


def test_log_is_synchronous_and_deletion_secure(directory: Path) -> None:
    with opened(directory) as store:
        pragmas = ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
        values = [store.db.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in pragmas]
    assert values == ["wal", 2, 1, 1]


@pytest.mark.parametrize("change", ["remove", "replace"])
def test_old_key_is_gone_from_every_file_at_once(directory: Path, change: str) -> None:
    def places() -> list[str]:
        return [path.name for path in directory.iterdir() if KEY in path.read_bytes()]

    with opened(directory) as store:
        store.save_lock(LOCK)
        assert places() == ["nuki-bridge.db"]
        if change == "remove":
            store.remove_lock(LOCK.name)
        else:
            store.save_lock(replace(LOCK, shared_key=bytes(32)))
        assert places() == []


def test_reader_that_holds_the_log_does_not_stop_a_change(directory: Path) -> None:
    with opened(directory) as store:
        store.save_lock(LOCK)
        with contextlib.closing(sqlite3.connect(directory / "nuki-bridge.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM lock").fetchall()
            assert store.remove_lock(LOCK.name)
        assert store.locks() == []


def test_repr_hides_key_and_pin() -> None:
    shown = repr(LOCK)
    assert "front_door" in shown
    assert "012345" not in shown
    assert repr(KEY) not in shown
    assert "shared_key" not in shown


def test_closed_store_says_so(directory: Path) -> None:
    store = Store(directory)
    store.close()
    with pytest.raises(StoreError, match="is not open"):
        store.locks()
    store.open()
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is not open"):
        store.save_lock(LOCK)


# -- an authorization that is not proven yet --------------------------------------------------------------------------

NEW = replace(LOCK, shared_key=bytes(32), authorization_id=7, id_type=IdType.APP, pin=None)
NEWER = replace(NEW, shared_key=bytes(31) + b"\1", authorization_id=8)


def test_unproven_authorization_counts_and_those_before_it_can_be_had_back(directory: Path) -> None:
    with opened(directory) as store:
        store.save_lock(LOCK)
        for lock in (NEW, NEWER):
            store.save_unproven(lock)
    with opened(directory) as store:
        assert (store.locks(), store.has_former("front_door")) == ([NEWER], True)
        assert store.restore_former("front_door") == NEW
        assert (store.locks(), store.has_former("front_door")) == ([NEW], True)
        assert store.restore_former("front_door") == LOCK
        assert (store.locks(), store.has_former("front_door")) == ([LOCK], False)
        assert store.restore_former("front_door") is None
        assert store.locks() == [LOCK]


def test_unproven_authorization_of_a_new_lock_has_none_before_it(directory: Path) -> None:
    with opened(directory) as store:
        store.save_unproven(LOCK)
        assert (store.locks(), store.has_former("front_door")) == ([LOCK], False)


@pytest.mark.parametrize("change", ["prove", "remove"])
def test_former_key_is_gone_from_every_file_with_its_use(directory: Path, change: str) -> None:
    with opened(directory) as store:
        store.save_lock(LOCK)
        store.save_unproven(NEW)
        if change == "prove":
            store.forget_former("front_door")
        else:
            store.remove_lock("front_door")
        assert [path.name for path in directory.iterdir() if KEY in path.read_bytes()] == []


def test_renaming_keeps_what_can_be_had_back(directory: Path) -> None:
    with opened(directory) as store:
        store.save_lock(LOCK)
        store.save_unproven(NEW)
        store.rename_locks({"front_door": replace(NEW, name="garden")})
        assert store.locks() == [replace(NEW, name="garden")]
        assert store.restore_former("garden") == replace(LOCK, name="garden")
        assert store.locks() == [replace(LOCK, name="garden")]


def test_locks_swap_their_names_with_all_that_belongs_to_them(directory: Path) -> None:
    other = replace(LOCK, name="garden", address="54:D2:72:00:00:01", nuki_id=0x11223344, shared_key=bytes(32))
    with opened(directory) as store:
        store.save_lock(LOCK)
        store.save_lock(other)
        store.save_unproven(NEW)
        store.keep_log_position(other, 17)
        swapped = replace(other, name="front_door"), replace(NEW, name="garden")
        store.rename_locks({"garden": swapped[0], "front_door": swapped[1]})
        assert store.locks() == list(swapped)
        assert store.log_position(swapped[0]) == 17
        assert (store.has_former("front_door"), store.has_former("garden")) == (False, True)
        assert store.restore_former("garden") == replace(LOCK, name="garden")


def test_a_name_that_another_lock_has_is_not_taken_from_it(directory: Path) -> None:
    other = replace(LOCK, name="garden", address="54:D2:72:00:00:01", nuki_id=0x11223344)
    with opened(directory) as store:
        store.save_lock(LOCK)
        store.save_lock(other)
        with pytest.raises(StoreError):
            store.rename_locks({"front_door": replace(LOCK, name="garden")})
        assert store.locks() == [LOCK, other]


def test_schema_without_former_locks_is_upgraded(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", MIGRATIONS[:4])
        saved(directory)
    with opened(directory) as store:
        assert (store.locks(), store.has_former("front_door")) == ([LOCK], False)
        store.save_unproven(NEW)
        assert store.has_former("front_door")


# -- kill -9 ----------------------------------------------------------------------------------------------------------


def test_saved_lock_survives_a_kill_right_after(directory: Path) -> None:
    with child(directory, "store.open(); store.save_lock(LOCK); print('saved', flush=True); signal.pause()") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "saved\n"
    with opened(directory) as store:
        assert store.locks() == [LOCK]


def test_no_acknowledged_save_is_lost_in_a_kill_at_any_moment(directory: Path) -> None:
    code = """
for start in range(10**6):
    store.open()
    for step in range(3):
        store.save_lock(replace(LOCK, authorization_id=3 * start + step))
        print(3 * start + step, flush=True)
    store.close()
"""
    for count in (1, 2, 7, 20):
        shutil.rmtree(directory, ignore_errors=True)
        with child(directory, code) as process:
            assert process.stdout is not None
            acknowledged = [int(process.stdout.readline()) for _ in range(count)]
            process.send_signal(signal.SIGKILL)
            acknowledged += [int(line) for line in process.stdout]
        with opened(directory) as store:
            [lock] = store.locks()
        assert lock.authorization_id in (acknowledged[-1], acknowledged[-1] + 1)


def test_database_half_made_by_a_killed_process_is_made_anew(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    (directory / "nuki-bridge.db.new").write_bytes(b"half")
    with opened(directory) as store:
        store.save_lock(LOCK)
        assert not (directory / "nuki-bridge.db.new").exists()


# -- who may see it ---------------------------------------------------------------------------------------------------


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_can_read_anything(directory: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        with opened(directory) as store:
            store.save_lock(LOCK)
            modes = {path.name: mode(path) for path in directory.iterdir()}
            assert mode(directory) == 0o700
    finally:
        os.umask(old)
    assert modes == {"nuki-bridge.db": 0o600, "nuki-bridge.db-wal": 0o600, "nuki-bridge.db-shm": 0o600}


def test_open_modes_are_tightened(directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o755)
    with opened(directory):
        assert mode(directory) == 0o700
    directory.chmod(0o750)
    (directory / "nuki-bridge.db").chmod(0o644)
    with opened(directory):
        assert mode(directory) == 0o700
        assert mode(directory / "nuki-bridge.db") == 0o600


def test_directory_shared_with_others_is_not_closed_to_them(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory.mkdir()
    directory.chmod(0o755)
    (directory / "apt").touch()
    with opened(directory) as store:
        store.save_lock(LOCK)
        assert mode(directory) == 0o755
        assert mode(directory / "nuki-bridge.db") == 0o600
    assert "better give state_dir a directory of its own" in caplog.text


def test_directory_that_others_can_write_is_refused(directory: Path) -> None:
    """They could put another database in the place of ours."""
    directory.mkdir()
    directory.chmod(0o777)
    (directory / "apt").touch()
    assert "can be written by other users and holds other files; give state_dir" in refused(directory)
    assert mode(directory) == 0o777


# -- what it refuses --------------------------------------------------------------------------------------------------


def test_the_locks_can_be_looked_at_while_the_database_is_open_elsewhere(directory: Path) -> None:
    assert Store(directory).peek() == []
    assert not directory.exists()
    with opened(directory) as store:
        store.save_lock(LOCK)
        before = contents(directory)
        assert Store(directory).peek() == [LOCK]
        assert contents(directory) == before
    before = contents(directory)
    assert Store(directory).peek() == [LOCK]
    assert contents(directory) == before


def test_second_daemon_is_refused_until_the_first_is_gone(directory: Path) -> None:
    with child(directory, "store.open(); print('open', flush=True); signal.pause()") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match="is in use by another nuki-bridge; stop that one"):
            Store(directory).open()
    with opened(directory), pytest.raises(StoreError, match="is in use by another nuki-bridge"):
        Store(directory).open()
    with opened(directory):
        pass


@pytest.mark.parametrize("data", [b"", b"x", b"SQLite format 3\0", b"SQLite format 3\0" + bytes(84), os.urandom(8192)])
def test_file_that_is_no_database_is_refused(directory: Path, data: bytes) -> None:
    directory.mkdir(mode=0o700)
    (directory / "nuki-bridge.db").write_bytes(data)
    told = refused(directory)
    assert told.startswith(f"{directory}/nuki-bridge.db ")
    assert "move it away" in told


def saved(directory: Path) -> Path:
    with opened(directory) as store:
        store.save_lock(LOCK)
    return directory / "nuki-bridge.db"


@pytest.mark.parametrize("where", ["schema", "page", "tail"])
def test_damaged_database_is_refused(directory: Path, where: str) -> None:
    path = saved(directory)
    data = bytearray(path.read_bytes())
    if where == "schema":
        data[100:200] = bytes(100)
    elif where == "page":
        data[4096:8192] = os.urandom(4096)
    else:
        del data[-4096:]
    path.write_bytes(data)
    assert (
        refused(directory) == f"{path} is damaged; restore it from a backup, or move it away and pair the locks again"
    )
    assert list(contents(directory)) == ["nuki-bridge.db"]


def test_damaged_database_with_a_log_is_refused(directory: Path) -> None:
    with child(directory, "store.open(); store.app_id(); print('open', flush=True); signal.pause()") as process:
        assert process.stdout is not None
        process.stdout.readline()
    assert (directory / "nuki-bridge.db-wal").stat().st_size > 0
    path = directory / "nuki-bridge.db"
    data = bytearray(path.read_bytes())
    data[4096:8192] = b"\xa5" * 4096
    path.write_bytes(data)
    assert "is damaged" in refused(directory)


def test_log_without_its_database_is_refused(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    (directory / "nuki-bridge.db-wal").write_bytes(b"x" * 100)
    assert "is missing, but nuki-bridge.db-wal is there" in refused(directory)


def test_database_of_another_program_is_refused(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    with contextlib.closing(sqlite3.connect(directory / "nuki-bridge.db")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE lock (name)")
    assert "belongs to another program; move it away" in refused(directory)


def test_database_without_version_is_refused(directory: Path) -> None:
    path = saved(directory)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 0")
    assert "has no schema version" in refused(directory)


def test_symbolic_link_is_refused(directory: Path) -> None:
    saved(directory).rename(directory / "nuki-bridge.elsewhere")
    (directory / "nuki-bridge.db").symlink_to("nuki-bridge.elsewhere")
    with pytest.raises(StoreError, match="Too many levels of symbolic links"):
        Store(directory).open()


def test_row_that_makes_no_sense_is_told_as_damage(directory: Path) -> None:
    with opened(directory) as store:
        store.save_lock(LOCK)
        store.db.execute("UPDATE lock SET family = 'padlock'")
        with pytest.raises(StoreError, match="is damaged"):
            store.locks()


@pytest.mark.parametrize("bad", [{"shared_key": bytes(31)}, {"uuid": bytes(17)}])
def test_key_of_wrong_size_is_never_kept(directory: Path, bad: dict[str, bytes]) -> None:
    with opened(directory) as store:
        with pytest.raises(StoreError):
            store.save_lock(replace(LOCK, **bad))  # type: ignore[arg-type]
        assert store.locks() == []


# -- older and newer schemas ------------------------------------------------------------------------------------------

NEXT = ("CREATE TABLE extra (x INTEGER) STRICT", "INSERT INTO extra VALUES (7)")


def test_older_database_is_upgraded_with_its_locks(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(directory)
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, NEXT))
    for _ in range(2):
        with opened(directory) as store:
            assert store.locks() == [LOCK]
            assert store.db.execute("SELECT x FROM extra").fetchall() == [(7,)]
            assert store.db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


def test_new_database_runs_every_migration(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, NEXT))
    with opened(directory) as store:
        assert store.db.execute("SELECT x FROM extra").fetchall() == [(7,)]


def test_upgrade_that_fails_changes_nothing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(directory)
    released = MIGRATIONS
    monkeypatch.setattr(database, "MIGRATIONS", (*released, NEXT, ("INSERT INTO absent VALUES (1)",)))
    with pytest.raises(StoreError, match="no such table: absent"):
        Store(directory).open()
    monkeypatch.setattr(database, "MIGRATIONS", released)
    with opened(directory) as store:
        assert store.locks() == [LOCK]
        assert store.db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'").fetchone() == (0,)


def test_upgrade_that_is_killed_is_done_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(directory)
    code = """
import nuki_bridge.database as module
class Steps(tuple):
    def __iter__(self):
        yield from super().__iter__()
        print('stepped', flush=True)
        signal.pause()
steps = Steps(("CREATE TABLE extra (x)", "INSERT INTO extra VALUES (zeroblob(9999999))"))
module.MIGRATIONS = (*module.MIGRATIONS, steps)
store.open()
"""
    with child(directory, code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stepped\n"
    assert (directory / "nuki-bridge.db-journal").exists()
    with opened(directory) as store:
        assert store.locks() == [LOCK]
        assert store.db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'").fetchone() == (0,)


@pytest.mark.parametrize("killed", [False, True])
def test_newer_database_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch, killed: bool) -> None:
    code = """
import nuki_bridge.database as module
module.MIGRATIONS = module.MIGRATIONS + (("CREATE TABLE extra (x)",),)
store.open(); store.app_id()
print('open', flush=True)
signal.pause()
"""
    if killed:
        with child(directory, code) as process:
            assert process.stdout is not None
            process.stdout.readline()
        assert (directory / "nuki-bridge.db-wal").stat().st_size > 0
    else:
        with monkeypatch.context() as patch:
            patch.setattr(database, "MIGRATIONS", (*MIGRATIONS, NEXT))
            saved(directory)
    told = refused(directory)
    known = len(MIGRATIONS)
    assert f"was written by a newer nuki-bridge (schema {known + 1}, this one knows {known})" in told


# -- a machine that does not play along -------------------------------------------------------------------------------


def test_place_where_no_directory_can_be_made_is_refused() -> None:
    with pytest.raises(StoreError, match=r"/proc/nuki-bridge.* cannot be used: "):
        Store(Path("/proc/nuki-bridge")).open()


def test_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file cannot be used: Not a directory"):
        Store(tmp_path / "file").open()


@contextlib.contextmanager
def without_privileges(directory: Path) -> Iterator[None]:
    """As root: hand the directory to another user and become that one, since root may write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    for path in (directory, *directory.iterdir()):
        os.chown(path, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory whose parents every user may enter."""
    path = Path(tempfile.mkdtemp(prefix="nuki-bridge-test-"))
    yield path
    path.chmod(0o700)
    shutil.rmtree(path)


def test_read_only_directory_is_refused(public: Path) -> None:
    public.chmod(0o500)
    with without_privileges(public), pytest.raises(StoreError, match="cannot be used: Permission denied"):
        Store(public).open()
    assert list(public.iterdir()) == []


def test_read_only_database_is_refused(public: Path) -> None:
    saved(public).chmod(0o400)
    with (
        without_privileges(public),
        pytest.raises(StoreError, match=r"nuki-bridge\.db cannot be used: Permission denied"),
    ):
        Store(public).open()


def test_directory_of_another_user_is_refused(public: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    public.chmod(0o777)
    os.seteuid(65534)
    try:
        with pytest.raises(StoreError, match="cannot be used: Operation not permitted"):
            Store(public).open()
    finally:
        os.seteuid(0)


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: a write fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_disk_without_space_is_told_and_the_next_attempt_works(directory: Path) -> None:
    with file_size_limit(4096), pytest.raises(StoreError, match="free space"):
        Store(directory).open()
    with opened(directory) as store:
        with file_size_limit(1024), pytest.raises(StoreError, match="free s"):
            store.save_lock(LOCK)
        assert store.locks() == []
        store.save_lock(LOCK)
        assert store.locks() == [LOCK]


def test_full_database_is_told(directory: Path) -> None:
    with opened(directory) as store:
        store.db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StoreError, match="the disk is full; free some space"):
            store.save_lock(replace(LOCK, pin="0" * 100_000))


def test_log_that_cannot_be_emptied_is_a_warning_not_a_failure(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(directory) as store, caplog.at_level(logging.WARNING):
        store.save_lock(LOCK)
        store.db.execute("BEGIN IMMEDIATE")  # a checkpoint inside of a transaction fails
        assert store.remove_lock(LOCK.name)
        store.db.execute("COMMIT")
        assert store.locks() == []
    assert "could not be emptied yet" in caplog.text


# -- the log's position and refused PINs


def test_the_log_position_is_kept_for_this_lock_under_this_name(directory: Path) -> None:
    with opened(directory) as store:
        store.save_lock(LOCK)
        assert store.log_position(LOCK) is None
        store.keep_log_position(LOCK, 7)
        store.keep_log_position(LOCK, 0xFFFFFFFF)
    with opened(directory) as store:
        assert store.log_position(LOCK) == 0xFFFFFFFF
        store.save_lock(replace(LOCK, pin="1"))
        assert store.log_position(LOCK) == 0xFFFFFFFF
        other = replace(LOCK, nuki_id=5)
        store.save_lock(other)
        assert store.log_position(other) is None
        store.keep_log_position(LOCK, 8)
        assert store.log_position(other) is None


def test_what_a_lock_was_seen_to_have_is_kept_while_it_is_paired(directory: Path) -> None:
    with opened(directory) as store:
        store.keep_equipment(LOCK, {"door"})
        assert store.equipment(LOCK) == frozenset()  # it is not paired
        store.save_lock(LOCK)
        store.keep_equipment(LOCK, {"door", "keypad"})
        store.keep_equipment(LOCK, {"door", "fob"})
    with opened(directory) as store:
        assert store.equipment(LOCK) == {"door", "fob"}
        store.save_unproven(NEW)
        assert store.equipment(NEW) == {"door", "fob"}
        renamed = replace(NEW, name="garden")
        store.rename_locks({LOCK.name: renamed})
        assert store.equipment(renamed) == {"door", "fob"}
        assert store.equipment(replace(renamed, nuki_id=5)) == frozenset()  # another lock in its place
        store.remove_lock("garden")
        store.save_lock(renamed)
        assert store.equipment(renamed) == frozenset()


def test_what_was_kept_under_an_unknown_nuki_id_is_kept_under_the_one_that_is_shown(directory: Path) -> None:
    unknown = replace(LOCK, nuki_id=0)
    other = replace(LOCK, name="garden", address="54:D2:72:00:00:01", nuki_id=0)
    with opened(directory) as store:
        for lock in (unknown, other):
            store.save_lock(lock)
            store.keep_log_position(lock, 7)
            store.keep_equipment(lock, {"door"})
        store.keep_refused_pin(unknown, "1111", 100)
        store.keep_refused_pin(unknown, "2222", 100)
        store.keep_refused_pin(LOCK, "2222", 200)
        store.save_shown(LOCK)
        assert {each.name: each.nuki_id for each in store.locks()} == {LOCK.name: LOCK.nuki_id, "garden": 0}
        for lock in (LOCK, other):
            assert store.log_position(lock) == 7
            assert store.equipment(lock) == {"door"}
        assert store.refused_pins(LOCK) == {"1111": 100, "2222": 200}
        assert store.refused_pins(other) == {"1111": 100, "2222": 100}, "they may be the other one's"


def test_what_belongs_to_a_lock_goes_with_it(directory: Path) -> None:
    with opened(directory) as store:
        store.keep_log_position(LOCK, 7)
        assert store.log_position(LOCK) is None
        store.save_lock(LOCK)
        store.keep_log_position(LOCK, 7)
        store.remove_lock(LOCK.name)
        store.save_lock(LOCK)
        assert store.log_position(LOCK) is None


def test_every_refused_pin_is_kept_whatever_the_lock_is_called(directory: Path) -> None:
    with opened(directory) as store:
        store.save_lock(LOCK)
        store.keep_refused_pin(LOCK, "0012", 1000)
        store.keep_refused_pin(LOCK, "0013", 2000)
        store.keep_refused_pin(LOCK, "0012", 3000)
        store.remove_lock(LOCK.name)
    with opened(directory) as store:
        again = replace(LOCK, name="elsewhere")
        store.save_lock(again)
        assert store.refused_pins(again) == {"0012": 3000, "0013": 2000}
        assert store.refused_pins(replace(LOCK, nuki_id=5)) == {}


def test_refused_pins_are_forgotten_once_one_was_taken_or_in_time(directory: Path) -> None:
    other = replace(LOCK, nuki_id=5)
    with opened(directory) as store:
        for number, pin in enumerate(("271828", "314159", "141421")):
            store.keep_refused_pin(LOCK, pin, 1000 * number)
        store.keep_refused_pin(other, "173205", 1000)
        store.forget_refused_pins(LOCK, "271828")
        assert set(store.refused_pins(LOCK)) == {"314159", "141421"}
        store.forget_refused_pins(LOCK)
        assert (store.refused_pins(LOCK), store.refused_pins(other)) == ({}, {"173205": 1000})
        for pin, refused_at in (("1", 999), ("2", 1000), ("3", 2000), ("4", 2001)):
            store.keep_refused_pin(LOCK, pin, refused_at)
        store.forget_old_refusals(1000, 2000)
        assert store.refused_pins(LOCK) == {"2": 1000, "3": 2000}
        store.forget_old_refusals(3000, 4000)
        assert store.refused_pins(other) == {}
    files = b"".join(contents(directory).values())
    assert not any(pin in files for pin in (b"271828", b"314159", b"141421", b"173205"))


def test_refused_pins_of_the_schema_with_one_for_each_lock_are_taken_over(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", MIGRATIONS[:4])
        with opened(directory) as store:
            store.save_lock(LOCK)
            store.db.execute("INSERT INTO refused_pin VALUES (?, '0012', 1000)", (LOCK.name,))
            store.keep_log_position(LOCK, 7)
    with opened(directory) as store:
        assert store.refused_pins(LOCK) == {"0012": 1000}
        assert (store.locks(), store.log_position(LOCK)) == ([LOCK], 7)


def test_what_a_refused_pin_was_sent_for_is_taken_over_from_behind_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It once stood there in words, as if it was a part of the PIN."""
    kept = ["0012", "0012 again", "271828 in doubt", "271828 in doubt again"]
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", MIGRATIONS[:9])
        with opened(directory) as store:
            store.save_lock(LOCK)
            rows = [(LOCK.nuki_id, pin, 1000 + number) for number, pin in enumerate(kept)]
            store.db.executemany("INSERT INTO refused_pin VALUES (?, ?, ?)", rows)
    with opened(directory) as store:
        assert {each: store.refused_pins(LOCK, each) for each in Attempt} == {
            Attempt.FIRST: {"0012": 1000},
            Attempt.AGAIN: {"0012": 1001},
            Attempt.DOUBT: {"271828": 1002},
            Attempt.DOUBT_AGAIN: {"271828": 1003},
        }
        store.forget_refused_pins(LOCK, "0012", Attempt.AGAIN)
        assert (store.refused_pins(LOCK), store.refused_pins(LOCK, Attempt.AGAIN)) == ({"0012": 1000}, {})
        store.forget_refused_pins(LOCK)
        assert not any(store.refused_pins(LOCK, each) for each in Attempt)


# -- whatever became of a row -----------------------------------------------------------------------------------------

DAMAGE = {
    "TEXT": ["CAST(x'ff4131' AS TEXT)", "CAST(x'31320033' AS TEXT)", "''", "'\u2603'", "'12a4'"],
    "INTEGER": ["-1", "4294967296", "9223372036854775807", "-9223372036854775808"],
    "BLOB": ["x''"],
}
"""What a cell may hold after a disk had its way, by its type."""


def every_cell(directory: Path) -> list[tuple[str, str, str]]:
    with contextlib.closing(sqlite3.connect(directory / "nuki-bridge.db")) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return [(table, each[1], each[2]) for table in tables for each in db.execute(f"PRAGMA table_info({table})")]


def full_house(directory: Path) -> None:
    """A row in every table."""
    with opened(directory) as store:
        store.save_lock(LOCK)
        store.save_unproven(replace(LOCK, authorization_id=3))
        store.keep_log_position(LOCK, 7)
        store.keep_refused_pin(LOCK, "1111", 1_790_000_000)
        store.keep_new_pin(LOCK.name, "654321")
        store.app_id()
        row = Invitation(
            nuki_id=LOCK.nuki_id,
            lookup=bytes(16),
            key=KEY,
            shared_key=KEY,
            asked=1_790_000_000,
            user="Anna",
            remote=True,
            limit=None,
            created=1_790_000_000,
            expires=1_790_000_100,
            seconds_left=100,
            on_lock=False,
            client=b"client",
        )
        Records(store).ask(row)
        Announced(store).add("front_door", ["homeassistant/device/front_door/config"])


def read_everything(directory: Path) -> None:
    with opened(directory) as store:
        for lock in store.locks():
            store.log_position(lock)
            store.refused_pins(lock)
            store.new_pin(lock.name)
            store.restore_former(lock.name)
        store.app_id()
        Records(store).all()
        Announced(store).load()


def damage_told(directory: Path) -> str | None:
    try:
        read_everything(directory)
    except StoreError as error:
        return str(error)
    return None


@pytest.mark.long
def test_damage_in_any_cell_is_told_in_our_words_or_does_no_harm(tmp_path: Path) -> None:
    full_house(tmp_path / "whole")
    cells = every_cell(tmp_path / "whole")
    read_everything(tmp_path / "whole")
    told = 0
    for number, (table, column, kind) in enumerate(cells):
        for turn, value in enumerate(DAMAGE[kind]):
            place = tmp_path / f"{number}-{turn}"
            place.mkdir(mode=0o700)
            full_house(place)
            with contextlib.closing(sqlite3.connect(place / "nuki-bridge.db", isolation_level=None)) as db:
                db.execute("PRAGMA ignore_check_constraints = ON")
                with contextlib.suppress(sqlite3.IntegrityError):
                    db.execute(f"UPDATE {table} SET {column} = {value}")
            sentence = damage_told(place)
            assert sentence is None or "is damaged" in sentence, (table, column, value)
            told += sentence is not None
    assert told > 60


@pytest.mark.parametrize("text", ["CAST(x'31ff' AS TEXT)", "CAST(x'c328' AS TEXT)"])
def test_a_text_that_is_none_is_refused_untouched_and_not_quoted(directory: Path, text: str) -> None:
    path = saved(directory)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"UPDATE lock SET pin = {text}")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert (
        refused(directory) == f"{path} is damaged; restore it from a backup, or move it away and pair the locks again"
    )


def test_a_directory_that_cannot_be_written_does_not_mend_itself(public: Path) -> None:
    """The command line ends with status 2 for it, after which systemd does not start the service again."""
    public.chmod(0o500)
    with without_privileges(public), pytest.raises(UnusableState):
        Store(public).open()
    (public / "file").touch()
    with pytest.raises(UnusableState):
        Store(public / "file").open()
