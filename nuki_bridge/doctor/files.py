"""The doctor on what lies on the disk: configuration, file modes, the state database, free space.

Nothing is opened for writing, and no lock is taken: the daemon may be at work with all of it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import sqlite3
import stat
from pathlib import Path

from nuki_bridge.database import APPLICATION_ID, FILE_NAME
from nuki_bridge.doctor.check import Check
from nuki_bridge.doctor.finding import CouldNotLook, Finding, ok, problem, warning
from nuki_bridge.doctor.place import SUDO, Place, in_thread, may_read
from nuki_bridge.errors import ConfigError
from nuki_bridge.records import frozen
from nuki_bridge.schema import MIGRATIONS
from nuki_bridge.web import certificate
from nuki_bridge.web import settings as web_settings

LITTLE = 200 * 1024 * 1024
"""Bytes of free space below which a log or an upgrade may fill the disk."""
TOO_LITTLE = 20 * 1024 * 1024
"""Bytes of free space below which the database may not be written any more."""
LOOKS = 3
"""How often a database is read that changes meanwhile."""


# -- configuration ----------------------------------------------------------------------------------------------------


@frozen
class ConfigFacts:
    """Its mistakes and warnings, line by line; `file` None where there is none and defaults count."""

    file: str | None
    mistakes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


async def _look_configuration(place: Place) -> ConfigFacts:
    mistakes: list[str] = []
    warnings: list[str] = []
    file = None
    try:
        settings = place.settings()
        warnings += settings.warnings
        file = None if settings.path is None else str(settings.path)
    except ConfigError as error:
        mistakes += error.mistakes
        file = str(place.config_file)
    page = place.config_file.with_name("web.yaml")
    if may_read(page) and page.exists():
        try:
            served = web_settings.load(page)
            warnings += served.warnings
            if (mistake := certificate.check(served)) is not None:
                mistakes.append(f"{page}: tls: {mistake}")
        except ConfigError as error:
            mistakes += error.mistakes
    return ConfigFacts(file, tuple(mistakes), tuple(warnings))


def _service(line: str) -> str:
    """Return whose file a line is about."""
    return "nuki-bridge-web" if line.partition(":")[0].endswith("web.yaml") else "nuki-bridge"


def _again(line: str) -> str:
    """Return how its service reads the file anew."""
    return "reload" if _service(line) == "nuki-bridge" else "restart"


def judge_configuration(facts: ConfigFacts) -> list[Finding]:
    """Is it valid, and are its secrets for nobody else to read?"""
    name = "configuration"
    findings = [
        problem(name, each, f"correct this line, then `sudo systemctl restart {_service(each)}`")
        for each in facts.mistakes
    ]
    findings += [
        warning(name, each, f"do as the line says, then `sudo systemctl {_again(each)} {_service(each)}`")
        for each in facts.warnings
    ]
    if findings:
        return findings
    if facts.file is None:
        return [ok(name, "there is no file, every key has its default")]
    return [ok(name, f"{facts.file} is valid")]


# -- owners and modes -------------------------------------------------------------------------------------------------


@frozen
class ModeFacts:
    """Owner and mode of one file; `own` is whether it belongs to whom it should."""

    path: str
    mode: int
    owner: str
    own: bool


async def _look_modes(place: Place) -> list[ModeFacts]:
    settings = place.configured()
    state = settings.state_dir
    return await in_thread(lambda: _modes(place, state))


def _modes(place: Place, state: Path) -> list[ModeFacts]:
    try:
        wanted: int | None = pwd.getpwnam(place.service_user).pw_uid
    except KeyError:
        wanted = None
    found = []
    try:
        files = [state, *sorted(state.glob(f"{FILE_NAME}*"))] if state.exists() else []
        for file in files:
            status = file.stat()
            own = wanted is None or status.st_uid == wanted
            found.append(ModeFacts(str(file), stat.S_IMODE(status.st_mode), _user(status.st_uid), own))
    except PermissionError:
        raise CouldNotLook(f"this user cannot look into {state}", SUDO) from None
    return found


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def judge_modes(facts: list[ModeFacts]) -> list[Finding]:
    """Can others read the keys, and can the service write them?"""
    name = "file modes"
    findings = []
    for each in facts:
        if each.mode & 0o077:
            cure = "700" if each == facts[0] else "600"
            findings.append(
                problem(
                    name,
                    f"{each.path} has mode {each.mode:04o}: others may read keys that open doors",
                    f"`sudo chmod {cure} {each.path}`",
                )
            )
        if not each.own:
            findings.append(
                problem(
                    name,
                    f"{each.path} belongs to {each.owner}: the service cannot write it",
                    f"`sudo chown nuki-bridge:nuki-bridge {each.path}`",
                )
            )
    if findings:
        return findings
    if not facts:
        return [ok(name, "there is no state directory yet")]
    return [ok(name, f"{facts[0].path} is for the service alone")]


# -- the database -----------------------------------------------------------------------------------------------------


@frozen
class DatabaseFacts:
    """What is wrong with it as the end of a sentence, None for nothing; `schema` 0 where there is no file."""

    path: str
    schema: int
    wrong: str | None = None
    locks: int = 0


async def _look_database(place: Place) -> DatabaseFacts:
    file = place.configured().state_dir / FILE_NAME
    return await in_thread(lambda: _database(file))


def _database(file: Path) -> DatabaseFacts:
    """Look at a copy in memory: no lock is taken, no file is made, and nothing of it lands on a disk."""
    facts = DatabaseFacts(str(file), 0)
    for _ in range(LOOKS):
        try:
            data = bytearray(file.read_bytes())
        except FileNotFoundError:
            return facts
        except PermissionError:
            raise CouldNotLook(f"this user cannot read {file}", SUDO) from None
        except OSError as error:
            return DatabaseFacts(str(file), 0, f"cannot be read: {error.strerror}")
        facts = _examined(str(file), data)
        if facts.wrong is None:
            return facts
    if _size(Path(f"{file}-wal")) or _size(Path(f"{file}-journal")):
        raise CouldNotLook("it is being written just now", "call it again")
    return facts


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _examined(path: str, data: bytearray) -> DatabaseFacts:
    if len(data) < 100 or not data.startswith(b"SQLite format 3\0"):
        return DatabaseFacts(path, 0, "is no SQLite database")
    if int.from_bytes(data[68:72], "big") != APPLICATION_ID:
        return DatabaseFacts(path, 0, "belongs to another program")
    schema = int.from_bytes(data[60:64], "big")
    if schema > len(MIGRATIONS):
        return DatabaseFacts(path, schema, "was written by a newer nuki-bridge")
    data[18:20] = b"\1\1"  # without a write-ahead log: in memory there can be none
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        try:
            db.deserialize(bytes(data))
            if db.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)]:
                return DatabaseFacts(path, schema, "is damaged")
            [(locks,)] = db.execute("SELECT COUNT(*) FROM lock").fetchall()
        except sqlite3.Error:
            return DatabaseFacts(path, schema, "is damaged")
    return DatabaseFacts(path, schema, None, locks)


def judge_database(facts: DatabaseFacts) -> list[Finding]:
    """Can it be used?"""
    if facts.wrong is not None:
        advice = "docs/troubleshooting.md, The state database cannot be used; leave the file as it is until then"
        return [problem("database", f"{facts.path} {facts.wrong}", advice)]
    if not facts.schema:
        return [ok("database", "there is none yet; it is made when the daemon starts")]
    count = f"{facts.locks} lock{'' if facts.locks == 1 else 's'}"
    return [ok("database", f"it is sound, schema {facts.schema}, {count} paired")]


# -- the disk ---------------------------------------------------------------------------------------------------------


@frozen
class DiskFacts:
    """Free bytes for the service where its state is; `files` how many more files fit, None where nobody counts."""

    free: int
    files: int | None
    read_only: bool


async def _look_disk(place: Place) -> DiskFacts:
    state = place.configured().state_dir

    def look() -> DiskFacts:
        there = next(each for each in (state.absolute(), *state.absolute().parents) if each.exists())
        said = os.statvfs(there)
        files = said.f_favail if said.f_files else None
        return DiskFacts(said.f_bavail * said.f_frsize, files, bool(said.f_flag & os.ST_RDONLY))

    try:
        return await in_thread(look)
    except OSError as error:
        raise CouldNotLook(f"{state}: {error.strerror}") from None


def judge_disk(facts: DiskFacts) -> list[Finding]:
    """Is there room?"""
    room = f"{facts.free / (1 << 20):.0f} MiB free where the state is kept"
    if facts.read_only:
        sentence = "the state directory is on a file system that cannot be written now"
        return [problem("disk", sentence, "an SD card that fails is mounted so: make a backup and replace it")]
    if facts.free < TOO_LITTLE or facts.files == 0:
        return [problem("disk", room, "free some space: `sudo journalctl --vacuum-size=100M`, `sudo apt clean`")]
    if facts.free < LITTLE:
        return [warning("disk", room, "free some space: `sudo journalctl --vacuum-size=100M`, `sudo apt clean`")]
    return [ok("disk", room)]


CHECKS = (
    Check("configuration", "config.yaml, web.yaml and the secrets they name", _look_configuration, judge_configuration),
    Check("file modes", "who may read and write the state directory", _look_modes, judge_modes),
    Check("database", "is it sound, and of this version", _look_database, judge_database),
    Check("disk", "room for the state", _look_disk, judge_disk),
)
